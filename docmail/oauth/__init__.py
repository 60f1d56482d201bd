"""Signs in at Microsoft in a browser instead of with a password (OAuth 2.0), and keeps the sign-in alive.

What lasts, the refresh token, is the credential of the account (`docmail.credentials`) and is stored nowhere else. What
is made of it, the access token, lasts for about an hour and stays in this process. Both are `Secret`s from the moment
they arrive.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from docmail import credentials

if TYPE_CHECKING:
    from docmail.credentials import Account, Secret, Where
    from docmail.oauth.grant import Grant
    from docmail.settings import Settings

__all__ = ["Tokens", "keep", "sign_out", "tokens_of"]

_kept: dict[Account, Grant] = {}
_lock = threading.Lock()


class Tokens:
    """The access tokens of one account: each is kept for its time, and renewed before it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def for_application(self) -> bool:
        """Whether an application signs in for itself, from the environment, with no person there."""
        from docmail.oauth import application

        return application.is_meant(self._settings)

    def current(self) -> Secret:
        """Return a token that lets one in now.

        Raises `CredentialError` if nobody has signed in, and `SendError` if the sign-in is over, or cannot be renewed.
        """
        with _lock:
            grant = _kept.get(self._settings.account)
        return grant.access if grant and grant.is_fresh else self.renewed()

    def renewed(self) -> Secret:
        """Return a new token, whatever the old one is worth; once after a server has refused that."""
        settings = self._settings
        if self.for_application:
            from docmail.oauth import application

            grant = application.grant(settings)
        else:
            from docmail.oauth import microsoft

            refresh = credentials.get(settings)
            assert refresh is not None  # noqa: S101 - an account that signs in like this has a name
            grant = microsoft.renew(settings, refresh)
        if grant.refresh is not None and credentials.where(settings) is not None:
            # Microsoft hands out a new one each time, and lets the old one run out.
            credentials.set(settings, grant.refresh, remember=credentials.where(settings) == "keyring")
        _remember(settings, grant)
        return grant.access


def tokens_of(settings: Settings) -> Tokens:
    """Return the tokens of an account; raises `CredentialError` if nobody has signed in. Asks no server."""
    tokens = Tokens(settings)
    if not tokens.for_application:
        credentials.get(settings)
    return tokens


def keep(settings: Settings, grant: Grant) -> Where:
    """Keep what a sign-in has brought, and say where it is kept."""
    _remember(settings, grant)
    assert grant.refresh is not None  # noqa: S101 - a sign-in without one is an error, said by the provider's module
    return credentials.set(settings, grant.refresh)


def sign_out(settings: Settings) -> None:
    """Forget the sign-in on this computer.

    Microsoft has no way to let one sign-in be worth nothing: that is done on the pages of the account.
    """
    with _lock:
        _kept.pop(settings.account, None)
    credentials.forget(settings)


def _remember(settings: Settings, grant: Grant) -> None:
    with _lock:
        _kept[settings.account] = grant
