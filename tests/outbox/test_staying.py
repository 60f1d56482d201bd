"""A program that stays sends each mail at its time, alone for its account, whatever happens to clock and network."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.command_line import main
from docmail.errors import AuthenticationError, ConnectError, DocmailError, Kind
from docmail.outbox import Outbox, stay
from docmail.outbox.account_lock import lock_queue
from docmail.outbox.keys import account_of
from docmail.outbox.run import Run
from docmail.outbox.store import Store
from tests.outbox.conftest import BERLIN, FRIDAY, MONDAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import time_machine

    from docmail.sandbox import Sandbox


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """Open a sandbox whose settings are saved."""
    with docmail.Sandbox() as sandbox:
        sandbox.settings.save()
        yield sandbox


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it look at the journal at each step, not once a minute."""
    monkeypatch.setattr("docmail.outbox.staying._LOOK_SECONDS", 1e-9)


def add(outbox: Outbox, number: int, at: Any = None) -> int:
    return outbox.add(docmail.Message(f"c{number}@example.com", f"No. {number}", key=str(number), send_at=at))


class Sleeper:
    """Sleeps by moving the clock, an hour at a time or up to the next event; each event happens once, in order."""

    def __init__(self, clock: time_machine.Traveller, box: Sandbox, *events: Callable[[], object]) -> None:
        self._clock, self._box = clock, box
        self.events = list(events)
        self.arrived: list[tuple[dt.datetime, int]] = []

    def __call__(self, seconds: float) -> None:
        """Take note of what has arrived, and let the next thing happen."""
        assert seconds <= 1.0  # so that a signal, a clock that is set, and a laptop that wakes are noticed soon
        self.note()
        if self.events:
            self.events.pop(0)()
        else:
            self._clock.shift(1800)

    def note(self) -> None:
        """Write down how many mails have arrived, and when that was seen."""
        if len(self._box.inbox) != (self.arrived[-1][1] if self.arrived else 0):
            self.arrived.append((dt.datetime.now(BERLIN), len(self._box.inbox)))


def test_each_mail_goes_at_its_time_and_then_it_ends(box: Sandbox, clock: time_machine.Traveller) -> None:
    outbox, said = Outbox(), list[str]()
    for number in range(3):
        add(outbox, number, MONDAY + dt.timedelta(days=number))
    add(outbox, 3)
    sleep = Sleeper(clock, box)
    assert stay(outbox.folder, box.settings, say=said.append, sleep=sleep)
    sleep.note()
    assert [number for _moment, number in sleep.arrived] == [1, 2, 3, 4], (said, sleep.arrived)
    for (moment, _number), day in zip(sleep.arrived[1:], range(3), strict=True):
        assert dt.timedelta(0) <= moment - (MONDAY + dt.timedelta(days=day)) < dt.timedelta(hours=1)
    assert said[:2] == ["3 queued, 1 sent", "3 are due later, first Mon 07:00"]
    assert next(each for each in said[2:] if "later" not in each) == "2 queued, 2 sent"  # on the day it is "07:00"
    assert said[-1] == "4 sent"


def test_a_clock_that_is_set_back_and_forward_sends_each_once(box: Sandbox, clock: time_machine.Traveller) -> None:
    outbox = Outbox()
    add(outbox, 1, MONDAY)
    moves = [
        lambda: clock.move_to(FRIDAY - dt.timedelta(days=700)),
        lambda: clock.move_to(MONDAY - dt.timedelta(seconds=1)),
        lambda: clock.move_to(FRIDAY - dt.timedelta(days=1)),
        lambda: clock.move_to(MONDAY + dt.timedelta(days=3)),  # the laptop slept over the weekend, and longer
    ]
    sleep = Sleeper(clock, box, *moves)
    stay(outbox.folder, box.settings, sleep=sleep)
    assert (len(box.inbox), sleep.events) == (1, [])


@pytest.mark.usefixtures("looks_at_once")
def test_what_is_added_and_withdrawn_meanwhile_counts(box: Sandbox, clock: time_machine.Traveller) -> None:
    outbox = Outbox()
    first = add(outbox, 1, MONDAY)
    sleep = Sleeper(
        clock,
        box,
        lambda: add(outbox, 2, FRIDAY + dt.timedelta(hours=1)),
        lambda: clock.move_to(FRIDAY + dt.timedelta(hours=2)),
        lambda: None,
        lambda: outbox.withdraw(first),
    )
    stay(outbox.folder, box.settings, sleep=sleep)
    assert [mail.subject for mail in box.inbox] == ["No. 2"]
    assert [row.state for row in outbox] == ["failed", "sent"]


def test_other_programs_send_while_it_waits_and_it_waits_while_they_send(
    box: Sandbox, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docmail.outbox.staying._LOOK_SECONDS", 0.05)
    outbox = Outbox()
    add(outbox, 1, MONDAY)
    store = Store(outbox.folder)
    held = ExitStack()
    done: list[dict[str, int]] = []

    def another_sends() -> None:
        add(outbox, 2)
        done.append(dict(outbox.run()))

    def another_begins() -> None:
        held.enter_context(lock_queue(store, account_of(box.settings)))
        clock.move_to(MONDAY)

    def another_ends() -> None:
        assert len(box.inbox) == 1
        held.close()

    sleep = Sleeper(clock, box, another_sends, another_begins, another_ends)
    stay(outbox.folder, box.settings, sleep=sleep)
    assert done == [{"sent": 1, "queued": 1}]
    assert [mail.subject for mail in box.inbox] == ["No. 2", "No. 1"]
    store.close()


@pytest.mark.usefixtures("looks_at_once")
def test_a_second_one_for_the_account_is_refused_and_one_for_another_account_is_not(box: Sandbox) -> None:
    outbox = Outbox()
    add(outbox, 1, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    waits, over = threading.Event(), threading.Event()

    def sleep(_seconds: float) -> None:
        waits.set()
        over.wait(30)
        outbox.withdraw(1)

    first = threading.Thread(target=stay, args=(outbox.folder, box.settings), kwargs={"sleep": sleep})
    first.start()
    assert waits.wait(30)
    with pytest.raises(DocmailError, match=f"Another program waits already .*: process {os.getpid()} on "):
        stay(outbox.folder, box.settings)
    other = docmail.Settings("B <b@example.com>", box.settings.server, home=box.settings.home)
    assert stay(outbox.folder, other)  # nothing of it waits
    over.set()
    first.join(90)
    assert not first.is_alive()


def _fails_first(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[int]:
    """Let the first runs fail; return a list in which each run counts."""
    runs: list[int] = []
    real = Run.wait

    def wait(self: Run) -> Run:
        runs.append(1)
        if len(runs) <= len(errors):
            self.stop()
            self.over.wait(30)
            raise errors[len(runs) - 1]
        return real(self)

    monkeypatch.setattr(Run, "wait", wait)
    return runs


def test_what_passes_by_itself_is_waited_for(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that has just woken up has no network yet."""
    monkeypatch.setattr("docmail.outbox.staying._PASSES", {Kind.NETWORK: 0.2})
    outbox, said = Outbox(), list[str]()
    add(outbox, 1)
    box.answer("mail", "421 4.3.2 Closing", times=1000)

    def sleep(_seconds: float) -> None:
        box.reset()
        time.sleep(0.01)

    error = ConnectError("No network.", kind=Kind.NETWORK, phase="dns")
    runs = _fails_first(monkeypatch, error, error)
    assert stay(outbox.folder, box.settings, say=said.append, sleep=sleep)
    assert (said[0], said[-1], len(runs), len(box.inbox)) == ("No network.", "1 sent", 3, 1)


def test_what_needs_a_person_ends_it(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox()
    add(outbox, 1)
    _fails_first(monkeypatch, AuthenticationError("Wrong password.", kind=Kind.AUTH, phase="auth"))
    with pytest.raises(AuthenticationError):
        stay(outbox.folder, box.settings, sleep=lambda _seconds: pytest.fail("it waits"))
    assert [row.state for row in outbox] == ["queued"] or len(box.inbox) == 1


# --- from the command line ---


def started(*more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "docmail", "outbox", "run", "--wait", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def shared() -> Iterator[Sandbox]:
    """Have a sandbox that other processes find under the profile “sandbox”."""
    with docmail.Sandbox.shared() as sandbox:
        yield sandbox


def outbox_of(box: Sandbox) -> Outbox:
    assert box.settings.home is not None
    return Outbox(box.settings.home.outbox)


def soon(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)


@pytest.mark.timeout(180)
def test_of_two_one_waits_and_sends_once(shared: Sandbox) -> None:
    outbox = outbox_of(shared)
    at = soon(12)
    outbox.add(docmail.Message("a@example.com", "Later", send_at=at), settings=shared.settings)
    runners = [started("--profile", "sandbox") for _each in range(2)]
    texts = [each.communicate(timeout=120) for each in runners]
    assert sorted(each.returncode for each in runners) == [0, 1]
    out, error = (texts[[each.returncode for each in runners].index(code)][code] for code in (0, 1))
    assert "1 is due later" in out
    assert out.endswith("1 sent\n")
    assert "Another program waits already" in error
    (mail,) = shared.inbox
    assert dt.datetime.now(dt.UTC) >= at
    assert mail.subject == "Later"


@pytest.mark.timeout(180)
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a program without a signal")
def test_it_ends_cleanly_when_it_is_asked_to_and_the_next_one_continues(shared: Sandbox) -> None:
    outbox = outbox_of(shared)
    outbox.add(docmail.Message("a@example.com", "Later", send_at=soon(3600)), settings=shared.settings)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        runner = started("--profile", "sandbox")
        assert runner.stdout is not None
        assert "1 is due later" in runner.stdout.readline()
        runner.send_signal(number)
        out, error = runner.communicate(timeout=60)
        if number != signal.SIGKILL:
            assert (runner.returncode, error) == (0, "")
            assert out == "Ended. What is not sent yet waits in the outbox.\n"
    assert [row.state for row in outbox] == ["queued"]
    assert len(shared.inbox) == 0


@pytest.mark.timeout(180)
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a program without a signal")
def test_killed_while_it_waits_the_next_one_sends_once_what_is_due_by_then(shared: Sandbox) -> None:
    outbox, at = outbox_of(shared), soon(8)
    outbox.add(docmail.Message("a@example.com", "Later", send_at=at), settings=shared.settings)
    killed = started("--profile", "sandbox")
    assert killed.stdout is not None
    assert "1 is due later" in killed.stdout.readline()
    killed.kill()
    killed.communicate(timeout=60)
    time.sleep(max((at - dt.datetime.now(dt.UTC)).total_seconds(), 0) + 0.1)
    assert len(shared.inbox) == 0
    for words in ("1 sent\n", ""):
        runner = started("--profile", "sandbox")
        out, error = runner.communicate(timeout=60)
        assert (runner.returncode, out, error) == (0, words, "")
        assert [mail.subject for mail in shared.inbox] == ["Later"]


def test_an_empty_outbox_and_a_limit_are_said(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert box.inbox is not None
    assert main(["outbox", "run", "--wait"]) == 0
    assert capsys.readouterr().out == "The outbox is empty.\n"
    assert main(["outbox", "run", "--wait", "--limit", "3"]) == 1
    assert "takes no --limit" in capsys.readouterr().err


def test_a_refused_mail_is_no_success(box: Sandbox) -> None:
    box.answer("rcpt", "550 5.1.1 No such mailbox")
    add(Outbox(), 1)
    assert main(["outbox", "run", "--wait"]) == 1
