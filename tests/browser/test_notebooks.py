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


def set_up(page: Page) -> None:
    """Go through the first tutorial: each of its forms, and the test."""
    forms = page.locator(".docmail-form")
    rehearsal, known = forms.nth(0), forms.nth(1)
    expect(known.get_by_label("SMTP server")).to_have_value("smtp.gmail.com")
    expect(known.get_by_text("How do I set up Gmail?").first).to_be_visible()
    expect(page.get_by_role("button", name="Toets e-posinstellings")).to_be_visible()
    rehearsal.get_by_role("button", name="Test email settings").click()
    expect(rehearsal.get_by_text("The test email is on its way to accounts@example.com")).to_be_visible(timeout=20_000)


def test_the_first_tutorial_ends_with_tested_and_saved_settings(lab: LabPage, pictures: Pictures) -> None:
    # All forms stand in one tall window; JupyterLab draws only the cells that are near.
    run(lab, "1_provider_setup")
    lab.viewport(1280, 6000)
    set_up(lab.page)
    form = lab.page.locator(".docmail-form").first
    pictures.of(form, "settings")
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    assert not (lab.server.home / "docmail" / "settings.json").exists(), "a rehearsal leaves the user's own alone"


def test_the_first_tutorial_works_in_notebook_7(notebook7: Notebook7Page) -> None:
    notebook7.open("notebooks/1_provider_setup.ipynb").viewport(1280, 6000).run_all()
    set_up(notebook7.page)
    notebook7.page.locator(".docmail-form").first.get_by_role("button", name="Update").click()
    expect(notebook7.page.get_by_text("Saved.").first).to_be_visible(timeout=20_000)


def test_the_first_tutorial_works_in_voila(voila: VoilaPage) -> None:
    voila.page.set_viewport_size({"width": 1280, "height": 1000})
    voila.open("notebooks/1_provider_setup.ipynb")
    set_up(voila.page)
    voila.page.locator(".docmail-form").first.get_by_role("button", name="Update").click()
    expect(voila.page.get_by_text("Saved.").first).to_be_visible(timeout=20_000)
    expect(voila.page.get_by_text("Run this cell to open the form.").first).to_be_hidden()


def password(form: Locator, words: str) -> None:
    """Type a password."""
    form.get_by_label("Password", exact=True).fill(words)


def trust(form: Locator) -> None:
    """Tick the box, let the test ask, and trust what it shows."""
    form.get_by_label("Allow self-signed certificates").check()
    form.get_by_role("button", name="Test email settings").click()
    form.get_by_role("button", name="Trust this certificate").click()


# What the tutorial tells its reader to do about each failure, and the field that the form marks before.
MENDED: list[tuple[str, Callable[[Locator, dict[str, str]], object]]] = [
    ("password", lambda form, _printed: password(form, "abcd efgh ijkl mnop")),
    ("password", lambda form, _printed: password(form, SANDBOX_PASSWORD)),
    ("username", lambda form, _printed: form.get_by_label("Username").fill("accounts@example.com")),
    ("host", lambda form, _printed: form.get_by_label("SMTP server").fill("127.0.0.1")),
    ("port_number", lambda form, printed: form.get_by_label("Port number").fill(printed["port"])),
    ("security", lambda form, _printed: form.get_by_role("button", name="STARTTLS").click()),
    ("security", lambda form, _printed: form.get_by_role("button", name="TLS", exact=True).click()),
    ("self_signed", lambda form, _printed: trust(form)),
    ("ca_file", lambda form, printed: form.get_by_label("CA file").fill(printed["ca_file"])),
    ("email_address", lambda form, _printed: form.get_by_label("Your email address").fill("accounts@example.com")),
]


def test_the_second_tutorial_s_ten_failures_are_met_and_mended_in_the_form(lab: LabPage, pictures: Pictures) -> None:
    run(lab, "2_test_email")
    content = json.loads((NOTEBOOKS / "2_test_email.ipynb").read_text("utf-8"))
    forms = [number for number, cell in enumerate(content["cells"]) if "SettingsForm(" in "".join(cell["source"])]
    assert len(forms) == len(MENDED)
    printed = {
        "ca_file": lab.output_text(51)[0].strip(),
        "port": lab.output_text(30)[0].strip(),
    }
    for number, (field, mend) in enumerate(MENDED):
        form = lab.cell(forms[number]).locator(".docmail-form")
        test = form.get_by_role("button", name="Test email settings")
        test.click()
        expect(form.locator(f".dm-field-{field} .dm-problem"), f"failure {number + 1}").to_be_visible(timeout=40_000)
        expect(test).to_be_enabled()
        if number == 0:
            pictures.of(form, "test-email-failed")
        mend(form, printed)
        if field in {"username", "host", "port_number"}:  # another account
            password(form, SANDBOX_PASSWORD)
        expect(test).to_be_enabled()
        test.click()
        sent = form.get_by_text("The test email is on its way to accounts@example.com")
        expect(sent, f"failure {number + 1}").to_be_visible(timeout=40_000)


def test_the_fifth_tutorial_sends_each_invoice_once_though_the_kernel_is_restarted_in_the_middle(lab: LabPage) -> None:
    lab.open("notebooks/5_batch.ipynb").viewport(1280, 1000)
    content = json.loads((NOTEBOOKS / "5_batch.ipynb").read_text("utf-8"))
    sources = ["".join(cell["source"]) for cell in content["cells"]]
    sending = next(number for number, source in enumerate(sources) if source.endswith("limit=80)"))
    for cell in range(sending):
        lab.run(cell)
    lab.run(sending, wait=False)
    expect(lab.cell(sending).get_by_text(re.compile("[1-9][0-9]* sent"))).to_be_visible(timeout=20_000)
    lab.restart_kernel()
    lab.run_all(timeout=120)
    expect(lab.page.locator(".jp-OutputArea-output[data-mime-type*=error]")).to_have_count(0)
    counted = next(number for number, source in enumerate(sources) if "mail each" in source)
    assert lab.output_text(counted)[0].splitlines() == ["200 customers, 1 mail each", "[('sent', 200)]"]


def test_the_third_tutorial_emails_its_invoice_by_button(lab: LabPage, pictures: Pictures) -> None:
    run(lab, "3_email_a_pdf")
    view = lab.page.locator(".docmail").first
    view.get_by_role("button", name="Email").click()
    mail = lab.page.locator(".docmail-mail").first
    mail.get_by_label("To", exact=True).fill("cfo@example.com")
    mail.get_by_label("Subject").fill("Invoice 2026-118")
    mail.get_by_label("Body").fill("Dear Chris,\n\nplease find **invoice 2026-118** attached.")
    pictures.of(view, "document")
    mail.get_by_role("button", name="Send").click()
    # The cell with `send` has sent the same to the same; the form has noticed.
    mail.get_by_role("button", name="Send again").click()
    expect(mail.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)


def test_the_fourth_tutorial_shows_its_report_and_emails_it_by_button(lab: LabPage, pictures: Pictures) -> None:
    run(lab, "4_reports")
    view = lab.page.locator(".docmail").first
    expect(view.get_by_alt_text("First page of Sales, November 2026.pdf")).to_be_visible()
    pictures.of(view, "report")
    view.get_by_role("button", name="Email").click()
    mail = lab.page.locator(".docmail-mail").first
    mail.get_by_label("To", exact=True).fill("cfo@example.com")
    mail.get_by_label("Subject").fill("Sales")
    mail.get_by_role("button", name="Send").click()
    expect(mail.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)
