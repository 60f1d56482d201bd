"""Cleans what a server replied, and says what it means: the kind of failure, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.replies.bounces import meaning_of_bounce, status_by_words
    from docmail.replies.http import (
        DOUBTFUL,
        left_out,
        look_first,
        meaning_of_response,
        object_of,
        refusal_in_success,
        said,
        seconds_of,
    )
    from docmail.replies.known import Meaning, first_match, sentence, table
    from docmail.replies.mailbox import mailbox_refusal
    from docmail.replies.redaction import clean, redact
    from docmail.replies.smtp import meaning_of, refusal

__all__ = [
    "DOUBTFUL",
    "Meaning",
    "clean",
    "first_match",
    "left_out",
    "look_first",
    "mailbox_refusal",
    "meaning_of",
    "meaning_of_bounce",
    "meaning_of_response",
    "object_of",
    "redact",
    "refusal",
    "refusal_in_success",
    "said",
    "seconds_of",
    "sentence",
    "status_by_words",
    "table",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "bounces": ("meaning_of_bounce", "status_by_words"),
            "http": (
                "DOUBTFUL",
                "left_out",
                "look_first",
                "meaning_of_response",
                "object_of",
                "refusal_in_success",
                "said",
                "seconds_of",
            ),
            "known": ("Meaning", "first_match", "sentence", "table"),
            "mailbox": ("mailbox_refusal",),
            "redaction": ("clean", "redact"),
            "smtp": ("meaning_of", "refusal"),
        },
    )
