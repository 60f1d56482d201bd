"""Tells whether a mail with a key that was used before is the same mail, and what is recorded of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.errors import MessageError
from docmail.language import _
from docmail.outbox.entry import body_digest, given_digest, roles_of
from docmail.outbox.spool import sha256_of
from docmail.text import Given, source_of
from docmail.transport import SendResult

if TYPE_CHECKING:
    from docmail.message import Message
    from docmail.outbox.rows import Row


def compare(message: Message, row: Row) -> None:
    """Raise `MessageError` if a key is used for something else than it was used for before."""
    recorded = {
        address.lower(): recipient.role for address, recipient in row.recipients.items() if recipient.role != "archive"
    }
    replies = {address.mailbox for address in message.reply_to}
    for differs, what in (
        (roles_of(message).keys() != recorded.keys(), _("other recipients")),
        (roles_of(message) != recorded, _("the same recipients in other places (To, Cc, Bcc)")),
        (row.subject not in {message.subject, source_of(message.subject)}, _("another subject")),
        (has_same_body(message, row) is False, _("another body")),
        # Without one of its own, it has that of the settings, which may change.
        (bool(replies) and row.reply_to is not None and replies != row.reply_to, _("another reply-to address")),
    ):
        if differs:
            raise MessageError(
                _("The key {key} belongs to a mail with {difference}; nothing was sent.").format(
                    key=message.key, difference=what
                ),
                field="key",
                hint=_("Use another key for another mail."),
            )


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
    """Say what of a message is not, or perhaps not, as it is recorded; nothing if all is."""
    notes = []
    given = [(document.name, sha256_of(document)) for document in message.documents]
    if given != list(zip(row.documents, row.contents, strict=True)):
        notes.append(_("The documents differ from those that were sent, as a PDF does that is made again."))
    if has_same_body(message, row) is None:
        notes.append(_("This mail was recorded by an older docmail, so its tables and figures could not be compared."))
    return " ".join(notes)


def recorded_result(message: Message, row: Row) -> SendResult:
    """Return the result that is recorded of a mail."""
    return SendResult(
        row.message_id,
        tuple(address for address, recipient in row.recipients.items() if recipient.state == "sent"),
        {
            address: recipient.reply
            for address, recipient in row.recipients.items()
            if recipient.state != "sent" and recipient.reply is not None
        },
        row.reply,
        repeated=True,
        note=difference(message, row),
    )
