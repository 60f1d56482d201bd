"""Charsets, redirects and JSON that no library takes: each is a reply or a sentence, wherever HTTP is spoken."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from docmail.diagnosis import autoconfig
from docmail.errors import DocmailError, SendError
from docmail.message import Message
from docmail.oauth import DeviceSignIn, google, microsoft
from docmail.oauth.grant import grant_of
from docmail.oauth.microsoft import failure
from docmail.secret import Secret
from docmail.settings import HttpServer, Settings, SignIn, SmtpServer
from docmail.transport.base import Access, Waits
from docmail.transport.http.transport import HttpTransport
from tests.transport.http.test_transport import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.support.nameserver import NameServer

DEEP = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECT = b'{"error":' * 100_000 + b"1" + b"}" * 100_000
TEXTS = {
    "nothing": b"",
    "deep": DEEP,
    "deep object": DEEP_OBJECT,
    "deep enough to be read": b'{"error":' + b"[" * 900 + b"]" * 900 + b"}",
    "NaN": b'{"error": NaN, "message": Infinity, "id": -Infinity, "expires_in": NaN, "access_token": NaN}',
    "huge number": b'{"error": {"code": ' + b"9" * 5000 + b"}}",
    "large number": b'{"expires_in": ' + b"9" * 4000 + b', "access_token": "a", "error": ' + b"9" * 4000 + b"}",
    "float": b'{"error": 1e999, "message": 1e-999, "expires_in": 1e999, "access_token": "a"}',
    "not utf-8": b'{"error": {"code": "\xff\xfe", "message": "\xc3("}}',
    "bom": b'\xef\xbb\xbf{"error": {"code": "X", "message": "Words."}}',
    "half a letter": b'{"error": {"code": "\\ud800", "message": "\\udfff"}, "access_token": "\\ud800"}',
    "nul": b'{"error": "\\u0000", "message": "\x00"}',
    "number": b"5",
    "text": b'"text"',
    "null": b"null",
    "list of lists": b"[[[[]]]]",
    "wrong types": b'{"error": [1], "errors": {"a": 1}, "message": {"b": 1}, "Message": [], "ErrorCode": {}}',
    "wrong types below": b'{"error": {"code": {}, "message": [], "errors": [[], 5]}, "errors": [5, {"field": []}]}',
    "wrong tokens": b'{"access_token": {"a": 1}, "refresh_token": [], "expires_in": {}, "id_token": 5, "scope": {}}',
    "html": b"<html><body>Sign in to the hotel's network</body></html>",
    "cut": b'{"error": {"code": "X", "mess',
}
CHARSETS = [
    "utf-8", "utf-16", "utf-32-le", "utf-7", "idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape",
    "base64", "hex", "rot13", "zip", "latin-1", "mbcs", "no-such-charset", "\xe4", "x" * 5000, "utf-8-sig", "cp037",
]  # fmt: skip
LOCATIONS = {
    "missing": "",
    "itself": "Location: {own}",
    "plain": "Location: http://elsewhere.example/",
    "other": "Location: https://elsewhere.example/",
    "file": "Location: file:///etc/passwd",
    "no address": "Location: https://[::1",
    "port": "Location: https://elsewhere.example:99999999/",
    "letters": "Location: https://elsewhere.example/\xff\xfe",
    "long": "Location: https://elsewhere.example/" + "x" * 20_000,
    "script": "Location: javascript:alert(1)",
    "secret": "Location: https://ann:its-own-secret@elsewhere.example/",
}


def raw(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *filter(None, headers)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def saying(content: bytes) -> Callable[[Server, socket.socket], None]:
    def behave(server: Server, sock: socket.socket) -> None:
        server.read(sock)
        own = f"http://127.0.0.1:{server.port}/send".encode()
        server.send(sock, content.replace(b"{own}", own))

    return behave


@contextmanager
def in_a_sentence(found: list[SendError] | None = None) -> Iterator[None]:
    """Let only an error of docmail's pass, as a sentence that can be shown and written down."""
    error: DocmailError | None = None
    try:
        yield
    except DocmailError as exc:
        error = exc
    if error is not None:
        assert str(error).isprintable()
        assert len(str(error).encode()) < 8000
        assert "its-own-secret" not in str(error)
        assert error.message.rstrip().endswith((".", "…")) or "It said: " in error.message
        if found is not None and isinstance(error, SendError):
            found.append(error)


def send(content: bytes, api: str) -> SendError | None:
    """Send a mail to a server that says this; return the error, which is a sentence."""
    with Server(saying(content)) as server:
        path = "" if api != "form" else "/send"
        path = "/v3/mg.example.com" if api == "mailgun" else path
        url = f"http://127.0.0.1:{server.port}{path}"
        settings = Settings(
            "Accounts <accounts@example.com>",
            HttpServer(url, api, "me@example.com" if api == "graph" else ""),
            reply_to=("office@example.com",),
        )
        transport = HttpTransport(Access(settings, Secret("key-of-the-account"), timeout=5, waits=Waits(reply=5)))
        found: list[SendError] = []
        with in_a_sentence(found), transport:
            transport.send(Message("cfo@example.com", "Q3", "Attached.").render(settings))
    return found[0] if found else None


@pytest.mark.parametrize("api", ["form", "graph", "gmail", "mailgun", "postmark", "resend", "brevo", "sendgrid"])
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_of_a_refusal_or_a_success_is_a_reply_or_a_sentence(text: str, api: str) -> None:
    for status in ("200 OK", "400 Bad Request"):
        found = send(raw(status, TEXTS[text], "Content-Type: application/json"), api)
        assert found is None or found.reply is not None


@pytest.mark.parametrize("charset", CHARSETS)
def test_any_charset_is_read_as_a_text(charset: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        header = f'Content-Type: text/plain; charset="{charset}"'
        found = send(raw("400 Bad Request", b"\\ud800 \\q +2AA- xn--a" + bytes(range(256)) * 200, header), "form")
    assert found is not None


@pytest.mark.parametrize("api", ["form", "graph"])
@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("status", ["301 Moved", "303 See Other", "307 Temporary", "399 What"])
def test_no_redirect_is_followed_and_each_is_a_sentence(status: str, location: str, api: str) -> None:
    found = send(raw(status, b"", LOCATIONS[location]), api)
    assert found is not None
    assert found.field == "url"
    if location in {"plain", "file", "script"} and api == "form":
        assert "if you trust it" not in found.hint or location == "plain"
    if location == "missing":
        assert "does not name it" in found.message
    if location == "itself" and api == "form":
        assert "back to the same address" in found.message


# --- the sign-in server -----------------------------------------------------------------------------------------------


def oauth_settings(port: int, sign_in: SignIn) -> Settings:
    authority = f"http://127.0.0.1:{port}/organisation"
    server = SmtpServer(
        "smtp.example.com", 587, username="me@example.com", sign_in=sign_in, client_id="app", authority=authority
    )
    return Settings("Me <me@example.com>", server)


DISCOVERY = {"authorization_endpoint": "https://127.0.0.1/a", "issuer": "https://127.0.0.1/organisation"}


def microsoft_saying(content: bytes, *, at: str) -> Callable[[Server, socket.socket], None]:
    """Return a sign-in server that says this at one of its addresses, and what is right at the others."""

    def behave(server: Server, sock: socket.socket) -> None:
        line = server.read(sock).line
        place = f"https://127.0.0.1:{server.port}"
        found = {
            **DISCOVERY,
            "issuer": f"{place}/organisation",
            "token_endpoint": f"{place}/token",
            "device_authorization_endpoint": f"{place}/code",
        }
        where = "discovery" if "openid-configuration" in line else "code" if "/code" in line else "token"
        code = {"user_code": "A", "device_code": "d", "verification_uri": "https://example.com/", "interval": 0}
        right = {"discovery": found, "code": {**code, "expires_in": 5}, "token": {"access_token": "a"}}[where]
        server.send(sock, content if where == at else raw("200 OK", json.dumps(right).encode()))

    return behave


@pytest.mark.parametrize("at", ["discovery", "code", "token"])
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_of_microsofts_sign_in_server_is_a_sentence(text: str, at: str) -> None:
    with Server(microsoft_saying(raw("200 OK", TEXTS[text]), at=at)) as server:
        settings = oauth_settings(server.port, SignIn.MICROSOFT)
        with in_a_sentence():
            microsoft.renew(settings, Secret("refresh")) if at != "code" else DeviceSignIn(settings).begin()


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_while_a_code_is_waited_for_is_a_sentence(text: str) -> None:
    with Server(microsoft_saying(raw("200 OK", TEXTS[text]), at="token")) as server:
        sign_in = DeviceSignIn(oauth_settings(server.port, SignIn.MICROSOFT))
        code = sign_in.begin()
        with pytest.raises(DocmailError):
            sign_in.wait(code, lambda: False)


@pytest.mark.parametrize(
    "changes",
    [
        {"token_endpoint": 5},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "https://[::1"},
        {"token_endpoint": "https://a:99999999/"},
        {"token_endpoint": "http://elsewhere.example/"},
        {"token_endpoint": ""},
        {"token_endpoint": None},
        {"issuer": 5},
        {"authorization_endpoint": []},
    ],
)
def test_addresses_that_are_none_in_the_list_of_a_sign_in_server_are_a_sentence(changes: dict[str, Any]) -> None:
    def behave(server: Server, sock: socket.socket) -> None:
        server.read(sock)
        place = f"https://127.0.0.1:{server.port}"
        found = {**DISCOVERY, "issuer": f"{place}/organisation", "token_endpoint": f"{place}/token", **changes}
        server.send(sock, raw("200 OK", json.dumps(found).encode()))

    with Server(behave) as server, in_a_sentence():
        microsoft.renew(oauth_settings(server.port, SignIn.MICROSOFT), Secret("refresh"))


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_redirect_of_a_sign_in_server_is_not_followed(location: str) -> None:
    content = raw("302 Found", b"", LOCATIONS[location])
    with Server(saying(content)) as server, pytest.raises(DocmailError):
        microsoft.renew(oauth_settings(server.port, SignIn.MICROSOFT), Secret("refresh"))
    assert server.connections == 1


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_of_googles_sign_in_server_is_a_sentence(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google, "_client_secret", lambda _settings: Secret("client-secret"))
    for status in ("200 OK", "400 Bad Request"):
        with Server(saying(raw(status, TEXTS[text]))) as server, in_a_sentence():
            google.renew(oauth_settings(server.port, SignIn.GOOGLE), Secret("refresh"))


@pytest.mark.parametrize("lifetime", [None, "", "x", [], float("nan"), float("inf"), 10**400, -5, "3600"])
def test_any_lifetime_of_a_token_is_one(lifetime: Any) -> None:
    assert grant_of({"access_token": "a", "expires_in": lifetime}, failure).ends < 1e12


# --- the search for servers -------------------------------------------------------------------------------------------

ENTRIES = {
    **TEXTS,
    "deep elements": b"<a>" * 100_000 + b"</a>" * 100_000,
    "wrong encoding": b'<?xml version="1.0" encoding="no-such"?><clientConfig/>',
    "utf-16": '<?xml version="1.0" encoding="utf-16"?><clientConfig/>'.encode("utf-16"),
    "huge port": b"<c><emailProvider><outgoingServer type='smtp'><hostname>smtp.example.com</hostname><port>"
    + b"9" * 9000
    + b"</port><socketType>SSL</socketType></outgoingServer></emailProvider></c>",
    "odd digits": "<c><emailProvider><outgoingServer><hostname>a.example.com</hostname><port>²</port>"
    "<socketType>SSL</socketType></outgoingServer></emailProvider></c>".encode(),
}


@pytest.mark.parametrize("text", ENTRIES)
def test_any_entry_of_the_database_is_a_sentence(
    text: str, nameserver: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(saying(raw("200 OK", ENTRIES[text], "Content-Type: text/xml; charset=idna"))) as server:
        monkeypatch.setattr(autoconfig, "_DATABASE", f"http://127.0.0.1:{server.port}/")
        with pytest.raises(DocmailError):
            autoconfig.find("example.com")
    assert nameserver.asked


@pytest.mark.parametrize("location", LOCATIONS)
def test_no_redirect_of_the_database_is_followed(
    location: str, nameserver: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(saying(raw("302 Found", b"", LOCATIONS[location]))) as server:
        monkeypatch.setattr(autoconfig, "_DATABASE", f"http://127.0.0.1:{server.port}/")
        with pytest.raises(DocmailError):
            autoconfig.find("example.com")
    assert server.connections == 1
    assert nameserver.asked
