"""Keeps the documents of the outbox as files, once per content, under the name of their SHA-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from docmail.documents import Document

_PIECE = 1 << 20
_ORPHAN_SECONDS = 86400.0
_AT_ONCE = 8  # file systems write what several ask for in one go


@dataclass(frozen=True)
class SpoolFile:
    """One content in the spool."""

    path: Path

    def open(self) -> BinaryIO:
        """Return it as a binary file, from the beginning."""
        return self.path.open("rb")


def sha256_of(document: Document) -> str:
    """Return the SHA-256 of a document's content, read in pieces."""
    digest = hashlib.sha256()
    with document.open() as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


class Spool:
    """A folder of contents."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self) -> None:
        """Make the folder, for its owner only."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def file(self, sha256: str) -> SpoolFile:
        """Return the content with this SHA-256."""
        return SpoolFile(self._folder / sha256)

    def take(self, document: Document, *, durable: bool = True) -> str:
        """Keep a document's content, unless it is here already; return its SHA-256.

        If not `durable`, the caller has to call `make_durable` before anything relies on it: for many files at once
        that takes a fifth of the time.
        """
        known = sha256_of(document) if isinstance(document.source, bytes) else ""
        if known:
            with suppress(FileNotFoundError):
                os.utime(self._folder / known)  # young again, so that nobody tidies it away before it has its row
                return known
        digest = hashlib.sha256()
        handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".new")
        try:
            with document.open() as source, os.fdopen(handle, "wb") as target:
                while piece := source.read(_PIECE):
                    if not known:
                        digest.update(piece)
                    target.write(piece)
                target.flush()
                if durable:
                    os.fsync(target.fileno())
            known = known or digest.hexdigest()
            Path(temporary).replace(self._folder / known)
            if durable:
                self._sync()
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return known

    def make_durable(self, contents: Iterable[str]) -> None:
        """Wait until the disk has these contents and their names."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="docmail-spool") as threads:
            for _done in threads.map(_flush, (self._folder / sha256 for sha256 in contents)):
                pass
        self._sync()

    def _sync(self) -> None:
        """Make the new name durable, where folders can be synchronised (not on Windows)."""
        if os.name == "posix":
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def clear(self, needed: AbstractSet[str]) -> None:
        """Remove the contents that nobody needs, but none younger than a day: its row may not be written yet."""
        for path in self._folder.iterdir():
            if path.name not in needed and path.stat().st_mtime < time.time() - _ORPHAN_SECONDS:
                path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
