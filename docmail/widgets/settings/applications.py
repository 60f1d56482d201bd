"""Which applications somebody has registered for docmail at Microsoft or Google, as far as docmail knows.

Where one is known, signing in is the way that the form begins with, and nobody is asked for its ID.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail import presets
from docmail.errors import DocmailError
from docmail.settings import Settings, SignIn, profiles

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Application:
    """The ID that was registered, and at Microsoft the organisation (its domain or ID; empty: any account)."""

    client_id: str
    tenant: str = ""


def known_application(way: SignIn, address: str) -> Application | None:
    """Return the application with which this address signs in at Microsoft or Google; None if none is known.

    An organisation registers its own, so that of another domain does not count.
    """
    if way is SignIn.PASSWORD:
        return None
    organisation = presets.current_organisation()
    provider = organisation.provider_of(address)
    theirs = provider.application if provider and provider.sign_in == way else organisation.application(way)
    if theirs.client_id:
        return Application(theirs.client_id, theirs.tenant)
    return next((application for of, application in _saved(way) if of == _domain(address)), None)


def _saved(way: SignIn) -> Iterator[tuple[str, Application]]:
    """Yield the domain of each saved account that signs in this way, with its application."""
    try:
        saved = [Settings.load(name) for name in profiles()]
    except DocmailError:
        return  # the form says so itself when it opens
    for server in (settings.server for settings in saved):
        if server.sign_in is way and server.client_id and not server.authority:  # an authority is that of a sandbox
            yield _domain(server.username), Application(server.client_id, server.tenant)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].strip().casefold()
