"""The row of the password: what it is called, what stands in it while it is empty, and where the password is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from docmail import credentials
from docmail.errors import DocmailError
from docmail.home import is_rehearsed
from docmail.language import _
from docmail.widgets.parts import markup
from docmail.widgets.settings.http_fields import secret_label, secret_placeholder

if TYPE_CHECKING:
    from docmail.credentials import Where
    from docmail.presets import Preset, Service
    from docmail.settings import Account, Settings
    from docmail.widgets.parts.controls import Password
    from docmail.widgets.parts.form_rows import Row
    from docmail.widgets.settings.provider_help import ProviderHelp


class Places:
    """Where the passwords of accounts are; the keyring, which may be slow, is not asked at every keystroke."""

    def __init__(self) -> None:
        self._known: dict[Account, Where | DocmailError | None] = {}
        self.keyring = ""  # in words, once there is a password in it

    def of(self, settings: Settings) -> Where | None:
        """Return where this account's password is, or its sign-in; None if it has none, or nobody can say."""
        found = self._look(settings)
        return None if isinstance(found, DocmailError) else found

    def why_gone(self, settings: Settings) -> str:
        """Return why saved settings are without the password, or the sign-in, that belongs to them; empty if not."""
        found, token = self._look(settings), settings.signs_in_with_token
        if isinstance(found, DocmailError):
            cure = _("Sign in again.") if token else _("Type the password here to use it until this kernel stops.")
            return f"{found.message} {cure}"
        if found or not settings.account.username:
            return ""
        if is_rehearsed(settings.home) or credentials.has_keyring():
            if token:
                return _("nobody is signed in for this account: sign in again")
            return _("no password is stored for this account: type it again")
        if token:
            return _("the sign-in is gone: this machine has no keyring, so it ended with the kernel. Sign in again")
        return _("the password is gone: this machine has no keyring, so it ended with the kernel. Type it again")

    def _look(self, settings: Settings) -> Where | DocmailError | None:
        if settings.account not in self._known:
            try:
                self._known[settings.account] = kept = credentials.where(settings)
                if kept == "keyring":
                    self.keyring = credentials.keyring_in_words()
            except DocmailError as exc:
                self._known[settings.account] = exc
        return self._known[settings.account]

    def clear(self) -> None:
        """Ask again at the next time."""
        self._known.clear()


def elsewhere(saved: Settings) -> str:
    """Return to which account the stored password belongs, where the form shows another one."""
    account = saved.account
    return _("the stored password is for {username} at {host}, port {port}; this account needs its own").format(
        username=account.username, host=account.host, port=account.port
    )


def show_secret(  # noqa: PLR0913
    row: Row,
    kept: Where | None,
    help_: ProviderHelp,
    keyring: str,
    *,
    other_way: Markup = markup.NOTHING,
    missing: str = "",
) -> None:
    """Bring the row in line with the account, its provider or mail service.

    `keyring` is what the keyring is called; `other_way` leads to the way to sign in without this row; `missing` is why
    a password that was stored is not there.
    """
    preset, service = help_.preset, help_.service
    password: Password = row.control
    password.label = secret_label(service)
    empty = secret_placeholder(preset, service)
    password.placeholder = _("•••••••• stored; empty keeps it") if kept else empty
    places = {
        "keyring": _("kept in {keyring}").format(keyring=keyring),
        "session": _("kept until this kernel stops"),
        "environment": _("comes from DOCMAIL_PASSWORD"),
    }
    own = service is None and preset is not None and preset.password == "app-password"  # noqa: S105
    usual = _("not the password of your {provider} account").format(provider=_(preset.name)) if own and preset else ""
    said = places[kept] if kept else markup.warning(missing) if missing else usual
    row.hint = Markup(" ").join(filter(None, (said, other_way)))
    # What a stored password is made of is no longer asked.
    row.above = markup.NOTHING if kept or not (about := service or preset) else _steps(about)


def _steps(about: Preset | Service) -> Markup:
    """Return the steps to the password; none where the form asks first how one signs in."""
    return markup.NOTHING if getattr(about, "password_note", "") else markup.first_steps(about)
