"""What goes wrong between docmail and the server of a mailbox, in sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docmail.errors import ConnectError, Field, Guide, Kind, Phase
from docmail.language import _
from docmail.net import FOR_MAILBOX, ServerClosed, tls_failure, wants_certificate
from docmail.replies import clean, mailbox_refusal

if TYPE_CHECKING:
    from docmail.errors import SendError
    from docmail.mailbox.protocol import Imap
    from docmail.secret import Secret

_SHOWN = 200  # characters


def failure_of(imap: Imap, error: Exception, phase: Phase, secret: Secret | None) -> SendError:
    """Return the error for what happened in a conversation."""
    connection = imap.connection
    if connection.aborted:
        return stopped(phase)
    if imap.goodbye and not imap.final[0]:
        return mailbox_refusal(f"BYE {clean(imap.goodbye, secret)}", phase, connection.host)
    if imap.failure is not None:
        return broken(imap.failure, connection.host, connection.port, phase)
    kind, text = imap.final
    if kind in {"NO", "BAD"}:
        return mailbox_refusal(f"{kind} {clean(text, secret)}", phase, connection.host)
    del error  # its text is imaplib's, with what the server said in it
    return no_imap(clean(imap.first_line.decode("latin-1") if phase is Phase.GREETING else ""), connection.host, phase)


def stopped(phase: Phase) -> ConnectError:
    """Return the error for a person's Stop."""
    return ConnectError(_("Stopped."), kind=Kind.NETWORK, phase=phase, hint=_("Start again when you like."))


def broken(failure: OSError, host: str, port: int, phase: Phase) -> SendError:
    """Return the error for a connection that ended, or on which nothing comes."""
    if wants_certificate(failure):
        return tls_failure(failure, host, port, None, advice=FOR_MAILBOX)
    field = Field.MAILBOX_PORT if phase is Phase.GREETING else None
    hint = _("Try again in a few minutes.")
    if isinstance(failure, TimeoutError) and phase is Phase.GREETING:
        message = _("{host} accepts the connection on port {port} but sends no greeting of a mailbox (IMAP).")
        hint = _("Check the mailbox's port: 993 expects TLS at once, 143 STARTTLS.")
    elif isinstance(failure, (ServerClosed, ConnectionResetError)) and phase is Phase.GREETING:
        message = _("{host} hangs up on port {port} without the greeting of a mailbox (IMAP).")
        hint = _("Check the mailbox's server and port; too many connections can also be the reason.")
    elif isinstance(failure, ServerClosed) and phase is Phase.AUTH:
        message = _("{host} hung up during the sign-in to the mailbox.")
        hint = _("Check the mailbox's username and password: after a few wrong ones, some servers hang up for a while.")
        field = Field.MAILBOX_PASSWORD
    elif isinstance(failure, TimeoutError):
        message = _("{host} stopped answering about the mailbox.")
    elif isinstance(failure, ServerClosed):
        message = _("{host} closed the connection to the mailbox.")
    else:
        message = _("The connection to the mailbox at {host} broke ({reason}).")
        hint = _("Check your network connection and try again.")
    reason = failure.strerror or type(failure).__name__
    return ConnectError(
        message.format(host=host, port=port, reason=reason),
        kind=Kind.NETWORK,
        phase=phase,
        hint=hint,
        field=field,
        guide=Guide.PORTS,
    )


def no_imap(line: str, host: str, phase: Phase) -> ConnectError:
    """Return the error for a server that speaks, but no IMAP."""
    hint = _("Check the mailbox's server and port: 993 with TLS, or 143 with STARTTLS.")
    if re.match(r"220[ -]", line):
        message = _("The server for sending mail (SMTP) answers at {host}, not that of a mailbox (IMAP).")
        hint = _("Enter the name and port for reading mail; the name often begins with imap.")
    elif line.startswith("+OK"):
        message = _("A server of another kind (POP3) answers at {host}, not that of a mailbox (IMAP).")
    elif re.match(r"HTTP/\d", line) or re.search(r"(?i)bad request|<html|<!doctype", line):
        message = _("A web server answers at {host}, not that of a mailbox (IMAP).")
    elif line:
        message = _("{host} does not answer as the server of a mailbox (IMAP) does. It said: {words}")
    else:
        message = _("{host} does not answer as the server of a mailbox (IMAP) does.")
    return ConnectError(
        message.format(host=host, words=line[:_SHOWN]),
        kind=Kind.NETWORK,
        phase=phase,
        hint=hint,
        field=Field.MAILBOX_HOST if phase is Phase.GREETING else None,
        guide=Guide.PORTS,
    )
