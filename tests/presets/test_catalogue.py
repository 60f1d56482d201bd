"""What docmail knows about providers is complete, dated, and never taken for somebody else's domain."""

from __future__ import annotations

import ast
import dataclasses
import re
import shutil
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import docmail
from docmail import language as translation
from docmail import presets
from docmail.errors import DocmailError, Guide
from docmail.presets import catalogue, services
from docmail.replies import known
from docmail.settings import SignIn

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(docmail.__file__).parent
ENGLISH, AFRIKAANS = PACKAGE / "presets" / "guides", PACKAGE / "presets" / "guides" / "af"

IMPLICIT_TLS = {465, 2465}
STARTTLS = {587, 1025, 2525, 2587}

STEP_LENGTH = 100
"""Characters: about two lines in the panel beside the form."""


def name(preset: presets.Preset | None) -> str | None:
    return preset.name if preset else None


def on_screen(name: str, language: str) -> str:
    """Return what a button or a field is called in this language."""
    with translation.language(language):
        return translation._(name)


def sections(language: str) -> list[presets.Guide]:
    return list(catalogue._sections(language).values())


def without_subsections(section: presets.Guide) -> str:
    return re.split(r"^#", section.markdown[1:], maxsplit=1, flags=re.MULTILINE)[0]


def question(words: str, name: str) -> str:
    return presets.guide(words.format(name=name)).markdown


def numbered(markdown: str) -> list[str]:
    return re.findall(r"^\d+\. (.*)$", markdown, re.MULTILINE)


def as_read(markdown: str) -> str:
    """Return a line as it stands on the screen."""
    return re.sub(r"\[(.*?)\]\(.*?\)", r"\1", markdown).replace("**", "").replace("`", "")


def links(markdown: str) -> list[str]:
    return re.findall(r"\]\((.*?)\)", markdown)


def code(markdown: str) -> list[str]:
    return re.findall(r"`[^`]*`|^    .*$", markdown, re.MULTILINE)


def numbers(markdown: str) -> Counter[str]:
    return Counter(re.findall(r"\d+", re.sub(r"(?<=\d)[,\u00a0](?=\d{3})", "", markdown)))


def bold(markdown: str) -> Counter[str]:
    return Counter(re.findall(r"\*\*(.*?)\*\*", markdown))


each = pytest.mark.parametrize("preset", presets.presets(), ids=lambda preset: preset.id)
each_guide = pytest.mark.parametrize("name", dict.fromkeys(preset.guide for preset in presets.presets()))
both_languages = pytest.mark.parametrize("language", ["en", "af"])
each_file = pytest.mark.parametrize("file", sorted(path.name for path in ENGLISH.glob("*.md")))


def test_at_least_eighteen_providers_have_names_of_their_own() -> None:
    known = presets.presets()
    assert len(known) >= 18
    assert len({preset.id for preset in known}) == len({preset.name for preset in known}) == len(known)


@each
def test_a_preset_carries_the_date_on_which_it_was_checked(preset: presets.Preset) -> None:
    assert type(preset.checked) is date
    assert date(2026, 11, 23) <= preset.checked <= date.today()  # noqa: DTZ011 - a date without a time zone, too


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
def test_a_preset_uses_only_words_that_the_form_understands(preset: presets.Preset) -> None:
    assert re.fullmatch(r"address|local-part|other|fixed:\w+", preset.username)
    assert preset.password in {"app-password", "account", "api-key", "bridge", "oauth"}
    assert 0 < len(preset.password_hint) <= 40
    assert preset.established in {True, False}
    assert SignIn(preset.sign_in) in SignIn
    known = {field.name for field in dataclasses.fields(preset.limits)} - {"approximate"}
    assert set(preset.limits.approximate) <= {key for key in known if getattr(preset.limits, key)}


@each
def test_the_servers_of_a_preset_are_recognised_as_that_provider(preset: presets.Preset) -> None:
    for server in preset.servers:
        found = presets.by_host(server.host, server.port)
        assert found is not None
        assert found.guide == preset.guide or preset.id == "google-workspace"


def test_the_size_of_a_mail_is_limited_as_its_provider_says() -> None:
    assert presets.size_limit("smtp.gmail.com", 587) == 25_000_000
    assert presets.size_limit("smtp.office365.com", 587) == 35_000_000
    assert presets.size_limit("smtp.example.com", 587) is None
    assert presets.size_limit("mail.example.com", 443) is None


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
    monkeypatch.setattr(catalogue, "by_host", lambda _host: bridge)
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


def spoken_guides() -> Iterator[str]:
    """Yield the headings that the sources name: `Guide`, by keyword, in the tables of replies, or in a form."""
    yield from Guide
    yield from (reply.guide for name in known.tables() for reply in known.table(name) if reply.guide)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values: list[ast.expr | None] = []
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                values += [keyword.value for keyword in node.keywords if keyword.arg == "guide"]
                values += node.args[4:5] if called == "Meaning" else []
                values += node.args[:1] if called in {"markup.guide", "presets.guide"} else []
            elif isinstance(node, ast.Assign | ast.AnnAssign) and "guide" in ast.unparse(node).split()[:1]:
                values.append(node.value)
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and path.name == "tls.py":
                values += node.value.elts[3:]
            constants = [each for value in values if value is not None for each in ast.walk(value)]
            yield from (
                each.value for each in constants if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


def test_every_guide_that_errors_and_forms_point_to_exists() -> None:
    named = set(spoken_guides())
    assert len(named) > 8
    assert {"Gmail", "Microsoft 365", "Addresses", "Certificates", "Passwords", "Ports", "JupyterHub"} <= named
    for heading in named:
        assert presets.guide(heading).markdown.startswith(f"# {heading}\n"), heading


@both_languages
def test_a_guide_that_another_one_refers_to_exists(language: str) -> None:
    text = "".join(path.read_text("utf-8") for path in {"en": ENGLISH, "af": AFRIKAANS}[language].glob("*.md"))
    named = re.findall(r'\b(?:see|sien) "(.*?)"', text)
    assert len(named) > 5
    with translation.language(language):
        assert set(named) <= set(presets.guides())


def test_a_guide_goes_from_its_heading_to_the_next_of_the_same_or_a_higher_level() -> None:
    refusal = presets.guide("Why does Gmail refuse my password?")
    assert refusal.markdown.startswith("## Why does Gmail refuse my password?\n")
    assert refusal.markdown.count("\n#") == 0
    whole = presets.guide("GMAIL ").markdown
    assert whole.startswith("# Gmail\n")
    assert refusal.markdown in whole
    assert "# Google Workspace" not in whole
    last = presets.guide("Why does Google want me to sign in with a web browser?").markdown
    assert "# Google Workspace" not in last


@both_languages
def test_no_two_guides_share_a_heading(language: str) -> None:
    folder = {"en": ENGLISH, "af": AFRIKAANS}[language]
    headings = re.findall(r"^#+ .*$", "\n".join(path.read_text("utf-8") for path in folder.glob("*.md")), re.MULTILINE)
    assert len({heading.lstrip("# ").casefold() for heading in headings}) == len(headings)
    assert len(sections(language)) == len(headings)


def test_every_chapter_of_the_guides_says_when_it_was_checked_and_answers_a_question() -> None:
    for chapter in (guide for guide in sections("en") if guide.markdown.startswith("# ")):
        dates = re.findall(r"Checked (20\d\d-\d\d-\d\d)\.", chapter.markdown)
        assert len(dates) == 1, chapter.title
        assert date.fromisoformat(dates[0]) <= date.today(), chapter.title  # noqa: DTZ011
        assert re.search(r"^## .*\?$", chapter.markdown, re.MULTILINE), chapter.title


@each_guide
def test_the_guide_of_a_provider_answers_the_three_questions_first(name: str) -> None:
    headings = re.findall(r"^#+ .*$", presets.guide(name).markdown, re.MULTILINE)
    assert headings[:4] == [
        f"# {name}",
        f"## How do I set up {name}?",
        f"## Why does {name} refuse my password?",
        f"## How much may I send with {name}?",
    ]
    assert all(heading.startswith("## ") for heading in headings[1:])


@each
@both_languages
def test_the_steps_for_a_provider_are_few_and_short_and_end_with_test_and_update(
    preset: presets.Preset, language: str
) -> None:
    with translation.language(language):
        section = presets.steps(preset)
    heading, *introduction, listed = section.markdown.strip().split("\n\n")
    assert heading == f"## {section.title}"
    assert len(introduction) <= 1
    assert all(len(as_read(text)) <= 1.5 * STEP_LENGTH for text in introduction)
    steps = numbered(listed)
    assert [line.partition(". ")[0] for line in listed.split("\n")] == [str(at + 1) for at in range(len(steps))]
    assert 2 <= len(steps) <= 6
    assert not [step for step in steps if len(as_read(step)) > STEP_LENGTH]
    assert bold(steps[-1])[on_screen("Test email settings", language)]
    assert bold(steps[-1])[on_screen("Update", language)]
    entering = [step for step in steps[:-1] if on_screen("Password", language) in bold(step)]
    assert bool(entering) == (preset.password != "oauth")


def test_the_steps_of_presets_that_share_a_guide_are_the_same_section() -> None:
    personal, organisation = presets.by_name("zoho"), presets.by_name("zoho-organisation")
    assert presets.steps(personal) == presets.steps(organisation) == presets.guide("How do I set up Zoho Mail?")


@each_guide
def test_the_table_of_a_provider_agrees_with_its_presets(name: str) -> None:
    text = without_subsections(presets.guide(name))
    table = dict(re.findall(r"^\| (.*?) \| (.*) \|$", text, re.MULTILINE))
    servers = [server for preset in presets.presets() if preset.guide == name for server in preset.servers]
    assert list(table) == ["Field", "SMTP server", "Port", "Username", "Password"]
    assert re.findall(r"`(.*?)`", table["SMTP server"]) == list(dict.fromkeys(server.host for server in servers))
    ports = dict.fromkeys((str(server.port), server.security.upper()) for server in servers)
    assert re.findall(r"(\d+) \((\w+)\)", table["Port"]) == list(ports)
    rules = {preset.username for preset in presets.presets() if preset.guide == name}
    for rule in rules:
        expected = {"address": "address", "local-part": "before the @", "other": ""}
        word = f"`{rule.partition(':')[2]}`" if ":" in rule else expected[rule]
        assert word in table["Username"]


def test_every_link_is_https() -> None:
    written = [link for language in ("en", "af") for guide in sections(language) for link in links(guide.markdown)]
    assert written
    assert all(re.fullmatch(r"https://[\w.-]+(/[\w./-]*)?", link) for link in written)


@each
def test_the_guide_tells_every_limit_and_those_that_nobody_confirms_with_about(preset: presets.Preset) -> None:
    text = question("How much may I send with {name}?", preset.guide)
    for field in dataclasses.fields(preset.limits):
        number = getattr(preset.limits, field.name)
        if field.name == "approximate" or number is None:
            continue
        shown = f"{number // 1_000_000} MB" if field.name == "message_bytes" else f"{number:,}"
        telling = [sentence for sentence in re.split(r"[.;] |\n", text) if re.search(rf"\b{shown}\b", sentence)]
        assert telling, field.name
        if field.name in preset.limits.approximate:
            assert all("about" in sentence.lower() for sentence in telling), field.name


@each_guide
def test_a_guide_that_knows_no_number_of_messages_says_where_to_look(name: str) -> None:
    if not any(preset.limits.per_day for preset in presets.presets() if preset.guide == name):
        text = question("How much may I send with {name}?", name)
        assert "messages a day" in text or re.search(r"docmail knows n.* Look |docmail knows no .*; look ", text)


def said_by_the_form() -> set[str]:
    """Return the sentences of the widgets."""
    calls = (
        node
        for path in (PACKAGE / "widgets").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "_"
    )
    return {str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)}


def test_what_the_guides_name_in_bold_stands_on_the_screen() -> None:
    named = sum((bold(path.read_text("utf-8")) for path in ENGLISH.glob("*.md")), Counter[str]())
    assert len(named) > 10
    assert set(named) <= said_by_the_form()


def test_guides_and_steps_speak_the_current_language() -> None:
    english = presets.guide("Ports")
    with translation.language("af"):
        assert presets.guide("Ports").title == "Poorte"
        assert presets.guide("Ports").markdown.startswith("# Poorte\n")
        assert presets.guide(" poorte ") == presets.guide("Ports") != english
        assert presets.steps(presets.by_name("Gmail")).title == "Hoe stel ek Gmail op?"
        assert "Poorte" in presets.guides()
        assert "Ports" not in presets.guides()
        assert all(presets.guide(heading).title == heading for heading in presets.guides())
    assert presets.guide("Ports") == english
    with pytest.raises(KeyError, match="Poorte"):
        presets.guide("Poorte")


def test_a_file_that_is_not_translated_is_english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(ENGLISH, tmp_path / "guides")
    (tmp_path / "guides" / "af" / "ports.md").unlink()
    catalogue._sections.cache_clear()
    try:
        with monkeypatch.context() as elsewhere, translation.language("af"):
            elsewhere.setattr("importlib.resources.files", lambda _package: tmp_path)
            titles = presets.guide("Ports").title, presets.guide("Passwords").title
    finally:
        catalogue._sections.cache_clear()
    assert titles == ("Ports", "Wagwoorde")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (r"^## Watter poort kies ek\? .*\n", "a heading was forgotten, and its text left"),
        (r"^## Watter poort kies ek\? .*\n[^#]*", "a section was forgotten"),
        (r"(?<=ek\?) <!-- \w+ -->", "nothing says whose translation it is"),
        (r"(?<=<!-- )which_port", "it is the translation of what is there no more"),
    ],
)
def test_a_section_that_is_not_translated_is_english_and_the_others_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, what: str
) -> None:
    """One that was missing broke every guide in that language."""
    shutil.copytree(ENGLISH, tmp_path / "guides")
    file = tmp_path / "guides" / "af" / "ports.md"
    text, changes = re.subn(line, "", file.read_text("utf-8"), count=1, flags=re.MULTILINE)
    assert changes == 1, what
    file.write_text(text, "utf-8")
    catalogue._sections.cache_clear()
    try:
        with monkeypatch.context() as elsewhere, translation.language("af"):
            elsewhere.setattr("importlib.resources.files", lambda _package: tmp_path)
            missing = presets.guide("Which port do I choose?")
            others = [presets.guide("Ports"), presets.guide("What is the difference between TLS and STARTTLS?")]
            others += [presets.guide("Passwords"), presets.steps(presets.by_name("Gmail"))]
            assert len(presets.guides()) == len(sections("en"))
    finally:
        catalogue._sections.cache_clear()
    assert missing == presets.guide("Which port do I choose?")
    assert [guide.title for guide in others] == [
        *("Poorte", "Wat is die verskil tussen TLS en STARTTLS?", "Wagwoorde", "Hoe stel ek Gmail op?"),
    ]


@each_file
def test_every_section_is_translated_under_the_id_of_the_english_one(file: str) -> None:
    english, afrikaans = (catalogue._cut(folder / file) for folder in (ENGLISH, AFRIKAANS))
    assert [each.id for each in english] == [each.id for each in afrikaans]
    assert "<!--" not in "".join(each.markdown for each in afrikaans)


@each_file
def test_a_translated_guide_has_the_same_structure(file: str) -> None:
    english, afrikaans = (catalogue._cut(folder / file) for folder in (ENGLISH, AFRIKAANS))
    assert len(english) == len(afrikaans)
    for ours, theirs in zip(english, afrikaans, strict=True):
        assert kinds_of_lines(ours.markdown) == kinds_of_lines(theirs.markdown), ours.title
        assert len(numbered(ours.markdown)) == len(numbered(theirs.markdown)), ours.title


def kinds_of_lines(markdown: str) -> list[str]:
    return [re.match(r"#+ |\d+\. |- |\||    |$|", line)[0] for line in markdown.split("\n")]  # type: ignore[index]  # it also matches nothing


@each_file
def test_a_translated_guide_keeps_links_code_numbers_and_names_on_the_screen(file: str) -> None:
    english, afrikaans = (catalogue._cut(folder / file) for folder in (ENGLISH, AFRIKAANS))
    for ours, theirs in zip(english, afrikaans, strict=True):
        assert links(ours.markdown) == links(theirs.markdown), ours.title
        assert sorted(code(ours.markdown)) == sorted(code(theirs.markdown)), ours.title
        assert numbers(ours.markdown) == numbers(theirs.markdown), ours.title
        assert Counter(on_screen(name, "af") for name in bold(ours.markdown).elements()) == bold(theirs.markdown)


@each_file
def test_a_translated_guide_leaves_no_line_in_english(file: str) -> None:
    english, afrikaans = ((folder / file).read_text("utf-8").split("\n") for folder in (ENGLISH, AFRIKAANS))
    proper = {f"# {preset.guide}" for preset in presets.presets()} | {"# JupyterHub"}
    proper |= {f"# {service.guide}" for service in services.SERVICES}
    same = [line for line in afrikaans if line in english and re.search(r"[a-z]{2}", line) and line not in proper]
    # A server's name or a port is the same everywhere, and so is an indented line: it is code.
    assert not [line for line in same if not line.startswith("    ")]
    english_words = r"(?i)\b(?:the|and|you|your|which|with|not|this|that|but|for|there)\b"
    words = re.findall(english_words, "\n".join(without_quotations(afrikaans)))
    assert not words


def without_quotations(lines: list[str]) -> list[str]:
    """Return the lines without code, links and quoted words, which may be English."""
    return [re.sub(r'`[^`]*`|\]\(.*?\)|"[^"]*"|^    .*', "", line) for line in lines]


def test_a_translator_gets_every_word_of_the_presets_to_translate() -> None:
    given = list(presets.messages())
    for preset in presets.presets():
        assert preset.password_hint in given
    assert "Zoho Mail for organisations" in given
    assert "Gmail" not in given
