"""Whose password it is: the account at a server, by which a credential is kept and never goes to another one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from docmail.addresses import ascii_host
from docmail.settings.reading_account import Mailbox
from docmail.settings.servers import HttpServer, SignIn, SmtpServer

__all__ = ["Account", "account_of", "lets_in_with_token"]


@dataclass(frozen=True)
class Account:
    """Whose password it is: a `username` at a server (`protocol`, `host`, `port`).

    As a text it is the name under which the keyring keeps it.

    >>> print(work.account)
    smtp://ann@example.com@mail.example.com:587
    """

    protocol: str
    host: str
    port: int
    username: str

    def __str__(self) -> str:
        return f"{self.protocol}://{self.username}@{self.host}:{self.port}"


def account_of(server: Any) -> Account:
    """Return the account at a server; a server with wrong values has an account that no other server has."""
    if isinstance(server, SmtpServer):
        return Account(f"smtp{_way(server)}", *_place(server.host, server.port), _as_text(server.username))
    if isinstance(server, Mailbox):
        return Account("imap", *_place(server.host, server.port), _as_text(server.username or ""))
    if not isinstance(server, HttpServer):
        return Account("", "", 0, "")
    try:
        split = urlsplit(server.full_url)
        port = split.port or (80 if split.scheme == "http" else 443)
    except (TypeError, ValueError):
        return Account("https", _as_text(server.url), 0, _as_text(server.signs_in_as))
    return Account(split.scheme + _way(server), *_place(split.hostname or "", port), _as_text(server.signs_in_as))


def lets_in_with_token(server: Any) -> bool:
    """Say whether one signs in there at Microsoft or Google in a browser, and not with a password."""
    known = isinstance(server, (SmtpServer, HttpServer)) and isinstance(server.sign_in, SignIn)
    return known and server.sign_in is not SignIn.PASSWORD


def _way(server: SmtpServer | HttpServer) -> str:
    """Return how one signs in; with the sign-in server if it is another one, which must not get the usual one's token.

    A password has no such mark: it is no token, and neither is ever sent in the place of the other.
    """
    if not lets_in_with_token(server):
        return ""
    host = _as_text(server.authority).partition("://")[2].partition("/")[0].lower()
    return f"+{server.sign_in}({host})" if server.authority else f"+{server.sign_in}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def _place(host: object, port: object) -> tuple[str, int]:
    text = _as_text(host)
    with suppress(ValueError):
        text = ascii_host(text)
    return text, port if isinstance(port, int) else 0
