"""One mail about to be written down: its row, its recipients, its attachments; not their content."""

from __future__ import annotations

import getpass
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from docmail.outbox.rows import Role
from docmail.text import source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.message import Mail, Message


@dataclass(frozen=True)
class Entry:
    """What the journal's tables will hold of a mail; `mail` names the columns."""

    mail: dict[str, Any]
    recipients: tuple[tuple[int, str, Role], ...]
    """Position, address, role."""
    attachments: tuple[tuple[int, str, str, int, str], ...]
    """Position, name, media type, size, SHA-256."""


def entry_of(message: Message, mail: Mail, *, account: str, batch: str | None, contents: Sequence[str]) -> Entry:
    """Return the entry for a message, the mail it became, and the SHA-256 of its documents."""
    roles = roles_of(message)
    return Entry(
        mail={
            "account": account,
            "batch": batch or "",
            "key": message.key,
            "message_id": mail.message_id,
            "sender": mail.sender,
            "addressed": json.dumps([address.addr_spec for address in message.to]),
            "subject": message.subject,
            "body_sha256": body_digest(message),
            "given_sha256": given_digest(message),
            "head": mail.head,
            "boundary": mail.boundary,
            "smtputf8": mail.smtputf8,
            "user": _user(),
            "thread": json.dumps(message.in_reply_to) if message.in_reply_to else None,
            **_due(message),
        },
        recipients=tuple(
            (position, address, roles.get(address.lower(), Role.ARCHIVE))
            for position, address in enumerate(mail.recipients)
        ),
        attachments=tuple(
            (position, document.name, document.content_type, document.size, content)
            for position, (document, content) in enumerate(zip(message.documents, contents, strict=True))
        ),
    )


def _due(message: Message) -> dict[str, float | None]:
    """Return when the mail may go; `not_before` is what a docmail before schema 5 knows."""
    moment = None if message.send_at is None else message.send_at.timestamp()
    return {"send_at": moment, "not_before": moment}


def roles_of(message: Message) -> dict[str, Role]:
    """Return the one role in which each mailbox gets a message."""
    named = {Role.TO: message.to, Role.CC: message.cc, Role.BCC: message.bcc}
    return {address.mailbox: role for role, addresses in named.items() for address in addresses}


def body_digest(message: Message) -> str:
    """Return the SHA-256 of a message's Markdown, by which a docmail before schema 3 knows its text."""
    return hashlib.sha256(message.body.encode()).hexdigest()


def given_digest(message: Message) -> str:
    """Return the SHA-256 of what a person gave as the text, to compare it after the text itself has expired."""
    return hashlib.sha256(source_of(message.body).encode()).hexdigest()


@cache
def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""  # a container may run under a number without a name
