"""Fills subject and body with the fields of a row, and keeps templates per kind of document.

A template is Jinja2: `Dear {{ name }}`, `{{ row['E-mail'] }}` for a name that is no word, `{{ due.strftime("%d %B") }}`
for a date, `{% for line in lines %}`. It runs in a sandbox and may only look at the fields; a field that is missing is
an error, never an empty place in a mail.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from docmail import home as homes
from docmail.errors import MessageError
from docmail.files import write_whole
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Template", "check", "fields_of", "fill", "forget", "load", "names", "save"]

_FORMAT = 1  # of the file
_MANY = 12  # names in a hint
_MAY_BE_EMPTY = {"cc", "bcc", "reply_to"}


def fill(
    text: str, fields: Mapping[str, Any], *, field: str = "body", markdown: bool = False, locale: str | None = None
) -> str:
    """Return a template's text with these fields in it.

    The fields are those of a row: numbers, texts, dates, lists of rows; NaN, NaT, NA and None are missing, and 12.0
    is 12. `row` is the whole row, for names such as `{{ row['E-mail'] }}`. With `markdown`, a value is shown as it
    is, whatever signs it holds (`{{ value | safe }}` lets its Markdown work). `locale` ("de", "en-ZA") sets the signs
    in numbers. The text knows which values are in it (`Given`). Raises `MessageError`, with the name of the message's
    `field`, for a template that cannot be understood, that misses a field, asks for more than fields, or does not end.
    """
    from docmail.templates.filling import MissingError, TooMuchError
    from docmail.text import Given, TooManyError, signs_of

    signs_of(locale)  # raises in a sentence of its own
    with _explained(field):
        used = _compiled(text, markdown=markdown, locale=locale)[0]
        known = dict(fields)
        try:
            values = _values(known, used)
            filled, given, exact, differs = _filled(text, values, markdown=markdown, locale=locale)
            trimmed = {name: value.source for name, value in values.items() if isinstance(value, Given)}
            if differs or trimmed:
                # What 0.1.0 made of it is what a key compares; a filter may have hidden the values.
                _text, given, exact, _differs = _filled(text, values | trimmed, markdown=markdown, former=True)
        except MissingError as exc:
            raise _missing(exc.name, known, exc.row, field) from None
        except TooManyError as exc:
            raise TooMuchError from exc
    return Given(filled, given, exact) if markdown or filled != given else filled


def _filled(
    text: str, values: dict[Any, Any], *, markdown: bool, locale: str | None = None, former: bool = False
) -> tuple[str, str, bool, bool]:
    """Return a filled template, its text as it was given, whether that is exact, and whether 0.1.0 wrote it so."""
    from docmail.templates.filling import BUDGET, MAX_TEXT, Budget, TooMuchError
    from docmail.text import margin_of, value_given

    margin = margin_of(text) if markdown else ""
    template = _compiled(text, markdown=markdown, locale=locale, former=former)[1]
    pieces: list[str] = []
    given: list[str] = []
    length, exact, budget = 0, True, Budget()
    for piece in template.generate({**values, "row": values, BUDGET: budget}):
        pieces.append(piece)
        given.append(piece)
        if markdown and budget.shown is not None:
            # The lines of a value stand below each other where those of an indented template do.
            pieces[-1] = piece.replace("\n", f"\n{margin}")
            given[-1], surely = value_given(budget.shown)
            exact, budget.shown = exact and surely, None
        length += len(piece)
        if length > MAX_TEXT:
            raise TooMuchError
    return "".join(pieces), "".join(given), exact, budget.differs


def check(text: str, *, field: str = "body") -> None:
    """Raise `MessageError` for a template that cannot be understood, whatever the fields."""
    with _explained(field):
        _compiled(text, markdown=field == "body")


def fields_of(text: str) -> frozenset[str]:
    """Return the names of the fields that a template uses, also as `row['E-mail']`."""
    with _explained("body"):
        return _compiled(text, markdown=False)[0] - {"row"}


@lru_cache(256)
def _language(*, markdown: bool, locale: str | None = None, former: bool = False) -> Any:
    from docmail.templates.filling import Language
    from docmail.text import escape, signs_of

    return Language(escape if markdown else str, signs_of(locale), former=former)


@lru_cache(256)
def _compiled(
    text: str, *, markdown: bool, locale: str | None = None, former: bool = False
) -> tuple[frozenset[str], Any]:
    """Return the names in a template (with "row" if it is used in a way that names no field) and its program."""
    from jinja2 import meta, nodes

    language = _language(markdown=markdown, locale=locale, former=former)
    template = language.compiled(text)
    tree = language.parse(text)
    names = {name for name in meta.find_undeclared_variables(tree) if name != "row"}
    names.discard("range")
    rows = [node for node in tree.find_all(nodes.Name) if node.name == "row" and node.ctx == "load"]
    named: list[str] = []
    for node in tree.find_all((nodes.Getitem, nodes.Getattr)):
        if isinstance(node.node, nodes.Name) and node.node.name == "row":
            if isinstance(node, nodes.Getattr):
                named.append(node.attr)
            elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
                named.append(node.arg.value)
    if len(named) < len(rows):
        names.add("row")
    return frozenset({*names, *named}), template


def _values(fields: dict[Any, Any], used: frozenset[str]) -> dict[Any, Any]:
    """Return the fields that the template uses, as far as they have a value."""
    from docmail.text import plain

    chosen = fields if "row" in used else {name: fields[name] for name in used if name in fields}
    for name in used - chosen.keys():
        # The names of a merge have no blanks around them; a template may still have them as the data set does.
        if (short := str(name).strip()) in fields:
            chosen = {**chosen, name: fields[short]}
    values = {name: plain(value) for name, value in chosen.items()}
    return {name: value for name, value in values.items() if value is not None}


class _explained:  # noqa: N801 - reads as a verb, like `suppress`
    """Turns what Jinja2 and the sandbox raise into a sentence about one field of the message."""

    def __init__(self, field: str) -> None:
        self.field = field

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, exc: BaseException | None, _traceback: object) -> None:
        if not isinstance(exc, Exception) or isinstance(exc, MessageError):
            return
        from jinja2.exceptions import SecurityError, TemplateSyntaxError

        from docmail.templates.filling import TooMuchError

        said = " ".join(str(getattr(exc, "message", None) or exc or type(exc).__name__).split()).rstrip(".")
        said = "".join(character if character.isprintable() else "·" for character in said)[:200]
        if isinstance(exc, TemplateSyntaxError):
            sentence = _("The template of the {field} cannot be understood in line {line}: {reason}.")
            hint = _("Write fields as {{ name }}, and text with such brackets as {% raw %}…{% endraw %}.")
            sentence = sentence.format(field=self.field, line=exc.lineno, reason=said)
        elif isinstance(exc, SecurityError):
            sentence = _("The template of the {field} uses what no template may: {reason}.")
            hint = _("A template may show fields, format them, and use {% if %}, {% for %} and {% set %}.")
            sentence = sentence.format(field=self.field, reason=said)
        elif isinstance(exc, (TooMuchError, RecursionError, MemoryError, OverflowError)):
            sentence = _("The template of the {field} does not end, or its text grows too large for a mail.")
            hint = _("Shorten its loops, or attach the list as a document.")
            sentence = sentence.format(field=self.field)
        else:
            sentence = _("The template of the {field} cannot be filled in: {reason}.")
            hint = _("Correct the place in the template, or the value in the row.")
            sentence = sentence.format(field=self.field, reason=said)
        raise MessageError(sentence, field=self.field, hint=hint) from exc


def _missing(name: Any, fields: dict[Any, Any], row: Any, field: str) -> MessageError:
    """Return the error for a name that is missing among the fields, or in a row of a list (`row`)."""
    if isinstance(row, dict) and not row.keys() <= fields.keys():
        fields = row
    if name is None or (row is not None and not isinstance(row, dict)):
        return MessageError(
            _("A value that the template of the {field} shows is empty.").format(field=field),
            field=field,
            hint=_("Fill it in, or write {{ value | default('-') }} in the template."),
        )
    if name in fields:
        return MessageError(
            _("The {field} needs the field “{name}”, which has no value here.").format(field=field, name=name),
            field=field,
            hint=_("Fill it in, or write {place} in the template.").format(
                # An address may be left out, but a hyphen is none.
                place=f"{{{{ {_place(name)} | default({'' if field in _MAY_BE_EMPTY else '-'!r}) }}}}"
            ),
        )
    known = [str(each) for each in fields]
    near = difflib.get_close_matches(str(name).casefold(), [each.casefold() for each in known], n=1)
    meant = next((each for each in known if near and each.casefold() == near[0]), None)
    if meant is not None:
        hint = _("Write {place}.").format(place=f"{{{{ {_place(meant)} }}}}")
    elif known:
        listed = ", ".join(known[:_MANY]) + (", …" if len(known) > _MANY else "")
        hint = _("Use one of the fields that there are: {names}.").format(names=listed)
    else:
        hint = _("Give its value, or take it out of the template.")
    return MessageError(
        _("The {field} needs the field “{name}”, which does not exist.").format(field=field, name=name),
        field=field,
        hint=hint,
    )


def _place(name: Any) -> str:
    """Return how a template names a field."""
    text = str(name)
    return text if re.fullmatch(r"[^\W\d]\w*", text) and text != "row" else f"row[{text!r}]"


# --- stored templates -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Template:
    """Subject and body for one kind of document: "invoice", "statement", "payslip"."""

    name: str
    subject: str
    body: str


def save(template: Template) -> None:
    """Keep a template under its name, replacing what was there; raises `MessageError` if it cannot be understood."""
    from filelock import FileLock

    _checked(template)
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(path.with_suffix(".lock"), timeout=10):
            _write(path, {**_read(path), template.name: {"subject": template.subject, "body": template.body}})
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def load(name: str) -> Template:
    """Return the template with this name; raises `MessageError` if there is none."""
    stored = _read(_file())
    if name not in stored:
        raise MessageError(
            _("There is no template “{name}”.").format(name=name),
            field="template",
            hint=_("Save one with this name, or choose one of: {names}.").format(
                names=", ".join(sorted(stored)) or "-"
            ),
        )
    return Template(name, stored[name]["subject"], stored[name]["body"])


def names() -> tuple[str, ...]:
    """Return the names of the templates that are kept, in alphabetical order."""
    return tuple(sorted(_read(_file()), key=str.casefold))


def forget(name: str) -> None:
    """Remove a template; nothing happens if there is none of this name."""
    from filelock import FileLock

    path = _file()
    if name not in _read(path):
        return
    try:
        with FileLock(path.with_suffix(".lock"), timeout=10):
            stored = _read(path)
            stored.pop(name, None)
            _write(path, stored)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _file() -> Path:
    return homes.current().settings_file.with_name("templates.json")


def _checked(template: Template) -> None:
    if not isinstance(template.name, str) or not re.fullmatch(r"[^\W_][\w .@+-]{0,63}", template.name):
        shown = "".join(each if each.isprintable() else "·" for each in str(template.name)[:64])
        raise MessageError(
            _("“{name}” cannot be the name of a template.").format(name=shown),
            field="template",
            hint=_("Use up to 64 letters, digits and the signs . - _ @ + in it."),
        )
    for field in ("subject", "body"):
        if not isinstance(value := getattr(template, field), str):
            raise MessageError(
                _("The {field} must be text, not {type}.").format(field=field, type=type(value).__name__),
                field=field,
                hint=_("Write it in quotes."),
            )
        with _explained(field):
            _compiled(value, markdown=False)


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(path.read_text("utf-8-sig"))  # some editors begin a file with a byte order mark
        version, stored = content["version"], content["templates"]
        whole = all(isinstance(each["subject"], str) and isinstance(each["body"], str) for each in stored.values())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise _damaged(path) from exc
    if not isinstance(version, int) or version < 1 or not whole:
        raise _damaged(path)
    if version > _FORMAT:
        raise MessageError(
            _("The templates in {path} were written by a newer docmail; they are left as they are.").format(path=path),
            field="template",
            hint=_("Update docmail, or set DOCMAIL_HOME to another folder."),
        )
    return dict(sorted(stored.items()))


def _write(path: Path, stored: dict[str, dict[str, str]]) -> None:
    text = json.dumps({"version": _FORMAT, "templates": dict(sorted(stored.items()))}, indent=2, ensure_ascii=False)
    write_whole(path.resolve(), f"{text}\n".encode("utf-8", "backslashreplace"), durable=True)


def _damaged(path: Path) -> MessageError:
    return MessageError(
        _("The file of templates {path} is damaged or cannot be read; it is left as it is.").format(path=path),
        field="template",
        hint=_("Repair it, or move it away."),
    )


def _unwritable(path: Path, exc: OSError) -> MessageError:
    return MessageError(
        _("The template cannot be saved in {path}: {reason}.").format(path=path, reason=exc.strerror or exc),
        field="template",
        hint=_("Free the disk or the folder, or set DOCMAIL_HOME to a folder you can write to."),
    )
