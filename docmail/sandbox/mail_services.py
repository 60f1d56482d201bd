"""Takes mail as the mail services do: their paths, their keys, their JSON, and the text of their refusals.

Written from the services' own pages, so that it is a counterpart of `docmail.transport.http.apis` and not its mirror.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.utils import localtime
from typing import TYPE_CHECKING, Any

from docmail.addresses import parse_addresses
from docmail.errors import DocmailError
from docmail.message import new_message_id
from docmail.sandbox.inbox import joined, written
from docmail.sandbox.response import json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from docmail.sandbox.response import Response

RETRY_SECONDS = 30
"""What stands in Retry-After."""


@dataclass(frozen=True)
class Taken:
    """A mail as its recipients receive it, without those who are hidden, and the envelope."""

    content: bytes
    sender: str
    recipients: tuple[str, ...]


class NoMailError(Exception):
    """The service does not understand the request."""


_GMAIL = r"(/upload)?/gmail/v1/users/[^/]+"
_PATHS = {
    "graph": r"/v1\.0/(me|users/[^/]+)/sendMail",
    "gmail": rf"{_GMAIL}/(messages/send|drafts)",
    "mailgun": r"/v3/[^/]+/messages\.mime",
    "postmark": r"/email",
    "resend": r"/emails",
    "brevo": r"/v3/smtp/email",
    "sendgrid": r"/v3/mail/send",
}


def api_of(path: str) -> str | None:
    """Return the service that listens at a path."""
    return next((api for api, known in _PATHS.items() if re.fullmatch(known, path.partition("?")[0])), None)


def makes_draft(path: str) -> bool:
    """Say whether a request to this path makes a draft in Gmail, and sends nothing."""
    return re.fullmatch(rf"{_GMAIL}/drafts", path.partition("?")[0]) is not None


def key_of(api: str, headers: Mapping[str, str]) -> str:
    """Return the key that came with a request."""
    if api in {"postmark", "brevo"}:
        return headers.get({"postmark": "x-postmark-server-token", "brevo": "api-key"}[api], "")
    scheme, _blank, value = headers.get("authorization", "").partition(" ")
    if api != "mailgun":
        return value if scheme == "Bearer" else ""
    try:
        user, _colon, key = base64.b64decode(value).decode().partition(":")
    except ValueError:
        return ""
    return key if (scheme, user) == ("Basic", "api") else ""


def mail_of(api: str, media_type: str, body: bytes, parts: Callable[[], Iterable[Any]]) -> Taken:
    """Return the mail in a request; `parts` reads a multipart form. Raises `NoMailError`."""
    try:
        if api == "graph":
            return whole(base64.b64decode(body, validate=True))
        if api == "gmail":
            return whole(gmail_raw(media_type, body))
        if api == "mailgun":
            form = list(parts())
            to = tuple(part.text for part in form if part.name == "to")
            [content] = [part.content for part in form if part.name == "message" and part.filename]
            return Taken(content, _sender(content), to)
        return _assembled(_READ[api](json.loads(body)))
    except (KeyError, ValueError, TypeError, IndexError, DocmailError, binascii.Error) as exc:
        raise NoMailError(str(exc)) from exc


def gmail_raw(media_type: str, body: bytes) -> bytes:
    """Return the mail that Gmail gets to be sent, or, one object further in, as a draft; with its blind recipients."""
    if media_type == "message/rfc822":
        return body
    content = json.loads(body)
    return base64.urlsafe_b64decode(content.get("message", content)["raw"])


def whole(raw: bytes) -> Taken:
    """Take a whole mail: its recipients stand in its headers, and Bcc is taken out."""
    head, _blank, rest = raw.partition(b"\r\n\r\n")
    shown = re.sub(rb"(?mi)^bcc:.*(\r\n[ \t].*)*\r\n", b"", head + b"\r\n").removesuffix(b"\r\n")
    headers = message_from_bytes(head + b"\r\n\r\n", policy=policy.default)
    recipients = [
        joined(address.addr_spec)
        for name in ("To", "Cc", "Bcc")
        if headers[name] is not None
        for address in headers[name].addresses
    ]
    content = shown + b"\r\n\r\n" + rest
    return Taken(content, _sender(content), tuple(recipients))


def _sender(content: bytes) -> str:
    headers = message_from_bytes(content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", policy=policy.default)
    return joined(headers["From"].addresses[0].addr_spec)


@dataclass(frozen=True)
class _Read:
    """What a service reads out of its JSON; mailboxes are (name, address)."""

    sender: tuple[str, str]
    people: list[list[tuple[str, str]]]  # to, cc, bcc, reply-to
    subject: str
    text: str
    html: str
    files: list[tuple[str, str, str | None, str]]  # name, media type, Content-ID, base64
    message_id: str | None = None


def _assembled(read: _Read) -> Taken:
    mail = EmailMessage(policy=policy.SMTPUTF8)
    to, cc, bcc, reply_to = read.people
    mail["From"] = _mailbox(read.sender)
    for header, people in (("To", to), ("Cc", cc), ("Reply-To", reply_to)):
        if people:
            mail[header] = [_mailbox(each) for each in people]
    mail["Subject"] = read.subject
    mail["Date"] = localtime()
    mail["Message-ID"] = read.message_id or new_message_id("sandbox.example")
    mail.set_content(read.text)
    mail.add_alternative(read.html, subtype="html")
    rich = mail.get_body(("html",))
    for name, media_type, content_id, content in read.files:
        main, _slash, sub = media_type.partition("/")
        data = base64.b64decode(content, validate=True)
        if content_id is not None and isinstance(rich, EmailMessage):
            rich.add_related(data, main, sub, cid=f"<{content_id.removeprefix('cid:')}>", filename=name)
        else:
            mail.add_attachment(data, maintype=main, subtype=sub, filename=name)
    recipients = tuple(address for _name, address in (*to, *cc, *bcc))
    if not recipients:
        raise ValueError
    return Taken(written(mail), read.sender[1], recipients)


def _mailbox(person: tuple[str, str]) -> HeaderAddress:
    return HeaderAddress(person[0], addr_spec=person[1])


def _people(value: str | list[str] | None) -> list[tuple[str, str]]:
    """Read addresses as Postmark and Resend write them: in one text, or a list of such."""
    texts = [value] if isinstance(value, str) else value or []
    return [(each.name, each.addr_spec) for text in texts for each in parse_addresses(text, "to")]


def _named(value: list[dict[str, str]] | None) -> list[tuple[str, str]]:
    """Read addresses as Brevo and SendGrid write them."""
    return [(each.get("name", ""), each["email"]) for each in value or []]


def _postmark(content: dict[str, Any]) -> _Read:
    headers = {each["Name"]: each["Value"] for each in content.get("Headers", [])}
    return _Read(
        _people(content["From"])[0],
        [_people(content.get(name)) for name in ("To", "Cc", "Bcc", "ReplyTo")],
        content["Subject"],
        content["TextBody"],
        content["HtmlBody"],
        [
            (each["Name"], each["ContentType"], each.get("ContentID"), each["Content"])
            for each in content.get("Attachments", [])
        ],
        headers["Message-ID"] if headers.get("X-PM-KeepID") == "true" else None,
    )


def _resend(content: dict[str, Any]) -> _Read:
    return _Read(
        _people(content["from"])[0],
        [_people(content.get(name)) for name in ("to", "cc", "bcc", "reply_to")],
        content["subject"],
        content["text"],
        content["html"],
        [
            (each["filename"], each["content_type"], each.get("content_id"), each["content"])
            for each in content.get("attachments", [])
        ],
    )


def _brevo(content: dict[str, Any]) -> _Read:
    return _Read(
        _named([content["sender"]])[0],
        [
            *(_named(content.get(name)) for name in ("to", "cc", "bcc")),
            _named([content["replyTo"]] if "replyTo" in content else []),
        ],
        content["subject"],
        content["textContent"],
        content["htmlContent"],
        [
            # Brevo has no field for the type: it goes by the file's name.
            (
                each["name"],
                "application/pdf" if each["name"].endswith(".pdf") else "application/octet-stream",
                None,
                each["content"],
            )
            for each in content.get("attachment", [])
        ],
    )


def _sendgrid(content: dict[str, Any]) -> _Read:
    [people] = content["personalizations"]
    texts = {each["type"]: each["value"] for each in content["content"]}
    return _Read(
        _named([content["from"]])[0],
        [*(_named(people.get(name)) for name in ("to", "cc", "bcc")), _named(content.get("reply_to_list"))],
        content["subject"],
        texts["text/plain"],
        texts["text/html"],
        [
            (each["filename"], each["type"], each.get("content_id"), each["content"])
            for each in content.get("attachments", [])
        ],
    )


_READ: dict[str, Callable[[dict[str, Any]], _Read]] = {
    "postmark": _postmark,
    "resend": _resend,
    "brevo": _brevo,
    "sendgrid": _sendgrid,
}


# --- what they answer -------------------------------------------------------------------------------------------------


def success(api: str, left_out: Iterable[str] = ()) -> Response:
    """Return the response to a mail that was taken."""
    identity = new_message_id("sandbox.example")
    if api in {"graph", "sendgrid"}:
        return json_response(202, None)
    if api == "mailgun":
        return json_response(200, {"id": identity, "message": "Queued. Thank you."})
    if api == "brevo":
        return json_response(201, {"messageId": identity})
    if api == "postmark":
        missing = ", ".join(left_out)
        message = f"Message OK, but will not deliver to these inactive addresses: {missing}." if missing else "OK"
        return json_response(200, {"ErrorCode": 0, "Message": message, "MessageID": identity.strip("<>")})
    return json_response(200, {"id": identity.strip("<>")})


_REFUSALS: dict[str, dict[int, tuple[Any, str]]] = {
    "graph": {
        401: ("InvalidAuthenticationToken", "Access token is empty or not valid."),
        400: ("ErrorInvalidRecipients", "At least one recipient isn't valid."),
        429: ("ApplicationThrottled", "Application is over its MailboxConcurrency limit."),
    },
    "gmail": {401: ("UNAUTHENTICATED", "Invalid Credentials"), 400: ("INVALID_ARGUMENT", "Invalid To header")},
    "mailgun": {401: (None, "Forbidden"), 400: (None, "'to' parameter is not a valid address. please check it")},
    "postmark": {
        401: (10, "The Server Token you provided in the X-Postmark-Server-Token header was invalid."),
        400: (406, "You tried to send to recipients that have been marked as inactive."),
    },
    "resend": {
        401: ("invalid_api_key", "API key is invalid"),
        400: ("validation_error", "Invalid `to` field."),
        429: ("rate_limit_exceeded", "Too many requests."),
    },
    "brevo": {401: ("unauthorized", "Key not found"), 400: ("invalid_parameter", "email is not valid in to")},
    "sendgrid": {
        401: (None, "The provided authorization grant is invalid, expired, or revoked"),
        400: ("personalizations.0.to.0.email", "Does not contain a valid address."),
    },
}


def refusal(api: str, status: int, text: str = "") -> Response:
    """Return a refusal with this text; without one, with the service's own."""
    code, message = _REFUSALS[api].get(status, (None, "Not possible."))
    if text:
        found = re.fullmatch(r"([\w.]+): (.*)", text, re.DOTALL)
        code, message = (found[1], found[2]) if found else (None, text)
    details = [{"message": message, "domain": "global", "reason": code}] if code else []
    number = int(code) if str(code).isdecimal() else 300
    content: dict[str, dict[str, Any]] = {
        "graph": {"error": {"code": code or "ErrorInternalServerError", "message": message}},
        "gmail": {"error": {"code": status, "message": message, "errors": details}},
        "mailgun": {"message": message},
        "postmark": {"ErrorCode": number, "Message": message},
        "resend": {"statusCode": status, "name": code or "application_error", "message": message},
        "brevo": {"code": code or "bad_request", "message": message},
        "sendgrid": {"errors": [{"message": message, "field": code, "help": None}]},
    }
    if api == "postmark" and status == 400:  # noqa: PLR2004 - it has one status for everything about the mail
        status = 422
    return json_response(status, content[api])
