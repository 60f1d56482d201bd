"""Opens the file of the outbox: its tables, older and newer ones, a damaged one, one on a network.

Durable means synchronous=FULL: what is committed outlives a killed process and a power cut. The write-ahead log needs
memory that processes share, which a network file system has not; there the older rollback journal serves.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from docmail.errors import DocmailError
from docmail.translation import _

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = 3
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

# What each schema adds to the one before. A docmail of before goes on with a journal that it has open: what is new has
# a default.
_STEPS = {
    2: """
ALTER TABLE mail ADD COLUMN tries INTEGER NOT NULL DEFAULT 0; -- how often it was put off
ALTER TABLE mail ADD COLUMN put_off REAL;                     -- when it was put off last
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
}

_OPENING_SECONDS = 30.0
_LOG_OCTETS = 4_000_000
_SPOILT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "gpfs", "lustre", "ncpfs", "nfs"}
_NETWORK |= {"nfs4", "smb3", "smbfs"}
_LOCKS_OF_ONE_COMPUTER = {"davfs", "fuse.gcsfuse", "fuse.goofys", "fuse.gvfsd-fuse", "fuse.rclone", "fuse.s3fs"}
_LOCKS_OF_ONE_COMPUTER |= {"fuse.davfs", "fuse.drive", "fuse.sshfs"}


def open_journal(folder: Path, *, was_used: bool = False) -> sqlite3.Connection:
    """Return the journal of this folder, ready to be used; raises `DocmailError`, `OSError` or `sqlite3.Error`.

    A damaged file is kept under another name and reported once; the next call begins a new one. A folder that
    `was_used` has a journal with something in it.
    """
    path = folder / JOURNAL
    kind = file_system(folder)
    if kind in _LOCKS_OF_ONE_COMPUTER:
        # Seen with sshfs: two computers sent the same mails, and left a damaged file.
        raise DocmailError(
            _(
                "The outbox in {folder} is on a network drive ({kind}) on which two computers do not see each other's "
                "locks, so a mail could go out twice."
            ).format(folder=folder, kind=kind.removeprefix("fuse.")),
            hint=_("Set DOCMAIL_HOME to a folder on this computer's own disk, or on NFS or SMB."),
            guide="Sending",
        )
    try:
        # One after the other: SQLite does not wait for a lock while it changes to WAL.
        with FileLock(folder / "opening.lock", timeout=_OPENING_SECONDS, mode=0o600):
            if was_used and path.exists() and not path.stat().st_size:
                raise _set_aside(path)  # SQLite would take it for a new one
            path.touch(mode=0o600)
            database = _connected(path)
            try:
                _prepare(database, folder, kind)
            except sqlite3.DatabaseError as exc:
                database.close()
                if not is_spoilt(exc):
                    raise
                raise _set_aside(path) from exc
            except BaseException:
                database.close()
                raise
            return database
    except Timeout as exc:
        raise DocmailError(
            _("Another program has been opening the outbox in {folder} for {seconds:.0f} s.").format(
                folder=folder, seconds=_OPENING_SECONDS
            ),
            hint=_("End that program, or restart its kernel, and try again."),
        ) from exc


def is_spoilt(failure: BaseException) -> bool:
    """Say whether this failure means that the file itself is damaged."""
    return isinstance(failure, sqlite3.DatabaseError) and (getattr(failure, "sqlite_errorcode", 0) & 0xFF) in _SPOILT


def mark_spoilt(folder: Path) -> None:
    """Have the file looked through when it is next opened: damage in its middle shows only where it is read."""
    with suppress(OSError):
        (folder / "outbox.damaged").touch(mode=0o600)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    database.row_factory = sqlite3.Row
    return database


def _prepare(database: sqlite3.Connection, folder: Path, kind: str) -> None:
    marker = folder / "outbox.damaged"
    if marker.exists():
        verdicts = [row[0] for row in database.execute("PRAGMA quick_check(1)")]
        marker.unlink(missing_ok=True)
        if verdicts != ["ok"]:
            raise _damage(str(verdicts[0]))
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA:
        raise DocmailError(
            _("The outbox in {folder} was written by a newer docmail; it is left as it is.").format(folder=folder),
            hint=_("Update docmail, or set DOCMAIL_HOME to another folder."),
        )
    if version == 0:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that what expires gives its space back
    shared = kind not in _NETWORK and not str(folder).startswith("\\\\")
    _journal_mode(database, "WAL" if shared else "DELETE")
    database.execute("PRAGMA synchronous = FULL")
    # The log of a large batch would stay as long as it ever was.
    database.execute(f"PRAGMA journal_size_limit = {_LOG_OCTETS}")
    database.execute("PRAGMA foreign_keys = ON")
    _migrate(database)


def _journal_mode(database: sqlite3.Connection, wanted: str) -> None:
    try:
        (mode,) = database.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
    except sqlite3.OperationalError:
        if wanted == "DELETE":
            raise
        mode = ""  # a file system without shared memory that is none of those known
    if wanted == "WAL" and mode != "wal":
        _journal_mode(database, "DELETE")


def _migrate(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA:
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(_TABLES) if version == 0 else ():
            database.execute(statement)
        for number in range(max(version, 1) + 1, SCHEMA + 1):
            for statement in _statements(_STEPS[number]):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _damage(verdict: str) -> sqlite3.DatabaseError:
    failure = sqlite3.DatabaseError(verdict)
    failure.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return failure


def _set_aside(path: Path) -> DocmailError:
    """Keep a damaged file under another name, and return what is to be said about it."""
    moment = time.strftime("%Y%m%d-%H%M%S")
    kept = path.with_name(f"{path.stem}-damaged-{moment}{path.suffix}")
    for suffix in ("", "-wal", "-shm"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.replace(f"{kept}{suffix}")
    if (spool := path.with_name("spool")).exists():
        # Its documents belong to the record; the new one would remove them, because it needs none.
        spool.replace(kept.with_suffix(".spool"))
    # Not a warning: with an empty journal, every key counts as new, and a notebook would go on and send it all again.
    return DocmailError(
        _(
            "The record of sent mail was damaged, so docmail no longer knows what was sent; it is kept as {path}."
        ).format(path=kept),
        hint=_(
            "Put a copy of outbox.sqlite3 from your backup in its place; or call this again to begin a new record, "
            "after you have made sure that nothing is sent a second time."
        ),
        guide="Sending",
    )


def file_system(folder: Path) -> str:
    """Return the kind of file system that a folder is on ("nfs4"), as far as the system says so."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""  # not Linux
    folder = folder.resolve()
    best, kind = "", ""
    for line in lines:
        # man 5 proc: ... mount point is the fifth field, the kind follows a lone hyphen.
        before, _hyphen, after = line.partition(" - ")
        # It is written in octets, those of a blank in octal.
        place = before.split(" ")[4].encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")
        inside = folder.is_relative_to(place)
        if inside and len(place) >= len(best):
            best, kind = place, after.split(" ")[0]
    return kind
