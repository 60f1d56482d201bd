"""Says whether the holder of a claim is still running, however its process may have ended.

A claim is named after its process, whose life is a lock on a file: the operating system releases it with the
process. A process number would not do, because it is used again. A forked child begins without any: `filelock` closes
the lock's file there, so that a child that lives longer does not keep its parent's claims alive.
"""

from __future__ import annotations

import os
import threading
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from docmail.files import make_folder, remove

if TYPE_CHECKING:
    from pathlib import Path


_held: dict[tuple[Path, int], tuple[str, FileLock]] = {}
_running: set[str] = set()
_guard = threading.Lock()


def begin(folder: Path) -> str:
    """Return a new claim of this process, which holds until `end`."""
    claim = f"{_process(folder)}/{uuid.uuid4().hex}"
    _running.add(claim)
    return claim


def end(claim: str) -> None:
    """Say that a claim is over, whatever became of its mails."""
    _running.discard(claim)


def is_over(folder: Path, claim: str) -> bool:
    """Say whether a claim is over, or its process has ended."""
    process, _slash, _number = claim.partition("/")
    if process == _own(folder):
        return claim not in _running
    path = _path(folder, process)
    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0, thread_local=False, mode=0o600):
            return True
    except Timeout:
        return False


def forget(folder: Path, claim: str) -> None:
    """Remove what is left of an ended process."""
    process, _slash, _number = claim.partition("/")
    if process != _own(folder):
        with suppress(PermissionError):  # on Windows somebody may look at it in this moment
            remove(_path(folder, process))


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
        make_folder(path.parent)
        lock = FileLock(path, thread_local=False, mode=0o600)
        lock.acquire(timeout=0)
        _held[folder, os.getpid()] = name, lock
        return name


def _path(folder: Path, process: str) -> Path:
    return folder / "owners" / f"{process}.lock"


def _begin_in_child() -> None:
    _held.clear()
    _running.clear()
    _guard.release()


if hasattr(os, "register_at_fork"):  # after filelock has: a fork must wait for this first, and for its locks then
    os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_begin_in_child)
