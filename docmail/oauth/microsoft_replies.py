"""What Microsoft's sign-in server refuses, in words: who has to do what, and where.

Its numbers (AADSTS…) tell its refusals apart. Checked 2026-11-23. Google's are in `google_replies`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail.errors import TREATMENT, Kind, SendError
from docmail.language import _
from docmail.replies import clean
from docmail.reply import Reply
from docmail.settings import SignIn

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.settings import Settings


@dataclass(frozen=True)
class Known:
    """A refusal that is known: an expression for "error: description", and what it means."""

    words: str
    say: Callable[[], tuple[str, str]]
    field: str | None = "sign_in"
    kind: Kind = Kind.AUTH


KNOWN: tuple[Known, ...] = (
    Known(
        r"authorization_declined|access_denied(?!.*AADSTS)|AADSTS65004",
        lambda: (_("The sign-in was declined in the browser."), _("Sign in again, and agree when you are asked.")),
    ),
    Known(
        r"expired_token|code_expired|AADSTS70020|AADSTS70019",
        lambda: (
            _("The time for entering the code was over."),
            _("Sign in again: there is a new code, and a quarter of an hour to enter it."),
        ),
    ),
    Known(
        r"AADSTS(65001|90094|90095|900941)|consent_required|admin_policy_enforced|AADSTS90008",
        lambda: (
            _("An administrator of your organisation has to agree before this application may send mail for you."),
            _("Ask your administrator to grant the application consent for sending mail; the guide has the words."),
        ),
    ),
    Known(
        r"AADSTS(530036|530035|50199)|device code flow.*block|authentication flow.*block",
        lambda: (
            _("Your organisation does not allow signing in with a code."),
            _("Ask your administrator to allow the device code flow for this application."),
        ),
    ),
    Known(
        r"AADSTS(53000|53001|53002|53003|53004|50005|50097|50131|50158|5000011)\b|conditional access",
        lambda: (
            _("A rule of your organisation (conditional access) stands against signing in from here."),
            _("Ask your administrator which devices and networks are allowed, or whether this application can be."),
        ),
    ),
    Known(
        r"AADSTS(50105|50177)\b",
        lambda: (
            _("Your organisation has not assigned this application to you."),
            _("Ask your administrator to assign you to it under Enterprise applications, Users and groups."),
        ),
    ),
    Known(
        r"AADSTS(50020|50034|51004|16000)\b",
        lambda: (
            _("This account does not belong to the organisation in which the application was registered."),
            _("Check the organisation (tenant), or sign in with an account of that organisation."),
        ),
        "tenant",
    ),
    Known(
        r"AADSTS(90002|900023|90023)\b|tenant.*not found",
        lambda: (
            _("Microsoft does not know this organisation."),
            _("Check the organisation (tenant): a domain or ID."),
        ),
        "tenant",
        Kind.CONFIG,
    ),
    Known(
        r"AADSTS(700016|70001|700054|90013)\b|invalid_client(?!.*(secret|AADSTS))|unauthorized_client(?!.*AADSTS)",
        lambda: (
            _("The application with this ID is not known there, or may not sign in like this."),
            _("Check the application's ID: it stands on its overview page."),
        ),
        "client_id",
        Kind.CONFIG,
    ),
    Known(
        r"AADSTS(7000218|70002)\b",
        lambda: (
            _("The application is not registered as one that runs on people's own computers."),
            _("Under Authentication of the application, set “Allow public client flows” to Yes."),
        ),
        "client_id",
        Kind.CONFIG,
    ),
    Known(
        r"AADSTS(7000215|7000222)\b|invalid_client.*secret",
        lambda: (
            _("The secret of the application is wrong, or has run out."),
            _("Make a new client secret and put its value, not its ID, into DOCMAIL_CLIENT_SECRET."),
        ),
        None,
    ),
    Known(
        r"AADSTS(700024|500133|50013|700023)\b|invalid_grant.*(iat|clock|timeframe)",
        lambda: (
            _("The clock of this computer differs too much from that of the sign-in server."),
            _("Set this computer's clock, and sign in again."),
        ),
        None,
    ),
    Known(
        r"AADSTS(70011|650053|650052|65002|28000)\b|invalid_scope",
        lambda: (
            _("The application lacks the permission to send mail."),
            _("Add the permission to the application: SMTP.Send for SMTP, Mail.Send for Microsoft Graph."),
        ),
        "client_id",
        Kind.CONFIG,
    ),
    Known(
        r"AADSTS(50173|50133|50057|50055)\b",
        lambda: (
            _("The sign-in is over: the password of the account was changed, or the account is locked."),
            _("Sign in again."),
        ),
    ),
    Known(
        r"AADSTS(50076|50078|50079)\b",
        lambda: (_("Microsoft wants to see a second proof that it is you."), _("Sign in again.")),
    ),
    Known(
        r"invalid_grant|interaction_required|AADSTS(70043|70008|700082|700084|70000)\b",
        lambda: (
            _("The sign-in has run out or was revoked."),
            _("Sign in again."),
        ),
    ),
    Known(
        r"temporarily_unavailable|server_error|slow_down|AADSTS(90033|90006|50196)\b",
        lambda: (_("The sign-in server is busy at the moment."), _("Try again in a few minutes.")),
        None,
        Kind.TEMPORARY,
    ),
)


def failure(error: str, description: str) -> SendError:
    """Return the error for a refusal of Microsoft's token endpoint."""
    return refusal(KNOWN, error, description, _("Microsoft does not let you sign in."), "Microsoft 365")


def refusal(known_ones: tuple[Known, ...], error: str, description: str, otherwise: str, guide: str) -> SendError:
    """Return the error for a refusal of a sign-in server, by the first that is known; else with that sentence."""
    line = clean(f"{error}: {description}" if description else error)
    for known in known_ones:
        if re.search(known.words, line, re.IGNORECASE):
            message, hint = known.say()
            return _error(message, hint, known.field, known.kind, line, guide)
    return _error(otherwise, _("Read what the server said, and sign in again."), "sign_in", Kind.AUTH, line, guide)


def wrong_account(settings: Settings, username: str) -> SendError:
    """Return the error for somebody else than the one whose account it is."""
    message = _("You signed in as {found}, and these settings are for {wanted}.")
    hint = _("Sign in again as {wanted}, or change Username.").format(wanted=settings.account.username)
    return _error(
        message.format(found=clean(username)[:200], wanted=settings.account.username),
        hint,
        "username",
        Kind.AUTH,
        "",
        guide_of(settings),
    )


def guide_of(settings: Settings) -> str:
    """Return the heading of the guide that tells about this sign-in."""
    return "Gmail" if settings.server.sign_in is SignIn.GOOGLE else "Microsoft 365"


def no_renewal(settings: Settings) -> SendError:
    """Return the error for a sign-in that would be over after an hour."""
    return _error(
        _("The sign-in would be over after an hour: it came without the means to renew it (offline_access)."),
        _("Allow the application “offline access”, and sign in again."),
        "client_id",
        Kind.CONFIG,
        "",
        guide_of(settings),
    )


def unusable_token() -> SendError:
    """Return the error for a token with characters that none has, and that no header of HTTP can carry."""
    return _error(
        _("The sign-in server answered with a token that cannot be one."),
        _("Sign in again; if it happens again, ask your network's administrator what alters the server's answers."),
        "sign_in",
        Kind.AUTH,
        "",
        "Passwords",
    )


def _error(  # noqa: PLR0913, PLR0917 - the parts of an error
    message: str, hint: str, field: str | None, kind: Kind, words: str, guide: str
) -> SendError:
    if words:
        message = _("{what} It said: {reply}").format(what=message, reply=words[:500])
    return TREATMENT[kind].error(
        message,
        kind=kind,
        phase="credential",
        hint=hint,
        field=field,
        guide=guide,
        reply=Reply(0, "", words[:500]) if words else None,
    )
