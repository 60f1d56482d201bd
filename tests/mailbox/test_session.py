"""A mailbox at a real server (Dovecot), and at one that does whatever can be wrong."""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import threading
import traceback
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

import docmail
from docmail.errors import (
    AuthenticationError,
    ConnectError,
    CredentialError,
    Deferred,
    Kind,
    Refused,
    SendError,
    SettingsError,
    TLSError,
)
from docmail.mailbox import Mailbox, OpenMailbox, Position, open_mailbox
from docmail.mailbox.session import MOST_OF_A_MAIL
from docmail.secret import Secret
from docmail.settings import Settings, SmtpServer
from tests.support.imapserver import PASSWORD, USERS, ImapServer
from tests.support.scripted_imap import CUT, ScriptedImap, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.certificates import Certificates

ANN, BOB, FULL, NESTED = USERS
RAW = b"From: ann@example.com\r\nMessage-ID: <1@docmail>\r\nSubject: Q3\r\n\r\nAttached.\r\n"


def settings(port: int, user: str = ANN, **details: Any) -> Settings:
    mailbox = Mailbox("localhost", port, **{"security": "tls", **details})
    return Settings(user, SmtpServer("localhost", username=user), mailbox=mailbox)


def opened(port: int, user: str = ANN, *, password: str = PASSWORD, timeout: float = 10, **details: Any) -> OpenMailbox:
    return open_mailbox(settings(port, user, **details), secret=Secret(password), timeout=timeout)


@pytest.fixture(scope="module")
def _running() -> Iterator[ImapServer]:
    with ImapServer() as server:
        yield server


@pytest.fixture
def dovecot(_running: ImapServer) -> ImapServer:
    _running.clear()
    return _running


def at(server: ImapServer, user: str = ANN, **details: Any) -> OpenMailbox:
    return opened(server.tls, user, ca_file=str(server.ca_file), **details)


pytestmark = pytest.mark.mailserver


# --- a real server ---


@pytest.mark.parametrize(
    ("user", "sent", "drafts"),
    [(ANN, "Verstuur", "Drafts"), (BOB, "Sent", None), (NESTED, "INBOX.Sent", None)],
)
def test_a_copy_is_filed_where_the_mailbox_keeps_sent_mails(
    dovecot: ImapServer, user: str, sent: str, drafts: str | None
) -> None:
    with at(dovecot, user) as mailbox:
        assert (mailbox.sent_folder(), mailbox.drafts_folder()) == (sent, drafts)
        assert not mailbox.holds("<1@docmail>", sent)
        mailbox.append(sent, RAW, flags=("\\Seen",), when=datetime(2026, 11, 30, 9, 5, tzinfo=UTC))
        assert mailbox.holds("<1@docmail>", sent)
        assert mailbox.holds("1@docmail", sent)
        assert not mailbox.holds("<1@docmai>", sent)  # the server finds parts of it as well
        assert mailbox.sent_folder() == sent
    (file,) = dovecot.files(user)
    assert file.name.endswith(":2,S")
    assert file.read_bytes() in {RAW, RAW.replace(b"\r\n", b"\n")}
    assert datetime.fromtimestamp(file.stat().st_mtime, UTC) == datetime(2026, 11, 30, 9, 5, tzinfo=UTC)


def test_starttls_protects_as_well(dovecot: ImapServer) -> None:
    phases: list[str] = []
    there = settings(dovecot.starttls, security="starttls", ca_file=str(dovecot.ca_file))
    with open_mailbox(there, secret=Secret(PASSWORD), observe=lambda phase, _text: phases.append(phase)) as mailbox:
        assert mailbox.sent_folder() == "Verstuur"
    assert phases == ["dns", "connect", "greeting", "tls", "auth"]


def test_a_certificate_that_nobody_trusts_is_refused_and_shown(dovecot: ImapServer) -> None:
    for security, port in (("tls", dovecot.tls), ("starttls", dovecot.starttls)):
        with pytest.raises(TLSError) as caught, opened(port, security=security):
            pass
        assert caught.value.field == "mailbox_ca_file"
        assert caught.value.fingerprint
        assert caught.value.certificate is not None
        with opened(port, security=security, fingerprint=caught.value.fingerprint) as mailbox:
            assert mailbox.sent_folder() == "Verstuur"
        with pytest.raises(TLSError) as other, opened(port, security=security, fingerprint="ab" * 32):
            pass
        assert other.value.field == "mailbox_fingerprint"
    assert "LOGIN" not in dovecot.log()


def test_a_wrong_password_is_said_of_the_mailboxs_own_field(dovecot: ImapServer) -> None:
    with pytest.raises(AuthenticationError) as caught, at(dovecot, password="wrong, ключ"):
        pass
    assert (caught.value.phase, caught.value.field) == ("auth", "mailbox_password")
    assert "wrong" not in str(caught.value)


def test_a_full_mailbox_is_tried_again_later(dovecot: ImapServer) -> None:
    with at(dovecot, FULL) as mailbox:
        sent = mailbox.sent_folder()
        with pytest.raises(Deferred, match="full") as caught:
            mailbox.append(sent, RAW + b"x" * 300_000)
        assert caught.value.kind is Kind.LIMIT
        mailbox.append(sent, RAW)  # the connection can be used all the same
        assert mailbox.holds("<1@docmail>", sent)


def test_a_large_mail_is_filed_whole_and_read_only_in_part(dovecot: ImapServer) -> None:
    raw = RAW + os.urandom(3_000_000).hex().encode() + b"\r\n"
    with at(dovecot) as mailbox:
        mailbox.append("INBOX", raw)
        ((_position, read),) = mailbox.new_mails("INBOX", None)
    assert read == raw[:MOST_OF_A_MAIL]
    assert max(file.stat().st_size for file in dovecot.files(ANN)) >= len(raw) - 10


def test_new_mails_come_once_each_and_are_not_marked_as_read(dovecot: ImapServer) -> None:
    with at(dovecot) as mailbox:
        for number in range(25):
            mailbox.append("INBOX", RAW.replace(b"1@", b"%d@" % number))
        read = list(mailbox.new_mails("INBOX", None))
        assert [b"<%d@docmail>" % number in raw for number, (_at, raw) in enumerate(read)] == [True] * 25
        last = Position.read(str(read[-1][0]))
        assert last == read[-1][0]
        assert list(mailbox.new_mails("INBOX", last)) == []
        assert [raw for _at, raw in mailbox.new_mails("INBOX", read[-2][0])] == [read[-1][1]]
        mailbox.append("INBOX", RAW)
        assert [raw for _at, raw in mailbox.new_mails("INBOX", last)] == [RAW]
    assert not [file.name for file in dovecot.files(ANN) if "S" in file.name.rpartition(",")[2]]


def test_a_folder_with_new_numbers_is_read_from_its_beginning(dovecot: ImapServer) -> None:
    with at(dovecot) as mailbox:
        mailbox.append("INBOX", RAW)
        ((position, _raw),) = mailbox.new_mails("INBOX", Position(1, 500))
        assert position.validity != 1


def test_what_came_before_a_day_is_left_out_at_first(dovecot: ImapServer) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=100)
    with at(dovecot) as mailbox:
        mailbox.append("INBOX", RAW, when=long_ago)
        mailbox.append("INBOX", RAW.replace(b"1@", b"2@"))
        recent = list(mailbox.new_mails("INBOX", None, not_before=date.today() - timedelta(days=30)))  # noqa: DTZ011
    assert len(recent) == 1
    assert b"<2@docmail>" in recent[0][1]


def test_other_questions_can_be_asked_while_mails_are_read(dovecot: ImapServer) -> None:
    with at(dovecot) as mailbox:
        for number in range(12):
            mailbox.append("INBOX", RAW.replace(b"1@", b"%d@" % number))
        found = [mailbox.holds("<1@docmail>", "Verstuur") for _each in mailbox.new_mails("INBOX", None)]
    assert found == [False] * 12


def test_a_folder_that_does_not_exist_holds_nothing(dovecot: ImapServer) -> None:
    for user in (ANN, NESTED):
        with at(dovecot, user) as mailbox:
            assert not mailbox.holds("<1@docmail>", "Nowhere")
            assert list(mailbox.new_mails("Nowhere", None)) == []


def test_a_folder_beyond_ascii_is_made_and_found(dovecot: ImapServer) -> None:
    with at(dovecot, BOB) as mailbox:
        mailbox.append("Éléments envoyés & co", RAW)
        mailbox.append("Gesendete Elemente", RAW)
        assert mailbox.holds("<1@docmail>", "Éléments envoyés & co")
        assert mailbox.sent_folder() == "Gesendete Elemente"


# --- whose password ---


def test_the_password_for_sending_opens_the_mailbox_and_a_password_of_its_own_comes_first(dovecot: ImapServer) -> None:
    there = settings(dovecot.tls, ca_file=str(dovecot.ca_file))
    docmail.credentials.set(there, PASSWORD)
    with open_mailbox(there) as mailbox:
        assert mailbox.count("INBOX") == 0
    docmail.credentials.set(there.for_mailbox, "another")
    with pytest.raises(AuthenticationError), open_mailbox(there):
        pass


def test_a_password_never_goes_to_another_owners_server() -> None:
    there = Settings("Ann", SmtpServer("smtp.example.com", username=ANN), mailbox=Mailbox("imap.exmaple.com"))
    docmail.credentials.set(there, PASSWORD)
    with pytest.raises(CredentialError, match=r"is for smtp\.example\.com") as caught:
        open_mailbox(there)
    assert caught.value.field == "mailbox_password"
    other = Settings("Ann", SmtpServer("smtp.example.com", username=ANN), mailbox=Mailbox("b.example", username="bob"))
    with pytest.raises(CredentialError, match=r"bob at b\.example"):
        open_mailbox(other)


def test_settings_without_a_mailbox_open_none() -> None:
    with pytest.raises(SettingsError, match="no mailbox"):
        open_mailbox(Settings("Ann", SmtpServer("smtp.example.com", username=ANN)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "docmail.mailbox.protocol", raising=False)
    monkeypatch.delattr("docmail.mailbox.protocol", raising=False)
    monkeypatch.setitem(sys.modules, "imapclient", None)
    with pytest.raises(SettingsError) as caught, opened(1):
        pass
    assert 'pip install "docmail[mailbox]"' in caught.value.hint


# --- a server that does what it should not ---


def scripted(server: ScriptedImap, **details: Any) -> OpenMailbox:
    return opened(server.port, **{"security": "none", "timeout": 5, **details})


def use(mailbox: OpenMailbox) -> None:
    mailbox.sent_folder()
    mailbox.holds("<1@docmail>", "Sent")
    mailbox.append("Sent", RAW)
    list(mailbox.new_mails("INBOX", None))


def failure(server: ScriptedImap, **details: Any) -> SendError:
    with pytest.raises(SendError) as caught, scripted(server, **details) as mailbox:
        use(mailbox)
    assert caught.value.message
    assert caught.value.hint
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    return caught.value


def test_a_scripted_server_that_does_nothing_wrong_is_used() -> None:
    with ScriptedImap() as server, scripted(server) as mailbox:
        assert mailbox.sent_folder() == "Sent"
        assert not mailbox.holds("<1@docmail>", "Sent")
        mailbox.append("Sent", RAW, flags=("\\Seen",))
        assert list(mailbox.new_mails("INBOX", None)) == []
    assert server.mails == [RAW]


@pytest.mark.parametrize("raw", [b"\n", b"a\rb\nc\r\n", bytes(range(1, 256)), b"x" * 100_000 + b"\n", b"{5}\r\n"])
def test_the_bytes_of_a_copy_are_not_changed(raw: bytes) -> None:
    with ScriptedImap() as server, scripted(server) as mailbox:
        mailbox.append("Sent", raw)
    assert server.mails == [raw]


def test_nothing_but_reading_and_filing_is_ever_asked() -> None:
    found = "* SEARCH 1\r\n{tag} OK"
    mail = "* 1 FETCH (UID 1 BODY[]<0> {3}\r\nabc)\r\n{tag} OK"
    with ScriptedImap({"UID SEARCH": found, "UID FETCH": mail}) as server, scripted(server) as mailbox:
        mailbox.holds("<1@docmail>", mailbox.sent_folder())
        mailbox.append("Sent", RAW)
        assert [raw for _at, raw in mailbox.new_mails("INBOX", None)] == [b"abc"]
    said = {
        line.split(" ")[0] if not line.startswith("UID") else " ".join(line.split(" ")[:2]) for line, _ in server.heard
    }
    assert {each for each in said if each.isupper() or each.startswith("UID")} <= {
        *("CAPABILITY", "AUTHENTICATE", "NAMESPACE", "LIST", "EXAMINE", "APPEND", "LOGOUT", "UID SEARCH", "UID FETCH")
    }
    assert all("PEEK" in line for line in server.commands("UID FETCH"))


@pytest.mark.parametrize(
    ("script", "kind", "field"),
    [
        ({"greeting": "* PREAUTH welcome"}, Kind.CONFIG, None),
        ({"greeting": "* BYE too many connections"}, Kind.TEMPORARY, None),
        ({"greeting": "220 mail.example.com ESMTP"}, Kind.NETWORK, "mailbox_host"),
        ({"greeting": "+OK POP3 ready"}, Kind.NETWORK, "mailbox_host"),
        ({"greeting": "HTTP/1.1 400 Bad Request"}, Kind.NETWORK, "mailbox_host"),
        ({"greeting": b"\x16\x03\x01\x02\x00\r\n"}, Kind.NETWORK, "mailbox_host"),
        ({"greeting": CUT}, Kind.NETWORK, "mailbox_port"),
        ({"CAPABILITY": "{tag} BAD what"}, Kind.TEMPORARY, None),
        ({"CAPABILITY": CUT}, Kind.NETWORK, "mailbox_port"),
        ({"AUTHENTICATE": CUT}, Kind.NETWORK, "mailbox_password"),
        ({"AUTHENTICATE": "* BYE go away"}, Kind.AUTH, "mailbox_password"),
        ({"AUTHENTICATE": "{tag} NO [UNAVAILABLE] later"}, Kind.TEMPORARY, None),
        ({"AUTHENTICATE": "garbage without end of sense"}, Kind.NETWORK, None),
        ({"LIST": "* LIST ((((((\r\n{tag} OK"}, Kind.NETWORK, None),
        ({"LIST": "{tag} BAD User is authenticated but not connected."}, Kind.AUTH, "mailbox_username"),
        ({"EXAMINE": "{tag} NO [NOPERM] no"}, Kind.CONFIG, "mailbox_username"),
        ({"EXAMINE": "* OK [UIDVALIDITY nonsense] x\r\n{tag} OK"}, Kind.NETWORK, None),
        ({"UID SEARCH": "* SEARCH one two\r\n{tag} OK"}, Kind.NETWORK, None),
        (
            {"UID SEARCH": "* SEARCH 1\r\n{tag} OK", "UID FETCH": "* 1 FETCH (UID 1 BODY[\r\n{tag} OK"},
            Kind.NETWORK,
            None,
        ),
        (
            {"UID SEARCH": "* SEARCH 1\r\n{tag} OK", "UID FETCH": b"* 1 FETCH (BODY[] {99999999999}\r\n"},
            Kind.NETWORK,
            None,
        ),
        ({"APPEND": CUT}, Kind.NETWORK, None),
        ({"APPEND": "{tag} NO [OVERQUOTA] Quota exceeded"}, Kind.LIMIT, None),
        ({"APPEND": "{tag} NO [TOOBIG] no"}, Kind.MESSAGE, None),
        ({"APPEND": "{tag} NO [TRYCREATE] no"}, Kind.TEMPORARY, None),
    ],
)
def test_whatever_goes_wrong_is_a_sentence(script: dict[str, Any], kind: Kind, field: str | None) -> None:
    with ScriptedImap(script) as server:
        error = failure(server)
    assert (error.kind, error.field) == (kind, field)


def test_a_refusal_keeps_the_servers_words_without_the_password() -> None:
    with ScriptedImap({"AUTHENTICATE": f"{{tag}} NO [AUTHENTICATIONFAILED] {PASSWORD} is wrong"}) as server:
        error = failure(server)
    assert error.reply is not None
    assert error.reply.text == "NO [AUTHENTICATIONFAILED] ••• is wrong"


@pytest.mark.parametrize("data", [b"* x", b"* LIST () NIL x\r\n"])
def test_a_server_that_never_stops_speaking_is_left(data: bytes) -> None:
    def endless(session: Session) -> None:
        while not session.server.stopping.is_set():
            session.send(data * 5000)

    with ScriptedImap({"LIST": endless}) as server:
        assert isinstance(failure(server, timeout=2), ConnectError)


def test_a_mail_of_impossible_size_is_not_waited_for() -> None:
    huge = b"* 1 FETCH (UID 1 BODY[]<0> {99999999999}\r\n"
    with ScriptedImap({"UID SEARCH": "* SEARCH 1\r\n{tag} OK", "UID FETCH": huge}) as server:
        assert "does not answer as" in failure(server).message


def test_silence_ends_with_the_time_limit() -> None:
    for step in ("greeting", "AUTHENTICATE", "LIST"):
        with ScriptedImap({step: None}) as server:
            error = failure(server, timeout=0.3)
        assert isinstance(error, ConnectError)


def test_stop_ends_a_wait_at_once() -> None:
    waiting = threading.Event()

    def hang(session: Session) -> None:
        waiting.set()
        session.server.stopping.wait()

    with ScriptedImap({"LIST": hang}) as server, scripted(server, timeout=60) as mailbox:

        def stop() -> None:
            waiting.wait()
            mailbox.abort()

        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(ConnectError, match="Stopped"):
            mailbox.sent_folder()
        stopper.join()


def test_a_search_that_finds_nothing_or_fails_is_no_proof() -> None:
    """Yahoo's refuses to search headers; others find only what their index has."""
    header = b"Message-ID: <1@docmail>\r\n\r\n"
    fetched = b"* 1 FETCH (UID 5 BODY[HEADER.FIELDS (MESSAGE-ID)] {%d}\r\n%s)\r\n{tag} OK\r\n" % (len(header), header)
    for answer in ("* SEARCH\r\n{tag} OK", "{tag} NO [SERVERBUG] UID SEARCH Server error", "{tag} BAD what"):
        script = {"UID SEARCH": [answer, "* SEARCH 3 5\r\n{tag} OK"], "UID FETCH": fetched}
        with ScriptedImap(script) as server, scripted(server) as mailbox:
            assert mailbox.holds("<1@docmail>", "Sent")
            assert not mailbox.holds("<2@docmail>", "Sent")


@pytest.mark.parametrize("message_id", ["", "<>", "<a b@c>", "<a@b>\r\nx LOGOUT", "\x00"])
def test_what_is_no_message_id_is_nowhere_and_goes_to_no_server(message_id: str) -> None:
    with ScriptedImap() as server, scripted(server) as mailbox:
        assert not mailbox.holds(message_id, "Sent")
    assert server.commands("UID SEARCH") == []


def test_a_mail_larger_than_the_mailbox_takes_is_not_uploaded() -> None:
    with ScriptedImap(capabilities="IMAP4rev1 AUTH=PLAIN APPENDLIMIT=50") as server, scripted(server) as mailbox:
        with pytest.raises(Refused) as caught:
            mailbox.append("Sent", RAW)
        mailbox.append("Sent", b"x")
    assert caught.value.kind is Kind.MESSAGE
    assert server.mails == [b"x"]


@pytest.mark.parametrize(
    "said", ["[TRYCREATE] no", "Mailbox doesn't exist: Sent", "The requested item could not be found."]
)
def test_a_folder_that_is_missing_is_made_whatever_the_server_calls_that(said: str) -> None:
    with ScriptedImap({"APPEND": [f"{{tag}} NO {said}", "take"]}) as server:
        with scripted(server) as mailbox:
            mailbox.append("Sent", RAW)
        assert server.commands("CREATE") == ['CREATE "Sent"']
        assert server.mails == [RAW]


def test_a_folder_that_holds_folders_only_is_not_made_for_copies() -> None:
    listed = '* LIST (\\Noselect) "/" "Sent"\r\n* LIST () "/" "Sent/2025"\r\n{tag} OK'
    with ScriptedImap({"LIST": listed}) as server, scripted(server) as mailbox:
        assert mailbox.sent_folder() == "Sent Items"


def test_a_reply_in_latin_1_is_read() -> None:
    with ScriptedImap({"AUTHENTICATE": "{tag} NO Ungültig\r\n".encode("latin-1")}) as server:
        assert "Ungültig" in str(failure(server))


def test_special_uses_that_are_said_only_when_asked_for_are_asked_for() -> None:
    plain = '* LIST () "/" INBOX\r\n* LIST () "/" Sent\r\n* LIST () "/" Uit\r\n{tag} OK'
    with ScriptedImap({"LIST": [plain, '* LIST (\\Sent) "/" Uit\r\n{tag} OK']}) as server, scripted(server) as mailbox:
        assert mailbox.sent_folder() == "Uit"


# --- encryption and sign-in ---


def test_nothing_goes_in_clear_where_starttls_is_wanted(certificates: Certificates) -> None:
    ca_file = str(certificates.ca_file)
    with (
        ScriptedImap(capabilities="IMAP4rev1 AUTH=PLAIN") as server,
        pytest.raises(TLSError, match="STARTTLS"),
        scripted(server, security="starttls", ca_file=ca_file),
    ):
        pass
    assert not server.commands("AUTHENTICATE")
    with (
        ScriptedImap({"STARTTLS": "{tag} NO later"}) as server,
        pytest.raises(SendError),
        scripted(server, security="starttls", ca_file=ca_file),
    ):
        pass
    assert not server.commands("AUTHENTICATE")


@pytest.mark.parametrize("injected", [b"{tag} OK begin\r\n* CAPABILITY IMAP4rev1\r\n", b"{tag} OK begin\r\n*"])
def test_text_that_was_added_before_the_encryption_is_not_believed(certificates: Certificates, injected: bytes) -> None:
    there = ScriptedImap({"STARTTLS": injected}, tls=certificates.good().context())
    ca_file = str(certificates.ca_file)
    with there as server, pytest.raises(TLSError, match="added text"):
        scripted(server, security="starttls", ca_file=ca_file).open()
    assert not server.commands("AUTHENTICATE")


def test_capabilities_of_before_the_encryption_are_forgotten(certificates: Certificates) -> None:
    lie = "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n{tag} OK"
    truth = "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK"
    tls = certificates.good().context()
    with (
        ScriptedImap({"CAPABILITY": [lie, truth]}, tls=tls) as server,
        scripted(server, security="starttls", ca_file=str(certificates.ca_file)) as mailbox,
    ):
        assert mailbox.sent_folder() == "Sent"
    assert {encrypted for line, encrypted in server.heard if line.startswith("AUTHENTICATE")} == {True}


def test_a_preauthenticated_greeting_prevents_no_encryption() -> None:
    """RFC 9051 11.1: STARTTLS is not possible after it, and would be left out by a client that believes it."""
    with (
        ScriptedImap({"greeting": "* PREAUTH hello"}) as server,
        pytest.raises(TLSError, match="PREAUTH"),
        scripted(server, security="starttls"),
    ):
        pass
    assert not server.commands("APPEND")


def test_a_password_goes_out_in_clear_to_this_computer_only() -> None:
    with ScriptedImap() as server, scripted(server) as mailbox:
        mailbox._connection._peer = "192.0.2.1"
        from docmail.mailbox.signing_in import require_encryption

        assert mailbox._imap is not None
        with pytest.raises(TLSError) as caught:
            require_encryption(mailbox._imap)
    assert caught.value.field == "mailbox_security"


def test_login_is_used_where_nothing_better_is_offered_and_quotes_what_it_must() -> None:
    password = 'a "quoted" \\ ключ'
    with ScriptedImap(capabilities="IMAP4rev1") as server, scripted(server, password=password):
        pass
    assert server.commands("LOGIN") == ['LOGIN "ann@example.com" "a \\"quoted\\" \\\\ ключ"']


@pytest.mark.parametrize(
    ("capabilities", "field"),
    [
        ("IMAP4rev1 LOGINDISABLED STARTTLS", "mailbox_security"),
        ("IMAP4rev1 LOGINDISABLED AUTH=XOAUTH2", "mailbox_host"),
    ],
)
def test_no_password_goes_where_none_is_taken(capabilities: str, field: str) -> None:
    with ScriptedImap(capabilities=capabilities) as server:
        error = failure(server)
    assert error.field == field
    assert not server.commands("LOGIN") + server.commands("AUTHENTICATE")


class _Tokens:
    """What `docmail.oauth.Tokens` does, without a sign-in server."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = [Secret(each) for each in tokens]

    def current(self) -> Secret:
        return self._tokens[0]

    def renewed(self) -> Secret:
        self._tokens.pop(0)
        return self._tokens[0]


def with_tokens(server: ScriptedImap, *tokens: str) -> OpenMailbox:
    mailbox = scripted(server)
    mailbox._secret, mailbox._tokens = None, _Tokens(*tokens)  # type: ignore[assignment]
    return mailbox


@pytest.fixture(scope="module")
def _introspected() -> Iterator[ImapServer]:
    """Return a Dovecot that asks a sign-in server about tokens (RFC 7662); that one knows the token "good"."""

    class Introspection(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            good = parse_qs(asked)["token"] == ["good"]
            answer = {"active": "true", "username": ANN} if good else {"active": "false"}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Introspection) as introspection:
        threading.Thread(target=introspection.serve_forever, args=(0.05,), daemon=True).start()
        with ImapServer(f"http://127.0.0.1:{introspection.server_port}/") as server:
            yield server
        introspection.shutdown()


def test_dovecot_lets_in_with_a_token(_introspected: ImapServer) -> None:  # noqa: PT019 - its value is used
    mailbox = at(_introspected)
    mailbox._secret, mailbox._tokens = None, _Tokens("revoked", "good")  # type: ignore[assignment]
    with mailbox:
        assert mailbox.sent_folder() == "Verstuur"
    mailbox = at(_introspected)
    mailbox._secret, mailbox._tokens = None, _Tokens("revoked", "bad")  # type: ignore[assignment]
    with pytest.raises(AuthenticationError) as caught:
        mailbox.open()
    assert caught.value.field == "sign_in"


def test_oauthbearer_is_spoken_where_nothing_else_is_offered() -> None:
    with ScriptedImap(capabilities="IMAP4rev1 AUTH=OAUTHBEARER") as server, with_tokens(server, "good"):
        pass
    said = [line for line, _encrypted in server.heard if "Bearer" in line]
    assert said == [f"n,a={ANN},\1host=localhost\1port={server.port}\1auth=Bearer good\1\1"]


def test_a_token_that_was_revoked_is_renewed_once() -> None:
    script = {"AUTHENTICATE": ["{tag} NO AUTHENTICATE failed.", "{tag} OK"]}
    with ScriptedImap(script) as server, with_tokens(server, "old", "new") as mailbox:
        assert mailbox.sent_folder() == "Sent"
    said = [line for line, _encrypted in server.heard if "Bearer" in line]
    assert said == [f"user={ANN}\1auth=Bearer {token}\1\1" for token in ("old", "new")]
    with (
        ScriptedImap({"AUTHENTICATE": "{tag} NO AUTHENTICATE failed."}) as server,
        pytest.raises(AuthenticationError) as caught,
        with_tokens(server, "old", "new"),
    ):
        pass
    assert caught.value.field == "sign_in"
    assert len(server.commands("AUTHENTICATE")) == 2


def test_the_secret_stands_in_no_object_that_a_log_or_a_traceback_shows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedImap({"APPEND": "{tag} NO no"}, capabilities="IMAP4rev1") as server:
        error = failure(server)
    gc.collect()
    frames = [repr(frame.f_locals) for frame, _line in traceback.walk_tb(error.__traceback__)]
    assert not [text for text in (*frames, caplog.text) if PASSWORD in text]


def test_a_server_certificate_of_another_name_is_refused(certificates: Certificates) -> None:
    with (
        ScriptedImap(tls=certificates.wrong_host().context(), implicit=True) as server,
        pytest.raises(TLSError) as caught,
        opened(server.port, ca_file=str(certificates.ca_file)),
    ):
        pass
    assert caught.value.field == "mailbox_host"
    assert server.heard == []


def test_a_position_is_read_from_its_own_text_only() -> None:
    for text in ("", "1", "1:", "a:b", "1:2:3", "-1:2", "٣:4", "1" * 5000 + ":1"):
        assert Position.read(text) is None
