"""Makes files of what a notebook has: reports, DataFrames and figures; and locks PDFs with a password.

The ending of the name decides the form, where there is a choice: a DataFrame becomes a PDF, or `.csv` or `.xlsx`; a
figure or chart a PDF, or `.png`, `.svg` or `.jpg`; a picture of PIL's a PNG, or `.jpg` or `.pdf`; an executed notebook
itself, or what it shows as `.pdf` or `.html`. What the name asks for is made or refused; a dot alone asks for nothing.
"""

from __future__ import annotations

import io
import mimetypes
import re
import secrets
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from docmail.addresses import first_control
from docmail.documents.data_files import csv_file, xlsx_file
from docmail.errors import DocumentError, Field
from docmail.foreign import Notebook, is_notebook
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.look import Look
    from docmail.secret import Secret

__all__ = ["ending_of", "file_of", "locked", "made_as", "notebook_ending"]

_MAX_PASSWORD = 127  # octets (ISO 32000-2 7.6.4.3.3)


def ending_of(name: Any) -> str:
    """Return the ending by which a name asks for a kind of file, such as “.csv”; “v1.2 summary” asks for none."""
    ending = f".{name.rpartition('.')[2].strip().lower()}" if isinstance(name, str) and "." in name else ""
    return ending if ending in _kinds() else ""


@cache
def _kinds() -> frozenset[str]:
    # Not those of this computer's own list, with which a name would mean something else on the next one.
    known = mimetypes.MimeTypes()
    kinds = {*known.types_map[1], *known.types_map[0], *known.encodings_map, *_OTHER_KINDS}
    return frozenset(kind.lower() for kind in kinds if len(kind) > len(".t"))  # “Mr.T” is no file of troff


_OTHER_KINDS = {
    *(".arrow", ".db", ".dta", ".feather", ".h5", ".hdf5", ".ipynb", ".jsonl", ".ndjson", ".npy", ".npz", ".orc"),
    *(".parquet", ".pkl", ".rdata", ".rds", ".sas7bdat", ".sav", ".sqlite", ".tex", ".yaml", ".yml", ".log", ".md"),
    *(".docm", ".docx", ".numbers", ".odp", ".ods", ".odt", ".pptm", ".pptx", ".xlsb", ".xlsm", ".xlsx", ".xltx"),
    *(".7z", ".avif", ".eml", ".emf", ".epub", ".jpg", ".msg", ".rtf", ".svgz", ".webp", ".wmf", ".zst"),
}


def made_as(name: Any, endings: Sequence[str], kind: str) -> str:
    """Return the ending of what is made under this name; raise `DocumentError` if it asks for what cannot be made.

    The first of `endings` is that of a name that asks for nothing.
    """
    ending = ending_of(name)
    if ending and ending not in endings:
        raise DocumentError(
            _("docmail cannot make a {ending} file from this {type}, as the name {name} asks.").format(
                name=name.strip(), ending=ending, type=kind
            ),
            hint=_("Let the name end in {endings}.").format(endings=", ".join(endings)),
        )
    return ending or endings[0]


def file_of(source: Any, name: Any, locale: str | None = None, look: Look | None = None) -> tuple[bytes, str] | None:
    """Return the content of a report, DataFrame, figure or picture and its name's ending; None for anything else.

    `locale` sets the signs in the numbers of a DataFrame's PDF, `look` how that PDF looks.
    """
    if ending := notebook_ending(source, name):
        from docmail.documents.notebooks import notebook_file

        return notebook_file(source, ending, look), ending
    # A program that has such an object has imported its library; importing it here would cost the others time.
    if "docmail.reports.report" in sys.modules and isinstance(source, sys.modules["docmail.reports.report"].Report):
        ending = made_as(name, [".pdf"], type(source).__name__)
        return source.pdf(), ending
    if {"pandas", "polars"} & sys.modules.keys():
        from docmail.text import is_frame

        if is_frame(source):
            ending = made_as(name, [".pdf", ".csv", ".xlsx"], type(source).__name__)
            return _from_frame(source, ending, name, locale, look), ending
    if "matplotlib.figure" in sys.modules:
        from docmail.reports import figure_pdf, is_figure

        if is_figure(source):
            ending = made_as(name, [".pdf", ".png", ".svg", ".jpg", ".jpeg"], type(source).__name__)
            return figure_pdf(source, ending[1:]), ending
    if {"plotly", "altair", "PIL"} & sys.modules.keys():
        from docmail.text import chart_kind

        if kind := chart_kind(source):
            from docmail.reports import chart_file

            endings = [".png", ".jpg", ".jpeg", ".pdf"] if kind == "PIL" else [".pdf", ".png", ".svg", ".jpg", ".jpeg"]
            ending = made_as(name, endings, type(source).__name__)
            return chart_file(source, ending[1:]), ending
    return None


_OF_NOTEBOOKS = (".pdf", ".html", ".htm")


def notebook_ending(source: Any, name: Any) -> str:
    """Return as what a notebook is attached: “.pdf” or “.html”; nothing for its file itself, and for all else."""
    if isinstance(source, Notebook):
        return made_as(name, _OF_NOTEBOOKS, "Notebook")
    ending = ending_of(name) if is_notebook(source) else ""
    return ending if ending in _OF_NOTEBOOKS else ""


def _from_frame(frame: Any, ending: str, name: Any, locale: str | None, look: Look | None) -> bytes:
    if ending not in {".csv", ".xlsx"}:
        from docmail.reports import Report

        title = str(name or "")
        title = title[: -len(ending)] if title.lower().endswith(ending) else title
        return Report(title, locale=locale, look=look).table(frame).pdf()
    try:
        return (csv_file if ending == ".csv" else xlsx_file)(frame)
    except ImportError as exc:
        raise DocumentError(
            _("The table cannot be written as {ending}: {reason}.").format(ending=ending, reason=_reason(exc)),
            hint=_("Install what it names, or choose a name that ends in .csv or .pdf."),
        ) from exc


def locked(content: bytes, password: Secret, name: str) -> bytes:
    """Return a PDF that opens with this password only (AES-256, ISO 32000-2).

    A PDF that has only an owner's password opens without one: it is locked like any other, and keeps its permissions.
    Raises `DocumentError` for one that another password locks already, and for one that is signed or damaged.
    """
    if not 0 < len(password.octets()) <= _MAX_PASSWORD:
        raise DocumentError(
            _("The password of a PDF must have 1 to {limit} letters.").format(limit=_MAX_PASSWORD),
            hint=_("Give another password."),
            field=Field.PASSWORD,
        )
    if control := password.shown_to(first_control):  # nobody could type it
        raise DocumentError(
            _("The password contains the invisible character {code}.").format(code=control),
            hint=_("Give another password."),
            field=Field.PASSWORD,
        )
    from pypdf.errors import PyPdfError

    try:
        return _encrypted(content, password, name)
    except DocumentError:
        raise  # which is a ValueError, too
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise DocumentError(
            _("The PDF {name} cannot be locked: {reason}.").format(name=name, reason=_reason(exc)),
            hint=_("Make it again, or send it without a password."),
        ) from None


def _encrypted(content: bytes, password: Secret, name: str) -> bytes:
    # By pypdf, because it locks any PDF, wherever it comes from; fpdf2 could lock its own only, and pdfium none.
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(content))
    rights = pypdf.constants.UserAccessPermissions.all()
    if reader.is_encrypted:
        if not reader.decrypt(""):
            raise DocumentError(
                _("The PDF {name} is locked by a password already.").format(name=name),
                hint=_("Leave out password=, or give the PDF as it was before."),
            )
        rights = reader.user_access_permissions or rights
    if _is_signed(reader, content):
        raise DocumentError(
            _("The PDF {name} is signed or certified, and locking it would break the signature.").format(name=name),
            hint=_("Leave out password=, or lock it first and sign it then."),
            field=Field.PASSWORD,
        )
    writer = pypdf.PdfWriter(clone_from=reader)
    # The owner's password would let its holder change what the file permits; nobody needs to have it.
    owner = secrets.token_urlsafe(24)
    password.shown_to(lambda plain: writer.encrypt(plain, owner, permissions_flag=rights, algorithm="AES-256"))
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def _is_signed(reader: Any, content: bytes) -> bool:
    """Say whether a PDF is signed, certified or stamped with a time (ISO 32000-2 12.8)."""
    # What a signature covers can only stand in the file as it is, neither compressed nor encrypted.
    if re.search(rb"/ByteRange\s*\[", content) or "/Perms" in reader.trailer["/Root"]:
        return True
    return any(field.get("/FT") == "/Sig" and "/V" in field for field in (reader.get_fields() or {}).values())


def _reason(exc: Exception) -> str:
    """Return the first line of what a library says."""
    return (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
