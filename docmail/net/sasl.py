"""What the mechanisms of SASL (RFC 4422) send, whatever protocol carries it; no function connects to anything."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from docmail.replies import clean

if TYPE_CHECKING:
    from docmail.secret import Secret

OAUTHBEARER_END = b"\1"
"""What ends a failed OAUTHBEARER (RFC 7628 3.2.3); XOAUTH2 ends with nothing."""


def plain(username: str, password: Secret) -> bytes:
    """Return the response of PLAIN (RFC 4616)."""
    return f"\0{username}\0".encode() + password.octets()


def xoauth2(username: str, token: Secret) -> bytes:
    """Return the response of XOAUTH2, as Microsoft and Google describe it."""
    return f"user={username}\1auth=Bearer {token.reveal()}\1\1".encode()


def oauthbearer(username: str, token: Secret, host: str, port: int) -> bytes:
    """Return the response of OAUTHBEARER (RFC 7628)."""
    name = username.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 4
    return f"n,a={name},\1host={host}\1port={port}\1auth=Bearer {token.reveal()}\1\1".encode()


def reason_of_refusal(challenge: str, token: Secret) -> str:
    """Return what the challenge (base64) that refuses a token says: a status, and the scope that the server wants."""
    try:
        content = json.loads(base64.b64decode(challenge + "=" * (-len(challenge) % 4)))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(content, dict):
        return ""
    found = [f"{name} {content[name]}" for name in ("status", "scope") if isinstance(content.get(name), (str, int))]
    return clean(", ".join(found), token)[:300]
