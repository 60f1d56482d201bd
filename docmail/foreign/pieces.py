"""What an executed notebook shows, in the order in which it stands there: four kinds of pieces.

Mails, PDFs and web pages are all made of these, so that a notebook is read once and by one list of what passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docmail.text import escape

if TYPE_CHECKING:
    from docmail.foreign.foreign_html import ForeignTable

__all__ = ["Pictured", "Printed", "Said", "Shown", "Tabled", "note"]


@dataclass(frozen=True)
class Said:
    """A text in docmail's Markdown."""

    markdown: str


@dataclass(frozen=True)
class Printed:
    """Lines as they were printed, or code: in letters of one width."""

    text: str

    @property
    def markdown(self) -> str:
        """The same as Markdown."""
        fence = "```"
        while fence in self.text:
            fence += "`"
        return f"{fence}\n{self.text}\n{fence}"


@dataclass(frozen=True)
class Tabled:
    """A table: as Markdown, and one with a look of its own as another package has drawn it."""

    markdown: str
    words: tuple[tuple[str, ...], ...]
    rows: int
    columns: int
    drawn: ForeignTable | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Pictured:
    """A picture: PNG or JPEG, drawn here; it has nothing else in it."""

    content: bytes = field(repr=False)
    kind: str
    """ "png" or "jpg"."""
    width: int
    """Pixels on a screen, at most; it has up to twice as many dots."""
    caption: str = ""


Shown = Said | Printed | Tabled | Pictured


def note(sentence: str) -> Said:
    """Return a sentence that stands in the place of what is not shown."""
    return Said(f"*{escape(sentence)}*")
