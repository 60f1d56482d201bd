from __future__ import annotations

import io
from base64 import b64decode
from typing import TYPE_CHECKING

import fpdf
import pypdfium2
import pytest
from PIL import Image

from docmail.documents import Document, one_at_a_time
from docmail.settings import Settings, SmtpServer
from docmail.widgets.document_view import document_mimebundle
from docmail.widgets.preview import WIDTH, first_page

if TYPE_CHECKING:
    from pathlib import Path


def pdf(*, pages: int = 3, size: tuple[float, float] = (210, 297), password: str = "") -> Document:
    made = fpdf.FPDF(format=size)
    made.set_font("helvetica")
    for number in range(pages):
        made.add_page()
        made.cell(text=f"Page {number + 1}")
    if password:
        made.set_encryption(owner_password="owner", user_password=password)
    return Document.of(made, name="Q3 <b>.pdf")


def test_a_document_shows_its_first_page_its_name_its_pages_and_its_size() -> None:
    document = pdf()
    bundle = document_mimebundle(document)
    assert set(bundle) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "text/plain",
        "image/png",
    }
    picture = Image.open(io.BytesIO(b64decode(bundle["image/png"])))
    assert picture.width == WIDTH
    assert picture.height / picture.width == pytest.approx(297 / 210, rel=0.01)
    assert "Q3 &lt;b&gt;.pdf" in bundle["text/html"]
    assert "3 pages" in bundle["text/html"]
    assert bundle["text/plain"] == repr(document)


def test_what_the_notebook_stores_names_no_address() -> None:
    Settings("Accounts", SmtpServer("smtp.example.com", username="accounts@example.com")).save()
    bundle = document_mimebundle(pdf())
    assert "@" not in bundle["text/html"] + bundle["text/plain"]


def test_pdfium_is_called_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    opens = pypdfium2.PdfDocument
    held: list[bool] = []

    def watched(file: object) -> object:
        held.append(one_at_a_time.locked())
        return opens(file)

    monkeypatch.setattr(pypdfium2, "PdfDocument", watched)
    document = pdf()
    assert document.pages == 3
    assert first_page(document)
    assert held == [True, True]
    assert not one_at_a_time.locked()


def test_a_strip_of_paper_does_not_become_a_huge_picture() -> None:
    picture = first_page(pdf(pages=1, size=(50, 5000)))
    assert picture is not None
    assert Image.open(io.BytesIO(picture)).height <= 4 * WIDTH


@pytest.mark.parametrize(
    "document",
    [
        Document.of(b"a,b\n1,2\n", name="table.csv"),
        Document.of(b"%PDF-1.4 nothing of a PDF besides\n%%EOF", name="broken.pdf"),
    ],
)
def test_what_has_no_first_page_is_shown_without_a_picture(document: Document) -> None:
    bundle = document_mimebundle(document)
    assert "image/png" not in bundle
    assert document.name in bundle["text/html"]


def test_a_locked_document_says_that_it_is_locked() -> None:
    bundle = document_mimebundle(pdf(password="user"))
    assert "image/png" not in bundle
    assert "locked by a password" in bundle["text/html"]


def test_a_file_that_is_gone_is_still_shown_by_name(tmp_path: Path) -> None:
    path = tmp_path / "Q3.pdf"
    path.write_bytes(pdf().read())
    document = Document.of(path)
    path.unlink()
    assert "Q3.pdf" in document_mimebundle(document)["text/html"]
