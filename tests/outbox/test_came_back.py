"""What came back stands at the recipient from whom it came back, and nobody else's mail changes anything."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail.command_line import commands as command_line
from docmail.errors import ConnectError, Kind, MessageError, SettingsError
from docmail.outbox import Group, Outbox, csv_of, history_of, resending
from docmail.outbox.search import Wanted
from docmail.outbox.tables import missed_csv
from tests.support.bounces import NO_BOUNCES, RETURNED, group, notification

if TYPE_CHECKING:
    from docmail.outbox import Row
    from docmail.sandbox import Sandbox
    from docmail.settings import Settings
    from tests.support.fake_mailbox import FakeMailbox

NO_MAILBOX = "There is no such mailbox; check the address."


def sent(settings: Settings, *people: str, key: str = "1", batch: str = "b") -> Row:
    """Send a mail in a batch, and return its row."""
    outbox = Outbox()
    to = [f"{name}@example.com" for name in people or ("got", "gone")]
    outbox.add_all([docmail.Message(to, f"Q3 {key}", "Hello", key=key)], batch=batch, settings=settings)
    outbox.run(settings=settings)
    *_earlier, row = outbox
    return row


def bounce(
    row: Row, name: str = "gone", status: str = "5.1.1", action: str = "failed", said: str = "550 gone"
) -> bytes:
    returned = RETURNED.replace("<q3-1@example.com>", row.message_id)
    return notification(group(f"{name}@example.com", status, action, diagnostic=f"smtp; {said}"), returned=returned)


def only() -> Row:
    row: Row
    (row,) = Outbox()
    return row


def states(row: Row) -> dict[str, str]:
    return {address.partition("@")[0]: each.state for address, each in row.recipients.items()}


def test_a_recipient_whose_mail_came_back_is_bounced_with_status_and_a_sentence(
    settings: Settings, mailbox: FakeMailbox
) -> None:
    row = sent(settings)
    mailbox.folders["INBOX"] += [NO_BOUNCES["out of office"], bounce(row), NO_BOUNCES["an invoice"]]
    outbox = Outbox()
    found = outbox.find_bounces(settings=settings)
    assert (found.bounced, found.delayed, found.read, found.mails) == (1, 0, 3, (row.id,))
    assert str(found) == "1 email bounced. 3 new mails were read."
    row = only()
    assert states(row) == {"got": "sent", "gone": "bounced"}
    assert (row.state, row.bounced) == ("sent", ("gone@example.com",))
    gone = row.recipients["gone@example.com"]
    assert (gone.status, gone.reason, str(gone.reply)) == (
        "5.1.1",
        NO_MAILBOX,
        f"5.1.1 {NO_MAILBOX} It said: 550 gone.",
    )
    run = outbox.run(settings=settings, batch="b")
    assert (dict(run), run.queue.count(Group.BOUNCED), run.queue.count(Group.MISSED)) == ({"sent": 1}, 1, 1)


def test_a_mail_that_came_back_from_everybody_is_bounced_as_a_whole_and_counted_so(
    settings: Settings, mailbox: FakeMailbox
) -> None:
    sent(settings, "got", key="0")
    row = sent(settings, "gone")
    mailbox.folders["INBOX"].append(bounce(row))
    run = Outbox().run(settings=settings, batch="b")
    assert run.after_sending == "1 email bounced. 1 new mail was read."
    assert dict(run) == {"sent": 1, "bounced": 1}
    assert repr(Outbox()) == "<Outbox 1 bounced, 1 sent>"
    assert [row.state for row in Outbox()] == ["sent", "bounced"]
    with history_of(Outbox().folder) as history:
        page = history.page(Wanted(state="bounced"))
    assert ([each.id for each in page.rows], page.counts) == ([row.id], {"bounced": 1})


def test_what_is_only_late_is_shown_and_not_counted(settings: Settings, mailbox: FakeMailbox) -> None:
    row = sent(settings)
    mailbox.folders["INBOX"].append(bounce(row, status="4.4.1", action="delayed"))
    found = Outbox().find_bounces(settings=settings)
    assert (found.bounced, found.delayed) == (0, 1)
    row = only()
    assert states(row) == {"got": "sent", "gone": "sent"}
    assert row.recipients["gone@example.com"].reason == "Not delivered yet; the server is still trying."
    mailbox.folders["INBOX"].append(bounce(row, status="4.4.7"))
    Outbox().find_bounces(settings=settings)
    assert states(only())["gone"] == "bounced"


def test_a_mail_is_late_for_a_week_and_then_one_that_arrived(settings: Settings, mailbox: FakeMailbox) -> None:
    """Of a late mail that arrives, nobody is notified; of one that is given up, everybody is."""
    row = sent(settings)
    mailbox.folders["INBOX"].append(bounce(row, status="4.4.1", action="delayed"))
    outbox = Outbox()
    outbox.find_bounces(settings=settings)
    queue = outbox.run(settings=settings).queue
    assert queue.count(Group.LATE) == 1
    with sqlite3.connect(outbox.folder / "outbox.sqlite3") as database:
        database.execute("UPDATE bounce SET found_at = found_at - 604801")
    database.close()
    assert (queue.count(Group.LATE), only().recipients["gone@example.com"].reason) == (0, "")
    mailbox.folders["INBOX"].append(bounce(row, status="4.4.7"))
    outbox.find_bounces(settings=settings)
    assert states(only())["gone"] == "bounced"


def test_each_report_counts_once_and_the_mailbox_is_read_on_from_where_it_was_left(
    settings: Settings, mailbox: FakeMailbox
) -> None:
    row = sent(settings)
    mailbox.folders["INBOX"].append(bounce(row))
    assert Outbox().find_bounces(settings=settings).bounced == 1
    again = Outbox().find_bounces(settings=settings)
    assert (again.bounced, again.read) == (0, 0)
    mailbox.validity = 2  # all numbers are new: it is read anew
    again = Outbox().find_bounces(settings=settings)
    assert (again.bounced, again.read) == (0, 1)
    first, second, *_rest = [since for since, _day in mailbox.asked if since is not None] + [None]
    assert str(first) == "1:1"
    assert second is None or str(second) == "1:1"


def test_a_look_before_anything_was_sent_reads_nothing(settings: Settings, mailbox: FakeMailbox) -> None:
    mailbox.folders["INBOX"].append(NO_BOUNCES["an invoice"])
    assert Outbox().find_bounces(settings=settings).read == 0


def test_forged_bounces_and_those_of_other_mails_change_nothing(settings: Settings, mailbox: FakeMailbox) -> None:
    row = sent(settings)
    other = replace(row, message_id="<other@example.net>")
    mailbox.folders["INBOX"] += [
        bounce(other),
        bounce(row, "somebody.else"),
        bounce(row).replace(b"text/rfc822-headers", b"text/x-nothing").replace(b"Message-ID", b"X-ID"),
        bounce(row, action="relayed"),
        b"\xff" * 10_000,
    ]
    found = Outbox().find_bounces(settings=settings)
    assert (found.bounced, found.delayed, found.read) == (0, 0, 5)
    assert only() == row


def test_a_mail_that_never_went_out_cannot_have_come_back(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    box.answer("rcpt", "550 5.1.1 No such user", recipient="gone@example.com")
    row = sent(settings)
    assert states(row) == {"got": "sent", "gone": "refused"}
    mailbox.folders["INBOX"].append(bounce(row))
    assert Outbox().find_bounces(settings=settings).bounced == 0
    assert states(only()) == {"got": "sent", "gone": "refused"}


def test_a_mail_in_doubt_that_comes_back_was_sent(settings: Settings, mailbox: FakeMailbox, box: Sandbox) -> None:
    box.drop("end", times=1)
    row = sent(settings)
    assert row.state == "unknown"
    mailbox.folders["INBOX"].append(bounce(row))
    Outbox().find_bounces(settings=settings)
    assert states(only()) == {"got": "sent", "gone": "bounced"}


def test_the_envelope_identifier_names_the_mail_where_nothing_else_does(
    settings: Settings, mailbox: FakeMailbox
) -> None:
    row = sent(settings)
    fields = f"Original-Envelope-Id: {row.message_id.strip('<>')}\n"
    mailbox.folders["INBOX"].append(
        notification(group("gone@example.com"), mail_fields=fields, returned="Subject: x\n")
    )
    assert Outbox().find_bounces(settings=settings).bounced == 1


def test_the_name_under_which_amazon_took_a_mail_names_it(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    name = "0102018f1a2b3c4d-8d1f6a10-1111-2222-3333-444455556666-000000"
    box.answer("end", f"250 Ok {name}")
    row = sent(settings)
    returned = f"Message-ID: <{name}@eu-west-1.amazonses.com>\n"
    mailbox.folders["INBOX"].append(notification(group("gone@example.com"), returned=returned))
    found = Outbox().find_bounces(settings=settings)
    assert found.mails == (row.id,)


def test_a_reminder_that_comes_back_says_nothing_of_the_first_mail(settings: Settings, mailbox: FakeMailbox) -> None:
    first, second = sent(settings, "gone"), sent(settings, "gone", key="2")
    returned = f"References: {first.message_id}\nMessage-ID: {second.message_id}\n"
    mailbox.folders["INBOX"].append(notification(group("gone@example.com"), returned=returned))
    assert Outbox().find_bounces(settings=settings).mails == (second.id,)


@pytest.mark.parametrize("address", ["GONE@Example.COM", "gone@xn--mller-kva.example"])
def test_an_address_is_known_however_it_is_written(settings: Settings, mailbox: FakeMailbox, address: str) -> None:
    domain = "müller.example" if "xn--" in address else "example.com"
    outbox = Outbox()
    outbox.add(docmail.Message(f"gone@{domain}", "Q3"), settings=settings)
    outbox.run(settings=settings)
    row = only()
    returned = RETURNED.replace("<q3-1@example.com>", row.message_id)
    mailbox.folders["INBOX"].append(notification(group(address), returned=returned))
    assert outbox.find_bounces(settings=settings).bounced == 1


# --- what people do about it ---


def came_back(settings: Settings, mailbox: FakeMailbox, *people: str) -> Row:
    row = sent(settings, *people)
    mailbox.folders["INBOX"].append(bounce(row))
    Outbox().find_bounces(settings=settings)
    return only()


def test_nothing_that_came_back_goes_again_by_itself(settings: Settings, mailbox: FakeMailbox, box: Sandbox) -> None:
    came_back(settings, mailbox, "gone")
    outbox = Outbox()
    assert outbox.retry() == 0
    assert outbox.retry("b") == 0
    outbox.add_all([docmail.Message("gone@example.com", "Q3 1", "Hello", key="1")], batch="b", settings=settings)
    outbox.run(settings=settings)
    assert len(box.inbox) == 1


def test_the_same_call_returns_the_record_with_what_came_back(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    people = ["got@example.com", "gone@example.com"]
    docmail.send((), to=people, subject="Q3", key="q3", settings=settings)
    mailbox.folders["INBOX"].append(bounce(only()))
    Outbox().find_bounces(settings=settings)
    result = docmail.send((), to=people, subject="Q3", key="q3", settings=settings)
    assert result.repeated
    assert (result.accepted, result.refused) == (("got@example.com",), {})
    assert {address: reply.enhanced for address, reply in result.bounced.items()} == {"gone@example.com": "5.1.1"}
    assert len(box.inbox) == 1


def test_a_key_whose_mail_came_back_serves_for_the_corrected_address(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    docmail.send((), to="gone@example.com", subject="Q3", key="q3", settings=settings)
    mailbox.folders["INBOX"].append(bounce(only()))
    Outbox().find_bounces(settings=settings)
    assert docmail.send((), to="gone@example.com", subject="Q3", key="q3", settings=settings).bounced
    docmail.send((), to="here@example.com", subject="Q3", key="q3", settings=settings)
    assert [mail.recipients for mail in box.inbox] == [("gone@example.com",), ("here@example.com",)]
    with pytest.raises(MessageError, match="other recipients"):
        docmail.send((), to="gone@example.com", subject="Q3", key="q3", settings=settings)


def test_a_mail_that_came_back_from_everybody_says_why_and_no_longer_once_it_was_sent_again(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox
) -> None:
    row = sent(settings, "gone", "left", "full")
    mailbox.folders["INBOX"] += [bounce(row), bounce(row, "left"), bounce(row, "full", "5.2.2")]
    Outbox().find_bounces(settings=settings)
    assert only().reason == f"{NO_MAILBOX} The mailbox is full; the recipient has to make room before it is sent again."
    box.answer("mail", "451 4.3.0 Busy", times=1)
    with pytest.raises(docmail.errors.Deferred):
        resending.send_again(Outbox().folder, row.id, settings)
    assert only().reason == f"{NO_MAILBOX} The mailbox is full; the recipient has to make room before it is sent again."
    resending.send_again(Outbox().folder, row.id, settings)
    assert (only().state, only().reason) == ("sent", "")


def test_the_outbox_sends_to_corrected_addresses_and_says_who_got_it(settings: Settings, mailbox: FakeMailbox) -> None:
    row = came_back(settings, mailbox, "gone")
    with pytest.raises(docmail.errors.AddressError, match="is not an email address"):
        Outbox().correct_and_send(row.id, {"gone@example.com": "here"}, settings=settings)
    with pytest.raises(MessageError, match=r"other@example.com is not among those .* Correct one of these: gone@exam"):
        Outbox().correct_and_send(row.id, {"other@example.com": "here@example.com"}, settings=settings)
    assert only().state == "bounced"
    result = Outbox().correct_and_send(row.id, {"gone@example.com": "here@example.com"}, settings=settings)
    assert result.accepted == ("here@example.com",)
    assert only().corrected == {"here@example.com": "gone@example.com"}
    with pytest.raises(MessageError, match="Everybody has got it"):
        Outbox().correct_and_send(row.id, {"here@example.com": "there@example.com"}, settings=settings)


@pytest.mark.parametrize("people", [("gone",), ("got", "gone")])
def test_a_corrected_address_gets_the_mail_and_nobody_else_does(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox, people: tuple[str, ...]
) -> None:
    row = came_back(settings, mailbox, *people)
    resending.correct_and_send(Outbox().folder, row.id, settings, {"gone@example.com": "here@example.com"})
    row = only()
    assert states(row) == {**dict.fromkeys(people[:-1], "sent"), "here": "sent"}
    assert (row.state, row.corrected) == ("sent", {"here@example.com": "gone@example.com"})
    assert box.inbox[-1].recipients == ("here@example.com",)
    Outbox().find_bounces(settings=settings)
    assert only().state == "sent"


@pytest.mark.parametrize("people", [("gone",), ("got", "gone")])
def test_it_can_be_sent_again_to_the_same_address_and_what_came_back_before_is_over(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox, people: tuple[str, ...]
) -> None:
    row = came_back(settings, mailbox, *people)
    resending.send_again(Outbox().folder, row.id, settings)
    assert states(only()) == dict.fromkeys(people, "sent")
    assert box.inbox[-1].recipients == ("gone@example.com",)
    mailbox.validity += 1  # the old report is read once more
    Outbox().find_bounces(settings=settings)
    assert states(only()) == dict.fromkeys(people, "sent")
    mailbox.folders["INBOX"].append(bounce(row, said="550 gone for good"))
    Outbox().find_bounces(settings=settings)
    assert states(only())["gone"] == "bounced"


@pytest.mark.parametrize("people", [("gone",), ("got", "gone")])
def test_a_failure_to_send_it_again_leaves_it_as_it_was(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox, people: tuple[str, ...]
) -> None:
    before = came_back(settings, mailbox, *people)
    box.answer("mail", "451 4.3.0 Busy")
    with pytest.raises(docmail.errors.Deferred):
        resending.send_again(Outbox().folder, before.id, settings)
    row = only()
    assert (row.state, row.recipients) == (before.state, before.recipients)


@pytest.mark.parametrize("people", [("gone",), ("got", "gone")])
def test_a_refusal_when_it_is_sent_again_takes_the_place_of_what_came_back(
    settings: Settings, mailbox: FakeMailbox, box: Sandbox, people: tuple[str, ...]
) -> None:
    row = came_back(settings, mailbox, *people)
    box.answer("rcpt", "550 5.1.1 No such user")
    with pytest.raises(docmail.errors.Refused):
        resending.send_again(Outbox().folder, row.id, settings)
    assert states(only())["gone"] == "refused"
    assert only().state == ("refused" if len(people) == 1 else "sent")


# --- where it is seen ---


def test_tables_and_files_say_what_came_back(settings: Settings, mailbox: FakeMailbox) -> None:
    row = came_back(settings, mailbox)
    (line,) = Outbox().to_pandas()[["state", "missed", "bounced", "reason"]].to_numpy().tolist()
    assert line == ["sent", "gone@example.com", "gone@example.com", NO_MAILBOX]
    assert "Came back from" in csv_of([row]).decode()
    assert f"{NO_MAILBOX} It said: 550 gone. (5.1.1)" in missed_csv([row]).decode()


def test_the_command_line_says_what_came_back(
    settings: Settings, mailbox: FakeMailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    came_back(settings, mailbox, "gone")
    command_line.main(["outbox", "list"])
    printed = capsys.readouterr().out
    assert "bounced" in printed
    assert f"gone@example.com: 5.1.1 {NO_MAILBOX}" in printed


# --- nothing of it fails a run ---


def test_a_mailbox_that_cannot_be_opened_fails_no_run_and_is_said(settings: Settings, mailbox: FakeMailbox) -> None:
    mailbox.failures["open"] = ConnectError("No connection to localhost.", kind=Kind.NETWORK)
    outbox = Outbox()
    outbox.add(docmail.Message("got@example.com", "Q3"), settings=settings)
    run = outbox.run(settings=settings)
    assert (run.state, dict(run)) == ("over", {"sent": 1})
    assert run.after_sending == (
        "The mailbox could not be looked into after sending; it is tried again next time. No connection to localhost."
    )
    with pytest.raises(ConnectError):
        outbox.find_bounces(settings=settings)


def test_a_fault_in_reading_fails_no_run(settings: Settings, mailbox: FakeMailbox) -> None:
    mailbox.failures["new_mails"] = RuntimeError("what is this")
    outbox = Outbox()
    outbox.add(docmail.Message("got@example.com", "Q3"), settings=settings)
    assert "what is this" in outbox.run(settings=settings).after_sending


def test_without_a_mailbox_nothing_is_looked_at_and_asking_says_so(box: Sandbox, mailbox: FakeMailbox) -> None:
    without = replace(box.settings, mailbox=None)
    sent(without)
    assert mailbox.opened == 0
    with pytest.raises(SettingsError, match="No mailbox is set"):
        Outbox().find_bounces(settings=without)


def test_an_older_outbox_is_read_as_before(settings: Settings, mailbox: FakeMailbox) -> None:
    sent(settings)
    path = Outbox().folder / "outbox.sqlite3"
    database = sqlite3.connect(path)
    database.executescript(
        "DROP TABLE bounce; DROP TABLE sent_copy; DROP INDEX mail_message_id; ALTER TABLE mail DROP COLUMN bounced;"
        "ALTER TABLE mail DROP COLUMN send_at; ALTER TABLE mail DROP COLUMN thread;"
        "PRAGMA user_version = 3;"
    )
    database.close()
    row = only()
    assert (row.state, row.filed) == ("sent", None)
    mailbox.folders["INBOX"].append(bounce(row))
    assert Outbox().find_bounces(settings=settings).bounced == 1
