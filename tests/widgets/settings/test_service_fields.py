"""The mail services in the settings form: only the fields that each needs, saved, opened again and tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docmail import credentials
from docmail.presets import services
from docmail.sandbox import Sandbox
from docmail.settings import HttpServer, Settings, SmtpServer
from docmail.widgets import SettingsForm
from docmail.widgets.settings.fields import states
from tests.widgets.press import press

if TYPE_CHECKING:
    from tests.support.memory_keyring import MemoryKeyring

APIS = [service.api for service in services.SERVICES]
BEFORE = {"sender": "Accounts", "email_address": "accounts@example.com", "protocol": "http"}


def visible(form: SettingsForm) -> set[str]:
    """Return the rows that the form shows, as the style sheet decides it."""
    now = states({name: field.value for name, field in form.fields.items()})
    now |= form._states & {"microsoft", "google", "sign-in"}  # which the kernel alone decides
    return {
        row.name
        for row in form.rows.values()
        if {name.removeprefix("dm-if-") for name in row.control._dom_classes if name.startswith("dm-if-")} <= now
    }


@pytest.mark.parametrize("api", ["form", *APIS])
def test_a_service_shows_the_fields_that_it_needs_and_no_others(api: str) -> None:
    form = SettingsForm()
    form.fill(**BEFORE, api=api)
    always = {"email_address", "provider", "protocol", "api", "sender", "copies", "after_sending", "look", "advanced"}
    expected = {
        "form": {"url", "http_reply_to"},
        "mailgun": {"region", "domain", "password", "replies"},
        "graph": {"username", "sign_in", "client_id", "tenant", "replies"},
        "gmail": {"username", "sign_in", "client_id", "client_secret", "replies"},
    }.get(api, {"password", "replies"})
    assert visible(form) == always | expected


@pytest.mark.parametrize("api", APIS)
def test_a_service_is_saved_with_its_key_and_opens_as_saved(api: str, memory_keyring: MemoryKeyring) -> None:
    form = SettingsForm()
    form.fill(**BEFORE, api=api, username="accounts@example.com", sign_in="password")
    press(form, "update", "the-key", **({"domain": "mg.example.com", "region": "eu"} if api == "mailgun" else {}))
    saved = Settings.load()
    assert saved.problems() == []
    assert saved.address.addr_spec == "accounts@example.com"
    assert isinstance(saved.server, HttpServer)
    assert saved.server.api == api
    if api == "mailgun":
        assert saved.server.full_url == "https://api.eu.mailgun.net/v3/mg.example.com/messages.mime"
    assert credentials.get(saved) == credentials.Secret("the-key")
    assert list(memory_keyring.data.values()) == ["the-key"]
    again = SettingsForm()
    assert repr(again) == "<SettingsForm profile=default, saved>"
    assert again.password.placeholder.startswith("•")
    assert visible(again) == visible(form)


@pytest.mark.parametrize("api", ["graph", "mailgun", "postmark"])
def test_the_test_email_goes_through_a_service(api: str) -> None:
    with Sandbox() as box:
        settings = box.settings_for(api)
        assert isinstance(settings.server, HttpServer)
        form = SettingsForm()
        form.fill(**BEFORE, api=api, url=settings.server.url, username=settings.server.username, sign_in="password")
        diagnosis = form.test()
        assert diagnosis is not None
        assert diagnosis.ok
        assert [mail.recipients for mail in box.inbox] == [("accounts@example.com",)]
        box.answer("http", "403 Forbidden")
        diagnosis = form.test()
        assert diagnosis is not None
        assert diagnosis.failed is not None
        assert form.rows["password"].wrong


def test_what_is_missing_is_said_beside_the_field_that_is_on_the_screen() -> None:
    form = SettingsForm()
    form.fill(protocol="http", api="mailgun")
    assert not form.save()
    assert form.rows.wrong == ["email_address", "domain"]


def test_each_service_has_its_guide_beside_the_form_and_its_word_for_the_key() -> None:
    form = SettingsForm()
    for service in services.SERVICES:
        form.fill(protocol="http", api=service.api)
        assert f"How do I set up {service.guide}?" in form.help.guide.value
        assert form.password.label == ("Token" if service.has_mailbox else "API key")
    form.fill(protocol="smtp")
    assert form.help.guide.value == ""
    assert form.password.label == "Password"


def test_settings_of_former_versions_open_as_they_were() -> None:
    for settings in (
        Settings("Accounts", HttpServer("mail.example.com"), reply_to=("office@example.com",)),
        Settings("Accounts", SmtpServer("smtp.example.com", username="accounts@example.com")),
    ):
        settings.save()
        assert repr(SettingsForm()) == "<SettingsForm profile=default, saved>"
        assert Settings.load() == settings
