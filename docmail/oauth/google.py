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
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from docmail import credentials
from docmail.errors import AuthenticationError, ConnectError, CredentialError, Field, Guide, Kind, Phase
from docmail.language import _
from docmail.oauth.grant import checked, grant_of, refusal
from docmail.secret import Secret, frames_hidden
from docmail.settings import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.errors import SendError
    from docmail.oauth.grant import Grant
    from docmail.oauth.loopback import AuthorizationResponse
    from docmail.oauth.token_requests import Client, Response
    from docmail.settings import Settings

SECONDS = 900.0
"""How long the link of a sign-in holds."""

# SMTP and IMAP let one in with all of Gmail only; the API's permission is for sending and nothing else.
_SMTP, _API = "https://mail.google.com/", "https://www.googleapis.com/auth/gmail.send"
_WHO = "openid email"  # says which account has signed in

failure = partial(refusal, Guide.GMAIL, ["google"])
"""Returns the error for `error` and `error_description` of a response of Google's."""
failure_of_exchange = partial(refusal, Guide.GMAIL, ["google-exchange", "google"])
"""Returns the error for a refusal of what the browser brought back."""


class Places(NamedTuple):
    """The addresses of a sign-in server."""

    authorize: str = "https://accounts.google.com/o/oauth2/v2/auth"
    token: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    revoke: str = "https://oauth2.googleapis.com/revoke"

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """Return Google's, or those of the sandbox that stands in for it."""
        base = settings.server.authority.rstrip("/")
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


def _asked(settings: Settings) -> str:
    """Return what a person is asked to allow: with a mailbox that shares the sign-in, to read it as well."""
    mailbox = settings.mailbox is not None and settings.mailbox_shares_sign_in
    return " ".join(dict.fromkeys([scope(settings), *([_SMTP] if mailbox else [])]))


class BrowserSignIn:
    """One sign-in in a browser: `begin()`, show the link, `wait()`; `close()` it in any case.

    A browser on another computer ends at a page that it cannot open: `take()` wants that page's address.
    `client.abort()` aborts from another thread.
    """

    def __init__(self, settings: Settings) -> None:
        from docmail.oauth.loopback import Loopback

        _client_secret(settings)  # raises before a person is sent to the browser
        self._settings = settings
        self.client = _client_of(settings)
        self._verifier = Secret(secrets.token_urlsafe(64))
        self._loopback = Loopback()

    def begin(self) -> str:
        """Return the link to open in the browser."""
        digest = hashlib.sha256(self._verifier.octets()).digest()
        query = {
            "client_id": self._settings.server.client_id,
            "redirect_uri": self._loopback.url,
            "response_type": "code",
            "scope": f"{_WHO} {_asked(self._settings)}",
            "state": self._loopback.state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
            "login_hint": self._settings.account.username,
            "access_type": "offline",
            "prompt": "consent",  # or Google keeps the refresh token to itself when somebody signs in again
        }
        return f"{Places.of(self._settings).authorize}?{urlencode(query)}"

    def take(self, address: Secret) -> None:
        """Take the address of the page that the browser could not open; raises `CredentialError` for another text."""
        self._loopback.take(address)

    def wait(self, stopped: Callable[[], bool], *, seconds: float = SECONDS) -> Grant:
        """Wait until somebody has agreed in the browser; raises `SendError` in words if that fails."""
        response = self._loopback.wait(seconds, stopped)
        if response is None and stopped():
            raise ConnectError(_("Stopped; nobody was signed in."), kind=Kind.NETWORK, phase=Phase.CREDENTIAL)
        if response is None:
            raise AuthenticationError(
                _("The sign-in in the browser was not finished in time."),
                kind=Kind.AUTH,
                phase=Phase.CREDENTIAL,
                hint=_("Sign in again; the link is valid for 15 minutes."),
                field=Field.SIGN_IN,
                guide=Guide.GMAIL,
            )
        if "code" not in response:
            description = response.get("error_description", Secret(""))
            raise failure(response["error"].reveal(), description.reveal())
        return checked(self._exchanged(response), self._settings)

    def close(self) -> None:
        """Take the browser's response no longer; the page says so for some minutes, then the port closes."""
        self._loopback.end()

    def _exchanged(self, response: AuthorizationResponse) -> Grant:
        grant, allowed = _requested(
            self._settings,
            lambda: {
                "grant_type": "authorization_code",
                "code": response["code"].reveal(),
                "code_verifier": self._verifier.reveal(),
                "redirect_uri": self._loopback.url,
            },
            failure_of_exchange,
            self.client,
        )
        # People may untick what they do not want to allow.
        if scope(self._settings) not in allowed.split():
            raise AuthenticationError(
                _("This sign-in does not include sending mail ({scope}).").format(scope=scope(self._settings)),
                kind=Kind.AUTH,
                phase=Phase.CREDENTIAL,
                hint=_("Sign in again, and leave the box for sending email ticked when Google asks."),
                field=Field.SIGN_IN,
                guide=Guide.GMAIL,
            )
        return grant


def _client_of(settings: Settings) -> Client:
    from docmail.oauth.token_requests import Client

    return Client(plain=Places.of(settings).token.startswith("http://"))


def _client_secret(settings: Settings) -> Secret:
    account = application(settings)
    stored = credentials.where(account)
    # An organisation that gives everybody its client ID gives the secret to their servers; its file holds none.
    fixed = Field.CLIENT_ID in settings.fixed
    secret = credentials.get(account) if stored else None
    if secret is None and fixed:
        secret = credentials.key_from_variable(settings, "DOCMAIL_CLIENT_SECRET")
    if secret is None:
        raise CredentialError(
            _("The client secret of the application at Google is missing."),
            hint=_("Ask your administrator for it: DOCMAIL_CLIENT_SECRET can hold it for everybody.")
            if fixed
            else _("Copy it from the client in the Google Cloud console, and sign in again."),
            guide=Guide.GMAIL,
            field=Field.CLIENT_SECRET,
        )
    return secret


def renew(settings: Settings, refresh: Secret, *, for_mailbox: bool = False) -> Grant:  # noqa: ARG001 - as Microsoft's
    """Return a new access token; Google's has every permission that was given, so the mailbox needs no other."""
    form = {"grant_type": "refresh_token"}
    client = _client_of(settings)
    return _requested(settings, lambda: form | {"refresh_token": refresh.reveal()}, failure, client)[0]


def revoke(settings: Settings, refresh: Secret) -> None:
    """End a sign-in on this computer and on others; raises `SendError` if that fails."""
    with frames_hidden:
        response = _client_of(settings).post_form(Places.of(settings).revoke, lambda: {"token": refresh.reveal()})
    # One that is over already is what was wanted.
    if response.status_code != 200 and response.json().get("error") != "invalid_token":  # noqa: PLR2004 - RFC 7009 2.2
        raise failure(str(response.json().get("error", response.status_code)), "")


def _requested(
    settings: Settings,
    form: Callable[[], Mapping[str, str]],
    failure: Callable[[str, str], SendError],
    client: Client,
) -> tuple[Grant, str]:
    """Request a token; return it, and the permissions that it has."""
    secret = _client_secret(settings)
    with frames_hidden:
        found = client.post_form(
            Places.of(settings).token,
            lambda: {**form(), "client_id": settings.server.client_id, "client_secret": secret.reveal()},
        )
        return grant_of(_described(found), failure), str(found.json().get("scope", ""))


def _described(response: Response) -> dict[str, Any]:
    """Return the JSON of a token endpoint; a refusal with everything that identifies it."""
    content = response.json()
    if "access_token" not in content:
        parts = [str(content[name]) for name in ("error_subtype", "error_description") if name in content]
        content = {"error": content.get("error") or response.status_code, "error_description": " ".join(parts)}
    return content
