"""The record of all mail, as it is kept in one folder: opened, and read.

Durable means WAL with synchronous=FULL: what is committed outlives a killed process and a power cut.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from docmail.errors import DocmailError, MessageError
from docmail.files import make_folder, reason_of
from docmail.language import _
from docmail.message import Attachment, Mail
from docmail.outbox import database
from docmail.outbox.rows import Parts, Role, Row, row_of
from docmail.outbox.schema import JOURNAL, STATE, is_spoilt, mark_spoilt
from docmail.outbox.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from docmail.message import Openable

T = TypeVar("T")

_ROW = (
    f"id, key, batch, {STATE} AS state, addressed, subject, message_id, created, sent_at, reply, user, sender, reason"
)
_ROW += ", body_sha256, given_sha256, send_at, thread"  # all that a `Row` shows; a head may have megabytes
_LISTED = "IN (SELECT value FROM json_each(?))"
_ROWS_WITH_HEAD = f"SELECT {_ROW}, head FROM mail WHERE id {_LISTED} ORDER BY id"  # noqa: S608 - ours
_ROWS = f"SELECT {_ROW}, NULL AS head FROM mail WHERE id {_LISTED} ORDER BY id"  # noqa: S608 - ours
_PARTS = f"SELECT * FROM {{}} WHERE mail {_LISTED} ORDER BY {{}}"  # noqa: S608 - ours
CONTENT_DAYS = 30  # unless a person says otherwise
_CORRECTED = "corrected "  # a note for each mail with corrected addresses: JSON, each address with what it was
_PORTION = 200  # rows
_RESERVE = 512 * 1024  # octets kept for the one moment in which the disk must not be full


class JournalFile:
    """The journal in one folder, open for one user of it, with the contents beside it.

    With `on_demand` it must be there, and is open only while it is asked something.

    What it is asked in SQL stands in journal.py, changes.py, queue.py and search.py, each question under a name.
    """

    def __init__(self, folder: Path, *, on_demand: bool = False) -> None:
        self.folder = folder
        self.spool = Spool(folder / "spool")
        self._reserve = folder / "reserve"
        self._on_demand = on_demand
        if on_demand:
            return
        with self.explained():
            make_folder(folder)
            self._open()
            self.spool.make()
            with suppress(OSError):  # a full disk is reported by whatever needs it
                if not self._reserve.exists():
                    self._reserve.touch(mode=0o600)
                    self._reserve.write_bytes(bytes(_RESERVE))

    def _open(self) -> None:
        self._shared = database.use(self.folder)
        # Also for an outbox that is only looked at in a cell, and never closed.
        self.close = weakref.finalize(self, self._shared.leave)

    @property
    def is_there(self) -> bool:
        """Whether its folder still has a journal; that of a sandbox goes with it."""
        return (self.folder / JOURNAL).exists()

    def reopen(self) -> None:
        """Open it again after `close()`; raises `DocmailError` if it is not there any more."""
        if not self.is_there:
            raise no_journal(self.folder)
        with self.explained():
            self._open()

    def must_be_open(self) -> None:
        """Raise `DocmailError` after `close()`, or if what is opened on demand is gone."""
        if self._on_demand:
            if not self.is_there:
                raise no_journal(self.folder)
        elif not self.close.alive:
            raise DocmailError(_("This outbox was closed."), hint=_("Open it again: outbox = docmail.Outbox()."))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say in the outbox's own sentence what goes wrong with a file in its folder."""
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            if str(exc).startswith("no such table"):  # a copy is being written over it, and is not there yet
                raise database.replaced(self.folder) from exc
            if is_spoilt(exc):
                mark_spoilt(self.folder)
            raise unusable(self.folder, exc) from exc

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for several questions; no thread of this process writes in between."""
        with self._opened() as shared, shared.lock:
            yield shared.connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write in one durable step, or not at all; a step within a step is a part of it."""
        with self._opened() as shared, shared.transaction() as connection:
            yield connection

    @contextmanager
    def _opened(self) -> Iterator[database.Database]:
        self.must_be_open()
        with self.explained():
            if not self._on_demand:
                yield self._shared
                return
            shared = database.use(self.folder)
            try:
                yield shared
            finally:
                shared.leave()

    def even_if_full(self, step: Callable[[], T]) -> T:
        """Do what must be written down; on a full disk the space that is reserved for this is released."""
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

    def went_back(self) -> DocmailError:
        """In a transaction: make unknown what waits, because this is an older copy; return the error that says so."""
        return self._shared.went_back()

    def ask(self, question: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return all rows that answer a question in SQL."""
        with self.reading() as connection:
            return connection.execute(question, parameters).fetchall()

    def value(self, question: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the one value that answers a question in SQL; None if there is no row."""
        found = self.ask(question, parameters)
        return found[0][0] if found else None

    def numbers(self, question: str, parameters: Sequence[Any] = ()) -> list[int]:
        """Return the numbers of mails that answer a question in SQL."""
        return [number for (number,) in self.ask(question, parameters)]

    def counts(self, question: str, parameters: Sequence[Any] = ()) -> dict[str, int]:
        """Return the counts that answer a question in SQL, each by the word in front of it."""
        return {row[0]: row[1] for row in self.ask(question, parameters)}


class Journal:
    """The record of all mail, to be read."""

    def __init__(self, file: JournalFile) -> None:
        self.file = file

    def rows(self, numbers: Iterable[int], *, with_head: bool = False) -> list[Row]:
        """Return the rows with these numbers, as far as they are there, newest last.

        With their heads, `Row.reply_to` is known.
        """
        listed = (json.dumps([*numbers]),)  # one parameter, however many they are
        with self.file.reading() as connection:
            found = connection.execute(_ROWS_WITH_HEAD if with_head else _ROWS, listed).fetchall()
            recipients = _grouped(connection.execute(_PARTS.format("recipient", "position"), listed))
            attachments = _grouped(connection.execute(_PARTS.format("attachment", "position"), listed))
            bounces = _grouped(
                connection.execute(_PARTS.format("bounce", "id").replace("ORDER", "AND holds ORDER"), listed)
            )
            copies = _grouped(connection.execute(_PARTS.format("sent_copy", "mail"), listed))
            question = "SELECT name, value FROM note WHERE name IN (SELECT ? || value FROM json_each(?))"
            notes = dict(connection.execute(question, (_CORRECTED, *listed)).fetchall())
        return [
            row_of(
                row,
                Parts(*(each.get(row["id"], []) for each in (recipients, attachments, bounces, copies))),
                json.loads(notes.get(f"{_CORRECTED}{row['id']}", "{}")),
            )
            for row in found
        ]

    def row(self, number: int) -> Row:
        """Return one row; raises `MessageError` if there is none with this number."""
        found = self.rows([number])
        if not found:
            raise MessageError(_("There is no mail {id}.").format(id=number), hint=_("Look at docmail.Outbox()."))
        return found[0]

    def with_key(self, account: str, batch: str | None, key: str) -> Row | None:
        """Return the row that has this key now."""
        question = "SELECT id FROM mail WHERE account = ? AND batch = ? AND key = ? AND current"
        found = self.rows(self.file.numbers(question, (account, batch or "", key)), with_head=True)
        return found[0] if found else None

    def all_rows(self) -> Iterator[Row]:
        """Return the rows that there are now, newest last, each as it is when its portion is read."""
        newest = int(self.file.value("SELECT max(id) FROM mail") or 0)
        return self._portions(newest)

    def _portions(self, newest: int) -> Iterator[Row]:
        # By number, not by place: what changes or is added meanwhile moves no other row.
        question = "SELECT id FROM mail WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
        last = 0
        while portion := self.rows(self.file.numbers(question, (last, newest, _PORTION))):
            yield from portion
            last = portion[-1].id

    def knows(self, account: str, batch: str) -> bool:
        """Say whether any row of a batch has a key."""
        question = "SELECT 1 FROM mail WHERE account = ? AND batch = ? AND key IS NOT NULL AND current LIMIT 1"
        return self.file.value(question, (account, batch)) is not None

    def count(self) -> dict[str, int]:
        """Return how many mails are in each state."""
        return self.file.counts(f"SELECT {STATE}, count(*) FROM mail GROUP BY 1")  # noqa: S608 - ours

    # --- what came back, and what is filed ---

    def with_message_id(self, message_id: str) -> list[Row]:
        """Return the mails that have this Message-ID."""
        return self.rows(self.file.numbers("SELECT id FROM mail WHERE message_id = ?", (message_id,)))

    def taken_as(self, name: str) -> list[Row]:
        """Return the mails that a server took under this name of its own, by what it replied."""
        question = "SELECT id FROM mail WHERE instr(reply, ?) AND state = 'sent' LIMIT 10"
        return self.rows(self.file.numbers(question, (name,)))

    def first_sent_since(self, account: str, since: float) -> float | None:
        """Return when an account's first mail since a moment went out, or may have; None if there is none."""
        question = (
            "SELECT min(coalesce(sent_at, created)) FROM mail WHERE account = ? AND coalesce(sent_at, created) >= ?"
            " AND (sent_at IS NOT NULL OR state IN ('sending', 'unknown'))"
        )
        return cast("float | None", self.file.value(question, (account, since)))

    def owed_copies(self, account: str) -> list[int]:
        """Return the mails that somebody has got, and of which a copy is still to be filed, oldest first."""
        return self.file.numbers(
            "SELECT mail FROM sent_copy JOIN mail ON mail.id = mail WHERE owed AND account = ?"
            " AND EXISTS (SELECT 1 FROM recipient WHERE recipient.mail = mail.id AND recipient.state = 'sent')"
            " ORDER BY mail",
            (account,),
        )

    def doubts(self, account: str) -> list[int]:
        """Return the mails of which nobody knows whether they were sent, oldest first."""
        question = "SELECT id FROM mail WHERE state = 'unknown' AND account = ? ORDER BY id"
        return self.file.numbers(question, (account,))

    def note(self, name: str) -> str | None:
        """Return something that the journal keeps about itself."""
        return cast("str | None", self.file.value("SELECT value FROM note WHERE name = ?", (name,)))

    def set_note(self, name: str, value: str) -> None:
        """Keep something about the journal itself."""
        with self.file.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)", (name, value))

    def note_corrected(self, number: int, corrected: Mapping[str, str]) -> None:
        """Remember which addresses of a mail were corrected, each with the one for which it was written down."""
        self.set_note(f"{_CORRECTED}{number}", json.dumps(corrected))

    def content_days(self) -> int:
        """Return how many days the text and the attachments of settled mails are kept; the record stays."""
        return int(self.note("content_days") or CONTENT_DAYS)

    def mail(self, number: int, shared: Mapping[str, Openable] | None = None) -> Mail:
        """Return a mail as it was written down, for the recipients that have not got it yet.

        `shared` are contents that the caller holds ready, by their SHA-256.
        """
        shared = shared or {}
        with self.file.reading() as connection:
            row = connection.execute("SELECT * FROM mail WHERE id = ?", (number,)).fetchone()
            waiting = connection.execute(
                "SELECT address, role FROM recipient WHERE mail = ? AND state IN ('queued', 'sending')"
                " ORDER BY position",
                (number,),
            ).fetchall()
            archive = frozenset(recipient["address"] for recipient in waiting if recipient["role"] == Role.ARCHIVE)
            somebody_has_it = "SELECT 1 FROM recipient WHERE mail = ? AND state = 'sent' AND role != 'archive'"
            if archive and connection.execute(somebody_has_it, (number,)).fetchone():
                archive = frozenset()  # its copy may go alone now
            attachments = connection.execute(
                "SELECT * FROM attachment WHERE mail = ? ORDER BY position", (number,)
            ).fetchall()
        if row["head"] is None:
            raise MessageError(
                _("The content of this mail is no longer kept."), hint=_("Make the document again and send it again.")
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
                    shared.get(each["sha256"]) or self.file.spool.file(each["sha256"]),
                )
                for each in attachments
            ),
        )


def unusable(folder: Path, failure: sqlite3.Error | OSError) -> DocmailError:
    """Return the error for a file in the folder of an outbox that cannot be read or written."""
    reason = str(failure).rstrip(".")
    if isinstance(failure, OSError):
        reason = reason_of(failure, folder)
    elif not all(map(_is_ours, (folder, folder / JOURNAL))):
        reason = reason_of(PermissionError(errno.EACCES, reason), folder / JOURNAL)  # SQLite does not say whose it is
    return DocmailError(
        _("The outbox in {folder} cannot be used: {reason}.").format(folder=folder, reason=reason),
        hint=_("Make room on the disk, allow writing to the folder, or set DOCMAIL_HOME to a folder you can write to."),
    )


def _is_ours(path: Path) -> bool:
    return not path.exists() or os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def no_journal(folder: Path) -> DocmailError:
    """Return the error for a folder without a journal, in which there was one."""
    return DocmailError(
        _("There is no outbox in {folder} any more.").format(folder=folder),
        hint=_("If it belonged to a sandbox, that sandbox is closed; otherwise check the folder in DOCMAIL_HOME."),
    )


def _grouped(rows: sqlite3.Cursor) -> dict[int, list[sqlite3.Row]]:
    grouped: dict[int, list[sqlite3.Row]] = {}
    for row in rows:
        grouped.setdefault(row["mail"], []).append(row)
    return grouped
