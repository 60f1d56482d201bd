"""Turns Markdown into paragraphs and draws them: headings, lists, quotations, code; its tables become columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

from docmail.addresses import scheme_of
from docmail.reports.lines import Run, lines_of
from docmail.reports.pages import BLACK, LEADING
from docmail.text import Column, marks_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docmail.reports.pages import Pages

__all__ = ["Paragraph", "draw_line", "draw_paragraph", "paragraphs_of"]

_LINKED = {"http", "https", "mailto", "tel"}
_SIZE = 10.5
_HEADINGS = {1: 16.0, 2: 13.5, 3: 11.5}
_INDENT = 16.0
_GAP = 4.0  # between the mark of an item and its text

_DIGIT = 0.66  # the width of a digit in the widest of the fonts, for a size of one


@dataclass(frozen=True)
class Paragraph:
    """Text that is broken into lines; `keep` is how much room must follow on its page (of a heading: some text)."""

    runs: tuple[Run, ...]
    size: float = _SIZE
    before: float = 0.0
    after: float = 6.0
    indent: float = 0.0
    mark: str = ""
    """What stands before it in a list."""
    keep: float = 0.0
    bar: bool = False
    """A line at its left, as for a quotation; without text a line across the page."""
    level: int = 0
    """Of a heading: 1 is the highest. It has the ink of the look, and a bookmark."""

    @property
    def text(self) -> str:
        """Its text without styles, in one line."""
        return " ".join("".join(run.text for run in self.runs).split())


def paragraphs_of(text: str) -> Iterator[tuple[Paragraph, Sequence[Column] | None]]:
    """Yield the paragraphs of a Markdown text; for a table its columns."""
    for block in tokens_of(text):
        yield from _blocks(block, Paragraph(()))


def _blocks(block: dict[str, Any], frame: Paragraph) -> Iterator[tuple[Paragraph, Sequence[Column] | None]]:
    kind, children = block["type"], block.get("children", [])
    if kind == "list":
        yield from _items(block, frame)
    elif kind == "block_quote":
        for child in children:
            yield from _blocks(child, replace(frame, indent=frame.indent + _INDENT, bar=True))
    elif kind == "table":
        yield frame, _columns(children)
    elif (paragraph := _paragraph(kind, block, frame)) is not None:
        yield paragraph, None


def _paragraph(kind: str, block: dict[str, Any], frame: Paragraph) -> Paragraph | None:
    """Return a block as a paragraph; None for one that shows nothing."""
    runs = tuple(_runs(block.get("children", []), Run("", "bold" if kind == "heading" else "regular")))
    if kind == "heading":
        size = _HEADINGS.get(block["attrs"]["level"], _SIZE)
        level = block["attrs"]["level"]
        return replace(frame, runs=runs, size=size, before=size * 0.8, after=4.0, keep=3 * size, level=level)
    if kind == "paragraph":
        return replace(frame, runs=runs)
    if kind == "block_text":  # of a list whose items stand close together
        return replace(frame, runs=runs, after=2.0)
    if kind in {"block_code", "block_html"}:
        raw = block.get("raw", "").rstrip("\n").replace("\t", "    ")
        style = "code" if kind == "block_code" else "regular"
        return replace(frame, runs=(Run(raw, style),), size=9.0, bar=True, indent=frame.indent + 8.0)
    return replace(frame, runs=(), bar=True) if kind == "thematic_break" else None


def _items(block: dict[str, Any], frame: Paragraph) -> Iterator[tuple[Paragraph, Sequence[Column] | None]]:
    marks = marks_of(block)
    # The full stop or bracket behind them is narrower.
    widest = (max(map(len, marks), default=0) - 0.4) * _DIGIT * frame.size
    indent = frame.indent + max(_INDENT, widest + _GAP)
    for mark, item in zip(marks or repeat("•"), block["children"], strict=False):
        inner = replace(frame, indent=indent, mark=mark)
        children = [child for child in item["children"] if child["type"] != "blank_line"]
        if not children or children[0]["type"] not in {"block_text", "paragraph"}:
            # What comes first has no line of text beside which the mark could stand.
            children.insert(0, {"type": "block_text", "children": [{"type": "text", "raw": "\xa0"}]})
        for child in children:
            yield from _blocks(child, inner)
            inner = replace(inner, mark="")


def _runs(children: list[dict[str, Any]], around: Run) -> Iterator[Run]:
    for child in children:
        kind, inner = child["type"], around
        if kind in {"linebreak", "softbreak"}:
            yield Run("\n", around.style)
            continue
        if kind in {"codespan", "strong"}:
            inner = around._replace(style="code" if kind == "codespan" else "bold")
        elif kind == "emphasis" and around.style == "regular":
            inner = around._replace(style="italic")
        elif kind == "link":
            # A reader opens whatever a link names: one that runs something is text.
            url = child["attrs"]["url"]
            inner = around._replace(url=url if scheme_of(url) in _LINKED else "")
        elif kind == "strikethrough":
            inner = around._replace(struck=True)
        if "children" in child:
            yield from _runs(child["children"], inner)
        else:
            yield inner._replace(text=child.get("raw", ""))


def _columns(parts: list[dict[str, Any]]) -> list[Column]:
    """Return the columns of a Markdown table; a last row that is all bold is its total."""

    def said(cell: dict[str, Any]) -> str:
        return "".join(run.text for run in _runs(cell.get("children", []), Run("")))

    heads = parts[0]["children"]
    rows = [row["children"] for row in parts[1]["children"]] if len(parts) > 1 else []
    total = rows.pop() if len(rows) > 1 and _is_bold(rows[-1]) else [{} for _head in heads]
    return [
        Column((said(head),), [said(row[number]) for row in rows], head["attrs"].get("align") == "right", said(last))
        for number, (head, last) in enumerate(zip(heads, total, strict=True))
    ]


def _is_bold(cells: list[dict[str, Any]]) -> bool:
    parts = [part for cell in cells for part in cell.get("children", []) if part.get("raw", "x").strip()]
    return bool(parts) and all(part["type"] == "strong" for part in parts)


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw_paragraph(pages: Pages, paragraph: Paragraph, keep: float = 0.0) -> None:
    """Draw a paragraph where the pages are, on the page on which this much room is left after it."""
    line = paragraph.size * LEADING
    pages.need(line + max(paragraph.keep, keep))
    if not paragraph.runs:
        pages.y -= line / 2
        _rule(pages, pages.x, pages.y, pages.width)
        pages.y -= line / 2
        return
    if not pages.fresh:
        pages.y -= paragraph.before
    if paragraph.level and paragraph.text:
        pages.bookmark(paragraph.level, paragraph.text)
    left = pages.x + paragraph.indent
    width = (pages.width - paragraph.indent) / paragraph.size
    for number, runs in enumerate(lines_of(pages.fonts, paragraph.runs, width)):
        pages.need(line)
        if not number and paragraph.mark:
            mark = pages.fonts.typeset(paragraph.mark)
            pages.write(mark, left - _GAP - mark.width * paragraph.size, pages.y - paragraph.size, paragraph.size)
        if paragraph.bar:
            pages.draw(b"0.8 G 2 w %.2f %.2f m %.2f %.2f l S\n" % (left - 8, pages.y, left - 8, pages.y - line))
        draw_line(pages, runs, left, paragraph.size, pages.ink if paragraph.level else BLACK)
        pages.y -= line
    pages.y -= paragraph.after


def draw_line(pages: Pages, runs: list[Run], left: float, size: float, ink: bytes = BLACK) -> None:
    """Draw the runs of a line from the left, at the current `y`; those that are written from the right end there."""
    base = pages.y - size
    line = [(pages.fonts.typeset(run.text, run.style), run) for run in runs]
    if line and all(text.right_to_left for text, _run in line):
        left = pages.x + pages.width - sum(text.width for text, _run in line) * size
        line.reverse()
    for text, run in line:
        width = text.width * size
        pages.write(text, left, base, size, ink)
        if run.url:
            pages.link((left, base - 2, left + width, base + size), run.url)
            _rule(pages, left, base - 1.5, width)
        if run.struck:
            _rule(pages, left, base + 0.28 * size, width)
        left += width


def _rule(pages: Pages, x: float, y: float, width: float) -> None:
    pages.draw(b"0.5 G 0.5 w %.2f %.2f m %.2f %.2f l S\n" % (x, y, x + width, y))
