from __future__ import annotations

import html
import json
import re
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import fpdf
import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import docmail
from docmail.message import Arrived
from docmail.sandbox import ReceivedMail
from docmail.widgets import register
from docmail.widgets.document.view import DocumentView
from docmail.widgets.mail import inbox_view, reader
from docmail.widgets.mail.reader import PAGE, MailReader
from docmail.widgets.parts import rendered_mail

if TYPE_CHECKING:
    from collections.abc import Callable

LIVE = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an IPython with a kernel, in which docmail's displays are registered."""
    for name in ("runs", "preparations"):
        monkeypatch.setattr(f"docmail.outbox.observers.{name}", [])
    monkeypatch.setattr("docmail.widgets.outbox.bad_rows.register", lambda _shell: None)
    shell: Any = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    shell.kernel = object()
    register(shell)
    return shell


@pytest.fixture
def show(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], tuple[dict[str, Any], MailReader]]:
    """Show a value under a cell and in a browser; return what the notebook keeps, and the view."""

    def shown(value: object) -> tuple[dict[str, Any], MailReader]:
        bundles: list[dict[str, Any]] = []
        monkeypatch.setattr("IPython.display.display", lambda bundle, *, raw: bundles.append(bundle) if raw else None)
        kernel.display_formatter.format(value)
        kept, live = bundles
        view = ipywidgets.widgets.widget._instances[live[LIVE]["model_id"]]
        assert isinstance(view, MailReader)
        say(view, ready=True)
        return kept, view

    return shown


def say(view: MailReader, **content: Any) -> None:
    view.screen._handle_custom_msg(content, [])


def press(view: MailReader, action: str, which: object = "") -> None:
    say(view, press=action, id=str(which), values={})


def text(view: MailReader) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", view.screen.html)).split())


def send(box: docmail.Sandbox, subject: str, *documents: docmail.Document, **values: Any) -> None:
    docmail.send(documents, to="cfo@example.com", subject=subject, settings=box.settings, **values)


def test_an_inbox_lists_the_newest_mail_first_and_opens_it(box: docmail.Sandbox, show: Any) -> None:
    _kept, view = show(box.inbox)
    assert "No mail has arrived yet." in text(view)
    send(box, "First", body="**One**")
    send(box, "Second", docmail.Document.of(b"a,b", name="t.csv"), body="Two", bcc="blind@example.com")
    say(view, ready=True)
    shown = text(view)
    assert shown.index("Second cfo@example.com today") < shown.index("First cfo@example.com today")
    assert "2 mails" in shown
    assert "Bcc blind@example.com" in shown
    assert "▣ t.csv 3 bytes Show Download" in shown
    press(view, "open", box.inbox.numbers()[0])
    assert "One" in text(view)
    assert "t.csv" not in text(view)
    assert view.screen.html.count('aria-current="true"') == 1


def test_an_inbox_that_is_looked_at_follows_what_arrives_and_goes(
    box: docmail.Sandbox, show: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_POLL_SECONDS", 0.01)
    _kept, view = show(box.inbox)
    send(box, "First")
    wait_for(lambda: "First" in text(view))
    send(box, "Second")
    wait_for(lambda: "2 mails" in text(view))
    press(view, "open", box.inbox.numbers()[0])
    send(box, "Third")
    wait_for(lambda: "3 mails" in text(view))
    assert '"dm-letter-subject" dir="auto">First' in view.screen.html, "what somebody reads stays"
    box.inbox.clear()
    wait_for(lambda: "No mail has arrived yet." in text(view))
    assert "First" not in text(view)


def wait_for(condition: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_nobody_looks_for_mails_when_no_browser_shows_the_inbox(
    box: docmail.Sandbox, show: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_POLL_SECONDS", 0.01)
    from threading import enumerate as threads

    _kept, view = show(box.inbox)
    assert [each for each in threads() if each.name == "docmail-inbox"]
    say(view, closed=True)
    wait_for(lambda: not [each for each in threads() if each.name == "docmail-inbox"])
    say(view, ready=True)
    say(view, closed=True)
    wait_for(lambda: not [each for each in threads() if each.name == "docmail-inbox"])


def test_a_long_inbox_is_leafed_through_and_reads_only_the_headers_of_a_page(
    box: docmail.Sandbox, show: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3 * PAGE):
        box.inbox.deliver("a@example.com", ["b@example.com"], f"Subject: S{number}\r\n\r\nx".encode())
    read: list[int] = []
    head = type(box.inbox).head

    def counted(inbox: Any, number: int) -> ReceivedMail | None:
        read.append(number)
        return head(inbox, number)

    monkeypatch.setattr(type(box.inbox), "head", counted)
    _kept, view = show(box.inbox)
    assert "1 to 20 of 60" in text(view)
    press(view, "older")
    assert "21 to 40 of 60" in text(view)
    assert "S39 b@example.com" in text(view)
    press(view, "open", 30)
    assert len(read) == 2 * PAGE


def test_an_attachment_is_opened_and_saved(box: docmail.Sandbox, show: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pdf = fpdf.FPDF()
    pdf.add_page()
    send(box, "S", docmail.Document.of(pdf, name="Q3.pdf"))
    _kept, view = show(box.inbox)
    number = box.inbox.numbers()[0]
    sent: list[tuple[Any, Any]] = []
    monkeypatch.setattr(view.screen, "send", lambda content, buffers=None: sent.append((content, buffers)))
    press(view, "download", f"{number}/0")
    assert next(buffers for content, buffers in sent if "download" in content)[0].startswith(b"%PDF")
    press(view, "document", f"{number}/0")
    assert isinstance(view.panel.children[0], DocumentView)
    press(view, "open", number)
    assert view.panel.children == ()
    box.inbox.clear()
    press(view, "document", f"{number}/0")
    assert "No mail has arrived yet." in text(view)


def test_of_an_inbox_a_notebook_keeps_subjects_and_no_address_and_of_a_mail_no_blind_copy(
    box: docmail.Sandbox, show: Any
) -> None:
    send(box, "Q3 for you", docmail.Document.of(b"a,b", name="t.csv"), body="<b> **text**", bcc="blind@example.com")
    kept, view = show(box.inbox)
    state = json.dumps([kept, ipywidgets.Widget.get_manager_state()], default=str)
    assert "Q3 for you" in kept["text/html"]
    assert "t.csv" in kept["text/html"]
    for private in ("cfo@example.com", "blind@example.com", "<strong>text", "&lt;strong&gt;text"):
        assert private not in state
    kept, view = show(box.inbox[0])
    assert "Bcc blind@example.com" in text(view)
    assert "blind@example.com" not in kept["text/html"]
    assert "cfo@example.com" in kept["text/html"]
    assert "&amp;lt;strong&amp;gt;text" in kept["text/html"], "the mail in the page in the frame"


def test_a_picture_of_5_mb_is_not_kept_in_the_notebook_which_says_so(box: docmail.Sandbox, show: Any) -> None:
    mail = EmailMessage()
    mail["Subject"] = "S"
    mail.set_content("<img src='cid:1@x'>", subtype="html")
    mail.add_related(b"p" * 5_000_000, "image", "png", cid="<1@x>")
    box.inbox.deliver("a@example.com", ["b@example.com"], bytes(mail))
    kept, view = show(box.inbox[0])
    assert len(kept["text/html"]) < 5_000
    assert "Pictures in the mail are left out here (5.0 MB)." in kept["text/html"]
    assert len(view.screen.html) > 6_000_000
    assert "left out" not in text(view)


def test_what_a_notebook_keeps_of_a_mail_is_limited() -> None:
    seen = rendered_mail.kept(Arrived("<p>" + "x" * rendered_mail.KEPT, "y" * rendered_mail.KEPT))
    assert len(seen) < 3 * rendered_mail.KEPT


def test_the_frame_of_a_mail_lets_nothing_run_and_holds_its_html_byte_for_byte() -> None:
    sent = '<p title="a\'b">&lt;\n</iframe>\u202e</p>'
    for shown in (rendered_mail.rendered(Arrived(sent, "")), rendered_mail.kept(Arrived(sent, ""))):
        (outer,) = re.findall(r'<iframe[^>]* sandbox="allow-same-origin" srcdoc="([^"]*)"', shown)
        page = html.unescape(outer)
        assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html.unescape(page)
        (inner,) = re.findall(r'<iframe[^>]* sandbox="allow-same-origin" srcdoc="([^"]*)"', page)
        assert html.unescape(inner).endswith(sent)
        assert "allow-scripts" not in shown


def test_a_mail_that_cannot_be_taken_apart_is_shown_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_mail: ReceivedMail, _most: int) -> Arrived:
        raise AttributeError

    monkeypatch.setattr(inbox_view, "arrived", fail)
    letter = inbox_view._letter(ReceivedMail.parse(b"Subject: S\r\n\r\nraw <b>"))
    assert letter.mail.text.endswith("raw <b>")


def test_a_preview_shows_the_mails_in_their_order_and_keeps_three(box: docmail.Sandbox, show: Any) -> None:
    box.settings.save()
    outbox = docmail.Outbox()
    rows = [{"n": number, "email": f"r{number}@example.com"} for number in range(5)]
    outbox.add_all(docmail.merge(rows, key="n", to="{{ email }}", subject="S{{ n }}", body="*B{{ n }}*"), batch="b")
    preview = outbox.preview(4)
    outbox.close()
    kept, view = show(preview)
    assert "4 of 5 mails that wait" in text(view)
    assert text(view).index("S0 r0@example.com") < text(view).index("S3 r3@example.com")
    press(view, "open", 3)
    assert "<em>B3</em>" in html.unescape(html.unescape(html.unescape(view.screen.html)))
    assert "B2" in kept["text/html"]
    assert "B3" not in kept["text/html"]
    assert "and 1 more" in kept["text/html"]


def test_a_mail_without_text_says_so_and_has_no_empty_frame() -> None:
    for shown in (rendered_mail.rendered(Arrived("", " \n")), rendered_mail.kept(Arrived("", ""))):
        assert "This mail has no text." in shown
        assert "<iframe" not in shown
    assert "<iframe" in rendered_mail.rendered(Arrived("", "Hello"))
