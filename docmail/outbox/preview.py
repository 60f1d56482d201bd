"""Shows the first mails of the queue as they will arrive, before any of them leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docmail.message import arrived, text_in
from docmail.outbox.queue import Group

if TYPE_CHECKING:
    from docmail.message import Arrived, Mail
    from docmail.outbox.store import Store


@dataclass(frozen=True)
class PreviewedMail:
    """One mail as it will arrive: its headers, its texts, the names and sizes of what is attached."""

    key: str | None
    recipients: tuple[str, ...]
    headers: dict[str, str]
    text: str
    html: str = field(repr=False)
    attachments: tuple[tuple[str, int], ...]
    _mail: Mail = field(repr=False)

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return self.headers.get("Subject", "")

    def arrived(self, most: int) -> Arrived:
        """Return what its recipients will see, in about so many characters at most."""
        return arrived(self._mail.parsed(), most)


class Preview(tuple[PreviewedMail, ...]):  # noqa: SLOT001 - tuples of any length take none
    """The first mails that wait."""

    waiting: int
    """How many wait in all."""

    def __repr__(self) -> str:
        return f"<Preview of {len(self)} of {self.waiting} waiting mails>"


def preview(store: Store, n: int, batch: str | None) -> Preview:
    """Return the first mails that wait, of all accounts."""
    queue = store.queue(batch=batch)
    found = Preview(_previewed(row.key, store.journal.mail(row.id)) for row in queue.rows(Group.QUEUED, n))
    found.waiting = queue.count(Group.QUEUED)
    return found


def _previewed(key: str | None, mail: Mail) -> PreviewedMail:
    parsed = mail.parsed()
    return PreviewedMail(
        key,
        mail.recipients,
        {name: str(parsed[name]) for name in ("From", "To", "Cc", "Reply-To", "Subject") if parsed[name]},
        text_in(parsed, "plain"),
        text_in(parsed, "html"),
        tuple((attachment.name, attachment.size) for attachment in mail.attachments),
        mail,
    )
