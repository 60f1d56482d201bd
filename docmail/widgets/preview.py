"""Renders the first page of a PDF as a picture: a browser's own viewer for PDFs is missing in too many places."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from docmail.documents import one_at_a_time
from docmail.errors import DocumentError

if TYPE_CHECKING:
    from docmail.documents import Document

WIDTH = 520
"""Pixels: sharp on screens of high density, small enough to be stored in a notebook."""

_MAX_HEIGHT = 4 * WIDTH
_MANY_BYTES = 150_000


def first_page(document: Document) -> bytes | None:
    """Return the first page as PNG; None for what is no PDF, is locked by a password, or cannot be rendered."""
    if not document.is_pdf:
        return None
    import pypdfium2

    try:
        file = document.open()
    except DocumentError:
        return None
    with one_at_a_time, file:
        try:
            pdf = pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError:
            return None
        try:
            page = pdf[0]
            width, height = page.get_size()
            # A page may be a strip of paper many times longer than wide.
            picture = page.render(scale=min(WIDTH / width, _MAX_HEIGHT / height)).to_pil()
        except (pypdfium2.PdfiumError, IndexError, ZeroDivisionError):
            return None
        finally:
            pdf.close()
    png = io.BytesIO()
    picture.save(png, "PNG", optimize=True)
    if png.tell() > _MANY_BYTES:
        # 256 colours do for a preview, and a notebook is no place for photographs.
        png = io.BytesIO()
        picture.convert("RGB").quantize(256).save(png, "PNG", optimize=True)
    return png.getvalue()
