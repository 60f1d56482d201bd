"""Writes PDF files: objects, pages, and figures, which are pages of other PDFs, as pictures that stay sharp.

Reports are written here directly, not by fpdf2: a table of a thousand rows takes a tenth of the time.
"""

from __future__ import annotations

import io
import re
import zlib
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Form", "Writer", "literal", "text_string"]

_LEVEL = 6  # of compression
_MOST_DOTS = (1200, 1200)  # of a picture; a logo of 5 cm has 600 to the inch then


def literal(content: bytes) -> bytes:
    """Return a string of a PDF's content stream (ISO 32000-1 7.3.4.2)."""
    if b"\\" in content or b"(" in content or b")" in content or b"\r" in content:
        content = re.sub(rb"[\\()]", rb"\\\g<0>", content).replace(b"\r", b"\\r")
    return b"(%b)" % content


def text_string(text: str) -> bytes:
    """Return a text of a PDF outside its pages, such as its title."""
    return b"<FEFF%b>" % text.encode("utf-16-be", "replace").hex().encode()


class Form(NamedTuple):
    """A page of another PDF, or a picture, to be placed: its object and its size in points."""

    number: int
    width: float
    height: float


class _Bookmark(NamedTuple):
    """An entry of the list that readers show beside the pages."""

    level: int
    title: str
    page: int
    y: float


class Writer:
    """The objects of a PDF, numbered in the order in which they are added.

    `language` is that of its text ("en", "de-AT"), by which it is read aloud; `made` is its date of creation.
    """

    def __init__(self, made: datetime, title: str = "", author: str = "", language: str = "") -> None:
        self._objects: list[bytes] = []
        self._made = made
        self._title = title
        self._author = author
        self._language = language
        self._bookmarks: list[_Bookmark] = []
        self._pages: list[tuple[float, float, bytes, tuple[int, ...]]] = []
        self._forms: dict[bytes, Form] = {}
        self.fonts: dict[str, int] = {}
        """The object of each font, by the name that content streams use."""

    def add(self, content: bytes = b"") -> int:
        """Add an object and return its number; an empty one is to be `put` later."""
        self._objects.append(content)
        return len(self._objects)

    def put(self, number: int, content: bytes) -> None:
        """Give an object that was reserved its content."""
        self._objects[number - 1] = content

    def stream(self, data: bytes, entries: bytes = b"") -> int:
        """Add a stream, compressed, and return its number."""
        return self.add(_stream(zlib.compress(data, _LEVEL), entries + b" /Filter /FlateDecode"))

    def page(self, width: float, height: float, content: bytes, links: list[tuple[tuple[float, ...], str]]) -> None:
        """Add a page of this size (points) with its content stream, and links: a rectangle and an address."""
        numbers = []
        for rectangle, url in links:
            corners = " ".join(f"{corner:.2f}" for corner in rectangle).encode()
            action = b"<< /S /URI /URI %b >>" % literal(url.encode("ascii", "replace"))
            numbers.append(
                self.add(b"<< /Type /Annot /Subtype /Link /Border [0 0 0] /Rect [%b] /A %b >>" % (corners, action))
            )
        self._pages.append((width, height, content, tuple(numbers)))

    def bookmark(self, level: int, title: str, page: int, y: float) -> None:
        """Let readers jump to a heading: of level 1, or below the last one of a higher level; `y` in points."""
        self._bookmarks.append(_Bookmark(level, title, page, y))

    def write_on(self, page: int, content: bytes) -> None:
        """Add to the content of a page that was added before, such as “page 1 of 3”."""
        width, height, before, links = self._pages[page]
        self._pages[page] = (width, height, before + content, links)

    def place(self, form: Form, x: float, y: float, scale: float) -> bytes:
        """Return what draws a form on a page, its lower left corner at this point."""
        return b"q %.4f 0 0 %.4f %.2f %.2f cm /X%d Do Q\n" % (scale, scale, x, y, form.number)

    def form_of(self, pdf: bytes) -> Form:
        """Take the only page of a PDF that matplotlib has just written; the same one is taken once."""
        key = sha256(pdf).digest()
        if key not in self._forms:
            self._forms[key] = self._imported(pdf)
        return self._forms[key]

    def picture(self, content: bytes) -> Form:
        """Take a picture of any kind that Pillow reads, a point for each of its dots; the same one is taken once."""
        key = sha256(content).digest()
        if key not in self._forms:
            self._forms[key] = self._drawn(content)
        return self._forms[key]

    def _drawn(self, content: bytes) -> Form:
        from PIL import Image, ImageOps

        image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGBA")
        image.thumbnail(_MOST_DOTS)
        size = b"/Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 8" % image.size
        alpha = image.getchannel("A")
        mask = b""
        if alpha.getextrema() != (255, 255):
            mask = b" /SMask %d 0 R" % self.stream(alpha.tobytes(), size + b" /ColorSpace /DeviceGray")
        number = self.stream(image.convert("RGB").tobytes(), size + b" /ColorSpace /DeviceRGB" + mask)
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 %d %d]" % image.size
        entries += b" /Resources << /XObject << /I %d 0 R >> >>" % number
        return Form(self.stream(b"%d 0 0 %d 0 0 cm /I Do" % image.size, entries), *map(float, image.size))

    def _imported(self, pdf: bytes) -> Form:
        from pypdf import PdfReader  # takes a while, and only reports with figures need it

        (page,) = PdfReader(io.BytesIO(pdf)).pages
        resources = self._copy(page.raw_get("/Resources"), {})
        width, height = float(page.mediabox.width), float(page.mediabox.height)
        entries = b"/Type /XObject /Subtype /Form /BBox [0 0 %g %g] /Resources %b" % (width, height, resources)
        contents = page.get_contents()
        return Form(self.stream(b"" if contents is None else contents.get_data(), entries), width, height)

    def _copy(self, value: Any, numbers: dict[int, int]) -> bytes:
        """Return a value of another PDF as it is written here, and add the objects that it refers to."""
        from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject

        if isinstance(value, IndirectObject):
            if value.idnum not in numbers:
                numbers[value.idnum] = self.add()
                self.put(numbers[value.idnum], self._copy(value.get_object(), numbers))
            return b"%d 0 R" % numbers[value.idnum]
        if isinstance(value, ArrayObject):
            return b"[%b]" % b" ".join(self._copy(each, numbers) for each in value)
        if isinstance(value, DictionaryObject):
            entries = b" ".join(self._copy(each, numbers) for item in value.items() for each in item)
            data = value._data if isinstance(value, StreamObject) else None  # noqa: SLF001 - as it is, compressed
            return b"<< %b >>" % entries if data is None else _stream(data, entries)
        file = io.BytesIO()
        value.write_to_stream(file)
        return file.getvalue()

    def finish(self) -> bytes:
        """Return the whole PDF; nothing can be added after that."""
        parent, catalog = self.add(), self.add()
        fonts = b" ".join(b"/%b %d 0 R" % (name.encode(), number) for name, number in self.fonts.items())
        forms = b" ".join(b"/X%d %d 0 R" % (form.number, form.number) for form in self._forms.values())
        resources = self.add(b"<< /Font << %b >> /XObject << %b >> >>" % (fonts, forms))
        kids = []
        for width, height, content, links in self._pages:
            annotations = b"/Annots [%b] " % b" ".join(b"%d 0 R" % link for link in links) if links else b""
            kids.append(
                self.add(
                    b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %.2f %.2f] /Resources %d 0 R %b/Contents %d 0 R >>"
                    % (parent, width, height, resources, annotations, self.stream(content))
                )
            )
        pages = b" ".join(b"%d 0 R" % kid for kid in kids)
        self.put(parent, b"<< /Type /Pages /Kids [%b] /Count %d >>" % (pages, len(kids)))
        shown = b" /ViewerPreferences << /DisplayDocTitle true >>" if self._title else b""
        if self._language:
            shown += b" /Lang %b" % text_string(self._language)
        if self._bookmarks:
            shown += b" /Outlines %d 0 R" % self._outline(kids)
        self.put(catalog, b"<< /Type /Catalog /Pages %d 0 R%b >>" % (parent, shown))
        made = self._made.strftime("D:%Y%m%d%H%M%S%z")
        title = b" /Title %b" % text_string(self._title) if self._title else b""
        title += b" /Author %b" % text_string(self._author) if self._author else b""
        date = f"({made[:-2]}'{made[-2:]}')".encode()
        info = self.add(b"<< /Producer (docmail) /CreationDate %b%b >>" % (date, title))
        return _file(self._objects, catalog, info)

    def _outline(self, pages: list[int]) -> int:
        """Add the list of bookmarks (ISO 32000-1 12.3.3), each below the last one of a higher level."""
        root = self.add()
        numbers = [self.add() for _each in self._bookmarks]
        below: dict[int, list[int]] = {root: []}
        parents: list[int] = []
        open_levels: list[tuple[int, int]] = [(0, root)]
        for number, mark in zip(numbers, self._bookmarks, strict=True):
            while open_levels[-1][0] >= mark.level:
                open_levels.pop()
            parents.append(open_levels[-1][1])
            below[parents[-1]].append(number)
            below[number] = []
            open_levels.append((mark.level, number))
        for number, parent, mark in zip(numbers, parents, self._bookmarks, strict=True):
            family = below[parent]
            place = family.index(number)
            around = b" /Prev %d 0 R" % family[place - 1] if place else b""
            around += b" /Next %d 0 R" % family[place + 1] if number != family[-1] else b""
            around += _children(below[number], opened=False)
            target = b"[%d 0 R /XYZ null %.2f null]" % (pages[mark.page], mark.y)
            entry = (text_string(mark.title), parent, around, target)
            self.put(number, b"<< /Title %b /Parent %d 0 R%b /Dest %b >>" % entry)
        self.put(root, b"<< /Type /Outlines%b >>" % _children(below[root], opened=True))
        return root


def _children(numbers: list[int], *, opened: bool) -> bytes:
    if not numbers:
        return b""
    count = len(numbers) if opened else -len(numbers)
    return b" /First %d 0 R /Last %d 0 R /Count %d" % (numbers[0], numbers[-1], count)


def _stream(data: bytes, entries: bytes) -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)


def _file(objects: list[bytes], catalog: int, info: int) -> bytes:
    pieces, places, length = [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"], [], 15
    for number, content in enumerate(objects, 1):
        places.append(length)
        pieces.append(b"%d 0 obj\n%b\nendobj\n" % (number, content))
        length += len(pieces[-1])
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    pieces += [
        b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table),
        b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\n" % (count, catalog, info),
        b"startxref\n%d\n%%%%EOF\n" % length,
    ]
    return b"".join(pieces)
