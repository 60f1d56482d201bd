"""Sends a mail of the record once more, at a person's request: to those who have not got it, or as a copy.

A refused address can be corrected for it.
"""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from email.utils import format_datetime, localtime
from typing import TYPE_CHECKING

from docmail import home as homes
from docmail.addresses import parse_address
from docmail.errors import AddressError, Field, MessageError, listed
from docmail.language import _
from docmail.message import Message, address_header, new_message_id
from docmail.outbox.rows import Role, State
from docmail.outbox.search import History, addresses_in
from docmail.outbox.single_mail import deliver, send_row_again
from docmail.outbox.store import Store, elsewhere, takes_mail_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from docmail.addresses import Address
    from docmail.documents import Document
    from docmail.message import Mail
    from docmail.outbox.rows import Row
    from docmail.outbox.single_mail import ByteProgress, Hold
    from docmail.settings import Settings
    from docmail.transport import SendResult


class _Copy(Message):
    """A mail that was sent, to be sent once more as a mail of its own: with a new Message-ID and date."""

    _mail: Mail

    def __init__(self, found: Row, mail: Mail, attached: tuple[Document, ...]) -> None:
        super().__init__(
            to=addresses_in(mail, "To"),
            cc=addresses_in(mail, "Cc"),
            bcc=[address for address, recipient in found.recipients.items() if recipient.role == Role.BCC],
            subject=found.subject,
            documents=list(attached),
            in_reply_to=found.references,
        )
        everybody = tuple(found.recipients)
        archive = frozenset(each for each in everybody if found.recipients[each].role == Role.ARCHIVE)
        self.__dict__["_mail"] = replace(mail, recipients=everybody, archive=archive)  # as `Message` sets its own

    def render(self, settings: Settings) -> Mail:
        """Return the text as it was written down, its headers brought up to date.

        It is a mail of its own, so the organisation's archive gets its copy, which the earlier one may not have had.
        """
        mail = self._mail
        archive = settings.copy_to if Field.COPY_TO in settings.fixed else None
        if archive is not None and archive.lower() not in map(str.lower, mail.recipients):
            mail = replace(mail, recipients=(*mail.recipients, archive), archive=mail.archive | {archive})
        message_id = new_message_id(settings.address.domain)
        headers, end, text = mail.head.partition(b"\r\n\r\n")
        for name, value in ((b"Message-ID", message_id), (b"Date", format_datetime(localtime()))):
            headers = re.sub(rb"(?m)^%b: [^\r]*" % name, b"%b: %b" % (name, value.encode()), headers, count=1)
        return replace(mail, message_id=message_id, head=headers + end + text)


def copy(history: History, number: int) -> Message:
    """Return a mail as a message that says the same once more; raises `MessageError` if its content is not kept.

    Without its key, which stays with the mail that has gone.
    """
    return _Copy(history.journal.row(number), history.journal.mail(number), history.documents(number))


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
    """Return the recipients who have not got a mail, or have perhaps not; the archive does not count.

    A mail in doubt is not for those who were refused.
    """
    has_it = {State.SENT, State.REFUSED} if row.state == State.UNKNOWN else {State.SENT}
    return tuple(
        address for address, each in row.recipients.items() if each.role != Role.ARCHIVE and each.state not in has_it
    )


def send_again(  # noqa: PLR0913
    folder: Path,
    number: int,
    settings: Settings,
    *,
    everybody: bool = False,
    progress: ByteProgress | None = None,
    hold: Hold | None = None,
) -> SendResult:
    """Send a mail once more because a person says so.

    It stays the same mail with its Message-ID and its key, and goes to those who have not got it, or have perhaps not.
    What everybody has got goes out as a mail of its own, and what some have got if `everybody` is to get it. Nothing
    is changed before there is a connection for it, and a failure leaves it as it was.
    """
    settings = _recorded_here(folder, settings)
    with closing(Store.looked_through(folder)) as store:
        found = store.journal.row(number)
        check_sender(found, settings)
        if found.state == State.SENT and (everybody or not missing(found)):
            message = copy(History(store.journal), number)
            return deliver(message, settings=settings, resend=True, progress=progress, hold=hold)
        return send_row_again(store, found, settings, progress, hold)


def correct_and_send(  # noqa: PLR0913
    folder: Path,
    number: int,
    settings: Settings,
    corrected: Mapping[str, str],
    *,
    progress: ByteProgress | None = None,
    hold: Hold | None = None,
) -> SendResult:
    """Send a mail once more because a person has corrected addresses that were refused; each with its correction.

    It stays the same mail with its key, and goes to those who have not got it; the record remembers for whom it was
    written down. Nothing is changed before there is a connection for it. Raises `AddressError` for what is no address,
    and `MessageError` for an address that has got the mail.
    """
    settings = _recorded_here(folder, settings)
    with closing(Store.looked_through(folder)) as store:
        found = store.journal.row(number)
        check_sender(found, settings)
        _check_missed(found, corrected)
        addresses = {old: _correction(found, old, new) for old, new in corrected.items()}
        mail = store.journal.mail(number)
        head, to = mail.head, found.to
        if addresses:
            head = b"".join(_with_corrected(mail, addresses))
            to = tuple(addresses[each].addr_spec if each in addresses else each for each in found.to)

        def change() -> None:
            if addresses:
                specs = {old: address.addr_spec for old, address in addresses.items()}
                smtputf8 = mail.smtputf8 or any(address.needs_smtputf8 for address in addresses.values())
                store.changes.correct(found, specs, head, smtputf8=smtputf8, to=to)

        return send_row_again(store, found, settings, progress, hold, change=change)


def _recorded_here(folder: Path, settings: Settings) -> Settings:
    """Return the settings as those whose mail is recorded in this folder; raises if it is another's."""
    if not takes_mail_of(homes.of_record(folder), settings.recorded_in):
        raise elsewhere(settings.recorded_in, folder)
    return replace(settings, home=replace(settings.recorded_in, outbox=folder))


def _check_missed(row: Row, corrected: Mapping[str, str]) -> None:
    """Raise `MessageError` if an address is to be corrected that is not one of those who have not got the mail."""
    missed = missing(row)
    for old in corrected:
        if old not in missed:
            raise MessageError(
                _("{address} is not among those who have not got this mail.").format(address=old),
                field="to",
                hint=_("Correct one of these: {addresses}.").format(addresses=listed(missed))
                if missed
                else _("Everybody has got it."),
            )


def _correction(row: Row, old: str, new: str) -> Address:
    address = parse_address(new, "to")
    if any(address.mailbox == each.lower() for each in row.recipients if each != old):
        raise AddressError(
            _("This mail goes to {address} already.").format(address=address.addr_spec),
            address=address.addr_spec,
            field="to",
            hint=_("Give the address of the one who has not got it."),
        )
    return address


def _with_corrected(mail: Mail, addresses: Mapping[str, Address]) -> Iterator[bytes]:
    """Yield the head of a mail with other addresses in To and Cc, under the names that stand there."""
    specs = {old.lower(): address for old, address in addresses.items()}
    headers, end, text = mail.head.partition(b"\r\n\r\n")
    for field in re.findall(rb"(?m)^[!-9;-~]+:[^\r]*\r\n(?:[ \t][^\r]*\r\n)*", headers + b"\r\n"):  # RFC 5322 2.2
        name = field.partition(b":")[0].decode()
        named = addresses_in(mail, name) if name in {"To", "Cc"} else []
        if specs.keys().isdisjoint(each.addr_spec.lower() for each in named):
            yield field
            continue
        yield address_header(
            name,
            [
                replace(other, name=other.name or each.name) if (other := specs.get(each.addr_spec.lower())) else each
                for each in named
            ],
        )
    yield end.removeprefix(b"\r\n") + text
