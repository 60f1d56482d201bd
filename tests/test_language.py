from __future__ import annotations

import ast
import gettext
import html
import platform
import re
import string
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

import docmail
from docmail import language as translation
from docmail import presets
from docmail.language import _, language
from docmail.presets import Guide, services
from docmail.presets import catalogue as presets_catalogue
from docmail.settings import Security
from docmail.widgets.parts.controls import Actions
from tests.support import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from babel.messages import Catalog, Message

    from docmail.sandbox.failures import Step

LANGUAGES = pytest.mark.parametrize("code", catalogue.LANGUAGES)

SAME = {
    "April",
    "Bcc",
    "Cc",
    "Cc, Bcc",
    "GMX.com",
    "Logo",
    "November",
    "STARTTLS",
    "September",
    "Stop",
    "TLS",
    "sender",
    "{name}, {size:,.1f} kB",
    "{number} MB",
    "{number} kB",
    "{number} ms",
    "{number} s",
}
"""What is the same in Afrikaans: abbreviations, names, units, and two words that both languages have."""

COMPUTED = re.compile(
    r"(?:\w+\.)*(?:preset|provider|known)\.(?:name|password_hint|password_note|notice)|self\.(?:message|hint)"
)
"""What may stand in `_()` although it is no literal: words of `presets.toml` and `known.toml`, which yield them."""


def _entries(code: str) -> Iterator[tuple[str, str]]:
    """Return each English sentence with its translation, if it has one; of a plural, each form with its own."""
    for message in catalogue.read(code):
        if message.id and all(_forms(message.string)):
            yield from zip(_forms(message.id), _forms(message.string), strict=True)


def _forms(text: str | list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    return (text or "",) if isinstance(text, str | None) else tuple(text)


def _ids(found: Catalog) -> set[tuple[str, ...]]:
    return {_forms(message.id) for message in found if message.id}


# --- the catalogue ---


@LANGUAGES
def test_the_catalogue_has_every_sentence_that_docmail_says_and_no_other(code: str) -> None:
    """`make catalogue` brings it up to date; what is new then waits in the .po file for its translation."""
    said, known = _ids(catalogue.sentences()), _ids(catalogue.read(code))
    assert said - known == set()
    assert known - said == set()
    assert list(catalogue.read(code).obsolete) == []


@LANGUAGES
def test_every_sentence_is_translated(code: str) -> None:
    def waits(message: Message) -> bool:
        return message.fuzzy or not all(_forms(message.string))

    assert [message.id for message in catalogue.read(code) if message.id and waits(message)] == []


@LANGUAGES
def test_a_translation_differs_from_the_english(code: str) -> None:
    assert {english for english, said in _entries(code) if english == said} - SAME == set()


@LANGUAGES
def test_a_translation_fills_in_what_the_english_fills_in(code: str) -> None:
    def placeholders(text: str) -> set[str]:
        return {f"{name}:{form}" for _text, name, form, _conversion in string.Formatter().parse(text) if name}

    assert {english: said for english, said in _entries(code) if placeholders(english) != placeholders(said)} == {}


@LANGUAGES
def test_a_translation_begins_and_ends_as_the_english_does(code: str) -> None:
    """White space, line ends and punctuation: a form puts sentences beside one another, and adds none."""

    def edges(text: str) -> tuple[str, str]:
        end = re.search(r"[\s.:!?;,…”\")]*$", text)
        # Where a quotation mark or a bracket closes, the languages may differ.
        return text[: len(text) - len(text.lstrip())], re.sub(r"[”\")]", "", end[0] if end else "")

    assert {english: said for english, said in _entries(code) if edges(english) != edges(said)} == {}


@LANGUAGES
def test_a_translation_keeps_what_is_to_be_typed_as_it_stands(code: str) -> None:
    """Python, names of variables, addresses and web addresses."""
    typed = re.compile(r"\w+(?:\.\w+)*\(.*?\)|\b[A-Z]+(?:_[A-Z0-9]+)+\b|\w+=[\"\w]+|[\w.]+@[\w.]+\w|https?://|<\S+>")
    wrong = {
        english: said for english, said in _entries(code) if set(typed.findall(english)) - set(typed.findall(said))
    }
    assert wrong == {}


@LANGUAGES
def test_what_users_read_is_compiled_from_what_translators_wrote(code: str) -> None:
    assert catalogue.po_file(code).with_suffix(".mo").read_bytes() == catalogue.compiled(catalogue.updated(code))


@LANGUAGES
def test_bringing_a_catalogue_up_to_date_a_second_time_changes_nothing(code: str) -> None:
    assert catalogue.po_file(code).read_bytes() == catalogue.written(catalogue.updated(code))


# --- the sources ---


def test_every_sentence_stands_in_the_sources_as_a_literal() -> None:
    """An f-string or a variable cannot be extracted: its sentence would never be translated."""
    wrong = [
        f"{path.name}:{line}: {ast.unparse(text)}"
        for path in sorted(catalogue.PACKAGE.rglob("*.py"))
        for line, texts in catalogue.calls(path)
        for text in texts
        if not (isinstance(text, ast.Constant) and isinstance(text.value, str))
        and not COMPUTED.fullmatch(ast.unparse(text))
    ]
    assert wrong == []


def test_a_sentence_within_an_f_string_is_found(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("""print(f"{_('One'):<12}{ngettext('{n} page', '{n} pages', 2)}")""")
    texts = [[ast.literal_eval(text) for text in found] for _line, found in catalogue.calls(path)]
    assert sorted(texts) == [["One"], ["{n} page", "{n} pages"]]


def test_both_forms_of_a_plural_are_told_by_their_number() -> None:
    """A language with one form, or with five, must find the number in each of them; "One field" may spell it out."""
    plurals = [_forms(message.id) for message in catalogue.sentences() if message.pluralizable]
    assert [pair for pair in plurals if not re.search(r"\{(?:count|number)\}", pair[1])] == []


# --- the language in force ---


def test_a_block_speaks_the_language_that_it_names() -> None:
    with language("af"):
        assert _("Update") == "Werk by"
        assert translation.current() == "af"
        assert translation.ngettext("{number} page", "{number} pages", 2) == "{number} bladsye"
    assert _("Update") == "Update"


@pytest.mark.parametrize("code", ["af", "af_ZA", "af-ZA"])
def test_a_country_may_follow_the_language(code: str) -> None:
    with language(code):
        assert _("Update") == "Werk by"


@pytest.mark.parametrize("code", ["en", "en_ZA", "xx", "C"])
def test_a_language_without_a_catalogue_is_english(code: str) -> None:
    with language("af"), language(code):
        assert _("Update") == "Update"
        assert translation.current() == "en"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LANGUAGE": "af"}, "Werk by"),
        ({"LANG": "af_ZA.UTF-8"}, "Werk by"),
        ({"LC_ALL": "af_ZA.UTF-8", "LANG": "en_ZA.UTF-8"}, "Werk by"),
        ({"LC_MESSAGES": "af_ZA.UTF-8", "LANG": "en_ZA.UTF-8"}, "Werk by"),
        ({"LANGUAGE": "nl:af:en", "LANG": "en_ZA.UTF-8"}, "Werk by"),
        ({"LANGUAGE": "en_ZA:en:af"}, "Update"),
        ({"LANGUAGE": "en", "LANG": "af_ZA.UTF-8"}, "Update"),
        ({"LANG": "nl_NL.UTF-8"}, "Update"),
        ({"LANG": "C.UTF-8"}, "Update"),
        ({}, "Update"),
    ],
    ids=str,
)
def test_without_a_choice_the_environment_decides(environment: dict[str, str], said: str) -> None:
    """In a fresh interpreter: the environment is read once."""
    code = "from docmail.language import _; print(_('Update'))"
    command = [sys.executable, "-X", "utf8", "-c", code]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(catalogue.PACKAGE.parent), **environment}, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == said


def test_a_form_speaks_the_language_that_it_is_asked_for() -> None:
    form = docmail.SettingsForm(language="af")
    assert [label for _name, label in form.actions.actions] == ["Toets e-posinstellings", "Werk by"]
    assert not form.save()
    assert "Gee die SMTP-bediener se naam" in form.rows["host"].note
    assert [label for _name, label in docmail.SettingsForm().actions.actions] == ["Test email settings", "Update"]


# --- the pseudo-language: what is said without gettext stands out ---


class Shouting(gettext.NullTranslations):
    """A language that says everything in capitals, except for what is filled in."""

    def gettext(self, message: str) -> str:
        """Return the message in capitals."""
        said = ""
        for text, name, form, conversion in string.Formatter().parse(message):
            blank = f"{name}{f'!{conversion}' if conversion else ''}{f':{form}' if form else ''}"
            said += text.upper() + ("" if name is None else f"{{{blank}}}")
        return said

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Return the form for the number, likewise."""
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.fixture
def _shouted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Speak the pseudo-language; so do the guides, whose translations are files of their own."""
    speaker = Shouting()
    monkeypatch.setattr(translation, "_catalogue", lambda _language: speaker)
    monkeypatch.setattr(
        presets_catalogue, "guide", lambda heading: Guide(heading.upper(), f"# {heading.upper()}\n\nTEXT.\n")
    )
    yield
    ipywidgets.Widget.close_all()


TEXTS = ("description", "tooltip", "placeholder", "label", "_options_labels", "words")
ATTRIBUTES = re.compile(r"\b(?:aria-label|title|alt|placeholder|data-copied|data-selected)=\"([^\"]*)\"")
NAMES = {
    "docmail",
    *("Python", "OpenSSL", platform.system()),
    # What the sandbox says about itself, as any server does in words of its own.
    "localhost ESMTP docmail sandbox",
    "docmail sandbox",
    "docmail sandbox CA",
    "Ok, in the inbox",
    "Google",
    "Microsoft",
    *(service.name for service in services.SERVICES),
}
DATA = re.compile(r"https?://|[\w.+-]+@[\w.-]+|(?:https?:/)?/\S+|\b\w[\w-]*\.[\w.-]*\w|\b[A-Za-z]*[0-9][\w-]*")
"""Addresses, paths, hosts and whatever has a digit in it: the same in every language."""


def _texts(widget: Any) -> Iterator[str]:
    """Return every text that a widget and what is in it show to a person."""
    for name in TEXTS:
        yield from _strings(getattr(widget, name, ""))
    if isinstance(widget, ipywidgets.HTML):
        yield widget.value
    if isinstance(widget, Actions):
        yield from (label for _name, label in widget.actions)
    for child in getattr(widget, "children", ()):
        yield from _texts(child)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _english(text: str) -> list[str]:
    """Return the words of a text that gettext has not seen."""
    text = re.sub(r"<div class=\"dm-said\">.*?</div>", " ", text)  # the server's own words, and fingerprints
    plain = html.unescape(" ".join([re.sub(r"<[^>]+>", " ", text), *ATTRIBUTES.findall(text)]))
    plain = re.sub("|".join(map(re.escape, sorted(NAMES, key=len, reverse=True))), " ", plain)
    return [word for word in re.findall(r"[^\W\d_]{2,}", DATA.sub(" ", plain)) if word != word.upper()]


def _untranslated(form: docmail.SettingsForm) -> list[list[str]]:
    return [words for text in [*_texts(form), *(row.note for row in form.rows.values())] if (words := _english(text))]


@pytest.mark.usefixtures("_shouted")
def test_the_pseudo_language_shows_what_is_not_translated() -> None:
    assert _english("<b>GIVE THE host.</b>") == ["host"]
    assert _english('<span aria-label="passed">SAVED smtp.example.com a@example.com docmail</span>') == ["passed"]
    assert _("{name} is {size:.1f} kB").format(name="It", size=2) == "It IS 2.0 KB"


@pytest.mark.usefixtures("_shouted")
def test_an_empty_form_is_translated_as_a_whole() -> None:
    form = docmail.SettingsForm("P")
    assert _untranslated(form) == []
    assert {"UPDATE", "PASSWORD", "SMTP SERVER", "SHOW", "STOP", "FIND SETTINGS"} <= set(_texts(form))
    static = form._repr_mimebundle_()["text/html"]
    assert _english(static) == []


@pytest.mark.usefixtures("_shouted")
@pytest.mark.parametrize("preset", presets.presets(), ids=lambda preset: preset.id)
def test_what_the_form_says_about_a_provider_is_translated(preset: presets.Preset) -> None:
    form = docmail.SettingsForm("P")
    form.fields["provider"].value = preset.id
    assert _untranslated(form) == []
    form.fill(host="SMTP.EXAMPLE.ORG", username="OTHER")
    form.fields["provider"].value = ""
    form.fields["provider"].value = preset.id
    assert _untranslated(form) == []
    form.fields["email_address"].value = "A@EXAMPLE.ORG"
    if preset.domains:
        form.fields["email_address"].value = f"A@{preset.domains[0].replace('*', 'com')}"
    assert _untranslated(form) == []


@pytest.mark.usefixtures("_shouted")
def test_a_name_of_a_provider_that_has_words_in_it_is_translated() -> None:
    labels = [label for label, _value in docmail.SettingsForm("P").fields["provider"].options]
    assert "ZOHO MAIL FOR ORGANISATIONS" in labels


WRONG: list[dict[str, Any]] = [
    {},
    {"protocol": "http"},
    {"protocol": "http", "url": "SMTP://X", "reply_to": "X"},
    {"protocol": "http", "url": "HTTP://", "reply_to": "A@B@C", "sender": "<X>"},
    {"host": "HTTPS://EXAMPLE.ORG/", "port": "X", "username": "A@B@C", "sender": 'A"B'},
    {"host": "EXAMPLE.ORG:25", "port": "0", "username": "A", "email_address": "B"},
    {"host": "A@EXAMPLE.ORG", "port": "70000", "copy_to": "X", "reply_to": '"X', "ca_file": "/NOTHING.PEM"},
    {"host": "-", "security": Security.NONE, "username": "A", "fingerprint": "12"},
    {"host": "1.2.3", "sender": "X" * 2000, "copy_to": "X\u200b@EXAMPLE.ORG", "reply_to": "X@EXAMPLE.ORG, Y"},
    {"host": "SMTP.EXAMPLE.ORG\u200b", "username": "X\u200b", "profile": "A/B", "sender": "\x07"},
    {"host": "SMTP.GMAIL.COM", "fingerprint": "A" * 64, "port": 25},
]


@pytest.mark.usefixtures("_shouted")
@pytest.mark.parametrize("values", WRONG, ids=lambda values: "-".join(values) or "nothing")
def test_what_the_form_says_about_a_wrong_value_is_translated(values: dict[str, Any]) -> None:
    form = docmail.SettingsForm("P")
    form.fill(**values)
    assert not form.save()
    assert form.rows.wrong
    assert _untranslated(form) == []


def _for(box: docmail.Sandbox) -> docmail.SettingsForm:
    form = docmail.SettingsForm("P")
    form.fill(host=box.host, port=box.port, username="accounts@example.com", sender="A", ca_file=str(box.ca_file))
    return form


@pytest.mark.usefixtures("_shouted")
def test_a_test_email_that_succeeds_is_reported_in_the_language_and_so_is_what_is_saved() -> None:
    with docmail.Sandbox() as box:
        form = _for(box)
        diagnosis = form.test()
        assert diagnosis
        assert diagnosis.ok
        assert _untranslated(form) == []
        assert form.save()
        assert _untranslated(form) == []
        assert _untranslated(docmail.SettingsForm("P")) == []


@pytest.mark.usefixtures("_shouted")
@pytest.mark.parametrize("step", ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end"])
@pytest.mark.parametrize("reply", ["421 4.3.2 X", "550 5.1.1 X", "535 5.7.8 X", ""], ids=["421", "550", "535", "cut"])
def test_a_test_email_that_fails_is_reported_in_the_language(step: Step, reply: str) -> None:
    with docmail.Sandbox() as box:
        form = _for(box)
        box.answer(step, reply) if reply else box.drop(step)
        diagnosis = form.test()
        assert diagnosis
        assert diagnosis.failed
        assert _untranslated(form) == []
