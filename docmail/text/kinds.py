"""Says what an object of a notebook is, by the names of its classes: no library is imported for a look at it."""

from __future__ import annotations

__all__ = ["chart_kind", "styled_kind"]


def chart_kind(source: object) -> str:
    """Return "plotly", "altair" or "PIL" for a figure, chart or picture of theirs; an empty text for anything else.

    >>> docmail.text.chart_kind("a text")
    ''
    """
    for kind in type(source).__mro__:
        library = kind.__module__.partition(".")[0]
        if (library, kind.__name__) in {("plotly", "BaseFigure"), ("altair", "TopLevelMixin"), ("PIL", "Image")}:
            return library
    return ""


def styled_kind(source: object) -> str:
    """Return "Styler" for a styled table of pandas, "GT" for one of great_tables, else an empty text.

    >>> docmail.text.styled_kind(frame), docmail.text.styled_kind(frame.style)
    ('', 'Styler')
    """
    for kind in type(source).__mro__:
        library = kind.__module__.partition(".")[0]
        if (library, kind.__name__) in {("pandas", "Styler"), ("great_tables", "GT")}:
            return kind.__name__
    return ""
