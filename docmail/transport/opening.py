"""Opens the way to a server: SMTP or HTTP, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail import credentials
from docmail.net import check_seconds
from docmail.settings import HttpServer, usable
from docmail.transport.base import Access, Waits, ignore_phase
from docmail.transport.capabilities import OF_THIS_PROCESS

if TYPE_CHECKING:
    from docmail.secret import Secret
    from docmail.settings import Settings
    from docmail.transport.base import Observe, Transport
    from docmail.transport.capabilities import Capabilities
    from docmail.transport.http.transport import HttpTransport


def open_transport(  # noqa: PLR0913 - as `Access`
    settings: Settings,
    *,
    secret: Secret | None = None,
    timeout: float = 60,
    waits: Waits = Waits(),  # noqa: B008 - it never changes
    observe: Observe = ignore_phase,
    capabilities: Capabilities = OF_THIS_PROCESS,
) -> Transport:
    """Return the transport for these settings, not yet connected; use it in a `with` block, or `open()` it.

    Without `secret` the stored credential is used; the other arguments are those of `Access`. Raises `SettingsError`,
    `CredentialError` or `MessageError` (for `timeout`) before anything is connected.
    """
    settings = usable(settings)
    check_seconds(timeout)
    tokens = None
    if secret is None and settings.signs_in_with_token:
        from docmail.oauth import tokens_of

        tokens = tokens_of(settings)
    elif secret is None:
        secret = credentials.get(settings)
    access = Access(
        settings,
        secret,
        tokens=tokens,
        timeout=timeout,
        waits=waits,
        observe=observe,
        capabilities=capabilities,
    )
    if isinstance(settings.server, HttpServer):
        from docmail.transport.http.transport import HttpTransport

        return HttpTransport(access)
    from docmail.transport.smtp.transport import SmtpTransport

    return SmtpTransport(access)


def open_drafts(settings: Settings) -> HttpTransport:
    """Return the transport that saves drafts over HTTP (`HttpTransport.save_draft`), not yet connected.

    Raises as `open_transport` does, and `TypeError` for settings that do not send over HTTP.
    """
    from docmail.transport.http.transport import HttpTransport

    transport = open_transport(settings)
    if not isinstance(transport, HttpTransport):
        raise TypeError(settings.server)
    return transport
