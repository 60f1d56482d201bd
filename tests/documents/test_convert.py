"""What a notebook has becomes a file under the name that was given; a password opens it and is kept nowhere."""

from __future__ import annotations

import io
import json
import pickle
import re
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import openpyxl
import pandas as pd
import polars as pl
import pypdf
import pypdfium2
import pytest
from fpdf import FPDF
from matplotlib.figure import Figure
from PIL import Image

from docmail.documents import Document
from docmail.errors import DocumentError
from docmail.look import Look
from docmail.message import Message
from docmail.reports import Report
from docmail.widgets.document.page_images import first_page
from tests.message.test_message import ME

if TYPE_CHECKING:
    from pathlib import Path

FRAME = pd.DataFrame({"Name": ["Ünal", "=1+1"], "Amount": [1.5, 2.0]})
PDF = Report("Q3").text("secret words").pdf()
PASSWORD = "Geburtstag 1970"


def figure() -> Figure:
    made = Figure()
    made.subplots().plot([1, 3, 2])
    return made


@pytest.mark.parametrize(
    ("source", "name", "expected", "media_type"),
    [
        (FRAME, None, "table.pdf", "application/pdf"),
        (FRAME["Name"], None, "table.pdf", "application/pdf"),
        (FRAME, "Q3", "Q3.pdf", "application/pdf"),
        (FRAME, "Q3.2026", "Q3.2026.pdf", "application/pdf"),
        (FRAME, "Q3.PDF", "Q3.PDF", "application/pdf"),
        (FRAME, "Q3.csv", "Q3.csv", "text/csv"),
        (pl.DataFrame({"a": [1]}), "Q3.csv", "Q3.csv", "text/csv"),
        (pl.DataFrame({"a": [1]}), None, "table.pdf", "application/pdf"),
        (figure(), None, "figure.pdf", "application/pdf"),
        (figure(), "curve.png", "curve.png", "image/png"),
        (figure(), "curve.svg", "curve.svg", "image/svg+xml"),
        (Report("Q3/2026"), None, "Q3_2026.pdf", "application/pdf"),
        (Report(), "x", "x.pdf", "application/pdf"),
        (Report(), None, "report.pdf", "application/pdf"),
    ],
    ids=lambda value: str(value)[:20].replace("\n", " "),
)
def test_the_name_decides_what_it_becomes(source: Any, name: str | None, expected: str, media_type: str) -> None:
    document = Document.of(source, name=name)
    assert (document.name, document.media_type) == (expected, media_type)
    assert document.pages == (1 if media_type == "application/pdf" else None)
    assert document.read() == Document.of(document).read()


@pytest.mark.parametrize(
    ("source", "name", "others"),
    [
        (FRAME, "t.xls", ".pdf, .csv, .xlsx"),
        (FRAME, "t.parquet", ".pdf, .csv, .xlsx"),
        (pl.DataFrame({"a": [1]}), "t.json", ".pdf, .csv, .xlsx"),
        (FRAME["Name"], "t.csv.gz", ".pdf, .csv, .xlsx"),
        (figure(), "f.gif", ".pdf, .png, .svg, .jpg, .jpeg"),
        (Report("Q3"), "r.docx", ".pdf"),
        (FPDF, "r.docx", ".pdf"),
    ],
    ids=lambda value: str(value)[:20].replace("\n", " "),
)
def test_an_ending_that_docmail_does_not_make_is_refused(source: Any, name: str, others: str) -> None:
    """A table for Excel 2003 went out as “t.xls.pdf”."""
    source = fpdf() if source is FPDF else source
    with pytest.raises(DocumentError, match=re.escape(name)) as caught:
        Document.of(source, name=name)
    assert others in caught.value.hint


@pytest.mark.parametrize("name", ["v1.2 summary", "Sales 2026.11", "Dr. Smith & Co.", "Q3.final", "Sales.Q3"])
def test_a_dot_in_a_name_asks_for_no_kind_of_file(name: str) -> None:
    for source in (FRAME, figure(), Report("x"), fpdf()):
        assert Document.of(source, name=name).name == f"{name}.pdf"


def test_a_name_with_a_version_in_it_is_a_pdf_of_any_maker(tmp_path: Path) -> None:
    path = tmp_path / "v1.2 summary"
    path.write_bytes(PDF)
    for document in (Document.of(PDF, name="v1.2 summary"), Document.of(path)):
        assert (document.name, document.media_type) == ("v1.2 summary.pdf", "application/pdf")


def test_a_figure_is_named_after_its_title() -> None:
    made = Figure()
    axes = made.subplots()
    axes.set_title("Growth\nby region", loc="left")
    assert Document.of(made).name == "Growth by region.pdf"
    made.suptitle("Q3: growth")
    assert Document.of(made).name == "Q3_ growth.pdf"
    assert Document.of(made, name="x.png").name == "x.png"
    assert Document.of(Figure()).name == "figure.pdf"


@pytest.mark.parametrize("name", ["x.pdf", "x.png", "x.jpg"])
def test_what_a_notebook_shows_outside_a_figure_is_in_the_file(name: str) -> None:
    def made(*, outside: bool) -> Figure:
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot([1, 3, 2], label="a long label beside the axes")
        if outside:
            axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1))
            axes.set_xticks([0, 1, 2], ["January of the year", "February of the year", "March"], rotation=90)
            figure.suptitle("Above", y=1.1)
        return figure

    def size(document: Document) -> tuple[float, float]:
        if not document.is_pdf:
            width, height = Image.open(io.BytesIO(document.read())).size
            return width / 100, height / 100
        opened = pypdfium2.PdfDocument(document.read())
        width, height = opened[0].get_size()
        opened.close()
        return width / 72, height / 72

    assert size(Document.of(made(outside=False), name=name)) == pytest.approx((4, 3), abs=0.02)
    width, height = size(Document.of(made(outside=True), name=name))
    assert width > 5
    assert height > 4


def test_a_table_has_its_name_as_its_title() -> None:
    document = Document.of(FRAME, name="Sales 2026.pdf")
    assert pypdf.PdfReader(io.BytesIO(document.read())).metadata.title == "Sales 2026"  # type: ignore[union-attr]


def test_a_table_is_written_with_the_signs_of_a_language() -> None:
    """Only for people: the numbers of data files stay numbers."""
    frame = pd.DataFrame({"Amount": [1234.5, 2.25]})
    document = Document.of(frame, name="Sales.pdf", locale="de")
    assert "1.234,50" in pypdf.PdfReader(io.BytesIO(document.read())).pages[0].extract_text()
    locked = Document.of(frame, locale="de", password=PASSWORD)
    assert "2,25" in pypdf.PdfReader(io.BytesIO(locked.read()), password=PASSWORD).pages[0].extract_text()
    for name in ("a.csv", "a.xlsx"):
        data = Document.of(frame, name=name, locale="de").read()
        read = pd.read_csv(io.BytesIO(data)) if name == "a.csv" else pd.read_excel(io.BytesIO(data))
        assert read.equals(frame)
    for other in (PDF, figure(), Report("Q3")):
        with pytest.raises(DocumentError, match="locale= is for a table"):
            Document.of(other, locale="de")


def test_a_table_can_be_sent_as_data(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pd.read_csv(io.BytesIO(Document.of(FRAME, name="a.csv").read())).equals(FRAME)
    indexed = FRAME.set_index("Name")
    assert pd.read_csv(io.BytesIO(Document.of(indexed, name="a.csv").read()), index_col=0).equals(indexed)
    sheet = openpyxl.load_workbook(io.BytesIO(Document.of(FRAME, name="a.xlsx").read())).active
    assert [[cell.value for cell in row] for row in sheet] == [["Name", "Amount"], ["Ünal", 1.5], ["=1+1", 2]]
    zoned = pd.DataFrame({"when": pd.to_datetime(["2026-01-01"], utc=True)})
    with pytest.raises(DocumentError, match=r"cannot be written as \.xlsx: Excel does not support"):
        Document.of(zoned, name="a.xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(Document.of(pl.DataFrame({"a": [1]}), name="a.xlsx").read())).active
    assert [[cell.value for cell in row] for row in sheet] == [["a"], [1]]
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DocumentError, match=r"Install what it names, or choose a name that ends in \.csv"):
        Document.of(FRAME, name="a.xlsx")


def test_a_figure_that_was_closed_is_as_good_as_an_open_one() -> None:
    made, axes = plt.subplots()
    axes.set_title("Curve")
    plt.close(made)
    opened = pypdfium2.PdfDocument(Document.of(made).read())
    assert "Curve" in opened[0].get_textpage().get_text_bounded()
    opened.close()


def test_an_axes_is_refused_with_the_way_to_its_figure() -> None:
    with pytest.raises(DocumentError, match=r"Give its figure: axes\.figure"):
        Document.of(figure().axes[0])


# --- locked with a password ---


def fpdf() -> FPDF:
    pdf = FPDF()
    pdf.set_font("helvetica")
    pdf.add_page()
    pdf.cell(text="secret words")
    return pdf


@pytest.mark.parametrize(
    "source", [fpdf(), PDF, Report("Q3").text("secret words"), "path"], ids=lambda each: type(each).__name__
)
def test_any_pdf_can_be_locked_and_opens_with_its_password_only(source: Any, tmp_path: Path) -> None:
    if source == "path":
        source = tmp_path / "payslip.pdf"
        source.write_bytes(PDF)
    document = Document.of(source, password=PASSWORD)
    content = document.read()
    assert b"secret words" not in content
    assert re.search(rb"/CFM\s*/AESV3", content)
    assert document.pages is None
    assert first_page(document) is None
    for wrong in ("", "geburtstag 1970"):
        with pytest.raises(pypdfium2.PdfiumError):
            pypdfium2.PdfDocument(content, password=wrong)
    opened = pypdfium2.PdfDocument(content, password=PASSWORD)
    assert "secret words" in opened[0].get_textpage().get_text_bounded()
    opened.close()


def test_the_password_is_kept_nowhere() -> None:
    document = Document.of(PDF, password=PASSWORD)
    for kept in (repr(document).encode(), pickle.dumps(document), document.read()):
        assert PASSWORD.encode() not in kept
        assert PASSWORD.encode("utf-16-le") not in kept


@pytest.mark.parametrize("source", [b"%PDF-1.4\nnonsense\n%%EOF", PDF], ids=["damaged", "whole"])
def test_an_error_does_not_show_the_password_in_any_variable_of_a_traceback(source: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of(source, password=PASSWORD * 20)
    error: BaseException | None = caught.value
    seen = 0
    while error is not None:
        for frame, _line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                seen += 1
                assert PASSWORD not in repr(frame.f_locals)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert seen > 1


@pytest.mark.parametrize(
    ("source", "name", "password", "words"),
    [
        (PDF, None, "", "must have 1 to 127 letters"),
        (PDF, None, "ü" * 64, "must have 1 to 127 letters"),
        (PDF, None, "1970-01-31\n", "The password contains the invisible character U+000A"),
        (PDF, None, 1970, "The password must be text, not int"),
        (b"a;b", "a.csv", PASSWORD, "a.csv cannot be locked with a password: only a PDF can"),
        (Document.of(PDF, password="x"), None, PASSWORD, "is locked by a password already"),
        (b"%PDF-1.4\nnonsense\n%%EOF", None, PASSWORD, "cannot be locked"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_locked_is_refused_in_a_sentence(source: Any, name: Any, password: Any, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of(source, name=name, password=password)
    assert words in str(caught.value)


# --- large files ---

LARGE = """
import json, re, sys
from pathlib import Path
from docmail.documents import Document
from docmail.message import Message
from docmail.settings import Settings, SmtpServer
from docmail.widgets.document.page_images import first_page
import docmail.message.body, mistune, pypdfium2, PIL.PngImagePlugin
def megabytes(line):
    return int(re.search(line + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1000
Path("/proc/self/clear_refs").write_text("5")
before = megabytes("VmRSS")
document = Document.of(Path(sys.argv[1]))
mail = Message("a@example.com", "Q3", "Attached", document).render(Settings("a@example.com", SmtpServer("x.example")))
sent = sum(map(len, mail.wire()))
print(json.dumps([document.pages, len(first_page(document) or b""), sent == mail.size, megabytes("VmHWM") - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process as Linux shows it")
def test_a_file_of_100_mb_is_shown_and_sent_without_being_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.pdf"
    start = PDF.rindex(b"xref\n0")
    with path.open("wb") as file:
        file.write(PDF[:start])
        file.write(b"%")  # a comment
        file.seek(100_000_000, io.SEEK_CUR)
        moved = file.tell() + 1
        file.write(b"\n" + re.sub(rb"startxref\n\d+", b"startxref\n%d" % moved, PDF[start:]))
    done = subprocess.run([sys.executable, "-c", LARGE, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages, picture, whole, memory = json.loads(done.stdout)
    assert (pages, whole) == (1, True)
    assert picture > 500
    assert memory < 40


def test_a_document_of_a_table_is_sent_like_any_other() -> None:
    mail = Message("a@example.com", "Q3", "", [FRAME, figure(), Report("Q3")]).render(ME)
    assert [attachment.name for attachment in mail.attachments] == ["table.pdf", "figure.pdf", "Q3.pdf"]


# --- signed, certified, protected ---


def changed(change: Any) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(PDF))
    change(writer)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def sign(writer: pypdf.PdfWriter) -> None:
    signature = pypdf.generic.DictionaryObject(
        {
            pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/Sig"),
            pypdf.generic.NameObject("/ByteRange"): pypdf.generic.ArrayObject(
                [pypdf.generic.NumberObject(number) for number in (0, 1, 2, 3)]
            ),
        }
    )
    writer.root_object[pypdf.generic.NameObject("/X")] = writer._add_object(signature)


def certify(writer: pypdf.PdfWriter) -> None:
    permissions = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/DocMDP"): pypdf.generic.NullObject()})
    writer.root_object[pypdf.generic.NameObject("/Perms")] = permissions


def signed_field(writer: pypdf.PdfWriter) -> None:
    name = pypdf.generic.NameObject
    field = pypdf.generic.DictionaryObject(
        {
            name("/FT"): name("/Sig"),
            name("/T"): pypdf.generic.TextStringObject("Signature"),
            name("/V"): pypdf.generic.DictionaryObject({name("/Type"): name("/Sig")}),
        }
    )
    form = pypdf.generic.DictionaryObject({name("/Fields"): pypdf.generic.ArrayObject([writer._add_object(field)])})
    writer.root_object[name("/AcroForm")] = form


@pytest.mark.parametrize("change", [sign, certify, signed_field])
def test_a_signed_pdf_is_not_locked_because_that_would_break_its_signature(change: Any) -> None:
    with pytest.raises(DocumentError, match="is signed or certified") as caught:
        Document.of(changed(change), name="contract.pdf", password=PASSWORD)
    assert caught.value.field == "password"
    assert PASSWORD not in str(caught.value)
    assert Document.of(changed(change), name="contract.pdf").pages == 1


def test_a_pdf_that_only_its_owner_protects_opens_without_a_password_and_can_be_locked() -> None:
    """It was called locked by a password, though everybody could read it."""
    from pypdf.constants import UserAccessPermissions

    printing = UserAccessPermissions.PRINT
    protected = changed(lambda writer: writer.encrypt("", "owner", permissions_flag=printing, algorithm="AES-256"))
    assert Document.of(protected, name="a.pdf").pages == 1
    document = Document.of(protected, name="a.pdf", password=PASSWORD)
    assert document.pages is None
    reader = pypdf.PdfReader(io.BytesIO(document.read()), password=PASSWORD)
    assert "secret words" in reader.pages[0].extract_text()
    assert reader.user_access_permissions == printing
    with pytest.raises(DocumentError, match="is locked by a password already"):
        Document.of(document, password=PASSWORD)


def test_a_table_has_the_look_that_is_given_and_nothing_else_takes_one() -> None:
    look = Look("Larkfield Analytics")
    document = Document.of(pd.DataFrame({"a": [1]}), "Prices", look=look)
    assert pypdf.PdfReader(io.BytesIO(document.read())).pages[0].extract_text().startswith("Larkfield Analytics")
    message = Message("a@example.com", "Prices", documents=pd.DataFrame({"a": [1]}), look=look)
    assert b"Larkfield Analytics" in _shown(message.documents[0])
    plain = Document.of(pd.DataFrame({"a": [1]}), "Prices", look=Look.PLAIN)
    assert b"Larkfield" not in _shown(plain)
    with pytest.raises(DocumentError, match="look= is for a table, and this is a bytes"):
        Document.of(b"%PDF-1.7 ", "Prices.pdf", look=look)


def _shown(document: Document) -> bytes:
    return pypdf.PdfReader(io.BytesIO(document.read())).pages[0].extract_text().encode()
