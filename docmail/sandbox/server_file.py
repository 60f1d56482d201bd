"""Lets programs find the sandbox that one of them runs: a lock, and a file with its ports.

The lock says who runs it; the system frees it when that program ends, however it ends.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from docmail.errors import SettingsError
from docmail.files import make_folder, open_to_others, write_whole
from docmail.home import SANDBOX_FILE
from docmail.language import _
from docmail.sandbox.server import HOST, Ports

PREFIX = "docmail-sandbox-"
"""Begins the name of a sandbox's temporary folder."""

_SECONDS = 2.0
_OPENING_SECONDS = 3600.0  # far more than a sandbox needs to open


@dataclass(frozen=True)
class Place:
    """What a process must know to use a sandbox: its ports, and the token for orders."""

    ports: Ports
    token: str

    @classmethod
    def read(cls, path: Path) -> Place | None:
        """Return what the program that ran the sandbox last wrote there, if it did."""
        try:
            content = json.loads(path.read_text("utf-8"))
            return cls(Ports(**content["ports"]), content["token"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write down for other programs where the sandbox listens."""
        write_whole(path, json.dumps({"ports": self.ports._asdict(), "token": self.token}).encode())

    def answers(self) -> bool:
        """Whether this very sandbox runs now, and not an earlier one or another program at its port."""
        return self._ask("GET", None)

    def order(self, order: dict[str, Any] | None) -> None:
        """Program a failure, or forget all of them (None); raises `SettingsError` if it does not run."""
        if not self._ask("PUT", json.dumps(order)):
            raise SettingsError(
                _("The sandbox that your notebooks share does not answer."),
                hint=_("Call docmail.Sandbox.shared() again."),
            )

    def _ask(self, method: str, body: str | None) -> bool:
        connection = http.client.HTTPConnection(HOST, self.ports.http, timeout=_SECONDS)
        try:
            connection.request(method, "/", body, {"Authorization": f"Bearer {self.token}"})
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def take(folder: Path) -> FileLock | None:
    """Return the lock of the sandbox in this folder; None if another program holds it, and so runs the sandbox."""
    make_folder(folder)
    if unsafe := open_to_others(folder):
        raise SettingsError(unsafe[0], hint=unsafe[1])
    # Not per thread: it is taken in a cell and given back at exit. The system frees it when the process is killed.
    lock = FileLock(folder / "server.lock", timeout=0, thread_local=False, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def tidy_up() -> None:
    """Remove what killed sandboxes have left among the temporary files of this user."""
    me = os.geteuid() if hasattr(os, "geteuid") else None
    # What cannot be looked at, locked or removed stays: somebody else's, or gone already.
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with suppress(OSError, Timeout):
                found = folder.lstat()
                if stat.S_ISDIR(found.st_mode) and (me is None or found.st_uid == me) and _has_begun(folder, found):
                    with FileLock(folder / "server.lock", timeout=0, thread_local=False, mode=0o600):
                        shutil.rmtree(folder, ignore_errors=True)


def _has_begun(folder: Path, found: os.stat_result) -> bool:
    """Say whether its server has the lock, or had it: one that is just being opened has written no ports yet."""
    return (folder / SANDBOX_FILE).exists() or found.st_mtime < time.time() - _OPENING_SECONDS
