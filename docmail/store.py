"""The journal behind the outbox: one row per mail in SQLite, every change one durable transaction.

Durable means WAL with synchronous=FULL: what is committed outlives a killed process and a power cut.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from docmail import owners
from docmail.errors import DocmailError, MessageError
from docmail.message import Attachment, Mail
from docmail.rows import Row, reply_to_json, row_of
from docmail.spool import Spool
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from docmail.message import Message
    from docmail.replies import Reply

_SCHEMA = 1

_TABLES = """
CREATE TABLE mail (
    id          INTEGER PRIMARY KEY,
    account     TEXT NOT NULL,              -- the sending address: what a key is unique for
    batch       TEXT NOT NULL DEFAULT '',
    key         TEXT,
    current     INTEGER NOT NULL DEFAULT 1, -- 0: sent again on purpose, a later row has the key
    state       TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'refused', 'failed', 'unknown')),
    single      INTEGER NOT NULL,           -- 1: one attempt, by the process that added it
    owner       TEXT,                       -- the attempt that has taken it; see owners.py
    message_id  TEXT NOT NULL,
    sender      TEXT NOT NULL,
    addressed   TEXT NOT NULL,              -- JSON: the addresses in To
    subject     TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    head        BLOB,                       -- headers and text; NULL once the content has expired
    boundary    TEXT NOT NULL,
    smtputf8    INTEGER NOT NULL,
    created     REAL NOT NULL,              -- seconds since 1970, UTC
    sent_at     REAL,
    reply       TEXT,                       -- JSON: code, enhanced code, words
    reason      TEXT NOT NULL DEFAULT '',   -- why it is not sent, in a sentence
    user        TEXT NOT NULL
);
CREATE UNIQUE INDEX mail_key ON mail (account, batch, key) WHERE key IS NOT NULL AND current;
CREATE INDEX mail_state ON mail (state, batch);
CREATE TABLE recipient (
    mail        INTEGER NOT NULL REFERENCES mail,
    position    INTEGER NOT NULL,
    address     TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('to', 'cc', 'bcc', 'archive')),
    state       TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'refused', 'failed', 'unknown')),
    reply       TEXT,
    PRIMARY KEY (mail, position)
) WITHOUT ROWID;
CREATE TABLE attachment (
    mail        INTEGER NOT NULL REFERENCES mail,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    size        INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    PRIMARY KEY (mail, position)
) WITHOUT ROWID;
"""


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
        self._path = folder / "outbox.sqlite3"
        self._spool = Spool(folder / "spool")
        self._lock = threading.RLock()
        with self._translated():
            self._spool.make()
            self._path.touch(mode=0o600)
            self._database = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
            # Also for an outbox that is only looked at in a cell, and never closed.
            self.close = weakref.finalize(self, self._database.close)
            self._database.row_factory = sqlite3.Row
            try:
                # One after the other: SQLite does not wait for a lock while it changes to WAL.
                with FileLock(folder / "opening.lock", timeout=30, mode=0o600):
                    self._prepare()
            except BaseException:
                self.close()
                raise

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA foreign_keys = ON")
        with self._transaction() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version > _SCHEMA:
                raise DocmailError(
                    _("The outbox in {folder} was written by a newer docmail; it is left as it is.").format(
                        folder=self.folder
                    ),
                    hint=_("Update docmail, or set DOCMAIL_HOME to another folder."),
                )
            if version == 0:
                for statement in _TABLES.split(";\n"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {_SCHEMA}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise DocmailError(
                _("The outbox in {folder} cannot be used: {reason}.").format(
                    folder=self.folder, reason=(getattr(exc, "strerror", None) or str(exc)).rstrip(".")
                ),
                hint=_("Free the disk or the folder, or set DOCMAIL_HOME to a folder you can write to."),
            ) from exc

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            # All in one `try`: an interrupt is raised as soon as BEGIN or COMMIT returns, or instead of either.
            try:
                # IMMEDIATE: two processes must not both read “queued” and both write “sending”.
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    # --- adding ---

    def add(  # noqa: PLR0913 - what a row is made of
        self,
        message: Message,
        mail: Mail,
        *,
        account: str,
        batch: str | None,
        attempt: str | None,
        replaces: Row | None,
    ) -> int:
        """Write a mail and its attachments down and return its number; with `replaces`, that row gives up its key.

        With an `attempt`, it belongs to that one attempt from the beginning. Raises `KeyTakenError` if another program
        was faster with the same key.
        """
        bcc = {address.addr_spec for address in message.bcc}
        cc = {address.addr_spec for address in message.cc}
        to = {address.addr_spec for address in message.to}
        with self._transaction() as database:
            if replaces is not None and not self._supersede(replaces):
                raise _key_taken()
            # Inside the transaction, so that no other process clears the spool between the file and its row.
            contents = [self._spool.take(document) for document in message.documents]
            if message.key is not None and self.with_key(account, batch, message.key):
                raise _key_taken()
            cursor = database.execute(
                "INSERT INTO mail (account, batch, key, state, single, owner, message_id, sender, addressed, subject,"
                " body_sha256, head, boundary, smtputf8, created, user)"
                " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    account,
                    batch or "",
                    message.key,
                    attempt is not None,
                    attempt,
                    mail.message_id,
                    mail.sender,
                    json.dumps([address.addr_spec for address in message.to]),
                    message.subject,
                    body_digest(message),
                    mail.head,
                    mail.boundary,
                    mail.smtputf8,
                    time.time(),
                    _user(),
                ),
            )
            number = int(cursor.lastrowid or 0)
            database.executemany(
                "INSERT INTO recipient (mail, position, address, role, state) VALUES (?, ?, ?, ?, 'queued')",
                [
                    (
                        number,
                        position,
                        address,
                        "to" if address in to else "cc" if address in cc else "bcc" if address in bcc else "archive",
                    )
                    for position, address in enumerate(mail.recipients)
                ],
            )
            database.executemany(
                "INSERT INTO attachment (mail, position, name, media_type, size, sha256) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (number, position, document.name, document.media_type, document.size, content)
                    for position, (document, content) in enumerate(zip(message.documents, contents, strict=True))
                ],
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
        found = self.rows("account = ? AND batch = ? AND key = ? AND current", (account, batch or "", key))
        return found[0] if found else None

    def count(self) -> dict[str, int]:
        """Return the number of mails in each state."""
        with self._lock, self._translated():
            return dict(self._database.execute("SELECT state, count(*) FROM mail GROUP BY state").fetchall())

    def mail(self, number: int) -> Mail:
        """Return a mail as it was written down, for the recipients that have not got it yet."""
        with self._lock, self._translated():
            row = self._database.execute("SELECT * FROM mail WHERE id = ?", (number,)).fetchone()
            waiting = self._database.execute(
                "SELECT address, role FROM recipient WHERE mail = ? AND state IN ('queued', 'sending')"
                " ORDER BY position",
                (number,),
            ).fetchall()
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
            archive=frozenset(recipient["address"] for recipient in waiting if recipient["role"] == "archive"),
            head=row["head"],
            boundary=row["boundary"],
            smtputf8=bool(row["smtputf8"]),
            attachments=tuple(
                Attachment(each["name"], each["media_type"], each["size"], self._spool.file(each["sha256"]))
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
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE mail SET state = 'sending' WHERE id = ? AND owner = ? AND state = 'queued'", (number, attempt)
            )
            if not changed.rowcount:
                raise DocmailError(
                    _("The outbox was changed by hand while a mail was about to be sent; it was not sent."),
                    hint=_("Look at docmail.Outbox(), and send it again."),
                )
            database.execute("UPDATE recipient SET state = 'sending' WHERE mail = ? AND state = 'queued'", (number,))

    def settle(  # noqa: PLR0913 - what a row says in the end
        self,
        number: int,
        attempt: str,
        state: str,
        recipients: Mapping[str, tuple[str, Reply | None]],
        *,
        reply: Reply | None = None,
        reason: str = "",
    ) -> None:
        """Write down what became of the mail of an attempt, altogether and for each of these recipients.

        A mail that is not this attempt's any more is left alone.
        """
        taken = any(each == "sent" for each, _reply in recipients.values())
        with self._transaction() as database:
            changed = database.execute(
                "UPDATE mail SET state = ?, owner = NULL, reply = ?, reason = ?,"
                " sent_at = CASE WHEN ? THEN ? ELSE sent_at END WHERE id = ? AND owner = ?",
                (state, reply_to_json(reply), reason, taken, time.time(), number, attempt),
            )
            if changed.rowcount:
                database.executemany(
                    "UPDATE recipient SET state = ?, reply = coalesce(?, reply) WHERE mail = ? AND address = ?",
                    [(state, reply_to_json(reply), number, address) for address, (state, reply) in recipients.items()],
                )
                # What is said of the whole is true of the best part: somebody has got it in an earlier attempt.
                database.execute(
                    "UPDATE mail SET state = 'sent' WHERE id = ? AND state IN ('refused', 'failed')"
                    " AND EXISTS (SELECT 1 FROM recipient WHERE mail = id AND recipient.state = 'sent')",
                    (number,),
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
                    "UPDATE mail SET state = ?, owner = NULL, single = 0,"
                    " sent_at = CASE ? WHEN 'sent' THEN ? END WHERE id = ?",
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
                (time.time() - days * 86400,),
            )
            needed = {
                row["sha256"]
                for row in database.execute(
                    "SELECT DISTINCT sha256 FROM attachment JOIN mail ON mail.id = attachment.mail"
                    " WHERE head IS NOT NULL"
                )
            }
            self._spool.clear(needed)


def body_digest(message: Message) -> str:
    """Return the SHA-256 of a message's text, to compare it after the text itself has expired."""
    return hashlib.sha256(message.body.encode()).hexdigest()


def _grouped(rows: sqlite3.Cursor) -> dict[int, list[sqlite3.Row]]:
    grouped: dict[int, list[sqlite3.Row]] = {}
    for row in rows:
        grouped.setdefault(row["mail"], []).append(row)
    return grouped


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""  # a container may run under a number without a name
