"""What is known of providers for the time after sending: each fact with its page and its day, none guessed."""

from __future__ import annotations

import re
from datetime import date

import pytest

from docmail import presets
from docmail.addresses import ascii_host
from docmail.mailbox import Mailbox, likely_mailbox
from docmail.oauth import google, microsoft
from docmail.presets.preset import FACTS, Preset, built_in
from docmail.settings import HttpServer, Settings, SmtpServer


@pytest.mark.parametrize("preset", built_in(), ids=lambda preset: preset.id)
def test_each_fact_has_a_page_and_a_day(preset: Preset) -> None:
    empty = Preset("", "", date.today(), (), "", "", "account", "", established=False)  # noqa: DTZ011
    known = {name for name in FACTS if name != "sources" and getattr(preset, name) != getattr(empty, name)}
    sources = dict(preset.sources)
    assert known <= sources.keys() <= set(FACTS)
    for source in sources.values():
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]+/\S+", source.url)
        assert date(2026, 11, 1) <= source.checked <= date.today()  # noqa: DTZ011


@pytest.mark.parametrize("preset", [each for each in built_in() if each.imap_host], ids=lambda preset: preset.id)
def test_the_mailbox_of_a_known_provider_is_of_the_same_owner(preset: Preset) -> None:
    assert ascii_host(preset.imap_host) == preset.imap_host
    assert preset.imap_port in {993, 1143}
    server = preset.servers[0]
    assert presets.same_owner(server.host, preset.imap_host)
    settings = Settings("Ann", SmtpServer(server.host, server.port, username="ann@example.com"))
    assert likely_mailbox(settings) == Mailbox(preset.imap_host, preset.imap_port)
    assert preset.imap_host == "127.0.0.1" or presets.owner_of(preset.imap_host)
    assert presets.established(preset.imap_host) is not None or not preset.established


def test_a_selector_and_an_include_are_names() -> None:
    for preset in built_in():
        assert all(re.fullmatch(r"[a-z0-9-]+", selector) for selector in preset.dkim_selectors)
        assert not preset.spf_include or re.fullmatch(r"[a-z0-9_.-]+\.[a-z]+", preset.spf_include)


def test_the_permissions_are_those_that_a_sign_in_asks_for() -> None:
    scopes = {preset.sign_in: preset.imap_scopes for preset in built_in() if preset.imap_scopes}
    assert scopes == {"google": (google._SMTP,), "microsoft": (microsoft._IMAP,)}


@pytest.mark.parametrize(
    ("server", "host"),
    [
        (HttpServer("", "graph", "ann@example.com"), "outlook.office365.com"),
        (HttpServer("", "gmail", "ann@gmail.com"), "imap.gmail.com"),
        (HttpServer("", "postmark"), None),
        (HttpServer("forms.example.com"), None),
        (SmtpServer("mail.example.com", username="ann"), None),
    ],
)
def test_a_mail_service_has_the_mailbox_of_its_provider(server: SmtpServer | HttpServer, host: str | None) -> None:
    found = likely_mailbox(Settings("Ann <ann@example.com>", server))
    assert (found.host if found else None) == host
