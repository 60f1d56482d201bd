"""Tells whether the attempt that began something still goes on, however its process may have ended.

An attempt is named after its process, whose life is a lock on a file: the operating system releases it with the
process. A process number would not do, because it is used again. A forked child begins without any: `filelock` closes
the lock's file there, so that a child that lives longer does not keep its parent's attempts going.
"""

from __future__ import annotations

import os
import threading
import uuid
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from pathlib import Path


_held: dict[tuple[Path, int], tuple[str, FileLock]] = {}
_going_on: set[str] = set()
_guard = threading.Lock()


def begin_attempt(folder: Path) -> str:
    """Return the name of a new attempt of this process, which goes on until `end_attempt`."""
    attempt = f"{_process(folder)}/{uuid.uuid4().hex}"
    _going_on.add(attempt)
    return attempt


def end_attempt(attempt: str) -> None:
    """Say that an attempt is over, whatever became of it."""
    _going_on.discard(attempt)


def is_over(folder: Path, attempt: str) -> bool:
    """Say whether an attempt is over, or its process has ended."""
    process, _slash, _number = attempt.partition("/")
    if process == _own(folder):
        return attempt not in _going_on
    path = _path(folder, process)
    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0, thread_local=False, mode=0o600):
            return True
    except Timeout:
        return False


def forget(folder: Path, attempt: str) -> None:
    """Remove what is left of an ended process."""
    process, _slash, _number = attempt.partition("/")
    if process != _own(folder):
        _path(folder, process).unlink(missing_ok=True)


def _own(folder: Path) -> str | None:
    # By process number: not every fork is announced, and a forked child is somebody else.
    held = _held.get((folder, os.getpid()))
    return held[0] if held else None


def _process(folder: Path) -> str:
    """Return the name of this process, whose lock is held from the first call until it ends."""
    with _guard:
        if existing := _own(folder):
            return existing
        name = uuid.uuid4().hex
        path = _path(folder, name)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        lock = FileLock(path, thread_local=False, mode=0o600)
        lock.acquire(timeout=0)
        _held[folder, os.getpid()] = name, lock
        return name


def _path(folder: Path, process: str) -> Path:
    return folder / "owners" / f"{process}.lock"


def _begin_in_child() -> None:
    _held.clear()
    _going_on.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):  # after filelock has: a fork must wait for this first, and for its locks then
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_begin_in_child)
