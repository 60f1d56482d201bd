"""The way to a server: its name, a proxy, TCP and TLS, under one deadline, to that server and no other."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import ssl
import struct
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from docmail import presets
from docmail.errors import ConnectError, Kind, SendError, TLSError
from docmail.net import (
    Connection,
    Deadline,
    ServerClosed,
    fingerprint,
    matches,
    read_certificate,
    tls_context,
    tls_failure,
)
from docmail.net import connection as connection_module
from docmail.net.connection import socket_error
from docmail.presets import services
from docmail.transport import Waits
from tests.support.scripted import (
    PASSWORD,
    Action,
    ScriptedServer,
    cut,
    drip,
    echoes,
    endless,
    hear,
    mail_to,
    name_of,
    patience,
    reset,
    shown,
    silence,
    transport_to,
    wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

    from tests.support.certificates import Certificates, ServerCertificate


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def _quiet(_phase: str, _text: str) -> None:
    pass


# --- certificates -----------------------------------------------------------------------------------------------------

BAD = {
    "self_signed": ("fingerprint", "self-signed"),
    "unknown_authority": ("ca_file", "an authority that this computer trusts"),
    "expired": ("host", "has expired"),
    "not_yet_valid": ("host", "not valid yet"),
    "wrong_host": ("host", r"for another name: mail\.elsewhere\.example\."),
    "common_name_only": ("host", r"contains a name only in its subject \(localhost"),
    "company_proxy": ("ca_file", "authority that this computer does not know: The company"),
}


def _encrypting(
    certificate: ServerCertificate, security: str, script: dict[str, Action] | None = None
) -> ScriptedServer:
    return ScriptedServer(script, security=security, context=certificate.context())


def _said_under_tls(server: ScriptedServer) -> bytes:
    return b"".join(each.data for each in server.heard if each.encrypted)


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("bad", BAD)
def test_a_certificate_that_cannot_be_verified_is_refused_before_anything_is_said(
    certificates: Certificates, security: str, bad: str
) -> None:
    certificate: ServerCertificate = getattr(certificates, bad)()
    field, words = BAD[bad]
    with _encrypting(certificate, security) as server:
        with pytest.raises(TLSError, match=words) as caught:
            transport_to(server, settings={"host": "localhost", "ca_file": str(certificates.ca_file)}).open()
        error = caught.value
        assert (error.kind, error.phase, error.field, error.guide) == (Kind.CONFIG, "tls", field, "Certificates")
        assert error.fingerprint is not None
        assert error.fingerprint.replace(":", "").lower() == certificate.fingerprint
        assert error.fingerprint in error.message
        assert error.hint
    assert _said_under_tls(server) == b""
    assert not any(each.encode() in server.said for each in echoes())
    assert b"MAIL" not in server.said


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_good_certificate_is_accepted_and_described(certificates: Certificates, security: str) -> None:
    seen: dict[str, str] = {}
    with _encrypting(certificates.good(), security) as server:
        details = {"host": "localhost", "ca_file": str(certificates.ca_file)}
        with transport_to(server, settings=details, observe=seen.__setitem__) as transport:
            transport.send(mail_to())
    assert re.fullmatch(
        r"TLS 1\.3, TLS_AES_\w+, certificate of trustme .+ from docmail tests, valid until \d{4}-\d\d-\d\d", seen["tls"]
    )
    assert seen["connect"].startswith(f"127.0.0.1, port {server.port}, ")
    assert len(server.mails) == 1
    before = [each.data for each in server.heard if not each.encrypted]
    assert [line.split()[0] for line in before] == ([] if security == "tls" else [b"EHLO", b"STARTTLS"])


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("bad", [*BAD, "good"])
def test_a_pinned_fingerprint_replaces_the_checks(certificates: Certificates, security: str, bad: str) -> None:
    certificate: ServerCertificate = getattr(certificates, bad)()
    seen: dict[str, str] = {}
    with _encrypting(certificate, security) as server:
        details = {"host": "localhost", "fingerprint": certificate.fingerprint.upper()}
        with transport_to(server, settings=details, observe=seen.__setitem__) as transport:
            transport.send(mail_to())
    assert "pinned" in seen["tls"]
    assert len(server.mails) == 1


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize("shows", [*BAD, "good"])
def test_another_certificate_than_the_pinned_one_is_refused_before_anything_is_said(
    certificates: Certificates, security: str, shows: str
) -> None:
    certificate: ServerCertificate = getattr(certificates, shows)()
    with _encrypting(certificate, security) as server:
        # Also a certificate that could be verified: what is pinned counts.
        details = {"fingerprint": "ab" * 32, "ca_file": str(certificates.ca_file)}
        with pytest.raises(TLSError, match="does not show the certificate that you trust") as caught:
            transport_to(server, settings=details).open()
        assert (caught.value.phase, caught.value.field) == ("tls", "fingerprint")
        assert caught.value.fingerprint is not None
        assert caught.value.fingerprint.replace(":", "").lower() == certificate.fingerprint
    assert _said_under_tls(server) == b""
    assert len(server.sessions) == 1


def test_a_fingerprint_is_compared_as_a_whole() -> None:
    shown_to_people = fingerprint(b"certificate")
    assert len(shown_to_people) == 95
    assert matches(b"certificate", bytes.fromhex(shown_to_people.replace(":", "")))
    assert not matches(b"certificate", bytes(32))
    assert not matches(b"certificate", b"")


def test_the_rules_for_tls_are_strict() -> None:
    context = tls_context(None)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name


@pytest.mark.parametrize(
    "content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_file_that_is_none_is_named(certificates: Certificates, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with _encrypting(certificates.good(), "tls") as server:
        with pytest.raises(TLSError, match="CA file") as caught:
            transport_to(server, settings={"ca_file": str(path)}).open()
        assert (caught.value.phase, caught.value.field) == ("tls", "ca_file")


def test_an_authority_of_ones_own_need_not_be_as_formal_as_python_3_13_wants(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    lax = ssl.create_default_context

    def strict() -> ssl.SSLContext:
        context = lax()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    assert tls_context(None).verify_flags & ssl.VERIFY_X509_STRICT
    assert not tls_context(certificates.ca_file).verify_flags & ssl.VERIFY_X509_STRICT


def test_a_server_with_an_old_tls_only_is_refused(certificates: Certificates) -> None:
    context = certificates.good().context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with ScriptedServer(security="tls", context=context) as server:
        with pytest.raises(TLSError, match="no longer safe") as caught:
            transport_to(server, settings={"ca_file": str(certificates.ca_file)}).open()
        assert (caught.value.phase, caught.value.field) == ("tls", "host")
    assert _said_under_tls(server) == b""


def _said_by(raised: TLSError) -> tuple[object, ...]:
    return raised.phase, raised.kind, raised.field, raised.guide


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_key_that_is_too_short_is_refused(certificates: Certificates, security: str) -> None:
    certificate = certificates.short_key()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")  # or this side would refuse it, too
    context.load_cert_chain(certificate.chain, certificate.key)
    with ScriptedServer(security=security, context=context) as server:
        with pytest.raises(TLSError, match="key is too short") as caught:
            transport_to(server, settings={"host": "localhost", "ca_file": str(certificates.ca_file)}).open()
        assert _said_by(caught.value) == ("tls", Kind.CONFIG, "host", "Certificates")
    assert _said_under_tls(server) == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_that_wants_a_certificate_of_this_computer_is_told_of(
    certificates: Certificates, security: str, version: ssl.TLSVersion
) -> None:
    context = certificates.good().context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    with ScriptedServer(security=security, context=context) as server:
        with pytest.raises(TLSError, match="such as a certificate") as caught:
            transport_to(server, settings={"host": "localhost", "ca_file": str(certificates.ca_file)}).open()
        assert _said_by(caught.value) == ("tls", Kind.CONFIG, "port", "Certificates")
    assert b"AUTH" not in server.said


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_is_refused_can_be_shown(certificates: Certificates, security: str) -> None:
    certificate = certificates.self_signed()
    with _encrypting(certificate, security) as server:
        with pytest.raises(TLSError) as caught:
            transport_to(server).open()
        found = caught.value.certificate
        assert found is not None
        assert (found.subject, found.issuer, found.names) == ("localhost", "localhost", ("localhost",))
        assert found.not_before < datetime.now(UTC) < found.not_after
        assert found.fingerprint == caught.value.fingerprint
        with pytest.raises(TLSError) as caught:
            transport_to(server, settings={"fingerprint": "ab" * 32}).open()
        # Both numbers, so that they can be compared with what the administrator says.
        assert found.fingerprint in caught.value.message
        assert ":".join(["AB"] * 32) in caught.value.message
        assert caught.value.certificate == found
        assert "Compare the new fingerprint" in caught.value.hint


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_have_nothing_to_show(octets: bytes) -> None:
    assert read_certificate(octets) is None


def test_what_a_certificate_says_is_cleaned_like_a_servers_words(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "\x1b[31mmail<b>x</b>")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(f"h{number}.example") for number in range(100)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    found = read_certificate(made.public_bytes(serialization.Encoding.DER))
    assert found is not None
    assert found.subject == "mail x"
    assert len(found.names) == 20
    assert not any(tmp_path.iterdir())


def test_self_signed_certificates_are_not_offered_for_established_providers() -> None:
    failure = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    failure.verify_code, failure.verify_message = 18, "self-signed certificate"
    own = tls_failure(failure, "mail.example.com", 465, None)
    google = tls_failure(failure, "smtp.gmail.com", 465, None)
    assert (own.field, "tick" in own.hint) == ("fingerprint", True)
    assert (google.field, "tick" in google.hint) == ("host", False)
    assert "Gmail" in google.hint


def test_a_server_that_is_slow_to_show_its_certificate_again_does_not_stretch_the_deadline(
    certificates: Certificates,
) -> None:
    script: dict[str, Any] = {"greeting": ["220 hi", silence]}
    with _encrypting(certificates.self_signed(), "starttls", script) as server, within(4):
        with pytest.raises(TLSError, match="self-signed") as caught:
            transport_to(server, timeout=0.5).open()
        assert caught.value.fingerprint is None


# --- TLS that does not come about -------------------------------------------------------------------------------------


def test_a_plain_server_on_a_tls_port_is_told_of(certificates: Certificates) -> None:
    with ScriptedServer() as server, pytest.raises(TLSError, match="does not speak TLS from the first byte") as caught:
        transport_to(server, settings={"security": "tls", "ca_file": str(certificates.ca_file)}).open()
    assert (caught.value.phase, caught.value.field, caught.value.guide) == ("tls", "security", "Ports")
    assert "STARTTLS" in caught.value.hint


def test_a_tls_server_on_a_starttls_port_is_told_of_within_the_deadline(certificates: Certificates) -> None:
    with _encrypting(certificates.good(), "tls") as server, within(4):
        with pytest.raises(ConnectError, match="sends no greeting") as caught:
            transport_to(server, timeout=0.3, settings={"security": "starttls"}).open()
        assert caught.value.field == "security"
        assert "expects TLS" in caught.value.hint


def test_starttls_that_is_not_offered_is_demanded() -> None:
    with ScriptedServer() as server:
        with pytest.raises(TLSError, match="offers no encryption") as caught:
            transport_to(server, settings={"security": "starttls"}).open()
        assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.CONFIG, "tls", "port")
    assert server.verbs == ["EHLO"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [("454 4.7.0 not now", Kind.TEMPORARY), ("502 5.5.1 what?", Kind.CONFIG), ("250 as you like", Kind.CONFIG)],
)
def test_starttls_that_is_refused_is_not_done_without(certificates: Certificates, reply: str, kind: Kind) -> None:
    with _encrypting(certificates.good(), "starttls", {"STARTTLS": (reply, silence)}) as server:
        with pytest.raises(TLSError) as caught:
            transport_to(server).open()
        assert (caught.value.kind, caught.value.phase) == (kind, "tls")
        assert str(caught.value.reply) == reply
        assert reply in str(caught.value)
    assert server.verbs == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize("injected", [b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n", b"220 go\r\n\r\n", b"220 go\r\nx"])
def test_words_injected_before_the_handshake_are_noticed(certificates: Certificates, injected: bytes) -> None:
    with _encrypting(certificates.good(), "starttls", {"STARTTLS": (injected, silence)}) as server:
        with pytest.raises(TLSError, match="added text to the connection") as caught:
            transport_to(server, settings={"ca_file": str(certificates.ca_file)}).open()
        assert caught.value.phase == "tls"
    assert server.verbs == ["EHLO", "STARTTLS"]


def test_words_injected_a_moment_later_are_no_words_of_the_server(certificates: Certificates) -> None:
    script: dict[str, Action] = {"STARTTLS": ("220 go", wait(0.1), "250-x\n250 AUTH PLAIN")}
    with _encrypting(certificates.good(), "starttls", script) as server, within(4):
        with pytest.raises(TLSError) as caught:
            transport_to(server, timeout=0.5, settings={"ca_file": str(certificates.ca_file)}).open()
        assert "from the first byte" not in str(caught.value)  # it is STARTTLS already
    assert b"AUTH" not in server.said


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize(
    ("end", "words"),
    [
        (cut, "the server closed the connection in the middle"),
        # Once the client has begun: what comes before would be words put into the connection.
        ((hear(1), reset), "the connection was cut"),
        (silence, "in time"),
        # A record that announces 16 kB: the client waits for each byte anew.
        ((hear(1), drip(b"\x16\x03\x03\x40\x00" + bytes(50), 0.05)), "in time"),
        ((hear(1), b"\x15\x03\x03\x00\x02\x02\x28"), "asks this computer for something"),
        ((hear(1), b"\x15\x03\x03\x00\x02\x02\x50"), "failed: .*internal error"),
        (endless(b"\x00"), "from the first byte|failed|added text"),
    ],
    ids=name_of,
)
def test_a_handshake_that_fails_is_told_of_in_time(
    certificates: Certificates, security: str, end: Action, words: str
) -> None:
    with _encrypting(certificates.good(), security, {"handshake": end}) as server, within(4):
        with pytest.raises(TLSError, match=words) as caught:
            transport_to(server, timeout=patience(end), settings={"ca_file": str(certificates.ca_file)}).open()
        assert caught.value.phase == "tls"
        assert caught.value.hint
        assert "_" not in caught.value.message
    assert b"AUTH" not in server.said


@pytest.mark.parametrize("end", [cut, reset, silence], ids=name_of)
def test_what_breaks_after_the_handshake_is_told_of_in_time(certificates: Certificates, end: Action) -> None:
    with _encrypting(certificates.good(), "tls", {"greeting": end}) as server, within(4):
        with pytest.raises(ConnectError) as caught:
            transport_to(server, timeout=patience(end), settings={"ca_file": str(certificates.ca_file)}).open()
        assert caught.value.phase == "greeting"


def test_a_password_echoed_under_tls_is_redacted(certificates: Certificates) -> None:
    with _encrypting(certificates.good(), "tls", {"AUTH": (f"535-{PASSWORD}", cut)}) as server:
        with pytest.raises(SendError) as caught:
            transport_to(server, settings={"ca_file": str(certificates.ca_file)}).open()
        assert PASSWORD not in shown(caught.value)


# --- names and addresses ----------------------------------------------------------------------------------------------


def _addresses(*hosts: tuple[str, int]) -> Callable[..., list[Any]]:
    return lambda *_args, **_options: [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in hosts
    ]


def _open(host: str, port: int, timeout: float = 2) -> Connection:
    made = Connection(host, port)
    made.open(Deadline(timeout), _quiet)
    return made


def test_a_name_that_nobody_knows_points_at_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)
    with pytest.raises(ConnectError, match=r"no server named nowhere\.invalid") as caught:
        _open("nowhere.invalid", 587)
    assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.NETWORK, "dns", "host")


def _unknown(code: int) -> Callable[..., None]:
    def raising(*_args: object, **_options: object) -> None:
        raise socket.gaierror(code, "Name or service not known")

    return raising


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_AGAIN])
def test_a_computer_without_a_network_is_told_from_a_wrong_name(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def nowhere(_self: socket.socket, _address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", _unknown(code))
    monkeypatch.setattr(socket.socket, "connect", nowhere)
    with pytest.raises(ConnectError, match="not connected to any network") as caught:
        _open("mail.example.com", 587)
    assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.NETWORK, "dns", None)


FILLED_IN = sorted(
    {server.host for preset in presets.presets() for server in preset.servers if server.complete} - {"127.0.0.1"}
    | {service.host for service in services.SERVICES}
    | {*services.MAILGUN_REGIONS.values(), "login.microsoftonline.com", "oauth2.googleapis.com"}
)


@pytest.mark.parametrize("host", FILLED_IN)
def test_a_name_that_docmail_has_filled_in_itself_is_not_suspected_of_a_typing_error(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)
    for code in (socket.EAI_NONAME, socket.EAI_AGAIN):
        monkeypatch.setattr(socket, "getaddrinfo", _unknown(code))
        with pytest.raises(
            ConnectError, match=f"knows {re.escape(host)} as the server of .*, but this network"
        ) as caught:
            _open(host, 587)
        assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.NETWORK, "dns", None)
        assert "SOCKS5_PROXY" in caught.value.hint
        assert "typing error" not in str(caught.value)


@pytest.mark.parametrize("host", ["smtpp.gmail.com", "smtp.gmial.com", "email-smtp.eu-wset-1.amazonaws.com"])
def test_a_name_that_only_looks_like_a_known_one_may_have_a_typing_error(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)
    monkeypatch.setattr(socket, "getaddrinfo", _unknown(socket.EAI_NONAME))
    with pytest.raises(ConnectError, match=f"no server named {re.escape(host)}") as caught:
        _open(host, 587)
    assert caught.value.field == "host"


def test_a_known_name_that_is_not_found_in_time_is_not_suspected_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: release.wait(10) and [])
    with pytest.raises(ConnectError, match="this network does not resolve") as caught:
        _open("SMTP.gmail.com", 587, timeout=0.4)
    release.set()
    assert caught.value.field is None


def test_a_proxy_that_does_not_reach_a_known_server_is_to_blame_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", "127.0.0.1:1")
    with pytest.raises(ConnectError, match=r"proxy does not connect to smtp\.gmail\.com") as caught:
        _open("smtp.gmail.com", 587)
    assert (caught.value.field, "server's name" in caught.value.hint) == (None, False)


def test_a_name_server_that_is_away_is_told_from_a_wrong_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)

    def away(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    with pytest.raises(ConnectError, match="no name server answers") as caught:
        _open("mail.example.com", 587)
    assert "network connection" in caught.value.hint


def test_a_look_up_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: release.wait(10) and [])
    with within(4), pytest.raises(ConnectError, match="was not found within 0 s") as caught:
        _open("mail.example.com", 587, timeout=0.4)
    release.set()
    assert (caught.value.phase, caught.value.field) == ("dns", "host")


def test_stop_ends_a_look_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: release.wait(10) and [])
    made = Connection("mail.example.com", 587)
    with _stopped_after(0.1, made), within(4), pytest.raises(ConnectError, match="Stopped") as caught:
        made.open(Deadline(30), _quiet)
    release.set()
    assert caught.value.phase == "dns"


@contextlib.contextmanager
def _stopped_after(seconds: float, connection: Any) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.abort)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextlib.contextmanager
def _blackhole() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that answers no connection: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _number in range(8):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]


def test_a_server_that_does_not_answer_ends_at_the_deadline() -> None:
    with _blackhole() as port, within(4), pytest.raises(ConnectError, match="does not answer on port") as caught:
        _open("127.0.0.1", port, timeout=0.4)
    assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.NETWORK, "connect", "port")


def test_stop_ends_a_connect_at_once() -> None:
    with _blackhole() as port, within(4):
        made = Connection("127.0.0.1", port)
        with _stopped_after(0.1, made), pytest.raises(ConnectError, match="Stopped") as caught:
            made.open(Deadline(30), _quiet)
    assert caught.value.phase == "connect"
    assert not made.is_open


def test_stop_between_two_steps_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = Connection._connect

    def stopped_too_early(self: Connection, *args: Any) -> Any:
        found = connect(self, *args)
        self.abort()  # the connection is made, but not yet known to this object
        return found

    with ScriptedServer({"greeting": silence}) as server:
        made = Connection("127.0.0.1", server.port)
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "_connect", stopped_too_early)
            with pytest.raises(ConnectError, match="Stopped"):
                made.open(Deadline(30), _quiet)
        made.close()


def test_stop_while_tls_takes_the_connection_over_is_not_lost() -> None:
    class Context(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
            wrapped = super().wrap_socket(*args, **options)
            made._aborted.set()  # abort() meets the socket that is being replaced, and shuts nothing
            return wrapped

    with ScriptedServer({"greeting": silence}) as server, within(4):
        made = _open("127.0.0.1", server.port)
        with pytest.raises(ConnectError, match="Stopped") as caught:
            made.encrypt(Context(ssl.PROTOCOL_TLS_CLIENT), Deadline(30))
        made.close()
    assert caught.value.phase == "tls"


def test_a_port_where_nobody_listens_points_at_the_port() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with within(4), pytest.raises(ConnectError, match="accepts no connections on port") as caught:
            _open("127.0.0.1", closed.getsockname()[1])
    assert (caught.value.phase, caught.value.field) == ("connect", "port")
    assert isinstance(caught.value, ConnectionError)


def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with _blackhole() as port, ScriptedServer() as server, within(4):
        monkeypatch.setattr(socket, "getaddrinfo", _addresses(("127.0.0.1", port), ("127.0.0.1", server.port)))
        made = _open("mail.example.com", 587, timeout=0.8)
        assert made.peer_is_loopback
        made.close()


def test_an_address_of_a_kind_that_this_computer_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        # As with IPv6 switched off: already the socket cannot be made.
        found = [
            (4711, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", server.port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)
        _open("mail.example.com", 587).close()
        found.pop()
        with pytest.raises(ConnectError, match="cannot be reached"):
            _open("mail.example.com", 587)


def test_another_computer_is_no_loopback() -> None:
    made = Connection("localhost", 25)
    assert not made.peer_is_loopback
    made._peer = "192.0.2.1"
    assert not made.peer_is_loopback
    made._peer = "::ffff:127.0.0.1"
    assert made.peer_is_loopback


def test_an_address_of_one_network_card_is_introduced_without_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Local:
        def getsockname(self) -> tuple[str, int, int, int]:
            return ("fe80::1%eth0", 1, 0, 2)

    monkeypatch.setattr(Connection, "_open_socket", Local())
    assert Connection("mail.example.com", 25).local_host == "fe80::1"


# --- lines ------------------------------------------------------------------------------------------------------------


def _connected(server: ScriptedServer) -> Connection:
    return _open("127.0.0.1", server.port)


def test_lines_come_one_by_one_however_they_arrive() -> None:
    script: dict[str, Action] = {"greeting": (b"220 o", wait(0.05), b"ne\r\n220 two\n220 thr", wait(0.05), b"ee\r\n")}
    with ScriptedServer(script) as server:
        made = _connected(server)
        assert [made.read_line(Deadline(2), 100) for _number in range(3)] == [b"220 one", b"220 two", b"220 three"]
        made.close()


@pytest.mark.parametrize("size", [101, 5000, 500_000])
def test_a_line_over_the_limit_is_not_read_to_its_end(size: int) -> None:
    with ScriptedServer({"greeting": b"x" * size + b"\r\n"}) as server:
        made = _connected(server)
        with pytest.raises(ValueError):  # noqa: PT011 - it has no words; the caller finds them
            made.read_line(Deadline(2), 100)
        made.close()


def test_a_closed_connection_says_so_whatever_is_asked() -> None:
    made = Connection("127.0.0.1", 25)
    made.close()
    made.abort()
    for ask in (
        lambda: made.read_line(Deadline(1), 10),
        lambda: made.send(b"x", Deadline(1)),
        lambda: made.stream([b"x"], lambda _sent: None, Waits().crawl),
        lambda: made.local_host,
        made.certificate,
    ):
        with pytest.raises(ServerClosed):
            ask()


class _Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class _Narrow:
    """A socket that takes so many bytes a second."""

    def __init__(self, clock: _Clock, rate: float) -> None:
        self._clock = clock
        self._rate = rate
        self._timeout = 0.0
        self.taken = 0

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def send(self, data: memoryview) -> int:
        if self._rate * self._timeout < 1:
            self._clock.now += self._timeout
            raise TimeoutError
        size = min(len(data), max(1, int(self._rate)), int(self._rate * self._timeout))
        self._clock.now += size / self._rate
        self.taken += size
        return size


@pytest.mark.parametrize(
    ("rate", "fails_after"), [(0.01, 30), (1000, 30), (15_500, 30), (16_500, None), (1_000_000, None)]
)
def test_a_body_fails_only_under_16_kb_a_second_over_30_s(
    monkeypatch: pytest.MonkeyPatch, rate: float, fails_after: float | None
) -> None:
    clock = _Clock()
    narrow = _Narrow(clock, rate)
    monkeypatch.setattr(connection_module, "time", clock)
    monkeypatch.setattr(Connection, "_open_socket", narrow)
    sent: list[int] = []
    size = 5_000_000
    made = Connection("mail.example.com", 25)
    if fails_after is None:
        made.stream([bytes(size // 2), b"", bytes(size // 2)], sent.append, Waits().crawl)
        assert sent == [size // 2, size // 2, size]
        assert narrow.taken == size
    else:
        with pytest.raises(TimeoutError):
            made.stream([bytes(size)], sent.append, Waits().crawl)
        assert clock.now - 1000 == pytest.approx(fails_after, abs=2)


def test_a_body_that_begins_to_crawl_fails_at_the_end_of_that_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    narrow = _Narrow(clock, 100_000)
    monkeypatch.setattr(connection_module, "time", clock)
    monkeypatch.setattr(Connection, "_open_socket", narrow)

    def slow_down(total: int) -> None:
        if total >= 6_000_000:  # after a minute
            narrow._rate = 100

    with pytest.raises(TimeoutError):
        Connection("mail.example.com", 25).stream([bytes(1_000_000)] * 20, slow_down, Waits().crawl)
    assert 60 < clock.now - 1000 <= 122


# --- the proxy --------------------------------------------------------------------------------------------------------


class SocksServer:
    """A SOCKS5 proxy (RFC 1928) that leads every name to one port of this computer, or does what `answer` says."""

    def __init__(self, leads_to: int = 0, *, sign_in: tuple[str, str] | None = None, answer: Any = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._leads_to = leads_to
        self._sign_in = sign_in
        self._answer = answer
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stopping.set()
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
        for sock in [self._listener, *self._sockets]:
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                self._sockets.append(client)
                self._run(self._serve, client)

    def _run(self, work: Callable[..., None], *args: Any) -> None:
        def quietly() -> None:
            with contextlib.suppress(OSError):
                work(*args)

        thread = threading.Thread(target=quietly, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, client: socket.socket) -> None:
        _version, methods = _exactly(client, 2)
        offered = _exactly(client, methods)
        if self._sign_in:
            assert 2 in offered
            client.sendall(b"\x05\x02")
            _exactly(client, 1)
            user = _exactly(client, _exactly(client, 1)[0]).decode()
            password = _exactly(client, _exactly(client, 1)[0]).decode()
            accepted = (user, password) == self._sign_in
            client.sendall(b"\x01\x00" if accepted else b"\x01\x01")
            if not accepted:
                return
        else:
            client.sendall(b"\x05\x00")
        _version, _command, _zero, kind = _exactly(client, 4)
        assert kind == 3, "the proxy looks names up, not this computer"
        host = _exactly(client, _exactly(client, 1)[0]).decode()
        (port,) = struct.unpack("!H", _exactly(client, 2))
        self.asked.append((host, port))
        if self._answer is not None:
            self._answer(client, self._stopping)
            return
        onward = socket.create_connection(("127.0.0.1", self._leads_to))
        self._sockets.append(onward)
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        self._run(_pump, client, onward)
        _pump(onward, client)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (piece := sock.recv(size - len(data))):
            raise ConnectionResetError
        data += piece
    return data


def _pump(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


def _through(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", proxy)
    real = socket.getaddrinfo

    def only_the_proxy(host: str, *args: Any, **options: Any) -> Any:
        assert host in {"127.0.0.1", "localhost", "proxy.invalid"}, "a name was looked up past the proxy"
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", only_the_proxy)


@pytest.mark.parametrize("form", ["127.0.0.1:{port}", "socks5://127.0.0.1:{port}", "socks5h://localhost:{port}"])
def test_mail_goes_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates, form: str
) -> None:
    seen: list[tuple[str, str]] = []
    with _encrypting(certificates.wrong_host(), "tls") as server, SocksServer(server.port) as proxy:
        _through(monkeypatch, form.format(port=proxy.port))
        details = {"host": "mail.elsewhere.example", "port": 465, "ca_file": str(certificates.ca_file)}
        with transport_to(server, settings=details, observe=lambda *each: seen.append(each)) as transport:
            transport.send(mail_to())
    assert proxy.asked == [("mail.elsewhere.example", 465)]
    assert len(server.mails) == 1
    assert [phase for phase, _text in seen][:2] == ["connect", "tls"]
    assert "proxy" in seen[0][1]


def test_this_computer_is_reached_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server, SocksServer() as proxy:
        _through(monkeypatch, f"127.0.0.1:{proxy.port}")
        with transport_to(server) as transport:
            transport.send(mail_to())
    assert proxy.asked == []


def test_a_proxy_on_this_computer_is_not_the_server_on_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    # As with `ssh -D`: the other end of the TCP connection is loopback, the server is not.
    with ScriptedServer() as server, SocksServer(server.port) as proxy:
        _through(monkeypatch, f"127.0.0.1:{proxy.port}")
        with pytest.raises(TLSError, match="was not sent"):
            transport_to(server, settings={"host": "mail.example.com"}).open()
    assert b"AUTH" not in server.said


def test_a_proxy_can_ask_for_a_sign_in_that_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server, SocksServer(server.port, sign_in=("analyst", "proxy-secret")) as proxy:
        _through(monkeypatch, f"socks5://analyst:proxy-secret@127.0.0.1:{proxy.port}")
        made = _open("mail.example.com", 25)
        made.close()
        monkeypatch.setenv("SOCKS5_PROXY", f"socks5://analyst:proxy-secret-9@127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectError, match="proxy does not connect") as caught:
            made.open(Deadline(2), _quiet)
    assert "proxy-secret" not in shown(caught.value)


def test_an_interrupt_on_the_way_through_a_proxy_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("SOCKS5_PROXY", "socks5://analyst:proxy-secret@127.0.0.1:1080")
    monkeypatch.setattr("python_socks.sync.Proxy.from_url", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        _open("mail.example.com", 25)
    assert "proxy-secret" not in shown(caught.value)


@pytest.mark.parametrize("password", ["hush\u2100", "hush\u00e9\u0430", "hush/hush", "[hush", "hush" * 100])
def test_what_is_wrong_with_the_password_of_a_proxy_is_said_without_it(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocksServer(sign_in=("analyst", "x")) as proxy:
        monkeypatch.setenv("SOCKS5_PROXY", f"socks5://analyst:{password}@127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectError, match="its address, name or password cannot be read") as caught:
            _open("mail.example.com", 25)
    assert "hush" not in shown(caught.value)


@pytest.mark.parametrize(
    "proxy",
    ["proxy.invalid:1080", "127.0.0.1:1", "127.0.0.1", "ftp://127.0.0.1:1", "socks5://u:p-s@[::1", "x" * 70 + ".y:1"],
)
def test_a_proxy_that_is_down_or_no_proxy_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", proxy)
    with within(4), pytest.raises(ConnectError, match=r"SOCKS5 proxy does not connect to mail\.example\.com") as caught:
        _open("mail.example.com", 587, timeout=1)
    assert (caught.value.kind, caught.value.phase) == (Kind.NETWORK, "connect")
    assert "SOCKS5_PROXY" in caught.value.hint
    assert "p-s" not in shown(caught.value)


def _drips(client: socket.socket, stopping: threading.Event) -> None:
    client.sendall(b"\x05\x00\x00\x03\xff")  # a name of 255 letters comes
    while not stopping.wait(0.05):
        client.sendall(b"x")


def _says_no(client: socket.socket, _stopping: threading.Event) -> None:
    client.sendall(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")


def _hangs(_client: socket.socket, stopping: threading.Event) -> None:
    stopping.wait()


def _hangs_up(client: socket.socket, _stopping: threading.Event) -> None:
    client.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(_drips, "no answer within"), (_hangs, "no answer within"), (_says_no, "not allowed"), (_hangs_up, "")],
)
def test_a_proxy_that_fails_is_told_of_in_time(monkeypatch: pytest.MonkeyPatch, answer: Any, words: str) -> None:
    with SocksServer(answer=answer) as proxy, within(4):
        monkeypatch.setenv("SOCKS5_PROXY", f"127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectError, match=f"(?i)proxy does not connect.*{words}") as caught:
            _open("mail.example.com", 587, timeout=0.5)
        assert caught.value.phase == "connect"


def test_stop_ends_the_wait_for_a_proxy_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with SocksServer(answer=_hangs) as proxy, within(4):
        monkeypatch.setenv("SOCKS5_PROXY", f"127.0.0.1:{proxy.port}")
        made = Connection("mail.example.com", 587)
        with _stopped_after(0.2, made), pytest.raises(ConnectError, match="Stopped"):
            made.open(Deadline(30), _quiet)


def test_a_missing_proxy_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", "127.0.0.1:1080")
    monkeypatch.setitem(sys.modules, "python_socks.sync", None)
    with pytest.raises(ConnectError) as caught:
        _open("mail.example.com", 587)
    assert "docmail[proxy]" in caught.value.hint


def test_the_environment_of_the_tests_names_no_proxy() -> None:
    assert "SOCKS5_PROXY" not in os.environ


def test_a_refused_connection_has_words_on_windows_too() -> None:
    """os.strerror() says “Unknown error” there; FormatError() stands in for itself."""
    code = errno.ECONNREFUSED
    failure = socket_error(code, lambda number: f"No connection could be made ({number})\r\n")
    assert isinstance(failure, ConnectionRefusedError)
    assert failure.strerror == f"No connection could be made ({code})"
    assert socket_error(code).strerror == os.strerror(code)


def test_a_connection_that_ends_before_its_handshake_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sock = socket.create_connection(listening.getsockname())
        taken, _address = listening.accept()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, and no farewell
        taken.close()
    with contextlib.suppress(OSError):
        while sock.getpeername():
            time.sleep(0.01)
    with pytest.raises(ConnectionResetError):  # a socket that stays open is an error in this suite
        tls_context(None).wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False)
