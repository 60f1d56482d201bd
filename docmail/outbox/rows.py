"""What is known of one mail in the outbox, as its users see it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import getaddresses
from functools import lru_cache
from typing import TYPE_CHECKING

from docmail.reply import Reply

if TYPE_CHECKING:
    import sqlite3

# A header goes on in lines that begin with a blank (RFC 5322 2.2.3).
_REPLY_TO = re.compile(rb"^Reply-To:((?:[^\r]*\r\n)(?:[ \t][^\r]*\r\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Recipient:
    """What became of a mail for one recipient."""

    state: str
    reply: Reply | None
    role: str


@dataclass(frozen=True)
class Row:
    """One mail in the outbox. `reason` says in a sentence why it was not sent; times are in UTC."""

    id: int
    key: str | None
    batch: str | None
    state: str
    to: tuple[str, ...]
    subject: str
    message_id: str
    created: datetime
    sent_at: datetime | None
    reply: Reply | None
    user: str
    sender: str
    reason: str
    recipients: dict[str, Recipient]
    documents: tuple[str, ...]
    body_sha256: str = field(repr=False)
    """Of the Markdown that docmail made of the text."""
    contents: tuple[str, ...] = field(repr=False)
    """The SHA-256 of each document."""
    reply_to: frozenset[str] | None = field(default=None, repr=False)
    """Where answers go, in small letters; None where it was not looked up, and once the content has expired."""
    given_sha256: str | None = field(default=None, repr=False)
    """Of the text as a person gave it; None if a docmail before schema 3 wrote the row."""


def row_of(row: sqlite3.Row, recipients: list[sqlite3.Row], attachments: list[sqlite3.Row]) -> Row:
    """Return the row that the journal's tables hold."""
    return Row(
        id=row["id"],
        key=row["key"],
        batch=row["batch"] or None,
        state=row["state"],
        to=tuple(json.loads(row["addressed"])),
        subject=row["subject"],
        message_id=row["message_id"],
        created=datetime.fromtimestamp(row["created"], UTC),
        sent_at=None if row["sent_at"] is None else datetime.fromtimestamp(row["sent_at"], UTC),
        reply=reply_from_json(row["reply"]),
        user=row["user"],
        sender=row["sender"],
        reason=row["reason"],
        recipients={
            each["address"]: Recipient(each["state"], reply_from_json(each["reply"]), each["role"])
            for each in recipients
        },
        documents=tuple(each["name"] for each in attachments),
        body_sha256=row["body_sha256"],
        contents=tuple(each["sha256"] for each in attachments),
        reply_to=None if row["head"] is None else _reply_to(row["head"]),
        given_sha256=row["given_sha256"],
    )


def _reply_to(head: bytes) -> frozenset[str]:
    """Return the addresses of a mail's Reply-To: not from a column, because the mail itself says it."""
    found = _REPLY_TO.search(head.partition(b"\r\n\r\n")[0] + b"\r\n")
    if found is None:
        return frozenset()
    line = " ".join(found[1].decode("utf-8", "replace").split())
    return frozenset(address.lower() for _name, address in getaddresses([line]))


@lru_cache(maxsize=8)  # it is written down for the mail and for each of its recipients
def reply_to_json(reply: Reply | None) -> str | None:
    """Return a reply as the journal keeps it."""
    return None if reply is None else json.dumps([reply.code, reply.enhanced, reply.text])


def reply_from_json(text: str | None) -> Reply | None:
    """Return the reply that the journal keeps."""
    return None if text is None else Reply(*json.loads(text))
