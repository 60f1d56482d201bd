"""Signing in with Google: in a browser, with PKCE, and what becomes of it; against the sandbox's sign-in server."""

from __future__ import annotations

import base64
import http.client
import re
import socket
import threading
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from docmail import credentials, oauth, send_test
from docmail import home as homes
from docmail.credentials import store
from docmail.errors import AuthenticationError, ConnectError, CredentialError, Deferred, Kind, SendError
from docmail.message import Message
from docmail.oauth import google, loopback, tokens
from docmail.oauth.google_replies import KNOWN, failure, of_exchange
from docmail.sandbox import Sandbox
from docmail.secret import Secret
from docmail.settings import HttpServer, Settings, SignIn, SmtpServer
from docmail.transport import open_transport
from tests.support.scripted import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.memory_keyring import MemoryKeyring


@pytest.fixture(scope="module")
def _opened() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


@pytest.fixture
def box(_opened: Sandbox) -> Iterator[Sandbox]:
    _opened.reset()
    _opened.inbox.clear()
    _opened.identity.__init__("accounts@example.com")  # type: ignore[misc]  # as new
    settings = _opened.google_settings
    credentials.set(google.application(settings), _opened.identity.google_secret)
    yield _opened
    tokens._kept.clear()
    for each in (settings, api_settings(_opened), google.application(settings)):
        store._session.pop(each.account, None)


def api_settings(box: Sandbox) -> Settings:
    """Return the settings for the Gmail API with the sandbox's sign-in."""
    smtp, settings = box.google_settings.server, box.service_settings("gmail")
    assert isinstance(settings.server, HttpServer)
    server = replace(settings.server, sign_in=SignIn.GOOGLE, client_id=smtp.client_id, tenant=smtp.tenant)
    return replace(settings, server=server)


def own(settings: Settings) -> Settings:
    """Return the settings as the user's own: not in a rehearsal, so that the keyring counts."""
    return replace(settings, home=homes.user_home())


def fetched(url: str, method: str = "GET", form: str | None = None, host: str | None = None) -> tuple[int, str, str]:
    """Ask as a browser does; return status, where it sends one, and the page."""
    split = urlsplit(url)
    with closing(http.client.HTTPConnection(split.netloc, timeout=10)) as connection:
        headers = {"Host": host or split.netloc}
        connection.request(method, f"{split.path}?{split.query}", form, headers)
        reply = connection.getresponse()
        return reply.status, reply.getheader("Location", ""), reply.read().decode()


def decided(link: str, *, button: str = "agree") -> str:
    """Press a button of the consent page, and return where the browser is sent then."""
    assert "Sign in as" in fetched(link)[2]
    status, place, _page = fetched(link, "POST", f"{button}=1")
    assert status == 303
    return place


def signed_in(settings: Settings, *, elsewhere: bool = False) -> credentials.Where:
    """Sign in as a person does, whose browser is on this computer or elsewhere."""
    with closing(google.BrowserSignIn(settings)) as sign_in:
        place = decided(sign_in.begin())
        if elsewhere:
            sign_in.take(Secret(f"  {place}\n"))
        else:
            assert fetched(place)[0] == 200
        return oauth.keep(settings, sign_in.wait(lambda: False))


# --- the way through the browser --------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same computer", "pasted"])
def test_whoever_agrees_in_the_browser_is_signed_in_and_mail_goes_out(box: Sandbox, elsewhere: bool) -> None:  # noqa: FBT001
    settings = box.google_settings
    assert signed_in(settings, elsewhere=elsewhere) == "session"
    diagnosis = send_test(settings)
    assert diagnosis.ok, diagnosis.failed
    assert len(box.inbox) == 1


def test_the_link_asks_for_no_more_than_sending_and_holds_no_secret(box: Sandbox) -> None:
    for settings, wanted in [
        (box.google_settings, "https://mail.google.com/"),
        (api_settings(box), "https://www.googleapis.com/auth/gmail.send"),
    ]:
        with closing(google.BrowserSignIn(settings)) as sign_in:
            link = sign_in.begin()
            question = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
            assert question["scope"] == f"openid email {wanted}"
            assert question["code_challenge_method"] == "S256"
            assert question["login_hint"] == "accounts@example.com"
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", question["redirect_uri"])
            assert 43 <= len(sign_in._verifier.reveal()) <= 128  # RFC 7636 4.1
            assert sign_in._verifier.reveal() not in link
            assert box.identity.google_secret not in link


def test_without_a_sandbox_the_addresses_are_googles() -> None:
    settings = Settings("A", SmtpServer("smtp.gmail.com", username="a@gmail.com", sign_in=SignIn.GOOGLE, client_id="x"))
    assert google.Places.of(settings) == google.Places()
    assert {urlsplit(place).scheme for place in google.Places()} == {"https"}
    assert str(google.application(settings).account) == "https://x@oauth2.googleapis.com:443"


def test_a_wrong_verifier_is_refused_by_the_server(box: Sandbox) -> None:
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = decided(sign_in.begin())
        sign_in._verifier = Secret("another" * 8)
        sign_in.take(Secret(place))
        with pytest.raises(AuthenticationError, match="belongs to another sign-in") as caught:
            sign_in.wait(lambda: False)
    assert caught.value.field == "sign_in"


@pytest.mark.parametrize(
    "change",
    [
        lambda place: re.sub("state=[^&]+", "state=other", place),
        lambda place: re.sub("state=[^&]+&?", "", place),
        lambda place: re.sub("code=[^&]+", "", place),
        lambda place: place + "&state=other",
        lambda _place: "4/0AbCdEf",
        lambda _place: "http://[",
        lambda _place: "",
    ],
)
def test_what_does_not_belong_to_this_sign_in_is_refused_and_the_right_one_still_taken(
    box: Sandbox, change: Callable[[str], str]
) -> None:
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = decided(sign_in.begin())
        with pytest.raises(CredentialError, match="not the address") as caught:
            sign_in.take(Secret(change(place)))
        assert caught.value.field == "pasted"
        sign_in.take(Secret(place))
        assert sign_in.wait(lambda: False).username == "accounts@example.com"


def test_the_listener_takes_one_answer_of_its_own_and_is_closed_afterwards(box: Sandbox) -> None:
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = decided(sign_in.begin())
        assert fetched(place.replace("/?", "/favicon.ico?"))[0] == 404
        assert fetched(place, host="attacker.example")[0] == 400
        assert fetched(place.replace("state=", "state=x"))[0] == 400
        status, _elsewhere, page = fetched(place)
        assert (status, "You can close this page" in page) == (200, True)
        assert parse_qs(urlsplit(place).query)["code"][0] not in page
        assert fetched(place)[0] == 400, "once only"
        with pytest.raises(CredentialError):
            sign_in.take(Secret(place))
        sign_in.wait(lambda: False)
    with pytest.raises(ConnectionRefusedError):
        fetched(place)


def test_a_browser_that_connects_and_says_nothing_holds_nobody_up(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback._Handler, "timeout", None)
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = decided(sign_in.begin())
        with socket.create_connection(("127.0.0.1", urlsplit(place).port or 0)):
            assert fetched(place)[0] == 200
        assert sign_in.wait(lambda: False).username


def test_an_answer_is_written_into_no_log(box: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    signed_in(box.google_settings)
    assert capfd.readouterr() == ("", "")


def test_waiting_can_be_stopped_and_ends_by_itself(box: Sandbox) -> None:
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        with pytest.raises(ConnectError, match="Stopped"):
            sign_in.wait(lambda: True)
        with pytest.raises(AuthenticationError, match="in time"):
            sign_in.wait(lambda: False, seconds=0)


def test_without_the_client_secret_nobody_is_sent_to_the_browser(box: Sandbox) -> None:
    credentials.forget(google.application(box.google_settings))
    with pytest.raises(CredentialError, match="client secret") as caught:
        google.BrowserSignIn(box.google_settings)
    assert caught.value.field == "client_secret"


# --- who and what for -------------------------------------------------------------------------------------------------


def test_declining_is_said(box: Sandbox) -> None:
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        sign_in.take(Secret(decided(sign_in.begin(), button="decline")))
        with pytest.raises(AuthenticationError, match="declined in the browser") as caught:
            sign_in.wait(lambda: False)
    assert "test users" in caught.value.hint


def test_somebody_else_is_not_signed_in_by_mistake(box: Sandbox) -> None:
    box.identity.username = "private@example.org"
    with pytest.raises(AuthenticationError, match=r"private@example\.org.*accounts@example\.com") as caught:
        signed_in(box.google_settings)
    assert (caught.value.field, caught.value.guide) == ("username", "Gmail")
    assert credentials.where(box.google_settings) is None


def test_a_sign_in_without_the_permission_to_send_is_refused(box: Sandbox) -> None:
    box.identity.unticked = True
    with pytest.raises(
        AuthenticationError, match=r"does not include sending mail \(https://mail\.google\.com/\)"
    ) as caught:
        signed_in(box.google_settings)
    assert caught.value.field == "sign_in"
    assert credentials.where(box.google_settings) is None


def test_a_wrong_client_secret_is_named(box: Sandbox) -> None:
    credentials.set(google.application(box.google_settings), "GOCSPX-wrong")
    with pytest.raises(SendError, match="client secret does not belong") as caught:
        signed_in(box.google_settings)
    assert (caught.value.field, caught.value.kind) == ("client_secret", Kind.CONFIG)
    assert "GOCSPX" not in str(caught.value)


# --- keeping, renewing and ending it ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["smtp", "api"])
def test_a_token_that_is_refused_is_renewed_once(box: Sandbox, way: str) -> None:
    settings = box.google_settings if way == "smtp" else api_settings(box)
    signed_in(settings)
    box.identity.expire()
    with open_transport(settings) as transport:
        transport.send(Message("cfo@example.com", "Q3").render(settings))
    assert len(box.inbox) == 1
    assert [asked["grant_type"] for asked in box.identity.asked] == ["authorization_code", "refresh_token"]
    box.identity.revoke()
    with (
        pytest.raises(AuthenticationError, match="run out or was revoked") as caught,
        open_transport(settings) as again,
    ):
        again.send(Message("cfo@example.com", "Q3").render(settings))
    assert (caught.value.field, caught.value.guide) == ("sign_in", "Gmail")
    assert "7 days" in caught.value.hint
    assert len(box.inbox) == 1


def test_a_sign_in_and_the_secret_of_the_application_are_in_the_keyring(
    box: Sandbox, memory_keyring: MemoryKeyring
) -> None:
    settings = own(box.google_settings)
    credentials.set(google.application(settings), box.identity.google_secret)
    assert signed_in(settings) == "keyring"
    assert credentials.where(google.application(settings)) == "keyring"
    kept = credentials.get(settings)
    oauth.Tokens(settings).renewed()
    assert credentials.get(settings) == kept, "Google's stays the same"
    assert oauth.sign_out(settings) == "everywhere"
    assert list(memory_keyring.data.values()) == [box.identity.google_secret]
    assert kept is not None
    with pytest.raises(AuthenticationError, match="revoked"):
        google.renew(settings, kept)


def test_signing_out_forgets_also_when_google_cannot_be_told(box: Sandbox) -> None:
    settings = box.google_settings
    signed_in(settings)
    box.identity.refuse("temporarily_unavailable")
    assert oauth.sign_out(settings) == "here, by a failure"
    assert credentials.where(settings) is None
    with pytest.raises(CredentialError):
        oauth.tokens_of(settings)


def test_signing_out_of_what_is_over_already_is_no_failure(box: Sandbox) -> None:
    signed_in(box.google_settings)
    box.identity.revoke()
    assert oauth.sign_out(box.google_settings) == "everywhere"
    assert oauth.sign_out(box.google_settings) == "everywhere"


# --- the settings and the errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "fields"),
    [
        (SmtpServer("smtp.gmail.com", username="a@gmail.com", sign_in=SignIn.GOOGLE, client_id="x"), []),
        (SmtpServer("smtp.gmail.com", username="a@gmail.com", sign_in=SignIn.GOOGLE), ["client_id"]),
        (
            SmtpServer("smtp.gmail.com", username="a@gmail.com", sign_in=SignIn.GOOGLE, client_id="x", tenant="b.c"),
            ["tenant"],
        ),
        (HttpServer("", "gmail", "a@gmail.com", SignIn.GOOGLE, "x"), []),
        (HttpServer("", "graph", "a@gmail.com", SignIn.GOOGLE, "x"), ["sign_in"]),
        (HttpServer("", "gmail", "a@gmail.com", SignIn.MICROSOFT, "x"), ["sign_in"]),
    ],
)
def test_what_a_sign_in_needs_is_named(server: SmtpServer | HttpServer, fields: list[str]) -> None:
    assert [problem.field for problem in Settings("A", server).problems()] == fields


REFUSALS = [
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
]


@pytest.mark.parametrize(("error", "description", "field", "kind"), REFUSALS)
def test_each_refusal_of_googles_server_has_its_own_sentence(
    error: str, description: str, field: str | None, kind: Kind
) -> None:
    found = failure(error, description)
    assert (found.field, found.kind, found.guide) == (field, kind, "Gmail")
    assert isinstance(found, Deferred) == (kind is Kind.TEMPORARY)
    assert found.hint


def test_the_sentences_differ() -> None:
    found = [failure(error, words) for error, words, *_rest in REFUSALS] + [of_exchange("invalid_grant", "Bad Request")]
    sentences = {each.message.partition(" It said")[0] for each in found}
    assert len(sentences) == len(KNOWN) + 2


# --- several kernels, and nothing of it is shown ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["exchange", "refresh", "revoke", "wrong account"])
def test_no_traceback_however_verbose_shows_a_secret(box: Sandbox, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    from docmail.net import Connection

    settings = box.google_settings
    secrets = [box.identity.google_secret, "refresh-", "access-", "code=4/"]
    with closing(google.BrowserSignIn(settings)) as sign_in:
        place = decided(sign_in.begin())
        secrets += [sign_in._verifier.reveal(), parse_qs(urlsplit(place).query)["code"][0]]
        sign_in.take(Secret(place))
        if way == "wrong account":
            box.identity.username = "private@example.org"
        elif way != "exchange":
            oauth.keep(settings, sign_in.wait(lambda: False))

        def broken(connection: Connection, data: bytes, _deadline: object) -> None:
            if b"grant_type" in data or b"token=" in data:
                raise KeyboardInterrupt if way == "refresh" else ConnectionResetError
            connection._open_socket.sendall(data)

        if way != "wrong account":
            monkeypatch.setattr(Connection, "send", broken)
        stored = credentials.get(settings) if way in {"refresh", "revoke"} else None
        with pytest.raises(BaseException) as caught:  # noqa: PT011, PT012 - what is shown of it is the subject
            if way == "refresh":
                oauth.Tokens(settings).renewed()
            elif stored is not None:
                google.revoke(settings, stored)
            else:
                sign_in.wait(lambda: False)
    text = shown(caught.value)
    assert [secret for secret in secrets if secret in text] == []
    assert base64.b64encode(b"refresh-").decode()[:-4] not in text


def test_a_server_that_repeats_what_it_was_asked_is_not_quoted(box: Sandbox) -> None:
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = decided(sign_in.begin())
        sign_in.take(Secret(place))
        code = parse_qs(urlsplit(place).query)["code"][0]
        box.identity.refuse("brand_new", f"your code {code} and {box.identity.google_secret} are odd")
        with pytest.raises(SendError, match="are odd") as caught:
            sign_in.wait(lambda: False)
    assert code not in str(caught.value)
    assert box.identity.google_secret not in str(caught.value)


def test_threads_that_need_a_token_at_once_renew_it_once(box: Sandbox) -> None:
    settings = box.google_settings
    signed_in(settings)
    tokens._kept.clear()
    found: list[Secret] = []
    threads = [threading.Thread(target=lambda: found.append(oauth.Tokens(settings).current())) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({secret.reveal() for secret in found}) == 1
    assert [asked["grant_type"] for asked in box.identity.asked].count("refresh_token") == 1


def test_a_listener_is_this_computers_alone() -> None:
    with closing(loopback.Loopback()) as listener:
        assert listener._server.server_address[0] == "127.0.0.1"
