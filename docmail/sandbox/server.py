"""Runs a sandbox's four ports in one thread: SMTP with STARTTLS and with TLS from the first byte, HTTP forms, IMAP."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from docmail.errors import SettingsError
from docmail.language import _
from docmail.sandbox.failures import Failures
from docmail.sandbox.http_server import HttpEndpoint
from docmail.sandbox.imap_server import ImapEndpoint
from docmail.sandbox.misbehaviour import linger, misbehave, refuse
from docmail.sandbox.smtp_server import SmtpServerProtocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from docmail.sandbox.certificates import Certificate
    from docmail.sandbox.rehearsal import Rehearsal

HOST = "127.0.0.1"
_CLOSING_SECONDS = 0.5
_ACCEPTING_SECONDS = 0.01
_QUEUE = 8  # more than any system puts into the shortest queue
_log = logging.getLogger(__name__)


class Ports(NamedTuple):
    """The ports of the four servers: STARTTLS, TLS, HTTP and IMAP."""

    starttls: int
    tls: int
    http: int
    imap: int = 0
    """0 in what an earlier docmail wrote."""


class Server:
    """The four servers of one sandbox; they run until `stop()`."""

    def __init__(self, rehearsal: Rehearsal, certificate: Certificate, wanted: Ports | None = None) -> None:
        self._rehearsal = rehearsal
        self._tls = certificate.server_context()
        self._refuses = certificate.refuses
        self._sockets = _listen_at(wanted or (0, 0, 0, 0))
        self.ports = Ports(*(int(sock.getsockname()[1]) for sock in self._sockets))
        self._connections: set[SmtpServerProtocol] = set()
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
        except BaseException as exc:  # noqa: BLE001 - handed to start(), which waits
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
        starttls, tls, http, imap = self._sockets

        def greets(context: ssl.SSLContext | None) -> SmtpServerProtocol:
            return SmtpServerProtocol(self._rehearsal, context, self._connections, refuses=self._refuses)

        mailbox = ImapEndpoint(self._rehearsal)

        def reads() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(), mailbox.serve)

        servers = [
            await loop.create_server(lambda: greets(self._tls), sock=starttls),
            await loop.create_server(lambda: self._tls_first(lambda: greets(None), self._rehearsal.failures), sock=tls),
            await asyncio.start_server(HttpEndpoint(self._rehearsal).serve, sock=http),
            # What goes wrong is about sending, so this port has none of it.
            await loop.create_server(lambda: self._tls_first(reads, Failures()), sock=imap),
        ]
        self._ready.set_result(loop)
        await self._stop.wait()
        # A server that is closed while it accepts a connection leaves that connection open for ever. So it first
        # accepts no more, and those that it has accepted get their place in the list.
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
        # What is left are tasks, which the runner cancels: HTTP requests, IMAP, handshakes.

    def _tls_first(self, speak: Callable[[], asyncio.Protocol], failures: Failures) -> asyncio.Protocol:
        return _TlsFirst(self._tls, failures, speak, refuses=self._refuses)


class _TlsFirst(asyncio.Protocol):
    """A connection that is encrypted before anybody says anything.

    The loop could do this by itself, but keeps clients that stop in the middle of the handshake to itself: they
    could not be closed.
    """

    def __init__(
        self, tls: ssl.SSLContext, failures: Failures, speak: Callable[[], asyncio.Protocol], *, refuses: bool
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
    """Two ports without a server: one refuses connections, the other leaves them without an answer."""

    def __init__(self) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _number in range(2)]
        full = self._sockets[1]
        for sock in self._sockets:
            sock.bind((HOST, 0))  # kept, so that no other program gets the port
        self.closed, self.blackhole = (int(sock.getsockname()[1]) for sock in self._sockets)
        full.listen(0)
        # Connections that are not accepted fill the queue; from then on the system ignores further ones.
        for _number in range(_QUEUE):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.settimeout(0)
            filler.connect_ex((HOST, self.blackhole))
            self._sockets.append(filler)

    def close(self) -> None:
        """Close the ports and the connections."""
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
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        except OSError as exc:  # a system without IPv4
            raise _no_loopback(exc) from exc
        if os.name == "posix":  # elsewhere it lets two servers take one port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, wanted))
            sock.listen(128)
        except OSError as exc:
            sock.close()
            if not wanted:
                raise _no_loopback(exc) from exc
        else:
            return sock
    raise AssertionError


def _no_loopback(failure: OSError) -> SettingsError:
    return SettingsError(
        _("No program can listen at {host} on this computer ({reason}), and a sandbox listens there.").format(
            host=HOST, reason=failure.strerror or failure
        ),
        hint=_(
            "Ask this computer's administrator to switch on the network interface “lo” with the address {host}."
        ).format(host=HOST),
    )
