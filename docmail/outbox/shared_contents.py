"""Encodes a content that many mails of a queue share once, and holds it for the rest of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from docmail.message import base64_pieces

if TYPE_CHECKING:
    from docmail.outbox.queue import Queue
    from docmail.outbox.spool import SpoolFile

SharedContents: TypeAlias = "dict[str, EncodedContent]"

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


def shared_contents(queue: Queue) -> SharedContents:
    """Return the contents that several of the waiting mails have, by their SHA-256."""
    left = _MOST_OCTETS
    contents: SharedContents = {}
    for file, size in queue.shared_contents():
        if (needed := size * 4 // 3) <= left:
            left -= needed
            contents[file.sha256] = EncodedContent(file, size)
    return contents
