"""What the folder of the outbox shows of earlier use, beside the record itself.

The record counts its changes. How many there were also stands in a file beside it, the mark, from the moment in which
the first mail is in the record. The mark is written after each commit, so it never says more than the record that it
was written for; a record that has fewer changes is an older copy, and one that is not there was lost.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

from docmail import home
from docmail.errors import SettingsError
from docmail.files import make_folder, sync_file, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

_SHA256 = 64  # digits, which are the name of a document in the spool
_MARK = b"%020d %020d %020d %020d\n"  # always as long: one write replaces it all, and takes no space on a full disk
_NOTHING = 0, 0, 0, 0  # changes; the number of the database, and of the log; when the log was changed, in nanoseconds
_REMEMBERED = "{identity:>16} {changes:020d}\n"


def mark(folder: Path | str) -> int:
    """Return how many changes the record of this folder has had at least; 0 if no mail was ever in it."""
    return _read(folder)[0]


def log_is_of_another(path: Path) -> bool:
    """Say whether a log is the one that was written last, but the database beside it is not.

    SQLite would join them to something that never was.
    """
    _changes, database, *log = _read(path.parent)
    return log != [0, 0] and [*_number_and_time(f"{path}-wal")] == log and _number_and_time(f"{path}")[0] != database


def set_mark(folder: Path | str, changes: int, database: int, log: str) -> None:
    """Note that the record has had so many changes, the number (st_ino) of its database, and which file its log is.

    The first time, this outlives a power cut; later it need not: a mark that says too little is no harm. Raises
    `OSError`.
    """
    # The number of a file that was removed is given to the next one, and a copy that is written over a file keeps its
    # number. The time of the last change (st_ctime) tells them apart: no program can set it.
    number, time = _number_and_time(log)
    is_new = False
    try:
        file = os.open(_path(folder), os.O_WRONLY)
    except FileNotFoundError:
        file, is_new = os.open(_path(folder), os.O_WRONLY | os.O_CREAT, 0o600), True
    try:
        os.write(file, _MARK % (changes, database, number, time))
        if is_new:
            sync_file(file)
    finally:
        os.close(file)
    if is_new:
        sync_folder(folder)


def show_use(folder: Path) -> bool:
    """Say whether a mail has been in the record of this folder, as far as the rest of the folder shows.

    A first opening that was cut short leaves the lock of the opening and empty folders; documents and claims come with
    mails only.
    """
    with suppress(FileNotFoundError):
        if any(len(path.name) == _SHA256 for path in (folder / "spool").iterdir()):
            return True
    return mark(folder) > 0 or any((folder / "owners").glob("*.lock"))


class Memory:
    """How many changes a record has had, as is remembered outside of its folder; it never says more."""

    def __init__(self, folder: Path, identity: str) -> None:
        self._record = str(folder.resolve()), identity
        self._file: Path | None = None
        whose = home.of_record(folder)
        if whose is not None and whose.rehearsal:
            return
        with suppress(SettingsError):  # a user without a home
            self._file = home.memory_of_records() / sha256(os.fsencode(self._record[0])).hexdigest()[:32]

    def changes(self) -> int:
        """Return how many there were at least; 0 if nothing is remembered of this record."""
        found = _in_this_process.get(self._record, 0)
        with suppress(OSError):  # where the user has no place for it, this process remembers
            if self._file is not None:
                identity, _blank, number = self._file.read_text("ascii", "replace").strip().partition(" ")
                if identity == self._record[1] and number.isdigit():
                    found = max(found, int(number))
        return found

    def keep(self, changes: int) -> None:
        """Remember this number of changes, here and outside of the folder."""
        _in_this_process[self._record] = max(changes, _in_this_process.get(self._record, 0))
        if self._file is None:
            return
        written = _REMEMBERED.format(identity=self._record[1], changes=changes).encode()
        with suppress(OSError):
            try:
                file = os.open(self._file, os.O_WRONLY)
            except FileNotFoundError:
                make_folder(self._file.parent)
                file = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.write(file, written)
            finally:
                os.close(file)


_in_this_process: dict[tuple[str, str], int] = {}


def _read(folder: Path | str) -> tuple[int, ...]:
    try:
        file = os.open(_path(folder), os.O_RDONLY)
    except FileNotFoundError:
        return _NOTHING
    try:
        parts = os.read(file, 100).split()
    finally:
        os.close(file)
    if len(parts) != len(_NOTHING) or not all(part.isdigit() for part in parts):
        return _NOTHING  # a power cut may leave it empty
    return tuple(int(part) for part in parts)


def _number_and_time(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - the same call as in database.py
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_ctime_ns


def _path(folder: Path | str) -> str:
    return f"{folder}/outbox.mark"
