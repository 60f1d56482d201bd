"""What the threads of a run share: what a person wants of it, and how far it is."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail.outbox.rows import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.errors import SendError
    from docmail.outbox.changes import Outcome

_LAST = 5
_MEASURED = 40  # mails from which the speed is judged


@dataclass(frozen=True)
class Happened:
    """What became of one mail in this run; it names no address."""

    id: int
    state: State
    text: str


class Control:
    """What a person wants of a run; any thread may say so and any may look."""

    def __init__(self, resends: Iterable[int] = (), *, retries: bool = False) -> None:
        self.resends = deque(resends)
        """Mails in doubt that a person sends again: before those that wait, as soon as there is a connection."""
        self.retries = retries
        """Whether undelivered mails are to be put back into the queue, as soon as there is a connection."""
        self.puts_back = True
        """Whether what was refused alike, and so stopped an earlier run, is to be put back into the queue then."""
        self.stopped = False
        """Whether the run shall end after the mail that is being sent."""
        self.paused = False
        """Whether it shall wait after that mail."""
        self._wake = threading.Event()

    def stop(self) -> None:
        """Have the run end after the mail that is being sent."""
        self.stopped = True
        self._wake.set()

    def pause(self, *, yes: bool = True) -> None:
        """Have it wait after that mail, or send again."""
        self.paused = yes
        self._wake.set()

    def resend(self, number: int) -> None:
        """Have it send a mail in doubt next."""
        self.resends.append(number)
        self._wake.set()

    def wake(self) -> None:
        """Have it look again at once."""
        self._wake.set()

    def next_resend(self) -> int | None:
        """Return the mail in doubt that is sent next, and forget it; None if there is none."""
        try:
            return self.resends.popleft()
        except IndexError:
            return None

    def sleep(self, seconds: float | None) -> None:
        """Wait, but no longer than until something else is wanted; None is until then."""
        if not self.stopped:
            self._wake.wait(seconds)
        self._wake.clear()


class Progress:
    """How far a run is; the thread of each connection notifies it of each outcome."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.total = 0
        """Mails that there were to send when the run was made, or when a person was asked."""
        self.tried = 0
        """Outcomes so far; a deferred mail has one each time."""
        self.done = 0
        """Mails that are settled."""
        self.missed = 0
        """Settled mails that did not reach everybody, or whose outcome is unknown."""
        self.settled: Counter[State] = Counter()
        """Settled mails by their state."""
        self.rehearsed = 0
        """Copies that were sent in a rehearsal."""
        self.last: deque[Happened] = deque(maxlen=_LAST)
        self._counted: set[int] = set()  # the mails that have gone, as far as a limit wants to know
        self._moments: deque[float] = deque(maxlen=_MEASURED)
        self._lock = threading.Lock()

    def notify(self, outcome: Outcome, error: SendError | None) -> None:
        """Take note of what became of a mail."""
        reply = outcome.reply or (error.reply if error else None)
        waits = outcome.state == State.QUEUED
        with self._lock:
            self.tried += 1
            # Not what goes back to where it was, because the connection broke: it is tried over the next one.
            if self.limit is not None and (not waits or outcome.not_before is not None or outcome.reached):
                self._counted.add(outcome.number)
            if not waits:  # a deferred mail comes again: it says nothing about how long the rest takes
                self.done += 1
                self.settled[outcome.state] += 1
                self.missed += len(outcome.reached) < len(outcome.recipients)
                self._moments.append(time.monotonic())
            self.last.append(Happened(outcome.number, outcome.state, str(reply or outcome.reason)))

    @property
    def is_enough(self) -> bool:
        """Whether as many mails have gone as the limit allows."""
        return self.limit is not None and len(self._counted) >= self.limit

    @property
    def speed(self) -> float:
        """Mails per second, lately; 0 while that is unknown."""
        moments = list(self._moments)
        took = moments[-1] - moments[0] if moments else 0.0
        return (len(moments) - 1) / took if took else 0.0
