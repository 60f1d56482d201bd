"""Finds the DMARC policy that holds for a domain (RFC 9989, which has followed RFC 7489 in May 2026).

Which domains belong together is found as the RFC does, by a walk up the names, and not by a list of public suffixes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.diagnosis.records import LookUps

VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(;|$)")
_LOOKS_LIKE_ONE = re.compile(r"[\s\"']*v\s*=\s*DMARC1(?!\d)", re.IGNORECASE)
POLICIES = ("none", "quarantine", "reject")
_MOST = 8  # names in a walk (RFC 9989 4.10)


@dataclass(frozen=True)
class Policy:
    """What other servers are asked to do with mails that fail: "none", "quarantine" or "reject".

    `owner` is the domain whose `record` it is, `organisation` the domain up to which names belong together, and `share`
    the percentage of mails that the older RFC lets an owner choose. `wrong` is what nobody can read in the record, and
    one that is not `readable` counts for nothing.
    """

    owner: str
    record: str
    requested: str
    organisation: str
    share: int = 100
    strict_dkim: bool = False
    wrong: str = ""
    readable: bool = True


@dataclass(frozen=True)
class Several:
    """A domain has several DMARC records, and so none that counts."""

    owner: str
    records: tuple[str, ...]


def policy_of(look_ups: LookUps, domain: str) -> Policy | Several | None:
    """Return the policy for a domain in the sender's address; None if there is none. Raises `NotLookedUp`."""
    found: list[tuple[str, str]] = []
    organisation = ""
    several: Several | None = None
    for name in _walk(domain):
        texts = look_ups.of(f"_dmarc.{name}", "TXT").values
        records = sorted(text for text in texts if VERSION.match(text))
        if len(records) > 1:
            several = several or Several(name, tuple(records))
            if name == domain:
                return several
            continue
        if not records:
            if name == domain and (spoilt := next((text for text in texts if _LOOKS_LIKE_ONE.match(text)), "")):
                return Policy(name, spoilt, "none", name, readable=False)
            continue
        boundary = tags_of(records[0]).get("psd", "u").lower()
        if boundary == "y" and name != domain:  # a registry's own record: it says where one organisation ends
            organisation = organisation or _below(domain, name)
            found.append((name, records[0]))
            break
        found.append((name, records[0]))
        organisation = name
        if boundary == "n":
            break
    if not found:
        return several
    owner, record = (
        found[0] if found[0][0] == domain else next((each for each in found if each[0] == organisation), found[-1])
    )
    return _policy(domain, owner, record, organisation or domain)


def _walk(domain: str) -> Iterator[str]:
    """Yield the names at which a record is looked for: the domain, then those above it."""
    labels = domain.split(".")
    yield domain
    above = labels[1:] if len(labels) <= _MOST else labels[-(_MOST - 1) :]
    for number in range(len(above)):
        yield ".".join(above[number:])


def _below(domain: str, suffix: str) -> str:
    """Return the name one label below a suffix, on the way to a domain."""
    return ".".join(domain.split(".")[-(suffix.count(".") + 2) :])


def tags_of(record: str) -> dict[str, str]:
    """Return what a record says, by its tags."""
    pairs = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, equals, value in pairs if equals}


def _policy(domain: str, owner: str, record: str, organisation: str) -> Policy:
    tags = tags_of(record)
    requested = (tags.get("p", "none") if owner == domain else tags.get("sp", tags.get("p", "none"))).lower()
    wrong = "" if requested in POLICIES else requested
    share = tags.get("pct", "100")
    return Policy(
        owner,
        record,
        requested if not wrong else "none",  # RFC 9989 4.7
        organisation,
        min(int(share), 100) if share.isascii() and share.isdigit() else 100,
        tags.get("adkim", "r").lower() == "s",
        wrong,
        "p" in tags or "rua" in tags,  # RFC 9989 4.7
    )
