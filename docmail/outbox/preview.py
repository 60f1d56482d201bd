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
    r"""One mail as it will arrive.

    `key` and `recipients` are those of its row, `headers` what its readers see of its headers, `text` and `html` its
    two texts, `attachments` the names and sizes (bytes) of what is attached.

    >>> outbox = docmail.Outbox()
    >>> number = outbox.add(docmail.Message("ann@example.com", "Q3", "Attached.", docmail.Document.of(pdf, "Q3.pdf")))
    >>> mail = outbox.preview()[0]
    >>> mail.text, mail.attachments[0][0]
    ('Attached.\n', 'Q3.pdf')
    """

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
        """Return what its recipients will see, in about `most` characters; for docmail itself."""
        return arrived(self._mail.parsed(), most)


class Preview(tuple[PreviewedMail, ...]):  # noqa: SLOT001 - tuples of any length take none
    """The first mails that wait, as a tuple, and how many wait in all.

    >>> docmail.Outbox().preview()
    <Preview of 0 of 0 waiting mails>
    """

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
