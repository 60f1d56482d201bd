"""Speaks HTTP to one server: connecting, through a proxy if one is named, encrypting, one question, one reply.

The connection is that of SMTP: one deadline, checked certificates, Stop from another thread. The wire is left
to h11, which turns bytes into HTTP and back and does nothing by itself: it follows no redirect, reads no
`.netrc`, unpacks nothing, repeats nothing. Client libraries have a time-out per read where one deadline is
wanted, and hide the one thing that decides here: whether the last byte of the body was handed over.
"""

from __future__ import annotations

import os
import re
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import h11

from docmail.addresses import ascii_host, is_loopback
from docmail.errors import ConnectError, Kind, SendError
from docmail.language import _
from docmail.net.connection import Connection, ServerClosed, stopped
from docmail.net.deadline import Deadline
from docmail.net.proxy import Proxy
from docmail.net.tls import tls_context, tls_failure
from docmail.replies import clean
from docmail.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 65536
_MAX_REPLY = 65536  # octets of a reply's head, and of its body; the rest is not read
_WORDS_SECONDS = 10.0  # for the text of a reply whose status is known


class Web:
    """The way to the server of a URL; each question has a connection of its own."""

    def __init__(self, url: str, observe: Callable[[str, str], None] | None = None) -> None:
        split = urlsplit(url)
        self.url = url
        self.plain = split.scheme == "http"
        self.host = ascii_host(split.hostname or "")
        self.port = split.port or (80 if self.plain else 443)
        self.proxy: Proxy | None = None
        self.connection: WebConnection | None = None
        self.aborted = False
        self._context: ssl.SSLContext | None = None
        self._observe = observe or (lambda _phase, _text: None)

    def close(self) -> None:
        """Close; HTTP knows no good-bye."""
        if self.connection is not None:
            self.connection.close()

    def abort(self) -> None:
        """Break off from another thread."""
        self.aborted = True
        if self.connection is not None:
            self.connection.abort()

    def head(self, method: str, headers: list[tuple[str, str]], url: str | None = None) -> h11.Request:
        """Return the head of a question to the URL, or to another one of the same server."""
        host = bracketed(self.host)
        if self.port != (80 if self.plain else 443):
            host = f"{host}:{self.port}"
        _scheme, _host, path, query, _fragment = urlsplit(url or self.url)
        target = quote(path or "/", safe=_URL_SIGNS) + (f"?{quote(query, safe=_URL_SIGNS)}" if query else "")
        headers = [
            ("Host", host),
            ("User-Agent", "docmail"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
            *headers,
        ]
        if self.proxy and self.plain:
            target = f"http://{host}{target}"
            headers += self.proxy.sign_in_header
        return h11.Request(method=method, target=target, headers=headers)

    @property
    def is_safe(self) -> bool:
        """Whether a secret may be said: under encryption, or to this computer itself."""
        return not self.plain or bool(not self.proxy and self.connection and self.connection.peer_is_loopback)

    # --- connecting ---

    def connect(self, deadline: Deadline) -> None:
        """Connect and encrypt."""
        self.proxy = proxy = self._find_proxy()
        host, port = (proxy.host, proxy.port) if proxy else (self.host, self.port)
        self.connection = connection = WebConnection(host, port)
        if self.aborted:
            connection.abort()
        try:
            connection.open(deadline, self._observe)
            if not self.plain:
                if proxy:
                    self._tunnel(connection, proxy, deadline)
                # Once for all mails: reading the system's authorities takes longer than a handshake.
                self._context = self._context or tls_context(None)
                connection.encrypt(self._context, deadline)
                self._observe("tls", connection.describe_tls())
        except OSError as exc:
            connection.close()
            if isinstance(exc, SendError):
                raise _for_url(exc, proxied=proxy is not None) from exc.__cause__
            shown = self._unverified_certificate(deadline) if isinstance(exc, ssl.CertificateError) else None
            raise _for_url(tls_failure(exc, self.host, self.port, shown)) from exc
        except BaseException:
            connection.close()
            raise

    def _unverified_certificate(self, deadline: Deadline) -> bytes | None:
        """Return the certificate that could not be verified, by a second connection on which nothing is said."""
        proxy = self.proxy
        host, port = (proxy.host, proxy.port) if proxy else (self.host, self.port)
        self.connection = connection = WebConnection(host, port)
        if self.aborted:
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
        if os.environ.get("SOCKS5_PROXY") or is_loopback(self.host):
            return None
        try:
            proxy = Proxy.of_environment("http" if self.plain else "https", self.host)
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
            raise _unconnected(message.format(scheme=clean(proxy.scheme)), hint)
        return proxy

    def _tunnel(self, connection: WebConnection, proxy: Proxy, deadline: Deadline) -> None:
        place = f"{bracketed(self.host)}:{self.port}"
        headers = [("Host", place)]
        try:
            connection.ask(
                lambda: h11.Request(method="CONNECT", target=place, headers=headers + proxy.sign_in_header),
                deadline,
            )
            response = connection.response(deadline)
        except (OSError, h11.RemoteProtocolError) as exc:
            if self.aborted:
                raise stopped("connect") from exc  # noqa: EM101 - a phase, no sentence
            raise _unconnected(_("The proxy does not answer as an HTTP proxy does."), "") from exc
        if not 200 <= response.status_code < 300:  # noqa: PLR2004
            reply = Reply(response.status_code, "", clean(response.reason.decode("latin-1")))
            message = _("The proxy does not connect to {host}. It said: {reply}.").format(host=place, reply=reply)
            raise _unconnected(message, "", reply=reply)
        connection.host = self.host  # whose certificate is expected from here on


def _unconnected(message: str, hint: str, reply: Reply | None = None) -> ConnectError:
    return ConnectError(message, kind=Kind.NETWORK, phase="connect", hint=hint, reply=reply)


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


class WebConnection(Connection):
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
        headers = headers_of(response)
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


def headers_of(response: h11.Response) -> dict[str, str]:
    """Return the headers of a reply, their names in small letters."""
    return {name.decode("ascii"): value.decode("latin-1").strip() for name, value in response.headers}


def bracketed(host: str) -> str:
    """Return a host as it is written before a port."""
    return f"[{host}]" if ":" in host else host
