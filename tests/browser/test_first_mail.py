from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from docmail.sandbox import SANDBOX_PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SETTINGS = """\
import docmail

box = docmail.Sandbox.shared()
docmail.SettingsForm()"""

DOCUMENT = """\
import docmail
from fpdf import FPDF

box = docmail.Sandbox.shared()
pdf = FPDF()
pdf.set_font("helvetica", size=24)
for page in range(3):
    pdf.add_page()
    pdf.cell(text=f"Quarterly report, page {page + 1}")
docmail.Document.of(pdf, name="Q3 report.pdf")"""


def fill(form: Locator, box: dict[str, str]) -> None:
    """Type in what the sandbox needs, as a person would."""
    form.get_by_label("SMTP server").fill(box["host"])
    form.get_by_role("button", name="other…").click()
    form.get_by_label("Port number").fill(box["port"])
    form.get_by_label("Username").fill("accounts@example.com")
    form.get_by_label("Sender's name").fill("Accounts")
    form.get_by_role("button", name="Advanced").click()
    form.get_by_label("CA file").fill(box["ca_file"])


def sandbox(lab: LabPage, cell: int) -> dict[str, str]:
    """Return where the sandbox of a notebook is, read from the cell that says so."""
    lab.run(cell)
    found: dict[str, str] = json.loads(lab.output_text(cell)[0])
    return found


WHERE = "import json; print(json.dumps({'host': box.host, 'port': str(box.port), 'ca_file': str(box.ca_file)}))"

# Presses whatever stands in Send's place: a click before the question is there, and some after.
IMPATIENT = """async (buttons) => {
    for (let click = 0; click < 14; click++) {
        buttons.querySelector("button").click();
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}"""


def test_the_first_mail_from_an_empty_form_to_the_inbox(lab: LabPage, pictures: Pictures) -> None:
    """One notebook sets email up, another one, with a kernel of its own, sends a document."""
    set_email_up(lab, pictures)
    send_a_document(lab, pictures)


def set_email_up(lab: LabPage, pictures: Pictures) -> None:
    """Go from an empty form over its problems and a wrong password to saved settings."""
    path = lab.write("settings.ipynb", SETTINGS, WHERE)
    lab.open("settings.ipynb").viewport(1280, 1000).run(0)
    form = lab.cell(0).locator(".docmail-form")
    test, update = (form.get_by_role("button", name=name) for name in ("Test email settings", "Update"))
    expect(test).to_be_enabled()
    pictures.take("1-empty", 0)

    test.click()
    expect(form.locator(".dm-field-host .dm-problem")).to_be_visible()
    expect(form.get_by_label("Your email address")).to_be_focused()
    pictures.take("2-problems", 0)

    fill(form, sandbox(lab, 1))
    expect(form.get_by_label("Your email address")).to_have_value("accounts@example.com")
    password = form.get_by_label("Password", exact=True)
    password.fill("wrong-password")
    test.click()
    expect(form.locator(".dm-field-password .dm-problem")).to_be_visible(timeout=20_000)
    expect(form.get_by_text("What the server said").first).to_be_visible()
    pictures.take("3-failed", 0)
    copy_the_report(lab, form, pictures)

    password.fill(SANDBOX_PASSWORD)
    test.click()
    expect(form.get_by_text("The test email is on its way to accounts@example.com")).to_be_visible(timeout=20_000)
    expect(update).to_have_class(re.compile("mod-primary"))
    pictures.take("4-tested", 0)

    update.click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    expect(password).to_have_value("")
    expect(password).to_have_attribute("placeholder", re.compile("stored"))
    pictures.take("5-saved", 0)
    lab.save()
    assert SANDBOX_PASSWORD not in path.read_text("utf-8")
    assert "wrong-password" not in path.read_text("utf-8")


def copy_the_report(lab: LabPage, form: Locator, pictures: Pictures) -> None:
    """Take the administrator's report to the clipboard, as somebody does who is stuck."""
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    form.get_by_text("Report for your administrator").click()
    form.get_by_text("Try the same settings in Thunderbird").click()
    pictures.take("3-report", 0)
    form.get_by_role("button", name="Copy report").click()
    expect(form.get_by_role("button", name="Copied")).to_be_visible()
    copied = lab.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == form.locator(".dm-copied").inner_text()
    assert "FAILED sign-in" in copied
    assert "accounts@" not in copied
    # A browser that forbids it: what is not in the clipboard is not called copied.
    lab.page.evaluate(
        """() => {
            navigator.clipboard.writeText = () => Promise.reject(new Error("forbidden"));
            document.execCommand = () => false;
        }"""
    )
    form.locator(".dm-copy").click()
    expect(form.get_by_role("button", name="Press Ctrl+C to copy")).to_be_visible()
    assert lab.page.evaluate("() => getSelection().toString()") == copied


def send_a_document(lab: LabPage, pictures: Pictures) -> None:
    """Show a document, email it, and find it in the inbox."""
    lab.write(
        "report.ipynb",
        DOCUMENT,
        "mail = box.inbox[-1]; print(len(box.inbox), mail.subject, [a.pages for a in mail.attachments])",
    )
    lab.open("report.ipynb").run(0)
    view = lab.cell(0).locator(".docmail")
    expect(view.get_by_role("img", name="First page of Q3 report.pdf")).to_be_visible()
    expect(view.get_by_text("3 pages")).to_be_visible()
    expect(view.get_by_role("button", name="Email")).to_be_enabled()
    pictures.take("6-document", 0)

    view.get_by_role("button", name="Email").click()
    mail = lab.cell(0).locator(".docmail-mail")
    expect(mail.get_by_text("Accounts <accounts@example.com>")).to_be_visible()
    pictures.take("7-mail", 0)

    mail.get_by_label("To", exact=True).fill('cfo@example.com; "Smith, J" <j@example.com>; nobody@example.com')
    mail.get_by_label("Subject").fill("Q3 report")
    mail.get_by_label("Body").fill("**Attached**, the report.")
    mail.get_by_role("button", name="Send", exact=True).click()
    expect(mail.get_by_text("Sent to 2 recipients.")).to_be_visible(timeout=20_000)
    expect(mail.get_by_text("1 refused: nobody@example.com")).to_be_visible()
    pictures.take("8-sent", 0)
    lab.run(1)
    (inbox,) = lab.output_text(1)
    assert inbox.endswith(" Q3 report [3]\n")

    mail.locator(".dm-buttons").evaluate(IMPATIENT)
    expect(mail.get_by_role("button", name="Send again")).to_be_enabled()
    pictures.take("9-again", 0)
    lab.run(1)
    assert lab.output_text(1) == [inbox], "nobody meant that by clicking twice"


def test_email_is_set_up_from_a_document_without_running_its_cell_again(lab: LabPage) -> None:
    lab.write("in-place.ipynb", DOCUMENT.replace("Sandbox.shared()", "Sandbox().start()"), WHERE)
    lab.open("in-place.ipynb").run(0)
    view = lab.cell(0).locator(".docmail")
    view.get_by_role("button", name="Set up email").click()
    form = lab.cell(0).locator(".docmail-form")
    fill(form, sandbox(lab, 1))
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    view.get_by_role("button", name="✉ Email", exact=True).click()
    expect(lab.cell(0).locator(".docmail-mail").get_by_text("Accounts <accounts@example.com>")).to_be_visible()


def test_fields_appear_and_disappear_while_the_kernel_is_busy(lab: LabPage) -> None:
    lab.write(
        "busy.ipynb",
        "import docmail; docmail.SettingsForm()",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    )
    lab.open("busy.ipynb").run(0)
    form = lab.cell(0).locator(".docmail-form")
    expect(form.get_by_role("button", name="Update")).to_be_enabled()
    # A stopped process answers nothing at all.
    lab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }")
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    form.get_by_label("Username").fill("accounts@example.com")
    expect(form.get_by_label("Your email address")).to_have_value("accounts@example.com")
    form.get_by_label("Your email address").fill("other@example.com")
    expect(form.get_by_label("Username")).to_have_value("other@example.com")
    form.get_by_label("Username").fill("login@relay.example.net")
    expect(form.get_by_label("Your email address")).to_have_value("other@example.com")
    form.get_by_role("button", name="465").click()
    expect(form.get_by_role("button", name="TLS", exact=True)).to_have_attribute("aria-pressed", "true")
    form.get_by_role("button", name="none").click()
    form.get_by_role("button", name="587").click()
    expect(form.get_by_role("button", name="none")).to_have_attribute("aria-pressed", "true")
    form.get_by_label("Send a copy of every email").check()
    expect(form.get_by_label("Copy to")).to_be_visible()
    form.get_by_role("button", name="HTTP").click()
    expect(form.get_by_label("HTTP server")).to_be_visible()
    expect(form.get_by_label("SMTP server")).to_be_hidden()
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("The kernel does not answer.")).to_be_visible(timeout=15_000)


def test_keys_pressed_in_the_form_reach_no_shortcut_of_jupyterlab(lab: LabPage) -> None:
    lab.write("keys.ipynb", "import docmail; docmail.SettingsForm()", "1", "2")
    lab.open("keys.ipynb").run(0)
    form = lab.cell(0).locator(".docmail-form")
    password = form.get_by_label("Password", exact=True)
    password.click()
    for keys in ("dd", "a", "b", "x", "00"):
        lab.page.keyboard.type(keys)
    for key in ("Enter", "Shift+Enter", "Control+Enter"):
        lab.page.keyboard.press(key)
    expect(password).to_have_value("ddabx00")
    expect(form.locator(".dm-report:not(.dm-if-token)").first).to_have_text("")
    assert lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length") == 3
    assert lab.output_text(1) == []
    # A focused button is no place to type in, and JupyterLab would take the keys for its own.
    for button in ("SMTP", "Test email settings"):
        form.get_by_role("button", name=button).focus()
        lab.page.keyboard.type("ddabx")
    assert lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length") == 3
    lab.page.keyboard.press("Control+s")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    form.get_by_role("button", name="Show password").click()
    expect(password).to_have_attribute("type", "text")
    form.get_by_role("button", name="Hide password").press("Enter")
    expect(password).to_have_attribute("type", "password")


def test_a_press_carries_what_is_on_the_screen_while_a_cell_runs(lab: LabPage) -> None:
    """The fields' own messages never arrive here; while a cell runs they may come too late."""
    lab.write(
        "running.ipynb",
        SETTINGS.replace("Sandbox.shared()", "Sandbox().start()"),
        WHERE,
        "import time; time.sleep(60)",
    )
    lab.open("running.ipynb").run(0)
    form = lab.cell(0).locator(".docmail-form")
    where = sandbox(lab, 1)
    expect(form.get_by_role("button", name="Update")).to_be_enabled()
    lab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2; }")
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    lab.page.evaluate(
        """() => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const send = kernel.sendShellMessage.bind(kernel);
            const late = (message) => message.content?.data?.method === "update";
            kernel.sendShellMessage = (message, ...rest) => (late(message) ? {} : send(message, ...rest));
        }"""
    )
    fill(form, where)
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text("on its way to accounts@example.com")).to_be_visible(timeout=30_000)
    expect(form.locator(".dm-invalid")).to_have_count(0)
    expect(lab.cell(2).locator(".jp-InputPrompt")).to_contain_text("*")
