"""What docmail knows about a provider, those of `presets.toml`, and which of some providers has a name.

The catalogue and the organisation's file both need it: the one lists the other's providers first.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

_LABEL = r"[a-z0-9_-]+"
# yahoo.co.uk is Yahoo's, yahoo.example.com is anybody's: a final "*" is a public suffix, not "the rest".
_SUFFIX = r"(?:com|[a-z]{2}|(?:com|co)\.[a-z]{2})"


@dataclass(frozen=True)
class Server:
    """One way to reach a provider."""

    host: str
    port: int
    security: Literal["tls", "starttls"]

    @property
    def complete(self) -> bool:
        """Whether the host can be used as it is (False: the user replaces its word in capitals, REGION)."""
        return self.host == self.host.lower()


@dataclass(frozen=True)
class Limits:
    """What a provider takes at most (None: not known); `approximate` names those to be shown with "about".

    A day is any 24 hours. A recipient counts once for each mail, the archive copy as well; of `different_per_day`, once
    in all.
    """

    per_minute: int | None = None
    """Mails."""
    per_day: int | None = None
    """Mails."""
    recipients_per_day: int | None = None
    external_per_day: int | None = None
    """Recipients outside the sender's own domain."""
    different_per_day: int | None = None
    """Different recipients."""
    message_bytes: int | None = None
    approximate: tuple[str, ...] = ()


FACTS = ("imap_host", "imap_port", "files_sent", "imap_scopes", "dkim_selectors", "spf_include", "sources")
"""What is known of a provider for the time after sending."""


@dataclass(frozen=True)
class Source:
    """Where a fact was read, and when."""

    url: str
    checked: date


@dataclass(frozen=True)
class Preset:
    """What docmail knows about one provider: its `id` and `name`, and the facts that were `checked` on a day.

    All fields are explained at the top of `presets.toml`.

    >>> gmail = docmail.presets.by_name("Gmail")
    >>> gmail.servers[0].host, gmail.password
    ('smtp.gmail.com', 'app-password')
    """

    id: str
    name: str
    checked: date
    servers: tuple[Server, ...]
    guide: str
    username: str
    password: Literal["app-password", "account", "api-key", "bridge", "oauth"]
    password_hint: str
    established: bool
    sign_in: Literal["password", "microsoft", "google"] = "password"
    protocol: Literal["smtp", "http"] = "smtp"
    service: str | None = None
    notice: str = ""
    remedy: str = ""
    password_note: str = ""
    password_form: str | None = None
    domains: tuple[str, ...] = ()
    not_domains: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    limits: Limits = Limits()
    domain_limits: tuple[tuple[str, Limits], ...] = ()
    imap_host: str = ""
    imap_port: int = 993
    imap_ca_file: str | None = None
    """The certification authority of an organisation's own server."""
    files_sent: bool | None = None
    """Whether the provider files what it sends in the Sent folder by itself; None: not known."""
    imap_scopes: tuple[str, ...] = ()
    dkim_selectors: tuple[str, ...] = ()
    spf_include: str = ""
    sources: tuple[tuple[str, Source], ...] = ()
    """Where each of these facts was read."""
    text: str = ""
    """An organisation's own guide, in Markdown."""
    organisation: bool = False
    """Whether the organisation's file fixes it (`docmail.presets.organisation`)."""

    def limits_of(self, address: str) -> Limits:
        """Return the limits for a sending address: those of its domain, if the provider has some of its own for it.

        >>> docmail.presets.by_name("Gmail").limits_of("ann@example.com").per_day
        500
        """
        domain = clean(address.rpartition("@")[2])
        return next(
            (limits for pattern, limits in self.domain_limits if _regex(pattern).fullmatch(domain)), self.limits
        )


@cache
def built_in() -> tuple[Preset, ...]:
    """Return the providers of `presets.toml`."""
    text = resources.files("docmail.presets").joinpath("presets.toml").read_text(encoding="utf-8")
    for entry in (entries := tomllib.loads(text)["preset"]):
        entry["servers"] = [Server(**server) for server in entry["servers"]]
        entry["limits"] = limits = Limits(**_frozen(entry["limits"]))
        facts = entry.pop("facts", {})
        entry |= {name: fact["value"] for name, fact in facts.items()}
        entry["sources"] = [(name, Source(fact["source"], fact["checked"])) for name, fact in facts.items()]
        for_domains = entry.get("domain_limits", {}).items()
        entry["domain_limits"] = [(domain, replace(limits, **_frozen(own))) for domain, own in for_domains]
    return tuple(Preset(**_frozen(entry)) for entry in entries)


def _frozen(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def of_address(address: str, among: Sequence[Preset]) -> Preset | None:
    """Return the one of these providers that has this email address, judged by its domain alone."""
    _local, at, domain = address.rpartition("@")
    preset = best(domain, lambda preset: preset.domains, among) if at else None
    return preset if preset and clean(domain) not in preset.not_domains else None


def best(name: str, patterns: Callable[[Preset], Iterable[str]], among: Sequence[Preset]) -> Preset | None:
    """Return the one of these providers that has the most exact pattern for a name."""
    # The longest pattern is the most exact (gmail-smtp-in.l.google.com, not *.google.com); of equals the first wins.
    pairs = ((pattern, preset) for preset in among for pattern in patterns(preset))
    found = [pair for pair in pairs if _regex(pair[0]).fullmatch(clean(name))]
    return max(found, key=lambda pair: len(pair[0]))[1] if found else None


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    if "." not in pattern:  # a name within the organisation
        return re.compile(re.escape(pattern))
    first, *middle, last = pattern.split(".")
    stars = [(first, rf"{_LABEL}(?:\.{_LABEL})*"), *((label, _LABEL) for label in middle), (last, _SUFFIX)]
    return re.compile(r"\.".join(star if label == "*" else re.escape(label) for label, star in stars))


def clean(host: str) -> str:
    """Return a host's or domain's name as patterns are compared with it."""
    return host.strip().lower().removesuffix(".")
