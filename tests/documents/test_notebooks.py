"""An executed notebook as a document: the file itself, a PDF, a page for a browser; and as the text of a mail."""

from __future__ import annotations

import email
import io
import json
import re
from email import policy
from typing import TYPE_CHECKING, Any

import pandas as pd
import pypdf
import pytest

import docmail
from docmail.documents import Document
from docmail.errors import DocumentError, MessageError
from docmail.foreign import Notebook
from docmail.look import Look
from docmail.outbox import Outbox
from tests.foreign.notebooks import failed, png, printed, ran, said, shown, write
from tests.message.test_body import kinds, parsed
from tests.message.test_message import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from docmail.sandbox import Sandbox

FRAME = pd.DataFrame({"Region": ["North", "South"], "Revenue": [1234.5, -20.25]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(
        tmp_path / "monday report.ipynb",
        said("# Sales in November\n\nThey **rose**. [More](javascript:bad())"),
        ran("secret_code = 1", printed("printed\n"), printed("/home/anna/x.py: warning", "stderr"), count=7),
        ran("df", shown(html=FRAME._repr_html_(), plain="bad"), count=8),
        ran("df.style", shown(html=FRAME.style.highlight_max(subset="Revenue").to_html(), plain="bad"), count=9),
        ran("plot", shown(png=png((800, 400)), plain="<Figure>"), count=10),
        ran("x", shown(html="<p>words</p><script>bad()</script><img src='https://tracker.example/q.png'>"), count=11),
        metadata={"kernelspec": {"language": "python", "name": "anna-env"}, "widgets": {"state": "hidden-state"}},
    )


NEVER = ["bad", "q.png", "secret_code", "/home/anna", "anna-env", "hidden-state", "monday report.ipynb", "[7]"]


def words_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages)


def test_without_a_name_it_is_the_file_itself(path: Path) -> None:
    document = Document.of(path)
    assert (document.name, document.source) == ("monday report.ipynb", path)
    assert Document.of(path, name="copy.ipynb").read() == path.read_bytes()


def test_a_name_that_ends_in_pdf_makes_a_pdf_with_the_letterhead(path: Path) -> None:
    document = Document.of(path, name="Report.pdf", look=Look("Example Ltd"))
    assert (document.name, document.media_type) == ("Report.pdf", "application/pdf")
    words = words_of(document.read())
    for word in ("Example Ltd", "Sales in November", "rose", "printed", "North", "1234.50", "words"):
        assert word in words
    assert not [word for word in NEVER if word in words or word.encode() in document.read()]
    assert b"javascript" not in document.read()
    reader = pypdf.PdfReader(io.BytesIO(document.read()))
    assert reader.metadata is not None
    assert reader.metadata.title == "Sales in November"
    assert sum(len(page.images) for page in reader.pages) == 1


def test_a_name_that_ends_in_html_makes_one_page_that_loads_and_runs_nothing(path: Path) -> None:
    document = Document.of(path, name="Report.html", look=Look("Example Ltd", colour="#0a5c8c"))
    assert (document.name, document.media_type) == ("Report.html", "text/html")
    page = document.read().decode()
    for word in ("<title>Sales in November</title>", "Example Ltd", "#0a5c8c", "1234.50", "background-color: yellow"):
        assert word in page
    assert not [word for word in (*NEVER, "tracker", "javascript", "<script") if word in page]
    assert "default-src 'none'" in page
    assert {address[:5] for address in re.findall(r'(?:src|href)="([^"]*)"', page)} == {"data:"}


def test_code_is_in_a_document_when_it_is_asked_for(path: Path) -> None:
    for name in ("Report.pdf", "Report.html", None):
        document = Document.of(Notebook(path, code=True), name=name)
        content = document.read()
        assert "secret_code" in (content.decode() if document.name.endswith("html") else words_of(content))
    assert document.name == "monday report.pdf"


def test_another_kind_of_file_is_refused_for_a_notebook_and_a_look_for_its_file(path: Path) -> None:
    with pytest.raises(DocumentError, match=r"cannot make a \.docx file"):
        Document.of(Notebook(path), name="Report.docx")
    with pytest.raises(DocumentError, match="look= is for a table"):
        Document.of(path, look=Look.PLAIN)


def test_a_failed_notebook_makes_no_document(tmp_path: Path) -> None:
    path = write(tmp_path / "report.ipynb", ran("x", failed(), count=3))
    for name in ("Report.pdf", "Report.html"):
        with pytest.raises(DocumentError, match=r"Cell 1 \[3\] of report.ipynb failed"):
            Document.of(path, name=name)


def test_it_is_the_text_of_a_mail(path: Path) -> None:
    mail = parsed(docmail.Message("a@example.com", "Q3", ["Dear all,", path, "Bye"]))
    html, plain = text_of(mail, "html"), text_of(mail, "plain")
    for word in ("Dear all,", "Sales in November", "North", "printed", "words", "Bye"):
        assert word in html
        assert word in plain
    for word in NEVER:
        assert word not in html + plain
    assert html.count("<table") > 2
    assert "background-color: yellow" in html
    assert 'src="cid:figure-1.' in html
    assert "image/png" in str(kinds(mail))
    assert "javascript" not in html + plain


def test_a_path_alone_is_a_body_and_its_code_is_asked_for(path: Path) -> None:
    assert "secret_code" not in docmail.Message("a@example.com", "Q3", path).body
    assert "secret_code" in docmail.Message("a@example.com", "Q3", Notebook(path, code=True)).body


def test_another_file_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(MessageError, match="must be text, not"):
        docmail.Message("a@example.com", "Q3", tmp_path / "report.md")


def test_figures_of_two_notebooks_have_names_of_their_own(path: Path) -> None:
    body = docmail.Message("a@example.com", "Q3", [path, path]).body
    assert [picture.name for picture in body.pictures] == ["figure-1", "figure-2"]


def test_a_notebook_that_did_not_run_sends_nothing(tmp_path: Path, box: Sandbox) -> None:
    path = write(tmp_path / "report.ipynb", said("# Report"), ran("1", count=None))
    with pytest.raises(MessageError, match="has never been run") as caught:
        docmail.send([], to="a@example.com", subject="Q3", body=path, settings=box.settings)
    assert caught.value.field == "body"
    assert not len(box.inbox)
    assert not list(Outbox(box.settings.recorded_in.outbox))


def test_the_same_notebook_under_the_same_key_is_sent_once(path: Path, box: Sandbox) -> None:
    def send() -> Any:
        return docmail.send([], to="a@example.com", subject="Q3", body=path, settings=box.settings, key="sales")

    assert not send().repeated
    assert send().repeated
    whole = json.loads(path.read_text("utf-8"))
    whole["cells"][0]["source"] = "# Sales in December"
    path.write_text(json.dumps(whole), "utf-8")
    with pytest.raises(MessageError):
        send()
    assert len(box.inbox) == 1


def test_a_real_notebook_arrives(tmp_path: Path, box: Sandbox) -> None:
    """Run by a real kernel, read, sent and received."""
    import nbclient
    import nbformat

    cells = [
        nbformat.v4.new_markdown_cell("# Real"),
        nbformat.v4.new_code_cell("print('hello')"),
        nbformat.v4.new_code_cell(
            f"import base64, IPython\nIPython.display.Image(data=base64.b64decode('{png()}'), format='png')"
        ),
        nbformat.v4.new_code_cell("object()"),
    ]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "p"}})
    nbclient.NotebookClient(book, timeout=100).execute()
    path = tmp_path / "real.ipynb"
    nbformat.write(book, path)
    docmail.send([], to="a@example.com", subject="Q3", body=path, settings=box.settings)
    mail = email.message_from_bytes(box.inbox[0].raw, policy=policy.default)
    assert "hello" in text_of(mail, "plain")
    assert "image/png" in str(kinds(mail))
    assert "object at" not in text_of(mail, "plain")
