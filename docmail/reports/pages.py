"""Fills pages from top to bottom: A4, portrait or landscape, with where several are, a running head and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from docmail.language import _

if TYPE_CHECKING:
    from docmail.reports.fonts import Fonts, Typeset
    from docmail.reports.pdf_writer import Writer

__all__ = ["BLACK", "GREY", "LEADING", "TEXT_WIDTH", "Frame", "Pages", "text_at"]

_A4 = (595.28, 841.89)
_MARGIN = 48.0
_FOOT = 40.0
TEXT_WIDTH = _A4[0] - 2 * _MARGIN
"""The width of the text area of a page in portrait, in points."""
LEADING = 1.3
"""The distance of two lines, for a size of one."""
_SMALL = 8.0  # the size of running heads and page numbers
_RUNNING_HEAD = 28.0  # above it
_MOST_HEAD = 60  # characters on each side

BLACK, GREY = b"0 g", b"0.4 g"
"""Colours of text, as the operators of a content stream that set them."""
_HEAVIER = 0.022  # of the size: the outline that makes a letter bold
_SLANT = 0.21  # of an upright letter that stands for an italic one


class Frame(Protocol):
    """What stands around the contents: a letterhead on the first page, a footer on each."""

    foot: float
    """How high the footer is, in points."""

    def begin(self, pages: Pages) -> None:
        """Draw the letterhead at the top of the first page, and leave `y` below it."""

    def end(self, pages: Pages) -> None:
        """Draw the footer of the page."""


class _Blank:
    foot = 0.0

    def begin(self, pages: Pages) -> None:
        pass

    def end(self, pages: Pages) -> None:
        pass


class Pages:
    """The pages of a PDF that is being written; all lengths are points, and `y` is where the next thing begins.

    `ink` is the colour of headings and rules, `running_head` what stands at the top of all pages but the first, at the
    left and at the right.
    """

    def __init__(
        self,
        writer: Writer,
        fonts: Fonts,
        *,
        frame: Frame | None = None,
        ink: bytes = BLACK,
        running_head: tuple[str, str] = ("", ""),
    ) -> None:
        self.writer = writer
        self.fonts = fonts
        self.ink = ink
        self._frame = frame or _Blank()
        self._running_head = running_head
        self.x = _MARGIN
        self.y = 0.0
        self._size = _A4
        self._content: list[bytes] = []
        self._begun = 0  # how much of it is the letterhead
        self._links: list[tuple[tuple[float, ...], str]] = []
        self._open = False
        self._sizes: list[tuple[float, float]] = []

    @property
    def width(self) -> float:
        """The width of the text area, in points."""
        return self._size[0] - 2 * _MARGIN

    @property
    def height(self) -> float:
        """How high a thing may be that has a page of its own."""
        return self._size[1] - 2 * _MARGIN - _FOOT - self._frame.foot

    @property
    def room(self) -> float:
        """What is left of the page."""
        return self.y - self.bottom if self._open else 0.0

    @property
    def bottom(self) -> float:
        """Where the contents of a page end; the footer stands below."""
        return _MARGIN + _FOOT / 2 + self._frame.foot

    @property
    def fresh(self) -> bool:
        """Whether nothing stands on this page yet."""
        return len(self._content) == self._begun

    def orient(self, *, landscape: bool) -> None:
        """Continue in portrait or landscape, on a new page if this one lies the other way."""
        size = (_A4[1], _A4[0]) if landscape else _A4
        if size != self._size:
            self.end_page()
            self._size = size
            self.y = size[1] - _MARGIN

    def widths(self) -> tuple[float, float]:
        """Return how wide a text may be in portrait and in landscape."""
        return _A4[0] - 2 * _MARGIN, _A4[1] - 2 * _MARGIN

    def need(self, height: float) -> None:
        """Begin a new page unless this much room is left, or the page is empty."""
        if not self._open or (self.room < height and not self.fresh):
            self.new_page()

    def leave(self, height: float) -> None:
        """Leave room between two things on a page."""
        if not self.fresh:
            self.y -= height

    def end_page(self) -> None:
        """Let what comes next begin on a new page."""
        if self._open and not self.fresh:
            self._close()

    def new_page(self) -> None:
        """Begin a new page; what is drawn next stands at its top."""
        self._close()
        self._open = True
        self.y = self._size[1] - _MARGIN
        if not self._sizes:
            self._frame.begin(self)
            self._begun = len(self._content)

    def bookmark(self, level: int, title: str) -> None:
        """Let readers jump to what is drawn next."""
        self.writer.bookmark(level, title, len(self._sizes), self.y + 4)

    def draw(self, content: bytes) -> None:
        """Add to the content of the page."""
        self._content.append(content)

    def write(self, text: Typeset, x: float, y: float, size: float, ink: bytes = BLACK) -> None:
        """Draw a text, as `text_at` does."""
        self._content.append(text_at(text, x, y, size, ink))

    def rule(self, x: float, y: float, width: float, weight: float, ink: bytes = BLACK) -> None:
        """Draw a line to the right from a point, this heavy."""
        self._content.append(b"q %b %.2f %.2f %.2f %.2f re f Q\n" % (ink, x, y - weight / 2, width, weight))

    def link(self, rectangle: tuple[float, ...], url: str) -> None:
        """Let a click in a rectangle (left, bottom, right, top) open an address."""
        self._links.append((rectangle, url))

    def _close(self) -> None:
        if self._open:
            self._frame.end(self)
            self.writer.page(*self._size, b"".join(self._content), self._links)
            self._sizes.append(self._size)
        self._content, self._links, self._open, self._begun = [], [], False, 0

    def finish(self) -> None:
        """Close the last page; number them all and write the running heads, if there are several."""
        if not self._open and not self._sizes:
            self.new_page()
        self._close()
        if len(self._sizes) == 1:
            return
        for page, (width, height) in enumerate(self._sizes):
            note = _("page {number} of {pages}").format(number=page + 1, pages=len(self._sizes))
            text = self.fonts.typeset(note)
            if page:
                self.writer.write_on(page, self._head(width, height - _RUNNING_HEAD))
            self.writer.write_on(page, text_at(text, (width - text.width * _SMALL) / 2, _FOOT - 8, _SMALL, GREY))

    def _head(self, width: float, y: float) -> bytes:
        """Return what draws the running head of a page of this width."""
        left, right = (self.fonts.typeset(_shortened(text)) for text in self._running_head)
        end = width - _MARGIN - right.width * _SMALL
        return text_at(left, _MARGIN, y, _SMALL, GREY) + text_at(right, end, y, _SMALL, GREY)


def text_at(text: Typeset, x: float, y: float, size: float, ink: bytes = BLACK) -> bytes:
    """Return what draws a text with its base line at this point."""
    slant = _SLANT * size if text.slanted else 0.0
    drawn = b"BT %b %g 0 %g %g %.2f %.2f Tm %b ET\n" % (ink, size, slant, size, x, y, text.content)
    # Outlines of the same colour make letters heavier where a font has none that are.
    return b"q %b 2 Tr %g w %bQ\n" % (_stroking(ink), _HEAVIER * size, drawn) if text.heavier else drawn


def _stroking(ink: bytes) -> bytes:
    return ink.replace(b"rg", b"RG").replace(b"g", b"G")


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_HEAD else f"{text[: _MOST_HEAD - 1].rstrip()}…"
