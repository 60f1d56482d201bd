"""The test email names the phase that fails, its cause, and the field to change."""

from __future__ import annotations

import platform
import quopri
import re
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

import docmail
from docmail.diagnosis import Check, Diagnosis, diagnose, send_test
from docmail.diagnosis.diagnosis import TEST_WAITS
from docmail.errors import TREATMENT, ConnectError, Deferred, Kind, OutcomeUnknown, SendError
from docmail.errors import Action as Does
from docmail.secret import Secret
from docmail.settings import HttpServer, Security, Settings, SmtpServer
from docmail.transport import Waits
from tests.support.mailserver import USERS
from tests.support.scripted import (
    PASSWORD,
    USER,
    Action,
    ScriptedServer,
    cut,
    drip,
    echoes,
    endless,
    hear,
    mail_to,
    reset,
    settings_for,
    silence,
    transport_to,
    wait,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.transport import Transport
    from tests.support.certificates import Certificates
    from tests.support.mailserver import RealMailServer

PHASES = ["settings", "credential", "dns", "connect", "greeting", "ehlo", "auth", "mail", "rcpt", "data"]


def examine(server: ScriptedServer, *, timeout: float = 5, waits: Waits = TEST_WAITS, **changes: Any) -> Diagnosis:
    return diagnose(settings_for(server, **changes), secret=Secret(PASSWORD), timeout=timeout, waits=waits)


def failed(diagnosis: Diagnosis) -> Check:
    check = diagnosis.failed
    assert check is not None
    assert diagnosis.checks[-1] is check
    assert not diagnosis.ok
    assert all(each.ok for each in diagnosis.checks[:-1])
    return check


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def phases(diagnosis: Diagnosis) -> list[str]:
    return [check.phase for check in diagnosis.checks]


# --- all is well ------------------------------------------------------------------------------------------------------


def test_the_test_email_is_really_sent_to_the_sender() -> None:
    with ScriptedServer() as server:
        diagnosis = examine(server)
    assert diagnosis.ok
    assert diagnosis.failed is None
    assert phases(diagnosis) == PHASES
    assert all(check.text and check.seconds >= 0 for check in diagnosis.checks)
    (mail,) = server.mails
    assert mail.recipients == [USER]
    assert b"Subject: docmail: your email settings work" in mail.content


def test_tls_comes_before_the_greeting_and_starttls_after_it(certificates: Certificates) -> None:
    for security, expected in (
        ("tls", ["connect", "tls", "greeting", "ehlo", "auth"]),
        ("starttls", ["connect", "greeting", "ehlo", "tls", "auth"]),
    ):
        context = certificates.good().context()
        with ScriptedServer(security=security, context=context) as server:
            diagnosis = examine(server, ca_file=str(certificates.ca_file))
        assert diagnosis.ok
        assert phases(diagnosis)[3:8] == expected


def test_each_phase_says_what_was_found(certificates: Certificates) -> None:
    with ScriptedServer(security="tls", context=certificates.good().context()) as server:
        diagnosis = examine(server, host="localhost", ca_file=str(certificates.ca_file))
    said = {check.phase: check.text for check in diagnosis.checks}
    assert said["dns"].startswith("localhost → ")
    assert re.fullmatch(rf"127\.0\.0\.1, port {server.port}, \d+ ms", said["connect"])
    assert re.search(r"TLS 1\.3, TLS_AES_\w+, certificate of .+ from docmail tests, valid until \d{4}", said["tls"])
    assert said["greeting"] == "scripted ESMTP"
    assert said["ehlo"] == "offers PIPELINING, SIZE, 8BITMIME, SMTPUTF8, AUTH"
    assert said["auth"] == f"signed in as {USER} (PLAIN)"
    assert said["data"] == "taken: 250 2.0.0 taken"


def test_the_test_email_says_from_which_computer_and_when() -> None:
    with ScriptedServer() as server:
        examine(server)
    text = quopri.decodestring(server.mails[0].content).decode()
    assert "You can read this, so the settings work" in text
    assert platform.node() in text
    assert re.search(r"at \d{4}-\d\d-\d\d \d\d:\d\d ", text)


def test_it_goes_to_another_address_on_request() -> None:
    with ScriptedServer() as server:
        assert diagnose(settings_for(server), secret=Secret(PASSWORD), to="cfo@example.com").ok
    assert server.mails[0].recipients == ["cfo@example.com"]


def test_without_a_username_there_is_no_sign_in() -> None:
    with ScriptedServer() as server:
        diagnosis = diagnose(settings_for(server, username=""))
    assert diagnosis.ok
    assert "auth" not in phases(diagnosis)


def test_each_check_is_heard_of_as_it_ends() -> None:
    heard: list[Check] = []
    with ScriptedServer({"RCPT": "550 5.1.1 unknown"}) as server:
        diagnosis = diagnose(settings_for(server), secret=Secret(PASSWORD), on_check=heard.append)
    assert tuple(heard) == diagnosis.checks


def test_the_time_of_each_phase_is_its_own() -> None:
    with ScriptedServer({"greeting": (wait(0.3), "220 hi")}) as server:
        diagnosis = examine(server)
    seconds = {check.phase: check.seconds for check in diagnosis.checks}
    assert seconds["greeting"] > 0.28
    assert seconds["mail"] < seconds["greeting"]


def test_the_short_form_says_how_it_ended() -> None:
    with ScriptedServer({"RCPT": ["250 ok", "550 5.1.1 unknown"]}) as server:
        assert repr(examine(server)) == "<Diagnosis ok, 10 checks>"
        assert repr(examine(server)) == "<Diagnosis failed at rcpt>"


# --- each phase that can fail -----------------------------------------------------------------------------------------


def test_settings_with_problems_fail_before_anything_is_connected() -> None:
    check = failed(send_test(Settings("Accounts", SmtpServer("", username="accounts"))))
    assert (check.phase, check.kind, check.field) == ("settings", Kind.CONFIG, "host")
    assert "SMTP server's name" in check.text


def test_no_saved_settings_are_a_finding_too() -> None:
    check = failed(send_test())
    assert check.phase == "settings"
    assert "No email settings are saved yet" in check.text


def test_an_address_for_the_test_that_is_none_is_named() -> None:
    with ScriptedServer() as server:
        check = failed(diagnose(settings_for(server), secret=Secret(PASSWORD), to="cfo"))
    assert (check.phase, check.kind) == ("settings", Kind.MESSAGE)
    assert server.sessions == []


def test_a_missing_password_is_the_credential_phase() -> None:
    with ScriptedServer() as server:
        diagnosis = send_test(settings_for(server))
    check = failed(diagnosis)
    assert phases(diagnosis) == ["settings", "credential"]
    assert (check.kind, check.field) == (Kind.AUTH, "password")
    assert server.sessions == []


def test_the_origin_of_the_password_is_said() -> None:
    with ScriptedServer() as server:
        settings = settings_for(server)
        assert "typed" in diagnose(settings, secret=Secret(PASSWORD)).checks[1].text
        docmail.credentials.set(settings, PASSWORD, remember=False)
        assert "session" in send_test(settings).checks[1].text


def test_a_name_that_nobody_knows_is_the_dns_phase() -> None:
    settings = Settings("A <a@example.com>", SmtpServer("nowhere.invalid"))
    check = failed(send_test(settings))
    assert (check.phase, check.kind, check.field, check.guide) == ("dns", Kind.NETWORK, "host", "Ports")


def test_a_port_where_nobody_listens_is_the_connect_phase() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings = Settings("A <a@example.com>", SmtpServer("127.0.0.1", closed.getsockname()[1]))
        diagnosis = send_test(settings)
    check = failed(diagnosis)
    assert phases(diagnosis) == ["settings", "credential", "dns", "connect"]
    assert (check.kind, check.field) == (Kind.NETWORK, "port")


@pytest.mark.parametrize(
    ("bad", "field"), [("self_signed", "fingerprint"), ("expired", "host"), ("unknown_authority", "ca_file")]
)
def test_a_certificate_that_cannot_be_verified_is_the_tls_phase_with_its_fingerprint(
    certificates: Certificates, bad: str, field: str
) -> None:
    certificate = getattr(certificates, bad)()
    with ScriptedServer(security="starttls", context=certificate.context()) as server:
        diagnosis = examine(server, host="localhost", ca_file=str(certificates.ca_file))
        check = failed(diagnosis)
        assert phases(diagnosis)[-3:] == ["greeting", "ehlo", "tls"]
        assert check.field == field
        assert check.fingerprint is not None
        # What the form saves when the user says yes.
        assert examine(server, host="localhost", fingerprint=check.fingerprint).ok
    assert not any(
        each.encode() in each_heard.data for each in echoes() for each_heard in server.heard if not each_heard.encrypted
    )


def test_a_refused_certificate_can_be_shown_before_anybody_trusts_it(certificates: Certificates) -> None:
    with ScriptedServer(security="tls", context=certificates.self_signed().context()) as server:
        check = failed(examine(server, host="localhost"))
    assert check.certificate is not None
    assert check.certificate.fingerprint == check.fingerprint
    assert (check.certificate.subject, check.certificate.names) == ("localhost", ("localhost",))
    assert check.certificate.not_before < check.certificate.not_after


def test_a_changed_certificate_shows_both_fingerprints(certificates: Certificates) -> None:
    pinned = ":".join(["AB"] * 32)
    with ScriptedServer(security="tls", context=certificates.good().context()) as server:
        check = failed(examine(server, fingerprint=pinned))
    assert check.field == "fingerprint"
    assert check.fingerprint != pinned
    assert check.fingerprint is not None
    assert check.fingerprint in check.text
    assert pinned in check.text
    assert "administrator" in check.hint


@pytest.mark.parametrize("timeout", ["20", None, 0, -1, float("nan"), True])
def test_a_timeout_of_no_use_is_a_failed_check(timeout: Any) -> None:
    with ScriptedServer() as server:
        check = failed(send_test(settings_for(server, username=""), timeout=timeout))
    assert (check.phase, check.kind) == ("settings", Kind.MESSAGE)
    assert server.sessions == []


# What decides where there are no words, or where the code alone would decide wrongly.
AWKWARD: dict[str, tuple[str, Action, Kind]] = {
    "a limit that is 5yz": ("dot", "550 5.4.5 Daily user sending limit exceeded", Kind.LIMIT),
    "another limit that is 5yz": ("dot", "550 5.4.6 Unusual sending activity detected", Kind.LIMIT),
    "hopeless although 4yz": ("AUTH", "451 Authentication failed: Maximum credits exceeded", Kind.LIMIT),
    "half a reply after the last byte": ("dot", (b"25", cut), Kind.UNKNOWN),
    "garbage after the last byte": ("dot", b"\x00\xff\r\n", Kind.UNKNOWN),
    "a reply that ends nothing": ("dot", "354 go on", Kind.UNKNOWN),
    "a cut after the last byte": ("dot", cut, Kind.UNKNOWN),
    "421 after the last byte": ("dot", ("421 4.3.2 shutting down", cut), Kind.TEMPORARY),
    "a cut before the last byte": ("DATA", cut, Kind.NETWORK),
    "a reset before the last byte": ("RCPT", (wait(0.05), reset), Kind.NETWORK),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_the_awkward_ones_are_of_their_kind_in_the_test_and_in_a_send(case: str) -> None:
    step, action, kind = AWKWARD[case]
    expected = {
        Kind.LIMIT: (Deferred, Does.STOP),
        Kind.UNKNOWN: (OutcomeUnknown, Does.ASK),
        Kind.TEMPORARY: (Deferred, Does.REPEAT),
        Kind.NETWORK: (ConnectError, Does.STOP),
    }[kind]
    with ScriptedServer({step: action}) as server:
        assert failed(examine(server)).kind is kind
        transport = transport_to(server)
        with pytest.raises(SendError) as caught, transport:
            transport.send(mail_to())
    assert (type(caught.value), TREATMENT[caught.value.kind].action) == expected
    assert transport.in_doubt == (kind is Kind.UNKNOWN)


@pytest.mark.parametrize("step", ["QUIT", "RSET"])
def test_a_server_that_hangs_up_on_a_good_bye_has_taken_the_mail(step: str) -> None:
    with ScriptedServer({step: cut}) as server:
        assert examine(server).ok
    assert len(server.mails) == 1


def test_starttls_that_is_not_offered_is_the_tls_phase() -> None:
    with ScriptedServer() as server:
        diagnosis = examine(server, security=Security.STARTTLS)
    assert phases(diagnosis)[-3:] == ["greeting", "ehlo", "tls"]
    check = failed(diagnosis)
    # On this computer nobody can listen, so the settings can do without; elsewhere the port is to be changed.
    assert (check.field, check.suggestion and check.suggestion.security) == ("security", Security.NONE)
    with ScriptedServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("docmail.diagnosis.explore.is_loopback", lambda _host: False)
        patch.setattr("docmail.diagnosis.explore.answering_port", lambda *_args: None)
        check = failed(examine(server, security=Security.STARTTLS))
    assert (check.phase, check.field, check.suggestion) == ("tls", "port", None)


@pytest.mark.parametrize(
    ("step", "reply", "phase", "kind", "field"),
    [
        ("greeting", "554 5.7.1 go away", "greeting", Kind.CONFIG, "host"),
        ("greeting", "421 4.3.2 busy", "greeting", Kind.TEMPORARY, None),
        ("EHLO", "502 what?", "ehlo", Kind.CONFIG, "host"),
        ("AUTH", "535 5.7.8 wrong", "auth", Kind.AUTH, "password"),
        ("AUTH", "454 4.7.0 later", "auth", Kind.TEMPORARY, None),
        ("MAIL", "553 5.7.1 Sender address rejected: not owned by user", "mail", Kind.CONFIG, "email_address"),
        # In the test email the sender is the recipient, too.
        ("RCPT", "550 5.1.1 unknown", "rcpt", Kind.RECIPIENT, "email_address"),
        ("RCPT", "554 5.7.1 Relay access denied", "rcpt", Kind.RECIPIENT, "email_address"),
        ("RCPT", "552 5.2.2 mailbox full", "rcpt", Kind.RECIPIENT, None),
        ("RCPT", "550 5.4.5 Daily user sending limit exceeded", "rcpt", Kind.LIMIT, None),
        ("DATA", "554 5.7.1 no", "data", Kind.MESSAGE, None),
        ("dot", "554 5.7.1 spam", "data", Kind.MESSAGE, None),
        ("dot", "554 5.2.252 SendAsDenied; not allowed", "data", Kind.CONFIG, "email_address"),
    ],
)
def test_a_refusal_is_the_phase_where_it_came_in_the_servers_words(
    step: str, reply: str, phase: str, kind: Kind, field: str | None
) -> None:
    with ScriptedServer({step: reply}) as server:
        diagnosis = examine(server)
    check = failed(diagnosis)
    assert phases(diagnosis) == PHASES[: PHASES.index(phase) + 1]
    assert (check.kind, check.field) == (kind, field)
    assert str(check.reply) == reply
    assert reply in check.text
    assert check.hint


def test_the_second_ehlo_that_fails_is_shown_last(certificates: Certificates) -> None:
    ehlo: Any = ["250-scripted\n250 STARTTLS", "421 4.3.2 busy"]
    with ScriptedServer({"EHLO": ehlo}, security="starttls", context=certificates.good().context()) as server:
        diagnosis = examine(server, ca_file=str(certificates.ca_file))
    assert phases(diagnosis)[-3:] == ["greeting", "tls", "ehlo"]
    assert failed(diagnosis).kind is Kind.TEMPORARY


def test_a_refused_archive_copy_does_not_fail_the_test_but_is_said() -> None:
    with ScriptedServer({"RCPT": ["250 ok", "550 5.1.1 unknown"]}) as server:
        settings = settings_for(server)
        settings = Settings(settings.sender, settings.server, copy_to="archive@example.com")
        diagnosis = diagnose(settings, secret=Secret(PASSWORD))
    assert diagnosis.ok
    (check,) = [each for each in diagnosis.checks if each.phase == "rcpt"]
    assert "archive@example.com" in check.text
    assert "550 5.1.1 unknown" in check.text


def test_a_silent_end_leaves_the_outcome_unknown() -> None:
    assert TEST_WAITS.reply == 20
    with ScriptedServer({"dot": silence}) as server, within(3):
        check = failed(examine(server, waits=Waits(reply=0.3)))
    assert (check.phase, check.kind) == ("data", Kind.UNKNOWN)


def test_the_test_ends_within_its_time() -> None:
    with ScriptedServer({"MAIL": drip(b"250-x", 0.02)}) as server, within(4):
        check = failed(examine(server, timeout=0.5))
    assert (check.phase, check.kind) == ("mail", Kind.NETWORK)


def test_the_test_can_be_stopped() -> None:
    held: list[Transport] = []
    with ScriptedServer({"AUTH": silence}) as server, within(5):

        def stop() -> None:
            server.wait_for(lambda: server.reached("AUTH"))
            held[0].abort()

        thread = threading.Thread(target=stop)
        thread.start()
        diagnosis = diagnose(settings_for(server), secret=Secret(PASSWORD), timeout=30, hold=held.append)
        thread.join()
    assert failed(diagnosis).text == "Stopped; nothing was sent."


def test_an_interrupt_is_no_finding() -> None:
    def interrupt(_check: Check) -> None:
        raise KeyboardInterrupt

    with ScriptedServer() as server, pytest.raises(KeyboardInterrupt):
        diagnose(settings_for(server), secret=Secret(PASSWORD), on_check=interrupt)


def test_http_settings_are_examined_by_the_same_means() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        settings = Settings("Accounts", HttpServer(url), reply_to=("office@example.com",))
        diagnosis = send_test(settings)
    assert phases(diagnosis) == ["settings", "credential", "dns", "connect"]


# --- anything at all --------------------------------------------------------------------------------------------------

_ACTIONS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            cut,
            reset,
            silence,
            hear(3),
            drip(b"250-x\r\n", 0.01),
            endless(b"250-x\r\n"),
            endless(b"y"),
            f"535-5.7.8 {PASSWORD}\n535 5.7.8 no",
            "250 ok",
            "250-SIZE ²\n250 AUTH LOGIN",
            "421 bye",
            "554 no",
            "220 go",
            b"220 go\r\n250 x\r\n",
            "334 more",
            "354 go",
            b"\x16\x03\x03\x00\x05hello",
        ]
    ),
)


@rules(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["none", "starttls", "tls"]),
    st.sampled_from(
        ["greeting", "handshake", "EHLO", "STARTTLS", "LOGIN", "AUTH", "MAIL", "RCPT", "DATA", "body", "dot"]
    ),
    st.lists(_ACTIONS, min_size=1, max_size=3),
)
def test_whatever_a_server_does_is_a_diagnosis_in_time(
    certificates: Certificates, security: Any, step: str, actions: list[Action]
) -> None:
    waits = Waits(reply=0.1, goodbye=0.05, late_reply=0.05, crawl=(480_000, 0.05))
    context = certificates.good().context()
    with ScriptedServer({step: tuple(actions)}, security=security, context=context) as server, within(0.15 + 3):
        diagnosis = examine(server, timeout=0.15, waits=waits, ca_file=str(certificates.ca_file))
    assert isinstance(diagnosis, Diagnosis)
    assert diagnosis.checks
    assert not any(each in repr(diagnosis.checks) for each in echoes())
    if not diagnosis.ok:
        check = failed(diagnosis)
        assert check.text
        assert check.kind is not None
        assert check.hint


# --- a real server ----------------------------------------------------------------------------------------------------


@pytest.mark.mailserver
@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_a_real_server_takes_the_test_email(mailserver: RealMailServer, how: str) -> None:
    settings = _office(mailserver, how)
    docmail.credentials.set(settings, USERS[USER], remember=False)
    diagnosis = docmail.send_test(settings)
    assert diagnosis.ok, diagnosis.checks
    assert len(mailserver.wait_for_mail(USER)) == 1


@pytest.mark.mailserver
def test_a_real_servers_wrong_password_is_the_auth_phase(mailserver: RealMailServer) -> None:
    diagnosis = diagnose(_office(mailserver, "starttls"), secret=Secret("wrong-password"))
    check = failed(diagnosis)
    assert (check.phase, check.kind, check.field) == ("auth", Kind.AUTH, "password")
    assert mailserver.mails(USER) == []


@pytest.mark.mailserver
def test_a_real_servers_certificate_is_asked_about_and_then_trusted(mailserver: RealMailServer) -> None:
    settings = _office(mailserver, "starttls", ca_file=None)
    check = failed(diagnose(settings, secret=Secret(USERS[USER])))
    assert (check.phase, check.field) == ("tls", "ca_file")
    trusted = _office(mailserver, "starttls", ca_file=None, fingerprint=check.fingerprint)
    assert diagnose(trusted, secret=Secret(USERS[USER])).ok


def _office(server: RealMailServer, how: str, **changes: Any) -> Settings:
    details = {"security": Security(how), "username": USER, "ca_file": str(server.ca_file), **changes}
    return Settings("Accounts", SmtpServer("localhost", getattr(server.ports, how), **details))


@pytest.mark.parametrize("wrong", [{}, "work", 0])
def test_what_is_no_settings_is_a_failed_check_and_tests_nothing_else(wrong: Any) -> None:
    diagnosis = send_test(wrong)
    assert diagnosis.failed is not None
    assert diagnosis.failed.phase == "settings"
    assert "not email settings" in diagnosis.failed.text
