"""What a sign-in brings: a token for the next hour, one to renew it with, and who signed in; or why it is refused."""

from __future__ import annotations

import base64
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docmail.credentials import first_strange
from docmail.errors import Field, Guide, Kind, Phase
from docmail.language import _
from docmail.replies import Meaning, clean, first_match, object_of, table
from docmail.reply import Reply
from docmail.secret import Secret
from docmail.settings import SignIn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docmail.errors import SendError
    from docmail.settings import Settings

_EARLY_SECONDS = 300.0
"""A token is renewed so long before it ends: a large mail may take its time, and clocks differ."""

_YEAR = 366 * 86400.0
"""No token lasts longer, whatever the server says."""

_SHOWN = 500  # characters of a reply text


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


def grant_of(response: Mapping[str, Any], failure: Callable[[str, str], SendError]) -> Grant:
    """Return what a token endpoint grants; raises `SendError` for a refusal, in words."""
    if "access_token" not in response:
        raise failure(_text(response.get("error")), _text(response.get("error_description")))
    access, refresh = (Secret(_text(response.get(name))) for name in ("access_token", "refresh_token"))
    if not access or access.shown_to(first_strange) or refresh.shown_to(first_strange):
        raise Meaning(  # no header of HTTP could carry it
            Kind.AUTH,
            _("The sign-in server answered with a token that docmail cannot use."),
            _(
                "Sign in again; if it happens again, ask your network's administrator whether something "
                "alters the server's answers."
            ),
            Field.SIGN_IN,
            Guide.PASSWORDS,
        ).error(Phase.CREDENTIAL)
    # The lifetime counts from now by this computer's own clock, however wrong that is.
    ends = time.monotonic() + seconds_of_life(response.get("expires_in"), 3600.0)
    claims = response.get("id_token_claims")
    claims = claims if isinstance(claims, dict) else _claims(_text(response.get("id_token")))
    names = (_text(claims.get(name)) for name in ("preferred_username", "upn", "email"))
    return Grant(access, refresh or None, ends, next(filter(None, names), ""))


def checked(grant: Grant, settings: Settings) -> Grant:
    """Return a sign-in that is of the right account and lasts; raises `SendError` otherwise."""
    guide = Guide.GMAIL if settings.server.sign_in is SignIn.GOOGLE else Guide.MICROSOFT_365
    wanted = settings.account.username
    if grant.username and grant.username.casefold() != wanted.casefold():
        found = clean(grant.username)[:200]
        raise Meaning(
            Kind.AUTH,
            _("You signed in as {found}, but these settings are for {wanted}.").format(found=found, wanted=wanted),
            _("Sign in again as {wanted}, or change Username.").format(wanted=wanted),
            Field.USERNAME,
            guide,
        ).error(Phase.CREDENTIAL)
    if grant.refresh is None:
        raise Meaning(
            Kind.CONFIG,
            _("The sign-in would end after an hour: the permission to renew it (offline_access) is missing."),
            _("Allow the application “offline access”, and sign in again."),
            Field.CLIENT_ID,
            guide,
        ).error(Phase.CREDENTIAL)
    return grant


def refusal(guide: Guide, tables: Sequence[str], error: str, description: str) -> SendError:
    """Return the error for a refusal of a sign-in server; the last reply of the last table fits every refusal."""
    known = [each for name in tables for each in table(name)]
    text = clean(f"{error}: {description}" if description else error)
    meaning = first_match(known, text, guide=guide) or known[-1].meaning(guide)
    return meaning.error(Phase.CREDENTIAL, Reply(0, "", text[:_SHOWN]) if text else None)


def seconds_of_life(lifetime: Any, usual: float) -> float:
    """Return how long something holds that a server made; `usual` where it says nothing, or nothing that can be."""
    try:
        seconds = float(lifetime)
    except (TypeError, ValueError, OverflowError):
        return usual
    return min(seconds, _YEAR) if math.isfinite(seconds) else usual


def _text(value: Any) -> str:
    """Return a value of a server's JSON that should be a text; a number as text, and nothing for anything else."""
    return value if isinstance(value, str) else str(value) if type(value) is int else ""


def _claims(id_token: str) -> dict[str, Any]:
    """Read who signed in; it came from the provider over TLS, so no signature is verified (OpenID Connect 3.1.3.7)."""
    try:
        payload = id_token.split(".")[1]
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    except (ValueError, IndexError):
        return {}
    return object_of(text)
