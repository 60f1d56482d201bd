"""A document is a whole file under a plain name, as it was when it was made; anything else is refused with a hint."""

from __future__ import annotations

import io
import itertools
import os
import threading
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pypdf
import pypdfium2
import pytest
from fpdf import FPDF
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from docmail.addresses import first_control
from docmail.documents import Document, documents_of
from docmail.errors import DocumentError

FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


def fpdf(text: str = "Q3", pages: int = 1, title: str = "") -> FPDF:
    pdf = FPDF()
    pdf.set_font("helvetica")
    for _page in range(pages):
        pdf.add_page()
        pdf.cell(text=text)
    if title:
        pdf.set_title(title)
    return pdf


PDF = bytes(fpdf().output())


def text_of(document: Document) -> str:
    opened = pypdfium2.PdfDocument(document.read())
    try:
        return str(opened[0].get_textpage().get_text_bounded())
    finally:
        opened.close()


# --- where it comes from ---


def test_an_fpdf_becomes_a_pdf_named_after_its_title() -> None:
    document = Document.of(fpdf(title="Quarter 3"))
    assert (document.name, document.media_type, document.pages) == ("Quarter 3.pdf", "application/pdf", 1)
    assert document.size == len(document.read())
    assert Document.of(fpdf()).name == "document.pdf"
    assert Document.of(fpdf(), name="Q3").name == Document.of(fpdf(), name="Q3.pdf").name == "Q3.pdf"
    assert Document.of(fpdf(), name="Q3.2026").name == "Q3.2026.pdf"


def test_an_fpdf_can_go_on_being_written_after_its_snapshot() -> None:
    pdf = fpdf()
    first = Document.of(pdf)
    pdf.add_page()
    pdf.cell(text="more")
    second = Document.of(pdf)
    assert (first.pages, second.pages) == (1, 2)
    assert len(bytes(pdf.output())) > first.size


def test_an_fpdf_that_was_output_already_still_serves() -> None:
    pdf = fpdf()
    content = bytes(pdf.output())
    assert Document.of(pdf).read() == content


@pytest.mark.skipif(not FONT.exists(), reason="needs the fonts-dejavu-core package")
def test_so_does_one_with_a_truetype_font_which_output_has_closed() -> None:
    pdf = FPDF()
    pdf.add_font("DejaVu", fname=str(FONT))
    pdf.set_font("DejaVu")
    pdf.add_page()
    pdf.cell(text="Żółć")
    content = bytes(pdf.output())
    assert Document.of(pdf).read() == content


@pytest.mark.skipif(not FONT.exists(), reason="needs the fonts-dejavu-core package")
# fpdf2 before 2.8.4 leaves closing the font's file to the garbage collection.
@pytest.mark.filterwarnings("ignore:unclosed file .*DejaVu:ResourceWarning")
def test_a_snapshot_with_a_truetype_font_is_quick_and_whole() -> None:
    pdf = FPDF()
    pdf.add_font("DejaVu", fname=str(FONT))
    pdf.set_font("DejaVu")
    pdf.add_page()
    pdf.cell(text="Żółć")
    started = time.perf_counter()
    first = Document.of(pdf)
    assert time.perf_counter() - started < 5
    pdf.cell(text="Ωμέγα")
    second = Document.of(pdf)
    assert "Żółć" in text_of(first)
    assert "Ωμέγα" not in text_of(first)
    assert "Ωμέγα" in text_of(second)
    assert bytes(pdf.output())[:200] == second.read()[:200]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("a/b\\c:d", "a_b_c_d.pdf"),
        ("line\nbreak\u202e", "line_break_.pdf"),
        ("   ", "document.pdf"),
        ("..", "document.pdf"),
        ("report.pdf", "report.pdf"),
        ("Ω" * 300, "Ω" * 60 + ".pdf"),
    ],
)
def test_any_title_gives_a_usable_file_name(title: str, name: str) -> None:
    pdf = fpdf()
    pdf.title = title
    assert Document.of(pdf).name == name


def test_an_fpdf_without_a_page_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"no page yet\. Call add_page\(\)"):
        Document.of(FPDF())


def test_an_fpdf_that_cannot_be_copied_or_finished_is_refused_with_the_reason() -> None:
    pdf: Any = fpdf()
    pdf.lock = threading.Lock()
    with pytest.raises(DocumentError, match=r"cannot be copied: .*lock.* Give its content: bytes\(pdf\.output\(\)\)"):
        Document.of(pdf)

    class Unfinished(FPDF):
        def footer(self) -> None:
            message = "no logo"
            raise RuntimeError(message)

    broken = Unfinished()
    broken.add_page()
    with pytest.raises(DocumentError, match="cannot finish this PDF: no logo"):
        Document.of(broken)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_content_and_copied(kind: Any) -> None:
    given_bytes = kind(PDF)
    document = Document.of(given_bytes)
    if isinstance(given_bytes, bytearray):
        given_bytes[:4] = b"oops"
    assert (document.name, document.read(), document.pages) == ("document.pdf", PDF, 1)


def test_bytes_that_are_no_pdf_need_a_name() -> None:
    with pytest.raises(DocumentError, match=r'Document\.of\(data, name="table\.csv"\)'):
        Document.of(b"a;b\n1;2\n")
    table = Document.of(b"a;b\n1;2\n", name="table.csv")
    assert (table.media_type, table.is_pdf, table.pages) == ("text/csv", False, None)


def test_a_path_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Übersicht Q3.pdf").write_bytes(PDF)
    monkeypatch.chdir(tmp_path)
    document = Document.of(Path("Übersicht Q3.pdf"))
    monkeypatch.chdir("/")
    assert (document.name, document.read(), document.size, document.pages) == ("Übersicht Q3.pdf", PDF, len(PDF), 1)
    (tmp_path / "link.pdf").symlink_to("Übersicht Q3.pdf")
    assert Document.of(tmp_path / "link.pdf").name == "link.pdf"
    (tmp_path / "scan").write_bytes(PDF)
    assert Document.of(tmp_path / "scan").name == "scan.pdf"


def test_a_document_can_be_renamed() -> None:
    document = Document.of(PDF)
    assert Document.of(document) is document
    assert Document.of(document, name="Q3").name == "Q3.pdf"
    with pytest.raises(DocumentError):
        Document.of(document, name="a/b.pdf")
    assert Document.of(Document.of(b"a", name="a.txt"), name="a.csv").media_type == "text/csv"


def test_one_document_or_a_list_of_them() -> None:
    assert [document.name for document in documents_of([PDF, Document.of(b"a", name="a.txt")])] == [
        "document.pdf",
        "a.txt",
    ]
    assert len(documents_of(PDF)) == 1
    assert documents_of(()) == ()


# --- what is refused ---


def test_a_text_is_corrected_to_a_path() -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of("report.pdf")
    assert 'Path("report.pdf")' in str(caught.value)


@given(st.text())
@example('a"b.pdf')
@example("C:\\new\\table.pdf")
@example("\u202epdf.exe")
@example("")
def test_the_corrected_line_is_python_whatever_the_text_was(text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of(text)
    line = caught.value.hint.removeprefix("If it is the path of a file, write ").removesuffix(
        " (from pathlib import Path)."
    )
    assert eval(line) in {Path(text), Path("report.pdf")}  # noqa: S307 - that it is Python is the point
    assert first_control(str(caught.value)) is None


@pytest.mark.parametrize(
    "content",
    [
        PDF + b"\0" * 5000,
        PDF + b"\0" * 200_000,
        PDF + b"\r\n \x1a\n" * 1000,
        PDF + b"<html><object>" + b"An error of the server. " * 200,
        PDF + b"\x1b%-12345X@PJL EOJ\r\n",
        b"\xef\xbb\xbf\r\n" + PDF,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n" + PDF,
    ],
    ids=range(7),
)
def test_a_pdf_with_foreign_matter_around_it_is_whole(content: bytes, tmp_path: Path) -> None:
    """Readers open it; docmail called it cut off."""
    path = tmp_path / "report.pdf"
    path.write_bytes(content)
    for document in (Document.of(content, name="report.pdf"), Document.of(path)):
        assert (document.media_type, document.pages) == ("application/pdf", 1)
        assert document.read() == content


@pytest.mark.parametrize("cut", [1, 20, len(PDF) // 2], ids=["the last sign", "the end", "half"])
def test_a_pdf_that_was_cut_off_and_filled_up_is_refused(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    content = PDF.rstrip()[:-cut] + b"\0" * 100_000
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(DocumentError, match="is cut off"):
            Document.of(source, name="report.pdf")


def test_a_pdf_without_pages_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    pypdf.PdfWriter().write(file)
    path = tmp_path / "empty.pdf"
    path.write_bytes(file.getvalue())
    for source in (file.getvalue(), path):
        with pytest.raises(DocumentError, match=r"The PDF empty\.pdf has no pages"):
            Document.of(source, name="empty.pdf")


class Figure:
    """Stands in for that of another library than matplotlib."""


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (None, 'Path("report.pdf")'),
        (Figure(), "Save it first as a PDF"),
        (io.BytesIO(PDF), "buffer.getvalue()"),
        (5, "bytes"),
        (float("nan"), "bytes"),
        (PurePosixPath("a.pdf"), 'Path("report.pdf")'),
        (FPDF, "FPDF object"),
        (object(), "FPDF object"),
        ({"a": 1}, "FPDF object"),
        ([PDF], "FPDF object"),
        (itertools.count(), "FPDF object"),
    ],
)
def test_anything_else_is_refused_with_a_line_that_works(source: Any, line: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of(source)
    assert "cannot be attached" in str(caught.value)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "No such file"),  # noqa: ARG005
        (lambda path: path.mkdir(), "is not a file. Give the path of a single file"),
        (os.mkfifo, "is not a file"),
        (lambda path: path.symlink_to("nowhere"), "No such file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_bytes(b"<html>"), "is not a PDF, although its name says so"),
        (lambda path: path.write_bytes(PDF[:-20]), "is cut off"),
    ],
)
def test_a_path_to_anything_but_a_whole_file_is_refused(make: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    make(path)
    with pytest.raises(DocumentError) as caught:
        Document.of(path)
    assert words in str(caught.value)
    assert "report.pdf" in str(caught.value)
    assert str(caught.value).count("cannot be read") <= 1


@pytest.mark.parametrize("path", ["a\x00b.pdf", "a\ud800.pdf", "x" * 5000, "~nobody-at-all/a.pdf", "", "\u202ea.pdf"])
def test_a_path_that_cannot_exist_is_refused(path: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of(Path(path))
    assert first_control(str(caught.value)) is None


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    path.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(DocumentError, match="Permission denied"):
            Document.of(path)
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_is_gone_does_not_hide_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(DocumentError, match="cannot be read"):
        Document.of(Path("report.pdf"))


@pytest.mark.parametrize("change", ["longer", "same size", "removed"])
def test_a_file_that_changed_since_is_not_sent(change: str, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(PDF)
    document = Document.of(path)
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(PDF + b"\n" if change == "longer" else PDF)
        os.utime(path, ns=(1, document.changed + 1))  # type: ignore[operator] # a clock may stand still between two writes
    with pytest.raises(DocumentError, match=r"has changed|No such file"):
        document.open()
    with pytest.raises(DocumentError):
        document.read()


@given(st.integers(0, len(PDF) - 1))
@hypothesis_settings(max_examples=200)
def test_a_pdf_cut_anywhere_is_refused(length: int) -> None:
    cut = PDF[:length]
    if b"%%EOF" in cut:  # only a line end is missing
        assert Document.of(cut, name="Q3.pdf").pages == 1
    else:
        with pytest.raises(DocumentError):
            Document.of(cut, name="Q3.pdf")


def test_a_second_revision_that_is_cut_off_is_noticed() -> None:
    revision = b"\n9 0 obj\n<< /Type /Annot >>\nendobj\nxref\n0 1\ntrailer\n<< >>\nstartxref\n5\n%%EOF\n"
    assert Document.of(PDF + revision).is_pdf
    with pytest.raises(DocumentError, match="cut off"):
        Document.of(PDF + revision[:40])


def test_foreign_matter_around_a_pdf_is_tolerated_as_readers_do() -> None:
    assert Document.of(b"\r\n\r\n" + PDF + b"\x00" * 500).is_pdf


@pytest.mark.parametrize("content", [b"", bytearray()])
def test_empty_content_is_refused(content: Any) -> None:
    for name in (None, "Q3.pdf", "table.csv"):
        with pytest.raises(DocumentError, match="is empty"):
            Document.of(content, name=name)


def test_a_pdf_that_pdfium_cannot_open_has_no_number_of_pages() -> None:
    assert Document.of(b"%PDF-1.4\nnonsense\n%%EOF").pages is None
    locked = fpdf()
    locked.set_encryption("owner", "user")
    assert Document.of(locked).pages is None


# --- names ---


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a/b.pdf", "path separator"),
        ("..\\b.pdf", "path separator"),
        ("", "is missing"),
        (" ", "is missing"),
        (".", "is missing"),
        ("..", "is missing"),
        ("a\r\nb.pdf", r"U\+000D"),
        ("a\x00.pdf", r"U\+0000"),
        ("a\x7f.pdf", r"U\+007F"),
        ("fdp\u202e.exe", r"U\+202E"),
        ("a\ud800.pdf", r"U\+D800"),
        ("a\u2028.pdf", r"U\+2028"),
        ("ä" * 126 + ".pdf", "longer than 255 bytes"),
        (5, "must be text, not int"),
        (Path("a.pdf"), "must be text, not PosixPath"),
        (b"a.pdf", "must be text, not bytes"),
    ],
)
@pytest.mark.parametrize("source", [PDF, fpdf(), Document.of(PDF)], ids=["bytes", "FPDF", "Document"])
def test_a_file_name_is_a_plain_name(source: Any, name: Any, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        Document.of(source, name=name)


@pytest.mark.parametrize(
    "name", ["Q3.pdf", "Über sicht (1).pdf", "con.pdf", "a;b=c, 'd' \"e\".pdf", "日本語.pdf", "👩‍👩‍👧.PDF", ".pdf"]
)
def test_any_other_name_is_kept(name: str) -> None:
    document = Document.of(PDF, name=name)
    assert (document.name, document.is_pdf) == (name, True)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.csv", "text/csv"),
        ("a.tar.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.png", "image/png"),
    ],
)
def test_the_media_type_follows_the_name(name: str, media_type: str) -> None:
    assert Document.of(b"x", name=name).media_type == media_type


@given(st.text(max_size=300), st.sampled_from([PDF, b"x", b""]))
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_name_gives_a_document_or_a_sentence(name: str, content: bytes) -> None:
    try:
        document = Document.of(content, name=name)
    except DocumentError as exc:
        assert first_control(str(exc)) is None  # noqa: PT017 - either end is right
    else:
        assert document.read() == content
        assert first_control(document.name) is None


def test_a_pdf_under_the_name_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Its recipient's program could not open it."""
    path = tmp_path / "table.xls"
    path.write_bytes(PDF)
    for source, name in ((PDF, "table.xls"), (path, None), (Document.of(PDF), "table.xls")):
        with pytest.raises(DocumentError, match=r"table\.xls is a PDF, although its name says otherwise") as caught:
            Document.of(source, name=name)
        assert "end in .pdf" in str(caught.value.hint)
    assert Document.of(PDF, name="drawing.ai").name == "drawing.ai"


def test_a_text_that_mentions_pdf_is_a_text() -> None:
    assert Document.of(b"A PDF begins with %PDF-1.7.", name="notes.txt").media_type == "text/plain"


def test_a_repr_is_short_and_holds_no_content() -> None:
    assert repr(Document.of(b"x" * 20_000, name="a.txt")) == "<Document a.txt, 20,000 bytes>"


def test_what_cannot_be_attached_names_the_argument() -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of(b"")
    assert caught.value.field == "documents"
