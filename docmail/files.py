"""Writes files that are never seen half written, and names that outlive a power cut; knows who else can write here.

Windows lets nobody replace, remove or open a file while certain other programs have it open: virus scanners, indexers,
a docmail that reads. Such moments pass, so what fails for one is tried again for a second, and nothing is lost by it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from docmail.language import _

if sys.platform != "win32":
    import fcntl
    import grp
    import pwd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.errors import DocmailError

_T = TypeVar("_T")

NAME = re.compile(r"[^\W_][\w .@+-]{0,63}")
"""What an entry of a `JsonFile` may be called."""

one_at_a_time = Lock()
"""Held while pdfium is called, which is not thread-safe."""

_FORMAT = 1
_HELD_SECONDS = 1.0  # that another program may hold a file
_LOOK_SECONDS = 0.02
_FIRST_PERSON = 500  # user numbers below belong to services; people begin at 500 on macOS, at 1000 on Linux


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, for its owner only, whatever the umask is; raises `OSError`."""
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        make_folder(folder.parent)  # mkdir(parents=True) would leave them to the umask
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.name == "posix":
        folder.chmod(0o700)


def patiently(step: Callable[[], _T], path: Path, access: int, seconds: float = _HELD_SECONDS) -> _T:
    """Return what a step returns; one that is denied though this user has the `access` to `path` is tried again.

    Then another program holds the file, as Windows has it. Raises the last error after so many seconds.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return step()
        except PermissionError:
            if time.monotonic() >= end or not _may(path, access):
                raise
            time.sleep(_LOOK_SECONDS)


def _may(path: Path, access: int) -> bool:
    return os.access(path, access, effective_ids=os.access in os.supports_effective_ids)


def replace(source: Path, target: Path) -> None:
    """Put a file in the place of another one, patiently; raises `OSError`, and then what was there is still there."""
    patiently(lambda: source.replace(target), target.parent, os.W_OK)


def remove(path: Path) -> None:
    """Remove a file if it is there, patiently; raises `OSError`."""
    patiently(lambda: path.unlink(missing_ok=True), path.parent, os.W_OK)


def sync_file(file: int) -> None:
    """Wait until the disk has what was written into an open file; raises `OSError`."""
    full = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform != "win32" else None
    if full is not None:
        # On macOS, fsync() leaves it in the memory of the drive, which a power cut takes.
        with suppress(OSError):  # of a drive that does not know this
            fcntl.fcntl(file, full)
            return
    os.fsync(file)


def write_whole(path: Path, *pieces: bytes, durable: bool = False) -> None:
    """Write a file whole or not at all, readable by its owner only; `durable` waits until the disk has it."""
    # mkstemp makes the file with mode 0600; the replace is atomic within one folder.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            if durable:
                file.flush()
                sync_file(file.fileno())
        replace(Path(temporary), path)
    except BaseException:
        with suppress(OSError):
            remove(Path(temporary))
        raise


def sync_folder(folder: Path | str) -> None:
    """Make new names in a folder durable, where folders can be synchronised (not on Windows)."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


# --- who else can write here ---


def open_to_others(folder: Path, file: Path | None = None) -> tuple[str, str] | None:
    """Return why a folder, or a file in it, is not safe from other people, as a sentence and a hint; None if it is.

    Who can write into the folder decides through which server this user's mail goes, and what counts as sent. The
    administrator can do so anyway. What is not there yet is safe. Raises `OSError` for what cannot be looked at.

    A folder that a group can write is refused only if the group is known to have other people: Debian gives each
    person a group, and a umask by which it can write; containers give a volume to a group without a name.
    """
    if sys.platform == "win32":
        return None  # a person's own folders are nobody else's there, and modes say nothing
    try:
        of_folder = folder.stat()
        of_file = file.stat() if file is not None and file.exists() else None
    except FileNotFoundError:
        return None
    me = os.geteuid()
    trusted = {me, 0}
    if me == 0:  # root of a container has the folders that people outside of it lend to it
        trusted.add(of_folder.st_uid)
    for path, found in ((folder, of_folder), (file, of_file)):
        if path is not None and found is not None and found.st_uid not in trusted:
            return (
                _("{path} belongs to another person ({owner}), so docmail does not use it.").format(
                    path=path, owner=_name_of(found.st_uid)
                ),
                _("Set DOCMAIL_HOME to a folder of your own."),
            )
    if _others_write(of_folder) and not of_folder.st_mode & stat.S_ISVTX:  # in /tmp everybody has files of their own
        return _writable(folder)
    if (
        file is not None
        and of_file is not None
        and _others_write(of_file)
        and file.resolve().parent.stat().st_mode & 0o011
    ):
        return _writable(file)
    return None


def _writable(path: Path) -> tuple[str, str]:
    return (
        _("Other people on this computer can write into {path}, so docmail does not use it.").format(path=path),
        _(
            "If you trust what is in it, remove that permission: chmod go-w {path}. Otherwise set "
            "DOCMAIL_HOME to a folder of your own."
        ).format(path=shlex.quote(str(path))),
    )


def _others_write(found: os.stat_result) -> bool:
    return bool(found.st_mode & stat.S_IWOTH) or bool(found.st_mode & stat.S_IWGRP and _has_others(found.st_gid))


def _has_others(group: int) -> bool:
    """Say whether a group is known to have other people in it than this one, and the administrator."""
    if sys.platform == "win32":
        return False
    own = {_name_of(os.geteuid()), "root"}
    with suppress(KeyError):  # a group without a name
        if not own.issuperset(grp.getgrgid(group).gr_mem):
            return True
    people = (each for each in pwd.getpwall() if each.pw_uid >= _FIRST_PERSON and each.pw_uid != os.geteuid())
    return any(each.pw_gid == group for each in people)


def _name_of(user: int) -> str:
    if sys.platform != "win32":
        with suppress(KeyError):
            return pwd.getpwuid(user).pw_name
    return str(user)


def reason_of(failure: OSError, path: Path) -> str:
    """Return why a file or folder cannot be used, and whose it is if that is somebody else."""
    reason = failure.strerror or str(failure)
    if isinstance(failure, PermissionError) and sys.platform != "win32":
        for place in (path, *path.parents):  # the first that can be looked at: what denies, or what is in it
            with suppress(OSError):
                if (owner := place.stat().st_uid) == os.geteuid():
                    break
                return _("{reason}; {path} belongs to {owner}").format(reason=reason, path=place, owner=_name_of(owner))
    return reason


class JsonFile:
    """A file of named entries, such as settings or templates, that several programs may change.

    A file that is damaged (also by an entry that is not `valid`), or that a newer docmail wrote, is reported and left
    as it is. `error` makes the exception of a sentence and its `hint`.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        error: Callable[..., DocmailError],
        valid: Callable[[object], bool] = lambda _entry: True,
    ) -> None:
        self._path = path
        self._key = key
        self._error = error
        self._valid = valid

    def read(self) -> dict[str, Any]:
        """Return the entries by name; none if there is no file."""
        try:
            unsafe = open_to_others(self._path.parent, self._path) if self._path.exists() else None
            raw = b"" if unsafe else patiently(self._path.read_bytes, self._path, os.R_OK)
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise self._error(
                _("The file {path} cannot be read: {reason}.").format(
                    path=self._path, reason=reason_of(exc, self._path)
                ),
                hint=_("Ask its owner for permission to read it, or set DOCMAIL_HOME to a folder of your own."),
            ) from exc
        if unsafe:
            raise self._error(unsafe[0], hint=unsafe[1])
        try:
            content = json.loads(raw.decode("utf-8-sig"))  # some editors begin a file with a byte order mark
            version, stored = content["version"], content[self._key]
            intact = isinstance(version, int) and version >= 1 and all(map(self._valid, stored.values()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise self.damaged() from exc
        if not intact:
            raise self.damaged()
        if version > _FORMAT:
            raise self._error(
                _("The file {path} was written by a newer docmail; it is left as it is.").format(path=self._path),
                hint=_("Update docmail, or set DOCMAIL_HOME to another folder."),
            )
        return dict(stored)

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """Give the entries to change, and write them afterwards, whole, durably, and readable by the owner only."""
        from filelock import FileLock

        try:
            make_folder(self._path.parent)
            if unsafe := open_to_others(self._path.parent, self._path):
                raise self._error(unsafe[0], hint=unsafe[1])
            with FileLock(self._path.with_suffix(".lock"), timeout=10, mode=0o600):
                yield (stored := self.read())
                text = json.dumps({"version": _FORMAT, self._key: stored}, indent=2, ensure_ascii=False)
                # A link to the file, as people with dotfiles make, stays one. What UTF-8 cannot hold, a lone surrogate
                # that a person wrote as \ud800, becomes that escape again.
                write_whole(self._path.resolve(), f"{text}\n".encode("utf-8", "backslashreplace"), durable=True)
        except OSError as exc:  # filelock's Timeout is one, too
            raise self._error(
                _("This cannot be saved in {path}: {reason}.").format(
                    path=self._path, reason=reason_of(exc, self._path.parent)
                ),
                hint=_(
                    "Make room on the disk, allow writing to the folder, or set DOCMAIL_HOME to a "
                    "folder you can write to."
                ),
            ) from exc

    def damaged(self) -> DocmailError:
        """Return the error for a file that holds something else."""
        return self._error(
            _("The file {path} is damaged; it is left as it is.").format(path=self._path),
            hint=_("Repair it, or move it away."),
        )
