"""The view of a batch asks before many mails, does what its buttons say, and stores no address."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from ipywidgets.widgets import widget as widget_module

import docmail
from docmail.outbox import Outbox, Run
from docmail.widgets.outbox import run_view
from docmail.widgets.outbox.run_view import BatchView
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.sandbox import Sandbox


def batch(box: Sandbox, number: int = 4, **addresses: str) -> Outbox:
    outbox = Outbox()
    outbox.add_all(
        [
            docmail.Message(addresses.get(f"m{each}", f"c{each}@example.com"), f"No. {each}", key=str(each))
            for each in range(number)
        ],
        batch="b",
        settings=box.settings,
    )
    return outbox


def view_of(box: Sandbox, *, asks: bool = False) -> BatchView:
    return BatchView(Run(Outbox()._store.folder, box.settings, batch="b"), asks=asks)


def offered(view: BatchView) -> list[str]:
    return [action for action, _label in view.actions.actions]


def missed_of(view: BatchView) -> list[list[str]]:
    """Return the cells of those who have not got a mail."""
    rows = re.findall(r"<tr>(.*?)</tr>", view.missed.html)
    cells = [[re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]
    return [row for row in cells if len(row) == 4]


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another thread does; the time limit of the tests ends it."""
    while not holds():
        Event().wait(0.01)


def ended(view: BatchView) -> None:
    view.run.over.wait(20)
    view.refresh()


def test_it_asks_with_the_numbers_and_sends_when_it_is_told_to(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    assert "4 emails to 4 addresses through accounts@example.com." in view.question.html
    assert (offered(view), view.actions.primary) == (["send", "rehearse", "cancel"], "send")
    assert len(box.inbox) == 0
    view.press("send")
    ended(view)
    assert "4 sent" in view.heading.value
    assert "4 of 4" in view.heading.value
    assert "Done: all 4 emails were sent." in view.report.value
    assert "4 emails to" not in view.question.html
    assert len(box.inbox) == 4


def test_a_rehearsal_leaves_the_question_open(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    view.press("rehearse")
    box.inbox.wait(3)
    assert {mail.recipients for mail in box.inbox} == {("accounts@example.com",)}
    assert offered(view) == ["send", "rehearse", "cancel"]
    until(lambda: "went to" in view.question.html)
    assert "3 mails went to accounts@example.com, and to nobody else." in view.question.html
    assert "accounts@" not in view.question.stored


def test_a_rehearsal_that_a_cell_asks_for_says_to_whom_it_went(box: Sandbox) -> None:
    outbox = batch(box)
    view = BatchView(outbox.run(settings=box.settings, batch="b", redirect_to="me@example.com", limit=1))
    assert "1 mail went to me@example.com, and to nobody else." in view.question.html
    assert "Rehearsal: b" in view.heading.value


def test_those_who_get_several_are_named(box: Sandbox) -> None:
    batch(box, 6, m1="ann@example.com", m2="Ann@example.com", m3="bob@example.com", m4="bob@example.com")
    view = view_of(box, asks=True)
    assert "6 emails to 4 addresses (2 get two) through" in view.question.html
    assert "<td>Ann@example.com</td><td>2 emails</td>" in view.question.html
    assert "ann@" not in view.question.stored
    batch(
        box,
        8,
        m1="ann@example.com",
        m2="Ann@example.com",
        m3="bob@example.com",
        m4="bob@example.com",
        m7="bob@example.com",
    )
    assert "8 emails to 5 addresses (2 get several) through" in view_of(box, asks=True).question.html


def test_nothing_is_sent_by_cancel_and_the_question_can_be_asked_again(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    view.press("cancel")
    assert "Nothing was sent. What waits stays in the queue." in view.report.value
    assert (offered(view), view.actions.actions[0][1]) == (["send-rest"], "Send …")
    assert len(box.inbox) == 0
    view.press("send")  # the second half of a double click
    assert len(box.inbox) == 0
    view.press("send-rest")
    ended(view)
    assert view.run == {"sent": 4}


def test_mails_that_were_added_since_the_question_are_asked_about_before_any_is_sent(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    batch(box, 6)
    view.press("send")
    assert (view.run.state, len(box.inbox)) == ("asked", 0)
    assert "6 emails to 6 addresses" in view.question.html
    assert "press Send again" in view.report.value
    view.press("send")
    ended(view)
    assert len(box.inbox) == 6


def test_what_waits_for_long_when_the_run_is_over_is_left_to_the_next_run(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outbox, "limits", replace(Outbox.limits, patience_seconds=1.0))
    batch(box, 2)
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient="c1@example.com")
    view = BatchView(Run(Outbox().folder, box.settings, batch="b", limits=Outbox.limits).start())
    ended(view)
    assert "1 sent · 1 deferred until" in view.heading.value
    assert "Done" not in view.report.value
    assert offered(view) == ["send-rest", "look-for-bounces"]


def test_what_was_deferred_is_counted_apart_from_what_waits_for_its_first_turn(box: Sandbox) -> None:
    batch(box, 4)
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient="c0@example.com", times=1)
    with Outbox() as outbox:
        outbox.run(settings=box.settings, batch="b", limit=1)
    view = view_of(box)
    assert "3 waiting · 1 deferred, again at" in view.heading.value


def test_a_batch_of_which_there_is_no_mail_is_not_done_but_misnamed(box: Sandbox) -> None:
    view = BatchView(Run(Outbox().folder, box.settings, batch="tpyo").start())
    ended(view)
    assert "check its name" in view.report.value
    assert "Done" not in view.report.value


def test_mails_that_wait_for_another_sender_are_told_apart_from_what_waits_here(box: Sandbox) -> None:
    batch(box)
    view = BatchView(Run(Outbox().folder, replace(box.settings, sender="B <b@example.com>"), batch="b").start())
    ended(view)
    assert "4 emails wait for another sender" in view.report.value
    assert offered(view) == []


def test_going_on_after_a_first_few_asks_before_it_sends_the_many_others(box: Sandbox) -> None:
    batch(box, 30)
    view = BatchView(Run(Outbox().folder, box.settings, batch="b", limit=2).start())
    ended(view)
    view.press("send-rest")
    assert len(box.inbox) == 2
    assert "Send the 28 that wait?" in view.question.html
    assert "2 of 30" in view.heading.value
    assert offered(view) == ["send", "cancel"]
    view.press("send")
    ended(view)
    assert len(box.inbox) == 30


def test_the_second_half_of_a_double_click_is_nothing(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    for _click in range(2):
        view.press("rehearse")
    assert "already" not in view.report.value
    box.inbox.wait(3)
    while view._rehearses:
        view.run.over.wait(0.01)
    assert len(box.inbox) == 3
    box.delay("end", 0.2)
    view.press("send")
    running = view.run
    view.press("send")
    assert view.run is running
    assert "already" not in view.report.value
    ended(view)


def test_pause_resume_and_stop_do_what_they_say(box: Sandbox) -> None:
    batch(box, 6)
    box.delay("end", 0.2)
    view = view_of(box)
    view.run.start()
    box.inbox.wait(1)
    view.press("pause")
    assert (offered(view), view.run.state) == (["resume", "stop"], "paused")
    assert "paused" in view.heading.value
    assert "left" not in view.heading.value
    view.press("resume")
    assert offered(view) == ["pause", "stop"]
    box.inbox.wait(2)
    view.press("stop")
    ended(view)
    assert view.run.state == "stopped"
    assert 0 < view.run["queued"] < 6
    assert "sending" not in view.run
    box.reset()
    view.press("send-rest")
    ended(view)
    assert view.run == {"sent": 6}
    assert len(box.inbox) == 6


def test_the_bar_shows_the_whole_batch_also_when_an_earlier_run_has_sent_a_part(box: Sandbox) -> None:
    outbox = batch(box, 4)
    outbox.run(settings=box.settings, batch="b", limit=3)
    view = view_of(box)
    assert "3 of 4" in view.heading.value
    view.run.start().wait()
    view.refresh()
    assert "4 of 4" in view.heading.value
    assert "4 of 4" in view_of(box).heading.value, "nothing waits, and nothing is missing"


def test_what_is_unknown_is_decided_by_its_buttons(box: Sandbox) -> None:
    batch(box, 3)
    box.drop("end", recipient="c1@example.com", times=1)
    view = view_of(box)
    view.run.start().wait()
    view.refresh()
    (doubt,) = view.doubts.children
    text, buttons = doubt.children
    assert "No. 1" in text.value
    assert [action for action, _label in buttons.actions] == ["arrived", "again", "look-in-sent"]
    buttons._handle("arrived", {}, None)
    assert view.doubts.children == ()
    assert view.run == {"sent": 3}


def test_a_failure_that_stops_the_run_is_shown_with_what_to_do(box: Sandbox) -> None:
    batch(box)
    box.answer("auth", "535 5.7.8 Wrong")
    view = view_of(box)
    view.run.start()
    ended(view)
    assert "does not accept this username and password" in view.report.value
    assert offered(view) == ["send-rest"]


def test_a_second_run_says_who_is_sending_in_the_view(box: Sandbox) -> None:
    outbox = batch(box)
    box.delay("end", 0.5)
    first = outbox.run(settings=box.settings, wait=False)
    view = view_of(box, asks=True)
    view.press("send")
    assert "already" in view.report.value
    first.stop()
    first.over.wait(20)


def test_no_widget_s_state_and_no_stored_output_names_an_address(box: Sandbox) -> None:
    batch(box, 4, m1="nobody@example.com")
    box.drop("end", recipient="c2@example.com", times=1)
    before = set(widget_module._instances)
    view = view_of(box, asks=True)
    stored = json.dumps(view.fallback())
    view.press("send")
    ended(view)
    made = [widget for number, widget in widget_module._instances.items() if number not in before]
    states = [str(widget.get_state()) for widget in made]
    assert any("No. 2" in state for state in states)
    assert all("@example.com" not in text for text in [stored, *states])


@pytest.mark.parametrize(("number", "limit", "asks"), [(21, None, True), (20, None, False), (21, 21, False)])
def test_only_many_mails_of_which_nobody_said_how_many_are_asked_about(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, number: int, limit: int | None, asks: Any
) -> None:
    shown: list[BatchView] = []
    monkeypatch.setattr(BatchView, "display", lambda view: shown.append(view))  # noqa: PLW0108 - it becomes a method
    outbox = batch(box, number)
    monkeypatch.setattr("docmail.outbox.observers.runs", [run_view.show])
    run = outbox.run(settings=box.settings, limit=limit)
    assert (run.state == "asked") == asks
    assert len(box.inbox) == (0 if asks else number)
    assert len(shown) == 1
    assert ("press Send" in shown[0].fallback()["text/plain"]) == asks


def test_what_the_notebook_keeps_says_how_many_were_sent_before_the_cell_ends(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that run notebooks take no update of an output when its cell is over; the thread comes too late here."""
    kept: list[Any] = []

    def show_kept(first: Any, _view: object) -> Any:
        kept.append(first)
        return kept.append

    monkeypatch.setattr("docmail.widgets.parts.static_fallback.show_kept", show_kept)
    monkeypatch.setattr(BatchView, "_in_thread", lambda _view, _work: None)
    outbox = batch(box)
    monkeypatch.setattr("docmail.outbox.observers.runs", [run_view.show])
    outbox.run(settings=box.settings, batch="b", limit=3)
    assert kept[0]["text/plain"].startswith("b: 0 of 4 were sent")
    assert kept[-1]["text/plain"].startswith("b: 3 of 4 were sent")


def test_a_person_who_has_agreed_to_a_batch_is_not_asked_again_when_the_same_cell_continues(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the kernel; but what was added since, or stopped by hand, is asked about."""
    monkeypatch.setattr("IPython.display.display", lambda _view, **_options: None)
    monkeypatch.setattr("docmail.outbox.observers.runs", [run_view.show])
    outbox = batch(box, 23)
    view = view_of(box, asks=True)
    monkeypatch.setattr(Run, "start", lambda run: run)  # this program ends before the first mail is sent
    view.press("send")
    monkeypatch.undo()
    monkeypatch.setattr("IPython.display.display", lambda _view, **_options: None)
    monkeypatch.setattr("docmail.outbox.observers.runs", [run_view.show])
    box.delay("end", 0.2)
    run = outbox.run(settings=box.settings, batch="b", wait=False)
    assert run.state == "sending"
    BatchView(run).press("stop")
    run.over.wait(20)
    box.reset()
    assert run.waiting > 20
    asked = outbox.run(settings=box.settings, batch="b")
    assert asked.state == "asked"
    asked.queue.agree()
    outbox.add(docmail.Message("new@example.com", "New"), settings=box.settings)
    assert outbox.run(settings=box.settings).state == "asked", "of the whole outbox nobody has spoken"
    assert outbox.run(settings=box.settings, batch="b")["sent"] == 23


def test_the_last_replies_stand_below_each_other_the_newest_first_without_addresses(box: Sandbox) -> None:
    batch(box, 7, m5="nobody@example.com")
    box.drop("end", recipient="c6@example.com", times=1)
    view = view_of(box)
    assert "dm-last" not in view.report.value
    view.run.start()
    ended(view)
    (listed,) = re.findall(r'<ol class="dm-last".*?</ol>', view.report.value)
    line = r'<li><span[^>]*>(.)</span><span class="dm-reply" title="([^"]*)"><bdi>(.*?)</bdi>(.*?)</span></li>'
    lines = re.findall(line, listed)
    assert [(sign, name) for sign, _title, name, _said in lines] == [
        *(("?", "6 · No. 6"), ("✗", "5 · No. 5"), ("✓", "4 · No. 4"), ("✓", "3 · No. 3"), ("✓", "2 · No. 2")),
    ]
    assert lines[0][3].startswith(" — The mail may have arrived")
    assert lines[1][3] == " — No such mailbox here (550 5.1.1)"
    assert (lines[2][1], lines[2][3]) == ("250 2.0.0 Ok, in the inbox", "")


def test_a_key_that_is_an_address_is_no_part_of_a_line(box: Sandbox) -> None:
    outbox = Outbox()
    message = docmail.Message("a@example.com", "For <b>you</b> \u05e9", key="a@example.com")
    outbox.add_all([message], batch="b", settings=box.settings)
    view = view_of(box)
    view.run.start()
    ended(view)
    assert "<bdi>For &lt;b&gt;you&lt;/b&gt; \u05e9</bdi>" in view.report.value


def test_sending_again_begins_at_once_when_nothing_is_going_on(box: Sandbox) -> None:
    outbox = batch(box, 3)
    box.drop("end", recipient="c0@example.com", keep=False, times=1)
    outbox.run(settings=box.settings, limit=2)
    view = view_of(box)
    assert "“Send again” sends the mail at once, and the 1 that waits as well." in view.report.value
    again(view)
    ended(view)
    assert view.run == {"sent": 3}
    assert Counter(mail.recipients for mail in box.inbox) == {(f"c{each}@example.com",): 1 for each in range(3)}
    assert "Send again" not in view.report.value


def again(view: BatchView) -> None:
    """Press “Send again” twice, as a double click does."""
    buttons = view.doubts.children[0].children[1]
    for _click in range(2):
        buttons._handle("again", {}, None)
    assert "is not unknown" not in view.report.value


def test_what_is_put_back_during_a_run_goes_with_it(box: Sandbox) -> None:
    batch(box, 4)
    box.drop("end", recipient="c0@example.com", keep=False, times=1)
    box.delay("end", 0.2)
    view = view_of(box)
    running = view.run.start()
    box.inbox.wait(1)
    view.press("pause")
    assert "puts the mail back into the queue that is being sent" in view.report.value
    again(view)
    assert view.run is running
    view.press("resume")
    ended(view)
    assert view.run == {"sent": 4}
    assert len(box.inbox) == 4
    assert "already" not in view.report.value


def test_sending_again_asks_where_many_wait_that_nobody_has_agreed_to(box: Sandbox) -> None:
    outbox = batch(box, 23)
    box.drop("end", recipient="c0@example.com", keep=False, times=1)
    outbox.run(settings=box.settings, limit=1)
    view = view_of(box)
    again(view)
    assert offered(view) == ["send", "cancel"]
    assert "Send 23 emails?" in view.question.html
    assert "0 of" not in view.heading.value
    assert len(view.doubts.children) == 1, "what is open stays"
    assert len(box.inbox) == 0
    view.press("send")
    ended(view)
    assert view.run == {"sent": 23}


def test_those_who_were_missed_are_named_by_the_server_s_words_and_tried_again_by_one_button(box: Sandbox) -> None:
    outbox = Outbox()
    people = ["c@example.com", "gone@example.com"]
    outbox.add_all([docmail.Message(people, "No. 1", key="1")], batch="b", settings=box.settings)
    box.answer("rcpt", "550 5.1.1 No such user", recipient="gone@example.com")
    view = view_of(box)
    view.run.start()
    ended(view)
    assert "Nothing waits any more; 1 email did not reach everybody." in view.report.value
    assert "1 email did not reach everybody" in view.missed.html
    assert missed_of(view) == [["1", "gone@example.com", "No such user (550 5.1.1)", "Correct and send"]]
    assert view.actions.actions == [["retry", "Retry 1 refused or not sent"], ["look-for-bounces", "Look for bounces"]]
    box.reset()
    view.press("retry")
    ended(view)
    assert offered(view) == ["look-for-bounces"]
    assert missed_of(view) == []
    assert [mail.recipients for mail in box.inbox] == [("c@example.com",), ("gone@example.com",)]


def test_a_long_word_is_searched_for_addresses_from_its_beginning_only() -> None:
    """From each of its letters on, the time limit of the tests would end it."""
    word = "a" * 400_000
    assert markup.without_addresses(word) == word
    shown = "to <…@…>, …@…; &lt;…@…&gt; @ f"
    assert markup.without_addresses("to <a.b@example.com>, x@y@z; &lt;c@d.e&gt; @ f") == shown


# --- in place ---


def stopped(box: Sandbox, number: int) -> BatchView:
    """Return a batch that was stopped after a few mails, one of them refused and one unknown."""
    batch(box, number, m0="nobody@example.com", m1="lost@example.com")
    box.drop("end", recipient="lost@example.com", times=1)
    box.delay("end", 0.1)
    view = view_of(box)
    view.run.start()
    box.inbox.wait(2)
    view.press("stop")
    ended(view)
    box.reset()
    return view


def test_resume_asks_in_place_as_often_as_it_is_stopped(box: Sandbox) -> None:
    view = stopped(box, 60)
    for _time in range(2):
        before = view.heading.value
        waiting = view.run.waiting
        view.press("send-rest")
        assert f"Send the {waiting} that wait?" in view.question.html
        assert view.heading.value == before, "bar and counts stay"
        assert len(view.doubts.children) == 1
        assert [cells[1] for cells in missed_of(view)] == ["nobody@example.com"]
        view.press("cancel")
        assert view.heading.value == before
        assert "Stopped." in view.report.value
        assert offered(view) == ["send-rest", "retry", "look-for-bounces"]
    box.delay("end", 0.1)
    view.press("send-rest")
    view.press("send")
    box.inbox.wait(2)
    view.press("stop")
    ended(view)
    box.reset()
    view.press("send-rest")
    view.press("send")
    ended(view)
    assert view.run == {"sent": 58, "refused": 1, "unknown": 1}
    assert "60 of 60" in view.heading.value
    assert "Done" not in view.report.value


def test_resume_keeps_the_bar_of_mails_without_a_batch_as_well(box: Sandbox) -> None:
    outbox = Outbox()
    for number in range(6):
        outbox.add(docmail.Message(f"c{number}@example.com", "S", key=str(number)), settings=box.settings)
    box.delay("end", 0.1)
    view = BatchView(Run(outbox.folder, box.settings).start())
    box.inbox.wait(2)
    view.press("stop")
    ended(view)
    box.reset()
    view.press("send-rest")
    ended(view)
    assert "6 of 6" in view.heading.value
    assert view.lifeline.what_to_do == "6 of 6 were sent."


def test_the_bar_shows_each_part_in_its_colour_and_says_it(box: Sandbox) -> None:
    view = stopped(box, 30)
    sent, waiting = view.run["sent"], view.run["queued"]
    parts = re.findall(r'<span(?: class="dm-part-(\w+)")? style="flex-grow: (\d+)">', view.heading.value)
    assert parts == [("sent", str(sent)), ("missed", "1"), ("unknown", "1"), ("", str(waiting))]
    assert f'aria-valuetext="{sent + 2} of 30 emails: {sent} sent · {waiting} waiting · 1 refused · 1 unknown"' in (
        view.heading.value
    )


def test_a_batch_that_all_refuse_is_not_done(box: Sandbox) -> None:
    batch(box, 2, m0="nobody@example.com", m1="nobody@example.com")
    view = view_of(box)
    view.run.start()
    ended(view)
    assert "Nothing waits any more; 2 emails did not reach everybody." in view.report.value
    assert "dm-good" not in view.report.value
    assert "dm-part-sent" not in view.heading.value


def test_reopened_it_says_how_many_were_sent_and_what_to_do(box: Sandbox) -> None:
    view = stopped(box, 30)
    sent = view.run["sent"]
    said = f"b: {sent} of 30 were sent; run this cell again to go on."
    assert view.fallback()["text/plain"].startswith(said)
    # The same cell, run in a new kernel.
    again = BatchView(Run(Outbox().folder, box.settings, batch="b"), asks=True)
    assert f"{sent + 2} of 30" in again.heading.value
    assert "that wait?" in again.question.html
    assert [cells[1] for cells in missed_of(again)] == ["nobody@example.com"]
    assert len(again.doubts.children) == 1


# --- who was missed ---


def press_missed(view: BatchView, action: str, which: object = "", **values: str) -> str:
    view.missed._handle_custom_msg({"press": action, "id": str(which), "values": values}, [])
    until(lambda: not view.missed._sending.locked() and "Sending" not in view.missed.html)
    return str(view.missed.html)


def test_a_corrected_address_gets_the_mail_under_the_same_key_and_nobody_else_does(box: Sandbox) -> None:
    outbox = batch(box, 4, m1="nobody@example.com")
    outbox.run(settings=box.settings, batch="b", limit=2)
    view = view_of(box)
    (row,) = [each for each in outbox if each.state == "refused"]
    assert 'value="nobody@example.com"' in press_missed(view, "correct", row.id)
    assert "is not an email address" in press_missed(view, "send-corrected", row.id, **{"address-0": "some body"})
    assert 'value="some body"' in view.missed.html
    assert len(box.inbox) == 1
    for _click in range(2):
        press_missed(view, "send-corrected", row.id, **{"address-0": "somebody@example.com"})
    assert "Sent to 1 recipient." in view.missed.html
    assert missed_of(view) == []
    assert view.run == {"sent": 2, "queued": 2}, "what waits waits"
    assert [mail.recipients for mail in box.inbox] == [("c0@example.com",), ("somebody@example.com",)]
    assert repr(batch_again(box)) == "<Added 0 to 'b', 4 known>", "also with the address that was wrong"


def batch_again(box: Sandbox) -> Any:
    messages = [
        docmail.Message("nobody@example.com" if each == 1 else f"c{each}@example.com", f"No. {each}", key=str(each))
        for each in range(4)
    ]
    return Outbox().add_all(messages, batch="b", settings=box.settings)


def test_a_correction_without_a_connection_changes_nothing(box: Sandbox) -> None:
    outbox = batch(box, 1, m0="nobody@example.com")
    outbox.run(settings=box.settings, batch="b")
    before = list(outbox)
    view = view_of(box)
    press_missed(view, "correct", 1)
    box.answer("auth", "535 5.7.8 Wrong")
    shown = press_missed(view, "send-corrected", 1, **{"address-0": "somebody@example.com"})
    assert "does not accept this username and password" in shown
    assert 'value="somebody@example.com"' in shown
    assert list(outbox) == before


def test_the_table_shows_the_first_of_thousands_and_the_file_has_all(box: Sandbox) -> None:
    outbox = batch(box, 120)
    with outbox._store.file.transaction() as connection:
        connection.execute("UPDATE mail SET state = 'refused', reason = 'No <b>mailbox</b>'")
        connection.execute("UPDATE recipient SET state = 'refused', address = '=' || address WHERE mail < 3")
        connection.execute("UPDATE recipient SET state = 'refused'")
    view = view_of(box)
    assert len(missed_of(view)) == 50
    assert "and 70 more, which the CSV file has as well" in view.missed.html
    assert "No &lt;b&gt;mailbox&lt;/b&gt;" in view.missed.html
    saved: list[Any] = []
    view.missed.send = lambda content, buffers=None: saved.append((content, buffers))
    press_missed(view, "csv")
    (content, (file,)) = saved[0]
    assert content["download"] == "b not sent.csv"
    lines = file.decode("utf-8-sig").split("\r\n")
    assert lines[0] == "Key,Address,Reason,Subject,Batch,Number"
    assert lines[1] == "0,'=c0@example.com,No <b>mailbox</b>,No. 0,b,1"
    assert len(lines) == 122
