"""Finds out why a connection came to nothing: what speaks at the port, and whether the other port would have answered.

Only the test email asks. Each look is a connection of its own that gets as far as the greeting; no name and no password
is said on it, which is why its certificate need not be checked.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, NamedTuple

from docmail.addresses import is_loopback
from docmail.errors import AuthenticationError, ConnectError, TLSError
from docmail.language import _
from docmail.net import Deadline, ServerClosed, tls_context
from docmail.replies import clean
from docmail.settings import Security
from docmail.transport import SlowReply, other_protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.errors import SendError
    from docmail.net import Connection
    from docmail.settings import SmtpServer

    Connect = Callable[[int], Connection]  # to a port of the server, not yet open

PAIRS = {465: (587,), 587: (465,), 2465: (2587,), 2587: (2465,)}
"""The port to try instead; of a port that belongs to no pair, both usual ones."""
_USUAL = (587, 465)
_TLS_PORTS = {465, 2465}  # RFC 8314, and its side entrance at Amazon SES and Resend

_BANNER_SECONDS = 1.5  # how long a look waits for a server to speak first
_MAX_LINE = 1024


class Finding(NamedTuple):
    """What was found out; each part None where it changes nothing. `port` is another one that answers."""

    message: str | None = None
    hint: str | None = None
    field: str | None = None
    port: int | None = None


def explore(connect: Connect, server: SmtpServer, host: str, error: SendError, seconds: float) -> Finding:
    """Find out within so many seconds what stands behind a connection that failed; never raises for it."""
    if not _is_about_the_connection(error) or seconds <= 0:
        return Finding()
    deadline = Deadline(seconds)
    here = _look_here(connect, server, host, error, seconds / 2)
    if here.message:
        return here  # the right thing to do is known
    if port := answering_port(connect, host, server.port, deadline):
        answers = _("Port {port} answers: choose port {port} with {security}.").format(
            port=port, security="TLS" if port in _TLS_PORTS else "STARTTLS"
        )
        return here._replace(hint=f"{here.hint or error.hint} {answers}", field="port", port=port)
    return here


def _is_about_the_connection(error: SendError) -> bool:
    """Say whether another port could be the answer: not for a wrong name, a certificate, or a server's refusal."""
    if isinstance(error, TLSError):
        return error.guide == "Ports"
    if isinstance(error, AuthenticationError):
        return error.reply is None and error.field == "port"  # no sign-in is offered here
    return isinstance(error, ConnectError) and error.phase in {"connect", "greeting", "ehlo"} and bool(error.field)


# --- the other port ---------------------------------------------------------------------------------------------------


def answering_port(connect: Connect, host: str, port: int, deadline: Deadline) -> int | None:
    """Return the other port of the pair if a mail server greets there."""
    # At this computer's own numbers, other than the usual ones, a pair says nothing: Proton Mail Bridge, a sandbox.
    others = PAIRS.get(port, () if is_loopback(host) else _USUAL)
    for number, other in enumerate(others):
        with suppress(OSError, ValueError):
            share = Deadline(deadline.remaining() / (len(others) - number))
            with closing(connect(other)) as connection:
                _begin(connection, share, tls=other in _TLS_PORTS)
                if _line(connection, share).startswith("220"):
                    return other
    return None


# --- what speaks at this port -----------------------------------------------------------------------------------------


def _look_here(connect: Connect, server: SmtpServer, host: str, error: SendError, seconds: float) -> Finding:
    """Look again at the port that was silent, or did not encrypt."""
    reason = error.__cause__
    silent = error.phase == "greeting" and isinstance(reason, TimeoutError) and not isinstance(reason, SlowReply)
    security = server.effective_security
    place = {"host": host, "port": server.port}
    words = None
    if security is Security.TLS and error.phase == "tls":
        words = _first_words(connect, server.port, seconds, tls=False)
        if words is not None and words.startswith("220"):
            return Finding(
                _("{host} speaks on port {port}, but not TLS from the first byte.").format(**place),
                _("Choose STARTTLS, which belongs to this port."),
                "security",
            )
    elif silent and security is Security.TLS:
        words = _first_words(connect, server.port, seconds, tls=True)
    elif silent:
        words = _first_words(connect, server.port, seconds / 2, tls=True)
        if words is None:
            words = _first_words(connect, server.port, seconds / 2, tls=False)
            if not words:
                return Finding(None, _("Check the server's name and the port; try again in a few minutes."), "port")
        elif other_protocol(words) is None:
            return Finding(
                _("{host} expects TLS from the first byte on port {port}.").format(**place),
                _("Choose TLS, which belongs to this port."),
                "security",
            )
    if spoken := other_protocol(words or ""):
        message, hint, field = spoken
        return Finding(message.format(**place), hint, field)
    return Finding()


def _first_words(connect: Connect, port: int, seconds: float, *, tls: bool) -> str | None:
    """Return what a server says first, if need be when it is spoken to; None if it cannot be had in this way."""
    with suppress(OSError), closing(connect(port)) as connection:
        deadline = Deadline(seconds)
        _begin(connection, deadline, tls=tls)
        with suppress(TimeoutError):
            return _line(connection, Deadline(min(_BANNER_SECONDS, deadline.remaining() / 2)))
        # A web server waits for a question, and calls any other a bad request.
        connection.send(b"EHLO [127.0.0.1]\r\n\r\n", deadline)
        with suppress(TimeoutError, ServerClosed, ConnectionResetError):
            return _line(connection, deadline)
        return ""
    return None


def _begin(connection: Connection, deadline: Deadline, *, tls: bool) -> None:
    connection.open(deadline, lambda _phase, _text: None)
    if tls:
        connection.encrypt(tls_context(None, verify=False), deadline)


def _line(connection: Connection, deadline: Deadline) -> str:
    try:
        return clean(connection.read_line(deadline, _MAX_LINE).decode("utf-8", "replace"))
    except ValueError:
        return ""  # a line without end
