"""Sends mail by HTTP: as a form to a server that mails it from an address of its own, or to a mail service's API.

The requests are made in `docmail.transport.http.apis`, and sent by `docmail.net.http`. Here it is decided what became
of the mail: each request has a connection of its own, because a server may close a kept one at the moment in which it
is used again, and then nobody knows whether the mail was sent.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import h11

from docmail import credentials
from docmail.errors import (
    TREATMENT,
    AuthenticationError,
    Deferred,
    DocmailError,
    Field,
    Guide,
    Kind,
    Phase,
    SendError,
    TLSError,
)
from docmail.language import _
from docmail.net import Deadline, Web, basic, headers_of, stopped
from docmail.replies import (
    DOUBTFUL,
    clean,
    left_out,
    look_first,
    meaning_of_response,
    redact,
    refusal_in_success,
    said,
    seconds_of,
    sentence,
)
from docmail.reply import Reply
from docmail.secret import Secret
from docmail.settings import HttpServer
from docmail.transport.base import Access, Notify, Progress, SendResult, Transport, ignore_outcome
from docmail.transport.http.apis import requests_for
from docmail.transport.http.drafts import save_draft, send_draft

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from docmail.message import Mail
    from docmail.net import WebConnection
    from docmail.transport.http.apis import MailRequest
    from docmail.transport.http.body import Body


_DAY = 86400.0
_LOOKED_AT = 65536  # characters of a reply text
_TIDY_SECONDS = 5.0  # for a request that no mail depends on


class HttpTransport(Transport):
    """The way to one server that takes mail by HTTP."""

    in_doubt = False
    is_open = True  # it connects by itself, for each request

    def __init__(self, access: Access) -> None:
        server, tokens = access.settings.server, access.tokens
        if not isinstance(server, HttpServer):
            raise TypeError(server)
        self._access = access
        self._service = server.service
        self._username = server.signs_in_as
        self._secret = access.secret
        if tokens is not None and tokens.for_application and not server.url:
            # An application has no mailbox of its own, so it names one.
            server = replace(server, url=f"graph.microsoft.com/v1.0/users/{self._username}/sendMail")
        self._server = server
        self._web = Web(server.full_url, access.observe)
        self._pieces: Web | None = None  # the way to another server that the service names for large attachments
        self._opened: tuple[Deadline, float] | None = None  # for the first request, if it comes soon
        self._unsent: dict[str, Reply] = {}  # whose own requests are not made if the outcome of the first is unknown

    # --- opening and ending ---

    def open(self) -> None:
        """Connect and encrypt, with a token that lets one in."""
        if self._access.tokens is not None:
            self._secret = self._access.tokens.current()
        deadline = Deadline(self._access.timeout)
        self._web.connect(deadline)
        self._opened = deadline, time.monotonic()

    def close(self) -> None:
        """Close; HTTP knows no good-bye."""
        self._opened = None
        self._web.close()

    def abort(self) -> None:
        """Abort from another thread."""
        self._web.abort()
        if (pieces := self._pieces) is not None:
            pieces.abort()

    # --- sending ---

    def send(self, mail: Mail, progress: Progress | None = None, notify: Notify = ignore_outcome) -> SendResult:
        """Post the mail; to a form once more for each blind recipient alone, so that nobody sees them."""
        self.in_doubt = False
        accepted: list[str] = []
        refused: dict[str, Reply] = {}
        kinds: dict[str, Kind] = {}
        first: Reply | None = None

        def leave_out(addresses: Collection[str], reply: Reply, kind: Kind) -> None:
            refused.update(dict.fromkeys(addresses, reply))
            kinds.update(dict.fromkeys(addresses, kind))
            if addresses:
                notify(dict.fromkeys(addresses, reply), kind)

        requests = requests_for(mail, self._server)
        nothing = Reply(0, "", _("Not sent, because nobody knows whether the mail itself arrived."))
        self._unsent = {address: nothing for request in requests[1:] for address in request.recipients}
        for request in requests:
            try:
                reply, missing = self._post(request, None if accepted else progress)
            except DocmailError as exc:
                if not accepted:
                    raise
                # The mail itself was taken: a blind copy that is not, or is lost, does not undo that.
                leave_out(request.recipients, *_instead(exc))
            else:
                taken = [address for address in request.recipients if address not in missing]
                accepted += taken
                first = first or reply
                self._unsent = {}
                if request is not requests[-1]:
                    notify(dict.fromkeys(taken, reply), None)
                leave_out(missing, reply, Kind.RECIPIENT)
            # An interrupt from here on leaves a mail that must not count as unsent.
            self.in_doubt = True
        return SendResult(mail.message_id, tuple(accepted), refused, first, kinds=kinds)

    def save_draft(self, mail: Mail) -> bool:
        """Save the mail as a draft in the mailbox, and send nothing; return whether the service has a place for it.

        Raises `OutcomeUnknown` if it may have been saved; after any other error it was not.
        """
        return save_draft(mail, self._server, self)

    def _post(self, request: MailRequest, progress: Progress | None) -> tuple[Reply, list[str]]:
        """Return the reply, and the recipients whom it leaves out."""
        if request.draft is not None:
            reply, text = send_draft(request, self._server, self, progress)
        else:
            reply, text = self.ask(request, progress)
        return reply, left_out(text, request.recipients) if self._service else []

    def ask(self, request: MailRequest, progress: Progress | None = None) -> tuple[Reply, str]:
        """Make one request; return the reply, and its whole text, which is foreign."""
        tokens = self._access.tokens
        if tokens is None or not request.signs_in:
            return self._post_once(request, progress)
        self._secret = tokens.current()
        try:
            return self._post_once(request, progress)
        except AuthenticationError as exc:
            if exc.reply is None or exc.reply.code != 401:  # noqa: PLR2004 - RFC 9110 15.5.2
                raise
            # The token may have been revoked before its time: the mail was not taken, so once more with a new one.
            self._secret = tokens.renewed()
            return self._post_once(request, progress)

    def _post_once(self, request: MailRequest, progress: Progress | None) -> tuple[Reply, str]:
        opened, self._opened = self._opened, None
        web = self._way_to(request)
        if opened is not None and web is self._web and time.monotonic() - opened[1] < self._access.waits.idle:
            deadline = opened[0]
        else:
            self.close()
            deadline = Deadline(self._access.timeout)
            web.connect(deadline)
        try:
            return self._exchange(request, web, deadline, progress)
        finally:
            web.close()

    def _way_to(self, request: MailRequest) -> Web:
        """Return the way to the server of the settings, or to that of the request's own URL."""
        if request.url is None or _server_of(request.url) == _server_of(self._server.full_url):
            return self._web
        if self._pieces is None or _server_of(self._pieces.url) != _server_of(request.url):
            self._pieces = Web(request.url, self._access.observe)
        if self._web.aborted:
            self._pieces.abort()
        return self._pieces

    def _exchange(
        self, request: MailRequest, web: Web, deadline: Deadline, progress: Progress | None
    ) -> tuple[Reply, str]:
        if (connection := web.connection) is None:
            raise stopped(Phase.REQUEST)
        body = request.body
        on_sent = (lambda sent: progress(sent, body.size)) if progress else (lambda _sent: None)
        doubt_before = self.in_doubt
        failure: OSError | None = None

        def head() -> h11.Request:
            made = self._head(request, web)
            if request.sends and not body.size:
                self.in_doubt = True  # the head is the whole request
            return made

        try:
            connection.ask(head, deadline)
            pieces = self._with_doubt(body) if request.sends else body.pieces()
            connection.stream(pieces, on_sent, self._access.waits.crawl)
        except SendError:
            raise
        except OSError as exc:
            # The system did not take the last byte: nobody has the whole mail. Perhaps the server said why.
            failure, self.in_doubt = exc, doubt_before
        else:
            self._access.observe(Phase.REQUEST, _("{size:.1f} kB handed over").format(size=body.size / 1000))
        response, wait = self._response(connection, failure, request)
        if failure or (response.status_code >= 300 and response.status_code not in DOUBTFUL):  # noqa: PLR2004
            self.in_doubt = doubt_before
        most = [request.most] if request.most and response.status_code < 300 else []  # noqa: PLR2004
        text = connection.words(response, wait, *most)
        shown = (said(text) if self._service else text)[:_LOOKED_AT]
        reply = Reply(response.status_code, "", clean(redact(shown, request.hidden), self._secret))
        if self._service and not failure and refusal_in_success(text):
            self.in_doubt = doubt_before
        elif not failure and reply.positive:
            self._access.observe(Phase.REPLY, str(reply)[:200])
            return reply, text
        raise self._refusal(reply, headers_of(response), request, whole=not failure)

    def _response(
        self, connection: WebConnection, failure: OSError | None, request: MailRequest
    ) -> tuple[h11.Response, Deadline]:
        wait = Deadline(self._access.waits.late_reply if failure else self._access.waits.reply)
        try:
            return connection.response(wait), wait
        except (OSError, h11.RemoteProtocolError) as exc:
            if failure or not request.sends:
                raise self._broken(failure or exc, connection) from failure or exc
            raise self._lost(exc) from exc

    def _with_doubt(self, body: Body) -> Iterator[bytes]:
        pieces = body.pieces()
        held = next(pieces, b"")
        for piece in pieces:
            yield held
            held = piece
        self.in_doubt = True
        yield held

    def discard(self, request: MailRequest) -> bool:
        """Make a request that tidies up, on a connection that Stop does not abort; say whether it was taken."""
        web, deadline = Web(request.url or self._server.full_url), Deadline(_TIDY_SECONDS)
        try:
            web.connect(deadline)
            if (connection := web.connection) is None:
                return False
            connection.ask(lambda: self._head(request, web), deadline)
            return connection.response(deadline).status_code in {200, 204, 404}
        except (OSError, DocmailError, h11.RemoteProtocolError):
            return False
        finally:
            web.close()

    def _head(self, request: MailRequest, web: Web) -> h11.Request:
        headers = [
            ("Accept", "application/json" if self._service else "text/plain, text/html;q=0.9, */*;q=0.8"),
            ("Content-Type", request.body.media_type),
            ("Content-Length", str(request.body.size)),
            *request.headers,
        ]
        if self._username and self._secret and request.signs_in:
            if not web.is_safe:
                raise TLSError(
                    _("The password or sign-in was not sent: the connection to {host} is not encrypted.").format(
                        host=web.host
                    ),
                    kind=Kind.CONFIG,
                    phase=Phase.REQUEST,
                    hint=_("Begin the address with https://."),
                    field=Field.URL,
                    guide=Guide.PASSWORDS,
                )
            headers.append(self._sign_in(self._secret))
        return web.head(request.method, headers, request.url)

    def _sign_in(self, secret: Secret) -> tuple[str, str]:
        """Return the header that signs in, as the service wants it."""
        if self._service is None or self._service.scheme == "Basic":
            return "Authorization", basic(Secret(f"{self._username}:{secret.reveal()}"))
        credentials.check_key(self._access.settings, secret)  # the last border: the library's own error would hold it
        return self._service.header, f"{self._service.scheme} {secret.reveal()}".strip()

    # --- what went wrong ---

    def _broken(self, failure: Exception, connection: WebConnection) -> SendError:
        if self._web.aborted:
            return stopped(Phase.REQUEST)
        if isinstance(failure, TimeoutError):
            message = _("{host} stopped reading, or the network is too slow; nothing was sent.")
        else:
            message = _("{host} closed the connection before it had the whole message; nothing was sent.")
        hint = _("Check your network connection and try again; a smaller document may help.")
        host = connection.host
        return self._error(Kind.NETWORK, Phase.REQUEST, message.format(host=host), hint, guide=Guide.SENDING)

    def _lost(self, failure: Exception) -> SendError:
        if isinstance(failure, TimeoutError):
            message = _("The mail may have arrived: {host} did not answer after the last byte.")
        elif isinstance(failure, OSError):
            message = _("The mail may have arrived: the connection to {host} broke after the last byte.")
        else:
            message = _(
                "The mail may have arrived: {host} answered the last byte with something that is not an HTTP reply."
            )
        return self._error(
            Kind.UNKNOWN, Phase.REPLY, message.format(host=self._web.host), look_first(), guide=Guide.SENDING
        )

    def _refusal(self, reply: Reply, headers: dict[str, str], request: MailRequest, *, whole: bool) -> SendError:
        signed_in = bool(self._username and self._secret)
        found = meaning_of_response(reply, self._service, whole=whole, signed_in=signed_in, may_be_sent=request.sends)
        details: dict[str, Any] = {}
        what, hint = found.message, found.hint
        if 300 <= reply.code < 400:  # noqa: PLR2004
            what, hint = self._redirection(headers.get("location", ""), what, hint)
        what = what.replace("{host}", self._web.host)
        if TREATMENT[found.kind].error is Deferred:
            details["retry_after"] = wait = seconds_of(headers.get("retry-after", ""))
            if wait is not None and wait > _DAY:
                moment = datetime.now(UTC).astimezone() + timedelta(seconds=wait)
                hint = _("{host} accepts no mail before {date}: send it then, or ask its administrator.").format(
                    host=self._web.host, date=moment.strftime("%Y-%m-%d")
                )
        return self._error(
            found.kind,
            Phase.REPLY,
            _("{what} It said: {reply}").format(what=what, reply=sentence(str(reply))),
            hint,
            reply=reply,
            # Where one signs in with a token there is no password to change.
            field=Field.SIGN_IN if self._access.tokens is not None and found.field == Field.PASSWORD else found.field,
            guide=found.guide,
            **details,
        )

    def _redirection(self, location: str, what: str, hint: str) -> tuple[str, str]:
        """Return what to say, and to do, about a reply that points elsewhere; nothing is followed."""
        place = _absolute(self._server.full_url, location)
        # Without a name and a password that stand in the address.
        shown = clean(re.sub(r"//[^/?#]*@", "//", place), self._secret)[:300]
        if not location.strip():
            what = _("{host} points to another address but does not name it.")
            hint = _("Ask its administrator for the address that takes mail.")
        elif place == self._server.full_url:
            what = _("{host} points back to the same address again and again.")
            hint = _("Ask its administrator for the address that takes mail.")
        elif not place.startswith("https://") and not (self._web.plain and place.startswith("http://")):
            what = _(
                "{host} points to {place}, where docmail sends nothing: that address is not encrypted, or not a server."
            )
            hint = _("Ask its administrator for an address that begins with https://.")
        return what.replace("{place}", shown), hint

    def _error(self, kind: Kind, phase: str, message: str, hint: str, **details: Any) -> SendError:
        refused = self._unsent if kind is Kind.UNKNOWN else {}
        return TREATMENT[kind].error(message, kind=kind, phase=phase, refused=refused, hint=hint, **details)


def _server_of(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return split.scheme, split.netloc.lower()


def _absolute(url: str, location: str) -> str:
    """Return where a redirect points to, or what it says where that is no URL."""
    with suppress(ValueError):
        return urljoin(url, location)
    return location


def _instead(error: DocmailError) -> tuple[Reply, Kind]:
    """Return what stands for a recipient in `refused`, and the kind: without a reply, or a deciding one, the text."""
    if not isinstance(error, SendError):
        return Reply(0, "", error.message), Kind.NETWORK
    reply = None if error.kind is Kind.UNKNOWN else error.reply
    return reply or Reply(0, "", error.message), error.kind
