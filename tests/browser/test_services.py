"""The mail services and signing in with Microsoft and Google on the settings screen, in a real JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_settings_screen import found_by_axe, opened
from tests.oauth.sign_ins import decided
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SERVICES = """\
import docmail

box = docmail.Sandbox().start()
form = docmail.SettingsForm()
form.fill(api_url=box.settings_for("postmark").server.url, email_address="accounts@example.com", sender="Accounts")
form"""


MICROSOFT = """\
import docmail
from docmail.settings import SignIn

box = docmail.Sandbox().start()
server = box.microsoft_settings.server
form = docmail.SettingsForm()
form.fill(host=server.host, port=server.port, username=server.username, ca_file=server.ca_file, sender="Accounts",
          client_id=server.client_id, authority=server.authority, sign_in=SignIn.MICROSOFT)
form"""


def test_somebody_signs_in_with_a_code_sends_and_signs_out(lab: LabPage, pictures: Pictures) -> None:
    form = opened(lab, "microsoft.ipynb", MICROSOFT)
    lab.page.evaluate(require_axe())
    expect(form.get_by_label("Password", exact=True)).to_be_hidden()
    expect(form.get_by_label("Application ID")).to_be_visible()
    form.get_by_role("button", name="Sign in with Microsoft").click()
    code = form.locator(".dm-copied")
    expect(code).to_be_visible(timeout=20_000)
    pictures.take("code", 0)
    barriers = found_by_axe(lab, 0)
    with lab.page.context.expect_page() as opening:
        form.get_by_role("link", name="/identity/device").click()
    page = opening.value
    expect(page.get_by_text(code.inner_text())).to_be_visible()
    page.get_by_role("button", name="Agree").click()
    expect(page.get_by_text("You can close this tab and go back to JupyterLab.")).to_be_visible()
    page.close()
    expect(form.get_by_text("Signed in as accounts@example.com.")).to_be_visible(timeout=20_000)
    expect(form.get_by_role("button", name="Sign out")).to_be_visible()
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text("on its way")).to_be_visible(timeout=20_000)
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    pictures.take("signed-in", 0)
    barriers += found_by_axe(lab, 0)
    form.get_by_role("button", name="Sign out").click()
    expect(form.get_by_text("Signed out")).to_be_visible(timeout=20_000)
    assert barriers == []


GOOGLE = """\
import docmail
from docmail.settings import SignIn

box = docmail.Sandbox().start()
box.identity.google_secret = "GOCSPX-of-the-test"
server = box.google_settings.server
form = docmail.SettingsForm()
form.fill(host=server.host, port=server.port, username=server.username, ca_file=server.ca_file, sender="Accounts",
          client_id=server.client_id, authority=server.authority, sign_in=SignIn.GOOGLE)
form"""


def test_somebody_signs_in_with_google_from_another_computer_and_from_this_one(
    lab: LabPage, pictures: Pictures
) -> None:
    form = opened(lab, "google.ipynb", GOOGLE)
    lab.page.evaluate(require_axe())
    expect(form.get_by_role("button", name="Microsoft")).to_be_hidden()
    for hidden in ("Organisation", "Password", "Page address"):
        expect(form.get_by_label(hidden, exact=True)).to_be_hidden()
    pictures.take("google", 0)
    barriers = found_by_axe(lab, 0)
    form.get_by_label("Client secret", exact=True).fill("GOCSPX-of-the-test")
    form.get_by_role("button", name="Sign in with Google").click()
    link = form.get_by_role("link", name="Open Google's page")
    expect(link).to_be_visible(timeout=20_000)
    expect(form.get_by_label("Client secret", exact=True)).to_have_value("")

    # A browser elsewhere: nobody listens where it is sent to, and all that it has is the address.
    ended = decided(link.get_attribute("href") or "")
    address = form.get_by_label("Page address", exact=True)
    address.fill("http://127.0.0.1:8888/lab")
    form.get_by_role("button", name="Use this address").click()
    expect(form.locator(".dm-field-pasted .dm-problem")).to_be_visible()
    pictures.take("google-link", 0)
    barriers += found_by_axe(lab, 0)
    address.fill(ended)
    form.get_by_role("button", name="Use this address").click()
    expect(form.get_by_text("Signed in as accounts@example.com.")).to_be_visible(timeout=20_000)
    expect(address).to_be_hidden()
    form.get_by_role("button", name="Sign out").click()
    expect(form.get_by_text("here and at Google")).to_be_visible(timeout=20_000)

    form.get_by_role("button", name="Sign in with Google").click()  # the client secret is still known
    with lab.page.context.expect_page() as opening:
        link.click()
    page = opening.value
    page.get_by_role("button", name="Agree").click()
    expect(page.get_by_text("You can close this tab")).to_be_visible()
    page.close()
    expect(form.get_by_text("Signed in as accounts@example.com.")).to_be_visible(timeout=20_000)
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text("on its way")).to_be_visible(timeout=20_000)
    assert barriers + found_by_axe(lab, 0) == []


def test_a_service_is_chosen_tested_and_saved_with_only_its_own_fields(lab: LabPage, pictures: Pictures) -> None:
    script = require_axe()
    form = opened(lab, "services.ipynb", SERVICES)
    lab.page.evaluate(script)
    form.get_by_role("button", name="HTTP").click()
    expect(form.get_by_label("HTTP server")).to_be_visible()
    expect(form.get_by_label("API key", exact=True)).to_be_hidden()
    expect(form.get_by_label("Service")).to_have_count(0)  # a service stands in one menu
    form.get_by_role("button", name="Use email.manager.io").click()
    expect(form.get_by_label("HTTP server")).to_have_value("email.manager.io")
    form.get_by_label("Provider").focus()  # as long as somebody is in it, it stays
    form.get_by_label("Provider").select_option("Mailgun")
    expect(form.get_by_label("Domain")).to_be_visible()
    expect(form.get_by_role("button", name="European Union")).to_be_visible()
    expect(form.locator(".dm-field-region").get_by_text("by HTTP: a key is enough")).to_be_visible()
    form.get_by_label("Provider").select_option("Microsoft 365")
    expect(form.get_by_role("button", name="I have only my password")).to_be_visible()
    form.get_by_role("button", name="change").click()
    form.get_by_role("button", name="HTTP").click()
    expect(form.get_by_label("Username")).to_be_visible()
    expect(form.get_by_role("button", name="Sign in with Microsoft")).to_be_visible()
    pictures.take("graph", 0)
    form.get_by_label("Provider").select_option("Postmark")
    key = form.get_by_label("API key", exact=True)
    expect(key).to_be_visible()
    for gone in ("HTTP server", "Domain", "Username", "SMTP server"):
        expect(form.get_by_label(gone, exact=True)).to_be_hidden()
    expect(form.get_by_text("How do I set up Postmark API?")).to_be_visible()
    key.fill("wrong-key")
    form.get_by_role("button", name="Test email settings").click()
    expect(form.locator(".dm-field-password .dm-problem")).to_be_visible(timeout=20_000)
    pictures.take("service-refused", 0)
    assert found_by_axe(lab, 0) == []
    key.fill("sandbox-password")
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text("on its way")).to_be_visible(timeout=20_000)
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
