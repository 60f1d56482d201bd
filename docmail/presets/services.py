"""Knows the mail services that take mail over HTTP: where, how one signs in there, and what they take at most.

`HttpServer.api` names one of them; "form" is the protocol of accounting programs, which has no service behind it. The
facts change outside and were checked on 2026-11-23 or later; how each is spoken to stands in
`docmail.transport.http.apis`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

FORM = "form"

_MEGABYTE = 1_048_576


@dataclass(frozen=True)
class Service:
    """One mail service; `api` is its name in `HttpServer`, `name` the one that people know."""

    api: str
    name: str
    host: str
    path: str
    guide: str
    header: str
    """The header that carries the key."""
    scheme: str = ""
    """What stands before the key in it; "Basic" for a key that is the password of `username`."""
    username: str = ""
    """Whose key it is; empty where the account is a mailbox, whose address the settings name."""
    max_bytes: int | None = None
    """The largest request (None: not known)."""
    max_recipients: int | None = None
    sign_in: Literal["password", "microsoft", "google"] = "password"
    """With whom one signs in in the browser, if not with a key."""
    pictures: bool = True
    """Whether it takes pictures that stand in the text (cid:)."""
    checked: date = date(2026, 11, 23)

    @property
    def has_mailbox(self) -> bool:
        """Whether it sends out of a mailbox, into which a token lets one for an hour, and not with a key."""
        return not self.username


SERVICES = (
    Service(
        "graph",
        "Microsoft Graph",
        "graph.microsoft.com",
        "/v1.0/me/sendMail",
        "Microsoft Graph",
        "Authorization",
        "Bearer",
        max_bytes=4 * _MEGABYTE,
        max_recipients=500,
        sign_in="microsoft",
    ),
    Service(
        "gmail",
        "Gmail",
        "gmail.googleapis.com",
        "/gmail/v1/users/me/messages/send",
        "Gmail API",
        "Authorization",
        "Bearer",
        max_bytes=35 * _MEGABYTE,
        sign_in="google",
        checked=date(2026, 11, 25),
    ),
    Service(
        "mailgun",
        "Mailgun",
        "api.mailgun.net",
        "/messages.mime",
        "Mailgun API",
        "Authorization",
        "Basic",
        "api",
        max_bytes=25 * _MEGABYTE,
        max_recipients=1000,
    ),
    Service(
        "postmark",
        "Postmark",
        "api.postmarkapp.com",
        "/email",
        "Postmark API",
        "X-Postmark-Server-Token",
        username="server-token",
        max_bytes=10 * _MEGABYTE,
        max_recipients=50,
    ),
    Service(
        "resend",
        "Resend",
        "api.resend.com",
        "/emails",
        "Resend API",
        "Authorization",
        "Bearer",
        "resend",
        max_bytes=40 * _MEGABYTE,
        max_recipients=50,
    ),
    Service(
        "brevo",
        "Brevo",
        "api.brevo.com",
        "/v3/smtp/email",
        "Brevo API",
        "api-key",
        username="api-key",
        pictures=False,
    ),
    Service(
        "sendgrid",
        "SendGrid",
        "api.sendgrid.com",
        "/v3/mail/send",
        "SendGrid API",
        "Authorization",
        "Bearer",
        "apikey",
        max_bytes=30 * _MEGABYTE,
        max_recipients=1000,
    ),
)

MAILGUN_REGIONS = {"us": "api.mailgun.net", "eu": "api.eu.mailgun.net"}

_BY_API = {service.api: service for service in SERVICES}


def by_api(api: str) -> Service | None:
    """Return the service of this name; None for "form" and for what nobody knows."""
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
