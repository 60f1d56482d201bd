"""A mailbox in memory, in the place of one at a server: folders of octets, and failures that a test wants."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from docmail.mailbox import OpenMailbox, Position
from docmail.outbox import mailbox_work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    import pytest

    from docmail.settings import Settings


@dataclass
class FakeMailbox:
    """Has what `OpenMailbox` has; `failures` are raised by the method of that name, `opened` counts connections."""

    folders: dict[str, list[bytes]] = field(default_factory=lambda: {"INBOX": [], "Sent": []})
    failures: dict[str, BaseException] = field(default_factory=dict)
    filed: list[tuple[bytes, tuple[str, ...], datetime | None]] = field(default_factory=list)
    opened: int = 0
    validity: int = 1
    asked: list[tuple[Position | None, date | None]] = field(default_factory=list)

    def _meet(self, name: str) -> None:
        if name in self.failures:
            raise self.failures[name]

    @contextmanager
    def open(self, _settings: Settings, **_options: Any) -> Iterator[OpenMailbox]:
        """Stand in the place of `open_mailbox`."""
        self._meet("open")
        self.opened += 1
        yield self.box

    @property
    def box(self) -> OpenMailbox:
        """It, as an open mailbox."""
        return cast("OpenMailbox", self)

    def stand_in(self, patch: pytest.MonkeyPatch) -> None:
        """Be the mailbox of all settings that have one."""
        patch.setattr(mailbox_work, "open_mailbox", self.open)

    def sent_folder(self) -> str:
        """Return the folder for copies."""
        self._meet("sent_folder")
        return "Sent"

    def holds(self, message_id: str, folder: str) -> bool:
        """Say whether a mail is in a folder."""
        self._meet("holds")
        wanted = re.compile(rb"(?im)^message-id: *" + re.escape(message_id.encode()))
        return any(wanted.search(raw.partition(b"\r\n\r\n")[0]) for raw in self.folders.get(folder, []))

    def append(self, folder: str, raw: bytes, *, flags: tuple[str, ...] = (), when: datetime | None = None) -> None:
        """File a mail."""
        self._meet("append")
        self.folders[folder].append(raw)
        self.filed.append((raw, flags, when))
        self._meet("after append")

    def new_mails(
        self, folder: str, since: Position | None, *, not_before: date | None = None
    ) -> Iterator[tuple[Position, bytes]]:
        """Yield the mails after a position."""
        self._meet("new_mails")
        self.asked.append((since, not_before))
        begin = since.uid if since is not None and since.validity == self.validity else 0
        for number, raw in enumerate(self.folders[folder][begin:], begin + 1):
            yield Position(self.validity, number), raw
