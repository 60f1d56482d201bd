"""Writes text in a TrueType font, with the glyphs that were used in the PDF; HarfBuzz shapes what needs it.

A glyph is not always one character: the shape of an Arabic letter depends on its neighbours, Indic vowels move, and
marks stand above letters. Readers search and copy by the table of glyphs and characters (ToUnicode); where that does
not give the text back, the text itself stands beside the glyphs (ActualText).
"""

from __future__ import annotations

from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import uharfbuzz as harfbuzz

from docmail.reports.pdf_writer import text_string

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docmail.reports.font_files import FontFile
    from docmail.reports.pdf_writer import Writer

__all__ = ["EmbeddedFont"]

# What a PDF's reader needs: outlines, widths, and the programs to which the outlines' hints refer.
_TABLES = {"cvt ", "fpgm", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "prep"}


class _Placed(NamedTuple):
    """A glyph of a shaped text."""

    code: bytes
    move: int
    """How far to go to the right before it, in thousandths of the size."""
    rise: float
    """How far above the base line it stands, for a size of one."""


class EmbeddedFont:
    """A font of one PDF; `name` is what the content of pages calls it."""

    def __init__(self, name: str, file: FontFile) -> None:
        self.name = name
        self._file = file
        self._scale = 1000 / int(file.face.upem)
        self._codes: dict[str, tuple[int, str]] = {}  # width and hexadecimal glyph of the characters used
        self._shaped: dict[tuple[str, bool], tuple[float, bytes]] = {}
        self._meanings: dict[int, str] = {}  # the characters of each glyph used

    def has(self, character: str) -> bool:
        """Say whether the font has a character."""
        return self._file.has(character)

    def _width(self, glyph: int) -> int:
        return round(int(self._file.font.get_glyph_h_advance(glyph)) * self._scale)

    def _glyph(self, character: str) -> int:
        glyph: int | None = self._file.font.get_nominal_glyph(ord(character))
        return glyph or 0

    def _code(self, character: str) -> tuple[int, str]:
        glyph = self._glyph(character)
        self._meanings.setdefault(glyph, character)
        self._codes[character] = code = (self._width(glyph), f"{glyph:04X}")
        return code

    def measure(self, text: str) -> tuple[float, bytes]:
        """Return the width of a text, for a size of one, and the operator that shows it, character by character."""
        known = self._codes
        codes = [known.get(character) or self._code(character) for character in text]
        return sum(code[0] for code in codes) / 1000, f"<{''.join([code[1] for code in codes])}> Tj".encode()

    def shape(self, text: str, right_to_left: bool) -> tuple[float, bytes]:  # noqa: FBT001 - half of a key
        """Return what `measure` does, for a text of one script and direction in which neighbours change each other."""
        key = text, right_to_left
        if key not in self._shaped:
            self._shaped[key] = self._shape(*key)
        return self._shaped[key]

    def _shape(self, text: str, right_to_left: bool) -> tuple[float, bytes]:  # noqa: FBT001 - as above
        buffer = harfbuzz.Buffer()
        buffer.add_str(text)
        buffer.cluster_level = harfbuzz.BufferClusterLevel.MONOTONE_CHARACTERS
        buffer.flags = harfbuzz.BufferFlags.REMOVE_DEFAULT_IGNORABLES
        buffer.direction = "rtl" if right_to_left else "ltr"
        buffer.guess_segment_properties()
        harfbuzz.shape(self._file.font, buffer)
        starts = sorted({info.cluster for info in buffer.glyph_infos})
        ends = dict(zip(starts, [*starts[1:], len(text)], strict=True))
        spans: list[tuple[str, list[_Placed]]] = []  # glyphs, and their text unless they give it back themselves
        pen, end = 0, 0  # where the next glyph belongs (font units), and where the last one ended (thousandths)
        glyphs = zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
        for cluster, group in groupby(glyphs, key=lambda each: each[0].cluster):
            members = list(group)
            ordered = [info.codepoint for info, _position in (reversed(members) if right_to_left else members)]
            said = text[cluster : ends[cluster]]
            if right_to_left:  # readers would turn a joiner round with its letter; searching does without it
                said = said.strip("\u200c\u200d")
            placed = []
            for info, position in members:
                place = round((pen + position.x_offset) * self._scale)
                rise = round(position.y_offset * self._scale) / 1000
                place = end if abs(place - end) <= 1 else place  # what rounding made
                placed.append(_Placed(b"<%04X>" % info.codepoint, place - end, rise))
                pen += position.x_advance
                end = place + self._width(info.codepoint)
            said = "" if self._learn(ordered, said) else said
            if spans and not said and not spans[-1][0]:
                spans[-1][1].extend(placed)
            else:
                spans.append((said, placed))
        if not right_to_left:
            # Readers sort marks by where they stand: a word with one that is moved says its text as a whole.
            whole = [each for _said, placed in spans for each in placed]
            plain = not any(said for said, _placed in spans) and not any(each.rise for each in whole)
            spans = [("" if plain else text, whole)]
        width = round(pen * self._scale)
        content = [_shown(placed, said) for said, placed in spans]
        if abs(width - end) > 1:
            content.append(b"[%d] TJ" % (end - width))
        return width / 1000, b" ".join(content)

    def _learn(self, glyphs: Sequence[int], said: str) -> bool:
        """Note which characters glyphs stand for; return whether that gives back what they say together."""
        own = {each: self._glyph(each) for each in said}
        rest = "".join(each for each in said if own[each] not in glyphs)
        for glyph in glyphs:
            character = next((each for each in said if own[each] == glyph), "")
            self._meanings.setdefault(glyph, character or rest)
            rest = rest if character else ""
        meanings = [self._meanings[glyph] for glyph in glyphs]
        return all(meanings) and "".join(meanings) == said

    def write(self, writer: Writer) -> int:
        """Add the font, with the glyphs that were used, to a PDF, and return the number of its object."""
        face, scale = self._file.face, self._scale
        data = self._subset()
        tag = "".join(chr(65 + byte % 26) for byte in sha256(data).digest()[:6])
        name = f"{tag}+{self._file.name}"
        head = face.reference_table("head").data
        corners = (int.from_bytes(head[start : start + 2], "big", signed=True) for start in range(36, 44, 2))
        box = " ".join(str(round(corner * scale)) for corner in corners)
        extents = self._file.font.get_font_extents("ltr")
        ascent, descent = round(extents.ascender * scale), round(extents.descender * scale)
        file = writer.stream(data, b"/Length1 %d" % len(data))
        descriptor = writer.add(
            f"<< /Type /FontDescriptor /FontName /{name} /Flags 4 /FontBBox [{box}] /ItalicAngle 0 /StemV 80"
            f" /Ascent {ascent} /Descent {descent} /CapHeight {ascent} /FontFile2 {file} 0 R >>".encode()
        )
        widths = " ".join(f"{glyph} [{self._width(glyph)}]" for glyph in sorted(self._meanings))
        descendant = writer.add(
            f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /{name} /FontDescriptor {descriptor} 0 R"
            f" /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
            f" /CIDToGIDMap /Identity /W [{widths}] >>".encode()
        )
        meanings = writer.stream(_to_unicode(self._meanings))
        return writer.add(
            f"<< /Type /Font /Subtype /Type0 /BaseFont /{name} /Encoding /Identity-H"
            f" /DescendantFonts [{descendant} 0 R] /ToUnicode {meanings} 0 R >>".encode()
        )

    def _subset(self) -> bytes:
        """Return a font file with the glyphs that were used, under their numbers."""
        wanted = harfbuzz.SubsetInput()
        wanted.flags = harfbuzz.SubsetFlags.RETAIN_GIDS | harfbuzz.SubsetFlags.NOTDEF_OUTLINE
        wanted.sets(harfbuzz.SubsetInputSets.GLYPH_INDEX).update(self._meanings)
        superfluous = (int.from_bytes(tag.encode(), "big") for tag in self._file.face.table_tags if tag not in _TABLES)
        wanted.sets(harfbuzz.SubsetInputSets.DROP_TABLE_TAG).update(superfluous)
        return bytes(harfbuzz.subset(self._file.face, wanted).blob.data)


def _shown(glyphs: Iterable[_Placed], text: str) -> bytes:
    """Return the operators that show glyphs, with the text that they stand for unless it is empty."""
    content = []
    for rise, group in groupby(glyphs, key=lambda each: each.rise):
        array = b"".join(b"%d%b" % (-each.move, each.code) if each.move else each.code for each in group)
        content.append(b"%g Ts [%b] TJ 0 Ts" % (rise, array) if rise else b"[%b] TJ" % array)
    shown = b" ".join(content)
    return b"/Span << /ActualText %b >> BDC %b EMC" % (text_string(text), shown) if text else shown


def _to_unicode(meanings: dict[int, str]) -> bytes:
    """Return the table by which readers search and copy (ISO 32000-1 9.10.3)."""
    lines = [f"<{glyph:04X}> <{text.encode('utf-16-be').hex().upper()}>" for glyph, text in sorted(meanings.items())]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    body = "".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        "/CMapName /docmail def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
        f"{body}endcmap CMapName currentdict /CMap defineresource pop end end\n"
    ).encode()
