"""The row of the password: what it is called, what stands in it while it is empty, and where the password is kept."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from docmail import credentials
from docmail.errors import DocmailError
from docmail.language import _
from docmail.widgets.settings.http_fields import secret_label, secret_placeholder

if TYPE_CHECKING:
    from docmail.credentials import Where
    from docmail.presets import Preset, Service
    from docmail.settings import Account, Settings
    from docmail.widgets.parts.controls import Password
    from docmail.widgets.parts.form_rows import Row


class Places:
    """Where the passwords of accounts are; the keyring, which may be slow, is not asked at every keystroke."""

    def __init__(self) -> None:
        self._known: dict[Account, Where | None] = {}
        self.keyring = ""  # in words, once there is a password in it

    def of(self, settings: Settings) -> Where | None:
        """Return where this account's password is, or its sign-in; None if it has none, or nobody can say."""
        if settings.account not in self._known:
            try:
                self._known[settings.account] = kept = credentials.where(settings)
                if kept == "keyring":
                    self.keyring = credentials.keyring_in_words()
            except DocmailError:
                self._known[settings.account] = None
        return self._known[settings.account]

    def clear(self) -> None:
        """Ask again at the next time."""
        self._known.clear()


def show_secret(row: Row, kept: Where | None, preset: Preset | None, service: Service | None, keyring: str) -> None:
    """Bring the row in line with the account, its provider or mail service; `keyring` is what the keyring is called."""
    password: Password = row.control
    password.label = secret_label(service)
    empty = secret_placeholder(preset, service)
    password.placeholder = _("•••••••• stored; empty keeps it") if kept else empty
    places = {
        "keyring": _("kept in {keyring}").format(keyring=keyring),
        "session": _("kept until this kernel stops"),
        "environment": _("comes from DOCMAIL_PASSWORD"),
    }
    row.hint = escape(places[kept]) if kept else ""
