"""Holds locks on an open journal that a copy of its files does not take away, where the system has such locks.

POSIX drops all locks of a process on a file when the process closes any descriptor of it. Linux also has locks that
belong to an open file (F_OFD_SETLK), and that stand in the way of others like SQLite's own. Held at the places where
SQLite looks whether anybody has the journal open, they keep every other program from removing the write-ahead log, and
from making its index anew, which would end this process with a bus error. While somebody writes, they keep the others
from repairing the index, which is half written then, and docmail's other processes from writing, too.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from contextlib import suppress

if sys.platform == "linux":
    import fcntl

# For as long as a connection in WAL mode is open: all bytes that readers share (the lock-byte page of SQLite's file
# format), and the byte of the log's index that says that it is used (UNIX_SHM_DMS).
_SHARED, _USED = (2**30 + 2, 510), (128, 1)
# In the index: the lock for repairing it (WAL_RECOVER_LOCK), and a byte that SQLite leaves alone.
_REPAIR, _WRITING = (122, 1), (129, 1)
_EVERYTHING = (0, 0)
_WAITING_SECONDS = 30.0  # as long as SQLite waits for its own lock
_LOOK_SECONDS = 0.002


class Guard:
    """The locks beside an open connection; it must be released before that one is closed, and ended after.

    Only in WAL mode: in the others, a writer must be alone.
    """

    def __init__(self, path: str, *, is_wal: bool) -> None:
        self._files: list[int] = []
        self._index: int | None = None
        if is_wal and sys.platform == "linux" and sys.maxsize > 2**32:
            # Where there are none after all, the names of the files show that a log was removed.
            with suppress(OSError):
                for suffix, place in (("", _SHARED), ("-shm", _USED)):
                    # Closed with the connection and not before, because that drops SQLite's locks.
                    self._files.append(os.open(path + suffix, os.O_RDWR | os.O_CLOEXEC))
                    _lock(self._files[-1], fcntl.F_RDLCK, place)
                self._index = self._files[-1]

    def release(self) -> None:
        """Give the locks up, so that the connection may find itself the last one."""
        with suppress(OSError):  # of a system that has no such locks
            for file in self._files:
                _unlock(file, _EVERYTHING)

    def end(self) -> None:
        """Close its files; in a forked child, the parent's locks stay."""
        files, self._files, self._index = self._files, [], None
        for file in files:
            os.close(file)

    def wait_to_write(self) -> None:
        """Be the only process of docmail that writes, until `stop_writing`; after 30 s, SQLite's own lock decides."""
        if self._index is not None:
            _wait_for(self._index, fcntl.F_WRLCK, _WRITING)

    def begin_to_write(self) -> None:
        """Keep others from repairing the index; SQLite has its lock for writing, so nothing is to be repaired."""
        if self._index is not None:
            _wait_for(self._index, fcntl.F_RDLCK, _REPAIR)

    def stop_writing(self) -> None:
        """Release the lock, so that other programs can write."""
        if self._index is not None:
            _unlock(self._index, _REPAIR)
            _unlock(self._index, _WRITING)


def _wait_for(file: int, kind: int, place: tuple[int, int]) -> None:
    end = time.monotonic() + _WAITING_SECONDS
    while time.monotonic() < end:
        try:
            _lock(file, kind, place)
        except BlockingIOError:
            time.sleep(_LOOK_SECONDS)
        else:
            break


def _unlock(file: int, place: tuple[int, int]) -> None:
    _lock(file, fcntl.F_UNLCK, place)


def _lock(file: int, kind: int, place: tuple[int, int]) -> None:
    # struct flock: type, whence, start, length, process.
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, *place, 0))
