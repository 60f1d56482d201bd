"""What is known of one mail in the outbox, as its users see it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from docmail.replies import Reply

if TYPE_CHECKING:
    import sqlite3


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
    contents: tuple[str, ...] = field(repr=False)
    """The SHA-256 of each document."""


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
    )


def reply_to_json(reply: Reply | None) -> str | None:
    """Return a reply as the journal keeps it."""
    return None if reply is None else json.dumps([reply.code, reply.enhanced, reply.text])


def reply_from_json(text: str | None) -> Reply | None:
    """Return the reply that the journal keeps."""
    return None if text is None else Reply(*json.loads(text))
