"""Keeps the password of one account out of everything that can be saved, shown or logged.

A credential belongs to (protocol, host, port, username) and never goes to another server. It is looked for in this
session, then in the environment, then in the system's keyring:

- **session**: what was typed with `remember=False`, or on a machine without a keyring, and what a sandbox lends. Gone
  when the kernel stops.
- **environment**: `DOCMAIL_PASSWORD`, or the file named by `DOCMAIL_PASSWORD_FILE`. They serve the selected profile
  (`DOCMAIL_PROFILE` or "default") only. A password of the mailbox's own stands in `DOCMAIL_MAILBOX_PASSWORD`.
- **keyring**: macOS Keychain, Windows Credential Locker, Secret Service; or another backend of the package keyring that
  protects what it keeps. One that does not, such as a plain file, counts only where a person has named it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from docmail import home
from docmail.credentials import environment, keyring_store
from docmail.credentials.checks import check_key, tidied
from docmail.credentials.lending import lenders
from docmail.errors import CredentialError, Field, Guide
from docmail.language import _
from docmail.secret import Secret

if TYPE_CHECKING:
    from docmail.settings import Account, Settings

__all__ = ["Secret", "Where", "ask", "forget", "get", "provide", "set", "where", "why_not_kept", "withdraw"]

Where = Literal["session", "environment", "keyring"]

_session: dict[Account, Secret] = {}
_not_kept: dict[Account, CredentialError] = {}  # why a password of this session is not in the keyring that there is
_lock = threading.Lock()


def set(settings: Settings, secret: str | Secret, remember: bool = True) -> Where:  # noqa: A001, FBT001, FBT002 - contract
    """Keep the password (`secret`) of the account of `settings`, and say where it is kept.

    With `remember` it goes into the system's keyring and is read back; where there is no keyring, or it drops what it
    is given, it lasts for this session. Blanks inside an app password are removed where the provider shows it with
    blanks; otherwise a password is kept as it is. In a rehearsal nothing goes into the keyring.

    >>> docmail.credentials.set(work, "correct horse", remember=False)
    'session'
    """
    try:  # first of all: a traceback of what fails below would show it
        secret = secret if isinstance(secret, Secret) else Secret(secret)
    except BaseException as exc:
        secret, exc.__traceback__ = Secret(""), None  # an interrupt, which can come anywhere
        raise
    secret = tidied(settings, secret)
    account = settings.account
    with _lock:
        _session[account] = secret
        _not_kept.pop(account, None)
    if not remember or _is_rehearsed(settings):
        return "session"
    try:
        kept = keyring_store.read(account) if keyring_store.write(account, secret) else None
    except CredentialError as exc:  # it is locked, waits for a prompt that nobody sees, or fails
        with _lock:
            _not_kept[account] = exc
        return "session"
    if kept != secret:
        # A null backend takes everything and keeps nothing.
        return "session"
    with _lock:
        _session.pop(account, None)
    return "keyring"


def ask(settings: Settings, remember: bool = True) -> Where:  # noqa: FBT001, FBT002 - as set()
    """Ask for the password of the account of `settings` at the keyboard (getpass) and keep it; it stands in no cell.

    `remember` is that of `set`. Returns where it is kept. Raises `CredentialError` where no person can type it, as in a
    notebook that a scheduler runs.

    >>> docmail.credentials.ask(work)
    'session'
    """
    from getpass import getpass

    if home.said_unattended():
        raise _no_keyboard(settings)
    prompt = _("Password of {username} at {host}: ").format(
        username=settings.account.username, host=settings.account.host
    )
    try:
        secret = Secret(getpass(prompt))
    except (NotImplementedError, EOFError, OSError):  # a front end that takes no input (nbconvert, Voilà); no terminal
        raise _no_keyboard(settings) from None
    return set(settings, secret, remember)


def _no_keyboard(settings: Settings) -> CredentialError:
    return CredentialError(
        _("docmail cannot ask for the password of {username} at {host} here: nobody can type it.").format(
            username=settings.account.username, host=settings.account.host
        ),
        hint=_("Save the settings, and set DOCMAIL_PASSWORD_FILE to a file that contains the password."),
        guide=Guide.PASSWORDS,
        field=settings.secret_field,
    )


def forget(settings: Settings) -> None:
    """Remove the password of the account of `settings` from this session and from the keyring.

    >>> docmail.credentials.forget(work)
    >>> docmail.credentials.where(work) is None
    True
    """
    with _lock:
        _session.pop(settings.account, None)
    if _is_rehearsed(settings):
        return
    keyring_store.delete(settings.account)


def why_not_kept(settings: Settings) -> CredentialError | None:
    """Return why the keyring did not take the password of this session; None if it was not asked, or there is none.

    `settings` name the account.

    >>> docmail.credentials.why_not_kept(work) is None
    True
    """
    with _lock:
        return _not_kept.get(settings.account)


def where(settings: Settings) -> Where | None:
    """Return where the password in use for `settings` comes from; None if no password is stored.

    >>> docmail.credentials.where(settings)
    'session'
    """
    found = _find(settings)
    return found[0] if found else None


def get(settings: Settings) -> Secret | None:
    """Return the password to sign in with at the account of `settings`; None for one that does not sign in.

    Raises `CredentialError` if none is stored, the keyring is locked or does not answer, or the named file is missing.

    >>> docmail.credentials.get(settings)
    •••
    """
    if not settings.account.username:
        return None
    if found := _find(settings):
        if settings.keeps_key:
            check_key(settings, found[1])  # an earlier docmail may have stored it
        return found[1]
    if settings.signs_in_with_token:
        raise CredentialError(
            _("Nobody has signed in as {username} yet, or the sign-in was not kept.").format(
                username=settings.account.username
            ),
            hint=home.hint_for(
                notebook=_("Open docmail.SettingsForm() and sign in there."),
                terminal=_("Sign in once, in a notebook on this computer."),
            ),
            guide=Guide.PASSWORDS,
            field=Field.SIGN_IN,
        )
    raise CredentialError(
        _("No password is stored for {username} at {host}.").format(
            username=settings.account.username, host=settings.account.host
        ),
        hint=_how_to_give(settings),
        guide=Guide.PASSWORDS,
        field=settings.secret_field,
    )


def _how_to_give(settings: Settings) -> str:
    if settings.secret_field is Field.MAILBOX_PASSWORD:
        return home.hint_for(
            notebook=_(
                "Type the mailbox's password into docmail.SettingsForm(), or call "
                "docmail.credentials.ask(settings.for_mailbox)."
            ),
            terminal=_("Set DOCMAIL_MAILBOX_PASSWORD_FILE to a file that contains the mailbox's password."),
        )
    if environment.is_set():
        return _(
            "DOCMAIL_PASSWORD is used only for the saved settings that are selected: save these "
            "settings, or call docmail.credentials.ask(settings)."
        )
    return home.hint_for(
        notebook=_("Type it into docmail.SettingsForm(), or call docmail.credentials.ask(settings)."),
        terminal=_("Set DOCMAIL_PASSWORD_FILE to a file that contains it, or call docmail.credentials.ask(settings)."),
    )


def _find(settings: Settings) -> tuple[Where, Secret] | None:
    account = settings.account
    if not account.username:
        return None
    with _lock:
        if secret := _session.get(account):
            return "session", secret
    if secret := environment.password(settings):
        return "environment", secret
    if _is_rehearsed(settings):
        lent = next(filter(None, (lend(settings) for lend in lenders)), None)
        return ("session", lent) if lent else None
    secret = keyring_store.read(account)
    return ("keyring", secret) if secret else None


def _is_rehearsed(settings: Settings) -> bool:
    return home.is_rehearsed(settings.home)


def provide(account: Account, secret: Secret) -> None:
    """Lend the password of an `account` (`secret`) to this session, as a sandbox does for its own host and port.

    >>> docmail.credentials.provide(work.account, docmail.credentials.Secret("correct horse"))
    >>> docmail.credentials.withdraw(work.account)
    """
    with _lock:
        _session[account] = secret


def withdraw(account: Account) -> None:
    """Take back the password that was lent for this `account`.

    >>> docmail.credentials.provide(work.account, docmail.credentials.Secret("correct horse"))
    >>> docmail.credentials.withdraw(work.account)
    >>> docmail.credentials.where(work) is None
    True
    """
    with _lock:
        _session.pop(account, None)
