"""A copy that is found settles a doubt; that there is none proves nothing, and is said so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail.errors import Deferred, Kind, OutcomeUnknown
from docmail.outbox import Outbox

if TYPE_CHECKING:
    from docmail.outbox import Row
    from docmail.sandbox import Sandbox
    from docmail.settings import Settings
    from tests.support.fake_mailbox import FakeMailbox

ME = "accounts@example.com"


def in_doubt(settings: Settings, box: Sandbox, to: str = "ann@example.com") -> Row:
    box.drop("end", times=1)
    with pytest.raises(OutcomeUnknown):
        docmail.send((), to=to, subject="Q3", key="q3", settings=settings)
    row = only()
    assert row.state == "unknown"
    return row


def only() -> Row:
    row: Row
    (row,) = Outbox()
    return row


def copy_of(row: Row) -> bytes:
    return f"Subject: Q3\r\nMessage-ID: {row.message_id}\r\n\r\nHello\r\n".encode()


def test_a_copy_in_the_sent_folder_settles_a_doubt(settings: Settings, mailbox: FakeMailbox, box: Sandbox) -> None:
    mailbox.folders["Sent"].append(copy_of(in_doubt(settings, box)))
    found = Outbox().settle_doubts(settings=settings)
    assert (found.sent, found.unknown) == ((1,), ())
    assert str(found) == "A copy of 1 email in doubt was found: it was sent."
    row = only()
    assert (row.state, row.recipients["ann@example.com"].state) == ("sent", "sent")
    assert docmail.send((), to="ann@example.com", subject="Q3", key="q3", settings=settings).repeated


def test_that_there_is_no_copy_proves_nothing(settings: Settings, mailbox: FakeMailbox, box: Sandbox) -> None:
    in_doubt(settings, box)
    mailbox.folders["INBOX"].append(copy_of(only()))  # somebody has forwarded it, perhaps
    found = Outbox().settle_doubts(settings=settings)
    assert (found.sent, found.unknown) == ((), (1,))
    assert str(found) == "No copy of 1 email in doubt was found, which proves nothing: ask the recipient."
    assert only().state == "unknown"


@pytest.mark.parametrize("way", ["archive", "to"])
def test_a_copy_that_arrived_in_the_mailbox_itself_settles_it(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox, way: str
) -> None:
    if way == "archive":
        settings = replace(settings, copy_to=ME)
        row = in_doubt(settings, box)
    else:
        row = in_doubt(settings, box, to=f"ann@example.com, {ME}")
    mailbox.folders["INBOX"].append(copy_of(row))
    assert Outbox().settle_doubts(settings=settings).sent == (row.id,)


def test_a_copy_that_docmail_has_filed_of_an_earlier_attempt_proves_nothing(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.02, tries=2))
    box.answer("rcpt", "450 4.2.0 Not now", recipient="busy@example.com")
    outbox = Outbox()
    outbox.add(docmail.Message(["got@example.com", "busy@example.com"], "Q3"), settings=settings)
    outbox.run(settings=settings)
    assert len(mailbox.folders["Sent"]) == 1
    box.reset()
    box.drop("end", times=1)
    outbox.retry()
    run = outbox.run(settings=settings)
    assert only().state == "unknown"
    assert "proves nothing" in run.after_sending
    assert only().state == "unknown"


def test_a_run_settles_doubts_by_itself_and_files_no_second_copy(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    mailbox.folders["Sent"].append(copy_of(in_doubt(settings, box)))
    run = Outbox().run(settings=settings)
    assert run.after_sending == "A copy of 1 email in doubt was found: it was sent."
    assert only().state == "sent"
    Outbox().file_copies(settings=settings)
    assert len(mailbox.folders["Sent"]) == 1
    assert only().filed


def test_a_run_of_a_batch_says_nothing_of_doubts_outside_it(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    in_doubt(settings, box)
    outbox = Outbox()
    outbox.add_all([docmail.Message("ben@example.com", "Q4", key="q4")], batch="b", settings=settings)
    assert outbox.run(settings=settings, batch="b").after_sending == "1 copy is in the Sent folder."
    assert len(mailbox.folders["Sent"]) == 1
    assert "proves nothing" in outbox.run(settings=settings).after_sending


def test_a_mailbox_that_fails_settles_nothing(settings: Settings, mailbox: FakeMailbox, box: Sandbox) -> None:
    in_doubt(settings, box)
    mailbox.failures["holds"] = Deferred("Not now.", kind=Kind.TEMPORARY)
    run = Outbox().run(settings=settings)
    assert run.after_sending.endswith("Not now.")
    assert only().state == "unknown"
