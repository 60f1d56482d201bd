"""The view of a batch asks before many mails, does what its buttons say, and stores no address."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ipywidgets.widgets import widget as widget_module

import docmail
from docmail.outbox import Outbox, Run
from docmail.widgets.outbox import run_view
from docmail.widgets.outbox.run_view import BatchView
from docmail.widgets.parts import markup

if TYPE_CHECKING:
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


def ended(view: BatchView) -> None:
    view.run.over.wait(20)
    view.refresh()


def test_it_asks_with_the_numbers_and_sends_when_it_is_told_to(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    assert "4 emails to 4 addresses through 127.0.0.1." in view.heading.value
    assert (offered(view), view.actions.primary) == (["send", "rehearse"], "send")
    assert len(box.inbox) == 0
    view.press("send")
    ended(view)
    assert "4 sent" in view.report.value
    assert "4 of 4" in view.heading.value
    assert len(box.inbox) == 4


def test_a_rehearsal_leaves_the_question_open(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    view.press("rehearse")
    box.inbox.wait(3)
    assert {mail.recipients for mail in box.inbox} == {("accounts@example.com",)}
    assert offered(view) == ["send", "rehearse"]


def test_mails_that_were_added_since_the_question_are_asked_about_before_any_is_sent(box: Sandbox) -> None:
    batch(box)
    view = view_of(box, asks=True)
    batch(box, 6)
    view.press("send")
    assert (view.run.state, len(box.inbox)) == ("asked", 0)
    assert "6 emails to 6 addresses" in view.heading.value
    assert "press Send again" in view.report.value
    view.press("send")
    ended(view)
    assert len(box.inbox) == 6


def test_what_waits_for_long_when_the_run_is_over_is_left_to_whoever_goes_on(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docmail.outbox.sender.PATIENCE_SECONDS", 1.0)
    batch(box, 2)
    box.answer("rcpt", "450 4.2.0 Greylisted", recipient="c1@example.com")
    view = BatchView(Run(Outbox().folder, box.settings, batch="b").start())
    ended(view)
    assert "1 sent · 1 waiting · some wait until" in view.report.value
    assert offered(view) == ["go-on"]


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
    view.press("go-on")
    assert len(box.inbox) == 2
    assert "28 emails to 28 addresses" in view.heading.value
    assert offered(view)[0] == "send"
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
    view.press("go-on")
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
    assert [action for action, _label in buttons.actions] == ["arrived", "again"]
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
    assert offered(view) == ["go-on"]


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
    stored = json.dumps(view.words())
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
    monkeypatch.setattr("docmail.widgets.parts.static_fallback.show", lambda _words, view: shown.append(view))
    outbox = batch(box, number)
    monkeypatch.setattr("docmail.outbox.outbox.watchers", [run_view.show])
    run = outbox.run(settings=box.settings, limit=limit)
    assert (run.state == "asked") == asks
    assert len(box.inbox) == (0 if asks else number)
    assert len(shown) == 1
    assert ("press Send" in shown[0].words()["text/plain"]) == asks


def test_whoever_has_agreed_to_a_batch_is_not_asked_again_when_the_same_cell_goes_on(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart of the kernel; but what was added since, or stopped by hand, is asked about."""
    monkeypatch.setattr("IPython.display.display", lambda _view, **_options: None)
    monkeypatch.setattr("docmail.outbox.outbox.watchers", [run_view.show])
    outbox = batch(box, 23)
    view = view_of(box, asks=True)
    monkeypatch.setattr(Run, "start", lambda run: run)  # this program ends before the first mail is sent
    view.press("send")
    monkeypatch.undo()
    monkeypatch.setattr("IPython.display.display", lambda _view, **_options: None)
    monkeypatch.setattr("docmail.outbox.outbox.watchers", [run_view.show])
    box.delay("end", 0.2)
    run = outbox.run(settings=box.settings, batch="b", wait=False)
    assert run.state == "sending"
    BatchView(run).press("stop")
    run.over.wait(20)
    box.reset()
    assert run.waiting > 20
    asked = outbox.run(settings=box.settings, batch="b")
    assert asked.state == "asked"
    asked.agree()
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
    lines = re.findall(r'<li><span[^>]*>(.)</span><span[^>]*>(.*?)</span><span class="dm-words" title="(.*?)">', listed)
    assert [(sign, number) for sign, number, _said in lines] == [
        *(("?", "mail 7"), ("✗", "mail 6"), ("✓", "mail 5"), ("✓", "mail 4"), ("✓", "mail 3")),
    ]
    assert lines[0][2].startswith("The mail may have arrived")
    assert lines[1][2].startswith("550 5.1.1 &lt;…@…&gt;")
    assert lines[2][2].startswith("250 2.0.0 Ok")


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
    assert "is not one whose outcome is unknown" not in view.report.value


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
    assert offered(view) == ["send", "rehearse"]
    assert "23 emails to 23 addresses" in view.heading.value
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
    assert "<summary>1 sent, but not to everybody</summary>" in view.report.value
    assert "No such user (550 5.1.1)" in view.report.value
    assert view.actions.actions == [["retry", "Retry 1 refused or not sent"]]
    box.reset()
    view.press("retry")
    ended(view)
    assert offered(view) == []
    assert "not to everybody" not in view.report.value
    assert [mail.recipients for mail in box.inbox] == [("c@example.com",), ("gone@example.com",)]


def test_a_long_word_is_searched_for_addresses_from_its_beginning_only() -> None:
    """From each of its letters on, the time limit of the tests would end it."""
    word = "a" * 400_000
    assert markup.without_addresses(word) == word
    shown = "to <…@…>, …@…; &lt;…@…&gt; @ f"
    assert markup.without_addresses("to <a.b@example.com>, x@y@z; &lt;c@d.e&gt; @ f") == shown
