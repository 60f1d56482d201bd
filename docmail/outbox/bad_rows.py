"""Writes down the rows of a batch that cannot be sent, as a table: what Jupyter keeps of an error.

So it names no address.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from docmail.language import _, ngettext
from docmail.privacy import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.errors import RowProblem

_SHOWN = 30  # rows; all are in `problems`
_WIDTH = 96  # characters, which a notebook's page has room for
_CELL = 24  # characters of a key or the name of a column


def table_of(problems: Sequence[RowProblem]) -> str:
    """Return the first rows under their heads, and how many more there are; nothing if there are none."""
    if not problems:
        return ""
    heads, lines = cells_of(problems)
    widths = [max(len(line[column]) for line in (heads, *lines)) for column in range(3)]
    room = _WIDTH - sum(widths) - 6
    table = [_joined(heads, widths)]
    for *cells, message in lines:
        first, *further = wrap(message, room, break_on_hyphens=False) or [""]
        table += [_joined([*cells, first], widths), *(_joined(["", "", "", words], widths) for words in further)]
    return "\n".join([*table, *filter(None, [further_of(problems)])])


def cells_of(problems: Sequence[RowProblem]) -> tuple[list[str], list[list[str]]]:
    """Return the heads of the table and its first rows, cell by cell."""
    heads = [_("Row"), _("Key"), _("Field"), _("What is wrong")]
    return heads, [_cells(problem) for problem in problems[:_SHOWN]]


def further_of(problems: Sequence[RowProblem]) -> str:
    """Say how many rows are not shown; nothing if all are."""
    more = len(problems) - _SHOWN
    if more <= 0:
        return ""
    return ngettext("and {number} more row", "and {number} more rows", more).format(number=f"{more:,}")


def _cells(problem: RowProblem) -> list[str]:
    return [f"{problem.row:,}", _cell(problem.key), _cell(problem.field), one_line(problem.message)]


def _cell(text: str | None) -> str:
    line = one_line(text or "-")
    return line if len(line) <= _CELL else f"{line[: _CELL - 1]}…"


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    row, key, field, message = cells
    return f"{row:>{widths[0]}}  {key:<{widths[1]}}  {field:<{widths[2]}}  {message}".rstrip()
