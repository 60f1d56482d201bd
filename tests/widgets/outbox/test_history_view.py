from __future__ import annotations

import re
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

import fpdf
import ipywidgets
import pytest

import docmail
from docmail.documents import Document
from docmail.outbox import History, Outbox, history_of
from docmail.outbox.changes import Changes
from docmail.widgets.document.view import DocumentView
from docmail.widgets.outbox import history_view
from docmail.widgets.outbox.history_view import PAGE, HistoryView

if TYPE_CHECKING:
    from pathlib import Path


def report() -> Document:
    pdf = fpdf.FPDF()
    pdf.add_page()
    return Document.of(pdf, name="Q3.pdf")


@pytest.fixture
def folder(box: docmail.Sandbox) -> Path:
    """Return the outbox of a sandbox: a mail for two of three, one that was refused, one nobody knows of."""
    box.settings.save()
    with pytest.warns(UserWarning, match="nobody@"):
        docmail.send(
            report(),
            to="cfo@example.com",
            cc="j@example.com; nobody@example.com",
            subject="Q3 <b>",
            body="\\*\\*Dear\\*\\* all",
        )
    with pytest.raises(docmail.errors.Refused):
        docmail.send((), to="nobody@example.com", subject="To nobody")
    box.drop("end", times=1)
    with pytest.raises(docmail.errors.OutcomeUnknown):
        docmail.send(Document.of(b"a,b", name="t.csv"), to="lost@example.com", subject="Lost")
    return Outbox().folder


@pytest.fixture
def view(folder: Path) -> HistoryView:
    """Return it on a screen."""
    shown = HistoryView(folder)
    shown.screen._handle_custom_msg({"ready": True}, [])
    return shown


def press(view: HistoryView, action: str, which: object = "", **values: str) -> str:
    """Press, wait for what that starts, and return what is then shown."""
    view.screen._handle_custom_msg({"press": action, "id": str(which), "values": values}, [])
    assert view.work._running.acquire(timeout=30), "it is still busy"
    view.work._running.release()
    return text(view)


def text(view: HistoryView) -> str:
    """Return what is shown, without the markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", view.screen.html).split())


def number(view: HistoryView, subject: str) -> int:
    found = re.search(rf'data-id="(\d+)" aria-expanded="\w+">{re.escape(subject)}<', view.screen.html)
    assert found, subject
    return int(found[1])


def test_the_table_shows_the_newest_first_and_escapes_what_people_wrote(view: HistoryView) -> None:
    shown = text(view)
    assert shown.index("Lost") < shown.index("To nobody") < shown.index("Q3 &lt;b&gt;")
    assert "1 sent · 1 refused · 1 unknown" in shown
    assert "partly sent" in shown
    assert "1 to 3 of 3" in shown
    assert "Q3 <b>" not in view.screen.html


def test_nothing_of_the_record_is_stored_with_the_notebook(view: HistoryView) -> None:
    press(view, "typed", who="cfo@")
    press(view, "open", number(view, "Q3 &lt;b&gt;"))
    press(view, "document", f"{view._opened}/0")
    view.panel.children[0].facts._handle_custom_msg({"ready": True}, [])
    press(view, "again")
    press(view, "send", view._opened)
    state = repr(ipywidgets.Widget.get_manager_state()) + repr(view)
    for private in ("cfo@", "example.com", "Q3 &lt;", "lost@", "base64"):
        assert private not in state


def test_a_filter_narrows_the_table_and_says_if_nothing_fits(view: HistoryView) -> None:
    assert "1 to 1 of 1" in press(view, "typed", reply="550", state="refused", when="7")
    assert "1 to 1 of 1" in press(view, "typed", who="nobody@", what="Q3")
    shown = press(view, "typed", what="nonsense")
    assert "No mail fits this filter." in shown
    assert "1 to 3 of 3" in press(view, "typed")


def test_an_empty_outbox_says_that_it_is_empty(box: docmail.Sandbox) -> None:
    assert box
    view = HistoryView(Outbox().folder)
    view.screen._handle_custom_msg({"ready": True}, [])
    assert "No mail has been sent from here yet." in text(view)
    assert "Outbox empty" not in text(view)


def test_ten_thousand_mails_come_a_page_at_a_time(folder: Path) -> None:
    with history_of(folder) as store, store.journal.file.reading() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO mail"
            " (account, state, single, message_id, sender, addressed, subject, body_sha256, boundary, smtputf8,"
            " created, user) SELECT 'a', 'sent', 1, i, 'a@example.com', '[\"b@example.com\"]', 'Invoice ' || i,"
            " '', '', 0, i, ''"
            " FROM n"
        )
    view = HistoryView(folder)
    view.screen._handle_custom_msg({"ready": True}, [])
    assert view.screen.html.count("<tr data-press") == PAGE
    assert len(view.screen.html) < 40_000
    assert "1 to 25 of 10,003" in text(view)
    assert "26 to 50 of 10,003" in press(view, "older")
    assert "1 to 25 of 10,003" in press(view, "newer")
    assert "1 to 25 of 10,003" in press(view, "newer")
    assert "1 to 25 of 111" in press(view, "typed", what="invoice 99")


def test_an_opened_mail_says_what_became_of_it_for_each_recipient(view: HistoryView) -> None:
    row = number(view, "Q3 &lt;b&gt;")
    shown = press(view, "open", row)
    for words in (
        "To cfo@example.com ✓ sent",
        "Cc nobody@example.com ✗ refused No such mailbox here (550 5.1.1)",
        "from accounts@example.com",
        "▣ Q3.pdf",
        "Desktop Phone Dark Text **Dear** all",
    ):
        assert words in shown
    assert "cfo@example.com ✓ sent" not in press(view, "open", row), "a second press closes it"


def test_its_documents_are_opened_and_downloaded_and_it_is_saved(
    view: HistoryView, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[str, str, bytes]] = []
    monkeypatch.setattr(view.screen, "download", lambda *file: saved.append(file))
    row = number(view, "Q3 &lt;b&gt;")
    press(view, "open", row)
    press(view, "document", f"{row}/0")
    (shown,) = view.panel.children
    assert isinstance(shown, DocumentView)
    press(view, "download", f"{row}/0")
    press(view, "eml", row)
    (name, kind, content), (mail, mail_kind, eml) = saved
    assert (name, kind, content[:5]) == ("Q3.pdf", "application/pdf", b"%PDF-")
    assert (mail, mail_kind) == ("Q3 _b.eml".replace("_b", "_b_"), "message/rfc822")
    assert message_from_bytes(eml)["Subject"] == "Q3 <b>"


def test_a_mail_is_sent_again_only_after_an_answer_and_once(view: HistoryView, box: docmail.Sandbox) -> None:
    before, row = len(box.inbox), number(view, "Q3 &lt;b&gt;")
    press(view, "open", row)
    press(view, "send", row)
    assert len(box.inbox) == before, "nobody was asked"
    assert "Send it again now, to 3 recipients?" in press(view, "everybody", row)
    press(view, "keep", row)
    press(view, "send", row)
    assert len(box.inbox) == before
    press(view, "everybody", row)
    shown = press(view, "send", row)
    assert "Sent to 2 recipients." in shown
    assert "1 refused: nobody@example.com — No such mailbox here (550 5.1.1)" in shown
    assert "1 to 4 of 4" in shown
    press(view, "send", row)
    assert len(box.inbox) == before + 1, "an answer holds once"
    assert not view.actions.busy


def test_a_partly_sent_mail_goes_first_and_alone_to_those_who_have_not_got_it(
    view: HistoryView, box: docmail.Sandbox
) -> None:
    before, row = len(box.inbox), number(view, "Q3 &lt;b&gt;")
    shown = press(view, "open", row)
    assert shown.index("Send again to 1 without it…") < shown.index("Send again to everybody…")
    assert "Send again…" not in shown
    assert "Send it again now, to 1 recipient?" in press(view, "again", row)
    box.answer("rcpt", "250 2.1.5 Ok", recipient="nobody@example.com")
    assert "Sent to 1 recipient." in press(view, "send", row)
    assert [mail.recipients for mail in box.inbox[before:]] == [("nobody@example.com",)]
    assert "partly sent" not in text(view)
    assert "Send again…" in text(view)
    assert "1 to 3 of 3" in text(view), "it stays the same mail"


def test_what_cannot_be_sent_again_stays_as_it_was(view: HistoryView, box: docmail.Sandbox) -> None:
    docmail.credentials.withdraw(box.settings.account)
    row = number(view, "Lost")
    press(view, "open", row)
    press(view, "again", row)
    press(view, "send", row)
    assert "1 sent · 1 refused · 1 unknown" in text(view)


def test_a_doubt_is_settled_by_saying_that_it_arrived(view: HistoryView, folder: Path) -> None:
    row = number(view, "Lost")
    assert "It arrived" in press(view, "open", row)
    shown = press(view, "arrived", row)
    assert "2 sent · 1 refused" in shown
    assert "It arrived" not in shown.replace("Noted: it arrived.", "")
    assert "✓ sent noted: it arrived" in shown, "the doubt is over"
    assert "may have arrived" not in shown
    assert "is not unknown" in press(view, "arrived", row)
    with history_of(folder) as store:
        assert store.journal.row(row).state == "sent"


def test_a_doubt_is_settled_by_sending_it_again_to_those_nobody_knows_of(
    view: HistoryView, box: docmail.Sandbox
) -> None:
    before, row = len(box.inbox), number(view, "Lost")
    press(view, "open", row)
    assert "Send it again now, to 1 recipient?" in press(view, "again", row)
    assert "Sent to 1 recipient." in press(view, "send", row)
    assert len(box.inbox) == before + 1
    assert "2 sent · 1 refused" in text(view)


def test_a_failure_stands_in_the_opened_mail(view: HistoryView, box: docmail.Sandbox) -> None:
    box.answer("auth", "535 5.7.8 <b>No</b>")
    row = number(view, "To nobody")
    press(view, "open", row)
    press(view, "again", row)
    assert "does not accept" in press(view, "send", row)
    assert "<b>No" not in view.screen.html


def test_a_failure_is_shown_even_if_the_record_cannot_be_read_any_more(
    view: HistoryView, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = number(view, "Q3 &lt;b&gt;")
    press(view, "open", row)
    press(view, "again", row)

    def damaged(*_args: object, **_options: object) -> None:
        monkeypatch.setattr(History, "page", fails)
        fails()

    def fails(*_args: object, **_options: object) -> None:
        message = "The outbox cannot be used."
        raise docmail.errors.DocmailError(message)

    monkeypatch.setattr(history_view, "send_again", damaged)
    assert "The outbox cannot be used." in press(view, "send", row)
    assert not view.actions.busy


def test_a_mail_whose_content_has_expired_says_so(view: HistoryView, folder: Path) -> None:
    with history_of(folder) as store:
        Changes(store.journal).expire(-1)
    row = number(view, "Q3 &lt;b&gt;")
    press(view, "open", row)
    assert "no longer kept" in press(view, "eml", row)
    assert "no longer kept" in press(view, "document", f"{row}/0")


def test_how_long_contents_are_kept_is_changed_where_the_outbox_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Any] = {"days": 30.0}
    days = property(lambda _outbox: kept["days"], lambda _outbox, value: kept.update(days=value))
    monkeypatch.setattr(Outbox, "content_days", days, raising=False)
    view = HistoryView(folder)
    view.screen._handle_custom_msg({"ready": True}, [])
    assert 'value="30"' in view.screen.html
    for wrong in ("", "0", "-1", "soon", "99999999"):
        assert "Give a number of days" in press(view, "days", days=wrong)
    assert kept["days"] == 30
    assert "Changed." in press(view, "days", days=" 60 ")
    assert kept["days"] == 60
    assert 'value="60"' in view.screen.html


def test_contents_are_removed_only_after_an_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {"days": 30.0}
    days = property(lambda _outbox: kept["days"], lambda _outbox, value: kept.update(days=value))
    monkeypatch.setattr(Outbox, "content_days", days, raising=False)
    view = HistoryView(folder)
    press(view, "keep-days", 7)
    assert "older than 7 days are removed now" in press(view, "days", days="7")
    press(view, "keep-days", 1)
    assert "are kept" in press(view, "leave-days")
    press(view, "keep-days", 7)
    assert kept["days"] == 30
    press(view, "days", days="7")
    assert "Changed." in press(view, "keep-days", 7)
    assert kept["days"] == 7


def test_the_record_of_a_sandbox_that_is_closed_is_empty_and_nothing_is_made_anew() -> None:
    with docmail.Sandbox() as box:
        box.settings.save()
        docmail.send((), to="a@example.com", subject="S")
        view = HistoryView(Outbox().folder)
        view.screen._handle_custom_msg({"ready": True}, [])
        row = number(view, "S")
    assert "no outbox" in press(view, "eml", row)
    assert not view._folder.exists()
