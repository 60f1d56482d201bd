"""Mail goes out by SMTP one step at a time, and the step at which something breaks decides what is true."""

from __future__ import annotations

import base64
import email
import email.policy
import re
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

import docmail
from docmail.errors import (
    AuthenticationError,
    ConnectError,
    Deferred,
    Kind,
    MessageError,
    OutcomeUnknown,
    Refused,
    SendError,
    SettingsError,
    TLSError,
)
from docmail.net import Connection
from docmail.secret import Secret
from docmail.settings import Security, Settings, SmtpServer
from docmail.transport import Waits, open_transport
from docmail.transport.base import Access
from docmail.transport.capabilities import RememberedCapabilities
from docmail.transport.smtp.delivery import Delivery
from docmail.transport.smtp.transport import SmtpTransport
from tests.support.mailserver import USERS
from tests.support.scripted import (
    PASSWORD,
    USER,
    Action,
    ScriptedServer,
    Session,
    cut,
    deaf,
    drip,
    echoes,
    endless,
    hear,
    mail_to,
    name_of,
    patience,
    pdf_of,
    reset,
    shown,
    silence,
    slowly,
    transport_to,
    wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docmail.message import Mail
    from docmail.net import Deadline
    from docmail.reply import Reply
    from docmail.transport import SendResult
    from tests.support.certificates import Certificates
    from tests.support.mailserver import RealMailServer

OTHER = "other@example.com"


def send_through(server: ScriptedServer, mail: Mail | None = None, **options: Any) -> SendResult:
    with transport_to(server, **options) as transport:
        return transport.send(mail or mail_to())


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


# --- what goes over the wire ------------------------------------------------------------------------------------------


def test_a_mail_goes_out_step_by_step() -> None:
    with ScriptedServer() as server:
        result = send_through(server, mail_to("cfo@example.com", "ceo@example.com"))
    assert server.verbs == ["EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"]
    assert result.accepted == ("cfo@example.com", "ceo@example.com")
    assert result.refused == {}
    assert result.reply is not None
    assert str(result.reply) == "250 2.0.0 taken"
    assert not result.repeated
    (mail,) = server.mails
    assert mail.sender == USER
    assert mail.recipients == ["cfo@example.com", "ceo@example.com"]
    assert result.message_id.encode() in mail.content


def test_the_client_introduces_itself_with_its_number() -> None:
    with ScriptedServer() as server:
        send_through(server)
    assert server.commands[0] == "EHLO [127.0.0.1]"


def test_an_ipv6_number_is_marked_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "local_host", "2001:db8::1")
    with ScriptedServer() as server:
        send_through(server)
    assert server.commands[0] == "EHLO [IPv6:2001:db8::1]"


def test_the_size_is_announced_where_the_server_asks_for_it() -> None:
    mail = mail_to(documents=docmail.Document.of(pdf_of(1000), name="Q3.pdf"))
    with ScriptedServer() as server:
        send_through(server, mail)
    assert f"MAIL FROM:<{USER}> SIZE={mail.size}" in server.commands
    assert server.mails[0].unstuffed == b"".join(mail.wire())
    assert len(server.mails[0].unstuffed) == mail.size


def test_nothing_is_announced_that_the_server_does_not_offer() -> None:
    with ScriptedServer(extensions=()) as server:
        send_through(server, secret=None)
    assert f"MAIL FROM:<{USER}>" in server.commands


def test_smtputf8_is_asked_for_only_where_an_address_needs_it() -> None:
    with ScriptedServer() as server:
        send_through(server, mail_to("cfo@müller.example", body="Grüße", cc="Jürgen <j@example.com>"))
        assert "SMTPUTF8" not in server.said.decode()
        assert "RCPT TO:<cfo@xn--mller-kva.example>" in server.commands
        send_through(server, mail_to("müller@example.com"))
    assert b"BODY=8BITMIME SMTPUTF8\r\n" in server.said
    assert "RCPT TO:<müller@example.com>\r\n".encode() in server.said


def test_a_server_without_smtputf8_is_told_of_in_a_sentence() -> None:
    with ScriptedServer(extensions=("8BITMIME",)) as server, transport_to(server, secret=None) as transport:
        with pytest.raises(Refused, match="letters such as é or ü") as caught:
            transport.send(mail_to("müller@example.com"))
        transport.send(mail_to())
    assert (caught.value.kind, caught.value.phase) == (Kind.RECIPIENT, "mail")
    assert [mail.recipients for mail in server.mails] == [["cfo@example.com"]]


def test_a_mail_over_the_announced_limit_is_refused_before_it_is_sent() -> None:
    with ScriptedServer(extensions=("SIZE 100000",)) as server, transport_to(server, secret=None) as transport:
        with pytest.raises(Refused, match=r"is 41[0-9] kB large, and 127\.0\.0\.1 accepts at most 100 kB") as caught:
            transport.send(mail_to(documents=docmail.Document.of(pdf_of(300_000), name="Q3.pdf")))
        transport.send(mail_to())
    assert (caught.value.kind, caught.value.phase) == (Kind.MESSAGE, "mail")
    assert len(server.mails) == 1


@pytest.mark.parametrize("limit", ["SIZE", "SIZE 0", "SIZE ²", "SIZE many", "SIZE 1e9"])
def test_a_limit_that_is_none_limits_nothing(limit: str) -> None:
    with ScriptedServer(extensions=(limit,)) as server:
        send_through(server, secret=None)
    assert len(server.mails) == 1


def test_lines_that_begin_with_a_dot_arrive_as_they_were() -> None:
    body = ".\n..\n.hidden\n\n.\n"
    with ScriptedServer() as server:
        send_through(server, mail_to(body=body))
    (mail,) = server.mails
    parsed = email.message_from_bytes(mail.content.replace(b"\r\n..", b"\r\n."), policy=email.policy.default)
    plain = parsed.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == body


@pytest.mark.parametrize(
    "end", ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r\n", "\r.\r\n", "\x85.\x85", "\u2028.\u2028"]
)
def test_no_line_end_in_a_text_ends_the_mail(end: str) -> None:
    smuggled = f"one{end}MAIL FROM:<x@evil.example>{end}RCPT TO:<y@evil.example>{end}"
    with ScriptedServer() as server:
        send_through(server, mail_to(body=smuggled))
        assert server.verbs.count("MAIL") == 1
    (mail,) = server.mails
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", mail.content)
    assert not re.search(rb"\r\n\.(\r\n|$)", mail.content)
    assert mail.content.endswith(b"\r\n")


@rules(max_examples=60, deadline=None)
@given(st.text(st.sampled_from(".\r\n a\u2028\x0b=-é"), max_size=60))
def test_the_content_is_stuffed_and_ends_with_a_line_end_whatever_the_text(body: str) -> None:
    content = b"".join(mail_to(body=body).wire(dot_stuffed=True))
    assert content.endswith(b"\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    assert not re.search(rb"\r\n\.(?!\.)", content)


def test_progress_grows_and_ends_at_the_whole() -> None:
    mail = mail_to(documents=docmail.Document.of(pdf_of(500_000), name="Q3.pdf"), body=".\n.\n.\n")
    seen: list[tuple[int, int]] = []
    with ScriptedServer() as server, transport_to(server) as transport:
        transport.send(mail, lambda sent, total: seen.append((sent, total)))
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert {total for _sent, total in seen} == {mail.size}
    assert seen[-1] == (mail.size, mail.size)


def test_several_mails_go_over_one_connection() -> None:
    with ScriptedServer() as server, transport_to(server) as transport:
        for name in ("a", "b", "c"):
            transport.send(mail_to(f"{name}@example.com"))
    assert len(server.sessions) == 1
    assert [mail.recipients for mail in server.mails] == [["a@example.com"], ["b@example.com"], ["c@example.com"]]
    assert server.verbs.count("AUTH") == 1


def test_a_connection_that_waited_long_for_its_first_mail_still_sends_it() -> None:
    with ScriptedServer() as server, transport_to(server, timeout=0.5) as transport:
        time.sleep(0.7)
        transport.send(mail_to())
    assert len(server.mails) == 1


def test_a_transport_may_be_opened_again_and_hears_nothing_of_the_last_time() -> None:
    script = {"EHLO": ["250 scripted\n250 stale\n250 stale", "250 scripted"], "MAIL": ["550 5.7.1 no"]}
    with ScriptedServer(script, extensions=()) as server:
        transport = transport_to(server, secret=None)
        transport.open()
        server.wait_for(lambda: server.sessions)
        transport._talk.connection.close()
        transport.open()
        with pytest.raises(Refused):
            transport.send(mail_to())
        transport.close()


def test_a_file_that_cannot_be_read_any_more_is_no_broken_connection() -> None:
    class Broken:
        def open(self) -> None:
            raise OSError(5, "Input/output error")

    mail = mail_to(documents=docmail.Document.of(pdf_of(10), name="Q3.pdf"))
    mail = replace(mail, attachments=(replace(mail.attachments[0], source=Broken()),))  # type: ignore[arg-type]  # broken
    waits = Waits(late_reply=60)
    with ScriptedServer() as server, transport_to(server, waits=waits) as transport, within(4):
        with pytest.raises(MessageError, match=r"cannot be read any more \(Input/output error\)"):
            transport.send(mail)
        assert not transport.in_doubt
    assert server.mails == []


# --- the greeting and EHLO --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greeting", "error", "kind", "words"),
    [
        ("421 4.7.0 too busy", Deferred, Kind.TEMPORARY, "too busy"),
        ("554 5.7.1 you are on a list", Refused, Kind.CONFIG, "refuses connections from this computer"),
        ("HTTP/1.1 400 Bad Request", ConnectError, Kind.NETWORK, "A web server answers"),
        ("* OK IMAP4rev1 ready", ConnectError, Kind.NETWORK, "server for fetching mail"),
        ("+OK POP3 ready", ConnectError, Kind.NETWORK, "server for fetching mail"),
        ("SSH-2.0-OpenSSH_9.2", ConnectError, Kind.NETWORK, "for terminals"),
        ("hello?", ConnectError, Kind.NETWORK, r"as an SMTP server does. It said: hello\?"),
        (b"\x00\xff\x15\x03\x01\n", ConnectError, Kind.NETWORK, "as an SMTP server does"),
        (b"220\xa0x\r\n", ConnectError, Kind.NETWORK, "as an SMTP server does"),
        (b"220-a\r\n554 b\r\n", ConnectError, Kind.NETWORK, "as an SMTP server does"),
        (endless(b"220 forever "), ConnectError, Kind.NETWORK, "without end"),
        (endless(b"220-forever\r\n"), ConnectError, Kind.NETWORK, "without end"),
        (b"220 " + b"x" * 5000 + b"\r\n", ConnectError, Kind.NETWORK, "without end"),
        (drip(b"220-forever\r\n", 0.05), ConnectError, Kind.NETWORK, "too slowly"),
        (silence, ConnectError, Kind.NETWORK, "sends no greeting"),
        (cut, ConnectError, Kind.NETWORK, "hangs up on port .* without a greeting"),
        (("220-half", cut), ConnectError, Kind.NETWORK, "without a greeting"),
        ((wait(0.05), reset), ConnectError, Kind.NETWORK, "closed before the server's greeting"),
    ],
    ids=name_of,
)
def test_a_greeting_that_is_none_is_told_of_in_time(
    greeting: Action, error: type[SendError], kind: Kind, words: str
) -> None:
    with ScriptedServer({"greeting": greeting}) as server, within(4):
        with pytest.raises(error, match=words) as caught:
            transport_to(server, timeout=patience(greeting)).open()
        assert (caught.value.kind, caught.value.phase) == (kind, "greeting")
        assert caught.value.hint
        assert caught.value.field in {"host", "port", "security", None}
    assert server.said == b""


def test_a_silent_server_suggests_that_the_port_expects_tls() -> None:
    with ScriptedServer({"greeting": silence}) as server, pytest.raises(ConnectError) as caught:
        transport_to(server, timeout=0.2).open()
    assert caught.value.field == "security"
    assert "expects TLS" in caught.value.hint


def test_a_greeting_of_several_lines_is_one() -> None:
    seen: list[tuple[str, str]] = []
    with ScriptedServer({"greeting": "220-mail.example.com\n220 welcome"}) as server:
        send_through(server, observe=lambda phase, text: seen.append((phase, text)))
    assert ("greeting", "mail.example.com welcome") in seen


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("502 5.5.1 never heard of it", Refused),
        ("421 4.3.2 going down", Deferred),
        ("354 what?", Refused),
        ("ok", ConnectError),
        (drip(b"250-A\r\n", 0.02), ConnectError),
        (endless(b"250-A\r\n"), ConnectError),
        (silence, ConnectError),
        (cut, ConnectError),
        (reset, ConnectError),
        (("250-A\n250-B", cut), ConnectError),
    ],
    ids=name_of,
)
def test_an_ehlo_that_fails_is_told_of_in_time(answer: Action, error: type[SendError]) -> None:
    with ScriptedServer({"EHLO": answer}) as server, within(4):
        with pytest.raises(error) as caught:
            transport_to(server, timeout=patience(answer)).open()
        assert caught.value.phase == "ehlo"
    for_good = isinstance(answer, str) and answer.startswith("5")
    assert server.verbs == (["EHLO", "EHLO", "HELO"] if for_good else ["EHLO"])


@pytest.mark.parametrize("computer", ["office-7", "büro_7"])
@pytest.mark.parametrize("refusal", ["501 5.5.2 no literals", "550 HELO must be a host name", "504 5.5.2 need a name"])
def test_a_server_that_refuses_an_address_literal_is_told_the_computers_name(
    monkeypatch: pytest.MonkeyPatch, refusal: str, computer: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: computer)
    with ScriptedServer({"EHLO": [refusal, "250-scripted\n250 SIZE 99000000"]}) as server:
        send_through(server, secret=None, settings={"username": ""})
    name = computer if computer.isascii() else "localhost"
    assert server.commands[:2] == ["EHLO [127.0.0.1]", f"EHLO {name}"]
    assert server.commands[2].endswith(f"SIZE={len(server.mails[0].unstuffed)}"), "what it offers then counts"


def test_a_server_of_old_that_knows_no_ehlo_takes_mail_after_helo() -> None:
    with ScriptedServer({"EHLO": "500 5.5.1 what?", "HELO": "250 hello"}) as server:
        send_through(server, secret=None, settings={"username": ""})
    assert server.verbs[:4] == ["EHLO", "EHLO", "HELO", "MAIL"]
    assert len(server.mails) == 1


def test_the_first_refusal_is_the_one_that_is_shown() -> None:
    script: dict[str, Any] = {"EHLO": ["554 5.7.1 not from there", cut]}
    with ScriptedServer(script) as server, pytest.raises(Refused, match="not from there"):
        transport_to(server).open()


@pytest.mark.parametrize(("offer", "mechanism"), [("AUTH=LOGIN PLAIN", "PLAIN"), ("AUTH=LOGIN", "LOGIN")])
def test_a_sign_in_that_is_offered_in_the_old_form_alone_is_taken(offer: str, mechanism: str) -> None:
    with ScriptedServer(extensions=("SIZE", offer)) as server:
        send_through(server)
    assert next(each for each in server.commands if each.startswith("AUTH")).split()[1] == mechanism


class _CountingSocket:
    """Behaves like the socket, and counts what comes in."""

    def __init__(self, sock: Any, counts: list[int]) -> None:
        self._sock = sock
        self._counts = counts

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        data: bytes = self._sock.recv(size)
        self._counts.append(len(data))
        return data


@pytest.mark.parametrize("words", [b"250-x\r\n", b"250 x", b"2", b"250-" + b"x" * 1000 + b"\r\n", b"\r\n"], ids=repr)
@pytest.mark.parametrize("step", ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"])
def test_never_more_than_a_megabyte_of_a_servers_words_is_read(
    monkeypatch: pytest.MonkeyPatch, step: str, words: bytes
) -> None:
    counts: list[int] = []
    monkeypatch.setattr(
        Connection, "_open_socket", property(lambda self: self._socket and _CountingSocket(self._socket, counts))
    )
    with ScriptedServer({step: endless(words)}) as server, within(5), pytest.raises(SendError):
        send_through(server)
    assert 0 < sum(counts) < 1_000_000


def test_a_server_that_is_slow_at_each_step_cannot_stretch_the_deadline() -> None:
    slow = (wait(0.15), "250 ok")
    script: dict[str, Action] = {"greeting": (wait(0.15), "220 hi"), "EHLO": slow, "MAIL": slow, "RCPT": slow}
    with ScriptedServer(script, extensions=()) as server:
        # From the look-up to the last RCPT it is one deadline: neither opening nor sending alone takes so long.
        transport = transport_to(server, secret=None, timeout=0.5)
        with pytest.raises(ConnectError, match="stopped answering"), transport:
            transport.send(mail_to())
        assert not transport.in_doubt
    assert server.mails == []


# --- signing in -------------------------------------------------------------------------------------------------------


def test_plain_is_the_first_choice() -> None:
    with ScriptedServer(extensions=("AUTH LOGIN PLAIN CRAM-MD5",)) as server:
        send_through(server)
    expected = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
    assert f"AUTH PLAIN {expected}" in server.commands


def test_login_is_the_second_choice() -> None:
    with ScriptedServer(extensions=("auth login xoauth2",)) as server:
        send_through(server)
    lines = [base64.b64encode(text.encode()).decode() for text in (USER, PASSWORD)]
    assert server.commands[1:4] == ["AUTH LOGIN", *lines]
    assert len(server.mails) == 1


def test_names_and_passwords_beyond_ascii_go_out_as_utf_8() -> None:
    with ScriptedServer() as server:
        send_through(server, secret="pässwörd-ключ", settings={"username": "müller@example.com"})
    assert base64.b64encode("\0müller@example.com\0pässwörd-ключ".encode()) in server.said


@pytest.mark.parametrize(
    ("offered", "words", "field"),
    [
        ((), "offers no sign-in with a password", "port"),
        (("AUTH",), "offers no sign-in with a password", "port"),
        (("AUTH XOAUTH2 OAUTHBEARER",), "accepts no password, only XOAUTH2, OAUTHBEARER", "host"),
        (("AUTH CRAM-MD5",), "accepts no password, only CRAM-MD5", "host"),
        (("STARTTLS",), "only once the connection is encrypted", "security"),
    ],
)
def test_a_server_without_a_sign_in_that_is_known_hears_no_password(
    offered: tuple[str, ...], words: str, field: str
) -> None:
    with ScriptedServer(extensions=offered) as server:
        with pytest.raises(AuthenticationError, match=words) as caught:
            transport_to(server).open()
        assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.AUTH, "auth", field)
    assert server.verbs == ["EHLO"]


def test_without_a_username_nobody_signs_in() -> None:
    with ScriptedServer() as server:
        send_through(server, settings={"username": ""})
    assert "AUTH" not in server.verbs


@pytest.mark.parametrize("extensions", ["AUTH PLAIN", "AUTH LOGIN"])
@pytest.mark.parametrize(
    ("outcome", "error", "kind"),
    [
        ("535-5.7.8 Username and Password\n535 5.7.8 not accepted", AuthenticationError, Kind.AUTH),
        ("535", AuthenticationError, Kind.AUTH),
        ("454 4.7.0 later", Deferred, Kind.TEMPORARY),
        ("421 4.7.0 too many", Deferred, Kind.TEMPORARY),
        ("334 tell me more", AuthenticationError, Kind.AUTH),
        ("250 ok", AuthenticationError, Kind.AUTH),
        (silence, ConnectError, Kind.NETWORK),
        (cut, ConnectError, Kind.NETWORK),
        (reset, ConnectError, Kind.NETWORK),
    ],
    ids=name_of,
)
def test_a_sign_in_that_fails_is_no_other_failure(
    extensions: str, outcome: Action, error: type[SendError], kind: Kind
) -> None:
    with ScriptedServer({"AUTH": outcome}, extensions=(extensions,)) as server:
        with pytest.raises(error) as caught:
            transport_to(server, timeout=patience(outcome)).open()
        assert (caught.value.kind, caught.value.phase) == (kind, "auth")
        assert not any(each in shown(caught.value) for each in echoes())
    assert "MAIL" not in server.verbs


def test_a_reply_of_several_lines_is_one_sentence() -> None:
    script = {"AUTH": "535-5.7.8 Username and Password not accepted.\n535 5.7.8 Learn more at https://example.com"}
    with ScriptedServer(script) as server, pytest.raises(AuthenticationError) as caught:
        transport_to(server).open()
    assert caught.value.reply is not None
    assert caught.value.reply.code == 535
    assert caught.value.reply.enhanced == "5.7.8"
    assert caught.value.reply.text == "Username and Password not accepted. Learn more at https://example.com"


def _echo(form: str) -> str:
    return {
        "plain": PASSWORD,
        "base64": base64.b64encode(PASSWORD.encode()).decode(),
        "line": base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode(),
        "tagged": f"<b>{PASSWORD}</b>",
    }[form]


def _leaks(text: str) -> list[str]:
    # Of base64, the few last characters may stay: they say less than one character of the password.
    stem = base64.b64encode(PASSWORD.encode()).decode().rstrip("=")[:-1]
    line = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode().rstrip("=")
    return [form for form in (PASSWORD, stem, line[-len(stem) : -1]) if form in text]


@pytest.mark.parametrize("form", ["plain", "base64", "line", "tagged"])
@pytest.mark.parametrize("step", ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"])
def test_a_password_that_the_server_repeats_is_shown_nowhere(step: str, form: str) -> None:
    with ScriptedServer({step: f"535-5.7.8 no good: {_echo(form)}\n535 5.7.8 sorry"}) as server:
        with pytest.raises(SendError) as caught:
            send_through(server)
        assert "•••" in str(caught.value.reply)
        assert _leaks(shown(caught.value)) == []


@pytest.mark.parametrize("form", ["plain", "base64", "line", "tagged"])
def test_a_password_that_the_server_repeats_is_not_kept_with_the_replies_that_it_repeats(form: str) -> None:
    with ScriptedServer({"RCPT": f"250 2.1.5 ok {_echo(form)}", "dot": "250 2.0.0 taken"}) as server:
        transport = transport_to(server)
        with transport:
            replies = [transport.send(mail_to()).reply for _ in range(3)]
        assert [str(reply) for reply in replies] == ["250 2.0.0 taken"] * 3
        kept = repr(transport._talk._harmless)
    assert "2.0.0 taken" in kept
    assert _leaks(kept) == []


@pytest.mark.parametrize(
    "end", [cut, reset, silence, b"\xff\xff\r\n", b"250 other\r\n", endless(b"535-x\r\n")], ids=name_of
)
@pytest.mark.parametrize("form", ["plain", "base64", "line"])
def test_a_password_in_half_a_reply_is_shown_nowhere(form: str, end: Action) -> None:
    with ScriptedServer({"AUTH": (f"535-5.7.8 no good: {_echo(form)}", end)}) as server:
        with pytest.raises(ConnectError) as caught:
            transport_to(server, timeout=patience(end)).open()
        assert _leaks(shown(caught.value)) == []


def test_what_the_server_says_when_all_is_well_is_redacted_too() -> None:
    seen: list[str] = []
    script = {"greeting": f"220 {PASSWORD}", "EHLO": f"250-x\n250-{PASSWORD}\n250 AUTH PLAIN", "dot": f"250 {PASSWORD}"}
    with ScriptedServer(script) as server:
        result = send_through(server, observe=lambda _phase, text: seen.append(text))
    assert PASSWORD.split()[0].upper() not in repr((seen, result)).upper()


def test_control_characters_and_tags_of_the_server_are_not_shown() -> None:
    with ScriptedServer(
        {"AUTH": "535 5.7.8 \x1b[31mno\x1b]0;title\x07 <script>alert(1)</script><b>way</b>\x00"}
    ) as server:
        with pytest.raises(AuthenticationError) as caught:
            transport_to(server).open()
        assert caught.value.reply is not None
        assert caught.value.reply.text == "no way"


class _InterruptingSocket:
    """Behaves like the socket, but fails while the password is written."""

    def __init__(self, sock: Any, failure: BaseException) -> None:
        self._sock = sock
        self._failure = failure

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)

    def sendall(self, data: bytes) -> None:
        if any(each.encode() in data for each in echoes()):
            raise self._failure
        self._sock.sendall(data)


@pytest.mark.parametrize("extensions", ["AUTH PLAIN", "AUTH LOGIN"])
@pytest.mark.parametrize("failure", [BrokenPipeError(32, "Broken pipe"), TimeoutError(), KeyboardInterrupt()], ids=repr)
def test_a_failure_while_the_password_is_written_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException, extensions: str
) -> None:
    monkeypatch.setattr(
        Connection, "_open_socket", property(lambda self: self._socket and _InterruptingSocket(self._socket, failure))
    )
    expected = KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else ConnectError
    with ScriptedServer(extensions=(extensions,)) as server, pytest.raises(expected) as caught:
        transport_to(server).open()
    assert not any(each in shown(caught.value) for each in echoes())
    if isinstance(caught.value, ConnectError):
        assert caught.value.phase == "auth"


def test_an_interrupt_in_the_middle_of_a_reply_does_not_show_what_it_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    read_line = Connection.read_line

    def interrupted(self: Connection, deadline: Deadline, limit: int) -> bytes:
        line = read_line(self, deadline, limit)
        if line == b"535-5.7.8 really":
            raise KeyboardInterrupt
        return line

    monkeypatch.setattr(Connection, "read_line", interrupted)
    with ScriptedServer({"AUTH": f"535-5.7.8 {PASSWORD}\n535-5.7.8 really\n535 5.7.8 no"}) as server:
        with pytest.raises(KeyboardInterrupt) as caught:
            transport_to(server).open()
        assert _leaks(shown(caught.value)) == []


def test_a_password_is_never_sent_without_encryption_to_another_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "peer_is_loopback", False)
    with ScriptedServer() as server:
        with pytest.raises(TLSError, match="was not sent") as caught:
            transport_to(server).open()
        assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.CONFIG, "auth", "security")
    assert server.verbs == ["EHLO"]


def test_mail_without_a_password_may_go_unencrypted_to_another_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "peer_is_loopback", False)
    with ScriptedServer() as server:
        send_through(server, secret=None, settings={"username": ""})
    assert len(server.mails) == 1


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "reply", "error", "kind", "field"),
    [
        ("MAIL", "550 5.1.8 bad sender", Refused, Kind.CONFIG, "email_address"),
        ("MAIL", "553 5.7.1 Sender address rejected: not owned by user", Refused, Kind.CONFIG, "email_address"),
        ("MAIL", "530 5.7.0 Authentication required", AuthenticationError, Kind.AUTH, "username"),
        ("MAIL", "552 5.3.4 Message size exceeds fixed limit", Refused, Kind.MESSAGE, None),
        ("MAIL", "451 4.3.0 try later", Deferred, Kind.TEMPORARY, None),
        ("MAIL", "550 5.4.5 Daily user sending limit exceeded", Deferred, Kind.LIMIT, None),
        ("RCPT", "550 5.1.1 unknown", Refused, Kind.RECIPIENT, None),
        ("RCPT", "450 4.2.0 greylisted", Deferred, Kind.TEMPORARY, None),
        ("RCPT", "452 4.5.3 too many recipients", Deferred, Kind.TEMPORARY, None),
        ("RCPT", "550 5.4.6 Unusual sending activity", Deferred, Kind.LIMIT, None),
        ("MAIL", "354 what?", ConnectError, Kind.NETWORK, None),
        ("RCPT", "354 what?", ConnectError, Kind.NETWORK, None),
        ("DATA", "451 4.3.0 try later", Deferred, Kind.TEMPORARY, None),
        ("DATA", "554 5.5.1 no valid recipients", Refused, Kind.RECIPIENT, None),
        ("DATA", "250 really?", ConnectError, Kind.NETWORK, None),
        ("DATA", "334 VGVsbCBtZQ==", ConnectError, Kind.NETWORK, None),
        ("dot", "554 5.7.1 spam", Refused, Kind.MESSAGE, None),
        ("dot", "552 5.2.3 exceeded size limits", Refused, Kind.MESSAGE, None),
        ("dot", "554 5.2.252 SendAsDenied; accounts not allowed", Refused, Kind.CONFIG, "email_address"),
        ("dot", "451 4.3.0 try later", Deferred, Kind.TEMPORARY, None),
        ("dot", "452 4.3.1 out of space", Deferred, Kind.TEMPORARY, None),
        ("dot", "421 4.3.2 shutting down", Deferred, Kind.TEMPORARY, None),
        ("dot", "550 5.4.5 Daily user sending limit exceeded", Deferred, Kind.LIMIT, None),
        ("MAIL", "454 4.7.0 daily limit exceeded", Deferred, Kind.LIMIT, None),
        ("RCPT", "454 4.7.0 daily limit exceeded", Deferred, Kind.LIMIT, None),
        ("dot", "454 4.7.0 daily limit exceeded", Deferred, Kind.LIMIT, None),
    ],
)
def test_a_refusal_has_the_class_and_the_field_of_its_cause(
    step: str, reply: str, error: type[SendError], kind: Kind, field: str | None
) -> None:
    with ScriptedServer({step: reply}) as server:
        transport = transport_to(server)
        with transport, pytest.raises(error) as caught:
            transport.send(mail_to())
        assert type(caught.value) is error
        assert (caught.value.kind, caught.value.field) == (kind, field)
        assert caught.value.phase == {"dot": "data"}.get(step, step.lower())
        assert caught.value.reply is not None
        assert str(caught.value.reply) == reply
        assert reply in str(caught.value)
        assert not transport.in_doubt


@pytest.mark.parametrize("step", ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("then", [silence, cut, reset], ids=["open", "cut", "reset"])
def test_a_server_that_ends_the_conversation_can_be_tried_later(step: str, then: Action) -> None:
    with ScriptedServer({step: ("421 4.3.2 shutting down", wait(0.05), then)}) as server, within(4):
        transport = transport_to(server)
        with pytest.raises(Deferred, match="shutting down") as caught, transport:
            transport.send(mail_to("a@example.com", "b@example.com"))
        assert caught.value.kind is Kind.TEMPORARY
        assert not transport.in_doubt
        assert "RSET" not in server.verbs
        assert "QUIT" not in server.verbs


def test_a_421_for_one_of_several_recipients_is_not_about_that_recipient() -> None:
    with (
        ScriptedServer({"RCPT": ["250 ok", ("421 4.3.2 shutting down", cut)]}) as server,
        pytest.raises(Deferred, match="shutting down"),
    ):
        send_through(server, mail_to("a@example.com", "b@example.com", "c@example.com"))
    assert server.mails == []


def test_a_partial_refusal_is_a_result() -> None:
    replies = ["250 ok", "550 5.1.1 unknown", "450 4.2.0 later", "250 ok"]
    with ScriptedServer({"RCPT": replies}) as server:
        result = send_through(server, mail_to("a@example.com", "b@example.com", "c@example.com", "d@example.com"))
    assert result.accepted == ("a@example.com", "d@example.com")
    assert {address: str(reply) for address, reply in result.refused.items()} == {
        "b@example.com": "550 5.1.1 unknown",
        "c@example.com": "450 4.2.0 later",
    }
    assert len(server.mails) == 1


def test_if_every_recipient_is_refused_nothing_is_sent_and_each_has_its_reply() -> None:
    with ScriptedServer({"RCPT": ["550 5.1.1 unknown", "550 5.1.2 nowhere", "250 ok"]}) as server:
        with transport_to(server) as transport:
            with pytest.raises(Refused) as caught:
                transport.send(mail_to("a@example.com", "b@example.com"))
            assert {address: reply.code for address, reply in caught.value.refused.items()} == {
                "a@example.com": 550,
                "b@example.com": 550,
            }
            assert "550 5.1.1 unknown" in str(caught.value)
            assert "550 5.1.2 nowhere" in str(caught.value)
            # The connection is fit for the next mail.
            transport.send(mail_to("c@example.com"))
        assert server.verbs.count("RSET") == 1
    assert len(server.mails) == 1


def test_of_several_refusals_the_gravest_decides() -> None:
    replies = ["550 5.1.1 unknown", "450 4.2.0 later", "550 5.4.5 Daily user sending limit exceeded"]
    with ScriptedServer({"RCPT": replies}) as server, pytest.raises(Deferred) as caught:
        send_through(server, mail_to("a@example.com", "b@example.com", "c@example.com"))
    assert caught.value.kind is Kind.LIMIT
    assert list(caught.value.refused) == ["a@example.com", "b@example.com", "c@example.com"]


def _with_archive(*recipients: str) -> Mail:
    server = SmtpServer("127.0.0.1", security=Security.NONE)
    settings = Settings("Accounts <accounts@example.com>", server, copy_to="archive@example.com")
    return mail_to(*recipients, settings=settings)


def test_a_refused_archive_copy_does_not_fail_the_mail() -> None:
    with ScriptedServer({"RCPT": ["250 ok", "550 5.1.1 unknown"]}) as server:
        result = send_through(server, _with_archive("a@example.com"))
    assert result.accepted == ("a@example.com",)
    assert list(result.refused) == ["archive@example.com"]
    assert len(server.mails) == 1


def test_if_only_the_archive_copy_is_accepted_nothing_is_sent() -> None:
    with ScriptedServer({"RCPT": ["550 5.1.1 unknown", "250 ok"]}) as server:
        with pytest.raises(Refused) as caught:
            send_through(server, _with_archive("a@example.com"))
        assert list(caught.value.refused) == ["a@example.com"]
        assert "DATA" not in server.verbs
    assert server.mails == []


def test_an_archive_that_is_also_a_recipient_is_a_recipient() -> None:
    with ScriptedServer({"RCPT": ["550 5.1.1 unknown", "250 ok"]}) as server:
        result = send_through(server, _with_archive("a@example.com", "archive@example.com"))
    assert result.accepted == ("archive@example.com",)
    assert len(server.mails) == 1


# --- connections that break -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    "end", [cut, (wait(0.05), reset), silence, b"no reply\r\n"], ids=["cut", "reset", "silence", "garbage"]
)
def test_before_the_last_byte_nothing_was_sent(step: str, end: Action) -> None:
    with ScriptedServer({step: end}) as server, within(4):
        transport = transport_to(server, timeout=patience(end))
        with pytest.raises(ConnectError) as caught, transport:
            transport.send(mail_to())
        assert (caught.value.kind, caught.value.phase) == (Kind.NETWORK, step.lower())
        assert caught.value.guide == "Ports"
        assert not transport.in_doubt
    assert server.mails == []


@pytest.mark.parametrize(
    ("words", "error"),
    [("421 4.3.2 going down", Deferred), ("554 5.7.1 go away", Refused), ("250 ok", ConnectError), ("", ConnectError)],
)
def test_a_server_that_hung_up_before_a_line_could_be_said_has_told_why(
    monkeypatch: pytest.MonkeyPatch, words: str, error: type[SendError]
) -> None:
    send = Connection.send

    def broken(self: Connection, data: bytes, deadline: Deadline) -> None:
        if data.startswith(b"MAIL"):
            raise BrokenPipeError(32, "Broken pipe")
        send(self, data, deadline)

    monkeypatch.setattr(Connection, "send", broken)
    with ScriptedServer({"AUTH": ("235 ok", *([words] if words else []), cut)}) as server:
        with pytest.raises(error) as caught:
            send_through(server)
        assert type(caught.value) is error
        assert caught.value.phase == "mail"
    assert server.mails == []


BIG = docmail.Document.of(pdf_of(5_000_000), name="Q3.pdf")


@pytest.mark.parametrize("end", [cut, reset], ids=["cut", "reset"])
@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_cut_in_the_middle_of_the_body_means_not_sent(security: str, end: Action, certificates: Certificates) -> None:
    with _server({"body": (hear(200_000), end)}, security, certificates) as (server, details):
        transport = transport_to(server, settings=details, waits=Waits(late_reply=0.3))
        with transport, pytest.raises(ConnectError, match="nothing was sent") as caught:
            transport.send(mail_to(documents=BIG))
        assert (caught.value.kind, caught.value.phase) == (Kind.NETWORK, "data")
        assert not transport.in_doubt
    assert server.mails == []


@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_server_that_refuses_in_the_middle_of_the_body_has_the_last_word(
    security: str, certificates: Certificates
) -> None:
    refusal = (hear(200_000), "552 5.3.4 message too big", wait(0.2), cut)
    with _server({"body": refusal}, security, certificates) as (server, details):
        transport = transport_to(server, settings=details)
        with transport, pytest.raises(Refused, match="too big") as caught:
            transport.send(mail_to(documents=BIG))
        assert (caught.value.kind, caught.value.phase) == (Kind.MESSAGE, "data")
        assert not transport.in_doubt
    assert server.mails == []


@contextmanager
def _server(
    script: dict[str, Action], security: str, certificates: Certificates
) -> Iterator[tuple[ScriptedServer, dict[str, object]]]:
    # A small buffer, so that the body cannot hide in it.
    with ScriptedServer(
        script,
        security=security,
        context=certificates.good().context(),
        receive_buffer=65536,
    ) as server:
        yield server, {} if security == "none" else {"ca_file": str(certificates.ca_file)}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (silence, "did not answer"),
        (cut, "broke"),
        (reset, "broke"),
        ((b"25", cut), "broke"),
        ((b"250 2.0.0 tak", cut), "broke"),
        (("250-2.0.0 taken", cut), "broke"),
        (("250-2.0.0 taken", silence), "did not answer"),
        (b"\x00\xff\r\n", "something that is not a reply"),
        ("OK", "something that is not a reply"),
        ("999 what", "something that is not a reply"),
        ("250-a\n554 b", "something that is not a reply"),
        ("354 go on", "something that is not a reply"),
        ("334 more", "something that is not a reply"),
        (drip(b"250-x", 0.05), "did not answer"),
        (endless(b"250-x\r\n"), "something that is not a reply"),
        (endless(b"250 x"), "something that is not a reply"),
    ],
    ids=name_of,
)
def test_after_the_last_byte_doubt_is_doubt(answer: Action, words: str) -> None:
    with ScriptedServer({"dot": answer}) as server, within(4):
        transport = transport_to(server, waits=Waits(reply=patience(answer)))
        with transport, pytest.raises(OutcomeUnknown, match=words) as caught:
            transport.send(mail_to())
        assert (caught.value.kind, caught.value.phase) == (Kind.UNKNOWN, "data")
        assert caught.value.guide == "Sending"
        assert transport.in_doubt
        assert "QUIT" not in server.verbs


@pytest.mark.parametrize("then", [cut, reset, silence, b"garbage\r\n"], ids=["cut", "reset", "silence", "garbage"])
def test_what_happens_after_the_reply_does_not_matter(then: Action) -> None:
    with ScriptedServer({"dot": ("250 2.0.0 taken", wait(0.05), then)}) as server, within(4):
        assert send_through(server, waits=Waits(goodbye=0.2)).accepted == ("cfo@example.com",)
    assert len(server.mails) == 1


@pytest.mark.parametrize("end", [cut, reset, silence, drip(b"2", 0.05), "500 no", b"\xff\r\n"], ids=name_of)
@pytest.mark.parametrize("step", ["RSET", "QUIT"])
def test_a_hang_up_on_a_good_bye_changes_no_outcome(step: str, end: Action) -> None:
    with ScriptedServer({"RCPT": ["550 5.1.1 unknown", "250 ok"], step: end}) as server, within(4):
        waits = Waits(goodbye=0.2)
        with transport_to(server, waits=waits) as transport, pytest.raises(Refused, match=r"550 5\.1\.1"):
            transport.send(mail_to())
        assert not transport._talk.connection.is_open


def test_an_interrupt_in_the_good_bye_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    with ScriptedServer() as server:
        transport = transport_to(server)
        transport.open()
        monkeypatch.setattr(Connection, "read_line", interrupt)
        with pytest.raises(KeyboardInterrupt):
            transport.close()
        assert not transport._talk.connection.is_open


@pytest.mark.parametrize("settings", ["default", {}, object()])
def test_what_are_no_settings_is_told_of_in_a_sentence(settings: Any) -> None:
    with pytest.raises(SettingsError, match=f"but {type(settings).__name__}") as caught:
        open_transport(settings)
    assert "Settings.load(name)" in caught.value.hint


def test_a_slow_reply_after_the_last_byte_is_waited_for_beyond_the_deadline() -> None:
    with ScriptedServer({"dot": (wait(0.8), "250 2.0.0 taken")}) as server:
        assert send_through(server, timeout=0.4).accepted


def test_a_mail_on_a_lost_connection_is_not_sent_and_says_so() -> None:
    with ScriptedServer({"dot": ("250 taken", cut)}) as server, transport_to(server) as transport:
        transport.send(mail_to())
        server.wait_for(lambda: server.sessions[0].sock.fileno() < 0)
        with pytest.raises(ConnectError, match="nothing was sent"):
            transport.send(mail_to())
        assert not transport.in_doubt
        with pytest.raises(ConnectError, match="closed the connection"):
            transport.send(mail_to())


@pytest.mark.parametrize(
    ("words", "error"), [([], ConnectError), (["552 5.3.4 message too big"], Refused), (["250 ok"], ConnectError)]
)
def test_a_last_byte_that_does_not_leave_this_computer_is_no_doubt(
    monkeypatch: pytest.MonkeyPatch, words: list[str], error: type[SendError]
) -> None:
    send = Connection.send

    def broken(self: Connection, data: bytes, deadline: Deadline) -> None:
        if data == b".\r\n":
            raise BrokenPipeError(32, "Broken pipe")
        send(self, data, deadline)

    monkeypatch.setattr(Connection, "send", broken)
    with ScriptedServer({"body": (hear(100), *words, silence)}) as server:
        transport = transport_to(server, waits=Waits(late_reply=0.2))
        with transport, pytest.raises(error) as caught:
            transport.send(mail_to())
        assert type(caught.value) is error
        assert not transport.in_doubt
    assert server.mails == []


def test_in_doubt_is_set_with_the_last_byte_and_ends_with_the_next_mail() -> None:
    states: list[bool] = []

    def note(_session: Session) -> None:
        states.append(transport.in_doubt)

    with ScriptedServer({"dot": (note, "250 ok")}) as server:
        transport = transport_to(server)
        with transport:
            assert not transport.in_doubt
            transport.send(mail_to(), lambda _sent, _total: states.append(transport.in_doubt))
            assert states[0] is False
            assert states[-1] is True
            assert transport.in_doubt  # until the next one begins
            server._script["MAIL"] = "550 no"
            with pytest.raises(Refused):
                transport.send(mail_to())
            assert not transport.in_doubt


# --- interrupts and stops ---------------------------------------------------------------------------------------------


def test_an_interrupt_in_the_body_leaves_nothing_in_doubt() -> None:
    def interrupt(_sent: int, _total: int) -> None:
        raise KeyboardInterrupt

    with ScriptedServer() as server:
        transport = transport_to(server)
        with transport, pytest.raises(KeyboardInterrupt):
            transport.send(mail_to(), interrupt)
        assert not transport.in_doubt
        assert "QUIT" not in server.verbs
    assert server.mails == []


def test_an_interrupt_while_the_outcome_is_waited_for_leaves_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        transport = transport_to(server)
        transport.open()

        def interrupt(_deadline: object) -> None:
            raise KeyboardInterrupt

        data = Delivery._data

        def interrupted(self: Delivery, reply: Reply) -> Reply:
            monkeypatch.setattr(transport._talk, "receive", interrupt)
            return data(self, reply)

        monkeypatch.setattr(Delivery, "_data", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transport.send(mail_to())
        assert transport.in_doubt
        assert not transport._talk.connection.is_open


def test_an_interrupt_while_the_connection_is_tidied_up_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer({"RCPT": "550 5.1.1 unknown"}) as server:
        transport = transport_to(server)
        transport.open()
        command = transport._talk.command

        def interrupted(line: str, *rest: Any) -> Any:
            if line == "RSET":
                raise KeyboardInterrupt
            return command(line, *rest)

        monkeypatch.setattr(transport._talk, "command", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transport.send(mail_to())
        assert not transport._talk.connection.is_open


@pytest.mark.parametrize("step", ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "handshake"])
def test_stop_ends_every_wait_at_once_and_nothing_was_sent(step: str, certificates: Certificates) -> None:
    security = "tls" if step == "handshake" else "none"
    with _server({step: silence}, security, certificates) as (server, details), within(4):
        transport = transport_to(server, timeout=30, settings=details)
        with (
            _stopping(transport, lambda: server.reached(step)),
            pytest.raises(ConnectError, match="Stopped") as caught,
            transport,
        ):
            transport.send(mail_to())
        assert caught.value.phase == {"handshake": "tls"}.get(step, step.lower())
        assert not transport.in_doubt


def test_stop_ends_a_body_at_once_and_nothing_was_sent(certificates: Certificates) -> None:
    with _server({"body": deaf}, "none", certificates) as (server, _details), within(4):
        transport = transport_to(server, timeout=30)
        with (
            _stopping(transport, lambda: server.reached("body")),
            pytest.raises(ConnectError, match="Stopped"),
            transport,
        ):
            transport.send(mail_to(documents=BIG))
        assert not transport.in_doubt


def test_stop_after_the_last_byte_leaves_doubt() -> None:
    with ScriptedServer({"dot": silence}) as server, within(4):
        transport = transport_to(server, waits=Waits(reply=30))
        with _stopping(transport, lambda: server.reached("dot")), pytest.raises(OutcomeUnknown), transport:
            transport.send(mail_to())
        assert transport.in_doubt


def test_stop_before_the_beginning_lets_nothing_begin() -> None:
    with ScriptedServer() as server:
        transport = transport_to(server)
        transport.abort()
        with pytest.raises(ConnectError, match="Stopped"):
            transport.open()
    assert server.said == b""


@contextmanager
def _stopping(transport: SmtpTransport, ready: Callable[[], bool]) -> Iterator[None]:
    def work() -> None:
        deadline = time.monotonic() + 5
        while not ready() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        transport.abort()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


# --- the body's own clock ---------------------------------------------------------------------------------------------


def test_a_body_that_crawls_fails_and_was_not_sent(certificates: Certificates) -> None:
    with _server({"body": slowly(1000, 0.02)}, "none", certificates) as (server, _details), within(5):
        transport = transport_to(server, waits=Waits(late_reply=0.2, crawl=(480_000, 0.4)))
        with transport, pytest.raises(ConnectError, match="stopped answering") as caught:
            transport.send(mail_to(documents=BIG))
        assert caught.value.phase == "data"
        assert not transport.in_doubt


def test_a_body_that_is_merely_slow_arrives_after_the_deadline(certificates: Certificates) -> None:
    def patient(session: Session) -> None:
        for _number in range(20):
            session.server.stopping.wait(0.05)
            session.mails[-1].content += session.receive(20_000)
        while not session.mails[-1].content.endswith(b"\r\n.\r\n"):
            session.mails[-1].content += session.receive()
        session.mails[-1].complete = True

    with (
        _server({"body": patient}, "none", certificates) as (server, _details),
        transport_to(server, timeout=0.3, waits=Waits(crawl=(1000, 0.3))) as transport,
    ):
        assert transport.send(mail_to(documents=BIG)).accepted
    assert len(server.mails) == 1


# --- anything at all --------------------------------------------------------------------------------------------------

_STEPS = ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "body", "dot", "RSET", "QUIT"]
_PIECES = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.builds(
        lambda code, sign, text: f"{code}{sign}{text}\r\n".encode("utf-8", "replace"),
        st.sampled_from([220, 235, 250, 334, 354, 421, 451, 535, 550, 552, 554, 199, 600]),
        st.sampled_from(["-", " ", ""]),
        st.one_of(st.text(max_size=20), st.sampled_from(["SIZE ٣", "SIZE 1", "AUTH LOGIN", PASSWORD, "5.7.8 x", "²"])),
    ),
)
_ENDS = st.sampled_from([cut, reset, None, None])


@rules(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_STEPS), st.lists(_PIECES, max_size=4), _ENDS)
def test_whatever_a_server_does_is_a_result_or_a_send_error_in_time(
    step: str, pieces: list[bytes], end: Callable[[Session], None] | None
) -> None:
    script: dict[str, Action] = {step: (*pieces, *([end] if end else []))}
    seen: list[str] = []
    waits = Waits(reply=0.1, goodbye=0.05, late_reply=0.05, crawl=(480_000, 0.05))
    with ScriptedServer(script) as server, within(0.2 + 3):
        transport = transport_to(server, timeout=0.1, waits=waits, observe=lambda _phase, text: seen.append(text))
        outcome: SendResult | SendError
        try:
            with transport:
                outcome = transport.send(mail_to())
        except SendError as exc:
            outcome = exc
        if isinstance(outcome, SendError):
            assert outcome.message
            assert outcome.hint
            assert not any(each in shown(outcome) for each in echoes())
            assert transport.in_doubt == isinstance(outcome, OutcomeUnknown)
        else:
            assert not any(each in repr(outcome) for each in echoes())
            assert outcome.reply is not None
            assert outcome.reply.positive
    assert PASSWORD not in "".join(seen)


# --- a real server ----------------------------------------------------------------------------------------------------


def office(server: RealMailServer, how: str = "starttls", user: str = USER, **changes: Any) -> Settings:
    security = {"starttls": Security.STARTTLS, "tls": Security.TLS, "plain": Security.NONE}[how]
    details: dict[str, Any] = {"security": security, "username": user, "ca_file": str(server.ca_file), **changes}
    return Settings(f"Accounts <{user or USER}>", SmtpServer("localhost", getattr(server.ports, how), **details))


@pytest.fixture
def signed_in(mailserver: RealMailServer) -> Callable[..., Settings]:
    def settings(how: str = "starttls", user: str = USER, password: str | None = None) -> Settings:
        made = office(mailserver, how, user)
        docmail.credentials.set(made, password or USERS[user], remember=False)
        return made

    return settings


def _received(raw: bytes) -> email.message.EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    return message


@pytest.mark.mailserver
@pytest.mark.parametrize("how", ["starttls", "tls", "plain"])
def test_a_pdf_arrives_byte_identical_through_a_real_server(
    mailserver: RealMailServer, signed_in: Callable[..., Settings], how: str
) -> None:
    pdf = pdf_of(123_457)
    result = docmail.send(
        docmail.Document.of(pdf, name="Q3 Übersicht.pdf"),
        to=OTHER,
        subject="Zahlen für Q3",
        body=".\n\nAttached.\n",
        settings=signed_in(how),
    )
    assert result.accepted == (OTHER,)
    (raw,) = mailserver.wait_for_mail(OTHER)
    mail = _received(raw)
    assert mail["Subject"] == "Zahlen für Q3"
    assert mail["Message-ID"] == result.message_id
    assert mail["Return-Path"] == f"<{USER}>"
    (attachment,) = mail.iter_attachments()
    assert attachment.get_filename() == "Q3 Übersicht.pdf"
    assert attachment.get_content() == pdf
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content() == ".\n\nAttached.\n"


@pytest.mark.mailserver
@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_a_real_server_whose_authority_is_unknown_is_refused(mailserver: RealMailServer, how: str) -> None:
    with pytest.raises(TLSError) as caught:
        SmtpTransport(Access(office(mailserver, how, ca_file=None), Secret(USERS[USER]))).open()
    assert (caught.value.field, caught.value.phase) == ("ca_file", "tls")
    assert caught.value.fingerprint
    pinned = office(mailserver, how, ca_file=None, fingerprint=caught.value.fingerprint)
    with SmtpTransport(Access(pinned, Secret(USERS[USER]))) as transport:
        transport.send(mail_to(OTHER))
    mailserver.wait_for_mail(OTHER)


@pytest.mark.mailserver
@pytest.mark.parametrize("how", ["starttls", "tls", "plain"])
def test_a_wrong_password_is_named_and_pointed_at(
    mailserver: RealMailServer, signed_in: Callable[..., Settings], how: str
) -> None:
    with pytest.raises(AuthenticationError) as caught:
        docmail.send(pdf_of(10), to=OTHER, subject="Q3", settings=signed_in(how, password="wrong-password"))
    error = caught.value
    assert (error.kind, error.phase, error.field) == (Kind.AUTH, "auth", "password")
    assert error.reply is not None
    assert (error.reply.code, error.reply.enhanced) == (535, "5.7.8")
    assert mailserver.mails(OTHER) == []


@pytest.mark.mailserver
def test_a_refused_relay_is_told_of_with_the_recipient(signed_in: Callable[..., Settings]) -> None:
    with pytest.raises(Refused, match="Relay access denied") as caught:
        docmail.send(pdf_of(10), to="cfo@elsewhere.example", subject="Q3", settings=signed_in())
    # After the sign-in the sentence is about the recipient, not about the username.
    assert (caught.value.kind, caught.value.phase, caught.value.field) == (Kind.RECIPIENT, "rcpt", None)
    assert caught.value.refused["cfo@elsewhere.example"].code == 554


@pytest.mark.mailserver
def test_a_missing_sign_in_is_refused_by_a_real_server(mailserver: RealMailServer) -> None:
    settings = office(mailserver, user="")
    with pytest.raises(SendError) as caught:
        docmail.send(pdf_of(10), to=OTHER, subject="Q3", settings=settings)
    assert caught.value.phase == "rcpt"
    assert mailserver.mails(OTHER) == []


@pytest.mark.mailserver
def test_another_users_address_as_sender_is_refused(
    mailserver: RealMailServer, signed_in: Callable[..., Settings]
) -> None:
    settings = replace(signed_in(), sender=f"Somebody <{OTHER}>")
    with pytest.raises(Refused, match="not owned by user") as caught:
        docmail.send(pdf_of(10), to=OTHER, subject="Q3", settings=settings)
    assert (caught.value.kind, caught.value.field) == (Kind.CONFIG, "email_address")
    assert mailserver.mails(OTHER) == []


@pytest.mark.mailserver
def test_an_unknown_recipient_among_good_ones_is_named_and_the_others_get_the_mail(
    mailserver: RealMailServer, signed_in: Callable[..., Settings]
) -> None:
    with pytest.warns(UserWarning, match="nobody@example.com: 550"):
        result = docmail.send(pdf_of(10), to=[USER, "nobody@example.com", OTHER], subject="Q3", settings=signed_in())
    assert result.accepted == (USER, OTHER)
    assert result.refused["nobody@example.com"].enhanced == "5.1.1"
    mailserver.wait_for_mail(USER)
    mailserver.wait_for_mail(OTHER)


@pytest.mark.mailserver
@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_20_mb_arrive_byte_identical(mailserver: RealMailServer, signed_in: Callable[..., Settings], how: str) -> None:
    pdf = pdf_of(20_000_000)
    docmail.send(docmail.Document.of(pdf, name="Q3.pdf"), to=OTHER, subject="Q3", settings=signed_in(how))
    (raw,) = mailserver.wait_for_mail(OTHER)
    encoded = raw.partition(b"filename=")[2].partition(b"\n\n")[2].partition(b"\n--")[0]
    assert base64.b64decode(encoded) == pdf


@pytest.mark.mailserver
def test_a_mail_over_the_real_servers_limit_is_refused_before_it_is_sent(signed_in: Callable[..., Settings]) -> None:
    with pytest.raises(Refused, match="accepts at most") as caught, within(5):
        docmail.send(
            docmail.Document.of(pdf_of(24_000_000), name="Q3.pdf"), to=OTHER, subject="Q3", settings=signed_in()
        )
    assert caught.value.kind is Kind.MESSAGE


@pytest.mark.mailserver
@pytest.mark.parametrize("user", ["utf8@example.com", "müller@example.com"])
@pytest.mark.parametrize("how", ["starttls", "tls"])
def test_passwords_and_names_beyond_ascii_sign_in_at_a_real_server(
    mailserver: RealMailServer, signed_in: Callable[..., Settings], user: str, how: str
) -> None:
    result = docmail.send(pdf_of(10), to=f"Jürgen Müller <{user}>", subject="Größe", settings=signed_in(how, user))
    assert result.accepted == (user,)
    (raw,) = mailserver.wait_for_mail(user)
    assert _received(raw)["Return-Path"] == f"<{user}>"
    assert user.encode() in raw


@pytest.mark.mailserver
def test_a_real_server_shows_that_it_takes_mails_as_chunks(
    mailserver: RealMailServer, signed_in: Callable[..., Settings]
) -> None:
    memory = RememberedCapabilities()
    settings = signed_in()
    with SmtpTransport(Access(settings, Secret(USERS[USER]), capabilities=memory)) as transport:
        for number in range(3):
            transport.send(replace(mail_to(OTHER), message_id=f"<chunk-{number}@example.com>"))
    assert memory.takes_chunks(f"{settings.account.host}:{settings.account.port}") is True
    for _ in range(3):
        mailserver.wait_for_mail(OTHER)


@pytest.mark.mailserver
def test_several_mails_over_one_connection_arrive_in_order(
    mailserver: RealMailServer, signed_in: Callable[..., Settings]
) -> None:
    with SmtpTransport(Access(signed_in(), Secret(USERS[USER]))) as transport:
        for number in range(3):
            transport.send(replace(mail_to(OTHER), message_id=f"<{number}@example.com>"))
        with pytest.raises(Refused):
            transport.send(mail_to("nobody@example.com"))
        # Said in one write with its content, which a server that refuses might take for commands.
        assert not transport.is_open
        transport.open()
        transport.send(mail_to(OTHER))
    assert len(mailserver.wait_for_mail(OTHER, 4)) == 4
