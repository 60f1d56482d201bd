"""The password of sandboxes, and who signs in at the shared one without typing it."""

from __future__ import annotations

from docmail.errors import DocmailError
from docmail.home import SHARED_SANDBOX
from docmail.secret import Secret
from docmail.settings import Settings

# Public on purpose: it guards nothing but a folder of rehearsal mail on this computer.
SANDBOX_PASSWORD = "sandbox-password"  # noqa: S105


def lent_password(settings: Settings) -> Secret | None:
    """Return the password for settings that sign in at the shared sandbox; None for all others.

    A process that only names the profile "sandbox", such as a scheduled notebook, opens no sandbox that provides it.
    """
    try:
        shared = Settings.load(SHARED_SANDBOX)
    except DocmailError:
        return None  # nothing saved, so nobody runs it
    return Secret(SANDBOX_PASSWORD) if shared.account == settings.account else None
