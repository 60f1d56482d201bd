"""What the organisation's file fixes wins over what is saved or typed, on every way to a server."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail import HttpServer, Outbox, Settings, SmtpServer, credentials
from docmail import home as homes
from docmail.errors import CredentialError, Field, OrganisationWarning, SettingsError
from docmail.oauth import google
from docmail.outbox.rate import AccountRate
from docmail.outbox.resending import send_again
from docmail.outbox.store import Store
from docmail.settings import Security, SignIn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docmail.sandbox import Sandbox

PDF = docmail.reports.Report("Q3").text("Sales rose.").pdf()
FORM = 'copy_to = "archive@example.com"\n[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what writes the organisation's file."""
    path = tmp_path / "organisation.toml"
    monkeypatch.setenv("DOCMAIL_ORGANISATION", str(path))

    def written(content: str) -> None:
        path.write_text(content, "utf-8")

    return written


def through(box: Sandbox, more: str = "") -> str:
    """Return a file that sends everybody of example.com through the sandbox, as if it were the organisation's."""
    return (
        f'copy_to = "archive@example.com"\n[[provider]]\ndomains = ["example.com"]\nserver = "{box.host}"\n'
        f'port = {box.port}\nca_file = "{box.ca_file}"\n{more}'
    )


def typed(**changes: Any) -> Settings:
    """Return settings of a user's own, for a server that is not the organisation's."""
    server = SmtpServer("typed.example.net", 25, username="accounts@example.com", **changes)
    return Settings("Accounts", server, home=homes.user_home())


# --- what is fixed ---


def test_an_address_in_the_domains_sends_through_that_server_whatever_is_given(write: Callable[[str], None]) -> None:
    write(FORM)
    servers: list[SmtpServer | HttpServer] = [
        SmtpServer("typed.example.net", 25, Security.NONE, "accounts@example.com", "AB" * 32, "/gone.pem"),
        SmtpServer("", username="accounts@example.com", sign_in=SignIn.GOOGLE, client_id="x"),
        HttpServer("", "postmark", "accounts@example.com"),
    ]
    for server in servers:
        settings = Settings("Accounts", server, "mine@example.com")
        assert settings.server == SmtpServer(
            "mail.example.com", 587, Security.STARTTLS, username="accounts@example.com"
        ), server
        assert settings.copy_to == "archive@example.com"
        assert settings.address.addr_spec == "accounts@example.com"
        assert settings.problems() == []
        assert {Field.HOST, Field.PORT, Field.SECURITY, Field.CA_FILE, Field.SIGN_IN, Field.COPY_TO} <= settings.fixed
        assert replace(settings) == settings


def test_another_address_keeps_its_server_and_the_archive_gets_its_copy(write: Callable[[str], None]) -> None:
    write(FORM)
    server = SmtpServer("smtp.gmail.com", 465, username="anna@gmail.com")
    settings = Settings("Anna", server)
    assert (settings.server, settings.copy_to) == (server, "archive@example.com")
    assert settings.fixed == {Field.COPY_TO}
    # An accounting program's server sends from an address of its own.
    form = Settings("Anna", HttpServer("forms.example.com"), reply_to=("anna@example.com",))
    assert form.server == HttpServer("forms.example.com")
    assert form.fixed == {Field.COPY_TO}


def test_it_is_the_address_that_mail_is_sent_from_that_decides(write: Callable[[str], None]) -> None:
    write(FORM)
    shared = Settings("Office <office@example.com>", SmtpServer("mail.example.com", username="anna@example.com"))
    assert shared.server.username == "anna@example.com", "each signs in at a shared mailbox under an own name"
    elsewhere = Settings("Office <office@example.com>", SmtpServer("smtp.gmail.com", username="anna@gmail.com"))
    assert elsewhere.server.username == "office@example.com", "a name at another server means nothing here"
    foreign = Settings("Anna <anna@example.org>", SmtpServer("smtp.example.org", username="anna@example.com"))
    assert foreign.account.host == "smtp.example.org"


@pytest.mark.parametrize(
    ("rule", "username", "sender"),
    [
        ("local-part", "anna", "Anna <anna@example.com>"),
        ("fixed:relay", "relay", "Anna <anna@example.com>"),
        ("", "", "Anna <anna@example.com>"),
        ("address", "anna@example.com", "Anna"),
        ("other", "", "Anna <anna@example.com>"),
    ],
)
def test_the_username_follows_the_organisations_rule_and_the_address_stays(
    write: Callable[[str], None], rule: str, username: str, sender: str
) -> None:
    write(f'{FORM}username = "{rule}"\n')
    settings = Settings("Anna", SmtpServer("", username="anna@example.com"))
    assert (settings.server.username, settings.sender) == (username, sender)
    assert settings.address.addr_spec == "anna@example.com"
    assert replace(settings) == settings
    assert (Field.USERNAME in settings.fixed) == (rule in {"", "fixed:relay"})


def test_a_general_application_serves_everybody_who_signs_in(write: Callable[[str], None]) -> None:
    write('[microsoft]\nclient_id = "theirs"\ntenant = "example.com"\n')
    server = SmtpServer("smtp.office365.com", username="a@example.com", sign_in=SignIn.MICROSOFT, client_id="typed")
    settings = Settings("Anna", server)
    assert (settings.server.client_id, settings.server.tenant) == ("theirs", "example.com")
    assert settings.fixed == {Field.CLIENT_ID, Field.TENANT}
    by_password = Settings("Anna", replace(server, sign_in=SignIn.PASSWORD, client_id=""))
    assert by_password.fixed == set()


def test_a_mail_service_is_fixed_as_a_server_is(write: Callable[[str], None]) -> None:
    write('[microsoft]\nclient_id = "theirs"\n[[provider]]\ndomains = ["example.com"]\napi = "graph"\n')
    settings = Settings("Anna", SmtpServer("smtp.office365.com", username="anna@example.com"))
    assert settings.server == HttpServer("", "graph", "anna@example.com", sign_in=SignIn.MICROSOFT, client_id="theirs")
    assert settings.problems() == []


def test_a_service_that_knows_keys_alone_gets_no_username(write: Callable[[str], None]) -> None:
    write('[[provider]]\ndomains = ["example.com"]\napi = "postmark"\n')
    settings = Settings("Anna", SmtpServer("", username="anna@example.com"))
    assert settings.server == HttpServer("", "postmark")
    assert settings.address.addr_spec == "anna@example.com"
    assert settings.problems() == []
    assert replace(settings) == settings


@pytest.mark.parametrize("server", [None, 5, "mail.example.com", SmtpServer(5), SmtpServer("", username=5)])  # type: ignore[arg-type]
@pytest.mark.parametrize("sender", [5, None, "", "anna@", "Anna"])
def test_values_that_cannot_be_right_are_named_as_ever(write: Callable[[str], None], server: Any, sender: Any) -> None:
    write(FORM)
    assert Settings(sender, server).problems()


def test_saved_settings_follow_the_file_of_the_day(write: Callable[[str], None]) -> None:
    write("")
    typed().save()
    assert Settings.load().account.host == "typed.example.net"
    write(FORM)
    assert Settings.load().account.host == "mail.example.com"
    write(FORM.replace("mail.", "new."))
    assert Settings.load().account.host == "new.example.com"


# --- on the way to a server ---


def test_mail_goes_through_the_organisations_server_and_to_the_archive(
    write: Callable[[str], None], box: Sandbox
) -> None:
    settings = typed()
    write(through(box))  # after the settings were made
    result = docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=settings)
    assert result.accepted == ("cfo@example.org", "archive@example.com")
    assert set(box.inbox[-1].recipients) == {"cfo@example.org", "archive@example.com"}
    assert "archive" not in box.inbox[-1].raw.decode()
    diagnosis = docmail.send_test(settings)
    assert diagnosis.ok, diagnosis.failed
    assert "set by your organisation" in diagnosis.checks[0].text
    with Outbox(homes.user_home().outbox) as outbox:
        outbox.add(docmail.Message("ann@example.org", "Hello"), settings=settings)
        assert dict(outbox.run(settings=settings))["sent"] == 2
    assert set(box.inbox[-1].recipients) == {"ann@example.org", "archive@example.com"}


def test_a_key_stays_used_when_the_server_changes(write: Callable[[str], None], box: Sandbox) -> None:
    write("")
    own = replace(box.settings, home=homes.user_home())
    assert not docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=own, key="Q3").repeated
    write(through(box, 'username = "address"\n'))
    changed = typed()
    assert docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=changed, key="Q3").repeated
    assert len(box.inbox) == 1


def test_a_mail_that_waits_already_goes_to_those_to_whom_it_was_written_down(
    write: Callable[[str], None], box: Sandbox
) -> None:
    write("")
    settings = typed()
    with Outbox(homes.user_home().outbox) as outbox:
        outbox.add(docmail.Message("ann@example.org", "Hello"), settings=settings)
        write(through(box))
        assert dict(outbox.run(settings=settings)) == {"sent": 1}
    assert box.inbox[-1].recipients == ("ann@example.org",)


def test_a_mail_that_is_sent_once_more_has_its_copy_for_the_archive(write: Callable[[str], None], box: Sandbox) -> None:
    write("")
    own = replace(box.settings, home=homes.user_home())
    docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=own)
    write(through(box))
    send_again(homes.user_home().outbox, 1, own, everybody=True)
    assert set(box.inbox[-1].recipients) == {"cfo@example.org", "archive@example.com"}


def test_a_rehearsal_goes_to_oneself_alone(write: Callable[[str], None], box: Sandbox) -> None:
    write(through(box))
    with Outbox(homes.user_home().outbox) as outbox:
        outbox.add(docmail.Message("ann@example.org", "Hello"), settings=typed())
        outbox.run(settings=typed(), redirect_to="me@example.com")
    assert box.inbox[-1].recipients == ("me@example.com",)


def test_a_stored_password_does_not_go_to_the_organisations_server(write: Callable[[str], None], box: Sandbox) -> None:
    write("")
    before = typed()
    credentials.set(before, "of-another-server")
    write(through(box))
    credentials.withdraw(typed().account)  # which the sandbox has lent
    assert credentials.where(typed()) is None
    with pytest.raises(CredentialError):
        docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=before)
    assert len(box.inbox) == 0


def test_a_password_in_the_environment_serves_the_organisations_server_before_anything_is_saved(
    write: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(FORM)
    monkeypatch.setenv("DOCMAIL_PASSWORD", "of-the-hub")
    assert credentials.where(typed()) == "environment"
    elsewhere = Settings("Anna", SmtpServer("smtp.gmail.com", 465, username="a@gmail.com"), home=homes.user_home())
    assert credentials.where(elsewhere) is None
    elsewhere.save()
    assert credentials.where(typed()) is None, "it is for what is saved in the profile, as soon as something is"


def test_the_client_secret_of_the_organisations_application_comes_from_the_environment(
    write: Callable[[str], None], box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = box.google_settings.server
    write(f'[google]\nclient_id = "{there.client_id}"\nauthority = "{there.authority}"\n')
    settings = Settings(
        "Anna",
        SmtpServer("smtp.gmail.com", 465, username="accounts@example.com", sign_in=SignIn.GOOGLE),
        home=homes.user_home(),
    )
    with pytest.raises(CredentialError, match="DOCMAIL_CLIENT_SECRET"):
        google.BrowserSignIn(settings)
    monkeypatch.setenv("DOCMAIL_CLIENT_SECRET", "GOCSPX-of-the-organisation")
    secret = google._client_secret(settings)
    assert secret.reveal() == "GOCSPX-of-the-organisation"


def test_nobody_sends_faster_than_the_organisation_allows(write: Callable[[str], None]) -> None:
    write(f"{FORM}limits = {{ per_minute = 20 }}\n")
    queue = Store(homes.user_home().outbox).queue("accounts@example.com")
    rate = AccountRate(queue, typed())
    assert rate.interval == 3
    rate.set("unlimited")
    assert rate.interval == 3
    rate.set("10/min")
    assert rate.interval == 6
    assert AccountRate(queue, typed()).interval == 6


# --- what it does not reach ---


def test_a_sandbox_is_left_alone(write: Callable[[str], None], box: Sandbox) -> None:
    write(FORM)
    for way in ("starttls", "tls", "form", "graph", "postmark"):
        settings = box.settings_for(way)
        assert settings.account.host == box.host
        assert settings.copy_to is None
        assert settings.fixed == set()
    docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=box.settings)
    assert box.inbox[-1].recipients == ("cfo@example.org",)
    box.settings.save()
    assert Settings.load() == box.settings
    # What only lies in a sandbox's folder, and leads to a real server, is real.
    real = Settings(
        "Accounts", SmtpServer("typed.example.net", username="accounts@example.com"), home=box.settings.home
    )
    assert real.account.host == "mail.example.com"


# --- a file with a mistake ---


def test_with_a_bad_file_mail_goes_as_if_there_were_none_and_says_so(
    write: Callable[[str], None], box: Sandbox
) -> None:
    write("copy_to = 5\n")
    own = replace(box.settings, home=homes.user_home())
    (problem,) = own.problems()
    assert problem.field == "organisation"
    assert "line 1: “copy_to”" in problem.message
    own.check()
    with pytest.warns(OrganisationWarning, match="line 1: “copy_to”"):
        docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=own)
    assert box.inbox[-1].recipients == ("cfo@example.org",)
    with pytest.warns(OrganisationWarning):
        diagnosis = docmail.send_test(own)
    assert diagnosis.ok
    assert "line 1: “copy_to”" in diagnosis.checks[0].text
    with warnings.catch_warnings():
        warnings.simplefilter("error", OrganisationWarning)  # whoever wants no mail without the archive's copy
        with pytest.raises(OrganisationWarning):
            docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=own)
    assert len(box.inbox) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error", OrganisationWarning)
        docmail.send(PDF, to="cfo@example.org", subject="Q3", settings=box.settings)  # a sandbox asks no organisation


def test_other_mistakes_stop_a_mail_beside_a_bad_file_as_well(write: Callable[[str], None]) -> None:
    write("copy_to = 5\n")
    settings = Settings("Accounts", SmtpServer("mail example.com", username="accounts@example.com"))
    assert [problem.field for problem in settings.problems()] == ["host", "organisation"]
    with pytest.raises(SettingsError) as caught:
        settings.check()
    assert [problem.field for problem in caught.value.problems] == ["host"]


def test_what_was_saved_with_a_good_file_holds_while_it_is_bad(write: Callable[[str], None]) -> None:
    write(FORM)
    typed().save()
    write("copy_to = 5\n")
    settings = Settings.load()
    assert (settings.account.host, settings.copy_to) == ("mail.example.com", "archive@example.com")
