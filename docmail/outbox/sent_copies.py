"""Files copies of sent mails in the Sent folder of the mailbox: each once, however often a program is killed.

Before a mail is sent it is written down that a copy is owed, in the step that begins it; the copy is due once somebody
has got the mail. Before each is filed, the folder is asked for its Message-ID: a server may have filed it itself, or a
program that was killed before it could write that down. One program at a time files those of an account.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from docmail import presets
from docmail.errors import ConnectError, Deferred, DocmailError, Kind, MessageError
from docmail.files import make_folder
from docmail.language import _, ngettext
from docmail.outbox.keys import account_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.mailbox import OpenMailbox
    from docmail.outbox.store import Store
    from docmail.settings import Settings

_IN_A_ROW = 3  # copies that cannot be filed: then it is the mailbox, not they


@dataclass(frozen=True)
class FiledCopies:
    """How many copies were `filed`, or were there already (`found`), and how many are `waiting`, for which `reason`.

    `given_up` are those that cannot be made any more.

    >>> docmail.Outbox().file_copies().given_up
    0
    """

    filed: int = 0
    found: int = 0
    waiting: int = 0
    given_up: int = 0
    reason: str = ""

    def __str__(self) -> str:
        said = []
        there = self.filed + self.found
        if there:
            said.append(
                ngettext(
                    "{number} copy is in the Sent folder.", "{number} copies are in the Sent folder.", there
                ).format(number=there)
            )
        if self.waiting:
            said.append(
                ngettext(
                    "{number} copy is not in the Sent folder yet, and is filed later.",
                    "{number} copies are not in the Sent folder yet, and are filed later.",
                    self.waiting,
                ).format(number=self.waiting)
            )
        if self.given_up:
            said.append(
                ngettext(
                    "{number} copy cannot be filed.",
                    "{number} copies cannot be filed.",
                    self.given_up,
                ).format(number=self.given_up)
            )
        return " ".join(filter(None, (*said, self.reason))) or _("No copy is to be filed.")


def owes_copies(settings: Settings) -> bool:
    """Say whether copies of what is sent are to be filed: there is a mailbox, and the provider files none itself."""
    if settings.mailbox is None:
        return False
    provider = presets.by_host(settings.account.host)
    return provider is None or provider.files_sent is not True


def file_copies(
    store: Store, box: OpenMailbox, settings: Settings, *, stopped: Callable[[], bool] = lambda: False
) -> FiledCopies:
    """File the copies that are due; one that fails stays due, and fails no mail."""
    account = account_of(settings)
    due = store.journal.owed_copies(account)
    if not due:
        return FiledCopies()
    name = sha256(account.encode()).hexdigest()[:16]
    with store.file.explained():
        make_folder(store.folder / "runs")
        lock = FileLock(store.folder / "runs" / f"copies-{name}.lock", thread_local=False, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return FiledCopies(waiting=len(due), reason=_("Another program is filing them."))
    try:
        return _Filing(store, box, box.sent_folder()).all(store.journal.owed_copies(account), stopped)
    finally:
        lock.release()


class _Filing:
    """Copies on their way into one folder."""

    def __init__(self, store: Store, box: OpenMailbox, folder: str) -> None:
        self._store = store
        self._box = box
        self._folder = folder

    def all(self, due: list[int], stopped: Callable[[], bool]) -> FiledCopies:
        filed = found = given_up = failed = 0
        reason = ""
        for number in due:
            if stopped() or failed >= _IN_A_ROW:
                break
            try:
                was_there = self._file(number)
            except DocmailError as exc:
                reason = reason or str(exc)
                # Where the content is gone, or larger than the mailbox takes, no later attempt has more luck.
                is_hopeless = isinstance(exc, MessageError) or getattr(exc, "kind", None) is Kind.MESSAGE
                given_up, failed = given_up + is_hopeless, failed + (not is_hopeless)
                self._store.changes.note_copy(number, filed_at=None, reason=str(exc), owed=not is_hopeless)
                if isinstance(exc, (ConnectError, Deferred)):
                    break  # it is the mailbox: gone, or full
            else:
                filed, found, failed = filed + (not was_there), found + was_there, 0
        return FiledCopies(filed, found, len(due) - filed - found - given_up, given_up, reason)

    def _file(self, number: int) -> bool:
        """File one copy, and write it down; return whether it was there already."""
        row = self._store.journal.row(number)
        was_there = self._box.holds(row.message_id, self._folder)
        if not was_there:
            raw = b"".join(self._store.journal.mail(number).wire())
            self._box.append(self._folder, raw, flags=("\\Seen",), when=row.sent_at or row.created)
        self._store.changes.note_copy(number, filed_at=time.time())
        return was_there
