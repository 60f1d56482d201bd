"""Opens the record of mail in a folder, and says whose mail belongs into it.

Its parts share one connection: the journal is read, the changes write, a queue is what a run asks.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from docmail.errors import MessageError
from docmail.language import _
from docmail.outbox import claims
from docmail.outbox.changes import Changes
from docmail.outbox.journal import Journal, JournalFile
from docmail.outbox.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from docmail.home import Home


class Store:
    """The record of mail in one folder, open until `close()`, or, `on_demand`, while it is asked something."""

    def __init__(self, folder: Path, *, on_demand: bool = False) -> None:
        self.folder = folder
        self.file = JournalFile(folder, on_demand=on_demand)
        self.journal = Journal(self.file)
        self.changes = Changes(self.journal)

    def queue(self, account: str = "", batch: str | None = None) -> Queue:
        """Return the queue of an account, or one batch of it; without an account, only its groups mean something."""
        return Queue(self.journal, self.changes, account, batch)

    @classmethod
    def looked_through(cls, folder: Path) -> Self:
        """Open it, settle what ended programs have left behind, and drop the contents that are too old."""
        store = cls(folder)
        store.changes.recover()
        store.changes.expire_daily()
        return store

    def close(self) -> None:
        """Close its file; what is asked of it from then on is a `DocmailError`."""
        self.file.close()

    @contextmanager
    def claim(self) -> Iterator[str]:
        """Hold a claim, by which mails are taken, until the end of the `with`."""
        with self.file.explained():
            claim = claims.begin(self.folder)
        try:
            yield claim
        finally:
            claims.end(claim)


# --- whose record it is ---


def takes_mail_of(home: Home | None, other: Home) -> bool:
    """Say whether the record of one home (None: of a folder that is no home's) takes mail of another."""
    return home is None or home.settings_file.resolve() == other.settings_file.resolve()


def elsewhere(home: Home, folder: Path) -> MessageError:
    """Return the error for mail of a home that is to be recorded in the folder of another one."""
    return MessageError(
        _("The mail of these settings is recorded in {theirs}, not in this outbox in {ours}; nothing was done.").format(
            theirs=home.outbox, ours=folder
        ),
        field="settings",
        hint=_("Use that one: outbox = docmail.Outbox({theirs}).").format(theirs=repr(str(home.outbox))),
    )
