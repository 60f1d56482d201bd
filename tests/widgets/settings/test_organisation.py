"""The settings form where an organisation has set up the mail server, and where its file has a mistake."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docmail import SettingsForm, SmtpServer, credentials
from docmail.errors import Field
from docmail.settings import Mailbox, Security, Settings, SignIn
from docmail.widgets.settings.field_names import FormField

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.certificates import Certificates

OWN = """\
copy_to = "archive@example.com"
[[provider]]
name = "Example Ltd"
domains = ["example.com"]
server = "mail.example.com"
port = 465
guide = "1. Type the password of your computer."
"""
AT_MICROSOFT = """\
[[provider]]
name = "Example Services"
domains = ["example.com"]
server = "smtp.office365.com"
client_id = "11111111-1111-1111-1111-111111111111"
tenant = "example.com"
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what writes the organisation's file."""
    path = tmp_path / "organisation.toml"
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(path))

    def written(content: str) -> None:
        path.write_text(content, "utf-8")

    return written


def type_address(form: SettingsForm, address: str) -> None:
    """Type an address, as the browser reports it: the username follows."""
    form.fields[Field.EMAIL_ADDRESS].value = address


def test_the_address_fills_in_what_is_fixed_and_takes_it_out_of_ones_hands(write: Callable[[str], None]) -> None:
    write(OWN)
    form = SettingsForm()
    assert form.fields[Field.COPY_TO].value == "archive@example.com"
    assert form.fields[Field.COPY_TO].disabled
    assert not form.fields[Field.HOST].disabled
    type_address(form, "anna@example.com")
    expected = {
        Field.PROTOCOL: "smtp",
        Field.HOST: "mail.example.com",
        Field.PORT: "465",
        Field.SECURITY: Security.TLS,
        Field.SIGN_IN: SignIn.PASSWORD,
        FormField.COPIES: True,
        FormField.SELF_SIGNED: False,
    }
    assert {name: form.fields[name].value for name in expected} == expected
    assert all(form.fields[name].disabled for name in (*expected, Field.CA_FILE, FormField.PROVIDER))
    assert form.fields[Field.USERNAME].value == "anna@example.com"
    assert not form.fields[Field.USERNAME].disabled
    assert "set by your organisation" in form.rows[Field.HOST].note
    assert "set by your organisation" in form.rows[FormField.SERVER].control.value
    assert "password of your computer" in form.help.guide.value
    assert "Checked on" not in form.help.guide.value


def test_the_mailbox_of_the_organisation_is_one_line_and_goes_with_its_address(
    write: Callable[[str], None], certificates: Certificates
) -> None:
    write(f'{OWN}ca_file = "{certificates.ca_file}"\nimap_server = "imap.example.com"\n')
    form = SettingsForm()
    type_address(form, "anna@example.com")
    form.fields[FormField.MAILBOX].value = True
    settings, _problems = form._settings_of(form._values())
    assert settings.mailbox == Mailbox("imap.example.com", ca_file=str(certificates.ca_file))
    assert settings.mailbox_shares_sign_in
    assert "imap.example.com · port 993 · encrypted" in form.rows[FormField.MAILBOX_SERVER].hint
    type_address(form, "anna@gmail.com")
    settings, _problems = form._settings_of(form._values())
    assert settings.mailbox == Mailbox("imap.gmail.com")


def test_another_address_gets_its_fields_back(write: Callable[[str], None]) -> None:
    write(OWN)
    form = SettingsForm()
    type_address(form, "anna@example.com")
    type_address(form, "anna@gmail.com")
    assert form.fields[Field.HOST].value == "smtp.gmail.com"
    assert not form.fields[Field.HOST].disabled
    assert "set by" not in form.rows[Field.HOST].note
    assert form.fields[Field.COPY_TO].disabled, "the copy is for all mail"
    type_address(form, "anna@example.com")
    assert form.fields[Field.HOST].value == "mail.example.com"
    type_address(form, "anna@elsewhere.example")
    assert form.fields[Field.HOST].value == ""


def test_what_was_typed_before_comes_back_with_another_address(write: Callable[[str], None], tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("-----BEGIN CERTIFICATE-----", "utf-8")
    write(f'{OWN}ca_file = "{ca_file}"\n')
    form = SettingsForm()
    form.fields[Field.CA_FILE].value = "/my/ca.pem"
    type_address(form, "anna@example.com")
    assert form.fields[Field.CA_FILE].value == str(ca_file)
    type_address(form, "anna@gmail.com")
    assert form.fields[Field.CA_FILE].value == "/my/ca.pem"


def test_a_program_cannot_fill_in_something_else(write: Callable[[str], None]) -> None:
    write(OWN)
    form = SettingsForm()
    form.fill(host="typed.example.net", port=25, username="anna@example.com", sender="Anna", copy_to="me@example.com")
    assert form.fields[Field.HOST].value == "mail.example.com"
    assert form.fields[Field.PORT].value == "465"
    assert form.fields[Field.COPY_TO].value == "archive@example.com"
    assert form.save()
    saved = Settings.load()
    assert saved.server == SmtpServer("mail.example.com", 465, Security.TLS, username="anna@example.com")
    assert saved.copy_to == "archive@example.com"
    again = SettingsForm()
    assert again.fields[Field.HOST].disabled
    assert "· saved" in again._heading.value


def test_a_password_in_the_environment_is_seen_before_anything_is_saved(
    write: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(OWN)
    monkeypatch.setenv("DOCMAIL_PASSWORD", "of-the-hub")
    form = SettingsForm()
    type_address(form, "anna@example.com")
    assert "comes from DOCMAIL_PASSWORD" in form.rows[Field.PASSWORD].note
    type_address(form, "anna@gmail.com")
    assert "DOCMAIL_PASSWORD" not in form.rows[Field.PASSWORD].note


def test_where_the_organisation_signs_in_with_microsoft_one_button_is_left(write: Callable[[str], None]) -> None:
    write(AT_MICROSOFT)
    form = SettingsForm()
    type_address(form, "anna@example.com")
    assert form.fields[Field.SIGN_IN].value is SignIn.MICROSOFT
    assert form.fields[Field.CLIENT_ID].value == "11111111-1111-1111-1111-111111111111"
    assert form.fields[Field.TENANT].value == "example.com"
    assert {"known", "applied", "fixed-way", "fixed-application"} <= form._states
    assert "cards" not in form._states
    assert [label for _action, label in form.sign_in.actions.actions] == ["Sign in with Microsoft"]


def test_a_client_secret_that_the_hub_has_is_not_asked_for(
    write: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write('[google]\nclient_id = "x.apps.googleusercontent.com"\n')
    form = SettingsForm()
    type_address(form, "anna@gmail.com")
    assert form.fields[Field.SIGN_IN].value is SignIn.GOOGLE
    assert "fixed-application" in form._states
    assert "secret-kept" not in form._states
    monkeypatch.setenv("DOCMAIL_CLIENT_SECRET", "GOCSPX-1")
    form = SettingsForm()
    type_address(form, "anna@gmail.com")
    assert "secret-kept" in form._states


def test_a_bad_file_is_said_and_the_form_works(write: Callable[[str], None]) -> None:
    write("copy_to = 5\n")
    form = SettingsForm()
    assert "line 1: “copy_to”" in form._heading.value
    assert "Show this to your administrator" in form._heading.value
    form.fill(host="mail.example.com", username="anna@example.com", sender="Anna")
    assert form.save()
    write(OWN)
    form.fields[Field.SENDER].value = "Anna Meyer"
    assert "line 1" not in form._heading.value
    assert form.fields[Field.HOST].disabled


def test_a_mail_service_is_shown_as_fixed_as_well(write: Callable[[str], None]) -> None:
    write('[microsoft]\nclient_id = "1111"\n[[provider]]\ndomains = ["example.com"]\napi = "graph"\n')
    form = SettingsForm()
    type_address(form, "anna@example.com")
    assert form.fields[Field.PROTOCOL].value == "http"
    assert form.fields[FormField.API].value == "graph"
    assert form.fields[Field.SIGN_IN].value is SignIn.MICROSOFT
    assert form.fields[Field.CLIENT_ID].value == "1111"
    assert form.fields[Field.PROTOCOL].disabled
    assert form._settings_of(form._values())[1] == []


def test_a_stored_password_of_another_server_is_not_offered(write: Callable[[str], None]) -> None:
    write("")
    own = Settings("Anna", SmtpServer("typed.example.net", username="anna@example.com"))
    own.save()
    credentials.set(own, "of-another-server")
    write(OWN)
    form = SettingsForm()
    assert form.fields[Field.HOST].value == "mail.example.com"
    assert "stored" not in form.password.placeholder
    assert credentials.where(replace(own)) is None
