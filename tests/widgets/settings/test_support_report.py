from __future__ import annotations

import re

import pytest

import docmail
from docmail.diagnosis import Check, Diagnosis, send_test
from docmail.errors import Kind
from docmail.reply import Reply
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.settings import HttpServer, Security, Settings, SmtpServer
from docmail.widgets import SettingsForm
from docmail.widgets.settings import support_report

WHO = "accounts@example.com"


def test_the_report_of_a_real_failure_tells_an_administrator_everything_but_who_and_the_password() -> None:
    with docmail.Sandbox(failing="gmail-app-password") as box:
        text = support_report.report(send_test(box.settings), box.settings)
        assert f"SMTP {box.host}:{box.port}, STARTTLS" in text
        assert box.settings.account.username not in text
        assert SANDBOX_PASSWORD not in text
    assert f"docmail {docmail.__version__}, Python 3." in text
    assert re.search(r"^ok +encryption .*TLS", text, re.MULTILINE)
    assert re.search(r"^FAILED sign-in .*534 5\.7\.9", text, re.MULTILINE)
    assert "What docmail advises: " in text


@pytest.mark.parametrize(
    ("username", "words", "shown"),
    [
        ("relay-user-7", "relay-user-7 is unknown, ask postmaster@example.com", "••• is unknown, ask …@…"),
        ("Relay-User-7", "relay-user-7 is unknown", "••• is unknown"),
        ("ann", "Who is ann?", "Who is •••?"),
        ("ann", "Cannot announce ann.", "Cannot announce •••."),
        ("resend", "smtp.resend.com refuses resend.", "smtp.resend.com refuses •••."),
    ],
)
def test_a_username_that_is_no_address_is_hidden_in_the_report_and_nothing_else_is(
    username: str, words: str, shown: str
) -> None:
    settings = Settings(WHO, SmtpServer("smtp.resend.com", username=username))
    said = Reply(535, "5.7.8", words)
    check = Check("auth", ok=False, text=f"Refused. It said: {said}", seconds=0.1, kind=Kind.AUTH, reply=said)
    text = support_report.report(Diagnosis((check,)), settings)
    assert "SMTP smtp.resend.com:587" in text
    assert f"535 5.7.8 {shown}" in text


def test_thunderbird_s_screen_is_filled_in_line_by_line() -> None:
    server = SmtpServer("smtp.example.com", port=465, username=WHO)
    assert support_report.thunderbird(Settings("Accounts", server)) == [
        ("Server Name", "smtp.example.com"),
        ("Port", "465"),
        ("Connection security", "SSL/TLS"),
        ("Authentication method", "Normal password"),
        ("User Name", WHO),
    ]
    plain = SmtpServer("localhost", port=25, security=Security.NONE)
    assert support_report.thunderbird(Settings(WHO, plain))[2:] == [
        ("Connection security", "None"),
        ("Authentication method", "No authentication"),
    ]
    assert support_report.thunderbird(Settings("Accounts", HttpServer("mail.example.com"), reply_to=(WHO,))) == []


def test_a_failed_test_offers_both_in_the_form_and_a_good_one_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Check("auth", ok=False, text="<b>Refused.</b>", seconds=0.1, kind=Kind.AUTH, field="password")
    results = [Diagnosis((refused,)), Diagnosis((Check("data", ok=True, text="taken", seconds=0.1),))]
    monkeypatch.setattr("docmail.diagnosis.diagnosis.diagnose", lambda *_settings, **_options: results.pop(0))
    form = SettingsForm()
    form.fill(host="smtp.example.com", username=WHO, sender="Accounts")
    form.test()
    assert "Copy report" in form.report.value
    assert "Try the same settings in Thunderbird" in form.report.value
    assert "<b>Refused" not in form.report.value
    form.test()
    assert "Copy report" not in form.report.value
