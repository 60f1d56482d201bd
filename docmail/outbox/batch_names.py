"""Reads the name of a batch in the same way wherever one is given."""

from __future__ import annotations

from docmail.errors import MessageError
from docmail.language import _

__all__ = ["batch_name", "batch_or_all"]


def batch_name(value: object) -> str:
    """Return the name of a batch without the blanks around it; raises `MessageError` if it is none."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if value is None or isinstance(value, str):
        sentence = _("A batch needs a name.")
    else:
        sentence = _("The name of a batch must be text, not {type}.").format(type=type(value).__name__)
    raise MessageError(sentence, field="batch", hint=_('Give it one, such as batch="2026-11 invoices".'))


def batch_or_all(value: object) -> str | None:
    """Return the name of a batch; None where all of them are meant."""
    return None if value is None else batch_name(value)
