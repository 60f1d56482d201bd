"""Tells whether the attempt that began something still goes on, however its process may have ended.

An attempt is named after its process, whose life is a lock on a file: the operating system releases it with the
process. A process number would not do, because it is used again.
"""

from __future__ import annotations

import os
import threading
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


_held: dict[tuple[Path, int], tuple[str, Any]] = {}
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
    from filelock import FileLock, Timeout

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
    # By process number: a forked child is somebody else.
    held = _held.get((folder, os.getpid()))
    return held[0] if held else None


def _process(folder: Path) -> str:
    """Return the name of this process, whose lock is held from the first call until it ends."""
    from filelock import FileLock

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
