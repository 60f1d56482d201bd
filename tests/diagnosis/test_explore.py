"""After a connection came to nothing, the test email looks what speaks there, and whether the other port answers."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from docmail.diagnosis import Check, Diagnosis, diagnose
from docmail.diagnosis import explore as explore_module
from docmail.diagnosis.explore import answering_port
from docmail.net import Connection, Deadline
from docmail.net import connection as connection_module
from docmail.secret import Secret
from docmail.settings import Security, Settings, SmtpServer
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


def failed(diagnosis: Diagnosis) -> Check:
    check = diagnosis.failed
    assert check is not None
    return check


def examine(port: int, security: Security = Security.STARTTLS, *, timeout: float = 4, **changes: Any) -> Diagnosis:
    server = SmtpServer("127.0.0.1", port, security, **{"username": USER, **changes})
    return diagnose(Settings("Accounts", server), secret=Secret(PASSWORD), timeout=timeout)


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


def _pair(monkeypatch: pytest.MonkeyPatch, port: int, other: int, *, tls: bool = False) -> None:
    monkeypatch.setattr(explore_module, "PAIRS", {port: (other,)})
    monkeypatch.setattr(explore_module, "_TLS_PORTS", {other} if tls else set())


# --- the other port ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_other_port_is_named_if_it_greets_and_hears_no_word(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates, closed: int, security: str
) -> None:
    # Its certificate does not matter: nothing is said there.
    with ScriptedServer(security=security, context=certificates.expired().context()) as server:
        _pair(monkeypatch, closed, server.port, tls=security == "tls")
        check = failed(examine(closed))
        assert server.said == b""
    assert (check.phase, check.field, check.port) == ("connect", "port", server.port)
    assert f"Port {server.port} answers" in check.hint
    assert ("with TLS" if security == "tls" else "with STARTTLS") in check.hint


@pytest.mark.parametrize(
    "greeting", ["554 go away", "421 later", silence, cut, b"\x00\r\n", endless(b"220 x"), drip(b"220", 0.2), "250 ok"]
)
def test_a_port_that_does_not_greet_is_not_named(
    monkeypatch: pytest.MonkeyPatch, closed: int, greeting: Action
) -> None:
    began = time.monotonic()
    with ScriptedServer({"greeting": greeting}) as server:
        _pair(monkeypatch, closed, server.port)
        check = failed(examine(closed, timeout=1))
        assert server.said == b""
    assert check.port is None
    assert "answers" not in check.hint
    assert time.monotonic() - began < 1 + 2


def test_a_blackhole_leaves_time_for_the_other_port(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with _blackhole() as port, ScriptedServer() as server:
        _pair(monkeypatch, port, server.port)
        check = failed(examine(port, timeout=1))
    assert (check.phase, check.port) == ("connect", server.port)
    assert time.monotonic() - began < 1 + 2


def test_a_missing_sign_in_or_starttls_asks_for_the_other_port_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for extensions, security in ((("SIZE 1000000",), Security.NONE), (("AUTH PLAIN",), Security.STARTTLS)):
        with ScriptedServer(extensions=extensions) as lacking, ScriptedServer() as server:
            _pair(monkeypatch, lacking.port, server.port)
            check = failed(examine(lacking.port, security))
        assert (check.phase, check.port) == ("auth" if security is Security.NONE else "tls", server.port)


def test_a_server_that_refuses_or_is_not_recognised_is_not_gone_round(
    monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    monkeypatch.setattr(explore_module, "answering_port", lambda *_args: pytest.fail("the other port was tried"))
    context = certificates.self_signed().context()
    with ScriptedServer(security="starttls", context=context) as server:
        assert failed(examine(server.port)).phase == "tls"
    for script in ({"greeting": "554 no"}, {"AUTH": "535 no"}, {"RCPT": "550 no"}, {"AUTH": cut}, {"dot": cut}):
        with ScriptedServer(script) as server:
            assert failed(diagnose(settings_for(server), secret=Secret(PASSWORD), timeout=4)).port is None
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
        ("tls", "none", "220 hi", "speaks on port .*, but not TLS from the first byte", "security"),
        ("tls", "none", _web, "a web server answers", "port"),
        ("tls", "none", "* OK IMAP4rev1 ready", "mail is fetched", "host"),
        ("starttls", "tls", "220 hi", "expects TLS from the first byte", "security"),
        ("starttls", "tls", _web, "a web server answers", "port"),
        ("starttls", "tls", "* OK IMAP4rev1 ready", "mail is fetched", "host"),
        ("starttls", "tls", silence, "expects TLS from the first byte", "security"),
        ("starttls", "none", _web, "a web server answers", "port"),
        ("starttls", "none", silence, "does not greet", "port"),
        ("none", "tls", "220 hi", "expects TLS from the first byte", "security"),
        ("tls", "tls", _web, "a web server answers", "port"),
        ("tls", "tls", silence, "does not greet", "port"),
    ],
)
def test_what_speaks_at_the_port_is_found_out(  # noqa: PLR0913, PLR0917 - one line of the table
    certificates: Certificates, chosen: str, really: str, greeting: Action, words: str, field: str
) -> None:
    began = time.monotonic()
    context = certificates.good().context()
    # Some looks have an eighth of the time; on a busy machine that must not be too short.
    timeout = 6 if greeting is silence and chosen != really else 4 if greeting is _web else 2
    with ScriptedServer({"greeting": greeting}, security=really, context=context) as server:
        security = Security(chosen)
        check = failed(examine(server.port, security, timeout=timeout, ca_file=str(certificates.ca_file)))
        assert not any(each.encode() in server.said for each in (*echoes(), USER))
    assert check.phase == ("tls" if (chosen, really) == ("tls", "none") else "greeting")
    assert check.field == field
    assert re.search(words, check.text)
    assert check.hint
    assert time.monotonic() - began < timeout + 2


def test_stop_ends_a_look_at_once(monkeypatch: pytest.MonkeyPatch, closed: int) -> None:
    held: list[Transport] = []
    with ScriptedServer({"greeting": silence}) as server:
        _pair(monkeypatch, closed, server.port)

        def stop() -> None:
            server.wait_for(lambda: server.reached("greeting"))
            held[0].abort()

        thread = threading.Thread(target=stop)
        thread.start()
        began = time.monotonic()
        smtp = SmtpServer("127.0.0.1", closed, username=USER)
        diagnosis = diagnose(Settings("Accounts", smtp), secret=Secret(PASSWORD), timeout=40, hold=held.append)
        thread.join()
    assert time.monotonic() - began < 5
    assert failed(diagnosis).port is None
