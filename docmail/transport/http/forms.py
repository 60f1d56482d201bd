"""Makes the form that an HTTP mail server takes, and reads out of a mail what such a form has a field for."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from docmail.errors import MessageError
from docmail.language import _
from docmail.transport.http.body import Body, File, multipart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

    from docmail.message import Attachment


def form_of(fields: dict[str, str], attachments: tuple[Attachment, ...]) -> Body:
    """Return the body with these fields: multipart with files, urlencoded without."""
    if not attachments:
        return Body("application/x-www-form-urlencoded", (urlencode(fields).encode(),))
    files = [
        (f"file{number}", attachment.name, attachment.media_type, File(attachment))
        for number, attachment in enumerate(attachments, 1)
    ]
    return multipart(list(fields.items()), files)


def fields_of(head: EmailMessage) -> dict[str, str]:
    """Return what all recipients share: the sender's name, the address for replies, subject and HTML."""
    refuse_pictures(head, _("An HTTP form"))
    sender = head["From"].addresses[0]
    return {
        "from": whole(sender.display_name or sender.addr_spec),
        "reply_to": ", ".join(addresses_of(head, "Reply-To")),
        "subject": whole(str(head["Subject"])),
        "body": html_of(head),
    }


def html_of(head: EmailMessage) -> str:
    """Return the mail's text as HTML, made of the plain text if there is no other."""
    rich = head.get_body(("html",))
    if rich is not None:
        return str(rich.get_content())
    return "<br>\n".join(html.escape(line, quote=False) for line in text_of(head).splitlines())


def text_of(head: EmailMessage) -> str:
    """Return the mail's plain text."""
    plain = head.get_body(("plain",))
    return str(plain.get_content()).strip() if plain is not None else ""


def pictures_of(head: EmailMessage) -> Iterator[EmailMessage]:
    """Yield the pictures that stand in the text: the parts to which its HTML refers (RFC 2392, cid:)."""
    for part in head.walk():
        if part["Content-ID"] and not part.is_multipart():
            yield part


def refuse_pictures(head: EmailMessage, what: str) -> None:
    """Raise `MessageError` if pictures stand in the text: they would be missing from the mail."""
    if any(True for _picture in pictures_of(head)):
        raise MessageError(
            _("{service} cannot send the pictures in the text of this mail.").format(service=what),
            field="body",
            hint=_("Attach them as documents, or send through SMTP."),
        )


def addresses_of(head: EmailMessage, *names: str) -> list[str]:
    """Return the bare addresses in these headers, each once."""
    headers = [head[name] for name in names if head[name] is not None]
    return list(dict.fromkeys(whole(address.addr_spec) for header in headers for address in header.addresses))


def whole(text: str) -> str:
    """Join what the library leaves of raw UTF-8 in a header (RFC 6532) when it reads it back."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
