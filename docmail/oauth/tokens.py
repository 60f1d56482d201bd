"""Signs in at Microsoft or Google in a browser instead of with a password (OAuth 2.0), and keeps the sign-in alive.

What lasts, the refresh token, is the credential of the account (`docmail.credentials`) and is stored nowhere else. What
is made of it, the access token, lasts for about an hour and stays in this process. Both are `Secret`s from the moment
they arrive.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from docmail import credentials
from docmail.errors import DocmailError, Kind, Phase
from docmail.files import make_folder
from docmail.settings import SignIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.credentials import Where
    from docmail.oauth.grant import Grant
    from docmail.secret import Secret
    from docmail.settings import Account, Settings

__all__ = ["Tokens", "keep", "sign_out", "tokens_of"]

SignedOut = Literal["everywhere", "here", "here, by a failure"]
"""Where a sign-in is over: Microsoft ends none at a program's wish, and Google may be out of reach."""

_LOCK_SECONDS = 60.0  # a renewal has 20; several kernels may stand in the queue

_kept: dict[tuple[Account, bool], Grant] = {}  # by the account, and whether it is for the mailbox
_lock = threading.Lock()
_renewing = threading.Lock()


class Tokens:
    """The access tokens of one account: each is kept for its time, and renewed before it ends.

    At Microsoft those that open the mailbox (IMAP) are others than those for sending, of the same sign-in.
    """

    def __init__(self, settings: Settings, *, for_mailbox: bool = False) -> None:
        self._settings = settings
        self._for_mailbox = for_mailbox

    @property
    def for_application(self) -> bool:
        """Whether an application signs in for itself, from the environment, with no person there."""
        from docmail.oauth import client_credentials

        return client_credentials.is_meant(self._settings)

    def current(self) -> Secret:
        """Return a token that lets one in now.

        Raises `CredentialError` if nobody has signed in, and `SendError` if the sign-in is over, or cannot be renewed.
        """
        grant = self._known()
        return grant.access if grant and grant.is_fresh else self.renewed()

    def renewed(self) -> Secret:
        """Return a new token, whatever the old one is worth; once after a server has refused that."""
        before = self._known()
        with _alone(self._settings):
            # Meanwhile another thread may have renewed it; its token is as good as one of our own.
            grant = self._known()
            if grant is None or grant is before or not grant.is_fresh:
                grant = self._renew()
                _remember(self._settings, grant, for_mailbox=self._for_mailbox)
        return grant.access

    def _known(self) -> Grant | None:
        with _lock:
            return _kept.get((self._settings.account, self._for_mailbox))

    def _renew(self) -> Grant:
        settings = self._settings
        if self.for_application:
            from docmail.oauth import client_credentials

            return client_credentials.grant(settings, for_mailbox=self._for_mailbox)
        refresh, place = credentials.get(settings), credentials.where(settings)
        assert refresh is not None  # noqa: S101 - an account that signs in like this has a name
        grant: Grant = _provider(settings).renew(settings, refresh, for_mailbox=self._for_mailbox)
        if grant.refresh is not None and place is not None:
            # Microsoft hands out a new one each time, and lets the old one run out.
            credentials.set(settings, grant.refresh, remember=place == "keyring")
        return grant


def tokens_of(settings: Settings, *, for_mailbox: bool = False) -> Tokens:
    """Return the tokens of an account, for sending or for its mailbox; sends no request.

    Raises `CredentialError` if nobody has signed in.
    """
    tokens = Tokens(settings, for_mailbox=for_mailbox)
    if not tokens.for_application:
        credentials.get(settings)
    return tokens


def keep(settings: Settings, grant: Grant) -> Where:
    """Keep what a sign-in has brought, and say where it is kept."""
    assert grant.refresh is not None  # noqa: S101 - a sign-in without one is an error, said by the provider's module
    with _alone(settings):
        _remember(settings, grant)
        return credentials.set(settings, grant.refresh)


def sign_out(settings: Settings) -> SignedOut:
    """Forget the sign-in on this computer, whatever else fails, and end it at Google; say where it is over.

    Microsoft has no way to let one sign-in be worth nothing: that is done on the pages of the account.
    """
    with _alone(settings):  # a renewal that is under way in another kernel would store it again
        with _lock:
            for for_mailbox in (False, True):
                _kept.pop((settings.account, for_mailbox), None)
        try:
            refresh = credentials.get(settings)
        except DocmailError:
            refresh = None
        credentials.forget(settings)
    if settings.server.sign_in is not SignIn.GOOGLE:
        return "here"
    if refresh is not None:
        from docmail.oauth import google

        try:
            google.revoke(settings, refresh)
        except DocmailError:
            return "here, by a failure"
    return "everywhere"


def _provider(settings: Settings) -> Any:
    """Return the module that speaks to the sign-in server of these settings."""
    if settings.server.sign_in is SignIn.GOOGLE:
        from docmail.oauth import google

        return google
    from docmail.oauth import microsoft

    return microsoft


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Let one kernel at a time read, renew and store: a renewal with a token that was replaced ends the sign-in."""
    place = settings.kept_in
    with _renewing:
        if place.rehearsal:  # its sign-ins last for this session, and its folder may be gone
            yield
            return
        with _locked(place.settings_file.with_name("sign-in.lock")):
            yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock that this user's kernels share."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=_LOCK_SECONDS, mode=0o600)
    try:
        make_folder(path.parent)
        lock.acquire()
    except Timeout:
        raise _busy() from None
    except OSError:  # a disk on which nothing can be written; the sign-in may be in the keyring all the same
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _busy() -> DocmailError:
    from docmail.errors import Deferred
    from docmail.language import _

    return Deferred(
        _("Another kernel has been renewing this sign-in for too long."),
        kind=Kind.TEMPORARY,
        phase=Phase.CREDENTIAL,
        hint=_("Try again in a few minutes."),
    )


def _remember(settings: Settings, grant: Grant, *, for_mailbox: bool = False) -> None:
    with _lock:
        _kept[settings.account, for_mailbox] = grant
