from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import ipywidgets
import keyring
import pytest

import docmail
from docmail import credentials, language
from docmail.credentials import keyring_store
from docmail.diagnosis import Check, Diagnosis
from docmail.errors import DocmailError, Kind
from docmail.reply import Certificate, Reply
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.secret import Secret
from docmail.settings import HttpServer, Security, Settings, SmtpServer, profiles
from docmail.widgets import SettingsForm
from tests.support.plain_keyring import PlainFile
from tests.widgets.press import as_synced, begin, finish, press

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.memory_keyring import MemoryKeyring

HERE = {"host": "smtp.example.com", "username": "accounts@example.com", "sender": "Accounts"}
SAVED = Settings("Accounts", SmtpServer("smtp.example.com", username="accounts@example.com"))


@pytest.fixture
def form(box: docmail.Sandbox) -> SettingsForm:
    """Return a form that is filled in for the sandbox."""
    found = SettingsForm()
    found.fill(
        host=box.host, port=box.port, username="accounts@example.com", sender="Accounts", ca_file=str(box.ca_file)
    )
    return found


def invalid(form: SettingsForm) -> list[str]:
    return form.rows.wrong


def status(form: SettingsForm) -> str:
    return str(form.actions.status["sentence"])


def shown(form: SettingsForm) -> str:
    """Return what stands beside the buttons, and in the details below them."""
    return status(form) + str(form.report.value)


# --- what it begins with ---


def test_an_empty_form_says_that_nothing_is_saved() -> None:
    form = SettingsForm()
    assert repr(form) == "<SettingsForm profile=default, not saved yet>"
    assert "not saved yet" in form._heading.value
    assert {"docmail-form", "dm-smtp", "dm-starttls"} <= set(form._dom_classes)


def test_saved_settings_are_in_the_form_and_their_password_is_a_placeholder(memory_keyring: MemoryKeyring) -> None:
    SAVED.save()
    credentials.set(SAVED, Secret("stored-password"))
    form = SettingsForm()
    assert repr(form) == "<SettingsForm profile=default, saved>"
    assert form.fields["host"].value == "smtp.example.com"
    assert "stored" in form.password.placeholder
    assert "keyring" in form.rows["password"].note
    assert list(memory_keyring.data.values()) == ["stored-password"]
    assert "stored-password" not in repr(ipywidgets.Widget.get_manager_state())


def test_a_password_in_an_unencrypted_file_is_not_said_to_be_in_the_keyring() -> None:
    keyring.set_keyring(PlainFile())
    form = SettingsForm()
    form.fill(**HERE)
    press(form, "update", "the-password")
    assert "The password is in an unencrypted file." in shown(form)
    for each in (form, SettingsForm()):
        assert "kept in an unencrypted file" in each.rows["password"].note
        assert "keyring" not in each.rows["password"].note + shown(each)


def test_a_key_that_cannot_be_one_is_refused_beside_the_buttons_and_nothing_is_saved() -> None:
    form = SettingsForm()
    form.fill(protocol="http", api="resend", sender="Accounts", email_address="accounts@example.com")
    for button in ("update", "test"):
        press(form, button, "re_1\u200b234567")
        assert "Character 5 of the key is invisible: U+200B ZERO WIDTH SPACE." in shown(form)
        assert "234567" not in shown(form)
    assert profiles() == []


def test_a_profile_is_opened_by_name_or_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    SAVED.save("work")
    assert repr(SettingsForm("work")) == "<SettingsForm profile=work, saved>"
    monkeypatch.setenv("DOCMAIL_PROFILE", "work")
    assert SettingsForm().fields["profile"].value == "work"


def test_a_damaged_settings_file_is_reported_in_the_form_and_left_as_it_is(home: Path) -> None:
    SAVED.save()
    path = home / "docmail" / "settings.json"
    path.write_text("{")
    form = SettingsForm()
    assert "damaged" in shown(form)
    form.fill(**HERE)
    press(form, "update")
    assert "damaged" in shown(form)
    assert path.read_text() == "{"


@pytest.mark.parametrize(
    "change", [{"host": "smtp.example.org"}, {"username": "b@example.com"}, {"port": 465}, {"protocol": "http"}]
)
def test_another_account_empties_the_placeholder_and_going_back_restores_it(change: dict[str, Any]) -> None:
    SAVED.save()
    credentials.set(SAVED, Secret("stored-password"))
    form = SettingsForm()
    before = {name: field.value for name, field in form.fields.items()}
    form.fill(**change)
    assert form.password.placeholder == ""
    note = form.rows["password"].note
    if change.get("protocol") != "http":  # there it is hidden
        assert "the stored password is for accounts@example.com at smtp.example.com, port 587" in note
    for name, value in before.items():
        form.fields[name].value = value
    assert form.password.placeholder


def test_typing_another_server_does_not_ask_the_keyring_at_every_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    SAVED.save()
    form = SettingsForm()
    monkeypatch.setattr("docmail.credentials.store.where", lambda _settings: pytest.fail("the keyring was asked"))
    for end in range(1, 10):
        form.fill(host="smtp.other"[:end])


def test_the_keyring_is_asked_once_per_account_and_again_after_an_update(
    memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    SAVED.save()
    form = SettingsForm()
    asked: list[Settings] = []
    where = credentials.where

    def ask(settings: Settings) -> credentials.Where | None:
        asked.append(settings)
        return where(settings)

    monkeypatch.setattr("docmail.credentials.store.where", ask)
    for end in range(1, 9):
        form.fill(sender="Accounts"[:end])
    form.fill(host="smtp.example.org")
    form.fill(host="smtp.example.com")
    assert asked == []
    press(form, "update", "typed-password")
    assert list(memory_keyring.data.values()) == ["typed-password"]
    assert "stored" in form.password.placeholder


# --- problems ---


def test_fields_with_problems_say_so_and_nothing_is_tested_or_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", lambda *_args, **_options: pytest.fail("it was tested"))
    form = SettingsForm()
    press(form, "test", host="http://x", username="", email_address="nonsense")
    assert invalid(form) == ["email_address", "host"]
    assert "✗" in form.rows["host"].note
    press(form, "update", host="")
    assert invalid(form) == ["email_address", "host"]
    assert profiles() == []


def test_the_first_field_with_a_problem_gets_the_focus(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SettingsForm()
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(form.actions, "send", lambda content, **_options: sent.append(content))
    press(form, "test", host="", email_address="")
    assert {"focus": "email_address"} in sent
    assert sent[-1] == {"finished": True}


def test_a_problem_below_advanced_unfolds_it() -> None:
    form = SettingsForm()
    form.fill(**HERE, ca_file="/nowhere/ca.pem")
    assert not form.fields["advanced"].value
    press(form, "test")
    assert invalid(form) == ["ca_file"]
    assert form.fields["advanced"].value


def test_editing_a_field_takes_its_problem_away() -> None:
    form = SettingsForm()
    press(form, "test", host="", email_address="a@example.com")
    form.fields["host"].value = "smtp.example.com"
    assert invalid(form) == []
    assert "as your provider names it" in form.rows["host"].note


def test_a_change_that_arrives_after_the_press_it_preceded_takes_nothing_away() -> None:
    """While a cell runs, messages of different widgets overtake each other."""
    form = SettingsForm()
    press(form, "test", host="http://x", email_address="a@example.com")
    form.fields["host"].value = "http://x"
    assert invalid(form) == ["host"]


def leave(form: SettingsForm, name: str, **values: Any) -> None:
    """Leave a field, as the front end reports it."""
    sent = {key: as_synced(form, key, value) for key, value in values.items()}
    form.actions._handle_custom_msg({"left": name, "values": sent}, [])


def test_a_field_is_judged_when_it_is_left_and_the_others_are_not() -> None:
    form = SettingsForm()
    leave(form, "host", host="http://x")
    assert invalid(form) == ["host"]
    leave(form, "host", host="smtp.example.com")
    assert invalid(form) == []


def test_an_address_that_is_the_username_is_judged_where_it_was_typed() -> None:
    form = SettingsForm()
    leave(form, "email_address", email_address="accounts@gmail", username="accounts@gmail")
    assert invalid(form) == ["email_address"]


@pytest.mark.parametrize("name", ["provider", "advanced", "nonsense"])
def test_leaving_what_cannot_be_wrong_says_nothing(name: str) -> None:
    form = SettingsForm()
    form.actions._handle_custom_msg({"left": name, "values": {}}, [])
    assert invalid(form) == []
    assert "Not tested yet." in shown(form)


def test_a_failure_while_following_a_change_is_shown_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SettingsForm()

    def broken(_name: str) -> None:
        raise RuntimeError("It broke")  # noqa: EM101, TRY003

    monkeypatch.setattr(form.help, "edited", broken)
    form.fields["host"].value = "smtp.example.com"
    assert "It broke" in shown(form)


# --- nothing that somebody decided is lost ---


def test_going_back_to_what_was_tested_is_followed_like_any_other_change(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Check("connect", ok=False, text="Refused.", seconds=0, kind=Kind.NETWORK)
    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", lambda *_args, **_options: Diagnosis((failed,)))
    form = SettingsForm()
    form.fields["email_address"].value = "me@gmail.com"
    press(form, "test", **{name: field.value for name, field in form.fields.items()})
    form.fields["email_address"].value = "me@yahoo.com"
    form.fields["email_address"].value = "me@gmail.com"
    assert form.fields["host"].value == "smtp.gmail.com"


def test_a_form_made_before_a_sandbox_opens_saves_where_it_said_it_would() -> None:
    form = SettingsForm()
    form.fill(**HERE)
    with docmail.Sandbox():
        rehearsed = SettingsForm()
        rehearsed.fill(**HERE | {"host": "rehearsal.example.com"})
        assert rehearsed.save()
        assert form.fields["host"].value == "smtp.example.com"
        assert form.save()
    assert Settings.load() == SAVED
    assert not rehearsed.save()
    assert "sandbox of this rehearsal is closed" in rehearsed.rows["profile"].note


@pytest.mark.parametrize(
    "other", [{"username": "", "email_address": "a@example.com"}, {"protocol": "http", "url": "h.example.com"}]
)
def test_a_password_typed_for_an_account_that_does_not_sign_in_is_neither_stored_nor_lost(
    memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    cleared: list[object] = []
    monkeypatch.setattr(form.password, "send", lambda content, **_options: cleared.append(content))
    press(form, "update", "typed-password", **other, http_reply_to="a@example.com")
    assert profiles() == ["default"]
    assert memory_keyring.data == {}
    assert cleared == []


@pytest.mark.parametrize(
    "settings",
    [
        Settings("Accounts <accounts@example.com>", SmtpServer("smtp.example.com", username="accounts@example.com")),
        Settings("A", SmtpServer("smtp.example.com", 587, Security.STARTTLS, "accounts@example.com")),
        Settings('"A"', SmtpServer("SMTP.Example.com", username="Accounts@Example.com")),
        Settings("A", HttpServer("mail.example.com", username="u"), reply_to=("a@example.com",)),
    ],
)
def test_settings_open_as_saved_however_they_were_written(settings: Settings) -> None:
    settings.save()
    form = SettingsForm()
    assert repr(form) == "<SettingsForm profile=default, saved>"
    assert form.save()
    assert Settings.load().account == settings.account
    assert Settings.load().address == settings.address


def test_another_profile_is_replaced_only_by_a_second_press() -> None:
    SAVED.save("work")
    form = SettingsForm()
    form.fill(**HERE | {"host": "smtp.other.com"}, profile="work")
    assert not form.save()
    assert invalid(form) == ["profile"]
    assert Settings.load("work") == SAVED
    assert form.save()
    assert Settings.load("work") != SAVED
    assert "DOCMAIL_PROFILE=work" in shown(form)


def test_the_question_about_another_profile_ends_when_the_name_is_changed() -> None:
    SAVED.save("work")
    form = SettingsForm()
    form.fill(**HERE | {"host": "smtp.other.com"}, profile="work")
    assert not form.save()
    form.fill(profile="private")
    form.fill(profile="work")
    assert not form.save()
    assert Settings.load("work") == SAVED


def test_a_name_that_cannot_be_a_profile_s_is_said_beside_its_field() -> None:
    form = SettingsForm()
    form.fill(**HERE, profile="a/b")
    assert not form.save()
    assert invalid(form) == ["profile"]
    assert form.fields["advanced"].value


def test_a_neighbour_that_fails_does_not_hide_that_the_settings_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    neighbour, form = SettingsForm(), SettingsForm()
    monkeypatch.setattr(neighbour, "settings_saved", lambda *_args: 1 / 0)
    form.fill(**HERE)
    assert form.save()
    assert "Saved." in shown(form)
    assert "ZeroDivisionError" in shown(form), "and neither is that lost"


def test_a_password_saved_by_one_form_is_known_to_the_other(memory_keyring: MemoryKeyring) -> None:
    SAVED.save()
    first, second = SettingsForm(), SettingsForm()
    press(first, "update", "typed-password")
    assert list(memory_keyring.data.values()) == ["typed-password"]
    assert "stored" in second.password.placeholder


def test_an_offer_to_trust_ends_when_the_server_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    changed_certificate(monkeypatch)
    form = SettingsForm()
    form.fill(**HERE | {"host": "mail.example.org"}, fingerprint=OLD)
    form.test()
    form.fields["host"].value = "mail.example.net"
    form.trust()
    assert form.fields["fingerprint"].value == OLD


def test_a_good_test_is_no_longer_reported_when_the_values_have_changed(form: SettingsForm) -> None:
    press(form, "test", SANDBOX_PASSWORD)
    assert "on its way" in shown(form)
    form.fields["advanced"].value = True
    assert "on its way" in shown(form), "to look is no change"
    form.fields["sender"].value = "Others"
    assert "Changed since the test" in status(form)
    assert "on its way" not in shown(form)
    assert form.report.value == ""
    assert form.actions.primary == "test"


def test_leaving_a_field_keeps_what_the_test_said_about_it(form: SettingsForm) -> None:
    press(form, "test", "wrong-password")
    leave(form, "password")
    leave(form, "username", username="accounts@example.com")
    assert invalid(form) == ["password"]


# --- its language, its neighbours, its absence ---


def test_a_form_speaks_its_language_to_every_caller(box: docmail.Sandbox) -> None:
    form = SettingsForm(language="af")
    assert form.rows["host"].control.description == "SMTP-bediener"
    leave(form, "host", host="http://x")
    in_english = SettingsForm()
    leave(in_english, "host", host="http://x")
    assert form.rows["host"].note != in_english.rows["host"].note
    press(form, "test", "wrong-password", host=box.host, username="accounts@example.com")
    assert "Test email settings" not in shown(form)
    assert form.actions.words["stop"] == "Stop"
    assert "E-posinstellings" in form._heading.value
    assert "Email settings" in in_english._heading.value


def test_without_a_choice_the_form_speaks_the_language_chosen_where_it_is_made() -> None:
    with language.language("af"):
        form = SettingsForm()
    form.fields["sender"].value = "Rekeninge"
    assert "E-posinstellings" in form._heading.value


def test_another_form_learns_what_one_has_saved() -> None:
    first, second = SettingsForm(), SettingsForm()
    first.fill(**HERE)
    assert first.save()
    assert repr(second) == "<SettingsForm profile=default, saved>"
    assert second.fields["host"].value == "smtp.example.com"


def test_what_somebody_is_typing_is_not_replaced_by_what_another_form_saves() -> None:
    first, second = SettingsForm(), SettingsForm()
    second.fill(host="relay.example.org")
    first.fill(**HERE)
    assert first.save()
    assert second.fields["host"].value == "relay.example.org"
    assert repr(second) == "<SettingsForm profile=default, changed>"


def test_the_cell_without_its_kernel_names_profile_and_server_and_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_options: outputs.append(bundle))
    SAVED.save("work")
    SettingsForm("work")._ipython_display_()
    static, live = outputs
    assert "application/vnd.jupyter.widget-view+json" in live
    words = re.sub(r"<style>.*?</style>", "", static["text/html"], flags=re.DOTALL)
    assert "“work”" in words
    assert "smtp.example.com:587" in words
    assert "Run this cell" in words
    assert "@" not in words + static["text/plain"] + live["text/plain"]
    assert "text/html" not in live


# --- the test ---


def test_the_test_sends_a_mail_with_the_values_as_they_stand(box: docmail.Sandbox, form: SettingsForm) -> None:
    form.fields["host"].value = "an.older.value"
    press(form, "test", SANDBOX_PASSWORD, host=box.host)
    assert "on its way to accounts@example.com" in shown(form)
    assert len(box.inbox) == 1
    assert form.actions.primary == "update"
    assert profiles() == []


def test_a_program_gets_the_diagnosis_and_an_untouched_password_is_the_stored_one(
    box: docmail.Sandbox, form: SettingsForm
) -> None:
    diagnosis = form.test()
    assert diagnosis is not None
    assert diagnosis.ok
    assert len(box.inbox) == 1


def test_a_wrong_password_marks_its_field_and_shows_hint_reply_and_guide(form: SettingsForm) -> None:
    press(form, "test", "wrong-password")
    assert invalid(form) == ["password"]
    assert "What the server said" in shown(form)
    assert "535" in shown(form)
    assert "Show me how" in shown(form)
    assert "wrong-password" not in shown(form)
    assert form.actions.primary == "test"


def test_a_password_that_is_neither_typed_nor_stored_is_asked_for(form: SettingsForm) -> None:
    press(form, "test", username="somebody@example.com")
    assert invalid(form) == ["password"]
    assert "Type it into Password" in form.rows["password"].note


def test_each_phase_appears_as_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    seen: list[str] = []

    def diagnose(_settings: Settings, *, on_check: Any, **_options: Any) -> Diagnosis:
        checks = (Check("dns", True, "found", 0.01), Check("connect", True, "port 587", 2.5))  # noqa: FBT003
        for check in checks:
            on_check(check)
            seen.append(shown(form))
        return Diagnosis(checks)

    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", diagnose)
    form.test()
    assert [text.count("✓") for text in seen] == [1, 2]
    assert "10 ms" in seen[0]
    assert "2.5 s" in seen[1]


def test_what_a_server_says_is_text_and_never_html(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<img src=x onerror=alert(1)>"
    failed = Check(
        "auth", ok=False, text=evil, seconds=0, kind=Kind.AUTH, hint=evil, field="password", reply=Reply(535, "", evil)
    )
    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", lambda *_args, **_options: Diagnosis((failed,)))
    form = SettingsForm()
    form.fill(**HERE)
    form.test()
    assert "<img" not in shown(form) + form.rows["password"].note
    assert "&lt;img" in shown(form)


def test_a_certificate_that_nobody_vouches_for_is_trusted_by_its_fingerprint_after_a_question(
    box: docmail.Sandbox, form: SettingsForm
) -> None:
    form.fill(ca_file="")
    press(form, "test", SANDBOX_PASSWORD)
    assert not asks_to_trust(form), "without the box nobody is asked"
    assert "“Allow self-signed certificates” is not ticked" in shown(form)
    assert invalid(form) == ["ca_file"]
    assert form.fields["advanced"].value
    press(form, "test", SANDBOX_PASSWORD, self_signed=True)
    assert asks_to_trust(form)
    question, rest = form.rows["fingerprint"].note, shown(form).replace("dm-support-report", "", 1)
    fingerprint = re.findall(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", question)
    assert len(fingerprint) == 1
    assert "tick" not in rest, "it is ticked"
    assert "Press Trust this certificate only if both are the same" in rest
    assert invalid(form) == []
    form.fields["self_signed"].value = True
    press(form, "trust")
    assert form.fields["fingerprint"].value == fingerprint[0]
    assert not asks_to_trust(form)
    assert "test again" in status(form)
    press(form, "test", SANDBOX_PASSWORD)
    assert "on its way" in shown(form)
    assert len(box.inbox) == 1


def asks_to_trust(form: SettingsForm) -> bool:
    return "Trust this certificate</button>" in form.rows["fingerprint"].note


def test_the_box_for_self_signed_certificates_is_off_for_an_established_provider() -> None:
    form = SettingsForm()
    form.fields["self_signed"].value = True
    form.fill(host="smtp.gmail.com")
    assert form.fields["self_signed"].disabled
    assert not form.fields["self_signed"].value
    assert "Gmail" in form.rows["self_signed"].note
    form.fill(host="mail.example.org")
    assert not form.fields["self_signed"].disabled


NEW = ":".join(["CD"] * 32)
OLD = ":".join(["AB"] * 32)


def changed_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = Certificate(
        "mail.example.org, Example <Ltd>",
        ("mail.example.org", "smtp.example.org"),
        "mail.example.org",
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2027, 11, 1, tzinfo=UTC),
        NEW,
    )
    failed = Check(
        "tls",
        ok=False,
        text=f"mail.example.org shows another certificate. Its fingerprint is {NEW}, not {OLD}.",
        seconds=0,
        kind=Kind.CONFIG,
        field="fingerprint",
        fingerprint=NEW,
        certificate=certificate,
    )
    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", lambda *_args, **_options: Diagnosis((failed,)))


def test_a_changed_certificate_is_shown_with_both_fingerprints_and_can_be_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changed_certificate(monkeypatch)
    form = SettingsForm()
    form.fill(**HERE | {"host": "mail.example.org"}, fingerprint=OLD)
    form.test()
    assert OLD in status(form)
    for words in (NEW, "Example &lt;Ltd&gt;", "smtp.example.org", "2026-11-01", "2027-11-01"):
        assert words in form.rows["fingerprint"].note
    assert asks_to_trust(form)
    assert form.fields["fingerprint"].value == OLD, "until somebody decides"
    form.trust()
    assert form.fields["fingerprint"].value == NEW
    assert not asks_to_trust(form)


def test_an_established_provider_s_certificate_is_never_offered_to_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    changed_certificate(monkeypatch)
    form = SettingsForm()
    form.fill(**HERE | {"host": "smtp.gmail.com"})
    press(form, "test", self_signed=True, fingerprint=OLD)
    assert not asks_to_trust(form)


@pytest.mark.parametrize(
    ("port", "security", "found", "label", "chosen"),
    [
        (465, Security.TLS, {"port": 587, "security": None}, "Use port 587", ("587", "starttls")),
        (465, Security.STARTTLS, {"port": 587, "security": None}, "Use port 587", ("587", "starttls")),
        (587, Security.TLS, {"security": Security.STARTTLS}, "Use STARTTLS", ("587", "starttls")),
        (587, Security.STARTTLS, {"security": Security.TLS}, "Use TLS", ("587", "tls")),
        (25, Security.STARTTLS, {"security": Security.NONE}, "Use no encryption", ("25", "none")),
    ],
)
def test_what_answers_is_offered_and_taken_by_a_press(  # noqa: PLR0913, PLR0917 - one line of the table
    monkeypatch: pytest.MonkeyPatch,
    port: int,
    security: Security,
    found: dict[str, Any],
    label: str,
    chosen: tuple[str, str],
) -> None:
    def diagnose(settings: Settings, **_options: Any) -> Diagnosis:
        assert isinstance(settings.server, SmtpServer)
        suggestion = replace(settings.server, **found)
        return Diagnosis(
            (Check("connect", ok=False, text="No.", seconds=0, kind=Kind.NETWORK, field="port", suggestion=suggestion),)
        )

    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", diagnose)
    form = SettingsForm()
    form.fill(**HERE, port=port, security=security)
    form.test()
    assert form.actions.actions[-1] == ["other-server", label]
    press(form, "other-server")
    assert (form.fields["port"].value, form.fields["security"].value) == chosen
    assert [action for action, _label in form.actions.actions] == ["test", "update"]
    assert "Changed since the test" in status(form)


# --- the line beside the buttons ---


def test_before_a_test_the_line_says_so_and_never_claims_one_of_an_earlier_form(form: SettingsForm) -> None:
    assert "Not tested yet." in status(form)
    press(form, "test", SANDBOX_PASSWORD)
    press(form, "update", SANDBOX_PASSWORD)
    assert "Saved." in status(form)
    again = SettingsForm()
    assert repr(again) == "<SettingsForm profile=default, saved>"
    assert "Saved before. Not tested since this cell ran." in status(again)
    again.fill(sender="Others")
    assert "Not tested yet." in status(again)


def test_a_saved_result_goes_with_the_first_change(form: SettingsForm) -> None:
    press(form, "update", SANDBOX_PASSWORD)
    assert "Saved." in status(form)
    form.fields["sender"].value = "Others"
    assert "Saved." not in status(form)
    assert "Changed since it was saved" in status(form)


def test_typing_another_password_takes_back_what_was_said_about_the_one_before(form: SettingsForm) -> None:
    press(form, "test", SANDBOX_PASSWORD)
    retype(form)
    assert "Changed since the test" in status(form)
    assert form.actions.primary == "test"
    press(form, "test", "wrong-password")
    assert invalid(form) == ["password"]
    retype(form)
    assert invalid(form) == []
    assert "Changed since the test. It said: " in status(form)
    assert "535" in shown(form), "the details can still be read"


def test_a_password_typed_during_the_test_is_not_said_to_work(server: Server) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    begin(form, "test", "first")
    assert server.started.wait(5)
    retype(form)
    assert "Testing" in status(form)
    server.go_on.set()
    finish(form)
    assert "Works" not in status(form)
    assert "Changed since the test" in status(form)


def retype(form: SettingsForm) -> None:
    """Type into the password, as the front end reports it: without what is typed."""
    form.actions._handle_custom_msg({"retyped": "password"}, [])


def test_the_line_names_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    seen: list[str] = []

    def diagnose(_settings: Settings, *, on_check: Any, **_options: Any) -> Diagnosis:
        names = ["settings", "credential", "dns", "connect", "greeting", "ehlo", "tls", "auth", "mail", "rcpt", "data"]
        checks = [Check(name, ok=True, text="", seconds=0.1) for name in names]
        for check in checks:
            on_check(check)
            seen.append(re.sub(r"<[^>]+>", "", form.actions.status["steps"]))
        return Diagnosis(tuple(checks))

    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", diagnose)
    form.test()
    assert seen[0] == "◌ reading the password …"
    assert seen[6] == "✓ name✓ connected✓ encrypted◌ signing in …"
    assert seen[-1] == "✓ name✓ connected✓ encrypted✓ signed in◌ looking at the domain&#39;s DNS …"
    assert "Works" in status(form)
    assert (form.actions.status["details"], form.actions.status["opened"]) == ("11 steps", False)
    assert form.actions.status["steps"] == ""


def test_a_failed_test_brings_the_field_to_change_and_opens_the_details(
    form: SettingsForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(form.actions, "send", lambda content, **_options: sent.append(content))
    press(form, "test", "wrong-password")
    assert sent[-2:] == [{"focus": "password"}, {"finished": True}]
    assert (form.actions.status["details"], form.actions.status["opened"]) == ("details", True)


# --- a password that is gone ---


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_a_new_kernel_s_form_says_that_the_password_is_gone() -> None:
    form = SettingsForm()
    form.fill(**HERE)
    press(form, "update", "typed-password")
    assert "kept until this kernel stops" in SettingsForm().rows["password"].note
    credentials.store._session.clear()  # as after a restart
    form = SettingsForm()
    assert "the password is gone: this machine has no keyring" in form.rows["password"].note
    assert "the password is missing" in status(form)
    assert form.password.placeholder == ""
    press(form, "update", "typed-password")
    assert "gone" not in form.rows["password"].note


def test_with_a_keyring_that_has_lost_it_the_form_asks_for_the_password_again(memory_keyring: MemoryKeyring) -> None:
    SAVED.save()
    credentials.set(SAVED, Secret("stored-password"))
    memory_keyring.data.clear()
    form = SettingsForm()
    assert "no password is stored for this account: type it again" in form.rows["password"].note
    assert "the password is missing" in status(form)


def test_a_locked_keyring_is_named_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    SAVED.save()

    def locked(*_args: object) -> None:
        raise keyring_store._locked("it does not answer")  # noqa: EM101, TRY003

    monkeypatch.setattr("docmail.credentials.store.where", locked)
    form = SettingsForm()
    assert "keyring cannot be used: it does not answer" in form.rows["password"].note
    assert "the password is missing" in status(form)


def test_a_password_of_the_environment_that_is_no_longer_there_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    SAVED.save()
    monkeypatch.setenv("DOCMAIL_PASSWORD", "from-outside")
    assert "DOCMAIL_PASSWORD" in SettingsForm().rows["password"].note
    monkeypatch.delenv("DOCMAIL_PASSWORD")
    assert "type it again" in SettingsForm().rows["password"].note


# --- running ---


class Server:
    """Stands in for `diagnose`: runs until it is aborted or released."""

    in_doubt = False

    def __init__(self) -> None:
        self.runs = 0
        self.started, self.go_on = threading.Event(), threading.Event()
        self.aborted = False

    def __call__(self, _settings: Settings, *, hold: Any, **_options: Any) -> Diagnosis:
        """Test until the test lets it end."""
        self.runs += 1
        hold(self)
        self.started.set()
        assert self.go_on.wait(10)
        text = "cut" if self.aborted else "taken"
        return Diagnosis((Check("connect", ok=not self.aborted, text=text, seconds=0, kind=Kind.NETWORK),))

    def abort(self) -> None:
        """Abort, as a transport does."""
        self.aborted = True
        self.go_on.set()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", found)
    return found


def test_a_second_press_does_nothing_while_the_first_is_at_work(server: Server) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    begin(form, "test")
    assert server.started.wait(5)
    assert form.actions.busy
    begin(form, "test")
    begin(form, "update")
    assert form.save() is False
    server.go_on.set()
    finish(form)
    assert server.runs == 1
    assert not form.actions.busy
    assert profiles() == []


def test_stop_breaks_the_connection_off_and_says_so(server: Server) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    begin(form, "test")
    assert server.started.wait(5)
    begin(form, "stop")
    finish(form)
    assert server.aborted
    assert "Stopped" in shown(form)
    assert invalid(form) == []


def test_a_failure_that_stop_did_not_cause_is_not_shown_as_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SettingsForm()
    form.fill(**HERE)

    def lost(*_args: object, **_options: object) -> Diagnosis:
        form._work.stopped = True
        return Diagnosis((Check("data", ok=False, text="It may have arrived.", seconds=0, kind=Kind.UNKNOWN),))

    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", lost)
    press(form, "test")
    assert "It may have arrived." in shown(form)
    assert "No test email was sent" not in shown(form)


def test_stop_before_there_is_a_connection_breaks_it_off_as_soon_as_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    server, may_connect = Server(), threading.Event()

    def diagnose(settings: Settings, **options: Any) -> Diagnosis:
        assert may_connect.wait(5)
        return server(settings, **options)

    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", diagnose)
    begin(form, "test")
    begin(form, "stop")
    may_connect.set()
    finish(form)
    assert server.aborted


@pytest.mark.parametrize("error", [DocmailError("It <b>broke</b>.", hint="Mend it."), RuntimeError("It broke")])
def test_whatever_goes_wrong_is_shown_and_the_buttons_work_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_args: object, **_options: object) -> Diagnosis:
        raise error

    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", fail)
    form = SettingsForm()
    form.fill(**HERE)
    press(form, "test")
    assert "broke" in shown(form)
    assert "<b>broke" not in shown(form)
    assert not form.actions.busy
    assert form.test() is None


def test_without_room_for_a_thread_the_form_says_so_and_a_later_press_works(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    with monkeypatch.context() as full:

        def start(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")  # noqa: EM101, TRY003

        full.setattr("threading.Thread.start", start)
        begin(form, "update")
    assert "start new thread" in shown(form)
    press(form, "update")
    assert profiles() == ["default"]


def test_a_form_whose_buttons_cannot_be_reached_is_not_busy_for_ever() -> None:
    form = SettingsForm()
    form.fill(**HERE)

    def gone(_change: object) -> None:
        raise OSError

    form.actions.observe(gone, "busy")
    with pytest.raises(OSError):  # noqa: PT011
        form.save()
    form.actions.unobserve(gone, "busy")
    assert form.save()


# --- saving ---


def test_update_keeps_settings_and_password_and_clears_the_input(
    memory_keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = SettingsForm()
    cleared: list[object] = []
    monkeypatch.setattr(form.password, "send", lambda content, **_options: cleared.append(content))
    form.fill(**HERE)
    press(form, "update", "typed-password")
    assert Settings.load() == SAVED
    assert list(memory_keyring.data.values()) == ["typed-password"]
    assert cleared == [{"clear": True}]
    assert "system&#39;s keyring" in shown(form)
    assert repr(form) == "<SettingsForm profile=default, saved>"
    assert form.actions.primary == ""
    form.fill(sender="Others")
    assert repr(form) == "<SettingsForm profile=default, changed>"


def test_update_with_an_untouched_password_keeps_the_stored_one(memory_keyring: MemoryKeyring) -> None:
    SAVED.save()
    credentials.set(SAVED, Secret("stored-password"))
    form = SettingsForm()
    form.fill(sender="Others")
    assert form.save()
    assert list(memory_keyring.data.values()) == ["stored-password"]
    assert Settings.load().sender == "Others"


def test_update_for_another_account_does_not_take_the_stored_password_along(memory_keyring: MemoryKeyring) -> None:
    SAVED.save()
    credentials.set(SAVED, Secret("stored-password"))
    form = SettingsForm()
    form.fill(host="smtp.example.org")
    assert form.save()
    assert len(memory_keyring.data) == 1
    assert invalid(form) == ["password"]
    assert "No password is stored" in shown(form)


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_the_form_says_how_long_the_password_lasts_and_what_to_do() -> None:
    form = SettingsForm()
    form.fill(**HERE)
    press(form, "update", "typed-password")
    assert "until this kernel stops" in shown(form)
    assert form.actions.status["details"] == "What you can do"
    assert "JupyterHub" in form.report.value
    assert credentials.get(SAVED) == Secret("typed-password")


def test_a_password_that_cannot_be_stored_is_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_args: object) -> None:
        raise keyring_store._locked("it does not answer")  # noqa: EM101, TRY003

    monkeypatch.setattr("docmail.credentials.store.where", locked)
    form = SettingsForm()
    form.fill(**HERE)
    press(form, "update")
    assert "Saved" in shown(form)
    assert "keyring cannot be used" in shown(form)


def test_what_cannot_be_a_password_is_refused_before_anything_is_saved(memory_keyring: MemoryKeyring) -> None:
    form = SettingsForm()
    form.fill(**HERE)
    press(form, "update", "typed\x07password")
    assert "invisible character U+0007" in shown(form)
    assert profiles() == []
    assert memory_keyring.data == {}
    assert repr(form) == "<SettingsForm profile=default, not saved yet>"


def test_update_saves_under_the_name_in_the_profile_field() -> None:
    form = SettingsForm()
    form.fill(**HERE, profile="work")
    assert form.save()
    assert profiles() == ["work"]
    assert repr(form) == "<SettingsForm profile=work, saved>"


def test_a_rehearsal_saves_in_the_sandbox_and_leaves_the_user_s_own_settings_alone(
    box: docmail.Sandbox, form: SettingsForm, memory_keyring: MemoryKeyring
) -> None:
    assert "rehearsal" in form._heading.value
    press(form, "update", SANDBOX_PASSWORD)
    assert "rehearsal" in shown(form)
    box.close()
    assert profiles() == []
    assert memory_keyring.data == {}


def test_a_user_s_own_settings_are_shown_and_saved_while_a_sandbox_is_open(
    box: docmail.Sandbox, memory_keyring: MemoryKeyring
) -> None:
    own = SettingsForm(own=True)
    assert "rehearsal" not in own._heading.value
    own.fill(**HERE)
    press(own, "update", "a-password")
    assert profiles() == [], "the rehearsal has none of it"
    assert repr(SettingsForm(own=True)) == "<SettingsForm profile=default, saved>"
    assert repr(SettingsForm()) == "<SettingsForm profile=default, not saved yet>"
    box.close()
    assert profiles() == ["default"]
    assert "a-password" in memory_keyring.data.values()


def test_the_password_is_nowhere_in_the_form_s_state_while_it_works(form: SettingsForm) -> None:
    press(form, "test", "very-secret-password")
    press(form, "update", "very-secret-password")
    states = repr(ipywidgets.Widget.get_manager_state())
    assert "very-secret-password" not in states + repr(form) + repr(vars(form))
