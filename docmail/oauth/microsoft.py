"""Signs in with Microsoft: a code that one enters in any browser (RFC 8628), so that it works in JupyterHub as well.

The protocol is msal's, Microsoft's own library; the connections are docmail's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from docmail.errors import ConnectError, CredentialError, Kind, SettingsError
from docmail.language import _
from docmail.oauth import microsoft_replies
from docmail.oauth.grant import checked, grant_of
from docmail.oauth.token_requests import Client
from docmail.settings import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.oauth.grant import Grant
    from docmail.secret import Secret
    from docmail.settings import Settings

_AUTHORITY = "https://login.microsoftonline.com/"
_UNKNOWN_TENANT = "AADSTS90002"  # msal says it in words of its own
_SMTP, _GRAPH = "https://outlook.office.com/SMTP.Send", "https://graph.microsoft.com/Mail.Send"


@dataclass(frozen=True)
class Code:
    """What a person enters, where, and how long there is time for it (seconds)."""

    code: str
    url: str
    seconds: float
    flow: dict[str, Any] = field(repr=False)


class DeviceSignIn:
    """One sign-in with a code: `begin()`, show the code, `wait()`; `client.abort()` breaks off from another thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.client = client_of(settings)
        self._app: Any = None

    def begin(self) -> Code:
        """Return the code; raises `SendError` if Microsoft gives none."""
        self._app = application(self._settings, client=self.client)
        flow = self._app.initiate_device_flow(scopes=scopes(self._settings))
        if "user_code" not in flow:
            raise microsoft_replies.failure(str(flow.get("error", "")), str(flow.get("error_description", "")))
        return Code(flow["user_code"], flow["verification_uri"], float(flow.get("expires_in", 900)), flow)

    def wait(self, code: Code, stopped: Callable[[], bool]) -> Grant:
        """Wait until somebody has entered the code and agreed; raises `SendError` in words if that fails."""
        try:
            grant = self._poll(code, stopped)
        except BaseException as exc:  # noqa: BLE001 - raised again
            # The frames below hold tokens in clear, and verbose tracebacks print their variables.
            raise exc.with_traceback(None) from None
        return checked(grant, self._settings)

    def _poll(self, code: Code, stopped: Callable[[], bool]) -> Grant:
        end = time.monotonic() + code.seconds
        # msal asks as often as Microsoft allows, more slowly when told to, and looks every second whether to go on.
        answer = self._app.acquire_token_by_device_flow(
            code.flow, exit_condition=lambda _flow: stopped() or time.monotonic() > end
        )
        if "access_token" not in answer and stopped():
            raise ConnectError(_("Stopped; nobody was signed in."), kind=Kind.NETWORK, phase="credential")
        if answer.get("error") == "authorization_pending":
            answer = {"error": "expired_token"}
        return grant_of(answer)


def renew(settings: Settings, refresh: Secret) -> Grant:
    """Return a new access token."""
    app = application(settings)
    try:
        answer = app.acquire_token_by_refresh_token(refresh.reveal(), scopes(settings))
        return grant_of(answer)
    except BaseException as exc:  # noqa: BLE001 - raised again
        # The frames below hold tokens in clear, and verbose tracebacks print their variables.
        raise exc.with_traceback(None) from None


def scopes(settings: Settings) -> list[str]:
    """Return what the sign-in is to allow: sending, and nothing else."""
    return [_GRAPH if isinstance(settings.server, HttpServer) else _SMTP]


def client_of(settings: Settings) -> Client:
    """Return what asks the sign-in server of these settings."""
    return Client(plain=settings.server.tenant.startswith("http://"))


def application(settings: Settings, credential: Any = None, client: Client | None = None) -> Any:
    """Return msal's view of the application; with a credential it signs in for itself."""
    try:
        import msal
    except ImportError as exc:
        raise CredentialError(
            _("Signing in with Microsoft needs a package that is missing."),
            hint=_('Install it: pip install "docmail[oauth]".'),
            field="sign_in",
        ) from exc
    tenant = settings.server.tenant or ("organizations" if credential else "common")
    authority = tenant if "://" in tenant else _AUTHORITY + tenant
    split = urlsplit(authority)
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
        return msal.PublicClientApplication(settings.server.client_id, **options)
    except ValueError as exc:
        if isinstance(exc, SettingsError):
            raise
        raise microsoft_replies.failure(_UNKNOWN_TENANT, str(exc)) from None
