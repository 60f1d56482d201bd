"""Writes mails down, and what becomes of them: one row per mail in SQLite, every change one durable transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from docmail.errors import DocmailError, MessageError
from docmail.language import _
from docmail.message import dated
from docmail.outbox import claims
from docmail.outbox.rows import STORED, UNDELIVERED, Row, State, reply_to_json
from docmail.outbox.schema import RETURNED, STATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from docmail.documents import Document
    from docmail.mailbox import Bounce
    from docmail.outbox.entry import Entry
    from docmail.outbox.journal import Journal
    from docmail.outbox.spool import Flusher
    from docmail.reply import Reply

RecipientOutcome: TypeAlias = "tuple[State, Reply | None]"

_DAY = 86400.0

_SOMEBODY = "EXISTS (SELECT 1 FROM recipient WHERE mail = id AND recipient.state = '{}')"
_STATE_OF_ALL = (
    "CASE"
    + "".join(f" WHEN {_SOMEBODY.format(state)} THEN '{state}'" for state in ("unknown", "queued", "sent", "refused"))
    + " ELSE 'failed' END"
)
"""The state of a mail by those of its recipients, as `outcomes.whole_of` has it."""

_NOBODY_HAS_IT = "NOT EXISTS (SELECT 1 FROM recipient WHERE mail = id AND recipient.state = 'sent')"

_PEOPLE = "EXISTS (SELECT 1 FROM recipient WHERE mail = id AND role != 'archive' AND recipient.state {})"
_ONLY_THE_ARCHIVE_IN_DOUBT = _PEOPLE.format("= 'sent'") + " AND NOT " + _PEOPLE.format("IN ('unknown', 'queued')")
"""The condition for mails that everybody has got who could; the archive never fails a mail, and asks nobody."""

_HOLDER = "SELECT 1 FROM recipient WHERE recipient.mail = mail.id AND role != 'archive'"
_BOUNCED = (
    f"UPDATE mail SET bounced = EXISTS ({_HOLDER} AND {RETURNED}) AND NOT EXISTS ({_HOLDER} AND NOT {RETURNED}"  # noqa: S608 - ours
    " AND recipient.state IN ('sent', 'sending', 'queued', 'unknown')) WHERE id = ?"
)
"""Has a mail know whether it came back from everybody who got it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one mail, altogether and for each recipient; `not_before` is when it may be tried again."""

    number: int
    state: State
    recipients: Mapping[str, RecipientOutcome]
    reply: Reply | None = None
    reason: str = ""
    not_before: float | None = None

    @property
    def reached(self) -> tuple[str, ...]:
        """The addresses that have got the mail now."""
        return tuple(address for address, (state, _reply) in self.recipients.items() if state == State.SENT)


class KeyTakenError(MessageError):
    """Somebody else has just written down a mail with this key."""

    def __init__(self) -> None:
        super().__init__(
            _("This key has just been used."), field="key", hint=_("Look at docmail.Outbox() for what became of it.")
        )


def _reply_to_keep(state: State, reply: Reply | None) -> str | None:
    # What is said of one from whom it came back stands beside the reply, and is put together anew for each row.
    return None if state == State.BOUNCED else reply_to_json(reply)


def settled_meanwhile(number: int) -> MessageError:
    """Return the error for a mail that a person sends again, and that is no longer as that person has seen it."""
    return MessageError(
        _("Mail {id} is being sent or was settled meanwhile; nothing was sent.").format(id=number),
        hint=_("Look at docmail.Outbox()."),
    )


class Changes:
    """What is written into the journal; each method is one durable step, or a part of the caller's transaction."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._file = journal.file
        self.owes_copies = False
        """Whether a copy of each mail that begins here is to be filed in the Sent folder once somebody has got it."""

    # --- adding ---

    def keep(self, document: Document, flusher: Flusher | None = None) -> str:
        """Keep a document's content for a row to come, and return its SHA-256.

        With a `flusher`, the content is durable only after `wait_for`.
        """
        self._file.must_be_open()
        with self._file.explained():
            return self._file.spool.take(document, flusher)

    def wait_for(self, flusher: Flusher) -> None:
        """Wait until the disk has the contents that were kept with a flusher."""
        with self._file.explained():
            flusher.wait()
            self._file.spool.sync()

    def add(self, entry: Entry, *, claim: str | None = None, replaces: Row | None = None) -> int:
        """Write down a mail whose documents are kept, and return its number; `replaces` gives up its key.

        With a `claim`, it belongs to the holder of that from the beginning, and no run sends it. Raises
        `KeyTakenError` if another program was faster with the same key.
        """
        with self._file.transaction() as connection:
            if replaces is not None:
                given_up = connection.execute(
                    f"UPDATE mail SET current = 0 WHERE id = ? AND current AND {STATE} = ? AND owner IS NULL",  # noqa: S608 - ours
                    (replaces.id, replaces.state),
                )
                if not given_up.rowcount:  # it is not as it was read
                    raise KeyTakenError
            for _position, _name, _type, _size, sha256 in entry.attachments:
                if not self._file.spool.has(sha256):
                    raise DocmailError(
                        _("A document vanished from the outbox's folder while it was being added; nothing was added."),
                        hint=_("Add it again; let no other program tidy up in {folder}.").format(
                            folder=self._file.folder
                        ),
                    )
            values = {**entry.mail, "single": claim is not None, "owner": claim, "created": time.time()}
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            try:
                cursor = connection.execute(
                    f"INSERT INTO mail ({names}, state) VALUES ({marks}, 'queued')",  # noqa: S608
                    tuple(values.values()),
                )
            except sqlite3.IntegrityError as exc:
                if exc.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                    raise
                raise KeyTakenError from exc
            number = int(cursor.lastrowid or 0)
            connection.executemany(
                "INSERT INTO recipient (mail, position, address, role, state) VALUES (?, ?, ?, ?, 'queued')",
                [(number, *recipient) for recipient in entry.recipients],
            )
            connection.executemany(
                "INSERT INTO attachment (mail, position, name, media_type, size, sha256) VALUES (?, ?, ?, ?, ?, ?)",
                [(number, *attachment) for attachment in entry.attachments],
            )
        return number

    def add_all(self, entries: Iterable[tuple[Entry, Row | None]]) -> int:
        """Write many mails down, all of them or none, each with the row that gives its key up; return how many."""
        with self._file.transaction():
            return sum(1 for entry, replaces in entries if self.add(entry, replaces=replaces))

    def add_and_begin(self, entry: Entry, *, claim: str, replaces: Row | None = None) -> int:
        """Write down a mail whose sending begins in the same step."""
        with self._file.transaction():
            number = self.add(entry, claim=claim, replaces=replaces)
            self.begin(number, claim)
        return number

    def discard(self, contents: Iterable[str]) -> None:
        """Remove contents that were kept for rows that do not come, except those that any row refers to.

        Another program that has kept the same content since, and has not written its row down, finds it gone when it
        does, and says so: in a transaction, as this.
        """
        for sha256 in contents:
            with self._file.transaction() as connection:  # for each anew, because other programs wait
                if not connection.execute("SELECT 1 FROM attachment WHERE sha256 = ? LIMIT 1", (sha256,)).fetchone():
                    self._file.spool.file(sha256).path.unlink(missing_ok=True)

    # --- states ---

    def take(self, number: int, claim: str) -> bool:
        """Claim a waiting mail; False if it no longer waits, or somebody else has claimed it."""
        with self._file.transaction() as connection:
            changed = connection.execute(
                "UPDATE mail SET owner = ? WHERE id = ? AND state = 'queued' AND owner IS NULL", (claim, number)
            )
            return bool(changed.rowcount)

    def begin(self, number: int, claim: str, *, claimed: bool = True) -> None:
        """Say that a mail is about to be sent, which the holder has `claimed` before, or claims in this step."""
        with self._file.transaction() as connection:
            self._date(number)
            changed = connection.execute(
                "UPDATE mail SET state = 'sending', owner = ? WHERE id = ? AND owner IS ? AND state = 'queued'",
                (claim, number, claim if claimed else None),
            )
            if not changed.rowcount:
                raise DocmailError(
                    _("The outbox was changed by hand while a mail was about to be sent; it was not sent."),
                    hint=_("Look at docmail.Outbox(), and send it again."),
                )
            connection.execute("UPDATE recipient SET state = 'sending' WHERE mail = ? AND state = 'queued'", (number,))
            self._owe_copy(number)

    def _owe_copy(self, number: int) -> None:
        """Write down, before a mail is sent, that a copy is to be filed: then no killed program forgets it."""
        if self.owes_copies:
            with self._file.transaction() as connection:
                connection.execute("INSERT OR IGNORE INTO sent_copy (mail) VALUES (?)", (number,))

    def _date(self, number: int) -> None:
        """Give a mail that was to go later the date on which it goes, in the step that begins it.

        RFC 5322 3.6.1: the moment at which it was ready for delivery. Once it is not older than `send_at`, it stays:
        whoever gets the mail at a second attempt gets the same one.
        """
        with self._file.transaction() as connection:
            found = connection.execute(
                "SELECT head, send_at FROM mail WHERE id = ? AND send_at IS NOT NULL AND head IS NOT NULL", (number,)
            ).fetchone()
            if found is not None and (head := dated(found["head"], found["send_at"])) is not None:
                connection.execute("UPDATE mail SET head = ? WHERE id = ?", (head, number))

    def begin_again(self, number: int, claim: str, state: str) -> Row | None:
        """Claim and begin, in one durable step, a mail that a person sends again; return it as it was.

        It goes to those who have not got it, or from whom it came back; if nobody knows whether it arrived, not to
        those who were refused. None if it is not in this state any more, or its content is no longer kept.
        """
        # A doubt about a mail whose key a later one has is over: that one was sent instead.
        question = (
            f"SELECT id FROM mail WHERE id = ? AND {STATE} = ? AND state != 'sending' AND owner IS NULL"  # noqa: S608 - ours
            " AND head IS NOT NULL AND (current OR state != 'unknown')"
        )
        spared = State.REFUSED if state in {State.UNKNOWN, State.QUEUED} else State.SENT
        with self._file.transaction() as connection:
            if not (found := self._journal.rows(self._file.numbers(question, (number, state)))):
                return None
            if state != State.UNKNOWN:  # otherwise somebody may have it, with its date
                self._date(number)
            connection.execute(
                "UPDATE mail SET state = 'sending', owner = ?, bounced = 0 WHERE id = ?", (claim, number)
            )
            connection.execute(
                "UPDATE recipient SET state = 'sending' WHERE mail = ?"  # noqa: S608 - ours
                f" AND (state NOT IN ('sent', ?) OR {RETURNED})",
                (number, spared),
            )
            connection.execute(
                "UPDATE bounce SET holds = 0 WHERE mail = ? AND address IN"
                " (SELECT address FROM recipient WHERE mail = ? AND state = 'sending')",
                (number, number),
            )
            self._owe_copy(number)
            return found[0]

    def correct(
        self, row: Row, corrected: Mapping[str, str], head: bytes, *, smtputf8: bool, to: Sequence[str]
    ) -> None:
        """Write down that a mail is for other addresses than those that were refused, or from which it came back.

        With whatever sends it to them.

        `head` names them, and `to` as well. Raises `MessageError` if the mail is not as it was read.
        """
        with self._file.transaction() as connection:
            changed = connection.execute(
                "UPDATE mail SET head = ?, smtputf8 = ?, addressed = ?"  # noqa: S608 - ours
                f" WHERE id = ? AND {STATE} = ? AND current AND owner IS NULL AND head IS NOT NULL",
                (head, smtputf8, json.dumps(to), row.id, row.state),
            ).rowcount
            for address, other in corrected.items():
                changed *= connection.execute(
                    "UPDATE recipient SET address = ?, reply = NULL,"  # noqa: S608 - ours
                    " state = CASE state WHEN 'sent' THEN 'failed' ELSE state END"
                    f" WHERE mail = ? AND address = ? AND (state IN ('refused', 'failed') OR {RETURNED})",
                    (other, row.id, address),
                ).rowcount
                connection.execute("UPDATE bounce SET holds = 0 WHERE mail = ? AND address = ?", (row.id, address))
            if not changed:
                raise settled_meanwhile(row.id)
            before = {other: row.corrected.get(address, address) for address, other in corrected.items()}
            kept = {address: first for address, first in row.corrected.items() if address not in corrected}
            self._journal.note_corrected(row.id, kept | before)

    def note_outcomes(self, number: int, claim: str, outcomes: Mapping[str, RecipientOutcome]) -> None:
        """Write down what is certain of some recipients of a claimed mail that is still being sent to others."""
        with self._file.transaction() as connection:
            mine = "EXISTS (SELECT 1 FROM mail WHERE id = mail AND owner = ?)"
            connection.executemany(
                f"UPDATE recipient SET state = ?, reply = ? WHERE mail = ? AND address = ? AND {mine}",  # noqa: S608 - ours
                [(state, reply_to_json(reply), number, address, claim) for address, (state, reply) in outcomes.items()],
            )
            if any(state == State.SENT for state, _reply in outcomes.values()):
                connection.execute(
                    "UPDATE mail SET sent_at = ? WHERE id = ? AND owner = ?", (time.time(), number, claim)
                )

    def settle_alone(self, claim: str, outcome: Outcome, *, instead_of: Row | None = None) -> None:
        """Write down what became of a mail, also on a full disk.

        If nobody got it, the row that it was sent `instead_of` gets its key back.
        """

        def step() -> None:
            with self._file.transaction() as connection:
                is_ours = self.settle(claim, outcome)
                if is_ours and instead_of is not None and outcome.state in UNDELIVERED:
                    connection.execute("UPDATE mail SET current = 0 WHERE id = ? AND current", (outcome.number,))
                    connection.execute("UPDATE mail SET current = 1 WHERE id = ?", (instead_of.id,))

        self._file.even_if_full(step)

    def settle(self, claim: str, outcome: Outcome) -> bool:
        """Write down what became of a mail; False, and nothing is changed, if it is no longer under this claim."""
        deferred_at = time.time() if outcome.not_before is not None else None
        with self._file.transaction() as connection:
            changed = connection.execute(
                "UPDATE mail SET state = ?, owner = NULL, reply = ?, reason = ?, not_before = ?, put_off = ?,"
                " tries = tries + ?, sent_at = CASE WHEN ? THEN ? ELSE sent_at END WHERE id = ? AND owner = ?",
                (
                    *(
                        STORED.get(outcome.state, outcome.state),
                        reply_to_json(outcome.reply),
                        outcome.reason,
                        outcome.not_before,
                        deferred_at,
                    ),
                    *(deferred_at is not None, bool(outcome.reached), time.time(), outcome.number, claim),
                ),
            )
            if not changed.rowcount:
                return False
            connection.executemany(
                "UPDATE recipient SET state = ?, reply = coalesce(?, reply) WHERE mail = ? AND address = ?",
                [
                    (STORED.get(state, state), _reply_to_keep(state, reply), outcome.number, address)
                    for address, (state, reply) in outcome.recipients.items()
                ],
            )
            # It was to go again to those from whom it had come back, and did not.
            connection.executemany(
                "UPDATE bounce SET holds = 1 WHERE id = (SELECT max(id) FROM bounce WHERE mail = ? AND address = ?"
                " AND action = 'failed')",
                [
                    (outcome.number, address)
                    for address, (state, _reply) in outcome.recipients.items()
                    if state == State.BOUNCED
                ],
            )
            if outcome.state == State.UNKNOWN:
                connection.execute(
                    f"UPDATE mail SET state = 'sent' WHERE id = ? AND {_ONLY_THE_ARCHIVE_IN_DOUBT}",  # noqa: S608 - ours
                    (outcome.number,),
                )
            elif outcome.state in UNDELIVERED:
                # What is said of the whole is true of the best part: somebody has got it in an earlier attempt.
                reached_before = "FROM recipient WHERE mail = id AND recipient.state = 'sent'"
                connection.execute(
                    f"UPDATE mail SET state = 'sent', reply = (SELECT recipient.reply {reached_before})"  # noqa: S608 - ours
                    f" WHERE id = ? AND EXISTS (SELECT 1 {reached_before})",
                    (outcome.number,),
                )
            connection.execute(_BOUNCED, (outcome.number,))
            return True

    def move(self, number: int, send_at: float | None) -> bool:
        """Have a mail that waits, and that nobody has got, go at another time; False if it waits no more."""
        with self._file.transaction() as connection:
            moved = connection.execute(
                f"UPDATE mail SET send_at = ?, not_before = ? WHERE id = ? AND state = 'queued' AND owner IS NULL"  # noqa: S608 - ours
                f" AND {_NOBODY_HAS_IT}",
                (send_at, send_at, number),
            )
            return bool(moved.rowcount)

    def withdraw(self, mails: str | int, reason: str) -> int:
        """Take the mails of a batch that wait, or one mail, out of the queue, and their keys; return how many."""
        column = "id" if isinstance(mails, int) else "batch"
        withdrawn = f"state = 'queued' AND owner IS NULL AND {column} = ? AND {_NOBODY_HAS_IT}"
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE recipient SET state = 'failed' WHERE state = 'queued' AND mail IN"  # noqa: S608 - ours
                f" (SELECT id FROM mail WHERE {withdrawn})",
                (mails,),
            )
            changed = connection.execute(
                f"UPDATE mail SET state = 'failed', current = 0, reason = ? WHERE {withdrawn}",  # noqa: S608 - ours
                (reason, mails),
            )
            return changed.rowcount

    def resolve(self, id: int, outcome: str) -> None:  # noqa: A002 - the row's name for it
        """Write down what a person has decided about a mail whose outcome is unknown: "sent" or "resend"."""
        states = {"sent": State.SENT, "resend": State.QUEUED}
        if outcome not in states:
            raise MessageError(
                _("“{outcome}” is not an outcome.").format(outcome=outcome), hint=_('Say "sent" or "resend".')
            )
        state = states[outcome]
        # A mail whose key a later one has was sent again already.
        again = "AND current AND head IS NOT NULL" if outcome == "resend" else ""
        with self._file.transaction() as connection:
            changed = connection.execute(
                "UPDATE mail SET state = ?, owner = NULL, single = 0, tries = 0, not_before = NULL,"  # noqa: S608 - ours
                f" sent_at = CASE WHEN ? = 'sent' THEN ? WHEN {_SOMEBODY.format('sent')} THEN sent_at END"
                f" WHERE id = ? AND state = 'unknown' {again}",
                (state, state, time.time(), id),
            )
            if not changed.rowcount:
                raise MessageError(
                    _("The outcome of mail {id} is not unknown, or the mail was sent again since.").format(id=id),
                    hint=_("Look at the rows of docmail.Outbox() whose state is “unknown”."),
                )
            connection.execute("UPDATE recipient SET state = ? WHERE mail = ? AND state = 'unknown'", (state, id))
            # Who was deferred while nobody knew of the others has not got it: the next run sends it to them alone.
            connection.execute(
                "UPDATE mail SET state = 'queued' WHERE id = ? AND state = 'sent' AND head IS NOT NULL"  # noqa: S608 - ours
                f" AND {_SOMEBODY.format('queued')}",
                (id,),
            )
            connection.execute(_BOUNCED, (id,))

    # --- what came back, and what is filed ---

    def note_bounce(self, number: int, address: str, bounce: Bounce, source: str) -> bool:
        """Write down that a mail came back from a recipient, or is late; False if this report counted before."""
        with self._file.transaction() as connection:
            changed = connection.execute(
                "INSERT OR IGNORE INTO bounce (mail, address, source, action, status, diagnostic, found_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, address, source, bounce.action, bounce.status, bounce.diagnostic, time.time()),
            )
            connection.execute(_BOUNCED, (number,))
            return bool(changed.rowcount)

    def note_copy(self, number: int, *, filed_at: float | None, reason: str = "", owed: bool = False) -> None:
        """Write down that a copy is in the Sent folder, or why it is not; whether it is still to be filed."""
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE sent_copy SET owed = ?, filed_at = ?, reason = ? WHERE mail = ?",
                (owed, filed_at, reason, number),
            )

    def recover(self) -> None:
        """Settle the mails whose claim is over: begun ones are unknown, single ones not begun have failed.

        Mails that were only claimed from the queue wait in it again. What was already certain of a recipient
        (`note_outcomes`) stays true.
        """
        outcomes = (
            (
                State.SENDING,
                "1",
                State.UNKNOWN,
                _("The program ended while this mail was being sent; it may have arrived."),
            ),
            (State.QUEUED, "single", State.FAILED, _("The program ended before this mail was sent.")),
            (State.QUEUED, "NOT single", State.QUEUED, ""),
        )
        with self._file.reading():
            for (claim,) in self._file.ask("SELECT DISTINCT owner FROM mail WHERE owner IS NOT NULL"):
                if not claims.is_over(self._file.folder, claim):
                    continue
                with self._file.transaction() as connection:
                    # Mails of which each recipient's outcome was certain, and only the whole was not written down yet.
                    connection.execute(
                        f"UPDATE mail SET state = {_STATE_OF_ALL}, owner = NULL"  # noqa: S608 - ours
                        f" WHERE owner = ? AND state = 'sending' AND NOT {_SOMEBODY.format('sending')}"
                        " AND EXISTS (SELECT 1 FROM recipient WHERE mail = id)",
                        (claim,),
                    )
                    for old, which, new, reason in outcomes:
                        mails = f"owner = ? AND state = ? AND {which}"
                        connection.execute(
                            "UPDATE recipient SET state = ? WHERE state = ? AND mail IN"  # noqa: S608 - conditions are ours
                            f" (SELECT id FROM mail WHERE {mails})",
                            (new, old, claim, old),
                        )
                        connection.execute(
                            f"UPDATE mail SET state = ?, reason = ?, owner = NULL WHERE {mails}",  # noqa: S608
                            (new, reason, claim, old),
                        )
                claims.forget(self._file.folder, claim)

    def expire(self, days: float) -> None:
        """Drop the contents of settled mails older than this; the record itself stays."""
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE mail SET head = NULL WHERE head IS NOT NULL"
                " AND CASE WHEN send_at IS NULL THEN created ELSE max(created, send_at, ifnull(sent_at, 0)) END < ?"
                " AND state IN ('sent', 'refused', 'failed')"
                " AND NOT (state = 'sent' AND EXISTS (SELECT 1 FROM sent_copy WHERE sent_copy.mail = id AND owed))",
                (time.time() - days * _DAY,),
            )
            needed = {
                row["sha256"]
                for row in connection.execute(
                    "SELECT DISTINCT sha256 FROM attachment JOIN mail ON mail.id = attachment.mail"
                    " WHERE head IS NOT NULL"
                )
            }
            self._file.spool.clear(needed)
        with self._file.reading() as connection:
            # Not execute(): that takes one step, and each step gives one page back.
            connection.executescript("PRAGMA incremental_vacuum")

    def expire_daily(self) -> None:
        """Do so once a day, with the days that a person has set."""
        last = float(self._journal.note("expired") or 0)
        if abs(time.time() - last) >= _DAY:  # a clock that was set back must not stop it for years
            self._journal.set_note("expired", str(time.time()))
            self.expire(self._journal.content_days())
