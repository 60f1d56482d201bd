"""The tutorials, as a reader goes through them in JupyterLab: run all cells, press the buttons."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from docmail.sandbox import SANDBOX_PASSWORD
from tests.support.fixtures import NOTEBOOKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage
    from tests.support.notebook7 import Notebook7Page
    from tests.support.voila import VoilaPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def run(lab: LabPage, name: str) -> None:
    """Open a tutorial, run all its cells, and see that none of them failed."""
    lab.open(f"notebooks/{name}.ipynb").viewport(1280, 1000).run_all()
    expect(lab.page.locator(".jp-OutputArea-output[data-mime-type*=error]")).to_have_count(0)


def set_up(page: Page, known: Locator | None = None) -> None:
    """Go through the first tutorial: each of its forms, and the test."""
    forms = page.locator(".docmail-form")
    rehearsal, known = forms.nth(0), known or forms.filter(has_text="rehearsal with Gmail").first
    expect(known.get_by_label("SMTP server")).to_have_value("smtp.gmail.com")
    expect(known.get_by_role("link", name="Make an app password").first).to_be_visible()
    expect(page.get_by_role("button", name="Toets e-posinstellings")).to_be_visible()
    rehearsal.get_by_role("button", name="Test email settings").click()
    expect(rehearsal.get_by_text("The test email is on its way to accounts@example.com")).to_be_visible(timeout=20_000)


def test_the_first_tutorial_ends_with_tested_and_saved_settings(lab: LabPage, pictures: Pictures) -> None:
    # All forms stand in one tall window; JupyterLab draws only the cells that are near.
    run(lab, "1_provider_setup")
    lab.viewport(1280, 6000)
    set_up(lab.page, lab.cell(8).locator(".docmail-form").first)
    form = lab.page.locator(".docmail-form").first
    pictures.of(form, "settings")
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    assert not (lab.server.home / "docmail" / "settings.json").exists(), "a rehearsal leaves the user's own alone"


def test_the_first_tutorial_works_in_notebook_7(notebook7: Notebook7Page) -> None:
    notebook7.open("notebooks/1_provider_setup.ipynb").viewport(1280, 6000).run_all()
    set_up(notebook7.page)
    notebook7.page.locator(".docmail-form").first.get_by_role("button", name="Update").click()
    expect(notebook7.page.locator(".docmail-form").first.get_by_text("Saved.")).to_be_visible(timeout=20_000)


def test_the_first_tutorial_works_in_voila(voila: VoilaPage) -> None:
    voila.page.set_viewport_size({"width": 1280, "height": 1000})
    voila.open("notebooks/1_provider_setup.ipynb")
    set_up(voila.page)
    voila.page.locator(".docmail-form").first.get_by_role("button", name="Update").click()
    expect(voila.page.locator(".docmail-form").first.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    expect(voila.page.get_by_text("Run this cell to open the form.").first).to_be_hidden()


def email_by_button(page: Page) -> None:
    """Do what the shortest tutorial says, and see the mail arrive in the inbox under its last cell."""
    view = page.locator(".docmail").first
    expect(view.get_by_alt_text("First page of Sales, November.pdf")).to_be_visible()
    view.get_by_role("button", name="Email").click()
    mail = page.locator(".docmail-mail").first
    mail.get_by_label("To", exact=True).fill("cfo@example.com")
    mail.get_by_label("Subject").fill("By button")
    mail.get_by_role("button", name="Send", exact=True).click()
    expect(mail.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)
    inbox = page.locator(".docmail").last
    expect(inbox.get_by_text("By button").first).to_be_visible(timeout=20_000)


def test_the_shortest_tutorial_is_run_twice_and_shows_a_mail_as_it_arrives(lab: LabPage, pictures: Pictures) -> None:
    run(lab, "0_first_pdf")
    lab.run_all().viewport(1280, 2400)
    expect(lab.page.locator(".jp-OutputArea-output[data-mime-type*=error]")).to_have_count(0)
    email_by_button(lab.page)
    pictures.of(lab.page.locator(".docmail").last, "inbox")


def test_the_shortest_tutorial_works_in_notebook_7(notebook7: Notebook7Page) -> None:
    notebook7.open("notebooks/0_first_pdf.ipynb").viewport(1280, 2400).run_all()
    email_by_button(notebook7.page)


def test_the_shortest_tutorial_works_in_voila(voila: VoilaPage) -> None:
    voila.open("notebooks/0_first_pdf.ipynb")
    email_by_button(voila.page)


def test_the_first_tutorial_ends_with_a_form_for_one_s_own_account(lab: LabPage) -> None:
    run(lab, "1_provider_setup")
    lab.viewport(1280, 6000)
    own = lab.page.locator(".docmail-form").last
    expect(own.get_by_text("rehearsal")).to_have_count(0)
    own.get_by_label("Your email address").fill("you@gmail.com")
    own.get_by_label("Your email address").press("Tab")
    own.get_by_role("button", name="Update").click()
    expect(own.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    assert (lab.server.home / "docmail" / "settings.json").exists()
    (lab.server.home / "docmail" / "settings.json").unlink()


def password(form: Locator, words: str) -> None:
    """Type a password."""
    form.get_by_label("Password", exact=True).fill(words)


def trust(form: Locator) -> None:
    """Tick the box, let the test ask, and trust what it shows."""
    form.get_by_label("Allow self-signed certificates").check()
    form.get_by_role("button", name="Test email settings").click()
    form.get_by_role("button", name="Trust this certificate").click()


def other_account(form: Locator, label: str, value: str) -> None:
    """Change what makes it another account, whose password has to be typed."""
    form.get_by_label(label).fill(value)
    password(form, SANDBOX_PASSWORD)


# What the menu says, the field that the form marks, and what the tutorial tells its reader to do about it.
PLAYED: list[tuple[str, str, Callable[[Locator, str], object]]] = [
    ("Gmail wants an app password", "password", lambda form, _: password(form, "abcd efgh ijkl mnop")),
    ("A wrong password", "password", lambda form, _: password(form, SANDBOX_PASSWORD)),
    (
        "Security is TLS, the server's is STARTTLS",
        "security",
        lambda form, _: form.get_by_role("button", name="STARTTLS", exact=True).click(),
    ),
    (
        "Security is STARTTLS, the server's is TLS",
        "security",
        lambda form, _: form.get_by_role("button", name="TLS", exact=True).click(),
    ),
    ("A wrong port", "port_number", lambda form, told: other_account(form, "Port number", re.findall(r"\d+", told)[0])),
    ("A misspelt server", "host", lambda form, _: other_account(form, "SMTP server", "127.0.0.1")),
    ("No username", "username", lambda form, _: other_account(form, "Username", "accounts@example.com")),
    ("A self-signed certificate", "self_signed", lambda form, _: trust(form)),
    ("A company's proxy in between", "ca_file", lambda form, told: form.get_by_label("CA file").fill(told.split()[-1])),
    (
        "An address that is not yours",
        "email_address",
        lambda form, _: form.get_by_label("Your email address").fill("accounts@example.com"),
    ),
]


def play(page: Page, failures: list[tuple[str, str, Callable[[Locator, str], object]]]) -> None:
    """Choose one failure after the other, meet it in the form, and mend it there as the line below the menu says."""
    form = page.locator(".docmail-form")
    test = form.get_by_role("button", name="Test email settings")
    for failure, field, mend in failures:
        advice = form.locator(".widget-label", has_text="To mend it:")
        before = advice.inner_text()
        chosen = form.get_by_label("Failure").locator("option:checked").inner_text()
        if chosen.replace("\N{NO-BREAK SPACE}", " ") != failure:  # ipywidgets writes its options so
            form.get_by_label("Failure").select_option(failure)
            expect(advice).not_to_have_text(before)  # it is the last that changes
        test.click()
        expect(form.locator(f".dm-field-{field} .dm-problem"), failure).to_be_visible(timeout=40_000)
        expect(test).to_be_enabled()
        mend(
            form,
            advice.inner_text().removeprefix("To mend it: ").split(",")[-1 if field == "ca_file" else 0].rstrip("."),
        )
        expect(test).to_be_enabled()
        test.click()
        sent = form.get_by_text("The test email is on its way to accounts@example.com")
        expect(sent, failure).to_be_visible(timeout=40_000)


def test_the_second_tutorial_s_failures_are_met_and_mended_in_its_form(lab: LabPage, pictures: Pictures) -> None:
    run(lab, "2_test_email")
    lab.viewport(1280, 3600)
    play(lab.page, PLAYED[:1])
    form = lab.page.locator(".docmail-form")
    form.get_by_label("Failure").select_option("A wrong password")
    expect(form.locator(".widget-label", has_text="To mend it: type “sandbox-password”")).to_be_visible()
    form.get_by_role("button", name="Test email settings").click()
    expect(form.locator(".dm-field-password .dm-problem")).to_be_visible(timeout=40_000)
    pictures.of(form.last, "test-email-failed")
    play(lab.page, PLAYED[1:])


def test_the_second_tutorial_works_in_voila(voila: VoilaPage) -> None:
    voila.open("notebooks/2_test_email.ipynb")
    play(voila.page, PLAYED[1:3])


ERRORS = ".jp-OutputArea-output[data-mime-type*=error]"


def numbered(name: str, part: str) -> int:
    """Return the number of the first cell of a tutorial that has this in its source."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]
    return next(number for number, cell in enumerate(cells) if part in "".join(cell["source"]))


def each_sent_once(lab: LabPage) -> None:
    """See that the fifth tutorial ran to its end, and what it counts there."""
    expect(lab.page.locator(ERRORS)).to_have_count(0)
    counted = numbered("5_batch", "Counter(")
    assert lab.output_text(counted)[0].strip() == "200 invoices arrived, each once."


def test_the_fifth_tutorial_sends_each_invoice_once_though_the_kernel_is_restarted_in_the_middle(lab: LabPage) -> None:
    lab.open("notebooks/5_batch.ipynb").viewport(1280, 1000)
    sending = numbered("5_batch", "limit=80)")
    for cell in range(sending):
        lab.run(cell)
    lab.run(sending, wait=False)
    expect(lab.cell(sending).locator(".dm-counts")).to_have_text(re.compile("[1-9][0-9]* sent"), timeout=20_000)
    lab.restart_kernel()
    lab.run_all(timeout=180)
    each_sent_once(lab)


def test_the_fifth_tutorial_runs_again_in_the_same_kernel_while_other_mail_waits(lab: LabPage) -> None:
    lab.open("notebooks/5_batch.ipynb").viewport(1280, 1000)
    opening = numbered("5_batch", "Sandbox.shared()")
    lab.run(opening)
    lab.page.evaluate(
        """([index, line]) => {
            const { sharedModel } = window.jupyterapp.shell.currentWidget.content.widgets[index].model;
            sharedModel.setSource(`${sharedModel.getSource()}\n${line}`);
        }""",
        [opening, 'outbox.add(docmail.Message("ann@example.com", "Another mail"));'],
    )
    for _round in range(2):
        lab.run_all(timeout=180)
        each_sent_once(lab)
    last = numbered("5_batch", "limit=200)")
    expect(lab.cell(last).get_by_text("Done: all 200 emails were sent.")).to_be_visible()


def test_the_third_tutorial_emails_its_invoice_by_button_and_shows_it_as_it_arrives(
    lab: LabPage, pictures: Pictures
) -> None:
    run(lab, "3_email_a_pdf")
    view = lab.cell(numbered("3_email_a_pdf", "## By button") + 1).locator(".docmail").first
    view.get_by_role("button", name="Email").click()
    mail = view.locator(".docmail-mail")
    mail.get_by_label("To", exact=True).fill("cfo@example.com")
    mail.get_by_label("Subject").fill("Invoice 2026-118, by button")
    mail.get_by_label("Body").fill("Dear Chris,\n\nplease find **invoice 2026-118** attached.")
    pictures.of(view, "document")
    mail.get_by_role("button", name="Send", exact=True).click()
    expect(mail.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)
    inbox = lab.cell(numbered("3_email_a_pdf", "box.inbox"))
    inbox.get_by_role("button", name="Invoice 2026-118, by button").click()
    pictures.of(inbox, "inbox")
    expect(inbox.get_by_text("Invoice 2026-118.pdf").first).to_be_visible()


def test_the_third_tutorial_run_again_sends_its_keyed_invoice_no_second_time(lab: LabPage) -> None:
    run(lab, "3_email_a_pdf")
    keyed = numbered("3_email_a_pdf", "key=")
    lab.run_all()
    expect(lab.page.locator(ERRORS)).to_have_count(0)
    assert "Sent before; not sent again." in lab.output_text(keyed)[0]


def test_the_fourth_tutorial_shows_its_report_and_emails_it_by_button(lab: LabPage, pictures: Pictures) -> None:
    run(lab, "4_reports")
    view = lab.cell(numbered("4_reports", "report = (")).locator(".docmail").first
    expect(view.get_by_alt_text("First page of Sales, November 2026.pdf")).to_be_visible()
    pictures.of(view, "report")
    view.get_by_role("button", name="Email").click()
    mail = view.locator(".docmail-mail")
    mail.get_by_label("To", exact=True).fill("cfo@example.com")
    mail.get_by_label("Subject").fill("Sales")
    mail.get_by_role("button", name="Send", exact=True).click()
    expect(mail.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)


def test_the_sixth_tutorial_is_run_twice_and_emails_itself_by_button(lab: LabPage, pictures: Pictures) -> None:
    name = "6_monday_report"
    run(lab, name)
    running = numbered(name, "result = docmail.notebook.run(\n    report")
    assert lab.output_text(running)[0].strip() == "'sent'"
    pictures.take("monday-run", running)
    pictures.take("monday-failure", numbered(name, "print(box.inbox[-1].text)"))
    lab.run_all(timeout=120)
    expect(lab.page.locator(ERRORS)).to_have_count(0)
    assert lab.output_text(running)[0].strip() == "'sent before'"
    button = numbered(name, "EmailButton")
    form = lab.cell(button)
    form.get_by_role("button", name="✉ Email").click()
    line = form.locator(".dm-field-notebook")
    expect(line).to_contain_text("Save the notebook first")
    pictures.take("monday-unsaved", button)
    lab.save()
    line.get_by_role("button", name="Refresh").click()
    expect(line).not_to_contain_text("Save the notebook first")
    expect(line).not_to_contain_text("✗")
    pictures.take("monday-button", button)
    form.get_by_role("button", name="Send", exact=True).click()
    expect(form.locator(".dm-report")).to_contain_text("Sent to 1 recipient.")
    pictures.take("monday-sent", button)
    inbox = button + 1
    lab.run(inbox)
    lab.cell(inbox).get_by_role("button", name="The Monday report").click()
    pictures.take("monday-inbox", inbox)
