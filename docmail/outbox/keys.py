"""Compares a message with the mail for which its key was used before, and returns what is recorded of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.language import _
from docmail.outbox.entry import body_digest, given_digest, roles_of
from docmail.outbox.rows import UNDELIVERED, State
from docmail.outbox.spool import sha256_of
from docmail.text import Given, source_of
from docmail.transport import SendResult

if TYPE_CHECKING:
    from docmail.message import Message
    from docmail.outbox.rows import Row
    from docmail.settings import Settings


def account_of(settings: Settings) -> str:
    """Return what a key is unique for: the sending address, whatever server it goes through."""
    return settings.address.addr_spec.casefold()


def conflict(message: Message, row: Row, *, is_whole: bool = True) -> str:
    """Say what a key was used for, if that is another mail than this message; nothing if it is the same.

    Of a message that is not whole yet, only the recipients are known.
    """
    recorded = {address.lower(): row.recipients[address].role for address in row.people}
    if row.corrected:
        # The data may still have the address that a person has corrected since: it is the same mail.
        before = {row.corrected.get(address, address).lower(): row.recipients[address].role for address in row.people}
        recorded = before if roles_of(message).keys() == before.keys() else recorded
    reply_to = {address.mailbox for address in message.reply_to}
    for differs, what in (
        (roles_of(message).keys() != recorded.keys(), _("other recipients")),
        (roles_of(message) != recorded, _("the same recipients in other places (To, Cc, Bcc)")),
        (is_whole and row.subject not in {message.subject, source_of(message.subject)}, _("another subject")),
        (is_whole and has_same_body(message, row) is False, _("another body")),
        # Without one of its own, it has that of the settings, which may change.
        (bool(reply_to) and row.reply_to is not None and reply_to != row.reply_to, _("another reply-to address")),
    ):
        if differs:
            return _("The key {key} belongs to a mail with {difference}; nothing was sent.").format(
                key=message.key, difference=what
            )
    return ""


def gives_way(message: Message, row: Row) -> bool:
    """Say whether a row gives its key to this message: nobody got that mail, or it came back and the data changed."""
    return row.state in UNDELIVERED or (row.state == State.BOUNCED and bool(conflict(message, row)))


def has_same_body(message: Message, row: Row) -> bool | None:
    """Say whether a message says what a recorded mail says; None if that cannot be known.

    What is compared is the text as a person gave it. Rows of a docmail before schema 3 have only the digest of the
    Markdown that was made of it. Of texts and templates that is known to this day, so another digest is another text.
    Of tables and figures it is not: where today's Markdown differs, the rows of the table may, or only the way in which
    docmail writes them. Then the mail counts as the same one, because it may have arrived; `difference` mentions it.
    """
    if row.given_sha256 is not None:
        return given_digest(message) == row.given_sha256
    if row.body_sha256 in {given_digest(message), body_digest(message)}:
        return True
    return None if isinstance(message.body, Given) and not message.body.exact else False


def difference(message: Message, row: Row) -> str:
    """Say what of a message differs, or may differ, from its record; an empty text if nothing does."""
    notes = []
    given = [(document.name, sha256_of(document)) for document in message.documents]
    if given != list(zip(row.documents, row.contents, strict=True)):
        notes.append(_("The documents differ from those that were sent, as happens when a PDF is made again."))
    if has_same_body(message, row) is None:
        notes.append(_("This mail was recorded by an older docmail, so its tables and figures could not be compared."))
    return " ".join(notes)


def recorded_result(message: Message, row: Row) -> SendResult:
    """Return the result that is recorded of a mail."""
    return SendResult(
        row.message_id,
        tuple(address for address, recipient in row.recipients.items() if recipient.state == State.SENT),
        {
            address: recipient.reply
            for address, recipient in row.recipients.items()
            if recipient.state not in {State.SENT, State.BOUNCED} and recipient.reply is not None
        },
        row.reply,
        repeated=True,
        note=difference(message, row),
        bounced={
            address: recipient.reply
            for address, recipient in row.recipients.items()
            if recipient.state == State.BOUNCED and recipient.reply is not None
        },
    )
