"""Sets Markdown on pages: headings, paragraphs, lists, quotations, code, and tables for `docmail.reports.tables`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from docmail.reports.lines import broken, pieces
from docmail.reports.pages import LEADING
from docmail.text import Column, marks_of, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docmail.reports.fonts import Fonts, Set
    from docmail.reports.pages import Sheets

__all__ = ["Paragraph", "Run", "draw_paragraph", "paragraphs_of"]

_SIZE = 10.5
_HEADINGS = {1: 16.0, 2: 13.5, 3: 11.5}
_INDENT = 16.0
_GAP = 4.0  # between the mark of an item and its text

_DIGIT = 0.66  # the width of a digit in the widest of the fonts, for a size of one


class Run(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: str = "regular"
    url: str = ""
    """The address that it leads to."""
    struck: bool = False
    """Whether a line goes through it."""


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
        return replace(frame, runs=runs, size=size, before=size / 2, after=4.0, keep=3 * size)
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
            inner = around._replace(url=child["attrs"]["url"])
        elif kind == "strikethrough":
            inner = around._replace(struck=True)
        if "children" in child:
            yield from _runs(child["children"], inner)
        else:
            yield inner._replace(text=child.get("raw", ""))


def _columns(parts: list[dict[str, Any]]) -> list[Column]:
    def said(cell: dict[str, Any]) -> str:
        return "".join(run.text for run in _runs(cell.get("children", []), Run("")))

    heads = parts[0]["children"]
    rows = [row["children"] for row in parts[1]["children"]] if len(parts) > 1 else []
    return [
        Column((said(head),), [said(row[number]) for row in rows], right=head["attrs"].get("align") == "right")
        for number, head in enumerate(heads)
    ]


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw_paragraph(sheets: Sheets, paragraph: Paragraph, keep: float = 0.0) -> None:
    """Draw a paragraph where the sheets are, on the page on which this much room is left after it."""
    line = paragraph.size * LEADING
    sheets.need(line + max(paragraph.keep, keep))
    if not paragraph.runs:
        sheets.y -= line / 2
        _rule(sheets, sheets.x, sheets.y, sheets.width)
        sheets.y -= line / 2
        return
    if not sheets.fresh:
        sheets.y -= paragraph.before
    left = sheets.x + paragraph.indent
    for number, words in enumerate(_lines(sheets.fonts, paragraph, (sheets.width - paragraph.indent) / paragraph.size)):
        sheets.need(line)
        if not number and paragraph.mark:
            mark = sheets.fonts.set(paragraph.mark)
            sheets.say(mark, left - _GAP - mark.width * paragraph.size, sheets.y - paragraph.size, paragraph.size)
        if paragraph.bar:
            sheets.draw(b"0.8 G 2 w %.2f %.2f m %.2f %.2f l S\n" % (left - 8, sheets.y, left - 8, sheets.y - line))
        _draw_line(sheets, words, left, paragraph)
        sheets.y -= line
    sheets.y -= paragraph.after


def _draw_line(sheets: Sheets, words: list[tuple[Set, Run]], left: float, paragraph: Paragraph) -> None:
    size, base = paragraph.size, sheets.y - paragraph.size
    if words and all(text.right_to_left for text, _run in words):
        left = sheets.x + sheets.width - sum(text.width for text, _run in words) * size
    for text, run in words:
        width = text.width * size
        sheets.say(text, left, base, size)
        if run.url:
            sheets.link((left, base - 2, left + width, base + size), run.url)
            _rule(sheets, left, base - 1.5, width)
        if run.struck:
            _rule(sheets, left, base + 0.28 * size, width)
        left += width


def _rule(sheets: Sheets, x: float, y: float, width: float) -> None:
    sheets.draw(b"0.5 G 0.5 w %.2f %.2f m %.2f %.2f l S\n" % (x, y, x + width, y))


def _lines(fonts: Fonts, paragraph: Paragraph, width: float) -> Iterator[list[tuple[Set, Run]]]:
    """Yield the lines, each as its texts; neighbours of one style are one text."""
    line: list[Run] = []
    used = 0.0
    for run in paragraph.runs:
        for word in pieces(run.text):
            for piece in broken(fonts, word, run.style, width):
                taken = 0.0 if piece == "\n" else fonts.set(piece, run.style).width
                full = line and not piece.isspace() and used + taken > width + 0.001
                if piece == "\n" or full:
                    yield _joined(fonts, line)
                    line, used = [], 0.0
                # A blank at the beginning of a line is where a line was broken; in code it is code.
                if piece != "\n" and (line or run.style == "code" or not piece.isspace()):
                    line.append(run._replace(text=piece))
                    used += taken
    yield _joined(fonts, line)


def _joined(fonts: Fonts, line: list[Run]) -> list[tuple[Set, Run]]:
    while line and line[-1].text.isspace():
        line.pop()
    merged: list[Run] = []
    for run in line:
        if merged and merged[-1][1:] == run[1:]:
            merged[-1] = run._replace(text=merged[-1].text + run.text)
        else:
            merged.append(run)
    return [(fonts.set(run.text, run.style), run) for run in merged]
