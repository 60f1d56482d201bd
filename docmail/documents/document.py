"""Holds what is attached to a mail: content, file name and media type, checked before anything leaves.

A `Document` is a snapshot: changing the FPDF object afterwards changes nothing, and a file that changes between
`Document.of` and the sending is reported instead of sent.
"""

from __future__ import annotations

import codecs
import copy
import io
import json
import mimetypes
import os
import re
import stat
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from docmail.addresses import first_control
from docmail.documents.convert import ending_of, file_of, locked, made_as, notebook_ending
from docmail.errors import DocumentError, Field
from docmail.files import one_at_a_time
from docmail.foreign import Notebook
from docmail.language import _
from docmail.secret import Secret
from docmail.text import chart_kind, is_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.look import Look

__all__ = ["Document", "documents_of", "one_at_a_time"]

PDF = "application/pdf"

_MAX_NAME = 255  # octets: the limit of common file systems
_MAX_TITLE = 60  # characters of a PDF's title that become its file name
# Where a PDF's first and last marks may stand: readers accept foreign matter around them, such as the page of a server
# that failed afterwards. Blanks and NULs behind the end, with which disks and downloads fill blocks, do not count.
_HEAD, _TAIL = 1024, 65536
_FILLING = b"\0\t\n\x0c\r \x1a"
_PDF_ENDINGS = {"", ".pdf", ".ai"}  # an illustrator's file is a PDF
_HAS_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")  # “v1.2 summary” has none
_PLACES = ("center", "left", "right")
_GENERIC = {"chart", "document", "figure", "picture", "report", "table"}


@dataclass(frozen=True)
class Document:
    """A document ready to be attached; make one with `Document.of`.

    `name` is what the recipient sees, `media_type` what it is, `source` its content or the file, `size` its bytes.

    >>> document = docmail.Document.of(pdf, "Q3.pdf")
    >>> document.media_type, document.pages
    ('application/pdf', 1)
    """

    name: str
    media_type: str
    source: bytes | Path
    size: int
    changed: int | None = None
    """When a file was last changed (nanoseconds), to notice that it is no longer the one that was checked."""

    @classmethod
    def of(
        cls,
        source: Any,
        name: str | None = None,
        *,
        password: str | None = None,
        locale: str | None = None,
        look: Look | None = None,
    ) -> Document:
        """Return the document for an unfinished PDF, a table, a figure, a file, or the bytes of one.

        `source` is an FPDF object, a `docmail.reports.Report`, a DataFrame, Series or Index (pandas, polars), a figure
        of matplotlib's, plotly's or altair's, a picture of PIL's, a `Path`, or bytes. The name is the one the recipient
        sees; by default that of the file, or the title of the PDF or figure. A DataFrame becomes a PDF, or with a name
        that says so `.csv` or `.xlsx`; a figure a PDF, `.png`, `.svg` or `.jpg`; a picture a PNG, `.jpg` or `.pdf`; the
        `Path` of an executed notebook (`.ipynb`) what it shows, without its code, with a name that ends in `.pdf` or
        `.html`, and the file itself without one. A
        `locale` ("de", "en-ZA") sets the signs in the numbers of a DataFrame's PDF; in `.csv` and `.xlsx` numbers stay
        numbers, which the recipient's program shows with its own signs. `look` is how that PDF looks; without it, as
        the look that is saved with the selected profile says.

        With a `password` a PDF is locked here and now (AES-256); the password itself is kept nowhere. Raises
        `DocumentError` for anything that is missing, empty, cut off, or cannot be guessed safely.

        >>> docmail.Document.of(frame, "customers.csv").media_type
        'text/csv'
        """
        try:  # first of all: a traceback that shows all values must not show this one
            password = Secret(password) if isinstance(password, str) else password  # type: ignore[assignment]
        except BaseException as exc:
            password = exc.__traceback__ = None  # an interrupt, which can come anywhere
            raise
        if password is not None:
            return _locked(cls.of(source, name, locale=locale, look=look), password)
        ending = notebook_ending(source, name)
        for option, value in (("locale", locale), ("look", look)):
            if value is not None and not is_frame(source) and not (option == "look" and ending):
                raise DocumentError(
                    _("{option}= is for a table, and this is a {type}.").format(
                        option=option, type=type(source).__name__
                    ),
                    hint=_("Leave it out; a report has one of its own: Report({option}=...).").format(option=option),
                )
        if isinstance(source, Document):
            return _again(source, source.name if name is None else name)
        if isinstance(source, Path) and not ending:
            return _from_path(source, name)
        if isinstance(source, (bytes, bytearray, memoryview)):
            return _from_bytes(bytes(source), name)
        name = None if name is None else _checked_name(name)
        if _is_fpdf(source):
            return _from_fpdf(source, name)
        if (made := file_of(source, name, locale, look)) is not None:
            content, ending = made
            return _from_bytes(content, _ending_in(ending, _titled(source) if name is None else name))
        raise _not_a_document(source)

    @property
    def is_unnamed(self) -> bool:
        """Whether its name says only what it is, such as “figure.pdf”: another of that name is another document."""
        return self.name.rpartition(".")[0].casefold() in _GENERIC

    @property
    def is_pdf(self) -> bool:
        """Whether it is a PDF."""
        return self.media_type == PDF

    def open(self) -> BinaryIO:
        """Return its content as a binary file, from the beginning.

        Raises `DocumentError` if the file has been removed or changed since.

        >>> with docmail.Document.of(pdf, "Q3.pdf").open() as file:
        ...     file.read(5)
        b'%PDF-'
        """
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        try:
            file = self.source.open("rb")
        except OSError as exc:
            raise _unreadable(self.source, exc) from exc
        try:
            self.check(file)
        except BaseException:
            file.close()
            raise
        return file

    def check(self, file: BinaryIO) -> None:
        """Raise `DocumentError` if `file`, as `open` returned it, has changed since the document was made.

        >>> document = docmail.Document.of(pdf, "Q3.pdf")
        >>> with document.open() as file:
        ...     document.check(file)
        """
        if isinstance(self.source, bytes):
            return
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
            raise DocumentError(
                _("The file {name} has changed since it was made into a document.").format(name=self.name),
                hint=_("Run the cell that makes the document again."),
            )

    def pieces(self, octets: int = 1 << 20) -> Iterator[bytes]:
        """Yield its content in pieces of `octets` bytes; raises as `open` does, also behind the last one.

        >>> sum(map(len, docmail.Document.of(pdf, "Q3.pdf").pieces(1000))) == len(pdf)
        True
        """
        with self.open() as file:
            while piece := file.read(octets):
                yield piece
            self.check(file)

    def read(self) -> bytes:
        """Return its content; raises `DocumentError` as `open` does.

        >>> docmail.Document.of(pdf, "Q3.pdf").read() == pdf
        True
        """
        return self.source if isinstance(self.source, bytes) else b"".join(self.pieces())

    @cached_property
    def content_type(self) -> str:
        """The media type as a mail says it: that of a text with its charset, if it is one that can be known."""
        charset = self._charset() if self.media_type.startswith("text/") else None
        return f'{self.media_type}; charset="{charset}"' if charset else self.media_type

    def _charset(self) -> str | None:
        # Unlike `open`, this does not mind that an outbox has touched its own file since; sending does look.
        try:
            with io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb") as file:
                # Encodings without a mark, other than UTF-8, could only be guessed.
                marked = file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
                file.seek(0)
                charset = "utf-16" if marked else "utf-8"
                decoder = codecs.getincrementaldecoder(charset)()
                while piece := file.read(1 << 20):
                    decoder.decode(piece)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return None
        except OSError as exc:
            raise _unreadable(Path(str(self.source)), exc) from exc
        return charset

    @cached_property
    def pages(self) -> int | None:
        """The number of pages of a PDF; None for another file, and for a PDF that a password locks."""
        if not self.is_pdf:
            return None
        with self.open():  # raises if it is another one by now
            return _page_count(self.source) or None

    def __repr__(self) -> str:
        return f"<Document {self.name}, {self.size:,} bytes>"


def documents_of(sources: Any, name: str | None = None, look: Look | None = None) -> tuple[Document, ...]:
    """Return the documents for one source or several, their tables in a look; `name` is for each of them."""
    several = sources if isinstance(sources, (list, tuple)) else (sources,)
    return tuple(Document.of(source, name, look=look if _has_look(source, name) else None) for source in several)


def _has_look(source: Any, name: str | None) -> bool:
    return is_frame(source) or bool(notebook_ending(source, name))


def _again(document: Document, name: str) -> Document:
    """Return a document under a name, after a look at what `Document.of` would not have made."""
    sound = (
        isinstance(document.media_type, str)
        and re.fullmatch(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+", document.media_type)
        and document.size
        and (
            document.size == len(document.source)
            if isinstance(document.source, bytes)
            else isinstance(document.source, Path)
        )
    )
    if not sound:
        raise DocumentError(
            _("This Document was built by hand, and its parts do not match."),
            hint=_('Make it with Document.of(data, name="report.pdf").'),
        )
    checked = _checked_name(name)
    return document if checked == document.name else _named(replace(document, name=checked), is_pdf=document.is_pdf)


def _from_path(path: Path, name: str | None) -> Document:
    try:
        # Unlike Path's, this expanduser() leaves an unknown ~user as it is.
        path = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111
        status = path.stat()
        regular = stat.S_ISREG(status.st_mode)
        if regular:  # opening a pipe could wait for ever
            with path.open("rb") as file:
                head, tail = file.read(_HEAD), _tail_of(file, status.st_size)
    except (OSError, ValueError) as exc:
        raise _unreadable(path, exc) from exc
    if not regular:
        raise DocumentError(
            _("{path} is not a file.").format(path=_shown(path)), hint=_("Give the path of a single file.")
        )
    checked = _checked_name(path.name if name is None else name)
    return _checked(Document(checked, "", path, status.st_size, status.st_mtime_ns), head, tail)


def _from_bytes(content: bytes, name: str | None) -> Document:
    if name is None:
        if not _begins_pdf(content[:_HEAD]):
            raise DocumentError(
                _("These bytes are not a PDF, and have no file name.") if content else _("The document is empty."),
                hint=_('Name the file: Document.of(data, name="table.csv").'),
            )
        name = "document.pdf"
    document = Document(_checked_name(name), "", content, len(content))
    return _checked(document, content[:_HEAD], content.rstrip(_FILLING)[-_TAIL:])


def _tail_of(file: BinaryIO, end: int) -> bytes:
    """Return the last octets of a file that are not mere filling."""
    while end > 0:
        begin = max(0, end - _TAIL)
        file.seek(begin)
        if tail := file.read(end - begin).rstrip(_FILLING):
            end = begin + len(tail)
            file.seek(max(0, end - _TAIL))
            return file.read(end - max(0, end - _TAIL))
        end = begin
    return b""


def _is_fpdf(source: object) -> bool:
    # A program that has an FPDF object has imported fpdf; importing it here would cost the others 0.3 s.
    fpdf = sys.modules.get("fpdf")
    return fpdf is not None and isinstance(source, fpdf.FPDF)


def _from_fpdf(pdf: Any, name: str | None) -> Document:
    made_as(name, [".pdf"], type(pdf).__name__)
    if not pdf.pages:
        raise DocumentError(_("This PDF has no page yet."), hint=_("Call add_page() and write something on it."))
    # output() closes an FPDF for good; the user may want to write more.
    try:
        snapshot = copy.deepcopy(pdf)
        # fpdf2 shares the fonts between copies, and output() leaves only the letters in them that it needed.
        for font in snapshot.fonts.values():
            if hasattr(font, "ttfont"):
                font.ttfont = copy.deepcopy(font.ttfont)
    except Exception as exc:
        raise DocumentError(
            _("This {type} cannot be copied: {reason}.").format(type=type(pdf).__name__, reason=str(exc).rstrip(".")),
            hint=_("Give its content: bytes(pdf.output())."),
        ) from exc
    try:
        content = bytes(snapshot.output())
    except Exception as exc:
        raise DocumentError(
            _("fpdf2 cannot finish this PDF: {reason}.").format(reason=str(exc).rstrip(".")),
            hint=_("Correct that; run pdf.output() by itself to see where it comes from."),
        ) from exc
    return _from_bytes(content, _ending_in(".pdf", _titled(pdf, "document") if name is None else name))


def _titled(source: Any, otherwise: str = "") -> str:
    """Return a file name from the title of what is made into a file; without one, what it is."""
    title = source.path.stem if isinstance(source, Notebook) else getattr(source, "title", None)
    if drawn := chart_kind(source):
        otherwise = "picture" if drawn == "PIL" else "chart"
    elif not otherwise:
        otherwise = "figure" if hasattr(source, "savefig") else "report" if hasattr(source, "pdf") else "table"
    if otherwise == "figure":
        titles = [source.get_suptitle(), *(each.get_title(loc) for each in source.axes for loc in _PLACES)]
        title = " ".join(next(filter(str.strip, titles), "").split())
    if drawn:
        from docmail.reports import chart_caption

        title = chart_caption(source)
    title = (title if isinstance(title, str) else "").strip()[:_MAX_TITLE].strip(" .") or otherwise
    title = "".join("_" if character in '/\\:*?"<>|' or first_control(character) else character for character in title)
    return title.removesuffix(".pdf")


def _ending_in(ending: str, name: Any) -> str:
    name = _checked_name(name)
    return name if name.lower().endswith(ending) else f"{name}{ending}"


def _locked(document: Document, password: Any) -> Document:
    """Return a PDF that opens with this password only."""
    if not isinstance(password, Secret):
        raise DocumentError(
            _("The {field} must be text, not {type}.").format(field="password", type=type(password).__name__),
            hint=_("Write str(...) around it."),
            field=Field.PASSWORD,
        )
    if not document.is_pdf:
        raise DocumentError(
            _("{name} cannot be locked with a password: only a PDF can.").format(name=document.name),
            hint=_("Leave out password=, or make it a PDF."),
            field=Field.PASSWORD,
        )
    return _from_bytes(locked(document.read(), password, document.name), document.name)


def _not_a_document(source: object) -> DocumentError:
    kind = type(source).__name__
    if isinstance(source, str):
        text = source if source and len(source) <= 80 and source.isprintable() else "report.pdf"  # noqa: PLR2004
        return DocumentError(
            _("A text is not a document; docmail does not guess whether it names a file."),
            # JSON writes a text as Python does, always in double quotes.
            hint=_("If it is the path of a file, write Path({name}) (from pathlib import Path).").format(
                name=json.dumps(text, ensure_ascii=False)
            ),
        )
    corrections = {
        "Figure": _('Save it first as a PDF, then Path("figure.pdf").'),
        "Axes": _("Give its figure: axes.figure."),
        "DataFrame": _('Save it first: df.to_csv("table.csv"), then Path("table.csv").'),
        "Styler": _("Put it into the text, body=[...], or give its data: styler.data."),
        "GT": _("Put it into the text, body=[...], or give its DataFrame."),
        "NoneType": _('pdf.output("report.pdf") returns nothing: give the pdf itself, or Path("report.pdf").'),
        "BytesIO": _('Give its content: Document.of(buffer.getvalue(), name="report.pdf").'),
        "BufferedReader": _(
            'Give its path, Path("report.pdf"), or its content: Document.of(file.read(), name="report.pdf").'
        ),
    }
    return DocumentError(
        _("A {type} cannot be attached.").format(type=kind),
        hint=corrections.get(kind, _('Give an FPDF object, a DataFrame, a figure, a Path("report.pdf"), or bytes.')),
    )


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise DocumentError(
            _("A file name must be text, not {type}.").format(type=type(name).__name__),
            hint=_('Write it in quotes: name="Q3.pdf".'),
        )
    stripped: str = name.strip()
    wrong = None
    if control := first_control(stripped):
        wrong = _("contains the invisible character {code}").format(code=control)
    elif "/" in stripped or "\\" in stripped:
        wrong = _("contains a path separator")
    elif stripped in {"", ".", ".."}:
        wrong = _("is missing")
    elif len(stripped.encode()) > _MAX_NAME:
        wrong = _("is longer than {limit} bytes").format(limit=_MAX_NAME)
    if wrong:
        raise DocumentError(
            _("The document's file name {wrong}.").format(wrong=wrong),
            hint=_("Give a plain file name, such as name={example}.").format(example='"Q3.pdf"'),
        )
    return stripped


def _checked(document: Document, head: bytes, tail: bytes) -> Document:
    """Return the document with its media type, once its content has been found whole."""
    if not document.size:
        raise DocumentError(
            _("The document {name} is empty.").format(name=document.name), hint=_("Make it again, with content.")
        )
    # A text that mentions PDF is a text, if its name says so.
    is_pdf = head.lstrip(_FILLING + codecs.BOM_UTF8).startswith(b"%PDF-") or (
        _begins_pdf(head) and ending_of(document.name) in _PDF_ENDINGS
    )
    if not is_pdf:
        if not document.name.lower().endswith(".pdf"):
            return _named(document, is_pdf=False)
        raise DocumentError(
            _("{name} is not a PDF, although its name says so.").format(name=document.name),
            hint=_("Check how it was made, or correct the ending of its name."),
        )
    _whole, mark, rest = tail.rpartition(b"%%EOF")
    # Objects after the last mark were to have a mark of their own: a revision, or all but the first page.
    if not mark or re.search(rb"\d\s+\d+\s+obj\b", rest):
        raise DocumentError(
            _("The PDF {name} is cut off: its end is missing.").format(name=document.name),
            hint=_("Make it again."),
        )
    if not re.search(rb"/Type\s*/Page\b", tail) and _page_count(document.source) == 0:
        raise DocumentError(
            _("The PDF {name} has no pages.").format(name=document.name), hint=_("Make it again, with a page.")
        )
    return _named(document, is_pdf=True)


def _page_count(pdf: bytes | Path) -> int | None:
    """Return the number of pages of a PDF; None if it is damaged, or locked by a password."""
    # By pdfium's own functions: to those of pypdfium2, a PDF without pages is one that cannot be opened for any reason.
    from pypdfium2 import raw

    with one_at_a_time:
        if isinstance(pdf, bytes):
            opened = raw.FPDF_LoadMemDocument64(pdf, len(pdf), None)
        else:
            opened = raw.FPDF_LoadDocument(str(pdf).encode("utf-8", "surrogateescape") + b"\0", None)
        if not opened:
            return None
        try:
            return int(raw.FPDF_GetPageCount(opened))
        finally:
            raw.FPDF_CloseDocument(opened)


def _named(document: Document, *, is_pdf: bool) -> Document:
    """Return the document with the media type that its name stands for; a PDF without an ending gets one."""
    if is_pdf and ending_of(document.name) not in _PDF_ENDINGS:
        raise DocumentError(
            _("{name} is a PDF, although its name says otherwise.").format(name=document.name),
            hint=_("Let its name end in .pdf."),
        )
    name = f"{document.name}.pdf" if is_pdf and not _HAS_ENDING.search(document.name) else document.name
    return replace(document, name=name, media_type=PDF if name.lower().endswith(".pdf") else _media_type(name))


def _begins_pdf(head: bytes) -> bool:
    return b"%PDF-" in head


def _media_type(name: str) -> str:
    guessed: str | None
    guessed, encoding = mimetypes.guess_type(name)
    # "report.tar.gz" is a gzip file for its recipient; compression is no media type (RFC 2045).
    return guessed if guessed and not encoding else "application/octet-stream"


def _shown(path: Path | Iterable[str]) -> str:
    return "".join("·" if first_control(character) else character for character in str(path))


def _unreadable(path: Path, exc: Exception) -> DocumentError:
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return DocumentError(
        _("The file {path} cannot be read: {reason}.").format(path=_shown(path), reason=reason),
        hint=_("Check the path, and that the file is there."),
    )
