"""What the text of a mail is made of: Markdown, figures, and tables that another package has drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from docmail.text import Given, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

    from markupsafe import Markup

__all__ = ["Body", "Drawn", "Picture", "Piece", "Ready"]

_REMOTE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)


@dataclass(frozen=True)
class Piece:
    """A text or a table of a body: its Markdown, and what a person gave for it, by which bodies are compared.

    `exact` says whether 0.1.0, too, would have made exactly `given` of it.
    """

    markdown: str
    given: str
    exact: bool

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures that belong to it."""
        return ()


@dataclass(frozen=True)
class Picture(Piece):
    """A figure; its Markdown refers to it by its name (“cid:figure-1”)."""

    name: str
    content: bytes = field(repr=False)
    width: int
    """Pixels on a screen, at most; it has twice as many dots, or more."""
    kind: str = "png"

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Itself."""
        return (self,)


@dataclass(frozen=True)
class Ready:
    """HTML that is no Markdown, cleaned."""

    html: Markup


@dataclass(frozen=True)
class Drawn(Piece):
    """A table that another package has drawn: its HTML; as text, its Markdown."""

    ready: Ready = field(repr=False)
    own: tuple[Picture, ...] = ()

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures in its cells."""
        return self.own


class Body(Given):
    """What a mail says, held as its pieces; as a text it is the Markdown of them all."""

    __slots__ = ("pieces",)
    pieces: tuple[Piece, ...]

    def __new__(cls, pieces: Iterable[Piece]) -> Self:
        """Return the body of these pieces, with an empty line between any two."""
        pieces = tuple(pieces)
        markdown = "\n\n".join(piece.markdown for piece in pieces)
        given = "\n\n".join(piece.given for piece in pieces)
        made = super().__new__(cls, markdown, given, all(piece.exact for piece in pieces))
        made.pieces = pieces
        return made

    def __getnewargs__(self) -> tuple[tuple[Piece, ...]]:  # type: ignore[override]  # as of `Given`
        """Return what makes the same again in another process."""
        return (self.pieces,)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The figures among the pieces, and the pictures in its tables."""
        return tuple(picture for piece in self.pieces for picture in piece.pictures)

    @property
    def runs(self) -> tuple[str | Ready, ...]:
        """Its HTML is made of these: Markdown, as long as nothing else stands in between, and what is HTML already."""
        if not any(isinstance(piece, Drawn) for piece in self.pieces):
            return (str(self),)
        runs: list[str | Ready] = []
        for piece in self.pieces:
            if isinstance(piece, Drawn):
                runs.append(piece.ready)
            elif runs and isinstance(runs[-1], str):
                runs[-1] += f"\n\n{piece.markdown}"
            else:
                runs.append(piece.markdown)
        return tuple(runs)

    @property
    def remote_images(self) -> tuple[str, ...]:
        """The addresses of pictures on other servers, each once: mail programs show them when the reader asks."""
        if "![" not in self:
            return ()
        texts = (run for run in self.runs if isinstance(run, str) and "![" in run)
        return tuple(dict.fromkeys(url for text in texts for url in _images(tokens_of(text)) if _REMOTE.match(url)))


def _images(tokens: list[dict[str, Any]]) -> Iterator[str]:
    for token in tokens:
        if token["type"] == "image":
            yield token["attrs"]["url"]
        yield from _images(token.get("children", []))
