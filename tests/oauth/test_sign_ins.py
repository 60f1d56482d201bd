"""What signing in with Microsoft and with Google have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from docmail import credentials
from docmail.errors import AuthenticationError, Deferred, Kind
from docmail.message import Message
from docmail.oauth import google, microsoft
from docmail.replies import table
from docmail.settings import HttpServer, Security, Settings, SignIn, SmtpServer
from docmail.transport import open_transport
from tests.oauth.sign_ins import settings_for, signed_in

if TYPE_CHECKING:
    from docmail.sandbox import Sandbox

PROVIDERS = pytest.mark.parametrize("provider", [SignIn.MICROSOFT, SignIn.GOOGLE])
GUIDE = {SignIn.MICROSOFT: "Microsoft 365", SignIn.GOOGLE: "Gmail"}
FAILURE = {SignIn.MICROSOFT: microsoft.failure, SignIn.GOOGLE: google.failure}


@PROVIDERS
def test_somebody_else_is_not_signed_in_by_mistake(box: Sandbox, provider: SignIn) -> None:
    settings = settings_for(box, provider)
    box.identity.username = "private@example.org"
    with pytest.raises(AuthenticationError, match=r"private@example\.org.*accounts@example\.com") as caught:
        signed_in(settings, box)
    assert (caught.value.field, caught.value.guide) == ("username", GUIDE[provider])
    assert credentials.where(settings) is None


@PROVIDERS
@pytest.mark.parametrize("way", ["smtp", "http"])
def test_a_token_that_is_refused_is_renewed_once(box: Sandbox, provider: SignIn, way: Literal["smtp", "http"]) -> None:
    settings = settings_for(box, provider, way)
    signed_in(settings, box)
    box.identity.expire()
    with open_transport(settings) as transport:
        transport.send(Message("cfo@example.com", "Q3").render(settings))
    assert len(box.inbox) == 1
    assert [asked["grant_type"] for asked in box.identity.asked][1:] == ["refresh_token"]
    if provider is SignIn.GOOGLE:
        box.identity.revoke()
    else:
        box.identity.expire()
        box.identity.refuse("invalid_grant", "AADSTS700082: The refresh token has expired")
    with (
        pytest.raises(AuthenticationError, match="has expired or was revoked") as caught,
        open_transport(settings) as again,
    ):
        again.send(Message("cfo@example.com", "Q3").render(settings))
    assert (caught.value.field, caught.value.guide) == ("sign_in", GUIDE[provider])
    assert ("7 days" in caught.value.hint) is (provider is SignIn.GOOGLE)
    assert len(box.inbox) == 1


def smtp(sign_in: Any, **changes: Any) -> Settings:
    values = {"username": "a@example.com", "sign_in": sign_in, "client_id": "1234", **changes}
    return Settings("Accounts", SmtpServer("smtp.example.com", **values))


def http(api: str, sign_in: SignIn) -> Settings:
    return Settings("A", HttpServer("", api, "a@b.example", sign_in, "1"))


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (smtp(SignIn.MICROSOFT), []),
        (smtp(SignIn.GOOGLE), []),
        (smtp(SignIn.MICROSOFT, client_id=""), ["client_id"]),
        (smtp(SignIn.GOOGLE, client_id=""), ["client_id"]),
        (smtp(SignIn.MICROSOFT, username=""), ["username", "email_address"]),
        (smtp(SignIn.MICROSOFT, tenant="no domain"), ["tenant"]),
        (smtp(SignIn.GOOGLE, tenant="b.c"), ["tenant"]),
        (smtp(SignIn.MICROSOFT, authority="http://login.example.com/x"), ["tenant"]),
        (smtp(SignIn.MICROSOFT, authority=3), ["tenant"]),
        (smtp(SignIn.MICROSOFT, authority="https://login.microsoftonline.us/example.com"), []),
        (smtp("telepathy"), ["sign_in"]),
        (smtp(SignIn.MICROSOFT, security=Security.NONE), ["security"]),
        (Settings("A <a@b.example>", HttpServer("", "postmark", sign_in=SignIn.MICROSOFT)), ["sign_in"]),
        (http("graph", SignIn.MICROSOFT), []),
        (http("gmail", SignIn.GOOGLE), []),
        (http("graph", SignIn.GOOGLE), ["sign_in"]),
        (http("gmail", SignIn.MICROSOFT), ["sign_in"]),
    ],
)
def test_what_a_sign_in_needs_is_named(settings: Settings, fields: list[str]) -> None:
    assert [problem.field for problem in settings.problems()] == fields


REFUSALS = {
    SignIn.MICROSOFT: [
        ("authorization_declined", "", "sign_in", Kind.AUTH),
        ("expired_token", "", "sign_in", Kind.AUTH),
        ("invalid_grant", "AADSTS65001: The user or administrator has not consented", "sign_in", Kind.AUTH),
        ("access_denied", "AADSTS530036: device code flow blocked", "sign_in", Kind.AUTH),
        ("invalid_grant", "AADSTS53003: Access has been blocked by Conditional Access", "sign_in", Kind.AUTH),
        ("invalid_grant", "AADSTS50105: not assigned to a role", "sign_in", Kind.AUTH),
        ("invalid_grant", "AADSTS50020: User account from identity provider", "tenant", Kind.AUTH),
        ("invalid_request", "AADSTS90002: Tenant not found", "tenant", Kind.CONFIG),
        ("unauthorized_client", "AADSTS700016: Application not found", "client_id", Kind.CONFIG),
        ("invalid_client", "AADSTS7000218: must contain client_assertion or client_secret", "client_id", Kind.CONFIG),
        ("invalid_client", "AADSTS7000215: Invalid client secret", None, Kind.AUTH),
        ("invalid_client", "AADSTS700024: Client assertion is not within its valid time range", None, Kind.AUTH),
        ("invalid_scope", "AADSTS70011: The provided value for scope is not valid", "client_id", Kind.CONFIG),
        ("invalid_grant", "AADSTS50173: The provided grant has expired due to it being revoked", "sign_in", Kind.AUTH),
        ("invalid_grant", "AADSTS50076: you must use multi-factor authentication", "sign_in", Kind.AUTH),
        ("invalid_grant", "Token has been expired or revoked.", "sign_in", Kind.AUTH),
        ("temporarily_unavailable", "AADSTS90033", None, Kind.TEMPORARY),
        ("brand_new", "AADSTS999999: nobody knows", "sign_in", Kind.AUTH),
    ],
    SignIn.GOOGLE: [
        ("access_denied", "", "sign_in", Kind.AUTH),
        ("admin_policy_enforced", "", "sign_in", Kind.AUTH),
        ("org_internal", "", "username", Kind.AUTH),
        ("invalid_client", "Unauthorized", "client_secret", Kind.CONFIG),
        ("invalid_request", "client_secret is missing.", "client_secret", Kind.CONFIG),
        ("unauthorized_client", "", "client_id", Kind.CONFIG),
        ("redirect_uri_mismatch", "", "client_id", Kind.CONFIG),
        ("invalid_client", "The OAuth client was not found.", "client_id", Kind.CONFIG),
        ("invalid_scope", "", "client_id", Kind.CONFIG),
        ("invalid_grant", "invalid_rapt reauth related error", "sign_in", Kind.AUTH),
        ("invalid_grant", "Invalid JWT: check your iat and exp values", None, Kind.AUTH),
        ("invalid_grant", "Token has been expired or revoked.", "sign_in", Kind.AUTH),
        ("internal_failure", "", None, Kind.TEMPORARY),
        ("brand_new", "nobody knows", "sign_in", Kind.AUTH),
    ],
}


@pytest.mark.parametrize(
    ("provider", "refusal"), [(provider, refusal) for provider in REFUSALS for refusal in REFUSALS[provider]]
)
def test_each_refusal_of_a_sign_in_server_has_its_own_sentence(
    provider: SignIn, refusal: tuple[str, str, str | None, Kind]
) -> None:
    error, description, field, kind = refusal
    found = FAILURE[provider](error, description)
    assert (found.field, found.kind, found.guide) == (field, kind, GUIDE[provider])
    assert isinstance(found, Deferred) == (kind is Kind.TEMPORARY)
    assert found.hint
    assert error in found.message


def test_the_sentences_differ() -> None:
    for provider, refusals in REFUSALS.items():
        found = [FAILURE[provider](error, words) for error, words, *_rest in refusals]
        assert len({each.message.partition(" It said")[0] for each in found}) == len(table(provider))
    of_exchange = google.failure_of_exchange("invalid_grant", "Bad Request").message
    assert of_exchange.partition(" It said")[0] not in {each.message for each in table("google")}
