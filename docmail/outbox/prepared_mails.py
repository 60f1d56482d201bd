"""Holds a batch in a file while it is made and checked, so that the memory it takes does not grow with its rows.

The file has no name and is in the outbox's own folder: where a batch has no room there, it has none at all, and the
temporary folder of a computer may be small, full or missing.
"""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from docmail.outbox.changes import Store
    from docmail.outbox.entry import Entry
    from docmail.outbox.rows import Row


class Scratch:
    """The mails of a batch to be, and the contents that were kept for them; its errors are the outbox's own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._process = os.getpid()

    def __enter__(self) -> Self:
        with self._store.explained():
            self._file = TemporaryFile(dir=self._store.folder)
        return self

    def __exit__(self, *_exception: object) -> None:
        if not self.is_ours:
            # A function that makes documents has forked, and the child ends: what it would write goes nowhere.
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of ours
                os.dup2(nowhere.fileno(), self._file.fileno())
        with suppress(OSError):  # a full disk has no room for the last of it, which nobody needs any more
            self._file.close()

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that began it, and not a forked child."""
        return self._process == os.getpid()

    def add_content(self, sha256: str) -> None:
        """Take note of a content that was kept."""
        self._add(sha256)

    def add(self, entry: Entry, replaces: Row | None) -> None:
        """Take what is to be written down of a mail."""
        self._add((entry, replaces))

    def entries(self) -> Iterator[tuple[Entry, Row | None]]:
        """Yield what is to be written down."""
        with self._store.explained():
            self._file.flush()
        for item in self._items():
            if not isinstance(item, str):
                yield item

    def contents(self) -> Iterator[str]:
        """Yield the contents that were kept, of some more than once; on a disk that is full, all but the very last."""
        with suppress(OSError):
            self._file.flush()
        with suppress(pickle.UnpicklingError):  # the last one is cut off
            for item in self._items():
                if isinstance(item, str):
                    yield item

    def _add(self, item: str | tuple[Entry, Row | None]) -> None:
        with self._store.explained():
            pickle.dump(item, self._file, protocol=pickle.HIGHEST_PROTOCOL)

    def _items(self) -> Iterator[str | tuple[Entry, Row | None]]:
        # Through a file object of its own: the other one insists on writing what the disk has no room for.
        with self._store.explained(), os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(0)
            while True:
                try:
                    yield pickle.load(file)  # noqa: S301 - a file without a name, which nobody else can write
                except EOFError:
                    return
