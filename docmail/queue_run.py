"""Goes through the queue in a thread of its own, which a person can watch, pause and stop.

States:

    asked ─▶ sending ─┬▶ over       nothing waits any more, or not until later
             paused ◀─┤  stopped    by a person, after the mail that was on its way; the rest waits
                      └▶ failed     every mail would meet the same: `error`; the rest waits
"""

from __future__ import annotations

import atexit
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from filelock import FileLock, Timeout

from docmail import owners
from docmail.errors import Deferred, DocmailError, Kind, OutcomeUnknown, Refused
from docmail.helpers import WORTH_IT, Helpers
from docmail.pace import Pace
from docmail.queue_store import GIVEN_UP, PARTLY, QueueStore, Waiting
from docmail.sender import Sender
from docmail.translation import _

if TYPE_CHECKING:
    from pathlib import Path

    from docmail.addresses import Address
    from docmail.errors import SendError
    from docmail.rows import Row
    from docmail.settings import Settings
    from docmail.store import Settled

    State = Literal["asked", "sending", "paused", "over", "stopped", "failed"]

_LAST = 5
_MEASURED = 40  # mails from which the speed is judged
_GOODBYE_SECONDS = 4.0  # Jupyter gives a kernel five to end

_going_on: dict[tuple[Path, str], Run] = {}
_guard = threading.Lock()


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
        self._store = QueueStore(folder)
        self._users = 1
        self._door = threading.Lock()
        self._waiting = Waiting(self.account, batch)
        try:
            self.pace = Pace(self._store, settings, self.account)
            if rate is not None:
                self.pace.set(rate)
            self.total = self.waiting
            self._last_counts = self.counts()
        finally:
            self._let_go()
        self._moments: deque[float] = deque(maxlen=_MEASURED)
        self._stopped = threading.Event()
        self._paused = threading.Event()
        self._wake = threading.Event()
        self.over = threading.Event()
        self._told = threading.Lock()
        self._sender = self._new_sender()
        self._helpers = Helpers(self._new_sender, self._is_long)

    @contextmanager
    def _opened(self) -> Iterator[QueueStore]:
        """Have the journal open: a notebook keeps many runs, and each that does not send has no file open."""
        with self._door:
            if not self._users:
                self._store.reopen()
            self._users += 1
        try:
            yield self._store
        finally:
            self._let_go()

    def _let_go(self) -> None:
        with self._door:
            self._users -= 1
            if not self._users:
                self._store.close()

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
        if self._users or self._store.is_there:
            with self._opened() as store:
                self._last_counts = store.count("current AND (? IS NULL OR batch = ?)", (self.batch, self.batch))
        return dict(self._last_counts)

    # --- what a view shows ---

    @property
    def folder(self) -> Path:
        """Where the outbox is."""
        return self._store.folder

    @property
    def waiting(self) -> int:
        """How many mails wait to be sent."""
        with self._opened() as store:
            return store.count_waiting(self._waiting)

    @property
    def recipients(self) -> int:
        """To how many different addresses the waiting mails go."""
        with self._opened() as store:
            return store.count_recipients(self._waiting)

    @property
    def speed(self) -> float:
        """Mails per second, lately; 0 while nobody can tell."""
        moments = list(self._moments)
        took = moments[-1] - moments[0] if moments else 0.0
        return (len(moments) - 1) / took if took else 0.0

    @property
    def again_at(self) -> datetime | None:
        """When the next of those that were put off will be tried again."""
        with self._opened() as store:
            moment = store.next_waiting(self._waiting)
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
        which = "SELECT id FROM mail WHERE state = ? AND current AND (? IS NULL OR batch = ?) ORDER BY id LIMIT ?"
        with self._opened() as store:
            return store.rows(f"id IN ({which})", (state, self.batch, self.batch, most))

    @property
    def partly_sent(self) -> int:
        """How many of the mails that were sent somebody has not got."""
        with self._opened() as store:
            return sum(store.count(PARTLY, (self.batch, self.batch)).values())

    def partly_sent_rows(self, most: int) -> list[Row]:
        """Return the first of them."""
        which = f"SELECT id FROM mail WHERE {PARTLY} ORDER BY id LIMIT ?"  # noqa: S608 - ours
        with self._opened() as store:
            return store.rows(f"id IN ({which})", (self.batch, self.batch, most))

    @property
    def given_up(self) -> int:
        """How many mails `retry()` puts back into the queue."""
        with self._opened() as store:
            return sum(store.count(GIVEN_UP, (self.batch, self.batch)).values())

    # --- what a person does ---

    @property
    def agreed(self) -> bool:
        """Whether a person has agreed to send all that waits, however this program or an earlier one ended since."""
        with self._opened() as store:
            return store.last_waiting(self._waiting) <= int(store.note(self._agreement) or 0)

    def agree(self, yes: bool = True) -> None:  # noqa: FBT001, FBT002 - yes or no
        """Remember that a person wants all that waits now to be sent, or no longer wants it."""
        with self._opened() as store:
            store.set_note(self._agreement, str(store.last_waiting(self._waiting) if yes else 0))

    @property
    def _agreement(self) -> str:
        return f"agreed {self.account} {self.batch or ''}"

    def again(self, *, redirect_to: Address | None = None, limit: int | None = None) -> Run:
        """Return a new run through the same queue, not started yet."""
        return Run(self.folder, self.settings, batch=self.batch, limit=limit, redirect_to=redirect_to)

    def retry(self) -> int:
        """Put what failed or was refused back into the queue, for those who have not got it; return how many mails."""
        with self._opened() as store:
            return store.retry(self.batch)

    def resolve(self, id: int, outcome: Literal["sent", "resend"]) -> None:  # noqa: A002 - the row's name for it
        """Decide about a mail whose outcome is unknown."""
        with self._opened() as store:
            store.resolve(id, outcome)

    def start(self) -> Run:
        """Begin in a thread of its own, and return the run that goes on: another one may do the same already.

        Raises if another program, or another batch, goes through the same account's queue.
        """
        with _guard:
            other = _going_on.get((self.folder, self.account))
            if other is not None and other.is_going_on:
                if other.batch == self.batch and other.redirect_to is None and self.redirect_to is None:
                    return other
                raise _busy(_("this program"), other.batch)
            lock = self._lock()
            self.state = "sending"
            _going_on[self.folder, self.account] = self
        # The language of whoever started it holds in the thread as well.
        context = copy_context()
        thread = threading.Thread(target=context.run, args=(self._work, lock), name="docmail-run", daemon=True)
        atexit.register(self._say_goodbye)
        thread.start()
        return self

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
            self.stop()
            try:
                self._sit()
            except KeyboardInterrupt:
                self.abort()
                self._sit()
            raise
        if self.error is not None:
            raise self.error
        return self

    def _sit(self) -> None:
        # In short steps, because on some systems a longer wait cannot be interrupted.
        while not self.over.wait(0.5):
            pass

    def leave_to_the_parent(self) -> None:
        """Be over in a forked child: the thread that sends is not there."""
        atexit.unregister(self._say_goodbye)
        self._told = threading.Lock()
        self.error = DocmailError(
            _("This process was forked from the one in which the run goes on; it does not see what becomes of it."),
            hint=_("Wait for the run in the first process."),
        )
        self.state = "failed"
        self.over = threading.Event()
        self.over.set()

    def _say_goodbye(self) -> None:
        self.stop()
        self.over.wait(_GOODBYE_SECONDS)

    def _lock(self) -> FileLock:
        """Return the lock of whoever goes through this account's queue: one at a time, because providers count so."""
        folder = self.folder / "runs"
        name = sha256(self.account.encode()).hexdigest()[:16]
        lock = FileLock(folder / f"{name}.lock", thread_local=False, mode=0o600)
        with self._opened() as store, store.explained():
            try:
                folder.mkdir(exist_ok=True, mode=0o700)
                lock.acquire(timeout=0)
            except Timeout as exc:
                raise _busy(store.note(f"run {name}") or _("another program")) from exc
        moment = datetime.now().astimezone()
        who = _("process {number} on {computer}, since {time:%H:%M}").format(
            number=os.getpid(), computer=platform.node() or "?", time=moment
        )
        try:
            with self._opened() as store:
                store.set_note(f"run {name}", who)
        except BaseException:
            lock.release()  # a traceback that is kept would hold it, and this program would wait for itself
            raise
        return lock

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
            reached = all(state == "sent" for state, _reply in settled.recipients.values())
            self.missed += settled.state != "queued" and not reached
            if settled.state != "queued":  # what was put off comes again: it says nothing about how long the rest takes
                self.done += 1
                self._moments.append(time.monotonic())
            self.last.append(Happened(settled.number, settled.state, str(reply or settled.reason)))

    def _work(self, lock: FileLock) -> None:
        attempt = ""
        outcome: State = "over"
        try:
            with self._opened() as store:
                attempt = store.begin_attempt()
                store.recover()
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
            self._sender.hang_up()
            owners.end_attempt(attempt)
            lock.release()
            self.state = outcome
            with _guard:
                if _going_on.get((self.folder, self.account)) is self:
                    del _going_on[self.folder, self.account]
            self.over.set()
            atexit.unregister(self._say_goodbye)


def _begin_in_child() -> None:
    for run in _going_on.values():
        run.leave_to_the_parent()
    _going_on.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_begin_in_child)


def going_on(folder: Path, settings: Settings, batch: str | None) -> Run | None:
    """Return the run of this program that goes through this very queue at the moment."""
    with _guard:
        found = _going_on.get((folder, account_of(settings)))
    return found if found is not None and found.is_going_on and found.batch == batch else None


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


def account_of(settings: Settings) -> str:
    """Return what a key is unique for: the sending address, whatever server it goes through."""
    return settings.address.addr_spec.casefold()


def nothing_of(batch: str | None) -> str:
    """Say that there is no mail."""
    if batch is None:
        return _("The outbox is empty.")
    return _("The outbox holds no mail of the batch “{batch}”; check its name.").format(batch=batch)


def _busy(who: str, batch: str | None = None) -> DocmailError:
    what = _("the batch {batch}").format(batch=batch) if batch else _("this account's queue")
    return DocmailError(
        _("Somebody is sending {what} already: {who}. Nothing was sent from here.").format(what=what, who=who),
        hint=_("Wait until that is done, or stop it there; single emails go out in between."),
        guide="Sending",
    )
