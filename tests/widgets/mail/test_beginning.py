from __future__ import annotations

from typing import TYPE_CHECKING

import fpdf
import pytest

from docmail import templates
from docmail.documents import Document
from docmail.templates import Template
from docmail.widgets.mail import beginning

if TYPE_CHECKING:
    from pathlib import Path


def pdf(title: str, name: str) -> Document:
    made = fpdf.FPDF()
    made.add_page()
    made.set_title(title)
    return Document.of(made, name=name)


@pytest.mark.parametrize(
    ("name", "inner", "title"),
    [
        ("Invoice 2026-118.pdf", "Something else", "Invoice 2026-118"),
        ("Q3_report.pdf", "", "Q3 report"),
        ("report 3_final.pdf", "", "report 3_final"),
        ("document.pdf", "Invoice 2026-118", "Invoice 2026-118"),
        ("output (1).pdf", "Q3", "Q3"),
        ("tmpx7_k2.pdf", "Faktuur 118", "Faktuur 118"),
        ("20261130.pdf", "Kwotasie 7", "Kwotasie 7"),
        ("document.pdf", "Microsoft Word - draft3.docx", "document"),
        ("document.pdf", "untitled", "document"),
        ("document.pdf", "x" * 500, "document"),
        ("document.pdf", "invoice\u202efdp", "document"),
        ("document.pdf", "", "document"),
        ("דוח 2026.pdf", "", "דוח 2026"),
    ],
)
def test_a_document_is_called_by_its_file_or_if_that_says_nothing_by_its_own_title(
    name: str, inner: str, title: str
) -> None:
    assert beginning.title_of(pdf(inner, name)) == title


def test_what_is_no_pdf_or_cannot_be_opened_is_called_by_its_file(tmp_path: Path) -> None:
    assert beginning.title_of(Document.of(b"a,b", name="sales_2026.csv")) == "sales 2026"
    path = tmp_path / "document.pdf"
    path.write_bytes(pdf("Inner", "document.pdf").read())
    document = Document.of(path)
    path.unlink()
    assert beginning.title_of(document) == "document"


def test_a_kind_that_is_recognised_brings_its_text_and_any_other_the_title_alone() -> None:
    begun = beginning.of("INV-118.pdf", "INV-118")
    assert (begun.subject, begun.template) == ("INV-118", "invoice")
    assert "{{ document }}" in begun.body
    assert beginning.of("document.pdf", "Faktuur 118").template == "faktuur", "by what the PDF calls itself"
    assert beginning.of("Q3.pdf", "Q3") == beginning.Beginning("Q3")


def test_a_template_of_one_s_own_for_the_kind_brings_its_subject_as_well() -> None:
    templates.save(Template("invoice", "Your invoice {{ number }}", "Hello"))
    begun = beginning.of("Invoice 118.pdf", "Invoice 118")
    assert begun == beginning.Beginning("Your invoice {{ number }}", "Hello", "invoice")
