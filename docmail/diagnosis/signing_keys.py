"""Looks at the key with which a domain's mails are signed (DKIM, RFC 6376), under the name that a provider gives it."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docmail.diagnosis.records import LookUps

SHORTEST = 1024  # bits; RFC 8301 3.2: what is shorter proves nothing
ADVISED = 2048
_ED25519 = 32  # octets


class KeyState(StrEnum):
    """How a key stands in the DNS."""

    GOOD = "good"
    ABSENT = "absent"
    DANGLING = "dangling"
    """A CNAME record leads to a name that has no key."""
    REVOKED = "revoked"
    SHORT = "short"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class SigningKey:
    """The key under one selector: its state, its `bits` (RSA), and the name that a CNAME record leads to."""

    selector: str
    name: str
    state: KeyState
    bits: int = 0
    alias: str = ""


def signing_key(look_ups: LookUps, domain: str, selector: str) -> SigningKey:
    """Return what stands under a selector of a domain; raises `NotLookedUp`."""
    name = f"{selector}._domainkey.{domain}"
    found = look_ups.of(name, "TXT")
    # A wildcard record of the domain answers here as well, with something that is no key.
    keys = [tags for text in found.values if (tags := _tags(text)) and "p" in tags]
    if not keys:
        return SigningKey(selector, name, KeyState.DANGLING if found.alias else KeyState.ABSENT, alias=found.alias)
    if len(keys) > 1:  # RFC 6376 3.6.2.2: then anything may happen
        return SigningKey(selector, name, KeyState.DAMAGED, alias=found.alias)
    state, bits = _judge(keys[0])
    return SigningKey(selector, name, state, bits, found.alias)


def has_none(look_ups: LookUps, domain: str) -> bool:
    """Say whether a domain has no key at all, under any name (RFC 8020); raises `NotLookedUp`."""
    return not look_ups.of(f"_domainkey.{domain}", "TXT").exists


def _tags(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): re.sub(r"\s", "", value) for name, equals, value in pairs if equals}


def _is_for_mail(tags: dict[str, str]) -> bool:
    """Say whether a key is one for mails as they are signed today (RFC 6376 3.6.1, RFC 8301)."""
    hashes, services = (set(tags.get(name, "").lower().split(":")) - {""} for name in ("h", "s"))
    return (
        tags.get("v", "DKIM1") == "DKIM1"
        and (not hashes or "sha256" in hashes)
        and (not services or not services.isdisjoint({"*", "email"}))
    )


def _judge(tags: dict[str, str]) -> tuple[KeyState, int]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if not tags["p"]:
        return KeyState.REVOKED, 0
    if not _is_for_mail(tags):
        return KeyState.DAMAGED, 0
    try:
        content = base64.b64decode(tags["p"], validate=True)
        if tags.get("k", "rsa").lower() == "ed25519":
            return (KeyState.GOOD if len(content) == _ED25519 else KeyState.DAMAGED), 0
        key = load_der_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        return KeyState.DAMAGED, 0
    if not isinstance(key, RSAPublicKey):
        return KeyState.DAMAGED, 0
    return (KeyState.SHORT if key.key_size < SHORTEST else KeyState.GOOD), key.key_size
