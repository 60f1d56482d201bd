"""After a connection came to nothing, the test email looks what speaks there, and whether the other port answers."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docmail.diagnosis import Check, Diagnosis, diagnose
from docmail.diagnosis.explore import Ports, answering_port
from docmail.net import Connection, Deadline
from docmail.net import connection as connection_module
from docmail.secret import Secret
from docmail.settings import Security, Settings, SmtpServer
from tests.support.mailserver import USERS
from tests.support.scripted import (
    PASSWORD,
    USER,
    Action,
    ScriptedServer,
    Session,
    cut,
    drip,
    echoes,
    endless,
    settings_for,
    silence,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.transport import Transport
    from tests.support.certificates import Certificates
    from tests.support.mailserver import RealMailServer


def failed(diagnosis: Diagnosis) -> Check:
    check = diagnosis.failed
    assert check is not None
    return check


def suggested(check: Check) -> SmtpServer:
    assert check.suggestion is not None
    return check.suggestion


def examine(
    port: int,
    security: Security = Security.STARTTLS,
    *,
    timeout: float = 4,
    ports: Ports | None = None,
    **changes: Any,
) -> Diagnosis:
    server = SmtpServer("127.0.0.1", port, security, **{"username": USER, **changes})
    sender = "Accounts" if server.username else f"Accounts <{USER}>"
    return diagnose(Settings(sender, server), secret=Secret(PASSWORD), timeout=timeout, ports=ports)


@pytest.fixture
def closed() -> Iterator[int]:
    """Yield a port at which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@contextmanager
def _blackhole() -> Iterator[int]:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _number in range(8):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def _pair(port: int, other: int, *, tls: bool = False) -> Ports:
    return Ports({port: (other,)}, tls=frozenset({other} if tls else ()))


# --- the other port ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_other_port_is_named_if_it_greets_and_hears_no_word(
    certificates: Certificates, closed: int, security: str
) -> None:
    # Its certificate does not matter: nothing is said there.
    with ScriptedServer(security=security, context=certificates.expired().context()) as server:
        check = failed(examine(closed, ports=_pair(closed, server.port, tls=security == "tls")))
        assert server.said == b""
    assert (check.phase, check.field) == ("connect", "port")
    assert suggested(check).port == server.port
    assert suggested(check).effective_security is Security(security)
    assert f"Port {server.port} answers" in check.hint
    assert ("with TLS" if security == "tls" else "with STARTTLS") in check.hint


@pytest.mark.parametrize(
    "greeting", ["554 go away", "421 later", silence, cut, b"\x00\r\n", endless(b"220 x"), drip(b"220", 0.2), "250 ok"]
)
def test_a_port_that_does_not_greet_is_not_named(closed: int, greeting: Action) -> None:
    began = time.monotonic()
    with ScriptedServer({"greeting": greeting}) as server:
        check = failed(examine(closed, timeout=1, ports=_pair(closed, server.port)))
        assert server.said == b""
    assert check.suggestion is None
    assert "answers" not in check.hint
    assert time.monotonic() - began < 1 + 2


def test_a_blackhole_leaves_time_for_the_other_port() -> None:
    began = time.monotonic()
    with _blackhole() as port, ScriptedServer() as server:
        check = failed(examine(port, timeout=1, ports=_pair(port, server.port)))
    assert check.phase == "connect"
    assert suggested(check).port == server.port
    assert time.monotonic() - began < 1 + 2


def test_a_missing_sign_in_or_starttls_asks_for_the_other_port_too() -> None:
    for extensions, security in ((("SIZE 1000000",), Security.NONE), (("AUTH PLAIN",), Security.STARTTLS)):
        with ScriptedServer(extensions=extensions) as lacking, ScriptedServer() as server:
            check = failed(examine(lacking.port, security, ports=_pair(lacking.port, server.port)))
        assert check.phase == ("auth" if security is Security.NONE else "tls")
        assert suggested(check).port == server.port


def test_a_server_that_refuses_or_is_not_recognised_is_not_gone_round(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    monkeypatch.setattr(
        "docmail.diagnosis.explore.answering_port", lambda *_args: pytest.fail("the other port was tried")
    )
    context = certificates.self_signed().context()
    with ScriptedServer(security="starttls", context=context) as server:
        assert failed(examine(server.port)).phase == "tls"
    for script in ({"greeting": "554 no"}, {"AUTH": "535 no"}, {"RCPT": "550 no"}, {"AUTH": cut}, {"dot": cut}):
        with ScriptedServer(script) as server:
            assert failed(diagnose(settings_for(server), secret=Secret(PASSWORD), timeout=4)).suggestion is None
    monkeypatch.setattr(connection_module, "is_offline", lambda: False)
    settings = Settings("Accounts", SmtpServer("nowhere.invalid", username=USER))
    assert failed(diagnose(settings, secret=Secret(PASSWORD), timeout=4)).phase == "dns"


def test_of_a_port_that_belongs_to_no_pair_both_usual_ones_are_tried_except_at_this_computer() -> None:
    asked: list[int] = []

    def connect(port: int) -> Connection:
        asked.append(port)
        return Connection("192.0.2.1", port)

    for host, port in (("mail.example.com", 25), ("mail.example.com", 465), ("127.0.0.1", 1025)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Connection, "open", lambda *_args: (_ for _ in ()).throw(ConnectionRefusedError))
            assert answering_port(connect, host, port, Deadline(1)) is None
    assert asked == [587, 465, 587]


# --- what speaks at this port -----------------------------------------------------------------------------------------


def _web(session: Session) -> None:
    if session.receive():
        session.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<h1>400</h1>")


@pytest.mark.parametrize(
    ("chosen", "really", "greeting", "words", "field"),
    [
        ("tls", "none", "220 hi", "offers no encryption on port", "security"),
        ("tls", "starttls", "220 hi", "encrypts with STARTTLS on port", "security"),
        ("tls", "none", _web, "A web server answers", "port"),
        ("tls", "none", "* OK IMAP4rev1 ready", "for fetching mail", "host"),
        ("starttls", "tls", "220 hi", "expects TLS from the start", "security"),
        ("starttls", "tls", _web, "A web server answers", "port"),
        ("starttls", "tls", "* OK IMAP4rev1 ready", "for fetching mail", "host"),
        ("starttls", "tls", silence, "expects TLS from the start", "security"),
        ("starttls", "none", _web, "A web server answers", "port"),
        ("starttls", "none", silence, "sends no greeting", "port"),
        ("none", "tls", "220 hi", "expects TLS from the start", "security"),
        ("tls", "tls", _web, "A web server answers", "port"),
        ("tls", "tls", silence, "sends no greeting", "port"),
    ],
)
def test_what_speaks_at_the_port_is_found_out(  # noqa: PLR0913, PLR0917 - one line of the table
    certificates: Certificates, chosen: str, really: str, greeting: Action, words: str, field: str
) -> None:
    began = time.monotonic()
    context = certificates.good().context()
    # Some looks have an eighth of the time; on a busy machine that must not be too short.
    handshakes = really == "tls" != chosen
    timeout = 6 if handshakes or (greeting is silence and chosen != really) else 4 if greeting is _web else 2
    with ScriptedServer({"greeting": greeting}, security=really, context=context) as server:
        security = Security(chosen)
        check = failed(examine(server.port, security, timeout=timeout, ca_file=str(certificates.ca_file)))
        assert not any(each.encode() in server.said for each in (*echoes(), USER))
    assert check.phase == ("tls" if chosen == "tls" != really else "greeting")
    assert check.field == field
    assert re.search(words, check.text)
    assert check.hint
    assert time.monotonic() - began < timeout + 2


def test_a_server_that_hangs_up_or_sends_an_alert_where_tls_is_expected_is_recognised(
    certificates: Certificates,
) -> None:
    context = certificates.good().context()
    for first in (cut, b"\x15\x03\x01\x00\x02\x02\x46\r\n"):
        script = {"handshake": [first, Session.handshake]}
        with ScriptedServer(script, security="tls", context=context) as server:
            check = failed(examine(server.port, timeout=6, ca_file=str(certificates.ca_file)))
        assert (check.phase, check.field) == ("greeting", "security")
        assert suggested(check).effective_security is Security.TLS


def test_where_the_settings_lack_encryption_starttls_is_suggested_only_if_the_server_offers_it(
    certificates: Certificates,
) -> None:
    refuses = {"MAIL": "530 5.7.0 Must issue a STARTTLS command first"}
    context = certificates.good().context()
    for security, username, phase, suggestion in (
        ("starttls", USER, "auth", Security.STARTTLS),  # it offers a sign-in only once the connection is encrypted
        ("starttls", "", "mail", Security.STARTTLS),
        ("none", USER, "mail", None),
        ("none", "", "mail", None),
    ):
        with ScriptedServer(refuses, security=security, context=context) as server:
            check = failed(examine(server.port, Security.NONE, username=username))
        assert (check.phase, check.field) == (phase, "security")
        assert (check.suggestion and check.suggestion.security) == suggestion


def test_a_server_without_encryption_is_used_without_it_only_on_this_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen in (Security.TLS, Security.STARTTLS):
        with ScriptedServer() as server:
            check = failed(examine(server.port, chosen))
            assert suggested(check).security is Security.NONE
            assert (check.field, "offers no encryption" in check.text) == ("security", True)
            monkeypatch.setattr("docmail.diagnosis.explore.is_loopback", lambda _host: False)
            check = failed(examine(server.port, chosen, ports=Ports(usual=())))
            monkeypatch.undo()
            assert check.suggestion is None
            assert (check.field, "offers no encryption" in check.text) == ("port", True)


def test_no_encryption_is_suggested_only_where_the_sign_in_is_offered_as_well() -> None:
    for chosen in (Security.TLS, Security.STARTTLS):
        for username, field, suggestion in ((USER, "port", None), ("", "security", Security.NONE)):
            with ScriptedServer(extensions=("SIZE 1000000",)) as server:
                check = failed(examine(server.port, chosen, username=username))
            assert (check.phase, check.field) == ("tls", field)
            assert (check.suggestion and check.suggestion.security) == suggestion
            assert "offers no encryption" in check.text


@pytest.mark.mailserver
@pytest.mark.parametrize(
    ("chosen", "really", "suggestion"),
    [
        ("tls", "starttls", Security.STARTTLS),
        ("none", "starttls", Security.STARTTLS),
        ("starttls", "tls", Security.TLS),
        ("none", "tls", Security.TLS),
        ("tls", "plain", Security.NONE),
        ("starttls", "plain", Security.NONE),
    ],
)
def test_what_is_suggested_for_a_real_server_works_there(
    mailserver: RealMailServer, chosen: str, really: str, suggestion: Security
) -> None:
    port = getattr(mailserver.ports, really)
    server = SmtpServer("localhost", port, Security(chosen), USER, ca_file=str(mailserver.ca_file))
    settings, secret = Settings("Accounts", server), Secret(USERS[USER])
    check = failed(diagnose(settings, secret=secret, timeout=16))
    assert check.field == "security"
    assert suggested(check) == replace(server, security=suggestion)
    assert diagnose(replace(settings, server=suggested(check)), secret=secret).ok
    assert len(mailserver.wait_for_mail(USER)) == 1


def test_stop_ends_a_look_at_once(closed: int) -> None:
    held: list[Transport] = []
    with ScriptedServer({"greeting": silence}) as server:

        def stop() -> None:
            server.wait_for(lambda: server.reached("greeting"))
            held[0].abort()

        thread = threading.Thread(target=stop)
        thread.start()
        began = time.monotonic()
        smtp = SmtpServer("127.0.0.1", closed, username=USER)
        diagnosis = diagnose(
            Settings("Accounts", smtp),
            secret=Secret(PASSWORD),
            timeout=40,
            hold=held.append,
            ports=_pair(closed, server.port),
        )
        thread.join()
    assert time.monotonic() - began < 5
    assert failed(diagnosis).suggestion is None
