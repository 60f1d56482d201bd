"""The conversation with an SMTP server (RFC 5321 4.2): a line is said, a reply is read, bounded and redacted.

A connection that breaks becomes a `ConnectError` here, because before the last byte nothing was sent. What a missing
reply after the last byte means is for the caller of `receive()` to say.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from docmail.errors import AuthenticationError, ConnectError, Kind, SendError, TLSError
from docmail.replies import Reply, clean, refusal
from docmail.settings import Security
from docmail.translation import _
from docmail.transport.connection import Connection, ServerClosed, stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.credentials import Secret
    from docmail.settings import SmtpServer
    from docmail.transport.base import Deadline

_MAX_LINE = 4096  # octets of a reply line; RFC 5321 4.5.3.1.5 says 512, servers say more
_MAX_LINES = 500  # lines of one reply

CLOSING = 421
"""RFC 5321 3.8: the server ends the conversation, whatever it was asked."""

_CONTINUE, _SIGNED_IN = 334, 235  # RFC 4954 6


class NoReply(ValueError):
    """The server's words are no SMTP reply."""


class Conversation:
    """Lines said to one server, and its replies."""

    def __init__(self, server: SmtpServer, host: str, secret: Secret | None) -> None:
        self.connection = Connection(host, server.port)
        self.extensions: dict[str, str] = {}
        self._server = server
        self._host = host
        self._secret = secret
        self._lines: list[str] = []

    def say(self, line: str, phase: str, deadline: Deadline) -> Reply:
        """Say a line and return the reply."""
        # Addresses are clean since Message; this is the last border before the wire.
        if "\r" in line or "\n" in line:
            raise ValueError(line)
        try:
            self.connection.send(line.encode() + b"\r\n", deadline)
        except OSError as exc:
            raise self.broken(exc, phase) from exc
        return self.read(phase, deadline)

    def say_secret(self, line: Callable[[], bytes], deadline: Deadline) -> Reply:
        """Say a line that holds the password, which stays out of every traceback."""
        try:
            self.connection.send(line() + b"\r\n", deadline)
        except BaseException as exc:  # noqa: BLE001 - raised again
            # The frames below hold the password in clear, and verbose tracebacks print their variables.
            exc.__traceback__ = None
            raise (self.broken(exc, "auth") if isinstance(exc, OSError) else exc) from None
        return self.read("auth", deadline)

    def hello(self, deadline: Deadline) -> str:
        """Say EHLO, learn the extensions that the server offers, and return their names."""
        # An address literal is always true (RFC 5321 4.1.4); a notebook's host name means nothing to a server, and
        # looking for a better one can take a name server's time-out.
        try:
            local = self.connection.local_host
        except OSError as exc:
            raise self.broken(exc, "ehlo") from exc
        reply = self.say(f"EHLO [IPv6:{local}]" if ":" in local else f"EHLO [{local}]", "ehlo", deadline)
        if not reply.positive:
            raise self.refusal(reply, "ehlo")
        offers = [line.partition(" ") for line in self._lines[1:]]
        self.extensions = {keyword.upper(): parameters.upper() for keyword, _blank, parameters in offers}
        return ", ".join(clean(line, self._secret).partition(" ")[0] for line in self._lines[1:])

    def sign_in(self, username: str, secret: Secret, deadline: Deadline) -> None:
        """Say AUTH with a password, under encryption or to this computer itself."""
        if not self.connection.encrypted and not self.connection.peer_is_loopback:
            raise TLSError(
                _("The password was not sent, because the connection to {host} is not encrypted.").format(
                    host=self._host
                ),
                kind=Kind.CONFIG,
                phase="auth",
                hint=_("Choose STARTTLS or TLS."),
                field="security",
                guide="Ports",
            )
        offered = self.extensions.get("AUTH", "").split()
        if "PLAIN" in offered:
            # RFC 4616, with the initial response of RFC 4954
            reply = self.say_secret(lambda: b"AUTH PLAIN " + _base64(f"\0{username}\0{secret.reveal()}"), deadline)
        elif "LOGIN" in offered:
            reply = self.say("AUTH LOGIN", "auth", deadline)
            if reply.code == _CONTINUE:
                reply = self.say(_base64(username).decode(), "auth", deadline)
            if reply.code == _CONTINUE:
                reply = self.say_secret(lambda: _base64(secret.reveal()), deadline)
        else:
            raise AuthenticationError(
                _("{host} offers no sign-in with a password on port {port}.").format(
                    host=self._host, port=self._server.port
                ),
                kind=Kind.AUTH,
                phase="auth",
                hint=_("Check the port (587 or 465); if it is right, the server wants OAuth 2.0 or no sign-in at all."),
                field="port",
                guide="Passwords",
            )
        if reply.code != _SIGNED_IN:
            raise self.refusal(reply, "auth")

    def read(self, phase: str, deadline: Deadline) -> Reply:
        """Return the next reply; raises `ConnectError` if there is none."""
        try:
            return self.receive(deadline)
        except NoReply as exc:
            raise ConnectError(
                _("{host} does not answer on port {port} as an SMTP server does.").format(
                    host=self._host, port=self._server.port
                ),
                kind=Kind.NETWORK,
                phase=phase,
                hint=_("Check the server's name and the port."),
                field="port",
                guide="Ports",
            ) from exc
        except OSError as exc:
            raise self.broken(exc, phase) from exc

    def receive(self, deadline: Deadline) -> Reply:
        """Return the next reply, its lines joined; raises `OSError` or `NoReply`."""
        try:
            return self._receive(deadline)
        except BaseException as exc:
            # The frames below hold the server's raw words, which can echo the password.
            exc.__traceback__ = None
            raise

    def _receive(self, deadline: Deadline) -> Reply:
        lines: list[str] = []
        codes: set[bytes] = set()
        more = True
        while more:
            try:
                line = self.connection.read_line(deadline, _MAX_LINE)
            except ValueError:
                raise NoReply from None
            found = re.fullmatch(rb"([2-5]\d\d)([ -]|$)(.*)", line, re.DOTALL)
            if not found or len(lines) == _MAX_LINES:
                raise NoReply
            codes.add(found[1])
            lines.append(_text(found[3]))
            more = found[2] == b"-"
        if len(codes) != 1:
            raise NoReply  # RFC 5321 4.2.1: every line of a reply has the same code
        self._lines = lines
        return self._reply(int(codes.pop()), lines)

    def _reply(self, code: int, lines: list[str]) -> Reply:
        enhanced, words = "", []
        for line in lines:
            # RFC 2034: every line of the reply repeats the enhanced code
            found = re.match(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)(.*)", line, re.DOTALL)
            if found and (not enhanced or found[1] == enhanced):
                enhanced = found[1]
                words.append(found[2])
            else:
                words.append(line)
        # Joined before it is cleaned, so that a password echoed over two lines is found.
        return Reply(code, enhanced, clean(" ".join(words), self._secret))

    def refusal(self, reply: Reply, phase: str, refused: dict[str, Reply] | None = None) -> SendError:
        """Return the error for a negative reply."""
        return refusal(reply, phase, self._host, refused)

    def broken(self, failure: OSError, phase: str) -> ConnectError:
        """Return the error for a connection that failed before the last byte."""
        if self.connection.aborted:
            return stopped(phase)
        field: str | None = "port" if phase in {"greeting", "ehlo", "tls"} else None
        if phase == "greeting" and isinstance(failure, (TimeoutError, ServerClosed)):
            # The most common reason by far: both sides wait for the other to begin.
            message = _("{host} is there, but does not greet on port {port}; nothing was sent.").format(
                host=self._host, port=self._server.port
            )
            if self._server.effective_security is Security.TLS:
                hint = _("Check the server's name and the port; try again in a few minutes.")
            else:
                hint = _("This port probably expects TLS from the first byte: choose TLS, or port 587.")
                field = "security"
        elif isinstance(failure, TimeoutError):
            message = _("{host} stopped answering; nothing was sent.").format(host=self._host)
            hint = _("Try again; if it happens again, check the port, and ask whether a firewall interferes.")
        elif isinstance(failure, ServerClosed):
            message = _("{host} closed the connection; nothing was sent.").format(host=self._host)
            hint = _("Try again; if it happens again, check the port and the kind of encryption.")
        else:
            message = _("The connection to {host} broke ({reason}); nothing was sent.").format(
                host=self._host, reason=failure.strerror or type(failure).__name__
            )
            hint = _("Check your network connection and try again.")
        return ConnectError(message, kind=Kind.NETWORK, phase=phase, hint=hint, field=field, guide="Ports")


def _base64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def _text(octets: bytes) -> str:
    """Return a server's words: UTF-8 (RFC 6531 3.7.4), or what older servers of western Europe write."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
