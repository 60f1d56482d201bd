"""Goes through the queue in a thread of its own, which a person can watch, pause and stop.

States:

    asked ─▶ sending ─┬▶ over       nothing waits any more, or not until later
             paused ◀─┤  stopped    by a person, after the mail that was on its way; the rest waits
                      └▶ failed     every mail would meet the same: `error`; the rest waits
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, cast

from docmail.errors import Deferred, DocmailError, Kind, OutcomeUnknown, Refused
from docmail.language import _
from docmail.outbox import claims
from docmail.outbox.extra_connections import WORTH_IT, Helpers
from docmail.outbox.journal import no_journal
from docmail.outbox.queue import QueueStore, Waiting
from docmail.outbox.rate import Pace
from docmail.outbox.sender import Sender
from docmail.outbox.starting import Start, account_of, going_on, leave

if TYPE_CHECKING:
    from pathlib import Path

    from filelock import FileLock

    from docmail.addresses import Address
    from docmail.errors import SendError
    from docmail.outbox.changes import Settled
    from docmail.outbox.rows import Row
    from docmail.outbox.starting import State
    from docmail.settings import Settings

_LAST = 5
_STEP_SECONDS = 0.5
_MEASURED = 40  # mails from which the speed is judged
_GOODBYE_SECONDS = 4.0  # Jupyter gives a kernel five to end


@dataclass(frozen=True)
class Happened:
    """What became of one mail in this run; it names no address."""

    id: int
    state: str
    text: str


class Run(Mapping[str, int]):
    """One pass through the queue; as a mapping, how many mails are in each state.

    `wait()` returns when it is over and raises what stopped it; `pause()`, `resume()` and `stop()` may be called from
    any thread. `total` mails waited when it began, `done` of them are settled; of those, `missed` did not reach
    everybody, or nobody knows whether they did.
    """

    def __init__(  # noqa: PLR0913 - what a run is about
        self,
        folder: Path,
        settings: Settings,
        *,
        batch: str | None = None,
        limit: int | None = None,
        redirect_to: Address | None = None,
        rate: str | None = None,
        resends: Iterable[int] = (),
        retries: bool = False,
    ) -> None:
        self.settings = settings
        self.batch = batch
        self.limit = limit
        self.redirect_to = redirect_to
        self.account = account_of(settings)
        self.error: BaseException | None = None
        self.state: State = "asked"
        self.tried = 0
        self.done = 0
        self.rehearsed = 0
        self.missed = 0
        self.shown = False
        self.last: deque[Happened] = deque(maxlen=_LAST)
        self._store = QueueStore(folder)  # open while it sends
        self._waiting = Waiting(self.account, batch)
        self.pace = Pace(self._store, settings, self.account)
        if rate is not None:
            self.pace.set(rate)
        self.resends = deque(resends)
        self.is_to_retry = retries
        self._last_counts: dict[str, int] = {}
        self.total = self.ahead
        self.counts()
        self._counted: set[int] = set()  # the mails that have gone, as far as a limit wants to know
        self._moments: deque[float] = deque(maxlen=_MEASURED)
        self._stopped = threading.Event()
        self._paused = threading.Event()
        self._wake = threading.Event()
        self.over = threading.Event()
        self._told = threading.Lock()
        self._not_begun: BaseException | None = None  # what interrupted the start
        self._sender = self._new_sender()
        self._helpers = Helpers(self._new_sender, self._is_long)
        self._store.close()

    @property
    def store(self) -> QueueStore:
        """The journal, opened for one question: a notebook keeps many runs, and none of them keeps a file open."""
        if not self._store.is_there:
            raise no_journal(self.folder)
        return QueueStore(self.folder)

    def _new_sender(self) -> Sender:
        return Sender(self._store, self.settings, self._waiting, pace=self.pace, control=self, limit=self.limit)

    def _is_long(self) -> bool:
        """Say whether further connections are worth it, and fair."""
        return self.limit is None and self.pace.allows_many_connections and self.waiting >= WORTH_IT

    # --- the mapping ---

    def __getitem__(self, state: str) -> int:
        return self.counts()[state]

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts())

    def __len__(self) -> int:
        return len(self.counts())

    def __repr__(self) -> str:
        listed = ", ".join(f"{number} {state}" for state, number in sorted(self.counts().items()))
        rehearsed = f", {self.rehearsed} rehearsed" if self.redirect_to else ""
        return f"<Run {self.state}: {listed or 'nothing to send'}{rehearsed}>"

    def counts(self) -> dict[str, int]:
        """Return how many mails of the batch, or of the whole outbox, are in each state.

        A mail that was withdrawn, or corrected and added anew, is in none: the later one counts. Where the outbox is
        gone, as that of a closed sandbox, it is what was counted last.
        """
        if self._store.is_there:
            self._last_counts = self.store.count_current(self.batch)
        return dict(self._last_counts)

    # --- what a view shows ---

    @property
    def folder(self) -> Path:
        """Where the outbox is."""
        return self._store.folder

    @property
    def waiting(self) -> int:
        """How many mails wait to be sent."""
        return self.store.count_waiting(self._waiting)

    @property
    def ahead(self) -> int:
        """How many mails it has to send: those that wait, and those that a person sends again or retries with it."""
        return self.waiting + len(self.resends) + (self.given_up if self.is_to_retry else 0)

    @property
    def recipients(self) -> int:
        """To how many different addresses these mails go."""
        return self.store.count_recipients(self._waiting, again=tuple(self.resends), retried=self.is_to_retry)

    @property
    def speed(self) -> float:
        """Mails per second, lately; 0 while nobody can tell."""
        moments = list(self._moments)
        took = moments[-1] - moments[0] if moments else 0.0
        return (len(moments) - 1) / took if took else 0.0

    @property
    def again_at(self) -> datetime | None:
        """When the next of those that were put off will be tried again."""
        moment = self.store.next_waiting(self._waiting)
        return datetime.fromtimestamp(moment, UTC) if moment else None

    def extent(self) -> tuple[int, int]:
        """Return how many mails it is about, and how many of them are settled: of a batch all, by earlier runs, too."""
        if not self.batch:
            return self.total, min(self.done, self.total)
        counts = self.counts()
        total = sum(counts.values())
        return total, total - counts.get("queued", 0) - counts.get("sending", 0)

    @property
    def is_going_on(self) -> bool:
        """Whether it is sending, or paused."""
        return self.state in {"sending", "paused"}

    def rows(self, state: str, most: int) -> list[Row]:
        """Return the first rows of the batch, or of the whole outbox, in this state."""
        return self.store.first_in(state, self.batch, most)

    @property
    def partly_sent(self) -> int:
        """How many of the mails that were sent somebody has not got."""
        return self.store.count_partly_sent(self.batch)

    def partly_sent_rows(self, most: int) -> list[Row]:
        """Return the first of them."""
        return self.store.first_partly_sent(self.batch, most)

    @property
    def given_up(self) -> int:
        """How many mails `retry()` puts back into the queue."""
        return self.store.count_undelivered(self.batch)

    # --- what a person does ---

    @property
    def agreed(self) -> bool:
        """Whether a person has agreed to send all that waits, however this program or an earlier one ended since."""
        return self.store.last_waiting(self._waiting) <= int(self.store.note(self._agreement) or 0)

    def agree(self, yes: bool = True) -> None:  # noqa: FBT001, FBT002 - yes or no
        """Remember that a person wants all that waits now to be sent, or no longer wants it."""
        self.store.set_note(self._agreement, str(self.store.last_waiting(self._waiting) if yes else 0))

    @property
    def _agreement(self) -> str:
        return f"agreed {self.account} {self.batch or ''}"

    def again(
        self,
        *,
        redirect_to: Address | None = None,
        limit: int | None = None,
        resends: Iterable[int] = (),
        retries: bool = False,
    ) -> Run:
        """Return a new run through the same queue, not started yet.

        `resends` are mails of which nobody knows whether they arrived; with `retries`, what failed or was refused goes
        as well. Both stay as they are until the run has a connection, and for good if it gets none.
        """
        return Run(
            self.folder,
            self.settings,
            batch=self.batch,
            limit=limit,
            redirect_to=redirect_to,
            resends=resends,
            retries=retries,
        )

    def resend(self, id: int) -> None:  # noqa: A002 - the row's name for it
        """Send a mail once more of which nobody knows whether it arrived: next, over the connection of this run."""
        self.resends.append(id)
        self._wake.set()

    def retry(self) -> int:
        """Put what failed or was refused back into the queue, for those who have not got it; return how many mails."""
        return self.store.retry(self.batch)

    def resolve(self, id: int, outcome: Literal["sent", "resend"]) -> None:  # noqa: A002 - the row's name for it
        """Decide about a mail whose outcome is unknown."""
        self.store.resolve(id, outcome)

    def start(self) -> Run:
        """Begin in a thread of its own, and return the run that goes on: another one may do the same already.

        Raises if another program, or another batch, goes through the same account's queue. Whatever it raises, also
        after an interrupt, nothing is left of the start, and nothing is sent.
        """
        start = Start(self)
        self._not_begun = None
        try:
            return cast("Run", start.begin())  # nothing else is started
        except BaseException as exc:
            start.call_off()
            if self.state == "asked":
                self._stopped.clear()  # nothing has begun, so it may be started after all
            self._not_begun = None if exc is start.error else exc  # whoever waits for it has been interrupted as well
            raise

    def pause(self) -> None:
        """Stop after the mail that is on its way, until `resume()`."""
        if self.is_going_on:
            self._paused.set()
            self.state = "paused"
            self._wake.set()

    def resume(self) -> None:
        """Go on."""
        if self.is_going_on:
            self._paused.clear()
            self.state = "sending"
            self._wake.set()

    def stop(self) -> None:
        """End after the mail that is on its way; the rest stays in the queue."""
        self._stopped.set()
        self._wake.set()

    def abort(self) -> None:
        """Stop, and break off the mail that is on its way, unless its last byte has gone."""
        self.stop()
        self._sender.abort()
        self._helpers.abort()

    def wait(self) -> Run:
        """Return when it is over; raises what stopped it.

        An interrupt lets the mail that is on its way arrive, so that nobody has to ask whether it did; a second one
        breaks it off.
        """
        try:
            self._sit()
        except KeyboardInterrupt:
            self.end()
            raise
        if self.error is not None:
            raise self.error
        return self

    def end(self) -> None:
        """End as after an interrupt, and return when it has; a second interrupt breaks off the mail on its way."""
        if not self.is_going_on:
            return  # it was not started, or is over
        self.stop()
        try:
            self._sit()
        except KeyboardInterrupt:
            self.abort()
            self._sit()

    def _sit(self) -> None:
        # In short steps, because on some systems a longer wait cannot be interrupted.
        while not self.over.wait(_STEP_SECONDS):
            if self._not_begun is not None:
                raise self._not_begun

    def say_goodbye(self) -> None:
        """Stop because this program ends."""
        self.stop()
        self.over.wait(_GOODBYE_SECONDS)

    # --- in the thread ---

    @property
    def stopped(self) -> bool:
        """Whether it shall end."""
        return self._stopped.is_set()

    @property
    def paused(self) -> bool:
        """Whether it shall wait."""
        return self._paused.is_set()

    def sleep(self, seconds: float | None) -> None:
        """Wait, or until somebody presses a button; None is until then."""
        if not self._stopped.is_set():
            self._wake.wait(seconds)
        self._wake.clear()

    def tell(self, settled: Settled, error: SendError | None) -> None:
        """Hear what became of a mail; from the thread of any connection."""
        reply = settled.reply or (error.reply if error else None)
        with self._told:
            self.tried += 1
            gone = settled.state != "queued" or settled.not_before is not None
            if self.limit is not None and (
                gone or any(state == "sent" for state, _reply in settled.recipients.values())
            ):
                # Not what goes back to where it was, because the connection broke: it is tried over the next one.
                self._counted.add(settled.number)
            reached = all(state == "sent" for state, _reply in settled.recipients.values())
            self.missed += settled.state != "queued" and not reached
            if settled.state != "queued":  # what was put off comes again: it says nothing about how long the rest takes
                self.done += 1
                self._moments.append(time.monotonic())
            self.last.append(Happened(settled.number, settled.state, str(reply or settled.reason)))

    @property
    def is_enough(self) -> bool:
        """Whether as many mails have gone as its limit allows."""
        return self.limit is not None and len(self._counted) >= self.limit

    def put_back(self) -> None:
        """Put what failed or was refused back into the queue, now that there is a connection."""
        self.is_to_retry = False
        self.retry()

    def work(self, lock: FileLock) -> None:
        """Send, and let the next one have the account's queue; for the thread, once the start is done."""
        attempt = ""
        outcome: State = "over"
        try:
            self._store.reopen()
            attempt = self._store.begin_attempt()
            self._store.recover()
            if self.redirect_to is None:
                self._sender.send_all(attempt, self._helpers)
            else:
                self._sender.rehearse(self.redirect_to)
            self.counts()  # for those who look when the outbox is gone
            if self._stopped.is_set():
                outcome = "stopped"
        except BaseException as exc:  # noqa: BLE001 - raised by wait(), and shown by the view
            self.error, outcome = exc, "failed"
        finally:
            try:
                self._sender.hang_up()
                claims.end_attempt(attempt)
                self._store.close()
            finally:
                try:
                    leave(self, lock, outcome)
                finally:
                    self.over.set()

    def leave_to_the_parent(self) -> None:
        """Be over in a forked child: the thread that sends is not there."""
        self.state = "failed"
        self.error = DocmailError(
            _("This run goes on in the program from which this one was forked; nothing is sent from here."),
            hint=_("Look at docmail.Outbox() for what became of it."),
            guide="Sending",
        )
        # What a thread held while it was forked is never let go.
        self._told, self._stopped, self._paused = threading.Lock(), threading.Event(), threading.Event()
        self._wake, self.over = threading.Event(), threading.Event()
        self.over.set()


def run_of(folder: Path, settings: Settings, batch: str | None) -> Run | None:
    """Return the run of this program that goes through this very queue at the moment."""
    return cast("Run | None", going_on(folder, settings, batch))


def nothing_of(batch: str | None) -> str:
    """Say that there is no mail."""
    if batch is None:
        return _("The outbox is empty.")
    return _("The outbox holds no mail of the batch “{batch}”; check its name.").format(batch=batch)


def sent_or_failed(run: Run) -> Run:
    """Return a run that is over; raise `SendError` unless all that it was about is sent.

    With a limit it was about its own mails, otherwise about all that is queued, or that nobody knows of.
    """
    counts = run.counts()
    whole = run.limit is None and run.redirect_to is None
    unknown = counts.get("unknown", 0) if whole or run.missed else 0
    waiting = run.waiting if whole else 0
    if not (run.missed or unknown or waiting):
        return run
    listed = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    message = _("Not everybody has got what was to be sent: {listed}.").format(listed=listed)
    if unknown:
        raise OutcomeUnknown(
            message,
            kind=Kind.UNKNOWN,
            hint=_("Look at docmail.Outbox(): decide about each that is unknown, and see why others were not sent."),
            guide="Sending",
        )
    if run.missed:
        raise Refused(
            message,
            kind=Kind.RECIPIENT,
            hint=_("Look at docmail.Outbox() for the reasons; retry() and run() send again what was not sent."),
            guide="Sending",
        )
    again = run.again_at
    raise Deferred(
        message,
        kind=Kind.TEMPORARY,
        hint=_("Run it again after {time:%Y-%m-%d %H:%M}.").format(time=(again or datetime.now(UTC)).astimezone()),
        retry_after=max((again - datetime.now(UTC)).total_seconds(), 0.0) if again else None,
        guide="Sending",
    )
