"""Writes mails down, and what becomes of them: one row per mail in SQLite, every change one durable transaction."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from docmail.errors import DocmailError, MessageError
from docmail.language import _
from docmail.outbox import claims as owners
from docmail.outbox.journal import Records
from docmail.outbox.rows import Row, reply_to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from docmail.documents import Document
    from docmail.outbox.entry import Entry
    from docmail.outbox.spool import Flusher
    from docmail.reply import Reply

T = TypeVar("T")

_DAY = 86400.0

_SOMEBODY = "EXISTS (SELECT 1 FROM recipient WHERE mail = id AND recipient.state = '{}')"
_STATE_OF_ALL = (
    "CASE"
    + "".join(f" WHEN {_SOMEBODY.format(state)} THEN '{state}'" for state in ("unknown", "queued", "sent", "refused"))
    + " ELSE 'failed' END"
)
"""The state of a mail by those of its recipients, as `outcomes.whole_of` has it."""

_PEOPLE = "EXISTS (SELECT 1 FROM recipient WHERE mail = id AND role != 'archive' AND recipient.state {})"
_ONLY_THE_ARCHIVE_IN_DOUBT = _PEOPLE.format("= 'sent'") + " AND NOT " + _PEOPLE.format("IN ('unknown', 'queued')")
"""The condition for mails that everybody has got who could; the archive never fails a mail, and asks nobody."""


class KeyTakenError(MessageError):
    """Somebody else has just written down a mail with this key."""


def _key_taken() -> KeyTakenError:
    return KeyTakenError(
        _("This key has just been used."), field="key", hint=_("Look at docmail.Outbox() for what became of it.")
    )


class Store(Records):
    """The journal in one folder."""

    # --- adding ---

    def keep(self, document: Document, flusher: Flusher | None = None) -> str:
        """Keep a document's content for a row to come, and return its SHA-256.

        With a `flusher`, the content is durable only after `wait_for`.
        """
        self.must_be_open()
        with self._translated():
            return self._spool.take(document, flusher)

    def wait_for(self, flusher: Flusher) -> None:
        """Wait until the disk has the contents that were kept with a flusher."""
        with self._translated():
            flusher.wait()
            self._spool.sync()

    def add(
        self, entry: Entry, *, attempt: str | None = None, replaces: Row | None = None, begins: bool = False
    ) -> int:
        """Write a mail down whose documents are kept, and return its number; `replaces` gives up its key.

        With an `attempt`, it belongs to that one attempt from the beginning, which `begins` at once or later. Raises
        `KeyTakenError` if another program was faster with the same key.
        """
        with self._transaction():
            number = self._insert(entry, attempt, replaces)
            if begins and attempt is not None:
                self._begin(number, attempt)
            return number

    def add_all(self, entries: Iterable[tuple[Entry, Row | None]]) -> int:
        """Write many mails down, all of them or none, each with the row that gives its key up; return how many."""
        number = 0
        with self._transaction():
            for number, (entry, replaces) in enumerate(entries, 1):  # noqa: B007 - the last one counts
                self._insert(entry, None, replaces)
        return number

    def discard(self, contents: Iterable[str]) -> None:
        """Remove contents that were kept for rows that do not come, except those that any row refers to.

        Another program that has kept the same content since, and has not written its row down, finds it gone when it
        does, and says so: in a transaction, as this.
        """
        for sha256 in contents:
            with self._transaction() as database:  # for each anew, because other programs wait
                if not database.execute("SELECT 1 FROM attachment WHERE sha256 = ? LIMIT 1", (sha256,)).fetchone():
                    self._spool.file(sha256).path.unlink(missing_ok=True)

    def _insert(self, entry: Entry, attempt: str | None, replaces: Row | None) -> int:
        if replaces is not None and not self._supersede(replaces):
            raise _key_taken()
        for _position, _name, _type, _size, sha256 in entry.attachments:
            if not self._spool.has(sha256):
                raise DocmailError(
                    _("A document vanished from the outbox's folder while it was being added; nothing was added."),
                    hint=_("Add it again; let no other program tidy up in {folder}.").format(folder=self.folder),
                )
        values = {**entry.mail, "single": attempt is not None, "owner": attempt, "created": time.time()}
        names = ", ".join(values)
        try:
            cursor = self._database.execute(
                f"INSERT INTO mail ({names}, state) VALUES ({', '.join('?' * len(values))}, 'queued')",  # noqa: S608
                tuple(values.values()),
            )
        except sqlite3.IntegrityError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            raise _key_taken() from exc
        number = int(cursor.lastrowid or 0)
        self._database.executemany(
            "INSERT INTO recipient (mail, position, address, role, state) VALUES (?, ?, ?, ?, 'queued')",
            [(number, *recipient) for recipient in entry.recipients],
        )
        self._database.executemany(
            "INSERT INTO attachment (mail, position, name, media_type, size, sha256) VALUES (?, ?, ?, ?, ?, ?)",
            [(number, *attachment) for attachment in entry.attachments],
        )
        return number

    def _supersede(self, row: Row) -> bool:
        """Take the key from a row; False if it is not as it was read."""
        changed = self._database.execute(
            "UPDATE mail SET current = 0 WHERE id = ? AND current AND state = ? AND owner IS NULL", (row.id, row.state)
        )
        return bool(changed.rowcount)

    # --- states ---

    def begin_attempt(self) -> str:
        """Return a new attempt, which may claim mails of this journal until `claims.end_attempt`."""
        with self._translated():
            return owners.begin_attempt(self.folder)

    def claim(self, number: int, attempt: str) -> bool:
        """Take a waiting mail for one attempt; False if it no longer waits, or another attempt has it."""
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE mail SET owner = ? WHERE id = ? AND state = 'queued' AND owner IS NULL", (attempt, number)
            )
            return bool(changed.rowcount)

    def begin(self, number: int, attempt: str) -> None:
        """Commit, durably, that the attempt is about to send the mail that it has claimed."""
        with self._transaction():
            self._begin(number, attempt)

    def _begin(self, number: int, attempt: str, *, claims: bool = False) -> None:
        changed = self._database.execute(
            "UPDATE mail SET state = 'sending', owner = ? WHERE id = ? AND owner IS ? AND state = 'queued'",
            (attempt, number, None if claims else attempt),
        )
        if not changed.rowcount:
            raise DocmailError(
                _("The outbox was changed by hand while a mail was about to be sent; it was not sent."),
                hint=_("Look at docmail.Outbox(), and send it again."),
            )
        self._database.execute("UPDATE recipient SET state = 'sending' WHERE mail = ? AND state = 'queued'", (number,))

    def begin_again(self, number: int, attempt: str, state: str) -> Row:
        """Claim and begin, in one durable step, a mail that a person sends again; return it as it was.

        It goes to those who have not got it; if nobody knows whether it arrived, not to those who were refused. Raises
        `MessageError` if it is not in this state any more, or its content is no longer kept.
        """
        with self._transaction():
            if (found := self._begin_again(number, attempt, state)) is None:
                raise MessageError(
                    _("Mail {id} is being sent or was settled meanwhile; nothing was sent.").format(id=number),
                    hint=_("Look at docmail.Outbox()."),
                )
            return found

    def _begin_again(self, number: int, attempt: str, state: str) -> Row | None:
        # A doubt about a mail whose key a later one has is over: that one was sent instead.
        question = (
            "SELECT id FROM mail WHERE id = ? AND state = ? AND state != 'sending' AND owner IS NULL"
            " AND head IS NOT NULL AND (current OR state != 'unknown')"
        )
        if not (found := self.rows(self._numbers(question, (number, state)))):
            return None
        self._database.execute("UPDATE mail SET state = 'sending', owner = ? WHERE id = ?", (attempt, number))
        refused = "'refused'" if state in {"unknown", "queued"} else "''"
        self._database.execute(
            f"UPDATE recipient SET state = 'sending' WHERE mail = ? AND state NOT IN ('sent', {refused})",  # noqa: S608 - ours
            (number,),
        )
        return found[0]

    def note_outcomes(self, number: int, attempt: str, outcomes: Mapping[str, tuple[str, Reply | None]]) -> None:
        """Write down what is certain of some recipients of a mail that the attempt still sends to others."""
        with self._transaction() as database:
            mine = "EXISTS (SELECT 1 FROM mail WHERE id = mail AND owner = ?)"
            database.executemany(
                f"UPDATE recipient SET state = ?, reply = ? WHERE mail = ? AND address = ? AND {mine}",  # noqa: S608 - ours
                [
                    (state, reply_to_json(reply), number, address, attempt)
                    for address, (state, reply) in outcomes.items()
                ],
            )
            if any(state == "sent" for state, _reply in outcomes.values()):
                database.execute(
                    "UPDATE mail SET sent_at = ? WHERE id = ? AND owner = ?", (time.time(), number, attempt)
                )

    def settle(  # noqa: PLR0913 - what a row says in the end
        self,
        number: int,
        attempt: str,
        state: str,
        recipients: Mapping[str, tuple[str, Reply | None]],
        *,
        reply: Reply | None = None,
        reason: str = "",
        not_before: float | None = None,
        instead_of: Row | None = None,
    ) -> None:
        """Write down what became of the mail of an attempt, altogether and for each of these recipients.

        A mail that is not this attempt's any more is left alone. If nobody got it, the row that it was sent
        `instead_of` gets its key back.
        """

        def step() -> None:
            with self._transaction() as database:
                settled = self._settle(attempt, Settled(number, state, recipients, reply, reason, not_before))
                if settled and instead_of is not None and state in {"refused", "failed"}:
                    database.execute("UPDATE mail SET current = 0 WHERE id = ? AND current", (number,))
                    database.execute("UPDATE mail SET current = 1 WHERE id = ?", (instead_of.id,))

        self._even_if_full(step)

    def _settle(self, attempt: str, settled: Settled) -> bool:
        """Do so inside a transaction; False if it is not this attempt's any more."""
        taken = any(each == "sent" for each, _reply in settled.recipients.values())
        put_off = time.time() if settled.not_before is not None else None
        changed = self._database.execute(
            "UPDATE mail SET state = ?, owner = NULL, reply = ?, reason = ?, not_before = ?, put_off = ?,"
            " tries = tries + ?, sent_at = CASE WHEN ? THEN ? ELSE sent_at END WHERE id = ? AND owner = ?",
            (
                *(settled.state, reply_to_json(settled.reply), settled.reason, settled.not_before, put_off),
                *(put_off is not None, taken, time.time(), settled.number, attempt),
            ),
        )
        if not changed.rowcount:
            return False
        self._database.executemany(
            "UPDATE recipient SET state = ?, reply = coalesce(?, reply) WHERE mail = ? AND address = ?",
            [
                (state, reply_to_json(reply), settled.number, address)
                for address, (state, reply) in settled.recipients.items()
            ],
        )
        if settled.state == "unknown":
            self._database.execute(
                f"UPDATE mail SET state = 'sent' WHERE id = ? AND {_ONLY_THE_ARCHIVE_IN_DOUBT}",  # noqa: S608 - ours
                (settled.number,),
            )
        elif settled.state in {"refused", "failed"}:
            # What is said of the whole is true of the best part: somebody has got it in an earlier attempt.
            taken_before = "FROM recipient WHERE mail = id AND recipient.state = 'sent'"
            self._database.execute(
                f"UPDATE mail SET state = 'sent', reply = (SELECT recipient.reply {taken_before})"  # noqa: S608 - ours
                f" WHERE id = ? AND EXISTS (SELECT 1 {taken_before})",
                (settled.number,),
            )
        return True

    def _even_if_full(self, step: Callable[[], T]) -> T:
        """Do what must be written down; on a full disk the space kept for this moment is given up for it."""
        try:
            return step()
        except DocmailError:
            try:
                self._reserve.unlink()
            except OSError:
                pass
            else:
                return step()
            raise

    def withdraw(self, batch: str, reason: str) -> int:
        """Take the mails of a batch that wait out of the queue, and their keys from them; return how many."""
        nobody = "NOT EXISTS (SELECT 1 FROM recipient WHERE mail = id AND recipient.state = 'sent')"
        withdrawn = f"state = 'queued' AND owner IS NULL AND batch = ? AND {nobody}"
        with self._transaction() as database:
            database.execute(
                "UPDATE recipient SET state = 'failed' WHERE state = 'queued' AND mail IN"  # noqa: S608 - ours
                f" (SELECT id FROM mail WHERE {withdrawn})",
                (batch,),
            )
            changed = database.execute(
                f"UPDATE mail SET state = 'failed', current = 0, reason = ? WHERE {withdrawn}",  # noqa: S608 - ours
                (reason, batch),
            )
            return changed.rowcount

    def resolve(self, id: int, outcome: str) -> None:  # noqa: A002 - the row's name for it
        """Write down what a person has decided about a mail whose outcome is unknown: "sent" or "resend"."""
        states = {"sent": "sent", "resend": "queued"}
        if outcome not in states:
            raise MessageError(
                _("“{outcome}” is no outcome.").format(outcome=outcome), hint=_('Say "sent" or "resend".')
            )
        state = states[outcome]
        # A mail whose key a later one has was sent again already.
        again = "AND current AND head IS NOT NULL" if outcome == "resend" else ""
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE mail SET state = ?, owner = NULL, single = 0, tries = 0, not_before = NULL,"  # noqa: S608 - ours
                f" sent_at = CASE WHEN ? = 'sent' THEN ? WHEN {_SOMEBODY.format('sent')} THEN sent_at END"
                f" WHERE id = ? AND state = 'unknown' {again}",
                (state, state, time.time(), id),
            )
            if not changed.rowcount:
                raise MessageError(
                    _("Mail {id} is not one whose outcome is unknown, or it was sent again since.").format(id=id),
                    hint=_("Look at the rows of docmail.Outbox() whose state is “unknown”."),
                )
            database.execute("UPDATE recipient SET state = ? WHERE mail = ? AND state = 'unknown'", (state, id))
            # Who was deferred while nobody knew of the others has not got it: the next run sends it to them alone.
            database.execute(
                "UPDATE mail SET state = 'queued' WHERE id = ? AND state = 'sent' AND head IS NOT NULL"  # noqa: S608 - ours
                f" AND {_SOMEBODY.format('queued')}",
                (id,),
            )

    def recover(self) -> None:
        """Settle the mails of attempts that are over: begun ones are unknown, single ones not begun have failed.

        Mails that were only claimed from the queue wait in it again. Of a recipient of whom the attempt knew already
        what became (`note_outcomes`) that stays true.
        """
        outcomes = (
            ("sending", "1", "unknown", _("The program ended while this mail was being sent; it may have arrived.")),
            ("queued", "single", "failed", _("The program ended before this mail was sent.")),
            ("queued", "NOT single", "queued", ""),
        )
        with self._lock, self._translated():
            found = self._database.execute("SELECT DISTINCT owner FROM mail WHERE owner IS NOT NULL").fetchall()
            for (attempt,) in found:
                if not owners.is_over(self.folder, attempt):
                    continue
                with self._transaction() as database:
                    # Those of whom all was known, and only not yet said of the whole.
                    database.execute(
                        f"UPDATE mail SET state = {_STATE_OF_ALL}, owner = NULL"  # noqa: S608 - ours
                        f" WHERE owner = ? AND state = 'sending' AND NOT {_SOMEBODY.format('sending')}"
                        " AND EXISTS (SELECT 1 FROM recipient WHERE mail = id)",
                        (attempt,),
                    )
                    for old, which, new, reason in outcomes:
                        mails = f"owner = ? AND state = ? AND {which}"
                        database.execute(
                            "UPDATE recipient SET state = ? WHERE state = ? AND mail IN"  # noqa: S608 - conditions are ours
                            f" (SELECT id FROM mail WHERE {mails})",
                            (new, old, attempt, old),
                        )
                        database.execute(
                            f"UPDATE mail SET state = ?, reason = ?, owner = NULL WHERE {mails}",  # noqa: S608
                            (new, reason, attempt, old),
                        )
                owners.forget(self.folder, attempt)

    def expire(self, days: float) -> None:
        """Drop the contents of settled mails older than this; the record itself stays."""
        with self._transaction() as database:
            database.execute(
                "UPDATE mail SET head = NULL WHERE head IS NOT NULL AND created < ?"
                " AND state IN ('sent', 'refused', 'failed')",
                (time.time() - days * _DAY,),
            )
            needed = {
                row["sha256"]
                for row in database.execute(
                    "SELECT DISTINCT sha256 FROM attachment JOIN mail ON mail.id = attachment.mail"
                    " WHERE head IS NOT NULL"
                )
            }
            self._spool.clear(needed)
        with self._lock, self._translated():
            # Not execute(): that takes one step, and each step gives one page back.
            self._database.executescript("PRAGMA incremental_vacuum")

    def expire_daily(self, days: float) -> None:
        """Do so once a day."""
        last = float(self.note("expired") or 0)
        if abs(time.time() - last) >= _DAY:  # a clock that was set back must not stop it for years
            self.set_note("expired", str(time.time()))
            self.expire(days)


@dataclass(frozen=True)
class Settled:
    """What became of one mail, altogether and for each recipient; `not_before` is when it may be tried again."""

    number: int
    state: str
    recipients: Mapping[str, tuple[str, Reply | None]]
    reply: Reply | None = None
    reason: str = ""
    not_before: float | None = None
