"""Signing in with Microsoft: msal, unchanged, against a sign-in server of ours, and tokens instead of passwords."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import threading
import time
import traceback
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from docmail import credentials, oauth, send, send_test
from docmail.credentials import keyring_store
from docmail.errors import AuthenticationError, ConnectError, CredentialError, Kind, SendError
from docmail.message import Message
from docmail.net import Connection
from docmail.oauth import DeviceSignIn, microsoft, tokens
from docmail.oauth.grant import grant_of
from docmail.oauth.microsoft import failure
from docmail.sandbox import Sandbox
from docmail.sandbox.scenarios import Scenario
from docmail.secret import Secret
from docmail.settings import HttpServer, Settings, SignIn, SmtpServer
from docmail.transport import open_transport
from tests.oauth.sign_ins import own, settings_for, signed_in
from tests.support.scripted import shown

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.memory_keyring import MemoryKeyring

# msal imports it when an application first signs in: within a test, where a warning of that import would be an error.
pytest.importorskip("requests")


# --- the sign-in with a code ------------------------------------------------------------------------------------------


def test_a_code_is_shown_and_the_person_who_enters_it_is_signed_in(box: Sandbox) -> None:
    settings = box.microsoft_settings
    sign_in = DeviceSignIn(settings)
    code = sign_in.begin()
    assert re.fullmatch(r"[A-Z]{9}", code.code)
    assert code.url.endswith("/identity/device")
    assert code.seconds == 900
    threading.Timer(0.3, box.identity.agree).start()
    grant = sign_in.wait(code, lambda: False)
    assert grant.username == "accounts@example.com"
    assert oauth.keep(settings, grant) == "session"
    assert {asked["scope"] for asked in box.identity.asked if "scope" in asked} <= {
        "https://outlook.office.com/SMTP.Send offline_access openid profile"
    }


def test_nothing_secret_is_shown(box: Sandbox) -> None:
    sign_in = DeviceSignIn(box.microsoft_settings)
    code = sign_in.begin()
    box.identity.agree()
    grant = sign_in.wait(code, lambda: False)
    assert "access-" not in repr(grant)
    assert "refresh-" not in repr(grant)
    assert code.flow["device_code"] not in repr(code)


@pytest.mark.parametrize(
    ("description", "words", "field"),
    [
        ("declined", "declined in the browser", "sign_in"),
        ("AADSTS65001: consent", "administrator of your organisation has to agree", "sign_in"),
        ("AADSTS53003: blocked", "conditional access", "sign_in"),
        ("AADSTS7000218: client_secret", "runs on people's own computers", "client_id"),
    ],
)
def test_a_sign_in_that_is_refused_says_who_has_to_do_what(
    box: Sandbox, description: str, words: str, field: str
) -> None:
    sign_in = DeviceSignIn(box.microsoft_settings)
    code = sign_in.begin()
    if description == "declined":
        box.identity.decline()
    else:
        box.identity.refuse("invalid_grant", description)
    with pytest.raises(SendError, match=words) as caught:
        sign_in.wait(code, lambda: False)
    assert caught.value.field == field
    assert caught.value.hint


def test_slow_down_is_obeyed(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    clock = SimpleNamespace(time=lambda: time.time() + sum(waited), sleep=waited.append)
    monkeypatch.setattr("msal.oauth2cli.oauth2.time", clock)
    sign_in = DeviceSignIn(box.microsoft_settings)
    code = sign_in.begin()
    box.identity.refuse("slow_down")
    box.identity.agree()
    assert sign_in.wait(code, lambda: False).username
    assert [asked["grant_type"].rpartition(":")[2] for asked in box.identity.asked] == ["device_code"] * 2
    assert sum(waited) > 5 * box.identity.interval


def test_waiting_can_be_stopped(box: Sandbox) -> None:
    sign_in = DeviceSignIn(box.microsoft_settings)
    code = sign_in.begin()
    with pytest.raises(ConnectError, match="Stopped"):
        sign_in.wait(code, lambda: True)


def test_a_code_that_nobody_enters_runs_out(box: Sandbox) -> None:
    sign_in = DeviceSignIn(box.microsoft_settings)
    code = replace(sign_in.begin(), seconds=0)
    with pytest.raises(AuthenticationError, match="code was not entered in time"):
        sign_in.wait(code, lambda: False)


def test_a_sign_in_server_that_is_not_there_is_a_matter_of_the_network(box: Sandbox) -> None:
    settings = box.microsoft_settings
    gone = replace(settings, server=replace(settings.server, authority="http://127.0.0.1:1/identity"))
    with pytest.raises(ConnectError) as caught:
        DeviceSignIn(gone).begin()
    assert caught.value.phase == "credential"


# --- sending with it --------------------------------------------------------------------------------------------------


def test_mail_goes_out_with_a_token(box: Sandbox) -> None:
    settings = box.microsoft_settings
    signed_in(settings, box)
    observed: list[tuple[str, str]] = []
    mail = Message("cfo@example.com", "Q3").render(settings)
    with open_transport(settings, observe=lambda *said: observed.append(said)) as transport:
        transport.send(mail)
    assert len(box.inbox) == 1
    assert "XOAUTH2" in dict(observed)["auth"]


def test_the_other_mechanism_is_spoken_as_well() -> None:
    box = Sandbox()
    box._scenario = Scenario("", "", offers={"auth": "OAUTHBEARER"})
    with box:
        signed_in(box.microsoft_settings, box)
        observed: list[tuple[str, str]] = []
        with open_transport(box.microsoft_settings, observe=lambda *said: observed.append(said)):
            pass
        assert "OAUTHBEARER" in dict(observed)["auth"]


def test_the_test_email_says_who_is_signed_in(box: Sandbox) -> None:
    signed_in(box.microsoft_settings, box)
    diagnosis = send_test(box.microsoft_settings)
    assert diagnosis.ok
    assert next(check.text for check in diagnosis.checks if check.phase == "credential").endswith(
        "accounts@example.com"
    )


def test_without_a_sign_in_the_form_is_named(box: Sandbox) -> None:
    with pytest.raises(CredentialError, match="Nobody has signed in") as caught:
        send([], to="cfo@example.com", subject="Q3", body="x", settings=box.microsoft_settings)
    assert caught.value.field == "sign_in"


def test_a_token_that_ends_is_renewed_before(box: Sandbox) -> None:
    box.identity.lifetime = 200.0  # less than the time by which it is renewed
    signed_in(box.microsoft_settings, box)
    first = oauth.tokens_of(box.microsoft_settings).current()
    box.identity.lifetime = 3600.0
    second = oauth.tokens_of(box.microsoft_settings).current()
    assert first != second
    assert oauth.tokens_of(box.microsoft_settings).current() == second


def test_a_server_that_refuses_every_token_says_what_it_wants(box: Sandbox) -> None:
    settings = box.microsoft_settings
    box.identity.lifetime = 0.0  # what it lends is worth nothing
    signed_in(settings, box)
    with pytest.raises(AuthenticationError, match=r"scope https://sandbox\.example/send") as caught:
        open_transport(settings).open()
    assert caught.value.field == "sign_in"
    assert caught.value.kind is Kind.AUTH


def test_where_smtp_is_switched_off_another_sign_in_is_not_asked_for(box: Sandbox) -> None:
    signed_in(box.microsoft_settings, box)
    box.answer("auth", "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.")
    failed = send_test(box.microsoft_settings).failed
    assert failed is not None
    assert (failed.kind, failed.field, failed.guide) == (Kind.AUTH, "protocol", "Microsoft 365")
    assert "Microsoft Graph" in failed.hint


def test_a_service_that_refuses_a_sign_in_names_the_sign_in_and_no_password(box: Sandbox) -> None:
    settings = settings_for(box, SignIn.MICROSOFT, "http")
    signed_in(settings, box)
    box.answer("http", '403 {"error": {"code": "ErrorAccessDenied", "message": "no"}}')
    failed = send_test(settings).failed
    assert failed is not None
    assert (failed.kind, failed.field) == (Kind.AUTH, "sign_in")
    assert "Mail.Send" in failed.text


def test_a_server_without_tokens_says_so() -> None:
    box = Sandbox()
    box._scenario = Scenario("", "", offers={"auth": "PLAIN"})
    with box:
        signed_in(box.microsoft_settings, box)
        with pytest.raises(AuthenticationError, match="signing in with Microsoft") as caught:
            open_transport(box.microsoft_settings).open()
        assert caught.value.field == "sign_in"


# --- keeping it -------------------------------------------------------------------------------------------------------


def test_a_sign_in_is_kept_in_the_keyring_in_pieces_that_every_keyring_takes(
    box: Sandbox, memory_keyring: MemoryKeyring
) -> None:
    settings = own(box.microsoft_settings)
    assert signed_in(settings, box) == "keyring"
    kept = list(memory_keyring.data.values())
    assert len(kept) == 3
    assert all(len(piece.encode("utf-16-le")) <= 2560 for piece in kept)
    assert not any("access-" in piece for piece in kept)
    refresh = credentials.get(settings)
    assert refresh is not None
    assert refresh.reveal().startswith("refresh-")
    oauth.Tokens(settings).renewed()
    assert credentials.get(settings) != refresh, "Microsoft hands out a new one each time"
    oauth.sign_out(settings)
    assert memory_keyring.data == {}
    with pytest.raises(CredentialError):
        oauth.tokens_of(settings)


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_it_lasts_for_this_session(box: Sandbox) -> None:
    assert signed_in(own(box.microsoft_settings), box) == "session"


def test_a_shorter_secret_leaves_no_pieces_of_a_longer_one(box: Sandbox, memory_keyring: MemoryKeyring) -> None:
    settings = own(box.settings)
    credentials.set(settings, "x" * 3000)
    assert len(memory_keyring.data) == 4
    assert credentials.get(settings) == Secret("x" * 3000)
    credentials.set(settings, "short")
    assert list(memory_keyring.data.values()) == ["short"]


@pytest.mark.parametrize("after", ["y" * 2000, "short"])
def test_a_long_secret_that_is_replaced_is_there_at_every_moment(
    box: Sandbox, memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """A kernel that reads while another one writes, or is killed while it writes, has the old one or the new one."""
    settings, seen = own(box.settings), []
    credentials.set(settings, "x" * 3000)
    for name in ("set_password", "delete_password"):
        real = getattr(type(memory_keyring), name)

        def watched(*given: Any, real: Any = real) -> None:
            real(memory_keyring, *given)
            found = keyring_store._read_any(settings.account)
            seen.append(found.reveal() if found else None)

        monkeypatch.setattr(memory_keyring, name, watched)
    credentials.set(settings, after)
    assert set(seen) == {"x" * 3000, after} if len(after) > 1200 else set(seen) <= {"x" * 3000, after}
    assert seen[-1] == after
    assert len(memory_keyring.data) == (3 if len(after) > 1200 else 1)


def test_a_secret_that_an_earlier_version_split_is_still_read_and_replaced(
    box: Sandbox, memory_keyring: MemoryKeyring
) -> None:
    settings = own(box.settings)
    credentials.forget(settings)  # what the sandbox brings for this session
    account = str(settings.account)
    memory_keyring.data = {
        ("docmail", account): "docmail-in-parts:2",
        ("docmail", f"{account}#0"): "x" * 1200,
        ("docmail", f"{account}#1"): "y",
    }
    assert credentials.get(settings) == Secret("x" * 1200 + "y")
    credentials.set(settings, "short")
    assert list(memory_keyring.data.values()) == ["short"]


# A kernel that holds the lock, and releases it at a signal.
HOLDING = """\
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()"""


def test_two_kernels_do_not_renew_one_sign_in_at_once(box: Sandbox, memory_keyring: MemoryKeyring) -> None:
    """Where a refresh token is good for one renewal, the second kernel takes the one that the first has stored."""
    settings = own(box.microsoft_settings)
    assert signed_in(settings, box) == "keyring"
    tokens._kept.clear()
    home = settings.home
    assert home is not None
    lock = home.settings_file.with_name("sign-in.lock")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "held\n"
    asked = len(box.identity.asked)
    found: list[Secret] = []
    waiting = threading.Thread(target=lambda: found.append(oauth.Tokens(settings).current()))
    waiting.start()
    # What the other kernel does meanwhile: the first refresh token is worth nothing from here on.
    refresh = credentials.get(settings)
    assert refresh is not None
    grant = microsoft.renew(settings, refresh)
    assert grant.refresh is not None
    credentials.set(settings, grant.refresh)
    assert len(box.identity.asked) == asked + 1, "the one that waits has asked nothing"
    other.communicate("\n", timeout=20)
    waiting.join(20)
    assert len(found) == 1
    assert len(memory_keyring.data) == 3


def test_a_sign_in_is_not_shown_to_another_sign_in_server(box: Sandbox, memory_keyring: MemoryKeyring) -> None:
    settings = own(box.microsoft_settings)
    signed_in(settings, box)
    assert memory_keyring.data
    for authority, tenant in (("https://login.example.com/x", ""), ("", ""), ("", "example.com")):
        other = replace(settings, server=replace(settings.server, authority=authority, tenant=tenant))
        assert credentials.where(other) is None
    named = [microsoft_server(tenant=tenant).account for tenant in ("", "example.com")]
    assert named[0] == named[1], "both are asked for at Microsoft"


def test_a_lifetime_that_is_no_number_is_an_hour() -> None:
    assert grant_of({"access_token": "a", "expires_in": "soon"}, failure).is_fresh
    assert not grant_of({"access_token": "a", "expires_in": "10"}, failure).is_fresh


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize("sign", ["\u200b", "\u0430", "\ud800", "\r\n"], ids=ascii)
def test_a_token_that_cannot_be_one_ends_in_a_sentence_without_it(name: str, sign: str) -> None:
    answer = {"access_token": "a", "refresh_token": "r", name: f"hush{sign}hush"}
    with pytest.raises(AuthenticationError, match="a token that docmail cannot use") as caught:
        grant_of(answer, failure)
    answer.clear()
    assert "hush" not in shown(caught.value)
    assert caught.value.field == "sign_in"


def test_a_password_is_never_taken_for_a_token(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = own(box.microsoft_settings)
    settings.save()
    monkeypatch.setenv("DOCMAIL_PASSWORD", "a-password")
    assert credentials.where(settings) is None
    assert settings.account != box.settings.account


# --- applications -----------------------------------------------------------------------------------------------------


def test_a_scheduled_notebook_signs_in_with_the_secret_of_its_application(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = box.microsoft_settings
    settings.save()
    file = tmp_path / "secret"
    file.write_text("sandbox-client-secret\n")
    monkeypatch.setenv("DOCMAIL_CLIENT_SECRET_FILE", str(file))
    with open_transport(settings) as transport:
        transport.send(Message("cfo@example.com", "Q3").render(settings))
    assert len(box.inbox) == 1
    assert box.identity.asked[0]["grant_type"] == "client_credentials"
    tokens._kept.clear()
    file.write_text("wrong-secret")
    with pytest.raises(AuthenticationError, match="client secret is wrong, or has expired") as caught:
        open_transport(settings).open()
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize("sign", ["\u200b", "\u2013", "\udc80"], ids=ascii)
def test_the_secret_of_an_application_with_a_character_that_none_has_is_named_by_its_variable(
    sign: str, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = box.microsoft_settings
    settings.save()
    monkeypatch.setenv("DOCMAIL_CLIENT_SECRET", f"hush{sign}hush")
    with pytest.raises(
        CredentialError, match=r"Character 5 of the key .*: U\+.* Correct DOCMAIL_CLIENT_SECRET,"
    ) as caught:
        open_transport(settings).open()
    assert "hush" not in shown(caught.value)


def test_an_application_may_sign_in_with_a_certificate(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from trustme import CA, KeyType

    leaf = CA(key_type=KeyType.RSA).issue_cert("docmail.example", key_type=KeyType.RSA)
    file = tmp_path / "certificate"
    file.write_bytes(leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes())
    settings = box.microsoft_settings
    settings.save()
    monkeypatch.setenv("DOCMAIL_CLIENT_CERTIFICATE_FILE", str(file))
    assert oauth.tokens_of(settings).current()
    assert box.identity.asked[0]["grant_type"] == "client_credentials"


def test_a_key_that_microsoft_does_not_take_is_said_with_a_note_for_developers_that_holds_nothing_of_it(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from trustme import CA, KeyType

    leaf = CA(key_type=KeyType.ECDSA).issue_cert("docmail.example", key_type=KeyType.ECDSA)
    key = leaf.private_key_pem.bytes()
    file = tmp_path / "certificate"
    file.write_bytes(key + leaf.cert_chain_pems[0].bytes())
    settings = box.microsoft_settings
    settings.save()
    monkeypatch.setenv("DOCMAIL_CLIENT_CERTIFICATE_FILE", str(file))
    with pytest.raises(CredentialError, match="cannot be used for signing in") as caught:
        oauth.tokens_of(settings).current()
    (note,) = caught.value.__notes__
    assert re.fullmatch(r"\w+ at \S+\.py:\d+", note)
    assert key.decode().splitlines()[1] not in "".join(traceback.format_exception(caught.value))


# --- the settings and the errors --------------------------------------------------------------------------------------


def microsoft_server(**changes: Any) -> Settings:
    values = {"username": "a@example.com", "sign_in": SignIn.MICROSOFT, "client_id": "1234", **changes}
    return Settings("Accounts", SmtpServer("smtp.office365.com", **values))


def test_settings_say_how_one_signs_in_and_older_versions_can_read_the_others(home: Path) -> None:
    settings = own(microsoft_server(tenant="example.com"))
    settings.save()
    assert '"sign_in": "microsoft"' in (home / "docmail" / "settings.json").read_text()
    replace(settings, server=replace(settings.server, sign_in=SignIn.PASSWORD, client_id="", tenant="")).save()
    assert "sign_in" not in (home / "docmail" / "settings.json").read_text()


# --- nothing of it is shown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["smtp", "graph", "sign-in server", "wrong account"])
def test_no_traceback_however_verbose_shows_a_token(box: Sandbox, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    settings = box.microsoft_settings
    if way == "graph":
        server = box.settings_for("graph").server
        assert isinstance(server, HttpServer)
        authority = settings.server.authority
        settings = replace(
            settings, server=replace(server, sign_in=SignIn.MICROSOFT, client_id="x", authority=authority)
        )
    if way == "wrong account":
        box.identity.username = "private@example.org"
        with pytest.raises(SendError) as caught:
            signed_in(settings, box)
    else:
        signed_in(settings, box)
        if way == "sign-in server":
            box.identity.expire()
            tokens._kept.clear()

        def broken(connection: Connection, data: bytes, _deadline: object) -> None:
            if b"Bearer" in data or b"XOAUTH2" in data or b"refresh_token" in data:
                raise ConnectionResetError
            connection._open_socket.sendall(data)

        monkeypatch.setattr(Connection, "send", broken)
        with pytest.raises(SendError) as caught, open_transport(settings) as transport:
            transport.send(Message("cfo@example.com", "Q3").render(settings))
    shown_to_a_person = shown(caught.value)
    assert "Secret object at" not in shown_to_a_person
    for secret in ("access-", "refresh-", base64.b64encode(b"auth=Bearer access-").decode()[:-4]):
        assert secret not in shown_to_a_person
