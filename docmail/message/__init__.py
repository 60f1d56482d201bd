"""Turns what a person wants to say into a mail, and the rows of a data set into one message each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.message.arriving import MOST, Arrived, arrived, text_in
    from docmail.message.body import Body, body_of
    from docmail.message.fields import addresses_of, key_text
    from docmail.message.headers import address_header, dated, new_message_id, with_whole_names
    from docmail.message.html_text import markdown_to_html
    from docmail.message.mail import Attachment, Mail, Openable, base64_pieces, changed
    from docmail.message.merging import BadRow, Draft, Merge, completed, described, made, merge
    from docmail.message.message import Message, draft, look_of, rendered, seen
    from docmail.message.plain_text import markdown_to_text

__all__ = [
    "MOST",
    "Arrived",
    "Attachment",
    "BadRow",
    "Body",
    "Draft",
    "Mail",
    "Merge",
    "Message",
    "Openable",
    "address_header",
    "addresses_of",
    "arrived",
    "base64_pieces",
    "body_of",
    "changed",
    "completed",
    "dated",
    "described",
    "draft",
    "key_text",
    "look_of",
    "made",
    "markdown_to_html",
    "markdown_to_text",
    "merge",
    "new_message_id",
    "rendered",
    "seen",
    "text_in",
    "with_whole_names",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "arriving": ("MOST", "Arrived", "arrived", "text_in"),
            "body": ("Body", "body_of"),
            "fields": ("addresses_of", "key_text"),
            "headers": ("address_header", "dated", "new_message_id", "with_whole_names"),
            "html_text": ("markdown_to_html",),
            "mail": ("Attachment", "Mail", "Openable", "base64_pieces", "changed"),
            "merging": ("BadRow", "Draft", "Merge", "completed", "described", "made", "merge"),
            "message": ("Message", "draft", "look_of", "rendered", "seen"),
            "plain_text": ("markdown_to_text",),
        },
    )
