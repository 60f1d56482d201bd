"""A mail with a time of its own waits for it, holds nothing up, and goes out with the date on which it goes."""

from __future__ import annotations

import datetime as dt
import email
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import docmail
from docmail.command_line import main
from docmail.errors import MessageError
from docmail.outbox import Outbox, csv_of, deliver, due_text
from docmail.widgets.outbox.history_markup import detail
from docmail.widgets.outbox.run_view import BatchView
from tests.outbox.conftest import FRIDAY, MONDAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import time_machine

    from docmail.sandbox import Sandbox

PDF = b"%PDF-1.4\n1 0 obj\n%%EOF\n"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Open a sandbox whose settings are saved."""
    with docmail.Sandbox() as sandbox:
        sandbox.settings.save()
        yield sandbox


def message(number: int = 1, **more: Any) -> docmail.Message:
    return docmail.Message(f"c{number}@example.com", f"No. {number}", key=str(number), **more)


def date_of(received: bytes) -> dt.datetime:
    return parsedate_to_datetime(email.message_from_bytes(received)["Date"])


def test_a_mail_waits_for_its_time_and_the_others_do_not_wait_for_it(
    box: Sandbox, clock: time_machine.Traveller
) -> None:
    outbox = Outbox()
    for number in range(3):
        outbox.add(message(number, send_at=MONDAY))
    outbox.add(message(3))
    run = outbox.run()
    assert (dict(run), run.waiting, run.later) == ({"sent": 1, "queued": 3}, 0, 3)
    assert run.due_later == "3 are due later, first Mon 07:00"
    assert repr(run) == "<Run over: 3 queued, 1 sent; 3 are due later, first Mon 07:00>"
    assert [mail.subject for mail in box.inbox] == ["No. 3"]
    clock.move_to(MONDAY - dt.timedelta(seconds=1))
    assert outbox.run()["queued"] == 3
    clock.move_to(MONDAY)
    assert dict(outbox.run()) == {"sent": 4}
    assert len(box.inbox) == 4


def test_the_date_of_a_mail_is_that_of_its_sending_and_what_is_sent_is_written_down(
    box: Sandbox, clock: time_machine.Traveller
) -> None:
    outbox = Outbox()
    number = outbox.add(message(1, send_at=MONDAY, documents=PDF))
    now = outbox.add(message(2))
    clock.move_to(MONDAY + dt.timedelta(hours=2))  # the laptop was closed at seven
    outbox.run()
    later, at_once = (mail.raw for mail in box.inbox)
    assert date_of(later) == MONDAY + dt.timedelta(hours=2)
    assert date_of(at_once) == FRIDAY  # ready since then
    for each, raw in ((number, later), (now, at_once)):
        assert b"".join(outbox._store.journal.mail(each).wire()) in raw.replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")


def test_a_mail_that_is_tried_again_stays_the_same_mail(box: Sandbox, clock: time_machine.Traveller) -> None:
    outbox = Outbox()
    number = outbox.add(message(1, send_at=MONDAY))
    clock.move_to(MONDAY)
    box.answer("rcpt", "550 5.1.1 No such mailbox", times=1)
    outbox.run()
    first = outbox._store.journal.mail(number).head
    clock.shift(86_400)
    assert outbox.retry() == 1
    outbox.run()
    assert date_of(first) == MONDAY
    assert date_of(box.inbox[0].raw) == MONDAY


def test_a_run_that_waits_for_a_deferred_mail_sends_what_comes_due(box: Sandbox) -> None:
    outbox = Outbox()
    box.answer("rcpt", "451 4.3.0 Try again later", times=1)
    outbox.add(message(1))
    outbox.add(message(2, send_at=dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1.5)))
    run = outbox.run(wait=False)
    assert box.inbox.wait(timeout=15)[0].subject == "No. 2"
    run.stop()
    run.wait()


def test_contents_are_kept_however_long_a_mail_waits(box: Sandbox, clock: time_machine.Traveller) -> None:
    outbox = Outbox()
    number = outbox.add(message(1, send_at="2028-12-04 07:00 Europe/Berlin", documents=PDF))
    for _year in range(3):
        clock.shift(300 * 86_400)
        with Outbox() as again:  # opening it tidies up
            again.content_days = 0
            assert again._store.journal.mail(number).attachments[0].source.open().read() == PDF
            again.content_days = 30
    assert dict(outbox.run()) == {"sent": 1}
    assert box.inbox[0].attachments[0].content == PDF
    clock.shift(86_400)
    with Outbox() as again:  # its 30 days begin when it goes
        assert again._store.journal.mail(number).head
    clock.shift(40 * 86_400)
    with Outbox() as again, pytest.raises(MessageError, match="no longer kept"):
        again._store.journal.mail(number)


@pytest.mark.usefixtures("box")
def test_a_time_that_is_over_is_said_and_the_mail_goes_at_once() -> None:
    outbox = Outbox()
    with pytest.warns(UserWarning, match="2020-01-06 .* is over: the mail goes with the next run"):
        outbox.add(message(1, send_at="2020-01-06 07:00 UTC"))
    with pytest.warns(UserWarning, match="row 1: 2020-01-06"):
        added = outbox.add_all([message(2, send_at="2020-01-06 07:00 UTC")], batch="b")
    assert [(note.row, note.field) for note in added.notes] == [(1, "send_at")]
    assert dict(outbox.run()) == {"sent": 2}


@pytest.mark.usefixtures("box")
def test_now_is_not_over() -> None:
    outbox = Outbox()
    outbox.add(message(1, send_at=dt.datetime.now()))  # noqa: DTZ005 - as people write it
    assert dict(outbox.run()) == {"sent": 1}


@pytest.mark.usefixtures("clock")
def test_the_same_batch_again_moves_what_waits_and_says_so(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add_all([message(1, send_at=MONDAY), message(2, send_at=MONDAY)], batch="b")
    again = outbox.add_all([message(1, send_at=MONDAY), message(2, send_at=MONDAY)], batch="b")
    assert (again.known, again.moved) == (2, 0)
    tuesday = MONDAY + dt.timedelta(days=1)
    moved = outbox.add_all([message(1, send_at=MONDAY), message(2, send_at=tuesday)], batch="b")
    assert repr(moved) == "<Added 0 to 'b', 2 known, 1 of them moved to another time>"
    assert [row.send_at for row in outbox] == [MONDAY, tuesday]
    assert outbox.add_all([message(1)], batch="b").moved == 1  # at once after all
    assert dict(outbox.run()) == {"sent": 1, "queued": 1}
    # What is sent is the same mail, whatever its time was.
    assert outbox.add_all([message(1, send_at=tuesday)], batch="b").moved == 0
    assert [row.state for row in outbox] == ["sent", "queued"]
    assert len(box.inbox) == 1


def test_a_mail_can_be_withdrawn_before_its_time(box: Sandbox, clock: time_machine.Traveller) -> None:
    outbox = Outbox()
    number = outbox.add(message(1, send_at=MONDAY))
    other = outbox.add(message(2, send_at=MONDAY))
    assert outbox.withdraw(number) == 1
    assert outbox.withdraw(number) == 0
    clock.move_to(MONDAY)
    assert outbox.run()["sent"] == 1
    assert [mail.subject for mail in box.inbox] == ["No. 2"]
    assert outbox.withdraw(other) == 0


@pytest.mark.usefixtures("box")
def test_the_clock_set_back_sends_nothing_early(clock: time_machine.Traveller) -> None:
    outbox = Outbox()
    outbox.add(message(1, send_at=MONDAY))
    clock.move_to(FRIDAY - dt.timedelta(days=400))
    assert dict(outbox.run()) == {"queued": 1}
    clock.move_to(MONDAY)
    assert dict(outbox.run()) == {"sent": 1}


@pytest.mark.usefixtures("clock")
def test_send_and_deliver_do_not_send_early(box: Sandbox) -> None:
    with pytest.raises(MessageError, match=r"This mail is to go later \(Mon 07:00\); nothing was sent") as caught:
        deliver(message(1, send_at=MONDAY))
    assert caught.value.field == "send_at"
    assert "Outbox().add(message)" in caught.value.hint
    assert (len(box.inbox), len(Outbox())) == (0, 0)


@pytest.mark.usefixtures("clock")
def test_a_rehearsal_and_a_question_are_about_what_is_due(box: Sandbox) -> None:
    outbox = Outbox()
    outbox.add(message(1, send_at=MONDAY))
    outbox.add(message(2))
    run = outbox.run(redirect_to="me@example.com")
    assert (run.rehearsed, run.count_recipients()) == (1, 1)
    assert box.inbox[0].subject == "No. 2"
    assert outbox.preview().waiting == 2


@pytest.mark.usefixtures("box")
@pytest.mark.usefixtures("clock")
def test_rows_frames_files_and_views_show_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    outbox = Outbox()
    outbox.add(message(1, send_at=MONDAY))
    outbox.add(message(2))
    first, second = outbox
    assert (first.send_at, second.send_at) == (MONDAY, None)
    assert first.send_at is not None
    assert first.send_at.utcoffset() == dt.timedelta(0)
    assert outbox.to_pandas()["send_at"].tolist() == [pd.Timestamp(MONDAY), pd.NaT]
    assert b"To be sent at" in csv_of(outbox)
    assert b"2026-12-07 07:00:00" in csv_of(outbox)
    assert "to be sent at Mon 07:00" in detail(first, asks="", said="")
    assert "to be sent" not in detail(second, asks="", said="")
    assert main(["outbox", "list"]) == 0
    assert "No. 1 -- to be sent at Mon 07:00\n" in capsys.readouterr().out
    assert main(["outbox", "run"]) == 0
    assert capsys.readouterr().out == "1 queued, 1 sent\n1 copy is in the Sent folder.\n1 is due later, Mon 07:00.\n"


@pytest.mark.usefixtures("box")
@pytest.mark.usefixtures("clock")
def test_the_view_of_a_run_counts_them_apart() -> None:
    outbox = Outbox()
    outbox.add_all([message(1, send_at=MONDAY), message(2)], batch="b")
    view = BatchView(outbox.run(batch="b"))
    assert "1 sent · 1 is due later, Mon 07:00" in view.heading.value
    assert "waits for another sender" not in view.report.value
    assert "Done: the email was sent." in view.report.value
    assert view.actions.actions == [["look-for-bounces", "Look for bounces"]]  # nothing to resume


@pytest.mark.usefixtures("box")
@pytest.mark.usefixtures("clock")
def test_a_view_of_nothing_but_later_mails_does_not_say_done() -> None:
    outbox = Outbox()
    outbox.add_all([message(1, send_at=MONDAY)], batch="b")
    view = BatchView(outbox.run(batch="b"))
    assert "1 is due later, Mon 07:00" in view.heading.value
    assert "Done" not in view.report.value


@pytest.mark.usefixtures("clock")
def test_a_moment_is_said_in_the_computers_time_zone() -> None:
    for days, said in (
        (0, "19:00"),
        (1, "Sat 19:00"),
        (6, "Thu 19:00"),
        (7, "Fri 2026-12-11 19:00"),
        (-1, "Thu 2026-12-03 19:00"),
    ):
        assert due_text(FRIDAY + dt.timedelta(days=days, hours=3)) == said


@pytest.mark.usefixtures("box")
@pytest.mark.usefixtures("clock")
def test_an_older_docmail_with_the_file_open_does_not_send_early() -> None:
    outbox = Outbox()
    outbox.add(message(1, send_at=MONDAY))
    condition = "state = 'queued' AND (not_before IS NULL OR not_before <= ? OR put_off > ?)"  # that of 0.2
    question = f"SELECT id FROM mail WHERE {condition}"  # noqa: S608 - ours
    now = time.time()
    assert outbox._store.file.numbers(question, (now, now + 60)) == []
    assert outbox._store.file.numbers(question, (MONDAY.timestamp(), now + 60)) == [1]


# --- threads ---


def test_a_reminder_of_a_reminder_names_the_whole_conversation(box: Sandbox) -> None:
    result = docmail.send((), to="ann@example.com", subject="Invoice 118")
    outbox = Outbox()
    first = outbox.add(docmail.Message("ann@example.com", "Reminder", in_reply_to=result))
    row = next(each for each in outbox if each.id == first)
    assert row.references == (result.message_id,)
    outbox.add(docmail.Message("ann@example.com", "Second reminder", in_reply_to=row))
    outbox.add_all([docmail.Message("ann@example.com", "Third", in_reply_to=row.message_id, key="3")], batch="b")
    outbox.run()
    chains = [" ".join((mail["References"] or "").split()) for mail in box.inbox]
    whole = f"{result.message_id} {row.message_id}"
    assert chains == ["", result.message_id, whole, whole]
    assert [mail["In-Reply-To"] for mail in box.inbox][2:] == [row.message_id, row.message_id]
    docmail.send((), to="ann@example.com", subject="Fourth", in_reply_to=row)
    assert " ".join(box.inbox[-1]["References"].split()) == whole


@pytest.mark.usefixtures("box")
def test_the_conversation_is_known_after_the_contents_have_expired() -> None:
    first = docmail.send((), to="ann@example.com", subject="Invoice 118")
    outbox = Outbox()
    outbox.add(docmail.Message("ann@example.com", "Reminder", in_reply_to=first))
    outbox.run()
    outbox.content_days = 0
    row = [*outbox][-1]
    assert docmail.Message("ann@example.com", "Next", in_reply_to=row).in_reply_to == (first.message_id, row.message_id)


def test_a_key_is_the_same_mail_whatever_it_answers(box: Sandbox) -> None:
    first = docmail.send((), to="ann@example.com", subject="Invoice 118")
    sent = deliver(docmail.Message("ann@example.com", "Reminder", key="r1", in_reply_to=first))
    again = deliver(docmail.Message("ann@example.com", "Reminder", key="r1"))
    assert (again.repeated, again.message_id) == (True, sent.message_id)
    assert len(box.inbox) == 2
