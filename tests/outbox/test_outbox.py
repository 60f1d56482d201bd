"""Every mail is written down before it goes, and what became of it after; nothing is sent twice by a machine."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import docmail
from docmail.errors import (
    AuthenticationError,
    ConnectError,
    Deferred,
    DocmailError,
    DocumentError,
    MessageError,
    OutcomeUnknown,
    Refused,
    SettingsError,
)
from docmail.home import user_home
from docmail.outbox import Outbox, Row, claims, deliver
from docmail.outbox.changes import Changes, Outcome
from docmail.outbox.spool import SpoolFile
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.transport.smtp.delivery import Delivery

if TYPE_CHECKING:
    from pathlib import Path

    from docmail.sandbox import Sandbox
    from docmail.transport import SendResult

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"


def rows(box: Sandbox) -> list[Row]:
    return list(Outbox(box.settings.home.outbox))  # type: ignore[union-attr]


def folder_of(box: Sandbox) -> Path:
    return box.settings.home.outbox  # type: ignore[union-attr]


def send(box: Sandbox, **changes: Any) -> SendResult:
    arguments: dict[str, Any] = {"to": "cfo@example.com", "subject": "Q3", "body": "Attached."}
    arguments |= {"settings": box.settings, **changes}
    return docmail.send(arguments.pop("documents", PDF), **arguments)


# --- one send ---------------------------------------------------------------------------------------------------------


def test_a_sent_mail_leaves_a_row_with_all_that_is_known_of_it(box: Sandbox) -> None:
    before = datetime.now(UTC)
    result = send(box, key="q3")

    (row,) = rows(box)
    assert (row.state, row.key, row.batch, row.to, row.subject) == (
        "sent",
        "q3",
        None,
        ("cfo@example.com",),
        "Q3",
    )
    assert row.message_id == result.message_id == box.inbox[0]["Message-ID"]
    assert before <= row.created <= row.sent_at <= datetime.now(UTC)  # type: ignore[operator]
    assert row.reply == result.reply
    assert row.reply is not None
    assert row.reply.code == 250
    assert row.user
    assert row.documents == ("document.pdf",)
    assert row.recipients["cfo@example.com"].state == "sent"


def test_the_document_arrives_byte_for_byte(box: Sandbox, tmp_path: Path) -> None:
    content = PDF + os.urandom(300_000) + b"%%EOF"
    path = tmp_path / "Übersicht Q3.pdf"
    path.write_bytes(content)
    send(box, documents=[path, docmail.Document.of(b"a;b\n", name="table.csv")])
    pdf, table = box.inbox[0].attachments
    assert (pdf.name, pdf.content) == ("Übersicht Q3.pdf", content)
    assert (table.name, table.content) == ("table.csv", b"a;b\n")


def test_the_archive_copy_is_in_the_envelope_and_nowhere_else(box: Sandbox) -> None:
    send(box, settings=replace(box.settings, copy_to="archive@example.com"), bcc="boss@example.com")
    mail = box.inbox[0]
    assert set(mail.recipients) == {"cfo@example.com", "archive@example.com", "boss@example.com"}
    assert b"archive@" not in mail.raw
    assert b"boss@" not in mail.raw


def test_a_refused_archive_copy_never_fails_the_mail(box: Sandbox) -> None:
    with pytest.warns(UserWarning, match="nobody@example.com"):
        result = send(box, settings=replace(box.settings, copy_to="nobody@example.com"))
    assert result.accepted == ("cfo@example.com",)
    assert rows(box)[0].state == "sent"


def test_a_partial_refusal_is_a_result_that_warns(box: Sandbox) -> None:
    with pytest.warns(UserWarning, match="nobody@example.com"):
        result = send(box, to="cfo@example.com; nobody@example.com")
    assert result.accepted == ("cfo@example.com",)
    assert result.refused["nobody@example.com"].code == 550
    (row,) = rows(box)
    assert row.state == "sent"
    assert {address: each.state for address, each in row.recipients.items()} == {
        "cfo@example.com": "sent",
        "nobody@example.com": "refused",
    }


@pytest.mark.parametrize(
    ("step", "reply", "error", "state"),
    [
        ("rcpt", "550 5.1.1 No such mailbox", Refused, "refused"),
        ("rcpt", "451 4.2.1 Later", Deferred, "failed"),
        ("mail", "550 5.7.60 Not allowed to send as this sender", Refused, "failed"),
        ("auth", "535 5.7.8 Wrong", AuthenticationError, "failed"),
        ("end", "554 5.7.1 Spam", Refused, "refused"),
        ("end", "451 4.3.0 Busy", Deferred, "failed"),
        ("end", "550 5.4.5 Daily user sending limit exceeded", Deferred, "failed"),
    ],
)
def test_a_refusal_is_an_exception_and_a_settled_row(
    box: Sandbox, step: Any, reply: str, error: type[Exception], state: str
) -> None:
    box.answer(step, reply)
    with pytest.raises(error):
        send(box)
    (row,) = rows(box)
    assert row.state == state
    assert reply.rsplit(maxsplit=1)[-1] in row.reason
    assert len(box.inbox) == 0


def test_a_connection_cut_after_the_last_byte_is_unknown_and_stays_so(box: Sandbox) -> None:
    box.drop("end")
    with pytest.raises(OutcomeUnknown):
        send(box, key="q3")
    box.reset()
    with pytest.raises(OutcomeUnknown, match="resolve"):
        send(box, key="q3")
    assert [row.state for row in rows(box)] == ["unknown"]
    assert len(box.inbox) == 1


def test_without_a_server_nothing_is_sent_and_the_row_says_why(box: Sandbox) -> None:
    server = docmail.SmtpServer("127.0.0.1", box.settings.account.port, username="accounts@example.com")
    settings = replace(box.settings, server=server, home=None, mailbox=None)
    box.close()
    docmail.credentials.set(settings, "x", remember=False)
    with pytest.raises(ConnectError):
        docmail.send(PDF, to="cfo@example.com", subject="Q3", settings=settings)
    (row,) = Outbox()
    assert row.state == "failed"
    assert "127.0.0.1" in row.reason


def test_bad_arguments_leave_no_row_behind(box: Sandbox) -> None:
    for wrong in (
        {"to": "nonsense"},
        {"subject": "a\nBcc: x@example.com"},
        {"documents": "Q3.pdf"},
        {"body": None},
    ):
        with pytest.raises(MessageError):
            send(box, **wrong)
    assert rows(box) == []


def test_a_document_that_changes_before_it_is_sent_is_reported(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(PDF)
    document = docmail.Document.of(path)
    path.write_bytes(PDF + PDF)
    with pytest.raises(MessageError, match="changed"):
        send(box, documents=document)
    assert rows(box) == []
    assert len(box.inbox) == 0


# --- keys -------------------------------------------------------------------------------------------------------------


def test_the_same_key_sends_once_and_returns_what_was_recorded(box: Sandbox) -> None:
    first = send(box, key="q3")
    again = send(box, key="q3")
    assert again == replace(first, repeated=True)
    assert len(box.inbox) == 1
    assert len(rows(box)) == 1


def test_a_pdf_made_again_is_mentioned_not_sent(box: Sandbox) -> None:
    send(box, key="q3")
    again = send(box, key="q3", documents=PDF + b"%%EOF")
    assert again.repeated
    assert "differ" in again.note
    assert len(box.inbox) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"to": "other@example.com"}, "recipients"),
        ({"subject": "Q4"}, "subject"),
        ({"body": "?"}, "body"),
        ({"bcc": "x@example.com"}, "recipients"),
    ],
)
def test_a_key_used_for_something_else_is_an_error(box: Sandbox, change: dict[str, str], word: str) -> None:
    send(box, key="q3")
    with pytest.raises(MessageError, match=word) as caught:
        send(box, key="q3", **change)
    assert caught.value.field == "key"
    assert len(box.inbox) == 1


def test_resend_sends_on_purpose_and_keeps_both_records(box: Sandbox) -> None:
    send(box, key="q3")
    result = send(box, key="q3", resend=True)
    assert not result.repeated
    assert len(box.inbox) == 2
    assert [row.state for row in rows(box)] == ["sent", "sent"]
    assert send(box, key="q3").message_id == result.message_id


def test_a_key_that_failed_may_be_tried_again(box: Sandbox) -> None:
    box.answer("end", "451 4.3.0 Busy")
    with pytest.raises(Deferred):
        send(box, key="q3")
    box.reset()
    assert not send(box, key="q3").repeated
    assert len(box.inbox) == 1
    assert [row.state for row in rows(box)] == ["failed", "sent"]


def test_a_key_belongs_to_the_sending_account_not_to_its_server(box: Sandbox) -> None:
    send(box, key="q3")
    assert send(box, key="q3", settings=box.settings_for("tls")).repeated
    other = replace(box.settings, sender="Other <other@example.com>")
    assert not send(box, key="q3", settings=other).repeated


def test_two_sends_of_one_key_at_the_same_moment_are_one_mail(box: Sandbox) -> None:
    """The slower one does not wait: it gets an error, or the recorded result."""
    barrier, told = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        try:
            told.append(send(box, key="q3").message_id)
        except MessageError as exc:
            told.append(str(exc))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(box.inbox) == 1
    assert len(told) == 4
    assert [row.state for row in rows(box)] == ["sent"]


def test_a_sent_mail_that_cannot_be_recorded_says_that_it_was_sent(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_full = DocmailError("No space left on device.")

    def full(*_arguments: object, **_keywords: object) -> None:
        raise disk_full

    with monkeypatch.context() as patch:
        patch.setattr(Changes, "settle_alone", full)
        with pytest.raises(DocmailError, match=r"was sent.*No space left.*Do not send it again"):
            send(box, key="q3")
    with pytest.raises(OutcomeUnknown):
        send(box, key="q3")
    assert len(box.inbox) == 1


def test_an_interrupt_while_the_result_is_recorded_leaves_it_unknown(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Changes.settle_alone

    def interrupted(self: Changes, claim: str, outcome: Outcome, **keywords: Any) -> None:
        if outcome.state == "sent":
            raise KeyboardInterrupt
        original(self, claim, outcome, **keywords)

    monkeypatch.setattr(Changes, "settle_alone", interrupted)
    with pytest.raises(KeyboardInterrupt):
        send(box)
    assert [row.state for row in rows(box)] == ["unknown"]


# --- interrupts and kills ---------------------------------------------------------------------------------------------


def test_an_interrupt_before_the_last_byte_settles_its_row_as_failed(box: Sandbox) -> None:
    message = docmail.Message("cfo@example.com", "Q3", documents=[docmail.Document.of(PDF + bytes(900_000) + b"%%EOF")])

    def interrupt(_sent: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(message, settings=box.settings, progress=interrupt)
    assert [row.state for row in rows(box)] == ["failed"]
    assert len(box.inbox) == 0


def test_an_interrupt_after_the_last_byte_settles_its_row_as_unknown(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even when the server has taken it: from here on nobody can say so without having looked."""
    original = Delivery._judge_content

    def judge_and_interrupt(self: Delivery, reply: Any) -> None:
        original(self, reply)
        raise KeyboardInterrupt

    monkeypatch.setattr(Delivery, "_judge_content", judge_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        send(box)
    assert [row.state for row in rows(box)] == ["unknown"]


CHILD = """
import sys, docmail
from pathlib import Path
from docmail import credentials
from docmail.sandbox import SANDBOX_PASSWORD
settings = docmail.Settings.load("victim")
credentials.provide(settings.account, credentials.Secret(SANDBOX_PASSWORD))
docmail.send(b"%PDF-1.4 %%EOF", to="cfo@example.com", subject="Q3", settings=settings, key="q3")
"""


@pytest.mark.parametrize("step", ["rcpt", "end"])
def test_a_kill_in_the_middle_of_a_send_leaves_one_unknown_row_and_never_two_mails(box: Sandbox, step: Any) -> None:
    settings = replace(box.settings, home=user_home())
    settings.save("victim")
    journal = user_home().outbox / "outbox.sqlite3"
    box.delay(step, 30)
    child = subprocess.Popen([sys.executable, "-c", CHILD])
    _wait_for(lambda: journal.exists() and _states(journal) == ["sending"])
    time.sleep(0.5)  # the server sits on its reply
    assert [row.state for row in Outbox(journal.parent)] == ["sending"]  # its owner lives: nobody touches it
    child.kill()
    child.wait()

    (row,) = Outbox(journal.parent)
    assert row.state == "unknown"
    assert row.recipients["cfo@example.com"].state == "unknown"
    box.reset()
    with pytest.raises(OutcomeUnknown):
        docmail.send(PDF, to="cfo@example.com", subject="Q3", settings=settings, key="q3")
    assert Outbox(journal.parent).run(settings=settings) == {"unknown": 1}
    assert len(box.inbox) <= 1


def _states(journal: Path) -> list[str]:
    database = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return [state for (state,) in database.execute("SELECT state FROM mail")]
    except sqlite3.OperationalError:
        return []
    finally:
        database.close()


def _wait_for(condition: Any, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_single_send_that_died_before_it_began_has_failed(box: Sandbox) -> None:
    """The row is added, then the process ends: nothing was sent, and nothing stays queued."""
    home = box.settings.home
    assert home is not None
    code = (
        "import sys, os; from pathlib import Path; from docmail.outbox import Outbox, claims; import docmail;"
        "from docmail.outbox.single_mail import entry_in; from docmail.settings import *;"
        "settings = Settings('A', SmtpServer('127.0.0.1', username='accounts@example.com'));"
        "box = Outbox(sys.argv[1]);"
        "store = box._store; entry = entry_in(store, docmail.Message('cfo@example.com', 'Q3'), settings);"
        "store.changes.add(entry, claim=claims.begin(store.folder));"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(home.outbox)], check=False)
    (row,) = rows(box)
    assert row.state == "failed"
    assert "ended before" in row.reason


# --- the queue --------------------------------------------------------------------------------------------------------


def test_run_sends_what_is_queued_once(box: Sandbox) -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.add(docmail.Message("cfo@example.com", f"No. {number}", documents=PDF), settings=box.settings)
    assert outbox.run(settings=box.settings) == {"sent": 3}
    assert outbox.run(settings=box.settings) == {"sent": 3}
    assert [mail.subject for mail in box.inbox] == ["No. 0", "No. 1", "No. 2"]


def test_a_queued_key_cannot_be_added_twice(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com", "Q3"), key="q3", settings=box.settings)
    with pytest.raises(MessageError, match="q3"):
        outbox.add(docmail.Message("cfo@example.com", "Q3"), key="q3", settings=box.settings)


def test_a_refused_mail_does_not_stop_the_others(box: Sandbox) -> None:
    outbox = Outbox()
    for name in ("nobody", "cfo"):
        outbox.add(docmail.Message(f"{name}@example.com", "Q3"), settings=box.settings)
    assert outbox.run(settings=box.settings) == {"refused": 1, "sent": 1}


def test_a_refused_sign_in_stops_the_run_and_keeps_the_queue(box: Sandbox) -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.add(docmail.Message("cfo@example.com", f"No. {number}"), settings=box.settings)
    box.answer("auth", "535 5.7.8 Wrong")
    with pytest.raises(AuthenticationError):
        outbox.run(settings=box.settings)
    assert [row.state for row in outbox] == ["queued"] * 3
    box.reset()
    assert outbox.run(settings=box.settings) == {"sent": 3}


def test_a_person_resolves_what_is_unknown(box: Sandbox) -> None:
    box.drop("end", keep=False)
    for key in ("a", "b"):
        with pytest.raises(OutcomeUnknown):
            send(box, key=key)
    box.reset()
    outbox = Outbox()
    first, second = outbox
    outbox.resolve(first.id, "sent")
    outbox.resolve(second.id, "resend")
    assert [row.state for row in outbox] == ["sent", "queued"]
    assert outbox.run(settings=box.settings) == {"sent": 2}
    assert [mail["Message-ID"] for mail in box.inbox] == [second.message_id]
    with pytest.raises(MessageError, match="unknown"):
        outbox.resolve(first.id, "sent")


def test_what_failed_in_the_queue_can_be_retried(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com", "Q3", documents=PDF), settings=box.settings)
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFile, "open", lambda _self: (_ for _ in ()).throw(MessageError("unreadable")))
        assert outbox.run(settings=box.settings) == {"failed": 1}
    assert outbox.retry() == 1
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert len(box.inbox) == 1


def test_retry_leaves_alone_what_somebody_has_tried_to_send_himself(box: Sandbox) -> None:
    box.answer("end", "451 4.3.0 Busy")
    with pytest.raises(Deferred):
        send(box)
    box.reset()
    send(box)
    outbox = Outbox()
    assert outbox.retry() == 0
    outbox.run(settings=box.settings)
    assert len(box.inbox) == 1


def test_one_number_is_one_key_whatever_its_type_and_wherever_it_is_given(box: Sandbox) -> None:
    keys: list[Any] = [118, "118", 118.0, np.float64(118), np.float32(118), Decimal(118)]
    repeated = [
        docmail.send(PDF, to="cfo@example.com", subject="Q3", key=key, settings=box.settings).repeated for key in keys
    ]
    assert repeated == [False, True, True, True, True, True]
    outbox = Outbox()
    for key in keys:
        with pytest.raises(MessageError, match="The key 118 is in the outbox already"):
            outbox.add(docmail.Message("cfo@example.com", "Q3"), key=key, settings=box.settings)
    for key in (1234567890123456.0, 1234567890123457.0):
        outbox.add(docmail.Message("cfo@example.com", "Q3"), key=key, settings=box.settings)
    with pytest.raises(MessageError, match="not exact"):
        outbox.add(docmail.Message("cfo@example.com", "Q3"), key=2.0**53, settings=box.settings)
    assert len(outbox) == 3


def test_one_mail_that_cannot_be_sent_does_not_block_the_queue(box: Sandbox) -> None:
    outbox = Outbox()
    for content in (PDF, PDF + b"%%EOF"):
        outbox.add(docmail.Message("cfo@example.com", "Q3", documents=content), settings=box.settings)
    first, _second = outbox
    (folder_of(box) / "spool" / first.contents[0]).unlink()
    assert outbox.run(settings=box.settings) == {"failed": 1, "sent": 1}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try what was deferred again at once."""
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.05, reconnect_seconds=(0.01, 0.02)))


@pytest.mark.usefixtures("impatient")
def test_a_run_repeats_only_for_the_recipient_who_was_deferred(box: Sandbox) -> None:
    box.answer("rcpt", "451 4.7.1 Greylisted", recipient="grey@example.com", times=1)
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com; grey@example.com", "Q3"), settings=box.settings)
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert [mail.recipients for mail in box.inbox] == [("cfo@example.com",), ("grey@example.com",)]
    (row,) = outbox
    assert {each.state for each in row.recipients.values()} == {"sent"}


def test_a_server_that_puts_the_sign_in_off_is_not_asked_again_for_each_mail(box: Sandbox) -> None:
    box.answer("auth", "454 4.7.0 Too many login attempts, please try again later")
    outbox = Outbox()
    for number in range(3):
        outbox.add(docmail.Message("cfo@example.com", f"Q{number}"), settings=box.settings)
    with pytest.raises(Deferred):
        outbox.run(settings=box.settings)
    assert [row.state for row in outbox] == ["queued"] * 3
    assert box.inbox[:] == ()


@pytest.mark.usefixtures("impatient")
def test_a_limit_said_of_one_recipient_is_no_refusal_though_its_code_says_so(box: Sandbox) -> None:
    box.answer("rcpt", "550 5.4.5 Daily user sending limit exceeded", recipient="late@example.com", times=1)
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com; late@example.com", "Q3"), settings=box.settings)
    with pytest.raises(Deferred, match="Daily user sending limit"):
        outbox.run(settings=box.settings)
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert [mail.recipients for mail in box.inbox] == [("cfo@example.com",), ("late@example.com",)]


def test_an_interrupted_run_goes_on_with_the_same_mail(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com", "Q3", documents=PDF), settings=box.settings)

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "_data", interrupt)
        with pytest.raises(KeyboardInterrupt):
            outbox.run(settings=box.settings)
    assert [row.state for row in outbox] == ["queued"]
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert len(box.inbox) == 1


def test_a_run_sends_only_what_was_added_for_its_account(box: Sandbox) -> None:
    outbox = Outbox()
    boss = replace(box.settings, sender="Boss <boss@other.example>")
    outbox.add(docmail.Message("cfo@example.com", "Q3"), settings=boss)
    assert outbox.run(settings=box.settings) == {"queued": 1}
    assert len(box.inbox) == 0


def test_what_was_sent_again_on_purpose_cannot_be_resolved_to_be_sent_once_more(box: Sandbox) -> None:
    box.drop("end", keep=False)
    with pytest.raises(OutcomeUnknown):
        send(box, key="q3")
    box.reset()
    send(box, key="q3", resend=True)
    outbox = Outbox()
    with pytest.raises(MessageError, match="sent again since"):
        outbox.resolve(next(iter(outbox)).id, "resend")


def test_who_comes_second_says_so_and_does_not_touch_the_mail_that_the_first_is_sending(box: Sandbox) -> None:
    """The second comes while the first waits for the reply after the last byte."""
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com", "Q3"), settings=box.settings)
    box.delay("end", 2)
    first = Outbox().run(settings=box.settings, wait=False)
    _wait_for(lambda: [row.state for row in outbox] == ["sending"])
    with pytest.raises(DocmailError, match="already"):
        outbox.run(settings=box.settings, batch="another")
    assert [row.state for row in outbox] == ["sending"]
    first.wait()
    box.reset()
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert len(box.inbox) == 1


def test_the_same_key_while_it_is_being_sent_is_refused_and_harmless(box: Sandbox) -> None:
    box.delay("connect", 1.5)
    first = threading.Thread(target=send, args=(box,), kwargs={"key": "q3"})
    first.start()
    _wait_for(lambda: len(rows(box)) == 1)
    with pytest.raises(MessageError, match="being sent right now"):
        send(box, key="q3", timeout=0.5)
    first.join()
    assert [row.state for row in rows(box)] == ["sent"]
    assert len(box.inbox) == 1


@pytest.mark.parametrize("wrong", [{}, "", "work", 0, object()])
def test_what_is_no_settings_sends_nothing(box: Sandbox, wrong: Any) -> None:
    box.settings.save()
    with pytest.raises(SettingsError, match="not email settings"):
        send(box, settings=wrong)
    assert len(box.inbox) == 0


@pytest.mark.parametrize("wrong", [None, "20", 0, -1, float("nan"), float("inf"), 10**400, True])
def test_a_timeout_that_is_no_time_sends_nothing_and_leaves_no_row(box: Sandbox, wrong: Any) -> None:
    with pytest.raises(MessageError, match="number of seconds") as caught:
        send(box, timeout=wrong)
    assert caught.value.field == "timeout"
    assert rows(box) == []


@pytest.mark.parametrize("limit", [-1, "x", 1.5])
def test_a_limit_that_is_no_number_sends_nothing(box: Sandbox, limit: Any) -> None:
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com", "Q3"), settings=box.settings)
    with pytest.raises(MessageError, match="limit"):
        outbox.run(settings=box.settings, limit=limit)
    assert len(box.inbox) == 0


@pytest.mark.parametrize(
    "document",
    [
        docmail.Document("a\r\nBcc: x@example.com", "application/pdf", b"x", 1),
        docmail.Document("a.pdf", "application/pdf\r\nX: y", b"x", 1),
        docmail.Document("a/b.pdf", "application/pdf", b"", 0),
        docmail.Document("a.pdf", "application/pdf", b"x", 2),
    ],
)
def test_a_document_put_together_by_hand_is_looked_at_again(box: Sandbox, document: docmail.Document) -> None:
    with pytest.raises(DocumentError):
        send(box, documents=document)
    assert rows(box) == []


def test_a_key_whose_mail_nobody_got_may_be_corrected(box: Sandbox) -> None:
    with pytest.raises(Refused):
        send(box, to="nobody@example.com", key="q3")
    assert send(box, key="q3").accepted == ("cfo@example.com",)


def test_a_key_does_not_mind_capital_letters_in_an_address(box: Sandbox) -> None:
    send(box, to="Cfo@Example.com", key="q3")
    assert send(box, key="q3").repeated


def test_a_recorded_mail_needs_no_password(box: Sandbox) -> None:
    send(box, key="q3")
    docmail.credentials.withdraw(box.settings.account)
    assert send(box, key="q3").repeated


def test_a_mail_that_waits_is_sent_as_it_was_written_down(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add(docmail.Message("cfo@example.com", "Q3", "Attached.", PDF), key="q3", settings=box.settings)
    result = send(box, key="q3", documents=PDF + b"%%EOF")
    assert "differ" in result.note
    assert box.inbox[0].attachments[0].content == PDF
    assert outbox.run(settings=box.settings) == {"sent": 1}


def test_an_interrupt_inside_a_transaction_leaves_the_journal_usable(box: Sandbox) -> None:
    outbox = Outbox()
    transaction = outbox._store.file.transaction()
    database = transaction.__enter__()
    assert database.in_transaction
    assert not transaction.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)  # not swallowed
    assert not database.in_transaction
    send(box)
    assert len(outbox) == 1


def test_two_runs_at_the_same_moment_are_one(box: Sandbox) -> None:
    first, second = Outbox(), Outbox()
    for number in range(20):
        first.add(docmail.Message("cfo@example.com", f"No. {number}"), settings=box.settings)
    failures: list[BaseException] = []

    def run(outbox: Outbox) -> None:
        try:
            outbox.run(settings=box.settings)
        except BaseException as exc:  # noqa: BLE001 - reported below
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(outbox,)) for outbox in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(mail.subject for mail in box.inbox) == sorted(f"No. {number}" for number in range(20))


# --- the files --------------------------------------------------------------------------------------------------------


def test_the_outbox_is_readable_by_its_owner_only(box: Sandbox) -> None:
    send(box)
    folder = box.settings.home.outbox  # type: ignore[union-attr]
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_password_is_nowhere_in_the_outbox(box: Sandbox) -> None:
    send(box)
    folder = box.settings.home.outbox  # type: ignore[union-attr]
    secret = SANDBOX_PASSWORD.encode()
    assert all(secret not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_one_content_is_kept_once(box: Sandbox) -> None:
    send(box)
    send(box)
    spool = box.settings.home.outbox / "spool"  # type: ignore[union-attr]
    assert len(list(spool.iterdir())) == 1


def test_contents_expire_and_the_record_stays(box: Sandbox) -> None:
    send(box, key="q3")
    folder = box.settings.home.outbox  # type: ignore[union-attr]
    database = sqlite3.connect(folder / "outbox.sqlite3")
    database.execute("UPDATE mail SET created = created - 31 * 86400")
    database.execute("DELETE FROM note WHERE name = 'expired'")  # not looked for since yesterday
    database.commit()
    database.close()
    for path in (folder / "spool").iterdir():
        os.utime(path, (time.time() - 2 * 86400,) * 2)
    (row,) = rows(box)
    assert row.state == "sent"
    assert row.documents == ("document.pdf",)
    assert list((folder / "spool").iterdir()) == []
    assert send(box, key="q3").repeated


def test_a_journal_of_a_newer_docmail_is_reported_and_left_alone(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    database = sqlite3.connect(tmp_path / "outbox.sqlite3")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(DocmailError, match="newer"):
        Outbox(tmp_path)


def test_a_damaged_journal_is_kept_aside_and_reported_before_a_new_one_is_begun(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite3").write_bytes(b"this is no database, " * 100)
    with pytest.raises(DocmailError, match=str(tmp_path)):
        Outbox(tmp_path)
    (kept,) = tmp_path.glob("outbox-damaged-*.sqlite3")
    assert kept.read_bytes().startswith(b"this is no database")
    assert list(Outbox(tmp_path)) == []


def test_a_claim_holds_until_it_ends_as_seen_from_here_and_from_another_process(tmp_path: Path) -> None:
    claim = claims.begin(tmp_path)
    code = (
        "import sys; from pathlib import Path; from docmail.outbox import claims;"
        "print(claims.is_over(Path(sys.argv[1]), sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), claim]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
    assert not claims.is_over(tmp_path, claim)
    claims.end(claim)
    assert claims.is_over(tmp_path, claim)


def test_its_repr_counts_and_names_no_address(box: Sandbox) -> None:
    assert repr(Outbox()) == "<Outbox empty>"
    send(box)
    assert repr(Outbox()) == "<Outbox 1 sent>"
