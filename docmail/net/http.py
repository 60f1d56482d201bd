"""Speaks HTTP to one server: connecting, through a proxy if one is named, encrypting, one request, one response.

The connection is that of SMTP: one deadline, checked certificates, Stop from another thread. The wire is left
to h11, which turns bytes into HTTP and back and does nothing by itself: it follows no redirect, reads no
`.netrc`, unpacks nothing, repeats nothing. Client libraries have a time-out per read where one deadline is
wanted, and hide the one thing that decides here: whether the last byte of the body was handed over.
"""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import h11

from docmail.addresses import ascii_host, is_loopback
from docmail.errors import ConnectError, Kind, Phase, SendError
from docmail.language import _
from docmail.net.advice import FOR_URL
from docmail.net.connection import Connection, ServerClosed, stopped
from docmail.net.deadline import Deadline
from docmail.net.proxy import Proxy, by_socks
from docmail.net.tls import tls_context, tls_failure
from docmail.replies import clean
from docmail.reply import Reply
from docmail.secret import frames_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docmail.net.advice import Advice

_PIECE = 65536
# Of the charsets that Python knows, those of texts: "unicode_escape" makes halves of letters, "punycode" takes long.
_CHARSETS = re.compile(
    r"utf-?(8|16|32)([_-]?[bl]e)?|(us-)?ascii|latin-?[0-9]+|iso-?8859-[0-9]+|(windows-|cp)[0-9]+|koi8-[ru]|gb[0-9k]+"
    r"|big5(-hkscs)?|euc-(jp|kr)|shift[_-]jis",
    re.IGNORECASE,
)
_MAX_REPLY = 65536  # octets of a reply's head, and of its body; the rest is not read
_WORDS_SECONDS = 10.0  # for the text of a reply whose status is known


class Web:
    """The way to the server of a URL; each request has a connection of its own."""

    def __init__(self, url: str, observe: Callable[[str, str], None] | None = None, advice: Advice = FOR_URL) -> None:
        split = urlsplit(url)
        self.url = url
        self.plain = split.scheme == "http"
        self.host = ascii_host(split.hostname or "")
        self.port = split.port or (80 if self.plain else 443)
        self.proxy: Proxy | None = None
        self.connection: WebConnection | None = None
        self.aborted = False
        self._context: ssl.SSLContext | None = None
        self._advice = advice
        self._observe = observe or (lambda _phase, _text: None)

    def close(self) -> None:
        """Close; HTTP knows no good-bye."""
        if self.connection is not None:
            self.connection.close()

    def abort(self) -> None:
        """Abort from another thread."""
        self.aborted = True
        if self.connection is not None:
            self.connection.abort()

    def head(self, method: str, headers: list[tuple[str, str]], url: str | None = None) -> h11.Request:
        """Return the head of a request to the URL, or to another one of the same server."""
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
        self.proxy = self._find_proxy()
        connection = self._new_connection()
        try:
            connection.open(deadline, self._observe)
            if not self.plain:
                self._tunnel(connection, deadline)
                # Once for all mails: reading the system's authorities takes longer than a handshake.
                self._context = self._context or tls_context(None)
                connection.encrypt(self._context, deadline)
                self._observe(Phase.TLS, connection.describe_tls())
        except OSError as exc:
            connection.close()
            if isinstance(exc, SendError):
                raise
            shown = self._unverified_certificate(deadline) if isinstance(exc, ssl.CertificateError) else None
            raise tls_failure(exc, self.host, self.port, shown, advice=self._advice) from exc
        except BaseException:
            connection.close()
            raise

    def _new_connection(self) -> WebConnection:
        """Return a connection to the server or its proxy, closed yet, and aborted if somebody has pressed Stop."""
        host, port = (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)
        advice = replace(self._advice, proxied=self.proxy is not None)
        self.connection = connection = WebConnection(host, port, advice)
        if self.aborted:
            connection.abort()
        return connection

    def _unverified_certificate(self, deadline: Deadline) -> bytes | None:
        """Return the certificate that could not be verified, by a second connection on which nothing is said."""
        connection = self._new_connection()
        try:
            connection.open(deadline, lambda _phase, _text: None)
            self._tunnel(connection, deadline)
            connection.encrypt(tls_context(None, verify=False), deadline)
            return connection.certificate()
        except OSError:
            return None  # the error about the check stands; only the certificate is missing from it
        finally:
            connection.close()

    def _find_proxy(self) -> Proxy | None:
        """Return the HTTP proxy that the environment names for this server; SOCKS5_PROXY goes before it."""
        if by_socks(self.host, self.port) or is_loopback(self.host):
            return None
        with frames_hidden:
            proxy = Proxy.of_environment("http" if self.plain else "https", self.host, self.port)
        if proxy and (proxy.scheme != "http" or not proxy.host):
            # Never silently past a proxy: somebody wanted it. It may hold a password, so it is not shown.
            message = _("The environment names a proxy that docmail cannot use (“{scheme}”).")
            if proxy.scheme == "http":
                hint = _("Check HTTPS_PROXY and HTTP_PROXY; in a password, / is written %2F, and # is written %23.")
            else:
                hint = _("Name an http:// proxy in HTTPS_PROXY, or a SOCKS proxy in SOCKS5_PROXY.")
            raise ConnectError(
                message.format(scheme=clean(proxy.scheme)),
                kind=Kind.NETWORK,
                **self._advice.of(Phase.CONNECT, None, hint),
            )
        return proxy

    def _tunnel(self, connection: WebConnection, deadline: Deadline) -> None:
        """Have the proxy, if there is one, connect to the server."""
        if (proxy := self.proxy) is None:
            return
        place = f"{bracketed(self.host)}:{self.port}"
        advice = replace(self._advice, proxied=True).of(Phase.CONNECT, None, "")
        try:
            connection.ask(
                lambda: h11.Request(method="CONNECT", target=place, headers=[("Host", place), *proxy.sign_in_header]),
                deadline,
            )
            response = connection.response(deadline)
        except (OSError, h11.RemoteProtocolError) as exc:
            if self.aborted:
                raise stopped(advice["phase"]) from exc
            raise ConnectError(
                _("The proxy does not answer as an HTTP proxy does."), kind=Kind.NETWORK, **advice
            ) from exc
        if response.status_code == 407:  # noqa: PLR2004
            raise _proxy_sign_in(response, given=proxy.sign_in is not None, advice=advice)
        if not 200 <= response.status_code < 300:  # noqa: PLR2004
            reply = Reply(response.status_code, "", clean(response.reason.decode("latin-1")))
            message = _("The proxy does not connect to {host}. It said: {reply}.").format(host=place, reply=reply)
            raise ConnectError(message, kind=Kind.NETWORK, reply=reply, **advice)
        connection.host = self.host  # whose certificate is expected from here on

    # --- a small request ---

    def request(
        self, method: str, headers: Iterable[tuple[str, str]], body: bytes, deadline: Deadline
    ) -> tuple[WebConnection, h11.Response]:
        """Send a request after `connect()`; return the connection, to read the body from, and the response's head.

        Raises `OSError` or `h11.RemoteProtocolError`.
        """
        if (connection := self.connection) is None:
            raise ServerClosed
        own = [("Content-Length", str(len(body)))] if method == "POST" else []
        connection.ask(lambda: self.head(method, [*own, *headers]), deadline)
        connection.send(body, deadline)
        return connection, connection.response(deadline)


# --- the wire -----------------------------------------------------------------------------------------------

_URL_SIGNS = "/?%:@!$&'()*+,;=~"  # RFC 3986 3.3, and what is escaped already


class WebConnection(Connection):
    """A connection for one request (two, when the first goes to a proxy)."""

    _http = h11.Connection(h11.CLIENT)

    def ask(self, request: Callable[[], h11.Request], deadline: Deadline) -> None:
        """Send the head of a request."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_REPLY)
        with frames_hidden:
            self.send(self._http.send(request()) or b"", deadline)

    def response(self, deadline: Deadline) -> h11.Response:
        """Return the status and headers of the response; raises `OSError` or `h11.RemoteProtocolError`."""
        while not isinstance(event := self._next(deadline), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise ServerClosed
        return event

    def pieces(self, deadline: Deadline) -> Iterator[bytes]:
        """Yield the body of the response; raises `OSError` or `h11.RemoteProtocolError`, also for one that is cut."""
        while isinstance(event := self._next(deadline), h11.Data):
            yield event.data

    def words(self, response: h11.Response, deadline: Deadline, most: int = _MAX_REPLY) -> str:
        """Return the text of the response, or its status in words; never fails, because the status stands.

        Of its body, `most` octets are read.
        """
        content = bytearray()
        with suppress(OSError, h11.RemoteProtocolError):
            for piece in self.pieces(Deadline(min(_WORDS_SECONDS, deadline.remaining()))):
                content += piece
                if len(content) >= most:
                    break
        headers = headers_of(response)
        if headers.get("content-encoding", "identity") != "identity":
            content.clear()  # against the request, and unpacking could yield any amount
        named = re.search(r"charset=\"?([\w-]+)", headers.get("content-type", ""), re.IGNORECASE)
        charset = named[1] if named and _CHARSETS.fullmatch(named[1]) else "utf-8"
        try:
            text = content[:most].decode(charset, "replace")
        except (LookupError, UnicodeError):
            text = content[:most].decode("utf-8", "replace")
        text = text.removeprefix("\ufeff")  # the mark of UTF-8 is no part of the text
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
    """Return the headers of a response, their names in small letters."""
    return {name.decode("ascii"): value.decode("latin-1").strip() for name, value in response.headers}


def _proxy_sign_in(response: h11.Response, *, given: bool, advice: dict[str, Any]) -> ConnectError:
    """Return the error for a proxy that lets nobody through without a sign-in, or not with this one (RFC 9110)."""
    wanted = [value.decode("latin-1") for name, value in response.headers if name == b"proxy-authenticate"]
    schemes = [scheme for each in wanted for scheme in re.findall(r"(?:^|,\s*)([A-Za-z]+)(?=\s|,|$)", each)]
    shown = ", ".join(dict.fromkeys(schemes))[:100]
    if schemes and "basic" not in (scheme.lower() for scheme in schemes):
        message = _("The proxy wants a sign-in that docmail does not know ({schemes}).").format(schemes=shown)
        hint = _(
            "Ask the proxy's administrator for a sign-in with a name and a password, or whether "
            "this server can be reached without the proxy (NO_PROXY)."
        )
    elif given:
        message = _("The proxy does not accept the name and the password in HTTPS_PROXY.")
        hint = _("Correct them; in a password, @ is written %40, / is written %2F, and # is written %23.")
    else:
        message = _("The proxy wants a sign-in.")
        hint = _("Put a name and a password into HTTPS_PROXY: http://name:password@host:port.")
    reply = Reply(407, "", clean(response.reason.decode("latin-1")))
    return ConnectError(message, kind=Kind.NETWORK, reply=reply, **{**advice, "hint": hint})


def bracketed(host: str) -> str:
    """Return a host as it is written before a port."""
    return f"[{host}]" if ":" in host else host
