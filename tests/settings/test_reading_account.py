"""The mailbox of settings: its fields, how it is kept, and whose password opens it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.errors import SettingsError
from docmail.mailbox import Mailbox
from docmail.settings import HttpServer, Security, Settings, SmtpServer

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(
    "Accounts",
    SmtpServer("smtp.example.com", username="ann@example.com"),
    mailbox=Mailbox("imap.example.com"),
)


@pytest.mark.parametrize(
    ("mailbox", "security"),
    [
        (Mailbox("imap.example.com"), Security.TLS),
        (Mailbox("imap.example.com", 143), Security.STARTTLS),
        (Mailbox("imap.example.com", 1143), Security.STARTTLS),
        (Mailbox("imap.example.com", 1143, Security.TLS), Security.TLS),
        (Mailbox("localhost", 143, "none"), Security.NONE),  # type: ignore[arg-type]
    ],
)
def test_the_port_says_how_the_connection_is_encrypted_unless_somebody_has_chosen(
    mailbox: Mailbox, security: Security
) -> None:
    assert mailbox.effective_security is security


def test_blanks_around_a_value_are_removed_and_empty_ones_are_none() -> None:
    assert Mailbox(" imap.example.com\n", username=" ", fingerprint="", ca_file="") == Mailbox("imap.example.com")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host": ""}, "mailbox_host"),
        ({"host": "imap example.com"}, "mailbox_host"),
        ({"host": None}, "mailbox_host"),
        ({"port": 0}, "mailbox_port"),
        ({"port": "993"}, "mailbox_port"),
        ({"port": True}, "mailbox_port"),
        ({"security": "ssl"}, "mailbox_security"),
        ({"security": Security.NONE}, "mailbox_security"),
        ({"username": "ann\x00"}, "mailbox_username"),
        ({"username": 5}, "mailbox_username"),
        ({"fingerprint": "AB:CD"}, "mailbox_fingerprint"),
        ({"host": "imap.gmail.com", "fingerprint": "ab" * 32}, "mailbox_fingerprint"),
        ({"ca_file": "/no/such/file.pem"}, "mailbox_ca_file"),
    ],
)
def test_what_is_wrong_with_a_mailbox_is_said_of_its_field(changes: dict[str, Any], field: str) -> None:
    settings = replace(SETTINGS, mailbox=Mailbox(**{"host": "imap.example.com", **changes}))
    assert [str(problem.field) for problem in settings.problems()] == [field]


def test_a_mailbox_that_is_none_is_named() -> None:
    settings = replace(SETTINGS, mailbox="imap.example.com")  # type: ignore[arg-type]
    assert [str(problem.field) for problem in settings.problems()] == ["mailbox_host"]


@pytest.mark.parametrize(
    "server",
    [
        SmtpServer("relay.example.com"),
        SmtpServer("smtp.sendgrid.net", username="apikey"),
        HttpServer("", "postmark"),
    ],
)
def test_where_sending_has_no_username_of_a_mailbox_the_mailbox_needs_its_own(server: Any) -> None:
    settings = Settings("ann@example.com", server, mailbox=Mailbox("imap.example.com"))
    assert [str(problem.field) for problem in settings.problems()] == ["mailbox_username"]
    own = replace(settings, mailbox=Mailbox("imap.example.com", username="ann"))
    assert own.problems() == []
    assert not own.mailbox_shares_sign_in


def test_a_mailbox_is_kept_with_its_profile(home: Path) -> None:
    full = replace(SETTINGS, mailbox=Mailbox("imap.example.com", 143, Security.STARTTLS, "bob", "ab" * 32))
    for settings in (full, SETTINGS, replace(SETTINGS, mailbox=None)):
        settings.save()
        assert Settings.load() == settings
        assert Settings.load().mailbox == settings.mailbox
    saved = json.loads((home / "docmail" / "settings.json").read_text("utf-8"))
    assert "mailbox" not in saved["profiles"]["default"]  # an older docmail reads the file as before


@pytest.mark.parametrize("mailbox", [{"host": 5}, {"port": 993}, "imap.example.com", {"host": "a", "folder": "b"}])
def test_a_saved_mailbox_that_cannot_be_one_is_a_damaged_file(home: Path, mailbox: object) -> None:
    SETTINGS.save()
    path = home / "docmail" / "settings.json"
    saved = json.loads(path.read_text("utf-8"))
    saved["profiles"]["default"]["mailbox"] = mailbox
    path.write_text(json.dumps(saved), "utf-8")
    with pytest.raises(SettingsError):
        Settings.load()


def test_an_organisations_file_fixes_the_server_and_leaves_the_mailbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "organisation.toml"
    file.write_text('[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\n', "utf-8")
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(file))
    settings = replace(SETTINGS)
    assert settings.account.host == "mail.example.com"
    assert settings.mailbox == SETTINGS.mailbox
    assert settings.problems() == []


# --- whose password opens it ---


def test_the_account_of_a_mailbox_is_another_than_that_for_sending() -> None:
    assert str(SETTINGS.for_mailbox.account) == "imap://ann@example.com@imap.example.com:993"
    assert str(replace(SETTINGS, mailbox=Mailbox("b.example", username="bob")).for_mailbox.account) == (
        "imap://bob@b.example:993"
    )


def test_settings_without_a_mailbox_have_no_account_of_one() -> None:
    with pytest.raises(SettingsError, match="no mailbox") as caught:
        _account = replace(SETTINGS, mailbox=None).for_mailbox
    assert caught.value.field == "mailbox_host"


@pytest.mark.parametrize(
    ("sending", "mailbox", "shared"),
    [
        ("smtp.example.com", Mailbox("imap.example.com"), True),
        ("smtp.example.com", Mailbox("smtp.example.com"), True),
        ("smtp.example.com", Mailbox("imap.example.com", username="ann@example.com"), True),
        ("smtp.example.com", Mailbox("imap.example.com", username="bob@example.com"), False),
        # A typing error must not send the password to a stranger.
        ("smtp.example.com", Mailbox("imap.exmaple.com"), False),
        ("smtp.example.co.uk", Mailbox("imap.evil.co.uk"), False),
        ("smtp.example.co.uk", Mailbox("imap.example.co.uk"), True),
        ("smtp.office365.com", Mailbox("outlook.office365.com"), True),
        ("smtp.gmail.com", Mailbox("imap.gmail.com"), True),
        ("smtp.gmail.com", Mailbox("outlook.office365.com"), False),
        ("localhost", Mailbox("127.0.0.1"), True),
        ("localhost", Mailbox("imap.example.com"), False),
        ("192.0.2.1", Mailbox("192.0.2.2"), False),
    ],
)
def test_the_password_for_sending_opens_a_mailbox_of_the_same_person_at_the_same_owner_only(
    sending: str, mailbox: Mailbox, *, shared: bool
) -> None:
    settings = replace(SETTINGS, server=SmtpServer(sending, username="ann@example.com"), mailbox=mailbox)
    assert settings.mailbox_shares_sign_in is shared


def test_a_mailbox_has_a_password_of_its_own_in_the_same_store() -> None:
    docmail.credentials.set(SETTINGS, "for sending")
    assert docmail.credentials.where(SETTINGS.for_mailbox) is None
    assert docmail.credentials.set(SETTINGS.for_mailbox, "of the mailbox, ключ") == "keyring"
    assert docmail.credentials.get(SETTINGS.for_mailbox) == docmail.credentials.Secret("of the mailbox, ключ")
    assert docmail.credentials.get(SETTINGS) == docmail.credentials.Secret("for sending")
    docmail.credentials.forget(SETTINGS.for_mailbox)
    assert docmail.credentials.where(SETTINGS.for_mailbox) is None
    assert docmail.credentials.where(SETTINGS) == "keyring"


def test_the_variables_serve_each_account_of_the_selected_profile_with_its_own_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCMAIL_PASSWORD", "for sending")
    assert docmail.credentials.where(SETTINGS.for_mailbox) is None  # neither is the saved profile's
    SETTINGS.save()
    assert docmail.credentials.where(SETTINGS) == "environment"
    assert docmail.credentials.where(SETTINGS.for_mailbox) is None
    monkeypatch.setenv("DOCMAIL_MAILBOX_PASSWORD", "of the mailbox")
    assert docmail.credentials.get(SETTINGS.for_mailbox) == docmail.credentials.Secret("of the mailbox")
    assert docmail.credentials.get(SETTINGS) == docmail.credentials.Secret("for sending")
    other = replace(SETTINGS, mailbox=Mailbox("imap.example.org"))
    assert docmail.credentials.where(other.for_mailbox) is None


@pytest.mark.parametrize(
    "use",
    [
        docmail.credentials.get,
        lambda settings: docmail.credentials.set(settings, ""),
        lambda settings: docmail.credentials.set(settings, "two\nlines"),
    ],
)
def test_an_error_about_the_password_of_a_mailbox_names_its_field(use: Any) -> None:
    with pytest.raises(docmail.errors.CredentialError) as caught:
        use(SETTINGS.for_mailbox)
    assert caught.value.field == "mailbox_password"
