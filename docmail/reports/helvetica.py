"""Measures text in Helvetica, which every reader of PDF has: what Western Europe writes needs no font in the file."""

# ruff: noqa: RUF001 - the tables of widths hold the characters themselves

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.reports.pdf_writer import literal

if TYPE_CHECKING:
    from docmail.reports.pdf_writer import Writer

__all__ = ["Helvetica", "helvetica_family", "is_western"]

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
_MINUS = "\u2212"  # these fonts have it, but Windows-1252 does not: it takes the place of an unassigned code


class Helvetica:
    """One of the fonts that every reader has; `name` is what the content of pages calls it."""

    def __init__(self, name: str, base: str, widths: dict[int, str], others: int = _OTHERS) -> None:
        self.name = name
        self._base = base
        self._widths = [others] * 256
        for width, characters in widths.items():
            for character in _windows_1252(characters):
                self._widths[character] = width

    def measure(self, text: str) -> tuple[float, bytes]:
        """Return the width of a text, for a size of one, and the operator that shows it."""
        encoded = _windows_1252(text)
        return sum(map(self._widths.__getitem__, encoded)) / 1000, literal(encoded) + b" Tj"

    def write(self, writer: Writer) -> int:
        """Add the font to a PDF, and return the number of its object."""
        return writer.add(
            b"<< /Type /Font /Subtype /Type1 /BaseFont /%b /Encoding << /Type /Encoding /BaseEncoding /WinAnsiEncoding"
            b" /Differences [127 /minus] >> >>" % self._base.encode()
        )


def helvetica_family() -> dict[str, Helvetica]:
    """Return the font of each style."""
    return {
        "regular": Helvetica("F1", "Helvetica", _REGULAR),
        "bold": Helvetica("F2", "Helvetica-Bold", _BOLD),
        "italic": Helvetica("F3", "Helvetica-Oblique", _REGULAR),
        "code": Helvetica("F4", "Courier", {}, 600),
    }


def is_western(character: str) -> bool:
    """Say whether these fonts have a character: one of Windows-1252, or a minus sign."""
    return character.isascii() or character == _MINUS or bool(character.encode("cp1252", "ignore"))


def _windows_1252(text: str) -> bytes:
    return text.replace(_MINUS, "\x7f").encode("cp1252", "replace")
