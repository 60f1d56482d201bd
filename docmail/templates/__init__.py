"""Fills subject and body with the fields of a row, and keeps templates per kind of document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.templates.filling import check, fields_of, fill, text_of
    from docmail.templates.starter_set import Starter, starter_for, starters
    from docmail.templates.storage import Template, forget, load, names, save

__all__ = [
    "Starter",
    "Template",
    "check",
    "fields_of",
    "fill",
    "forget",
    "load",
    "names",
    "save",
    "starter_for",
    "starters",
    "text_of",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "filling": ("check", "fields_of", "fill", "text_of"),
            "starter_set": ("Starter", "starter_for", "starters"),
            "storage": ("Template", "forget", "load", "names", "save"),
        },
    )
