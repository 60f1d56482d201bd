"""Makes drafts: of mails that are too large for one request to Microsoft Graph, and of those that are only saved.

A large mail is a draft, its attachments one by one, and `send`.

Until the request to send, nothing has gone out, whatever happens: the draft is deleted as well as one can, and where
that fails the error says where it lies. After that request the outcome is unknown until there is a reply to it.
A draft that is only saved, at Microsoft or in Gmail, may be there until there is a reply to the request for it.

What Microsoft says (read 2026-11-30):

- learn.microsoft.com/graph/outlook-large-attachments: a file under 3 MB is attached with one POST, a larger one, up to
  150 MB, in an upload session. Its pieces are PUT one after the other, in order, each of at most 4 MB, to a URL that
  lets one in by itself, until a date; no Authorization may go there. It belongs to another host, outlook.office.com.
- learn.microsoft.com/graph/api/user-post-messages, message-update, attachment-createuploadsession, message-send: the
  first three take the permission Mail.ReadWrite, sending takes Mail.Send. Of a draft, `internetMessageId`, `replyTo`
  and `bccRecipients` can be set.
- github.com/microsoftgraph/msgraph-sdk-java/pull/52: a POST is refused above 3,145,611 bytes, a session below 2,097,152
  (`ErrorAttachmentSizeShouldNotBeLessThanMinimumSize`).
- github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/2561: above the tenant's limit for messages the upload
  ends with `ErrorMessageSizeExceeded`. github.com/EvotecIT/Mailozaurr/issues/40: without Mail.ReadWrite the draft is
  refused with 403.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

from docmail.addresses import is_loopback
from docmail.errors import (
    AuthenticationError,
    Deferred,
    DocmailError,
    Field,
    Guide,
    Kind,
    OutcomeUnknown,
    Phase,
    Refused,
    SendError,
)
from docmail.language import _
from docmail.replies import DOUBTFUL, clean, first_match, object_of, sentence, table
from docmail.secret import Secret, frames_hidden
from docmail.settings import SignIn
from docmail.transport.http.apis import MailRequest, address_lists, draft_request, file_type
from docmail.transport.http.body import Base64, Body, File, Octets, json_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.message import Attachment, Mail
    from docmail.presets import Service
    from docmail.reply import Reply
    from docmail.settings import HttpServer
    from docmail.transport.base import Progress

_ONE_POST = 3_000_000
"""Octets of a file from which on an upload session takes it."""

_PIECE = 12 * 320 * 1024
"""Octets of a piece: the most under 4 MB that is a multiple of 320 KiB, as Microsoft wants it of its other uploads."""

_FORBIDDEN = 403

_ENDED = {401, 403, 404, 409, 410, 416}
"""What is said to a piece of a session that is over, or that has lost count: not that of a sign-in."""


class _Way(Protocol):
    """What the transport does for a draft."""

    @property
    def in_doubt(self) -> bool:
        """Whether the mail may have been sent."""

    def ask(self, request: MailRequest, progress: Progress | None = None) -> tuple[Reply, str]:
        """Make a request; return the reply and its whole text."""

    def discard(self, request: MailRequest) -> bool:
        """Make a request that tidies up, also after Stop; say whether it was taken."""


def send_draft(request: MailRequest, server: HttpServer, way: _Way, progress: Progress | None) -> tuple[Reply, str]:
    """Make the draft, attach the files, send it; return the reply to the request to send, and its text.

    Raises `OutcomeUnknown` only for that request; after any other error nothing was sent.
    """
    mail, service = request.draft, server.service
    assert mail is not None  # noqa: S101 - the transport looked
    assert service is not None  # noqa: S101 - only a service has drafts
    upload = _Upload(mail, server, service, way, _Count(request.body.size, mail, progress))
    return upload.run(request)


def save_draft(mail: Mail, server: HttpServer, way: _Way) -> bool:
    """Save a mail as a draft in the mailbox, and send nothing; return whether there is a place for drafts.

    Raises `OutcomeUnknown` if it may have been saved; after any other error it was not.
    """
    request, service = draft_request(mail, server), server.service
    if request is None or service is None:
        return False
    # Without a mail whose attachments are added, the request has them all.
    kept = request.draft or replace(mail, attachments=())
    _Upload(kept, server, service, way, _Count(request.body.size, kept, None)).keep(request)
    return True


class _Count:
    """Adds up what the requests of one mail send."""

    def __init__(self, draft: int, mail: Mail, progress: Progress | None) -> None:
        self._done, self._all, self._progress = 0, draft + sum(each.size for each in mail.attachments), progress

    def within(self, size: int) -> Progress | None:
        """Return what is notified of a request for so many octets of the mail."""
        if (progress := self._progress) is None:
            return None
        done, self._done = self._done, self._done + size

        def notify(sent: int, whole: int) -> None:
            # A request may be larger than what it carries: base64, and the JSON around it.
            progress(done + (size * sent // whole if whole else 0), self._all)

        return notify


class _Upload:
    """One mail on its way."""

    def __init__(self, mail: Mail, server: HttpServer, service: Service, way: _Way, count: _Count) -> None:
        self._mail, self._server, self._service, self._way, self._count = mail, server, service, way, count
        self._draft: str | None = None  # its URL

    def run(self, request: MailRequest) -> tuple[Reply, str]:
        try:
            self._prepare(request)
            return self._send()
        except OutcomeUnknown as exc:
            exc.hint = _("Look into Sent Items of {mailbox}; if it is still in Drafts, it was not sent.").format(
                mailbox=self._server.username
            )
            raise
        except BaseException as exc:
            left = not self._way.in_doubt and self._is_left(request, exc)
            if left and isinstance(exc, DocmailError):
                sentence_about = _("A draft of it may be left in the Drafts folder of {mailbox}; delete it there.")
                exc.message = f"{exc.message} {sentence_about.format(mailbox=self._server.username)}"
            raise

    def keep(self, request: MailRequest) -> None:
        try:
            if self._service.api == "graph":
                self._fill(request)
            else:
                self._ask(request)
        except BaseException as exc:
            left, reply = self._is_left(request, exc), exc.reply if isinstance(exc, SendError) else None
            lost = reply is not None and reply.code in DOUBTFUL and self._draft is None
            if (left or lost) and isinstance(exc, DocmailError):
                raise self._perhaps_saved(exc) from exc
            if reply is not None and (known := first_match(table("drafts"), str(reply), self._service.api)):
                # As everywhere: who signs in with a token that docmail gets has no field to paste another one into.
                field = known.field if self._server.sign_in is SignIn.PASSWORD else Field.SIGN_IN
                raise replace(known, field=field, guide=self._service.guide).error(Phase.REPLY, reply) from exc
            raise

    def _perhaps_saved(self, failure: DocmailError) -> OutcomeUnknown:
        return OutcomeUnknown(
            _("The draft may have been saved: {service} did not confirm it.").format(service=self._service.name),
            kind=Kind.UNKNOWN,
            phase=Phase.REPLY,
            reply=getattr(failure, "reply", None),
            hint=_("Look into the Drafts folder of {mailbox} before you save it again.").format(
                mailbox=self._server.username
            ),
            guide=self._service.guide,
        )

    def _prepare(self, request: MailRequest) -> None:
        try:
            self._fill(request)
        except AuthenticationError as exc:
            if exc.reply is None or exc.reply.code != _FORBIDDEN:
                raise
            # It would be the permission to send for a small mail, which is another one.
            raise _not_permitted(self._service, exc.reply) from exc

    def _fill(self, request: MailRequest) -> None:
        """Make the draft, and attach the files."""
        self._create(request)
        for attachment in self._mail.attachments:
            if attachment.size < _ONE_POST:
                self._attach(attachment)
            else:
                self._upload(attachment)

    def _is_left(self, request: MailRequest, failure: BaseException) -> bool:
        """Delete the draft; say whether it may still be there."""
        if self._draft is None:
            # Without a reply to the request for it, nobody knows its address; a refusal says that there is none.
            return getattr(failure, "reply", None) is None and self._asked
        delete = replace(request, body=Body("application/json", ()), url=self._draft, method="DELETE", draft=None)
        return not self._way.discard(delete)

    _asked = False

    def _ask(self, request: MailRequest) -> str:
        """Make the request for the draft; return the text of the response."""
        notify = self._count.within(request.body.size)

        def on_sent(sent: int, whole: int) -> None:
            self._asked = sent >= whole
            if notify:
                notify(sent, whole)

        _reply, text = self._way.ask(request, on_sent)
        return text

    def _create(self, request: MailRequest) -> None:
        """Make the draft, with everything but the attachments, and set what Microsoft left out of it."""
        content = object_of(self._ask(request))
        identity = content.get("id")
        if not isinstance(identity, str) or not re.fullmatch(r"[!-~]{1,1000}", identity):
            raise self._unreadable()
        self._draft = f"{request.url}/{quote(identity, safe='=')}"
        if missing := self._missing(content):
            _reply, text = self._way.ask(self._json("PATCH", "", missing, most=request.most))
            self._missing(object_of(text), after=True)

    def _missing(self, draft: dict[str, Any], *, after: bool = False) -> dict[str, Any]:
        """Return what the draft lacks of the mail; raises `Refused` if it lacks recipients after they were set."""
        blind, reply_to = address_lists(self._mail)
        found: dict[str, Any] = {}
        for name, addresses in (("bccRecipients", blind), ("replyTo", reply_to)):
            # By their number: Microsoft may write an address in another way.
            if addresses and _length(draft.get(name)) < len(addresses):
                found[name] = [{"emailAddress": {"address": each}} for each in addresses]
        if after and "bccRecipients" in found:
            raise Refused(
                _("{service} does not accept Bcc recipients for a mail of this size; nothing was sent.").format(
                    service=self._service.name
                ),
                kind=Kind.MESSAGE,
                phase=Phase.REQUEST,
                hint=_("Send a smaller document, or send through SMTP."),
                guide=Guide.SENDING,
            )
        if draft.get("internetMessageId") != self._mail.message_id:
            found["internetMessageId"] = self._mail.message_id
        return found

    def _attach(self, attachment: Attachment) -> None:
        content = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": attachment.name,
            "contentType": file_type(attachment),
            "contentBytes": Base64(File(attachment)),
        }
        self._way.ask(self._json("POST", "/attachments", content), self._count.within(attachment.size))

    def _upload(self, attachment: Attachment) -> None:
        item = {
            "attachmentType": "file",
            "name": attachment.name,
            "contentType": file_type(attachment),
            "size": attachment.size,
        }
        _reply, text = self._way.ask(self._json("POST", "/attachments/createUploadSession", {"AttachmentItem": item}))
        # The URL lets one in, so no traceback shows the frames that hold it.
        with frames_hidden:
            self._put(attachment, self._checked(object_of(text).get("uploadUrl")))

    def _put(self, attachment: Attachment, url: str) -> None:
        tokens = [value for _name, value in parse_qsl(urlsplit(url).query)]
        hidden = Secret(max(tokens, key=len, default=""))
        start = 0
        for piece in _pieces(attachment):
            span = f"bytes {start}-{start + len(piece) - 1}/{attachment.size}"
            start += len(piece)
            request = MailRequest(
                self._mail.recipients,
                Body("application/octet-stream", (Octets(piece),)),
                (("Content-Range", span),),
                url=url,
                method="PUT",
                sends=False,
                signs_in=False,
                hidden=hidden,
            )
            try:
                self._way.ask(request, self._count.within(len(piece)))
            except SendError as exc:
                if exc.reply is None or exc.reply.code not in _ENDED:
                    raise
                raise self._ended(attachment, exc.reply) from None

    def _ended(self, attachment: Attachment, reply: Reply) -> Deferred:
        return Deferred(
            _("{service} ended the upload of {name} before it was complete; nothing was sent. It said: {reply}").format(
                service=self._service.name, name=attachment.name, reply=sentence(str(reply))
            ),
            kind=Kind.TEMPORARY,
            phase=Phase.REPLY,
            reply=reply,
            hint=_("Try again in a few minutes."),
            guide=Guide.SENDING,
        )

    def _checked(self, url: object) -> str:
        """Return the URL for the pieces: at this server itself, or encrypted and the service's own."""
        if not isinstance(url, str) or not re.fullmatch(r"[!-~]{1,8000}", url):
            raise self._unreadable()
        try:
            split = urlsplit(url)
            host, _port = split.hostname or "", split.port
        except ValueError:
            raise self._unreadable() from None
        own = urlsplit(self._server.full_url)
        same = (split.scheme, split.netloc.lower()) == (own.scheme, own.netloc.lower())
        if same or (split.scheme == "https" and self._service.takes_pieces_at(host.lower())):
            return url
        if split.scheme not in {"http", "https"} or not host or is_loopback(host):
            raise self._unreadable()
        raise Refused(
            _("{service} asks for the document at {host}, which docmail does not know as one of its servers.").format(
                service=self._service.name, host=clean(host)[:200]
            ),
            kind=Kind.MESSAGE,
            phase=Phase.REQUEST,
            hint=_("Nothing was sent. Send a smaller document, or send through SMTP."),
            guide=Guide.SENDING,
        )

    def _send(self) -> tuple[Reply, str]:
        send = MailRequest(self._mail.recipients, Body("application/json", ()), url=f"{self._draft}/send")
        return self._way.ask(send)

    def _json(self, method: str, path: str, content: dict[str, Any], most: int | None = None) -> MailRequest:
        url = f"{self._draft}{path}"
        return MailRequest(self._mail.recipients, json_body(content), url=url, method=method, sends=False, most=most)

    def _unreadable(self) -> Refused:
        return Refused(
            _("{service} did not answer as it should while the mail was prepared; nothing was sent.").format(
                service=self._service.name
            ),
            kind=Kind.MESSAGE,
            phase=Phase.REPLY,
            hint=_("Try again later; if it stays so, send a smaller document, or send through SMTP."),
            guide=Guide.SENDING,
        )


def _not_permitted(service: Service, reply: Reply) -> Refused:
    """Return the error for an account that may send, but makes no drafts: only large mails meet it."""
    return Refused(
        _(
            "{service} accepts a mail above {limit:.0f} MB only with the permission Mail.ReadWrite, "
            "which this sign-in does not have; nothing was sent. It said: {reply}"
        ).format(service=service.name, limit=(service.one_request or 0) / 1e6, reply=sentence(str(reply))),
        kind=Kind.MESSAGE,
        phase=Phase.REQUEST,
        reply=reply,
        hint=_(
            "Send a smaller document, or have an administrator add Mail.ReadWrite to the application, and sign in "
            "again."
        ),
        field=Field.SIGN_IN,
        guide=service.guide,
    )


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _pieces(attachment: Attachment) -> Iterator[bytes]:
    """Yield the file in the pieces of an upload; the last one only once all of it has been read."""
    held = bytearray()
    for piece in File(attachment).pieces():
        held += piece
        while len(held) > _PIECE:
            yield bytes(held[:_PIECE])
            del held[:_PIECE]
    yield bytes(held)
