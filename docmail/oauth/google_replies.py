"""What Google's sign-in server refuses, in words: who has to do what, and where. Checked 2026-11-25.

Much of it a person reads in the browser, where Google shows it; here is what reaches a program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.errors import AuthenticationError, CredentialError, Kind
from docmail.language import _
from docmail.oauth.microsoft_replies import Known, refusal

if TYPE_CHECKING:
    from docmail.errors import SendError

_USED = Known(
    r"^invalid_grant",
    lambda: (
        _("What the browser brought back was used before, came too late, or belongs to another sign-in."),
        _("Sign in again."),
    ),
)

KNOWN: tuple[Known, ...] = (
    Known(
        r"^access_denied",
        lambda: (
            _("The sign-in was declined in the browser."),
            _(
                "Sign in again, and agree when you are asked. While the application is in testing at Google, your "
                "address must be among its test users."
            ),
        ),
    ),
    Known(
        r"admin_policy_enforced|policy_enforced|access_not_configured",
        lambda: (
            _("Your organisation does not let this application send through Gmail."),
            _("Ask your administrator to trust it in the Google Admin console: Security, API controls, App access."),
        ),
    ),
    Known(
        r"org_internal",
        lambda: (
            _("The application at Google is for members of the organisation that owns it."),
            _("Sign in with an account of that organisation, or make the audience of the application “External”."),
        ),
        "username",
    ),
    Known(
        r"invalid_client.*unauthorized|client_?secret",
        lambda: (
            _("The client secret does not belong to this client ID."),
            _("Copy both from the same client in the Google Cloud console; a new secret can be added there."),
        ),
        "client_secret",
        Kind.CONFIG,
    ),
    Known(
        r"unauthorized_client|redirect_uri|unsupported_grant_type",
        lambda: (
            _("The client at Google is not one for programs on people's own computers."),
            _("Make a client of the type “Desktop app” there, and enter its ID and secret."),
        ),
        "client_id",
        Kind.CONFIG,
    ),
    Known(
        r"invalid_client|deleted_client|disabled_client",
        lambda: (
            _("Google does not know a client with this ID."),
            _("Check the client ID: it ends with .apps.googleusercontent.com."),
        ),
        "client_id",
        Kind.CONFIG,
    ),
    Known(
        r"invalid_scope|restricted_client",
        lambda: (
            _("The application may not ask for the permission to send mail."),
            _("Add the permission under Data access in the Google Cloud console, and switch on the Gmail API."),
        ),
        "client_id",
        Kind.CONFIG,
    ),
    Known(
        r"invalid_rapt|rapt_required",
        lambda: (
            _("Your organisation wants a new sign-in at Google every so many hours, and that time is over."),
            _("Sign in again; for long batches ask your administrator to trust this application."),
        ),
    ),
    Known(
        r"\b(iat|clock|timeframe)\b",
        lambda: (
            _("The clock of this computer differs too much from that of the sign-in server."),
            _("Set this computer's clock, and sign in again."),
        ),
        None,
    ),
    Known(
        r"^invalid_grant",
        lambda: (
            _("The sign-in has run out or was revoked."),
            _(
                "Sign in again. While the application is in testing at Google, every sign-in ends after 7 days: "
                "publish it, or let it be internal to your organisation."
            ),
        ),
    ),
    Known(
        r"temporarily_unavailable|server_error|internal_failure|rate_limit|slow_down",
        lambda: (_("The sign-in server is busy at the moment."), _("Try again in a few minutes.")),
        None,
        Kind.TEMPORARY,
    ),
)


def failure(error: str, description: str) -> SendError:
    """Return the error for a refusal of Google's sign-in server."""
    return refusal(KNOWN, error, description, _("Google does not let you sign in."), "Gmail")


def of_exchange(error: str, description: str) -> SendError:
    """Return the error for a refusal of what the browser brought back."""
    return refusal((_USED, *KNOWN), error, description, _("Google does not let you sign in."), "Gmail")


def missing_scope(scope: str) -> SendError:
    """Return the error for a sign-in without the permission that was asked for."""
    return AuthenticationError(
        _("This sign-in does not include sending mail ({scope}).").format(scope=scope),
        kind=Kind.AUTH,
        phase="credential",
        hint=_("Sign in again, and leave the box for sending email ticked when Google asks."),
        field="sign_in",
        guide="Gmail",
    )


def too_late() -> SendError:
    """Return the error for a sign-in that nobody finished."""
    return AuthenticationError(
        _("Nobody has finished the sign-in in the browser in time."),
        kind=Kind.AUTH,
        phase="credential",
        hint=_("Sign in again; the link holds for a quarter of an hour."),
        field="sign_in",
        guide="Gmail",
    )


def no_answer() -> CredentialError:
    """Return the error for a pasted text that is not what the browser brought back from this sign-in."""
    return CredentialError(
        _("This is not the address at which this sign-in has ended."),
        hint=_("Copy the whole address from the browser's address bar: it begins with http://127.0.0.1."),
        guide="Gmail",
        field="pasted",
    )


def no_secret() -> CredentialError:
    """Return the error for an application whose secret is not known."""
    return CredentialError(
        _("The client secret of the application at Google is missing."),
        hint=_("Copy it from the client in the Google Cloud console, and sign in again."),
        guide="Gmail",
        field="client_secret",
    )
