"""Breaks text into lines that fit: the one line breaker of PDFs, for paragraphs and for cells of tables."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.reports.fonts import Fonts

__all__ = ["Run", "lines_of"]

# Between the characters of Chinese, Japanese and Korean a line may end anywhere, and at a zero-width space.
_EAST = "\u200b\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_PIECES = re.compile(f"\n| +|[{_EAST}]|[^ \n{_EAST}]+")
_LEADING_VOWELS = "\u0e40-\u0e44\u0ec0-\u0ec4"  # of Thai and Lao: they belong to the consonant behind them
_VIRAMA = 9  # the combining class of the signs that tie two consonants together


class Run(NamedTuple):
    """A piece of text in one style."""

    text: str
    style: str = "regular"
    url: str = ""
    """The address that it leads to."""
    struck: bool = False
    """Whether a line goes through it."""


def lines_of(fonts: Fonts, runs: Iterable[Run], width: float) -> Iterator[list[Run]]:
    """Yield the lines of a text, at most this wide for a size of one, each as its runs; longer words are broken."""
    line: list[Run] = []
    used = 0.0
    for run in runs:
        for word in _PIECES.findall(run.text):
            for piece in _broken(fonts, word, run.style, width):
                taken = 0.0 if piece == "\n" else fonts.typeset(piece, run.style).width
                if piece == "\n" or (line and not piece.isspace() and used + taken > width + 0.001):
                    yield _joined(line)
                    line, used = [], 0.0
                if piece != "\n":
                    line.append(run._replace(text=piece))
                    used += taken
    yield _joined(line)


def _broken(fonts: Fonts, word: str, style: str, width: float) -> Iterator[str]:
    """Yield a word, in parts if it is wider than a line."""
    if len(word) == 1 or word.isspace() or fonts.typeset(word, style).width <= width:
        yield word
        return
    part, used = "", 0.0
    for unit in _units(word):
        taken = fonts.typeset(unit, style).width
        if part and used + taken > width:
            yield part
            part, used = "", 0.0
        part += unit
        used += taken
    yield part


def _units(word: str) -> Iterator[str]:
    """Yield the characters of a word, each with its marks and what else no line end may part from it."""
    unit = ""
    for character in word:
        tied = unit and (re.match(f"[{_LEADING_VOWELS}]", unit[-1]) or unicodedata.combining(unit[-1]) == _VIRAMA)
        if unit and not tied and not unicodedata.category(character).startswith("M"):
            yield unit
            unit = ""
        unit += character
    yield unit


def _joined(line: list[Run]) -> list[Run]:
    """Return a line without the blanks at its end; neighbours of one style are one run."""
    while line and line[-1].text.isspace():
        line.pop()
    merged: list[Run] = []
    for run in line:
        if merged and merged[-1][1:] == run[1:]:
            merged[-1] = run._replace(text=merged[-1].text + run.text)
        else:
            merged.append(run)
    return merged
