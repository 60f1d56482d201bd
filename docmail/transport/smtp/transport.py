"""Opens and closes a connection by SMTP (RFC 5321, submission RFC 6409); what is sent over it is in `delivery`."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from docmail.addresses import ascii_host
from docmail.errors import AuthenticationError, Phase, SendError
from docmail.language import _
from docmail.net import Connection, Deadline, Trust, tls_context
from docmail.settings import Security, SmtpServer
from docmail.transport.base import Access, Notify, Progress, SendResult, Transport, ignore_outcome, ignore_phase
from docmail.transport.capabilities import may_take_chunks
from docmail.transport.smtp.conversation import Conversation
from docmail.transport.smtp.delivery import ChunksRefused, Delivery
from docmail.transport.smtp.sasl import sign_in_with_password, sign_in_with_token

if TYPE_CHECKING:
    from docmail.message import Mail


class SmtpTransport(Transport):
    """One SMTP connection for the account of the settings."""

    def __init__(self, access: Access) -> None:
        if not isinstance(access.settings.server, SmtpServer):
            raise TypeError(access.settings.server)
        self._access = access
        self._server = access.settings.server
        self._host = ascii_host(self._server.host)
        self._seconds_left = access.timeout  # until the last RCPT of the mail for which the connection was opened
        self._talk = Conversation(self._server, self._host, access.secret)
        self._second: Connection | None = None
        self._trust = Trust(self._server.fingerprint, self._server.ca_file)
        self._delivery: Delivery | None = None
        self._mails = 0  # over this connection
        self._last_reply = 0.0
        self._refuses_chunks = False
        self._refuses_names = False

    # --- opening ---

    def open(self) -> None:
        """Connect, encrypt and sign in."""
        tokens, username = self._access.tokens, self._server.username
        if tokens is not None:
            tokens.current()  # first, so that the server never waits for another one
        self._mails = 0
        began = time.monotonic()
        deadline = Deadline(self._access.timeout)
        try:
            self._connect(deadline)
            if username and (self._access.secret is not None or tokens is not None):
                mechanism = self._sign_in(username, deadline)
                self._access.observe(
                    Phase.AUTH,
                    _("signed in as {username} ({mechanism})").format(username=username, mechanism=mechanism),
                )
        except BaseException:
            self._talk.connection.close()
            raise
        self._seconds_left = self._access.timeout - (time.monotonic() - began)

    @property
    def is_open(self) -> bool:
        """Whether the next mail can go over this connection."""
        return self._talk.connection.is_open

    def _sign_in(self, username: str, deadline: Deadline) -> str:
        talk, tokens = self._talk, self._access.tokens
        if tokens is None:
            assert self._access.secret is not None  # noqa: S101 - open() looked
            return sign_in_with_password(talk, username, self._access.secret, deadline)
        talk.hide(tokens.current())
        try:
            return sign_in_with_token(talk, username, tokens.current(), deadline)
        except AuthenticationError as exc:
            if exc.reply is None or not talk.connection.is_open:
                raise
            # The token may have been revoked before its time: once more with a new one, and no further.
            talk.hide(tokens.renewed())
            return sign_in_with_token(talk, username, tokens.current(), deadline)

    def _connect(self, deadline: Deadline) -> None:
        security = self._server.effective_security
        self._talk.connection.open(deadline, self._access.observe)
        if security is Security.TLS:
            self._encrypt(deadline)
        greeting = self._talk.greet(deadline)
        self._access.observe(Phase.GREETING, greeting.text[:100])
        self._hello(deadline)
        if security is Security.STARTTLS:
            self._talk.ask_for_tls(deadline)
            self._encrypt(deadline)
            self._hello(deadline)  # RFC 3207 4.2: what was said before is forgotten

    def _hello(self, deadline: Deadline) -> None:
        offered = self._talk.hello(deadline)
        self._access.observe(Phase.EHLO, _("offers {extensions}").format(extensions=offered[:200] or "-"))

    def _encrypt(self, deadline: Deadline) -> None:
        connection = self._talk.connection
        starttls = self._server.effective_security is Security.STARTTLS
        unverified = partial(self._unverified_certificate, deadline)
        self._trust.encrypt(connection, deadline, unverified, starttls=starttls)
        self._access.observe(Phase.TLS, connection.describe_tls())

    def _unverified_certificate(self, deadline: Deadline) -> bytes | None:
        """Return the certificate that could not be verified, by a second connection on which nothing else is said."""
        connection = self.connection_to(self._server.port)
        talk = Conversation(self._server, self._host, self._access.secret, connection)
        try:
            connection.open(deadline, ignore_phase)
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

    def connection_to(self, port: int) -> Connection:
        """Return a connection to a port of the same server, not yet open; `abort()` ends it as well."""
        self._second = connection = Connection(self._host, port)
        if self._talk.connection.aborted:
            connection.abort()
        return connection

    def another(self) -> SmtpTransport:
        """Return a further transport for the same account, which need not find out again what this one knows."""
        other = SmtpTransport(replace(self._access, observe=ignore_phase))
        other._trust, other._refuses_chunks = self._trust, self._refuses_chunks
        other._refuses_names = self._refuses_names
        return other

    # --- sending ---

    @property
    def in_doubt(self) -> bool:
        """Whether the mail that was sent last may have been taken."""
        return self._delivery is not None and self._delivery.in_doubt

    def send(self, mail: Mail, progress: Progress | None = None, notify: Notify = ignore_outcome) -> SendResult:
        """Hand one mail over: the first of a connection step by step, the others in as few round trips as possible."""
        # The first mail shares the deadline of the connection that was opened for it.
        deadline, self._seconds_left = Deadline(self._seconds_left), self._access.timeout
        self._delivery = delivery = Delivery(
            self._talk, mail, self._access, progress, notify, names_itself=not self._refuses_names
        )
        takes_chunks = self._takes_chunks
        try:
            if not self._mails or "PIPELINING" not in self._talk.extensions:
                reply = delivery.step_by_step(deadline)
            elif takes_chunks is False:
                reply = delivery.pipelined(deadline)
            # On a connection that may be gone by now, one write of everything would leave needless doubt. And
            # an archive alone shall not get what nobody else gets, so its mail waits for the recipients' replies.
            elif takes_chunks and self._is_fresh and not mail.archive:
                reply = delivery.in_one_write()
            else:
                reply = delivery.in_one_chunk(deadline, is_first=takes_chunks is None)
        except BaseException as exc:
            is_ready = delivery.recover(exc)
            self._note_chunks(delivery.takes_chunks)
            refuses_names = delivery.is_about_names(exc)
            self._refuses_names |= refuses_names
            if is_ready and (refuses_names or isinstance(exc, ChunksRefused)):
                return self.send(mail, progress, notify)
            raise
        self._note_chunks(delivery.takes_chunks)
        self._mails += 1
        self._last_reply = time.monotonic()
        self._access.observe(Phase.DATA, _("taken: {reply}").format(reply=reply))
        return SendResult(mail.message_id, tuple(delivery.accepted), self._talk.refused, reply)

    @property
    def _takes_chunks(self) -> bool | None:
        """Whether the server takes the content as a chunk; None if that has to be tried."""
        if self._refuses_chunks or "CHUNKING" not in self._talk.extensions:
            return False
        if not may_take_chunks(self._host, self._server.port, self._talk.greeting):
            return False
        return self._access.capabilities.takes_chunks(self._place)

    def _note_chunks(self, takes: bool | None) -> None:  # noqa: FBT001 - what was found out, if anything
        if takes is not None and takes != self._takes_chunks:
            self._refuses_chunks = not takes
            self._access.capabilities.note_chunks(self._place, takes=takes)

    @property
    def _place(self) -> str:
        return f"{self._host}:{self._server.port}"

    @property
    def _is_fresh(self) -> bool:
        recent = time.monotonic() - self._last_reply < self._access.waits.idle
        return recent and not self._talk.connection.has_news()

    # --- ending ---

    def close(self) -> None:
        """Say QUIT and close; never raises."""
        connection = self._talk.connection
        try:
            if connection.is_open and not connection.aborted:
                self._talk.quit(Deadline(self._access.waits.goodbye))
        finally:
            connection.close()

    def abort(self) -> None:
        """Abort from another thread."""
        self._talk.connection.abort()
        if self._second is not None:
            self._second.abort()
