"""Finds letters for a text: Helvetica for what Western Europe writes, else TrueType fonts of this machine.

No font comes with docmail. Helvetica is known to every reader of PDF and needs no file; it has the characters of
Windows-1252. As soon as a document has another one, the whole document is set in DejaVu Sans (which matplotlib brings
along) or a font of the system, and what that one lacks comes from whichever font has it. A character that no font has
is an error that names it, not an empty box in somebody's report.
"""

# ruff: noqa: RUF001 - the tables of widths hold the characters themselves

from __future__ import annotations

import importlib.util
import os
import re
import unicodedata
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from docmail.reports.pdf_writer import literal
from docmail.reports.truetype import FontError, TrueType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.reports.pdf_writer import Writer

__all__ = ["STYLES", "Fonts", "Set", "UnsettableError"]

STYLES = ("regular", "bold", "italic", "code")

# Thousandths of the size, from Adobe's metrics of the fonts that every reader has: the width, and who has it.
_REGULAR = {
    191: "'", 222: "ijl‚‘’", 260: "|¦", 278: " !,./:;I[\\]ft\xa0·ÌÍÎÏìíîï", 333: "()-`r„ˆ‹“”˜›¡¨\xad¯²³´¸¹", 334: "{}",
    350: "•", 355: '"', 365: "º", 370: "ª", 389: "*", 400: "°", 469: "^", 500: "Jcksvxyzšžçýÿ", 537: "¶",
    584: "+<=>~¬±×÷−", 611: "FTZŽ¿ßø", 667: "&ABEKPSVXYŠŸÀÁÂÃÄÅÈÉÊËÝÞ", 722: "CDHNRUwÇÐÑÙÚÛÜ", 737: "©®",
    778: "GOQÒÓÔÕÖØ", 833: "Mm", 834: "¼½¾", 889: "%æ", 944: "Wœ", 1000: "…‰Œ—™Æ", 1015: "@",
}  # fmt: skip
_BOLD = {
    238: "'", 278: " ,./I\\ijl‚‘’\xa0·ÌÍÎÏìíîï", 280: "|¦", 333: "!()-:;[]`ftˆ‹˜›¡¨\xad¯²³´¸¹", 350: "•", 365: "º",
    370: "ª", 389: "*r{}", 400: "°", 474: '"', 500: "z„“”ž", 584: "+<=>^~¬±×÷−",
    611: "?FLTZbdghnopquŽµ¿ßðñòóôõöøùúûüþ", 667: "EPSVXYŠŸÈÉÊËÝÞ", 722: "&ABCDHKNRUÀÁÂÃÄÅÇÐÑÙÚÛÜ", 737: "©®",
    778: "GOQwÒÓÔÕÖØ", 833: "M", 834: "¼½¾", 889: "%mæ", 944: "Wœ", 975: "@", 1000: "…‰Œ—™Æ",
}  # fmt: skip
_OTHERS = 556  # of all that are not listed, the digits among them
_MINUS = "\u2212"  # these fonts have it, but Windows-1252 does not: it takes the place of a character that is none

_FAMILIES = (
    ("dejavusans", "dejavusans-bold", "dejavusans-oblique", "dejavusansmono"),
    ("notosans-regular", "notosans-bold", "notosans-italic", "notosansmono-regular"),
    ("liberationsans-regular", "liberationsans-bold", "liberationsans-italic", "liberationmono-regular"),
    ("arial", "arial bold", "arial italic", "courier new"),
    ("arial", "arialbd", "ariali", "cour"),
)

# Whose letters change their shape or place beside each other, which takes a typesetter: named, not set wrongly.
_COMPLEX = re.compile("[\u0700-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\ua840-\ua87f\ua980-\uaaff]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U0001f3fb-\U0001f3ff]")
_MIRRORED = dict(zip("()[]{}<>«»‹›≤≥", ")(][}{><»«›‹≥≤", strict=True))


class UnsettableError(Exception):
    """A character cannot be written; `lacking` says that no font has it, otherwise its script needs a typesetter."""

    def __init__(self, character: str, *, lacking: bool) -> None:
        super().__init__(character)
        self.character = character
        self.lacking = lacking


class Set(NamedTuple):
    """A text that is ready to be drawn: its width for a size of one point, what draws it, and its direction."""

    width: float
    drawn: tuple[tuple[str, bytes], ...]
    """Pairs of a font's name and a string in its encoding."""
    right_to_left: bool


class _Helvetica:
    """One of the fonts that every reader of PDF has."""

    def __init__(self, name: str, base: str, widths: dict[int, str], others: int = _OTHERS) -> None:
        self.name = name
        self._base = base
        self._widths = [others] * 256
        for width, characters in widths.items():
            for character in _windows_1252(characters):
                self._widths[character] = width

    def has(self, character: str) -> bool:
        return _is_western(character)

    def measure(self, text: str) -> tuple[float, bytes]:
        encoded = _windows_1252(text)
        return sum(map(self._widths.__getitem__, encoded)) / 1000, literal(encoded)

    def write(self, writer: Writer) -> int:
        return writer.add(
            b"<< /Type /Font /Subtype /Type1 /BaseFont /%b /Encoding << /Type /Encoding /BaseEncoding /WinAnsiEncoding"
            b" /Differences [127 /minus] >> >>" % self._base.encode()
        )


class _Embedded:
    """A TrueType font, of which the letters that were used end in the file."""

    def __init__(self, name: str, font: TrueType) -> None:
        self.name = name
        self._font = font
        self._codes: dict[str, tuple[int, str]] = {}  # width and hexadecimal glyph of the characters used
        self._said: dict[int, str] = {}

    def has(self, character: str) -> bool:
        return ord(character) in self._font.glyphs

    def _code(self, character: str) -> tuple[int, str]:
        glyph = self._font.glyphs.get(ord(character), 0)
        # An Arabic letter in one of its shapes is that letter to whoever searches or copies.
        self._said.setdefault(glyph, unicodedata.normalize("NFKC", character))
        self._codes[character] = code = (self._font.width(glyph), f"{glyph:04X}")
        return code

    def measure(self, text: str) -> tuple[float, bytes]:
        known = self._codes
        codes = [known.get(character) or self._code(character) for character in text]
        return sum(code[0] for code in codes) / 1000, f"<{''.join([code[1] for code in codes])}>".encode()

    def write(self, writer: Writer) -> int:
        font, scale = self._font, 1000 / self._font.units
        data = font.subset(set(self._said))
        tag = "".join(chr(65 + byte % 26) for byte in sha256(data).digest()[:6])
        name = f"{tag}+{font.name}"
        box = " ".join(str(round(each * scale)) for each in font.box)
        file = writer.stream(data, f"/Length1 {len(data)}")
        descriptor = writer.add(
            f"<< /Type /FontDescriptor /FontName /{name} /Flags 4 /FontBBox [{box}] /ItalicAngle 0 /StemV 80"
            f" /Ascent {round(font.ascent * scale)} /Descent {round(font.descent * scale)}"
            f" /CapHeight {round(font.ascent * scale)} /FontFile2 {file} 0 R >>".encode()
        )
        widths = " ".join(f"{glyph} [{font.width(glyph)}]" for glyph in sorted(self._said))
        descendant = writer.add(
            f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} /FontDescriptor {descriptor} 0 R"
            f" /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
            f" /CIDToGIDMap /Identity /W [{widths}] >>".encode()
        )
        said = writer.stream(_to_unicode(self._said))
        return writer.add(
            f"<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H"
            f" /DescendantFonts [{descendant} 0 R] /ToUnicode {said} 0 R >>".encode()
        )


class Fonts:
    """The fonts of one document, chosen for all the characters in it; raises `UnsettableError`."""

    def __init__(self, characters: Iterable[str]) -> None:
        wanted = {each for each in characters if each >= " " and not _INVISIBLE.match(each)}
        for character in sorted(wanted):
            if _COMPLEX.match(character):
                raise UnsettableError(character, lacking=False)
        self._turning = {each for each in wanted if unicodedata.bidirectional(each) in {"R", "AL"}}
        wanted |= set(_clean("".join(sorted(wanted))))
        self._others: list[_Embedded] = []
        self._used: dict[str, _Helvetica | _Embedded] = {}
        self._known: dict[str, dict[str, Set]] = {style: {} for style in STYLES}
        if all(map(_is_western, wanted)):
            self._faces: dict[str, _Helvetica | _Embedded] = {
                "regular": _Helvetica("F1", "Helvetica", _REGULAR),
                "bold": _Helvetica("F2", "Helvetica-Bold", _BOLD),
                "italic": _Helvetica("F3", "Helvetica-Oblique", _REGULAR),
                "code": _Helvetica("F4", "Courier", {}, 600),
            }
            self._lacking: set[str] = set()
            return
        self._faces = _family(min(each for each in wanted if not _is_western(each)))
        regular = self._faces["regular"]
        self._lacking = {each for each in wanted if not regular.has(each)}
        self._find_others()

    def _find_others(self) -> None:
        lacking = set(self._lacking)
        # Helvetica stands in where there is no font at all, and cannot be mixed with what it lacks by another way.
        for font in _all_fonts() if lacking else ():
            if found := {each for each in lacking if ord(each) in font.glyphs}:
                self._others.append(_Embedded(f"F{len(self._others) + 5}", font))
                lacking -= found
                if not lacking:
                    break
        if lacking:
            raise UnsettableError(min(lacking), lacking=True)

    def set(self, text: str, style: str = "regular") -> Set:
        """Return a text, of one line, ready to be drawn."""
        known = self._known[style]
        if text not in known:
            known[text] = self._set(text, style)
        return known[text]

    def _set(self, text: str, style: str) -> Set:
        face = self._faces[style]
        turning = bool(self._turning) and not self._turning.isdisjoint(text)
        if not text.isascii():
            text = _clean(text)
        right_to_left = False
        if turning:
            right_to_left = next((each for each in map(unicodedata.bidirectional, text) if each in "LRAL"), "") != "L"
            text = _visual(text)
        if not self._lacking or self._lacking.isdisjoint(text):
            self._used[face.name] = face
            width, drawn = face.measure(text)
            return Set(width, ((face.name, drawn),), right_to_left)
        pieces, total = [], 0.0
        for font, run in self._runs(text, face):
            self._used[font.name] = font
            width, drawn = font.measure(run)
            total += width
            pieces.append((font.name, drawn))
        return Set(total, tuple(pieces), right_to_left)

    def _runs(self, text: str, face: _Helvetica | _Embedded) -> Iterator[tuple[_Helvetica | _Embedded, str]]:
        run, current = "", face
        for character in text:
            choices = (face, self._faces["regular"], *self._others)
            font = next((each for each in choices if each.has(character)), face)
            if run and font is not current:
                yield current, run
                run = ""
            current = font
            run += character
        yield current, run

    def write(self, writer: Writer) -> None:
        """Write the fonts that were used into a PDF."""
        for name, face in sorted(self._used.items()):
            writer.fonts[name] = face.write(writer)


def _is_western(character: str) -> bool:
    return character.isascii() or character == _MINUS or bool(character.encode("cp1252", "ignore"))


def _windows_1252(text: str) -> bytes:
    return text.replace(_MINUS, "\x7f").encode("cp1252", "replace")


def _clean(text: str) -> str:
    """Return a text as fonts have it: composed, without marks that only tell programs something, Arabic in shapes."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return _shaped(text) if re.search("[\u0620-\u06ff]", text) else text


def _visual(text: str) -> str:
    """Return a text with its characters in the order in which they stand on paper, from the left."""
    from fpdf.bidi import BidiParagraph  # takes a while, and few documents need it

    characters = BidiParagraph(text=text).get_reordered_characters()
    # What opens to the right in one direction opens to the left in the other.
    return "".join(
        _MIRRORED.get(each.character, each.character) if each.embedding_level % 2 else each.character
        for each in characters
    )


@cache
def _arabic() -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Return the shapes of each Arabic letter, and those of lam followed by an alef, from Unicode's own tables."""
    letters: dict[str, dict[str, str]] = {}
    pairs: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBFF), *range(0xFE80, 0xFEFD)):
        shape, *base = unicodedata.decomposition(chr(code)).split() or [""]
        said = "".join(chr(int(each, 16)) for each in base)
        if len(said) == 1:
            letters.setdefault(said, {})[shape.strip("<>")] = chr(code)
        elif len(said) == 2 and said[0] == "\u0644":  # noqa: PLR2004
            pairs.setdefault(said, {})[shape.strip("<>")] = chr(code)
    return letters, pairs


def _shaped(text: str) -> str:
    """Return Arabic letters in the shapes that they have beside their neighbours."""
    letters, pairs = _arabic()
    shaped: list[str] = []
    joins = False  # whether the letter before reaches out to this one
    index = 0
    while index < len(text):
        character = text[index]
        if unicodedata.category(character) == "Mn":  # a vowel sign stands on its letter and joins nothing
            shaped.append(character)
            index += 1
            continue
        pair = pairs.get(text[index : index + 2])
        forms = pair or letters.get(character, {})
        index += 2 if pair else 1
        following = next((each for each in text[index:] if unicodedata.category(each) != "Mn"), "")
        reached = joins and ("final" in forms or character == "\u0640")
        reaches = ("initial" in forms and ("final" in letters.get(following, {}) or following == "\u0640")) and not pair
        shape = {(True, True): "medial", (True, False): "final", (False, True): "initial"}.get((reached, reaches))
        shaped.append(forms.get(shape or "isolated", forms.get("isolated", character)))
        joins = reaches or character == "\u0640"
    return "".join(shaped)


# --- the fonts of this machine ----------------------------------------------------------------------------------------


def _folders() -> Iterator[Path]:
    home = Path.home()
    yield from map(Path, ("/usr/share/fonts", "/usr/local/share/fonts"))
    yield from (home / ".fonts", home / ".local/share/fonts")
    yield from (*map(Path, ("/System/Library/Fonts", "/Library/Fonts")), home / "Library/Fonts")
    for variable, below in (("WINDIR", "Fonts"), ("LOCALAPPDATA", "Microsoft/Windows/Fonts")):
        if folder := os.environ.get(variable):
            yield Path(folder) / below
    # Looked for, not imported: that would take a second.
    if (found := importlib.util.find_spec("matplotlib")) and found.origin:
        yield Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


@cache
def _files() -> dict[str, Path]:
    """Return the font files of this machine by their names in small letters."""
    found: dict[str, Path] = {}
    for folder in _folders():
        try:
            for path in sorted(folder.rglob("*.tt[fc]")):
                found.setdefault(path.stem.lower(), path)
        except OSError:
            continue  # a folder that may not be read
    return found


@cache
def _opened(path: Path) -> TrueType | None:
    try:
        return TrueType(path)
    except FontError:
        return None


def _family(character: str) -> dict[str, _Helvetica | _Embedded]:
    """Return the first family that is on this machine, in all styles as far as it has them; `character` needs it."""
    files = _files()
    for names in _FAMILIES:
        regular = _opened(files[names[0]]) if names[0] in files else None
        if regular is not None:
            fonts = [_opened(files[name]) if name in files else None for name in names]
            faces = {
                style: _Embedded(f"F{number}", font or regular)
                for number, (style, font) in enumerate(zip(STYLES, fonts, strict=True), 1)
            }
            return dict(faces)
    others = _all_fonts()
    font = next(others, None)
    if font is None:
        raise UnsettableError(character, lacking=True)
    return {style: _Embedded(f"F{number}", font) for number, style in enumerate(STYLES, 1)}


def _all_fonts() -> Iterator[TrueType]:
    """Yield the fonts of this machine, upright ones of common weight first; most are never opened."""
    special = re.compile("bold|italic|oblique|light|thin|black|mono|condensed|serif|math", re.IGNORECASE)
    for path in sorted(_files().values(), key=lambda path: (bool(special.search(path.stem)), path.stem)):
        font = _opened(path)
        if font is not None:
            yield font


def _to_unicode(said: dict[int, str]) -> bytes:
    """Return the table by which readers search and copy (ISO 32000-1 9.10.3)."""
    lines = [f"<{glyph:04X}> <{text.encode('utf-16-be').hex().upper()}>" for glyph, text in sorted(said.items())]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    body = "".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        "/CMapName /docmail def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
        f"{body}endcmap CMapName currentdict /CMap defineresource pop end end\n"
    ).encode()
