"""Fills pages from top to bottom: A4, upright or across, with “page 1 of 3” at the foot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.language import _

if TYPE_CHECKING:
    from docmail.reports.fonts import Fonts, Set
    from docmail.reports.pdf_writer import Writer

__all__ = ["LEADING", "Sheets"]

_A4 = (595.28, 841.89)
_MARGIN = 48.0
_FOOT = 40.0
LEADING = 1.3
"""The distance of two lines, for a size of one."""


class Sheets:
    """Pages in the making; `y` is where the next thing begins."""

    def __init__(self, writer: Writer, fonts: Fonts) -> None:
        self.writer = writer
        self.fonts = fonts
        self.x = _MARGIN
        self.y = 0.0
        self._size = _A4
        self._content: list[bytes] = []
        self._links: list[tuple[tuple[float, ...], str]] = []
        self._open = False
        self._sizes: list[tuple[float, float]] = []

    @property
    def width(self) -> float:
        """How wide a text may be."""
        return self._size[0] - 2 * _MARGIN

    @property
    def height(self) -> float:
        """How high a thing may be that has a page of its own."""
        return self._size[1] - 2 * _MARGIN - _FOOT

    @property
    def room(self) -> float:
        """What is left of the page."""
        return self.y - _MARGIN - _FOOT / 2 if self._open else 0.0

    @property
    def fresh(self) -> bool:
        """Whether nothing stands on this page yet."""
        return not self._content

    def turn(self, *, across: bool) -> None:
        """Go on upright or across; with a new page where the last one is the other way."""
        size = (_A4[1], _A4[0]) if across else _A4
        if size != self._size:
            self.end_page()
            self._size = size
            self.y = size[1] - _MARGIN

    def widths(self) -> tuple[float, float]:
        """Return how wide a text may be upright and across."""
        return _A4[0] - 2 * _MARGIN, _A4[1] - 2 * _MARGIN

    def need(self, height: float) -> None:
        """Go on on a new page unless this much room is left."""
        if not self._open or (self.room < height and not self.fresh):
            self.new_page()

    def end_page(self) -> None:
        """Let what comes next begin on a new page."""
        if self._open and not self.fresh:
            self._close()

    def new_page(self) -> None:
        """Begin a page."""
        self._close()
        self._open = True
        self.y = self._size[1] - _MARGIN

    def draw(self, content: bytes) -> None:
        """Add to the content of the page."""
        self._content.append(content)

    def say(self, text: Set, x: float, y: float, size: float, colour: float = 0.0) -> None:
        """Write a text with its base line at this point; `colour` is a grey from 0 to 1."""
        self._content.append(said(text, x, y, size, colour))

    def link(self, rectangle: tuple[float, ...], url: str) -> None:
        """Let a click in a rectangle (left, bottom, right, top) open an address."""
        self._links.append((rectangle, url))

    def _close(self) -> None:
        if self._open:
            self.writer.page(*self._size, b"".join(self._content), self._links)
            self._sizes.append(self._size)
        self._content, self._links, self._open = [], [], False

    def finish(self) -> None:
        """Close the last page, and number them all."""
        if not self._open and not self._sizes:
            self.new_page()
        self._close()
        for page, (width, _height) in enumerate(self._sizes):
            note = _("page {number} of {pages}").format(number=page + 1, pages=len(self._sizes))
            text = self.fonts.set(note)
            self.writer.write_on(page, said(text, (width - text.width * 8) / 2, _FOOT - 8, 8, 0.4))


def said(text: Set, x: float, y: float, size: float, colour: float = 0.0) -> bytes:
    """Return what draws a text with its base line at this point."""
    pieces = b"".join(b"/%b %g Tf %b Tj " % (name.encode(), size, drawn) for name, drawn in text.drawn)
    return b"BT %g g 1 0 0 1 %.2f %.2f Tm %bET\n" % (colour, x, y, pieces)
