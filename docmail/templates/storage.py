"""Keeps templates under names, per kind of document: "invoice", "statement", "payslip"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from docmail import home as homes
from docmail.errors import MessageError, listed
from docmail.files import NAME, JsonFile
from docmail.language import _, current
from docmail.templates.starter_set import starters

__all__ = ["Template", "forget", "load", "names", "save"]


@dataclass(frozen=True)
class Template:
    """Subject and body for one kind of document."""

    name: str
    subject: str
    body: str


def save(template: Template) -> None:
    """Keep a template under its name, replacing what was there; raises `MessageError` if it cannot be understood."""
    _check(template)
    with _file().changing() as stored:
        stored[template.name] = {"subject": template.subject, "body": template.body}


def load(name: str) -> Template:
    """Return the template with this name, a kept one before one to begin with; raises `MessageError` without one."""
    stored = _file().read()
    if name not in stored:
        if starter := next((each for each in starters() if each.name == name), None):
            return Template(name, starter.subject, starter.body)
        raise MessageError(
            _("There is no template “{name}”.").format(name=name),
            field="template",
            hint=_("Save one with this name, or choose one of: {names}.").format(
                names=listed(sorted({*stored, *(each.name for each in starters(current()))}), ", ", 12)
            ),
        )
    return Template(name, stored[name]["subject"], stored[name]["body"])


def names() -> tuple[str, ...]:
    """Return the names of the templates that are kept, in alphabetical order."""
    return tuple(sorted(_file().read(), key=str.casefold))


def forget(name: str) -> None:
    """Remove a template; does nothing if no template has this name."""
    if name in _file().read():
        with _file().changing() as stored:
            stored.pop(name, None)


def _file() -> JsonFile:
    path = homes.current().settings_file.with_name("templates.json")
    return JsonFile(path, "templates", partial(MessageError, field="template"), _is_template)


def _is_template(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(field), str) for field in ("subject", "body"))


def _check(template: Template) -> None:
    from docmail.templates.filling import check  # loads Jinja2

    if not isinstance(template.name, str) or not NAME.fullmatch(template.name):
        shown = "".join(each if each.isprintable() else "·" for each in str(template.name)[:64])
        raise MessageError(
            _("“{name}” cannot be the name of a template.").format(name=shown),
            field="template",
            hint=_("A name has up to 64 characters: letters, digits, and . - _ @ +"),
        )
    for field in ("subject", "body"):
        if not isinstance(value := getattr(template, field), str):
            raise MessageError(
                _("The {field} must be text, not {type}.").format(field=field, type=type(value).__name__),
                field=field,
                hint=_("Write it in quotes."),
            )
        check(value, field=field)
