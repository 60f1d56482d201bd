"""Renders pages of a PDF as pictures: a browser's own viewer for PDFs is missing in too many places."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from docmail.documents import one_at_a_time
from docmail.errors import DocumentError
from docmail.language import _

if TYPE_CHECKING:
    from docmail.documents import Document

WIDTH = 520
"""Pixels: sharp on screens of high density, small enough to be stored in a notebook."""

_HIGHEST = 4
"""How many times higher than wide a picture is at most: a page may be a strip of paper."""

_MANY_BYTES = 150_000


def first_page(document: Document) -> bytes | None:
    """Return the first page as a PNG for a notebook; None for what has no page that can be rendered."""
    picture = page(document, 1, WIDTH, small=True)
    if picture is not None and len(picture) > _MANY_BYTES:
        # 256 colours do for a preview, and a notebook is no place for photographs.
        picture = page(document, 1, WIDTH, small=True, few_colours=True)
    return picture


def trouble(document: Document) -> str:
    """Return, in a few words, why a PDF cannot be opened here; nothing if it can, or is no PDF."""
    if not document.is_pdf:
        return ""
    import pypdfium2

    with one_at_a_time, document.open() as file:
        try:
            pypdfium2.PdfDocument(file).close()
        except pypdfium2.PdfiumError as exc:
            if "password" in str(exc).casefold():  # pypdfium2 gives the code of an error since release 5 only
                return _("locked by a password")
            return _("damaged: look at it before you send it")
    return ""


def page(
    document: Document, number: int, width: int, *, small: bool = False, few_colours: bool = False
) -> bytes | None:
    """Return a page (from 1) as a PNG of this width; None for what is no PDF, is locked or cannot be rendered.

    `small` takes three times as long for a file a third smaller.
    """
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
            pdf_page = pdf[number - 1]
            across, down = pdf_page.get_size()
            picture = pdf_page.render(scale=min(width / across, _HIGHEST * width / down)).to_pil()
        except (pypdfium2.PdfiumError, IndexError, ZeroDivisionError):
            return None
        finally:
            pdf.close()
    png = io.BytesIO()
    picture = picture.convert("RGB").quantize(256) if few_colours else picture
    picture.save(png, "PNG", **({"optimize": True} if small else {"compress_level": 3}))
    return png.getvalue()
