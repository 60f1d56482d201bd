"""The conversation with an SMTP server (RFC 5321 4.2): a line is said, a reply is read, bounded and redacted.

A connection that breaks becomes a `ConnectError` here, because before the last byte nothing was sent. What a missing
reply after the last byte means is for the caller of `receive()` to say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docmail.errors import ConnectError, Kind, SendError, TLSError
from docmail.language import _
from docmail.net import Connection, ServerClosed, stopped, tls_failure, wants_certificate
from docmail.replies import clean, refusal, sentence
from docmail.reply import Reply
from docmail.settings import Security

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.net import Deadline
    from docmail.secret import Secret
    from docmail.settings import SmtpServer

_MAX_LINE = 4096  # octets of a reply line; RFC 5321 4.5.3.1.5 says 512, servers say more
_MAX_REPLY = 32_768  # octets of one reply: of all that a server says before the mail, well below 1 MB

_REPLY_LINE = re.compile(rb"([2-5]\d\d)([ -]|$)(.*)", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)(.*)", re.DOTALL)
_MAX_HARMLESS = 50  # replies; most are among the first

CLOSING = 421
"""RFC 5321 3.8: the server ends the conversation, whatever it was asked."""

_READY = 220  # RFC 5321 4.3.2: the one reply with which the conversation goes on


class NoReply(ValueError):
    """The server's words are no SMTP reply; `words` are the first of them, cleaned, unless they have no end."""

    def __init__(self, words: str = "", *, endless: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.endless = endless


class SlowReply(TimeoutError):
    """The server had begun to answer when the time was over."""


class Conversation:
    """Lines said to one server, and its replies."""

    def __init__(
        self, server: SmtpServer, host: str, secret: Secret | None, connection: Connection | None = None
    ) -> None:
        self.connection = connection or Connection(host, server.port)
        self.extensions: dict[str, str] = {}
        self.signed_in = False
        self._server = server
        self._host = host
        self._secret = secret
        self._lines: list[str] = []
        self._harmless: dict[bytes, Reply] = {}  # by the line it came in: servers say the same for each mail

    def use(self, secret: Secret) -> None:
        """Hide this secret from now on in what the server says."""
        self._secret = secret
        self._harmless.clear()

    def say(self, line: str, phase: str, deadline: Deadline) -> Reply:
        """Say a line and return the reply."""
        # Addresses are clean since Message; this is the last border before the wire.
        if "\r" in line or "\n" in line:
            raise ValueError(line)
        self.tell(line.encode() + b"\r\n", phase, deadline)
        return self.read(phase, deadline)

    def tell(self, lines: bytes, phase: str, deadline: Deadline) -> None:
        """Say one or more lines whose replies are read later."""
        try:
            self.connection.send(lines, deadline)
        except OSError as exc:
            raise self._last_words(exc, phase, deadline) from exc

    def _last_words(self, failure: OSError, phase: str, deadline: Deadline) -> SendError:
        """Return the error for a line that could not be said: the server may have told why before it hung up."""
        try:
            reply = self.receive(deadline)
            if reply.code >= 400:  # noqa: PLR2004 - RFC 5321 4.2.1: a refusal
                return self.refusal(reply, phase)
        except (OSError, NoReply) as exc:
            if isinstance(exc, OSError) and wants_certificate(exc):
                return self.broken(exc, phase)
        return self.broken(failure, phase)

    def say_secret(self, line: Callable[[], bytes], deadline: Deadline) -> Reply:
        """Say a line that holds the password, which stays out of every traceback."""
        try:
            self.connection.send(line() + b"\r\n", deadline)
        except BaseException as exc:  # noqa: BLE001 - raised again
            # The frames below hold the password in clear, and verbose tracebacks print their variables.
            exc.__traceback__ = None
            raise (self.broken(exc, "auth") if isinstance(exc, OSError) else exc) from None
        return self.read("auth", deadline)

    def greet(self, deadline: Deadline) -> Reply:
        """Return the greeting; raises if the server does not want to talk."""
        self.signed_in = False
        reply = self.read("greeting", deadline)
        if reply.code != _READY:
            raise self.refusal(reply, "greeting")
        return reply

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

    def ask_for_tls(self, deadline: Deadline) -> None:
        """Say STARTTLS, so that the handshake can begin; raises `TLSError` if it must not."""
        if "STARTTLS" not in self.extensions:
            raise TLSError(
                _("{host} offers no encryption (STARTTLS) on port {port}; docmail does not go on without.").format(
                    host=self._host, port=self._server.port
                ),
                kind=Kind.CONFIG,
                phase="tls",
                hint=_("Choose port 465 with TLS, or ask your network's administrator who removes it."),
                field="port",
                guide="Ports",
            )
        reply = self.say("STARTTLS", "tls", deadline)
        if reply.code != _READY:
            raise TLSError(
                _("{host} does not begin the encryption it offers. It said: {reply}").format(
                    host=self._host, reply=sentence(str(reply))
                ),
                kind=Kind.TEMPORARY if 400 <= reply.code < 500 else Kind.CONFIG,  # noqa: PLR2004 - RFC 5321 4.2.1: 4yz
                phase="tls",
                reply=reply,
                hint=_("Try again in a few minutes, or choose port 465 with TLS."),
                field="port",
                guide="Ports",
            )
        if self.connection.has_unread:
            # What came in clear before the handshake must never count as said under encryption (CVE-2011-0411).
            raise TLSError(
                _("Somebody between you and {host} put words into the connection before it was encrypted.").format(
                    host=self._host
                ),
                kind=Kind.CONFIG,
                phase="tls",
                hint=_("Use another network, or choose port 465 with TLS."),
                field="port",
                guide="Ports",
            )

    def require_encryption(self) -> None:
        """Raise `TLSError` where a secret would go out in clear, except to this computer itself."""
        if not self.connection.encrypted and not self.connection.peer_is_loopback:
            raise TLSError(
                _("The password or sign-in was not sent: the connection to {host} is not encrypted.").format(
                    host=self._host
                ),
                kind=Kind.CONFIG,
                phase="auth",
                hint=_("Choose STARTTLS or TLS."),
                field="security",
                guide="Ports",
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
        place = {"host": self._host, "port": self._server.port}
        message = _("{host} does not answer on port {port} as an SMTP server does.")
        hint, field = _("Check the server's name and the port."), "port"
        if failure.endless:
            message = _("{host} answers on port {port} without end, as no SMTP server does; docmail stopped listening.")
        elif spoken := other_protocol(failure.words):
            message, hint, field = spoken
        elif failure.words:
            message = _("{host} does not answer on port {port} as an SMTP server does. It said: {words}")
        return ConnectError(
            message.format(**place, words=failure.words[:200]),
            kind=Kind.NETWORK,
            phase=phase,
            hint=hint,
            field=field,
            guide="Ports",
        )

    def out_of_place(self, reply: Reply, command: str, phase: str) -> ConnectError:
        """Return the error for a reply that is none to this command (RFC 5321 4.3.2): nobody knows what comes next."""
        return ConnectError(
            _("{host} answered {command} with what is no answer to it; nothing was sent. It said: {reply}").format(
                host=self._host, command=command, reply=sentence(str(reply))
            ),
            kind=Kind.NETWORK,
            phase=phase,
            reply=reply,
            hint=_("Try again; if it happens again, an antivirus or firewall may be altering the conversation."),
            guide="Ports",
        )

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
        enhanced, words = "", []
        for line in lines:
            # RFC 2034: every line of the reply repeats the enhanced code
            found = _ENHANCED.match(line)
            if found and (not enhanced or found[1] == enhanced):
                enhanced = found[1]
                words.append(found[2])
            else:
                words.append(line)
        text = "\n".join(words)
        cleaned = clean(text, self._secret)
        return Reply(code, enhanced, cleaned), cleaned == text

    def refusal(self, reply: Reply, phase: str, refused: dict[str, Reply] | None = None) -> SendError:
        """Return the error for a negative reply."""
        return refusal(reply, phase, self._host, refused, signed_in=self.signed_in)

    def broken(self, failure: OSError, phase: str) -> SendError:
        """Return the error for a connection that failed before the last byte."""
        if self.connection.aborted:
            return stopped(phase)
        if wants_certificate(failure):
            # With TLS 1.3 the server says so when the client believes that the handshake is over.
            return tls_failure(failure, self._host, self._server.port, None)
        message, hint, field = self._breakage(failure, phase)
        return ConnectError(message, kind=Kind.NETWORK, phase=phase, hint=hint, field=field, guide="Ports")

    def _breakage(self, failure: OSError, phase: str) -> tuple[str, str, str | None]:
        """Return sentence, hint and field for a connection that failed."""
        place = {
            "host": self._host,
            "port": self._server.port,
            "reason": failure.strerror or type(failure).__name__,
        }
        field: str | None = "port" if phase in {"greeting", "ehlo", "tls"} else None
        if isinstance(failure, SlowReply):
            message = _("{host} answers too slowly: the time was over before it had finished; nothing was sent.")
            hint = _("Try again in a few minutes; if it stays so, try another port.")
        elif phase == "greeting" and isinstance(failure, TimeoutError):
            # The most common reason by far: both sides wait for the other to begin.
            message = _("{host} is there, but does not greet on port {port}; nothing was sent.")
            if self._server.effective_security is Security.TLS:
                hint = _("Check the server's name and the port; try again in a few minutes.")
            else:
                hint = _("This port probably expects TLS from the first byte: choose TLS, or port 587.")
                field = "security"
        elif phase == "greeting" and isinstance(failure, (ServerClosed, ConnectionResetError)):
            message = _("{host} hangs up on port {port} without a greeting; nothing was sent.")
            if isinstance(failure, ConnectionResetError):
                message = _("The connection to {host}, port {port}, is broken off before a greeting; nothing was sent.")
            hint = _("Check the port; a firewall, or too many connections from your network, may be the reason, too.")
        elif phase == "ehlo" and isinstance(failure, (ServerClosed, ConnectionResetError)):
            message = _("{host} hung up as soon as docmail had introduced itself; nothing was sent.")
            hint = _("Check the port and the kind of encryption; the server may also refuse your network.")
        elif phase == "auth" and isinstance(failure, ServerClosed):
            message = _("{host} hung up during the sign-in; nothing was sent.")
            hint = _("Check Username and Password: after a few wrong ones, some servers hang up for a while.")
            field = "password"
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


def other_protocol(words: str) -> tuple[str, str, str] | None:
    """Return sentence, hint and field if these are the first words of a server that is none for sending mail."""
    if re.match(r"HTTP/\d", words) or re.search(r"(?i)bad request|<html|<!doctype", words):
        message = _("At port {port} of {host} a web server answers, not a mail server.")
        return message, _("Check the port: most servers use 587 or 465."), "port"
    if re.match(r"\* (OK|BYE|PREAUTH)\b|\+OK\b", words):
        message = _("At port {port} of {host} the server answers from which mail is fetched (IMAP or POP3).")
        return message, _("Enter the name and port for sending; the name often begins with smtp."), "host"
    if words.startswith("SSH-"):
        message = _("At port {port} of {host} a server for terminals (SSH) answers, not a mail server.")
        return message, _("Check the port: most servers use 587 or 465."), "port"
    return None


def _text(octets: bytes) -> str:
    """Return a server's words: UTF-8 (RFC 6531 3.7.4), or what older servers of western Europe write."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
