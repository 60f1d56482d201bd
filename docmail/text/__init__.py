"""Turns the values of a notebook into words: numbers and dates, the columns of a DataFrame, Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.text.columns import Column, Data, Format, columns_of, data_of, is_frame
    from docmail.text.given import body_given, source_of, text_given, value_given
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
    from docmail.text.numbers import ENGLISH, Signs, digits, grouped, localised, minus, signs_of
    from docmail.text.values import (
        Given,
        InexactError,
        TooManyError,
        former_number_key,
        is_missing,
        narrow_limit,
        narrowed,
        number_key,
        plain,
    )

__all__ = [
    "ENGLISH",
    "Column",
    "Data",
    "Format",
    "Given",
    "InexactError",
    "Signs",
    "TooManyError",
    "body_given",
    "columns_of",
    "data_of",
    "digits",
    "elements_in",
    "escape",
    "former_number_key",
    "grouped",
    "is_frame",
    "is_missing",
    "localised",
    "margin_of",
    "marks_of",
    "minus",
    "narrow_limit",
    "narrowed",
    "number_key",
    "plain",
    "signs_of",
    "source_of",
    "table",
    "text_given",
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
            "columns": ("Column", "Data", "Format", "columns_of", "data_of", "is_frame"),
            "given": ("body_given", "source_of", "text_given", "value_given"),
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
            "numbers": ("ENGLISH", "Signs", "digits", "grouped", "localised", "minus", "signs_of"),
            "values": (
                "Given",
                "InexactError",
                "TooManyError",
                "former_number_key",
                "is_missing",
                "narrow_limit",
                "narrowed",
                "number_key",
                "plain",
            ),
        },
    )
