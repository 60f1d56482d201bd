"""Shows the first mails of the queue as they will arrive, before any of them leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import overload

    from docmail.message import Mail
    from docmail.outbox.queue import QueueStore


@dataclass(frozen=True)
class PreviewedMail:
    """One mail as it will arrive: its headers, its texts, the names and sizes of what is attached."""

    key: str | None
    recipients: tuple[str, ...]
    headers: dict[str, str]
    text: str
    html: str = field(repr=False)
    attachments: tuple[tuple[str, int], ...]

    @property
    def subject(self) -> str:
        """The subject."""
        return self.headers.get("Subject", "")


class Preview(Sequence[PreviewedMail]):
    """The first mails that wait."""

    def __init__(self, mails: Sequence[PreviewedMail], waiting: int) -> None:
        self._mails = tuple(mails)
        self.waiting = waiting
        """How many wait in all."""

    def __len__(self) -> int:
        return len(self._mails)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> PreviewedMail: ...
        @overload
        def __getitem__(self, index: slice) -> Sequence[PreviewedMail]: ...

    def __getitem__(self, index: int | slice) -> PreviewedMail | Sequence[PreviewedMail]:
        return self._mails[index]

    def __repr__(self) -> str:
        return f"<Preview of {len(self)} of {self.waiting} waiting mails>"


def preview(store: QueueStore, n: int, batch: str | None) -> Preview:
    """Return the first mails that wait, of all accounts."""
    mails = [_previewed(row.key, store.mail(row.id)) for row in store.first_queued(batch, n)]
    return Preview(mails, store.count_queued(batch))


def _previewed(key: str | None, mail: Mail) -> PreviewedMail:
    parsed = mail.parsed()
    plain, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    return PreviewedMail(
        key,
        mail.recipients,
        {name: str(parsed[name]) for name in ("From", "To", "Cc", "Reply-To", "Subject") if parsed[name]},
        str(plain.get_content()).replace("\r\n", "\n") if plain is not None else "",
        str(html.get_content()).replace("\r\n", "\n") if html is not None else "",
        tuple((attachment.name, attachment.size) for attachment in mail.attachments),
    )
