"""Goes through the queue in a thread of its own, which a person can watch, pause and stop.

States:

    asked ─▶ sending ─┬▶ over       nothing waits any more, or not until later
             paused ◀─┤  stopped    by a person, after the mail that was being sent; the rest waits
                      └▶ failed     every mail would meet the same: `error`; the rest waits

A run begins, or nothing is left of its start. All that would have to be undone is done by the thread: an interrupt
(Ctrl-C) is raised in the main thread, between any two steps. And the thread sends nothing before the start has come to
its end.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from contextvars import copy_context
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from docmail.errors import Deferred, DocmailError, Guide, Kind, OutcomeUnknown, Refused, Word
from docmail.language import _
from docmail.outbox.account_lock import busy, lock_queue
from docmail.outbox.alike import AlikeRefusals
from docmail.outbox.control import Control, Progress
from docmail.outbox.daily import DailyLimits
from docmail.outbox.extra_connections import ExtraConnections
from docmail.outbox.keys import account_of
from docmail.outbox.later import later_text
from docmail.outbox.limits import DEFAULT, Limits
from docmail.outbox.mailbox_work import work_quietly
from docmail.outbox.queue import Group
from docmail.outbox.rate import AccountRate
from docmail.outbox.remembered_servers import RememberedServers
from docmail.outbox.rows import State
from docmail.outbox.sender import Sender
from docmail.outbox.sent_copies import owes_copies
from docmail.outbox.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from filelock import FileLock

    from docmail.addresses import Address
    from docmail.settings import Settings

_STEP_SECONDS = 0.5
_GOODBYE_SECONDS = 4.0  # Jupyter gives a kernel five to end


class RunState(Word):
    """The state of a run; the drawing at the top shows the steps."""

    ASKED = "asked"
    SENDING = "sending"
    PAUSED = "paused"
    OVER = "over"
    STOPPED = "stopped"
    FAILED = "failed"


class Run(Mapping[str, int]):
    """One pass through the queue; as a mapping, how many mails are in each state.

    `wait()` returns when it is over and raises what stopped it; `pause()`, `resume()` and `stop()` may be called from
    any thread. `queue` is what it goes through, `progress` how far it is, `rate` how fast it may send.

    `Outbox.run` makes it: `folder` is that of the outbox, and `settings`, `batch`, `limit`, `redirect_to` and `rate`
    are its own. `resends` are mails whose outcome is unknown; with `retries`, what failed or was refused is sent as
    well. Both stay as they are until the run has a connection, and for good if it gets none. `limits` is how long it
    waits.

    >>> outbox = docmail.Outbox()
    >>> number = outbox.add(docmail.Message("ann@example.com", "Hello"))
    >>> run = outbox.run(wait=False)
    >>> run.pause()
    >>> run.resume()
    >>> run.wait()
    <Run over: 1 sent>
    >>> run["sent"], run.is_running
    (1, False)
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
        limits: Limits = DEFAULT,
    ) -> None:
        self.settings = settings
        self.redirect_to = redirect_to
        self.state = RunState.ASKED
        self.error: BaseException | None = None
        self.over = threading.Event()
        self.after_sending = ""
        """What came of copies and bounces after it, in sentences; empty if the settings have no mailbox."""
        self.last_looks: list[Callable[[], None]] = []  # taken by those who wait for it, before they go on
        account = account_of(settings)
        # A notebook keeps many runs, and none of them keeps a file open.
        self.record = Store(folder, on_demand=True)
        self.queue = self.record.queue(account, batch)
        self.control = Control(resends, retries=retries)
        self.progress = Progress(limit)
        self._limits = limits
        self._store = Store(folder)  # open while it sends
        self._store.changes.owes_copies = owes_copies(settings)
        self._sent_from = self._store.queue(account, batch)
        self.rate = AccountRate(self._sent_from, settings)
        if rate is not None:
            self.rate.set(rate)
        self._servers = RememberedServers(self._store.journal)
        self._last_counts: dict[str, int] = {}
        self._last_later: tuple[int, datetime | None] = 0, None
        self.progress.total = self.ahead
        self.counts()
        self._interrupt: BaseException | None = None  # what interrupted the start
        self._get_ready()
        self._store.close()

    def _get_ready(self) -> None:
        """Have all that is new for each start."""
        self._daily = DailyLimits(self._sent_from, self.settings)
        self._alike = AlikeRefusals(self._limits)
        self._sender = self._new_sender()
        self._extra = ExtraConnections(self._new_sender, self._is_long, self._limits.extra_connections)

    def _new_sender(self) -> Sender:
        return Sender(
            self._store,
            self._sent_from,
            self.settings,
            self.rate,
            self.control,
            self.progress,
            self._limits,
            self._daily,
            self._alike,
            self._servers,
        )

    def _is_long(self) -> bool:
        """Say whether extra connections are worth it, and fair."""
        no_limit = self.progress.limit is None
        return no_limit and self.rate.allows_many_connections and self.waiting >= self._limits.long_queue

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
        later = f"; {text}" if (text := self.due_later) else ""
        return f"<Run {self.state}: {listed or 'nothing to send'}{rehearsed}{later}>"

    def counts(self) -> dict[str, int]:
        """Return how many mails of the batch, or of the whole outbox, are in each state.

        A mail that was withdrawn, or corrected and added anew, is in none: the later one counts. Where the outbox is
        gone, as that of a closed sandbox, it is what was counted last.

        >>> docmail.Outbox().run().counts()
        {}
        """
        if self.record.file.is_there:
            self._last_counts = self.queue.counts()
            self._last_later = self.queue.later
        return dict(self._last_counts)

    # --- how it stands ---

    @property
    def batch(self) -> str | None:
        """The batch that it sends; None: all that waits."""
        return self.queue.batch

    @property
    def waiting(self) -> int:
        """How many mails wait to be sent, without those that are due later."""
        return self.queue.waiting

    @property
    def later(self) -> int:
        """How many mails are to go at a later time of their own; they do not wait for this run."""
        if self.record.file.is_there:
            self._last_later = self.queue.later
        return self._last_later[0]

    @property
    def due_later(self) -> str:
        """How many mails are to go at a later time of their own, and when the first of them is; nothing if none is."""
        return later_text(self.later, self._last_later[1])

    @property
    def ahead(self) -> int:
        """How many mails it has to send: those that wait, and those that are sent again or retried with it."""
        return self.waiting + len(self.control.resends) + self._retried

    @property
    def _retried(self) -> int:
        if self.control.retries:
            return self.queue.count(Group.UNDELIVERED)
        return len(self.queue.refused_alike()) if self._puts_back else 0

    @property
    def _puts_back(self) -> bool:
        return self.control.puts_back and self.redirect_to is None

    @property
    def refused_alike(self) -> int:
        """How many mails were refused alike, which stopped a run; resuming puts them back into the queue."""
        return len(self.queue.refused_alike())

    @property
    def again_at(self) -> datetime | None:
        """When the next of the deferred mails is tried again, or the account's daily limit has room for the rest."""
        if self._daily.again_at is not None and self.waiting:
            return self._daily.again_at
        return self.queue.again_at

    @property
    def _again(self) -> tuple[int, ...]:
        """The mails that go with those that wait, other than by `retries`."""
        put_back = self.queue.refused_alike() if self._puts_back and not self.control.retries else []
        return (*self.control.resends, *put_back)

    def count_recipients(self) -> int:
        """Return to how many different addresses it sends; the archive does not count.

        >>> outbox = docmail.Outbox()
        >>> run = outbox.run()
        >>> number = outbox.add(docmail.Message("ann@example.com; bob@example.com", "Hello"))
        >>> run.again().count_recipients()
        2
        """
        return self.queue.count_recipients(again=self._again, retried=self.control.retries)

    def doubles(self, most: int) -> tuple[int, dict[str, int]]:
        """Return how many addresses get more than one of its mails, and the first `most` with how many each gets.

        >>> outbox = docmail.Outbox()
        >>> run = outbox.run()
        >>> numbers = [outbox.add(docmail.Message("ann@example.com", subject)) for subject in ("Hello", "Once more")]
        >>> run.doubles(3)
        (1, {'ann@example.com': 2})
        """
        return self.queue.doubles(most, again=self._again, retried=self.control.retries)

    def daily_warning(self) -> str:
        """Say how much of its daily limit the account has used, and whether this is too much; nothing if all is well.

        The copies for the archive count.

        >>> docmail.Outbox().run().daily_warning()
        ''
        """
        return self._new_count().warning(self._to_come)

    @property
    def goes_beyond_a_daily_limit(self) -> bool:
        """Whether its mails are more than the account may send, with what it has sent today."""
        return self.progress.limit is None and self._new_count().goes_beyond(self._to_come)

    @property
    def daily_limit_reached(self) -> str:
        """Why it has ended before all was sent, and when the rest can go, if the account may send no more for now."""
        return self._daily.reached()

    def _to_come(self) -> list[tuple[int, str]]:
        return self.queue.recipients_to_come(again=self._again, retried=self.control.retries)

    def _new_count(self) -> DailyLimits:
        return DailyLimits(self.queue, self.settings)  # over the record, which may be asked at any time

    @property
    def rehearsed(self) -> int:
        """How many copies a rehearsal has sent."""
        return self.progress.rehearsed

    @property
    def is_running(self) -> bool:
        """Whether it is sending, or paused."""
        return self.state in {RunState.SENDING, RunState.PAUSED}

    # --- what a person does ---

    def again(self, **options: Any) -> Run:
        """Return a new run through the same queue, not started yet; the `options` are those of a run.

        >>> docmail.Outbox().run().again(rate="30/min").start().wait()
        <Run over: nothing to send>
        """
        return Run(self.record.folder, self.settings, batch=self.batch, limits=self._limits, **options)

    def start(self) -> Run:
        """Begin in a thread of its own, and return the run that is running: another one may do the same already.

        Raises if another program, or another batch, goes through the same account's queue. Whatever it raises, also
        after an interrupt, nothing is left of the start, and nothing is sent.
        """
        start = Start(self)
        self._interrupt = None
        try:
            return start.begin()
        except BaseException as exc:
            start.call_off()
            if self.state == RunState.ASKED:
                self.control.stopped = False  # nothing has begun, so it may be started after all
            self._interrupt = None if exc is start.error else exc  # who waits for it is interrupted as well
            raise

    def pause(self) -> None:
        """Stop after the mail that is being sent, until `resume()`."""
        if self.is_running:
            self.state = RunState.PAUSED
            self.control.pause()

    def resume(self) -> None:
        """Send again after `pause()`, or after it has stopped because a number of mails was refused alike."""
        if self.is_running:
            self.state = RunState.SENDING
            self.control.pause(yes=False)
        elif self.error is not None and self.error is self._alike.error:
            self._start_again()

    def _start_again(self) -> None:
        error = self.error
        self.error, self.state = None, RunState.ASKED
        self.control = Control()
        self.over = threading.Event()
        self._get_ready()
        try:
            running = self.start()
        except BaseException:
            running = None
            raise
        finally:
            if running is not self:
                self.error, self.state = error, RunState.FAILED
                self.over.set()

    def stop(self) -> None:
        """End after the mail that is being sent; the rest stays in the queue.

        >>> run = docmail.Outbox().run(wait=False)
        >>> run.stop()
        >>> run.wait().is_running
        False
        """
        self.control.stop()

    def abort(self) -> None:
        """Stop, and abort the mail that is being sent, unless its last byte has gone.

        >>> run = docmail.Outbox().run(wait=False)
        >>> run.abort()
        >>> run.wait().is_running
        False
        """
        self.stop()
        self._sender.abort()
        self._extra.abort()

    def wait(self) -> Run:
        """Return when it is over; raises what stopped it.

        An interrupt lets the mail that is being sent arrive, so that nobody has to ask whether it did; a second one
        aborts it.
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
        """End as after an interrupt, and return when it has; a second interrupt aborts the mail that is being sent.

        >>> docmail.Outbox().run(wait=False).end()
        """
        if not self.is_running:
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
            if self._interrupt is not None:
                raise self._interrupt
        for look in tuple(self.last_looks):
            with suppress(Exception):  # what was sent is sent, also if nobody can look at it
                look()

    def say_goodbye(self) -> None:
        """Stop because this program ends; for docmail itself."""
        self.stop()
        self.over.wait(_GOODBYE_SECONDS)

    # --- in the thread, and in a forked child ---

    def work(self, lock: FileLock) -> None:
        """Send, and release the `lock` of the account's queue at the end; for docmail itself, in the run's thread."""
        state = RunState.OVER
        try:
            self._store.file.reopen()
            with closing(self._store), self._store.claim() as claim:
                self._store.changes.recover()
                try:
                    if self.redirect_to is None:
                        self._sender.send_all(claim, self._extra)
                    else:
                        self._sender.rehearse(self.redirect_to)
                finally:
                    self._sender.hang_up()
                    if self.redirect_to is None:
                        self.after_sending = work_quietly(
                            self._store, self.settings, batch=self.batch, stopped=self._has_to_end
                        )
                self.counts()  # for those who look when the outbox is gone
            if self.control.stopped:
                state = RunState.STOPPED
        except BaseException as exc:  # noqa: BLE001 - raised by wait(), and shown by the view
            self.error, state = exc, RunState.FAILED
        finally:
            try:
                self.leave(lock, state)
            finally:
                self.over.set()

    def _has_to_end(self) -> bool:
        return self.control.stopped

    def leave(self, lock: FileLock, state: RunState) -> None:
        """Release the `lock` of the account's queue, and be in this `state` from then on; for docmail itself."""
        try:
            lock.release()
        finally:
            self.state = state
            with _guard:
                if _running.get(self.key) is self:
                    del _running[self.key]
            atexit.unregister(self.say_goodbye)

    @property
    def key(self) -> tuple[Path, str]:
        """Folder and account: a program has one run for each."""
        return self.record.folder, self.queue.account

    def leave_to_the_parent(self) -> None:
        """Be over in a forked child, because the thread that sends is not there; for docmail itself."""
        self.state = RunState.FAILED
        self.error = DocmailError(
            _("This run continues in the program from which this one was forked; nothing is sent from here."),
            hint=_("Look at docmail.Outbox() for what became of it."),
            guide=Guide.SENDING,
        )
        # What a thread held while it was forked is never let go.
        self.control, self.over = Control(), threading.Event()
        self.over.set()


class Start:
    """One start of a run, shared by the thread that starts it and its own."""

    def __init__(self, run: Run) -> None:
        self.error: BaseException | None = None  # what the thread has met instead of a beginning
        self._run = run
        self._thread = threading.Lock()  # held as long as the thread has something that would have to be undone
        self._done = threading.Event()  # a run is running, or there is an error
        self._running: Run | None = None
        self._decided = threading.Event()  # whether it is still wanted
        self._wanted = True

    def begin(self) -> Run:
        """Begin, and return the run that is running; call it off after whatever this raises, also an interrupt."""
        # The language of the starting thread holds in the new one as well.
        work = copy_context().run
        threading.Thread(target=work, args=(self._begin,), name="docmail-run", daemon=True).start()
        # In short steps, because on some systems a longer wait cannot be interrupted.
        while not self._done.wait(_STEP_SECONDS):
            pass
        self._decided.set()
        if self._running is not None:
            return self._running
        assert self.error is not None  # noqa: S101 - it is done, and nothing is running
        raise self.error

    def call_off(self) -> None:
        """Undo what the thread has done, and return when nothing is left of it and nothing is sent."""
        self._wanted = False
        if self._decided.is_set() and self._running is self._run:
            self._run.abort()
        self._decided.set()
        with self._thread:  # free when the thread has ended; one that has not begun yet does nothing any more
            pass

    def _begin(self) -> None:
        """Take the account's queue, say so, and work if that is still wanted then; in the thread."""
        with self._thread:
            if not self._wanted:
                return
            lock: FileLock | None = None
            try:
                lock = self._enter()
            except BaseException as exc:  # noqa: BLE001 - raised by begin()
                self.error = exc
            self._done.set()
            if lock is not None:
                self._decided.wait()
                self._run.work(lock) if self._wanted else self._run.leave(lock, RunState.ASKED)

    def _enter(self) -> FileLock | None:
        """Return the lock of the account's queue, the run being under way; None if another one does the same."""
        run = self._run
        with _guard:
            other = _running.get(run.key)
            if other is not None and other.is_running:
                if other.batch != run.batch or other.redirect_to is not None or run.redirect_to is not None:
                    raise busy(_("this program"), other.batch)
                self._running = other
                return None
            lock = lock_queue(run.record, run.queue.account)
            run.state = RunState.SENDING
            _running[run.key] = run
        try:
            atexit.register(run.say_goodbye)
        except BaseException:
            run.leave(lock, RunState.ASKED)
            raise
        self._running = run
        return lock


_running: dict[tuple[Path, str], Run] = {}
_guard = threading.Lock()


def run_of(folder: Path, settings: Settings, batch: str | None) -> Run | None:
    """Return the run of this program that goes through this very queue at the moment."""
    with _guard:
        found = _running.get((folder, account_of(settings)))
    return found if found is not None and found.is_running and found.batch == batch else None


def _begin_in_child() -> None:
    """Leave the runs to the parent process; `filelock` lets go of their locks in this forked child."""
    global _guard  # noqa: PLW0603 - whoever held it is not here
    _guard = threading.Lock()
    for run in _running.values():
        run.leave_to_the_parent()
    _running.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing is forked
    os.register_at_fork(after_in_child=_begin_in_child)


def nothing_of(batch: str | None) -> str:
    """Say that there is no mail."""
    if batch is None:
        return _("The outbox is empty.")
    return _("The outbox holds no mail of the batch “{batch}”; check its name.").format(batch=batch)


def sent_or_failed(run: Run) -> Run:
    """Return a run that is over; raise `SendError` unless all that it was about is sent.

    With a limit it was about its own mails, otherwise about all that is queued or unknown.
    """
    counts, missed = run.counts(), run.progress.missed
    whole = run.progress.limit is None and run.redirect_to is None
    unknown = counts.get(State.UNKNOWN, 0) if whole or missed else 0
    waiting = run.waiting if whole else 0
    if not (missed or unknown or waiting):
        return run
    listed = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    message = _("Not all mails of this run were sent: {listed}.").format(listed=listed)
    if unknown:
        hint = _("Look at docmail.Outbox(): decide about each that is unknown, and see why others were not sent.")
        raise OutcomeUnknown(message, kind=Kind.UNKNOWN, hint=hint, guide=Guide.SENDING)
    if missed:
        hint = _("Look at docmail.Outbox() for the reasons; retry() and run() send again what was not sent.")
        raise Refused(message, kind=Kind.RECIPIENT, hint=hint, guide=Guide.SENDING)
    now, again = datetime.now(UTC), run.again_at
    hint = _("Run it again after {time:%Y-%m-%d %H:%M}.").format(time=(again or now).astimezone())
    wait = max((again - now).total_seconds(), 0.0) if again else None
    reached = run.daily_limit_reached
    kind = Kind.LIMIT if reached else Kind.TEMPORARY
    message = f"{message} {reached}".strip()
    raise Deferred(message, kind=kind, hint=hint, retry_after=wait, guide=Guide.SENDING)
