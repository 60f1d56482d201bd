"""Holds a batch in a file while it is made and checked, so that the memory it takes does not grow with its rows.

The file has no name and is in the outbox's own folder: where a batch has no room there, it has none at all, and the
temporary folder of a computer may be small, full or missing.
"""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from itertools import chain
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from docmail.outbox.entry import Entry
    from docmail.outbox.rows import Row
    from docmail.outbox.store import Store

    _Item = str | tuple[Entry, Row | None]

_PORTION = 16  # items that go into the file together


class Scratch:
    """The mails of a batch to be, and the contents that were kept for them; its errors are the outbox's own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._process = os.getpid()
        self._newest: list[_Item] = []  # not in the file yet

    def __enter__(self) -> Self:
        with self._store.file.explained():
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
        with self._store.file.explained():
            self._file.flush()
        for item in chain(self._items(), self._newest):
            if not isinstance(item, str):
                yield item

    def contents(self) -> Iterator[str]:
        """Yield the contents that were kept, of some more than once."""
        with suppress(OSError):
            self._file.flush()
        with suppress(pickle.UnpicklingError):  # on a disk that is full, the last portion is cut off
            for item in chain(self._newest, self._items()):
                if isinstance(item, str):
                    yield item

    def _add(self, item: _Item) -> None:
        self._newest.append(item)
        if len(self._newest) >= _PORTION:
            with self._store.file.explained():
                pickle.dump(self._newest, self._file, protocol=pickle.HIGHEST_PROTOCOL)
            self._newest = []

    def _items(self) -> Iterator[_Item]:
        # Through a file object of its own: the other one insists on writing what the disk has no room for.
        with self._store.file.explained(), os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(0)
            with suppress(EOFError):
                while True:
                    yield from pickle.load(file)  # noqa: S301 - a file without a name, which nobody else can write
