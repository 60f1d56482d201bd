"""Speaks SMTP as a provider does: sign-in only after TLS, mail only after sign-in, and the failures of a rehearsal."""

from __future__ import annotations

import asyncio
import base64
import collections
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session, TLSSetupException
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from docmail.sandbox.misbehaviour import linger, misbehave, refuse

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from docmail.sandbox.failures import Failure, Step
    from docmail.sandbox.rehearsal import Rehearsal

_LINE_LIMIT = 16384  # RFC 4954 4: a line of a sign-in may have 12,288 octets
_PATIENCE = 3600.0  # seconds; a rehearsed delay may be long
_EVERYTHING = 1 << 30
_END = b"\r\n.\r\n"
_MAX_CODE_OF_SUCCESS = 399
_UNKNOWN = 502


class _Session(Session):
    # The original's property logs a warning about its own deprecation at every sign-in.
    login_data = None


class _Hooks:
    """What aiosmtpd asks after its own checks have passed."""

    async def handle_EHLO(  # noqa: N802 - aiosmtpd names and calls it
        self, server: SmtpServerProtocol, session: Session, _envelope: SmtpEnvelope, hostname: str, lines: list[str]
    ) -> list[str]:
        failure = await server.rehearse("ehlo")
        if failure is None or failure.code <= _MAX_CODE_OF_SUCCESS:
            session.host_name = hostname
        return failure.lines if failure else server.offered(lines)

    async def handle_MAIL(  # noqa: N802 - as above
        self, server: SmtpServerProtocol, _session: Session, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str:
        failure = await server.rehearse("mail", right=server.rehearsal.is_own(address))
        if failure is None or failure.code <= _MAX_CODE_OF_SUCCESS:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return "\r\n".join(failure.lines) if failure else "250 2.1.0 Sender ok"

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SmtpServerProtocol, _session: Session, envelope: SmtpEnvelope, address: str, options: list[str]
    ) -> str:
        failure = await server.rehearse("rcpt", [address], right=server.rehearsal.is_own(envelope.mail_from))
        if failure is None or failure.code <= _MAX_CODE_OF_SUCCESS:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return "\r\n".join(failure.lines) if failure else "250 2.1.5 Recipient ok"


class SmtpServerProtocol(SMTP):
    """One connection of a client; `tls` is for STARTTLS, None on a port that is encrypted from the first byte."""

    # aiosmtpd keeps these per class, also where it says otherwise, and changes them at every EHLO.
    command_size_limit = _LINE_LIMIT
    command_size_limits: ClassVar[dict[str, int]] = collections.defaultdict(lambda: _LINE_LIMIT)  # type: ignore[misc]
    line_length_limit = _LINE_LIMIT

    def __init__(
        self, rehearsal: Rehearsal, tls: ssl.SSLContext | None, connections: set[SmtpServerProtocol], *, refuses: bool
    ) -> None:
        self.rehearsal = rehearsal
        self._chunks = bytearray()
        self._connections = connections
        self._refuses = refuses
        super().__init__(
            _Hooks(),
            data_size_limit=rehearsal.size_limit,
            enable_SMTPUTF8=True,
            hostname="localhost",  # looking for the real name can take a name server's time-out
            ident="ESMTP docmail sandbox",
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=True,
            authenticator=self._check_password,
            timeout=_PATIENCE,
            loop=asyncio.get_running_loop(),
        )

    # --- the connection ---

    def _create_session(self) -> Session:
        return _Session(self.loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or begin again after STARTTLS (RFC 3207 4.2)."""
        super().connection_made(transport)
        self._connections.add(self)
        if self.tls_context is None:
            # Otherwise aiosmtpd takes a port that is encrypted from the first byte for one that is not.
            self._tls_protocol = transport  # type: ignore[assignment]  # only its truth is asked for

    def connection_lost(self, error: Exception | None) -> None:
        """Forget this connection."""
        self._connections.discard(self)
        super().connection_lost(error)

    def cut(self) -> None:
        """End the connection without a word."""
        transport = self._original_transport or self.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    async def _handle_client(self) -> None:
        failure = await self.rehearse("connect")
        if failure is not None and failure.code <= _MAX_CODE_OF_SUCCESS:
            self.hostname, _blank, self.__ident__ = failure.reply[4:].partition(" ")
        elif failure is not None:
            # The server does not want to talk, and hangs up.
            await self.push("\r\n".join(failure.lines))
            self._writer.close()
            return
        await super()._handle_client()

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin TLS; a client that does not trust the certificate is let go quietly."""
        if failure := await self.rehearse("starttls"):
            await self.push("\r\n".join(failure.lines))
            return
        seconds, failure = self.rehearsal.failures.delay("handshake"), self.rehearsal.failures.next("handshake")
        if seconds or failure is not None:
            await self.push("220 2.0.0 Ready to start TLS")
            await self._misbehave(failure, seconds)
        if self._refuses and self.tls_context is not None and isinstance(self.transport, asyncio.Transport):
            await self.push("220 2.0.0 Ready to start TLS")
            self._tls_protocol = self.transport  # type: ignore[assignment]  # only its truth is asked for
            await refuse(self.transport, self.tls_context)
        else:
            with suppress(TLSSetupException):
                await super().smtp_STARTTLS(arg)
        if self._tls_protocol is not None and (self.session is None or self.session.ssl is None):
            # The handshake failed: connection_lost() is not called then, and aiosmtpd would wait for the next command.
            self._connections.discard(self)
            if self._timeout_handle is not None:
                self._timeout_handle.cancel()
            await self._hang_up()

    async def push(self, status: Any) -> None:
        """Send a reply; after 421 the server hangs up (RFC 5321 3.8)."""
        await super().push(status)
        if status[:3] in {"421", b"421"}:
            self._writer.close()

    async def rehearse(self, step: Step, recipients: Sequence[str] = (), *, right: bool = False) -> Failure | None:
        """Wait if that is programmed, cut the connection if that is, and return what is to be answered, if anything."""
        failure = await self.rehearsal.failures.meet(step, recipients, right=right)
        if failure is not None and failure.does != "answer":
            await self._misbehave(failure)
        return failure

    async def _misbehave(self, failure: Failure | None, seconds: float = 0.0) -> NoReturn:
        transport = self.transport
        if isinstance(transport, asyncio.Transport):
            await linger(transport, seconds)
            if failure is not None and failure.does != "drop":
                await misbehave(failure, transport)
                # What is being closed sends what is left; to cut it would take it back.
                raise asyncio.CancelledError
        await self._hang_up()

    def offered(self, lines: list[str]) -> list[str]:
        """Return the lines of EHLO as this rehearsal wants them."""
        if not self.rehearsal.offers.get("starttls", True):
            lines = [line for line in lines if line[4:] != "STARTTLS"]
        if not self.rehearsal.identity.asked:
            # The sign-in server was not used, so this is a server as most are: with passwords.
            lines = [re.sub(r" (XOAUTH2|OAUTHBEARER)\b", "", line) for line in lines]
        if (mechanisms := self.rehearsal.offers.get("auth")) is not None:
            lines = [line for line in lines if not line[4:].startswith("AUTH")]
            if mechanisms:
                lines.insert(1, f"250-AUTH {mechanisms}")
        if self.rehearsal.offers.get("chunking"):
            lines[1:1] = ["250-PIPELINING", "250-CHUNKING"]
        return lines

    async def _hang_up(self) -> NoReturn:
        self.cut()
        # As aiosmtpd's QUIT does: the task that reads commands must end.
        raise asyncio.CancelledError

    # --- signing in ---

    def _check_password(
        self, _server: SMTP, _session: Session, _envelope: SmtpEnvelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        right = self.rehearsal.has_password(given.login, given.password)
        # No auth_data: aiosmtpd would keep the password with the connection.
        return AuthResult(success=right, handled=False)

    async def auth_PLAIN(self, server: Any, args: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's name
        """Sign in with PLAIN (RFC 4616)."""
        return await self._judge(await super().auth_PLAIN(server, args))

    async def auth_LOGIN(self, server: Any, args: list[str]) -> AuthResult:  # noqa: N802 - as above
        """Sign in with LOGIN."""
        return await self._judge(await super().auth_LOGIN(server, args))

    async def auth_XOAUTH2(self, _server: Any, args: list[str]) -> AuthResult:  # noqa: N802 - as above
        """Sign in with a token, as Microsoft and Google have it."""
        return await self._by_token(args, "XOAUTH2")

    async def auth_OAUTHBEARER(self, _server: Any, args: list[str]) -> AuthResult:  # noqa: N802 - as above
        """Sign in with a token (RFC 7628)."""
        return await self._by_token(args, "OAUTHBEARER")

    async def _by_token(self, args: list[str], mechanism: str) -> AuthResult:
        try:
            right = self.rehearsal.has_token(mechanism, base64.b64decode(args[1]))
        except (IndexError, ValueError):
            right = False
        if not right:
            # The reason comes as a challenge, which the client answers with nothing.
            reason = base64.b64encode(b'{"status":"401","schemes":"bearer","scope":"https://sandbox.example/send"}')
            await self.push(f"334 {reason.decode()}")
            await self._reader.readline()
        return await self._judge(AuthResult(success=right, handled=False))

    async def _judge(self, result: AuthResult) -> AuthResult:
        failure = await self.rehearse("auth", right=bool(result.success))
        if failure is None:
            return result
        return AuthResult(
            success=failure.code <= _MAX_CODE_OF_SUCCESS, handled=False, message="\r\n".join(failure.lines)
        )

    # --- taking a mail ---

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take the mail in pieces: the original reads line by line, and logs every line."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        recipients = list(envelope.rcpt_tos)
        failure = await self.rehearse("data", recipients, right=self.rehearsal.is_own(envelope.mail_from))
        if failure is not None and failure.code > _MAX_CODE_OF_SUCCESS:
            await self.push("\r\n".join(failure.lines))
            return
        await self.push("\r\n".join(failure.lines) if failure else "354 End data with <CR><LF>.<CR><LF>")
        content = await self._body(recipients)
        self._set_post_data_state()
        if content is None:
            await self.push("552 5.3.4 Message size exceeds fixed limit")
            return
        await self._end(envelope.mail_from or "", recipients, content)

    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd would call it
        """Take the mail in chunks (RFC 3030), where they are offered."""
        size, _blank, last = (arg or "").partition(" ")
        if not self.rehearsal.offers.get("chunking") or not size.isdecimal():
            await self.push("502 5.5.1 Error: command not recognized")
            return
        envelope = self.envelope
        recipients = list(envelope.rcpt_tos) if envelope else []
        failure = await self.rehearse("chunk", recipients)
        if failure is None or failure.code != _UNKNOWN:  # a server that does not know the command reads no chunk
            self._chunks += await self._reader.readexactly(int(size))
        if failure:
            self._chunks.clear()
            await self.push("\r\n".join(failure.lines))
        elif not recipients:
            await self.push("503 5.5.1 Error: need RCPT command")
        elif last:
            content, self._chunks = bytes(self._chunks), bytearray()
            sender = (envelope.mail_from if envelope else "") or ""
            self._set_post_data_state()
            await self._end(sender, recipients, content)
        else:
            await self.push(f"250 2.0.0 {size} octets")

    async def _body(self, recipients: list[str]) -> bytes | None:
        """Return the body without its final dot and the dots that hide others; None if it is too large."""
        failure = await self.rehearsal.failures.meet("body", recipients)
        # The end of the command's line counts as the line end before a dot that comes at once.
        content = bytearray(b"\r\n")
        searched, too_large = 0, False
        while (end := content.find(_END, searched)) < 0:
            if failure is not None and len(content) > failure.after:
                await self._hang_up()
            if self.data_size_limit and len(content) > self.data_size_limit + len(_END):
                too_large = True
                del content[: -len(_END)]
            searched = max(0, len(content) - len(_END) + 1)
            content += await self._reader.read(_EVERYTHING)
        if failure is not None:
            await self._hang_up()  # the body was shorter than that
        # Commands that were sent along with the body (RFC 2920) come next.
        if rest := bytes(content[end + len(_END) :]):
            self._reader.feed_data(rest)
        too_large = too_large or bool(self.data_size_limit and end > self.data_size_limit)
        del content[end + 2 :]
        return None if too_large else bytes(content.replace(b"\r\n.", b"\r\n")[2:])

    async def _end(self, sender: str, recipients: list[str], content: bytes) -> None:
        right = self.rehearsal.is_own(sender)
        failure = await self.rehearsal.failures.meet("end", recipients, right=right)
        if failure is None or failure.takes_mail:
            try:
                self.rehearsal.deliver(sender, recipients, content)
            except OSError:  # a full disk
                await self.push("452 4.3.1 Insufficient system storage")
                return
        if failure is None:
            await self.push("250 2.0.0 Ok, in the inbox")
        elif failure.does == "answer":
            await self.push("\r\n".join(failure.lines))
        else:
            await self._misbehave(failure)
