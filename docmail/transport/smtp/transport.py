"""Opens and closes a connection by SMTP (RFC 5321, submission RFC 6409); what is sent over it is in `delivery`."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING

from docmail.addresses import ascii_host
from docmail.errors import (
    AuthenticationError,
    Kind,
    SendError,
    TLSError,
)
from docmail.language import _
from docmail.net import Connection, Deadline, fingerprint, matches, read_certificate, tls_context, tls_failure
from docmail.settings import Security, SmtpServer, fingerprint_bytes
from docmail.transport.base import REPLY_SECONDS
from docmail.transport.smtp.conversation import Conversation
from docmail.transport.smtp.delivery import Sending
from docmail.transport.smtp.sasl import sign_in_with_password, sign_in_with_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from docmail.secret import Secret
    from docmail.settings import Settings
    from docmail.transport.base import TokenSource


class SmtpTransport(Sending):
    """One SMTP connection for the account of the settings."""

    def __init__(  # noqa: PLR0913 - what one connection must know
        self,
        settings: Settings,
        secret: Secret | None,
        *,
        timeout: float = 60,
        reply_timeout: float = REPLY_SECONDS,
        observe: Callable[[str, str], None] | None = None,
        tokens: TokenSource | None = None,
    ) -> None:
        if not isinstance(settings.server, SmtpServer):
            raise TypeError(settings.server)
        super().__init__()
        self._settings = settings
        self._server = settings.server
        self._host = ascii_host(self._server.host)
        self._secret = secret
        self._tokens = tokens
        self._timeout = timeout
        self._reply_timeout = reply_timeout
        self._observe = observe or (lambda _phase, _text: None)
        self._seconds_left = timeout  # until the last RCPT of the mail for which the connection was opened
        self._talk = Conversation(self._server, self._host, secret)
        self._second: Connection | None = None
        self._context: ssl.SSLContext | None = None
        self.in_doubt = False

    # --- opening ---

    def open(self) -> None:
        """Connect, encrypt and sign in."""
        if self._tokens is not None:
            self._tokens.current()  # first, so that the server never waits for another one
        self._mails = 0
        began = time.monotonic()
        deadline = Deadline(self._timeout)
        try:
            self._connect(deadline)
            if self._server.username and (self._secret is not None or self._tokens is not None):
                mechanism = self._sign_in(deadline)
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

    @property
    def is_open(self) -> bool:
        """Whether the next mail can go over this connection."""
        return self._talk.connection.is_open

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _sign_in(self, deadline: Deadline) -> str:
        username = self._server.username
        if self._tokens is None:
            assert self._secret is not None  # noqa: S101 - open() looked
            return sign_in_with_password(self._talk, self._host, username, self._secret, deadline)
        self._talk.use(self._tokens.current())
        try:
            return sign_in_with_token(self._talk, self._host, username, self._tokens.current(), deadline)
        except AuthenticationError as exc:
            if exc.reply is None or not self._talk.connection.is_open:
                raise
            # The token may have been revoked before its time: once more with a new one, and no further.
            self._talk.use(self._tokens.renewed())
            return sign_in_with_token(self._talk, self._host, username, self._tokens.current(), deadline)

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
            # Once for all connections: reading the system's authorities takes longer than a handshake.
            self._context = context = self._context or tls_context(self._ca_file, verify=pinned is None)
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
                certificate=read_certificate(connection.certificate()),
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

    def another(self) -> SmtpTransport:
        """Return a further way for the same account, not yet open, that need not find out again what this one knows."""
        other = SmtpTransport(
            self._settings, self._secret, timeout=self._timeout, reply_timeout=self._reply_timeout, tokens=self._tokens
        )
        other._context, other._chunking = self._context, self._chunking
        return other

    # --- ending ---

    def close(self) -> None:
        """Say QUIT and close; never raises."""
        connection = self._talk.connection
        try:
            if connection.is_open and not connection.aborted:
                self._say_goodbye()
        finally:
            connection.close()

    def abort(self) -> None:
        """Break off from another thread."""
        self._talk.connection.abort()
        if self._second is not None:
            self._second.abort()
