"""Holds what is attached to a mail: content, file name and media type, checked before anything leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.documents.document import Document, documents_of, one_at_a_time

__all__ = ["Document", "documents_of", "one_at_a_time"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, {"document": ("Document", "documents_of", "one_at_a_time")})
