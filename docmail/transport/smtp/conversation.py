"""The conversation with an SMTP server (RFC 5321 4.2): a command is sent, a reply is read, bounded and redacted.

A connection that breaks becomes a `ConnectError` here, because before the last byte nothing was sent. What a missing
reply after the last byte means is for the caller of `receive()` to say.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from docmail.errors import ConnectError, Field, Guide, Kind, Phase, SendError, TLSError
from docmail.language import _
from docmail.net import Connection, ServerClosed, stopped, tls_failure, wants_certificate
from docmail.replies import clean, refusal, sentence
from docmail.reply import Reply
from docmail.settings import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docmail.net import Deadline
    from docmail.secret import Secret
    from docmail.settings import SmtpServer

_MAX_LINE = 4096  # octets of a reply line; RFC 5321 4.5.3.1.5 says 512, servers say more
_MAX_REPLY = 32_768  # octets of one reply: of all that a server says before the mail, well below 1 MB
_ONE_WRITE = 262_144  # octets of a mail that are put together first: fewer, larger writes take less time

_REPLY_LINE = re.compile(rb"([2-5]\d\d)([ -]|$)(.*)", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)(.*)", re.DOTALL)
_MAX_HARMLESS = 50  # replies; most are among the first

CLOSING = 421
"""RFC 5321 3.8: the server ends the conversation, whatever it was asked."""

_HOST_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_READY = 220  # RFC 5321 4.3.2: the one reply after which the conversation continues


class NoReply(ValueError):
    """What the server sent is no SMTP reply; `text` is its first line, cleaned, unless that has no end."""

    def __init__(self, text: str = "", *, endless: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.endless = endless


class SlowReply(TimeoutError):
    """The server had begun to answer when the time was over."""


class Conversation:
    """Commands to one server, and its replies.

    A command that fails raises a `SendError`: one with the server's refusal, or a `ConnectError`.
    """

    def __init__(
        self, server: SmtpServer, host: str, secret: Secret | None, connection: Connection | None = None
    ) -> None:
        self.connection = connection or Connection(host, server.port)
        self.host = host
        self.greeting = ""
        self.extensions: dict[str, str] = {}
        self.signed_in = False
        self.refused: dict[str, Reply] = {}
        """Who of the mail under way is refused, whatever becomes of the others: every error names them."""
        self._server = server
        self._secret = secret
        self._lines: list[str] = []
        self._harmless: dict[bytes, Reply] = {}  # by the line it came in: servers say the same for each mail

    @cached_property
    def room(self) -> memoryview:
        """Where a write is put together; for each mail anew, getting the memory would take longer than filling it."""
        return memoryview(bytearray(_ONE_WRITE))

    def hide(self, secret: Secret) -> None:
        """Hide this secret from now on in the server's replies."""
        self._secret = secret
        self._harmless.clear()

    def command(self, line: str, phase: str, deadline: Deadline) -> Reply:
        """Send a command and return the reply."""
        self.send(joined([line]), phase, deadline)
        return self.read(phase, deadline)

    def send(self, lines: bytes, phase: str, deadline: Deadline) -> None:
        """Send one or more commands whose replies are read later."""
        try:
            self.connection.send(lines, deadline)
        except OSError as exc:
            raise self._unsent(exc, phase, deadline) from exc

    def _unsent(self, failure: OSError, phase: str, deadline: Deadline) -> SendError:
        """Return the error for a command that could not be sent: the server may have said why before it hung up."""
        try:
            reply = self.receive(deadline)
            if reply.negative:
                return self.refusal(reply, phase)
        except (OSError, NoReply) as exc:
            if isinstance(exc, OSError) and wants_certificate(exc):
                return self.broken(exc, phase)
        return self.broken(failure, phase)

    def secret_command(self, line: Callable[[], bytes], deadline: Deadline) -> Reply:
        """Send a command that holds the password, which stays out of every traceback."""
        try:
            self.connection.send(line() + b"\r\n", deadline)
        except BaseException as exc:  # noqa: BLE001 - raised again
            # The frames below hold the password in clear, and verbose tracebacks print their variables.
            exc.__traceback__ = None
            raise (self.broken(exc, Phase.AUTH) if isinstance(exc, OSError) else exc) from None
        return self.read(Phase.AUTH, deadline)

    def greet(self, deadline: Deadline) -> Reply:
        """Return the greeting; raises if the server does not want to talk."""
        self.signed_in = False
        reply = self.read(Phase.GREETING, deadline)
        if reply.code != _READY:
            raise self.refusal(reply, Phase.GREETING)
        self.greeting = reply.text
        return reply

    def hello(self, deadline: Deadline) -> str:
        """Introduce this computer, learn the extensions that the server offers, and return their names.

        Some servers refuse an address literal, and very old ones know no EHLO.
        """
        # An address literal is always true (RFC 5321 4.1.4); a notebook's host name means nothing to a server, and
        # looking for a better one can take a name server's time-out.
        try:
            local = self.connection.local_host
        except OSError as exc:
            raise self.broken(exc, Phase.EHLO) from exc
        literal, name = f"[IPv6:{local}]" if ":" in local else f"[{local}]", socket.gethostname()
        name = name if _HOST_NAME.fullmatch(name) else "localhost"
        refused = reply = self.command(f"EHLO {literal}", Phase.EHLO, deadline)
        for line in (f"EHLO {name}", f"HELO {name}"):
            if reply.code >= 500:  # noqa: PLR2004 - RFC 5321 4.2.1: for good
                with suppress(SendError):  # the first refusal says why
                    reply = self.command(line, Phase.EHLO, deadline)
        if self.connection.aborted:
            raise stopped(Phase.EHLO)
        if not reply.positive:
            raise self.refusal(refused, Phase.EHLO)
        offers = [line.partition(" ") for line in self._lines[1:]]
        self.extensions = {keyword.upper(): parameters.upper() for keyword, _blank, parameters in offers}
        for keyword, parameters in [*self.extensions.items()]:
            if keyword.startswith("AUTH="):  # how it was written before RFC 2554, and by some servers alone
                self.extensions.setdefault("AUTH", f"{keyword.removeprefix('AUTH=')} {parameters}")
        return ", ".join(clean(line, self._secret).partition(" ")[0] for line in self._lines[1:])

    def ask_for_tls(self, deadline: Deadline) -> None:
        """Send STARTTLS, so that the handshake can begin; raises `TLSError` if it must not."""
        if "STARTTLS" not in self.extensions:
            raise self._unencrypted(
                _("{host} offers no encryption (STARTTLS) on port {port}; docmail sends nothing without it."),
                _("Choose port 465 with TLS, or ask your network's administrator whether something removes the offer."),
            )
        reply = self.command("STARTTLS", Phase.TLS, deadline)
        if reply.code != _READY:
            raise self._unencrypted(
                _("{host} does not begin the encryption it offers. It said: {reply}"),
                _("Try again in a few minutes, or choose port 465 with TLS."),
                reply,
            )
        if self.connection.has_unread:
            # What came in clear before the handshake must never count as received under encryption (CVE-2011-0411).
            raise self._unencrypted(
                _("Something between you and {host} added text to the connection before it was encrypted."),
                _("Use another network, or choose port 465 with TLS."),
            )

    def require_encryption(self) -> None:
        """Raise `TLSError` where a secret would go out in clear, except to this computer itself."""
        if not self.connection.encrypted and not self.connection.peer_is_loopback:
            raise self._unencrypted(
                _("The password or sign-in was not sent: the connection to {host} is not encrypted."),
                _("Choose STARTTLS or TLS."),
                phase=Phase.AUTH,
                field=Field.SECURITY,
            )

    def _unencrypted(
        self, message: str, hint: str, reply: Reply | None = None, *, phase: str = Phase.TLS, field: Field = Field.PORT
    ) -> TLSError:
        is_transient = reply is not None and 400 <= reply.code < 500  # noqa: PLR2004 - RFC 5321 4.2.1
        return TLSError(
            message.format(host=self.host, port=self._server.port, reply=sentence(str(reply))),
            kind=Kind.TEMPORARY if is_transient else Kind.CONFIG,
            phase=phase,
            reply=reply,
            hint=hint,
            field=field,
            guide=Guide.PORTS,
            wrong_port=True,
        )

    def read(self, phase: str, deadline: Deadline) -> Reply:
        """Return the next reply; raises `ConnectError` if there is none."""
        try:
            return self.receive(deadline)
        except NoReply as exc:
            raise self._no_smtp(exc, phase) from exc
        except OSError as exc:
            raise self.broken(exc, phase) from exc

    def _no_smtp(self, failure: NoReply, phase: str) -> ConnectError:
        message = _("{host} does not answer on port {port} as an SMTP server does.")
        hint, field = _("Check the server's name and the port."), Field.PORT
        if failure.endless:
            message = _(
                "{host} answers on port {port} without end, which no SMTP server does; docmail stopped reading."
            )
        elif spoken := other_protocol(failure.text):
            message, hint, field = spoken
        elif failure.text:
            message = _("{host} does not answer on port {port} as an SMTP server does. It said: {words}")
        message = message.format(host=self.host, port=self._server.port, words=failure.text[:200])
        return self._unconnected(message, phase, hint, field)

    def _unconnected(
        self, message: str, phase: str, hint: str, field: Field | None = None, reply: Reply | None = None
    ) -> ConnectError:
        return ConnectError(
            message,
            kind=Kind.NETWORK,
            phase=phase,
            reply=reply,
            refused=self.refused,
            hint=hint,
            field=field,
            guide=Guide.PORTS,
            wrong_port=field is not None and phase in {Phase.GREETING, Phase.EHLO},
        )

    def unexpected(self, reply: Reply, command: str, phase: str) -> SendError:
        """Return the error for a reply that ends a mail before any of its content has gone."""
        if reply.negative:
            return self.refusal(reply, phase)
        # A reply that does not fit this command (RFC 5321 4.3.2): which reply is whose is unknown from here on.
        message = _(
            "{host} answered {command} with a reply that does not fit; nothing was sent. It said: {reply}"
        ).format(host=self.host, command=command, reply=sentence(str(reply)))
        hint = _("Try again; if it happens again, an antivirus program or firewall may be altering the connection.")
        return self._unconnected(message, phase, hint, reply=reply)

    def receive(self, deadline: Deadline) -> Reply:
        """Return the next reply, its lines joined; raises `OSError` or `NoReply`."""
        try:
            return self._receive(deadline)
        except BaseException as exc:
            # The frames below hold the raw reply text, which can echo the password.
            exc.__traceback__ = None
            raise

    def _receive(self, deadline: Deadline) -> Reply:
        lines: list[str] = []
        codes: set[bytes] = set()
        left = _MAX_REPLY
        more = True
        while more:
            try:
                line = self.connection.read_line(deadline, min(_MAX_LINE, left))
            except ValueError:
                raise NoReply(endless=True) from None
            except TimeoutError:
                if lines or self.connection.has_unread:
                    raise SlowReply from None
                raise
            if not lines and line in self._harmless:
                self._lines = []  # what a server offers stands behind the first
                return self._harmless[line]
            left -= len(line) + 2
            found = _REPLY_LINE.fullmatch(line)
            if not found:
                raise NoReply(clean(_text(line), self._secret))
            codes.add(found[1])
            lines.append(_text(found[3]))
            more = found[2] == b"-"
            if more and left <= 0:
                raise NoReply(endless=True)
        if len(codes) != 1:
            raise NoReply  # RFC 5321 4.2.1: every line of a reply has the same code
        self._lines = lines
        reply, is_harmless = self._reply(int(codes.pop()), lines)
        if is_harmless and len(lines) == 1 and len(self._harmless) < _MAX_HARMLESS:
            self._harmless[line] = reply
        return reply

    def _reply(self, code: int, lines: list[str]) -> tuple[Reply, bool]:
        """Return the reply that these lines are, and whether there was nothing to clean in them."""
        enhanced, texts = "", []
        for line in lines:
            # RFC 2034: every line of the reply repeats the enhanced code
            found = _ENHANCED.match(line)
            if found and (not enhanced or found[1] == enhanced):
                enhanced = found[1]
                texts.append(found[2])
            else:
                texts.append(line)
        text = "\n".join(texts)
        cleaned = clean(text, self._secret)
        return Reply(code, enhanced, cleaned), cleaned == text

    def refusal(self, reply: Reply, phase: str, refused: dict[str, Reply] | None = None) -> SendError:
        """Return the error for a negative reply; `refused` are the recipients whom it is about."""
        return refusal(reply, phase, self.host, self.refused if refused is None else refused, signed_in=self.signed_in)

    def reset(self, deadline: Deadline) -> bool:
        """Send RSET; return whether the next mail can begin."""
        with suppress(SendError):
            return self.command("RSET", Phase.MAIL, deadline).positive
        return False

    def quit(self, deadline: Deadline) -> None:
        """Send QUIT; what comes of it changes nothing about what was sent."""
        with suppress(SendError):
            self.command("QUIT", Phase.DATA, deadline)

    def broken(self, failure: OSError, phase: str) -> SendError:
        """Return the error for a connection that failed before the last byte."""
        if self.connection.aborted:
            return stopped(phase, self.refused)
        if wants_certificate(failure):
            # With TLS 1.3 the server says so when the client believes that the handshake is over.
            return tls_failure(failure, self.host, self._server.port, None)
        message, hint, field = self._breakage(failure, phase)
        return self._unconnected(message, phase, hint, field)

    def _breakage(self, failure: OSError, phase: str) -> tuple[str, str, Field | None]:
        """Return sentence, hint and field for a connection that failed."""
        place = {
            "host": self.host,
            "port": self._server.port,
            "reason": failure.strerror or type(failure).__name__,
        }
        field = Field.PORT if phase in {Phase.GREETING, Phase.EHLO, Phase.TLS} else None
        if isinstance(failure, SlowReply):
            message = _("{host} answers too slowly: the time limit passed before it had finished; nothing was sent.")
            hint = _("Try again in a few minutes; if it stays so, try another port.")
        elif phase == Phase.GREETING and isinstance(failure, TimeoutError):
            # The most common reason by far: both sides wait for the other to begin.
            message = _("{host} accepts the connection on port {port} but sends no greeting; nothing was sent.")
            if self._server.effective_security is Security.TLS:
                hint = _("Check the server's name and the port; try again in a few minutes.")
            else:
                hint = _("This port probably expects TLS from the first byte: choose TLS, or port 587.")
                field = Field.SECURITY
        elif phase == Phase.GREETING and isinstance(failure, (ServerClosed, ConnectionResetError)):
            message = _("{host} hangs up on port {port} without a greeting; nothing was sent.")
            if isinstance(failure, ConnectionResetError):
                message = _(
                    "The connection to {host}, port {port}, was closed before the server's greeting; nothing was sent."
                )
            hint = _("Check the port. A firewall or too many connections from your network can also be the reason.")
        elif phase == Phase.EHLO and isinstance(failure, (ServerClosed, ConnectionResetError)):
            message = _("{host} hung up as soon as docmail had introduced itself; nothing was sent.")
            hint = _("Check the port and the kind of encryption; the server may also refuse your network.")
        elif phase == Phase.AUTH and isinstance(failure, ServerClosed):
            message = _("{host} hung up during the sign-in; nothing was sent.")
            hint = _("Check Username and Password: after a few wrong ones, some servers hang up for a while.")
            field = Field.PASSWORD
        elif isinstance(failure, TimeoutError):
            message = _("{host} stopped answering; nothing was sent.")
            hint = _("Try again; if it happens again, check the port, and ask whether a firewall interferes.")
        elif isinstance(failure, ServerClosed):
            message = _("{host} closed the connection; nothing was sent.")
            hint = _("Try again; if it happens again, check the port and the kind of encryption.")
        else:
            message = _("The connection to {host} broke ({reason}); nothing was sent.")
            hint = _("Check your network connection and try again.")
        return message.format(**place), hint, field


def joined(lines: Sequence[str]) -> bytes:
    """Return commands as they go over the wire, together."""
    # Addresses are clean since Message; this is the last border before the wire.
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError(lines)
    return "".join(f"{line}\r\n" for line in lines).encode()


def other_protocol(line: str) -> tuple[str, str, Field] | None:
    """Return sentence, hint and field if this is the first line of a server of another kind."""
    if re.match(r"HTTP/\d", line) or re.search(r"(?i)bad request|<html|<!doctype", line):
        message = _("A web server answers on port {port} of {host}, not a mail server.")
        return message, _("Check the port: most servers use 587 or 465."), Field.PORT
    if re.match(r"\* (OK|BYE|PREAUTH)\b|\+OK\b", line):
        message = _("The server for fetching mail (IMAP or POP3) answers on port {port} of {host}.")
        return message, _("Enter the name and port for sending; the name often begins with smtp."), Field.HOST
    if line.startswith("SSH-"):
        message = _("A server for terminals (SSH) answers on port {port} of {host}, not a mail server.")
        return message, _("Check the port: most servers use 587 or 465."), Field.PORT
    return None


def _text(octets: bytes) -> str:
    """Decode UTF-8 (RFC 6531 3.7.4), or what older servers of western Europe write."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
