"""A connection to one server, under one deadline, encrypted to that server and no other.

Everything that a network, a proxy or a name server can do wrong on the way becomes a sentence here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import queue
import re
import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from docmail.addresses import is_loopback
from docmail.errors import ConnectError, Field, Guide, Kind, Phase, SendError
from docmail.language import _
from docmail.net.advice import FOR_SMTP
from docmail.net.proxy import by_socks, is_exempt, is_for_web
from docmail.net.tls import read_certificate, read_verified
from docmail.presets import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from docmail.net.advice import Advice
    from docmail.net.deadline import Deadline
    from docmail.reply import Reply

_RECEIVE = 65536
_QUICK_ACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux
_LOOK_UP_SECONDS = 0.2  # how often a wait that nothing can interrupt looks whether it was aborted
# On Windows the codes of sockets are Winsock's, for which os.strerror() has no words; FormatError() has.
_IN_WORDS: Callable[[int], str] = getattr(ctypes, "FormatError", os.strerror)
_IN_PROGRESS = {errno.EINPROGRESS, errno.EWOULDBLOCK}  # what connect says on POSIX and on Windows


class ServerClosed(ConnectionError):
    """The server ended the connection where it should have said something."""


class Connection:
    """A TCP connection, plain at first; `encrypt()` makes it a TLS one."""

    def __init__(self, host: str, port: int, advice: Advice = FOR_SMTP) -> None:
        self.host = host
        self.port = port
        self._advice = advice
        self.encrypted = False
        self._socket: socket.socket | None = None
        self._peer: str | None = None  # the number of the other end, if nobody stands between
        self._buffer = bytearray()
        self._aborted = threading.Event()

    # --- reaching the server ---

    def open(self, deadline: Deadline, observe: Callable[[str, str], None]) -> None:
        """Look the name up and connect to the first of its addresses that answers."""
        self._buffer.clear()
        self.encrypted, self._peer = False, None
        # The proxy's address may hold a password, so it is in no variable that a verbose traceback prints.
        if by_socks(self.host, self.port):
            self._open_through_proxy(deadline)
            observe(Phase.CONNECT, _("port {port}, through the SOCKS5 proxy").format(port=self.port))
        else:
            addresses = self._look_up(self.host, self.port, deadline)
            observe(Phase.DNS, f"{self.host} → {addresses[0][4][0]}")
            started = time.monotonic()
            self._socket, self._peer = self._connect(self.host, self.port, addresses, deadline)
            milliseconds = round((time.monotonic() - started) * 1000)
            observe(
                Phase.CONNECT,
                _("{address}, port {port}, {milliseconds} ms").format(
                    address=self._peer, port=self.port, milliseconds=milliseconds
                ),
            )
        self._check_aborted(Phase.CONNECT)  # an abort() until now found no socket to shut
        with suppress(OSError):  # if it is gone already, the first word will say so
            # Without it, TLS over loopback stalls about 40 ms a message (Nagle's algorithm against delayed ACKs).
            self._open_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _look_up(self, host: str, port: int, deadline: Deadline) -> list[Any]:
        # getaddrinfo knows no time-out and cannot be interrupted, hence the thread.
        found: queue.Queue[list[Any] | OSError | UnicodeError] = queue.Queue()

        def work() -> None:
            try:
                found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as exc:  # a name that IDNA does not know
                found.put(exc)

        threading.Thread(target=work, name="docmail-dns", daemon=True).start()
        while True:
            self._check_aborted(Phase.DNS)
            try:
                result = found.get(timeout=min(_LOOK_UP_SECONDS, deadline.remaining()))
            except queue.Empty:
                continue
            except TimeoutError as exc:
                raise self._unresolved(host, exc, deadline.seconds) from exc
            break
        if isinstance(result, list):
            return result
        raise self._unresolved(host, result, deadline.seconds) from result

    def _connect(self, host: str, port: int, addresses: list[Any], deadline: Deadline) -> tuple[socket.socket, str]:
        failure = OSError()
        for number, (family, kind, protocol, _name, address) in enumerate(addresses):
            try:
                # A blackholed first address must leave time for the others.
                until = time.monotonic() + deadline.remaining() / (len(addresses) - number)
                sock = socket.socket(family, kind, protocol)
                try:
                    self._connect_to(sock, address, until)
                except BaseException:
                    sock.close()
                    raise
            except SendError:
                raise  # stopped by a person
            except OSError as exc:
                failure = exc
            else:
                return sock, str(address[0])
        raise self._unreachable(failure, host, port, deadline.seconds) from failure

    def _connect_to(self, sock: socket.socket, address: Any, until: float) -> None:
        # In small steps, because on some systems a connect that waits cannot be interrupted.
        sock.settimeout(0)
        if (code := sock.connect_ex(address)) in _IN_PROGRESS:
            with selectors.DefaultSelector() as selector:
                selector.register(sock, selectors.EVENT_WRITE)
                while not selector.select(min(_LOOK_UP_SECONDS, until - time.monotonic())):
                    self._check_aborted(Phase.CONNECT)
                    if time.monotonic() >= until:
                        raise TimeoutError
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._check_aborted(Phase.CONNECT)
        if code:
            raise socket_error(code)

    def _open_through_proxy(self, deadline: Deadline) -> None:
        try:
            from python_socks.sync import Proxy
        except ImportError as exc:
            raise ConnectError(
                _("SOCKS5_PROXY names a proxy, but the package that connects through it is not installed."),
                kind=Kind.NETWORK,
                **self._advice.of(Phase.CONNECT, None, _('Install it: pip install "docmail[proxy]".')),
            ) from exc

        def reach(dest_host: str, dest_port: int, timeout: float) -> socket.socket:
            sock, _peer = self._connect(dest_host, dest_port, self._look_up(dest_host, dest_port, deadline), deadline)
            sock.settimeout(timeout)
            self._socket = sock  # so that abort() and the watchdog reach it
            return sock

        try:
            # The library waits per read: a proxy that drips bytes would never time out.
            watchdog = threading.Timer(deadline.remaining(), self._shut)
            watchdog.daemon = True
            watchdog.start()
            try:
                # With `forward`, meant for chains of proxies, the way there is ours, under the deadline.
                proxy = Proxy.from_url(_proxy_url(), rdns=True, forward=SimpleNamespace(connect=reach))
                self._socket = proxy.connect(self.host, self.port, timeout=deadline.remaining())
                deadline.remaining()
            finally:
                watchdog.cancel()
        except BaseException as exc:  # the library raises anything, also ValueError for the proxy's address
            # The frames below hold the proxy's password in clear, and verbose tracebacks print their variables.
            exc.__traceback__ = None
            self.close()
            if not isinstance(exc, Exception):
                raise exc from None
            self._check_aborted(Phase.CONNECT)
            hint = _("Check the variable SOCKS5_PROXY, then the server's name and port.")
            if owner_of(self.host):
                hint = _(
                    "Check the variable SOCKS5_PROXY, or ask the proxy's administrator whether it reaches this server."
                )
            raise ConnectError(
                _("The SOCKS5 proxy does not connect to {host}, port {port}: {reason}.").format(
                    host=self.host, port=self.port, reason=_proxy_reason(exc, deadline)
                ),
                kind=Kind.NETWORK,
                wrong_port=not owner_of(self.host),
                **self._advice.of(Phase.CONNECT, None if owner_of(self.host) else Field.HOST, hint),
            ) from None

    # --- encrypting ---

    def encrypt(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        """Begin TLS; raises `ssl.SSLError` or `OSError` as the library does (see `tls_failure`)."""
        sock = self._open_socket
        sock.settimeout(deadline.remaining())  # do_handshake takes it for the whole handshake, not per read
        try:
            self._socket = context.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
            self._check_aborted(Phase.TLS)  # an abort() meanwhile shut the socket that this one replaces
            self._tls.do_handshake()
        except OSError:
            self._check_aborted(Phase.TLS)
            raise
        self.encrypted = True

    @property
    def has_unread(self) -> bool:
        """Whether the server has said more than was read so far."""
        return bool(self._buffer)

    def has_news(self) -> bool:
        """Say whether the server has sent something without a request, or has hung up."""
        if self._buffer or self._socket is None:
            return True
        self._socket.settimeout(0)
        try:
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)  # not SSLSocket's own, which knows no flags
        except BlockingIOError:
            return False
        except OSError:
            return True  # broken
        return True

    def certificate(self) -> bytes:
        """Return the server's certificate (DER)."""
        return self._tls.getpeercert(binary_form=True) or b""

    def describe_tls(self) -> str:
        """Say what protects the connection: version of TLS, cipher, whose certificate, how long it is valid."""
        version = (self._tls.version() or "TLS").replace("TLSv", "TLS ")
        cipher = (self._tls.cipher() or ("-",))[0]
        if peer := self._tls.getpeercert():
            owner, issuer, date = read_verified(peer)
            said = _("{version}, {cipher}, certificate of {owner} from {issuer}, valid until {date}")
        else:
            pinned = read_certificate(self.certificate())
            owner, issuer, date = (pinned.subject, pinned.issuer, pinned.until) if pinned else ("-", "-", "-")
            said = _("{version}, {cipher}, certificate of {owner}, pinned by its fingerprint, valid until {date}")
        return said.format(version=version, cipher=cipher, owner=owner, issuer=issuer, date=date)

    # --- talking ---

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send bytes at once, all before the deadline; raises `OSError`, `TimeoutError` among them."""
        self._open_socket.settimeout(deadline.remaining())
        self._open_socket.sendall(data)

    def stream(
        self, pieces: Iterable[bytes | memoryview], on_sent: Callable[[int], None], crawl: tuple[int, float]
    ) -> None:
        """Send pieces of any number and size.

        `on_sent` is called after each with the bytes sent so far. `crawl` are bytes and seconds: raises `TimeoutError`
        when fewer go out in that time.
        """
        least, seconds = crawl
        window_end, in_window, total = time.monotonic() + seconds, 0, 0
        sock = self._open_socket
        for piece in pieces:
            view = memoryview(piece)
            while view:
                left = window_end - time.monotonic()
                if left <= 0:
                    if in_window < least:
                        raise TimeoutError
                    window_end, in_window, left = time.monotonic() + seconds, 0, seconds
                sock.settimeout(left)
                try:
                    sent = sock.send(view)
                except TimeoutError:
                    continue  # the window is over, and is judged above
                view = view[sent:]
                in_window += sent
                total += sent
            on_sent(total)

    def read_line(self, deadline: Deadline, limit: int) -> bytes:
        """Return the next line without its end; raises `ServerClosed`, or `ValueError` if it is over the limit."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > limit:
                raise ValueError
            sock = self._open_socket
            sock.settimeout(deadline.remaining())
            if _QUICK_ACK is not None:
                # A server that answers several commands one by one waits for our ACK in between (Nagle's algorithm),
                # which the system would delay by 40 ms; and it forgets this wish each time.
                sock.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            if not (data := sock.recv(_RECEIVE)):
                raise ServerClosed
            self._buffer += data
        if end > limit:
            raise ValueError
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    def read(self, size: int, deadline: Deadline) -> bytes:
        """Return exactly so many bytes; raises `ServerClosed` if there are fewer."""
        while len(self._buffer) < size:
            sock = self._open_socket
            sock.settimeout(deadline.remaining())
            if not (data := sock.recv(_RECEIVE)):
                raise ServerClosed
            self._buffer += data
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    @property
    def local_host(self) -> str:
        """This computer's own address on the connection."""
        return str(self._open_socket.getsockname()[0]).partition("%")[0]  # fe80::1%eth0

    @property
    def peer_is_loopback(self) -> bool:
        """Whether the other end is this computer, by its number, whatever its name."""
        return self._peer is not None and is_loopback(self._peer)

    # --- ending ---

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    @property
    def aborted(self) -> bool:
        """Whether somebody has pressed Stop."""
        return self._aborted.is_set()

    def abort(self) -> None:
        """Abort from another thread: whatever waits for the server fails at once."""
        self._aborted.set()
        self._shut()

    def close(self) -> None:
        """Close at once, without the end of TLS; it may be called again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _shut(self) -> None:
        if (sock := self._socket) is not None:
            # SSLSocket's own shutdown would pull the TLS object from under the thread that is reading.
            with suppress(OSError):  # already gone, which is what is wanted
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _check_aborted(self, phase: Phase) -> None:
        if self.aborted:
            raise stopped(self._advice.phase or phase)

    @property
    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise ServerClosed
        return self._socket

    @property
    def _tls(self) -> ssl.SSLSocket:
        if not isinstance(self._socket, ssl.SSLSocket):
            raise ServerClosed
        return self._socket

    # --- what went wrong ---

    def _unresolved(self, host: str, failure: Exception, seconds: float) -> ConnectError:
        """Return the error for a name without an address: this computer, its network or the name is to blame."""
        field: Field | None = None
        if is_offline():
            message = _("This computer is not connected to any network, so {host} was not found.")
            hint = _("Connect it (cable, Wi-Fi, VPN), and try again.")
        elif owner_of(host):
            message = _("docmail knows {host} as the server of {owner}, but this network does not resolve the name.")
            hint = _(
                "Check your connection (a VPN, a hotel's sign-in page), or ask your network's "
                "administrator how programs reach the internet: a proxy belongs in SOCKS5_PROXY."
            )
        elif isinstance(failure, TimeoutError):
            message = _("The name {host} was not found within {seconds:.0f} s.")
            hint, field = _("Check your network connection, then the server's name."), Field.HOST
        elif getattr(failure, "errno", None) == socket.EAI_AGAIN:
            message = _("The name {host} cannot be looked up: no name server answers.")
            hint = _("Check your network connection (a VPN, a hotel's sign-in page), then the server's name.")
            field = Field.HOST
        else:
            message = _("There is no server named {host}.")
            hint, field = _("Check the server's name for a typing error."), Field.HOST
        return ConnectError(
            message.format(host=host, seconds=seconds, owner=owner_of(host)),
            kind=Kind.NETWORK,
            guide=Guide.PORTS,
            **self._advice.of(Phase.DNS, field, self._with_proxies(hint)),
        )

    def _with_proxies(self, hint: str) -> str:
        """Add what a proxy of the environment has to do with it, where somebody may think that SMTP uses it."""
        web = self._advice.url or is_loopback(self.host) or is_exempt(self.host, self.port)
        if web or not is_for_web():
            return hint
        return (
            f"{hint} {_('HTTPS_PROXY is for the web, and SMTP does not use it; name a SOCKS proxy in SOCKS5_PROXY.')}"
        )

    def _unreachable(self, failure: OSError, host: str, port: int, seconds: float) -> ConnectError:
        place = {"host": host, "port": port}
        if isinstance(failure, TimeoutError):
            message = _("{host} does not answer on port {port} (waited {seconds:.0f} s).").format(
                **place, seconds=seconds
            )
            hint = _("Try the other port (465 or 587); if neither answers, a firewall or antivirus blocks it.")
        elif isinstance(failure, ConnectionResetError):
            message = _(
                "The connection to {host}, port {port}, was closed before the server's greeting; nothing was sent."
            )
            message = message.format(**place)
            hint = _("Check the port. A firewall or too many connections from your network can also be the reason.")
        elif isinstance(failure, ConnectionRefusedError):
            message = _("{host} accepts no connections on port {port}.").format(**place)
            hint = _("Check the port: most servers use 587 or 465.")
        else:
            message = _("{host} cannot be reached on port {port}: {reason}.").format(
                **place, reason=failure.strerror or type(failure).__name__
            )
            hint = _("Check your network connection, then the server's name and port.")
        advice = self._advice.of(Phase.CONNECT, Field.PORT, self._with_proxies(hint))
        return ConnectError(message, kind=Kind.NETWORK, guide=Guide.PORTS, wrong_port=True, **advice)


def socket_error(code: int, in_words: Callable[[int], str] = _IN_WORDS) -> OSError:
    """Return the error for what a socket reports as its state (SO_ERROR)."""
    return OSError(code, in_words(code).strip())


class _NoProxyError(ValueError):
    """What is wrong with the address of a proxy, without a part of it, which may be the password."""


def _proxy_url() -> str:
    kind, found, url = os.environ["SOCKS5_PROXY"].strip().rpartition("://")
    if found and kind.lower() not in {"socks5", "socks5h"}:
        raise _NoProxyError(_("it is a proxy of another kind; its address must begin with socks5://"))
    if not re.search(r":\d+/?\Z", url.rpartition("@")[2]):
        raise _NoProxyError(_("its address does not end with a port, as socks.example.com:1080 does"))
    return f"socks5://{url}"


def _proxy_reason(failure: Exception, deadline: Deadline) -> str:
    try:
        deadline.remaining()
    except TimeoutError:
        return _("no answer within {seconds:.0f} s").format(seconds=deadline.seconds)
    if isinstance(failure, ValueError) and not isinstance(failure, _NoProxyError):  # it may hold the password
        return _("its address, name or password cannot be read; write / as %2F, and letters such as é in the same way")
    text = failure.message if isinstance(failure, SendError) else str(failure)
    return text.rstrip(".") or type(failure).__name__


def is_offline() -> bool:
    """Say whether this computer has no way to any other; sends nothing."""
    # Connecting a datagram socket looks up the route only; the addresses are for examples (RFC 5737, RFC 3849).
    for family, number in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((number, 9))
            return False
    return True


def stopped(phase: str, refused: Mapping[str, Reply] | None = None) -> ConnectError:
    """Return the error for a send that a person stopped before the last byte; `refused` as in `SendError`."""
    return ConnectError(
        _("Stopped; nothing was sent."),
        kind=Kind.NETWORK,
        phase=phase,
        refused=refused,
        hint=_("Start again when you like."),
    )
