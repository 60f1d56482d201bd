"""Turns a mail of the queue into its rehearsal: the same to look at, addressed to oneself and to nobody else."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from docmail.message import new_message_id

if TYPE_CHECKING:
    from docmail.addresses import Address
    from docmail.message import Mail
    from docmail.settings import Settings

_FIELD = re.compile(rb"(?m)^([!-9;-~]+):.*\r\n(?:[ \t].*\r\n)*")  # RFC 5322 2.2, with what is folded below it
_RECIPIENTS = {b"to", b"cc", b"bcc"}


def redirected(mail: Mail, address: Address, settings: Settings) -> Mail:
    """Return the mail addressed to this address alone.

    The headers, too: some HTTP interfaces take the recipients from them. It has a Message-ID of its own, because a
    mailbox that has seen one does not show it a second time.
    """
    end = mail.head.index(b"\r\n\r\n") + 2
    headers, rest = mail.head[:end], mail.head[end:]
    message_id = new_message_id(settings.address.domain)
    visible: list[bytes] = []

    def changed(field: re.Match[bytes]) -> bytes:
        name = field[1].lower()
        if name in _RECIPIENTS:
            if name != b"to":
                visible.append(field[0])
                return b""
            return f"To: {address.addr_spec}\r\n".encode() + _for(field[0])
        return f"Message-ID: {message_id}\r\n".encode() if name == b"message-id" else field[0]

    return replace(
        mail,
        message_id=message_id,
        recipients=(address.addr_spec,),
        archive=frozenset(),
        head=_FIELD.sub(changed, headers) + rest,
        smtputf8=mail.smtputf8 or address.needs_smtputf8,
    )


def _for(field: bytes) -> bytes:
    """Return whom the mail is really for, in a field that no program takes for a recipient."""
    return b"X-Docmail-Rehearsal-For:" + field.partition(b":")[2]
