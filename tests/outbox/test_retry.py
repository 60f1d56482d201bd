"""An undelivered recipient can be tried again, also beside others who got the mail; nobody ever gets it twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail.command_line import commands as command_line
from docmail.errors import Deferred
from docmail.outbox import Group, Outbox

if TYPE_CHECKING:
    from docmail.outbox import Row
    from docmail.sandbox import Sandbox


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after the second attempt, which comes at once."""
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, retry_seconds=0.02, tries=2))


def add(settings: docmail.Settings, *people: str) -> Outbox:
    outbox = Outbox()
    to = [f"{name}@example.com" for name in people or ("got", "gone", "busy")]
    outbox.add_all([docmail.Message(to, "Q3", key="1")], batch="b", settings=settings)
    return outbox


def states(row: Row) -> dict[str, str]:
    return {address.partition("@")[0]: each.state for address, each in row.recipients.items()}


def got(box: Sandbox) -> Counter[str]:
    return Counter(address.partition("@")[0] for mail in box.inbox for address in mail.recipients)


def refuse(box: Sandbox) -> None:
    box.answer("rcpt", "550 5.1.1 No such user", recipient="gone@example.com")
    box.answer("rcpt", "450 4.2.0 Not now", recipient="busy@example.com")


def test_a_mail_that_others_got_goes_again_to_those_alone_who_did_not(box: Sandbox) -> None:
    refuse(box)
    outbox = add(box.settings)
    run = outbox.run(settings=box.settings)
    (row,) = outbox
    assert states(row) == {"got": "sent", "gone": "refused", "busy": "failed"}
    assert (dict(run), run.queue.count(Group.PARTLY_SENT), run.queue.count(Group.UNDELIVERED)) == ({"sent": 1}, 1, 1)
    first = row.sent_at

    assert outbox.retry("b") == 1
    (row,) = outbox
    assert (row.state, row.sent_at) == ("queued", first)
    assert states(row) == {"got": "sent", "gone": "queued", "busy": "queued"}
    assert outbox.retry("b") == 0
    assert outbox.run(settings=box.settings) == {"sent": 1}
    (row,) = outbox
    assert states(row) == {"got": "sent", "gone": "refused", "busy": "failed"}
    assert row.reply is not None
    assert row.reply.positive, "what is said of the whole is what was said of those who got it"

    box.reset()
    assert run.queue.retry() == 1
    run = run.again().start().wait()
    assert (dict(run), run.queue.count(Group.PARTLY_SENT), run.queue.count(Group.UNDELIVERED)) == ({"sent": 1}, 0, 0)
    assert got(box) == {"got": 1, "gone": 1, "busy": 1}
    assert len({mail["Message-ID"] for mail in box.inbox}) == 1


def test_a_mail_that_nobody_got_because_it_was_refused_goes_again_as_well(box: Sandbox) -> None:
    outbox = add(box.settings, "gone")
    refuse(box)
    assert outbox.run(settings=box.settings) == {"refused": 1}
    box.reset()
    assert outbox.retry() == 1
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert got(box) == {"gone": 1}


def test_of_whom_nobody_knows_is_never_among_them(box: Sandbox) -> None:
    refuse(box)
    outbox = add(box.settings, "got", "gone")
    box.drop("end", keep=True, times=1)
    assert outbox.run(settings=box.settings) == {"unknown": 1}
    box.reset()
    assert outbox.retry() == 0
    (row,) = outbox
    outbox.resolve(row.id, "sent")
    assert got(box)["got"] == 1


def test_a_retry_that_ends_in_doubt_leaves_what_is_known_of_the_others(box: Sandbox) -> None:
    refuse(box)
    outbox = add(box.settings, "got", "gone")
    outbox.run(settings=box.settings)
    first = next(iter(outbox)).sent_at
    box.reset()
    box.drop("end", keep=False, times=1)
    outbox.retry()
    assert outbox.run(settings=box.settings) == {"unknown": 1}
    (row,) = outbox
    assert states(row) == {"got": "sent", "gone": "unknown"}
    outbox.resolve(row.id, "resend")
    (row,) = outbox
    assert (states(row), row.sent_at) == ({"got": "sent", "gone": "queued"}, first)
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert got(box) == {"got": 1, "gone": 1}


def test_an_archive_without_its_copy_is_no_reason_and_gets_one_that_was_deferred(box: Sandbox) -> None:
    settings = replace(box.settings, copy_to="archive@example.com")
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient="archive@example.com", times=1)
    outbox = add(settings, "got")
    assert outbox.run(settings=settings) == {"sent": 1}
    assert got(box) == {"got": 1, "archive": 1}
    box.answer("rcpt", "550 5.1.1 No such user", recipient="archive@example.com")
    outbox = Outbox()
    outbox.add(docmail.Message("got@example.com", "Q4"), settings=settings)
    run = outbox.run(settings=settings)
    assert (dict(run), run.queue.count(Group.PARTLY_SENT), run.queue.count(Group.UNDELIVERED)) == ({"sent": 2}, 0, 0)


def test_a_limit_in_the_middle_of_a_retry_loses_nothing(box: Sandbox) -> None:
    refuse(box)
    outbox = add(box.settings, "got", "gone")
    outbox.run(settings=box.settings)
    box.reset()
    box.answer("end", "454 4.7.0 Daily limit exceeded", times=1)
    outbox.retry()
    with pytest.raises(Deferred):
        outbox.run(settings=box.settings)
    assert states(next(iter(outbox))) == {"got": "sent", "gone": "queued"}
    assert outbox.run(settings=box.settings) == {"sent": 1}
    assert got(box) == {"got": 1, "gone": 1}


def test_the_command_line_says_who_was_missed_and_tries_them_again(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(box)
    add(box.settings, "got", "gone")
    monkeypatch.setattr("docmail.settings.settings.Settings.load", lambda _profile=None: box.settings)
    assert command_line.main(["outbox", "run"]) == 1
    command_line.main(["outbox", "list"])
    assert "not to everybody: gone@example.com: 550 5.1.1 No such user" in capsys.readouterr().out
    box.reset()
    command_line.main(["outbox", "retry"])
    assert "1 mail waits again." in capsys.readouterr().out
    assert command_line.main(["outbox", "run"]) == 0
    command_line.main(["outbox", "list"])
    assert "not to everybody" not in capsys.readouterr().out
    assert got(box) == {"got": 1, "gone": 1}
