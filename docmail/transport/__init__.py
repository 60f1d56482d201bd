"""Hands mail to a server: by SMTP or HTTP, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.transport.base import SendResult, Transport, Waits
    from docmail.transport.capabilities import Capabilities
    from docmail.transport.memory import MemoryTransport
    from docmail.transport.opening import open_drafts, open_transport
    from docmail.transport.smtp.conversation import SlowReply, other_protocol

__all__ = [
    "Capabilities",
    "MemoryTransport",
    "SendResult",
    "SlowReply",
    "Transport",
    "Waits",
    "open_drafts",
    "open_transport",
    "other_protocol",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "base": ("SendResult", "Transport", "Waits"),
            "capabilities": ("Capabilities",),
            "memory": ("MemoryTransport",),
            "opening": ("open_drafts", "open_transport"),
            "smtp.conversation": ("SlowReply", "other_protocol"),
        },
    )
