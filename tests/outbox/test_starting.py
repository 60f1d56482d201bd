"""A run begins, or nothing is left of its start, wherever that is interrupted: no lock, no state, no thread."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

import docmail
from docmail.home import user_home
from docmail.outbox import Outbox, Run
from docmail.outbox import run as running
from docmail.outbox.journal import Journal
from docmail.outbox.run import Start, run_of
from docmail.settings import Security
from tests.support.slow_server import SlowServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType
    from typing import Self

    from docmail.sandbox import Sandbox


@pytest.fixture
def server() -> Iterator[SlowServer]:
    with SlowServer("data", delay=0.0001) as found:
        yield found


@pytest.fixture
def settings(server: SlowServer) -> docmail.Settings:
    return docmail.Settings("accounts@example.com", docmail.SmtpServer("127.0.0.1", server.port, Security.NONE))


def queue(settings: docmail.Settings, number: int = 3) -> Outbox:
    outbox = Outbox()
    messages = [docmail.Message("c@example.com", f"No. {each}", key=str(each)) for each in range(number)]
    outbox.add_all(messages, batch="b", settings=settings)
    return outbox


OTHER = """
import sys, docmail
outbox = docmail.Outbox()
print(dict(outbox.run(settings=docmail.Settings.load(), limit=1)))
"""


def assert_nothing_is_left(run: Run, outbox: Outbox, server: SlowServer) -> None:
    assert not run.is_running, run.state
    assert run_of(outbox.folder, run.settings, run.batch) is None
    assert "docmail-run" not in [thread.name for thread in threading.enumerate() if thread.is_alive()]
    with FileLock(next((outbox.folder / "runs").glob("*.lock"), outbox.folder / "none"), timeout=0):
        pass
    assert {row.state for row in outbox} <= {"queued", "sent"}
    assert sum(row.state == "sent" for row in outbox) == server.arrived.total()


def failing(error: BaseException, *, after: Any = None) -> Any:
    def fails(*arguments: Any, **options: Any) -> None:
        if after is not None:
            after(*arguments, **options)
        raise error

    return fails


START = threading.Thread.start
FAULTS: dict[str, tuple[object, str, Any]] = {
    "no thread": (threading.Thread, "start", failing(RuntimeError("can't start new thread"))),
    "interrupted before the thread": (threading.Thread, "start", failing(KeyboardInterrupt())),
    "interrupted after the thread": (threading.Thread, "start", failing(KeyboardInterrupt(), after=START)),
    "the context": (running, "copy_context", failing(MemoryError())),
    "the good-bye": (atexit, "register", failing(KeyboardInterrupt())),
    "the lock": (FileLock, "acquire", failing(KeyboardInterrupt())),
    "the note of who sends": (Journal, "set_note", failing(KeyboardInterrupt())),
}


@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "not waiting"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_start_that_fails_leaves_nothing_behind(
    fault: str, server: SlowServer, settings: docmail.Settings, monkeypatch: pytest.MonkeyPatch, *, wait: bool
) -> None:
    outbox = queue(settings)
    settings.save()
    run = Run(outbox.folder, settings, batch="b")
    place, name, fails = FAULTS[fault]
    with monkeypatch.context() as patch:
        patch.setattr(place, name, fails)
        with pytest.raises((RuntimeError, KeyboardInterrupt, MemoryError)):
            run.start()
        with pytest.raises((RuntimeError, KeyboardInterrupt, MemoryError)):
            outbox.run(settings=settings, batch="b", wait=wait)
    assert server.arrived.total() == 0
    assert_nothing_is_left(run, outbox, server)
    other = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, check=False)
    assert other.stdout == "{'queued': 2, 'sent': 1}\n", other.stderr
    assert run.start().wait() == {"sent": 3}, "it can be started after all"


def test_waiting_for_a_run_whose_start_was_interrupted_does_not_hang(
    server: SlowServer, settings: docmail.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = queue(settings)
    run = Run(outbox.folder, settings, batch="b")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", failing(KeyboardInterrupt(), after=START))
        with pytest.raises(KeyboardInterrupt):
            run.start()
    with pytest.raises(KeyboardInterrupt):
        run.wait()
    assert_nothing_is_left(run, outbox, server)


class Interrupting:
    """Raises `KeyboardInterrupt` in this thread before a line of some functions of docmail, given by its number."""

    def __init__(self, at: int, *functions: Any) -> None:
        self.left = at
        self.raised = False
        self._codes = {function.__code__ for function in functions}

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_details: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self._stepped if frame.f_code in self._codes else None

    def _stepped(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and not self.raised:
            if self.left == 0:
                self.raised = True
                raise KeyboardInterrupt
            self.left -= 1
        return self._stepped


@pytest.mark.parametrize("wait", [True, False], ids=["waiting", "not waiting"])
def test_an_interrupt_at_any_line_of_a_start_sends_nothing_more_and_leaves_nothing_behind(
    server: SlowServer, settings: docmail.Settings, *, wait: bool
) -> None:
    outbox = queue(settings, 200)
    for line in range(200):
        run: Run | None = None
        interrupting = Interrupting(line, Outbox.run, Run.start, Run.wait, Start.__init__, Start.begin)
        with contextlib.suppress(KeyboardInterrupt), interrupting:
            run = outbox.run(settings=settings, batch="b", wait=wait, limit=None)
        if not interrupting.raised:
            assert run is not None
            run.stop()
            break
        arrived = server.arrived.total()
        assert run_of(outbox.folder, settings, "b") is None, f"it goes on after line {line}"
        assert "docmail-run" not in [thread.name for thread in threading.enumerate()], line
        assert server.arrived.total() == arrived
        assert {row.state for row in outbox} <= {"queued", "sent"}, line
    else:
        pytest.fail("it never came to its end")
    assert line > 15


def test_an_interrupt_of_a_run_that_waits_for_its_press_does_not_wait_for_it(
    settings: docmail.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(queue(settings).folder, settings)
    monkeypatch.setattr(run.over, "wait", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run.wait()
    assert run.state == "asked"


def test_a_further_connection_that_finds_no_thread_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        if thread.name == "docmail-extra":
            message = "can't start new thread"
            raise RuntimeError(message)
        START(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with SlowServer("bdat", delay=0.0001) as server:
        settings = docmail.Settings("a@example.com", docmail.SmtpServer("127.0.0.1", server.port, Security.NONE))
        outbox = Outbox(tmp_path)
        messages = [
            docmail.Message("c@example.com", f"No. {n}", key=str(n)) for n in range(Outbox.limits.long_queue + 5)
        ]
        outbox.add_all(messages, batch="b", settings=settings)
        assert outbox.run(settings=settings) == {"sent": len(messages)}


FORKED = """
import os, sys, time, docmail
from docmail import credentials
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.outbox.run import run_of
say = lambda *words: os.write(1, (" ".join(map(str, words)) + "\\n").encode())
settings = docmail.Settings.load("forking")
credentials.provide(settings.account, credentials.Secret(SANDBOX_PASSWORD))
run = docmail.Outbox().run(settings=settings, batch="b", wait=False)
while not run.progress.done:
    time.sleep(0.01)
run.pause()
while "sending" in run.counts() or run._sender.transport is not None:  # a lock of Python's own would stay held
    time.sleep(0.01)
read, write = os.pipe()
child = os.fork()
if child == 0:
    say("in the child", run.state, run.is_running, run_of(run.record.folder, settings, "b"))
    for what in (run.wait, lambda: docmail.Outbox().run(settings=settings, batch="b")):
        try:
            say("sent", dict(what()))
        except docmail.errors.DocmailError as exc:
            say(exc)
    os.read(read, 1)
    say("afterwards", dict(docmail.Outbox().run(settings=settings, batch="c")))
    sys.exit()
say("in the parent", run.state)
run.resume()
say("in the parent", dict(run.wait()))
os.write(write, b".")
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_forked_child_knows_that_the_run_is_its_parent_s_and_can_run_when_that_is_over(box: Sandbox) -> None:
    settings = replace(box.settings, home=user_home())
    settings.save("forking")
    box.delay("end", 0.1)
    outbox = Outbox(user_home().outbox)
    for batch, number in (("b", 12), ("c", 3)):
        messages = [docmail.Message("c@example.com", f"{batch}{each}", key=str(each)) for each in range(number)]
        outbox.add_all(messages, batch=batch, settings=settings)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, timeout=60, check=False
    )
    said = ran.stdout.splitlines()
    assert {*said} > {
        "in the child failed False None",
        "in the parent paused",
        "in the parent {'sent': 12}",
        "afterwards {'sent': 3}",
    }, ran.stderr
    assert [line for line in said if "from which this one was forked; nothing is sent from here" in line]
    assert [line for line in said if line.startswith("Somebody is sending") and "already: process" in line]
    assert len(said) == 6
    assert len({mail.subject for mail in box.inbox}) == len(box.inbox) == 15
