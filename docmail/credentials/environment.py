"""Reads passwords and keys from environment variables, which serve the selected profile only."""

from __future__ import annotations

import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

from docmail.credentials.checks import check_key, tidied
from docmail.errors import CredentialError, DocmailError, Field, Guide
from docmail.files import reason_of
from docmail.home import hint_for
from docmail.language import _
from docmail.secret import Secret, unseen
from docmail.settings import Settings

__all__ = ["from_variable", "is_set", "key_from_variable", "password"]


def is_set(name: str = "DOCMAIL_PASSWORD") -> bool:
    """Say whether there is such a variable, or one that names its file."""
    return not os.environ.keys().isdisjoint({name, f"{name}_FILE"})


def variable_of(settings: Settings) -> str:
    """Return the name of the variable that holds the password of this account."""
    return "DOCMAIL_MAILBOX_PASSWORD" if settings.secret_field is Field.MAILBOX_PASSWORD else "DOCMAIL_PASSWORD"


def password(settings: Settings) -> Secret | None:
    """Return the password that the account's variable or its file holds; None without it."""
    if settings.signs_in_with_token:
        return None  # a password must not be taken for a token, and sent to where tokens are renewed
    name = variable_of(settings)
    secret = from_variable(settings, name)
    return secret and tidied(settings, secret, hint=_correct(name))


def _correct(name: str) -> str:
    """Return what to do about a variable whose value is no password, or that of its file."""
    hint = hint_for(
        notebook=_("Correct {variable}, and start the kernel again."), terminal=_("Correct {variable}, and try again.")
    )
    return hint.format(variable=name if os.environ.get(name) else f"{name}_FILE")


def key_from_variable(settings: Settings, name: str) -> Secret | None:
    """Return what `from_variable` does; raises `CredentialError` for what no key can be.

    `settings` and `name` are its own.

    >>> docmail.credentials.key_from_variable(settings, "DOCMAIL_CLIENT_SECRET") is None
    True
    """
    if secret := from_variable(settings, name):
        check_key(settings, secret, hint=_correct(name))
    return secret


def from_variable(settings: Settings, name: str) -> Secret | None:
    """Return what the environment variable `name` holds, or the file that `NAME_FILE` names; None if neither is set.

    That is for the selected profile only: other `settings` get None.

    >>> docmail.credentials.from_variable(settings, "DOCMAIL_PASSWORD") is None
    True
    """
    if not is_set(name) or not _is_selected(settings):
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
        secret = _password_in(file)
    except OSError as exc:
        raise _unreadable(name, path, reason_of(exc, file)) from None
    except ValueError:
        raise _unreadable(name, path, _("it is not UTF-8 text")) from None
    if secret is None:
        raise _unreadable(
            name,
            path,
            _(
                "it ends with a space, as “echo” on Windows writes it; if the space belongs to the password, use {name}"
            ).format(name=name),
        )
    if not secret:
        raise _unreadable(name, path, _("it is empty"))
    return secret


@unseen
def _password_in(file: Path) -> Secret | None:
    """Return the password in a file; None for one that ends with the blank of `echo password > file`.

    The line end is the editor's, and so is a byte order mark; the redirections of PowerShell write UTF-16. Other blanks
    may belong to the password. Raises `OSError`, and `ValueError` for what is no text.
    """
    raw = file.read_bytes()
    text = raw.decode("utf-16") if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else raw.removeprefix(BOM_UTF8).decode()
    line = text.removesuffix("\n").removesuffix("\r")
    return None if line.endswith(" ") and text.endswith("\r\n") else Secret(line)


def _unreadable(name: str, path: str, reason: str) -> CredentialError:
    return CredentialError(
        _("{variable} names {path}, which cannot be read ({reason}).").format(
            variable=f"{name}_FILE", path=path, reason=reason
        ),
        hint=hint_for(
            notebook=_("Correct the variable or the file, and start the kernel again."),
            terminal=_("Correct the variable or the file, and try again."),
        ),
        guide=Guide.PASSWORDS,
        field=Field.PASSWORD,
    )


def _is_selected(settings: Settings) -> bool:
    """Whether these settings sign in where those of the selected profile do.

    An administrator who sets the variable may have named the server as well, in the organisation's file: then it is
    meant for that one also before anything is saved. A client secret belongs to the application that the file names.
    """
    if settings.signs_in_with_token and Field.CLIENT_ID in settings.fixed:
        return True
    try:
        selected = Settings.load()
        mine = selected.for_mailbox if settings.secret_field is Field.MAILBOX_PASSWORD else selected
    except DocmailError:
        return Field.HOST in settings.fixed and settings.secret_field is not Field.MAILBOX_PASSWORD
    return mine.account == settings.account
