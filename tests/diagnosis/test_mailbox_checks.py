"""The test of the mailbox names the phase that fails, the field to change and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import docmail
from docmail.diagnosis import Diagnosis, check_mailbox, diagnose_mailbox, expected_mailbox_phases
from docmail.mailbox import Mailbox, OpenMailbox, in_words
from docmail.secret import Secret
from docmail.settings import HttpServer, Security, Settings, SmtpServer
from tests.support.scripted_imap import CUT, ScriptedImap

if TYPE_CHECKING:
    from docmail.diagnosis import Check
    from tests.support.certificates import Certificates

PASSWORD = Secret("correct horse")
SERVER = SmtpServer("localhost", username="ann@example.com")


def settings(port: int, **details: Any) -> Settings:
    return Settings("Ann", SERVER, mailbox=Mailbox("localhost", port, **{"security": "none", **details}))


def phases(diagnosis: Diagnosis) -> list[str]:
    return [str(check.phase) for check in diagnosis.checks]


def test_a_mailbox_that_can_be_used_passes_every_phase(certificates: Certificates) -> None:
    for security, implicit in ((Security.TLS, True), (Security.STARTTLS, False), (Security.NONE, False)):
        with ScriptedImap(tls=certificates.good().context(), implicit=implicit) as server:
            there = settings(server.port, security=security, ca_file=str(certificates.ca_file))
            docmail.credentials.set(there, "correct horse", remember=False)
            seen: list[Check] = []
            diagnosis = diagnose_mailbox(there, on_check=seen.append)
        assert diagnosis.ok, diagnosis.failed
        assert phases(diagnosis) == [str(each) for each in expected_mailbox_phases(there)]
        assert seen == list(diagnosis.checks)
        assert diagnosis.checks[-1].text == "0 mails in the inbox; copies go to “Sent”"
        assert diagnosis.checks[1].text == "as for sending: password of this session"
    assert not server.mails


def test_a_folder_that_does_not_exist_yet_is_said() -> None:
    listed = '* LIST () "/" INBOX\r\n{tag} OK'
    with ScriptedImap({"LIST": listed, "EXAMINE": ["* 3 EXISTS\r\n{tag} OK", "{tag} NO [NONEXISTENT] no"]}) as server:
        diagnosis = diagnose_mailbox(settings(server.port), secret=PASSWORD)
    assert diagnosis.checks[-1].text == "3 mails in the inbox; copies will go to a new folder “Sent”"
    assert not server.commands("CREATE")


@pytest.mark.parametrize(
    ("script", "phase", "field"),
    [
        ({"greeting": CUT}, "greeting", "mailbox_port"),
        ({"AUTHENTICATE": "{tag} NO [AUTHENTICATIONFAILED] no"}, "auth", "mailbox_password"),
        ({"LIST": CUT}, "folders", None),
    ],
)
def test_the_phase_that_fails_is_the_last(script: dict[str, Any], phase: str, field: str | None) -> None:
    with ScriptedImap(script) as server:
        diagnosis = diagnose_mailbox(settings(server.port), secret=PASSWORD)
    assert diagnosis.failed is diagnosis.checks[-1]
    assert (diagnosis.failed.phase, diagnosis.failed.field) == (phase, field)
    assert diagnosis.failed.hint


def test_a_port_at_which_nobody_listens_is_said_of_the_mailboxs_own_field() -> None:
    with ScriptedImap() as server:
        port = server.port
    failed = diagnose_mailbox(settings(port), secret=PASSWORD).failed
    assert failed is not None
    assert (failed.phase, failed.field) == ("connect", "mailbox_port")
    assert "993" in failed.hint
    assert "587" not in failed.hint


def test_a_certificate_is_shown_for_comparison(certificates: Certificates) -> None:
    with ScriptedImap(tls=certificates.self_signed().context(), implicit=True) as server:
        failed = diagnose_mailbox(settings(server.port, security="tls"), secret=PASSWORD).failed
        assert failed is not None
        assert (failed.phase, failed.field) == ("tls", "mailbox_fingerprint")
        assert failed.certificate is not None
        pinned = settings(server.port, security="tls", fingerprint=failed.fingerprint)
        assert diagnose_mailbox(pinned, secret=PASSWORD).ok


def test_a_missing_password_is_said_before_anything_is_connected() -> None:
    failed = check_mailbox(
        Settings("bob@example.com", SmtpServer("localhost", username="bob"), mailbox=Mailbox("localhost"))
    ).failed
    assert failed is not None
    assert failed.phase == "credential"


def test_settings_without_a_mailbox_say_so_in_a_sentence() -> None:
    failed = check_mailbox(Settings("Ann", SERVER)).failed
    assert failed is not None
    assert (failed.phase, failed.field) == ("settings", "mailbox_host")
    assert failed.text == "No mailbox is set: docmail looks for no bounces and files no copies."
    service = check_mailbox(Settings("ann@example.com", HttpServer("", "postmark"))).failed
    assert service is not None
    assert service.text == "Postmark sends no bounce mails: what became of a mail stands on its own pages."


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (SERVER, ["reads bounces", "deletes nothing", "marks nothing as read"]),
        (HttpServer("", "graph", "ann@example.com"), ["reads bounces", "deletes nothing"]),
        (HttpServer("", "brevo"), ["Brevo sends no bounce mails", "files copies", "deletes nothing"]),
        (HttpServer("forms.example.com"), ["gets the bounces itself", "files copies"]),
    ],
)
def test_what_docmail_does_in_a_mailbox_is_said_in_a_sentence(server: Any, words: list[str]) -> None:
    there = Settings("Ann", server, reply_to=("ann@example.com",), mailbox=Mailbox("imap.example.com", username="ann"))
    said = in_words(there)
    assert [word for word in words if word not in said] == []
    assert in_words(replace(there, mailbox=None))


def test_a_person_can_stop_it() -> None:
    held: list[OpenMailbox] = []

    def hold(mailbox: OpenMailbox) -> None:
        held.append(mailbox)
        mailbox.abort()

    with ScriptedImap() as server:
        failed = diagnose_mailbox(settings(server.port), secret=PASSWORD, hold=hold).failed
    assert failed is not None
    assert "Stopped" in failed.text
