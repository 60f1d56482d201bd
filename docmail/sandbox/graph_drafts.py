"""Keeps drafts as Microsoft Graph does, with attachments that arrive in pieces, and refuses what Graph refuses.

Written from learn.microsoft.com/graph/outlook-large-attachments and from what programs were answered (the reports are
named in `docmail.transport.http.drafts`); read 2026-11-30. Where the pages leave something open, this is the stricter
reading: a draft gets a Message-ID of Microsoft's, whatever the mail says.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Literal

from docmail.message import new_message_id
from docmail.sandbox.inbox import written
from docmail.sandbox.mail_services import Taken, refusal, whole
from docmail.sandbox.response import Response, json_response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docmail.sandbox.failures import Step

_MAILBOX = r"/v1\.0/(?:me|users/[^/]+)/messages"
_PATHS = {
    "create": ("POST", _MAILBOX),
    "change": ("PATCH", rf"{_MAILBOX}/([^/]+)"),
    "delete": ("DELETE", rf"{_MAILBOX}/([^/]+)"),
    "attach": ("POST", rf"{_MAILBOX}/([^/]+)/attachments"),
    "begin": ("POST", rf"{_MAILBOX}/([^/]+)/attachments/createUploadSession"),
    "piece": ("PUT", r"/sandbox-uploads/([^/]+)"),
    "send": ("POST", rf"{_MAILBOX}/([^/]+)/send"),
}
_STEPS: dict[str, Step] = {"create": "draft", "attach": "upload", "begin": "upload", "piece": "upload"}

_ONE_REQUEST, _ONE_POST = 4_194_304, 3_145_611
_LEAST_UPLOAD, _MOST_UPLOAD = 2_097_152, 157_286_400


@dataclass(frozen=True)
class DraftCall:
    """One request about a draft, or about an upload to one."""

    does: Literal["create", "change", "delete", "attach", "begin", "piece", "send"]
    about: str = ""
    token: str = ""

    @property
    def step(self) -> Step | None:
        """The step at which failures are programmed for it."""
        return _STEPS.get(self.does)

    @property
    def needs_key(self) -> bool:
        """Whether it signs in; the URL for the pieces lets one in by itself."""
        return self.does != "piece"


@dataclass
class _Draft:
    mail: Taken
    message_id: str
    bcc: list[str]
    reply_to: list[str]
    files: list[tuple[str, str, bytes]] = field(default_factory=list)


@dataclass
class _Session:
    draft: str
    token: str
    name: str
    media_type: str
    size: int
    ends: float
    content: bytearray = field(default_factory=bytearray)


class Drafts:
    """The drafts of a sandbox."""

    def __init__(self, size_limit: int, session_seconds: float = 3600.0) -> None:
        self._size_limit, self._session_seconds = size_limit, session_seconds
        self._drafts: dict[str, _Draft] = {}
        self._sessions: dict[str, _Session] = {}

    def __len__(self) -> int:
        """Return how many drafts there are."""
        return len(self._drafts)

    def call(self, method: str, target: str) -> DraftCall | None:
        """Return what a request is about; None if it is not about drafts."""
        path, _mark, query = target.partition("?")
        for does, (wanted, known) in _PATHS.items():
            if method == wanted and (found := re.fullmatch(known, path)):
                token = query.removeprefix("authtoken=")
                return DraftCall(does, found[1] if found.groups() else "", token)  # type: ignore[arg-type]
        return None

    def recipients(self, call: DraftCall) -> Sequence[str]:
        """Return the recipients of the draft in question."""
        draft = self._drafts.get(self._sessions[call.about].draft if call.about in self._sessions else call.about)
        return draft.mail.recipients if draft else ()

    def forget(self, call: DraftCall) -> None:
        """Remove a draft, which was sent or deleted, with its uploads."""
        self._drafts.pop(call.about, None)
        self._sessions = {name: session for name, session in self._sessions.items() if session.draft != call.about}

    def answer(  # noqa: PLR0911 - one kind of request after the other
        self, call: DraftCall, headers: Mapping[str, str], body: bytes
    ) -> Response | Taken:
        """Respond; return the mail where it is to be sent."""
        if call.does == "create":
            return self._create(headers, body)
        if call.does == "piece":
            return self._take(call, headers, body)
        if (draft := self._drafts.get(call.about)) is None:
            return _refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        if call.does == "send":
            return _refusal(400, "ErrorInvalidRequest", "A body is not expected.") if body else _finished(draft)
        if call.does == "delete":
            self.forget(call)
            return json_response(204, None)
        try:
            content = json.loads(body)
            if call.does == "change":
                return _changed(call.about, draft, content)
            if call.does == "attach":
                return self._attach(draft, content)
            return self._begin(call.about, content["AttachmentItem"], headers.get("host", ""))
        except (KeyError, ValueError, TypeError, binascii.Error) as exc:
            return _refusal(400, "BadRequest", f"Empty Payload. JSON content expected. {exc}")

    def _create(self, headers: Mapping[str, str], body: bytes) -> Response:
        if headers.get("content-type") != "text/plain":
            return _refusal(400, "BadRequest", "This sandbox makes drafts of whole mails only.")
        if len(body) > _ONE_REQUEST:
            return refusal("graph", 413)
        try:
            mail = whole(base64.b64decode(body, validate=True))
        except (ValueError, KeyError, TypeError, IndexError):
            return _refusal(400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
        identity = f"AAMk{token_urlsafe(48)}="
        visible = {*_addresses(mail.content, "To"), *_addresses(mail.content, "Cc")}
        self._drafts[identity] = draft = _Draft(
            mail,
            new_message_id("sandbox.example"),
            [each for each in mail.recipients if each not in visible],
            _addresses(mail.content, "Reply-To"),
        )
        return json_response(201, _shown(identity, draft))

    def _attach(self, draft: _Draft, content: dict[str, Any]) -> Response:
        if content["@odata.type"] != "#microsoft.graph.fileAttachment":
            raise ValueError
        data = base64.b64decode(content["contentBytes"], validate=True)
        if len(data) > _ONE_POST:
            return refusal("graph", 413)
        return self._add(draft, content["name"], content["contentType"], data)

    def _add(self, draft: _Draft, name: str, media_type: str, data: bytes) -> Response:
        if sum(len(each) for _name, _type, each in draft.files) + len(data) > self._size_limit:
            return _refusal(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
        draft.files.append((name, media_type, data))
        return json_response(201, None)

    def _begin(self, draft: str, item: dict[str, Any], host: str) -> Response:
        size = item["size"]
        if item["attachmentType"] != "file" or not isinstance(size, int):
            raise ValueError
        if size < _LEAST_UPLOAD:
            return _refusal(400, "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize", "Attachment size must be larger.")
        if size > _MOST_UPLOAD:
            return refusal("graph", 413)
        name, token = token_urlsafe(12), token_urlsafe(24)
        self._sessions[name] = _Session(
            draft, token, item["name"], item["contentType"], size, time.monotonic() + self._session_seconds
        )
        content = {
            "uploadUrl": f"http://{host}/sandbox-uploads/{name}?authtoken={token}",
            "expirationDateTime": "2026-11-30T20:00:00.0000000Z",
            "nextExpectedRanges": ["0-"],
        }
        return json_response(201, content)

    def _take(self, call: DraftCall, headers: Mapping[str, str], body: bytes) -> Response:
        session = self._sessions.get(call.about)
        if "authorization" in headers:
            # What programs were answered that signed in here: msgraph-sdk-java, issue 1380.
            return _refusal(401, "InvalidAudience", "The audience claim value is invalid for current resource.")
        if session is None or call.token != session.token or time.monotonic() >= session.ends:
            return _refusal(401, "InvalidAuthenticationToken", "The upload session has expired.")
        start = len(session.content)
        span = f"bytes {start}-{start + len(body) - 1}/{session.size}"
        if len(body) > _ONE_REQUEST:
            return refusal("graph", 413)
        if headers.get("content-range") != span or headers.get("content-type") != "application/octet-stream":
            return _refusal(416, "InvalidContentRange", f"Expected is a range from {start}.")
        session.content += body
        if len(session.content) < session.size:
            return json_response(200, {"nextExpectedRanges": [str(len(session.content))]})
        del self._sessions[call.about]
        return self._add(self._drafts[session.draft], session.name, session.media_type, bytes(session.content))


def _refusal(status: int, code: str, text: str) -> Response:
    return refusal("graph", status, f"{code}: {text}")


def _addresses(content: bytes, name: str) -> list[str]:
    header = message_from_bytes(content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", policy=policy.default)[name]
    return [each.addr_spec for each in header.addresses] if header is not None else []


def _shown(identity: str, draft: _Draft) -> dict[str, Any]:
    def people(addresses: Sequence[str]) -> list[dict[str, Any]]:
        return [{"emailAddress": {"name": each, "address": each}} for each in addresses]

    return {
        "@odata.etag": 'W/"CQAAABYAAAC"',
        "id": identity,
        "isDraft": True,
        "internetMessageId": draft.message_id,
        "body": {"contentType": "html", "content": draft.mail.content.decode("utf-8", "replace")},
        "bccRecipients": people(draft.bcc),
        "replyTo": people(draft.reply_to),
    }


def _changed(identity: str, draft: _Draft, content: dict[str, Any]) -> Response:
    def addresses(name: str) -> list[str]:
        return [each["emailAddress"]["address"] for each in content[name]]

    draft.message_id = content.get("internetMessageId", draft.message_id)
    draft.bcc = addresses("bccRecipients") if "bccRecipients" in content else draft.bcc
    draft.reply_to = addresses("replyTo") if "replyTo" in content else draft.reply_to
    return json_response(200, _shown(identity, draft))


def _finished(draft: _Draft) -> Taken:
    """Return the mail as it goes out."""
    mail = message_from_bytes(draft.mail.content, policy=policy.SMTPUTF8)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - the policy's
    del mail["Message-ID"]
    mail["Message-ID"] = draft.message_id
    if draft.reply_to != _addresses(draft.mail.content, "Reply-To"):
        del mail["Reply-To"]
        mail["Reply-To"] = ", ".join(draft.reply_to)
    for name, media_type, data in draft.files:
        main, _slash, sub = media_type.partition("/")
        mail.add_attachment(data, maintype=main, subtype=sub, filename=name)
    visible = [each for name in ("To", "Cc") for each in _addresses(draft.mail.content, name)]
    return Taken(written(mail), draft.mail.sender, (*visible, *draft.bcc))
