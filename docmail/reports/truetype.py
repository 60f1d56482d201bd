"""Reads what a PDF needs of a TrueType font: which characters it has, how wide they are, and their outlines alone.

A whole library for fonts takes a tenth of a second for each; a report of one page should not wait for that.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FontError", "TrueType"]

_NO_EMBEDDING = 0x0002  # OS/2 fsType: may not be embedded without the owner's permission
_NEEDED = ("cvt ", "fpgm", "prep")  # the outlines' hints refer to these programs
# Of a glyph made of others (glyf): which of its arguments follow.
_WORDS, _SCALE, _MORE, _TWO_SCALES, _MATRIX = 0x0001, 0x0008, 0x0020, 0x0040, 0x0080


class FontError(Exception):
    """A file holds no font that can be used here."""


class TrueType:
    """One font of a file (`number` in a collection)."""

    def __init__(self, path: Path, number: int = 0) -> None:
        self.path = path
        try:
            self._data = path.read_bytes()
            start = 0
            if self._data[:4] == b"ttcf":
                start = self._numbers(">I", 12 + 4 * number)[0]
            if self._data[start : start + 4] not in {b"\0\1\0\0", b"true"}:
                raise FontError(path)
            count = self._numbers(">H", start + 4)[0]
            self._tables = {}
            for entry in range(start + 12, start + 12 + 16 * count, 16):
                _sum, offset, length = self._numbers(">3I", entry + 4)
                self._tables[self._data[entry : entry + 4].decode("latin-1")] = (offset, length)
            if self._tables.get("OS/2") and self._numbers(">H", self._tables["OS/2"][0] + 8)[0] & _NO_EMBEDDING:
                raise FontError(path)
            self.units = self._numbers(">H", self._tables["head"][0] + 18)[0]
            self.box = self._numbers(">4h", self._tables["head"][0] + 36)
            self.ascent, self.descent = self._numbers(">2h", self._tables["hhea"][0] + 4)
            self._count = self._numbers(">H", self._tables["maxp"][0] + 4)[0]
            self._tables["glyf"], self._tables["loca"]  # fonts of other kinds have none
            self.glyphs: dict[int, int] = self._characters()
        except (OSError, struct.error, KeyError, IndexError, ValueError) as exc:
            raise FontError(path) from exc

    def _numbers(self, form: str, offset: int) -> tuple[int, ...]:
        return struct.unpack_from(form, self._data, offset)

    def _table(self, name: str) -> bytes:
        offset, length = self._tables.get(name, (0, 0))
        return self._data[offset : offset + length]

    @cached_property
    def name(self) -> str:
        """Its PostScript name, without what a PDF's name may not hold."""
        return "".join(each for each in self.path.stem if each.isascii() and each.isalnum()) or "Font"

    def _characters(self) -> dict[int, int]:
        """Return the glyph of each character (cmap formats 4 and 12, which fonts of today have)."""
        table = self._table("cmap")
        found: dict[int, int] = {}
        offsets = set()
        for entry in range(struct.unpack_from(">H", table, 2)[0]):
            platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + 8 * entry)
            if platform == 0 or (platform == 3 and encoding in {1, 10}):  # noqa: PLR2004 - Unicode, Windows
                offsets.add(offset)
        for offset in sorted(offsets):
            kind = struct.unpack_from(">H", table, offset)[0]
            if kind == 4:  # noqa: PLR2004
                found |= _segments(table, offset)
            elif kind == 12:  # noqa: PLR2004
                for group in range(struct.unpack_from(">I", table, offset + 12)[0]):
                    first, last, glyph = struct.unpack_from(">3I", table, offset + 16 + 12 * group)
                    found.update(zip(range(first, last + 1), range(glyph, glyph + last - first + 1), strict=True))
        return found

    @cached_property
    def _widths(self) -> tuple[int, ...]:
        long = self._numbers(">H", self._tables["hhea"][0] + 34)[0]
        return self._numbers(f">{2 * long}H", self._tables["hmtx"][0])[::2]

    def width(self, glyph: int) -> int:
        """Return the width of a glyph in thousandths of the font's size."""
        widths = self._widths
        return round((widths[glyph] if glyph < len(widths) else widths[-1]) * 1000 / self.units)

    @cached_property
    def _places(self) -> tuple[int, ...]:
        offset, _length = self._tables["loca"]
        if self._numbers(">h", self._tables["head"][0] + 50)[0]:
            return self._numbers(f">{self._count + 1}I", offset)
        return tuple(2 * each for each in self._numbers(f">{self._count + 1}H", offset))

    def _outline(self, glyph: int) -> bytes:
        start, _length = self._tables["glyf"]
        return self._data[start + self._places[glyph] : start + self._places[glyph + 1]]

    def subset(self, glyphs: set[int]) -> bytes:
        """Return a font file with these glyphs, under their numbers."""
        wanted = {0: self._outline(0)}
        waiting = [glyph for glyph in glyphs if glyph < self._count]
        while waiting:
            glyph = waiting.pop()
            if glyph not in wanted:
                wanted[glyph] = self._outline(glyph)
                waiting += _parts(wanted[glyph])
        count = max(wanted) + 1
        places, outlines, length = [0], [], 0
        for glyph in range(count):
            outline = wanted.get(glyph, b"")
            outline += b"\0" * (-len(outline) % 4)
            outlines.append(outline)
            length += len(outline)
            places.append(length)
        widths, bearings = self._metrics(count)
        head, hhea, maxp = (bytearray(self._table(name)) for name in ("head", "hhea", "maxp"))
        struct.pack_into(">h", head, 50, 1)  # loca has long offsets
        struct.pack_into(">H", hhea, 34, count)
        struct.pack_into(">H", maxp, 4, count)
        tables = {
            "head": bytes(head),
            "hhea": bytes(hhea),
            "maxp": bytes(maxp),
            "hmtx": b"".join(struct.pack(">Hh", *each) for each in zip(widths, bearings, strict=True)),
            "loca": struct.pack(f">{count + 1}I", *places),
            "glyf": b"".join(outlines),
            **{name: self._table(name) for name in _NEEDED if name in self._tables},
        }
        return _font_file(tables)

    def _metrics(self, count: int) -> tuple[list[int], list[int]]:
        widths = self._widths
        offset, _length = self._tables["hmtx"]
        long = len(widths)
        bearings = list(self._numbers(f">{2 * long}h", offset)[1::2])
        bearings += self._numbers(f">{max(0, count - long)}h", offset + 4 * long)
        return [widths[min(glyph, long - 1)] for glyph in range(count)], bearings[:count]


def _segments(table: bytes, offset: int) -> dict[int, int]:
    """Return what a cmap subtable of format 4 holds."""
    count = struct.unpack_from(">H", table, offset + 6)[0] // 2
    form = f">{count}H"
    lasts = struct.unpack_from(form, table, offset + 14)
    firsts = struct.unpack_from(form, table, offset + 16 + 2 * count)
    deltas = struct.unpack_from(form, table, offset + 16 + 4 * count)
    ranges = struct.unpack_from(form, table, offset + 16 + 6 * count)
    found: dict[int, int] = {}
    for index, (first, last, delta, away) in enumerate(zip(firsts, lasts, deltas, ranges, strict=True)):
        if first == 0xFFFF:  # noqa: PLR2004 - the end of the list
            continue
        if not away:
            for character in range(first, last + 1):
                found[character] = (character + delta) & 0xFFFF
            continue
        start = offset + 16 + 6 * count + 2 * index + away
        for character in range(first, last + 1):
            glyph = struct.unpack_from(">H", table, start + 2 * (character - first))[0]
            if glyph:
                found[character] = (glyph + delta) & 0xFFFF
    return {character: glyph for character, glyph in found.items() if glyph}


def _parts(outline: bytes) -> list[int]:
    """Return the glyphs that a glyph is made of."""
    if len(outline) < 12 or struct.unpack_from(">h", outline)[0] >= 0:  # noqa: PLR2004 - has contours of its own
        return []
    found, offset, flags = [], 10, _MORE
    while flags & _MORE:
        flags, glyph = struct.unpack_from(">HH", outline, offset)
        found.append(glyph)
        offset += 8 if flags & _WORDS else 6
        offset += 2 if flags & _SCALE else 4 if flags & _TWO_SCALES else 8 if flags & _MATRIX else 0
    return found


def _font_file(tables: dict[str, bytes]) -> bytes:
    count = len(tables)
    power = 1 << (count.bit_length() - 1)
    header = struct.pack(">IHHHH", 0x00010000, count, power * 16, power.bit_length() - 1, (count - power) * 16)
    offset = 12 + 16 * count
    entries, contents = b"", b""
    for name, content in sorted(tables.items()):
        padded = content + b"\0" * (-len(content) % 4)
        checksum = sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF
        entries += struct.pack(">4sIII", name.encode("latin-1"), checksum, offset + len(contents), len(content))
        contents += padded
    return header + entries + contents
