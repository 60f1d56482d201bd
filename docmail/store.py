"""The journal behind the outbox: one row per mail in SQLite, every change one durable transaction.

Durable means WAL with synchronous=FULL: what is committed outlives a killed process and a power cut.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from docmail import owners
from docmail.errors import DocmailError, MessageError
from docmail.journal import JOURNAL, is_spoilt, mark_spoilt, open_journal
from docmail.message import Attachment, Mail
from docmail.rows import Row, reply_to_json, row_of
from docmail.spool import Spool
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from docmail.documents import Document
    from docmail.entry import Entry
    from docmail.message import Openable
    from docmail.replies import Reply
    from docmail.spool import Flusher

T = TypeVar("T")

_RESERVE = 512 * 1024  # octets kept for the one moment in which the disk must not be full
_DAY = 86400.0


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - for each mail: with a path as an object it takes three times as long
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


class KeyTakenError(MessageError):
    """Somebody else has just written down a mail with this key."""


def _key_taken() -> KeyTakenError:
    return KeyTakenError(
        _("This key has just been used."), field="key", hint=_("Look at docmail.Outbox() for what became of it.")
    )


class Store:
    """The journal in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._spool = Spool(folder / "spool")
        self._reserve = folder / "reserve"
        self._lock = threading.RLock()
        with self._translated():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = open_journal(folder, was_used=self._reserve.exists())
            self._path = str(folder / JOURNAL)
            self._identity = _identity(self._path)
            # Also for an outbox that is only looked at in a cell, and never closed.
            self.close = weakref.finalize(self, self._database.close)
            self._spool.make()
            with suppress(OSError):  # a full disk is reported by whoever needs it
                if not self._reserve.exists():
                    self._reserve.write_bytes(bytes(_RESERVE))
                    self._reserve.chmod(0o600)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            if is_spoilt(exc):
                mark_spoilt(self.folder)
            if isinstance(exc, sqlite3.ProgrammingError) and not self.close.alive:
                raise DocmailError(
                    _("This outbox was closed."), hint=_("Open it again: outbox = docmail.Outbox().")
                ) from exc
            raise DocmailError(
                _("The outbox in {folder} cannot be used: {reason}.").format(
                    folder=self.folder, reason=(getattr(exc, "strerror", None) or str(exc)).rstrip(".")
                ),
                hint=_("Free the disk or the folder, or set DOCMAIL_HOME to a folder you can write to."),
            ) from exc

    def explained(self) -> AbstractContextManager[None]:
        """Say in the outbox's own sentence what goes wrong with a file in its folder."""
        return self._translated()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            # All in one `try`: an interrupt is raised as soon as BEGIN or COMMIT returns, or instead of either.
            try:
                # IMMEDIATE: two processes must not both read “queued” and both write “sending”.
                self._database.execute("BEGIN IMMEDIATE")
                self._look_for_the_file()
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _look_for_the_file(self) -> None:
        """Raise if what is written now would be written into a file that nobody opens any more."""
        if _identity(self._path) != self._identity:
            raise DocmailError(
                _("The outbox in {folder} was removed or replaced while it was open; nothing was written down.").format(
                    folder=self.folder
                ),
                hint=_("Restart the kernel, and look at docmail.Outbox() before you send anything again."),
                guide="Sending",
            )

    # --- adding ---

    def keep(self, document: Document, flusher: Flusher | None = None) -> str:
        """Keep a document's content for a row to come, and return its SHA-256.

        With a `flusher`, the content is durable only after `wait_for`.
        """
        with self._translated():
            return self._spool.take(document, flusher)

    def wait_for(self, flusher: Flusher) -> None:
        """Wait until the disk has the contents that were kept with a flusher."""
        with self._translated():
            flusher.wait()
            self._spool.sync()

    def add(self, entry: Entry, *, attempt: str | None = None, replaces: Row | None = None) -> int:
        """Write a mail down whose documents are kept, and return its number; `replaces` gives up its key.

        With an `attempt`, it belongs to that one attempt from the beginning. Raises `KeyTakenError` if another program
        was faster with the same key.
        """
        with self._transaction():
            return self._insert(entry, attempt, replaces)

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
        with self._transaction() as database:
            for sha256 in contents:
                if not database.execute("SELECT 1 FROM attachment WHERE sha256 = ? LIMIT 1", (sha256,)).fetchone():
                    self._spool.file(sha256).path.unlink(missing_ok=True)

    def _insert(self, entry: Entry, attempt: str | None, replaces: Row | None) -> int:
        if replaces is not None and not self._supersede(replaces):
            raise _key_taken()
        if entry.key is not None and self.with_key(entry.account, entry.batch, entry.key):
            raise _key_taken()
        for _position, _name, _type, _size, sha256 in entry.attachments:
            if not self._spool.file(sha256).path.exists():
                raise DocmailError(
                    _("A document vanished from the outbox's folder while it was being added; nothing was added."),
                    hint=_("Add it again; let no other program tidy up in {folder}.").format(folder=self.folder),
                )
        values = {**entry.mail, "single": attempt is not None, "owner": attempt, "created": time.time()}
        names = ", ".join(values)
        cursor = self._database.execute(
            f"INSERT INTO mail ({names}, state) VALUES ({', '.join('?' * len(values))}, 'queued')",  # noqa: S608 - ours
            tuple(values.values()),
        )
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

    # --- reading ---

    def rows(self, where: str = "1", parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows that fit a condition, newest last."""
        with self._lock, self._translated():
            database = self._database
            found = database.execute(f"SELECT * FROM mail WHERE {where} ORDER BY id", parameters).fetchall()  # noqa: S608 - conditions are ours
            recipients = _grouped(
                database.execute(
                    f"SELECT * FROM recipient WHERE mail IN (SELECT id FROM mail WHERE {where}) ORDER BY position",  # noqa: S608
                    parameters,
                )
            )
            attachments = _grouped(
                database.execute(
                    f"SELECT * FROM attachment WHERE mail IN (SELECT id FROM mail WHERE {where}) ORDER BY position",  # noqa: S608
                    parameters,
                )
            )
        return [row_of(row, recipients.get(row["id"], []), attachments.get(row["id"], [])) for row in found]

    def with_key(self, account: str, batch: str | None, key: str) -> Row | None:
        """Return the row that has this key now."""
        question = "SELECT id FROM mail WHERE account = ? AND batch = ? AND key = ? AND current"
        number = self.value(question, (account, batch or "", key))
        return None if number is None else self.rows("id = ?", (number,))[0]

    def count(self, where: str = "1", parameters: Sequence[Any] = ()) -> dict[str, int]:
        """Return the number of mails in each state, of those that fit a condition."""
        with self._lock, self._translated():
            counted = f"SELECT state, count(*) FROM mail WHERE {where} GROUP BY state"  # noqa: S608 - conditions are ours
            return dict(self._database.execute(counted, parameters).fetchall())

    def value(self, question: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the one value that a question of ours has for an answer; None if there is no row."""
        with self._lock, self._translated():
            found = self._database.execute(question, parameters).fetchone()
        return found[0] if found else None

    def note(self, name: str) -> str | None:
        """Return something that the journal keeps about itself."""
        return cast("str | None", self.value("SELECT value FROM note WHERE name = ?", (name,)))

    def set_note(self, name: str, value: str) -> None:
        """Keep something about the journal itself."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)", (name, value))

    def mail(self, number: int, shared: Mapping[str, Openable] | None = None) -> Mail:
        """Return a mail as it was written down, for the recipients that have not got it yet.

        `shared` are contents that the caller holds ready, by their SHA-256.
        """
        shared = shared or {}
        with self._lock, self._translated():
            row = self._database.execute("SELECT * FROM mail WHERE id = ?", (number,)).fetchone()
            waiting = self._database.execute(
                "SELECT address, role FROM recipient WHERE mail = ? AND state IN ('queued', 'sending')"
                " ORDER BY position",
                (number,),
            ).fetchall()
            archive = frozenset(recipient["address"] for recipient in waiting if recipient["role"] == "archive")
            somebody_has_it = "SELECT 1 FROM recipient WHERE mail = ? AND state = 'sent' AND role != 'archive'"
            if archive and self._database.execute(somebody_has_it, (number,)).fetchone():
                archive = frozenset()  # its copy may go alone now
            attachments = self._database.execute(
                "SELECT * FROM attachment WHERE mail = ? ORDER BY position", (number,)
            ).fetchall()
        if row["head"] is None:
            raise MessageError(
                _("The content of this mail is no longer kept."),
                hint=_("Make the document again and send it anew."),
            )
        return Mail(
            message_id=row["message_id"],
            sender=row["sender"],
            recipients=tuple(recipient["address"] for recipient in waiting),
            archive=archive,
            head=row["head"],
            boundary=row["boundary"],
            smtputf8=bool(row["smtputf8"]),
            attachments=tuple(
                Attachment(
                    each["name"],
                    each["media_type"],
                    each["size"],
                    shared.get(each["sha256"]) or self._spool.file(each["sha256"]),
                )
                for each in attachments
            ),
        )

    # --- states ---

    def begin_attempt(self) -> str:
        """Return a new attempt, which may claim mails of this journal until `owners.end_attempt`."""
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
    ) -> None:
        """Write down what became of the mail of an attempt, altogether and for each of these recipients.

        A mail that is not this attempt's any more is left alone.
        """

        def step() -> None:
            with self._transaction():
                self._settle(attempt, Settled(number, state, recipients, reply, reason, not_before))

        self._even_if_full(step)

    def _settle(self, attempt: str, settled: Settled) -> None:
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
            return
        self._database.executemany(
            "UPDATE recipient SET state = ?, reply = coalesce(?, reply) WHERE mail = ? AND address = ?",
            [
                (state, reply_to_json(reply), settled.number, address)
                for address, (state, reply) in settled.recipients.items()
            ],
        )
        if settled.state in {"refused", "failed"}:
            # What is said of the whole is true of the best part: somebody has got it in an earlier attempt.
            taken_before = "FROM recipient WHERE mail = id AND recipient.state = 'sent'"
            self._database.execute(
                f"UPDATE mail SET state = 'sent', reply = (SELECT recipient.reply {taken_before})"  # noqa: S608 - ours
                f" WHERE id = ? AND EXISTS (SELECT 1 {taken_before})",
                (settled.number,),
            )

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
        # A mail whose key a later one has was sent again already.
        which = "id = ?" if outcome == "sent" else "id = ? AND current AND head IS NOT NULL"
        if not self.change("unknown", states[outcome], which, (id,)):
            raise MessageError(
                _("Mail {id} is not one whose outcome is unknown, or it was sent again since.").format(id=id),
                hint=_("Look at the rows of docmail.Outbox() whose state is “unknown”."),
            )

    def change(self, old: str, new: str, where: str, parameters: Sequence[Any]) -> int:
        """Move the mails in a state that fit a condition, and their recipients in it, to another; return how many."""
        with self._transaction() as database:
            numbers = [
                row["id"]
                for row in database.execute(f"SELECT id FROM mail WHERE state = ? AND {where}", (old, *parameters))  # noqa: S608
            ]
            for number in numbers:
                database.execute(
                    "UPDATE mail SET state = ?, owner = NULL, single = 0, tries = 0, not_before = NULL,"
                    " sent_at = CASE WHEN ? = 'sent' THEN ? WHEN EXISTS"
                    " (SELECT 1 FROM recipient WHERE mail = id AND recipient.state = 'sent') THEN sent_at END"
                    " WHERE id = ?",
                    (new, new, time.time(), number),
                )
                database.execute("UPDATE recipient SET state = ? WHERE mail = ? AND state = ?", (new, number, old))
        return len(numbers)

    def recover(self) -> None:
        """Settle the mails of attempts that are over: begun ones are unknown, single ones not begun have failed.

        Mails that were only claimed from the queue wait in it again.
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


def _grouped(rows: sqlite3.Cursor) -> dict[int, list[sqlite3.Row]]:
    grouped: dict[int, list[sqlite3.Row]] = {}
    for row in rows:
        grouped.setdefault(row["mail"], []).append(row)
    return grouped
