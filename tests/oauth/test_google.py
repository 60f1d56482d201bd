"""Signing in with Google: in a browser, with PKCE, and what becomes of it; against the sandbox's sign-in server."""

from __future__ import annotations

import base64
import re
import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from docmail import credentials, oauth, send_test
from docmail.errors import AuthenticationError, ConnectError, CredentialError, Kind, SendError
from docmail.oauth import google, loopback, tokens
from docmail.secret import Secret
from docmail.settings import Settings, SignIn, SmtpServer
from tests.oauth.sign_ins import decided, fetched, own, settings_for, signed_in
from tests.support.scripted import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.sandbox import Sandbox
    from tests.support.memory_keyring import MemoryKeyring


# --- the way through the browser --------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same computer", "pasted"])
def test_a_person_who_agrees_in_the_browser_is_signed_in_and_mail_goes_out(box: Sandbox, elsewhere: bool) -> None:  # noqa: FBT001
    settings = box.google_settings
    assert signed_in(settings, box, elsewhere=elsewhere) == "session"
    diagnosis = send_test(settings)
    assert diagnosis.ok, diagnosis.failed
    assert len(box.inbox) == 1


def test_the_link_asks_for_no_more_than_sending_and_holds_no_secret(box: Sandbox) -> None:
    for settings, wanted in [
        (box.google_settings, "https://mail.google.com/"),
        (settings_for(box, SignIn.GOOGLE, "http"), "https://www.googleapis.com/auth/gmail.send"),
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


def test_the_listener_takes_one_answer_of_its_own_and_none_afterwards(box: Sandbox) -> None:
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = decided(sign_in.begin())
        assert fetched(place.replace("/?", "/favicon.ico?"))[0] == 404
        assert fetched(place, host="attacker.example")[0] == 400
        assert fetched(place.replace("state=", "state=x"))[0] == 400
        status, _elsewhere, page = fetched(place)
        assert (status, "You can close this tab" in page) == (200, True)
        assert fetched(place)[0] == 409, "once only"
        with pytest.raises(CredentialError):
            sign_in.take(Secret(place))
        sign_in.wait(lambda: False)
    assert fetched(place)[0] == 409


def test_the_port_is_closed_some_minutes_after_the_sign_in(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "_FAREWELL_SECONDS", 0.0)
    with closing(google.BrowserSignIn(box.google_settings)) as sign_in:
        place = decided(sign_in.begin())
    sign_in._loopback._farewell.join()
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
    signed_in(box.google_settings, box)
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


def test_a_sign_in_without_the_permission_to_send_is_refused(box: Sandbox) -> None:
    box.identity.unticked = True
    with pytest.raises(
        AuthenticationError, match=r"does not include sending mail \(https://mail\.google\.com/\)"
    ) as caught:
        signed_in(box.google_settings, box)
    assert caught.value.field == "sign_in"
    assert credentials.where(box.google_settings) is None


def test_a_wrong_client_secret_is_named(box: Sandbox) -> None:
    credentials.set(google.application(box.google_settings), "GOCSPX-wrong")
    with pytest.raises(SendError, match="client secret does not belong") as caught:
        signed_in(box.google_settings, box)
    assert (caught.value.field, caught.value.kind) == ("client_secret", Kind.CONFIG)
    assert "GOCSPX" not in str(caught.value)


# --- keeping, renewing and ending it ----------------------------------------------------------------------------------


def test_a_sign_in_and_the_secret_of_the_application_are_in_the_keyring(
    box: Sandbox, memory_keyring: MemoryKeyring
) -> None:
    settings = own(box.google_settings)
    credentials.set(google.application(settings), box.identity.google_secret)
    assert signed_in(settings, box) == "keyring"
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
    signed_in(settings, box)
    box.identity.refuse("temporarily_unavailable")
    assert oauth.sign_out(settings) == "here, by a failure"
    assert credentials.where(settings) is None
    with pytest.raises(CredentialError):
        oauth.tokens_of(settings)


def test_signing_out_of_what_is_over_already_is_no_failure(box: Sandbox) -> None:
    signed_in(box.google_settings, box)
    box.identity.revoke()
    assert oauth.sign_out(box.google_settings) == "everywhere"
    assert oauth.sign_out(box.google_settings) == "everywhere"


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
    signed_in(settings, box)
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
