"""Proxies of the environment lead to the sign-in server and to the mail services, on real sockets."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docmail import credentials
from docmail.credentials import store
from docmail.errors import TLSError
from docmail.message import Message
from docmail.oauth import google, tokens
from docmail.secret import Secret
from docmail.settings import HttpServer, Settings, SignIn
from docmail.transport import open_transport
from tests.net.test_connection import SocksServer
from tests.transport.http.test_transport import Server, answering, reply, tunnelling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.certificates import Certificates

ELSEWHERE = "mail.elsewhere.example"
TOKEN = json.dumps({"access_token": "access-through-a-proxy", "expires_in": 3600, "id": "1"})


@pytest.fixture(params=["HTTPS_PROXY", "SOCKS5_PROXY"])
def asked(
    request: pytest.FixtureRequest, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Server, list[str]]]:
    """Return a server that answers all with a token, and where its proxy was asked to lead to."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    places: list[str] = []
    with ExitStack() as opened:
        answer = answering(reply("200 OK", TOKEN, "Content-Type: application/json"))
        server = opened.enter_context(Server(answer, tls=certificates.wrong_host().context()))
        if request.param == "SOCKS5_PROXY":
            socks = opened.enter_context(SocksServer(server.port, sign_in=("me", "s@cret")))
            monkeypatch.setenv("SOCKS5_PROXY", f"socks5://me:s%40cret@127.0.0.1:{socks.port}")
            yield server, places
            places += [f"{host}:{port}" for host, port in socks.asked]
        else:
            tunnel = opened.enter_context(Server(tunnelling(server)))
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:s%40cret@127.0.0.1:{tunnel.port}")
            yield server, places
            places += [each.line.split()[1] for each in tunnel.requests]
    # As seen when all of it is over.
    assert set(places) <= {f"{ELSEWHERE}:443", "mail.example.com:443"}
    assert len(places) >= 2


def test_a_token_and_a_mail_go_through_the_proxy_and_no_other_certificate_is_taken(
    asked: tuple[Server, list[str]],
) -> None:
    server, _places = asked
    at_sign_in = HttpServer(
        f"https://{ELSEWHERE}/send", "gmail", "a@example.com", SignIn.GOOGLE, "x", "", f"https://{ELSEWHERE}/identity"
    )
    settings = Settings("A <a@example.com>", at_sign_in)
    credentials.set(google.application(settings), "GOCSPX-x", remember=False)
    credentials.set(settings, "refresh-x", remember=False)
    try:
        with open_transport(settings) as transport:
            transport.send(Message("cfo@example.com", "Q3").render(settings))
        assert [each.line for each in server.requests] == ["POST /identity/token HTTP/1.1", "POST /send HTTP/1.1"]
        assert server.requests[1].header("Authorization") == "Bearer access-through-a-proxy"
        assert server.requests[1].header("Proxy-Authorization") is None
        other = replace(settings, server=replace(at_sign_in, authority="https://mail.example.com/identity"))
        credentials.set(google.application(other), "GOCSPX-x", remember=False)
        with pytest.raises(TLSError, match="for another name"):
            google.renew(other, Secret("refresh-x"))
        assert len(server.requests) == 2, "nothing secret was said to the other one"
    finally:
        tokens._kept.clear()
        store._session.clear()
