"""Begins a run in a thread of its own, or leaves nothing behind; an account's queue is gone through by one at a time.

All that would have to be undone is done by the thread: an interrupt (Ctrl-C) is raised in the main thread, between any
two steps. And the thread sends nothing before it hears that the start has come to its end.
"""

from __future__ import annotations

import atexit
import os
import platform
import threading
from contextvars import copy_context
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, Protocol

from filelock import FileLock, Timeout

from docmail.errors import DocmailError
from docmail.language import _

if TYPE_CHECKING:
    from pathlib import Path

    from docmail.addresses import Address
    from docmail.outbox.queue import QueueStore
    from docmail.settings import Settings

State = Literal["asked", "sending", "paused", "over", "stopped", "failed"]

_STEP_SECONDS = 0.5


class Startable(Protocol):
    """A run, as whoever starts it sees it."""

    state: State
    account: str
    batch: str | None
    redirect_to: Address | None

    @property
    def folder(self) -> Path:
        """Where the outbox is."""

    @property
    def store(self) -> QueueStore:
        """The journal, opened for one question."""

    @property
    def is_going_on(self) -> bool:
        """Whether it is sending, or paused."""

    def work(self, lock: FileLock) -> None:
        """Send, and let the next one have the account's queue."""

    def abort(self) -> None:
        """Stop, and abort the mail that is on its way, unless its last byte has gone."""

    def say_goodbye(self) -> None:
        """Stop because this program ends."""

    def leave_to_the_parent(self) -> None:
        """Be over in a forked child."""


_going_on: dict[tuple[Path, str], Startable] = {}
_guard = threading.Lock()


class Start:
    """One start of a run: what its thread and whoever starts it say to each other."""

    def __init__(self, run: Startable) -> None:
        self.error: BaseException | None = None  # what the thread has met instead of a beginning
        self._run = run
        self._thread = threading.Lock()  # held as long as the thread has something that would have to be undone
        self._done = threading.Event()  # a run goes on, or there is an error
        self._going: Startable | None = None
        self._decided = threading.Event()  # whether it is still wanted
        self._wanted = True

    def begin(self) -> Startable:
        """Begin, and return the run that goes on; call it off after whatever this raises, also after an interrupt."""
        # The language of whoever started it holds in the thread as well.
        work = copy_context().run
        threading.Thread(target=work, args=(self._begin,), name="docmail-run", daemon=True).start()
        # In short steps, because on some systems a longer wait cannot be interrupted.
        while not self._done.wait(_STEP_SECONDS):
            pass
        self._decided.set()
        if self._going is not None:
            return self._going
        assert self.error is not None  # noqa: S101 - it is done, and nothing goes on
        raise self.error

    def call_off(self) -> None:
        """Undo what the thread has done, and return when nothing is left of it and nothing is sent."""
        self._wanted = False
        if self._decided.is_set() and self._going is self._run:
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
                self._run.work(lock) if self._wanted else leave(self._run, lock, "asked")

    def _enter(self) -> FileLock | None:
        """Return the lock of the account's queue, the run being under way; None if another one does the same."""
        run = self._run
        with _guard:
            other = _going_on.get((run.folder, run.account))
            if other is not None and other.is_going_on:
                if other.batch != run.batch or other.redirect_to is not None or run.redirect_to is not None:
                    raise _busy(_("this program"), other.batch)
                self._going = other
                return None
            lock = _lock(run.store, run.account)
            run.state = "sending"
            _going_on[run.folder, run.account] = run
        try:
            atexit.register(run.say_goodbye)
        except BaseException:
            leave(run, lock, "asked")
            raise
        self._going = run
        return lock


def leave(run: Startable, lock: FileLock, state: State) -> None:
    """Let the next one have the account's queue; the run is in this state then."""
    try:
        lock.release()
    finally:
        run.state = state
        with _guard:
            if _going_on.get((run.folder, run.account)) is run:
                del _going_on[run.folder, run.account]
        atexit.unregister(run.say_goodbye)


def going_on(folder: Path, settings: Settings, batch: str | None) -> Startable | None:
    """Return the run of this program that goes through this very queue at the moment."""
    with _guard:
        found = _going_on.get((folder, account_of(settings)))
    return found if found is not None and found.is_going_on and found.batch == batch else None


def account_of(settings: Settings) -> str:
    """Return what a key is unique for: the sending address, whatever server it goes through."""
    return settings.address.addr_spec.casefold()


def _lock(store: QueueStore, account: str) -> FileLock:
    """Return the lock of whoever goes through this account's queue: one at a time, because providers count so."""
    folder = store.folder / "runs"
    name = sha256(account.encode()).hexdigest()[:16]
    lock = FileLock(folder / f"{name}.lock", thread_local=False, mode=0o600)
    with store.explained():
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
        store.set_note(f"run {name}", who)
    except BaseException:
        lock.release()  # a traceback that is kept would hold it, and this program would wait for itself
        raise
    return lock


def _busy(who: str, batch: str | None = None) -> DocmailError:
    what = _("the batch {batch}").format(batch=batch) if batch else _("this account's queue")
    return DocmailError(
        _("Somebody is sending {what} already: {who}. Nothing was sent from here.").format(what=what, who=who),
        hint=_("Wait until that is done, or stop it there; single emails go out in between."),
        guide="Sending",
    )


def _begin_in_child() -> None:
    """Leave the runs of the process of which this is a forked child to it; `filelock` lets go of their locks."""
    global _guard  # noqa: PLW0603 - whoever held it is not here
    _guard = threading.Lock()
    for run in _going_on.values():
        run.leave_to_the_parent()
    _going_on.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing is forked
    os.register_at_fork(after_in_child=_begin_in_child)
