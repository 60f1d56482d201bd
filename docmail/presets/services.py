"""Knows the mail services that take mail over HTTP: where, how one signs in there, and what they take at most.

The facts are data (`services.toml`, dated). `HttpServer.api` names one of them; "form" is the protocol of accounting
programs, which has no service behind it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

FORM = "form"


@dataclass(frozen=True)
class Service:
    """One mail service; `checked` is the day of its facts, and all fields are explained at the top of `services.toml`.

    >>> docmail.presets.services.by_api("postmark").host
    'api.postmarkapp.com'
    """

    api: str
    name: str
    host: str
    path: str
    guide: str
    header: str
    checked: date
    scheme: str = ""
    username: str = ""
    max_bytes: int | None = None
    one_request: int | None = None
    upload_domains: tuple[str, ...] = ()
    max_recipients: int | None = None
    sign_in: Literal["password", "microsoft", "google"] = "password"
    drafts: str = ""
    pictures: bool = True

    def takes_pieces_at(self, host: str) -> bool:
        """Whether the service may name this host as the place for the pieces of a large mail.

        >>> docmail.presets.services.by_api("graph").takes_pieces_at("upload.example.com")
        False
        """
        return any(host == domain or host.endswith(f".{domain}") for domain in self.upload_domains)

    @property
    def has_mailbox(self) -> bool:
        """Whether it sends out of a mailbox, into which a token lets one for an hour, and not with a key."""
        return not self.username


_TEXT = resources.files("docmail.presets").joinpath("services.toml").read_text(encoding="utf-8")

SERVICES = tuple(
    Service(**{**table, "upload_domains": tuple(table.get("upload_domains", ()))})
    for table in tomllib.loads(_TEXT)["service"]
)

MAILGUN_REGIONS = {"us": "api.mailgun.net", "eu": "api.eu.mailgun.net"}

_BY_API = {service.api: service for service in SERVICES}


def by_api(api: str) -> Service | None:
    """Return the service of this name; None for "form" and for unknown names."""
    return _BY_API.get(api)


def names() -> Iterator[str]:
    """Yield what `HttpServer.api` may be."""
    yield FORM
    yield from _BY_API


def full_url(api: str, url: str) -> str:
    """Return where mail is posted to: with the scheme, and for a service with what of host and path is left out.

    At Mailgun the path holds the domain that sends (`api.mailgun.net/v3/mg.example.com`), so it is never left out.
    """
    service = _BY_API.get(api)
    if service is None:
        return url if "://" in url else f"https://{url}"
    full = url or service.host
    full = full if "://" in full else f"https://{full}"
    try:
        path = urlsplit(full).path
    except ValueError:
        return full  # for `Settings.problems()` to name
    if api == "mailgun":
        return full if path.endswith(service.path) else full.rstrip("/") + service.path
    return full if path.strip("/") else full.rstrip("/") + service.path
