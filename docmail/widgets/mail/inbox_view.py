"""The inbox of a sandbox under a cell, and a mail of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from docmail.documents import Document
from docmail.language import _, ngettext
from docmail.message import MOST, Arrived, arrived
from docmail.widgets.mail.reader import Letter, Line, MailReader, letter_without_kernel
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.markup import tag
from docmail.widgets.parts.rendered_mail import KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.sandbox import Attachment, Inbox, ReceivedMail

    Bundle = dict[str, Any]

__all__ = ["inbox_without_kernel", "mail_without_kernel", "show_inbox", "show_received"]

_NEWEST = 20


class _Received:
    """The mails of an inbox, the newest first."""

    follows = True

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.title = _("Inbox")
        self.empty = _(
            "No mail has arrived yet. Send one with box.settings, or press Test email settings: it appears here."
        )

    def numbers(self) -> Sequence[int]:
        return self._inbox.numbers()[::-1]

    def counted(self, number: int) -> str:
        return ngettext("{number} mail", "{number} mails", number).format(number=f"{number:,}")

    def line(self, number: int) -> Line | None:
        mail = self._inbox.head(number)
        return None if mail is None else Line(mail.subject, _recipients(mail), markup.when(mail.received))

    def letter(self, number: int) -> Letter | None:
        mail = self._inbox.mail(number)
        return None if mail is None else _letter(mail)

    def document(self, number: int, position: int) -> Document | None:
        mail = self._inbox.mail(number)
        return None if mail is None else _document(mail.attachments[position])


class _One:
    """One mail of an inbox."""

    title = empty = ""
    follows = False

    def __init__(self, mail: ReceivedMail) -> None:
        self._mail = mail

    def numbers(self) -> Sequence[int]:
        return [self._mail.number]

    def counted(self, _number: int) -> str:
        return ""

    def line(self, _number: int) -> None:
        return None

    def letter(self, _number: int) -> Letter:
        return _letter(self._mail)

    def document(self, _number: int, position: int) -> Document:
        return _document(self._mail.attachments[position])


def _recipients(mail: ReceivedMail) -> str:
    """Return for whom a mail is: those whom it names, and if it names nobody, those who get it."""
    return str(mail["To"] or mail["Cc"] or "") or ", ".join(mail.recipients)


def _letter(mail: ReceivedMail, most: int = MOST) -> Letter:
    try:
        seen, files = arrived(mail, most), [(each.name, each.size) for each in mail.attachments]
    except Exception:  # noqa: BLE001 - a mail that the standard library cannot take apart is shown as it came
        source = mail.raw.decode("utf-8", "replace")
        seen, files = Arrived("", source[:most], shortened=len(source) > most), []
    return Letter(mail.subject, [*_headers(mail), *_blind(mail)], seen, files)


def _headers(mail: ReceivedMail) -> list[tuple[str, str]]:
    names = {"From": _("From"), "To": _("To"), "Cc": _("Cc"), "Reply-To": _("Reply to")}
    return [(label, str(mail[name])) for name, label in names.items() if mail[name]]


def _blind(mail: ReceivedMail) -> list[tuple[str, str]]:
    """Return whom the mail does not name though they get it; only on the screen."""
    named = {address.addr_spec.lower() for name in ("To", "Cc") for address in getattr(mail[name], "addresses", ())}
    blind = [address for address in mail.recipients if address.lower() not in named]
    return [(_("Bcc"), ", ".join(blind))] if blind else []


def _document(attachment: Attachment) -> Document:
    return Document(attachment.name, attachment.media_type, attachment.content, attachment.size)


# --- under a cell ---


def show_inbox(inbox: Inbox) -> None:
    """Show it under the cell: list and mail, and for readers without a kernel the subjects of the newest."""
    static_fallback.show(inbox_without_kernel(inbox), MailReader(_Received(inbox)))


def show_received(mail: ReceivedMail) -> None:
    """Show a mail under the cell; addresses included, because nobody displays one without wanting to read it."""
    static_fallback.show(mail_without_kernel(mail), MailReader(_One(mail)))


def inbox_without_kernel(inbox: Inbox) -> Bundle:
    """Return the subjects of the newest mails and what is attached to them, without addresses."""
    lines = [[mail.subject, *(attachment.name for attachment in mail.attachments)] for mail in inbox[-_NEWEST:]]
    title = ngettext("Inbox: {number} mail", "Inbox: {number} mails", len(inbox)).format(number=len(inbox))
    html = tag("div", tag("b", title) + markup.table(lines, style="text-align: left"))
    return {"text/plain": repr(inbox), "text/html": html}


def mail_without_kernel(mail: ReceivedMail) -> Bundle:
    """Return a mail as a notebook keeps it: the headers that it has, and what is seen of it in a limited size."""
    html = letter_without_kernel(replace(_letter(mail, KEPT), headers=_headers(mail)))
    return {"text/plain": repr(mail), "text/html": html}
