"""Keeps passwords in the system's keyring, with the package keyring; each call ends within seconds.

keyring takes whatever it finds: where there is nothing better also a backend that writes into a plain file (priority
0.5, as in keyrings.alt), and a chain of several. So each is judged by itself here, and used without the chain. All
functions raise `CredentialError` for a keyring that is locked, does not answer, or fails.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from docmail.errors import CredentialError, Field, Guide
from docmail.home import hint_for
from docmail.language import _
from docmail.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.settings import Account

__all__ = ["delete", "has_keyring", "keyring_in_words", "read", "write"]

KEYRING_SERVICE = "docmail"
KEYRING_SECONDS = 10.0
"""A keyring may wait for a prompt that is not seen; after this time it counts as locked."""

_T = TypeVar("_T")


def read(account: Account) -> Secret | None:
    """Return the password of an account; None if the keyring has none."""
    return _with_time_limit(lambda: _read_any(account))


def write(account: Account, secret: Secret) -> bool:
    """Keep the password of an account, in the best backend that takes it; return whether there is one."""
    return _with_time_limit(lambda: _write_best(account, secret), secret)


def delete(account: Account) -> None:
    """Remove the password of an account, also where an earlier docmail may have written it."""
    _with_time_limit(lambda: _delete_from(_keeping() + _not_keeping(), account))


def has_keyring() -> bool:
    """Return whether this computer has a keyring that counts; one that is locked or silent is there.

    >>> docmail.credentials.has_keyring()
    True
    """
    try:
        return _with_time_limit(lambda: bool(_keeping()))
    except CredentialError:
        return True


def keyring_in_words() -> str:
    """Return what a form calls the place of a password that is in the keyring.

    >>> print(docmail.credentials.keyring_in_words())
    the system's keyring
    """
    try:
        plain = _with_time_limit(lambda: [_is_plain(backend) for backend in _keeping()])
    except CredentialError:
        plain = []
    return _("an unencrypted file") if plain[:1] == [True] else _("the system's keyring")


# Windows takes 2,560 bytes of UTF-16 for one password, and tokens are longer. They are split everywhere, so that what
# is tested here is what happens there.
_PART = 1200
_IN_PARTS = "docmail-in-parts:"


def _write_best(account: Account, secret: Secret) -> bool:
    from keyring.errors import NoKeyringError

    _delete_from(_not_keeping(), account)
    for backend in _keeping():
        try:
            _write(backend, account, secret)
        except (NotImplementedError, NoKeyringError):
            continue  # it only reads, as those do that let pip into a company's index
        return True
    return False


def _write(backend: Any, account: Account, secret: Secret) -> None:
    before = _names_of_parts(account, _entry(backend, account))
    number = -(-len(secret.reveal()) // _PART)
    if number <= 1:
        backend.set_password(KEYRING_SERVICE, str(account), secret.reveal())
    else:
        # One entry changes from the old secret to the new one, so that there is one for a program that reads meanwhile,
        # and one stays if this program is killed.
        mark = f"{_IN_PARTS}{number}:{os.urandom(4).hex()}"
        for part, name in enumerate(_names_of_parts(account, Secret(mark))):
            backend.set_password(KEYRING_SERVICE, name, secret.reveal()[part * _PART : (part + 1) * _PART])
        backend.set_password(KEYRING_SERVICE, str(account), mark)
    _delete_parts(backend, before)


def _read_any(account: Account) -> Secret | None:
    return next(filter(None, (_read(backend, account) for backend in _keeping())), None)


def _read(backend: Any, account: Account) -> Secret | None:
    for _attempt in range(2):  # another kernel may replace the parts while they are read
        value = _entry(backend, account)
        parts = [Secret(backend.get_password(KEYRING_SERVICE, name) or "") for name in _names_of_parts(account, value)]
        if all(parts):
            return Secret("".join(part.reveal() for part in parts)) if parts else value or None
    return None  # another program has deleted one of them


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


def _with_time_limit(ask_keyring: Callable[[], _T], secret: Secret | None = None) -> _T:
    """Run in a thread of its own, so that a keyring which waits for an unseen prompt never hangs the kernel.

    What fails is said without the `secret`, which a backend may repeat.
    """
    if _Waiting.thread is not None and _Waiting.thread.is_alive():
        raise _locked(_("it still does not answer"))
    results: list[_T] = []
    failures: list[str] = []

    def work() -> None:
        try:
            results.append(ask_keyring())
        except BaseException as exc:  # noqa: BLE001 - backends raise anything: D-Bus errors, ModuleNotFoundError, panics
            said = str(exc)
            repeats = secret is not None and secret.shown_to(said.count) > 0
            failures.append(type(exc).__name__ if repeats or not said else said)

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
        hint=hint_for(
            notebook=_("Unlock the keyring, or type the password into docmail.SettingsForm() for this session."),
            terminal=_("Unlock the keyring, or set DOCMAIL_PASSWORD_FILE to a file that contains the password."),
        ),
        guide=Guide.PASSWORDS,
        field=Field.PASSWORD,
    )


# --- the backends -----------------------------------------------------------------------------------------------------


def _keeping() -> list[Any]:
    """Return the backends that count, the best first: those that protect what they keep, or that the user has named."""
    return [backend for backend in _found() if _counts(backend)]


def _not_keeping() -> list[Any]:
    """Return the plain files that do not count, but into which an earlier docmail may have written."""
    return [backend for backend in _found() if _is_plain(backend) and not _counts(backend)]


def _is_plain(backend: Any) -> bool:
    """Say whether it is a file without encryption, as far as such a backend shows it."""
    scheme = str(getattr(backend, "scheme", ""))  # of keyrings.alt and what is made like it
    encrypts = "crypt" in type(backend).__name__.lower() or (scheme and not scheme.startswith("no enc"))
    return bool(0 <= backend.priority < 1 and not encrypts)


def _found() -> list[Any]:
    import keyring  # loads when first used
    from keyring.backends.chainer import ChainerBackend
    from keyring.backends.fail import Keyring as NoKeyring

    backend: Any = keyring.get_keyring()
    chain = backend.backends if isinstance(backend, ChainerBackend) else [backend]
    return [each for each in chain if not isinstance(each, NoKeyring)]


def _counts(backend: Any) -> bool:
    # keyring's own documentation: "a priority of one or greater is recommended".
    return bool(backend.priority >= 1 or _is_named(backend))


def _is_named(backend: Any) -> bool:
    """Whether the user has named it: in PYTHON_KEYRING_BACKEND, in keyringrc.cfg, or with keyring.set_keyring()."""
    from keyring.backend import get_all_keyring

    # What keyring has found by itself is always one of these very objects, and never one below zero.
    return backend.priority < 0 or all(backend is not found for found in get_all_keyring())
