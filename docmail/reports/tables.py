"""Sets tables: as wide as their contents, across the page when they are wide, their heads on every page.

A cell is measured once and drawn once. Long texts are broken into lines; columns that do not fit are continued on
further pages, after the index, which says whose row it is.
"""

from __future__ import annotations

from itertools import accumulate, groupby
from typing import TYPE_CHECKING, NamedTuple

from docmail.language import _
from docmail.reports.lines import wrapped
from docmail.reports.pages import LEADING, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.reports.fonts import Fonts, Set
    from docmail.reports.pages import Sheets
    from docmail.text import Column

__all__ = ["Table"]

_SIZE = 9.0
_PAD = 4.0  # beside a text
_LINE = _SIZE * LEADING
_AIR = 3.5  # above and below the lines of a row, together
_WIDE = 210.0  # beyond, a text is broken into lines
_NARROW = 60.0  # but not into shorter ones, if it can be helped
_MOST_LINES = 8  # of a head
_HEAD = 0.92  # greys
_RULE = 0.8


class _Planned(NamedTuple):
    """A column with what was found out about it: widths in points without its padding."""

    column: Column
    sets: list[Set]
    natural: float
    least: float


class Table:
    """A table whose columns have been measured, before it is drawn."""

    def __init__(self, fonts: Fonts, columns: Sequence[Column], upright: float, across: float) -> None:
        self._plans = [_plan(fonts, column) for column in columns]
        wanted = sum(min(plan.natural, _WIDE) + 2 * _PAD for plan in self._plans)
        least = sum(plan.least + 2 * _PAD for plan in self._plans)
        self.across = wanted > upright and (least > upright or wanted > upright * 1.15)
        """Whether it wants pages that lie across."""
        self._room = across if self.across else upright
        self._fits = least <= self._room

    def height(self, most: float) -> float:
        """Return how much room its beginning needs: all of a short table's, of a longer one its first rows'."""
        whole = (len(self._plans[0].column.cells) + 2 + len(self._plans[0].column.heads)) * (_LINE + _AIR)
        return whole if whole <= most else 4 * (_LINE + _AIR)

    def draw(self, sheets: Sheets) -> None:
        """Draw it where the sheets are, on as many pages as it takes."""
        sheets.turn(across=self.across)
        for number, plans in enumerate([self._plans] if self._fits else self._groups()):
            if number:
                sheets.new_page()
            _draw(sheets, plans, _shares(plans, self._room))

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
    sets = [fonts.set(cell) if "\n" not in cell else fonts.set(max(cell.split("\n"), key=len)) for cell in column.cells]
    natural = max((each.width for each in sets), default=0.0) * _SIZE
    if column.total:
        natural = max(natural, fonts.set(column.total, "bold").width * _SIZE)
    # Numbers are never broken; a text may be, but not within its words as long as these are of common length.
    least = natural if column.right else min(natural, _NARROW)
    words = max((fonts.set(word, "bold").width for word in column.heads[-1].split()), default=0.0) * _SIZE
    head = fonts.set(column.heads[-1], "bold").width * _SIZE if "\n" not in column.heads[-1] else words
    return _Planned(
        column, sets, max(natural, min(head, max(words, 90.0))), max(min(least, _WIDE), min(words, _NARROW), 8.0)
    )


def _shares(plans: Sequence[_Planned], room: float) -> list[float]:
    """Return the width of each column: what it wants, and else a fair part between the least and that."""
    wanted = [plan.natural for plan in plans]
    room -= 2 * _PAD * len(plans)
    if sum(wanted) <= room:
        return wanted
    # The room is given away evenly: whoever wants less than an even part leaves the rest to the others.
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
    """Where the columns of one group stand."""

    plans: Sequence[_Planned]
    lefts: list[float]
    widths: list[float]
    width: float


def _draw(sheets: Sheets, plans: Sequence[_Planned], widths: list[float]) -> None:
    edges = list(accumulate((width + 2 * _PAD for width in widths), initial=sheets.x))
    grid = _Grid(plans, [edge + _PAD for edge in edges[:-1]], widths, edges[-1] - sheets.x)
    heads = _heads(sheets.fonts, grid)
    body = _body(sheets.fonts, grid)
    sheets.need(heads.height + 2 * (_LINE + _AIR))
    place = (0, 0)
    while True:
        _draw_heads(sheets, grid, heads)
        place = _draw_rows(sheets, grid, heads, body, place)
        if place[0] >= len(body.heights):
            break
        sheets.new_page()
    if not body.heights:
        note = sheets.fonts.set(_("no rows"), "italic")
        sheets.say(note, sheets.x + _PAD, sheets.y - _SIZE - 1.0, _SIZE, 0.4)
        sheets.y -= _LINE + _AIR
    if any(plan.column.total for plan in plans):
        _draw_totals(sheets, grid)
    sheets.y -= _LINE


class _Body(NamedTuple):
    """The cells of a group of columns."""

    whole: list[tuple[list[Set], float, list[float]]]
    """Of each column of single lines: its cells, its left, and how far from there each cell ends (0: anywhere)."""
    broken: list[tuple[list[list[Set]], float, float, bool]]
    """Of each other column: the lines of its cells, its left, its width, and whether it is aligned at the right."""
    heights: list[int]
    """The lines of each row."""


def _body(fonts: Fonts, grid: _Grid) -> _Body:
    body = _Body([], [], [1] * len(grid.plans[0].column.cells))
    for plan, left, width in zip(grid.plans, grid.lefts, grid.widths, strict=True):
        column = plan.column
        if plan.natural > width + 0.01 or any("\n" in cell for cell in column.cells):
            lines = [_lines(fonts, cell, text, width) for cell, text in zip(column.cells, plan.sets, strict=True)]
            body.broken.append((lines, left, width, column.right))
            body.heights[:] = [max(height, len(each)) for height, each in zip(body.heights, lines, strict=True)]
        else:
            # Text that is written from the right ends at the right even in a column that does not.
            ends = width if column.right else 0.0
            turned = any(each.right_to_left for each in plan.sets)
            body.whole.append(
                (plan.sets, left, [width if turned and each.right_to_left else ends for each in plan.sets])
            )
    return body


def _draw_rows(sheets: Sheets, grid: _Grid, heads: _Heads, body: _Body, place: tuple[int, int]) -> tuple[int, int]:
    """Draw the rows from a place (row, line) to the end of the page, and return the place where it goes on."""
    row, start = place
    font = sheets.fonts.set("0").drawn[0][0].encode()
    texts, rules = [b"BT 0 g /%b %g Tf\n" % (font, _SIZE)], [b"%g G 0.4 w\n" % _RULE]
    while row < len(body.heights):
        height = body.heights[row] - start
        fitting = int((sheets.room - _AIR) / _LINE)
        if height > fitting:
            # A row is broken only if it would not fit a page of its own.
            if fitting < 1 or body.heights[row] * _LINE + _AIR + heads.height < sheets.height:
                break
            height = fitting
        base = sheets.y - _SIZE - 1.0
        if not start:
            texts += [_cell(sets[row], left, ends[row], base, font) for sets, left, ends in body.whole]
        for lines, left, width, right in body.broken:
            for index, line in enumerate(lines[row][start : start + height]):
                end = width if right or line.right_to_left else 0.0
                texts.append(_cell(line, left, end, base - index * _LINE, font))
        sheets.y -= height * _LINE + _AIR
        start += height
        if start < body.heights[row]:
            break
        rules.append(b"%.2f %.2f m %.2f %.2f l\n" % (sheets.x, sheets.y, sheets.x + grid.width, sheets.y))
        row, start = row + 1, 0
    sheets.draw(b"%bS\n%bET\n" % (b"".join(rules), b"".join(texts)))
    return row, start


def _cell(text: Set, left: float, end: float, base: float, font: bytes) -> bytes:
    """Return what draws a text from the left, or so that it ends this far from there."""
    x = left + end - text.width * _SIZE if end else left
    if len(text.drawn) == 1 and text.drawn[0][0].encode() == font:
        return b"1 0 0 1 %.2f %.2f Tm %b Tj\n" % (x, base, text.drawn[0][1])
    pieces = b"".join(b"/%b %g Tf %b Tj " % (name.encode(), _SIZE, drawn) for name, drawn in text.drawn)
    return b"1 0 0 1 %.2f %.2f Tm %b/%b %g Tf\n" % (x, base, pieces, font, _SIZE)


def _lines(fonts: Fonts, cell: str, text: Set, width: float) -> list[Set]:
    if text.width * _SIZE <= width + 0.01 and "\n" not in cell:
        return [text]
    return [fonts.set(line) for line in wrapped(fonts, cell, "regular", width / _SIZE)]


# --- heads and totals -------------------------------------------------------------------------------------------------


class _Heads(NamedTuple):
    """The heads of a group: for each level its spans (left, width, lines, right-aligned) and its number of lines."""

    levels: list[tuple[list[tuple[float, float, list[Set], bool]], int]]
    height: float


def _heads(fonts: Fonts, grid: _Grid) -> _Heads:
    levels: list[tuple[list[tuple[float, float, list[Set], bool]], int]] = []
    depth = len(grid.plans[0].column.heads)
    for level in range(depth):
        last = level == depth - 1
        # Neighbours under the same heads share one; each column has the last for itself.
        keys = [number if last else plan.column.heads[: level + 1] for number, plan in enumerate(grid.plans)]
        spans: list[tuple[float, float, list[Set], bool]] = []
        for _key, group in groupby(range(len(keys)), keys.__getitem__):
            members = list(group)
            head = grid.plans[members[0]].column.heads[level]
            left = grid.lefts[members[0]]
            width = grid.lefts[members[-1]] + grid.widths[members[-1]] - left
            found = wrapped(fonts, head, "bold", width / _SIZE)[:_MOST_LINES] if head else []
            lines = [fonts.set(line, "bold") for line in found]
            spans.append((left, width, lines, last and grid.plans[members[0]].column.right))
        levels.append((spans, max((len(lines) for _left, _width, lines, _right in spans), default=0)))
    return _Heads(levels, sum(lines * _LINE + _AIR for _spans, lines in levels if lines))


def _draw_heads(sheets: Sheets, grid: _Grid, heads: _Heads) -> None:
    if not heads.height:
        return
    bottom = sheets.y - heads.height
    sheets.draw(b"%g g %.2f %.2f %.2f %.2f re f\n" % (_HEAD, sheets.x, bottom, grid.width, heads.height))
    for number, (spans, count) in enumerate(heads.levels):
        if not count:
            continue
        for left, width, lines, right in spans:
            # The lines of a short head stand at the bottom, next to their column.
            base = sheets.y - _SIZE - 1.0 - (count - len(lines)) * _LINE
            for index, line in enumerate(lines):
                x = left + width - line.width * _SIZE if right or line.right_to_left else left
                sheets.draw(said(line, x, base - index * _LINE, _SIZE))
            if lines and number < len(heads.levels) - 1:
                rule = sheets.y - count * _LINE - _AIR + 1
                sheets.draw(b"%g G 0.4 w %.2f %.2f m %.2f %.2f l S\n" % (0.5, left, rule, left + width, rule))
        sheets.y -= count * _LINE + _AIR


def _draw_totals(sheets: Sheets, grid: _Grid) -> None:
    sheets.need(_LINE + _AIR)
    sheets.draw(b"0 G 0.8 w %.2f %.2f m %.2f %.2f l S\n" % (sheets.x, sheets.y, sheets.x + grid.width, sheets.y))
    base = sheets.y - _SIZE - 1.5
    if not grid.plans[0].column.total:
        sheets.draw(said(sheets.fonts.set(_("Total"), "bold"), grid.lefts[0], base, _SIZE))
    for plan, left, width in zip(grid.plans, grid.lefts, grid.widths, strict=True):
        if plan.column.total:
            text = sheets.fonts.set(plan.column.total, "bold")
            sheets.draw(said(text, left + width - text.width * _SIZE, base, _SIZE))
    sheets.y -= _LINE + _AIR
