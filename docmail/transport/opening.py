"""Opens the way to a server: SMTP or HTTP, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail import credentials
from docmail.errors import MessageError
from docmail.language import _
from docmail.settings import HttpServer, usable
from docmail.transport.base import REPLY_SECONDS, SendResult, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.secret import Secret
    from docmail.settings import Settings

__all__ = ["SendResult", "Transport", "check_seconds", "open_transport"]


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
    each phase. Raises `SettingsError`, `CredentialError` or `MessageError` (for `timeout`) before anything is
    connected.
    """
    settings = usable(settings)
    check_seconds(timeout)
    tokens = None
    if secret is None and settings.signs_in_with_token:
        from docmail.oauth import tokens_of

        tokens = tokens_of(settings)
    elif secret is None:
        secret = credentials.get(settings)
    if isinstance(settings.server, HttpServer):
        from docmail.transport.http.transport import HttpTransport

        return HttpTransport(
            settings, secret, timeout=timeout, reply_timeout=reply_timeout, observe=observe, tokens=tokens
        )
    from docmail.transport.smtp.transport import SmtpTransport

    return SmtpTransport(settings, secret, timeout=timeout, reply_timeout=reply_timeout, observe=observe, tokens=tokens)


def check_seconds(timeout: float) -> None:
    """Raise `MessageError` for what is no time to wait."""
    number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    # A day is longer than anybody means; inf and nan are no times.
    if not number or not 0 < timeout <= 86400:  # noqa: PLR2004
        raise MessageError(
            _("The timeout must be a number of seconds, more than 0 and at most a day."),
            field="timeout",
            hint=_("Leave it out, or write timeout=60."),
        )
