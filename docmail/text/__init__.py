"""Turns the values of a notebook into words: numbers and dates, the columns of a DataFrame, Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.text.columns import Column, Data, Format, columns_of, data_of, is_frame
    from docmail.text.given import (
        chart_given,
        figure_given,
        picture_given,
        source_of,
        styled_given,
        table_given,
        text_given,
        value_given,
    )
    from docmail.text.kinds import chart_kind, styled_kind
    from docmail.text.markdown import elements_in, escape, margin_of, marks_of, table, tokens_of, unindented
    from docmail.text.numbers import ENGLISH, Narrow, Signs, digits, grouped, localised, minus, narrowed, signs_of
    from docmail.text.sizes import size_and_limit, size_of
    from docmail.text.values import Given, TooManyError, is_missing, is_numpy_scalar, plain, with_line_feeds

__all__ = [
    "ENGLISH",
    "Column",
    "Data",
    "Format",
    "Given",
    "Narrow",
    "Signs",
    "TooManyError",
    "chart_given",
    "chart_kind",
    "columns_of",
    "data_of",
    "digits",
    "elements_in",
    "escape",
    "figure_given",
    "grouped",
    "is_frame",
    "is_missing",
    "is_numpy_scalar",
    "localised",
    "margin_of",
    "marks_of",
    "minus",
    "narrowed",
    "picture_given",
    "plain",
    "signs_of",
    "size_and_limit",
    "size_of",
    "source_of",
    "styled_given",
    "styled_kind",
    "table",
    "table_given",
    "text_given",
    "tokens_of",
    "unindented",
    "value_given",
    "with_line_feeds",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "columns": ("Column", "Data", "Format", "columns_of", "data_of", "is_frame"),
            "given": (
                "chart_given",
                "figure_given",
                "picture_given",
                "source_of",
                "styled_given",
                "table_given",
                "text_given",
                "value_given",
            ),
            "kinds": ("chart_kind", "styled_kind"),
            "markdown": ("elements_in", "escape", "margin_of", "marks_of", "table", "tokens_of", "unindented"),
            "numbers": (
                "ENGLISH",
                "Narrow",
                "Signs",
                "digits",
                "grouped",
                "localised",
                "minus",
                "narrowed",
                "signs_of",
            ),
            "sizes": ("size_and_limit", "size_of"),
            "values": ("Given", "TooManyError", "is_missing", "is_numpy_scalar", "plain", "with_line_feeds"),
        },
    )
