"""Draws tables: a rule above, below, and under the heads, which stand on every page; on landscape pages when wide.

A table that takes much of the page's width is as wide as the page; what is left goes to its texts, so that numbers
stand at the right. A cell is measured once and drawn once. Long texts are broken into lines; columns that do not fit
are continued on further pages, after the index, which names the rows. A table whose heads are written from the right
begins there.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, NamedTuple

from docmail.language import _
from docmail.reports.lines import Run, lines_of
from docmail.reports.pages import GREY, LEADING, text_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.reports.fonts import Fonts, Typeset
    from docmail.reports.pages import Pages
    from docmail.text import Column

__all__ = ["Table"]

_SIZE = 9.0
_PAD = 5.0  # beside a text
_LINE = _SIZE * LEADING
_AIR = 5.0  # above and below the lines of a row, together
_WIDE = 210.0  # beyond, a text is broken into lines
_NARROW = 60.0  # but not into shorter ones, if it can be helped
_MOST_LINES = 8  # of a head
_MUCH, _FEW = 0.45, 2  # of the page's width, and columns: a table that has more is as wide as the page
_HEAVY, _LIGHT = 0.9, 0.45  # rules: above and below a table; under its heads and above its totals
_BETWEEN = b"0.87 G 0.3 w\n"  # what leads the eye from row to row


class _Planned(NamedTuple):
    """A column with what was found out about it: widths in points without its padding."""

    column: Column
    cells: list[Typeset]
    natural: float
    least: float


class Table:
    """A table whose columns have been measured, before it is drawn."""

    def __init__(self, fonts: Fonts, columns: Sequence[Column], portrait: float, landscape: float) -> None:
        first, *others = columns
        if not first.total and any(column.total for column in others):
            columns = [replace(first, total=_("Total")), *others]
        self._plans = [_plan(fonts, column) for column in columns]
        wanted = sum(min(plan.natural, _WIDE) + 2 * _PAD for plan in self._plans)
        least = sum(plan.least + 2 * _PAD for plan in self._plans)
        self.landscape = wanted > portrait and (least > portrait or wanted > portrait * 1.15)
        """Whether it wants landscape pages."""
        self._room = (landscape if self.landscape else portrait) + 2 * _PAD
        self._fits = least <= self._room
        self._right_to_left = fonts.typeset(" ".join(column.heads[-1] for column in columns), "bold").right_to_left

    def height(self, most: float) -> float:
        """Return how much room its beginning needs: all of a short table's, of a longer one its first rows'."""
        whole = (len(self._plans[0].column.cells) + 2 + len(self._plans[0].column.heads)) * (_LINE + _AIR)
        return whole if whole <= most else 4 * (_LINE + _AIR)

    def draw(self, pages: Pages) -> None:
        """Draw it where the pages are, on as many pages as it takes."""
        pages.orient(landscape=self.landscape)
        for number, plans in enumerate([self._plans] if self._fits else self._groups()):
            if number:
                pages.new_page()
            _draw(pages, _grid(pages, plans, _shares(plans, self._room), right_to_left=self._right_to_left))

    def _groups(self) -> list[list[_Planned]]:
        """Return the columns by the pages on which they fit, each time with the index."""
        fixed = [plan for plan in self._plans if plan.column.index]
        index = sum(plan.least + 2 * _PAD for plan in fixed)
        if index > self._room / 2:  # an index that leaves no room is a column like the others
            fixed, index = [], 0.0
        groups: list[list[_Planned]] = []
        used = self._room
        for plan in self._plans:
            if fixed and plan.column.index:
                continue
            taken = min(plan.natural, _WIDE) + 2 * _PAD
            if not groups or used + taken > self._room:
                groups.append([*fixed])
                used = index
            groups[-1].append(plan)
            used += taken
        return groups


def _plan(fonts: Fonts, column: Column) -> _Planned:
    cells = [fonts.typeset(cell if "\n" not in cell else max(cell.split("\n"), key=len)) for cell in column.cells]
    natural = max((each.width for each in cells), default=0.0) * _SIZE
    if column.total:
        natural = max(natural, fonts.typeset(column.total, "bold").width * _SIZE)
    # Numbers are never broken; a text may be, but not within its words as long as these are of common length.
    least = natural if column.right else min(natural, _NARROW)
    words = max((fonts.typeset(word, "bold").width for word in column.heads[-1].split()), default=0.0) * _SIZE
    head = fonts.typeset(column.heads[-1], "bold").width * _SIZE if "\n" not in column.heads[-1] else words
    return _Planned(
        column, cells, max(natural, min(head, max(words, 90.0))), max(min(least, _WIDE), min(words, _NARROW), 8.0)
    )


def _shares(plans: Sequence[_Planned], room: float) -> list[float]:
    """Return the width of each column: what it wants, and else a fair part between the least and that."""
    wanted = [plan.natural for plan in plans]
    whole = room
    room -= 2 * _PAD * len(plans)
    if (left := room - sum(wanted)) >= 0:
        if len(plans) <= _FEW and whole - left < _MUCH * whole:
            return wanted
        takers = [not plan.column.right for plan in plans]
        takers = takers if any(takers) else [True] * len(plans)
        weights = [width if taker else 0.0 for width, taker in zip(wanted, takers, strict=True)]
        spread = sum(weights) or 1.0
        return [width + left * weight / spread for width, weight in zip(wanted, weights, strict=True)]
    # The room is given away evenly: a column that wants less than an even part leaves the rest to the others.
    shares = [min(plan.least, plan.natural) for plan in plans]
    left = room - sum(shares)
    waiting = [index for index, share in enumerate(shares) if wanted[index] > share]
    while waiting and left > 0.01:  # noqa: PLR2004 - of a point
        part = left / len(waiting)
        for index in waiting:
            given = min(part, wanted[index] - shares[index])
            shares[index] += given
            left -= given
        waiting = [index for index in waiting if wanted[index] - shares[index] > 0.001]  # noqa: PLR2004 - as above
    return shares


class _Grid(NamedTuple):
    """Where the columns of one group stand, in the order from the left."""

    plans: Sequence[_Planned]
    lefts: list[float]
    widths: list[float]
    left: float
    width: float
    right_to_left: bool


def _grid(pages: Pages, plans: Sequence[_Planned], widths: list[float], *, right_to_left: bool) -> _Grid:
    # The first and the last text stand at the margins, like paragraphs and the rules.
    left, whole = pages.x, sum(widths) + 2 * _PAD * (len(widths) - 1)
    if right_to_left:
        plans, widths, left = plans[::-1], widths[::-1], pages.x + pages.width - whole
    lefts = list(accumulate((width + 2 * _PAD for width in widths[:-1]), initial=left))
    return _Grid(plans, lefts, widths, left, whole, right_to_left)


def _draw(pages: Pages, grid: _Grid) -> None:
    heads = _heads(pages.fonts, grid)
    body = _body(pages.fonts, grid)
    pages.need(heads.height + 2 * (_LINE + _AIR))
    place = (0, 0)
    while True:
        _draw_heads(pages, grid, heads)
        place = _draw_rows(pages, grid, heads, body, place)
        if place[0] >= len(body.heights):
            break
        pages.new_page()
    if not body.heights:
        note = pages.fonts.typeset(_("no rows"), "italic")
        pages.write(note, grid.left, _base(pages), _SIZE, GREY)
        pages.y -= _LINE + _AIR
    if any(plan.column.total for plan in grid.plans):
        _draw_totals(pages, grid)
    pages.rule(grid.left, pages.y, grid.width, _HEAVY, pages.ink)
    pages.y -= _LINE


def _base(pages: Pages) -> float:
    """Return the base line of a row that begins here."""
    return pages.y - _SIZE - 1.5


class _Body(NamedTuple):
    """The cells of a group of columns."""

    columns: list[tuple[list[list[Typeset]], float, float, bool]]
    """Of each column: the lines of its cells, its left, its width, and whether it is aligned at the right."""
    heights: list[int]
    """The lines of each row."""


def _body(fonts: Fonts, grid: _Grid) -> _Body:
    body = _Body([], [1] * len(grid.plans[0].column.cells))
    for plan, left, width in zip(grid.plans, grid.lefts, grid.widths, strict=True):
        column = plan.column
        if plan.natural > width + 0.01 or any("\n" in cell for cell in column.cells):
            lines = [_lines(fonts, cell, text, width) for cell, text in zip(column.cells, plan.cells, strict=True)]
            body.heights[:] = [max(height, len(each)) for height, each in zip(body.heights, lines, strict=True)]
        else:
            lines = [[cell] for cell in plan.cells]
        body.columns.append((lines, left, width, column.right))
    return body


def _draw_rows(pages: Pages, grid: _Grid, heads: _Heads, body: _Body, place: tuple[int, int]) -> tuple[int, int]:
    """Draw the rows from a place (row, line) to the end of the page, and return the place of the next one."""
    row, start = place
    font = pages.fonts.typeset("0").font.encode()
    texts, rules = [b"BT 0 g /%b %g Tf\n" % (font, _SIZE)], [_BETWEEN]
    while row < len(body.heights):
        height = body.heights[row] - start
        fitting = int((pages.room - _AIR) / _LINE)
        if height > fitting:
            # A row is broken only if it would not fit a page of its own.
            if fitting < 1 or body.heights[row] * _LINE + _AIR + heads.height < pages.height:
                break
            height = fitting
        base = _base(pages)
        for lines, left, width, right in body.columns:
            for index, line in enumerate(lines[row][start : start + height]):
                # Text that is written from the right ends at the right even in a column that does not.
                end = width if right or line.right_to_left else 0.0
                texts.append(_cell(line, left, end, base - index * _LINE, font))
        pages.y -= height * _LINE + _AIR
        start += height
        if start < body.heights[row]:
            break
        row, start = row + 1, 0
        if row < len(body.heights):  # below the last one there is the rule of the table
            rules.append(b"%.2f %.2f m %.2f %.2f l\n" % (grid.left, pages.y, grid.left + grid.width, pages.y))
    pages.draw(b"%bS\n%bET\n" % (b"".join(rules), b"".join(texts)))
    return row, start


def _cell(text: Typeset, left: float, end: float, base: float, font: bytes) -> bytes:
    """Return what draws a text from the left, or so that it ends this far from there; `font` is the current one."""
    x = left + end - text.width * _SIZE if end else left
    if text.font.encode() == font:
        return b"1 0 0 1 %.2f %.2f Tm %b\n" % (x, base, text.shown)
    return b"%g 0 0 %g %.2f %.2f Tm %b /%b %g Tf\n" % (_SIZE, _SIZE, x, base, text.content, font, _SIZE)


def _lines(fonts: Fonts, cell: str, text: Typeset, width: float) -> list[Typeset]:
    if text.width * _SIZE <= width + 0.01 and "\n" not in cell:
        return [text]
    return _wrapped(fonts, Run(cell), width)


def _wrapped(fonts: Fonts, run: Run, width: float) -> list[Typeset]:
    """Return the lines of a text of one style."""
    lines = lines_of(fonts, [run], width / _SIZE)
    return [fonts.typeset(line[0].text if line else "", run.style) for line in lines]


# --- heads and totals -------------------------------------------------------------------------------------------------


class _Heads(NamedTuple):
    """The heads of a group: for each level its spans (left, width, lines, right-aligned) and its number of lines."""

    levels: list[tuple[list[tuple[float, float, list[Typeset], bool]], int]]
    height: float


def _heads(fonts: Fonts, grid: _Grid) -> _Heads:
    levels: list[tuple[list[tuple[float, float, list[Typeset], bool]], int]] = []
    depth = len(grid.plans[0].column.heads)
    for level in range(depth):
        last = level == depth - 1
        # Neighbours under the same heads share one; each column has the last for itself.
        keys = [number if last else plan.column.heads[: level + 1] for number, plan in enumerate(grid.plans)]
        spans: list[tuple[float, float, list[Typeset], bool]] = []
        for _key, group in groupby(range(len(keys)), keys.__getitem__):
            members = list(group)
            head = grid.plans[members[0]].column.heads[level]
            left = grid.lefts[members[0]]
            width = grid.lefts[members[-1]] + grid.widths[members[-1]] - left
            lines = _wrapped(fonts, Run(head, "bold"), width)[:_MOST_LINES] if head else []
            spans.append((left, width, lines, last and grid.plans[members[0]].column.right))
        levels.append((spans, max((len(lines) for _left, _width, lines, _right in spans), default=0)))
    return _Heads(levels, sum(lines * _LINE + _AIR for _spans, lines in levels if lines))


def _draw_heads(pages: Pages, grid: _Grid, heads: _Heads) -> None:
    if not heads.height:
        return
    pages.rule(grid.left, pages.y, grid.width, _HEAVY, pages.ink)
    for number, (spans, count) in enumerate(heads.levels):
        if not count:
            continue
        for left, width, lines, right in spans:
            # The lines of a short head stand at the bottom, next to their column.
            base = _base(pages) - (count - len(lines)) * _LINE
            for index, line in enumerate(lines):
                x = left + width - line.width * _SIZE if right or line.right_to_left else left
                pages.draw(text_at(line, x, base - index * _LINE, _SIZE))
            if lines and number < len(heads.levels) - 1:
                rule = pages.y - count * _LINE - _AIR + 1
                pages.draw(b"%g G 0.4 w %.2f %.2f m %.2f %.2f l S\n" % (0.5, left, rule, left + width, rule))
        pages.y -= count * _LINE + _AIR
    pages.rule(grid.left, pages.y, grid.width, _LIGHT, pages.ink)


def _draw_totals(pages: Pages, grid: _Grid) -> None:
    pages.need(_LINE + _AIR)
    pages.rule(grid.left, pages.y, grid.width, _LIGHT, pages.ink)
    base = _base(pages)
    for plan, left, width in zip(grid.plans, grid.lefts, grid.widths, strict=True):
        text = pages.fonts.typeset(plan.column.total, "bold")
        right = plan.column.right or grid.right_to_left
        pages.draw(text_at(text, left + width - text.width * _SIZE if right else left, base, _SIZE))
    pages.y -= _LINE + _AIR
