"""Holds the one connection of this process to the journal of a folder, and knows that it leads to the journal.

SQLite relies on three things that a notebook takes away from it, each without an error:

- *Locks.* POSIX drops all locks of a process on a file as soon as the process closes any descriptor of it: a backup of
  the outbox's folder made in the same kernel does. Another program that opens and closes the journal then believes
  that it is the last one, and removes the write-ahead log; what is committed after that goes into a file without a
  name.
- *One process.* A forked child inherits the connection without its locks. Even a connection that the child opens itself
  is not safe beside it, because SQLite takes the locks of the inherited one for granted.
- *One history.* A copy from a backup, put in the place of the journal, knows nothing of what was sent since.

Therefore:

- Each transaction looks, when it has the lock for writing and again after its commit, whether the database, the log and
  the log's index are those that have a name (device and inode). If the log is another one, nothing was lost: the
  program that removed it has copied all that was committed by then. The connection is opened anew, which also brings
  its locks back, and the transaction begins again. A commit that went into a log without a name is noticed before
  anything relies on it, that is, before a mail's first byte goes out; it is an error, and nothing was sent. If the
  database itself is another one, it is an error as well: a person has replaced it, and decides what counts.
- There is one connection to a journal in a process. A second one would share the stale index of the first, and would
  keep it from being closed cleanly.
- Before a fork, the connection is closed, so that the child inherits none; both open it anew when they need it. Where
  that cannot be (a transaction lasts longer, or the fork came from a library that announces none) the child
  leaves what it inherited alone, never closes it, and says so.
- Each transaction counts in the journal, and after the commit in a file beside it and in the user's state outside of
  the folder (see earlier_use.py). A journal with fewer changes than this process, or one of these files, has seen is an
  older copy, however it came there, alone or with its whole folder: what waits in it may have been sent, so it becomes
  “unknown”, and a person decides.

In DELETE mode, on a network drive, there is no log, and SQLite holds locks within a transaction only. So nothing is
removed behind anybody's back; the database is looked at as above. Two containers on one volume, or two computers on a
network drive, are two processes like any others: all that is relied on are the locks of the file system. A computer
that slept may find that a server has given its locks to somebody else; its claims are over then, its mail in flight is
“unknown”, and SQLite takes its locks anew in each transaction.

Out of reach remain: a copy of the folder at another place, or of all that the user has; a backup made in the same
kernel in the very milliseconds of a transaction, while another program writes, where the system has no locks that
outlive a copy (see file_locks.py; SQLite may then even end the process by a bus error, as if it had been killed); and a
copy of a database put in the place of another one whose log stays, which SQLite joins together. The last is why a run
also remembers what it has sent (see queue.py).
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from docmail.errors import DocmailError, Guide
from docmail.home import hint_for
from docmail.language import _
from docmail.outbox import earlier_use
from docmail.outbox.file_locks import Guard
from docmail.outbox.schema import (
    JOURNAL,
    begin,
    changes_of,
    count_change,
    doubt,
    has_log,
    has_mail,
    identity_of,
    must_be_looked_through,
    open_journal,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_FORK_SECONDS = 5.0  # that a fork waits for a transaction of another thread
_TURNS = 5  # in which somebody may remove the log again and again

_Identity = tuple[int, int]
_NOBODY: _Identity = (0, 0)


def _identity(path: str) -> _Identity:
    try:
        found = os.stat(path)  # noqa: PTH116 - for each mail: with a path as an object it takes three times as long
    except OSError:
        return _NOBODY
    return found.st_dev, found.st_ino


class Database:
    """The journal of one folder, for all who use it in this process; get it by `use`, and `leave` it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        """Held while something is read or written."""
        self._path = str(folder / JOURNAL)
        self._users = 0
        self._process = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._is_inherited = False
        self._is_writing = False
        self._files: tuple[_Identity, _Identity, _Identity] = (_NOBODY, _NOBODY, _NOBODY)
        self._guard = Guard(self._path, is_wal=False)
        self._changes = 0  # as many as this process has seen
        self._has_mail = False
        self._memory: earlier_use.Memory | None = None  # once it has an identity
        self._open()

    def is_in(self, path: str) -> bool:
        """Say whether this is the journal that has this name now."""
        return self._files[0] == _identity(path) != _NOBODY

    def join(self) -> None:
        """Count one more user of the connection."""
        with self.lock:
            if must_be_looked_through(self.folder):
                self._close()
            self._look_back(self.connection)
            self._users += 1
            _all.add(self)

    def leave(self) -> None:
        """Use it no longer; the last one closes it."""
        with self.lock:
            self._users -= 1
            if not self._users:
                _all.discard(self)  # a file with this number may be another one from now on
                self._close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, to be used while `lock` is held; outside of a transaction, it leads to the files of now."""
        connection = self._own()
        if not connection.in_transaction and (files := self._named()) != self._files and files[0] == self._files[0]:
            self._close()
            connection = self._own()
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write in one durable step, or not at all; a step within a step is a part of it."""
        with self.lock:
            if self._is_writing:
                yield self._own()
                return
            # All in one `try`: an interrupt is raised as soon as `begin` or `commit` returns, or instead of either.
            try:
                connection = self._begin()
                self._is_writing = True
                changes = self._count(connection)
                yield connection
                self._commit(connection, changes)
            except BaseException:
                if self._connection is not None:
                    self._connection.rollback()
                raise
            finally:
                self._is_writing = False
                self._guard.stop_writing()

    def went_back(self) -> DocmailError:
        """In a transaction: give up knowing what was sent of what waits; return what is to be said about it."""
        connection = self._own()
        doubt(connection, _("The record is an older copy: this mail may have been sent since."))
        changes = max(self._known(), changes_of(connection)[0])
        self._commit(connection, count_change(connection, changes))
        return DocmailError(
            _(
                "The record of sent mail in {folder} is an older copy of what it was. What was sent or added since is "
                "not in it, and what waited in it may have been sent: it is “unknown” now."
            ).format(folder=self.folder),
            hint=_("Look at docmail.Outbox(), find out what arrived, and resolve it, before you send anything again."),
            guide=Guide.SENDING,
        )

    # --- inside ---

    def _named(self) -> tuple[_Identity, _Identity, _Identity]:
        path = self._path
        return _identity(path), _identity(f"{path}-wal"), _identity(f"{path}-shm")

    def _own(self) -> sqlite3.Connection:
        """Return the connection, opened if it is not; raises if it is another process's."""
        if self._process != os.getpid():
            _leave_to_the_parent()
        if self._is_inherited:
            raise self._forked()
        if self._connection is None:
            if not self.is_in(self._path):
                raise replaced(self.folder)
            self._open()
        return cast("sqlite3.Connection", self._connection)

    def _open(self) -> None:
        self._connection = open_journal(self.folder)
        try:
            self._guard = Guard(self._path, is_wal=has_log(self._connection))
            self._look_at(self._connection)
        except BaseException:
            self._close()
            raise

    def _look_at(self, connection: sqlite3.Connection) -> None:
        """Take note of the files that were just opened; raises if they are others than before, or older ones."""
        files = self._named()
        if self._files[0] not in {_NOBODY, files[0]}:
            raise replaced(self.folder)
        self._files = files
        self._look_back(connection)

    def _look_back(self, connection: sqlite3.Connection) -> None:
        """Report it if this is an older copy."""
        if self._memory is None and (identity := identity_of(connection)):
            self._memory = earlier_use.Memory(self.folder, identity)
        if changes_of(connection)[0] < self._known():
            with self.transaction():  # which checks once more
                pass

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # One whose files have lost their names must not find itself the last one: it would copy its log over what
            # others have written since, and remove theirs.
            if self._named() == self._files:
                self._guard.release()
            connection.close()
            self._guard.end()

    def _begin(self) -> sqlite3.Connection:
        for _turn in range(_TURNS):
            connection = self._own()
            self._guard.wait_to_write()
            begin(connection)
            self._guard.begin_to_write()
            if (files := self._named()) == self._files:
                return connection
            connection.rollback()
            if files[0] != self._files[0]:
                break
            self._close()
        raise replaced(self.folder)

    def _count(self, connection: sqlite3.Connection) -> tuple[int, str]:
        """Count this change; raises if there were more changes already."""
        changes, _by = changes_of(connection)
        if changes < self._known():
            raise self.went_back()
        return count_change(connection, changes)

    def _known(self) -> int:
        return max(self._changes, earlier_use.mark(self.folder), self._memory.changes() if self._memory else 0)

    def _commit(self, connection: sqlite3.Connection, changes: tuple[int, str]) -> None:
        if self._connection is not connection:
            raise self._forked()  # in the middle of it
        self._is_writing = False  # from here on, whatever opens the journal anew looks at it in a step of its own
        if not self._has_mail:
            self._has_mail = has_mail(connection)
        memory = self._memory or earlier_use.Memory(self.folder, identity_of(connection))
        connection.commit()
        is_here = (files := self._named()) == self._files
        if not is_here and (files[0] != self._files[0] or changes_of(self.connection) != changes):
            if files[1] == self._files[1]:
                self._set_mark()  # this is in the log, which is not that of the database which is there now
            raise replaced(self.folder)
        self._changes = changes[0]
        self._memory = memory
        if self._has_mail:
            memory.keep(self._changes)
        self._set_mark()

    def _set_mark(self) -> None:
        if not self._has_mail:
            return
        # On a disk that fails now, the mark says too little, which is no harm; what was committed counts.
        with suppress(OSError):
            earlier_use.set_mark(self.folder, self._changes, self._files[0][1], f"{self._path}-wal")

    def _forked(self) -> DocmailError:
        return DocmailError(
            _(
                "This process was forked from one that was writing into the outbox in {folder}, so it cannot use it."
            ).format(folder=self.folder),
            hint=_("Send from the first process, or start this one with multiprocessing's “spawn”."),
        )

    # --- around a fork ---

    @property
    def is_closed(self) -> bool:
        """Whether it has no connection at the moment."""
        return self._connection is None

    def prepare_to_fork(self) -> bool:
        """Close it, so that no child inherits it; return whether the lock is held now."""
        if not self.lock.acquire(timeout=_FORK_SECONDS):
            return False
        if self._connection is not None and not self._connection.in_transaction:
            self._close()
        return True

    def begin_in_child(self, *, is_closed: bool) -> None:
        """Own what was closed before the fork, and leave the rest to the parent."""
        self._process = os.getpid()
        if is_closed and self._connection is None:
            return
        connection, self._connection, self._is_inherited = self._connection, None, True
        self.lock = threading.RLock()  # a thread that held it is not in this process
        _inherited.append(self)
        if connection is not None:
            self._guard.end()
            # Never closed, not even when the child ends: that would undo what the parent is writing.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


_all: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Database] = []
_opening = threading.RLock()  # by one thread at a time, and not during a fork


def replaced(folder: Path) -> DocmailError:
    """Return the error for a record that another one has taken the place of while it was open."""
    return DocmailError(
        _("The outbox in {folder} was removed or replaced while it was open; nothing was recorded.").format(
            folder=folder
        ),
        hint=hint_for(
            notebook=_("Restart the kernel, and look at docmail.Outbox() before you send anything again."),
            terminal=_("Look at the list of the outbox before you send anything again."),
        ),
        guide=Guide.SENDING,
    )


def use(folder: Path) -> Database:
    """Return the journal of a folder, opened if it is not; raises `DocmailError`, `OSError` or `sqlite3.Error`."""
    path = str(folder / JOURNAL)
    with _opening:
        found = next((each for each in list(_all) if each.is_in(path)), None) or Database(folder)
        found.join()
        return found


_held: list[Database] = []


def _before_fork() -> None:
    _opening.acquire()
    _held.extend(each for each in list(_all) if each.prepare_to_fork())


def _release() -> None:
    while _held:
        _held.pop().lock.release()
    _opening.release()


def _in_child() -> None:
    closed = list(_held)
    _release()
    for each in list(_all):
        each.begin_in_child(is_closed=each in closed)


def _leave_to_the_parent() -> None:
    """Leave the connection to the parent, after a fork that Python did not announce."""
    for each in list(_all):
        each.begin_in_child(is_closed=each.is_closed)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_release, after_in_child=_in_child)
