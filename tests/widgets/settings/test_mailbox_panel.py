"""The mailbox in the settings form: folded, prefilled, tested by its own button, saved by Update."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest

from docmail import credentials
from docmail.diagnosis import Check, Diagnosis
from docmail.errors import Field, Kind
from docmail.mailbox import Mailbox
from docmail.reply import Reply
from docmail.secret import Secret
from docmail.settings import HttpServer, Security, Settings, SmtpServer
from docmail.widgets import SettingsForm
from tests.widgets.press import as_synced, press

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.support.memory_keyring import MemoryKeyring

HERE = {"host": "smtp.example.com", "username": "accounts@example.com", "sender": "Accounts"}
SERVER = SmtpServer("smtp.example.com", username="accounts@example.com")
OWN = Mailbox("imap.example.com", username="bounces@example.com")
FINGERPRINT = ":".join(["AB"] * 32)
SENTENCE = "Reads which mails came back (bounced), files copies of what was sent, deletes nothing."
GOOD = [("settings", "complete"), ("auth", "signed in"), ("folders", "copies go to “Sent”")]


def passed(*phases: tuple[str, str]) -> list[Check]:
    return [Check(phase, ok=True, text=text, seconds=0.1) for phase, text in phases]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Check]], list[tuple[Settings, Secret | None]]]:
    """Return a function that says what a test of a mailbox will find; it returns what was tested, with which secret."""

    def answer(checks: Sequence[Check]) -> list[tuple[Settings, Secret | None]]:
        asked: list[tuple[Settings, Secret | None]] = []

        def diagnose_mailbox(settings: Settings, *, secret: Secret | None, on_check: Any, **_options: Any) -> Diagnosis:
            asked.append((settings, secret))
            for check in checks:
                on_check(check)
            return Diagnosis(tuple(checks))

        monkeypatch.setattr("docmail.diagnosis.mailbox_checks.diagnose_mailbox", diagnose_mailbox)
        return asked

    return answer


def filled(**values: Any) -> SettingsForm:
    form = SettingsForm()
    form.fill(**HERE | values)
    return form


def press_test(form: SettingsForm, secrets: dict[str, str] | None = None, **values: Any) -> str:
    """Press Test mailbox with what is typed into the rows of secrets; return what is then shown."""
    typed = secrets or {}
    sent = {name: as_synced(form, name, value) for name, value in values.items()}
    buffers = [memoryview(secret.encode()) for secret in typed.values()]
    message = {"action": "test-mailbox", "values": sent, "secrets": list(typed)}
    form.mailbox.actions._handle_custom_msg(message, buffers)
    assert form.mailbox._work._running.acquire(timeout=30), "it is still tested"
    form.mailbox._work._running.release()
    return shown(form)


def shown(form: SettingsForm) -> str:
    """Return what stands beside the button and below it."""
    return str(form.mailbox.actions.status["sentence"]) + str(form.mailbox.report.value)


def states(form: SettingsForm) -> set[str]:
    return {name.removeprefix("dm-") for name in form._dom_classes if name.startswith("dm-mailbox")}


# --- what stands in it ---


def test_a_form_says_what_docmail_does_in_a_mailbox_and_looks_into_none_unasked() -> None:
    form = filled()
    assert form.rows["mailbox"].note == SENTENCE
    assert not form.fields["after_sending"].value
    assert form.fields["after_sending"].description == "After sending"
    assert form.save()
    assert Settings.load().mailbox is None


def test_the_guide_stands_in_the_fold_once_it_is_opened() -> None:
    form = filled()
    assert not form.mailbox.guide.value
    form.fields["after_sending"].value = True
    assert "Show me how: After sending" in form.mailbox.guide.value
    assert "How do I set up the mailbox?" in form.mailbox.guide.value


def test_what_is_filled_in_is_saved_and_comes_back_folded_under_the_server_s_name() -> None:
    form = filled(mailbox_host="imap.example.com", mailbox_port=143)
    assert form.save()
    assert Settings.load().mailbox == Mailbox("imap.example.com", 143)
    again = SettingsForm()
    assert repr(again) == "<SettingsForm profile=default, saved>"
    assert again.fields["mailbox"].value
    assert again.fields["mailbox_security"].value is Security.STARTTLS
    assert again.fields["after_sending"].description == "After sending · imap.example.com"
    assert not again.fields["after_sending"].value
    again.fields["mailbox"].value = False
    assert again.save()
    assert Settings.load().mailbox is None


@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox("imap.example.com"),
        Mailbox("imap.example.com", 1993, Security.TLS, "bounces@example.com"),
        Mailbox("imap.example.com", fingerprint=FINGERPRINT),
    ],
)
def test_every_mailbox_opens_as_it_was_saved(mailbox: Mailbox) -> None:
    Settings("Accounts", SERVER, mailbox=mailbox).save()
    form = SettingsForm()
    assert repr(form) == "<SettingsForm profile=default, saved>"
    assert form.save()
    assert Settings.load().mailbox == mailbox


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ({"mailbox_host": ""}, "mailbox_host"),
        ({"mailbox_host": "http://x"}, "mailbox_host"),
        ({"mailbox_port": "12x"}, "mailbox_port"),
        ({"mailbox_security": Security.NONE}, "mailbox_security"),
        ({"mailbox_self_signed": True, "mailbox_fingerprint": "12:AB"}, "mailbox_fingerprint"),
        ({"mailbox_self_signed": True, "mailbox_ca_file": "/nowhere/ca.pem"}, "mailbox_ca_file"),
    ],
)
def test_what_is_wrong_stands_at_its_row_and_opens_the_fold(values: dict[str, Any], row: str) -> None:
    form = filled(mailbox_host="imap.example.com")
    press(form, "update", **values)
    assert form.rows.wrong == [row]
    assert form.fields["after_sending"].value
    form.fields["after_sending"].value = False
    press_test(form, **values)
    assert form.rows.wrong == [row]
    assert form.fields["after_sending"].value
    assert "One field needs another look." in shown(form)


def test_a_mailbox_of_a_known_provider_is_prefilled_and_one_line_once_it_is_wanted() -> None:
    form = SettingsForm()
    form.fields["email_address"].value = "anna@gmail.com"
    assert form.fields["mailbox_host"].value == "imap.gmail.com"
    assert "mailbox-known" not in states(form)
    form.fields["mailbox"].value = True
    assert "mailbox-known" in states(form)
    assert form.rows["mailbox"].note.startswith(
        "Reads which mails came back (bounced), deletes nothing. Gmail itself files the copies"
    )
    assert "imap.gmail.com · port 993 · encrypted" in form.rows["mailbox_server"].note
    assert form.fields["mailbox_self_signed"].disabled
    form.fields["mailbox_username"].value = "other@gmail.com"
    assert "mailbox-known" not in states(form)
    form.fields["mailbox_username"].value = ""
    form.fields["mailbox"].value = False
    form.fields["email_address"].value = "anna@example.org"
    assert form.fields["mailbox_host"].value == ""


def test_a_server_that_somebody_has_typed_stays_with_another_provider() -> None:
    form = SettingsForm()
    form.fields["mailbox_host"].value = "imap.example.com"
    form.fields["email_address"].value = "anna@gmail.com"
    assert form.fields["mailbox_host"].value == "imap.example.com"


def test_for_a_server_of_one_s_own_the_likely_name_is_offered() -> None:
    form = filled()
    form.fields["mailbox"].value = True
    assert 'data-value="imap.example.com"' in form.rows["mailbox_host"].note
    form.fields["mailbox_host"].value = "mail.example.com"
    assert "data-value" not in form.rows["mailbox_host"].note


def test_mail_services_are_said_to_send_no_bounces() -> None:
    form = SettingsForm()
    form.fill(protocol="http", api="postmark", sender="Accounts", email_address="accounts@example.com")
    assert "Postmark sends no bounce mails: what became of a mail stands on its own pages." in form.rows["mailbox"].note
    form.fill(api="graph")
    assert form.rows["mailbox"].note == SENTENCE
    form.fill(api="form")
    assert "A server that takes mail as a form gets the bounces itself" in form.rows["mailbox"].note


# --- the password ---


@pytest.mark.parametrize(
    ("values", "own"),
    [
        ({"mailbox_host": "imap.example.com"}, False),
        ({"mailbox_host": "imap.example.com", "mailbox_username": "bounces@example.com"}, True),
        ({"mailbox_host": "imap.elsewhere.example"}, True),
        ({"mailbox_host": ""}, False),
    ],
)
def test_a_password_is_asked_for_where_that_of_sending_does_not_serve(values: dict[str, str], own: bool) -> None:  # noqa: FBT001
    form = filled(**values)
    form.fields["mailbox"].value = True
    assert ("mailbox-own" in states(form)) is own


def test_update_keeps_the_mailbox_s_own_password_under_its_account(memory_keyring: MemoryKeyring) -> None:
    form = filled(mailbox_host="imap.example.com", mailbox_username="bounces@example.com")
    cleared: list[Any] = []
    form.mailbox.password.send = lambda content, **_options: cleared.append(content)
    message = {"action": "update", "values": {}, "secrets": ["password", "mailbox_password"]}
    form.actions._handle_custom_msg(message, [memoryview(b"for-sending"), memoryview(b"for-reading")])
    assert form._work._running.acquire(timeout=30)
    form._work._running.release()
    settings = Settings.load()
    assert settings.mailbox == OWN
    assert credentials.get(settings) == Secret("for-sending")
    assert credentials.get(settings.for_mailbox) == Secret("for-reading")
    assert sorted(memory_keyring.data.values()) == ["for-reading", "for-sending"]
    assert cleared == [{"clear": True}]
    assert "kept in" in form.rows["mailbox_password"].note
    assert "stored" in form.mailbox.password.placeholder
    assert "for-reading" not in repr(ipywidgets.Widget.get_manager_state()) + repr(vars(form))


def test_a_mailbox_without_its_password_is_saved_and_says_what_is_missing() -> None:
    form = filled(mailbox_host="imap.example.com", mailbox_username="bounces@example.com")
    press(form, "update", "for-sending")
    assert Settings.load().mailbox == OWN
    assert "no password is stored yet" in form.rows["mailbox_password"].note


# --- its test ---


@pytest.mark.parametrize(("username", "given"), [("", "for-sending"), ("bounces@example.com", "for-reading")])
def test_the_test_takes_what_is_typed_for_the_account_that_the_mailbox_has(
    found: Callable[[Sequence[Check]], list[Any]], username: str, given: str
) -> None:
    asked = found(passed(*GOOD))
    form = filled(mailbox_host="imap.example.com")
    typed = {"mailbox_password": "for-reading", "password": "for-sending"}
    said = press_test(form, typed, mailbox_username=username)
    assert [secret for _settings, secret in asked] == [Secret(given)]
    assert asked[0][0].mailbox == Mailbox("imap.example.com", username=username or None)
    assert "Works: docmail can read bounces here and file copies (300 ms)." in said
    assert "copies go to “Sent”" in said
    assert form.mailbox.actions.status["details"] == "3 steps"
    assert "Not tested yet" in form.actions.status["sentence"]


def test_a_wrong_password_is_said_at_the_row_that_holds_it(found: Callable[[Sequence[Check]], list[Any]]) -> None:
    failed = Check(
        "auth",
        ok=False,
        text="The mailbox does not accept this username and password. NO wrong",
        seconds=0.1,
        kind=Kind.AUTH,
        hint="Type the password again.",
        field=Field.MAILBOX_PASSWORD,
        reply=Reply(0, "", "NO wrong"),
    )
    found([*passed(GOOD[0]), failed])
    form = filled(mailbox_host="imap.example.com", mailbox_username="bounces@example.com")
    said = press_test(form)
    assert form.rows.wrong == ["mailbox_password"]
    assert form.fields["after_sending"].value
    assert form.mailbox.actions.status["opened"]
    assert "What the server said" in said
    assert "report of a test of the mailbox" in said
    assert "bounces@" not in said


def test_a_certificate_that_is_not_verified_is_asked_about_only_where_the_box_is_ticked(
    found: Callable[[Sequence[Check]], list[Any]],
) -> None:
    failed = Check(
        "tls",
        ok=False,
        text=f"The certificate cannot be verified: {FINGERPRINT}.",
        seconds=0.1,
        kind=Kind.CONFIG,
        hint="Ask.",
        field=Field.MAILBOX_FINGERPRINT,
        fingerprint=FINGERPRINT,
    )
    found([failed])
    form = filled(mailbox_host="imap.example.com")
    said = press_test(form)
    assert form.rows.wrong == ["mailbox_self_signed"]
    assert "“Allow a self-signed certificate of the mailbox” is not ticked" in said
    form.fields["mailbox_self_signed"].value = True
    press_test(form)
    assert 'data-press="trust-mailbox"' in form.rows["mailbox_fingerprint"].note
    assert form.fields["mailbox_fingerprint"].value == ""
    press(form, "trust-mailbox")
    assert form.fields["mailbox_fingerprint"].value == FINGERPRINT
    assert "trust-mailbox" not in form.rows["mailbox_fingerprint"].note
    assert re.search("The certificate is trusted from now on", shown(form))


def test_a_change_of_the_mailbox_takes_back_its_own_result_and_not_that_of_the_test_email(
    found: Callable[[Sequence[Check]], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found(passed(*GOOD))
    monkeypatch.setattr(
        "docmail.diagnosis.diagnosis.diagnose", lambda *_args, **_options: Diagnosis(tuple(passed(*GOOD)))
    )
    form = filled(mailbox_host="imap.example.com")
    press(form, "test")
    press_test(form)
    form.fields["mailbox_port"].value = "143"
    assert "Changed since the test: test again." in shown(form)
    assert "Works: the test email is on its way" in form.actions.status["sentence"]
    press(form, "update")
    assert "Saved." in form.actions.status["sentence"]
    form.fields["mailbox_port"].value = "993"
    assert "Changed since it was saved." in form.actions.status["sentence"]


def test_a_service_with_keys_asks_for_the_username_of_the_mailbox() -> None:
    form = SettingsForm()
    form.fill(protocol="http", api="postmark", sender="Accounts", email_address="accounts@example.com")
    form.fill(mailbox_host="imap.example.com")
    press(form, "update")
    assert form.rows.wrong == ["mailbox_username"]
    form.fields["mailbox_username"].value = "accounts@example.com"
    assert form.save()
    assert isinstance(Settings.load().server, HttpServer)
    assert "mailbox-own" in states(form)
