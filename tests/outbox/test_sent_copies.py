"""A copy of each sent mail is filed once, whatever happens to the program or the mailbox, and fails no mail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

import docmail
from docmail import credentials
from docmail.errors import ConnectError, Deferred, Kind, Refused
from docmail.home import user_home
from docmail.mailbox import Mailbox
from docmail.outbox import Outbox, mailbox_work, sent_copies
from docmail.secret import Secret
from docmail.settings import Security, Settings, SmtpServer
from tests.support.imapserver import PASSWORD, ImapServer
from tests.support.slow_server import SlowServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from docmail.outbox import Row
    from docmail.sandbox import Sandbox
    from tests.support.fake_mailbox import FakeMailbox

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"
FULL = "The mailbox is full."


def send(settings: Settings, subject: str = "Q3", **details: object) -> docmail.SendResult:
    document = docmail.Document.of(PDF, name="Q3.pdf")
    return docmail.send(document, to="ann@example.com", subject=subject, settings=settings, **details)  # type: ignore[arg-type]


def queue(settings: Settings, number: int = 3) -> Outbox:
    outbox = Outbox()
    messages = [docmail.Message(f"c{each}@example.com", f"No. {each}", key=str(each)) for each in range(number)]
    outbox.add_all(messages, batch="b", settings=settings)
    return outbox


def only() -> Row:
    row: Row
    (row,) = Outbox()
    return row


def subjects(folder: list[bytes]) -> Counter[str]:
    return Counter(str(message_from_bytes(raw)["Subject"]) for raw in folder)


def test_the_copy_has_the_octets_that_were_sent_is_read_and_of_the_same_time(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    result = send(settings, body="Attached: äöü\n.\n", bcc="boss@example.com")
    ((raw, flags, when),) = mailbox.filed
    row = only()
    assert raw.replace(b"\r\n", b"\n") == box.inbox[0].raw.replace(b"\r\n", b"\n")
    assert (flags, when) == (("\\Seen",), row.sent_at)
    assert (row.filed, row.not_filed, result.note) == (True, "", "")


def test_an_interrupt_while_the_copy_is_filed_says_that_the_mail_was_sent(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    mailbox.failures["append"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt, match="The mail was sent, and is recorded as sent"):
        send(settings, key="q3")
    assert (only().state, only().filed, len(box.inbox)) == ("sent", False, 1)
    mailbox.failures.clear()
    assert send(settings, key="q3").repeated
    assert Outbox().file_copies(settings=settings).filed == 1


def test_a_run_files_a_copy_of_each_mail(settings: Settings, mailbox: FakeMailbox) -> None:
    run = queue(settings).run(settings=settings)
    assert subjects(mailbox.folders["Sent"]) == {"No. 0": 1, "No. 1": 1, "No. 2": 1}
    assert run.after_sending == "3 copies are in the Sent folder."
    assert mailbox.opened == 1


def test_what_the_server_has_filed_itself_gets_no_second_copy(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    mailbox.failures["append"] = ConnectError("gone", kind=Kind.NETWORK)
    send(settings)
    mailbox.failures.clear()
    mailbox.folders["Sent"].append(box.inbox[0].raw)
    found = Outbox().file_copies(settings=settings)
    assert (found.filed, found.found, found.waiting) == (0, 1, 0)
    assert len(mailbox.folders["Sent"]) == 1
    assert only().filed


@pytest.mark.parametrize(
    ("host", "owes"),
    [("smtp.gmail.com", False), ("mail.example.com", True), ("email-smtp.eu-west-1.amazonaws.com", True)],
)
def test_where_the_provider_files_sent_mail_docmail_does_not(host: str, owes: bool) -> None:  # noqa: FBT001
    there = Mailbox("imap.example.com", username="a@example.com")
    settings = Settings("a@example.com", SmtpServer(host, username="a@example.com"), mailbox=there)
    assert sent_copies.owes_copies(settings) is owes
    assert not sent_copies.owes_copies(replace(settings, mailbox=None))


@pytest.mark.parametrize(
    "failure", [Deferred(FULL, kind=Kind.LIMIT), ConnectError("No connection.", kind=Kind.NETWORK)]
)
@pytest.mark.parametrize("step", ["open", "sent_folder", "holds", "append"])
def test_a_full_mailbox_or_none_fails_no_mail_is_said_and_tried_again(
    settings: Settings, mailbox: FakeMailbox, failure: Exception, step: str
) -> None:
    mailbox.failures[step] = failure
    result = send(settings)
    assert result.accepted == ("ann@example.com",)
    assert str(failure) in result.note
    row = only()
    assert (row.state, row.filed) == ("sent", False)
    run = queue(settings, 1).run(settings=settings)
    assert dict(run) == {"sent": 2}
    assert str(failure) in run.after_sending
    mailbox.failures.clear()
    assert Outbox().file_copies(settings=settings).filed == 2
    assert [row.filed for row in Outbox()] == [True, True]
    assert subjects(mailbox.folders["Sent"]) == {"Q3": 1, "No. 0": 1}


def test_a_mailbox_that_is_slow_to_fail_holds_up_one_of_many_mails_and_no_run(
    settings: Settings, mailbox: FakeMailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_work, "_SLOW", 0.0)
    opened, gone = 0, "Not there."

    def fail(*_arguments: object, **_more: object) -> NoReturn:
        nonlocal opened
        opened += 1
        raise ConnectError(gone, kind=Kind.NETWORK)

    with monkeypatch.context() as silent:
        silent.setattr(mailbox_work, "open_mailbox", fail)
        notes = {send(settings, str(number)).note for number in range(5)}
        assert opened == 1
        assert [note.endswith(gone) for note in notes] == [True]
    assert mailbox.folders["Sent"] == []
    queue(settings, 1).run(settings=settings)
    assert len(mailbox.folders["Sent"]) == 6


def test_a_full_mailbox_is_not_asked_for_each_mail(settings: Settings, mailbox: FakeMailbox) -> None:
    asked = 0

    def holds(_message_id: str, _folder: str) -> bool:
        nonlocal asked
        asked += 1
        raise Deferred(FULL, kind=Kind.LIMIT)

    mailbox.holds = holds  # type: ignore[assignment, method-assign]
    run = queue(settings, 5).run(settings=settings)
    assert asked == 1
    assert run.after_sending == f"5 copies are not in the Sent folder yet, and are filed later. {FULL}"


def test_a_copy_that_the_mailbox_never_takes_is_given_up_and_the_others_are_filed(
    settings: Settings, mailbox: FakeMailbox
) -> None:
    original = mailbox.append
    too_large = Refused("The mail is too large.", kind=Kind.MESSAGE)

    def append(folder: str, raw: bytes, **details: object) -> None:
        if b"Subject: No. 1" in raw:
            raise too_large
        original(folder, raw, **details)  # type: ignore[arg-type]

    mailbox.append = append  # type: ignore[method-assign]
    run = queue(settings).run(settings=settings)
    assert subjects(mailbox.folders["Sent"]) == {"No. 0": 1, "No. 2": 1}
    assert run.after_sending == "2 copies are in the Sent folder. 1 copy cannot be filed. The mail is too large."
    assert [(row.filed, row.not_filed) for row in Outbox()] == [
        (True, ""),
        (False, "The mail is too large."),
        (True, ""),
    ]
    assert str(Outbox().file_copies(settings=settings)) == "No copy is to be filed."


def test_contents_are_kept_until_their_copy_is_filed(settings: Settings, mailbox: FakeMailbox) -> None:
    mailbox.failures["append"] = Deferred(FULL, kind=Kind.LIMIT)
    send(settings)
    outbox = Outbox()
    outbox.content_days = 0
    mailbox.failures.clear()
    assert outbox.file_copies(settings=settings).filed == 1
    assert PDF in message_from_bytes(mailbox.folders["Sent"][0]).get_payload()[1].get_payload(decode=True)  # type: ignore[union-attr, index]
    outbox.content_days = 0
    with pytest.raises(docmail.errors.MessageError, match="no longer kept"):
        outbox._store.journal.mail(1)


def test_nothing_is_filed_of_what_nobody_got_or_may_not_have(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    box.answer("rcpt", "550 5.1.1 No such user", times=1)
    with pytest.raises(Refused):
        send(settings)
    box.drop("end", times=1)
    with pytest.raises(docmail.errors.OutcomeUnknown):
        send(settings)
    assert mailbox.folders["Sent"] == []
    outbox = Outbox()
    outbox.resolve(2, "sent")
    assert outbox.file_copies(settings=settings).filed == 1


def test_two_programs_do_not_file_at_once(settings: Settings, mailbox: FakeMailbox) -> None:
    mailbox.failures["append"] = Deferred(FULL, kind=Kind.LIMIT)
    send(settings)
    mailbox.failures.clear()
    (path,) = (Outbox().folder / "runs").glob("copies-*.lock")
    with FileLock(path):
        said = str(Outbox().file_copies(settings=settings))
    assert said == "1 copy is not in the Sent folder yet, and is filed later. Another program is filing them."
    assert mailbox.folders["Sent"] == []


def test_mails_of_another_account_are_left_alone(settings: Settings, mailbox: FakeMailbox) -> None:
    mailbox.failures["append"] = Deferred(FULL, kind=Kind.LIMIT)
    send(settings)
    mailbox.failures.clear()
    other = replace(settings, sender="Other <other@example.com>")
    assert str(Outbox().file_copies(settings=other)) == "No copy is to be filed."


# --- a real Dovecot, and a program that is killed ---

KILLS = 100
MOMENTS = ("taken", "written down", "before APPEND", "in APPEND", "after APPEND")

# Loads everything once; each child is a fork of it, sends one mail, and is killed at a moment of its own.
VICTIMS = """
import os, signal, sys
import docmail, docmail.outbox, docmail.mailbox.session, docmail.mailbox.protocol, docmail.mailbox.signing_in
import docmail.outbox.sent_copies, docmail.outbox.single_mail as single, filelock, flufl.bounce, ssl
from docmail import credentials
from docmail.mailbox import OpenMailbox
from docmail.net import Connection
from docmail.secret import Secret
from docmail.transport.smtp.transport import SmtpTransport
settings = docmail.Settings.load("victim")
docmail.Message("c@example.com", "No. 0").render(settings)
loaded = set(sys.modules)

def die(*_args, **_more):
    os.kill(os.getpid(), signal.SIGKILL)

def dies_after(wrapped):
    def call(*args, **more):
        wrapped(*args, **more)
        die()
    return call

def dies_within(wrapped):
    def send(connection, data, *args):
        if b"\\r\\nSubject: No. " in data:
            wrapped(connection, data[: len(data) // 2], *args)
            die()
        return wrapped(connection, data, *args)
    return send

def killed_at(moment):
    if moment == "taken":
        SmtpTransport.send = dies_after(SmtpTransport.send)
    elif moment == "written down":
        single.work_quietly = die
    elif moment == "before APPEND":
        OpenMailbox.append = die
    elif moment == "in APPEND":
        Connection.send = dies_within(Connection.send)
    else:
        OpenMailbox.append = dies_after(OpenMailbox.append)

for line in sys.stdin:
    number, moment = line.rstrip().split(";")
    child = os.fork()
    if child == 0:
        credentials.set(settings.for_mailbox, Secret(os.environ["MAILBOX_PASSWORD"]), remember=False)
        try:
            killed_at(moment)
            docmail.send((), to="c@example.com", subject="No. " + number, settings=settings, key=number)
        finally:
            os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def dovecot() -> Iterator[ImapServer]:
    with ImapServer() as server:
        yield server


@pytest.mark.mailserver
def test_a_hundred_kills_around_filing_leave_one_copy_of_each_sent_mail(dovecot: ImapServer) -> None:
    user = "ann@example.com"
    there = Mailbox("127.0.0.1", dovecot.starttls, Security.NONE, username=user)
    environment = {**os.environ, "MAILBOX_PASSWORD": PASSWORD}
    with SlowServer("data") as server:
        settings = Settings(user, SmtpServer("127.0.0.1", server.port, Security.NONE), mailbox=there)
        settings.save("victim")
        lines = "".join(f"{number};{MOMENTS[number % len(MOMENTS)]}\n" for number in range(KILLS))
        command = [sys.executable, "-c", VICTIMS]
        victims = subprocess.run(command, input=lines, env=environment, capture_output=True, text=True, check=False)
        assert victims.stdout.split() == ["9"] * KILLS, victims.stderr
        credentials.set(settings.for_mailbox, Secret(PASSWORD), remember=False)
        outbox = Outbox(user_home().outbox)
        outbox.file_copies(settings=settings)
        doubts = outbox.settle_doubts(settings=settings)
    rows = [*outbox]
    # Of those that the server had taken when the program was killed, nobody knows, and no copy is filed.
    assert (len(doubts.sent), len(doubts.unknown)) == (0, KILLS // len(MOMENTS))
    assert all(row.filed for row in rows if row.state == "sent")
    filed = Counter(str(message_from_bytes(path.read_bytes())["Subject"]) for path in dovecot.files(user))
    assert filed == dict.fromkeys((row.subject for row in rows if row.state == "sent"), 1)
    assert len(filed) == KILLS - KILLS // len(MOMENTS)
    assert all(path.name.endswith(":2,S") for path in dovecot.files(user)), "they count as read"
