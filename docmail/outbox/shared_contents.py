"""Encodes a content that many mails of a queue share once, and holds it for the rest of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from docmail.message import base64_pieces

if TYPE_CHECKING:
    from docmail.outbox.queue import QueueStore, Waiting
    from docmail.outbox.spool import SpoolFile

_MOST_OCTETS = 64_000_000  # of memory for all of them; what is larger is encoded anew for each mail


class EncodedContent:
    """A content of the spool that remembers its base64."""

    def __init__(self, file: SpoolFile, size: int) -> None:
        self._file = file
        self._size = size
        self._pieces: list[bytes] | None = None

    def open(self) -> BinaryIO:
        """Return the content as a binary file, from the beginning."""
        return self._file.open()

    def base64(self) -> list[bytes]:
        """Return the content in base64, in lines of 76 characters."""
        if self._pieces is None:
            with self.open() as file:
                self._pieces = list(base64_pieces(file, self._size))
        return self._pieces


class SharedContents(Mapping[str, EncodedContent]):
    """The contents that several of the waiting mails have, by their SHA-256."""

    def __init__(self, store: QueueStore, waiting: Waiting) -> None:
        left = _MOST_OCTETS
        self._contents: dict[str, EncodedContent] = {}
        for content, size in store.shared_contents(waiting):
            if (needed := size * 4 // 3) <= left:
                left -= needed
                self._contents[content] = EncodedContent(store.content(content), size)

    def __getitem__(self, content: str) -> EncodedContent:
        return self._contents[content]

    def __iter__(self) -> Iterator[str]:
        return iter(self._contents)

    def __len__(self) -> int:
        return len(self._contents)
