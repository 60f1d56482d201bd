"""Turns HTML from outside into pieces: its words as Markdown, its tables as tables, the pictures that stand in it."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from docmail.foreign.foreign_html import html_table, plain_table
from docmail.foreign.html_reader import TooLongError, is_data, parts_of
from docmail.foreign.pictures import UnshownError, data_drawn
from docmail.foreign.pieces import Said, Tabled, note
from docmail.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.foreign.pieces import Pictured, Shown

__all__ = ["html_pieces"]

_MOST_ROWS, _HEAD_ROWS, _MOST_COLUMNS = 100, 60, 40
_SHAPE = re.compile(r"shape: \\?\(\d.*\\?\)")  # which polars says above each table


def html_pieces(
    html: str, takes: Callable[[str], bool] = is_data, draw: Callable[[str, str], Pictured] = data_drawn
) -> Iterator[Shown]:
    """Yield what HTML shows; `takes` says of the address of a picture whether `draw` makes a picture of it.

    Without them these are the pictures that stand in their addresses.
    """
    try:
        parts = parts_of(html, takes)
    except TooLongError:
        yield note(_("An output of {size} characters stood here, which is too large.").format(size=f"{len(html):,}"))
        return
    is_cut = "&hellip;" in html or "…" in html or "..." in html
    for part in parts:
        if part.kind == "table":
            yield from _table(html, part.content)
        elif part.kind == "picture":
            try:
                yield draw(part.content, part.caption)
            except UnshownError as exc:
                yield note(str(exc))
        elif is_cut or not _SHAPE.fullmatch(part.content.strip()):
            yield Said(part.content)


def _table(html: str, table: str) -> Iterator[Shown]:
    found = plain_table(table)
    left_out = 0
    if found is not None:
        if found.columns > _MOST_COLUMNS:
            yield _too_large(found.rows, found.columns)
            return
        if found.rows > _MOST_ROWS:
            left_out = found.rows - _HEAD_ROWS
            found = plain_table(table, _HEAD_ROWS)
        if found is not None and found.columns:
            yield Tabled(found.markdown, found.words, found.rows, found.columns)
    else:
        sheets = "".join(re.findall(r"(?is)<style[^>]*>.*?</style>", html[: html.find("<table")]))
        # Named by what it is, so that the same table is always the same.
        styled = html_table(sheets + table, f"table-{sha256(table.encode()).hexdigest()[:12]}")
        if styled.rows > _MOST_ROWS or styled.columns > _MOST_COLUMNS:
            yield _too_large(styled.rows, styled.columns)
        elif styled.columns:
            yield Tabled(styled.markdown, styled.words, styled.rows, styled.columns, styled)
    if left_out:
        yield note(
            ngettext(
                "{count} more row of this table is left out.", "{count} more rows of this table are left out.", left_out
            ).format(count=f"{left_out:,}")
        )


def _too_large(rows: int, columns: int) -> Said:
    return note(
        _("A table of {rows} rows and {columns} columns stood here, which is too large to be read in a mail.").format(
            rows=f"{rows:,}", columns=f"{columns:,}"
        )
    )
