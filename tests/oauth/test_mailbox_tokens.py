"""A sign-in for sending opens the mailbox as well: what a person is asked to allow, and which token goes where."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from docmail import credentials
from docmail.mailbox import Mailbox, open_mailbox
from docmail.oauth import google, microsoft, tokens, tokens_of
from docmail.secret import Secret
from docmail.settings import HttpServer, Settings, SmtpServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

MICROSOFT = Settings(
    "Ann",
    SmtpServer("smtp.office365.com", username="ann@example.com", sign_in="microsoft", client_id="abc"),  # type: ignore[arg-type]
)
WITH_MAILBOX = replace(MICROSOFT, mailbox=Mailbox("outlook.office365.com"))


def test_microsoft_is_asked_for_the_mailbox_only_where_there_is_one() -> None:
    assert microsoft._asked(MICROSOFT) == ["https://outlook.office.com/SMTP.Send"]
    assert microsoft._asked(WITH_MAILBOX) == [
        "https://outlook.office.com/SMTP.Send",
        "https://outlook.office.com/IMAP.AccessAsUser.All",
    ]
    elsewhere = replace(MICROSOFT, mailbox=Mailbox("imap.example.com"))
    assert microsoft._asked(elsewhere) == microsoft._asked(MICROSOFT)
    graph = HttpServer("", "graph", "ann@example.com", "microsoft", "abc")  # type: ignore[arg-type]
    assert microsoft._asked(replace(WITH_MAILBOX, server=graph)) == ["https://graph.microsoft.com/Mail.Send"]


def test_sending_needs_no_permission_for_the_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who signed in before there was a mailbox still sends."""
    asked: list[Sequence[str]] = []

    class Application:
        def acquire_token_by_refresh_token(self, _refresh: str, scopes: Sequence[str]) -> dict[str, object]:
            asked.append(scopes)
            return {"access_token": f"token {len(asked)}", "expires_in": 3600}

    monkeypatch.setattr(microsoft, "application", lambda _settings: Application())
    credentials.set(WITH_MAILBOX, "refresh")
    try:
        sending, mailbox = tokens_of(WITH_MAILBOX), tokens_of(WITH_MAILBOX, for_mailbox=True)
        assert [each.current() for each in (sending, mailbox, sending)] == [
            Secret("token 1"),
            Secret("token 2"),
            Secret("token 1"),
        ]
        assert asked == [
            ["https://outlook.office.com/SMTP.Send"],
            ["https://outlook.office.com/IMAP.AccessAsUser.All"],
        ]
        opened = open_mailbox(WITH_MAILBOX)
        assert opened._tokens is not None
        assert opened._tokens.current() == Secret("token 2")
    finally:
        tokens.sign_out(WITH_MAILBOX)
    assert not [account for account, _mailbox in tokens._kept if account == WITH_MAILBOX.account]


def test_google_is_asked_for_all_of_gmail_where_there_is_a_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google, "_client_secret", lambda _settings: Secret("secret"))
    api = HttpServer("", "gmail", "ann@gmail.com", "google", "abc")  # type: ignore[arg-type]
    for mailbox, scopes in (
        (None, ["https://www.googleapis.com/auth/gmail.send"]),
        (Mailbox("imap.gmail.com"), ["https://www.googleapis.com/auth/gmail.send", "https://mail.google.com/"]),
    ):
        sign_in = google.BrowserSignIn(Settings("Ann", api, mailbox=mailbox))
        try:
            asked = parse_qs(urlsplit(sign_in.begin()).query)["scope"][0].split()
        finally:
            sign_in.close()
        assert asked == ["openid", "email", *scopes]
