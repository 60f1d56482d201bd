"""Chooses fonts for a text: Helvetica for what Western Europe writes, else TrueType fonts of this computer.

No font comes with docmail. Helvetica is known to every reader of PDF and needs no file; it has the characters of
Windows-1252. As soon as a document has another one, the whole document is written in DejaVu Sans (which matplotlib
brings along) or a font of the system, and what that one lacks comes from another font that has it. A character that no
font has is an error that names it, not an empty box in somebody's report.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from docmail.reports.helvetica import helvetica_family, is_western

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.reports.embedded_font import EmbeddedFont
    from docmail.reports.helvetica import Helvetica
    from docmail.reports.pdf_writer import Writer

__all__ = ["STYLES", "Fonts", "MissingCharacterError", "Typeset", "composed"]

STYLES = ("regular", "bold", "italic", "code")

_JOINERS = "\u200c\u200d"  # which keep letters apart, or together, where letters join at all
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff]")
_WITHOUT_JOINERS = dict.fromkeys(map(ord, _JOINERS))
_JOINING = re.compile("[\u1100-\u11ff\u1800-\u18af\ua840-\ua87f]")  # without marks, and from the left


class MissingCharacterError(Exception):
    """No font of this computer has the character."""

    def __init__(self, character: str) -> None:
        super().__init__(character)
        self.character = character


class Typeset(NamedTuple):
    """A line of text that is ready to be drawn."""

    width: float
    """For a size of one point."""
    shown: bytes
    """The operators of a content stream that show it."""
    font: str
    """The name of its only font; empty where `shown` chooses fonts itself."""
    right_to_left: bool
    heavier: bool = False
    """Whether it is to be drawn bold, in a font that is not."""
    slanted: bool = False
    """Whether it is to be drawn italic, in a font that is not."""

    @property
    def content(self) -> bytes:
        """The operators that show it at a size of one, with its fonts."""
        return b"/%b 1 Tf %b" % (self.font.encode(), self.shown) if self.font else self.shown


class Fonts:
    """The fonts of one document, chosen for all its texts; raises `MissingCharacterError`.

    `own` is the TrueType font that a company writes in: for all but code, and also where bold or italic is asked for.
    """

    def __init__(self, texts: Iterable[str], own: bytes | None = None) -> None:
        characters = {each for each in set().union(*map(composed, texts)) if each >= " " and each not in _JOINERS}
        self._right_to_left = {each for each in characters if unicodedata.bidirectional(each) in {"R", "AL"}}
        self._shaped = self._right_to_left | {each for each in characters if _is_mark(each) or _JOINING.match(each)}
        self._known: dict[str, dict[str, Typeset]] = {style: {} for style in STYLES}
        self._used: dict[str, Helvetica | EmbeddedFont] = {}
        self._helvetica: dict[str, Helvetica] = {}
        self._embedded: dict[str, EmbeddedFont] = {}
        self._others: list[EmbeddedFont] = []
        self._lacking: dict[str, set[str]] = {}
        self._own = own is not None
        if own is None and all(map(is_western, characters)):
            self._helvetica = helvetica_family()
        else:
            self._embed(characters, own)

    def _embed(self, characters: set[str], own: bytes | None) -> None:
        """Choose a family, and fonts for what its regular one lacks."""
        from docmail.reports.embedded_font import EmbeddedFont  # HarfBuzz takes time to load
        from docmail.reports.font_files import FontFile, all_fonts, family

        files = family()
        if own is not None:
            font = FontFile(own)
            files = [font, font, font, files[-1] if files else font]
        if not files:
            raise MissingCharacterError(min(each for each in characters if not is_western(each)))
        self._embedded = {
            style: EmbeddedFont(f"F{number}", file)
            for number, (style, file) in enumerate(zip(STYLES, files, strict=True), 1)
        }
        self._lacking = {
            style: {each for each in characters if not font.has(each)} for style, font in self._embedded.items()
        }
        lacking = set(self._lacking["regular"])
        while lacking:
            # The characters of a script belong together: they come from one font, if one has them all.
            script = _script(min(lacking))
            wanted = [each for each in lacking if _script(each) == script]
            best = max(all_fonts(), key=lambda file: sum(map(file.has, wanted)))
            if not any(map(best.has, wanted)):
                raise MissingCharacterError(min(wanted))
            self._others.append(EmbeddedFont(f"F{len(self._others) + 5}", best))
            lacking = {each for each in lacking if not best.has(each)}

    def typeset(self, text: str, style: str = "regular") -> Typeset:
        """Return a text, of one line, ready to be drawn."""
        known = self._known[style]
        if text not in known:
            made = self._typeset(composed(text), style)
            if self._own and style in {"bold", "italic"}:
                made = made._replace(heavier=style == "bold", slanted=style == "italic")
            known[text] = made
        return known[text]

    def _typeset(self, text: str, style: str) -> Typeset:
        font = self._helvetica.get(style) or self._embedded[style]
        shaped = bool(self._shaped) and not self._shaped.isdisjoint(text)
        if not shaped:
            text = text if text.isascii() else text.translate(_WITHOUT_JOINERS)
            if not self._lacking or self._lacking[style].isdisjoint(text):
                self._used[font.name] = font
                return Typeset(*font.measure(text), font.name, right_to_left=False)
        total, content = 0.0, []
        turned = not self._right_to_left.isdisjoint(text)
        for right_to_left, part in _turned(text) if turned else [(False, text)]:
            runs = list(self._runs(part, style, words=shaped and not right_to_left))
            for other, run in reversed(runs) if right_to_left else runs:
                self._used[other.name] = other
                if right_to_left or not self._shaped.isdisjoint(run):
                    width, shown = other.shape(run, right_to_left)
                else:
                    width, shown = other.measure(run.translate(_WITHOUT_JOINERS))
                total += width
                content.append(b"/%b 1 Tf %b" % (other.name.encode(), shown))
        return Typeset(total, b" ".join(content), "", right_to_left=turned and _begins_right(text))

    def _runs(self, text: str, style: str, *, words: bool) -> Iterator[tuple[EmbeddedFont, str]]:
        """Yield the parts of a text that are of one font and script, and each of its words as a part."""
        fonts = (self._embedded[style], self._embedded["regular"], *self._others)
        current, script, start = fonts[0], "", 0
        for index, character in enumerate(text):
            # Marks, signs and blanks belong to the letters before them.
            if index and (character in _JOINERS or (not character.isalnum() and current.has(character))):
                continue
            font = next((each for each in fonts if each.has(character)), fonts[0])
            new = _script(character) if character.isalpha() else script
            begins = words and text[index - 1] == " "
            if index and (begins or font is not current or (script and new != script)):
                yield current, text[start:index]
                start = index
            current, script = font, new
        yield current, text[start:]

    def write(self, writer: Writer) -> None:
        """Write the fonts that were used into a PDF."""
        for name, font in sorted(self._used.items()):
            writer.fonts[name] = font.write(writer)


def composed(text: str) -> str:
    """Return a text as fonts have it: composed, and without characters that are only for programs."""
    return text if text.isascii() else _INVISIBLE.sub("", unicodedata.normalize("NFC", text))


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


def _script(character: str) -> str:
    """Return the script of a letter, mark or digit as Unicode names it, such as “DEVANAGARI”."""
    return unicodedata.name(character, "").partition(" ")[0]


def _begins_right(text: str) -> bool:
    """Say whether a text is written from the right: whether its first letter is."""
    return next((each for each in map(unicodedata.bidirectional, text) if each in {"L", "R", "AL"}), "L") != "L"


def _turned(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the parts of a text in the order in which they stand on paper, and whether each is read from the right."""
    from fpdf.bidi import BidiParagraph  # takes a while, and few documents need it

    # It leaves joiners out; variation selectors, which no text has here, stay with their letters.
    text = text.replace(_JOINERS[0], "\ufe00").replace(_JOINERS[1], "\ufe01")
    characters = BidiParagraph(text=text).get_reordered_characters()
    for level, run in groupby(characters, key=lambda each: each.embedding_level):
        part = "".join(each.character for each in run).replace("\ufe00", _JOINERS[0]).replace("\ufe01", _JOINERS[1])
        yield level % 2 == 1, part[::-1] if level % 2 else part
