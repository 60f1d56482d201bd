"""Asks a sign-in server over docmail's own HTTP: one deadline, checked certificates, proxies, Stop, and no log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import h11

from docmail.addresses import is_loopback
from docmail.errors import ConnectError, Kind, SendError
from docmail.language import _
from docmail.net import Deadline, Web, headers_of
from docmail.replies import redact
from docmail.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 20.0
"""For one question and its answer."""

_SECRETS = (
    "access_token",
    "client_assertion",
    "client_secret",
    "code",
    "code_verifier",
    "device_code",
    "refresh_token",
    "token",
)
"""The fields of a question that a server's words about it must not repeat."""


@dataclass(frozen=True)
class Answer:
    """What a sign-in server answered; its text may hold tokens, and is in no repr."""

    status_code: int
    text: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)

    def raise_for_status(self) -> None:
        """Do as msal expects of an answer, which calls this for a server that failed."""
        raise ConnectError(
            _("The sign-in server is busy at the moment."),
            kind=Kind.NETWORK,
            phase="credential",
            hint=_("Try again in a few minutes."),
        )

    def json(self) -> dict[str, Any]:
        """Return what stands in the answer; nothing if it is no JSON object."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Client:
    """Asks; in the shape that msal wants of an HTTP client, which is why it takes more than it uses."""

    in_doubt = False  # no question of these sends a mail

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain
        self._web: Web | None = None
        self._aborted = False

    def abort(self) -> None:
        """Break off from another thread: what is being asked fails at once, and so does all that would be."""
        self._aborted = True
        if (web := self._web) is not None:
            web.abort()

    def get(self, url: str, params: Mapping[str, str] | None = None, **options: Any) -> Answer:
        """Ask with GET."""
        return self._ask("GET", _with(url, params), None, options.get("headers"))

    def post(self, url: str, params: Mapping[str, str] | None = None, data: Any = None, **options: Any) -> Answer:
        """Ask with POST: a form."""
        answer = self._ask("POST", _with(url, params), data, options.get("headers"))
        if answer.status_code < 500 and not answer.json():  # noqa: PLR2004 - for these it asks raise_for_status()
            # msal would log the text, and who knows what stands in it.
            raise _unreachable(ValueError(), urlsplit(url).hostname or "")
        return answer

    def tell(self, url: str, form: Callable[[], Mapping[str, str]]) -> Answer:
        """Ask with POST, and take whatever the server answers, also without words."""
        try:
            answer = self._ask("POST", url, form(), None)
        except BaseException as exc:  # noqa: BLE001 - raised again
            # The frames below hold tokens in clear, and verbose tracebacks print their variables.
            raise exc.with_traceback(None) from None
        if answer.status_code >= 500 and "error" not in answer.json():  # noqa: PLR2004
            answer.raise_for_status()
        return answer

    def close(self) -> None:
        """Do nothing: each question has a connection of its own."""

    def _ask(self, method: str, url: str, data: Any, headers: Mapping[str, str] | None) -> Answer:
        try:
            self._web = web = Web(self._local(url))
            if self._aborted:
                web.abort()
            return _answer(web, method, data, headers or {})
        except (OSError, h11.RemoteProtocolError) as exc:
            # The frames below hold tokens in clear, and verbose tracebacks print their variables.
            exc.__traceback__ = None
            raise _unreachable(exc, urlsplit(url).hostname or "") from None

    def _local(self, url: str) -> str:
        # msal knows https:// only; a sign-in server on this computer itself (a sandbox's) needs no encryption.
        local = self._plain and is_loopback(urlsplit(url).hostname or "")
        return url.replace("https://", "http://", 1) if local else url


def _with(url: str, params: Mapping[str, str] | None) -> str:
    return f"{url}?{urlencode(params)}" if params else url


def _answer(web: Web, method: str, data: Any, headers: Mapping[str, str]) -> Answer:
    body = b"" if data is None else data.encode() if isinstance(data, str) else urlencode(data).encode()
    deadline = Deadline(SECONDS)
    own = [("Content-Length", str(len(body)))] if method == "POST" else []
    if own and not any(name.lower() == "content-type" for name in headers):
        own.append(("Content-Type", "application/x-www-form-urlencoded"))
    web.connect(deadline)
    try:
        if not web.is_safe:
            raise ConnectError(_("A sign-in server must have an address with https://."), kind=Kind.NETWORK)
        connection = web.connection
        assert connection is not None  # noqa: S101 - connected above
        connection.ask(lambda: web.head(method, [*own, *headers.items()]), deadline)
        connection.send(body, deadline)
        response = connection.response(deadline)
        text = connection.words(response, deadline)
        if response.status_code >= 400 and isinstance(data, Mapping):  # noqa: PLR2004 - a refusal, which is shown
            for secret in [Secret(data[name]) for name in _SECRETS if isinstance(data.get(name), str)]:
                text = redact(text, secret)
        return Answer(response.status_code, text, headers_of(response))
    finally:
        web.close()


def _unreachable(failure: Exception, host: str) -> SendError:
    if isinstance(failure, SendError):
        failure.phase, failure.field = "credential", None
        return failure.with_traceback(None)
    return ConnectError(
        _("The sign-in server {host} does not answer as it should.").format(host=host),
        kind=Kind.NETWORK,
        phase="credential",
        hint=_("Check your network connection, and try again."),
    )
