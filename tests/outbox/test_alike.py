"""A run stops when the server refuses the account mail by mail; resuming loses no mail and sends none twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import Kind, Refused
from docmail.outbox import Outbox
from docmail.outbox.alike import essence
from docmail.outbox.queue import Queue
from docmail.reply import Reply
from docmail.widgets.outbox.run_view import SEND_REST, BatchView

if TYPE_CHECKING:
    from docmail.sandbox import Sandbox

POLICY = "550 5.7.1 Message {} rejected by policy for {} at 2026-11-30 10:00:0{}"


def queue(settings: docmail.Settings, people: list[Any], *, name: str = "b") -> Outbox:
    outbox = Outbox()
    messages = [docmail.Message(to, f"No. {each}", key=str(each)) for each, to in enumerate(people)]
    outbox.add_all(messages, batch=name, settings=settings)
    return outbox


def people(number: int, domains: int = 3) -> list[str]:
    return [f"c{each}@d{each % domains}.example" for each in range(number)]


def states(outbox: Outbox) -> list[str]:
    return [str(row.state) for row in outbox]


def got(box: Sandbox) -> list[str]:
    return sorted(address for mail in box.inbox for address in mail.recipients)


def refuse_all(box: Sandbox, addresses: list[str], text: str = POLICY) -> None:
    for number, address in enumerate(addresses):
        box.answer("end", text.format(f"4F2A{number}B", address, number % 10), recipient=address)


def test_the_first_three_refused_alike_stop_the_run_and_a_new_run_sends_all(box: Sandbox) -> None:
    outbox = queue(box.settings, people(8))
    refuse_all(box, people(8))
    with pytest.raises(Refused) as caught:
        outbox.run(settings=box.settings, batch="b")
    assert caught.value.kind is Kind.CONFIG
    assert caught.value.reply is not None
    assert "rejected by policy" in str(caught.value)
    assert caught.value.hint
    assert states(outbox) == ["refused"] * 3 + ["queued"] * 5
    box.reset()
    assert outbox.run(settings=box.settings, batch="b") == {"sent": 8}
    assert got(box) == people(8)


def test_later_it_takes_five_in_a_row(box: Sandbox) -> None:
    to = people(12)
    outbox = queue(box.settings, to)
    refuse_all(box, [*to[1:5], *to[6:]])
    with pytest.raises(Refused):
        outbox.run(settings=box.settings)
    assert states(outbox) == ["sent", *["refused"] * 4, "sent", *["refused"] * 5, "queued"]
    box.reset()
    assert outbox.run(settings=box.settings) == {"refused": 4, "sent": 8}


def test_refusals_at_one_domain_are_that_domain_s(box: Sandbox) -> None:
    to = people(7, domains=1)
    refuse_all(box, to)
    assert queue(box.settings, to).run(settings=box.settings) == {"refused": 7}


def test_different_reply_texts_are_about_the_mails(box: Sandbox) -> None:
    to = people(7)
    for number, address in enumerate(to):
        box.answer("end", f"550 5.7.1 Dislikes {'abcdefg'[number]} in the text", recipient=address)
    assert queue(box.settings, to).run(settings=box.settings) == {"refused": 7}


@pytest.mark.parametrize("code", ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.2.1"])
def test_what_is_certainly_the_recipient_s_own_stops_nothing(box: Sandbox, code: str) -> None:
    to = people(7)
    for address in to:
        box.answer("rcpt", f"550 {code} No such mailbox", recipient=address)
    assert queue(box.settings, to).run(settings=box.settings) == {"refused": 7}


def test_unknown_recipients_in_between_do_not_hide_it(box: Sandbox) -> None:
    to = people(6)
    box.answer("rcpt", "550 5.1.1 No such mailbox", recipient=to[0])
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient=to[2], times=1)
    refuse_all(box, [to[1], to[3], to[4], to[5]])
    outbox = queue(box.settings, to)
    with pytest.raises(Refused):
        outbox.run(settings=box.settings)
    assert states(outbox) == ["refused", "refused", "queued", "refused", "refused", "queued"]


def test_of_several_recipients_only_those_it_was_not_about_go_again(box: Sandbox) -> None:
    people = [["a@one.example", "gone@one.example"], ["b@two.example"], ["c@three.example"]]
    box.answer("rcpt", "550 5.1.1 No such mailbox", recipient="gone@one.example")
    for address in ("a@one.example", "b@two.example", "c@three.example"):
        box.answer("rcpt", "550 5.7.1 Not from you", recipient=address)
    outbox = queue(box.settings, people)
    with pytest.raises(Refused):
        outbox.run(settings=box.settings)
    box.reset()
    outbox.run(settings=box.settings)
    assert got(box) == ["a@one.example", "b@two.example", "c@three.example"]
    assert next(iter(outbox)).recipients["gone@one.example"].state == "refused"


def test_a_copy_for_the_archive_is_no_second_domain(box: Sandbox) -> None:
    settings = replace(box.settings, copy_to="archive@own.example")
    to = people(5, domains=1)
    box.answer("mail", "250 ok", times=1)
    for address in to:
        box.answer("end", "550 5.7.1 Not from you", recipient=address)
    assert queue(settings, to).run(settings=settings)["refused"] == 5


def test_a_run_that_was_stopped_by_it_can_be_resumed(box: Sandbox) -> None:
    outbox = queue(box.settings, people(8))
    refuse_all(box, people(8))
    run = outbox.run(settings=box.settings, wait=False)
    assert run.over.wait(20)
    assert isinstance(run.error, Refused)
    assert run.state == "failed"
    box.reset()
    run.resume()
    assert run.wait() == {"sent": 8}
    assert got(box) == people(8)
    assert run.error is None


def test_the_view_says_it_and_its_button_sends_the_rest(box: Sandbox) -> None:
    outbox = queue(box.settings, people(3))
    refuse_all(box, people(3))
    run = outbox.run(settings=box.settings, batch="b", wait=False)
    assert run.over.wait(20)
    view = BatchView(run)
    assert "refused for good with the same reply" in view.report.value
    assert SEND_REST in [action for action, _title in view.actions.actions]
    box.reset()
    view.press(SEND_REST)
    assert view.run.over.wait(20)
    assert view.run == {"sent": 3}
    assert len(box.inbox) == 3


def test_with_nobody_there_it_is_raised(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCMAIL_UNATTENDED", "yes")
    outbox = queue(box.settings, people(5))
    refuse_all(box, people(5))
    with pytest.raises(Refused, match="same reply"):
        outbox.run(settings=box.settings)
    box.reset()
    assert outbox.run(settings=box.settings) == {"sent": 5}


def test_what_a_person_has_retried_meanwhile_is_not_sent_twice(box: Sandbox) -> None:
    outbox = queue(box.settings, people(4))
    refuse_all(box, people(4))
    with pytest.raises(Refused):
        outbox.run(settings=box.settings)
    assert outbox.retry("b") == 3
    box.reset()
    assert outbox.run(settings=box.settings, batch="b") == {"sent": 4}
    assert outbox.run(settings=box.settings) == {"sent": 4}
    assert got(box) == people(4)


def test_a_rehearsal_leaves_them_where_they_are(box: Sandbox) -> None:
    outbox = queue(box.settings, people(4))
    refuse_all(box, people(4))
    with pytest.raises(Refused):
        outbox.run(settings=box.settings)
    box.reset()
    outbox.run(settings=box.settings, redirect_to="me@example.com")
    assert states(outbox) == ["refused"] * 3 + ["queued"]


def test_the_run_of_another_batch_leaves_them_to_their_own(box: Sandbox) -> None:
    outbox = queue(box.settings, people(3))
    refuse_all(box, people(3))
    with pytest.raises(Refused):
        outbox.run(settings=box.settings, batch="b")
    box.reset()
    queue(box.settings, ["other@four.example"], name="c")
    assert outbox.run(settings=box.settings, batch="c") == {"sent": 1}
    assert states(outbox)[:3] == ["refused"] * 3
    assert outbox.run(settings=box.settings, batch="b") == {"sent": 3}


def test_extra_connections_stop_as_well_and_nothing_is_sent_twice(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, long_queue=4, extra_connections=3))
    to = people(120)
    refuse_all(box, to[40:])
    outbox = queue(box.settings, to)
    with pytest.raises(Refused):
        outbox.run(settings=box.settings)
    found = states(outbox)
    assert found.count("sent") == 40
    assert 5 <= found.count("refused") <= 5 + 3, "at most one more on each further connection"
    box.reset()
    assert outbox.run(settings=box.settings) == {"sent": 120}
    assert got(box) == sorted(to)


def test_after_a_kill_in_between_they_are_refused_and_can_be_retried(box: Sandbox) -> None:
    outbox = queue(box.settings, people(4))
    refuse_all(box, people(4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Queue, "note_refused_alike", lambda *_values: None)  # the program ended before it
        with pytest.raises(Refused):
            outbox.run(settings=box.settings)
    assert states(outbox) == ["refused"] * 3 + ["queued"]
    box.reset()
    assert outbox.retry() == 3
    assert outbox.run(settings=box.settings) == {"sent": 4}
    assert got(box) == people(4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Message 4F2A1B rejected for a@one.example", "Message 9C3D7E rejected for b@two.example"),
        ("Blocked on Mon, 30 Nov 2026 10:00:00 +0000", "Blocked on Tue, 01 Dec 2026 11:12:13 +0000"),
        ("Not allowed [mx1.example.net]", "Not allowed [mx2.example.net]"),
        ("<a@one.example>: Refused", "<b@two.example>: refused"),
    ],
)
def test_numbers_addresses_and_dates_make_no_other_text(one: str, other: str) -> None:
    assert essence(Reply(550, "5.7.1", one)) == essence(Reply(550, "5.7.1", other))


def test_without_a_text_it_is_the_codes_that_count() -> None:
    assert essence(Reply(550, "5.7.1", "")) != essence(Reply(554, "5.7.1", ""))
