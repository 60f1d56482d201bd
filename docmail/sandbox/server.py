"""Runs a sandbox's three ports in one thread: SMTP with STARTTLS, SMTP with TLS from the first byte, HTTP forms."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import socket
import threading
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from docmail.sandbox.http_server import HttpEndpoint
from docmail.sandbox.misbehaviour import linger, misbehave, refuse
from docmail.sandbox.smtp_server import SmtpServerProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping

    from docmail.sandbox.certificates import Certificate
    from docmail.sandbox.failures import Failures
    from docmail.sandbox.inbox import Inbox
    from docmail.sandbox.oauth_server import IdentityProvider
    from docmail.secret import Secret

HOST = "127.0.0.1"
SIZE_LIMIT = 50_000_000
"""The largest mail that is taken; providers take 25 to 50 MB."""

_CLOSING_SECONDS = 0.5
_ACCEPTING_SECONDS = 0.01
_QUEUE = 8  # more than any system puts into the shortest queue
_log = logging.getLogger(__name__)


class Ports(NamedTuple):
    """Where the three listen."""

    starttls: int
    tls: int
    http: int


class Server:
    """The three servers of one sandbox; they run until `stop()`."""

    def __init__(  # noqa: PLR0913 - what a server must know
        self,
        inbox: Inbox,
        failures: Failures,
        certificate: Certificate,
        *,
        username: str,
        secret: Secret,
        address: str,
        offers: Mapping[str, Any],
        token: str,
        identity: IdentityProvider,
        wanted: Ports | None = None,
    ) -> None:
        self._tls = certificate.server_context()
        self._refuses = certificate.refuses
        self._failures = failures
        self._sockets = _listen_at(wanted or (0, 0, 0))
        self.ports = Ports(*(int(sock.getsockname()[1]) for sock in self._sockets))
        self._endpoint = HttpEndpoint(
            inbox,
            failures,
            token=token,
            size_limit=SIZE_LIMIT,
            lets_in=lambda key: hmac.compare_digest(key.encode(), secret.octets()) or identity.lets_in(key),
            identity=identity,
        )
        self._connections: set[SmtpServerProtocol] = set()
        self._account: dict[str, Any] = {
            "username": username,
            "secret": secret,
            "identity": identity,
            "address": address,
            "refuses": certificate.refuses,
            "offers": offers,
            "inbox": inbox,
            "failures": failures,
            "size_limit": SIZE_LIMIT,
            "connections": self._connections,
        }
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        # A daemon, because the interpreter waits for other threads before it runs what is registered for its exit.
        self._thread = threading.Thread(target=self._run, name=f"docmail-sandbox-{self.ports.starttls}", daemon=True)
        self._silence = _Silence(self._thread)

    def start(self) -> None:
        """Begin; returns when all ports answer."""
        logging.getLogger("mail.log").addFilter(self._silence)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            logging.getLogger("mail.log").removeFilter(self._silence)
            raise

    def stop(self) -> None:
        """Close the ports and every connection, and end the thread."""
        self._ready.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()
        logging.getLogger("mail.log").removeFilter(self._silence)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        except BaseException as exc:  # noqa: BLE001 - handed to whoever waits in start()
            if not self._ready.done():
                self._ready.set_exception(exc)
            _log.debug("the sandbox's server ended", exc_info=exc)
        finally:
            for sock in self._sockets:
                sock.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        # Clients that hang up or refuse the certificate are what a rehearsal is about, not news for the terminal.
        loop.set_exception_handler(lambda _loop, context: _log.debug("%s", context["message"]))
        starttls, tls, http = self._sockets

        def greets(context: ssl.SSLContext | None) -> SmtpServerProtocol:
            return SmtpServerProtocol(tls=context, **self._account)

        servers = [
            await loop.create_server(lambda: greets(self._tls), sock=starttls),
            await loop.create_server(self._tls_first(lambda: greets(None)), sock=tls),
            await asyncio.start_server(self._endpoint.serve, sock=http),
        ]
        self._ready.set_result(loop)
        await self._stop.wait()
        # A server that is closed while it lets somebody in leaves that connection open for ever, so
        # first nobody is let in any more, and whoever was gets his place in the list.
        with suppress(NotImplementedError):  # Windows
            for sock in self._sockets:
                loop.remove_reader(sock)
        await asyncio.sleep(_ACCEPTING_SECONDS)
        for server in servers:
            server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                while self._connections:
                    for connection in tuple(self._connections):
                        connection.cut()
                    await asyncio.sleep(0.001)
        # What is left are tasks, which the runner cancels: HTTP requests, handshakes.

    def _tls_first(self, speak: Callable[[], SmtpServerProtocol]) -> Callable[[], asyncio.Protocol]:
        return lambda: _TlsFirst(self._tls, self._failures, speak, refuses=self._refuses)


class _TlsFirst(asyncio.Protocol):
    """A connection that is encrypted before anybody says anything.

    The loop could do this by itself, but keeps clients that stop in the middle of the handshake to itself, and nobody
    could close them.
    """

    def __init__(
        self, tls: ssl.SSLContext, failures: Failures, speak: Callable[[], SmtpServerProtocol], *, refuses: bool
    ) -> None:
        self._tls = tls
        self._refuses = refuses
        self._failures = failures
        self._speak = speak
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Encrypt, then speak."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server() makes
        transport.pause_reading()  # the client's first bytes belong to TLS
        self._task = asyncio.get_running_loop().create_task(self._encrypt(transport))

    async def _encrypt(self, transport: asyncio.Transport) -> None:
        try:
            await self._begin(transport)
        except asyncio.CancelledError:
            transport.abort()  # the sandbox closes
            raise

    async def _begin(self, transport: asyncio.Transport) -> None:
        seconds, failure = self._failures.delay("handshake"), self._failures.next("handshake")
        if seconds or failure is not None:
            transport.resume_reading()
            if failure is None:
                await linger(transport, seconds)
            elif failure.does == "drop":
                transport.write_eof()  # to close with words unread would be a reset
                await linger(transport)
            else:
                await misbehave(failure, transport)
            transport.abort()
            return
        if self._refuses:
            await refuse(transport, self._tls)
            return
        protocol = self._speak()
        try:
            encrypted = await asyncio.get_running_loop().start_tls(transport, protocol, self._tls, server_side=True)
        except OSError:
            transport.abort()  # the client does not trust the certificate, or speaks no TLS
        else:
            if encrypted is not None:
                protocol.connection_made(encrypted)


class _Silence(logging.Filter):
    """Keeps what aiosmtpd logs in one thread out of every log: replies, commands, and parts of sign-ins."""

    def __init__(self, thread: threading.Thread) -> None:
        super().__init__()
        self._thread = thread

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record may pass."""
        return record.thread != self._thread.ident


class Nowhere:
    """Two ports at which nobody answers: one refuses connections, the other leaves them without an answer."""

    def __init__(self) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _number in range(2)]
        full = self._sockets[1]
        for sock in self._sockets:
            sock.bind((HOST, 0))  # kept, so that no other program gets the port
        self.closed, self.blackhole = (int(sock.getsockname()[1]) for sock in self._sockets)
        full.listen(0)
        # Connections that nobody accepts fill the queue; from then on the system ignores further ones.
        for _number in range(_QUEUE):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.settimeout(0)
            filler.connect_ex((HOST, self.blackhole))
            self._sockets.append(filler)

    def close(self) -> None:
        """Give the ports back."""
        for sock in self._sockets:
            sock.close()


def _listen_at(ports: Iterable[int]) -> list[socket.socket]:
    """Return a socket for each port, or none at all."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(_listen(port)) for port in ports]
        opened.pop_all()
    return sockets


def _listen(port: int) -> socket.socket:
    """Return a socket that listens at this port, or at another one if it is taken."""
    for wanted in dict.fromkeys((port, 0)):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it lets two servers take one port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, wanted))
            sock.listen(128)
        except OSError:
            sock.close()
            if not wanted:
                raise
        else:
            return sock
    raise AssertionError
