"""Keeps the mailbox of the account that sends: the folders that the sandbox's IMAP server shows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from docmail.files import write_whole
from docmail.sandbox.inbox import Inbox, count_mails

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INBOX = "INBOX"
SPECIAL_USE = {INBOX: "", "Drafts": "\\Drafts", "Sent": "\\Sent"}
"""The folders, with their special use (RFC 6154)."""


class Folders(Mapping[str, Inbox]):
    """The folders "INBOX", "Drafts" and "Sent"; the numbers of their mails are their UIDs.

    Whatever the capitals, INBOX is one folder (RFC 3501 5.1).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders = {name: Inbox(folder / name.lower()) for name in SPECIAL_USE}
        self._began_empty = {name for name, found in self._folders.items() if not len(found)}
        self._validities: dict[str, int] = {}

    def __getitem__(self, name: str) -> Inbox:
        return self._folders[INBOX if name.upper() == INBOX else name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def validity(self, name: str) -> int:
        """Return the UIDVALIDITY of a folder; another one only where the numbers of its mails may begin again."""
        name = INBOX if name.upper() == INBOX else name
        if name not in self._validities:
            self._validities[name] = self._kept_validity(name)
        return self._validities[name]

    def _kept_validity(self, name: str) -> int:
        file = self._folder / name.lower() / "validity"
        if name not in self._began_empty:
            with suppress(OSError, ValueError):
                return int(file.read_text("ascii"))
        new = int(time.time())
        write_whole(file, str(new).encode("ascii"))
        return new

    def __repr__(self) -> str:
        return f"<Mailbox, {', '.join(f'{name}: {count_mails(len(found))}' for name, found in self.items())}>"
