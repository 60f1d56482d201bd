"""Remembers in the journal what servers have shown of themselves."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from docmail.errors import DocmailError

if TYPE_CHECKING:
    from docmail.outbox.journal import Journal

_SUCCESS_SECONDS = 30 * 86400.0  # servers are replaced
_CLOCK_SECONDS = 60.0  # a success later than now is the work of a clock that was set back
_YES, _NO = "yes", "no"


class RememberedServers:
    """What servers have shown (`docmail.transport.Capabilities`), kept with the record of mail.

    A success holds for 30 days, a failure for good. Where the journal cannot be read or written, it is remembered as
    long as this object lives.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._found: dict[str, bool | None] = {}
        self._lock = threading.Lock()

    def takes_chunks(self, server: str) -> bool | None:
        """Return whether a server takes mails as chunks; None if it has not shown it, or too long ago."""
        with self._lock:
            if server not in self._found:
                self._found[server] = self._read(server)
            return self._found[server]

    def note_chunks(self, server: str, *, takes: bool) -> None:
        """Remember it."""
        with self._lock:
            if self._found.get(server) is False:
                return  # for good, also if another connection had luck since
            self._found[server] = takes
        with suppress(DocmailError, OSError):
            self._journal.set_note(_name(server), f"{_YES if takes else _NO} {time.time():.0f}")

    def _read(self, server: str) -> bool | None:
        try:
            word, _blank, noted = (self._journal.note(_name(server)) or "").partition(" ")
            age = time.time() - float(noted)
        except (DocmailError, OSError, ValueError):
            return None
        if word == _NO:
            return False
        return True if word == _YES and -_CLOCK_SECONDS <= age <= _SUCCESS_SECONDS else None


def _name(server: str) -> str:
    return f"chunks {server.lower()}"
