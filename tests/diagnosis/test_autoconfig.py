"""Finding a company's server: whom docmail asks, what it sends them, and how little it trusts the answers."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dns.resolver
import pytest

from docmail import language, presets
from docmail.diagnosis import Finding, autoconfig, find, questions
from docmail.errors import AddressError, ConnectError, DocmailError, Kind, SettingsError
from docmail.net import Deadline, connection
from docmail.presets import catalogue
from docmail.settings import Mailbox, Security
from tests.net.test_connection import SocksServer
from tests.transport.http.test_transport import Server, answering, reply, tunnelling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.support.certificates import Certificates, ServerCertificate
    from tests.support.nameserver import NameServer

SILENT = "Your DNS server does not answer."
UNREACHABLE = "autoconfig.thunderbird.net cannot be reached."
UNREADABLE = "The answer of autoconfig.thunderbird.net cannot be read."

Reply = bytes | Callable[[ssl.SSLSocket, threading.Event], None]


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


# --- a database that does what a test says ----------------------------------------------------------------------------


class Database:
    """Stands for autoconfig.thunderbird.net: `replies` by path, whole or a function; it keeps what it `heard`."""

    def __init__(self, certificate: ServerCertificate) -> None:
        self.replies: dict[str, Reply] = {}
        self.heard: list[bytes] = []
        self.stopping = threading.Event()
        database, context = self, certificate.context()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as sock:
                    database._serve(sock)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}/v1.1/"

    def _serve(self, sock: ssl.SSLSocket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (data := sock.recv(65536)):
                return
            request += data
        self.heard.append(request)
        reply = self.replies.get(request.split()[1].decode(), answer(b"no such domain", status="404 Not Found"))
        if isinstance(reply, bytes):
            sock.sendall(reply)
        else:
            reply(sock, self.stopping)

    def know(self, *servers: str, domain: str = "example.com") -> None:
        """Have an entry for the domain with these outgoing servers."""
        self.replies[f"/v1.1/{domain}"] = answer(entry(*servers))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


def answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def entry(*servers: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<clientConfig version="1.1"><emailProvider id="example.com">'
        '<domain>example.com</domain><incomingServer type="imap"><hostname>imap.example.com</hostname><port>993</port>'
        f"<socketType>SSL</socketType></incomingServer>{''.join(servers)}</emailProvider></clientConfig>"
    ).encode()


def outgoing(host: str, port: object, socket_type: str, username: str = "%EMAILADDRESS%", kind: str = "smtp") -> str:
    return (
        f'<outgoingServer type="{kind}"><hostname>{host}</hostname><port>{port}</port>'
        f"<socketType>{socket_type}</socketType><username>{username}</username></outgoingServer>"
    )


def incoming(kind: str, host: str, port: int, socket_type: str) -> str:
    return (
        f'<incomingServer type="{kind}"><hostname>{host}</hostname><port>{port}</port>'
        f"<socketType>{socket_type}</socketType></incomingServer>"
    )


@pytest.fixture
def database(nameserver: NameServer, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Return a running database that docmail asks and trusts; the name server knows nothing."""
    assert nameserver is not None  # requested so that this comes after it
    with Database(certificates.good()) as running:
        monkeypatch.setattr(autoconfig, "_DATABASE", running.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
        yield running


def place(finding: Finding) -> tuple[str, str, int, Security]:
    return finding.source, finding.host, finding.port, finding.security


# --- where a domain receives its mail ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exchanger", "preset", "server"),
    [
        ("aspmx.l.google.com.", "google-workspace", ("smtp.gmail.com", 465, Security.TLS)),
        ("smtp.google.com.", "google-workspace", ("smtp.gmail.com", 465, Security.TLS)),
        ("example-com.mail.protection.outlook.com.", "microsoft-365", ("smtp.office365.com", 587, Security.STARTTLS)),
        ("hotmail-com.olc.protection.outlook.com.", "outlook", ("smtp-mail.outlook.com", 587, Security.STARTTLS)),
        ("MX1.MessagingEngine.COM.", "fastmail", ("smtp.fastmail.com", 465, Security.TLS)),
    ],
)
def test_the_provider_behind_a_companys_domain_is_recognised_by_its_mx_records(
    nameserver: NameServer, exchanger: str, preset: str, server: tuple[str, int, Security]
) -> None:
    nameserver.add("example.com", "MX", f"10 {exchanger}")
    finding = find("anna@example.com")
    assert place(finding) == ("mx", *server)
    assert finding.preset == presets.by_name(preset)
    assert (finding.username, finding.encrypted, finding.foreign, finding.caution) == ("address", True, False, "")
    assert finding.text == f"example.com receives its mail at {presets.by_name(preset).name}."
    assert [question.type for question in nameserver.asked] == ["MX"]  # and nobody else is asked then


def test_the_mail_exchanger_of_the_lowest_number_counts(nameserver: NameServer) -> None:
    nameserver.add("example.com", "MX", "20 aspmx.l.google.com.", "5 example-com.mail.protection.outlook.com.")
    finding = find("example.com")
    assert finding.preset == presets.by_name("microsoft-365")


def test_a_replacement_exchanger_does_not_give_a_provider_away(nameserver: NameServer) -> None:
    nameserver.add("example.com", "MX", "10 mail.example.com.", "20 aspmx.l.google.com.")
    with pytest.raises(DocmailError, match="No settings were found"):
        find("example.com")


def test_of_equal_exchangers_one_that_is_known_is_enough(nameserver: NameServer) -> None:
    nameserver.add("example.com", "MX", "10 a.example.com.", "10 aspmx.l.google.com.", "10 z.example.com.")
    assert find("example.com").preset == presets.by_name("google-workspace")


def test_an_alias_of_the_domain_is_followed(nameserver: NameServer) -> None:
    nameserver.add("example.com", "CNAME", "example.net.")
    nameserver.add("example.net", "MX", "10 aspmx.l.google.com.")
    assert find("example.com").preset == presets.by_name("google-workspace")


def test_a_truncated_answer_is_asked_for_again_over_tcp(nameserver: NameServer) -> None:
    nameserver.trouble = "truncate"
    nameserver.add("example.com", "MX", "10 aspmx.l.google.com.")
    assert find("example.com").preset == presets.by_name("google-workspace")
    assert [question.over for question in nameserver.asked] == ["udp", "tcp"]


def test_a_domain_that_receives_no_mail_may_still_send(nameserver: NameServer) -> None:
    nameserver.add("example.com", "MX", "0 .")  # RFC 7505
    nameserver.add("_submissions._tcp.example.com", "SRV", "0 0 465 smtp.example.com.")
    assert find("example.com").source == "srv"


def test_a_preset_whose_host_must_be_completed_comes_without_a_host(
    nameserver: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "by_mx", lambda _host: presets.by_name("Amazon SES"))
    nameserver.add("example.com", "MX", "10 inbound-smtp.eu-west-1.amazonaws.com.")
    finding = find("example.com")
    assert (finding.host, finding.preset) == ("", presets.by_name("Amazon SES"))


# --- what a domain names itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "port", "security"),
    [("_submissions", 4650, Security.TLS), ("_submission", 5870, Security.STARTTLS)],
)
def test_the_service_says_how_it_is_encrypted_whatever_the_port(
    nameserver: NameServer, service: str, port: int, security: Security
) -> None:
    nameserver.add(f"{service}._tcp.example.com", "SRV", f"0 0 {port} smtp.example.com.")
    finding = find("example.com")
    assert place(finding) == ("srv", "smtp.example.com", port, security)
    assert (finding.preset, finding.username) == (None, "address")
    assert (finding.foreign, finding.caution) == (False, "")
    assert finding.text == f"example.com names smtp.example.com, port {port}, in its DNS."


def test_encryption_from_the_first_byte_is_preferred(nameserver: NameServer) -> None:
    nameserver.add("_submission._tcp.example.com", "SRV", "0 0 587 smtp.example.com.")
    nameserver.add("_submissions._tcp.example.com", "SRV", "50 0 465 smtps.example.com.")
    assert place(find("example.com")) == ("srv", "smtps.example.com", 465, Security.TLS)


def test_the_lowest_priority_counts_and_then_the_highest_weight(nameserver: NameServer) -> None:
    nameserver.add(
        "_submissions._tcp.example.com",
        "SRV",
        "20 99 465 later.example.com.",
        "10 1 465 light.example.com.",
        "10 9 465 heavy.example.com.",
    )
    assert find("example.com").host == "heavy.example.com"


def test_a_name_that_was_found_is_not_suspected_of_a_typing_error(
    nameserver: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameserver.add("_submissions._tcp.firm.com", "SRV", "1 1 465 mail.firm.com.")
    assert find("anna@firm.com").host == "mail.firm.com"

    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(connection, "is_offline", lambda: False)
    with pytest.raises(ConnectError, match=r"mail\.firm\.com as the server of firm\.com, but this") as caught:
        connection.Connection("mail.firm.com", 465).open(Deadline(2), lambda _phase, _text: None)
    assert caught.value.field is None


def test_a_service_that_is_explicitly_not_offered_is_passed_over(nameserver: NameServer) -> None:
    nameserver.add("_submissions._tcp.example.com", "SRV", "0 0 0 .")
    nameserver.add("_submission._tcp.example.com", "SRV", "0 0 587 smtp.example.com.")
    assert place(find("example.com")) == ("srv", "smtp.example.com", 587, Security.STARTTLS)


def test_a_server_of_a_known_provider_brings_its_preset_and_needs_no_caution(nameserver: NameServer) -> None:
    nameserver.add("_submission._tcp.example.com", "SRV", "0 0 587 smtp.web.de.")
    finding = find("example.com")
    assert finding.preset == presets.by_name("WEB.DE")
    assert (finding.username, finding.foreign) == ("local-part", False)


@pytest.mark.parametrize("host", ["mail.elsewhere.net", "notexample.com", "example.com.elsewhere.net"])
def test_a_server_outside_the_domain_needs_a_person_to_agree(nameserver: NameServer, host: str) -> None:
    nameserver.add("_submissions._tcp.example.com", "SRV", f"0 0 465 {host}.")
    finding = find("example.com")
    assert finding.foreign
    assert finding.caution == f"{host} does not belong to example.com: use it only if you know it."


@pytest.mark.parametrize(
    "record",
    [
        "465 localhost.",
        "465 localhost.localdomain.",
        "465 mail.localhost.",
        "465 127.0.0.1.",
        "465 127.0.0.0x1.",
        "465 192.0.2.1.",
        "465 mailhost.",
        r"465 smtp\027[31m.example.com.",
        r"465 smtp\032now.example.com.",
        r"465 <b>smtp.example.com.",
        "0 smtp.example.com.",
    ],
)
def test_what_cannot_be_a_mail_server_elsewhere_is_not_suggested(nameserver: NameServer, record: str) -> None:
    nameserver.add("_submissions._tcp.example.com", "SRV", f"0 0 {record}")
    with pytest.raises(DocmailError) as caught:
        find("example.com")
    assert "smtp" not in str(caught.value)
    nameserver.add("_submissions._tcp.example.com", "SRV", "1 0 465 smtp.example.com.")
    assert find("example.com").host == "smtp.example.com"  # the next one serves


# --- Thunderbird's database -------------------------------------------------------------------------------------------


def test_the_database_is_asked_when_the_dns_says_nothing(nameserver: NameServer, database: Database) -> None:
    database.know(outgoing("smtp.%EMAILDOMAIN%", 465, "SSL"))
    finding = find("anna@example.com")
    assert place(finding) == ("thunderbird", "smtp.example.com", 465, Security.TLS)
    assert (finding.preset, finding.username, finding.caution) == (None, "address", "")
    assert finding.text == "Thunderbird's database knows example.com: smtp.example.com, port 465."
    assert [question.type for question in nameserver.asked] == ["MX", "SRV", "SRV"]


@pytest.mark.parametrize(
    ("username", "rule"),
    [
        ("%EMAILADDRESS%", "address"),
        ("%EMAILLOCALPART%@%EMAILDOMAIN%", "address"),
        ("%EMAILLOCALPART%@example.com", "address"),
        (" %EMAILLOCALPART%\n", "local-part"),
        ("%EMAILLOCALPART%.%EMAILDOMAIN%", "other"),
        ("%EMAILLOCALPART%@elsewhere.net", "other"),
        ("EXAMPLE\\%EMAILLOCALPART%", "other"),
        ("", "other"),
    ],
)
def test_the_username_is_a_rule(database: Database, username: str, rule: str) -> None:
    database.know(outgoing("smtp.example.com", 587, "STARTTLS", username))
    finding = find("example.com")
    assert (finding.username, finding.security) == (rule, Security.STARTTLS)


def test_of_several_servers_the_first_encrypted_one_is_taken(database: Database) -> None:
    database.know(
        outgoing("plain.example.com", 25, "plain"),
        outgoing("news.example.com", 563, "SSL", kind="nntp"),
        outgoing("first.example.com", 587, "STARTTLS"),
        outgoing("second.example.com", 465, "SSL"),
    )
    assert place(find("example.com")) == ("thunderbird", "first.example.com", 587, Security.STARTTLS)


def test_a_server_without_encryption_says_so(database: Database) -> None:
    database.know(outgoing("smtp.example.com", 25, "plain"))
    finding = find("example.com")
    assert (finding.security, finding.encrypted) == (Security.NONE, False)
    assert finding.caution.startswith("smtp.example.com is not encrypted: others can read the mail")


def test_the_databases_server_of_a_known_provider_brings_its_preset(database: Database) -> None:
    database.know(outgoing("smtp.office365.com", 587, "STARTTLS", "%EMAILLOCALPART%"))
    finding = find("example.com")
    assert (finding.preset, finding.username) == (presets.by_name("Microsoft 365"), "address")


@pytest.mark.parametrize(
    "server",
    [
        outgoing("127.0.0.1", 25, "plain"),
        outgoing("[::1]", 25, "plain"),
        outgoing("localhost", 465, "SSL"),
        outgoing("", 465, "SSL"),
        outgoing("smtp.example.com/path", 465, "SSL"),
        outgoing("%EMAILLOCALPART%.example.com", 465, "SSL"),
        outgoing("smtp.example.com", 0, "SSL"),
        outgoing("smtp.example.com", 65536, "SSL"),
        outgoing("smtp.example.com", "9" * 5000, "SSL"),
        outgoing("smtp.example.com", "-1", "SSL"),
        outgoing("smtp.example.com", "٤٦٥", "SSL"),
        outgoing("smtp.example.com", 465, "rot13"),
        outgoing("sm\u202etp.example.com", 465, "SSL"),
        '<outgoingServer type="smtp"/>',
    ],
)
def test_an_entry_without_a_usable_server_is_no_entry(database: Database, server: str) -> None:
    database.know(server)
    with pytest.raises(SettingsError, match=r"No settings were found for example\.com"):
        find("example.com")


BOMB = b'<?xml version="1.0"?><!DOCTYPE c [<!ENTITY a "smtp.example.com">]>' + entry(
    outgoing("&a;", 465, "SSL")
).removeprefix(b'<?xml version="1.0" encoding="UTF-8"?>')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<clientConfig>",
        b"<html>Sign in to the hotel's network",
        b"\xff\xfe\x00",
        BOMB,
        BOMB.decode().replace("?>", ' encoding="UTF-16"?>', 1).encode("utf-16"),
        entry(outgoing("smtp.example.com", 465, "SSL")) + b" " * 256 * 1024,
    ],
    ids=["empty", "cut", "html", "binary", "doctype", "hidden doctype", "huge"],
)
def test_an_answer_that_is_no_entry_counts_as_none(database: Database, body: bytes) -> None:
    database.replies["/v1.1/example.com"] = answer(body)
    with pytest.raises(ConnectError) as caught:
        find("example.com")
    assert UNREADABLE in caught.value.message


def test_an_endless_answer_is_left(database: Database) -> None:
    def endless(sock: ssl.SSLSocket, stopping: threading.Event) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not stopping.is_set():
            sock.sendall(b"<clientConfig>" * 1000)

    database.replies["/v1.1/example.com"] = endless
    with within(20), pytest.raises(ConnectError, match=UNREADABLE):
        find("example.com", timeout=30)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect"])
def test_nobody_is_asked_to_whom_the_database_redirects(database: Database, status: str) -> None:
    there = f"Location: {database.url}elsewhere\r\n"
    database.replies["/v1.1/example.com"] = answer(b"", status=status, headers=there)
    database.know(outgoing("smtp.example.com", 465, "SSL"), domain="elsewhere")
    with pytest.raises(ConnectError) as caught:
        find("example.com")
    assert f"autoconfig.thunderbird.net answers with the code {status[:3]}." in caught.value.message
    assert len(database.heard) == 1


def test_a_domain_that_nobody_knows_is_no_failure_of_the_network(database: Database) -> None:
    with pytest.raises(SettingsError) as caught:
        find("example.com")
    error = caught.value
    assert error.message == "No settings were found for example.com. Check its spelling."
    assert error.hint == "Ask your administrator for the server's name and port."
    assert (error.field, error.problems) == ("host", ())
    assert presets.guide(error.guide or "")
    assert len(database.heard) == 1


@pytest.mark.parametrize("status", ["500 Internal Server Error", "403 Forbidden", "429 Too Many Requests"])
def test_an_error_of_the_database_is_not_taken_for_no_entry(database: Database, status: str) -> None:
    database.replies["/v1.1/example.com"] = answer(b"", status=status)
    with pytest.raises(ConnectError, match=f"answers with the code {status[:3]}"):
        find("example.com")


@pytest.mark.parametrize("bad", ["wrong_host", "expired", "self_signed", "unknown_authority"])
def test_a_database_with_a_wrong_certificate_is_told_nothing(
    nameserver: NameServer, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    with Database(getattr(certificates, bad)()) as impostor:
        monkeypatch.setattr(autoconfig, "_DATABASE", impostor.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
        with pytest.raises(ConnectError, match=r"The certificate of .* cannot be verified"):
            find("example.com")
        assert impostor.heard == []
    assert nameserver.asked


def test_the_real_database_is_asked_over_https() -> None:
    assert autoconfig._DATABASE == "https://autoconfig.thunderbird.net/v1.1/"


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "SOCKS5_PROXY"])
def test_the_database_is_asked_through_the_companys_proxy(
    nameserver: NameServer, certificates: Certificates, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setattr(autoconfig, "_DATABASE", "https://mail.elsewhere.example/v1.1/")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    with contextlib.ExitStack() as opened:
        content = entry(outgoing("smtp.example.com", 465, "SSL")).decode()
        context = certificates.wrong_host().context()  # the certificate of that very name
        database = opened.enter_context(Server(answering(reply("200 OK", content)), tls=context))
        if variable == "SOCKS5_PROXY":
            socks = opened.enter_context(SocksServer(database.port, sign_in=("me", "s@cret")))
            monkeypatch.setenv(variable, f"socks5://me:s%40cret@127.0.0.1:{socks.port}")
        else:
            tunnel = opened.enter_context(Server(tunnelling(database)))
            monkeypatch.setenv(variable, f"http://me:s%40cret@127.0.0.1:{tunnel.port}")
        assert find("example.com").host == "smtp.example.com"
        if variable == "SOCKS5_PROXY":
            assert socks.asked == [("mail.elsewhere.example", 443)]
        else:
            assert [each.line for each in tunnel.requests] == ["CONNECT mail.elsewhere.example:443 HTTP/1.1"]
        [request] = database.requests
    assert request.line == "GET /v1.1/example.com HTTP/1.1"
    assert request.header("Proxy-Authorization") is None
    assert nameserver.asked


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", b""])
def test_a_proxy_that_lets_nobody_through_is_said_without_its_password(
    nameserver: NameServer, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    heard: list[bytes] = []

    class Proxy(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            heard.append(self.request.recv(65536))
            self.request.sendall(answer)

    monkeypatch.setattr(autoconfig, "_DATABASE", "https://autoconfig.thunderbird.net/v1.1/")
    with socketserver.TCPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://analyst:hush@127.0.0.1:{proxy.server_address[1]}")
        with pytest.raises(ConnectError, match=UNREACHABLE) as caught:
            find("example.com")
        proxy.shutdown()
    assert heard[0].startswith(b"CONNECT autoconfig.thunderbird.net:443 ")
    assert b"example.com" not in heard[0]  # even the proxy does not learn which domain it is about
    trace = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "hush" not in trace
    assert nameserver.asked


# --- no network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["servfail", "silence"])
def test_the_database_answers_where_the_dns_does_not(nameserver: NameServer, database: Database, trouble: Any) -> None:
    nameserver.trouble = trouble
    database.know(outgoing("smtp.example.com", 465, "SSL"))
    with within(20):
        assert find("example.com", timeout=4).source == "thunderbird"
    assert {question.type for question in nameserver.asked} == {"MX"}  # who did not answer is not asked again


def test_who_could_not_be_asked_is_named_with_what_to_do(nameserver: NameServer) -> None:
    nameserver.trouble = "silence"
    with within(20), pytest.raises(ConnectError) as caught:
        find("example.com", timeout=1)
    error = caught.value
    assert error.message == (
        f"No settings were found for example.com. {SILENT} {UNREACHABLE} Company networks often block this."
    )
    assert error.hint == "Ask your administrator for the server's name and port."
    assert (error.kind, error.field) == (Kind.NETWORK, "host")
    assert presets.guide(error.guide or "")


def test_a_dns_server_that_fails_is_named(nameserver: NameServer) -> None:
    nameserver.trouble = "servfail"
    with pytest.raises(ConnectError, match=r"Your DNS server cannot be reached, or cannot answer\."):
        find("example.com")


def test_a_database_out_of_reach_is_named_though_the_dns_answered(nameserver: NameServer) -> None:
    with pytest.raises(ConnectError) as caught:
        find("example.com")
    assert UNREACHABLE in caught.value.message
    assert "DNS" not in caught.value.message
    assert nameserver.asked


@pytest.mark.usefixtures("nameserver")
def test_a_computer_without_a_dns_server_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoconfig, "_resolver", lambda: dns.resolver.Resolver(str(tmp_path / "missing.conf")))
    with pytest.raises(ConnectError, match="This computer knows no DNS server; it may have no network"):
        find("example.com")


def test_the_systems_resolver_is_the_default() -> None:
    try:
        expected = dns.resolver.Resolver().nameservers
    except dns.resolver.NoResolverConfiguration:
        with pytest.raises(dns.resolver.NoResolverConfiguration):
            autoconfig._resolver()
    else:
        assert autoconfig._resolver().nameservers == expected


# --- time, and Stop ---------------------------------------------------------------------------------------------------


def _drip(head: bytes) -> Callable[[ssl.SSLSocket, threading.Event], None]:
    def act(sock: ssl.SSLSocket, stopping: threading.Event) -> None:
        sock.sendall(head)
        while not stopping.wait(0.02):
            sock.sendall(b"x")

    return act


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nX-Header: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"],
    ids=["status", "header", "body"],
)
def test_the_time_holds_for_a_database_that_drips(database: Database, head: bytes) -> None:
    database.replies["/v1.1/example.com"] = _drip(head)
    with within(15), pytest.raises(ConnectError, match=r"autoconfig\.thunderbird\.net does not answer\."):
        find("example.com", timeout=1)


def test_a_look_up_that_nobody_waits_for_any_more_ends_by_itself(nameserver: NameServer, database: Database) -> None:
    nameserver.trouble = "silence"
    with within(10), pytest.raises(TimeoutError):
        autoconfig._records("example.com", "MX", 0.2)
    database.replies["/v1.1/example.com"] = _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n")  # for 6 s
    with pytest.raises(TimeoutError):
        autoconfig._fetch(f"{database.url}example.com", 0.5)


@pytest.mark.parametrize("where", ["dns", "database"])
def test_stop_from_another_thread_ends_a_wait(nameserver: NameServer, database: Database, where: str) -> None:
    pressed, asked = threading.Event(), threading.Event()

    def silence(_sock: ssl.SSLSocket, stopping: threading.Event) -> None:
        asked.set()
        stopping.wait()

    if where == "dns":
        nameserver.trouble = "silence"
    database.replies["/v1.1/example.com"] = silence
    failures: list[DocmailError] = []

    def search() -> None:
        try:
            find("example.com", timeout=100, stopped=pressed.is_set)
        except DocmailError as exc:
            failures.append(exc)

    thread = threading.Thread(target=search)
    thread.start()
    until = time.monotonic() + 10
    while not (nameserver.asked if where == "dns" else asked.is_set()):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert thread.is_alive()
    pressed.set()
    thread.join(10)
    assert not thread.is_alive()
    [error] = failures
    assert isinstance(error, ConnectError)
    assert error.message == "Stopped."
    assert bool(database.heard) is (where == "database")


def test_after_stop_nobody_is_asked(nameserver: NameServer) -> None:
    steps: list[str] = []
    with pytest.raises(ConnectError, match="Stopped"):
        find("example.com", on_step=steps.append, stopped=lambda: True)
    assert (steps, nameserver.asked) == ([], [])


# --- who receives what -----------------------------------------------------------------------------------------------


def test_each_question_is_said_before_it_is_asked(nameserver: NameServer, database: Database) -> None:
    steps: list[str] = []
    asked: list[int] = []

    def on_step(text: str) -> None:
        steps.append(text)
        asked.append(len(nameserver.asked) + len(database.heard))

    with pytest.raises(SettingsError):
        find("anna@example.com", on_step=on_step)
    assert steps == [
        "Asking your DNS server where example.com receives its mail …",
        "Asking your DNS server which server sends the mail of example.com …",
        "Asking autoconfig.thunderbird.net about example.com …",
    ]
    assert asked == [0, 1, 3]


def test_nothing_but_the_domain_leaves_this_computer(
    nameserver: NameServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCMAIL_PASSWORD", "app-password-1")
    with pytest.raises(SettingsError):
        find("Secretive Name <very.private@sub.Example.COM>")
    assert [(question.name, question.type) for question in nameserver.asked] == [
        ("sub.example.com", "MX"),
        ("_submissions._tcp.sub.example.com", "SRV"),
        ("_submission._tcp.sub.example.com", "SRV"),
    ]
    [request] = database.heard
    assert request.startswith(b"GET /v1.1/sub.example.com HTTP/1.1\r\n")
    names = {line.partition(b":")[0].lower() for line in request.split(b"\r\n")[1:] if line}
    assert names <= {b"host", b"user-agent", b"connection", b"accept-encoding"}
    assert b"User-Agent: docmail\r\n" in request
    # A query begins with two random octets (RFC 1035 4.1.1), which may be any letter.
    for octets in (request, *(question.octets[2:] for question in nameserver.asked)):
        for secret in (b"secretive", b"very", b"private", b"password", b"@"):
            assert secret not in octets.lower()


def test_the_hint_says_whom_docmail_would_ask_and_asks_nobody(nameserver: NameServer) -> None:
    sentence = "Asks your DNS server, and autoconfig.thunderbird.net, about example.com; nothing else is sent."
    assert questions("anna@example.com") == questions("example.com") == sentence
    assert questions("anna@corp.local") == "Asks your DNS server about corp.local; nothing else is sent."
    assert nameserver.asked == []


@pytest.mark.parametrize("domain", ["corp.local", "office.lan", "mail.internal", "nas.home.arpa", "x.test", "a.corp"])
def test_a_name_of_the_inner_network_is_not_told_to_the_public(
    nameserver: NameServer, database: Database, domain: str
) -> None:
    database.know(outgoing("smtp.example.com", 465, "SSL"), domain=domain)
    steps: list[str] = []
    with pytest.raises(SettingsError, match=f"No settings were found for {domain}"):
        find(f"anna@{domain}", on_step=steps.append)
    assert database.heard == []
    assert len(steps) == 2
    nameserver.add(f"_submission._tcp.{domain}", "SRV", f"0 0 587 mail.{domain}.")
    assert find(f"anna@{domain}").host == f"mail.{domain}"  # the company's own DNS server may know it


def test_a_domain_beyond_ascii_is_asked_in_idna_and_shown_as_written(
    nameserver: NameServer, database: Database
) -> None:
    ascii_domain = "xn--bro-hoa.example.com"
    database.know(outgoing("smtp.%EMAILDOMAIN%", 465, "SSL"), domain=ascii_domain)
    finding = find("anna@BÜRO.example.com")
    assert (finding.domain, finding.host) == (ascii_domain, f"smtp.{ascii_domain}")
    assert "knows büro.example.com" in finding.text
    assert "about büro.example.com" in questions("büro.example.com")
    assert nameserver.asked[0].name == ascii_domain
    assert not finding.foreign


@pytest.mark.parametrize(
    "text",
    [
        "",
        "company",
        "localhost",
        "anna@localhost",
        "mail.localhost",
        "localhost.localdomain",
        "hidden.onion",
        "192.0.2.1",
        "127.0.0.0x1",
        "::1",
        "[2001:db8::1]",
        "anna@[192.0.2.1]",
        "anna@[IPv6:2001:db8::1]",
        "anna@",
        "anna@company",
        "a@example.com, b@example.com",
        "https://example.com",
        "example.com/../x",
        "example.com:443",
        "exa mple.com",
        "example.com\r\nX: y",
        "example\u202e.com",
        "a" * 64 + ".com",
        "a." * 200 + "com",
    ],
)
def test_what_is_no_public_domain_is_refused_before_anybody_is_asked(
    nameserver: NameServer, database: Database, text: str
) -> None:
    steps: list[str] = []
    with pytest.raises(AddressError) as caught:
        find(text, on_step=steps.append)
    error = caught.value
    assert (error.field, bool(error.hint)) == ("email_address", True)
    assert not {"\r", "\n", "\u202e"} & set(str(error))
    with pytest.raises(AddressError):
        questions(text)
    assert (steps, nameserver.asked, database.heard) == ([], [], [])


# --- how it stands beside the rest ------------------------------------------------------------------------------------


def test_the_look_ups_speak_the_callers_language(
    nameserver: NameServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: set[str | None] = set()

    def resolver() -> dns.resolver.Resolver:  # called in the thread of the look-up
        spoken.add(language._chosen.get())
        return nameserver.resolver()

    monkeypatch.setattr(language, "LOCALE", tmp_path)
    monkeypatch.setattr(autoconfig, "_resolver", resolver)
    with language.language("tlh"), pytest.raises(ConnectError):
        find("example.com")
    assert spoken == {"tlh"}


def test_importing_it_loads_no_network() -> None:
    heavy = ["dns", "ssl", "http.client", "urllib.request", "xml.etree"]
    code = f"import docmail.diagnosis.autoconfig, sys\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


# --- where its mail is read -------------------------------------------------------------------------------------------


def test_the_database_names_the_mailbox_as_well(database: Database) -> None:
    database.know(outgoing("smtp.example.com", 465, "SSL"))
    assert find("example.com").mailbox == Mailbox("imap.example.com", 993, Security.TLS)


@pytest.mark.parametrize(
    "server",
    [
        "",
        incoming("pop3", "pop.example.com", 995, "SSL"),
        incoming("imap", "imap.example.com", 143, "plain"),
        incoming("imap", "localhost", 993, "SSL"),
        incoming("imap", "imap.example.com", 99999, "SSL"),
    ],
)
def test_a_mailbox_that_cannot_be_used_is_none(database: Database, server: str) -> None:
    known = entry(outgoing("smtp.example.com", 465, "SSL")).decode()
    first, last = known.index("<incomingServer"), known.index("<outgoingServer")
    database.replies["/v1.1/example.com"] = answer((known[:first] + server + known[last:]).encode())
    found = find("example.com")
    assert (found.host, found.mailbox) == ("smtp.example.com", None)


def test_a_known_provider_has_a_known_mailbox(nameserver: NameServer) -> None:
    nameserver.add("example.com", "MX", "1 aspmx.l.google.com.")
    assert find("example.com").mailbox == Mailbox("imap.gmail.com")


@pytest.mark.parametrize(
    ("service", "record", "mailbox"),
    [
        ("_imaps", "0 1 993 imap.example.com.", Mailbox("imap.example.com", 993, Security.TLS)),
        ("_imap", "0 1 143 mail.example.com.", Mailbox("mail.example.com", 143, Security.STARTTLS)),
        ("_imaps", "0 0 0 .", None),
        ("_imaps", "0 1 993 localhost.", None),
    ],
)
def test_the_dns_names_the_mailbox_beside_the_server(
    nameserver: NameServer, service: str, record: str, mailbox: Mailbox | None
) -> None:
    nameserver.add("_submissions._tcp.example.com", "SRV", "0 1 465 smtp.example.com.")
    nameserver.add(f"{service}._tcp.example.com", "SRV", record)
    assert find("example.com").mailbox == mailbox
