"""Hands mail to a server: by SMTP or HTTP, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.transport.base import LOST, SendResult, Transport
    from docmail.transport.opening import check_seconds, open_transport
    from docmail.transport.smtp.conversation import SlowReply, other_protocol
    from docmail.transport.smtp.transport import SmtpTransport

__all__ = [
    "LOST",
    "SendResult",
    "SlowReply",
    "SmtpTransport",
    "Transport",
    "check_seconds",
    "open_transport",
    "other_protocol",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "base": ("LOST", "SendResult", "Transport"),
            "opening": ("check_seconds", "open_transport"),
            "smtp.conversation": ("SlowReply", "other_protocol"),
            "smtp.transport": ("SmtpTransport",),
        },
    )
