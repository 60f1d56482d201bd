"""Breaks text into lines that fit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.reports.fonts import Fonts

__all__ = ["pieces", "wrapped"]

# Between the characters of Chinese, Japanese and Korean a line may end anywhere.
_EAST = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_PIECES = re.compile(f"\n| +|[{_EAST}]|[^ \n{_EAST}]+")


def pieces(text: str) -> list[str]:
    """Return the words of a text, and between them its blanks and line ends."""
    return _PIECES.findall(text)


def wrapped(fonts: Fonts, text: str, style: str, width: float) -> list[str]:
    """Return the lines of a text that are at most this wide, for a size of one; longer words are broken."""
    lines: list[str] = []
    line, used, gap = "", 0.0, ""
    for piece in (part for word in pieces(text) for part in broken(fonts, word, style, width)):
        if piece == "\n":
            lines.append(line)
            line, used, gap = "", 0.0, ""
        elif piece.isspace():
            gap += piece
        else:
            space = fonts.set(gap, style).width if gap else 0.0
            taken = fonts.set(piece, style).width
            if line and used + space + taken > width + 0.001:
                lines.append(line)
                line, used, gap, space = "", 0.0, "", 0.0
            line += gap + piece
            used += space + taken
            gap = ""
    lines.append(line)
    return lines


def broken(fonts: Fonts, word: str, style: str, width: float) -> Iterator[str]:
    """Yield a word, in parts if it is wider than a line."""
    if len(word) < 2 or word.isspace() or fonts.set(word, style).width <= width:  # noqa: PLR2004
        yield word
        return
    part, used = "", 0.0
    for character in word:
        taken = fonts.set(character, style).width
        if part and used + taken > width:
            yield part
            part, used = "", 0.0
        part += character
        used += taken
    yield part
