"""Keeps the documents of the outbox as files, once per content, under the name of their SHA-256."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from docmail.documents import Document

_PIECE = 1 << 20
_ORPHAN_SECONDS = 86400.0


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

    def take(self, document: Document) -> str:
        """Keep a document's content, durably, unless it is here already; return its SHA-256."""
        if isinstance(document.source, bytes) and self.file(sha256 := sha256_of(document)).path.exists():
            return sha256
        digest = hashlib.sha256()
        handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".new")
        try:
            with document.open() as source, os.fdopen(handle, "wb") as target:
                while piece := source.read(_PIECE):
                    digest.update(piece)
                    target.write(piece)
                target.flush()
                os.fsync(target.fileno())
            Path(temporary).replace(self._folder / digest.hexdigest())
            self._sync()
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return digest.hexdigest()

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
