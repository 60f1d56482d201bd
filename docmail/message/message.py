"""What a person wants to say to whom, and the mail that becomes of it.

Headers are written by `docmail.message.headers`, the text by `docmail.message.body`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from functools import lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from docmail.addresses import Address, parse_address
from docmail.documents import Document, documents_of
from docmail.errors import listed
from docmail.look import Look, checked
from docmail.message.arriving import arrived
from docmail.message.body import Body, body_of, content_of
from docmail.message.fields import addresses_of, key_text, recipients_of, subject_of
from docmail.message.headers import address_header, date_of, new_message_id, subject_header
from docmail.message.mail import Attachment, Mail, advice_on
from docmail.message.moments import moment_of
from docmail.message.threads import thread_headers, thread_of

if TYPE_CHECKING:
    from datetime import datetime

    from docmail.message.arriving import Arrived
    from docmail.message.fields import Addresses
    from docmail.settings import Settings

__all__ = ["Message", "draft", "look_of", "seen"]

# A form has no place for them. Of Brevo it is not confirmed: github.com/sendinblue/APIv3-php-library/issues/129.
_WITHOUT_THREADS = {"form", "brevo"}
_NO_DOMAIN = "example.com"  # of the names of pictures in a mail that is not sent


@dataclass(frozen=True)
class Message:
    """What a person wants to say to whom.

    `to`, `cc`, `bcc` and `reply_to` take a text with one or more addresses (separated by `;` or `,`), or a list
    whose items are one address each. `body` is Markdown, in which a line break is a line break, or a list of Markdown,
    figures (matplotlib, plotly, altair), pictures (PIL), small DataFrames (pandas, polars), styled tables (a Styler,
    a GT of great_tables) and executed notebooks (`Path("report.ipynb")`), which then stand in the text; `locale` ("de",
    "en-ZA") sets the signs in the numbers of these tables: "182.450,50". It needs babel: `pip install
    "docmail[locale]"`. `documents` takes whatever `Document.of` takes, or a list of it. `key`, a text or a number,
    makes the message unique per sending
    account: the outbox sends a key once. `look` is how the mail looks; unsaid, as its sender's settings have it, and
    with `docmail.look.Look.PLAIN` like an ordinary letter.

    `in_reply_to` is the mail that this one answers, as a reminder does: a row of the outbox, what `docmail.send`
    returned, or a Message-ID. Mail programs then show both as one conversation; the subject stays as it is, and Gmail
    wants the same one, but for “Re:”. `send_at` is when the outbox sends it, by the first `run()` from then on: a
    datetime, or a text such as "2026-12-07 07:00" or "2026-12-07 07:00 Europe/Berlin"; without a time zone, in that of
    this computer. Raises `MessageError` (`AddressError`, `DocumentError`) naming the field.

    >>> docmail.Message("Ann <ann@example.com>; bob@example.com", "Q3", "Dear all,", documents=pdf)
    <Message to ann@example.com, bob@example.com: 'Q3'>
    """

    to: tuple[Address, ...]
    subject: str
    body: Body
    documents: tuple[Document, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    key: str | None
    locale: str | None
    look: Look | None
    in_reply_to: tuple[str, ...]
    """The Message-IDs of the conversation, the mail that it answers last; none if it answers none."""
    send_at: datetime | None
    """In UTC; None is at once."""

    # The constructor takes more than the fields hold, and settles every value; `replace()` does so again.
    def __init__(  # noqa: PLR0913, PLR0917 - the header fields of a mail, in the order in which people think of them
        self,
        to: Addresses,
        subject: str,
        body: Any = "",
        documents: Any = (),
        cc: Addresses = (),
        bcc: Addresses = (),
        reply_to: Addresses | None = None,
        key: str | float | None = None,
        *,
        locale: str | None = None,
        look: Look | None = None,
        in_reply_to: Any = None,
        send_at: datetime | str | None = None,
    ) -> None:
        checked(look)
        self.__dict__.update(
            recipients_of(to=to, cc=cc, bcc=bcc),
            subject=subject_of(subject),
            body=body_of(body, locale, look),
            documents=documents_of(documents, look=look),
            reply_to=() if reply_to is None else addresses_of(reply_to, "reply_to"),
            key=None if key is None else key_text(key),
            locale=locale,
            look=look,
            in_reply_to=thread_of(in_reply_to),
            send_at=None if send_at is None else moment_of(send_at),
        )

    def render(self, settings: Settings) -> Mail:
        """Return the mail as these settings send it: with its sender, Message-ID, date and archive copy.

        >>> docmail.Message("ann@example.com", "Q3", bcc="bob@example.com").render(settings).recipients
        ('ann@example.com', 'bob@example.com')
        """
        sender = settings.address
        recipients = [*self.to, *self.cc, *self.bcc]
        archive = [parse_address(settings.copy_to, "copy_to")] if settings.copy_to else []
        archive = [copy_to for copy_to in archive if copy_to.mailbox not in {each.mailbox for each in recipients}]
        recipients += archive
        reply_to = self.reply_to or tuple(parse_address(text, "reply_to") for text in settings.reply_to)
        message_id = new_message_id(sender.domain)
        head = b"".join(
            address_header(name, addresses)
            for name, addresses in (("From", [sender]), ("To", self.to), ("Cc", self.cc), ("Reply-To", reply_to))
            if addresses
        )
        head += subject_header(self.subject)
        head += f"Date: {date_of(int(time.time()))}\r\nMessage-ID: {message_id}\r\n".encode()
        head += thread_headers(self.in_reply_to) + b"MIME-Version: 1.0\r\n"
        content = content_of(self.body, sender.domain, look_of(self.look, settings), self.locale)
        boundary = f"=_{token_hex(16)}" if self.documents else ""
        if boundary:
            # By hand: the library would write an empty multipart, end and all.
            head += f'Content-Type: multipart/mixed;\r\n boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode()
        return Mail(
            message_id=message_id,
            sender=sender.addr_spec,
            recipients=tuple(address.addr_spec for address in recipients),
            archive=frozenset(address.addr_spec for address in archive),
            head=head + content.octets,
            boundary=boundary,
            smtputf8=any(address.needs_smtputf8 for address in (sender, *recipients, *reply_to)),
            attachments=tuple(
                Attachment(document.name, document.content_type, document.size, document) for document in self.documents
            ),
            html_size=content.html_size,
            remote_images=self.body.remote_images,
            loses_its_thread=bool(self.in_reply_to) and getattr(settings.server, "api", "") in _WITHOUT_THREADS,
        )

    def __repr__(self) -> str:
        return f"<Message to {listed([address.addr_spec for address in self.to], ', ')}: {self.subject!r}>"


def look_of(own: Look | None, settings: Settings) -> Look:
    """Return the look that a mail has when these settings send it; None is a mail that has none of its own."""
    look = own or settings.shown_look
    # A form carries no pictures: the name alone is the letterhead, and no reason not to send.
    return _without_logo(look) if look.logo and settings.server_has_the_address else look


def seen(text: Any, look: Look) -> tuple[Arrived, str]:
    """Return what a recipient sees of a text in this look, byte for byte, and what its writer should know about it.

    Raises `MessageError` for what cannot be the text of a mail.
    """
    content = content_of(body_of(text), _NO_DOMAIN, look)
    return arrived(message_from_bytes(content.octets, policy=policy.default)), advice_on(content.html_size)


@lru_cache(8)
def _without_logo(look: Look) -> Look:
    return Look.again(**{**vars(look), "logo": None})


def rendered(message: Message, settings: Settings, message_id: str | None) -> Mail:
    """Return the mail as these settings send it, under this Message-ID; without one, under a new one."""
    mail = message.render(settings)
    if message_id is None:
        return mail
    head = mail.head.replace(mail.message_id.encode(), message_id.encode(), 1)
    return replace(mail, head=head, message_id=message_id)


def draft(message: Message, settings: Settings, *, message_id: str | None = None) -> bytes:
    """Return a message as a file (.eml) that mail programs open as a draft, to be looked at and sent there.

    Unlike in what docmail sends, the blind copies stand in it: the program that sends it takes them out. With a
    `message_id`, it is a draft for a mailbox.
    """
    hidden = list(message.bcc)
    mail = rendered(message, settings, message_id)
    hidden += [parse_address(address, "copy_to") for address in mail.recipients if address in mail.archive]
    unsent = b"" if message_id else b"X-Unsent: 1\r\n"  # which Outlook knows a draft by that is a file
    head = unsent + (address_header("Bcc", hidden) if hidden else b"")
    return head + b"".join(mail.wire())
