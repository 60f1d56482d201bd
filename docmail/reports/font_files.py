"""Finds the fonts of this computer, and opens them with HarfBuzz."""

from __future__ import annotations

import importlib.util
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import uharfbuzz as harfbuzz

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FontFile", "all_fonts", "family"]

_NO_EMBEDDING = 0x0002  # OS/2 fsType: may not be embedded without the owner's permission

# In the order of the styles: regular, bold, italic, code.
_FAMILIES = (
    ("dejavusans", "dejavusans-bold", "dejavusans-oblique", "dejavusansmono"),
    ("notosans-regular", "notosans-bold", "notosans-italic", "notosansmono-regular"),
    ("liberationsans-regular", "liberationsans-bold", "liberationsans-italic", "liberationmono-regular"),
    ("arial", "arial bold", "arial italic", "courier new"),
    ("arial", "arialbd", "ariali", "cour"),
)
_SPECIAL = re.compile("bold|italic|oblique|light|thin|black|mono|condensed|serif|math", re.IGNORECASE)


class FontFile:
    """A TrueType font: a file of this computer (of a collection the first), or the octets of one."""

    def __init__(self, source: Path | bytes) -> None:
        blob = harfbuzz.Blob(source) if isinstance(source, bytes) else harfbuzz.Blob.from_file_path(str(source))
        self.face = harfbuzz.Face(blob)
        self.font = harfbuzz.Font(self.face)
        name = "" if isinstance(source, bytes) else source.stem
        self.name = "".join(each for each in name if each.isascii() and each.isalnum()) or "Font"
        """Its name as a PDF may hold it."""
        self._characters = self.face.unicodes

    @property
    def is_usable(self) -> bool:
        """Whether it is whole, has outlines of the TrueType kind, and its owner lets it be embedded."""
        rights = int.from_bytes(self.face.reference_table("OS/2").data[8:10], "big")
        return bool(self._characters) and "glyf" in self.face.table_tags and not rights & _NO_EMBEDDING

    def has(self, character: str) -> bool:
        """Say whether it has a character."""
        return ord(character) in self._characters


def family() -> list[FontFile]:
    """Return the first family that this computer has, a font for each style, or else any font; empty without fonts."""
    files = _files()
    for names in _FAMILIES:
        found = [_opened(files[name]) if name in files else None for name in names]
        if (regular := found[0]) is not None:
            return [font or regular for font in found]
    font = next(all_fonts(), None)
    return [font] * 4 if font else []


def all_fonts() -> Iterator[FontFile]:
    """Yield the fonts of this computer, upright ones of common weight first."""
    for path in sorted(_files().values(), key=lambda path: (bool(_SPECIAL.search(path.stem)), path.stem)):
        if (font := _opened(path)) is not None:
            yield font


@cache
def _opened(path: Path) -> FontFile | None:
    try:
        font = FontFile(path)
    except (harfbuzz.HarfBuzzError, ValueError):
        return None
    return font if font.is_usable else None


@cache
def _files() -> dict[str, Path]:
    """Return the font files of this computer by their names in small letters."""
    found: dict[str, Path] = {}
    for folder in _folders():
        try:
            for path in sorted(folder.rglob("*.tt[fc]")):
                if not path.stem.startswith("LastResort"):  # it has every character, as a box with a sample of its kind
                    found.setdefault(path.stem.lower(), path)
        except OSError:
            continue  # a folder that may not be read
    return found


def _folders() -> Iterator[Path]:
    # Unlike Path.home(), this expanduser() does not raise for a user without a home; "~/.fonts" then is no folder.
    home = Path(os.path.expanduser("~"))  # noqa: PTH111
    yield from map(Path, ("/usr/share/fonts", "/usr/local/share/fonts"))
    yield from (home / ".fonts", home / ".local/share/fonts")
    yield from (*map(Path, ("/System/Library/Fonts", "/Library/Fonts")), home / "Library/Fonts")
    for variable, below in (("WINDIR", "Fonts"), ("LOCALAPPDATA", "Microsoft/Windows/Fonts")):
        if folder := os.environ.get(variable):
            yield Path(folder) / below
    # Looked for, not imported: that would take a second.
    if (found := importlib.util.find_spec("matplotlib")) and found.origin:
        yield Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"
