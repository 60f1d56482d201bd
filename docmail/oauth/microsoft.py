"""Signs in with Microsoft: a code that one enters in any browser (RFC 8628), so that it works in JupyterHub as well.

The protocol is msal's, Microsoft's own library; the connections are docmail's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from docmail.errors import ConnectError, CredentialError, Field, Guide, Kind, Phase, SettingsError
from docmail.language import _
from docmail.oauth.grant import checked, grant_of, refusal, seconds_of_life
from docmail.oauth.token_requests import Client, understood
from docmail.secret import frames_hidden
from docmail.settings import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.oauth.grant import Grant
    from docmail.secret import Secret
    from docmail.settings import Settings

_AUTHORITY = "https://login.microsoftonline.com/"
_UNKNOWN_TENANT = "AADSTS90002"  # msal says it in words of its own
_SMTP, _GRAPH = "https://outlook.office.com/SMTP.Send", "https://graph.microsoft.com/Mail.Send"
_IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"

failure = partial(refusal, Guide.MICROSOFT_365, ["microsoft"])
"""Returns the error for `error` and `error_description` of a response of Microsoft's."""


@dataclass(frozen=True)
class Code:
    """What a person enters, where, and how long there is time for it (seconds)."""

    code: str
    url: str
    seconds: float
    flow: dict[str, Any] = field(repr=False)


class DeviceSignIn:
    """One sign-in with a code: `begin()`, show the code, `wait()`; `client.abort()` aborts from another thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.client = client_of(settings)
        self._app: Any = None

    def begin(self) -> Code:
        """Return the code; raises `SendError` if Microsoft gives none."""
        with frames_hidden:  # among what Microsoft answers is the device code, with which anybody gets the token
            return self._begun()

    def _begun(self) -> Code:
        self._app = application(self._settings, client=self.client)
        with understood(authority_of(self._settings)):
            flow = self._app.initiate_device_flow(scopes=_asked(self._settings))
            if "user_code" not in flow:
                raise failure(str(flow.get("error", "")), str(flow.get("error_description", "")))
            seconds = seconds_of_life(flow.get("expires_in"), 900.0)
            return Code(str(flow["user_code"]), str(flow["verification_uri"]), seconds, flow)

    def wait(self, code: Code, stopped: Callable[[], bool]) -> Grant:
        """Wait until somebody has entered the code and agreed; raises `SendError` in words if that fails."""
        with frames_hidden, understood(authority_of(self._settings)):
            return checked(self._poll(code, stopped), self._settings)

    def _poll(self, code: Code, stopped: Callable[[], bool]) -> Grant:
        end = time.monotonic() + code.seconds
        # msal polls as often as Microsoft allows, more slowly on request, and looks every second if it was stopped.
        response = self._app.acquire_token_by_device_flow(
            code.flow, exit_condition=lambda _flow: stopped() or time.monotonic() > end
        )
        if "access_token" not in response and stopped():
            raise ConnectError(_("Stopped; nobody was signed in."), kind=Kind.NETWORK, phase=Phase.CREDENTIAL)
        if response.get("error") == "authorization_pending":
            response = {"error": "expired_token"}
        return grant_of(response, failure)


def renew(settings: Settings, refresh: Secret, *, for_mailbox: bool = False) -> Grant:
    """Return a new access token, for sending or for the mailbox."""
    wanted = [_IMAP] if for_mailbox else scopes(settings)
    app = application(settings)
    with frames_hidden, understood(authority_of(settings)):
        # In one expression: the response holds tokens, and a local variable would be shown.
        return grant_of(app.acquire_token_by_refresh_token(refresh.reveal(), wanted), failure)


def scopes(settings: Settings) -> list[str]:
    """Return what the sign-in is to allow: sending, and nothing else."""
    return [_GRAPH if isinstance(settings.server, HttpServer) else _SMTP]


def _asked(settings: Settings) -> list[str]:
    """Return what a person is asked to allow: with a mailbox that shares the sign-in, to read it as well.

    One request is for one service, so beside Microsoft Graph an administrator allows the mailbox for all.
    """
    mailbox = settings.mailbox is not None and settings.mailbox_shares_sign_in
    return [*scopes(settings), *([_IMAP] if mailbox and scopes(settings) == [_SMTP] else [])]


def authority_of(settings: Settings) -> str:
    """Return where one signs in with these settings, without the tenant."""
    return settings.server.authority or _AUTHORITY


def client_of(settings: Settings) -> Client:
    """Return the HTTP client for the sign-in server of these settings."""
    return Client(plain=settings.server.authority.startswith("http://"))


def application(settings: Settings, credential: Any = None, client: Client | None = None) -> Any:
    """Return msal's view of the application; with a credential it signs in for itself."""
    try:
        import msal
    except ImportError as exc:
        raise CredentialError(
            _("Signing in with Microsoft needs a package that is missing."),
            hint=_('Install it: pip install "docmail[oauth]".'),
            field=Field.SIGN_IN,
        ) from exc
    tenant = settings.server.tenant or ("organizations" if credential else "common")
    split = urlsplit(settings.server.authority or _AUTHORITY + tenant)
    local = split.scheme == "http"
    options: dict[str, Any] = {
        "authority": f"https://{split.netloc}{split.path}",
        "http_client": client or client_of(settings),
        # Microsoft's list of its own sign-in servers cannot know one on this computer.
        "validate_authority": not local,
        "instance_discovery": False if local else None,
    }
    try:
        if credential is not None:
            return msal.ConfidentialClientApplication(settings.server.client_id, credential, **options)
        with understood(authority_of(settings), but=ValueError):
            return msal.PublicClientApplication(settings.server.client_id, **options)
    except ValueError as exc:
        if isinstance(exc, SettingsError):
            raise
        raise failure(_UNKNOWN_TENANT, str(exc)) from None
