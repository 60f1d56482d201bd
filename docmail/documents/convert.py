"""Makes files of what a notebook has: reports, DataFrames and figures; and locks PDFs with a password.

The ending of the name decides the form, where there is a choice: a DataFrame becomes a PDF, or `.csv` or `.xlsx`; a
figure a PDF, or `.png` or `.svg`.
"""

from __future__ import annotations

import io
import secrets
import sys
from typing import TYPE_CHECKING, Any

from docmail.errors import DocumentError
from docmail.language import _

if TYPE_CHECKING:
    from docmail.secret import Secret

__all__ = ["file_of", "locked"]

_MAX_PASSWORD = 127  # octets (ISO 32000-2 7.6.4.3.3)


def file_of(source: Any, name: Any) -> tuple[bytes, str] | None:
    """Return the content of a report, DataFrame or figure and its name's ending; None for anything else."""
    ending = f".{name.rpartition('.')[2].lower()}" if isinstance(name, str) and "." in name else ""
    # Whoever has such an object has imported what it comes from; importing that here would cost others its time.
    if "docmail.reports.report" in sys.modules and isinstance(source, sys.modules["docmail.reports.report"].Report):
        return source.pdf(), ".pdf"
    if {"pandas", "polars"} & sys.modules.keys():
        from docmail.text import is_frame

        if is_frame(source):
            return _from_frame(source, ending, name)
    if "matplotlib.figure" in sys.modules:
        from docmail.reports import figure_pdf, is_figure

        if is_figure(source):
            form = ending if ending in {".png", ".svg"} else ".pdf"
            return figure_pdf(source, form[1:]), form
    return None


def _from_frame(frame: Any, ending: str, name: Any) -> tuple[bytes, str]:
    if ending not in {".csv", ".xlsx"}:
        from docmail.reports import table_pdf

        title = str(name or "")
        return table_pdf(frame, title.removesuffix(ending) if ending == ".pdf" else title), ".pdf"
    file = io.BytesIO()
    try:
        if hasattr(frame, "get_columns"):  # polars
            frame.write_csv(file) if ending == ".csv" else frame.write_excel(file)
        else:
            # An index that only counts the rows is nothing to send.
            counted = type(frame.index).__name__ == "RangeIndex" and frame.index.name is None
            write = frame.to_csv if ending == ".csv" else frame.to_excel
            write(file, index=not counted)
    except ImportError as exc:
        raise DocumentError(
            _("The table cannot be written as {ending}: {reason}.").format(ending=ending, reason=_reason(exc)),
            hint=_("Install what it names, or choose a name that ends in .csv or .pdf."),
        ) from exc
    except Exception as exc:
        raise DocumentError(
            _("The table cannot be written as {ending}: {reason}.").format(ending=ending, reason=_reason(exc)),
            hint=_("Correct what it names, or choose a name that ends in .csv or .pdf."),
        ) from exc
    return file.getvalue(), ending


def locked(content: bytes, password: Secret, name: str) -> bytes | None:
    """Return a PDF that opens with this password only (AES-256, ISO 32000-2); None if another one locks it already.

    By pypdf, because it locks any PDF, wherever it comes from; fpdf2 could lock its own only, and pdfium none.
    """
    import pypdf
    from pypdf.errors import PyPdfError

    if not 0 < len(password.octets()) <= _MAX_PASSWORD:
        raise DocumentError(
            _("The password of a PDF must have 1 to {limit} letters.").format(limit=_MAX_PASSWORD),
            hint=_("Give another password."),
            field="password",
        )
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted:
            return None
        writer = pypdf.PdfWriter(clone_from=reader)
        # The owner's password would let its holder change what the file permits; nobody needs to have it.
        owner = secrets.token_urlsafe(24)
        password.shown_to(lambda plain: writer.encrypt(plain, owner, algorithm="AES-256"))
        file = io.BytesIO()
        writer.write(file)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        reason = _reason(exc)
        raise DocumentError(
            _("The PDF {name} cannot be locked: {reason}.").format(name=name, reason=reason),
            hint=_("Make it again, or send it without a password."),
        ) from None
    return file.getvalue()


def _reason(exc: Exception) -> str:
    """Return the first line of what a library says."""
    return (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
