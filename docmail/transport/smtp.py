"""Sends mail by SMTP (RFC 5321, submission RFC 6409), one step at a time.

MAIL, RCPT, DATA, body, final dot and reply are separate steps because the step at which a connection breaks decides
what is true: before the final dot nothing was sent, after it nobody knows (`OutcomeUnknown`) until the reply is read.
"""

from __future__ import annotations

import base64
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docmail.addresses import ascii_host
from docmail.errors import (
    TREATMENT,
    Action,
    AuthenticationError,
    ConnectError,
    Kind,
    OutcomeUnknown,
    Refused,
    SendError,
    TLSError,
)
from docmail.replies import Reply, clean, refusal
from docmail.settings import Security, SmtpServer, fingerprint_bytes
from docmail.transport.base import REPLY_SECONDS, Deadline, SendResult
from docmail.transport.connection import (
    Connection,
    ServerClosed,
    fingerprint,
    matches,
    stopped,
    tls_context,
    tls_failure,
)
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from docmail.credentials import Secret
    from docmail.message import Mail
    from docmail.settings import Settings

_MAX_LINE = 4096  # octets of a reply line; RFC 5321 4.5.3.1.5 says 512, servers say more
_MAX_LINES = 500  # lines of one reply
_QUIT_SECONDS = 2.0
_LAST_WORDS_SECONDS = 2.0


class _NoReply(ValueError):
    """The server's words are no SMTP reply."""


class SmtpTransport:
    """One SMTP connection for the account of the settings."""

    def __init__(
        self,
        settings: Settings,
        secret: Secret | None,
        *,
        timeout: float = 60,
        reply_timeout: float = REPLY_SECONDS,
        observe: Callable[[str, str], None] | None = None,
    ) -> None:
        if not isinstance(settings.server, SmtpServer):
            raise TypeError(settings.server)
        self._server = settings.server
        self._host = ascii_host(self._server.host)
        self._secret = secret
        self._timeout = timeout
        self._reply_timeout = reply_timeout
        self._observe = observe or (lambda _phase, _text: None)
        self._deadline: Deadline | None = None
        self._connection = Connection(self._host, self._server.port)
        self._extensions: dict[str, str] = {}
        self.in_doubt = False

    # --- opening ---

    def open(self) -> None:
        """Connect, encrypt and sign in."""
        self._deadline = Deadline(self._timeout)
        try:
            self._connect(self._deadline)
            self._sign_in(self._deadline)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> SmtpTransport:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self, deadline: Deadline) -> None:
        security = self._server.effective_security
        pinned = fingerprint_bytes(self._server.fingerprint) if self._server.fingerprint else None
        self._connection.open(deadline, self._observe)
        if security is Security.TLS:
            self._encrypt(pinned, deadline)
        self._greet(deadline)
        self._ehlo(deadline)
        if security is Security.STARTTLS:
            self._ask_for_tls(deadline)
            self._encrypt(pinned, deadline)
            self._ehlo(deadline)  # RFC 3207 4.2: what was said before is forgotten

    def _encrypt(self, pinned: bytes | None, deadline: Deadline) -> None:
        try:
            context = tls_context(self._ca_file, verify=pinned is None)
        except (OSError, ssl.SSLError) as exc:
            raise TLSError(
                _("The CA file {path} cannot be used.").format(path=self._server.ca_file),
                kind=Kind.CONFIG,
                phase="tls",
                hint=_("Give a file with certificates in PEM form."),
                field="ca_file",
                guide="Certificates",
            ) from exc
        try:
            self._connection.encrypt(context, deadline)
        except OSError as exc:
            self._connection.close()
            certificate = self._unverified_certificate(deadline) if isinstance(exc, ssl.CertificateError) else None
            raise tls_failure(exc, self._host, self._server.port, certificate) from exc
        if pinned is not None and not matches(self._connection.certificate(), pinned):
            shown = fingerprint(self._connection.certificate())
            raise TLSError(
                _(
                    "{host} shows another certificate than the one you trust. It has the fingerprint {shown}; you trust {pinned}."
                ).format(host=self._host, shown=shown, pinned=pinned.hex(":").upper()),
                kind=Kind.CONFIG,
                phase="tls",
                hint=_("Ask the server's administrator whether it was renewed, before you trust the new one."),
                field="fingerprint",
                guide="Certificates",
                fingerprint=shown,
            )
        self._observe("tls", self._connection.describe_tls())

    @property
    def _ca_file(self) -> Path | None:
        return Path(self._server.ca_file).expanduser() if self._server.ca_file else None

    def _unverified_certificate(self, deadline: Deadline) -> bytes | None:
        """Return the certificate that could not be verified, by a second connection on which nothing else is said.

        The library gives no access to it after a failed check.
        """
        refused = self._connection
        self._connection = Connection(self._host, self._server.port)
        try:
            self._connection.open(deadline, lambda _phase, _text: None)
            if self._server.effective_security is Security.STARTTLS:
                self._greet(deadline, quiet=True)
                self._ehlo(deadline, quiet=True)
                self._ask_for_tls(deadline)
            self._connection.encrypt(tls_context(None, verify=False), deadline)
            return self._connection.certificate()
        except (OSError, SendError):
            return None  # the error about the check stands; only the fingerprint is missing from it
        finally:
            self._connection.close()
            self._connection = refused

    def _greet(self, deadline: Deadline, *, quiet: bool = False) -> None:
        reply = self._read("greeting", deadline)
        if reply.code != 220:  # noqa: PLR2004 - RFC 5321 4.2
            raise self._refusal(reply, "greeting")
        if not quiet:
            self._observe("greeting", reply.text[:100])

    def _ehlo(self, deadline: Deadline, *, quiet: bool = False) -> None:
        # An address literal is always true (RFC 5321 4.1.4); a notebook's host name means nothing to a server, and
        # looking for a better one can take a name server's time-out.
        local = self._connection.local_host
        name = f"[IPv6:{local}]" if ":" in local else f"[{local}]"
        reply = self._say(f"EHLO {name}", "ehlo", deadline)
        if not reply.positive:
            raise self._refusal(reply, "ehlo")
        self._extensions = {}
        for line in self._last_lines[1:]:
            keyword, _blank, parameters = line.partition(" ")
            self._extensions[keyword.upper()] = parameters.upper()
        if not quiet:
            self._observe("ehlo", _("offers {extensions}").format(extensions=", ".join(self._extensions)[:200] or "–"))

    def _ask_for_tls(self, deadline: Deadline) -> None:
        if "STARTTLS" not in self._extensions:
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
        reply = self._say("STARTTLS", "tls", deadline)
        if reply.code != 220:  # noqa: PLR2004
            raise TLSError(
                _("{host} does not begin the encryption it offers. It said: {reply}.").format(
                    host=self._host, reply=reply
                ),
                kind=Kind.TEMPORARY if 400 <= reply.code < 500 else Kind.CONFIG,  # noqa: PLR2004
                phase="tls",
                reply=reply,
                hint=_("Try again in a few minutes, or choose port 465 with TLS."),
                field="port",
                guide="Ports",
            )
        if self._connection.has_unread:
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

    # --- signing in ---

    def _sign_in(self, deadline: Deadline) -> None:
        username, secret = self._server.username, self._secret
        if not username or secret is None:
            return
        if not self._connection.encrypted and not self._connection.peer_is_loopback:
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
        offered = self._extensions.get("AUTH", "").split()
        if "PLAIN" in offered:
            # RFC 4616, with the initial response of RFC 4954
            reply = self._say_secret(lambda: b"AUTH PLAIN " + _base64(f"\0{username}\0{secret.reveal()}"), deadline)
        elif "LOGIN" in offered:
            reply = self._say("AUTH LOGIN", "auth", deadline)
            if reply.code == 334:  # noqa: PLR2004 - RFC 4954
                reply = self._say_secret(lambda: _base64(username), deadline)
            if reply.code == 334:  # noqa: PLR2004
                reply = self._say_secret(lambda: _base64(secret.reveal()), deadline)
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
        if reply.code != 235:  # noqa: PLR2004
            raise self._refusal(reply, "auth")
        self._observe("auth", _("signed in as {username}").format(username=username))

    def _say_secret(self, line: Callable[[], bytes], deadline: Deadline) -> Reply:
        try:
            self._connection.send(line() + b"\r\n", deadline)
        except BaseException as exc:
            # The frames below hold the password in clear, and verbose tracebacks print their variables.
            raise self._broken(exc.with_traceback(None), "auth") from None
        return self._read("auth", deadline)

    # --- sending ---

    def send(self, mail: Mail, progress: Callable[[int, int], None] | None = None) -> SendResult:
        """Hand one mail over, step by step."""
        # The first mail shares the deadline of the connection that was opened for it.
        deadline, self._deadline = self._deadline or Deadline(self._timeout), None
        self.in_doubt = False
        try:
            self._mail(mail, deadline)
            accepted, refused = self._recipients(mail, deadline)
            reply = self._say("DATA", "data", deadline)
            if reply.code != 354:  # noqa: PLR2004
                raise self._refusal(reply, "data")
            self._body(mail, progress)
            reply = self._end()
            if not reply.positive:
                raise self._refusal(reply, "data")
        except SendError as exc:
            self._recover(exc)
            raise
        except BaseException:
            # In the middle of a mail the connection is of no further use, not even for QUIT.
            self._connection.close()
            raise
        self._observe("data", _("taken: {reply}").format(reply=reply))
        return SendResult(mail.message_id, tuple(accepted), refused, reply)

    def _mail(self, mail: Mail, deadline: Deadline) -> None:
        line = f"MAIL FROM:<{mail.sender}>"
        if "SIZE" in self._extensions:
            self._check_size(mail)
            line += f" SIZE={mail.size}"  # RFC 1870
        if mail.smtputf8:
            if "SMTPUTF8" not in self._extensions:
                raise Refused(
                    _("{host} does not take addresses with letters beyond ASCII before the @.").format(host=self._host),
                    kind=Kind.RECIPIENT,
                    phase="mail",
                    hint=_("Use an address of plain letters for this person, or another provider."),
                    guide="Addresses",
                )
            line += " BODY=8BITMIME SMTPUTF8"  # RFC 6531 3.1
        reply = self._say(line, "mail", deadline)
        if not reply.positive:
            raise self._refusal(reply, "mail")
        self._observe("mail", _("sender {address} accepted").format(address=mail.sender))

    def _check_size(self, mail: Mail) -> None:
        limit = self._extensions["SIZE"]
        if limit.isdigit() and 0 < int(limit) < mail.size:
            raise Refused(
                _("The mail has {size:.1f} MB, and {host} takes at most {limit:.1f} MB.").format(
                    size=mail.size / 1e6, host=self._host, limit=int(limit) / 1e6
                ),
                kind=Kind.MESSAGE,
                phase="mail",
                hint=_("Send a smaller document; in an email it grows by about 37 %."),
                guide="Sending",
            )

    def _recipients(self, mail: Mail, deadline: Deadline) -> tuple[list[str], dict[str, Reply]]:
        accepted: list[str] = []
        refused: dict[str, Reply] = {}
        for address in mail.recipients:
            reply = self._say(f"RCPT TO:<{address}>", "rcpt", deadline)
            if reply.positive:
                accepted.append(address)
            else:
                refused[address] = reply
        if not set(accepted) - mail.archive:
            errors = [self._refusal(reply, "rcpt", {address: reply}) for address, reply in refused.items()]
            raise _gravest(errors, refused)
        self._observe("rcpt", ", ".join(accepted)[:200])
        return accepted, refused

    def _body(self, mail: Mail, progress: Callable[[int, int], None] | None) -> None:
        # What is stuffed is not counted: a dot more or less does not matter to a progress bar.
        on_sent = (lambda sent: progress(min(sent, mail.size), mail.size)) if progress else (lambda _sent: None)
        try:
            self._connection.stream(mail.wire(dot_stuffed=True), on_sent)
        except OSError as exc:
            if reply := self._last_words():
                raise self._refusal(reply, "data") from exc
            raise self._broken(exc, "data") from exc

    def _last_words(self) -> Reply | None:
        """Return the reply of a server that hung up in the middle of the body, if it gave one."""
        try:
            reply = self._receive(Deadline(_LAST_WORDS_SECONDS))
        except (OSError, _NoReply):
            return None
        return None if reply.positive else reply

    def _end(self) -> Reply:
        self.in_doubt = True
        try:
            self._connection.send(b".\r\n", Deadline(self._timeout))
            reply = self._receive(Deadline(self._reply_timeout))
        except (OSError, _NoReply) as exc:
            if isinstance(exc, TimeoutError):
                reason = _("{host} did not answer after the last byte").format(host=self._host)
            elif isinstance(exc, _NoReply):
                reason = _("{host} answered the last byte with something that is no reply").format(host=self._host)
            else:
                reason = _("the connection to {host} broke after the last byte").format(host=self._host)
            raise OutcomeUnknown(
                _("The mail may have arrived: {reason}.").format(reason=reason),
                kind=Kind.UNKNOWN,
                phase="data",
                hint=_("Ask the recipient, or look into your Sent folder, before you send it again."),
                guide="Sending",
            ) from exc
        self.in_doubt = reply.positive
        return reply

    def _recover(self, error: SendError) -> None:
        """Make the connection ready for the next mail, or close it where that is not certain."""
        lost = isinstance(error, (ConnectError, OutcomeUnknown)) or (error.reply is not None and error.reply.code == 421)
        if lost or error.phase == "data":
            self._connection.close()
            return
        try:
            reply = self._say("RSET", "mail", Deadline(_QUIT_SECONDS))
        except SendError:
            self._connection.close()
        else:
            if not reply.positive:
                self._connection.close()

    # --- ending ---

    def close(self) -> None:
        """Say QUIT and close; never raises."""
        if self._connection.is_open and not self._connection.aborted:
            # What happens to a good-bye changes nothing about what was sent.
            with suppress(SendError):
                self._say("QUIT", "data", Deadline(_QUIT_SECONDS))
        self._connection.close()

    def abort(self) -> None:
        """Break off from another thread."""
        self._connection.abort()

    # --- talking ---

    def _say(self, line: str, phase: str, deadline: Deadline) -> Reply:
        try:
            # Addresses are clean since Message; this is the last border before the wire.
            if "\r" in line or "\n" in line:
                raise ValueError(line)
            self._connection.send(line.encode() + b"\r\n", deadline)
        except OSError as exc:
            raise self._broken(exc, phase) from exc
        return self._read(phase, deadline)

    def _read(self, phase: str, deadline: Deadline) -> Reply:
        try:
            return self._receive(deadline)
        except _NoReply as exc:
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
            raise self._broken(exc, phase) from exc

    def _receive(self, deadline: Deadline) -> Reply:
        """Return the next reply, its lines joined; raises `OSError` or `_NoReply`."""
        lines: list[str] = []
        codes: set[bytes] = set()
        more = True
        while more:
            try:
                line = self._connection.read_line(deadline, _MAX_LINE)
            except ValueError:
                raise _NoReply from None
            found = re.fullmatch(rb"([2-5]\d\d)([ -]|$)(.*)", line, re.DOTALL)
            if not found or len(lines) == _MAX_LINES:
                raise _NoReply
            codes.add(found[1])
            lines.append(found[3].decode("utf-8", "replace"))
            more = found[2] == b"-"
        if len(codes) != 1:
            raise _NoReply  # RFC 5321 4.2.1: every line of a reply has the same code
        self._last_lines = [clean(line, self._secret) for line in lines]
        return self._reply(int(codes.pop()), lines)

    def _reply(self, code: int, lines: list[str]) -> Reply:
        enhanced, words = "", []
        for line in lines:
            # RFC 2034: every line of the reply repeats the enhanced code
            found = re.match(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)(.*)", line, re.DOTALL)
            if found and (not enhanced or found[1] == enhanced):
                enhanced = found[1]
                line = found[2]  # noqa: PLW2901
            words.append(line)
        # Joined before it is cleaned, so that a password echoed over two lines is found.
        return Reply(code, enhanced, clean(" ".join(words), self._secret))

    def _refusal(self, reply: Reply, phase: str, refused: dict[str, Reply] | None = None) -> SendError:
        return refusal(reply, phase, self._host, refused)

    def _broken(self, failure: BaseException, phase: str) -> BaseException:
        """Return the error for a connection that failed before the last byte; what is no network error stays itself."""
        if not isinstance(failure, OSError):
            return failure
        if self._connection.aborted:
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


def _gravest(errors: list[SendError], refused: dict[str, Reply]) -> SendError:
    """Return the error that decides what happens next, with every recipient's reply."""
    order = [Action.STOP, Action.REPEAT, Action.DROP]
    first = min(errors, key=lambda error: order.index(TREATMENT[error.kind].action))
    if len(errors) > 1:
        listed = "; ".join(f"{address} — {reply}" for address, reply in refused.items())
        first = type(first)(
            _("The server refuses every recipient: {listed}.").format(listed=listed),
            kind=first.kind,
            phase=first.phase,
            reply=first.reply,
            hint=first.hint,
            field=first.field,
            guide=first.guide,
        )
    first.refused = refused
    return first
