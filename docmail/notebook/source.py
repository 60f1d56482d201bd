"""Reads a notebook that is to be executed, and says which parameters it has (papermill's convention)."""

from __future__ import annotations

import ast
import datetime as dt
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from docmail.errors import DocmailError, Guide, MessageError, NotebookError, listed
from docmail.files import reason_of
from docmail.home import hint_for
from docmail.language import _
from docmail.text import is_numpy_scalar

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMAT = 4  # of nbformat; 3 is that of IPython notebooks before 2015
_MOST_OCTETS = 200_000_000
_TAG = "parameters"
_KERNEL_PARTS = ("kernelspec", "language_info")
# What gives names a value that does not stand in the notebook.
_ELSEWHERE = re.compile(r"import\s+\*|%(?:run|load|store|pylab)\b|\b(?:exec|globals|locals|setattr)\s*\(")
_PYTHON = re.compile(r"i?python\d?", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """A notebook as it lies in its file, which is never written to: the path, and its content (nbformat's JSON)."""

    path: Path
    content: dict[str, Any]

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells, as nbformat has them."""
        cells: list[dict[str, Any]] = self.content["cells"]
        return cells

    def parameters(self) -> set[str] | None:
        """Return the names that the cell tagged `parameters` sets; None if there is no such cell."""
        for cell in self.cells:
            if cell.get("cell_type") == "code" and _TAG in cell["metadata"].get("tags", ()):
                return _names_set_in(text_of(cell))
        return None

    def may_set(self, name: str) -> bool:
        """Say whether some cell may give this name a value; False only if none of them mentions it."""
        code = "\n".join(text_of(cell) for cell in self.cells if cell.get("cell_type") == "code")
        return bool(_ELSEWHERE.search(code) or re.search(rf"\b{re.escape(name)}\b", code))

    def without(self, name: str, *, executed: bool = False) -> MessageError:
        """Return the error for a subject with a name that the notebook does not have, or not when it has ended."""
        sets = (text_of(cell) for cell in self.cells if cell.get("cell_type") == "code")
        known = sorted({each for text in sets for each in _names_set_in(text) if each[0] != "_" and each != name})
        sentence = (
            _("The subject needs “{field}”, which {name} does not have when all its cells have run; nothing was sent.")
            if executed
            else _("The subject needs “{field}”, which {name} does not have.")
        )
        parameters = self.parameters()
        mend = (
            _(
                "Set “{field}” in a cell. To give it with each call ({call}), set it in a cell with the tag "
                "“parameters”."
            )
            if parameters is None
            else _("Set “{field}” in a cell; in the one with the tag “parameters”, each call can give it: {call}.")
        )
        call = hint_for(notebook=f'parameters={{"{name}": ...}}', terminal=f"-p {name} …")
        return MessageError(
            sentence.format(field=name, name=self.path.name),
            field="subject",
            hint=_("It has: {known}.").format(known=listed(["today", *known], ", ", 12))
            + " "
            + mend.format(field=name, call=call),
            guide=Guide.SCHEDULED,
        )

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Raise `MessageError` for parameters that the notebook does not have: they would change nothing."""
        if not parameters:
            return
        known = self.parameters()
        if known is None:
            raise MessageError(
                _("{name} takes no parameters: none of its cells has the tag “parameters”.").format(
                    name=self.path.name
                ),
                field="parameters",
                hint=_("In JupyterLab, open the property inspector (gear, top right), and give the cell this tag."),
                guide=Guide.SCHEDULED,
            )
        if unknown := [name for name in parameters if name not in known]:
            raise MessageError(
                _("{name} has no parameter {unknown}.").format(name=self.path.name, unknown=listed(unknown, ", ")),
                field="parameters",
                hint=_("Its cell with the tag “parameters” sets: {known}.").format(
                    known=listed(sorted(known), ", ", 12) or "-"
                ),
                guide=Guide.SCHEDULED,
            )


def read(path: Path | str) -> Source:
    """Return the notebook in a file; raises `MessageError` for a file that is none, or that docmail cannot execute."""
    path = Path(path).expanduser().absolute()
    name = path.name
    if path.suffix.lower() != ".ipynb":
        raise _wrong(_("{name} is no notebook: its name does not end in .ipynb.").format(name=name))
    try:
        if path.stat().st_size > _MOST_OCTETS:
            raise _wrong(
                _("The notebook {name} is larger than {size:,} MB.").format(name=name, size=_MOST_OCTETS // 1_000_000),
                _("Clear its outputs, and save it."),
            )
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as exc:
        raise _wrong(
            _("The notebook {path} cannot be read: {reason}.").format(path=path, reason=reason_of(exc, path)),
            _("Give the path of the notebook."),
        ) from exc
    except (ValueError, RecursionError):
        raise _wrong(_("The file {name} is damaged: it is no JSON.").format(name=name)) from None
    version = content.get("nbformat") if isinstance(content, dict) else None
    if isinstance(content, dict):
        _complete(content)
    if isinstance(version, int) and version != _FORMAT:
        raise _wrong(
            _("The notebook {name} has the format {version}; docmail reads format 4.").format(
                name=name, version=version
            ),
            _("Open it in JupyterLab, and save it there."),
        )
    if version is None or not _is_sound(content):
        raise _wrong(_("The file {name} is damaged: it is no notebook.").format(name=name))
    return _executable(Source(path, content))


def _executable(source: Source) -> Source:
    """Return a notebook that docmail can execute; raises `NotebookError` for others."""
    metadata = source.content["metadata"]
    kernel, info = (metadata.get(part, {}) for part in _KERNEL_PARTS)
    language = kernel.get("language") or info.get("name")
    if language and not _PYTHON.fullmatch(str(language)):
        raise NotebookError(
            _("The notebook {name} is in {language}; docmail executes notebooks in Python.").format(
                name=source.path.name, language=str(language)[:40]
            ),
            hint=_("Execute it with papermill, and mail the file that it writes."),
        )
    if not any(text_of(cell).strip() for cell in source.cells):
        raise NotebookError(
            _("The notebook {name} is empty.").format(name=source.path.name),
            hint=_("Save it in JupyterLab first, if it is open there."),
        )
    return source


def text_of(cell: Mapping[str, Any]) -> str:
    """Return the source of a cell; in a file it may be a list of lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def typed(text: str) -> Any:
    """Return what papermill makes of a parameter at the command line: a number, True, False, None, or the text.

    >>> docmail.notebook.typed("2026"), docmail.notebook.typed("2026-11"), docmail.notebook.typed("True")
    (2026, '2026-11', True)
    """
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def from_yaml(text: str) -> dict[str, Any]:
    r"""Return the parameters in a text of YAML; raises `MessageError` for a text that holds none.

    >>> docmail.notebook.from_yaml("month: 2026-11\naccount: 7")
    {'month': '2026-11', 'account': 7}
    """
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise missing_extra() from None

    class WithoutDates(yaml.SafeLoader):  # type: ignore[misc]
        """Leaves a date the text that it is, as papermill does."""

    WithoutDates.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        found = yaml.load(text, Loader=WithoutDates)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise MessageError(
            _("The parameters in YAML cannot be understood."),
            field="parameters",
            hint=_("Write names and values, such as: -y 'month: 2026-11'."),
        )
    return found


def as_parameter(name: str, value: Any) -> Any:
    """Return a parameter as papermill writes it into a notebook; raises `MessageError` for what would be changed there.

    NumPy's values become Python's, and dates and paths become texts.
    """
    try:
        return _written(value)
    except (TypeError, RecursionError):
        raise MessageError(
            _("The parameter {name} cannot be a {type}.").format(name=name, type=type(value).__name__),
            field="parameters",
            hint=_("Give numbers, texts, dates, True, False, None, or lists and dicts of them."),
        ) from None


def _written(value: Any) -> Any:
    if is_numpy_scalar(value):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (dt.date, dt.time, Decimal, PurePath)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_written(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _written(each) for key, each in value.items()}
    raise TypeError


def missing_extra() -> DocmailError:
    """Return the error for what executes notebooks, if it is not installed."""
    return DocmailError(
        _("Executing notebooks needs papermill, which is not installed."),
        hint=_('Install it: pip install "docmail[notebook]".'),
    )


def _wrong(sentence: str, hint: str = "") -> MessageError:
    return MessageError(sentence, field="notebook", hint=hint or _("Give the path of a notebook."))


def _complete(content: dict[str, Any]) -> None:
    """Give a notebook the parts that programs leave out, and that papermill needs."""
    cells = content.get("cells")
    for each in [content, *(cells if isinstance(cells, list) else [])]:
        if isinstance(each, dict) and not isinstance(each.get("metadata"), dict):
            each["metadata"] = {}
        if isinstance(each, dict) and each.get("cell_type") == "code":
            each |= {"outputs": [], "execution_count": None}
    if not isinstance(content.get("nbformat_minor"), int):
        content["nbformat_minor"] = 4
    for part in _KERNEL_PARTS:
        if not isinstance(content["metadata"].get(part), dict):
            content["metadata"].pop(part, None)
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict) and not isinstance(cell["metadata"].get("tags"), list):
            cell["metadata"].pop("tags", None)


def _is_sound(content: dict[str, Any]) -> bool:
    cells = content.get("cells")
    return (
        isinstance(cells, list)
        and isinstance(content.get("metadata"), dict)
        and all(isinstance(cell, dict) and isinstance(cell.get("cell_type"), str) for cell in cells)
        and all(isinstance(cell.get("source", ""), str | list) for cell in cells)
        and all(isinstance(line, str) for cell in cells for line in cell.get("source", ""))
    )


def _names_set_in(text: str) -> set[str]:
    """Return the names that a cell of Python sets, also one that has magics in it."""
    lines = [line if not re.match(r"\s*[%!?]", line) else "" for line in text.splitlines()]
    try:
        tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"(?m)^([^\W\d]\w*)\s*(?::[^=\n]+)?=(?!=)", text))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
