"""Runs a sandbox's three ports in one thread: SMTP with STARTTLS, SMTP with TLS from the first byte, HTTP forms."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from docmail.sandbox.http import HttpEndpoint
from docmail.sandbox.smtp import SmtpServerProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from docmail.credentials import Secret
    from docmail.sandbox.certificates import Certificate
    from docmail.sandbox.failures import Failures
    from docmail.sandbox.inbox import Inbox

HOST = "127.0.0.1"
SIZE_LIMIT = 50_000_000
"""The largest mail that is taken; providers take 25 to 50 MB."""

_CLOSING_SECONDS = 0.5
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
        token: str,
        wanted: Ports | None = None,
    ) -> None:
        self._tls = certificate.server_context()
        self._sockets = _listen_at(wanted or (0, 0, 0))
        self.ports = Ports(*(int(sock.getsockname()[1]) for sock in self._sockets))
        self._endpoint = HttpEndpoint(inbox, failures, token=token, size_limit=SIZE_LIMIT)
        self._connections: set[SmtpServerProtocol] = set()
        self._account: dict[str, Any] = {
            "username": username,
            "secret": secret,
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
            await loop.create_server(lambda: _TlsFirst(self._tls, lambda: greets(None)), sock=tls),
            await asyncio.start_server(self._endpoint.serve, sock=http),
        ]
        self._ready.set_result(loop)
        await self._stop.wait()
        for server in servers:
            server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                while self._connections:
                    for connection in tuple(self._connections):
                        connection.cut()
                    await asyncio.sleep(0.001)
        # What is left are tasks, which the runner cancels: HTTP requests, handshakes.


class _TlsFirst(asyncio.Protocol):
    """A connection that is encrypted before anybody says anything.

    The loop could do this by itself, but keeps clients that stop in the middle of the handshake to itself, and nobody
    could close them.
    """

    def __init__(self, tls: ssl.SSLContext, speak: Callable[[], SmtpServerProtocol]) -> None:
        self._tls = tls
        self._speak = speak
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Encrypt, then speak."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server() makes
        transport.pause_reading()  # the client's first bytes belong to TLS
        self._task = asyncio.get_running_loop().create_task(self._encrypt(transport))

    async def _encrypt(self, transport: asyncio.Transport) -> None:
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
