"""Stays until an account has sent all that waits, each mail that is due later at its own time.

It looks at the clock on the wall again and again: clocks are set, and a laptop sleeps. Between its runs it holds a lock
of its own only, so that other programs send what is due meanwhile. Whoever ends it loses nothing: what waits, and until
when, is in the journal, and the next one continues.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from docmail.errors import Kind, SendError
from docmail.outbox.account_lock import BusyError, lock_waiting
from docmail.outbox.keys import account_of
from docmail.outbox.later import later_text
from docmail.outbox.limits import DEFAULT, Limits
from docmail.outbox.run import Run
from docmail.outbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docmail.outbox.queue import Queue
    from docmail.settings import Settings

__all__ = ["stay"]

_LOOK_SECONDS = 60.0  # to the next look at the journal: other programs add mails
_STEP_SECONDS = 1.0  # to the next look at the clock; on some systems a longer wait cannot be interrupted
_LONGEST_SECONDS = 3600.0
_PASSES = {Kind.NETWORK: _LOOK_SECONDS, Kind.TEMPORARY: 300.0, Kind.LIMIT: _LONGEST_SECONDS}
"""Failures that pass by themselves (a laptop that wakes up has no network yet), and when it tries again, in seconds."""


def stay(  # noqa: PLR0913 - the options of its runs
    folder: Path,
    settings: Settings,
    *,
    batch: str | None = None,
    rate: str | None = None,
    limits: Limits = DEFAULT,
    say: Callable[[str], None] = lambda _sentence: None,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Send what is due, wait for the rest, and return when nothing waits; whether everybody has got what was sent.

    `say` is given what a person may want to read when it changes. Raises `DocmailError` if another program stays for
    the same account, and for a failure that does not pass by itself.
    """
    store = Store(folder, on_demand=True)
    with lock_waiting(store, account_of(settings)):
        queue, said, all_well, tries_at = store.queue(account_of(settings), batch), "", True, 0.0
        while (moment := _next_moment(queue)) is not None:
            text, wait = later_text(*queue.later), max(moment - time.time(), tries_at - time.monotonic())
            if wait > 0:
                if text and text != said:
                    say(said := text)
                _wait(wait, sleep)
                continue
            run = Run(folder, settings, batch=batch, rate=rate, limits=limits)
            try:
                _go_through(run)
            except BusyError:  # it may send what is due here as well
                tries_at = time.monotonic() + _LOOK_SECONDS
                continue
            except SendError as exc:
                if exc.kind not in _PASSES:
                    raise
                if str(exc) != said:
                    say(said := str(exc))
                rest = getattr(exc, "retry_after", None) or _PASSES[exc.kind]
                tries_at = time.monotonic() + min(rest, _LONGEST_SECONDS)
            else:
                say(said := ", ".join(f"{number} {state}" for state, number in sorted(run.counts().items())))
                # A daily limit leaves mails that could go: they go when there is room, which is looked at every hour.
                rest = _LOOK_SECONDS if queue.next_waiting() == 0.0 else 0.0
                if run.daily_limit_reached and run.again_at:
                    rest = max(run.again_at.timestamp() - time.time(), rest)
                tries_at = time.monotonic() + min(rest, _LONGEST_SECONDS)
            all_well = all_well and not run.progress.missed
    return all_well


def _next_moment(queue: Queue) -> float | None:
    """Return when the next mail may go, in seconds since 1970 (0.0: now); None if none waits, nor is due later."""
    _number, first = queue.later
    moments = [queue.next_waiting(), None if first is None else first.timestamp()]
    return min((moment for moment in moments if moment is not None), default=None)


def _go_through(run: Run) -> None:
    try:
        run.start().wait()
    except KeyboardInterrupt:
        run.end()  # between the two, it would run on by itself
        raise


def _wait(seconds: float, sleep: Callable[[float], None]) -> None:
    """Wait so long by the clock on the wall, or by the other one if that is faster; at most until the next look."""
    moment, end = time.time() + seconds, time.monotonic() + _LOOK_SECONDS
    rest = min(seconds, _LOOK_SECONDS)
    while rest > 0:
        sleep(min(rest, _STEP_SECONDS))
        rest = min(moment - time.time(), end - time.monotonic())
