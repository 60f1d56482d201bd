"""Opens the file of the outbox: its tables, older and newer ones, a damaged or lost one, one on a network.

Durable means synchronous=FULL: what is committed outlives a killed process and a power cut. The write-ahead log needs
memory that processes share, which a network file system has not; there the older rollback journal serves. What happens
to the open file under a run is thought through in database.py.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from docmail.errors import DocmailError, Guide
from docmail.files import open_to_others, remove, replace, sync_folder
from docmail.home import hint_for
from docmail.language import _
from docmail.outbox import earlier_use
from docmail.outbox.file_systems import NETWORK, file_system, lockless_option
from docmail.outbox.rows import LATE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = 5
JOURNAL = "outbox.sqlite3"

_TABLES = """
CREATE TABLE mail (
    id          INTEGER PRIMARY KEY,
    account     TEXT NOT NULL,              -- the sending address: what a key is unique for
    batch       TEXT NOT NULL DEFAULT '',
    key         TEXT,
    current     INTEGER NOT NULL DEFAULT 1, -- 0: sent again on purpose, a later row has the key
    state       TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'refused', 'failed', 'unknown')),
    single      INTEGER NOT NULL,           -- 1: one attempt, by the process that added it
    owner       TEXT,                       -- the claim that holds it; see claims.py
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

# What each schema adds to the one before. An older docmail continues with a journal that it has open: what is new has a
# default.
_STEPS = {
    2: """
ALTER TABLE mail ADD COLUMN tries INTEGER NOT NULL DEFAULT 0; -- how often it was deferred
ALTER TABLE mail ADD COLUMN put_off REAL;                     -- when it was deferred last
ALTER TABLE mail ADD COLUMN not_before REAL;                  -- when it may be tried again
CREATE INDEX mail_waiting ON mail (account, id) WHERE state = 'queued';
CREATE INDEX attachment_content ON attachment (sha256);
CREATE TABLE pace (
    account     TEXT PRIMARY KEY,
    rate        TEXT,                       -- as a person wrote it; NULL: as the provider allows
    next_at     REAL NOT NULL DEFAULT 0     -- when the next mail may go
);
CREATE TABLE note (
    name        TEXT PRIMARY KEY,
    value       TEXT NOT NULL
);
""",
    3: """
ALTER TABLE mail ADD COLUMN given_sha256 TEXT; -- of the text as a person gave it; NULL: by a docmail before
""",
    # A recipient whose mail came back stays “sent” in its own table: the server took it, and no machine sends it again.
    4: """
ALTER TABLE mail ADD COLUMN bounced INTEGER NOT NULL DEFAULT 0; -- 1: it was sent, and came back from everybody
CREATE INDEX mail_message_id ON mail (message_id);
CREATE TABLE bounce (
    id          INTEGER PRIMARY KEY,
    mail        INTEGER NOT NULL REFERENCES mail,
    address     TEXT NOT NULL,              -- as in recipient
    source      TEXT NOT NULL,              -- the SHA-256 of the report, which counts once
    action      TEXT NOT NULL,              -- failed, delayed
    status      TEXT NOT NULL,              -- RFC 3463, or empty
    diagnostic  TEXT NOT NULL,              -- what the server said
    found_at    REAL NOT NULL,
    holds       INTEGER NOT NULL DEFAULT 1, -- 0: the mail has gone to the recipient again since, or is going
    UNIQUE (mail, address, source)
);
CREATE TABLE sent_copy (
    mail        INTEGER PRIMARY KEY REFERENCES mail,
    owed        INTEGER NOT NULL DEFAULT 1, -- for the Sent folder, once somebody has got the mail; 0: no more
    filed_at    REAL,                       -- when it was seen there, or put there; NULL: it is not there
    reason      TEXT NOT NULL DEFAULT ''    -- why it is not, as far as that was tried
);
CREATE INDEX sent_copy_owed ON sent_copy (mail) WHERE owed;
""",
    5: """
ALTER TABLE mail ADD COLUMN send_at REAL; -- when it is to go; NULL: at once
ALTER TABLE mail ADD COLUMN thread TEXT;  -- JSON: the Message-IDs of References, the answered one last; or NULL
""",
}
STATE = "CASE WHEN mail.state = 'sent' AND mail.bounced THEN 'bounced' ELSE mail.state END"
"""The state of a mail as its row shows it, in SQL."""
RETURNED = (
    "EXISTS (SELECT 1 FROM bounce WHERE bounce.mail = recipient.mail AND bounce.address = recipient.address"
    " AND bounce.holds AND bounce.action = 'failed' AND recipient.state = 'sent')"
)
"""The condition for recipients whose mail came back."""
LATE = (
    "recipient.state = 'sent' AND EXISTS (SELECT 1 FROM bounce WHERE bounce.mail = recipient.mail"  # noqa: S608 - ours
    " AND bounce.address = recipient.address AND bounce.holds AND bounce.action != 'failed'"
    f" AND bounce.found_at > strftime('%s', 'now') - {LATE_SECONDS})"
    f" AND NOT {RETURNED}"
)
"""The condition for recipients whose mail is late, and has not come back."""

_OPENING_SECONDS = 30.0
_LOG_OCTETS = 4_000_000
_SPOILT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "gpfs", "lustre", "ncpfs", "nfs"}
_NETWORK |= {"nfs4", "smb3", "smbfs", "afpfs", NETWORK}
_LOCKS_OF_ONE_COMPUTER = {"davfs", "fuse.gcsfuse", "fuse.goofys", "fuse.gvfsd-fuse", "fuse.rclone", "fuse.s3fs"}
_LOCKS_OF_ONE_COMPUTER |= {"fuse.davfs", "fuse.drive", "fuse.sshfs", "webdav"}


def open_journal(folder: Path) -> sqlite3.Connection:
    """Return the journal of this folder, ready to be used; raises `DocmailError`, `OSError` or `sqlite3.Error`.

    One that is damaged, or was lost as far as the rest of the folder shows, is reported once: what is left of it is
    kept under another name, and the next call finds a new one.
    """
    path = folder / JOURNAL
    if unsafe := open_to_others(folder, path):
        raise DocmailError(unsafe[0], hint=unsafe[1], guide=Guide.SENDING)
    kind = file_system(folder)
    if option := lockless_option(folder):
        raise DocmailError(
            _(
                "The outbox in {folder} is on a network drive that is mounted with {option}: two computers do not see "
                "each other's locks there, so a mail could go out twice."
            ).format(folder=folder, option=option),
            hint=_("Have it mounted without that option, or set DOCMAIL_HOME to a folder on this computer's own disk."),
            guide=Guide.SENDING,
        )
    if kind in _LOCKS_OF_ONE_COMPUTER:
        # Seen with sshfs: two computers sent the same mails, and left a damaged file.
        raise DocmailError(
            _(
                "The outbox in {folder} is on a network drive ({kind}) on which two computers do not see each other's "
                "locks, so a mail could go out twice."
            ).format(folder=folder, kind=kind.removeprefix("fuse.")),
            hint=_("Set DOCMAIL_HOME to a folder on this computer's own disk, or on NFS or SMB."),
            guide=Guide.SENDING,
        )
    try:
        # One after the other: SQLite does not wait for a lock while it changes to WAL.
        with FileLock(folder / "opening.lock", timeout=_OPENING_SECONDS, mode=0o600):
            was_used = earlier_use.show_use(folder)
            if earlier_use.log_is_of_another(path):
                _move_log(path, _name_for_damaged(path))  # then the database is an older copy, which is reported
            # A first opening has written into the database before it has a log.
            if _is_missing(path) and (was_used or not _is_missing(path.with_name(f"{JOURNAL}-wal"))):
                report, cause = _set_aside(path, is_lost=True), None  # SQLite would remove the log that is left of it
            else:
                try:
                    return _opened(path, kind, may_begin=not was_used)
                except _LostError:
                    report, cause = _set_aside(path, is_lost=True), None
                except sqlite3.DatabaseError as exc:
                    if not is_spoilt(exc):
                        raise
                    report, cause = _set_aside(path, is_lost=False), exc
            _opened(path, kind, may_begin=True).close()
            raise report from cause
    except Timeout as exc:
        raise DocmailError(
            _("Another program has been opening the outbox in {folder} for {seconds:.0f} s.").format(
                folder=folder, seconds=_OPENING_SECONDS
            ),
            hint=hint_for(
                notebook=_("End that program, or restart its kernel, and try again."),
                terminal=_("End that program, and try again."),
            ),
        ) from exc


class _LostError(Exception):
    """There is an empty journal where one was used before."""


def _is_missing(path: Path) -> bool:
    try:
        return not path.stat().st_size
    except FileNotFoundError:
        return True


def _opened(path: Path, kind: str, *, may_begin: bool) -> sqlite3.Connection:
    if not path.exists():
        path.touch(mode=0o600)
        sync_folder(path.parent)  # a log without its database would look like a journal that was lost
    database = _connected(path)
    try:
        _prepare(database, path.parent, kind, may_begin=may_begin)
    except BaseException:
        database.close()
        raise
    return database


def is_spoilt(failure: BaseException) -> bool:
    """Say whether this failure means that the file itself is damaged."""
    return isinstance(failure, sqlite3.DatabaseError) and (getattr(failure, "sqlite_errorcode", 0) & 0xFF) in _SPOILT


def must_be_looked_through(folder: Path) -> bool:
    """Say whether somebody has found the file damaged, and nobody has looked since."""
    return (folder / "outbox.damaged").exists()


def mark_spoilt(folder: Path) -> None:
    """Have the file looked through when it is next opened: damage in its middle shows only where it is read."""
    with suppress(OSError):
        (folder / "outbox.damaged").touch(mode=0o600)


# --- what database.py needs of an open one, so that SQL stands here ---


def has_log(database: sqlite3.Connection) -> bool:
    """Say whether the journal has a write-ahead log (WAL mode)."""
    (mode,) = database.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal")


def has_mail(database: sqlite3.Connection) -> bool:
    """Say whether any mail is in the journal."""
    return database.execute("SELECT 1 FROM mail LIMIT 1").fetchone() is not None


def begin(database: sqlite3.Connection) -> None:
    """Begin a transaction, with the lock for writing; `commit()` and `rollback()` of the connection end it."""
    # IMMEDIATE: two processes must not both read “queued” and both write “sending”.
    database.execute("BEGIN IMMEDIATE")


def changes_of(database: sqlite3.Connection) -> tuple[int, str]:
    """Return how many changes the journal has had, and which the last one was."""
    found = database.execute("SELECT value FROM note WHERE name = 'changes'").fetchone()
    number, _blank, which = found[0].partition(" ") if found else ("0", "", "")
    return int(number), which


def count_change(database: sqlite3.Connection, before: int) -> tuple[int, str]:
    """Count a change, as part of it; return what `changes_of` does then."""
    number, which = before + 1, token_hex(8)
    value = (f"{number} {which}",)
    # Not INSERT OR REPLACE, which writes into the index of the table as well, each time.
    if not database.execute("UPDATE note SET value = ? WHERE name = 'changes'", value).rowcount:
        database.execute(
            "INSERT INTO note (name, value) VALUES ('changes', ?), ('identity', ?)", (*value, token_hex(8))
        )
    return number, which


def identity_of(database: sqlite3.Connection) -> str:
    """Return the identity that a journal shares with its copies alone; nothing before its first change."""
    found = database.execute("SELECT value FROM note WHERE name = 'identity'").fetchone()
    return str(found[0]) if found else ""


def doubt(database: sqlite3.Connection, reason: str) -> None:
    """Make unknown all that waits, or was being sent."""
    for table, also in (("recipient", ""), ("mail", ", owner = NULL, reason = :reason")):
        database.execute(
            f"UPDATE {table} SET state = 'unknown'{also} WHERE state IN ('queued', 'sending')",  # noqa: S608 - ours
            {"reason": reason},
        )


# --- opening ---


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    database.row_factory = sqlite3.Row
    return database


def _prepare(database: sqlite3.Connection, folder: Path, kind: str, *, may_begin: bool) -> None:
    marker = folder / "outbox.damaged"
    if marker.exists():
        findings = [row[0] for row in database.execute("PRAGMA quick_check(1)")]
        remove(marker)
        if findings != ["ok"]:
            raise _damage(str(findings[0]))
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise DocmailError(
            _("The outbox in {folder} was written by a newer docmail; it is left as it is.").format(folder=folder),
            hint=_("Update docmail, or set DOCMAIL_HOME to another folder."),
        )
    if version == 0:
        if not may_begin:
            raise _LostError
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that what expires gives its space back
    shared = kind not in _NETWORK
    _journal_mode(database, "WAL" if shared else "DELETE")
    database.execute("PRAGMA synchronous = FULL")
    # On macOS, without these what is synchronised may still be in the memory of the drive; elsewhere they do nothing.
    database.execute("PRAGMA fullfsync = ON")
    database.execute("PRAGMA checkpoint_fullfsync = ON")
    # The log of a large batch would stay as long as it ever was.
    database.execute(f"PRAGMA journal_size_limit = {_LOG_OCTETS}")
    database.execute("PRAGMA foreign_keys = ON")
    _migrate(database, folder)


def _journal_mode(database: sqlite3.Connection, wanted: str) -> None:
    try:
        (mode,) = database.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    except sqlite3.OperationalError:
        if wanted == "DELETE":
            raise
        mode = ""  # a file system without shared memory that is none of those known
    if wanted == "WAL" and mode != "wal":
        _journal_mode(database, "DELETE")


def _migrate(database: sqlite3.Connection, folder: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA:
        return
    begin(database)
    try:
        for statement in _statements(_TABLES) if version == 0 else ():
            database.execute(statement)
        for number in range(max(version, 1) + 1, SCHEMA + 1):
            for statement in _statements(_STEPS[number]):
                database.execute(statement)
        if changes := earlier_use.mark(folder):
            # After one that was lost: a copy of that one, put in its place, has fewer.
            count_change(database, changes - 1)
        database.execute(f"PRAGMA user_version = {SCHEMA}")
        database.commit()
    except BaseException:
        database.rollback()
        raise


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _damage(finding: str) -> sqlite3.DatabaseError:
    failure = sqlite3.DatabaseError(finding)
    failure.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return failure


def _set_aside(path: Path, *, is_lost: bool) -> DocmailError:
    """Keep what is left of a journal under another name, and return what is to be said about it."""
    kept = _name_for_damaged(path)
    if path.exists():
        replace(path, kept)
    _move_log(path, kept)
    if (spool := path.with_name("spool")).exists():
        # Its documents belong to the record; the new one would remove them, because it needs none.
        replace(spool, kept.with_suffix(".spool"))
    message = _("The record of sent mail was damaged, so docmail no longer knows what was sent; it is kept as {path}.")
    if is_lost:
        message = _(
            "The record of sent mail is gone from {folder}, so docmail no longer knows what was sent; what is left of "
            "it is kept under names that begin with {name}."
        )
    # Not a warning: with an empty journal, every key counts as new, and a notebook would send everything again.
    return DocmailError(
        message.format(path=kept, folder=path.parent, name=kept.stem),
        hint=_(
            "Put a copy of outbox.sqlite3 from your backup in its place; or call this again to begin a new record, "
            "after you have made sure that nothing is sent a second time."
        ),
        guide=Guide.SENDING,
    )


def _name_for_damaged(path: Path) -> Path:
    stem = f"{path.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    number = sum(1 for _each in path.parent.glob(f"{stem}*"))  # the second one in a second has another name
    return path.with_name(f"{stem}{f'-{number}' if number else ''}{path.suffix}")


def _move_log(path: Path, kept: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            replace(part, Path(f"{kept}{suffix}"))
