"""Which proxy is used for which server, what SMTP does not use, and what a proxy that refuses is said to want."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from docmail.errors import ConnectError, Kind, TLSError
from docmail.net import Connection, Deadline, Web
from docmail.net.proxy import by_socks, is_exempt
from tests.net.test_connection import SocksServer
from tests.transport.http.test_transport import Server, reply, tunnelling

if TYPE_CHECKING:
    from tests.support.certificates import Certificates

HOST = "mail.example.com"


def _quiet(_phase: str, _text: str) -> None:
    pass


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names that are looked up here; each is this computer."""
    names: list[str] = []
    real = socket.getaddrinfo

    def local(host: str, *args: Any, **options: Any) -> Any:
        names.append(host)
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    return names


# --- NO_PROXY ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "host"),
    [
        ("mail.example.com", HOST),
        ("example.com", HOST),
        (".example.com", HOST),
        ("*.example.com", HOST),
        ("*", HOST),
        ("MAIL.Example.COM", HOST),
        ("other.example, example.com", HOST),
        ("other.example example.com", HOST),
        ("example.com:587", HOST),
        ("example.com.", HOST),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.0/24", "192.0.2.7"),
        ("192.0.2.7:587", "192.0.2.7"),
        ("2001:db8::/32", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:587", "2001:db8::7"),
    ],
)
def test_a_server_that_no_proxy_names_is_exempt(named: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", named)
    monkeypatch.setenv("SOCKS5_PROXY", "127.0.0.1:1")
    assert is_exempt(host, 587)
    assert not by_socks(host, 587)


@pytest.mark.parametrize(
    ("named", "host"),
    [
        ("", HOST),
        (",", HOST),
        ("ample.com", HOST),
        ("mail.example.com.evil.example", HOST),
        ("example.com:25", HOST),
        ("192.0.2.0/24", HOST),
        ("192.0.2.0/24", "192.0.3.7"),
        ("192.0.2.0/99", "192.0.2.7"),
        (".", HOST),
        ("192.0.2.7:25", "192.0.2.7"),
        ("[", HOST),
    ],
)
def test_any_other_server_is_not(named: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", named)
    monkeypatch.setenv("SOCKS5_PROXY", "127.0.0.1:1")
    assert not is_exempt(host, 587)
    assert by_socks(host, 587)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_server_that_no_proxy_names_is_reached_past_the_socks_proxy(
    name: str, looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocksServer() as proxy, Server(lambda _server, _sock: None) as server:
        monkeypatch.setenv("SOCKS5_PROXY", f"127.0.0.1:{proxy.port}")
        monkeypatch.setenv(name, "intranet.example,.example.com")
        connection = Connection(HOST, server.port)
        connection.open(Deadline(5), _quiet)
        connection.close()
    assert proxy.asked == []
    assert looked_up == [HOST]


def test_https_goes_past_the_socks_proxy_too(looked_up: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with SocksServer() as proxy, Server(lambda _server, _sock: None) as server:
        monkeypatch.setenv("SOCKS5_PROXY", f"127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "example.com")
        with pytest.raises(TLSError):  # it is reached, and speaks no TLS
            Web(f"https://{HOST}:{server.port}/").connect(Deadline(5))
        assert server.connections >= 1
    assert proxy.asked == []
    assert set(looked_up) == {HOST}


@pytest.mark.parametrize("way", ["smtp", "http"])
def test_behind_a_socks_proxy_the_proxy_alone_looks_names_up(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(host: str, *_args: Any, **_options: Any) -> Any:
        raise AssertionError(host)

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"):
        real = getattr(socket, name)
        monkeypatch.setattr(
            socket,
            name,
            lambda host="", *args, real=real, **options: (
                real(host, *args, **options) if host == "127.0.0.1" else refuse(host)
            ),
        )
    with Server(lambda _server, _sock: None) as server, SocksServer(server.port) as proxy:
        monkeypatch.setenv("SOCKS5_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "intranet.example, 10.0.0.0/8")
        if way == "smtp":
            connection = Connection(HOST, 587)
            connection.open(Deadline(5), _quiet)
            connection.close()
        else:
            with pytest.raises(TLSError):
                Web(f"https://{HOST}/").connect(Deadline(5))
    assert set(proxy.asked) == {(HOST, 587 if way == "smtp" else 443)}


# --- what SMTP does not use -------------------------------------------------------------------------------------------


def _failure(host: str, port: int, **options: Any) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        Connection(host, port, **options).open(Deadline(2), _quiet)
    return caught.value


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY"])
def test_a_failed_connection_says_that_smtp_does_not_use_the_proxy_of_the_web(
    variable: str, looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "SOCKS5_PROXY" not in _failure(HOST, 1).hint
    monkeypatch.setenv(variable, "http://proxy.example:3128")
    assert "SMTP does not use it; name a SOCKS proxy in SOCKS5_PROXY." in _failure(HOST, 1).hint
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert "SOCKS5_PROXY" not in _failure(HOST, 1).hint
    assert looked_up


def test_a_name_that_is_not_found_says_so_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert "SMTP does not use it" in _failure("mail.unknown.example", 587).hint


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("http://ann:its-secret@proxy.example:3128", "a proxy of another kind; its address must begin with socks5://"),
        ("socks4://proxy.example:1080", "a proxy of another kind"),
        ("proxy.example", "does not end with a port"),
        ("socks5://ann:its-secret@proxy.example", "does not end with a port"),
        ("socks5h://ann:its-secret@proxy.example:abc", "does not end with a port"),
    ],
)
def test_an_address_that_is_none_of_a_socks_proxy_is_said_to_be_so(
    named: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An HTTP proxy was asked as if it were a SOCKS proxy; of a missing port it said to write / as %2F."""
    monkeypatch.setenv("SOCKS5_PROXY", named)
    said = str(_failure(HOST, 587))
    assert words in said
    assert "its-secret" not in said


@pytest.mark.usefixtures("looked_up")
def test_a_variable_of_blanks_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOCKS5_PROXY", " ")
    assert "proxy" not in str(_failure(HOST, 1))


def test_this_computer_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert "SOCKS5_PROXY" not in _failure("127.0.0.1", 1).hint


# --- a proxy that refuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "sign_in", "words", "hint"),
    [
        (["Proxy-Authenticate: Basic realm=x"], "", "wants a sign-in.", "http://name:password@host:port"),
        ([], "", "wants a sign-in.", "http://name:password@host:port"),
        (["Proxy-Authenticate: Basic realm=x"], "me:hush@", "does not accept the name and the password", "%40"),
        (["Proxy-Authenticate: Negotiate", "Proxy-Authenticate: NTLM"], "me:hush@", "(Negotiate, NTLM)", "NO_PROXY"),
        (["Proxy-Authenticate: Negotiate, NTLM"], "", "(Negotiate, NTLM)", "NO_PROXY"),
        (["Proxy-Authenticate: NTLM", 'Proxy-Authenticate: Basic realm="a, b"'], "", "wants a sign-in.", "HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_wants_a_sign_in_has_a_sentence_of_its_own(
    headers: list[str], sign_in: str, words: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def behave(server: Server, sock: socket.socket) -> None:
        server.read_head(sock)
        server.send(sock, reply("407 Proxy Authentication Required", "", *headers))

    with Server(behave) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{sign_in}127.0.0.1:{proxy.port}")
        with pytest.raises(ConnectError) as caught:
            Web(f"https://{HOST}/").connect(Deadline(5))
    assert words in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.kind is Kind.NETWORK
    assert "hush" not in str(caught.value)


def test_the_issuer_of_an_intercepting_certificate_is_named(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    for flaw in (certificates.unknown_authority(), certificates.company_proxy()):
        with Server(lambda _server, _sock: None, tls=flaw.context()) as server, Server(tunnelling(server)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            with pytest.raises(TLSError) as caught:
                Web(f"https://{HOST}/").connect(Deadline(5))
        assert caught.value.certificate is not None
        assert caught.value.certificate.issuer
        assert caught.value.certificate.issuer in caught.value.message
