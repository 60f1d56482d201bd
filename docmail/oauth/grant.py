"""What a sign-in brings: a token for the next hour, one to renew it with, and who it was that signed in."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docmail.credentials import first_strange
from docmail.oauth import microsoft_replies
from docmail.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from docmail.errors import SendError
    from docmail.settings import Settings

_EARLY_SECONDS = 300.0
"""A token is renewed so long before it ends: a large mail may take its time, and clocks differ."""


@dataclass(frozen=True)
class Grant:
    """One sign-in; `ends` is this computer's monotonic time."""

    access: Secret
    refresh: Secret | None
    ends: float
    username: str

    @property
    def is_fresh(self) -> bool:
        """Whether the token still lets one in for a while."""
        return time.monotonic() < self.ends - _EARLY_SECONDS


def grant_of(answer: Mapping[str, Any], failure: Callable[[str, str], SendError] = microsoft_replies.failure) -> Grant:
    """Return what stands in the answer of a token endpoint; raises `SendError` for a refusal, in words."""
    if "access_token" not in answer:
        raise failure(str(answer.get("error", "")), str(answer.get("error_description", "")))
    access, refresh = (Secret(str(answer.get(name) or "")) for name in ("access_token", "refresh_token"))
    if access.shown_to(first_strange) or refresh.shown_to(first_strange):
        raise microsoft_replies.unusable_token()
    # The lifetime counts from now by this computer's own clock, however wrong that is.
    ends = time.monotonic() + _seconds(answer.get("expires_in"))
    claims = answer.get("id_token_claims") or _claims(str(answer.get("id_token", "")))
    username = claims.get("preferred_username") or claims.get("upn") or claims.get("email") or ""
    return Grant(access, refresh or None, ends, str(username))


def checked(grant: Grant, settings: Settings) -> Grant:
    """Return a sign-in that is of the right account and lasts; raises `SendError` otherwise."""
    if grant.username and grant.username.casefold() != settings.account.username.casefold():
        raise microsoft_replies.wrong_account(settings, grant.username)
    if grant.refresh is None:
        raise microsoft_replies.no_renewal(settings)
    return grant


def _seconds(lifetime: Any) -> float:
    try:
        return float(lifetime)
    except (TypeError, ValueError):
        return 3600.0  # not said, or not in a number: what is usual


def _claims(id_token: str) -> dict[str, Any]:
    """Read who signed in; it came from the provider over TLS, so no signature is verified (OpenID Connect 3.1.3.7)."""
    try:
        payload = id_token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}
