"""Turns a mail into the request that each mail service wants: one function per service, one builder of mails for all.

Microsoft Graph, Gmail and Mailgun take the mail as it is (RFC 5322); the others take its parts in JSON. A mail goes to
all of its recipients with one request, so that it is taken or not as a whole. What a service cannot do is an error
here, before anything is sent.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from docmail.addresses import Address
from docmail.errors import Guide, Kind, MessageError, Phase, Refused
from docmail.language import _
from docmail.transport.base import too_large
from docmail.transport.http.body import Base64, Body, File, Wire, json_body, multipart
from docmail.transport.http.forms import (
    addresses_of,
    fields_of,
    form_of,
    html_of,
    pictures_of,
    refuse_pictures,
    text_of,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

    from docmail.message import Attachment, Mail
    from docmail.presets import Service
    from docmail.secret import Secret
    from docmail.settings import HttpServer

_GMAIL_JSON_BYTES = 5_000_000
"""From here on Gmail wants the mail at its address for uploads, not in JSON."""


@dataclass(frozen=True)
class MailRequest:
    """What is posted for these recipients; `url` where it is not the one of the settings.

    With `draft` the body makes no mail yet, but a draft, to which `docmail.transport.http.drafts` adds these
    attachments before it sends it.
    """

    recipients: tuple[str, ...]
    body: Body
    headers: tuple[tuple[str, str], ...] = ()
    url: str | None = field(default=None, repr=False)
    method: str = "POST"
    sends: bool = True
    """Whether the mail goes out with it."""
    signs_in: bool = True
    hidden: Secret | None = None
    """What the reply text must not show, besides the secret of the account."""
    most: int | None = None
    """How many octets of the response are read, if it is not a sentence."""
    draft: Mail | None = None


def requests_for(mail: Mail, server: HttpServer) -> list[MailRequest]:
    """Return what is posted for a mail, one after the other.

    Raises `MessageError` or `Refused` for what the service cannot do.
    """
    if (service := server.service) is None:
        return _form(mail)
    if service.max_recipients and len(mail.recipients) > service.max_recipients:
        raise _refused(
            _("{service} accepts at most {limit} recipients per mail, and this one has {number}.").format(
                service=service.name, limit=service.max_recipients, number=len(mail.recipients)
            ),
            _("Send it in several parts."),
        )
    request = _REQUESTS[service.api](mail, server)
    size, limit = request.body.size, service.one_request or service.max_bytes
    if service.one_request and size > service.one_request and (draft := _draft(mail, server)):
        request, size, limit = draft, mail.size, service.max_bytes
    if limit and size > limit:
        raise too_large(size, limit, service.name, Phase.REQUEST)
    return [request]


def draft_request(mail: Mail, server: HttpServer) -> MailRequest | None:
    """Return what saves a mail as a draft in the mailbox; None where the service, or this URL, has no place for that.

    A draft of the mail without its attachments, to which they are added, is one that says so (`MailRequest.draft`).
    Raises `Refused` for a mail that is too large.
    """
    service = server.service
    if service is None or not service.drafts:
        return None
    made = (_gmail_draft if service.api == "gmail" else _whole_draft)(mail, server)
    size, limit = (made.body.size, service.one_request or service.max_bytes) if made else (0, None)
    if made and service.one_request and size > service.one_request and (split := _draft(mail, server)):
        made, size, limit = split, mail.size, service.max_bytes
    if limit and size > limit:
        raise too_large(size, limit, service.name, Phase.REQUEST)
    return made


def _refused(message: str, hint: str) -> Refused:
    return Refused(message, kind=Kind.MESSAGE, phase=Phase.REQUEST, hint=hint, guide=Guide.SENDING)


def _form(mail: Mail) -> list[MailRequest]:
    """Return one request for all who may see each other, and one for each blind recipient, so that nobody sees them."""
    head = mail.parsed()
    fields = fields_of(head)
    # In a repetition only those are left who did not get it the first time.
    visible = tuple(address for address in addresses_of(head, "To", "Cc") if address in mail.recipients)
    groups = [visible] if visible else []
    groups += [(address,) for address in mail.recipients if address not in visible]
    return [MailRequest(group, form_of({**fields, "to": ", ".join(group)}, mail.attachments)) for group in groups]


# --- the mail as it is ------------------------------------------------------------------------------------------------


def address_lists(mail: Mail) -> tuple[list[str], list[str]]:
    """Return the blind recipients of a mail, and the addresses for replies."""
    head = mail.parsed()
    visible = addresses_of(head, "To", "Cc")
    return [address for address in mail.recipients if address not in visible], addresses_of(head, "Reply-To")


def _with_blind(mail: Mail, service: Service) -> Wire:
    """Return the mail with its blind recipients in the header that these services read, and take out."""
    if not set(addresses_of(mail.parsed(), "To", "Cc")) <= set(mail.recipients):
        raise _partly_sent(service)
    blind, _reply_to = address_lists(mail)
    return Wire(mail, f"Bcc: {f',{_FOLD}'.join(blind)}\r\n".encode() if blind else b"")


_FOLD = "\r\n "


def _partly_sent(service: Service) -> Refused:
    return _refused(
        _("Some recipients have this mail already, and {service} can send it only to all of them.").format(
            service=service.name
        ),
        _("Send it to the others as a new mail."),
    )


def _graph(mail: Mail, server: HttpServer) -> MailRequest:
    # The type is not message/rfc822: base64 is what Graph knows a whole mail by.
    return MailRequest(mail.recipients, Body("text/plain", (Base64(_with_blind(mail, _service(server))),)))


def _draft(mail: Mail, server: HttpServer) -> MailRequest | None:
    """Return what makes a draft of the mail without its attachments, or None if that is too large or has no place.

    A draft may be made of a whole mail, too (learn.microsoft.com/graph/api/user-post-messages, read 2026-11-30), so
    that headers and text are those that a small mail goes out with.
    """
    request = _whole_draft(replace(mail, attachments=()), server)
    if request is None or not mail.attachments or request.body.size > (_service(server).one_request or 0):
        return None
    return replace(request, draft=mail)


def _whole_draft(mail: Mail, server: HttpServer) -> MailRequest | None:
    """Return what makes a draft of a whole mail, or None if it has no place."""
    split = urlsplit(server.full_url)
    place = split.path.removesuffix("/sendMail")
    if place == split.path:
        return None
    request, url = _graph(mail, server), urlunsplit(split._replace(path=f"{place}/messages"))
    # Microsoft responds with the whole draft, its text included.
    return replace(request, url=url, sends=False, most=4 * request.body.size + 1_000_000)


def _gmail(mail: Mail, server: HttpServer) -> MailRequest:
    wire = _with_blind(mail, _service(server))
    body = json_body({"raw": Base64(wire, for_url=True)})
    return MailRequest(mail.recipients, body) if body.size <= _GMAIL_JSON_BYTES else _upload(wire, server.full_url)


def _upload(wire: Wire, url: str) -> MailRequest:
    split = urlsplit(url)
    url = urlunsplit(split._replace(path=f"/upload{split.path}", query="uploadType=media"))
    return MailRequest(wire.mail.recipients, Body("message/rfc822", (wire,)), url=url)


def _gmail_draft(mail: Mail, server: HttpServer) -> MailRequest | None:
    """Return what makes a draft, or None if it has no place.

    developers.google.com/workspace/gmail/api/reference/rest/v1/users.drafts/create, read 2026-12-01: as for sending,
    with the mail one object further in; it takes gmail.compose or gmail.modify.
    """
    split = urlsplit(server.full_url)
    place = split.path.removesuffix("/messages/send")
    if place == split.path:
        return None
    wire, url = _with_blind(mail, _service(server)), urlunsplit(split._replace(path=f"{place}/drafts"))
    body = json_body({"message": {"raw": Base64(wire, for_url=True)}})
    if body.size > _GMAIL_JSON_BYTES:
        return replace(_upload(wire, url), sends=False)
    return MailRequest(mail.recipients, body, url=url, sends=False)


def _mailgun(mail: Mail, _server: HttpServer) -> MailRequest:
    # `to` is the envelope here, so blind recipients stand nowhere else.
    fields = [("to", address) for address in mail.recipients]
    return MailRequest(mail.recipients, multipart(fields, [("message", "message.eml", "message/rfc822", Wire(mail))]))


# --- the mail in parts ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parts:
    """A mail, taken apart."""

    sender: Address
    to: list[Address]
    cc: list[Address]
    bcc: list[Address]
    reply_to: list[Address]
    subject: str
    text: str
    html: str
    files: list[tuple[str, str, Base64]]
    pictures: list[tuple[str, str, str, str]]
    thread: dict[str, str]
    """The headers that name the mail which this one answers; none if it answers none."""

    @classmethod
    def of(cls, mail: Mail, server: HttpServer) -> _Parts:
        service, head = _service(server), mail.parsed()
        to, cc = (
            [each for each in _mailboxes(head, name) if each.addr_spec in mail.recipients] for name in ("To", "Cc")
        )
        if not to:
            raise _partly_sent(service)
        visible = addresses_of(head, "To", "Cc")
        if not service.pictures:
            refuse_pictures(head, service.name)
        return cls(
            sender=_mailboxes(head, "From")[0],
            to=to,
            cc=cc,
            bcc=[_mailbox("", address) for address in mail.recipients if address not in visible],
            reply_to=_mailboxes(head, "Reply-To"),
            subject=whole(str(head["Subject"])),
            text=text_of(head) or " ",  # none of them takes a mail without any text
            html=html_of(head) or "<html><body></body></html>",
            # Without the charset of a text: SendGrid takes no parameters.
            files=[(each.name, file_type(each), Base64(File(each))) for each in mail.attachments],
            pictures=[_picture(part) for part in pictures_of(head)],
            thread={name: " ".join(str(head[name]).split()) for name in ("In-Reply-To", "References") if head[name]},
        )

    def attached(
        self, name: str, media_type: str, content: str, picture: Callable[[str], dict[str, str]]
    ) -> list[dict[str, Any]]:
        """Return files and pictures under these names; `picture` adds what says that one stands in the text."""
        return [dict(zip((name, media_type, content), file, strict=True)) for file in self.files] + [
            {name: file, media_type: kind, content: octets, **picture(content_id)}
            for file, kind, content_id, octets in self.pictures
        ]


def file_type(attachment: Attachment) -> str:
    """Return the type of a file that a service puts into the mail in base64, in which no mail may be."""
    media_type = attachment.media_type.partition(";")[0]
    return "application/octet-stream" if media_type == "message/rfc822" else media_type


def _service(server: HttpServer) -> Service:
    assert server.service is not None  # noqa: S101 - requests_for() looked
    return server.service


def _mailboxes(head: EmailMessage, name: str) -> list[Address]:
    header = head[name]
    return [_mailbox(whole(each.display_name), whole(each.addr_spec)) for each in header.addresses] if header else []


def _mailbox(name: str, addr_spec: str) -> Address:
    local, _at, domain = addr_spec.rpartition("@")
    return Address(name, local, domain)


def _picture(part: EmailMessage) -> tuple[str, str, str, str]:
    """Return name, type, Content-ID and content of a picture that stands in the text."""
    content_id = str(part["Content-ID"]).strip().removeprefix("<").removesuffix(">")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)  # noqa: S101 - what decodes to nothing is multipart, and was left out
    name = part.get_filename() or content_id
    return name, part.get_content_type(), content_id, base64.b64encode(content).decode("ascii")


def _joined(addresses: list[Address]) -> str:
    return ", ".join(map(str, addresses))


def _postmark(mail: Mail, server: HttpServer) -> MailRequest:
    parts = _Parts.of(mail, server)
    content: dict[str, Any] = {
        "From": str(parts.sender),
        "To": _joined(parts.to),
        "Cc": _joined(parts.cc),
        "Bcc": _joined(parts.bcc),
        "ReplyTo": _joined(parts.reply_to),
        "Subject": parts.subject,
        "TextBody": parts.text,
        "HtmlBody": parts.html,
        # Otherwise Postmark gives the mail another Message-ID than the one in the outbox.
        "Headers": [
            {"Name": name, "Value": value}
            for name, value in {"Message-ID": mail.message_id, "X-PM-KeepID": "true", **parts.thread}.items()
        ],
        "Attachments": parts.attached("Name", "ContentType", "Content", lambda cid: {"ContentID": f"cid:{cid}"}),
    }
    return MailRequest(mail.recipients, json_body(_filled(content)))


def _resend(mail: Mail, server: HttpServer) -> MailRequest:
    parts = _Parts.of(mail, server)
    content: dict[str, Any] = {
        "from": str(parts.sender),
        "to": [*map(str, parts.to)],
        "cc": [*map(str, parts.cc)],
        "bcc": [*map(str, parts.bcc)],
        "reply_to": [*map(str, parts.reply_to)],
        "subject": parts.subject,
        "text": parts.text,
        "html": parts.html,
        "headers": parts.thread,
        "attachments": parts.attached("filename", "content_type", "content", lambda cid: {"content_id": cid}),
    }
    # The same mail twice is sent once, should a person repeat one whose outcome is unknown.
    key = mail.message_id.strip("<>")[:256]
    return MailRequest(mail.recipients, json_body(_filled(content)), (("Idempotency-Key", key),))


def _brevo(mail: Mail, server: HttpServer) -> MailRequest:
    parts = _Parts.of(mail, server)
    if len(parts.reply_to) > 1:
        raise MessageError(
            _("{service} accepts one address for replies, and this mail has several.").format(service="Brevo"),
            field="reply_to",
            hint=_("Give one address for replies."),
        )
    content: dict[str, Any] = {
        "sender": _named(parts.sender),
        "to": [*map(_named, parts.to)],
        "cc": [*map(_named, parts.cc)],
        "bcc": [*map(_named, parts.bcc)],
        "replyTo": _named(parts.reply_to[0]) if parts.reply_to else None,
        "subject": parts.subject,
        "textContent": parts.text,
        "htmlContent": parts.html,
        "attachment": [{"name": name, "content": file} for name, _media_type, file in parts.files],
    }
    return MailRequest(mail.recipients, json_body(_filled(content)))


def _sendgrid(mail: Mail, server: HttpServer) -> MailRequest:
    parts = _Parts.of(mail, server)
    people = {"to": [*map(_named, parts.to)], "cc": [*map(_named, parts.cc)], "bcc": [*map(_named, parts.bcc)]}
    content: dict[str, Any] = {
        "personalizations": [_filled(people)],
        "from": _named(parts.sender),
        "reply_to_list": [*map(_named, parts.reply_to)],
        "subject": parts.subject,
        "headers": parts.thread,
        "content": [{"type": "text/plain", "value": parts.text}, {"type": "text/html", "value": parts.html}],
        "attachments": parts.attached(
            "filename", "type", "content", lambda cid: {"content_id": cid, "disposition": "inline"}
        ),
    }
    return MailRequest(mail.recipients, json_body(_filled(content)))


def _named(address: Address) -> dict[str, str]:
    return _filled({"email": address.addr_spec, "name": address.name})


def _filled(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is empty: some services refuse an empty list."""
    return {name: value for name, value in content.items() if value or name in {"subject", "Subject"}}


_REQUESTS: dict[str, Callable[[Mail, HttpServer], MailRequest]] = {
    "graph": _graph,
    "gmail": _gmail,
    "mailgun": _mailgun,
    "postmark": _postmark,
    "resend": _resend,
    "brevo": _brevo,
    "sendgrid": _sendgrid,
}
