"""Sends mail by SMTP (RFC 5321, submission RFC 6409), one step at a time.

MAIL, RCPT, DATA, body, final dot and reply are separate steps because the step at which a connection breaks decides
what is true: before the final dot nothing was sent, after it nobody knows (`OutcomeUnknown`) until the reply is read.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from docmail.addresses import ascii_host
from docmail.errors import (
    TREATMENT,
    Action,
    ConnectError,
    Kind,
    MessageError,
    OutcomeUnknown,
    Refused,
    SendError,
    TLSError,
)
from docmail.settings import Security, SmtpServer, fingerprint_bytes
from docmail.translation import _
from docmail.transport.base import REPLY_SECONDS, Deadline, SendResult
from docmail.transport.connection import Connection
from docmail.transport.conversation import CLOSING, Conversation, NoReply
from docmail.transport.tls import Certificate, fingerprint, matches, tls_context, tls_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import Self

    from docmail.credentials import Secret
    from docmail.message import Mail
    from docmail.replies import Reply
    from docmail.settings import Settings

_QUIT_SECONDS = 2.0
_LAST_WORDS_SECONDS = 2.0

_START_MAIL = 354  # RFC 5321 4.3.2: the one reply with which the body may go out


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
        self._seconds_left = timeout  # until the last RCPT of the mail for which the connection was opened
        self._talk = Conversation(self._server, self._host, secret)
        self._second: Connection | None = None
        self.in_doubt = False

    # --- opening ---

    def open(self) -> None:
        """Connect, encrypt and sign in."""
        began = time.monotonic()
        deadline = Deadline(self._timeout)
        try:
            self._connect(deadline)
            if self._server.username and self._secret is not None:
                mechanism = self._talk.sign_in(self._server.username, self._secret, deadline)
                self._observe(
                    "auth",
                    _("signed in as {username} ({mechanism})").format(
                        username=self._server.username, mechanism=mechanism
                    ),
                )
        except BaseException:
            self._talk.connection.close()
            raise
        self._seconds_left = self._timeout - (time.monotonic() - began)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self, deadline: Deadline) -> None:
        security = self._server.effective_security
        pinned = fingerprint_bytes(self._server.fingerprint) if self._server.fingerprint else None
        self._talk.connection.open(deadline, self._observe)
        if security is Security.TLS:
            self._encrypt(pinned, deadline)
        greeting = self._talk.greet(deadline)
        self._observe("greeting", greeting.text[:100])
        self._hello(deadline)
        if security is Security.STARTTLS:
            self._talk.ask_for_tls(deadline)
            self._encrypt(pinned, deadline)
            self._hello(deadline)  # RFC 3207 4.2: what was said before is forgotten

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
        connection = self._talk.connection
        try:
            connection.encrypt(context, deadline)
        except SendError:
            raise  # stopped by a person
        except OSError as exc:
            connection.close()
            certificate = self._unverified_certificate(deadline) if isinstance(exc, ssl.CertificateError) else None
            starttls = self._server.effective_security is Security.STARTTLS
            raise tls_failure(exc, self._host, self._server.port, certificate, starttls=starttls) from exc
        if pinned is not None and not matches(connection.certificate(), pinned):
            shown = fingerprint(connection.certificate())
            raise TLSError(
                _(
                    "{host} shows another certificate than the one you trust. Its fingerprint is {shown}, not {pinned}."
                ).format(host=self._host, shown=shown, pinned=pinned.hex(":").upper()),
                kind=Kind.CONFIG,
                phase="tls",
                hint=_("The certificate was changed: compare it with the administrator before you trust the new one."),
                field="fingerprint",
                guide="Certificates",
                fingerprint=shown,
                certificate=Certificate.read(connection.certificate()),
            )
        self._observe("tls", connection.describe_tls())

    @property
    def _ca_file(self) -> Path | None:
        return Path(self._server.ca_file).expanduser() if self._server.ca_file else None

    def _unverified_certificate(self, deadline: Deadline) -> bytes | None:
        """Return the certificate that could not be verified, by a second connection on which nothing else is said.

        The library gives no access to it after a failed check.
        """
        connection = self.connect_again(self._server.port)
        talk = Conversation(self._server, self._host, self._secret, connection)
        try:
            connection.open(deadline, lambda _phase, _text: None)
            if self._server.effective_security is Security.STARTTLS:
                talk.greet(deadline)
                talk.hello(deadline)
                talk.ask_for_tls(deadline)
            connection.encrypt(tls_context(None, verify=False), deadline)
            return connection.certificate()
        except (OSError, SendError):
            return None  # the error about the check stands; only the certificate is missing from it
        finally:
            connection.close()

    def connect_again(self, port: int) -> Connection:
        """Return a further connection to the same server, not yet open, to find something out; abort() ends it, too."""
        self._second = connection = Connection(self._host, port)
        if self._talk.connection.aborted:
            connection.abort()
        return connection

    def _hello(self, deadline: Deadline) -> None:
        offered = self._talk.hello(deadline)
        self._observe("ehlo", _("offers {extensions}").format(extensions=offered[:200] or "-"))

    # --- sending ---

    def send(self, mail: Mail, progress: Callable[[int, int], None] | None = None) -> SendResult:
        """Hand one mail over, step by step."""
        # The first mail shares the deadline of the connection that was opened for it.
        deadline, self._seconds_left = Deadline(self._seconds_left), self._timeout
        self.in_doubt = False
        try:
            self._mail(mail, deadline)
            accepted, refused = self._recipients(mail, deadline)
            self._data(deadline)
            self._body(mail, progress)
            reply = self._end()
        except BaseException as exc:
            self._recover(exc)
            raise
        self._observe("data", _("taken: {reply}").format(reply=reply))
        return SendResult(mail.message_id, tuple(accepted), refused, reply)

    def _mail(self, mail: Mail, deadline: Deadline) -> None:
        line = f"MAIL FROM:<{mail.sender}>"
        if "SIZE" in self._talk.extensions:
            self._check_size(mail)
            line += f" SIZE={mail.size}"  # RFC 1870
        if mail.smtputf8:
            if "SMTPUTF8" not in self._talk.extensions:
                raise Refused(
                    _("{host} does not take addresses with letters beyond ASCII before the @.").format(host=self._host),
                    kind=Kind.RECIPIENT,
                    phase="mail",
                    hint=_("Use an address of plain letters for this person, or another provider."),
                    guide="Addresses",
                )
            line += " BODY=8BITMIME SMTPUTF8"  # RFC 6531 3.1
        reply = self._talk.say(line, "mail", deadline)
        if not reply.positive:
            raise self._talk.refusal(reply, "mail")
        self._observe("mail", _("sender {address} accepted").format(address=mail.sender))

    def _check_size(self, mail: Mail) -> None:
        limit = self._talk.extensions["SIZE"]
        if limit.isdecimal() and 0 < int(limit) < mail.size:
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
            reply = self._talk.say(f"RCPT TO:<{address}>", "rcpt", deadline)
            if reply.positive:
                accepted.append(address)
            elif reply.code == CLOSING:
                raise self._talk.refusal(reply, "rcpt")  # not about this recipient, and nobody hears the others
            else:
                refused[address] = reply
        if not set(accepted) - mail.archive:
            errors = [self._talk.refusal(reply, "rcpt", {address: reply}) for address, reply in refused.items()]
            raise _gravest(errors, refused)
        turned_away = [f"{address} ({reply})" for address, reply in refused.items()]
        listed = ", ".join(accepted)[:200]
        if turned_away:
            listed = _("{accepted}; refused: {refused}").format(accepted=listed, refused=", ".join(turned_away)[:400])
        self._observe("rcpt", listed)
        return accepted, refused

    def _data(self, deadline: Deadline) -> None:
        reply = self._talk.say("DATA", "data", deadline)
        if reply.code != _START_MAIL:
            raise self._talk.refusal(reply, "data")

    def _body(self, mail: Mail, progress: Callable[[int, int], None] | None) -> None:
        # What is stuffed is not counted: a dot more or less does not matter to a progress bar.
        on_sent = (lambda sent: progress(min(sent, mail.size), mail.size)) if progress else (lambda _sent: None)
        try:
            self._talk.connection.stream(_readable(mail.wire(dot_stuffed=True)), on_sent)
        except OSError as exc:
            raise self._cut_short(exc) from exc

    def _end(self) -> Reply:
        deadline = Deadline(self._reply_timeout)
        self.in_doubt = True
        try:
            self._talk.connection.send(b".\r\n", deadline)
        except OSError as exc:
            self.in_doubt = False  # the system did not take the dot, so the server never gets it
            raise self._cut_short(exc) from exc
        try:
            reply = self._talk.receive(deadline)
        except (OSError, NoReply) as exc:
            raise self._lost(exc) from exc
        if reply.code < 400 and not reply.positive:  # noqa: PLR2004 - RFC 5321 4.2.1: 3yz ends nothing
            raise self._lost(NoReply())
        self.in_doubt = reply.positive
        if not reply.positive:
            raise self._talk.refusal(reply, "data")
        return reply

    def _cut_short(self, failure: OSError) -> SendError:
        """Return the error for a connection that broke before the last byte, in the server's words if it gave any."""
        with suppress(OSError, NoReply):
            reply = self._talk.receive(Deadline(_LAST_WORDS_SECONDS))
            if reply.code >= 400:  # noqa: PLR2004 - RFC 5321 4.2.1: a refusal
                return self._talk.refusal(reply, "data")
        return self._talk.broken(failure, "data")

    def _lost(self, failure: OSError | NoReply) -> OutcomeUnknown:
        if isinstance(failure, TimeoutError):
            reason = _("{host} did not answer after the last byte").format(host=self._host)
        elif isinstance(failure, NoReply):
            reason = _("{host} answered the last byte with something that is no reply").format(host=self._host)
        else:
            reason = _("the connection to {host} broke after the last byte").format(host=self._host)
        return OutcomeUnknown(
            _("The mail may have arrived: {reason}.").format(reason=reason),
            kind=Kind.UNKNOWN,
            phase="data",
            hint=_("Ask the recipient, or look into your Sent folder, before you send it again."),
            guide="Sending",
        )

    def _recover(self, error: BaseException) -> None:
        """Make the connection ready for the next mail, or close it where that is not certain."""
        intact = (
            isinstance(error, SendError) and not isinstance(error, ConnectError) and error.phase in {"mail", "rcpt"}
        )
        closing = isinstance(error, SendError) and error.reply is not None and error.reply.code == CLOSING
        ready = False
        try:
            if intact and not closing:
                with suppress(SendError):
                    ready = self._talk.say("RSET", "mail", Deadline(_QUIT_SECONDS)).positive
        finally:
            if not ready:
                self._talk.connection.close()

    # --- ending ---

    def close(self) -> None:
        """Say QUIT and close; never raises."""
        connection = self._talk.connection
        try:
            if connection.is_open and not connection.aborted:
                # What happens to a good-bye changes nothing about what was sent.
                with suppress(SendError):
                    self._talk.say("QUIT", "data", Deadline(_QUIT_SECONDS))
        finally:
            connection.close()

    def abort(self) -> None:
        """Break off from another thread."""
        self._talk.connection.abort()
        if self._second is not None:
            self._second.abort()


def _readable(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces; a file that cannot be read is no broken connection."""
    try:
        yield from pieces
    except OSError as exc:
        raise MessageError(
            _("A document cannot be read any more ({reason}); the mail was not finished.").format(
                reason=exc.strerror or type(exc).__name__
            ),
            hint=_("Make the document again and send it."),
        ) from exc


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
