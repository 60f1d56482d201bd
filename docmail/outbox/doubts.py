"""Settles doubts by what is in the mailbox: a copy of a mail there shows that the server has taken it.

That there is none shows nothing: not every server files one, and some do so later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail.errors import MessageError
from docmail.language import _, ngettext
from docmail.outbox.came_back import INBOX
from docmail.outbox.keys import account_of
from docmail.outbox.rows import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.mailbox import OpenMailbox
    from docmail.outbox.rows import Row
    from docmail.outbox.store import Store
    from docmail.settings import Settings


@dataclass(frozen=True)
class SettledDoubts:
    """The mails that are `sent` after all, because a copy of them was found, and those that stay `unknown`.

    >>> print(docmail.Outbox().settle_doubts())
    No email is in doubt.
    """

    sent: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()

    def __str__(self) -> str:
        said = []
        if self.sent:
            said.append(
                ngettext(
                    "A copy of {number} email in doubt was found: it was sent.",
                    "Copies of {number} emails in doubt were found: they were sent.",
                    len(self.sent),
                ).format(number=len(self.sent))
            )
        if self.unknown:
            said.append(
                ngettext(
                    "No copy of {number} email in doubt was found, which proves nothing: ask the recipient.",
                    "No copy of {number} emails in doubt was found, which proves nothing: ask the recipients.",
                    len(self.unknown),
                ).format(number=len(self.unknown))
            )
        return " ".join(said) or _("No email is in doubt.")


def settle_doubts(
    store: Store, box: OpenMailbox, settings: Settings, *, stopped: Callable[[], bool] = lambda: False
) -> SettledDoubts:
    """Look for copies of the mails whose outcome is unknown, and write down as sent those of which there is one."""
    sent, unknown = [], []
    for number in store.journal.doubts(account_of(settings)):
        if stopped():
            break
        row = store.journal.row(number)
        if not any(box.holds(row.message_id, folder) for folder in _folders(row, box, settings)):
            unknown.append(number)
            continue
        try:
            store.changes.resolve(number, "sent")
        except MessageError:
            continue  # a person has decided meanwhile
        sent.append(number)
    return SettledDoubts(tuple(sent), tuple(unknown))


def _folders(row: Row, box: OpenMailbox, settings: Settings) -> list[str]:
    """Return where a copy of a mail proves something."""
    folders = []
    # If somebody had got it in an earlier attempt, the copy may be of that one, also one that docmail has filed.
    if not any(each.state in {State.SENT, State.BOUNCED} for each in row.recipients.values()):
        folders.append(box.sent_folder())
    mine = {settings.address.addr_spec.lower(), settings.for_mailbox.account.username.lower()}
    if any(address.lower() in mine and each.state == State.UNKNOWN for address, each in row.recipients.items()):
        folders.append(INBOX)
    return folders
