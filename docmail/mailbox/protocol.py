"""Speaks IMAP (RFC 9051, RFC 3501) over a connection of docmail's own.

imaplib sends and reads here through `docmail.net`, under a deadline and with bounds, and imapclient turns what it reads
into values; what both would log, a password among it, goes nowhere.
"""

from __future__ import annotations

import imaplib
import re
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from imapclient import IMAPClient  # type: ignore[import-untyped]

from docmail.net import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.net import Connection

_MAX_LINE = 8 * 1024 * 1024  # octets; the numbers of a million mails that a search has found
_MAX_RESPONSE = 64 * 1024 * 1024  # octets of all that comes in response to one command
_WITHOUT_TEXT = re.compile(rb"\S{1,40} (OK|NO|BAD)\r\n")
_AT_ONCE = 65_536  # octets; what is larger is a mail
_CRAWL = (480_000, 30.0)  # bytes and seconds: a mail that goes out more slowly fails (16 kB/s, as in sending)


# imaplib draws the tag of each conversation from the generator that a calculation of the user may have seeded.
imaplib.random = SystemRandom()  # type: ignore[attr-defined]


class Bounded(ValueError):
    """The server sends more than anything docmail asks for can be."""


class Imap(imaplib.IMAP4):
    """One conversation; `final` is the reply to the last command, `failure` what ended the connection, if anything."""

    debug = property(lambda _self: 0, lambda _self, _value: None)  # imapclient wants to log

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self.connection = connection
        self.deadline = deadline
        self.final: tuple[str, str] = ("", "")
        self.failure: OSError | None = None
        self.first_line = b""
        self.untagged_responses = {}
        self._left = _MAX_RESPONSE

    def begin(self) -> None:
        """Read the greeting, and ask what the server offers."""
        super().__init__(self.connection.host, self.connection.port)

    # --- the wire ---

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:  # noqa: ARG002 - as imaplib's
        """Take the connection that there is."""
        self.host, self.port = host, port

    def send(self, data: Any) -> None:
        """Send a command before the deadline, or a mail as long as it does not crawl."""
        try:
            if len(data) <= _AT_ONCE:
                self.connection.send(data, self.deadline)
                return
            self.connection.stream([data], lambda _sent: None, _CRAWL)
            self.deadline = Deadline(self.deadline.seconds)  # for the reply to it
        except OSError as exc:
            self.failure = self.failure or exc
            raise

    def readline(self) -> bytes:
        """Return the next line, with its end."""
        line = self._read(lambda: self.connection.read_line(self.deadline, min(_MAX_LINE, self._left))) + b"\r\n"
        self._left -= len(line)
        self.first_line = self.first_line or line
        # RFC 9051 lets the text behind be missing, and imaplib does not.
        return line[:-2] + b" \r\n" if _WITHOUT_TEXT.fullmatch(line) else line

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        if size > self._left:
            raise Bounded
        self._left -= size
        return self._read(lambda: self.connection.read(size, self.deadline))

    def _read(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except OSError as exc:
            self.failure = self.failure or exc
            raise
        except ValueError:
            raise Bounded from None

    def shutdown(self) -> None:
        """Close the connection."""
        self.connection.close()

    def socket(self) -> Any:
        """Say that there is none to use: the connection has it."""
        raise NotImplementedError

    # --- what was said ---

    def _log(self, line: str) -> None:
        """Keep nothing: a command may hold a password."""

    def _mesg(self, s: str, secs: float | None = None) -> None:
        """Print nothing."""

    def _command(self, name: str, *args: Any) -> Any:
        self._left = _MAX_RESPONSE
        self.final = ("", "")
        command: Callable[..., Any] = super()._command  # type: ignore[misc]
        return command(name, *args)

    def _get_response(self, *arguments: Any) -> Any:
        get: Callable[..., Any] = super()._get_response  # type: ignore[misc]
        found = get(*arguments)
        if self.goodbye and self.state != "LOGOUT":
            raise self.abort  # some say it and hold the connection
        return found

    def _get_tagged_response(self, tag: Any, expect_bye: bool = False) -> Any:  # noqa: FBT001, FBT002 - as imaplib's
        get: Callable[..., Any] = super()._get_tagged_response  # type: ignore[misc]
        found = get(tag, expect_bye)
        self.final = (found[0], as_text(found[1][-1] if found[1] else b""))
        return found

    def ask(self, name: str, *args: str | bytes) -> str:
        """Send a command and return the text of the reply; raises `imaplib.IMAP4.error` for a refusal."""
        command: Callable[..., Any] = self._simple_command
        kind, _data = command(name, *args)
        if kind != "OK":
            raise self.error(kind)
        return self.final[1]

    @property
    def goodbye(self) -> str:
        """Why the server hangs up, in its words (BYE)."""
        said: dict[str, list[Any]] = self.untagged_responses
        return as_text(said["BYE"][-1]) if said.get("BYE") else ""

    def forget(self) -> None:
        """Forget what was said before the encryption, and ask again what the server offers (RFC 9051 6.2.1)."""
        self.untagged_responses.clear()
        self._get_capabilities()


class Client(IMAPClient):  # type: ignore[misc] # it has no types
    """What imapclient makes of a conversation that is signed in."""

    def __init__(self, imap: Imap) -> None:
        self._given = imap
        super().__init__(imap.host, imap.port, ssl=False)

    def _create_IMAP4(self) -> Imap:  # noqa: N802 - imapclient's
        return self._given

    def _set_read_timeout(self) -> None:
        """Set none: every read has the deadline."""


def as_text(octets: bytes | str) -> str:
    """Return what a server said; RFC 9051 lets it say UTF-8, and older servers of western Europe say Latin 1."""
    if isinstance(octets, str):
        return octets
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
