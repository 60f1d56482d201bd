"""The record of all mail, as it is kept in one folder: opened, read, and changed in durable steps.

Durable means WAL with synchronous=FULL: what is committed outlives a killed process and a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from docmail.errors import DocmailError, MessageError
from docmail.language import _
from docmail.message import Attachment, Mail
from docmail.outbox import database
from docmail.outbox.rows import Row, row_of
from docmail.outbox.schema import JOURNAL, is_spoilt, mark_spoilt
from docmail.outbox.spool import Spool

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from docmail.message import Openable

_ROW = "id, key, batch, state, addressed, subject, message_id, created, sent_at, reply, user, sender, reason"
_ROW += ", body_sha256, given_sha256"  # all that a `Row` shows; a head may have megabytes
_LISTED = "IN (SELECT value FROM json_each(?))"
_ROWS_WITH_HEAD = f"SELECT {_ROW}, head FROM mail WHERE id {_LISTED} ORDER BY id"  # noqa: S608 - ours
_ROWS = f"SELECT {_ROW}, NULL AS head FROM mail WHERE id {_LISTED} ORDER BY id"  # noqa: S608 - ours
_PARTS = f"SELECT * FROM {{}} WHERE mail {_LISTED} ORDER BY position"  # noqa: S608 - ours
_PORTION = 200  # rows
_RESERVE = 512 * 1024  # octets kept for the one moment in which the disk must not be full


class Records:
    """The journal in one folder, to be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._spool = Spool(folder / "spool")
        self._reserve = folder / "reserve"
        with self._translated():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._open()
            self._spool.make()
            with suppress(OSError):  # a full disk is reported by whoever needs it
                if not self._reserve.exists():
                    self._reserve.write_bytes(bytes(_RESERVE))
                    self._reserve.chmod(0o600)

    def _open(self) -> None:
        self._journal = database.use(self.folder)
        # Also for an outbox that is only looked at in a cell, and never closed.
        self.close = weakref.finalize(self, self._journal.leave)

    @property
    def is_there(self) -> bool:
        """Whether its folder still has a journal; that of a sandbox goes with it."""
        return (self.folder / JOURNAL).exists()

    def reopen(self) -> None:
        """Open it again after `close()`; raises `DocmailError` if it is not there any more."""
        if not self.is_there:
            raise no_journal(self.folder)
        with self._translated():
            self._open()

    def must_be_open(self) -> None:
        """Raise `DocmailError` after `close()`."""
        if not self.close.alive:
            raise _closed()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            if is_spoilt(exc):
                mark_spoilt(self.folder)
            raise DocmailError(
                _("The outbox in {folder} cannot be used: {reason}.").format(
                    folder=self.folder, reason=(getattr(exc, "strerror", None) or str(exc)).rstrip(".")
                ),
                hint=_("Free the disk or the folder, or set DOCMAIL_HOME to a folder you can write to."),
            ) from exc

    def explained(self) -> AbstractContextManager[None]:
        """Say in the outbox's own sentence what goes wrong with a file in its folder."""
        return self._translated()

    @property
    def _lock(self) -> threading.RLock:
        return self._journal.lock

    @property
    def _database(self) -> sqlite3.Connection:
        self.must_be_open()
        return self._journal.connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self.must_be_open()
        with self._translated(), self._journal.transaction() as connection:
            yield connection

    # --- reading ---

    def _ask(self, question: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all that a question in SQL has for an answer; for the modules of the journal, which have the SQL."""
        with self._lock, self._translated():
            return self._database.execute(question, parameters).fetchall()

    def _value(self, question: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the one value that a question in SQL has for an answer; None if there is no row."""
        found = self._ask(question, parameters)
        return found[0][0] if found else None

    def _numbers(self, question: str, parameters: Sequence[Any] = ()) -> list[int]:
        """Return the numbers of mails that a question in SQL has for an answer."""
        return [number for (number,) in self._ask(question, parameters)]

    def _counts(self, question: str, parameters: Sequence[Any] = ()) -> dict[str, int]:
        """Return the numbers that a question in SQL has for an answer, each by what stands before it."""
        return {row[0]: row[1] for row in self._ask(question, parameters)}

    def rows(self, numbers: Iterable[int], *, with_head: bool = False) -> list[Row]:
        """Return the rows with these numbers, as far as they are there, newest last.

        With their heads, `Row.reply_to` is known.
        """
        listed = (json.dumps([*numbers]),)  # one parameter, however many they are
        with self._lock, self._translated():
            database = self._database
            found = database.execute(_ROWS_WITH_HEAD if with_head else _ROWS, listed).fetchall()
            recipients = _grouped(database.execute(_PARTS.format("recipient"), listed))
            attachments = _grouped(database.execute(_PARTS.format("attachment"), listed))
        return [row_of(row, recipients.get(row["id"], []), attachments.get(row["id"], [])) for row in found]

    def row(self, number: int) -> Row:
        """Return one row; raises `MessageError` if there is none with this number."""
        found = self.rows([number])
        if not found:
            raise MessageError(_("There is no mail {id}.").format(id=number), hint=_("Look at docmail.Outbox()."))
        return found[0]

    def with_key(self, account: str, batch: str | None, key: str) -> Row | None:
        """Return the row that has this key now."""
        question = "SELECT id FROM mail WHERE account = ? AND batch = ? AND key = ? AND current"
        found = self.rows(self._numbers(question, (account, batch or "", key)), with_head=True)
        return found[0] if found else None

    def all_rows(self) -> Iterator[Row]:
        """Return the rows that there are now, newest last, each as it is when its portion is read."""
        newest = int(self._value("SELECT max(id) FROM mail") or 0)
        return self._portions(newest)

    def _portions(self, newest: int) -> Iterator[Row]:
        # By number, not by place: what changes or is added meanwhile moves no other row.
        question = "SELECT id FROM mail WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
        last = 0
        while portion := self.rows(self._numbers(question, (last, newest, _PORTION))):
            yield from portion
            last = portion[-1].id

    def knows(self, account: str, batch: str) -> bool:
        """Say whether any row of a batch has a key."""
        question = "SELECT 1 FROM mail WHERE account = ? AND batch = ? AND key IS NOT NULL AND current LIMIT 1"
        return self._value(question, (account, batch)) is not None

    def count(self) -> dict[str, int]:
        """Return how many mails are in each state."""
        return self._counts("SELECT state, count(*) FROM mail GROUP BY state")

    def note(self, name: str) -> str | None:
        """Return something that the journal keeps about itself."""
        return cast("str | None", self._value("SELECT value FROM note WHERE name = ?", (name,)))

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


def no_journal(folder: Path) -> DocmailError:
    """Return the error for a folder without a journal, in which there was one."""
    return DocmailError(
        _("There is no outbox in {folder} any more.").format(folder=folder),
        hint=_("If it was a sandbox's, it is closed; otherwise look where DOCMAIL_HOME points to."),
    )


def _closed() -> DocmailError:
    return DocmailError(_("This outbox was closed."), hint=_("Open it again: outbox = docmail.Outbox()."))


def _grouped(rows: sqlite3.Cursor) -> dict[int, list[sqlite3.Row]]:
    grouped: dict[int, list[sqlite3.Row]] = {}
    for row in rows:
        grouped.setdefault(row["mail"], []).append(row)
    return grouped
