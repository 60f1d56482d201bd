"""Opens the way to a server: SMTP or HTTP, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail import credentials
from docmail.errors import SettingsError
from docmail.settings import HttpServer, Settings
from docmail.translation import _
from docmail.transport.base import REPLY_SECONDS, SendResult, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.credentials import Secret

__all__ = ["SendResult", "Transport", "open_transport"]


def open_transport(
    settings: Settings,
    *,
    secret: Secret | None = None,
    timeout: float = 60,
    reply_timeout: float = REPLY_SECONDS,
    observe: Callable[[str, str], None] | None = None,
) -> Transport:
    """Return the transport for these settings, not yet connected; use it in a `with` block, or `open()` it.

    `timeout` covers everything from the look-up of the server's name to its answer to the last recipient,
    `reply_timeout` the wait after the last byte. Without `secret` the stored credential is used. `observe` hears of
    each phase. Raises `SettingsError` or `CredentialError` before anything is connected.
    """
    if not isinstance(settings, Settings):
        raise SettingsError(
            _("These are no email settings, but {type}.").format(type=type(settings).__name__),
            hint=_("Give docmail.Settings(...), or docmail.Settings.load(name) for saved ones."),
        )
    settings.check()
    if secret is None:
        secret = credentials.get(settings)
    if isinstance(settings.server, HttpServer):
        from docmail.transport.http import HttpTransport

        return HttpTransport(settings, secret, timeout=timeout, reply_timeout=reply_timeout, observe=observe)
    from docmail.transport.smtp import SmtpTransport

    return SmtpTransport(settings, secret, timeout=timeout, reply_timeout=reply_timeout, observe=observe)
