"""Keeps the documents of the outbox as files, once per content, under the name of their SHA-256."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, BinaryIO

from docmail.files import make_folder, remove, replace, sync_file, sync_folder
from docmail.message import changed

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from typing import Self

    from docmail.documents import Document

_PIECE = 1 << 20
_READ = 1 << 16  # octets that are read and looked at together
_ORPHAN_SECONDS = 86400.0
_AT_ONCE = 4  # file systems write what several ask for in one go
_BUNDLE = 8  # files that are handed to a thread together
_WAITING = 8  # bundles that may wait for a slow disk


@dataclass(frozen=True)
class SpoolFile:
    """One content in the spool."""

    path: Path

    @property
    def sha256(self) -> str:
        """What its content must have: it may be spoilt by a disk, or by another program."""
        return self.path.name

    def open(self) -> BinaryIO:
        """Return it as a binary file, from the beginning, that has no end if it is not the content it should be."""
        return io.BufferedReader(_Checked(self.path.open("rb", buffering=0), self.sha256), _READ)


class _Checked(io.RawIOBase):
    """A content that raises `MessageError` where it would end, if it has another SHA-256 than its name says."""

    def __init__(self, file: io.FileIO, sha256: str) -> None:
        self._file = file
        self._sha256 = sha256
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        if not count and self._digest.hexdigest() != self._sha256:
            raise changed()
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def sha256_of(document: Document) -> str:
    """Return the SHA-256 of a document's content, read in pieces."""
    digest = hashlib.sha256()
    for piece in document.pieces(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


class Spool:
    """The folder in which contents are kept, each as a file named by its SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Make the folder, for its owner only."""
        make_folder(self._folder)

    def file(self, sha256: str) -> SpoolFile:
        """Return the content with this SHA-256."""
        return SpoolFile(self._folder / sha256)

    def has(self, sha256: str) -> bool:
        """Say whether the content with this SHA-256 is here."""
        return os.path.exists(f"{self._folder}/{sha256}")  # noqa: PTH110 - see `take`

    def take(self, document: Document, flusher: Flusher | None = None) -> str:
        """Keep a document's content, unless it is here already; return its SHA-256.

        With a `flusher`, the caller has to wait for that one, and then call `sync`, before anything relies on it.
        """
        known = sha256_of(document) if isinstance(document.source, bytes) else ""
        # Names are put together as text here: paths as objects take as long as writing the file.
        if known:
            with suppress(FileNotFoundError):
                os.utime(f"{self._folder}/{known}")  # young again, so that nobody tidies it away before it has its row
                if _is_whole(f"{self._folder}/{known}", known):
                    if flusher is not None:
                        flusher.add(f"{self._folder}/{known}")  # perhaps it has just been written, and is not durable
                    return known
        digest = hashlib.sha256()
        temporary = f"{self._folder}/{token_hex(8)}.new"
        try:
            with open(temporary, "xb", opener=_private) as target:
                for piece in document.pieces(_PIECE):
                    if not known:
                        digest.update(piece)
                    target.write(piece)
                target.flush()
                if flusher is None:
                    sync_file(target.fileno())
            known = known or digest.hexdigest()
            self._put(temporary, known)
            if flusher is None:
                self.sync()
            else:
                flusher.add(f"{self._folder}/{known}")
        except BaseException:
            with suppress(OSError):
                remove(Path(temporary))
            raise
        return known

    def _put(self, temporary: str, known: str) -> None:
        """Give a content its name."""
        target = f"{self._folder}/{known}"
        try:
            os.replace(temporary, target)  # noqa: PTH105 - see above
        except PermissionError:
            # On Windows, somebody who reads it now keeps it from being replaced; what is there then may serve as well.
            try:
                replace(Path(temporary), Path(target))
            except PermissionError:
                if not _is_whole(target, known):
                    raise
                remove(Path(temporary))

    def sync(self) -> None:
        """Make the new names durable, where folders can be synchronised (not on Windows)."""
        sync_folder(self._folder)

    def clear(self, needed: AbstractSet[str]) -> None:
        """Remove the contents that nobody needs, but none younger than a day: its row may not be written yet."""
        for path in self._folder.iterdir():
            if path.name not in needed and path.stat().st_mtime < time.time() - _ORPHAN_SECONDS:
                with suppress(PermissionError):  # one that is read at this moment, on Windows; it goes another day
                    path.unlink(missing_ok=True)


def _is_whole(path: str, sha256: str) -> bool:
    """Say whether a file still has the content that its name says; one that has not is written anew."""
    with open(path, "rb") as file:  # noqa: PTH123 - see `take`
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Flusher:
    """Has the disk write files while others are still being made: for many that takes a fifth of the time."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="docmail-spool")
        self._bundle: list[str] = []
        self._begun: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def add(self, path: str) -> None:
        """Have the disk write this file soon; raises `OSError` if an earlier one cannot be written."""
        self._bundle.append(path)
        if len(self._bundle) >= _BUNDLE:
            self._begin()

    def wait(self) -> None:
        """Return when the disk has all of them; raises `OSError` if it has not."""
        self._begin(most=0)

    def _begin(self, most: int = _WAITING) -> None:
        bundle, self._bundle = self._bundle, []
        self._begun.append(self._threads.submit(_flush, bundle))
        while len(self._begun) > most:
            self._begun.popleft().result()


def _flush(paths: list[str]) -> None:
    for path in paths:
        # One that another program has discarded meanwhile is missed when its row is written down.
        with suppress(FileNotFoundError), open(path, "rb+") as file:  # noqa: PTH123 - as above
            sync_file(file.fileno())
