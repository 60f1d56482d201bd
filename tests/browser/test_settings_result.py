"""The result of a test, and of Update, as people meet it: beside the buttons, at the field to change, until an edit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from docmail.sandbox import SANDBOX_PASSWORD
from tests.support.mailserver import USERS

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage
    from tests.support.mailserver import RealMailServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SANDBOX = """\
import docmail

box = docmail.Sandbox().start()
form = docmail.SettingsForm()
form.fill(host=box.host, port=box.port, username="accounts@example.com", sender="Accounts", ca_file=str(box.ca_file))
form"""
NO_KEYRING = """\
import keyring.backends.fail

keyring.set_keyring(keyring.backends.fail.Keyring())
"""
SECONDS = 30_000


def opened(lab: LabPage, name: str, *cells: str) -> Locator:
    """Return the form in the first cell of a new notebook, ready to be used."""
    lab.write(name, *cells)
    lab.open(name).viewport(1280, 1000).run(0)
    form = lab.cell(0).locator(".docmail-form").first
    expect(form.get_by_role("button", name="Update")).to_be_enabled()
    return form


def trial(form: Locator) -> Locator:
    """Return the button for the test email."""
    return form.get_by_role("button", name="Test email settings")


def bar(form: Locator) -> Locator:
    """Return the buttons with their line; the ways to sign in have buttons of their own."""
    return form.locator(".dm-actions", has=form.page.get_by_role("button", name="Test email settings"))


def status(form: Locator) -> Locator:
    """Return the line beside the buttons."""
    return bar(form).locator(".dm-status")


def details(form: Locator) -> Locator:
    """Return what can be shown below the buttons."""
    return form.locator(".dm-details")


def is_beside_the_buttons(form: Locator) -> bool:
    """Whether the line stands right of the buttons, or directly below them."""
    line, button = status(form).bounding_box(), trial(form).bounding_box()
    assert line
    assert button
    return abs(line["y"] - button["y"]) < 60 and (line["x"] > button["x"] or line["y"] > button["y"])


def test_a_good_test_is_told_beside_the_buttons_with_its_steps_folded_until_something_is_edited(
    lab: LabPage, pictures: Pictures
) -> None:
    form = opened(lab, "good.ipynb", SANDBOX)
    expect(status(form)).to_have_text("● Not tested yet.")
    expect(status(form)).to_have_attribute("role", "status")
    pictures.take("before-test", 0)
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    trial(form).click()
    expect(status(form)).to_contain_text("✓ Works: the test email is on its way to accounts@", timeout=SECONDS)
    expect(status(form)).to_contain_text("look also into the spam folder")
    assert is_beside_the_buttons(form)
    expect(details(form)).to_be_hidden()
    pictures.take("success", 0)
    steps = form.get_by_role("button", name="11 steps")
    expect(steps).to_have_attribute("aria-expanded", "false")
    steps.click()
    expect(details(form)).to_be_visible()
    expect(details(form).get_by_text("sign-in", exact=True)).to_be_visible()
    steps.click()
    expect(details(form)).to_be_hidden()
    form.get_by_label("Sender's name").fill("Others")
    expect(status(form)).to_have_text("● Changed since the test: test again.")
    expect(steps).to_be_hidden()
    pictures.take("after-edit", 0)


def test_a_password_that_is_typed_after_a_good_test_ends_it_as_well(lab: LabPage) -> None:
    form = opened(lab, "retyped.ipynb", SANDBOX)
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    trial(form).click()
    expect(status(form)).to_contain_text("Works", timeout=SECONDS)
    form.get_by_label("Password", exact=True).press_sequentially("x")
    expect(status(form)).to_have_text("● Changed since the test: test again.")


def test_a_wrong_password_opens_the_details_and_brings_the_keyboard_to_its_field(
    lab: LabPage, pictures: Pictures
) -> None:
    form = opened(lab, "wrong-password.ipynb", SANDBOX)
    password = form.get_by_label("Password", exact=True)
    password.fill("wrong-password")
    trial(form).click()
    expect(status(form)).to_have_text("✗ The server does not accept this username and password.", timeout=SECONDS)
    assert is_beside_the_buttons(form)
    expect(password).to_be_focused()
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(form.locator(".dm-field-password .dm-problem")).to_contain_text("✗ Check Username and Password")
    toggle = form.get_by_role("button", name="details", exact=True)
    expect(toggle).to_have_attribute("aria-expanded", "true")
    expect(details(form).get_by_text("535", exact=False).first).to_be_visible()
    expect(details(form)).not_to_contain_text("wrong-password")
    expect(details(form).get_by_text("Report for your administrator")).to_be_visible()
    pictures.take("failed-password", 0)
    toggle.click()
    expect(details(form)).to_be_hidden()
    password.press("End")
    password.press("x")
    expect(form.locator(".dm-field-password .dm-problem")).to_have_count(0)
    expect(status(form)).to_contain_text("● Changed since the test. It said: The server does not accept")


def test_what_is_waited_for_is_named_while_a_slow_server_thinks_and_it_can_be_stopped(
    lab: LabPage, pictures: Pictures
) -> None:
    form = opened(lab, "slow.ipynb", SANDBOX.replace("form = ", "box.delay('auth', 600)\nform = "))
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    trial(form).click()
    steps = bar(form).locator(".dm-phases")
    expect(steps).to_have_text("✓ name✓ connected✓ encrypted◌ signing in …", timeout=SECONDS)
    expect(status(form)).to_have_text("Testing …")
    expect(bar(form).locator(".dm-elapsed")).to_have_text(re.compile(r"^[1-9]\d*\.\d s$"), timeout=SECONDS)
    pictures.take("running", 0)
    form.get_by_role("button", name="details", exact=True).click()
    expect(details(form).get_by_text("what it offers")).to_be_visible()
    bar(form).get_by_role("button", name="Stop").click()
    expect(status(form)).to_have_text("⚠ Stopped. No test email was sent.", timeout=SECONDS)
    expect(steps).to_be_hidden()


def test_the_page_moves_to_the_field_and_not_from_where_somebody_types(lab: LabPage) -> None:
    form = opened(lab, "scroll.ipynb", SANDBOX.replace("form = ", "box.delay('auth', 3, times=1)\nform = "))
    lab.viewport(1280, 420)
    button = trial(form)
    form.get_by_label("Password", exact=True).fill("wrong-password")
    button.scroll_into_view_if_needed()
    button.click()
    form.get_by_label("Sender's name").focus()
    expect(status(form)).to_contain_text("✗", timeout=SECONDS)
    expect(form.get_by_label("Sender's name")).to_be_focused()
    button.click()
    expect(form.get_by_label("Password", exact=True)).to_be_focused(timeout=SECONDS)
    expect(form.get_by_label("Password", exact=True)).to_be_in_viewport()


@pytest.mark.mailserver
@pytest.mark.parametrize(
    ("port", "chosen", "button", "now"),
    [("starttls", "TLS", "Use STARTTLS", "STARTTLS"), ("tls", "STARTTLS", "Use TLS", "TLS")],
)
def test_a_wrong_security_is_mended_with_one_press_at_a_real_server(  # noqa: PLR0913, PLR0917
    lab: LabPage, mailserver: RealMailServer, pictures: Pictures, port: str, chosen: str, button: str, now: str
) -> None:
    number, security = getattr(mailserver.ports, port), chosen.lower()
    form = opened(
        lab,
        f"security-{port}.ipynb",
        "import docmail\nform = docmail.SettingsForm()\n"
        f"form.fill(host='localhost', port={number}, security='{security}', username='accounts@example.com',"
        f" sender='Accounts', ca_file='{mailserver.ca_file}')\nform",
    )
    form.get_by_label("Password", exact=True).fill(USERS["accounts@example.com"])
    trial(form).click()
    offer = form.get_by_role("button", name=button)
    expect(offer).to_be_visible(timeout=60_000)
    expect(form.locator(".dm-field-security .dm-problem")).to_contain_text(f"✗ Choose {now}.")
    expect(form.locator(".dm-field-security .mod-active")).to_be_focused()
    pictures.take(f"failed-security-{port}", 0)
    offer.click()
    expect(form.get_by_role("button", name=now, exact=True)).to_have_attribute("aria-pressed", "true")
    expect(offer).to_have_count(0)
    expect(status(form)).to_contain_text("● Changed since the test.")
    trial(form).click()
    expect(status(form)).to_contain_text("Works", timeout=60_000)


def test_a_wrong_port_is_named_at_its_field(lab: LabPage, pictures: Pictures) -> None:
    form = opened(lab, "port.ipynb", SANDBOX.replace("port=box.port", "port=9"))
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    trial(form).click()
    expect(status(form)).to_contain_text("accepts no connections on port 9", timeout=60_000)
    expect(form.get_by_label("Port number")).to_be_focused()
    pictures.take("failed-port", 0)


def test_a_certificate_is_trusted_beside_its_fingerprint_only_where_the_box_is_ticked(
    lab: LabPage, pictures: Pictures
) -> None:
    form = opened(lab, "trust.ipynb", SANDBOX.replace(", ca_file=str(box.ca_file)", ""))
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    trial(form).click()
    expect(details(form)).to_contain_text("“Allow self-signed certificates” is not ticked", timeout=SECONDS)
    expect(form.get_by_role("button", name="Trust this certificate")).to_have_count(0)
    form.get_by_label("Allow self-signed certificates").check()
    trial(form).click()
    trust = form.locator(".dm-field-fingerprint").get_by_role("button", name="Trust this certificate")
    expect(trust).to_be_visible(timeout=SECONDS)
    expect(details(form)).not_to_contain_text("tick")
    expect(form.get_by_label("Trusted certificate")).to_be_focused()
    pictures.take("certificate", 0)
    trust.press("Enter")
    expect(form.get_by_label("Trusted certificate")).to_have_value(re.compile(r"^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$"))
    expect(form.get_by_label("Trusted certificate")).to_be_focused()
    expect(trust).to_have_count(0)
    expect(status(form)).to_contain_text("The certificate is trusted from now on")
    trial(form).click()
    expect(status(form)).to_contain_text("Works", timeout=SECONDS)


def test_saved_is_told_with_the_place_of_the_password_and_goes_with_the_first_edit(
    lab: LabPage, pictures: Pictures
) -> None:
    cell = f"{NO_KEYRING}import docmail\nform = docmail.SettingsForm()\nform.fill(host='smtp.example.com', port=587,"
    cell += " username='accounts@example.com', sender='Accounts')\nform"
    form = opened(lab, "saved.ipynb", cell, "import docmail\ndocmail.SettingsForm()")
    form.get_by_label("Password", exact=True).fill("only-for-now")
    form.get_by_role("button", name="Update").click()
    expect(status(form)).to_contain_text("✓ Saved. This machine has no keyring", timeout=SECONDS)
    expect(status(form)).to_contain_text("Every document in a notebook now has an Email button.")
    help_button = form.get_by_role("button", name="What you can do")
    expect(details(form)).to_be_hidden()
    pictures.take("saved-without-keyring", 0)
    help_button.click()
    expect(details(form)).to_be_visible()
    form.get_by_label("Sender's name").fill("Others")
    expect(status(form)).to_have_text("● Changed since it was saved. Not tested yet.")
    expect(details(form)).to_be_hidden()


def test_after_a_restart_without_a_keyring_the_form_says_that_the_password_is_gone(
    lab: LabPage, pictures: Pictures
) -> None:
    cell = f"{NO_KEYRING}import docmail\nform = docmail.SettingsForm('restarted')\n"
    fill = "form.fill(host='smtp.example.com', port=587, username='accounts@example.com', sender='Accounts')\nform"
    form = opened(lab, "gone.ipynb", cell + fill, f"{cell}form")
    form.get_by_label("Password", exact=True).fill("only-for-now")
    form.get_by_role("button", name="Update").click()
    expect(status(form)).to_contain_text("Saved.", timeout=SECONDS)
    lab.restart_kernel()
    lab.run(1)
    again = lab.cell(1).locator(".docmail-form")
    expect(again.locator(".dm-field-password .dm-note")).to_contain_text(
        "⚠ the password is gone: this machine has no keyring, so it ended with the kernel. Type it again"
    )
    expect(status(again)).to_have_text("⚠ Saved before, but the password is missing: type it again.")
    pictures.take("password-gone", 1)
