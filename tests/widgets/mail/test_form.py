from __future__ import annotations

import html
import re
import threading
from contextlib import closing
from email import message_from_bytes, policy
from typing import Any

import fpdf
import ipywidgets
import pandas as pd
import pytest

import docmail
from docmail import templates
from docmail.documents import Document
from docmail.errors import ConnectError, Kind, OutcomeUnknown, Refused
from docmail.outbox import Outbox
from docmail.sandbox import SANDBOX_PASSWORD
from docmail.settings import Settings, SmtpServer
from docmail.transport import SendResult
from docmail.widgets import EmailButton, SettingsForm
from docmail.widgets.mail.form import MailForm
from docmail.widgets.mail.notebook_tables import Table
from tests.widgets.press import begin, finish, press


@pytest.fixture
def report() -> Document:
    pdf = fpdf.FPDF()
    pdf.add_page()
    pdf.set_font("helvetica")
    pdf.cell(text="Q3")
    return Document.of(pdf, name="Q3.pdf")


@pytest.fixture
def form(box: docmail.Sandbox, report: Document) -> MailForm:
    """Return the open mail form of a document, with settings for the sandbox saved."""
    box.settings.save()
    return opened(EmailButton(report, to="cfo@example.com", subject="Q3"))


def opened(button: EmailButton) -> MailForm:
    button.toggle()
    form = button.mail_form
    assert isinstance(form, MailForm)
    assert button.panel.children == (form,)
    return form


def shown(form: MailForm) -> str:
    return str(form.report.value)


def invalid(form: MailForm) -> list[str]:
    return form.rows.wrong


# --- the button ---


def test_the_button_opens_the_form_and_closes_it_without_losing_what_was_typed(
    form: MailForm, report: Document
) -> None:
    button = EmailButton(report, to="a@example.com")
    form = opened(button)
    form.fields["to"].value = "b@example.com"
    button.toggle()
    assert button.form is None
    assert opened(button).fields["to"].value == "b@example.com"


@pytest.mark.usefixtures("box")
def test_before_settings_are_saved_the_button_opens_the_settings_form(report: Document) -> None:
    button, other = EmailButton(report), EmailButton(report)
    assert button.bar.actions[0] == ["email", "✉ Set up email"]
    button.bar._handle_custom_msg({"action": "email", "values": {}}, [])
    settings_form = button.settings_form
    assert isinstance(settings_form, SettingsForm)
    assert button.panel.children == (settings_form,)
    settings_form.fill(host="smtp.example.com", username="a@example.com")
    press(settings_form, "update", "typed-password")
    assert button.bar.actions[0] == other.bar.actions[0] == ["email", "✉ Email"]
    assert button.form is settings_form, "what was saved, and where, is still to be read"
    button.toggle()
    assert button.form is button.mail_form


def test_something_that_is_no_document_is_refused_at_once() -> None:
    with pytest.raises(docmail.errors.DocumentError):
        EmailButton("report.pdf")


def test_a_document_that_is_gone_is_reported_below_the_button(tmp_path: Any) -> None:
    path = tmp_path / "gone.csv"
    path.write_text("a,b")
    button = EmailButton(path)
    path.unlink()
    button.bar._handle_custom_msg({"action": "download", "values": {}}, [])
    assert isinstance(button.form, ipywidgets.HTML)
    assert "gone.csv" in button.form.value


def test_a_document_too_large_for_the_browser_is_not_read_for_a_download(tmp_path: Any) -> None:
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(100_000_000)
    button = EmailButton(tmp_path / "large.bin")
    button.bar._handle_custom_msg({"action": "download", "values": {}}, [])
    assert isinstance(button.form, ipywidgets.HTML)
    assert "too large to be downloaded here (100.0 MB)" in button.form.value
    assert str(tmp_path / "large.bin") in button.form.value


def test_a_download_sends_the_content_to_the_browser(report: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    button = EmailButton(report)
    sent: list[tuple[Any, Any]] = []
    monkeypatch.setattr(button.bar, "send", lambda content, buffers=None: sent.append((content, buffers)))
    button.bar._handle_custom_msg({"action": "download", "values": {}}, [])
    assert ({"download": "Q3.pdf", "type": "application/pdf"}, [report.read()]) in sent


# --- sending ---


def test_the_form_shows_who_sends_and_what_is_attached(form: MailForm) -> None:
    assert form._sender.html == "Accounts &lt;accounts@example.com&gt;"
    assert "Q3.pdf" in form.attachments.html


def test_send_delivers_what_stands_on_the_screen(box: docmail.Sandbox, form: MailForm) -> None:
    press(form, "send", body="**Attached**, the report.", cc="j@example.com", bcc="boss@example.com")
    assert "Sent to 3 recipients." in shown(form)
    (mail,) = box.inbox
    assert mail.subject == "Q3"
    assert "<strong>Attached</strong>" in mail.html
    assert [attachment.name for attachment in mail.attachments] == ["Q3.pdf"]
    assert form.actions.primary == ""


def test_recipients_that_were_refused_are_named_with_the_server_s_words(form: MailForm) -> None:
    press(form, "send", to='cfo@example.com; "Smith, J" <j@example.com>, nobody@example.com')
    assert "Sent to 2 recipients." in shown(form)
    assert "1 refused: nobody@example.com — No such mailbox here (550 5.1.1)" in shown(form)


def test_the_archive_copy_is_not_counted_as_a_recipient(box: docmail.Sandbox, report: Document) -> None:
    Settings(box.settings.sender, box.settings.server, copy_to="archive@example.com").save()
    form = opened(EmailButton(report, to="cfo@example.com", subject="Q3"))
    assert "archive@example.com" in form._sender.html
    assert "archive@example.com" not in repr(ipywidgets.Widget.get_manager_state())
    press(form, "send")
    assert "Sent to 1 recipient." in shown(form)


@pytest.mark.parametrize(
    ("field", "value"), [("to", ""), ("to", "nonsense"), ("cc", "a@"), ("bcc", "@b"), ("subject", "a\nb")]
)
def test_an_error_stands_beside_its_field_and_nothing_is_sent(
    box: docmail.Sandbox, form: MailForm, field: str, value: str
) -> None:
    press(form, "send", **{field: value})
    assert invalid(form) == [field]
    assert len(box.inbox) == 0
    if field in {"cc", "bcc"}:
        assert form.actions.fields["more"].value is True, "its row is unfolded"


def test_every_field_that_is_wrong_says_so_at_once(box: docmail.Sandbox, form: MailForm) -> None:
    press(form, "send", to="a@@b", cc="@c", subject="{{ month }}", body="{{ quarter }}")
    assert invalid(form) == ["to", "cc", "subject", "body"]
    assert len(box.inbox) == 0
    form.fields["to"].value = "Chris <cfo@example.com>"
    form.fields["body"].value = "Dear {{ name }}"
    assert invalid(form) == ["cc", "subject"]
    assert "Dear Chris" in form.preview.mail.html, "a subject that cannot be filled in does not keep the text from it"


def test_the_same_mail_again_needs_an_answer(box: docmail.Sandbox, form: MailForm, report: Document) -> None:
    press(form, "send")
    press(form, "send")
    assert "Sent to cfo@example.com already, today" in shown(form)
    assert form.actions.actions[0] == ["send-anyway", "Send again"]
    assert form.actions.primary == "send-anyway"
    assert len(box.inbox) == 1
    press(form, "send-anyway")
    assert len(box.inbox) == 2
    assert form.actions.actions[0] == ["send", "Send"]
    press(form, "send-anyway")
    assert len(box.inbox) == 2, "an answer holds for one mail"
    # Another form for the same document (the cell was run again) knows it from the record.
    again = opened(EmailButton(report, to="cfo@example.com", subject="Q3"))
    press(again, "send")
    assert len(box.inbox) == 2


def test_a_confirmation_does_not_hold_for_a_mail_that_was_changed_after_it(
    box: docmail.Sandbox, form: MailForm
) -> None:
    press(form, "send", subject="")
    assert "subject is empty" in shown(form)
    press(form, "send-anyway", subject="", to="other@example.com")
    assert len(box.inbox) == 0
    press(form, "send-anyway", subject="", to="other@example.com")
    assert len(box.inbox) == 1


def test_the_second_half_of_a_double_click_is_no_answer(box: docmail.Sandbox, form: MailForm) -> None:
    for _click in range(3):
        press(form, "send", subject="")
    assert "subject is empty" in shown(form)
    assert len(box.inbox) == 0


def test_an_edit_takes_a_question_back(form: MailForm) -> None:
    form.fields["subject"].value = ""
    press(form, "send")
    assert form.actions.actions[0] == ["send-anyway", "Send without a subject"]
    form.fields["subject"].value = "Q3"
    assert form.actions.actions[0] == ["send", "Send"]
    assert form.actions.primary == "send"
    assert shown(form) == ""


def test_a_mail_that_is_on_its_way_elsewhere_is_asked_about(box: docmail.Sandbox, form: MailForm) -> None:
    press(form, "send")
    with closing(Outbox()) as outbox, outbox._store.file.transaction() as database:
        database.execute("UPDATE mail SET state = 'sending'")
        database.execute("UPDATE recipient SET state = 'sending'")
    press(form, "send")
    assert "already, today" in shown(form)
    assert len(box.inbox) == 1


def test_a_failure_is_shown_with_a_way_to_the_settings(report: Document) -> None:
    with docmail.Sandbox() as box:
        box.settings.save()
        box.answer("auth", "535 5.7.8 <b>No</b>")
        form = opened(EmailButton(report, to="cfo@example.com", subject="Q3"))
        press(form, "send")
        assert "does not accept" in shown(form)
        assert "<b>No" not in shown(form)
        assert ["settings", "Email settings"] in form.actions.actions
        press(form, "settings")


def test_the_settings_of_the_moment_of_sending_count(box: docmail.Sandbox, form: MailForm) -> None:
    Settings("Somebody else", box.settings.server).save()
    press(form, "send")
    assert "Somebody else" in str(box.inbox[0]["From"])


class Delivery:
    """Stands in for `deliver`."""

    def __init__(self) -> None:
        self.in_doubt = self.aborted = False
        self.sending, self.go_on = threading.Event(), threading.Event()
        self.progress: Any = None

    def __call__(self, _message: object, *, progress: Any, hold: Any, **_options: object) -> SendResult:
        """Send until the test lets it end."""
        self.progress = progress
        hold(self)
        self.sending.set()
        assert self.go_on.wait(10)
        if self.aborted:
            raise ConnectError("Stopped.", kind=Kind.NETWORK)  # noqa: EM101
        return SendResult("<1@example.com>", ("cfo@example.com",))

    def abort(self) -> None:
        """Abort, as a transport does."""
        self.aborted = True
        self.go_on.set()


@pytest.fixture
def delivery(monkeypatch: pytest.MonkeyPatch) -> Delivery:
    found = Delivery()
    monkeypatch.setattr("docmail.outbox.single_mail.deliver", found)
    return found


def test_the_bar_follows_the_bytes_and_stop_is_off_after_the_last(form: MailForm, delivery: Delivery) -> None:
    begin(form, "send")
    assert delivery.sending.wait(5)
    for sent, share in ((0, 0), (500, 0.5), (501, 0.5), (1000, 1)):
        delivery.progress(sent, 1000)
        assert form.actions.progress == share
    assert not form.actions.stoppable
    delivery.go_on.set()
    finish(form)
    assert form.actions.stoppable
    assert not form.actions.busy


def test_stop_before_the_last_byte_says_that_nothing_was_sent(form: MailForm, delivery: Delivery) -> None:
    begin(form, "send")
    assert delivery.sending.wait(5)
    begin(form, "stop")
    finish(form)
    assert "Nothing was sent" in shown(form)


def test_stop_after_the_last_byte_does_nothing(form: MailForm, delivery: Delivery) -> None:
    begin(form, "send")
    assert delivery.sending.wait(5)
    delivery.in_doubt = True
    begin(form, "stop")
    assert not delivery.aborted
    delivery.go_on.set()
    finish(form)
    assert "Sent to 1 recipient." in shown(form)


def test_a_mail_in_doubt_is_shown_at_the_document_and_asked_about(box: docmail.Sandbox, form: MailForm) -> None:
    told: list[str] = []
    form.on_sent = lambda: told.append(shown(form))
    box.drop("end", times=1)
    press(form, "send")
    assert "may have arrived" in shown(form)
    assert form.actions.primary == "", "nothing invites to send it again"
    assert len(told) == 1
    press(form, "send")
    assert "Perhaps sent to cfo@example.com already, today" in shown(form)
    assert "nobody knows" in shown(form)
    assert len(box.inbox) == 1, "it had arrived; the second one waits for the answer"


def test_what_fails_after_the_mail_has_gone_does_not_look_as_if_it_had_not(form: MailForm) -> None:
    def fails() -> None:
        message = "The screen is gone."
        raise RuntimeError(message)

    form.on_sent = fails
    press(form, "send")
    assert "Sent to 1 recipient." in shown(form)


def test_a_document_that_was_made_again_is_asked_about(box: docmail.Sandbox, form: MailForm) -> None:
    press(form, "send")
    again = opened(EmailButton(b"%PDF-1.4 made again %%EOF", to="cfo@example.com", subject="Q3", name="Q3.pdf"))
    press(again, "send")
    assert "An earlier Q3.pdf was sent to cfo@example.com already, today" in shown(again)
    assert len(box.inbox) == 1


def test_a_mail_is_not_sent_without_the_file_that_is_still_being_uploaded(box: docmail.Sandbox, form: MailForm) -> None:
    piece = {"piece": "1", "name": "numbers.csv", "size": 4}
    form.attachments._handle_custom_msg({**piece, "at": 0}, [memoryview(b"a,")])
    press(form, "send")
    assert "numbers.csv is still being uploaded" in shown(form)
    assert len(box.inbox) == 0
    form.attachments._handle_custom_msg({**piece, "at": 2}, [memoryview(b"b\n")])
    press(form, "send")
    assert [each.name for each in box.inbox[0].attachments] == ["Q3.pdf", "numbers.csv"]


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("It may have arrived.", kind=Kind.UNKNOWN, hint="Ask the recipient."),
        Refused("The server refuses it.", kind=Kind.MESSAGE),
        OSError("The disk is full."),
    ],
)
def test_a_failure_that_stop_did_not_cause_is_never_shown_as_stopped(
    form: MailForm, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Also when somebody pressed Stop just before the last byte."""

    def lost(*_args: object, **_options: object) -> SendResult:
        form._work.stopped = True
        raise error

    monkeypatch.setattr("docmail.outbox.single_mail.deliver", lost)
    press(form, "send")
    assert str(error.args[0]) in shown(form)
    assert "Nothing was sent" not in shown(form)


def test_a_program_sends_without_a_browser(box: docmail.Sandbox, form: MailForm) -> None:
    result = form.send_mail()
    assert result is not None
    assert result.accepted == ("cfo@example.com",)
    assert len(box.inbox) == 1
    assert form.send_mail() is None, "it asks"
    assert form.send_mail() is not None
    assert len(box.inbox) == 2


def test_the_password_of_the_settings_is_not_in_the_form(form: MailForm) -> None:
    press(form, "send")
    assert SANDBOX_PASSWORD not in repr(ipywidgets.Widget.get_manager_state())


def test_settings_without_a_server_that_answers_are_reported(report: Document) -> None:
    Settings("A <a@example.com>", SmtpServer("127.0.0.1", port=9)).save()
    form = opened(EmailButton(report, to="cfo@example.com", subject="Q3"))
    press(form, "send")
    assert "dm-bad" in shown(form)


# --- recipients ---


def leave(form: MailForm, name: str, value: str) -> None:
    """Type into a field and go on to another."""
    form.fields[name].value = value
    form.actions._handle_custom_msg({"left": name, "values": {name: value}}, [])


def test_addresses_are_judged_when_the_field_is_left_and_put_in_lines(form: MailForm) -> None:
    leave(form, "to", "a@example.com; nonsense, b@example.com; @x")
    assert form.fields["to"].value == "a@example.com\nnonsense\nb@example.com\n@x"
    assert "“nonsense”" in form.rows["to"].note
    assert "“@x”" in form.rows["to"].note
    leave(form, "to", "Smith, J <j@example.com>")
    assert form.fields["to"].value == '"Smith, J" <j@example.com>'
    assert not form.rows["to"].wrong
    leave(form, "cc", "a@example.com\nb@example.com")
    assert "2 recipients" in form.rows["cc"].note
    leave(form, "cc", "")
    assert "everybody sees" in form.rows["cc"].note
    leave(form, "to", "")
    assert not form.rows["to"].wrong, "it may still be filled in"


def test_what_was_typed_since_a_field_was_left_stays(form: MailForm) -> None:
    form.fields["to"].value = "a@example.com; b@example.com; c"
    form.actions._handle_custom_msg({"left": "to", "values": {"to": "a@example.com; b@example.com"}}, [])
    assert form.fields["to"].value == "a@example.com; b@example.com; c"


def test_addresses_that_were_pasted_are_sent_to_without_being_left_first(box: docmail.Sandbox, form: MailForm) -> None:
    press(form, "send", to="Smith, J <j@example.com>\nb@example.com\tc@example.com")
    assert "Sent to 3 recipients." in shown(form)
    assert box.inbox[0].recipients == ("j@example.com", "b@example.com", "c@example.com")


def test_a_copy_goes_to_the_sender_who_is_no_recipient(box: docmail.Sandbox, form: MailForm) -> None:
    press(form, "send", copy=True)
    assert "Sent to 1 recipient." in shown(form)
    assert box.inbox[0].recipients == ("cfo@example.com", "accounts@example.com")
    assert "accounts@" not in box.inbox[0]["To"] + str(box.inbox[0]["Cc"])
    press(form, "send", copy=True, to="other@example.com")
    assert len(box.inbox) == 2, "that the sender has got a copy is no reason to ask"


@pytest.mark.parametrize(
    ("archive", "recipients"),
    [
        ("archive@example.com", ("cfo@example.com", "accounts@example.com", "archive@example.com")),
        ("Accounts@example.com", ("cfo@example.com", "Accounts@example.com")),
    ],
)
def test_a_copy_goes_to_the_sender_besides_the_archive(
    box: docmail.Sandbox, report: Document, archive: str, recipients: tuple[str, ...]
) -> None:
    Settings(box.settings.sender, box.settings.server, copy_to=archive).save()
    form = opened(EmailButton(report, to="cfo@example.com", subject="Q3"))
    press(form, "send", copy=True)
    assert "Sent to 1 recipient." in shown(form)
    assert box.inbox[0].recipients == recipients


# --- text, templates, preview ---


def test_the_form_begins_with_the_document_s_title_and_the_text_for_its_kind(
    box: docmail.Sandbox, report: Document
) -> None:
    box.settings.save()
    invoice = Document.of(report, name="Invoice_2026-118.pdf")
    form = opened(EmailButton(invoice, to="Chris <cfo@example.com>"))
    assert form.fields["subject"].value == "Invoice 2026-118"
    assert form.templates.chosen == "invoice"
    press(form, "send")
    assert box.inbox[0].subject == "Invoice 2026-118"
    assert box.inbox[0].text.startswith("Dear Chris,\n\nPlease find Invoice 2026-118 attached.")
    assert opened(EmailButton(report)).fields["subject"].value == "Q3"
    assert opened(EmailButton(report)).fields["body"].value == ""
    given = opened(EmailButton(invoice, body="Ours"))
    assert (given.fields["subject"].value, given.fields["body"].value) == ("", "Ours")


def test_a_template_to_begin_with_fills_in_its_subject_at_once(form: MailForm) -> None:
    form.templates._handle_custom_msg({"ready": True}, [])
    values = {"subject": "Q3", "body": "", "template": "reminder"}
    form.templates._handle_custom_msg({"press": "typed", "id": "", "values": values}, [])
    assert form.fields["subject"].value == "Reminder: Q3"
    assert "{{ document }}" in form.fields["body"].value
    assert "Remove this template" not in form.templates.html, "it is not the user's"


def test_the_fields_that_a_text_may_use_are_named_with_what_they_are_now(form: MailForm) -> None:
    form.fields["to"].value = "Chris <cfo@example.com>"
    assert 'data-insert="{{ name }}" title="Chris"' in form.templates.html
    form.fields["to"].value = "cfo@example.com"
    assert 'data-insert="{{ name }}" title="has no value yet"' in form.templates.html
    assert 'data-insert="{{ document }}" title="Q3"' in form.templates.html
    assert "cfo@example.com" not in repr(form.templates.get_state()), "a notebook does not keep it"


def test_a_field_that_does_not_exist_is_named_with_one_that_does(form: MailForm) -> None:
    form.fields["body"].value = "See {{ documnet }}"
    assert "“documnet”, which does not exist. Write {{ document }}." in html.unescape(form.rows["body"].note)


def test_a_table_is_mailed_as_the_file_that_it_is_made_into(box: docmail.Sandbox) -> None:
    box.settings.save()
    button = EmailButton(Table(pd.DataFrame({"a": [1, 2]}), "Sales report", ".xlsx"))
    assert [action for action, _label in button.bar.actions] == ["email"]
    form = opened(button)
    finish(form)
    assert form.fields["subject"].value == "Sales report"
    assert form.templates.chosen == "report"
    press(form, "send", to="cfo@example.com")
    assert [each.name for each in box.inbox[0].attachments] == ["Sales report.xlsx"]


def test_a_table_that_could_not_be_made_is_asked_about(box: docmail.Sandbox) -> None:
    box.settings.save()
    form = opened(EmailButton(Table(pd.DataFrame({"a": ["\x07"]}), "Sales", ".xlsx"), to="cfo@example.com"))
    finish(form)
    press(form, "send")
    assert "Sales.xlsx is not made yet and would be missing." in shown(form)
    assert len(box.inbox) == 0


def test_a_template_s_fields_are_filled_in_from_the_form_and_by_the_maker_of_the_button(
    box: docmail.Sandbox, report: Document
) -> None:
    box.settings.save()
    button = EmailButton(report, to="Chris Example <cfo@example.com>", fields={"number": 7, "sender": "Us"})
    form = opened(button)
    body = "Dear {{ name }} ({{ email }}), {{ document }} of {{ date.year }}. {{ sender }}"
    press(form, "send", subject="Invoice {{ number }}", body=body)
    assert "Sent to 1 recipient." in shown(form)
    (mail,) = box.inbox
    assert mail.subject == "Invoice 7"
    assert re.fullmatch(r"Dear Chris Example \(.*cfo@example\.com.*\), Q3 of \d{4}\. Us", mail.text.strip())


def test_a_value_with_markdown_in_it_is_text(box: docmail.Sandbox, report: Document) -> None:
    box.settings.save()
    form = opened(EmailButton(report, to="cfo@example.com", subject="S", fields={"firm": "**Bold** & Co"}))
    press(form, "send", body="{{ firm }}")
    assert "**Bold** &amp; Co" in box.inbox[0].html


@pytest.mark.parametrize("field", ["subject", "body"])
def test_a_missing_field_is_named_beside_the_text_and_nothing_is_sent(
    box: docmail.Sandbox, form: MailForm, field: str
) -> None:
    form.fields[field].value = "Dear {{ quarter }}"
    assert "quarter" in form.rows[field].note
    assert not form.rows[field].wrong, "it may still be being typed"
    press(form, "send", **{field: "Dear {{ quarter }}"})
    assert invalid(form) == [field]
    assert len(box.inbox) == 0
    form.fields[field].value = "Dear all"
    assert "quarter" not in form.rows[field].note


def test_a_name_is_missing_as_long_as_the_recipient_has_none(form: MailForm) -> None:
    form.fields["body"].value = "Dear {{ name }}"
    assert "“name”, which has no value" in form.rows["body"].note
    form.fields["to"].value = "Chris <cfo@example.com>"
    assert "name" not in form.rows["body"].note


def test_the_preview_is_the_html_that_is_sent(box: docmail.Sandbox, form: MailForm) -> None:
    form.fields["to"].value = "Chris <cfo@example.com>"
    form.fields["body"].value = "Dear **{{ name }}**\nline\n\n<script>alert(1)</script>"
    assert "<strong>Chris</strong>" in form.preview.mail.html
    assert "<script>" not in form.preview.mail.html
    press(form, "send")
    assert box.inbox[0].html.split() == form.preview.mail.html.split()
    assert "Q3" in form.preview.html


def test_the_preview_is_no_state(form: MailForm) -> None:
    form.fields["body"].value = "**bold**"
    assert "<strong>bold" in form.preview.mail.html
    assert "<strong>bold" not in repr(ipywidgets.Widget.get_manager_state())


def test_a_template_that_is_chosen_stands_in_the_form(form: MailForm) -> None:
    templates.save(templates.Template("report", "{{ document }}", "See **{{ file }}**."))
    form.templates._handle_custom_msg({"ready": True}, [])
    values = {"subject": "Q3", "body": "", "template": "report"}
    form.templates._handle_custom_msg({"press": "typed", "id": "", "values": values}, [])
    assert form.fields["subject"].value == "{{ document }}"
    assert "<strong>Q3.pdf</strong>" in form.preview.mail.html


# --- attachments, suggestions, drafts ---


def test_files_that_were_added_travel_and_those_removed_do_not(box: docmail.Sandbox, form: MailForm) -> None:
    form.attachments.add(Document.of(b"a,b", name="table.csv"))
    press(form, "send")
    form.attachments._handle_custom_msg({"press": "remove", "id": "0", "values": {}}, [])
    press(form, "send")
    first, second = box.inbox
    assert [each.name for each in first.attachments] == ["Q3.pdf", "table.csv"]
    assert [each.name for each in second.attachments] == ["table.csv"], "it is another mail, and needs no answer"


def test_a_button_for_several_documents_attaches_them_all(box: docmail.Sandbox, report: Document) -> None:
    box.settings.save()
    table = Document.of(b"a,b", name="table.csv")
    button = EmailButton([report, table], to="cfo@example.com", subject="Q3", name="Q3 final.pdf")
    assert repr(button) == "<EmailButton Q3 final.pdf>"
    press(opened(button), "send")
    assert [each.name for each in box.inbox[0].attachments] == ["Q3 final.pdf", "table.csv"]
    with pytest.raises(docmail.errors.DocumentError):
        EmailButton([])


def test_another_attachment_takes_a_question_back(form: MailForm) -> None:
    press(form, "send", subject="")
    assert form._asked
    form.attachments.add(Document.of(b"a,b", name="table.csv"))
    assert not form._asked
    assert shown(form) == ""


def test_an_answer_does_not_hold_for_other_documents(box: docmail.Sandbox, form: MailForm) -> None:
    press(form, "send", subject="")
    form.attachments.changed = lambda: None  # as an upload that ends just now
    form.attachments.add(Document.of(b"a,b", name="table.csv"))
    press(form, "send-anyway", subject="")
    assert form._asked
    assert len(box.inbox) == 0


def test_documents_that_are_too_large_for_the_provider_are_asked_about_before_anything_is_sent(
    box: docmail.Sandbox, form: MailForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docmail.presets.catalogue.size_limit", lambda _host, _port: 100)
    press(form, "send")
    assert "on the way" in shown(form)
    assert form.actions.actions[0] == ["send-anyway", "Send anyway"]
    assert len(box.inbox) == 0
    press(form, "send-anyway")
    assert len(box.inbox) == 1


def test_earlier_recipients_are_offered_and_are_no_state(form: MailForm, monkeypatch: pytest.MonkeyPatch) -> None:
    docmail.send((), to="Earlier <earlier@example.com>", subject="S")
    offered: list[Any] = []
    monkeypatch.setattr(form.suggestions, "send", lambda content, **_options: offered.append(content))
    form.suggestions._handle_custom_msg({"suggest": "to", "typed": "earl"}, [])
    assert offered == [{"suggest": "to", "options": ["Earlier <earlier@example.com>"]}]
    assert "earlier@" not in repr(ipywidgets.Widget.get_manager_state())


def test_a_mail_is_saved_as_a_file_and_neither_sent_nor_written_down(
    box: docmail.Sandbox, form: MailForm, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[str, str, bytes]] = []
    monkeypatch.setattr(form.actions, "download", lambda *file: saved.append(file))
    press(form, "eml", subject="Q3: report/{{ document }}", body="**Attached**")
    ((name, kind, content),) = saved
    assert (name, kind) == ("Q3_ report_Q3.eml", "message/rfc822")
    mail = message_from_bytes(content, policy=policy.default)
    assert mail["Subject"] == "Q3: report/Q3"
    assert [part.get_filename() for part in mail.iter_attachments()] == ["Q3.pdf"]
    assert "nothing was sent" in shown(form)
    assert len(box.inbox) == len(Outbox()) == 0
    press(form, "eml", to="")
    assert invalid(form) == ["to"]
    assert len(saved) == 1
