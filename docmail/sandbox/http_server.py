"""Takes mail as an HTTP form or as a mail service does, and orders from other processes of the same user.

`POST` to the path of a mail service (`docmail.sandbox.mail_services`) is one of its requests, to any other path a mail
as a form (multipart/form-data or application/x-www-form-urlencoded). `PUT` with the sandbox's token
programs a failure, and `GET` with it asks whether this sandbox runs; notebooks that share one of another do that.
"""

from __future__ import annotations

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
from docmail.oauth import browser_page
from docmail.presets import services
from docmail.sandbox import mail_services
from docmail.sandbox import oauth_server as identity
from docmail.sandbox.failures import Failure
from docmail.sandbox.graph_drafts import Drafts
from docmail.sandbox.inbox import written
from docmail.sandbox.response import Response

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Container, Iterator

    from docmail.sandbox.graph_drafts import DraftCall
    from docmail.sandbox.rehearsal import Rehearsal

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

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._drafts = Drafts(rehearsal.size_limit)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request and respond."""
        http = h11.Connection(h11.SERVER)
        try:
            response = await self._respond(http, reader, writer)
            if response is not None:
                _send(http, writer, response)
                await writer.drain()
                writer.close()
        except h11.RemoteProtocolError:
            # The client speaks something else, perhaps SMTP; every web server says so.
            with suppress(ConnectionError, h11.LocalProtocolError):
                _send(http, writer, Response(HTTPStatus.BAD_REQUEST, _("This is a port for HTTP.")))
                await writer.drain()
                writer.close()
        except ConnectionError:
            pass  # the client hung up
        finally:
            # abort(), because a connection cut by order must not say good-bye; after close() it does nothing.
            if not writer.is_closing():
                writer.transport.abort()

    async def _respond(  # noqa: PLR0911 - one kind of request after the other
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Response | None:
        """Return the response; None to cut the connection instead."""
        try:
            request, body = await self._read(http, reader, writer)
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers}
            target = request.target.decode("latin-1")
            if target.startswith(identity.PATH):
                method = request.method.decode("ascii")
                return self._rehearsal.identity.answer(method, target, headers.get("host", ""), body)
            if call := self._drafts.call(request.method.decode("ascii"), target):
                _check_origin(headers)
                return await self._serve_draft(call, headers, body)
            if request.method in {b"GET", b"PUT"}:
                return self._take_order(headers, body)
            _check_sender(request.method, headers)
            if api := mail_services.api_of(target):
                return await self._serve_api(api, headers, body, draft=mail_services.makes_draft(target))
            mail = _mail(list(_parts(headers.get("content-type", ""), body)))
        except _Trouble as exc:
            return Response(exc.status, str(exc))
        failure = await self._meet(mail)
        if failure is None:
            self._deliver(mail)
            return Response(HTTPStatus.OK, _("Sent."))
        return None if failure.does == "drop" else Response(failure.code, failure.reply[4:])

    async def _serve_api(
        self, api: str, headers: dict[str, str], body: bytes, *, draft: bool = False
    ) -> Response | None:
        """Respond as a mail service does; a mail is taken as a whole, except at Postmark."""
        media_type = headers.get("content-type", "")
        if not self._rehearsal.lets_in(mail_services.key_of(api, headers)):
            return mail_services.refusal(api, 401)
        try:
            mail = mail_services.mail_of(api, media_type, body, lambda: _parts(media_type, body))
        except mail_services.NoMailError as exc:
            return mail_services.refusal(api, 400, str(exc))
        if draft:
            return await self._keep_draft(api, mail_services.gmail_raw(media_type, body), mail.recipients)
        return await self._send_mail(api, mail)

    async def _keep_draft(self, api: str, content: bytes, recipients: tuple[str, ...]) -> Response | None:
        """Put a draft of Gmail into the mailbox; one that is cut off after the last byte is there all the same."""
        failure = await self._rehearsal.failures.meet("draft", recipients)
        if failure is None or failure.takes_mail:
            self._rehearsal.folders["Drafts"].deliver("", (), content, flags=("\\Draft", "\\Seen"))
        if failure is not None:
            return None if failure.does == "drop" else mail_services.refusal(api, failure.code, failure.reply[4:])
        return mail_services.success(api)

    async def _serve_draft(self, call: DraftCall, headers: dict[str, str], body: bytes) -> Response | None:
        """Respond to a request about a draft of Microsoft Graph; it is sent as any other mail."""
        if call.needs_key and not self._rehearsal.lets_in(mail_services.key_of("graph", headers)):
            return mail_services.refusal("graph", 401)
        if step := call.step:
            failure = await self._rehearsal.failures.meet(step, self._drafts.recipients(call))
            if failure is not None:
                return (
                    None if failure.does == "drop" else mail_services.refusal("graph", failure.code, failure.reply[4:])
                )
        found = self._drafts.answer(call, headers, body)
        if isinstance(found, Response):
            return found
        response = await self._send_mail("graph", found)
        if response is not None and response.status < 300:  # noqa: PLR2004
            self._drafts.forget(call)
        return response

    async def _send_mail(self, api: str, mail: mail_services.Taken) -> Response | None:
        """Deliver a mail as a service does, or refuse it."""
        if failure := await self._meet(mail, api):
            return None if failure.does == "drop" else mail_services.refusal(api, failure.code, failure.reply[4:])
        refused = {each: found for each in mail.recipients if (found := self._rehearsal.failures.next("rcpt", [each]))}
        if any(found.code < 500 for found in refused.values()):  # noqa: PLR2004 - RFC 5321 4.2.1: later
            return mail_services.refusal(api, 503)
        if refused and (api != "postmark" or len(refused) == len(mail.recipients)):
            return mail_services.refusal(api, 400)
        self._deliver(mail, api, refused)
        return mail_services.success(api, refused)

    async def _meet(self, mail: mail_services.Taken, api: str = services.FORM) -> Failure | None:
        """Return what goes wrong, after the wait for it; a mail that is taken all the same is delivered."""
        failure = await self._rehearsal.failures.meet("http", mail.recipients)
        if failure is not None and failure.takes_mail:
            self._deliver(mail, api)
        return failure

    def _deliver(self, mail: mail_services.Taken, api: str = services.FORM, refused: Container[str] = ()) -> None:
        recipients = [each for each in mail.recipients if each not in refused]
        service = services.by_api(api)
        # Only into a mailbox do mails come back; other services tell their own pages.
        reports = service is not None and service.has_mailbox
        self._rehearsal.deliver(mail.sender, recipients, mail.content, reports=reports)

    def _take_order(self, headers: dict[str, str], body: bytes) -> Response:
        if not hmac.compare_digest(
            headers.get("authorization", "").encode(), f"Bearer {self._rehearsal.token}".encode()
        ):
            return Response(HTTPStatus.FORBIDDEN, _("This sandbox accepts no requests without its token."))
        if not body:
            return Response(HTTPStatus.OK, _("I am here."))
        order = json.loads(body)
        if order is None:
            self._rehearsal.failures.reset()
        else:
            self._rehearsal.failures.add(Failure(**order))
        return Response(HTTPStatus.OK, _("Done."))

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
                if len(body) > self._rehearsal.size_limit:
                    raise _Trouble(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _("The message is too large."))
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                return request, bytes(body)
            else:
                raise ConnectionError


def _check_sender(method: bytes, headers: dict[str, str]) -> None:
    if method != b"POST":
        raise _Trouble(HTTPStatus.METHOD_NOT_ALLOWED, _("Mail is sent with POST."))
    _check_origin(headers)


def _check_origin(headers: dict[str, str]) -> None:
    if "origin" in headers:
        # A page in the user's browser must not fill the inbox.
        raise _Trouble(HTTPStatus.FORBIDDEN, _("Web pages cannot send mail here."))


def _send(http: h11.Connection, writer: asyncio.StreamWriter, response: Response) -> None:
    status, content, media_type = response
    page = browser_page.HEADERS if media_type.startswith("text/html") else {"Content-Type": media_type}
    headers = [*page.items(), ("Content-Length", str(len(content.encode()))), ("Connection", "close")]
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE} and "json" in media_type:
        headers.append(("Retry-After", str(mail_services.RETRY_SECONDS)))
    if status == HTTPStatus.SEE_OTHER:
        headers += [("Location", content), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")]
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    writer.write(http.send(h11.Response(status_code=status, headers=headers, reason=reason.encode())) or b"")
    writer.write(http.send(h11.Data(data=content.encode())) or b"")
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


def _mail(parts: list[_Part]) -> mail_services.Taken:
    """Return the form as a mail."""
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
    return mail_services.Taken(written(mail), SENDER, tuple(address.addr_spec for address in to))
