"""Lets programs find the sandbox that one of them runs: a lock, and a file with its ports.

The lock says who runs it; the system frees it when that program ends, however it ends.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from docmail.errors import SettingsError
from docmail.files import write_whole
from docmail.language import _
from docmail.sandbox.server import HOST, Ports

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 2.0


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
        """Tell other programs."""
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
    """Return the lock that says who runs the sandbox in this folder; None if somebody does."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not per thread: it is taken in a cell and given back at exit. The system frees it when the process is killed.
    lock = FileLock(folder / "server.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock
