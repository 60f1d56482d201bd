"""Requests to a sign-in server over docmail's own HTTP: one deadline, checked certificates, proxies, Stop, no log."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import h11

from docmail.addresses import is_loopback
from docmail.errors import ConnectError, DocmailError, Kind, Phase, SendError
from docmail.language import _
from docmail.net import Advice, Deadline, Web, headers_of
from docmail.replies import clean, object_of, redact
from docmail.secret import Secret, frames_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 20.0
"""For one request and its response."""

_ADVICE = Advice(url=True, phase=Phase.CREDENTIAL)

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
"""The fields of a request that the reply text of a refusal must not repeat."""


@dataclass(frozen=True)
class Response:
    """A response of a sign-in server, as msal wants it; its text may hold tokens, and is in no repr."""

    status_code: int
    text: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)

    def raise_for_status(self) -> None:
        """Raise `ConnectError`; msal calls this for a server that failed."""
        raise ConnectError(
            _("The sign-in server is busy at the moment."),
            kind=Kind.NETWORK,
            phase=Phase.CREDENTIAL,
            hint=_("Try again in a few minutes."),
        )

    def json(self) -> dict[str, Any]:
        """Return the JSON object of the text; an empty one if there is none."""
        return object_of(self.text)


class Client:
    """The HTTP client that msal is given, which is why its methods take more than they use.

    With `plain`, a sign-in server on this computer itself (a sandbox's) is reached without encryption.
    """

    in_doubt = False  # no request of its sends a mail

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain
        self._web: Web | None = None
        self._aborted = False

    def abort(self) -> None:
        """Abort from another thread: the request that is running fails at once, and so do all later ones."""
        self._aborted = True
        if (web := self._web) is not None:
            web.abort()

    def get(self, url: str, params: Mapping[str, str] | None = None, **options: Any) -> Response:
        """Return the response to a GET."""
        response = self._request("GET", _with(url, params), None, options.get("headers"))
        if response.status_code < 400 and not response.json():  # noqa: PLR2004 - a redirection, or what is no JSON
            raise unreachable(url)
        return response

    def post(self, url: str, params: Mapping[str, str] | None = None, data: Any = None, **options: Any) -> Response:
        """Return the response to a form that is posted."""
        response = self._request("POST", _with(url, params), data, options.get("headers"))
        if response.status_code < 500 and not response.json():  # noqa: PLR2004 - for these it calls raise_for_status()
            # msal would log the text, which may hold anything.
            raise unreachable(url)
        return response

    def post_form(self, url: str, form: Callable[[], Mapping[str, str]]) -> Response:
        """Post a form for another caller than msal, and return any response but that of a server that failed."""
        with frames_hidden:
            response = self._request("POST", url, form(), None)
        if response.status_code >= 500 and "error" not in response.json():  # noqa: PLR2004
            response.raise_for_status()
        return response

    def close(self) -> None:
        """Do nothing: each request has a connection of its own."""

    def _request(self, method: str, url: str, data: Any, headers: Mapping[str, str] | None) -> Response:
        try:
            local = self._plain and is_loopback(urlsplit(url).hostname or "")  # msal knows https:// only
            self._web = web = Web(url.replace("https://", "http://", 1) if local else url, advice=_ADVICE)
        except (ValueError, TypeError, AttributeError):  # an address that the server itself has named
            raise unreachable(url) from None
        if not web.host or urlsplit(web.url).scheme not in {"http", "https"}:
            raise unreachable(url)
        if self._aborted:
            web.abort()
        try:
            return _exchanged(web, method, data, headers or {})
        except (OSError, h11.RemoteProtocolError) as exc:
            # The frames below hold tokens in clear, and verbose tracebacks print their variables.
            exc.__traceback__ = None
            raise (exc if isinstance(exc, SendError) else unreachable(url)) from None
        finally:
            web.close()


@contextmanager
def understood(url: str, *, but: type[Exception] = DocmailError) -> Iterator[None]:
    """Raise `ConnectError` for what msal raises where a server's answer is not what it takes it for.

    Errors of the class `but` stay what they are.
    """
    try:
        yield
    except (DocmailError, OSError, but):
        raise
    except Exception as exc:  # noqa: BLE001 - of any class: of a text, a list or a number where it expects something else
        error = noted(unreachable(url), exc)
        # The frames below hold what the server said, which may be tokens.
        exc.__traceback__ = None
        raise error from None


def noted(error: DocmailError, cause: Exception) -> DocmailError:
    """Return an error with a note for developers, in its traceback alone: what was raised, and at which line.

    Neither what the cause says nor its variables are in it: both may hold tokens.
    """
    where = [f"{frame.f_code.co_filename}:{line}" for frame, line in traceback.walk_tb(cause.__traceback__)]
    error.add_note(f"{type(cause).__name__} at {where[-1] if where else 'an unknown place'}")
    return error


def _with(url: str, params: Mapping[str, str] | None) -> str:
    return f"{url}?{urlencode(params)}" if params else url


def _exchanged(web: Web, method: str, data: Any, headers: Mapping[str, str]) -> Response:
    body = b"" if data is None else data.encode() if isinstance(data, str) else urlencode(data).encode()
    if method == "POST" and not any(name.lower() == "content-type" for name in headers):
        headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    deadline = Deadline(SECONDS)
    web.connect(deadline)
    if not web.is_safe:
        message = _("A sign-in server must have an address with https://.")
        raise ConnectError(message, kind=Kind.NETWORK, phase=Phase.CREDENTIAL)
    connection, response = web.request(method, headers.items(), body, deadline)
    text = connection.words(response, deadline)
    if response.status_code >= 400 and isinstance(data, Mapping):  # noqa: PLR2004 - a refusal, which is shown
        for secret in [Secret(data[name]) for name in _SECRETS if isinstance(data.get(name), str)]:
            text = redact(text, secret)
    return Response(response.status_code, text, headers_of(response))


def unreachable(url: str) -> ConnectError:
    """Return the error for a sign-in server that gives no answer, or none that makes sense."""
    host = ""
    with suppress(ValueError, TypeError, AttributeError):
        host = clean(urlsplit(url).hostname or "")
    return ConnectError(
        _("The sign-in server {host} does not answer as it should.").format(host=host),
        kind=Kind.NETWORK,
        phase=Phase.CREDENTIAL,
        hint=_("Check your network connection, and try again."),
    )
