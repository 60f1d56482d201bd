"""What is known of one mail in the outbox, as its users see it."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import getaddresses
from functools import lru_cache
from typing import TYPE_CHECKING

from docmail.errors import Word
from docmail.language import _
from docmail.replies import meaning_of_bounce, sentence
from docmail.reply import Reply

if TYPE_CHECKING:
    import sqlite3

# A header continues in lines that begin with a blank (RFC 5322 2.2.3).
_REPLY_TO = re.compile(rb"^Reply-To:((?:[^\r]*\r\n)(?:[ \t][^\r]*\r\n)*)", re.MULTILINE)


class State(Word):
    """What became of a mail, or of its part for one recipient; a text that is compared with one.

    >>> [str(state) for state in docmail.outbox.State]
    ['queued', 'sending', 'sent', 'bounced', 'refused', 'failed', 'unknown']
    """

    QUEUED = "queued"  # waits for a run
    SENDING = "sending"  # on its way now
    SENT = "sent"  # the server took it
    BOUNCED = "bounced"  # the server took it, and it came back
    REFUSED = "refused"  # for good, by the server
    FAILED = "failed"  # it was not sent, and is not tried again by itself
    UNKNOWN = "unknown"  # it may have been sent: a person decides


STORED = {State.BOUNCED: State.SENT}
"""As what the tables have a state that they do not have: the server took the mail, and what came back is beside it."""

UNDELIVERED = {State.REFUSED, State.FAILED}
"""The states in which it is certain that nobody has got a mail."""


class Role(Word):
    """Where a mail names a recipient: To, Cc or Bcc; or nowhere, for the archive's copy (*Copy to*).

    >>> [str(role) for role in docmail.outbox.Role]
    ['to', 'cc', 'bcc', 'archive']
    """

    TO = "to"
    CC = "cc"
    BCC = "bcc"
    ARCHIVE = "archive"  # the account's *Copy to*


@dataclass(frozen=True)
class Recipient:
    """What became of a mail for one recipient: its `state`, the server's `reply`, and its `role` in the headers.

    If it bounced, `status` is the enhanced code (RFC 3463) that was reported, which may be empty, `reason` says in a
    sentence why, and `reply` has both with what the server said. A mail that is only late is “sent”, with a `reason`.

    >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3")
    >>> next(iter(docmail.Outbox())).recipients["cfo@example.com"].reply.code
    250
    """

    state: State
    reply: Reply | None
    role: Role
    status: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """One mail in the outbox; times are in UTC.

    `id` is its number, `key` and `batch` are as they were given. `state` is what became of it as a whole, `recipients`
    has that for each address; `to` are those of the people to whom it was written. `reason` says in a sentence why it
    was not sent, or why it bounced; `reply` is the server's. `created` is when it was written down, `sent_at` when the
    server took it, `user` who did that on this computer. `sender`, `subject` and `message_id` are the mail's,
    `documents` the names of what is attached.

    >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3", key="Q3 2026")
    >>> row = next(iter(docmail.Outbox()))
    >>> row.id, row.key, row.state, row.to, row.bounced
    (1, 'Q3 2026', 'sent', ('cfo@example.com',), ())
    """

    id: int
    key: str | None
    batch: str | None
    state: State
    to: tuple[str, ...]
    subject: str
    message_id: str
    created: datetime
    sent_at: datetime | None
    reply: Reply | None
    user: str
    sender: str
    reason: str
    """Why it was not sent, or why it bounced, in a sentence."""
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
    corrected: dict[str, str] = field(default_factory=dict, repr=False)
    """Addresses that a person has corrected since, each with the one for which the mail was written down."""
    filed: bool | None = None
    """Whether a copy is in the Sent folder, as far as docmail files one; None if it does not."""
    not_filed: str = ""
    """Why the copy that is to be filed is not there yet, in a sentence."""
    send_at: datetime | None = None
    """When it is to be sent, by the first run from then on; None is at once."""
    references: tuple[str, ...] = field(default=(), repr=False)
    """The Message-IDs of the conversation before it, the mail that it answers last."""

    @property
    def people(self) -> tuple[str, ...]:
        """The addresses of the people to whom it was written, without the account's archive."""
        return tuple(address for address, each in self.recipients.items() if each.role != Role.ARCHIVE)

    @property
    def bounced(self) -> tuple[str, ...]:
        """The addresses of the people from whom it came back."""
        return tuple(address for address in self.people if self.recipients[address].state == State.BOUNCED)


@dataclass(frozen=True)
class Parts:
    """What the other tables hold of a mail."""

    recipients: list[sqlite3.Row] = field(default_factory=list)
    attachments: list[sqlite3.Row] = field(default_factory=list)
    bounces: list[sqlite3.Row] = field(default_factory=list)
    copies: list[sqlite3.Row] = field(default_factory=list)


def row_of(row: sqlite3.Row, parts: Parts, corrected: dict[str, str]) -> Row:
    """Return the row that the journal's tables hold."""
    copy = parts.copies[0] if parts.copies else None
    is_owed = copy is not None and bool(copy["owed"])
    state = State(row["state"])
    recipients = {each["address"]: _recipient(each, parts.bounces) for each in parts.recipients}
    return Row(
        id=row["id"],
        key=row["key"],
        batch=row["batch"] or None,
        state=state,
        to=tuple(json.loads(row["addressed"])),
        subject=row["subject"],
        message_id=row["message_id"],
        created=datetime.fromtimestamp(row["created"], UTC),
        sent_at=None if row["sent_at"] is None else datetime.fromtimestamp(row["sent_at"], UTC),
        reply=reply_from_json(row["reply"]),
        user=row["user"],
        sender=row["sender"],
        reason=_why_bounced(recipients) if state == State.BOUNCED else row["reason"],
        recipients=recipients,
        documents=tuple(each["name"] for each in parts.attachments),
        body_sha256=row["body_sha256"],
        contents=tuple(each["sha256"] for each in parts.attachments),
        reply_to=None if row["head"] is None else _reply_to(row["head"]),
        given_sha256=row["given_sha256"],
        corrected=corrected,
        filed=None if copy is None or not (is_owed or copy["filed_at"] or copy["reason"]) else bool(copy["filed_at"]),
        not_filed="" if copy is None or copy["filed_at"] else copy["reason"],
        send_at=None if row["send_at"] is None else datetime.fromtimestamp(row["send_at"], UTC),
        references=tuple(json.loads(row["thread"] or "[]")),
    )


LATE_SECONDS = 7 * 86400.0
"""How long a mail is late: by then it has arrived, of which nobody is notified, or its server has given up."""


def _recipient(row: sqlite3.Row, bounces: list[sqlite3.Row]) -> Recipient:
    state, reply, role = State(row["state"]), reply_from_json(row["reply"]), Role(row["role"])
    found = [each for each in bounces if each["address"] == row["address"]] if state == State.SENT else []
    if not found:
        return Recipient(state, reply, role)
    final = [each for each in found if each["action"] == "failed"]
    found = final or [each for each in found if each["found_at"] > time.time() - LATE_SECONDS]
    if not found:
        return Recipient(state, reply, role)
    last = found[-1]
    status, said = last["status"], last["diagnostic"]
    reason = meaning_of_bounce(status, said, delayed=not final)
    if not final:
        return Recipient(state, reply, role, status, reason)
    text = _("{what} It said: {reply}").format(what=reason, reply=sentence(said)) if said else reason
    return Recipient(State.BOUNCED, Reply(0, status, text), role, status, reason)


def _why_bounced(recipients: dict[str, Recipient]) -> str:
    """Return why a mail bounced: what is said of its recipients, each sentence once."""
    bounced = [each for each in recipients.values() if each.state == State.BOUNCED and each.role != Role.ARCHIVE]
    return " ".join(dict.fromkeys(each.reason for each in bounced))


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
