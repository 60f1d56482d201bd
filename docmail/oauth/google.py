"""Signs in with Google: in a browser, with an application that the user or the company has registered there.

The flow is that for installed applications (RFC 8252) with PKCE (RFC 7636). The one with a code for devices, which
Microsoft's sign-in uses, does not let an application send mail at Google, so a browser elsewhere ends at a page that it
cannot open, and its address is pasted. Checked 2026-11-25.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from docmail import credentials
from docmail.errors import ConnectError, Kind
from docmail.language import _
from docmail.oauth import google_replies
from docmail.oauth.grant import checked, grant_of
from docmail.secret import Secret
from docmail.settings import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.errors import SendError
    from docmail.oauth.grant import Grant
    from docmail.oauth.loopback import Answer
    from docmail.oauth.token_requests import Answer as Reply
    from docmail.oauth.token_requests import Client
    from docmail.settings import Settings

SECONDS = 900.0
"""How long the link of a sign-in holds."""

# SMTP lets one in with all of Gmail only; the API's permission is for sending and nothing else.
_SMTP, _API = "https://mail.google.com/", "https://www.googleapis.com/auth/gmail.send"
_WHO = "openid email"  # without it nobody could say whether the right account has signed in


class Places(NamedTuple):
    """The addresses of a sign-in server."""

    authorize: str = "https://accounts.google.com/o/oauth2/v2/auth"
    token: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    revoke: str = "https://oauth2.googleapis.com/revoke"

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """Return Google's, or those of the sandbox that stands in for it."""
        base = settings.server.tenant.rstrip("/")
        return cls(*(f"{base}/{name}" for name in ("auth", "token", "revoke"))) if base else cls()


def application(settings: Settings) -> Settings:
    """Return the application as an account of its own, whose credential is the client secret.

    Google gives one to programs on people's own computers as well. It belongs to the client ID, and serves every
    mailbox that signs in with that.
    """
    split = urlsplit(Places.of(settings).token)
    client_id = settings.server.client_id
    server = HttpServer(f"{split.scheme}://{split.netloc}", username=client_id, client_id=client_id)
    return replace(settings, server=server)


def scope(settings: Settings) -> str:
    """Return the permission to send, and no more of it than the way of sending needs."""
    return _API if isinstance(settings.server, HttpServer) else _SMTP


class BrowserSignIn:
    """One sign-in in a browser: `begin()`, show the link, `wait()`; `close()` it in any case.

    A browser on another computer ends at a page that it cannot open: `take()` wants that page's address.
    `client.abort()` breaks off from another thread.
    """

    def __init__(self, settings: Settings) -> None:
        from docmail.oauth.loopback import Loopback

        _client_secret(settings)  # asked for before a person is sent to the browser
        self._settings = settings
        self.client = _client_of(settings)
        self._verifier = Secret(secrets.token_urlsafe(64))
        self._loopback = Loopback()

    def begin(self) -> str:
        """Return the link to open in the browser."""
        digest = hashlib.sha256(self._verifier.octets()).digest()
        question = {
            "client_id": self._settings.server.client_id,
            "redirect_uri": self._loopback.url,
            "response_type": "code",
            "scope": f"{_WHO} {scope(self._settings)}",
            "state": self._loopback.state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            "login_hint": self._settings.account.username,
            "access_type": "offline",
            "prompt": "consent",  # or Google keeps the refresh token to itself when somebody signs in again
        }
        return f"{Places.of(self._settings).authorize}?{urlencode(question)}"

    def take(self, address: Secret) -> None:
        """Take the address of the page that the browser could not open; raises `CredentialError` for another text."""
        self._loopback.take(address)

    def wait(self, stopped: Callable[[], bool], *, seconds: float = SECONDS) -> Grant:
        """Wait until somebody has agreed in the browser; raises `SendError` in words if that fails."""
        answer = self._loopback.wait(seconds, stopped)
        if answer is None and stopped():
            raise ConnectError(_("Stopped; nobody was signed in."), kind=Kind.NETWORK, phase="credential")
        if answer is None:
            raise google_replies.too_late()
        if "code" not in answer:
            description = answer.get("error_description", Secret(""))
            raise google_replies.failure(answer["error"].reveal(), description.reveal())
        return checked(self._exchanged(answer), self._settings)

    def close(self) -> None:
        """Take no further answer."""
        self._loopback.close()

    def _exchanged(self, answer: Answer) -> Grant:
        grant, allowed = _ask(
            self._settings,
            lambda: {
                "grant_type": "authorization_code",
                "code": answer["code"].reveal(),
                "code_verifier": self._verifier.reveal(),
                "redirect_uri": self._loopback.url,
            },
            google_replies.of_exchange,
            self.client,
        )
        # People may untick what they do not want to allow.
        if scope(self._settings) not in allowed.split():
            raise google_replies.missing_scope(scope(self._settings))
        return grant


def _client_of(settings: Settings) -> Client:
    from docmail.oauth.token_requests import Client

    return Client(plain=Places.of(settings).token.startswith("http://"))


def _client_secret(settings: Settings) -> Secret:
    account = application(settings)
    secret = credentials.get(account) if credentials.where(account) else None
    if secret is None:
        raise google_replies.no_secret()
    return secret


def renew(settings: Settings, refresh: Secret) -> Grant:
    """Return a new access token."""
    form = {"grant_type": "refresh_token"}
    ask = _client_of(settings)
    return _ask(settings, lambda: form | {"refresh_token": refresh.reveal()}, google_replies.failure, ask)[0]


def revoke(settings: Settings, refresh: Secret) -> None:
    """Let a sign-in be worth nothing, on this computer and on others; raises `SendError` if that fails."""
    try:
        answer = _client_of(settings).tell(Places.of(settings).revoke, lambda: {"token": refresh.reveal()})
    except BaseException as exc:  # noqa: BLE001 - raised again
        # The frames below hold the token in clear, and verbose tracebacks print their variables.
        raise exc.with_traceback(None) from None
    # One that is over already is what was wanted.
    if answer.status_code != 200 and answer.json().get("error") != "invalid_token":  # noqa: PLR2004 - RFC 7009 2.2
        raise google_replies.failure(str(answer.json().get("error", answer.status_code)), "")


def _ask(
    settings: Settings,
    form: Callable[[], Mapping[str, str]],
    failure: Callable[[str, str], SendError],
    client: Client,
) -> tuple[Grant, str]:
    """Ask for a token; return it, and what it is allowed to do."""
    secret = _client_secret(settings)
    try:
        found = client.tell(
            Places.of(settings).token,
            lambda: {**form(), "client_id": settings.server.client_id, "client_secret": secret.reveal()},
        )
        return grant_of(_described(found), failure), str(found.json().get("scope", ""))
    except BaseException as exc:  # noqa: BLE001 - raised again
        # The frames below hold tokens in clear, and verbose tracebacks print their variables.
        raise exc.with_traceback(None) from None


def _described(reply: Reply) -> dict[str, Any]:
    """Return what a token endpoint answered; a refusal with all that tells it apart."""
    answer = reply.json()
    if "access_token" not in answer:
        words = [str(answer[name]) for name in ("error_subtype", "error_description") if name in answer]
        answer = {"error": answer.get("error") or reply.status_code, "error_description": " ".join(words)}
    return answer
