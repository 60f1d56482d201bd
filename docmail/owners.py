"""Tells whether the process that began something is still alive, however it may have ended.

A process number would not do: it is used again. An operating system's lock on a file is released with the process.
"""

from __future__ import annotations

import os
import threading
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Owner:
    """Which process sends: a lock file that the operating system releases when the process ends, however it ends."""

    _held: dict[tuple[Path, int], tuple[str, Any]] = {}  # noqa: RUF012 - one per process on purpose
    _guard = threading.Lock()

    @classmethod
    def token(cls, folder: Path) -> str | None:
        """Return the name of this process's lock in the folder, if it has one."""
        # By process number: a forked child is somebody else.
        held = cls._held.get((folder, os.getpid()))
        return held[0] if held else None

    @classmethod
    def of_this_process(cls, folder: Path) -> str:
        """Return the name of this process's lock in the folder, held from the first call until the process ends."""
        from filelock import FileLock

        with cls._guard:
            if existing := cls.token(folder):
                return existing
            token = uuid.uuid4().hex
            path = cls._path(folder, token)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            lock = FileLock(path, thread_local=False, mode=0o600)
            lock.acquire(timeout=0)
            cls._held[folder, os.getpid()] = token, lock
            return token

    @classmethod
    def is_gone(cls, folder: Path, token: str) -> bool:
        """Say whether the process that held this lock has ended."""
        from filelock import FileLock, Timeout

        path = cls._path(folder, token)
        if not path.exists():
            return True
        try:
            with FileLock(path, timeout=0, thread_local=False, mode=0o600):
                return True
        except Timeout:
            return False

    @classmethod
    def forget(cls, folder: Path, token: str) -> None:
        """Remove the lock file of a process that has ended."""
        cls._path(folder, token).unlink(missing_ok=True)

    @staticmethod
    def _path(folder: Path, token: str) -> Path:
        return folder / "owners" / f"{token}.lock"
