"""Looks for bounces in the sender's mailbox, and writes them down at the recipients whom they are about.

A report counts only for a mail of this outbox, to a recipient of that mail, that has gone out: it may be forged, or
another's. It counts once, however often it is read.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from docmail.addresses import ascii_host
from docmail.language import _, ngettext
from docmail.mailbox import Bounce, Position, read_bounces
from docmail.outbox.keys import account_of
from docmail.outbox.rows import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.mailbox import OpenMailbox
    from docmail.outbox.rows import Row
    from docmail.outbox.store import Store
    from docmail.settings import Settings

INBOX = "INBOX"
_DAYS = 30  # a server gives up after a week at most
_PORTION = 50  # mails, after which it is written down how far the mailbox was read
_GONE_OUT = {State.SENT, State.BOUNCED, State.SENDING, State.UNKNOWN}


@dataclass(frozen=True)
class FoundBounces:
    """What a look into the mailbox has found: how many recipients' mails came back, or are late; `mails` are the rows.

    `bounced` and `delayed` are how many, `read` is how many new mails were looked at; `note` says why there are
    none where a service sends none, or is empty.

    >>> box.bounce("left@example.com")
    >>> number = docmail.Outbox().add(docmail.Message("left@example.com", "Hello"))
    >>> run = docmail.Outbox().run()  # looks into the mailbox by itself
    >>> docmail.Outbox().find_bounces().read
    0
    """

    bounced: int = 0
    delayed: int = 0
    read: int = 0
    mails: tuple[int, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        said = []
        if self.bounced:
            said.append(
                ngettext("{number} email bounced.", "{number} emails bounced.", self.bounced).format(
                    number=self.bounced
                )
            )
        else:
            said.append(_("No email bounced."))
        if self.delayed:
            said.append(
                ngettext(
                    "{number} email is late; the server still tries.",
                    "{number} emails are late; the server still tries.",
                    self.delayed,
                ).format(number=self.delayed)
            )
        said.append(
            ngettext("{number} new mail was read.", "{number} new mails were read.", self.read).format(number=self.read)
        )
        return " ".join(filter(None, (*said, self.note)))


def find_bounces(
    store: Store, box: OpenMailbox, settings: Settings, *, stopped: Callable[[], bool] = lambda: False
) -> FoundBounces:
    """Read what is new in the mailbox since the last look, and write down what came back.

    The first look goes back to the first mail that was sent in the last 30 days.
    """
    account = account_of(settings)
    first = store.journal.first_sent_since(account, time.time() - _DAYS * 86400.0)
    if first is None:
        return FoundBounces()
    day = (datetime.fromtimestamp(first, UTC) - timedelta(days=1)).date()
    place = f"read {_mailbox_name(settings)} {INBOX}"
    since = Position.read(store.journal.note(place) or "")
    found = _Found(store)
    position, read = since, 0
    for each, raw in box.new_mails(INBOX, since, not_before=day):
        found.note(raw)
        position, read = each, read + 1
        if not read % _PORTION:
            store.journal.set_note(place, str(position))
        if stopped():
            break
    if position != since:
        store.journal.set_note(place, str(position))
    return FoundBounces(len(found.bounced), len(found.delayed), read, tuple(sorted(found.mails)))


def _mailbox_name(settings: Settings) -> str:
    account = settings.for_mailbox.account
    return f"{account.username}@{account.host}:{account.port}".lower()


class _Found:
    """The bounces that were written down in this look."""

    def __init__(self, store: Store) -> None:
        self.bounced: set[tuple[int, str]] = set()
        self.delayed: set[tuple[int, str]] = set()
        self.mails: set[int] = set()
        self._store = store

    def note(self, raw: bytes) -> None:
        """Write down what a mail reports of mails of this outbox, all of it or nothing."""
        bounces = read_bounces(raw)
        if not bounces:
            return
        source = sha256(raw).hexdigest()
        with self._store.file.transaction():
            for bounce in bounces:
                if (found := self._recipient(bounce)) is not None:
                    self._note(*found, bounce, source)

    def _note(self, row: Row, address: str, bounce: Bounce, source: str) -> None:
        if row.recipients[address].state == State.UNKNOWN:
            # What comes back was taken, whatever the connection was like.
            self._store.changes.resolve(row.id, "sent")
        if self._store.changes.note_bounce(row.id, address, bounce, source):
            (self.bounced if bounce.is_final else self.delayed).add((row.id, address))
            self.mails.add(row.id)

    def _recipient(self, bounce: Bounce) -> tuple[Row, str] | None:
        """Return the mail that a report is about, and its recipient as the record has it; None if it is no such one."""
        wanted = {_comparable(address) for address in (bounce.recipient, *bounce.also)}
        for row in self._mails(bounce):
            for address, recipient in row.recipients.items():
                if recipient.state in _GONE_OUT and _comparable(address) in wanted:
                    return row, address
        return None

    def _mails(self, bounce: Bounce) -> Iterator[Row]:
        """Yield the mails that a report names; those that it only answers count if there is no other."""
        journal = self._store.journal
        if bounce.envelope_id:  # as the transport gives it: the Message-ID without its brackets
            yield from journal.with_message_id(f"<{bounce.envelope_id}>")
        for message_id in bounce.message_ids:
            if rows := journal.with_message_id(message_id):
                yield from rows
                return
        for message_id in bounce.message_ids:
            # Amazon SES gives each mail a Message-ID of its own, and says it when it takes the mail.
            if named := re.fullmatch(r"<([0-9a-f-]{40,80})@[a-z0-9.-]*amazonses\.com>", message_id):
                yield from journal.taken_as(named[1])


def _comparable(address: str) -> str:
    local, _at, domain = address.rpartition("@")
    with suppress(ValueError, UnicodeError):
        domain = ascii_host(domain)
    return f"{local.casefold()}@{domain.lower()}"
