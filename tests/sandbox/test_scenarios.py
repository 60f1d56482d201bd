"""The sandbox plays by name what goes wrong at real servers; the test email says what it is, and some can be mended."""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import Sandbox, credentials
from docmail.diagnosis import Check, diagnose
from docmail.errors import ConnectError, Kind, MessageError, OutcomeUnknown, SendError
from docmail.net import connection as connection_module
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.sandbox.scenarios import catalogue, scenario
from docmail.secret import Secret
from docmail.settings import Security, Settings
from docmail.transport import Waits, open_transport
from docmail.transport.capabilities import RememberedCapabilities
from tests.replies.test_recorded_replies import RECORDED
from tests.support.scripted import echoes, pdf_of

if TYPE_CHECKING:
    from collections.abc import Callable

APP_PASSWORD = "abcd efgh ijkl mnop"
USER = "accounts@example.com"

# Name -> phase, kind, field, words; what is said of STARTTLS alone has no second row.
STARTTLS: dict[str, tuple[str, Kind, str | None, str]] = {
    "name-not-found": ("dns", Kind.NETWORK, "host", r"no server named smtp\.sandbox\.invalid"),
    "wrong-port": ("connect", Kind.NETWORK, "port", "accepts no connections on port"),
    "blackhole": ("connect", Kind.NETWORK, "port", "does not answer on port"),
    "web-server": ("greeting", Kind.NETWORK, "port", "A web server answers"),
    "tls-at-starttls-port": ("tls", Kind.CONFIG, "security", "encrypts with STARTTLS on port"),
    "starttls-at-tls-port": ("greeting", Kind.NETWORK, "security", "expects TLS from the start"),
    "missing-username": ("mail", Kind.AUTH, "username", "wants a sign-in"),
    "no-password": ("credential", Kind.AUTH, "password", "No password is stored"),
    "silent": ("greeting", Kind.NETWORK, "port", "sends no greeting"),
    "closed-at-accept": ("greeting", Kind.NETWORK, "port", "hangs up on port .* without a greeting"),
    "reset-at-accept": ("greeting", Kind.NETWORK, "port", "closed before the server's greeting"),
    "closed-after-ehlo": ("ehlo", Kind.NETWORK, "port", "hung up as soon as docmail had introduced itself"),
    "closed-at-sign-in": ("auth", Kind.NETWORK, "password", "hung up during the sign-in"),
    "imap-server": ("greeting", Kind.NETWORK, "host", "server for fetching mail"),
    "no-mail-server": ("greeting", Kind.NETWORK, "port", r"as an SMTP server does. It said: hello\?"),
    "one-byte-a-second": ("greeting", Kind.NETWORK, "port", "too slowly"),
    "endless-reply": ("ehlo", Kind.NETWORK, "port", "without end"),
    "endless-line": ("greeting", Kind.NETWORK, "port", "without end"),
    "no-starttls": ("tls", Kind.CONFIG, "port", r"offers no encryption \(STARTTLS\)"),
    "starttls-refused": ("tls", Kind.TEMPORARY, "port", "does not begin the encryption"),
    "starttls-injected": ("tls", Kind.CONFIG, "port", "added text to the connection"),
    "handshake-cut": ("tls", Kind.CONFIG, "security", "closed the connection in the middle"),
    "handshake-reset": ("tls", Kind.CONFIG, "security", "the connection was cut"),
    "handshake-hangs": ("tls", Kind.CONFIG, "security", "did not finish the encryption"),
    "self-signed-certificate": ("tls", Kind.CONFIG, "fingerprint", "self-signed"),
    "unknown-authority-certificate": ("tls", Kind.CONFIG, "ca_file", "an authority that this computer trusts"),
    "company-proxy-certificate": ("tls", Kind.CONFIG, "ca_file", "does not know: docmail sandbox CA"),
    "expired-certificate": ("tls", Kind.CONFIG, "host", r"has expired: it was valid until \d{4}"),
    "not-yet-valid-certificate": ("tls", Kind.CONFIG, "host", r"not valid yet: it is valid from \d{4}"),
    "wrong-host-certificate": ("tls", Kind.CONFIG, "host", r"for another name: mail\.elsewhere\.example"),
    "common-name-only-certificate": ("tls", Kind.CONFIG, "host", r"only in its subject \(localhost\)"),
    "short-key-certificate": ("tls", Kind.CONFIG, "host", "key is too short"),
    "changed-certificate": ("tls", Kind.CONFIG, "fingerprint", "does not show the certificate that you trust"),
    "client-certificate": ("tls", Kind.CONFIG, "port", "such as a certificate"),
    "old-tls": ("tls", Kind.CONFIG, "host", "no longer safe"),
    "no-auth": ("auth", Kind.AUTH, "port", "offers no sign-in"),
    "only-oauth": ("auth", Kind.AUTH, "host", "accepts no password, only XOAUTH2, OAUTHBEARER"),
    "lost-after-the-last-byte": ("data", Kind.UNKNOWN, None, "may have arrived: the connection"),
    "half-a-reply": ("data", Kind.UNKNOWN, None, "may have arrived: the connection"),
    "no-reply-after-the-last-byte": ("data", Kind.UNKNOWN, None, "something that is not a reply"),
}
TLS = {
    **{name: row for name, row in STARTTLS.items() if "starttls" not in name},
    "web-server": ("tls", Kind.CONFIG, "port", "A web server answers"),
    # What TLS makes of a reset differs from system to system.
    "reset-at-accept": ("greeting", Kind.NETWORK, "port", "without a greeting|before the server's greeting"),
}
HTTP: dict[str, tuple[str, Kind, str | None, str]] = {
    "http-sign-in": ("reply", Kind.AUTH, "url", "does not accept mail from you"),
    "http-not-found": ("reply", Kind.CONFIG, "url", "at this address"),
    "http-too-large": ("reply", Kind.MESSAGE, None, "too large"),
    "http-limit": ("reply", Kind.LIMIT, None, "limit"),
    "http-error-page": ("reply", Kind.MESSAGE, None, "500 Error Unknown recipient"),
    "http-gateway": ("reply", Kind.UNKNOWN, None, "may have arrived"),
    "http-cut": ("reply", Kind.UNKNOWN, None, "may have arrived"),
}
WITH_A_DOCUMENT = {"cut-in-the-message"}
# What comes after the server's reply is played in tests/sandbox/test_mailbox.py.
COME_BACK = {"bounced", "bounced-later"}
CHUNKS = {"chunks-refused", "chunks-unknown", "chunks-stall"}
# Where a time-out must strike, it is short; where something else must, long, also on a busy machine.
SHORT = dict.fromkeys(("blackhole", "silent", "one-byte-a-second", "handshake-hangs"), 1.5)
SHORT |= dict.fromkeys(("starttls-at-tls-port", "web-server"), 4.0)  # a look at what speaks there has an eighth of it


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)


def failed(settings: Settings, timeout: float = 10) -> Check:
    check = diagnose(settings, timeout=timeout, waits=Waits(reply=1.0)).failed
    assert check is not None
    return check


@pytest.mark.parametrize(
    ("way", "name", "expected"),
    [
        *(("starttls", name, expected) for name, expected in STARTTLS.items()),
        *(("tls", name, expected) for name, expected in TLS.items()),
        *(("form", name, expected) for name, expected in HTTP.items()),
    ],
)
def test_a_scenario_is_told_apart_and_points_at_its_field(
    way: str, name: str, expected: tuple[str, Kind, str | None, str]
) -> None:
    with Sandbox(failing=name) as box:
        began = time.monotonic()
        check = failed(box.settings_for(way), SHORT.get(name, 10))
        assert time.monotonic() - began < SHORT.get(name, 1.5) + 3
        if expected[1] is not Kind.UNKNOWN:
            assert len(box.inbox) == 0
    assert (check.phase, check.kind, check.field) == expected[:3]
    assert re.search(expected[3], check.text)
    assert check.hint
    assert not any(each in repr(check) for each in echoes(SANDBOX_PASSWORD, USER))


def test_every_scenario_is_expected_somewhere() -> None:
    recorded = {each.name for each in RECORDED}
    assert set(catalogue()) <= recorded | STARTTLS.keys() | HTTP.keys() | WITH_A_DOCUMENT | CHUNKS | COME_BACK
    assert all(each.about and each.name == name for name, each in catalogue().items())


@pytest.mark.parametrize(
    "recorded", [each for each in RECORDED if each.name in catalogue()], ids=lambda each: each.name
)
def test_a_reply_that_is_played_by_name_is_the_recorded_one(recorded: Any) -> None:
    with Sandbox(failing=recorded.name) as box:
        check = failed(box.settings)
        assert check.reply is not None
        assert check.reply.code == int(recorded.reply[:3])
        assert (check.phase, check.kind) == (recorded.phase, recorded.kind)


def test_a_connection_that_breaks_in_the_middle_of_a_document_sent_nothing() -> None:
    with Sandbox(failing="cut-in-the-message") as box:
        with pytest.raises(SendError) as caught:
            docmail.send(pdf_of(5_000_000), to="cfo@example.com", subject="Q3", settings=box.settings)
        assert (caught.value.kind, caught.value.phase) == (Kind.NETWORK, "data")
        assert len(box.inbox) == 0


@pytest.mark.parametrize("name", sorted(CHUNKS))
def test_a_server_that_chokes_on_chunks_gets_every_mail_of_a_batch(name: str) -> None:
    with Sandbox(failing=name) as box:
        mails = [docmail.Message("cfo@example.com", f"No. {each}").render(box.settings) for each in range(4)]
        memory = RememberedCapabilities()
        transport = open_transport(box.settings, timeout=2, capabilities=memory)
        with transport:
            for mail in mails:
                if not transport.is_open:
                    transport.open()
                try:
                    transport.send(mail)
                except ConnectError:  # certainly not sent, as a run sees it as well
                    transport.open()
                    transport.send(mail)
        assert [each.subject for each in box.inbox] == ["No. 0", "No. 1", "No. 2", "No. 3"]
        assert memory.takes_chunks(f"{box.host}:{box.port}") is False


def test_what_was_lost_after_the_last_byte_is_in_doubt_for_a_send_too() -> None:
    with Sandbox(failing="lost-after-the-last-byte") as box, pytest.raises(OutcomeUnknown):
        docmail.send(pdf_of(10), to="cfo@example.com", subject="Q3", settings=box.settings)


# --- mending ----------------------------------------------------------------------------------------------------------


def _server(**changes: Any) -> Callable[[Sandbox, Settings], Settings]:
    def change(box: Sandbox, settings: Settings) -> Settings:
        values = {name: value(box) if callable(value) else value for name, value in changes.items()}
        server: Any = settings.server
        return replace(settings, server=replace(server, **values))

    return change


def _sender(_box: Sandbox, settings: Settings) -> Settings:
    return replace(settings, sender=f"Accounts <{USER}>")


MENDED: dict[str, Callable[[Sandbox, Settings], Settings]] = {
    "name-not-found": _server(host="127.0.0.1"),
    "wrong-port": _server(port=lambda box: box.port),
    "blackhole": _server(port=lambda box: box.port),
    "web-server": _server(port=lambda box: box.port),
    "tls-at-starttls-port": _server(security=Security.STARTTLS),
    "starttls-at-tls-port": _server(security=Security.TLS),
    "missing-username": _server(username=USER),
    "company-proxy-certificate": _server(ca_file=lambda box: str(box.ca_file)),
    "microsoft-send-as": _sender,
    "microsoft-send-as-denied": _sender,
    "yahoo-from-not-verified": _sender,
    "icloud-from-not-yours": _sender,
    "fastmail-from-not-authorised": _sender,
    "yandex-from-not-owned": _sender,
    "postfix-from-not-owned": _sender,
    "zoho-from-not-yours": _sender,
    "sendgrid-not-verified": _sender,
}


@pytest.mark.parametrize("name", MENDED)
def test_what_the_settings_are_to_blame_for_ends_when_they_are_corrected(name: str) -> None:
    with Sandbox(failing=name) as box:
        diagnosis = docmail.send_test(MENDED[name](box, box.settings))
        assert diagnosis.ok, diagnosis.failed
        assert len(box.inbox) == 1


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("no-password", SANDBOX_PASSWORD),
        ("wrong-password", SANDBOX_PASSWORD),
        ("gmail-app-password", APP_PASSWORD),
        ("gmail-app-password", APP_PASSWORD.replace(" ", "")),
        ("gmail-wrong-password", APP_PASSWORD),
        ("yahoo-app-password", APP_PASSWORD),
        ("aol-app-password", APP_PASSWORD),
    ],
)
def test_a_wrong_password_ends_when_the_right_one_is_typed(name: str, password: str) -> None:
    with Sandbox(failing=name) as box:
        assert failed(box.settings).field == "password"
        assert diagnose(box.settings, secret=Secret(password)).ok
        assert not diagnose(box.settings, secret=Secret("yet another one")).ok


@pytest.mark.parametrize("way", ["starttls", "tls"])
@pytest.mark.parametrize("name", ["self-signed-certificate", "changed-certificate", "expired-certificate"])
def test_a_certificate_is_trusted_by_the_fingerprint_that_the_failed_check_shows(name: str, way: str) -> None:
    with Sandbox(failing=name) as box:
        settings = box.settings_for(way)
        check = failed(settings)
        assert check.certificate is not None
        assert check.certificate.fingerprint == check.fingerprint
        assert check.certificate.subject == "docmail sandbox"
        assert "127.0.0.1" in check.certificate.names
        assert docmail.send_test(_server(fingerprint=check.fingerprint)(box, settings)).ok


def test_reset_ends_what_the_server_does() -> None:
    with Sandbox(failing="gmail-daily-limit") as box:
        assert failed(box.settings).kind is Kind.LIMIT
        box.reset()
        assert docmail.send_test(box.settings).ok


# --- names, and what stays behind -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [("gmail-app-pasword", "gmail-app-password"), ("expired", "expired-certificate"), ("self_signed", "self-signed")],
)
def test_a_name_that_is_none_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(MessageError, match=f"cannot play “{name}”") as caught:
        Sandbox(failing=name)
    assert near in caught.value.hint
    assert caught.value.field == "failing"


@pytest.mark.parametrize("name", ["", "zzzzzz", 7])
def test_a_name_that_is_near_none_is_answered_with_all(name: Any) -> None:
    with pytest.raises(MessageError) as caught:
        scenario(name)
    assert all(known in caught.value.hint for known in catalogue())


def test_its_repr_says_what_it_plays() -> None:
    with Sandbox(failing="expired-certificate") as box:
        assert re.fullmatch(r"<Sandbox 127\.0\.0\.1:\d+, failing: expired-certificate, 0 mails>", repr(box))


def test_a_bad_certificate_does_not_stay_with_the_folder(tmp_path: Any) -> None:
    with Sandbox(tmp_path / "box", failing="wrong-host-certificate") as box:
        assert failed(box.settings).phase == "tls"
    with Sandbox(tmp_path / "box") as box:
        assert docmail.send_test(box.settings).ok


@pytest.mark.parametrize("name", ["blackhole", "silent", "endless-reply", "endless-line", "handshake-hangs", "old-tls"])
def test_closing_leaves_no_thread_and_no_port_whatever_was_played(name: str) -> None:
    threads = set(threading.enumerate())
    box = Sandbox(failing=name).start()
    server: Any = box.settings.server
    ports = {server.port, box.port, box.settings_for("tls").account.port}
    idle = [socket.socket() for _port in ports]
    for sock, port in zip(idle, ports, strict=True):
        sock.settimeout(0)
        sock.connect_ex(("127.0.0.1", port))
    began = time.monotonic()
    box.close()
    assert time.monotonic() - began < 3
    assert set(threading.enumerate()) == threads
    assert credentials.where(Settings("Accounts", server)) is None
    for sock in idle:
        sock.close()
    for port in ports:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
