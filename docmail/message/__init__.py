"""Turns what a person wants to say into a mail, and the rows of a data set into one message each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.message.merging import BadRow, Draft, Merge, completed, described, made, merge
    from docmail.message.message import (
        Attachment,
        Mail,
        Message,
        Openable,
        base64_pieces,
        changed,
        draft,
        key_text,
        markdown_to_html,
        new_message_id,
        with_whole_names,
    )

__all__ = [
    "Attachment",
    "BadRow",
    "Draft",
    "Mail",
    "Merge",
    "Message",
    "Openable",
    "base64_pieces",
    "changed",
    "completed",
    "described",
    "draft",
    "key_text",
    "made",
    "markdown_to_html",
    "merge",
    "new_message_id",
    "with_whole_names",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "merging": ("BadRow", "Draft", "Merge", "completed", "described", "made", "merge"),
            "message": (
                "Attachment",
                "Mail",
                "Message",
                "Openable",
                "base64_pieces",
                "changed",
                "draft",
                "key_text",
                "markdown_to_html",
                "new_message_id",
                "with_whole_names",
            ),
        },
    )
