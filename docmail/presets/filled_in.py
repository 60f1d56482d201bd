"""Knows the names of servers that docmail fills in by itself: nobody is sent to look for a typing error in them."""

from __future__ import annotations

from docmail.language import _
from docmail.presets import catalogue, services

__all__ = ["owner_of", "take_note"]

_SIGN_IN = {
    "login.microsoftonline.com": "Microsoft",
    "accounts.google.com": "Google",
    "oauth2.googleapis.com": "Google",
}

_found: dict[str, str] = {}


def take_note(host: str, domain: str) -> None:
    """Remember, as long as this process lives, a server that a search has found for a domain."""
    _found[host.lower()] = domain


def owner_of(host: str) -> str | None:
    """Return whose server has this name, if docmail knows it letter by letter; None for what a person has typed."""
    host = host.lower()
    # A pattern such as *.gmail.com fits names with a typing error as well.
    preset = catalogue.by_host(host)
    if preset and host in {*(server.host for server in preset.servers), *preset.hosts}:
        return _(preset.name)
    service = next((each for each in services.SERVICES if each.host == host), None)
    if service is None and host in services.MAILGUN_REGIONS.values():
        service = services.by_api("mailgun")
    return service.name if service else _SIGN_IN.get(host) or _found.get(host)
