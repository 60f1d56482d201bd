from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from docmail import presets
from docmail.diagnosis import Finding
from docmail.errors import ConnectError, Kind, SettingsError
from docmail.settings import HttpServer, Mailbox, Security, Settings, SmtpServer
from docmail.widgets import SettingsForm
from tests.widgets.press import finish_search, press_find

if TYPE_CHECKING:
    from collections.abc import Callable

GMAIL = {"host": "smtp.gmail.com", "port": "465", "security": Security.TLS, "provider": "gmail"}
EMPTY = {"host": "", "port": "587", "security": Security.STARTTLS, "provider": ""}


def values(form: SettingsForm, *names: str) -> dict[str, Any]:
    return {name: form.fields[name].value for name in names}


def type_address(form: SettingsForm, address: str) -> None:
    """Type it letter by letter, with the username following as `controls.js` lets it."""
    for end in range(1, len(address) + 1):
        before = form.fields["email_address"].value
        form.fields["email_address"].value = address[:end]
        if form.fields["username"].value == before:
            form.fields["username"].value = address[:end]


# --- recognised by its address ---


def test_an_address_of_a_known_provider_fills_in_its_server() -> None:
    form = SettingsForm()
    type_address(form, "accounts@gmail.com")
    assert values(form, *GMAIL) == GMAIL
    assert form.fields["username"].value == "accounts@gmail.com"
    assert form.password.placeholder == "app password, 16 letters"
    assert form.fields["self_signed"].disabled


@pytest.mark.parametrize(
    ("address", "host", "username"),
    [
        ("me@web.de", "smtp.web.de", "me"),
        ("me@yahoo.co.uk", "smtp.mail.yahoo.com", "me@yahoo.co.uk"),
        ("me@hotmail.com", "smtp-mail.outlook.com", "me@hotmail.com"),
        ("me@firm.onmicrosoft.com", "smtp.office365.com", "me@firm.onmicrosoft.com"),
    ],
)
def test_the_username_follows_the_rule_of_the_provider(address: str, host: str, username: str) -> None:
    form = SettingsForm()
    type_address(form, address)
    assert values(form, "host", "username") == {"host": host, "username": username}


def test_going_on_to_another_domain_takes_back_what_was_filled_in() -> None:
    form = SettingsForm()
    type_address(form, "me@gmail.com")
    form.fields["email_address"].value = "me@gmail.com.example.org"
    assert values(form, *EMPTY) == EMPTY
    assert form.fields["username"].value == "me@gmail.com.example.org"
    type_address(form, "me@web.de")
    assert form.fields["host"].value == "smtp.web.de"


def test_a_server_that_somebody_typed_is_never_replaced_by_an_address() -> None:
    form = SettingsForm()
    form.fields["host"].value = "relay.example.com"
    type_address(form, "me@gmail.com")
    assert values(form, "host", "port", "provider") == {"host": "relay.example.com", "port": "587", "provider": ""}
    assert "address of Gmail" in form.rows["provider"].note


@pytest.mark.parametrize(("name", "value"), [("port", "25"), ("security", Security.NONE), ("username", "u123")])
def test_neither_is_any_other_field_that_the_provider_decides(name: str, value: object) -> None:
    form = SettingsForm()
    form.fields[name].value = value
    type_address(form, "me@gmail.com")
    assert values(form, "host", name) == {"host": "", name: value}


def test_saved_settings_are_not_changed_by_opening_the_form() -> None:
    saved = Settings("Accounts", SmtpServer("smtp.gmail.com", 587, username="me@example.com"))
    saved.save()
    form = SettingsForm()
    assert repr(form) == "<SettingsForm profile=default, saved>"
    assert form.fields["provider"].value == "gmail"
    assert "<details" in form.help.guide.value
    assert " open" not in form.help.guide.value.partition(">")[0]


# --- chosen in the menu ---


def test_the_menu_offers_every_preset_once_with_its_name() -> None:
    options = dict(SettingsForm().fields["provider"].options)
    assert len(options) == len(presets.presets()) + 1 >= 19
    assert options["Microsoft 365"] == "microsoft-365"


def test_choosing_a_provider_fills_in_its_server_and_says_what_stood_there() -> None:
    form = SettingsForm()
    form.fill(host="relay.example.com", username="u123")
    form.fields["provider"].value = "sendgrid"
    assert values(form, "host", "username") == {"host": "smtp.sendgrid.net", "username": "apikey"}
    assert "relay.example.com" in form.rows["host"].note
    assert "u123" in form.rows["username"].note
    form.fields["host"].value = "smtp.sendgrid.net.example.org"
    assert "relay.example.com" not in form.rows["host"].note


def test_nothing_is_said_about_fields_that_were_empty_or_filled_in_by_docmail() -> None:
    form = SettingsForm()
    type_address(form, "me@gmail.com")
    form.fields["provider"].value = "microsoft-365"
    assert form.fields["host"].value == "smtp.office365.com"
    assert "stood here" not in form.rows["host"].note + form.rows["username"].note


def test_a_chosen_provider_stays_when_an_address_of_a_company_is_typed() -> None:
    form = SettingsForm()
    form.fields["provider"].value = "google-workspace"
    type_address(form, "me@example.com")
    assert values(form, "host", "provider", "username") == {
        "host": "smtp.gmail.com",
        "provider": "google-workspace",
        "username": "me@example.com",
    }


@pytest.mark.parametrize(("provider", "username"), [("web-de", "me"), ("amazon-ses", ""), ("sendgrid", "apikey")])
def test_the_address_typed_after_choosing_gives_the_username_by_the_provider_s_rule(
    provider: str, username: str
) -> None:
    form = SettingsForm()
    form.fields["provider"].value = provider
    type_address(form, "me@example.com")
    assert form.fields["username"].value == username


def test_choosing_a_provider_in_the_http_form_goes_back_to_smtp() -> None:
    form = SettingsForm()
    form.fields["protocol"].value = "http"
    form.fields["provider"].value = "gmail"
    assert form.fields["protocol"].value == "smtp"


def test_a_server_with_a_part_to_be_replaced_says_so_until_it_is() -> None:
    form = SettingsForm()
    form.fields["provider"].value = "amazon-ses"
    assert "REGION" in form.rows["host"].note
    form.fields["host"].value = "email-smtp.eu-west-1.amazonaws.com"
    assert "REGION" not in form.rows["host"].note
    assert form.fields["provider"].value == "amazon-ses"


def test_typing_a_known_server_names_its_provider_and_an_unknown_one_none() -> None:
    form = SettingsForm()
    form.fields["host"].value = "smtp.fastmail.com"
    assert form.fields["provider"].value == "fastmail"
    form.fields["host"].value = "smtp.example.com"
    assert form.fields["provider"].value == ""
    assert form.help.guide.value == ""


@pytest.mark.parametrize("preset", presets.presets(), ids=lambda preset: preset.id)
def test_each_provider_has_its_steps_and_the_date_of_its_facts_beside_the_form(preset: presets.Preset) -> None:
    form = SettingsForm()
    form.fields["provider"].value = preset.id
    form.fields["protocol"].value = "smtp"
    guide = form.help.guide.value
    assert f"How do I set up {preset.guide}?" in guide
    assert "<ol" in guide
    assert preset.checked.isoformat() in guide
    assert re.search(r'<details class="dm-guide-card" open>', guide)
    assert "dm-guided" in form._dom_classes


def test_a_provider_that_takes_no_password_says_so_at_once() -> None:
    form = SettingsForm()
    type_address(form, "me@outlook.com")
    note = form.rows["email_address"].note
    assert "takes no password any more" in note
    assert f"(checked {presets.by_name('outlook').checked.isoformat()})" in note
    form.fields["client_id"].value = "00000000-1111-2222-3333-444444444444"
    assert "takes no password" not in form.rows["email_address"].note, "somebody has found a way"


# --- looked up ---

FOUND = Finding("example.com", "srv", "smtp.example.com", 465, Security.TLS, "address")


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Callable[[Finding | Exception], list[str]]:
    """Return a function that says what will be found; it returns what was asked about."""

    def answer(result: Finding | Exception) -> list[str]:
        asked: list[str] = []

        def find(address: str, *, on_step: Callable[[str], None], stopped: Callable[[], bool]) -> Finding:
            asked.append(address)
            on_step("Asking …")
            assert not stopped()
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr("docmail.diagnosis.autoconfig.find", find)
        return asked

    return answer


def unknown_domain() -> SettingsForm:
    form = SettingsForm()
    type_address(form, "me@example.com")
    return form


def test_find_settings_is_offered_for_an_unknown_domain_and_says_whom_it_asks_what() -> None:
    form = SettingsForm()
    type_address(form, "me@exa")
    assert "dm-findable" not in form._dom_classes
    form.fields["email_address"].value = "me@firm.co.za"
    assert "dm-findable" in form._dom_classes
    note = form.rows["provider"].note
    assert "firm.co.za" in note
    assert "DNS" in note
    assert "me@" not in note
    form.fields["host"].value = "smtp.firm.co.za"
    assert "dm-findable" not in form._dom_classes


def test_the_mailbox_of_the_domain_is_filled_in_if_it_is_found_and_wanted_only_when_its_box_is_ticked(
    finding: Callable[[Finding], list[str]],
) -> None:
    finding(replace(FOUND, mailbox=Mailbox("imap.example.com", 143)))
    form = unknown_domain()
    press_find(form, "me@example.com")
    assert values(form, "mailbox", "mailbox_host", "mailbox_port", "mailbox_security") == {
        "mailbox": False,
        "mailbox_host": "imap.example.com",
        "mailbox_port": "143",
        "mailbox_security": Security.STARTTLS,
    }


def test_nobody_is_asked_before_the_button_is_pressed(finding: Callable[[Finding], list[str]]) -> None:
    asked = finding(FOUND)
    form = unknown_domain()
    assert asked == []
    press_find(form, "me@example.com")
    assert asked == ["me@example.com"]


def test_what_is_found_fills_empty_fields_and_the_form_says_who_named_it(
    finding: Callable[[Finding], list[str]],
) -> None:
    finding(FOUND)
    form = unknown_domain()
    press_find(form, "me@example.com")
    assert values(form, "host", "port", "security", "username") == {
        "host": "smtp.example.com",
        "port": "465",
        "security": Security.TLS,
        "username": "me@example.com",
    }
    assert FOUND.text in form.rows["provider"].note
    assert "dm-findable" not in form._dom_classes


def test_a_company_s_domain_at_a_known_provider_brings_its_guide(finding: Callable[[Finding], list[str]]) -> None:
    preset = presets.by_name("microsoft-365")
    finding(Finding("example.com", "mx", "smtp.office365.com", 587, Security.STARTTLS, "address", preset))
    form = unknown_domain()
    press_find(form, "me@example.com")
    assert form.fields["provider"].value == "microsoft-365"
    assert "How do I set up Microsoft 365?" in form.help.guide.value


@pytest.mark.parametrize(
    ("found", "caution"),
    [
        (Finding("example.com", "thunderbird", "smtp.example.com", 25, Security.NONE, "address"), "not encrypted"),
        (Finding("example.com", "srv", "smtp.elsewhere.net", 465, Security.TLS, "address"), "does not belong"),
    ],
)
def test_what_needs_a_person_s_judgement_is_shown_and_taken_over_only_by_a_press(
    finding: Callable[[Finding], list[str]], found: Finding, caution: str
) -> None:
    finding(found)
    form = unknown_domain()
    press_find(form, "me@example.com")
    assert values(form, *EMPTY) == EMPTY
    assert caution in form.rows["provider"].note
    assert [label for _action, label in form.help.finder.actions] == ["Use these settings"]
    press_find(form, action="take")
    assert form.fields["host"].value == found.host
    assert [label for _action, label in form.help.finder.actions] == ["Find settings"]


def test_a_search_that_fails_says_why_and_changes_nothing(
    finding: Callable[[Finding | Exception], list[str]],
) -> None:
    finding(ConnectError("The network is away.", kind=Kind.NETWORK, hint="Ask somebody."))
    form = unknown_domain()
    press_find(form, "me@example.com")
    assert "The network is away. Ask somebody." in form.rows["provider"].note
    assert values(form, *EMPTY) == EMPTY
    assert "dm-findable" in form._dom_classes
    finding(SettingsError("Nobody knows <it>."))
    press_find(form, "me@example.com")
    assert "Nobody knows &lt;it&gt;." in form.rows["provider"].note


def test_a_search_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    started = threading.Event()

    def find(_address: str, *, stopped: Callable[[], bool], **_options: object) -> Finding:
        started.set()
        while not stopped():
            pass
        raise ConnectError("Stopped at last.", kind=Kind.NETWORK)  # noqa: EM101, TRY003

    monkeypatch.setattr("docmail.diagnosis.autoconfig.find", find)
    form = unknown_domain()
    form.help.finder._handle_custom_msg({"action": "find", "values": {"email_address": "me@example.com"}}, [])
    assert started.wait(5)
    form.help.finder._handle_custom_msg({"action": "stop"}, [])
    finish_search(form)
    assert "Stopped." in form.rows["provider"].note
    assert not form.help.finder.busy


# --- what a person decided stays ---


def test_a_port_chosen_after_recognition_stays_when_the_address_is_corrected() -> None:
    form = SettingsForm()
    type_address(form, "me@gmail.com")
    form.fields["port"].value = "587"
    form.fields["security"].value = Security.STARTTLS
    type_address(form, "you@gmail.com")
    assert values(form, "host", "port") == {"host": "smtp.gmail.com", "port": "587"}


def test_a_typed_port_that_the_menu_replaces_is_named() -> None:
    form = SettingsForm()
    form.fields["host"].value = "mail.example.org"
    form.fields["port"].value = "other"
    form.fields["port_number"].value = "2525"
    form.fields["provider"].value = "gmail"
    assert "2525" in form.rows["port"].note
    form.fields["provider"].value = "yahoo"
    assert "mail.example.org" in form.rows["host"].note, "what was typed, not what docmail filled in since"


def test_an_address_never_leads_away_from_http() -> None:
    form = SettingsForm()
    form.fields["protocol"].value = "http"
    form.fields["url"].value = "mail.example.com"
    type_address(form, "me@gmail.com")
    assert values(form, "protocol", "host") == {"protocol": "http", "host": ""}
    form.fields["email_address"].value = "me@firm.co.za"
    assert "dm-findable" not in form._dom_classes


def test_a_saved_http_profile_stays_one() -> None:
    Settings("A", HttpServer("mail.example.com"), reply_to=("office@gmail.com",)).save()
    form = SettingsForm()
    assert form.fields["protocol"].value == "http"
    assert repr(form) == "<SettingsForm profile=default, saved>"
    form.fields["email_address"].value = "office2@gmail.com"
    assert form.fields["protocol"].value == "http"


def test_the_whole_address_can_be_the_username_where_the_provider_s_rule_is_another() -> None:
    form = SettingsForm()
    type_address(form, "me@web.de")
    for end in range(3, 10):
        form.fields["username"].value = "me@web.de"[:end]
    assert form.fields["username"].value == "me@web.de"


def test_what_a_program_gives_explicitly_has_the_last_word_in_any_order() -> None:
    form = SettingsForm()
    form.fill(port=587, email_address="me@gmail.com")
    assert values(form, "host", "port") == {"host": "smtp.gmail.com", "port": "587"}
    form = SettingsForm()
    form.fill(email_address="me@gmail.com", host="mail.example.org")
    assert values(form, "host", "port") == {"host": "mail.example.org", "port": "587"}


def test_what_is_found_for_a_domain_that_has_been_left_is_not_taken_over(
    finding: Callable[[Finding], list[str]],
) -> None:
    finding(FOUND)
    form = unknown_domain()
    form.fields["email_address"].value = "me@firm.co.za"
    press_find(form, "me@example.com")
    assert form.fields["host"].value == ""
    assert "firm.co.za" in form.rows["provider"].note
