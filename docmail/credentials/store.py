"""Keeps the password of one account out of everything that can be saved, shown or logged.

A credential belongs to (protocol, host, port, username) and never goes to another server. It is looked for in this
session, then in the environment, then in the system's keyring:

- **session**: what was typed with `remember=False`, or on a machine without a keyring, and what a sandbox lends. Gone
  when the kernel stops.
- **environment**: `DOCMAIL_PASSWORD`, or the file named by `DOCMAIL_PASSWORD_FILE`. They serve the selected profile
  (`DOCMAIL_PROFILE` or "default") only.
- **keyring**: macOS Keychain, Windows Credential Locker, Secret Service; or another backend of the package keyring that
  protects what it keeps. One that does not, such as a plain file, counts only where a person has named it.
"""

from __future__ import annotations

import os
import re
import threading
import unicodedata
from codecs import BOM_UTF8
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from docmail import home, presets
from docmail.addresses import first_control
from docmail.credentials import keyring_backends
from docmail.credentials.lending import lenders
from docmail.errors import CredentialError, DocmailError
from docmail.language import _
from docmail.secret import Secret
from docmail.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.settings import Account

__all__ = ["Secret", "ask", "forget", "get", "set", "where"]

Where = Literal["session", "environment", "keyring"]

KEYRING_SERVICE = "docmail"
KEYRING_SECONDS = 10.0
"""A keyring may wait for a prompt that nobody sees; after this time it counts as locked."""

_MAX_LENGTH = 10_000  # the tokens of OAuth 2.0 have a few thousand characters

_T = TypeVar("_T")


_session: dict[Account, Secret] = {}
_lock = threading.Lock()


def set(settings: Settings, secret: str | Secret, remember: bool = True) -> Where:  # noqa: A001, FBT001, FBT002 - contract
    """Keep the password of this account and say where it is kept.

    With `remember` it goes into the system's keyring and is read back; where there is no keyring, or it drops what it
    is given, it lasts for this session. Blanks inside an app password are removed where the provider shows it with
    blanks; otherwise a password is kept as it is. In a rehearsal nothing goes into the keyring.
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
    if not remember or _is_rehearsed(settings):
        return "session"
    try:
        _with_time_limit(lambda: _write_keyring(account, secret))
        kept = _with_time_limit(lambda: _read_keyring(account))
    except CredentialError:
        return "session"
    if kept != secret:
        # A null backend takes everything and keeps nothing.
        return "session"
    with _lock:
        _session.pop(account, None)
    return "keyring"


def tidied(settings: Settings, secret: Secret, *, hint: str = "") -> Secret:
    """Return the password as it is sent: the provider's decorative blanks removed, nothing else changed.

    Raises `CredentialError`, with this `hint`, for what cannot be a password, or a key where one is wanted.
    """
    if not isinstance(secret.reveal(), str):
        raise _unfit(_("A password must be text, not {type}.").format(type=type(secret.reveal()).__name__), hint)
    if len(secret.reveal()) > _MAX_LENGTH:
        raise _unfit(_("The password is longer than {limit} characters.").format(limit=_MAX_LENGTH), hint)
    host = settings.account.host
    secret = secret.shown_to(lambda password: Secret(presets.tidy_password(host, password)))
    if not secret:
        raise _unfit(_("The password is empty."), hint)
    if settings.keeps_key:
        check_key(settings, secret, hint=hint)
    if control := secret.shown_to(first_control):
        raise _unfit(_("The password contains the invisible character {code}.").format(code=control), hint)
    if secret.shown_to(lambda password: password.endswith(("\u00a0", "\u2007", "\u202f"))):
        sentence = _("The password ends with a no-break space (U+00A0), which web pages and documents bring along.")
        raise _unfit(sentence, hint or _("Type the password again, without it."))
    return secret


def check_key(settings: Settings, secret: Secret, *, hint: str = "") -> None:
    """Raise `CredentialError` for a key or token with a character that none has, and no header of HTTP can carry.

    Such a character comes along when a key is copied from a web page or a word processor.
    """
    if found := secret.shown_to(first_strange):
        place, character = found
        name = f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
        if character.isprintable():
            sentence = _("The key contains a character that no key has, as its character {place}: {name}.")
        else:
            sentence = _("The key contains an invisible character, as its character {place}: {name}.")
        hint = hint or _("Copy the key again where it was made.")
        raise _unfit(sentence.format(place=place, name=name), hint, settings.secret_field)


def first_strange(key: str) -> tuple[int, str] | None:
    """Return the first character that no key or token has, after its place (from 1)."""
    # RFC 6749 (appendix A) gives tokens no others; a header of HTTP takes some more, which no service puts into keys.
    found = re.search(r"[^ -~]", key)
    return (found.start() + 1, found[0]) if found else None


def _unfit(sentence: str, hint: str = "", field: str = "password") -> CredentialError:
    return CredentialError(sentence, hint=hint or _("Type the password again."), guide="Passwords", field=field)


def ask(settings: Settings, remember: bool = True) -> Where:  # noqa: FBT001, FBT002 - as set()
    """Ask for the password at the keyboard (getpass) and keep it, without it standing in a cell.

    Raises `CredentialError` where nobody can type it, as in a notebook that runs by a schedule.
    """
    from getpass import getpass

    if home.said_unattended():
        raise _nobody_types(settings)
    prompt = _("Password of {username} at {host}: ").format(
        username=settings.account.username, host=settings.account.host
    )
    try:
        secret = Secret(getpass(prompt))
    except (NotImplementedError, EOFError, OSError):  # a front end that takes no input (nbconvert, Voilà); no terminal
        raise _nobody_types(settings) from None
    return set(settings, secret, remember)


def _nobody_types(settings: Settings) -> CredentialError:
    return CredentialError(
        _("Nobody can type the password of {username} at {host} here.").format(
            username=settings.account.username, host=settings.account.host
        ),
        hint=_("Save the settings, and let DOCMAIL_PASSWORD_FILE name a file that holds the password."),
        guide="Passwords",
        field="password",
    )


def forget(settings: Settings) -> None:
    """Remove the password of this account from this session and from the keyring."""
    with _lock:
        _session.pop(settings.account, None)
    if _is_rehearsed(settings):
        return
    account = settings.account
    _with_time_limit(lambda: _delete_from(keyring_backends.keeping() + keyring_backends.not_keeping(), account))


def where(settings: Settings) -> Where | None:
    """Say where the password in use comes from, or None if there is none."""
    found = _find(settings)
    return found[0] if found else None


def get(settings: Settings) -> Secret | None:
    """Return the password to sign in with; None for an account that does not sign in.

    Raises `CredentialError` if none is stored, the keyring is locked or does not answer, or the named file is missing.
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
            hint=_("Open docmail.SettingsForm() and sign in there."),
            guide="Passwords",
            field="sign_in",
        )
    raise CredentialError(
        _("No password is stored for {username} at {host}.").format(
            username=settings.account.username, host=settings.account.host
        ),
        hint=_(
            "DOCMAIL_PASSWORD serves only the saved settings that are selected: save these, or call "
            "docmail.credentials.ask(settings)."
        )
        if {"DOCMAIL_PASSWORD", "DOCMAIL_PASSWORD_FILE"} & os.environ.keys()
        else _("Type it into docmail.SettingsForm(), or call docmail.credentials.ask(settings)."),
        guide="Passwords",
        field="password",
    )


def _find(settings: Settings) -> tuple[Where, Secret] | None:
    account = settings.account
    if not account.username:
        return None
    with _lock:
        if secret := _session.get(account):
            return "session", secret
    if secret := _from_environment(settings):
        return "environment", secret
    if _is_rehearsed(settings):
        lent = next(filter(None, (lend(settings) for lend in lenders)), None)
        return ("session", lent) if lent else None
    secret = _with_time_limit(lambda: _read_keyring(account))
    return ("keyring", secret) if secret else None


def _is_rehearsed(settings: Settings) -> bool:
    return settings.kept_in.rehearsal


def provide(account: Account, secret: Secret) -> None:
    """Lend a password to this session (a sandbox does, for exactly its own host and port)."""
    with _lock:
        _session[account] = secret


def withdraw(account: Account) -> None:
    """Take a lent password back."""
    with _lock:
        _session.pop(account, None)


def _from_environment(settings: Settings) -> Secret | None:
    if settings.signs_in_with_token:
        return None  # a password must not be taken for a token, and sent to where tokens are renewed
    secret = from_variable(settings, "DOCMAIL_PASSWORD")
    return secret and tidied(settings, secret, hint=_correct("DOCMAIL_PASSWORD"))


def _correct(name: str) -> str:
    """Return what to do about a variable whose value is no password, or that of its file."""
    return _("Correct {variable}, and start the kernel again.").format(
        variable=name if os.environ.get(name) else f"{name}_FILE"
    )


def key_from_variable(settings: Settings, name: str) -> Secret | None:
    """Return what `from_variable` does; raises `CredentialError` for what no key can be."""
    if secret := from_variable(settings, name):
        check_key(settings, secret, hint=_correct(name))
    return secret


def from_variable(settings: Settings, name: str) -> Secret | None:
    """Return what an environment variable holds, or the file that `NAME_FILE` names, for the selected profile only."""
    if not {name, f"{name}_FILE"} & os.environ.keys() or not _is_selected(settings):
        return None
    if os.environ.get(name):
        return Secret(os.environ[name])
    if not (path := os.environ.get(f"{name}_FILE")):
        return None
    # Unlike Path's, this expanduser() leaves an unknown ~user as it is.
    file = Path(os.path.expanduser(path))  # noqa: PTH111
    try:
        if file.exists() and not file.is_file():
            raise _unreadable(name, path, _("it is not a file"))  # reading a pipe could wait for ever
        # The line end is the editor's, and so is a byte order mark; blanks may belong to the password.
        secret = Secret(file.read_bytes().removeprefix(BOM_UTF8).decode().removesuffix("\n").removesuffix("\r"))
    except OSError as exc:
        raise _unreadable(name, path, exc.strerror or str(exc)) from None
    except ValueError:
        raise _unreadable(name, path, _("it is not UTF-8 text")) from None
    if not secret:
        raise _unreadable(name, path, _("it is empty"))
    return secret


def _unreadable(name: str, path: str, reason: str) -> CredentialError:
    return CredentialError(
        _("{variable} names {path}, which cannot be read ({reason}).").format(
            variable=f"{name}_FILE", path=path, reason=reason
        ),
        hint=_("Correct the variable or the file, and start the kernel again."),
        guide="Passwords",
        field="password",
    )


def _is_selected(settings: Settings) -> bool:
    """Whether these settings sign in where those of the selected profile do."""
    try:
        return Settings.load().account == settings.account
    except DocmailError:
        return False  # nothing saved, so nothing that the variable could be meant for


def keyring_in_words() -> str:
    """Return what a form calls the place of a password that is in the keyring."""
    try:
        plain = _with_time_limit(lambda: [keyring_backends.is_plain(backend) for backend in keyring_backends.keeping()])
    except CredentialError:
        plain = []
    return _("an unencrypted file") if plain[:1] == [True] else _("the system's keyring")


# Windows takes 2,560 bytes of UTF-16 for one password, and tokens are longer. They are split everywhere, so that what
# is tested here is what happens there.
_PART = 1200
_IN_PARTS = "docmail-in-parts:"


def _write_keyring(account: Account, secret: Secret) -> None:
    from keyring.errors import NoKeyringError

    _delete_from(keyring_backends.not_keeping(), account)
    for backend in keyring_backends.keeping():
        try:
            _write(backend, account, secret)
        except NotImplementedError:  # it only reads, as those do that let pip into a company's index
            continue
        return
    raise NoKeyringError


def _write(backend: Any, account: Account, secret: Secret) -> None:
    before = _names_of_parts(account, _entry(backend, account))
    number = -(-len(secret.reveal()) // _PART)
    if number <= 1:
        backend.set_password(KEYRING_SERVICE, str(account), secret.reveal())
    else:
        # One entry changes from the old secret to the new one, so that whoever reads or is killed in between has one.
        mark = f"{_IN_PARTS}{number}:{os.urandom(4).hex()}"
        for part, name in enumerate(_names_of_parts(account, Secret(mark))):
            backend.set_password(KEYRING_SERVICE, name, secret.reveal()[part * _PART : (part + 1) * _PART])
        backend.set_password(KEYRING_SERVICE, str(account), mark)
    _delete_parts(backend, before)


def _read_keyring(account: Account) -> Secret | None:
    return next(filter(None, (_read(backend, account) for backend in keyring_backends.keeping())), None)


def _read(backend: Any, account: Account) -> Secret | None:
    for _attempt in range(2):  # another kernel may replace the parts while they are read
        value = _entry(backend, account)
        parts = [Secret(backend.get_password(KEYRING_SERVICE, name) or "") for name in _names_of_parts(account, value)]
        if all(parts):
            return Secret("".join(part.reveal() for part in parts)) if parts else value or None
    return None  # somebody has deleted one of them


def _delete_from(backends: list[Any], account: Account) -> None:
    for backend in backends:
        if entry := _entry(backend, account):
            backend.delete_password(KEYRING_SERVICE, str(account))
            _delete_parts(backend, _names_of_parts(account, entry))


def _delete_parts(backend: Any, names: list[str]) -> None:
    from keyring.errors import PasswordDeleteError

    for name in names:
        with suppress(PasswordDeleteError):  # gone already
            backend.delete_password(KEYRING_SERVICE, name)


def _entry(backend: Any, account: Account) -> Secret:
    return Secret(backend.get_password(KEYRING_SERVICE, str(account)) or "")


def _names_of_parts(account: Account, value: Secret) -> list[str]:
    """Return the names under which the parts of a long secret are kept; none if the value is one itself."""
    found = re.fullmatch(rf"{_IN_PARTS}(\d{{1,3}})(?::([0-9a-f]{{8}}))?", value.reveal()[:40])
    if found is None:
        return []
    series = f"#{found[2]}" if found[2] else ""  # an earlier docmail kept one series only
    return [f"{account}{series}#{part}" for part in range(int(found[1]))]


class _Waiting:
    """The thread that asked a keyring which has not answered yet, if there is one."""

    thread: threading.Thread | None = None


def _with_time_limit(ask_keyring: Callable[[], _T]) -> _T:
    """Run in a thread of its own, so that a keyring which waits for an unseen prompt never hangs the kernel."""
    if _Waiting.thread is not None and _Waiting.thread.is_alive():
        raise _locked(_("it still does not answer"))
    results: list[_T] = []
    failures: list[str] = []

    def work() -> None:
        try:
            results.append(ask_keyring())
        except BaseException as exc:  # noqa: BLE001 - backends raise anything: D-Bus errors, ModuleNotFoundError, panics
            failures.append(str(exc) or type(exc).__name__)

    thread = threading.Thread(target=work, name="docmail-keyring", daemon=True)
    thread.start()
    thread.join(KEYRING_SECONDS)
    if thread.is_alive():
        _Waiting.thread = thread
        raise _locked(_("it does not answer"))
    if failures:
        raise _locked(failures[0])
    return results[0]


def _locked(reason: str) -> CredentialError:
    return CredentialError(
        _("The system's keyring cannot be used: {reason}.").format(reason=reason.rstrip(".")),
        hint=_("Unlock it, or type the password into docmail.SettingsForm() for this session."),
        guide="Passwords",
        field="password",
    )
