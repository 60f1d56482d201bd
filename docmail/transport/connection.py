"""A connection to one server, under one deadline, encrypted to that server and no other.

Everything that a network, a name server or a certificate can do wrong becomes a sentence here. Certificates are always
checked: their chain, dates and name (SAN only), or, where the settings pin one, their SHA-256 fingerprint.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import queue
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from docmail.addresses import is_loopback
from docmail.errors import ConnectError, Kind, TLSError
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from docmail.transport.base import Deadline

_RECEIVE = 65536
_CRAWL_BYTES, _CRAWL_SECONDS = 480_000, 30.0  # 16 kB/s, looked at every 30 s


class ServerClosed(ConnectionError):
    """The server ended the connection where it should have said something."""


class Connection:
    """A TCP connection, plain at first; `encrypt()` makes it a TLS one."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.encrypted = False
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._aborted = threading.Event()

    # --- reaching the server ---

    def open(self, deadline: Deadline, observe: Callable[[str, str], None]) -> None:
        """Look the name up and connect to the first of its addresses that answers."""
        if (proxy := os.environ.get("SOCKS5_PROXY")) and not is_loopback(self.host):
            self._open_through_proxy(proxy, deadline)
            observe("connect", _("port {port}, through the SOCKS5 proxy").format(port=self.port))
        else:
            addresses = self._look_up(deadline)
            observe("dns", f"{self.host} → {addresses[0][4][0]}")
            started = time.monotonic()
            self._connect(addresses, deadline)
            milliseconds = round((time.monotonic() - started) * 1000)
            observe("connect", _("port {port}, {milliseconds} ms").format(port=self.port, milliseconds=milliseconds))
        # Without it, TLS over loopback stalls about 40 ms a message (Nagle's algorithm against delayed ACKs).
        self._open_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _look_up(self, deadline: Deadline) -> list[Any]:
        # getaddrinfo knows no time-out and cannot be interrupted, hence the thread.
        found: queue.Queue[list[Any] | OSError] = queue.Queue()

        def work() -> None:
            try:
                found.put(socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
            except OSError as exc:
                found.put(exc)

        threading.Thread(target=work, name="docmail-dns", daemon=True).start()
        while True:
            try:
                answer = found.get(timeout=min(0.2, deadline.remaining()))
            except queue.Empty:
                self._check_aborted("dns")
                continue
            except TimeoutError as exc:
                raise ConnectError(
                    _("The name {host} was not found within {seconds:.0f} s.").format(
                        host=self.host, seconds=deadline.seconds
                    ),
                    kind=Kind.NETWORK,
                    phase="dns",
                    hint=_("Check your network connection, then the server's name."),
                    field="host",
                    guide="Ports",
                ) from exc
            break
        if isinstance(answer, list):
            return answer
        if getattr(answer, "errno", None) == socket.EAI_AGAIN:
            hint = _("Check your network connection, then the server's name.")
        else:
            hint = _("Check the server's name for a typing error.")
        raise ConnectError(
            _("There is no server named {host}.").format(host=self.host),
            kind=Kind.NETWORK,
            phase="dns",
            hint=hint,
            field="host",
            guide="Ports",
        ) from answer

    def _connect(self, addresses: list[Any], deadline: Deadline) -> None:
        failure: OSError = OSError()
        for number, (family, kind, protocol, _name, address) in enumerate(addresses):
            self._check_aborted("connect")
            self._socket = socket.socket(family, kind, protocol)
            try:
                # A blackholed first address must leave time for the others.
                self._socket.settimeout(deadline.remaining() / (len(addresses) - number))
                self._socket.connect(address)
            except OSError as exc:
                failure = exc
                self._socket.close()
                self._socket = None
            else:
                return
        raise self._unreachable(failure, deadline) from failure

    def _unreachable(self, failure: OSError, deadline: Deadline) -> ConnectError:
        self._check_aborted("connect")
        place = {"host": self.host, "port": self.port}
        if isinstance(failure, TimeoutError):
            message = _("{host} does not answer on port {port} (waited {seconds:.0f} s).").format(
                **place, seconds=deadline.seconds
            )
            hint = _("Try the other port (465 or 587); if neither answers, a firewall or antivirus blocks it.")
        elif isinstance(failure, ConnectionRefusedError):
            message = _("{host} takes no connections on port {port}.").format(**place)
            hint = _("Check the port: most servers use 587 or 465.")
        else:
            message = _("{host} cannot be reached on port {port}: {reason}.").format(
                **place, reason=failure.strerror or type(failure).__name__
            )
            hint = _("Check your network connection, then the server's name and port.")
        return ConnectError(message, kind=Kind.NETWORK, phase="connect", hint=hint, field="port", guide="Ports")

    def _open_through_proxy(self, proxy: str, deadline: Deadline) -> None:
        try:
            from python_socks.sync import Proxy
        except ImportError as exc:
            raise ConnectError(
                _("SOCKS5_PROXY names a proxy, but the package that speaks to it is missing."),
                kind=Kind.NETWORK,
                phase="connect",
                hint=_('Install it: pip install "docmail[proxy]".'),
            ) from exc
        url = proxy if "://" in proxy else f"socks5://{proxy}"
        try:
            connector = Proxy.from_url(url, rdns=True)
            self._socket = connector.connect(self.host, self.port, timeout=deadline.remaining())
        except Exception as exc:
            # The proxy's address may hold a password; the library's own errors name neither.
            raise ConnectError(
                _("The SOCKS5 proxy does not connect to {host}, port {port}: {reason}.").format(
                    host=self.host, port=self.port, reason=str(exc).rstrip(".") or type(exc).__name__
                ),
                kind=Kind.NETWORK,
                phase="connect",
                hint=_("Check the variable SOCKS5_PROXY, then the server's name and port."),
                field="host",
            ) from None

    # --- encrypting ---

    def encrypt(self, context: ssl.SSLContext, deadline: Deadline) -> None:
        """Begin TLS; raises `ssl.SSLError` or `OSError` as the library does (see `tls_failure`)."""
        sock = self._open_socket
        sock.settimeout(deadline.remaining())
        self._socket = context.wrap_socket(sock, server_hostname=self.host, do_handshake_on_connect=False)
        # do_handshake waits per read: a server that drips bytes would never time out.
        watchdog = threading.Timer(deadline.remaining(), self._shut)
        watchdog.daemon = True
        watchdog.start()
        try:
            self._tls.do_handshake()
        except OSError:
            self._check_aborted("tls")
            deadline.remaining()  # raises TimeoutError, the true reason, when the watchdog ended it
            raise
        finally:
            watchdog.cancel()
        self.encrypted = True

    @property
    def has_unread(self) -> bool:
        """Whether the server has said more than was read so far."""
        return bool(self._buffer)

    def certificate(self) -> bytes:
        """Return the server's certificate (DER)."""
        return self._tls.getpeercert(binary_form=True) or b""

    def describe_tls(self) -> str:
        """Say what protects the connection: the version of TLS, whose certificate, how long it is valid."""
        version = (self._tls.version() or "TLS").replace("TLSv", "TLS ")
        names = self._tls.getpeercert() or {}
        if not names:
            return _("{version}, certificate pinned by its fingerprint").format(version=version)
        until = time.strftime("%Y-%m-%d", time.gmtime(ssl.cert_time_to_seconds(str(names["notAfter"]))))
        return _("{version}, certificate of {host}, valid until {date}").format(
            version=version, host=self.host, date=until
        )

    # --- talking ---

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send a command."""
        self._open_socket.settimeout(deadline.remaining())
        self._open_socket.sendall(data)

    def stream(self, pieces: Iterable[bytes], on_sent: Callable[[int], None]) -> None:
        """Send pieces of any number and size; raises `TimeoutError` when they crawl (under 16 kB/s over 30 s)."""
        window_end, in_window, total = time.monotonic() + _CRAWL_SECONDS, 0, 0
        sock = self._open_socket
        for piece in pieces:
            view = memoryview(piece)
            while view:
                left = window_end - time.monotonic()
                if left <= 0:
                    if in_window < _CRAWL_BYTES:
                        raise TimeoutError
                    window_end, in_window, left = time.monotonic() + _CRAWL_SECONDS, 0, _CRAWL_SECONDS
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
            self._open_socket.settimeout(deadline.remaining())
            if not (data := self._open_socket.recv(_RECEIVE)):
                raise ServerClosed
            self._buffer += data
        if end > limit:
            raise ValueError
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r")

    @property
    def local_host(self) -> str:
        """This computer's own address on the connection."""
        return str(self._open_socket.getsockname()[0])

    @property
    def peer_is_loopback(self) -> bool:
        """Whether the other end is this computer, by its number, whatever its name."""
        return is_loopback(str(self._open_socket.getpeername()[0]))

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
        """Break off from another thread: whatever waits for the server fails at once."""
        self._aborted.set()
        self._shut()

    def close(self) -> None:
        """Close without a word."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _shut(self) -> None:
        if self._socket is not None:
            # SSLSocket's own shutdown would pull the TLS object from under the thread that is reading.
            with suppress(OSError):  # already gone, which is what is wanted
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _check_aborted(self, phase: str) -> None:
        if self.aborted:
            raise stopped(phase)

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


def stopped(phase: str) -> ConnectError:
    """Return the error for a send that a person stopped before the last byte."""
    return ConnectError(
        _("Stopped; nothing was sent."), kind=Kind.NETWORK, phase=phase, hint=_("Start again when you like.")
    )


def tls_context(ca_file: Path | None, *, verify: bool = True) -> ssl.SSLContext:
    """Return the rules for TLS: 1.2 or later; chain, dates and SAN checked unless a fingerprint is compared instead."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # RFC 6125: the name stands in the SAN
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate (DER), as browsers show it: AB:CD:…"""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def matches(certificate: bytes, pinned: bytes) -> bool:
    """Say whether a certificate is the pinned one."""
    return hmac.compare_digest(hashlib.sha256(certificate).digest(), pinned)


# What OpenSSL's verification says (X509_V_ERR_*), in words and with the field to change.
_EXPIRED, _NOT_YET, _SELF_SIGNED, _SELF_SIGNED_CHAIN, _NO_ISSUER, _WRONG_HOST = 10, 9, 18, 19, (2, 20, 21), (62, 64)


def tls_failure(failure: Exception, host: str, port: int, certificate: bytes | None) -> TLSError:
    """Return the error for a handshake that failed, in words; `certificate` is what the server showed, if known."""
    place = {"host": host, "port": port}
    field: str | None = "security"
    guide = "Certificates"
    hint = _("Check the server's name and port.")
    if isinstance(failure, ssl.SSLCertVerificationError):
        message, hint, field = _certificate_failure(failure.verify_code, str(failure.verify_message), host)
    elif isinstance(failure, TimeoutError):
        message = _("{host} did not finish the encryption on port {port} in time.").format(**place)
        hint = _("Check the port: 465 expects TLS at once, 587 STARTTLS.")
        guide = "Ports"
    elif isinstance(failure, ssl.SSLError) and failure.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        message = _("Port {port} of {host} does not speak TLS from the first byte.").format(**place)
        hint = _("Choose STARTTLS, or port 465.")
        guide = "Ports"
    elif isinstance(failure, ssl.SSLError) and failure.reason and "PROTOCOL" in failure.reason:
        message = _("{host} offers only versions of TLS that are no longer safe.").format(**place)
        hint = _("Ask its administrator for TLS 1.2 or later.")
        field = "host"
    else:
        reason = getattr(failure, "reason", None) or getattr(failure, "strerror", None) or _("the connection was cut")
        message = _("The encryption to {host}, port {port}, failed: {reason}.").format(**place, reason=reason)
        guide = "Ports"
    shown = fingerprint(certificate) if certificate else None
    if shown and isinstance(failure, ssl.SSLCertVerificationError):
        message += " " + _("Its SHA-256 fingerprint is {fingerprint}.").format(fingerprint=shown)
    return TLSError(
        message, kind=Kind.CONFIG, phase="tls", hint=hint, field=field, guide=guide, fingerprint=shown
    )


def _certificate_failure(code: int, words: str, host: str) -> tuple[str, str, str]:
    own = _("If it is a server of your own, tick “Allow self-signed certificates” and compare the fingerprint.")
    if code == _EXPIRED:
        return (
            _("The certificate of {host} has expired.").format(host=host),
            _("Check this computer's clock; if it is right, tell the server's administrator."),
            "host",
        )
    if code == _NOT_YET:
        return (
            _("The certificate of {host} is not valid yet.").format(host=host),
            _("Check this computer's clock; if it is right, tell the server's administrator."),
            "host",
        )
    if code == _SELF_SIGNED:
        return _("The certificate of {host} is self-signed: anybody could have made it.").format(host=host), own, "fingerprint"
    if code == _SELF_SIGNED_CHAIN:
        return (
            _("The certificate of {host} was issued by an authority that this computer does not know.").format(host=host),
            _("On a company network, give the company's CA file under Advanced; an antivirus may also cause this."),
            "ca_file",
        )
    if code in _NO_ISSUER:
        return (
            _("Nobody that this computer trusts vouches for the certificate of {host}.").format(host=host),
            _("Give the issuer's CA file under Advanced, or compare the fingerprint if the server is your own."),
            "ca_file",
        )
    if code in _WRONG_HOST:
        return (
            _("The certificate that {host} shows is for another name.").format(host=host),
            _("Write the server's name exactly as your provider gives it."),
            "host",
        )
    return (
        _("The certificate of {host} is not accepted: {reason}.").format(host=host, reason=words.rstrip(".")),
        _("Tell the server's administrator."),
        "host",
    )
