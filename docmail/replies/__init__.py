"""Cleans what a server replied, and says what it means: the kind of failure, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.replies.http import left_out, meaning_of_response, refusal_in_success, said
    from docmail.replies.http_status import DOUBTFUL, look_first, seconds_of
    from docmail.replies.meaning import cause, refusal, sentence
    from docmail.replies.redaction import clean, redact

__all__ = [
    "DOUBTFUL",
    "cause",
    "clean",
    "left_out",
    "look_first",
    "meaning_of_response",
    "redact",
    "refusal",
    "refusal_in_success",
    "said",
    "seconds_of",
    "sentence",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "http": ("left_out", "meaning_of_response", "refusal_in_success", "said"),
            "http_status": ("DOUBTFUL", "look_first", "seconds_of"),
            "meaning": ("cause", "refusal", "sentence"),
            "redaction": ("clean", "redact"),
        },
    )
