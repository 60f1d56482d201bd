"""Sends mail by HTTP: a form is posted to a server, which mails it from an address of its own (`api="form"`).

The connection is that of SMTP: one deadline, checked certificates, Stop from another thread. The wire is left
to h11, which turns bytes into HTTP and back and does nothing by itself: it follows no redirect, reads no
`.netrc`, unpacks nothing, repeats nothing. Client libraries have a time-out per read where one deadline is
wanted, and hide the one thing that decides here: whether the last byte of the body was handed over.

Each post has a connection of its own: a server may close a kept one at the moment in which it is used again,
and then nobody knows whether the mail was sent.
"""

from __future__ import annotations

import os
import re
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

import h11

from docmail.addresses import is_loopback
from docmail.causes import sentence
from docmail.credentials import Secret
from docmail.errors import TREATMENT, Deferred, DocmailError, Kind, OutcomeUnknown, SendError, TLSError
from docmail.replies import Reply, clean
from docmail.settings import HttpServer
from docmail.translation import _
from docmail.transport.base import LOST, REPLY_SECONDS, UNSENT, Deadline, SendResult
from docmail.transport.connection import Connection, ServerClosed, stopped
from docmail.transport.form import Form, addresses_of, fields_of, form_of
from docmail.transport.proxy import Proxy, basic
from docmail.transport.status import DOUBTFUL, cause, look_first, seconds_of
from docmail.transport.tls import tls_context, tls_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from docmail.message import Mail
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
        self._plain = urlsplit(self._server.full_url).scheme == "http"
        self._host, self._port = settings.account.host, settings.account.port
        self._timeout = timeout
        self._reply_timeout = reply_timeout
        self._observe = observe or (lambda _phase, _text: None)
        self._proxy: Proxy | None = None
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

    def __enter__(self) -> Self:
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
        """Post the mail, and once more to each blind recipient alone, so that nobody sees them."""
        self.in_doubt = False
        head = mail.parsed()
        fields = fields_of(head)
        # In a repetition only those are left who did not get it the first time.
        visible = [address for address in addresses_of(head, "To", "Cc") if address in mail.recipients]
        groups = [visible] if visible else []
        groups += [[address] for address in mail.recipients if address not in visible]
        accepted: list[str] = []
        refused: dict[str, Reply] = {}
        first: Reply | None = None
        for group in groups:
            form = form_of({**fields, "to": ", ".join(group)}, mail.attachments)
            try:
                reply = self._post(form, None if accepted else progress)
            except DocmailError as exc:
                if not accepted:
                    raise
                # The mail itself was taken: a blind copy that is not, or is lost, does not undo that.
                refused[group[0]] = _instead(exc)
            else:
                accepted += group
                first = first or reply
            # Whoever is interrupted from here on must not believe that nothing was sent.
            self.in_doubt = True
        return SendResult(mail.message_id, tuple(accepted), refused, first)

    def _post(self, form: Form, progress: Callable[[int, int], None] | None) -> Reply:
        opened, self._opened = self._opened, None
        if opened is not None and time.monotonic() - opened[1] < _FRESH_SECONDS:
            deadline = opened[0]
        else:
            self.close()
            deadline = Deadline(self._timeout)
            self._connect(deadline)
        try:
            return self._exchange(form, deadline, progress)
        finally:
            self.close()

    def _exchange(self, form: Form, deadline: Deadline, progress: Callable[[int, int], None] | None) -> Reply:
        if (connection := self._connection) is None:
            raise stopped("request")  # noqa: EM101 - a phase, no sentence
        on_sent = (lambda sent: progress(sent, form.size)) if progress else (lambda _sent: None)
        doubt_before = self.in_doubt
        failure: OSError | None = None
        try:
            connection.ask(lambda: self._request(connection, form), deadline)
            connection.stream(self._with_doubt(form), on_sent)
        except SendError:
            raise
        except OSError as exc:
            # The system did not take the last byte: nobody has the whole form. Perhaps the server said why.
            failure, self.in_doubt = exc, doubt_before
        else:
            self._observe("request", _("{size:.1f} kB handed over").format(size=form.size / 1000))
        wait = Deadline(_LAST_WORDS_SECONDS if failure else self._reply_timeout)
        try:
            response = connection.response(wait)
        except (OSError, h11.RemoteProtocolError) as exc:
            raise self._broken(failure) if failure else self._lost(exc) from failure or exc
        if failure or (response.status_code >= 300 and response.status_code not in DOUBTFUL):  # noqa: PLR2004
            self.in_doubt = doubt_before
        words = connection.words(response, wait)
        reply = Reply(response.status_code, "", clean(words, self._secret))
        if failure or not reply.positive:
            raise self._refusal(reply, _headers(response), whole=not failure)
        self._observe("reply", str(reply)[:200])
        return reply

    def _with_doubt(self, form: Form) -> Iterator[bytes]:
        pieces = form.pieces()
        held = next(pieces)
        for piece in pieces:
            yield held
            held = piece
        self.in_doubt = True
        yield held

    def _request(self, connection: _HttpConnection, form: Form) -> h11.Request:
        host = _bracketed(self._host)
        if self._port != (80 if self._plain else 443):
            host = f"{host}:{self._port}"
        _scheme, _host, path, query, _fragment = urlsplit(self._server.full_url)
        target = quote(path or "/", safe=_URL_SIGNS) + (f"?{quote(query, safe=_URL_SIGNS)}" if query else "")
        headers = [
            ("Host", host),
            ("User-Agent", "docmail"),
            ("Accept", "text/plain, text/html;q=0.9, */*;q=0.8"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
            ("Content-Type", form.media_type),
            ("Content-Length", str(form.size)),
        ]
        if self._proxy and self._plain:
            target = f"http://{host}{target}"
            headers += self._proxy.sign_in_header
        if self._server.username and self._secret:
            if self._plain and (self._proxy or not connection.peer_is_loopback):
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
            headers.append(("Authorization", basic(Secret(f"{self._server.username}:{self._secret.reveal()}"))))
        return h11.Request(method="POST", target=target, headers=headers)

    # --- connecting ---

    def _connect(self, deadline: Deadline) -> None:
        self._proxy = proxy = self._find_proxy()
        host, port = (proxy.host, proxy.port) if proxy else (self._host, self._port)
        self._connection = connection = _HttpConnection(host, port)
        if self._aborted:
            connection.abort()
        try:
            connection.open(deadline, self._observe)
            if not self._plain:
                if proxy:
                    self._tunnel(connection, proxy, deadline)
                connection.encrypt(tls_context(None), deadline)
                self._observe("tls", connection.describe_tls())
        except OSError as exc:
            connection.close()
            if isinstance(exc, SendError):
                raise _for_url(exc, proxied=proxy is not None) from exc.__cause__
            shown = self._unverified_certificate(deadline) if isinstance(exc, ssl.CertificateError) else None
            raise _for_url(tls_failure(exc, self._host, self._port, shown)) from exc
        except BaseException:
            connection.close()
            raise

    def _unverified_certificate(self, deadline: Deadline) -> bytes | None:
        """Return the certificate that could not be verified, by a second connection on which nothing is said."""
        proxy = self._proxy
        host, port = (proxy.host, proxy.port) if proxy else (self._host, self._port)
        self._connection = connection = _HttpConnection(host, port)
        if self._aborted:
            connection.abort()
        try:
            connection.open(deadline, lambda _phase, _text: None)
            if proxy:
                self._tunnel(connection, proxy, deadline)
            connection.encrypt(tls_context(None, verify=False), deadline)
            return connection.certificate()
        except OSError:
            return None  # the error about the check stands; only the certificate is missing from it
        finally:
            connection.close()

    def _find_proxy(self) -> Proxy | None:
        """Return the HTTP proxy that the environment names for this server; SOCKS5_PROXY goes before it."""
        if os.environ.get("SOCKS5_PROXY") or is_loopback(self._host):
            return None
        try:
            proxy = Proxy.of_environment("http" if self._plain else "https", self._host)
        except BaseException as exc:  # noqa: BLE001 - raised again
            # The frames below hold the proxy's password in clear, and verbose tracebacks print their variables.
            raise exc.with_traceback(None) from None
        if proxy and (proxy.scheme != "http" or not proxy.host):
            # Never silently past a proxy: somebody wanted it. It may hold a password, so it is not shown.
            message = _("The environment names a proxy that docmail cannot use (“{scheme}”).")
            if proxy.scheme == "http":
                hint = _("Check HTTPS_PROXY and HTTP_PROXY; in a password, / is written %2F, and # is written %23.")
            else:
                hint = _("Name an http:// proxy in HTTPS_PROXY, or a SOCKS proxy in SOCKS5_PROXY.")
            raise _error(Kind.NETWORK, "connect", message.format(scheme=clean(proxy.scheme)), hint)
        return proxy

    def _tunnel(self, connection: _HttpConnection, proxy: Proxy, deadline: Deadline) -> None:
        place = f"{_bracketed(self._host)}:{self._port}"
        headers = [("Host", place)]
        try:
            connection.ask(
                lambda: h11.Request(method="CONNECT", target=place, headers=headers + proxy.sign_in_header),
                deadline,
            )
            response = connection.response(deadline)
        except (OSError, h11.RemoteProtocolError) as exc:
            if self._aborted:
                raise stopped("connect") from exc  # noqa: EM101 - a phase, no sentence
            raise _error(Kind.NETWORK, "connect", _("The proxy does not answer as an HTTP proxy does."), "") from exc
        if not 200 <= response.status_code < 300:  # noqa: PLR2004
            reply = Reply(response.status_code, "", clean(response.reason.decode("latin-1")))
            message = _("The proxy does not connect to {host}. It said: {reply}.").format(host=place, reply=reply)
            raise _error(Kind.NETWORK, "connect", message, "", reply=reply)
        connection.host = self._host  # whose certificate is expected from here on

    # --- what went wrong ---

    def _broken(self, failure: Exception) -> SendError:
        if self._aborted:
            return stopped("request")
        if isinstance(failure, TimeoutError):
            message = _("{host} stopped reading, or the network is too slow; nothing was sent.")
        else:
            message = _("{host} closed the connection before it had the whole message; nothing was sent.")
        hint = _("Check your network connection and try again; a smaller document may help.")
        return _error(Kind.NETWORK, "request", message.format(host=self._host), hint, guide="Sending")

    def _lost(self, failure: Exception) -> SendError:
        if isinstance(failure, TimeoutError):
            message = _("The mail may have arrived: {host} did not answer after the last byte.")
        elif isinstance(failure, OSError):
            message = _("The mail may have arrived: the connection to {host} broke after the last byte.")
        else:
            message = _("The mail may have arrived: what {host} answered to the last byte is no HTTP reply.")
        return _error(Kind.UNKNOWN, "reply", message.format(host=self._host), look_first(), guide="Sending")

    def _refusal(self, reply: Reply, headers: dict[str, str], *, whole: bool) -> SendError:
        meaning = cause(reply.code, whole=whole, signed_in=bool(self._server.username and self._secret))
        place = clean(urljoin(self._server.full_url, headers.get("location", "")), self._secret)[:300]
        what = meaning.message.format(host=self._host, place=place)
        details: dict[str, Any] = {}
        if TREATMENT[meaning.kind].error is Deferred:
            details["retry_after"] = seconds_of(headers.get("retry-after", ""))
        return _error(
            meaning.kind,
            "reply",
            _("{what} It said: {reply}").format(what=what, reply=sentence(str(reply))),
            meaning.hint,
            reply=reply,
            field=meaning.field,
            guide=meaning.guide,
            **details,
        )


def _error(kind: Kind, phase: str, message: str, hint: str, **details: Any) -> SendError:
    return TREATMENT[kind].error(message, kind=kind, phase=phase, hint=hint, **details)


def _instead(error: DocmailError) -> Reply:
    """Return what stands for a recipient in `refused`: the reply, unless there is none, or it decides nothing."""
    if isinstance(error, OutcomeUnknown):
        return Reply(LOST, "", error.message)
    return getattr(error, "reply", None) or Reply(UNSENT, "", error.message)


def _for_url(error: SendError, *, proxied: bool = False) -> SendError:
    """Put an error of the connection, which speaks of the fields of SMTP, in terms of HTTP's one field."""
    if proxied and error.phase != "tls":
        error.field, error.hint = None, _("Check the variables HTTPS_PROXY and HTTP_PROXY.")
    elif error.phase == "connect" and error.field == "port":
        error.hint = _("Check the address; if it is right, ask whether a firewall blocks it.")
    elif error.field == "security":
        error.hint = _("Check the server's name and the port in the address.")
    elif error.field in {"ca_file", "fingerprint"}:
        error.hint = _("Have the issuer's CA added to this computer's, or name its file in SSL_CERT_FILE.")
    error.field = error.field and "url"
    return error


# --- the wire -----------------------------------------------------------------------------------------------

_URL_SIGNS = "/?%:@!$&'()*+,;=~"  # RFC 3986 3.3, and what is escaped already


class _HttpConnection(Connection):
    """A connection on which one question is asked (two, when the first goes to a proxy)."""

    _http = h11.Connection(h11.CLIENT)

    def ask(self, request: Callable[[], h11.Request], deadline: Deadline) -> None:
        """Send the head of a request."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_REPLY)
        try:
            self.send(self._http.send(request()) or b"", deadline)
        except BaseException as exc:  # noqa: BLE001 - raised again
            # The frames below may hold a password in clear, and verbose tracebacks print their variables.
            raise exc.with_traceback(None) from None

    def response(self, deadline: Deadline) -> h11.Response:
        """Return the status and headers of the reply; raises `OSError` or `h11.RemoteProtocolError`."""
        while not isinstance(event := self._next(deadline), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise ServerClosed
        return event

    def words(self, response: h11.Response, deadline: Deadline) -> str:
        """Return the reply's text, or its status in words; never fails, because the status stands."""
        content = bytearray()
        with suppress(OSError, h11.RemoteProtocolError):
            wait = Deadline(min(_WORDS_SECONDS, deadline.remaining()))
            while len(content) < _MAX_REPLY and isinstance(event := self._next(wait), h11.Data):
                content += event.data
        headers = _headers(response)
        if headers.get("content-encoding", "identity") != "identity":
            content.clear()  # against the request, and unpacking could yield any amount
        charset = re.search(r"charset=\"?([\w-]+)", headers.get("content-type", ""), re.IGNORECASE)
        try:
            text = content[:_MAX_REPLY].decode(charset[1] if charset else "utf-8", "replace")
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


def _headers(response: h11.Response) -> dict[str, str]:
    return {name.decode("ascii"): value.decode("latin-1").strip() for name, value in response.headers}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
