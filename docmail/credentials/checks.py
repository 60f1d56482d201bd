"""Says what cannot be a password, or a key, before it is kept or sent."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from docmail import presets
from docmail.addresses import first_control
from docmail.errors import CredentialError, Field, Guide
from docmail.language import _
from docmail.secret import Secret

if TYPE_CHECKING:
    from docmail.settings import Settings

__all__ = ["check_key", "first_strange", "tidied"]

_MAX_LENGTH = 10_000  # the tokens of OAuth 2.0 have a few thousand characters


def tidied(settings: Settings, secret: Secret, *, hint: str = "") -> Secret:
    """Return the `secret` as it is sent: the provider's decorative blanks removed, nothing else changed.

    `settings` name the provider. Raises `CredentialError`, with this `hint`, for what cannot be a password, or a key
    where one is wanted.

    >>> docmail.credentials.tidied(settings, docmail.credentials.Secret("correct horse"))
    •••
    """
    field = settings.secret_field if settings.secret_field is Field.MAILBOX_PASSWORD else Field.PASSWORD
    if not isinstance(secret.reveal(), str):
        raise _unfit(_("A password must be text, not {type}.").format(type=type(secret.reveal()).__name__), hint, field)
    if len(secret.reveal()) > _MAX_LENGTH:
        raise _unfit(_("The password is longer than {limit} characters.").format(limit=_MAX_LENGTH), hint, field)
    host = settings.account.host
    secret = secret.shown_to(lambda password: Secret(presets.tidy_password(host, password)))
    if not secret:
        raise _unfit(_("The password is empty."), hint, field)
    if settings.keeps_key:
        check_key(settings, secret, hint=hint)
    if control := secret.shown_to(first_control):
        raise _unfit(_("The password contains the invisible character {code}.").format(code=control), hint, field)
    if secret.shown_to(lambda password: password.endswith(("\u00a0", "\u2007", "\u202f"))):
        sentence = _("The password ends with a no-break space (U+00A0), as happens when it is copied from a web page.")
        raise _unfit(sentence, hint or _("Type the password again, without that space."), field)
    return secret


def check_key(settings: Settings, secret: Secret, *, hint: str = "") -> None:
    """Raise `CredentialError` for a key or token with a character that none has, and no header of HTTP can carry.

    Such a character comes along when a key is copied from a web page or a word processor. `settings` are those it is
    for, `secret` is the key, `hint` what the error says to do.

    >>> docmail.credentials.check_key(work, docmail.credentials.Secret("key-0123456789"))
    """
    if found := secret.shown_to(first_strange):
        place, character = found
        name = f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
        if character.isprintable():
            sentence = _("Character {place} of the key is one that no key contains: {name}.")
        else:
            sentence = _("Character {place} of the key is invisible: {name}.")
        hint = hint or _("Copy the key again from the page on which it was made.")
        raise _unfit(sentence.format(place=place, name=name), hint, settings.secret_field)


def first_strange(key: str) -> tuple[int, str] | None:
    """Return the first character that no key or token has, after its place (from 1).

    >>> docmail.credentials.first_strange("naïve")
    (3, 'ï')
    """
    # RFC 6749 (appendix A) gives tokens no others; a header of HTTP takes some more, which no service puts into keys.
    found = re.search(r"[^ -~]", key)
    return (found.start() + 1, found[0]) if found else None


def _unfit(sentence: str, hint: str = "", field: Field = Field.PASSWORD) -> CredentialError:
    return CredentialError(sentence, hint=hint or _("Type the password again."), guide=Guide.PASSWORDS, field=field)
