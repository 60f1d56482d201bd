"""Takes mail as an HTTP form or as a mail service does, and orders from other processes of the same user.

`POST` to the path of a mail service (`docmail.sandbox.mail_services`) is one of its requests, to any other path a mail
as a form (multipart/form-data or application/x-www-form-urlencoded). `PUT` with the sandbox's token
programs a failure, and `GET` with it asks whether this sandbox runs; notebooks that share one of another do that.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from contextlib import suppress
from email import policy
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.utils import localtime
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

import h11

from docmail.addresses import parse_addresses
from docmail.errors import DocmailError
from docmail.language import _
from docmail.message import new_message_id
from docmail.sandbox import mail_services
from docmail.sandbox import oauth_server as identity
from docmail.sandbox.failures import Failure
from docmail.sandbox.inbox import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.sandbox.failures import Failures
    from docmail.sandbox.inbox import Inbox
    from docmail.sandbox.oauth_server import IdentityProvider

SENDER = "mail@sandbox.example"
"""Such a server sends from an address of its own."""

_PIECE = 262144


class _Part(NamedTuple):
    name: str
    filename: str | None
    media_type: str
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8")


class _Trouble(Exception):
    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class HttpEndpoint:
    """Answers one request per connection."""

    def __init__(  # noqa: PLR0913 - what a server must know
        self,
        inbox: Inbox,
        failures: Failures,
        *,
        token: str,
        size_limit: int,
        lets_in: Callable[[str], bool],
        identity: IdentityProvider,
    ) -> None:
        self._inbox = inbox
        self._failures = failures
        self._token = token
        self._lets_in = lets_in
        self._identity = identity
        self._size_limit = size_limit

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and answer it."""
        http = h11.Connection(h11.SERVER)
        try:
            reply = await self._reply(http, reader, writer)
            if reply is not None:
                _send(http, writer, *reply)
                await writer.drain()
                writer.close()
        except h11.RemoteProtocolError:
            # The client speaks something else, perhaps SMTP; every web server says so.
            with suppress(ConnectionError, h11.LocalProtocolError):
                _send(http, writer, HTTPStatus.BAD_REQUEST, _("This is a port for HTTP."))
                await writer.drain()
                writer.close()
        except ConnectionError:
            pass  # the client hung up
        finally:
            # abort(), because a connection cut by order must not say good-bye; after close() it does nothing.
            if not writer.is_closing():
                writer.transport.abort()

    async def _reply(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[int, str] | None:
        """Return status and content; None to cut the connection instead."""
        try:
            request, body = await self._read(http, reader, writer)
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
            target = request.target.decode("latin-1")
            if target.startswith(identity.PATH):
                return self._identify(request.method.decode("ascii"), target, headers.get("host", ""), body)
            if request.method in {b"GET", b"PUT"}:
                return self._take_order(headers, body)
            _check_sender(request.method, headers)
            if api := mail_services.api_of(target):
                return await self._serve_api(api, headers, body)
            mail, recipients = _mail(list(_parts(headers.get("content-type", ""), body)))
        except _Trouble as exc:
            return exc.status, str(exc)
        return await self._deliver(mail, recipients)

    def _identify(self, method: str, target: str, host: str, body: bytes) -> tuple[int, str]:
        status, media_type, content = self._identity.answer(method, target, host, body)
        kinds = {"text/html": _Html, "text/plain": _Elsewhere}
        return status, kinds.get(media_type.partition(";")[0], _Json)(content)

    async def _serve_api(self, api: str, headers: dict[str, str], body: bytes) -> tuple[int, str | _Json] | None:
        """Answer as a mail service does; a mail is taken as a whole, except at Postmark."""
        media_type = headers.get("content-type", "")
        try:
            if not self._lets_in(mail_services.key_of(api, headers)):
                return _said(mail_services.refusal(api, 401))
            mail = mail_services.mail_of(api, media_type, body, lambda: _parts(media_type, body))
        except mail_services.NoMailError as exc:
            return _said(mail_services.refusal(api, 400, str(exc)))
        failure = await self._rehearse(mail)
        if failure is None:
            return self._take(api, mail)
        return None if failure.does == "drop" else _said(mail_services.refusal(api, failure.code, failure.reply[4:]))

    async def _rehearse(self, mail: mail_services.Taken) -> Failure | None:
        """Wait if that is programmed, and return what goes wrong; a mail that is taken all the same is delivered."""
        recipients = list(mail.recipients)
        await asyncio.sleep(self._failures.delay("http", recipients))
        failure = self._failures.next("http", recipients)
        if failure is not None and failure.does == "drop" and failure.keep:
            self._inbox.deliver(mail.sender, recipients, mail.content)
        return failure

    def _take(self, api: str, mail: mail_services.Taken) -> tuple[int, str | _Json]:
        recipients = list(mail.recipients)
        refused = {each: found for each in recipients if (found := self._failures.next("rcpt", [each]))}
        if any(found.code < 500 for found in refused.values()):  # noqa: PLR2004 - RFC 5321 4.2.1: later
            return _said(mail_services.refusal(api, 503))
        if refused and (api != "postmark" or len(refused) == len(recipients)):
            return _said(mail_services.refusal(api, 400))
        self._inbox.deliver(mail.sender, [each for each in recipients if each not in refused], mail.content)
        return _said(mail_services.success(api, refused))

    async def _deliver(self, mail: EmailMessage, recipients: list[str]) -> tuple[int, str] | None:
        await asyncio.sleep(self._failures.delay("http", recipients))
        failure = self._failures.next("http", recipients)
        if failure is None:
            taken, reply = True, (int(HTTPStatus.OK), _("Sent."))
        elif failure.does == "drop":
            taken, reply = failure.keep, None
        else:
            taken, reply = failure.code < 300, (failure.code, failure.reply[4:])  # noqa: PLR2004 - 2xx is success
        if taken:
            self._inbox.deliver(SENDER, recipients, written(mail))
        return reply

    def _take_order(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        if not hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {self._token}".encode()):
            return HTTPStatus.FORBIDDEN, _("This sandbox takes no orders from you.")
        if not body:
            return HTTPStatus.OK, _("I am here.")
        order = json.loads(body)
        if order is None:
            self._failures.reset()
        else:
            self._failures.add(Failure(**order))
        return HTTPStatus.OK, _("Done.")

    async def _read(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[h11.Request, bytes]:
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                if http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    writer.write(http.send(go_on) or b"")
                http.receive_data(await reader.read(_PIECE))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._size_limit:
                    raise _Trouble(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _("The message is too large."))
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, bytes(body)
            else:
                raise ConnectionError


def _check_sender(method: bytes, headers: dict[str, str]) -> None:
    if method != b"POST":
        raise _Trouble(HTTPStatus.METHOD_NOT_ALLOWED, _("Mail is sent with POST."))
    if "origin" in headers:
        # A page in the user's browser must not fill the inbox.
        raise _Trouble(HTTPStatus.FORBIDDEN, _("Web pages cannot send mail here."))


class _Json(str):
    """A text that is JSON."""

    __slots__ = ()


class _Html(str):
    """A text that is a page."""

    __slots__ = ()


class _Elsewhere(str):
    """An address to which a browser is sent."""

    __slots__ = ()


def _said(answer: tuple[int, object]) -> tuple[int, _Json]:
    status, content = answer
    return status, _Json("" if content is None else json.dumps(content))


_MEDIA_TYPES: dict[type, str] = {
    str: "text/plain; charset=utf-8",
    _Json: "application/json",
    _Html: "text/html; charset=utf-8",
    _Elsewhere: "text/plain; charset=utf-8",
}


def _send(http: h11.Connection, writer: asyncio.StreamWriter, status: int, text: str) -> None:
    content = text.encode()
    headers = [
        ("Content-Type", _MEDIA_TYPES[type(text)]),
        ("Content-Length", str(len(content))),
        ("Connection", "close"),
    ]
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE} and isinstance(text, _Json):
        headers.append(("Retry-After", str(mail_services.RETRY_SECONDS)))
    if isinstance(text, _Elsewhere):
        headers += [("Location", str(text)), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")]
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    writer.write(http.send(h11.Response(status_code=status, headers=headers, reason=reason.encode())) or b"")
    writer.write(http.send(h11.Data(data=content)) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")


# --- the form ---------------------------------------------------------------------------------------------------------


def _parts(content_type: str, body: bytes) -> Iterator[_Part]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        for name, value in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True):
            yield _Part(name, None, "text/plain", value.encode())
    elif kind == "multipart/form-data":
        yield from _multipart(content_type, body)
    else:
        raise _Trouble(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _("A form is expected, not {kind}.").format(kind=kind or _("nothing"))
        )


def _multipart(content_type: str, body: bytes) -> Iterator[_Part]:
    boundary = re.search(r'boundary=(?:"([^"]+)"|([^\s;"]+))', content_type, re.IGNORECASE)
    if not boundary:
        raise _Trouble(HTTPStatus.BAD_REQUEST, _("The form names no boundary."))
    mark = b"--" + (boundary[1] or boundary[2]).encode("latin-1")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):  # noqa: PLR2004 - what is before the first mark is nothing
        raise _Trouble(HTTPStatus.BAD_REQUEST, _("The form is cut off."))
    for piece in pieces[1:-1]:
        lines, found, content = piece.partition(b"\r\n\r\n")
        head = lines.decode("utf-8", "replace")
        # Strict parsers refuse names that are not quoted, so this one does.
        name = re.search(r'(?i)^content-disposition:.*;\s*name="([^"]*)"', head, re.MULTILINE)
        if not found or not name:
            raise _Trouble(HTTPStatus.BAD_REQUEST, _("A part of the form has no quoted name."))
        filename = re.search(r'(?i)^content-disposition:.*;\s*filename="([^"]*)"', head, re.MULTILINE)
        media_type = re.search(r"(?i)^content-type:\s*([\w.+-]+/[\w.+-]+)", head, re.MULTILINE)
        yield _Part(
            _unescaped(name[1]),
            _unescaped(filename[1]) if filename else None,
            media_type[1] if media_type else "application/octet-stream",
            content,
        )


def _unescaped(text: str) -> str:
    # WHATWG's HTML standard, 4.10.21.8: browsers escape these three and nothing else.
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _mail(parts: list[_Part]) -> tuple[EmailMessage, list[str]]:
    """Return the form as a mail, and its recipients."""
    try:
        fields = {part.name: part.text for part in parts if part.filename is None}
        missing = [name for name in ("from", "reply_to", "to", "subject", "body") if name not in fields]
        if missing:
            raise _Trouble(HTTPStatus.BAD_REQUEST, _("The form has no field {names}.").format(names=", ".join(missing)))
        to = parse_addresses(fields["to"], "to")
        reply_to = parse_addresses(fields["reply_to"], "reply_to")
        if not to or not reply_to:
            raise _Trouble(HTTPStatus.BAD_REQUEST, _("The form names no recipient or no address for replies."))
        mail = EmailMessage(policy=policy.SMTPUTF8)
        mail["From"] = HeaderAddress(fields["from"], addr_spec=SENDER)
        mail["Reply-To"] = ", ".join(str(address) for address in reply_to)
        mail["To"] = ", ".join(str(address) for address in to)
        mail["Subject"] = fields["subject"]
        mail["Date"] = localtime()
        mail["Message-ID"] = new_message_id("sandbox.example")
        mail.set_content(fields["body"], subtype="html")
        for part in parts:
            if part.filename is not None:
                main, _slash, sub = part.media_type.partition("/")
                mail.add_attachment(part.content, maintype=main, subtype=sub, filename=part.filename)
    except (DocmailError, ValueError) as exc:
        raise _Trouble(HTTPStatus.BAD_REQUEST, str(exc)) from exc
    return mail, [address.addr_spec for address in to]
