"""What came back is said where its mails are shown, opens a table, and can be corrected there."""

from __future__ import annotations

import re
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

import docmail
from docmail.documents import Document
from docmail.errors import ConnectError, Kind
from docmail.mailbox import Mailbox
from docmail.outbox import Group, Outbox, Run
from docmail.widgets.document.view import DocumentView
from docmail.widgets.outbox.history_view import HistoryView
from docmail.widgets.outbox.run_view import BatchView
from tests.support.bounces import RETURNED, group, notification
from tests.support.fake_mailbox import FakeMailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.outbox import Row
    from docmail.sandbox import Sandbox
    from docmail.settings import Settings

NO_MAILBOX = "There is no such mailbox; check the address."
LATE = "Not delivered yet; the server is still trying."


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> FakeMailbox:
    fake = FakeMailbox()
    fake.stand_in(monkeypatch)
    return fake


@pytest.fixture
def settings(box: Sandbox) -> Settings:
    """Return the sandbox's settings with a mailbox, saved."""
    found = replace(box.settings, mailbox=Mailbox("localhost", username="accounts@example.com"))
    found.save()
    return found


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another thread does; the time limit of the tests ends it."""
    while not holds():
        Event().wait(0.01)


def sent(settings: Settings, *names: str) -> Outbox:
    """Send a batch with a mail for each of these."""
    outbox = Outbox()
    messages = [docmail.Message(f"{name}@example.com", f"For {name}", key=name) for name in names]
    outbox.add_all(messages, batch="b", settings=settings)
    outbox.run(settings=settings)
    return outbox


def came_back(row: Row, action: str = "failed", status: str = "5.1.1") -> bytes:
    returned = RETURNED.replace("<q3-1@example.com>", row.message_id)
    return notification(group(row.to[0], status, action, diagnostic="smtp; 550 gone"), returned=returned)


@pytest.fixture
def outbox(settings: Settings, mailbox: FakeMailbox) -> Outbox:
    """Return one that has sent four mails, of which one has come back and one is late; nobody has looked yet."""
    outbox = sent(settings, "got", "gone", "late", "too")
    rows = {row.key: row for row in outbox}
    mailbox.folders["INBOX"] += [came_back(rows["gone"]), came_back(rows["late"], "delayed", "4.4.1")]
    return outbox


@pytest.fixture
def view(outbox: Outbox, settings: Settings) -> BatchView:
    return BatchView(Run(outbox.folder, settings, batch="b"))


def words(html: str) -> str:
    """Return what is shown, without the markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def look(view: BatchView) -> str:
    """Press *Look for bounces*, wait, and return what is then said."""
    view.press("look-for-bounces")
    return looked(view)


def looked(view: BatchView) -> str:
    """Wait until a look is over, and return what is then said."""
    until(lambda: view._looking is None)
    view.refresh()  # not only half of what the thread that has looked draws at the same time
    return words(view.report.value)


def press_heading(view: BatchView) -> None:
    view.heading._handle_custom_msg({"press": "missed", "id": "", "values": {}}, [])


def press_missed(view: Any, action: str, which: object = "", **values: str) -> str:
    view._handle_custom_msg({"press": action, "id": str(which), "values": values}, [])
    until(lambda: not view._sending.locked() and "Sending …" not in view.html)
    return words(view.html)


# --- a batch ---


def test_a_look_finds_what_came_back_and_the_counts_open_the_table(view: BatchView) -> None:
    assert "4 sent" in words(view.heading.value)
    assert view.missed.html == ""
    assert "1 email bounced." in look(view)
    assert "3 sent · 1 bounced" in words(view.heading.value)
    assert 'aria-expanded="false"' in view.heading.value
    assert NO_MAILBOX not in view.missed.html, "it is folded until somebody opens it"
    press_heading(view)
    assert 'aria-expanded="true"' in view.heading.value
    table = words(view.missed.html)
    assert "1 email did not reach everybody" in table
    assert f"gone gone@example.com ↩ bounced: {NO_MAILBOX}" in table
    assert "(5.1.1)" in table
    assert "Correct and send" in table
    press_heading(view)
    assert NO_MAILBOX not in view.missed.html


def test_what_is_late_is_shown_and_not_counted(view: BatchView) -> None:
    assert "1 email is late" in look(view)
    assert "3 sent · 1 bounced" in words(view.heading.value)
    press_heading(view)
    assert f"1 email is late, and counts as sent late · late@example.com — {LATE}" in words(view.missed.html)
    assert view.run.queue.count(Group.MISSED) == 1


def test_a_bounced_address_is_corrected_and_gets_the_mail(view: BatchView, box: Sandbox) -> None:
    look(view)
    press_heading(view)
    (row,) = view.run.queue.rows(Group.BOUNCED)
    press_missed(view.missed, "correct", row.id)
    assert 'value="gone@example.com"' in view.missed.html
    shown = press_missed(view.missed, "send-corrected", row.id, **{"address-0": "here@example.com"})
    assert "Sent to 1 recipient." in shown
    assert box.inbox[-1].recipients == ("here@example.com",)
    until(lambda: "4 sent" in words(view.heading.value))
    assert "bounced" not in words(view.heading.value)
    assert "did not reach" not in words(view.missed.html)


def test_refused_mails_stand_open_in_the_same_table(outbox: Outbox, settings: Settings, box: Sandbox) -> None:
    box.answer("rcpt", "550 5.1.1 No such mailbox", recipient="nobody@example.com")
    outbox.add_all([docmail.Message("nobody@example.com", "No", key="no")], batch="b", settings=settings)
    outbox.run(settings=settings)  # which looks into the mailbox as well
    view = BatchView(Run(outbox.folder, settings, batch="b"))
    assert "3 sent · 1 bounced · 1 refused" in words(view.heading.value)
    assert 'aria-expanded="true"' in view.heading.value
    assert "2 emails did not reach everybody" in words(view.missed.html)


def test_without_a_mailbox_no_look_is_offered(outbox: Outbox, box: Sandbox) -> None:
    view = BatchView(Run(outbox.folder, replace(box.settings, mailbox=None), batch="b"))
    assert "look-for-bounces" not in [action for action, _label in view.actions.actions]


def test_a_look_says_how_far_it_is_and_can_be_stopped(
    view: BatchView, mailbox: FakeMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = Event(), Event()
    new_mails = mailbox.new_mails

    def slow(*arguments: Any, **options: Any) -> Iterator[Any]:
        for number in range(1, 1000):
            if number == 21:
                reached.set()
                assert go_on.wait(20)
            yield next(new_mails("INBOX", None))[0], b"Subject: An invoice\r\n\r\nPay."
        assert arguments
        assert options

    monkeypatch.setattr(mailbox, "new_mails", slow)
    monkeypatch.setattr(mailbox, "abort", lambda: None, raising=False)
    view.press("look-for-bounces")
    assert reached.wait(20)
    assert "20 new mails read …" in view.report.value
    assert view.actions.actions == [["stop-looking", "Stop"]]
    view.press("look-for-bounces")  # the second half of a double click
    view.press("stop-looking")
    go_on.set()
    assert "21 new mails were read." in looked(view)
    assert mailbox.opened <= 2


def test_a_mailbox_that_cannot_be_opened_says_why_and_changes_nothing(view: BatchView, mailbox: FakeMailbox) -> None:
    mailbox.failures["open"] = ConnectError("The mailbox was not reached.", kind=Kind.NETWORK, hint="Look at the name.")
    said = look(view)
    assert "The mailbox was not reached." in said
    assert "Look at the name." in said
    assert "4 sent" in words(view.heading.value)
    assert ["look-for-bounces", "Look for bounces"] in view.actions.actions


def test_what_came_of_copies_after_a_run_is_said_quietly(settings: Settings, mailbox: FakeMailbox) -> None:
    mailbox.failures["append"] = ConnectError("The mailbox is full.", kind=Kind.LIMIT)
    outbox = Outbox()
    outbox.add_all([docmail.Message("got@example.com", "Hello", key="1")], batch="b", settings=settings)
    run = outbox.run(settings=settings, batch="b")
    assert "1 copy is not in the Sent folder yet, and is filed later." in words(BatchView(run).report.value)


def test_no_address_of_what_came_back_is_kept_in_the_notebook(view: BatchView) -> None:
    look(view)
    press_heading(view)
    assert "gone@" in view.missed.html
    kept = repr(ipywidgets.Widget.get_manager_state()) + repr(view.fallback())
    assert "gone@" not in kept
    assert "1 bounced" in kept


# --- doubts ---


@pytest.mark.parametrize("is_there", [True, False])
def test_a_copy_in_the_sent_folder_settles_a_doubt_and_its_absence_does_not(
    settings: Settings,
    box: Sandbox,
    mailbox: FakeMailbox,
    is_there: bool,  # noqa: FBT001
) -> None:
    outbox = Outbox()
    outbox.add_all([docmail.Message("lost@example.com", "Lost", key="1")], batch="b", settings=settings)
    box.drop("end", times=1)
    run = outbox.run(settings=settings, batch="b")
    view = BatchView(run)
    assert "1 unknown" in words(view.heading.value)
    _text, buttons = view.doubts.children[0].children
    assert [label for _action, label in buttons.actions] == ["It arrived", "Send again", "Look in the Sent folder"]
    (row,) = outbox
    if is_there:
        mailbox.folders["Sent"].append(f"Message-ID: {row.message_id}\r\n\r\nHello".encode())
    buttons._handle_custom_msg({"action": "look-in-sent", "values": {}}, [])
    said = looked(view)
    if is_there:
        assert "A copy of 1 email in doubt was found: it was sent." in said
        assert "1 sent" in words(view.heading.value)
        assert view.doubts.children == ()
    else:
        assert "which proves nothing: ask the recipient." in said
        assert "1 unknown" in words(view.heading.value)


# --- the history ---


@pytest.fixture
def history(outbox: Outbox) -> HistoryView:
    shown = HistoryView(outbox.folder)
    shown.screen._handle_custom_msg({"ready": True}, [])
    return shown


def press(history: HistoryView, action: str, which: object = "") -> str:
    history.screen._handle_custom_msg({"press": action, "id": str(which), "values": {}}, [])
    assert history.work._running.acquire(timeout=30), "it is still busy"
    history.work._running.release()
    return words(history.screen.html)


def number(outbox: Outbox, key: str) -> int:
    return next(row.id for row in outbox if row.key == key)


def test_the_history_looks_for_bounces_and_opens_their_table(history: HistoryView, outbox: Outbox) -> None:
    shown = press(history, "look")
    assert "1 email bounced." in shown
    assert "3 sent · 1 bounced" in shown
    assert NO_MAILBOX in shown, "in the line of the mail"
    press(history, "missed")
    assert history._missed is not None
    assert "1 email did not reach everybody" in words(history._missed.html)
    assert 'aria-expanded="true"' in history.screen.html
    press(history, "missed")
    assert words(history._missed.html) == ""
    shown = press(history, "open", number(outbox, "gone"))
    assert "↩ bounced" in shown
    assert "It said: 550 gone" in shown
    press(history, "correct", number(outbox, "gone"))
    assert 'value="gone@example.com"' in history._missed.html
    sent_to = press_missed(
        history._missed, "send-corrected", number(outbox, "gone"), **{"address-0": "here@example.com"}
    )
    assert "Sent to 1 recipient." in sent_to
    until(lambda: "4 sent" in words(history.screen.html))


def test_an_opened_mail_says_what_is_late_and_where_its_copy_is(
    history: HistoryView, outbox: Outbox, settings: Settings, mailbox: FakeMailbox
) -> None:
    press(history, "look")
    assert LATE in press(history, "open", number(outbox, "late"))
    assert "a copy is in the Sent folder" in words(history.screen.html)
    mailbox.failures["append"] = ConnectError("The mailbox is full.", kind=Kind.LIMIT)
    sent(settings, "next")
    press(history, "refresh")
    shown = press(history, "open", number(outbox, "next"))
    assert "the copy for the Sent folder is still to be filed: The mailbox is full." in shown


def test_a_mailbox_that_cannot_be_opened_is_said_in_the_history(history: HistoryView, mailbox: FakeMailbox) -> None:
    mailbox.failures["open"] = ConnectError("The mailbox was not reached.", kind=Kind.NETWORK)
    assert "The mailbox was not reached." in press(history, "look")


def test_a_doubt_in_the_history_is_looked_up_in_the_sent_folder(
    settings: Settings, box: Sandbox, mailbox: FakeMailbox
) -> None:
    box.drop("end", times=1)
    with pytest.raises(docmail.errors.OutcomeUnknown):
        docmail.send((), to="lost@example.com", subject="Lost", settings=settings)
    (row,) = outbox = Outbox()
    history = HistoryView(outbox.folder)
    history.screen._handle_custom_msg({"ready": True}, [])
    assert "Look in the Sent folder" in press(history, "open", row.id)
    assert "which proves nothing" in press(history, "look-in-sent", row.id)
    mailbox.folders["Sent"].append(f"Message-ID: {row.message_id}\r\n\r\nHello".encode())
    assert "it was sent" in press(history, "look-in-sent", row.id)
    assert "1 sent" in words(history.screen.html)


# --- a document ---


def test_a_document_says_that_its_mail_came_back(settings: Settings, mailbox: FakeMailbox) -> None:
    document = Document.of(b"a,b", name="t.csv")
    docmail.send(document, to="gone@example.com", subject="Table", settings=settings)
    (row,) = outbox = Outbox()
    mailbox.folders["INBOX"].append(came_back(row))
    outbox.find_bounces(settings=settings)
    view = DocumentView(document, None)
    view.facts._handle_custom_msg({"ready": True}, [])
    shown = words(view.facts.html)
    assert "emailed to gone@example.com" in shown
    assert f"came back from gone@example.com: {NO_MAILBOX}" in shown
