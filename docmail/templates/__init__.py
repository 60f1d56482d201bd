"""Fills subject and body with the fields of a row, and keeps templates per kind of document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.templates.filling import text_of
    from docmail.templates.storage import Template, check, fields_of, fill, forget, load, names, save

__all__ = ["Template", "check", "fields_of", "fill", "forget", "load", "names", "save", "text_of"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "filling": ("text_of",),
            "storage": ("Template", "check", "fields_of", "fill", "forget", "load", "names", "save"),
        },
    )
