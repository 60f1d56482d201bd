"""Knows which servers take mails as chunks (BDAT, RFC 3030): those that have shown it, not all that offer it.

Exchange Online offers CHUNKING and then refused mails (`552 5.3.4 Header size exceeds fixed maximum size`) or stalled
(jstedfast/MailKit 904 and 921), and so did others with large mails. By DATA the same mails arrive.
"""

from __future__ import annotations

import re
import time
from typing import Protocol

from docmail import presets

_SUCCESS_SECONDS = 30 * 86400.0  # servers are replaced
_PRUDENT = re.compile(r"Microsoft ESMTP|Exchange", re.IGNORECASE)


class Capabilities(Protocol):
    """What servers have shown of themselves; `server` is `host:port`.

    It is called from several threads, also after a mail was taken, so it never raises.
    """

    def takes_chunks(self, server: str) -> bool | None:
        """Return whether a server takes chunks; None if it has not shown it, or too long ago."""

    def note_chunks(self, server: str, *, takes: bool) -> None:
        """Remember it: a success for some weeks, a failure for good."""


class RememberedCapabilities:
    """Remembers in this process."""

    def __init__(self, success_seconds: float = _SUCCESS_SECONDS) -> None:
        self._success_seconds = success_seconds
        self._found: dict[str, tuple[bool, float]] = {}

    def takes_chunks(self, server: str) -> bool | None:
        """Return what is remembered."""
        takes, noted = self._found.get(server, (None, 0.0))
        return None if takes and time.monotonic() - noted > self._success_seconds else takes

    def note_chunks(self, server: str, *, takes: bool) -> None:
        """Remember whether this server takes chunks."""
        self._found[server] = takes, time.monotonic()


OF_THIS_PROCESS = RememberedCapabilities()


def may_take_chunks(host: str, port: int, greeting: str) -> bool:
    """Return whether a server may be tried: not the providers', nor what calls itself Exchange."""
    return not presets.by_host(host, port) and not _PRUDENT.search(greeting)
