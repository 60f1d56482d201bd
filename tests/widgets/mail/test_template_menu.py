from __future__ import annotations

import pytest

from docmail import templates
from docmail.templates import Template
from docmail.widgets.mail.template_menu import TemplateMenu


class Text:
    """The subject and body of a form."""

    def __init__(self, subject: str = "", body: str = "") -> None:
        self.now = (subject, body)
        self.menu = TemplateMenu(subject, body, self.apply)
        self.menu._handle_custom_msg({"ready": True}, [])

    def apply(self, subject: str, body: str) -> None:
        """Let it stand in the form."""
        self.now = (subject, body)

    def press(self, action: str, **values: str) -> str:
        """Press with what stands in the form; return what is then shown."""
        subject, body = self.now
        sent = {"subject": subject, "body": body, **values}
        self.menu._handle_custom_msg({"press": action, "id": "", "values": sent}, [])
        return self.menu.html


@pytest.fixture
def text() -> Text:
    """Return an empty form, and two templates."""
    templates.save(Template("invoice", "Invoice {{ number }}", "Attached."))
    templates.save(Template("report", "Report", "See it."))
    return Text()


def test_a_template_fills_an_empty_form_and_takes_another_s_place(text: Text) -> None:
    assert "invoice" in text.menu.html
    text.press("typed", template="invoice")
    assert text.now == ("Invoice {{ number }}", "Attached.")
    text.press("typed", template="report")
    assert text.now == ("Report", "See it."), "nobody typed what stood there"


def test_what_the_form_began_with_is_overwritten_without_a_question(text: Text) -> None:
    assert text
    begun = Text("Q3", "Attached.")
    begun.press("typed", template="report")
    assert begun.now == ("Report", "See it.")


def test_what_was_typed_is_overwritten_only_after_an_answer(text: Text) -> None:
    text.now = ("Typed", "by hand")
    assert "Replace subject and body" in text.press("typed", template="report")
    assert text.now == ("Typed", "by hand")
    assert "Replace subject" not in text.press("keep")
    assert text.now == ("Typed", "by hand")
    assert text.press("replace") and text.now == ("Typed", "by hand"), "no question is asked"  # noqa: PT018
    text.press("typed", template="report")
    text.press("replace")
    assert text.now == ("Report", "See it.")
    assert text.menu.chosen == "report"


def test_what_stands_in_the_form_is_kept_under_a_name_and_removed(text: Text) -> None:
    text.now = ("Payslip {{ month }}", "Dear {{ name }}")
    assert 'data-name="name"' in text.press("naming")
    assert "Saved as “payslip”" in text.press("save", name=" payslip ")
    assert templates.load("payslip") == Template("payslip", "Payslip {{ month }}", "Dear {{ name }}")
    assert '<option value="payslip" selected>' in text.menu.html
    text.press("typed", template="report")
    assert text.now[0] == "Report", "what is saved can be overwritten"
    text.press("typed", template="payslip")
    text.press("forget")
    assert templates.names() == ("invoice", "report")
    assert text.now[0] == "Payslip {{ month }}", "the text stays"


def test_a_template_that_cannot_be_saved_or_loaded_says_why(text: Text) -> None:
    text.now = ("{{ broken", "")
    text.press("naming")
    shown = text.press("save", name="x")
    assert "dm-problem" in shown
    assert 'data-name="name"' in shown, "the name can still be corrected"
    shown = text.press("save", name="a/b")
    assert "cannot be the name" in shown
    assert 'value="a/b"' in shown, "what was typed stays"
    templates.save(Template("ours", "", ""))
    text.now = ("", "")
    templates.forget("ours")
    assert "There is no template" in text.press("typed", template="ours")
