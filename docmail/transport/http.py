"""Sends mail by HTTP: a form is posted to a server, which mails it from an address of its own (`api="form"`).

The connection is that of SMTP: one deadline, checked certificates, Stop from another thread. The wire is left to h11,
which turns bytes into HTTP and back and does nothing by itself: it follows no redirect, reads no `.netrc`, unpacks and
repeats nothing. Client libraries know a time-out per read where one deadline is wanted, and hide the one thing that
decides here: whether the last byte of the body was handed over.

Each post has a connection of its own: a server may close a kept one at the moment in which it is used again, and then
nobody knows whether the mail was sent.
"""

from __future__ import annotations

import base64
import html
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit

import h11

from docmail.addresses import is_loopback
from docmail.errors import (
    TREATMENT,
    ConnectError,
    Deferred,
    DocmailError,
    Kind,
    MessageError,
    SendError,
    TLSError,
)
from docmail.replies import Reply, clean
from docmail.settings import HttpServer
from docmail.transport.base import REPLY_SECONDS, Deadline, SendResult
from docmail.transport.connection import Connection, ServerClosed, stopped, tls_context, tls_failure
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from types import TracebackType
    from urllib.parse import SplitResult

    from docmail.credentials import Secret
    from docmail.message import Attachment, Mail
    from docmail.settings import Settings

_PIECE = 65536
_MAX_REPLY = 65536  # octets of a reply's head, and of its body; the rest is not read
_WORDS_SECONDS = 10.0  # for the text of a reply whose status is known
_LAST_WORDS_SECONDS = 2.0  # for the reply of a server that hung up before it had everything
_FRESH_SECONDS = 5.0  # servers hang up on connections on which nothing is asked


class HttpTransport:
    """The way to one server that takes mail as an HTTP form."""

    def __init__(
        self,
        settings: Settings,
        secret: Secret | None,
        *,
        timeout: float = 60,
        reply_timeout: float = REPLY_SECONDS,
        observe: Callable[[str, str], None] | None = None,
    ) -> None:
        if not isinstance(settings.server, HttpServer):
            raise TypeError(settings.server)
        self._server = settings.server
        self._secret = secret
        self._url = urlsplit(self._server.full_url)
        self._host, self._port = settings.account.host, settings.account.port
        self._timeout = timeout
        self._reply_timeout = reply_timeout
        self._observe = observe or (lambda _phase, _text: None)
        self._proxy: SplitResult | None = None
        self._connection: _HttpConnection | None = None
        self._opened: tuple[Deadline, float] | None = None  # for the first post, if it comes soon
        self._aborted = False
        self.in_doubt = False

    # --- opening and ending ---

    def open(self) -> None:
        """Connect and encrypt."""
        deadline = Deadline(self._timeout)
        self._connect(deadline)
        self._opened = deadline, time.monotonic()

    def __enter__(self) -> HttpTransport:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; HTTP knows no good-bye."""
        self._opened = None
        if self._connection is not None:
            self._connection.close()

    def abort(self) -> None:
        """Break off from another thread."""
        self._aborted = True
        if self._connection is not None:
            self._connection.abort()

    # --- sending ---

    def send(self, mail: Mail, progress: Callable[[int, int], None] | None = None) -> SendResult:
        """Post the mail to its open recipients, and once more to each blind one, so that nobody sees them."""
        self.in_doubt = False
        head = mail.parsed()
        fields = _fields(head)
        # In a repetition only those are left who did not get it the first time.
        visible = [
            address for address in dict.fromkeys(_addresses(head, "To", "Cc")) if address in mail.recipients
        ]
        groups = [visible] if visible else []
        groups += [[address] for address in mail.recipients if address not in visible]
        accepted: list[str] = []
        refused: dict[str, Reply] = {}
        first: Reply | None = None
        for group in groups:
            form = _form({**fields, "to": ", ".join(group)}, mail.attachments)
            try:
                reply = self._post(form, None if accepted else progress)
            except DocmailError as exc:
                if not accepted:
                    raise
                # The mail itself was taken: a blind copy that is not, or is lost, does not undo that.
                refused[group[0]] = getattr(exc, "reply", None) or Reply(0, "", exc.message)
            else:
                accepted += group
                first = first or reply
            # Whoever is interrupted in a blind copy must not believe that nothing was sent.
            self.in_doubt = True
        self.in_doubt = False
        return SendResult(mail.message_id, tuple(accepted), refused, first)

    def _post(self, form: _Form, progress: Callable[[int, int], None] | None) -> Reply:
        opened, self._opened = self._opened, None
        if opened is not None and time.monotonic() - opened[1] < _FRESH_SECONDS:
            deadline = opened[0]
        else:
            self.close()
            deadline = Deadline(self._timeout)
            self._connect(deadline)
        try:
            return self._exchange(self._open_connection, form, deadline, progress)
        finally:
            self.close()

    def _exchange(
        self,
        connection: _HttpConnection,
        form: _Form,
        deadline: Deadline,
        progress: Callable[[int, int], None] | None,
    ) -> Reply:
        on_sent = (lambda sent: progress(sent, form.size)) if progress else (lambda _sent: None)
        failure: OSError | None = None
        doubt_before = self.in_doubt
        try:
            connection.ask(lambda: self._request(connection, form), deadline)
            connection.stream(self._with_doubt(form), on_sent)
        except SendError:
            raise
        except OSError as exc:
            # The last byte was not taken by the system, so the form is not complete anywhere.
            failure, self.in_doubt = exc, doubt_before
        else:
            self._observe("request", _("{size:.1f} kB handed over").format(size=form.size / 1000))
        wait = Deadline(_LAST_WORDS_SECONDS if failure else self._reply_timeout)
        try:
            response = connection.response(wait)
        except (OSError, h11.RemoteProtocolError) as exc:
            raise self._broken(failure, "request") if failure else self._lost(exc) from failure or exc
        whole = failure is None
        if not (whole and response.status_code in _DOUBTFUL):
            self.in_doubt = doubt_before
        reply = Reply(response.status_code, "", clean(connection.words(response, wait), self._secret))
        if not reply.positive or not whole:
            raise self._refusal(reply, response, whole=whole)
        self._observe("reply", str(reply)[:200])
        return reply

    def _with_doubt(self, form: _Form) -> Iterator[bytes]:
        pieces = form.pieces()
        held = next(pieces)
        for piece in pieces:
            yield held
            held = piece
        self.in_doubt = True
        yield held

    # --- connecting ---

    def _connect(self, deadline: Deadline) -> None:
        self._proxy = proxy = self._find_proxy()
        host, port = (proxy.hostname or "", proxy.port or 80) if proxy else (self._host, self._port)
        self._connection = connection = _HttpConnection(host, port)
        try:
            if self._aborted:
                raise stopped("dns")
            connection.open(deadline, self._observe)
            if self._url.scheme == "https":
                if proxy:
                    self._tunnel(connection, deadline)
                connection.encrypt(tls_context(None), deadline)
                self._observe("tls", connection.describe_tls())
        except SendError as exc:
            # The words of a connection speak of mail servers; here the URL is the one setting, or the proxy is wrong.
            if proxy:
                exc.field, exc.hint = None, _("Check the variable HTTPS_PROXY or HTTP_PROXY.")
            elif exc.phase == "connect":
                exc.field, exc.hint = (
                    "url",
                    _("Check the address; if it is right, ask whether a firewall blocks it."),
                )
            elif exc.field:
                exc.field = "url"
            connection.close()
            raise
        except OSError as exc:
            connection.close()
            raise stopped("tls") if self._aborted else _tls_failure(exc, self._host, self._port) from exc
        except BaseException:
            connection.close()
            raise

    def _find_proxy(self) -> SplitResult | None:
        """Return the HTTP proxy that the environment names for this server; SOCKS5_PROXY goes before it."""
        from urllib.request import getproxies, proxy_bypass

        if os.environ.get("SOCKS5_PROXY") or is_loopback(self._host) or proxy_bypass(self._host):
            return None
        proxies = getproxies()
        named = proxies.get(self._url.scheme) or proxies.get("all")
        if not named:
            return None
        proxy = urlsplit(named if "://" in named else f"http://{named}")
        if proxy.scheme != "http" or not proxy.hostname:
            # Never silently past a proxy: somebody wanted it. Its address may hold a password, so it is not shown.
            raise _error(
                Kind.NETWORK,
                "connect",
                _("The environment names a proxy of the kind {kind}://, which docmail cannot use.").format(
                    kind=clean(proxy.scheme)
                ),
                _("Name an http:// proxy in HTTPS_PROXY, or a SOCKS proxy in SOCKS5_PROXY."),
            )
        return proxy

    def _tunnel(self, connection: _HttpConnection, deadline: Deadline) -> None:
        place = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        try:
            connection.ask(
                lambda: h11.Request(
                    method="CONNECT", target=place, headers=[("Host", place), *_proxy_sign_in(self._proxy)]
                ),
                deadline,
            )
            response = connection.response(deadline)
        except (OSError, h11.RemoteProtocolError) as exc:
            raise self._broken(exc, "connect") from exc
        if not 200 <= response.status_code < 300:  # noqa: PLR2004
            reply = Reply(response.status_code, "", clean(response.reason.decode("latin-1")))
            raise _error(
                Kind.NETWORK,
                "connect",
                _("The proxy does not connect to {host}. It said: {reply}.").format(host=place, reply=reply),
                "",
                reply=reply,
            )
        connection.enter_tunnel(self._host)

    def _request(self, connection: _HttpConnection, form: _Form) -> h11.Request:
        proxy, plain = (self._proxy,) = self._url.scheme == "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        if self._port != (80 if plain else 443):
            host = f"{host}:{self._port}"
        target = quote(self._url.path or "/", safe="/%:@!$&'()*+,;=~")
        if self._url.query:
            target += "?" + quote(self._url.query, safe="/?%:@!$&'()*+,;=~")
        headers = [
            ("Host", host),
            ("User-Agent", "docmail"),
            ("Accept", "text/plain, text/html;q=0.9, */*;q=0.8"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
            ("Content-Type", form.media_type),
            ("Content-Length", str(form.size)),
        ]
        if proxy and plain:
            target = f"http://{host}{target}"
            headers += _proxy_sign_in(proxy)
        if self._server.username and self._secret:
            if plain and (proxy or not connection.peer_is_loopback):
                raise TLSError(
                    _("The password was not sent, because the connection to {host} is not encrypted.").format(
                        host=host
                    ),
                    kind=Kind.CONFIG,
                    phase="request",
                    hint=_("Begin the address with https://."),
                    field="url",
                    guide="Passwords",
                )
            headers.append(("Authorization", _basic(self._server.username, self._secret.reveal())))
        return h11.Request(method="POST", target=target, headers=headers)

    @property
    def _open_connection(self) -> _HttpConnection:
        if self._connection is None or not self._connection.is_open:
            raise stopped("request")
        return self._connection

    # --- what went wrong ---

    def _broken(self, failure: Exception, phase: str) -> SendError:
        if self._aborted:
            return stopped(phase)
        if isinstance(failure, TimeoutError):
            message = _("{host} took the form too slowly or stopped answering; nothing was sent.")
        else:
            message = _("{host} closed the connection before it had the whole form; nothing was sent.")
        hint = _("Check your network connection and try again; a smaller document may help.")
        return _error(Kind.NETWORK, phase, message.format(host=self._host), hint, guide="Sending")

    def _lost(self, failure: Exception) -> SendError:
        if isinstance(failure, TimeoutError):
            reason = _("{host} did not answer after the last byte")
        elif isinstance(failure, OSError):
            reason = _("the connection to {host} broke after the last byte")
        else:
            reason = _("{host} answered the last byte with something that is no HTTP reply")
        message = _("The mail may have arrived: {reason}.").format(reason=reason.format(host=self._host))
        return _error(Kind.UNKNOWN, "reply", message, _ask(), guide="Sending")

    def _refusal(self, reply: Reply, response: h11.Response, *, whole: bool) -> SendError:
        headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
        code, host = reply.code, self._host
        kind, what, hint, field, guide = _meaning(code, whole=whole, signed_in=bool(self._server.username))
        details: dict[str, Any] = {}
        if 300 <= code < 400:  # noqa: PLR2004
            place = urljoin(self._server.full_url, headers.get("location", ""))
            what = _(
                "{host} points to {place}; docmail sends no document to an address that you did not enter."
            )
            what = what.format(host=host, place=clean(place, self._secret)[:300])
        if TREATMENT[kind].error is Deferred:
            details["retry_after"] = _seconds(headers.get("retry-after", ""))
        message = _("{what} It said: {reply}.").format(what=what.format(host=host), reply=reply)
        return _error(kind, "reply", message, hint, reply=reply, field=field, guide=guide, **details)


class _HttpConnection(Connection):
    """A connection on which one question is asked (two, when the first goes to a proxy)."""

    _http = h11.Connection(h11.CLIENT)

    def ask(self, request: Callable[[], h11.Request], deadline: Deadline) -> None:
        """Send the head of a request."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_REPLY)
        try:
            self.send(self._http.send(request()) or b"", deadline)
        except BaseException as exc:
            # The frames below may hold a password in clear, and verbose tracebacks print their variables.
            raise exc.with_traceback(None) from None

    def enter_tunnel(self, host: str) -> None:
        """Talk to another host from now on, through the proxy that agreed."""
        self.host = host

    def response(self, deadline: Deadline) -> h11.Response:
        """Return the status and headers of the reply; raises `OSError` or `h11.RemoteProtocolError`."""
        while not isinstance(event := self._next(deadline), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("no HTTP reply")
        return event

    def words(self, response: h11.Response, deadline: Deadline) -> str:
        """Return the reply's text, or its status in words; never fails, because the status stands."""
        content = bytearray()
        with suppress(OSError, h11.RemoteProtocolError):
            wait = Deadline(min(_WORDS_SECONDS, deadline.remaining()))
            while len(content) < _MAX_REPLY and isinstance(event := self._next(wait), h11.Data):
                content += event.data
        kind = Message()  # reads the charset out of a Content-Type
        for name, value in response.headers:
            kind[name.decode("ascii")] = value.decode("latin-1")
        if kind.get("content-encoding", "identity") != "identity":
            content.clear()  # against the request; unpacking could yield any amount
        try:
            text = content[:_MAX_REPLY].decode(kind.get_content_charset("utf-8"), "replace")
        except LookupError:
            text = content[:_MAX_REPLY].decode("utf-8", "replace")
        return text if text.strip() else response.reason.decode("latin-1")

    def _next(self, deadline: Deadline) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._open_socket.settimeout(deadline.remaining())
            data = self._open_socket.recv(_PIECE)
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise ServerClosed
            self._http.receive_data(data)
        return event


# --- what a status means ----------------------------------------------------------------------------------------------

_DOUBTFUL = {502, 504, 520, 524}
"""A gateway's word that it lost the server behind it, which may have sent the mail before (52x: Cloudflare)."""


def _meaning(code: int, *, whole: bool, signed_in: bool) -> tuple[Kind, str, str, str | None, str | None]:
    """Return kind, sentence, hint, field and guide of a reply; `whole` says whether the server had the whole form."""
    again = _("Try again in a few minutes.")
    if whole and code in _DOUBTFUL:
        return (
            Kind.UNKNOWN,
            _("The mail may have arrived: the server behind {host} did not answer in time."),
            _ask(),
            None,
            "Sending",
        )
    if 200 <= code < 300:  # noqa: PLR2004
        return (
            Kind.UNKNOWN,
            _("The mail may have arrived: {host} accepted the form before it had all of it."),
            _ask(),
            None,
            "Sending",
        )
    if 300 <= code < 400:  # noqa: PLR2004
        return Kind.CONFIG, "", _("Enter that address, if you trust it."), "url", "Sending"
    if code in {401, 403} and signed_in:
        hint = _("Check Username and Password.")
        return (
            Kind.AUTH,
            _("{host} does not accept this username and password."),
            hint,
            "password",
            "Passwords",
        )
    if code in {401, 403}:
        hint = _("Check the address, and ask the server's administrator who may send through it.")
        return Kind.AUTH, _("{host} takes no mail from you."), hint, "url", "Sending"
    if code == 407:  # noqa: PLR2004
        hint = _("Put a name and a password into the variable HTTP_PROXY.")
        return Kind.NETWORK, _("The proxy wants a sign-in; nothing was sent."), hint, None, None
    if code == 429:  # noqa: PLR2004
        hint = _("Send the rest later.")
        return (
            Kind.LIMIT,
            _("The limit of {host} on how much you may send is reached."),
            hint,
            None,
            "Sending",
        )
    if code == 413:  # noqa: PLR2004
        hint = _("Send a smaller document.")
        return Kind.MESSAGE, _("{host} finds this message too large."), hint, None, "Sending"
    if code in _DOUBTFUL | {408, 425, 503, 507, 521, 522, 523}:
        return Kind.TEMPORARY, _("{host} does not take mail at the moment."), again, None, "Sending"
    if code in {400, 422} or code >= 500 and code != 501:  # noqa: PLR2004
        hint = _("Read what the server said; recipients, size and kinds of attachment are common reasons.")
        return Kind.MESSAGE, _("{host} does not take this message."), hint, None, "Sending"
    hint = _("Check the address; it is the one that your mail service names for its HTTP form.")
    return Kind.CONFIG, _("{host} takes no mail at this address."), hint, "url", "Sending"


def _ask() -> str:
    return _("Ask the recipient, or look for the copy, before you send it again.")


def _error(kind: Kind, phase: str, message: str, hint: str, **details: Any) -> SendError:
    return TREATMENT[kind].error(message, kind=kind, phase=phase, hint=hint, **details)


def _tls_failure(failure: OSError, host: str, port: int) -> TLSError:
    """Return the error for a failed handshake; an HTTP server has no fields for security, CA file and fingerprint."""
    error = tls_failure(failure, host, port, None)
    if error.field == "security":
        error.hint = _("Check the server's name and the port in the address.")
    elif error.field in {"ca_file", "fingerprint"}:
        error.hint = _("Have the issuer's CA added to this computer's, or name its file in SSL_CERT_FILE.")
    error.field = "url"
    return error


def _seconds(value: str) -> float | None:
    """Read Retry-After: seconds, or a date (RFC 9110 10.2.3)."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _proxy_sign_in(proxy: SplitResult | None) -> list[tuple[str, str]]:
    if proxy is None or proxy.username is None:
        return []
    return [("Proxy-Authorization", _basic(unquote(proxy.username), unquote(proxy.password or "")))]


# --- the form ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """A request's body, of which the attachments are read while they are sent."""

    media_type: str
    parts: tuple[bytes | Attachment, ...]  # bytes last

    @property
    def size(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self.parts)

    def pieces(self) -> Iterator[bytes]:
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from _file_pieces(part)


def _file_pieces(attachment: Attachment) -> Iterator[bytes]:
    # A network error must not look like this one, nor the other way round: both are an OSError.
    try:
        with attachment.open() as file:
            left = attachment.size
            while piece := file.read(_PIECE):
                left -= len(piece)
                if left < 0:
                    break
                yield piece
    except OSError as exc:
        raise MessageError(
            _("{name} cannot be read any more; the mail was not finished.").format(name=attachment.name),
            hint=_("Make the document again and send it."),
        ) from exc
    if left:
        raise MessageError(
            _("{name} changed its size while it was being sent; the mail was not finished.").format(
                name=attachment.name
            ),
            hint=_("Make the document again and send it."),
        )


def _form(fields: dict[str, str], attachments: tuple[Attachment, ...]) -> _Form:
    if not attachments:
        return _Form("application/x-www-form-urlencoded", (urlencode(fields).encode(),))
    boundary = f"docmail-{token_hex(16)}"
    parts: list[bytes | Attachment] = []
    text = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    for number, attachment in enumerate(attachments, 1):
        # As browsers write it (WHATWG, multipart/form-data): names in UTF-8, only these three escaped.
        name = attachment.name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        text += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file{number}"; filename="{name}"\r\n'
            f"Content-Type: {attachment.media_type}\r\n\r\n"
        )
        parts += [text.encode(), attachment]
        text = "\r\n"
    return _Form(f"multipart/form-data; boundary={boundary}", (*parts, f"\r\n--{boundary}--\r\n".encode()))


def _fields(head: EmailMessage) -> dict[str, str]:
    """Return the fields that all recipients share: name of the sender, address for replies, subject, HTML."""
    sender = head["From"].addresses[0]
    rich, plain = head.get_body(("html",)), head.get_body(("plain",))
    if rich is not None:
        body = rich.get_content()
    else:
        text = plain.get_content().strip() if plain is not None else ""
        body = html.escape(text, quote=False).replace("\n", "<br>\n")
    return {
        "from": _whole(sender.display_name or sender.addr_spec),
        "reply_to": ", ".join(_addresses(head, "Reply-To")),
        "subject": _whole(str(head["Subject"])),
        "body": body,
    }


def _addresses(head: EmailMessage, *names: str) -> list[str]:
    headers = [head[name] for name in names if head[name] is not None]
    return [_whole(address.addr_spec) for header in headers for address in header.addresses]


def _whole(text: str) -> str:
    """Join what the library leaves of raw UTF-8 in a header (RFC 6532) when it reads it back."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
