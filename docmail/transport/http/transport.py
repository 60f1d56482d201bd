"""Sends mail by HTTP: as a form to a server that mails it from an address of its own, or to a mail service's API.

What is said to whom stands in `docmail.transport.http.apis`, how in `docmail.net.http`. Here it is decided what became
of the mail: each post has a connection of its own, because a server may close a kept one at the moment in which it is
used again, and then nobody knows whether the mail was sent.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import h11

from docmail import credentials
from docmail.errors import (
    TREATMENT,
    AuthenticationError,
    Deferred,
    DocmailError,
    Kind,
    OutcomeUnknown,
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
    refusal_in_success,
    said,
    seconds_of,
    sentence,
)
from docmail.reply import Reply
from docmail.secret import Secret
from docmail.settings import HttpServer
from docmail.transport.base import LOST, REPLY_SECONDS, UNSENT, Notify, SendResult, nobody_listens
from docmail.transport.http.apis import questions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import TracebackType
    from typing import Self

    from docmail.message import Mail
    from docmail.net import WebConnection
    from docmail.settings import Settings
    from docmail.transport.base import TokenSource
    from docmail.transport.http.apis import Question
    from docmail.transport.http.body import Body

_LAST_WORDS_SECONDS = 2.0  # for the reply of a server that hung up before it had everything
_FRESH_SECONDS = 5.0  # servers hang up on connections on which nothing is asked


class HttpTransport:
    """The way to one server that takes mail as an HTTP form."""

    def __init__(  # noqa: PLR0913 - what one connection must know
        self,
        settings: Settings,
        secret: Secret | None,
        *,
        timeout: float = 60,
        reply_timeout: float = REPLY_SECONDS,
        observe: Callable[[str, str], None] | None = None,
        tokens: TokenSource | None = None,
    ) -> None:
        if not isinstance(settings.server, HttpServer):
            raise TypeError(settings.server)
        self._settings = settings
        self._server = settings.server
        self._service = settings.server.service
        self._username = settings.server.signs_in_as
        self._secret = secret
        self._tokens = tokens
        if tokens is not None and tokens.for_application and not self._server.url:
            # An application has no mailbox of its own, so it names one.
            self._server = replace(self._server, url=f"graph.microsoft.com/v1.0/users/{self._username}/sendMail")
        self._observe = observe or (lambda _phase, _text: None)
        self._web = Web(self._server.full_url, self._observe)
        self._timeout = timeout
        self._reply_timeout = reply_timeout
        self._opened: tuple[Deadline, float] | None = None  # for the first post, if it comes soon
        self.in_doubt = False
        self.notify: Notify = nobody_listens

    # --- opening and ending ---

    def open(self) -> None:
        """Connect and encrypt, with a token that lets one in."""
        if self._tokens is not None:
            self._secret = self._tokens.current()
        deadline = Deadline(self._timeout)
        self._web.connect(deadline)
        self._opened = deadline, time.monotonic()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; HTTP knows no good-bye."""
        self._opened = None
        self._web.close()

    def abort(self) -> None:
        """Break off from another thread."""
        self._web.abort()

    # --- sending ---

    def send(self, mail: Mail, progress: Callable[[int, int], None] | None = None) -> SendResult:
        """Post the mail; to a form once more for each blind recipient alone, so that nobody sees them."""
        self.in_doubt = False
        accepted: list[str] = []
        refused: dict[str, Reply] = {}
        kinds: dict[str, Kind] = {}
        first: Reply | None = None

        def leave_out(addresses: Collection[str], reply: Reply, kind: Kind | None) -> None:
            refused.update(dict.fromkeys(addresses, reply))
            if kind is not None:
                kinds.update(dict.fromkeys(addresses, kind))
            if addresses:
                self.notify(dict.fromkeys(addresses, reply), kind)

        asked = questions(mail, self._server)
        for question in asked:
            try:
                reply, missing = self._post(question, None if accepted else progress)
            except DocmailError as exc:
                if not accepted:
                    if isinstance(exc, OutcomeUnknown):
                        # Nobody knows of the mail itself; those with a post of their own have certainly got nothing.
                        nothing = Reply(
                            UNSENT, "", _("Not sent, because nobody knows whether the mail itself arrived.")
                        )
                        exc.refused = dict.fromkeys(set(mail.recipients) - set(question.recipients), nothing)
                    raise
                # The mail itself was taken: a blind copy that is not, or is lost, does not undo that.
                leave_out(question.recipients, _instead(exc), getattr(exc, "kind", None))
            else:
                taken = [address for address in question.recipients if address not in missing]
                accepted += taken
                first = first or reply
                if question is not asked[-1]:
                    self.notify(dict.fromkeys(taken, reply), None)
                leave_out(missing, reply, Kind.RECIPIENT)
            # Whoever is interrupted from here on must not believe that nothing was sent.
            self.in_doubt = True
        return SendResult(mail.message_id, tuple(accepted), refused, first, kinds=kinds)

    def _post(self, question: Question, progress: Callable[[int, int], None] | None) -> tuple[Reply, list[str]]:
        """Return the reply, and whom it leaves out."""
        if self._tokens is None:
            return self._post_once(question, progress)
        self._secret = self._tokens.current()
        try:
            return self._post_once(question, progress)
        except AuthenticationError as exc:
            if exc.reply is None or exc.reply.code != 401:  # noqa: PLR2004 - RFC 9110 15.5.2
                raise
            # The token may have been revoked before its time: the mail was not taken, so once more with a new one.
            self._secret = self._tokens.renewed()
            return self._post_once(question, progress)

    def _post_once(self, question: Question, progress: Callable[[int, int], None] | None) -> tuple[Reply, list[str]]:
        opened, self._opened = self._opened, None
        if opened is not None and time.monotonic() - opened[1] < _FRESH_SECONDS:
            deadline = opened[0]
        else:
            self.close()
            deadline = Deadline(self._timeout)
            self._web.connect(deadline)
        try:
            return self._exchange(question, deadline, progress)
        finally:
            self.close()

    def _exchange(
        self, question: Question, deadline: Deadline, progress: Callable[[int, int], None] | None
    ) -> tuple[Reply, list[str]]:
        if (connection := self._web.connection) is None:
            raise stopped("request")  # noqa: EM101 - a phase, no sentence
        body = question.body
        on_sent = (lambda sent: progress(sent, body.size)) if progress else (lambda _sent: None)
        doubt_before = self.in_doubt
        failure: OSError | None = None
        try:
            connection.ask(lambda: self._request(question), deadline)
            connection.stream(self._with_doubt(body), on_sent)
        except SendError:
            raise
        except OSError as exc:
            # The system did not take the last byte: nobody has the whole mail. Perhaps the server said why.
            failure, self.in_doubt = exc, doubt_before
        else:
            self._observe("request", _("{size:.1f} kB handed over").format(size=body.size / 1000))
        response, wait = self._response(connection, failure)
        if failure or (response.status_code >= 300 and response.status_code not in DOUBTFUL):  # noqa: PLR2004
            self.in_doubt = doubt_before
        words = connection.words(response, wait)
        reply = Reply(response.status_code, "", clean(said(words) if self._service else words, self._secret))
        if self._service and not failure and refusal_in_success(words):
            self.in_doubt = doubt_before
        elif not failure and reply.positive:
            self._observe("reply", str(reply)[:200])
            return reply, left_out(words, question.recipients) if self._service else []
        raise self._refusal(reply, headers_of(response), whole=not failure)

    def _response(self, connection: WebConnection, failure: OSError | None) -> tuple[h11.Response, Deadline]:
        wait = Deadline(_LAST_WORDS_SECONDS if failure else self._reply_timeout)
        try:
            return connection.response(wait), wait
        except (OSError, h11.RemoteProtocolError) as exc:
            raise self._broken(failure) if failure else self._lost(exc) from failure or exc

    def _with_doubt(self, body: Body) -> Iterator[bytes]:
        pieces = body.pieces()
        held = next(pieces)
        for piece in pieces:
            yield held
            held = piece
        self.in_doubt = True
        yield held

    def _request(self, question: Question) -> h11.Request:
        headers = [
            ("Accept", "application/json" if self._service else "text/plain, text/html;q=0.9, */*;q=0.8"),
            ("Content-Type", question.body.media_type),
            ("Content-Length", str(question.body.size)),
            *question.headers,
        ]
        if self._username and self._secret:
            if not self._web.is_safe:
                raise TLSError(
                    _("The password or sign-in was not sent: the connection to {host} is not encrypted.").format(
                        host=self._web.host
                    ),
                    kind=Kind.CONFIG,
                    phase="request",
                    hint=_("Begin the address with https://."),
                    field="url",
                    guide="Passwords",
                )
            headers.append(self._sign_in(self._secret))
        return self._web.head("POST", headers, question.url)

    def _sign_in(self, secret: Secret) -> tuple[str, str]:
        """Return the header that signs in, as the service wants it."""
        if self._service is None or self._service.scheme == "Basic":
            return "Authorization", basic(Secret(f"{self._username}:{secret.reveal()}"))
        credentials.check_key(self._settings, secret)  # the last border: the library's own error would hold it
        return self._service.header, f"{self._service.scheme} {secret.reveal()}".strip()

    # --- what went wrong ---

    def _broken(self, failure: Exception) -> SendError:
        if self._web.aborted:
            return stopped("request")
        if isinstance(failure, TimeoutError):
            message = _("{host} stopped reading, or the network is too slow; nothing was sent.")
        else:
            message = _("{host} closed the connection before it had the whole message; nothing was sent.")
        hint = _("Check your network connection and try again; a smaller document may help.")
        return _error(Kind.NETWORK, "request", message.format(host=self._web.host), hint, guide="Sending")

    def _lost(self, failure: Exception) -> SendError:
        if isinstance(failure, TimeoutError):
            message = _("The mail may have arrived: {host} did not answer after the last byte.")
        elif isinstance(failure, OSError):
            message = _("The mail may have arrived: the connection to {host} broke after the last byte.")
        else:
            message = _("The mail may have arrived: what {host} answered to the last byte is no HTTP reply.")
        return _error(Kind.UNKNOWN, "reply", message.format(host=self._web.host), look_first(), guide="Sending")

    def _refusal(self, reply: Reply, headers: dict[str, str], *, whole: bool) -> SendError:
        signed_in = bool(self._username and self._secret)
        found = meaning_of_response(reply, self._service, whole=whole, signed_in=signed_in)
        place = clean(urljoin(self._server.full_url, headers.get("location", "")), self._secret)[:300]
        what = found.message.format(host=self._web.host, place=place)
        details: dict[str, Any] = {}
        if TREATMENT[found.kind].error is Deferred:
            details["retry_after"] = seconds_of(headers.get("retry-after", ""))
        return _error(
            found.kind,
            "reply",
            _("{what} It said: {reply}").format(what=what, reply=sentence(str(reply))),
            found.hint,
            reply=reply,
            # Where one signs in with a token there is no password to change.
            field="sign_in" if self._tokens is not None and found.field == "password" else found.field,
            guide=found.guide,
            **details,
        )


def _error(kind: Kind, phase: str, message: str, hint: str, **details: Any) -> SendError:
    return TREATMENT[kind].error(message, kind=kind, phase=phase, hint=hint, **details)


def _instead(error: DocmailError) -> Reply:
    """Return what stands for a recipient in `refused`: the reply, unless there is none, or it decides nothing."""
    if isinstance(error, OutcomeUnknown):
        return Reply(LOST, "", error.message)
    return getattr(error, "reply", None) or Reply(UNSENT, "", error.message)
