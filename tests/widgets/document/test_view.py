from __future__ import annotations

import io
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import fpdf
import ipywidgets
import pypdfium2
import pytest
from PIL import Image

import docmail
from docmail.documents import Document, one_at_a_time
from docmail.settings import Settings, SmtpServer
from docmail.widgets.document.page_images import WIDTH, first_page
from docmail.widgets.document.view import DocumentView, view_of
from tests.widgets.press import press

if TYPE_CHECKING:
    from pathlib import Path

    from docmail.widgets.parts.painted import Painted


def pdf(*, pages: int = 3, size: tuple[float, float] = (210, 297), password: str = "") -> Document:
    made = fpdf.FPDF(format=size)
    made.set_font("helvetica")
    for number in range(pages):
        made.add_page()
        made.cell(text=f"Page {number + 1}")
    if password:
        made.set_encryption(owner_password="owner", user_password=password)
    return Document.of(made, name="Q3 <b>.pdf")


def words(document: Document) -> dict[str, Any]:
    """Return what a notebook without a kernel shows."""
    return view_of(document)[0]


def ready(view: Painted) -> str:
    """Let a browser show it; return what it then shows."""
    view._handle_custom_msg({"ready": True, "ratio": 2}, [])
    return view.html


def turn(view: DocumentView, action: str, **values: str) -> str:
    view.pages._handle_custom_msg({"press": action, "id": "", "values": values}, [])
    return view.pages.html


def widths(html: str) -> list[tuple[int, int]]:
    """Return the width on the screen, and that of the picture itself, of the pages in HTML."""
    return [
        (int(shown), Image.open(io.BytesIO(b64decode(data))).width)
        for shown, data in re.findall(r'width="(\d+)" src="data:image/png;base64,([^"]+)"', html)
    ]


def test_pages_are_turned_within_the_document_and_rendered_when_they_are_looked_at() -> None:
    view = view_of(pdf())[1]
    assert "of 3" in ready(view.pages)
    for action, values, page in (
        ("next", {}, "Page 2"),
        ("next", {}, "Page 3"),
        ("next", {}, "Page 3"),
        ("previous", {}, "Page 2"),
        ("go", {"number": "99"}, "Page 3"),
        ("go", {"number": "nonsense"}, "Page 3"),
        ("go", {"number": " 1"}, "First page"),
        ("previous", {}, "First page"),
    ):
        assert f'alt="{page} of Q3 &lt;b&gt;.pdf"' in turn(view, action, **values)


def test_an_enlarged_page_is_as_sharp_as_the_screen() -> None:
    view = view_of(pdf(pages=1))[1]
    assert widths(ready(view.pages)) == [(210, WIDTH)]
    ((shown, rendered),) = widths(turn(view, "larger"))
    assert shown == 700
    assert rendered >= 1400
    assert "of 1" not in view.pages.html, "one page needs no turning"
    assert widths(turn(view, "smaller")) == [(210, WIDTH)]


def test_another_document_without_a_name_of_its_own_is_no_earlier_one(box: docmail.Sandbox) -> None:
    """Any figure without a title is “figure.pdf”, and the last one was called an earlier one of the next."""
    box.settings.save()
    for name in ("figure.pdf", "Table.pdf", "document.pdf", "report.pdf"):
        document = Document.of(pdf().read(), name=name)
        docmail.send(document, to="a@example.com", subject=name)
        assert "emailed to a@example.com" in ready(view_of(document)[1].facts)
        other = Document.of(pdf().read() + b"\n", name=name)
        assert "emailed" not in ready(view_of(other)[1].facts)


def test_it_is_said_in_the_browser_only_to_whom_a_document_went(box: docmail.Sandbox) -> None:
    box.settings.save()
    document = pdf()
    view = view_of(document)[1]
    assert "emailed" not in ready(view.facts)
    docmail.send(document, to="a@example.com; b@example.com; c@example.com; d@example.com", subject="S")
    view.show_sent()
    said = "emailed to a@example.com, b@example.com, c@example.com and 1 more, today"
    assert said in view.facts.html
    again = Document.of(pdf().read() + b"\n", name=document.name)
    assert "an earlier Q3 &lt;b&gt;.pdf was emailed to a@example.com" in ready(view_of(again)[1].facts)
    assert "a@example.com" not in repr(ipywidgets.Widget.get_manager_state())
    box.drop("end", times=1)
    with pytest.raises(docmail.errors.OutcomeUnknown):
        docmail.send(document, to="a@example.com", subject="S")
    view.show_sent()
    assert "perhaps emailed" in view.facts.html


def test_a_document_that_went_out_of_the_form_says_so(box: docmail.Sandbox) -> None:
    box.settings.save()
    view = view_of(pdf())[1]
    ready(view.facts)
    view.email.toggle()
    assert view.email.mail_form
    press(view.email.mail_form, "send", to="cfo@example.com", subject="Q3")
    assert "emailed to cfo@example.com, today" in view.facts.html


def test_looking_at_a_document_makes_no_outbox(home: Path) -> None:
    ready(view_of(pdf())[1].facts)
    assert not (home / "docmail").exists()


def test_a_document_from_the_record_leaves_nothing_of_itself_in_the_notebook() -> None:
    document = pdf()
    view = DocumentView(document, first_page(document), kept=False)
    assert "base64" not in repr(ipywidgets.Widget.get_manager_state())
    assert widths(ready(view.pages)) == [(210, WIDTH)]


def test_a_document_shows_its_first_page_its_name_its_pages_and_its_size() -> None:
    document = pdf()
    bundle = words(document)
    assert set(bundle) == {"text/html", "text/plain", "image/png"}
    picture = Image.open(io.BytesIO(b64decode(bundle["image/png"])))
    assert picture.width == WIDTH
    assert picture.height / picture.width == pytest.approx(297 / 210, rel=0.01)
    assert "Q3 &lt;b&gt;.pdf" in bundle["text/html"]
    assert "3 pages" in bundle["text/html"]
    assert bundle["text/plain"] == repr(document)


def test_what_the_notebook_stores_names_no_address() -> None:
    Settings("Accounts", SmtpServer("smtp.example.com", username="accounts@example.com")).save()
    bundle = words(pdf())
    assert "@" not in bundle["text/html"] + bundle["text/plain"]


def test_pdfium_is_called_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    def watch(module: Any, name: str) -> None:
        opens = getattr(module, name)

        def watched(*arguments: Any) -> Any:
            held.append(one_at_a_time.locked())
            return opens(*arguments)

        monkeypatch.setattr(module, name, watched)

    watch(pypdfium2, "PdfDocument")
    watch(pypdfium2.raw, "FPDF_LoadMemDocument64")
    document = pdf()
    assert document.pages == 3
    assert first_page(document)
    assert len(held) >= 2
    assert all(held)
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
    bundle = words(document)
    assert "image/png" not in bundle
    assert document.name in bundle["text/html"]


def test_a_locked_document_says_that_it_is_locked() -> None:
    bundle = words(pdf(password="user"))
    assert "image/png" not in bundle
    assert "locked by a password" in bundle["text/html"]


def test_a_damaged_pdf_is_not_called_locked() -> None:
    bundle = words(Document.of(b"%PDF-1.4 nothing of a PDF besides\n%%EOF", name="broken.pdf"))
    assert "locked" not in bundle["text/html"]
    assert "damaged" in bundle["text/html"]


def test_a_file_that_is_gone_is_still_shown_by_name(tmp_path: Path) -> None:
    path = tmp_path / "Q3.pdf"
    path.write_bytes(pdf().read())
    document = Document.of(path)
    path.unlink()
    assert "Q3.pdf" in words(document)["text/html"]
