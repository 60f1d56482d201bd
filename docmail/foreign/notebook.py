"""Reads the file of an executed notebook (nbformat 4), and refuses one whose outputs are not what its code gives.

By hand, because the file is JSON with a dozen fields, and a sentence shall name the cell: neither nbformat nor
nbconvert need be installed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from docmail.addresses import first_control
from docmail.errors import DocumentError
from docmail.language import _

__all__ = [
    "Cell",
    "File",
    "Notebook",
    "cells_of",
    "check_executed",
    "is_left_out",
    "is_notebook",
    "read_file",
    "shows_button",
]

_MOST_OCTETS = 200_000_000
_MARKDOWN_AS_CODE = re.compile(r"\s*%md(?:-sandbox)?(?:[ \t]*\n|[ \t]+|$)")
_PYTHON = {"", "ipython", "python", "python2", "python3", "sage", "xpython"}
_CONFLICT = re.compile(r"^\s*(?:<{7}|>{7})(?:\s|$)", re.MULTILINE)
_FORMAT = 4  # of nbformat
_TEMPORARY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?")  # colours of a terminal


@dataclass(frozen=True)
class Notebook:
    """An executed notebook to be sent: as a document, or as the text of a mail.

    `path` is its file (`.ipynb`). `code` says whether its code is shown as well; a `Path` alone means without. `folder`
    is where the pictures are that its Markdown names, if that is not the folder of the file.

    >>> docmail.notebook.Notebook(Path("report.ipynb"), code=True)
    Notebook('report.ipynb', code=True)
    """

    path: Path
    code: bool = field(default=False, kw_only=True)
    folder: Path | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.path, Path):
            raise DocumentError(
                _("The {field} must be a Path, not {type}.").format(field="path", type=type(self.path).__name__),
                hint=_('Write Path("report.ipynb") (from pathlib import Path).'),
            )

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.path.name

    def __repr__(self) -> str:
        return f"Notebook({self.name!r}, code={self.code})"


def is_notebook(source: object) -> bool:
    """Say whether it is a notebook: a `Notebook`, or the path of a file that ends in .ipynb.

    >>> docmail.foreign.is_notebook(Path("report.ipynb")), docmail.foreign.is_notebook(Path("report.pdf"))
    (True, False)
    """
    return isinstance(source, Notebook) or (isinstance(source, Path) and source.suffix.lower() == ".ipynb")


@dataclass(frozen=True)
class Cell:
    """A cell as the file has it; what is missing or of another type than it should be is empty."""

    number: int
    """Its place in the notebook, from 1."""
    kind: str
    source: str
    count: int | None
    """When it ran: what stands in brackets beside it."""
    tags: frozenset[str]
    outputs: tuple[dict[str, Any], ...] = field(repr=False)
    attachments: dict[str, Any] = field(repr=False)
    papermill: dict[str, Any] = field(repr=False)

    @property
    def called(self) -> str:
        """How a person finds it: by its place, and by the number beside it in JupyterLab."""
        return f"{self.number} [{self.count}]" if self.count is not None else f"{self.number}"


@dataclass(frozen=True)
class File:
    """A notebook that has been read: its cells, and the language of its kernel."""

    name: str
    folder: Path
    cells: tuple[Cell, ...]
    language: str


def read_file(path: Path) -> File:
    """Return what stands in the file of a notebook; raises `DocumentError` for one that is none, or too old."""
    path = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - as `Document` takes a path
    name = "".join("·" if first_control(sign) else sign for sign in path.name)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DocumentError(_("{path} is not a file.").format(path=name), hint=_("Give the path of a single file."))
        if status.st_size > _MOST_OCTETS:
            raise DocumentError(
                _("The notebook {name} has {size} MB, which is too much to be shown.").format(
                    name=name, size=status.st_size // 1_000_000
                ),
                hint=_("Clear the outputs that are so large, or attach the file itself."),
            )
        content = path.read_bytes()
    except (OSError, ValueError) as exc:
        if isinstance(exc, DocumentError):
            raise
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise DocumentError(
            _("The file {path} cannot be read: {reason}.").format(path=name, reason=reason),
            hint=_("Check the path, and that the file is there."),
        ) from exc
    found = _parsed(content, name)
    return File(name, path.parent, tuple(_cells(found["cells"], name)), _language(found))


def cells_of(path: Path) -> tuple[Cell, ...]:
    """Return the cells of a notebook as its file has them; raises as `read_file`."""
    return read_file(path).cells


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    """Return the JSON of a notebook of version 4."""
    if not content.strip():
        raise DocumentError(
            _("The notebook {name} is empty.").format(name=name), hint=_("Open it, run it, and save it.")
        )
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _broken(content, name, exc) from None
    if not isinstance(found, dict) or not ("cells" in found or "worksheets" in found or "nbformat" in found):
        raise DocumentError(
            _("{name} is not a notebook, although its name says so: it has no cells.").format(name=name),
            hint=_("Give the file that JupyterLab saves."),
        )
    version = found.get("nbformat", _FORMAT)
    if version != _FORMAT or "cells" not in found:
        old = "worksheets" in found or (isinstance(version, (int, float)) and version < _FORMAT)
        raise DocumentError(
            _("The notebook {name} has the format {version} of nbformat, and docmail reads format 4.").format(
                name=name, version=str(version)[:10] if version != _FORMAT else 3
            ),
            hint=_("Open it in JupyterLab, run it and save it, which makes it one of format 4.")
            if old
            else _("Install a newer docmail, or save it in format 4."),
        )
    if not isinstance(found["cells"], list):
        raise DocumentError(
            _("The notebook {name} is damaged: its cells cannot be read.").format(name=name),
            hint=_("Open it in JupyterLab, and save it again."),
        )
    return found


def _broken(content: bytes, name: str, exc: Exception) -> DocumentError:
    text = content.decode("utf-8", "replace")
    if found := _CONFLICT.search(text):
        return DocumentError(
            _("The notebook {name} has the marks of a conflict of git in line {line}.").format(
                name=name, line=text.count("\n", 0, found.end()) + 1
            ),
            hint=_("Settle the conflict (nbdime does it cell by cell), run the notebook, and save it."),
        )
    if text.startswith("version https://git-lfs"):
        return DocumentError(
            _("{name} is only a pointer of git-lfs to the notebook.").format(name=name),
            hint=_("Fetch the file itself: git lfs pull."),
        )
    where = ""
    if isinstance(exc, json.JSONDecodeError):
        # A notebook is written in one go, so a break near its end is the end of what was written.
        where = (
            _("its text breaks off in line {line}")
            if exc.pos >= len(text.rstrip()) - 1
            else _("line {line} cannot be read")
        )
        before = text[: exc.pos]
        cell = len(re.findall(r'"cell_type"\s*:', before))
        where = where.format(line=exc.lineno) + (_(", in cell {number}").format(number=cell) if cell else "")
    return DocumentError(
        _("The notebook {name} is damaged: {reason}.").format(name=name, reason=where or _("it is no JSON")),
        hint=_("Open it in JupyterLab and save it again, or take an earlier copy."),
    )


def _language(found: dict[str, Any]) -> str:
    metadata = _mapping(found.get("metadata"))
    for part, key in (("language_info", "name"), ("kernelspec", "language")):
        if isinstance(said := _mapping(metadata.get(part)).get(key), str) and said:
            return said
    return ""


def _cells(cells: list[Any], name: str) -> list[Cell]:
    found = []
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            raise DocumentError(
                _("Cell {number} of {name} is damaged: it does not say what it is.").format(number=number, name=name),
                hint=_("Open it in JupyterLab, and save it again."),
            )
        kind, source = _kind_and_source(cell)
        metadata = _mapping(cell.get("metadata"))
        tags, count, outputs = metadata.get("tags"), cell.get("execution_count"), cell.get("outputs")
        found.append(
            Cell(
                number,
                kind,
                source,
                count if isinstance(count, int) and not isinstance(count, bool) else None,
                frozenset(tag.lower().replace("_", "-") for tag in tags if isinstance(tag, str))
                if isinstance(tags, list)
                else frozenset(),
                tuple(each for each in outputs if isinstance(each, dict)) if isinstance(outputs, list) else (),
                _mapping(cell.get("attachments")),
                _mapping(metadata.get("papermill")),
            )
        )
    return found


def _kind_and_source(cell: dict[str, Any]) -> tuple[str, str]:
    """Return what a cell is, and its source; what Databricks keeps as code that begins with %md is Markdown."""
    source = joined(cell.get("source"))
    if cell["cell_type"] == "code" and (mark := _MARKDOWN_AS_CODE.match(source)):
        return "markdown", source[mark.end() :]
    return cell["cell_type"], source


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def joined(text: Any) -> str:
    """Return a text of a notebook, which is one or a list of its lines, without what Unicode has no character for."""
    if isinstance(text, list):
        text = "".join(line for line in text if isinstance(line, str))
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""


def visible(text: str) -> str:
    """Return a text without the characters that nobody sees, and that no mail can hold."""
    if not first_control(text, lines=True):
        return text
    return "".join(sign for sign in text if sign in "\n\t" or not first_control(sign))


def plain(text: str) -> str:
    """Return printed text without the colours of a terminal, and of a line that was overwritten its last state."""
    text = _TEMPORARY.sub("", text.replace("\r\n", "\n"))
    if "\r" in text or "\b" in text:
        text = "\n".join(map(_overwritten, text.split("\n")))
    return visible(text.expandtabs(8))


def _overwritten(line: str) -> str:
    shown: list[str] = []
    for part in line.split("\r"):
        shown[: len(part)] = part
    while "\b" in shown:
        place = shown.index("\b")
        del shown[max(place - 1, 0) : place + 1]
    return "".join(shown).rstrip()


# --- whether it may be shown ------------------------------------------------------------------------------------------

SKIPPED = {"docmail-skip"}
_REMOVED = SKIPPED | {"remove-cell"}
# A cell that shows the button for its own notebook: it runs when the file has been saved already.
_BUTTON = re.compile(r"\bEmailButton\s*\((?:[^()]|\([^()]*\))*?\bnotebook\s*=")


def is_left_out(cell: Cell) -> bool:
    """Say whether a cell is not shown at all."""
    return bool(cell.tags & _REMOVED) or _has_button(cell)


def shows_button(source: str) -> bool:
    """Say whether the code of a cell shows the Email button of the notebook itself."""
    return _BUTTON.search(source) is not None


def _has_button(cell: Cell) -> bool:
    return cell.kind == "code" and shows_button(cell.source)


def check_executed(file: File) -> str:
    """Raise `DocumentError`, naming the cell, for a notebook that did not run to its end; return what is doubtful.

    That is a sentence about cells that ran in another order than they stand in, or an empty text.
    """
    code = [cell for cell in file.cells if cell.kind == "code" and cell.source.strip()]
    if code and file.language.lower() not in _PYTHON:
        raise DocumentError(
            _("{name} is a notebook in {language} (cell {cell}); docmail shows those in Python.").format(
                name=file.name, language=file.language[:40], cell=code[0].called
            ),
            hint=_("Export it in JupyterLab (File ▸ Save and Export Notebook As), and attach that file."),
        )
    judged = [cell for cell in code if not (cell.tags & SKIPPED or _has_button(cell))]
    for cell in judged:
        _check_success(cell, file.name)
    shown = [cell for cell in judged if not is_left_out(cell)]
    if not shown:
        return ""
    ran = [cell for cell in judged if cell.count is not None]
    if not ran and not any(cell.outputs for cell in judged):
        raise DocumentError(
            _("The notebook {name} has never been run, or its outputs were cleared: cell {cell} has none.").format(
                name=file.name, cell=shown[0].called
            ),
            hint=_("Run all its cells (Run ▸ Run All Cells), and save it."),
        )
    # Some programs that tidy notebooks take all the numbers away; what then counts is that there are outputs.
    missed = next((cell for cell in shown if cell.count is None), None) if ran else None
    if missed is not None:
        raise DocumentError(
            _("Cell {cell} of {name} has not been run since it was written.").format(
                cell=missed.called, name=file.name
            ),
            hint=_("Run all cells and save the notebook; a cell that is not part of it gets the tag “docmail-skip”."),
        )
    counts = [(cell.count or 0, cell) for cell in ran]
    early = next(((one, two) for one, two in pairwise(counts) if two[0] < one[0]), None)
    if early is None:
        return ""
    return _("In {name}, cell {later} ran before cell {earlier}: what they show may not belong together.").format(
        name=file.name, later=early[1][1].called, earlier=early[0][1].called
    )


def _check_success(cell: Cell, name: str) -> None:
    error = next((each for each in cell.outputs if each.get("output_type") == "error"), None)
    if "raises-exception" in cell.tags or (error is None and not cell.papermill.get("exception")):
        return
    said = ""
    if error is not None:
        said = plain(": ".join(filter(None, (joined(error.get("ename")), joined(error.get("evalue"))))))
        said = " ".join(said.split())[:200].rstrip(".")
    raise DocumentError(
        _("Cell {cell} of {name} failed: {reason}.").format(cell=cell.called, name=name, reason=said or _("no reason")),
        hint=_("Correct it, run all cells, and save the notebook."),
    )
