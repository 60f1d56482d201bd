"""Finds out why a connection failed: what answers at the port, how it encrypts, and whether another port would answer.

Only the test email does this. Each look is a connection of its own that ends after the greeting, or after the list of
what the server offers. No username and no password is sent on it, so its certificate need not be checked.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from docmail.addresses import is_loopback
from docmail.errors import Field, Phase
from docmail.language import _
from docmail.net import Deadline, ServerClosed, tls_context
from docmail.replies import clean
from docmail.settings import Security, implied
from docmail.transport import SlowReply, other_protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.errors import SendError
    from docmail.net import Connection
    from docmail.settings import SmtpServer

    Connect = Callable[[int], Connection]  # to a port of the server, not yet open

_BANNER_SECONDS = 1.5  # how long a look waits for a server to speak first
_MAX_LINE = 1024
_MAX_LINES = 50  # of one reply; servers offer a dozen


class Ports(NamedTuple):
    """Which ports belong together, and which of them expect TLS from the first byte."""

    pairs: Mapping[int, tuple[int, ...]] = MappingProxyType({465: (587,), 587: (465,), 2465: (2587,), 2587: (2465,)})
    usual: tuple[int, ...] = (587, 465)
    """What is tried instead of a port that belongs to no pair."""
    tls: frozenset[int] = frozenset({465, 2465})
    """RFC 8314, and its side entrance at Amazon SES and Resend."""


PORTS = Ports()


class Finding(NamedTuple):
    """What was found out; each part None where it changes nothing. `suggestion` is the server as it does answer."""

    message: str | None = None
    hint: str | None = None
    field: Field | None = None
    suggestion: SmtpServer | None = None


def explore(connect: Connect, server: SmtpServer, error: SendError, seconds: float, ports: Ports = PORTS) -> Finding:
    """Find out within some `seconds` what stands behind a connection to a wrong port; never raises for it."""
    deadline = Deadline(seconds)
    here = _look_here(connect, server, error, seconds / 2)
    in_clear = here.suggestion is not None and here.suggestion.security is Security.NONE
    if not in_clear and (here.suggestion or (here.message and here.field is not Field.PORT)):
        return here  # the right thing to do is known
    if port := answering_port(connect, server.host, server.port, deadline, ports):
        security = Security.TLS if port in ports.tls else Security.STARTTLS
        answers = _("Port {port} answers: choose port {port} with {security}.").format(
            port=port, security=security.upper()
        )
        suggestion = replace(server, port=port, security=None if security is implied(port) else security)
        return here._replace(hint=f"{here.hint or error.hint} {answers}", field=Field.PORT, suggestion=suggestion)
    return here


# --- the other port ---------------------------------------------------------------------------------------------------


def answering_port(connect: Connect, host: str, port: int, deadline: Deadline, ports: Ports = PORTS) -> int | None:
    """Return the other port of the pair if a mail server greets there."""
    # At this computer's own numbers, other than the usual ones, a pair says nothing: Proton Mail Bridge, a sandbox.
    others = ports.pairs.get(port, () if is_loopback(host) else ports.usual)
    for number, other in enumerate(others):
        with suppress(OSError, ValueError):
            share = Deadline(deadline.remaining() / (len(others) - number))
            with closing(connect(other)) as connection:
                _begin(connection, share, tls=other in ports.tls)
                if _line(connection, share).startswith("220"):
                    return other
    return None


# --- what speaks at this port -----------------------------------------------------------------------------------------


def _look_here(connect: Connect, server: SmtpServer, error: SendError, seconds: float) -> Finding:
    """Connect once more to the port that was silent, or did not encrypt."""
    if error.phase == Phase.GREETING:
        return _look_behind_silence(connect, server, error.__cause__, seconds)
    chosen = server.effective_security
    if error.phase != Phase.TLS and (chosen is Security.TLS or error.phase not in {Phase.AUTH, Phase.MAIL}):
        return Finding()
    greeting, offers = _in_clear(connect, server.port, seconds)
    if offers is None:
        return _about_other_protocol(server, greeting) if chosen is Security.TLS else Finding()
    starttls = "STARTTLS" in offers
    if starttls and chosen is not Security.STARTTLS:
        message = _("{host} encrypts with STARTTLS on port {port}, not with TLS.")
        return Finding(
            message.format(host=server.host, port=server.port) if chosen is Security.TLS else None,
            _("Choose STARTTLS."),
            Field.SECURITY,
            replace(server, security=Security.STARTTLS),
        )
    # Without encryption nobody can listen on this computer, but the sign-in has to be offered as well.
    clear_will_do = is_loopback(server.host) and (not server.username or "AUTH" in offers)
    # Elsewhere than here somebody on the way may have removed the offer: the error says that.
    if not starttls and (chosen is Security.TLS or (chosen is Security.STARTTLS and clear_will_do)):
        return _without_encryption(server, clear_will_do=clear_will_do)
    return Finding()


def _look_behind_silence(connect: Connect, server: SmtpServer, reason: BaseException | None, seconds: float) -> Finding:
    """Connect once more to the port that did not greet; the server may have waited for TLS."""
    chosen = server.effective_security
    if isinstance(reason, SlowReply):
        return Finding()
    if not isinstance(reason, TimeoutError):
        # It hung up, or what it said was no SMTP: a server that expects TLS may send a TLS alert.
        line = _first_line(connect, server.port, seconds, tls=True) if chosen is not Security.TLS else None
        return _expects_tls(server) if line is not None and line.startswith("220") else Finding()
    line = _first_line(connect, server.port, seconds / 2, tls=True)
    if line is None and chosen is not Security.TLS:
        line = _first_line(connect, server.port, seconds / 2, tls=False)
        if not line:
            return Finding(None, _("Check the server's name and the port; try again in a few minutes."), Field.PORT)
    elif line is not None and chosen is not Security.TLS and other_protocol(line) is None:
        return _expects_tls(server)
    return _about_other_protocol(server, line)


def _about_other_protocol(server: SmtpServer, line: str | None) -> Finding:
    """Return what the first line of a server says if that is one of another kind."""
    if (spoken := other_protocol(line or "")) is None:
        return Finding()
    message, hint, field = spoken
    return Finding(message.format(host=server.host, port=server.port), hint, field)


def _expects_tls(server: SmtpServer) -> Finding:
    message = _("{host} expects TLS from the start of the connection on port {port}.")
    return Finding(
        message.format(host=server.host, port=server.port),
        _("Choose TLS."),
        Field.SECURITY,
        replace(server, security=Security.TLS),
    )


def _without_encryption(server: SmtpServer, *, clear_will_do: bool) -> Finding:
    """Return what to do about a server that speaks SMTP, but encrypts in neither way."""
    message = _("{host} offers no encryption on port {port}, neither TLS nor STARTTLS.")
    hint, field, suggestion = _("Choose a port with encryption: most servers have 587 or 465."), Field.PORT, None
    if clear_will_do:
        hint, field = _("The server is on this computer, so you can choose none as Security."), Field.SECURITY
        suggestion = replace(server, security=Security.NONE)
    return Finding(message.format(host=server.host, port=server.port), hint, field, suggestion)


def _in_clear(connect: Connect, port: int, seconds: float) -> tuple[str | None, set[str] | None]:
    """Return what a server says first without encryption, and the names of what it then offers.

    Both are None if nothing comes; the second is None for what is no SMTP server.
    """
    line = _first_line(connect, port, seconds / 2, tls=False)
    if line is None or not line.startswith("220"):
        return line, None
    with suppress(OSError), closing(connect(port)) as connection:
        deadline = Deadline(seconds / 2)
        _begin(connection, deadline, tls=False)
        _reply(connection, deadline)
        connection.send(b"EHLO [127.0.0.1]\r\n", deadline)
        return line, {offer[4:].partition(" ")[0].strip().upper() for offer in _reply(connection, deadline)}
    return line, None


def _reply(connection: Connection, deadline: Deadline) -> list[str]:
    """Return the lines of a reply, as far as they are one."""
    lines = [_line(connection, deadline)]
    while lines[-1][3:4] == "-" and len(lines) < _MAX_LINES:
        lines.append(_line(connection, deadline))
    return lines


def _first_line(connect: Connect, port: int, seconds: float, *, tls: bool) -> str | None:
    """Return what a server says first, if need be when it is spoken to; None if it cannot be had in this way."""
    with suppress(OSError), closing(connect(port)) as connection:
        deadline = Deadline(seconds)
        _begin(connection, deadline, tls=tls)
        with suppress(TimeoutError):
            return _line(connection, Deadline(min(_BANNER_SECONDS, deadline.remaining() / 2)))
        # A web server waits for a request, and calls any other a bad one.
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
