"""Writes PDF files: objects, pages and their streams, and pages of matplotlib's as pictures that stay sharp.

Reports are written here directly, not through fpdf2: a table of a thousand rows is laid out once, and takes a tenth of
the time.
"""

from __future__ import annotations

import re
import zlib
from datetime import datetime
from hashlib import sha256

__all__ = ["Form", "Writer", "literal", "text_string"]

_LEVEL = 6  # of compression


def literal(content: bytes) -> bytes:
    """Return a string of a PDF's content stream (ISO 32000-1 7.3.4.2)."""
    if b"\\" in content or b"(" in content or b")" in content or b"\r" in content:
        content = re.sub(rb"[\\()]", rb"\\\g<0>", content).replace(b"\r", b"\\r")
    return b"(%b)" % content


def text_string(text: str) -> bytes:
    """Return a text of a PDF outside its pages, such as its title."""
    return b"<FEFF%b>" % text.encode("utf-16-be", "replace").hex().encode()


class Form:
    """A page of another PDF, to be placed like a picture: its object and its size in points."""

    def __init__(self, number: int, width: float, height: float) -> None:
        self.number = number
        self.width = width
        self.height = height


class Writer:
    """A PDF in the making."""

    def __init__(self, title: str = "") -> None:
        self._objects: list[bytes] = []
        self._title = title
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

    def stream(self, data: bytes, entries: str = "") -> int:
        """Add a stream, compressed, and return its number."""
        packed = zlib.compress(data, _LEVEL)
        return self.add(
            b"<< %b /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (entries.encode(), len(packed), packed)
        )

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

    @property
    def page_count(self) -> int:
        """The number of pages so far."""
        return len(self._pages)

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

    def _imported(self, pdf: bytes) -> Form:
        objects = _objects_of(pdf)
        (page,) = (content for content, _data in objects.values() if re.search(rb"/Type /Page\b", content))
        box = re.search(rb"/MediaBox \[([^\]]*)\]", page)
        contents = int(re.search(rb"/Contents (\d+) 0 R", page)[1])  # type: ignore[index] # matplotlib always writes one
        resources = int(re.search(rb"/Resources (\d+) 0 R", page)[1])  # type: ignore[index] # as above
        needed = _reached(objects, {contents, resources})
        numbers = {old: self.add() for old in needed}
        bounds = b" ".join(box[1].split()) if box else b"0 0 1 1"

        def renumbered(content: bytes) -> bytes:
            return re.sub(rb"\b(\d+) 0 R\b", lambda found: b"%d 0 R" % numbers.get(int(found[1]), 0), content)

        for old, new in numbers.items():
            content, data = objects[old]
            content = renumbered(content)
            if old == contents:
                form = b"<< /Type /XObject /Subtype /Form /BBox [%b] /Resources %d 0 R " % (bounds, numbers[resources])
                content = form + content.strip().removeprefix(b"<<")
            self.put(new, content if data is None else content + b"\nstream\n" + data + b"\nendstream")
        _left, _bottom, width, height = map(float, bounds.split())
        return Form(numbers[contents], width, height)

    def finish(self) -> bytes:
        """Return the file."""
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
        self.put(catalog, b"<< /Type /Catalog /Pages %d 0 R%b >>" % (parent, shown))
        made = datetime.now().astimezone().strftime("D:%Y%m%d%H%M%S%z")
        title = b" /Title %b" % text_string(self._title) if self._title else b""
        date = f"({made[:-2]}'{made[-2:]}')".encode()
        info = self.add(b"<< /Producer (docmail) /CreationDate %b%b >>" % (date, title))
        return _file(self._objects, catalog, info)


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


def _objects_of(pdf: bytes) -> dict[int, tuple[bytes, bytes | None]]:
    """Return the objects of a file as matplotlib writes it: each its dictionary, and its stream if it has one."""
    start = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    lines = pdf[start:].split(b"\n")
    count = int(lines[1].split()[1])
    places = [int(line.split()[0]) for line in lines[2 : 2 + count]]
    found: dict[int, tuple[bytes, bytes | None]] = {}
    for number, place in enumerate(places):
        if not number or not place:
            continue
        begin = pdf.index(b"obj", place) + 3
        end = pdf.index(b"endobj", begin)
        mark = pdf.find(b"stream\n", begin, end)
        if mark < 0:
            found[number] = (pdf[begin:end].strip(), None)
            continue
        content = pdf[begin:mark].strip()
        length = re.search(rb"/Length (\d+)( 0 R)?", content)
        assert length is not None  # noqa: S101 - every stream has one
        size = int(length[1])
        if length[2]:
            size = int(pdf[pdf.index(b"obj", places[size]) + 3 :].split(None, 1)[0])
        found[number] = (content, pdf[mark + 7 : mark + 7 + size])
    return found


def _reached(objects: dict[int, tuple[bytes, bytes | None]], start: set[int]) -> list[int]:
    """Return the objects that these ones need, themselves among them."""
    seen: set[int] = set()
    waiting = sorted(start)
    while waiting:
        number = waiting.pop()
        if number not in seen and number in objects:
            seen.add(number)
            waiting += map(int, re.findall(rb"\b(\d+) 0 R\b", objects[number][0]))
    return sorted(seen)
