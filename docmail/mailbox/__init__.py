"""The mailbox (IMAP) that is looked into after sending: reads what arrived, files copies, deletes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.mailbox.bounces import Bounce, read_bounces
    from docmail.mailbox.opening import Mailbox, in_words, likely_mailbox, open_mailbox
    from docmail.mailbox.session import OpenMailbox, Position

__all__ = ["Bounce", "Mailbox", "OpenMailbox", "Position", "in_words", "likely_mailbox", "open_mailbox", "read_bounces"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "bounces": ("Bounce", "read_bounces"),
            "opening": ("Mailbox", "in_words", "likely_mailbox", "open_mailbox"),
            "session": ("OpenMailbox", "Position"),
        },
    )
