"""What docmail knows about providers is complete, dated, and never taken for somebody else's domain."""

from __future__ import annotations

import dataclasses
import re
from datetime import date
from importlib import resources

import pytest

from docmail import presets
from docmail.errors import DocmailError

IMPLICIT_TLS = {465, 2465}
STARTTLS = {587, 1025, 2525, 2587}


def name(preset: presets.Preset | None) -> str | None:
    return preset.name if preset else None


each = pytest.mark.parametrize("preset", presets.presets(), ids=lambda preset: preset.id)


def test_at_least_eighteen_providers_have_names_of_their_own() -> None:
    known = presets.presets()
    assert len(known) >= 18
    assert len({preset.id for preset in known}) == len({preset.name for preset in known}) == len(known)


@each
def test_a_preset_carries_the_date_on_which_it_was_checked(preset: presets.Preset) -> None:
    assert type(preset.checked) is date
    assert preset.checked >= date(2026, 11, 23)


@each
def test_a_preset_has_a_server_whose_port_and_security_belong_together(preset: presets.Preset) -> None:
    assert preset.servers
    for server in preset.servers:
        assert server.port in (IMPLICIT_TLS if server.security == "tls" else STARTTLS)


@each
def test_a_preset_names_a_guide_that_exists_and_is_dated(preset: presets.Preset) -> None:
    guide = presets.guide(preset.guide)
    assert guide.title == preset.guide
    assert f"Checked {preset.checked}." in guide.markdown


@each
def test_the_guide_of_a_preset_names_its_server(preset: presets.Preset) -> None:
    assert f"`{preset.servers[0].host}`" in presets.guide(preset.guide).markdown


@each
def test_a_preset_uses_only_words_that_the_form_understands(preset: presets.Preset) -> None:
    assert re.fullmatch(r"address|local-part|other|fixed:\w+", preset.username)
    assert preset.password in {"app-password", "account", "api-key", "bridge", "oauth"}
    assert 0 < len(preset.password_hint) <= 40
    assert {preset.established, preset.oauth} <= {True, False}
    known = {field.name for field in dataclasses.fields(preset.limits)} - {"approximate"}
    assert set(preset.limits.approximate) <= {key for key in known if getattr(preset.limits, key)}


@each
def test_every_link_of_a_preset_is_https(preset: presets.Preset) -> None:
    assert all(link.startswith("https://") for link in preset.links.values())


@each
def test_the_servers_of_a_preset_are_recognised_as_that_provider(preset: presets.Preset) -> None:
    for server in preset.servers:
        found = presets.by_host(server.host, server.port)
        assert found is not None
        assert found.guide == preset.guide or preset.id == "google-workspace"


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("me@gmail.com", "Gmail"),
        ("Me@GMAIL.com.", "Gmail"),
        ("me@googlemail.com", "Gmail"),
        ("me@yahoo.com", "Yahoo Mail"),
        ("me@yahoo.co.uk", "Yahoo Mail"),
        ("me@yahoo.com.br", "Yahoo Mail"),
        ("me@rocketmail.com", "Yahoo Mail"),
        ("me@hotmail.fr", "Outlook.com"),
        ("me@contoso.onmicrosoft.com", "Microsoft 365"),
        ("me@mac.com", "iCloud Mail"),
        ("me@gmx.at", "GMX"),
        ("me@gmx.com", "GMX.com"),
        ("me@web.de", "WEB.DE"),
        ("me@proton.me", "Proton Mail Bridge"),
        ("a@example.com@gmail.com", "Gmail"),
    ],
)
def test_an_address_is_recognised_by_its_domain(address: str, provider: str) -> None:
    assert name(presets.by_address(address)) == provider


@pytest.mark.parametrize(
    "address",
    [
        "me@notgmail.com",
        "me@gmail.com.evil.example",
        "me@mail.gmail.com",
        "me@yahoo.example.com",
        "me@yahoo.com.evil",
        "me@yahoo.evil",
        "me@yahoo",
        "me@notyahoo.de",
        "me@yahoo.co.jp",  # another company
        "me@yahoo.de\n.evil.example",
        "me@onmicrosoft.com",
        "me@gmailxcom",
        "me@example.com",
        "me@",
        "gmail.com",
        "",
    ],
)
def test_an_address_elsewhere_is_nobodys(address: str) -> None:
    assert presets.by_address(address) is None


@pytest.mark.parametrize(
    ("mx_host", "provider"),
    [
        ("aspmx.l.google.com", "Google Workspace"),
        ("ALT1.ASPMX.L.GOOGLE.COM.", "Google Workspace"),
        ("aspmx2.googlemail.com", "Google Workspace"),
        ("gmail-smtp-in.l.google.com", "Gmail"),
        ("alt2.gmail-smtp-in.l.google.com", "Gmail"),
        ("example-com.mail.protection.outlook.com", "Microsoft 365"),
        ("outlook-com.olc.protection.outlook.com", "Outlook.com"),
        ("mx-aol.mail.gm0.yahoodns.net", "AOL Mail"),
        ("mta5.am0.yahoodns.net", "Yahoo Mail"),
        ("mx2.zoho.com", "Zoho Mail for organisations"),
        ("mail.google.com.evil.example", None),
        ("evilgoogle.com", None),
        ("mx.example.com", None),
    ],
)
def test_a_company_domain_is_recognised_by_its_mail_exchanger(mx_host: str, provider: str | None) -> None:
    assert name(presets.by_mx(mx_host)) == provider


@pytest.mark.parametrize(
    "host",
    [
        "smtp.gmail.com",
        "SMTP.Gmail.com.",
        "smtp.mail.yahoo.com",
        "smtp.office365.com",
        "outlook.office365.com",
        "example-com.mail.protection.outlook.com",
        "smtp-mail.outlook.com",
        "smtp.zoho.com.au",
        "email-smtp.eu-west-1.amazonaws.com",
        "smtp.eu.mailgun.org",
    ],
)
def test_an_established_provider_is_known_by_any_of_its_hosts(host: str) -> None:
    assert presets.established(host) is not None


@pytest.mark.parametrize(
    "host",
    [
        "mail.google.com.evil.example",
        "smtp.gmail.com.evil.example",
        "notsmtp.gmail.com.example.com",
        "evil-gmail.com",
        "smtp.zoho.evil.example",
        "email-smtp.a.b.amazonaws.com",
        "ec2-1-2-3-4.eu-west-1.compute.amazonaws.com",
        "mail.example.com",
        "localhost",
        "127.0.0.1",
        "",
    ],
)
def test_a_server_of_ones_own_is_not_an_established_provider(host: str) -> None:
    assert presets.established(host) is None


def test_proton_bridge_is_known_by_its_port_and_may_sign_its_own_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert presets.by_host("127.0.0.1") is None
    assert presets.by_host("127.0.0.1", 2525) is None
    bridge = presets.by_host("127.0.0.1", 1025)
    assert name(bridge) == "Proton Mail Bridge"
    monkeypatch.setattr(presets, "by_host", lambda _host: bridge)
    assert presets.established("bridge.example.com") is None


def test_a_host_with_a_word_to_fill_in_says_so() -> None:
    assert not presets.by_name("Amazon SES").servers[0].complete
    assert presets.by_name("Gmail").servers[0].complete


@pytest.mark.parametrize(
    ("host", "pasted", "kept"),
    [
        ("smtp.gmail.com", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("SMTP.GMAIL.COM", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("smtp.gmail.com", "abcd\u00a0efgh\u00a0ijkl\u00a0mnop\n", "abcdefghijklmnop"),
        ("smtp.gmail.com", " abcdefghijklmnop ", "abcdefghijklmnop"),
        ("smtp.mail.yahoo.com", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("smtp.aol.com", "abcd efgh ijkl mnop", "abcdefghijklmnop"),
        ("smtp.gmail.com", "my own pass phrase", "my own pass phrase"),
        ("smtp.gmail.com", "abcd efgh ijkl mnop qrst", "abcd efgh ijkl mnop qrst"),
        ("smtp.gmail.com", "ab cd efgh ijkl mnop", "ab cd efgh ijkl mnop"),
        ("smtp.gmail.com", "", ""),
        ("smtp.mail.me.com", "abcd-efgh-ijkl-mnop", "abcd-efgh-ijkl-mnop"),
        ("smtp.office365.com", "abcd efgh ijkl mnop", "abcd efgh ijkl mnop"),
        ("mail.example.com", "abcd efgh ijkl mnop", "abcd efgh ijkl mnop"),
        ("mail.example.com", " secret ", " secret "),
    ],
)
def test_a_password_loses_only_the_blanks_that_its_provider_displays(host: str, pasted: str, kept: str) -> None:
    assert presets.tidy_password(host, pasted) == kept


@pytest.mark.parametrize("wanted", ["Microsoft 365", "microsoft 365", " microsoft-365 "])
def test_a_preset_is_found_by_name_or_id_whatever_the_capitals(wanted: str) -> None:
    assert presets.by_name(wanted).id == "microsoft-365"


def test_an_unknown_name_is_a_sentence_that_offers_what_comes_near() -> None:
    with pytest.raises(KeyError) as caught:
        presets.by_name("Gmial")
    assert isinstance(caught.value, DocmailError)
    assert str(caught.value) == "docmail has no preset called “Gmial”. Choose one of: Gmail."


def test_an_unknown_guide_is_a_sentence() -> None:
    with pytest.raises(KeyError, match=r"no guide called “Prots”\..*Ports"):
        presets.guide("Prots")


@pytest.mark.parametrize(
    "heading",
    [
        *("Gmail", "Yahoo Mail", "Microsoft 365", "Outlook.com", "JupyterHub"),
        *("Ports", "Certificates", "Passwords", "Sending", "Addresses"),
    ],
)
def test_the_guides_that_errors_point_to_exist(heading: str) -> None:
    assert presets.guide(heading.upper()).markdown.startswith(f"# {heading}\n")


def test_a_guide_goes_from_its_heading_to_the_next_of_the_same_or_a_higher_level() -> None:
    question = presets.guide("Why does Gmail refuse my password?")
    assert question.markdown.startswith("## Why does Gmail refuse my password?\n")
    assert question.markdown.count("\n#") == 0
    whole = presets.guide("Gmail").markdown
    assert question.markdown in whole
    assert "# Google Workspace" not in whole
    last = presets.guide("How much may I send with Gmail?").markdown
    assert "# Google Workspace" not in last


def test_no_two_guides_share_a_heading() -> None:
    folder = resources.files("docmail").joinpath("guides")
    texts = [file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".md")]
    headings = re.findall(r"^#+ .*$", "\n".join(texts), re.MULTILINE)
    assert len(presets.guides()) == len(headings)


def test_every_chapter_of_the_guides_says_when_it_was_checked_and_answers_a_question() -> None:
    chapters = [presets.guide(title) for title in presets.guides()]
    for chapter in (guide for guide in chapters if guide.markdown.startswith("# ")):
        assert re.search(r"Checked 20\d\d-\d\d-\d\d\.", chapter.markdown), chapter.title
        assert re.search(r"^## .*\?$", chapter.markdown, re.MULTILINE), chapter.title


def test_every_link_in_the_guides_is_https() -> None:
    texts = [presets.guide(title).markdown for title in presets.guides()]
    links = re.findall(r"\]\((.*?)\)", "".join(texts))
    assert links
    assert all(link.startswith("https://") for link in links)


def test_starred_facts_are_told_with_about() -> None:
    """A limit marked approximate appears in the guide with "about" in its sentence."""
    for preset in presets.presets():
        for key in preset.limits.approximate:
            number = getattr(preset.limits, key)
            shown = f"{number // 1_000_000} MB" if key == "message_bytes" else f"{number:,}"
            sentences = re.split(r"\. |\n", presets.guide(preset.guide).markdown)
            telling = [sentence for sentence in sentences if shown in sentence]
            assert all("about" in sentence.lower() for sentence in telling), (preset.name, key)
            assert telling or preset.id == "aol", (preset.name, key)
