"""Sends a mail of the record once more, because a person says so: to those who have not got it, or as a copy."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from email.utils import format_datetime, localtime
from typing import TYPE_CHECKING

from docmail import home as homes
from docmail.errors import MessageError
from docmail.language import _
from docmail.message import Message, new_message_id
from docmail.outbox.outbox import Outbox, deliver, elsewhere, records
from docmail.outbox.search import addresses_in, history_of

if TYPE_CHECKING:
    from pathlib import Path

    from docmail.documents import Document
    from docmail.message import Mail
    from docmail.outbox.outbox import Hold, Progress
    from docmail.outbox.rows import Row
    from docmail.outbox.search import History
    from docmail.settings import Settings
    from docmail.transport import SendResult


class _Copy(Message):
    """A mail that was sent, to be sent once more as a mail of its own: with a new Message-ID and date."""

    def __init__(self, found: Row, mail: Mail, attached: tuple[Document, ...]) -> None:
        super().__init__(
            to=addresses_in(mail, "To"),
            cc=addresses_in(mail, "Cc"),
            bcc=[address for address, recipient in found.recipients.items() if recipient.role == "bcc"],
            subject=found.subject,
            documents=list(attached),
        )
        everybody = tuple(found.recipients)
        archive = frozenset(each for each in everybody if found.recipients[each].role == "archive")
        object.__setattr__(self, "_mail", replace(mail, recipients=everybody, archive=archive))

    def render(self, settings: Settings) -> Mail:
        """Return the text as it was written down, its headers brought up to date."""
        mail: Mail = self._mail  # type: ignore[attr-defined]  # set past the frozen dataclass
        message_id = new_message_id(settings.address.domain)
        headers, end, text = mail.head.partition(b"\r\n\r\n")
        for name, value in ((b"Message-ID", message_id), (b"Date", format_datetime(localtime()))):
            headers = re.sub(rb"(?m)^%b: [^\r]*" % name, b"%b: %b" % (name, value.encode()), headers, count=1)
        return replace(mail, message_id=message_id, head=headers + end + text)


def copy(history: History, number: int) -> Message:
    """Return a mail as a message that says the same once more; raises `MessageError` if its content is not kept.

    Without its key, which stays with the mail that has gone.
    """
    return _Copy(history.row(number), history.mail(number), history.documents(number))


def check_sender(row: Row, settings: Settings) -> None:
    """Raise `MessageError` if a mail was sent as somebody else than the settings say."""
    if settings.address.addr_spec.casefold() != row.sender.casefold():
        raise MessageError(
            _("This mail was sent as {sender}, and the settings are those of {address}.").format(
                sender=row.sender, address=settings.address.addr_spec
            ),
            hint=_("Choose the profile of {sender}.").format(sender=row.sender),
        )


def missing(row: Row) -> tuple[str, ...]:
    """Return who has not got a mail, or of whom nobody knows whether they have; the archive is nobody.

    A mail in doubt is not for those who were refused.
    """
    has_it = {"sent", "refused"} if row.state == "unknown" else {"sent"}
    return tuple(
        address for address, each in row.recipients.items() if each.role != "archive" and each.state not in has_it
    )


def send_again(  # noqa: PLR0913
    folder: Path,
    number: int,
    settings: Settings,
    *,
    everybody: bool = False,
    progress: Progress | None = None,
    hold: Hold | None = None,
) -> SendResult:
    """Send a mail once more because a person says so.

    It stays the same mail with its Message-ID and its key, and goes to those who have not got it or of whom nobody
    knows. What everybody has got goes out as a mail of its own, and what some have got if `everybody` is to get it.
    Nothing is changed before there is a connection for it, and a failure leaves it as it was.
    """
    if not records(homes.of_record(folder), settings.recorded_in):
        raise elsewhere(settings.recorded_in, folder)
    settings = replace(settings, home=replace(settings.recorded_in, outbox=folder))
    with closing(Outbox(folder)) as outbox:
        with history_of(folder) as history:
            found = history.row(number)
            check_sender(found, settings)
            goes_anew = found.state == "sent" and (everybody or not missing(found))
            message = copy(history, number) if goes_anew else None
        if message is not None:
            return deliver(message, settings=settings, resend=True, progress=progress, hold=hold)
        return outbox._send_again(found, settings, progress, hold)  # noqa: SLF001 - two sides of one thing
