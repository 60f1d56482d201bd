"""Turns the values of a notebook into words: numbers and dates, the columns of a DataFrame, Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.text.columns import Column, Format, columns_of, is_frame
    from docmail.text.given import Given, body_given, source_of, value_given
    from docmail.text.markdown import (
        elements_in,
        escape,
        margin_of,
        marks_of,
        table,
        to_html,
        to_text,
        tokens_of,
        unindented,
    )
    from docmail.text.values import (
        InexactError,
        TooManyError,
        former_number_key,
        is_missing,
        narrow_limit,
        number_key,
        plain,
    )

__all__ = [
    "Column",
    "Format",
    "Given",
    "InexactError",
    "TooManyError",
    "body_given",
    "columns_of",
    "elements_in",
    "escape",
    "former_number_key",
    "is_frame",
    "is_missing",
    "margin_of",
    "marks_of",
    "narrow_limit",
    "number_key",
    "plain",
    "source_of",
    "table",
    "to_html",
    "to_text",
    "tokens_of",
    "unindented",
    "value_given",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "columns": ("Column", "Format", "columns_of", "is_frame"),
            "given": ("Given", "body_given", "source_of", "value_given"),
            "markdown": (
                "elements_in",
                "escape",
                "margin_of",
                "marks_of",
                "table",
                "to_html",
                "to_text",
                "tokens_of",
                "unindented",
            ),
            "values": (
                "InexactError",
                "TooManyError",
                "former_number_key",
                "is_missing",
                "narrow_limit",
                "number_key",
                "plain",
            ),
        },
    )
