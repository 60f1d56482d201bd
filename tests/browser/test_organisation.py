"""The settings form in two organisations that have set up everything: with an own mail server, and at Microsoft 365."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from docmail.sandbox import SANDBOX_PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator

    from docmail.sandbox import Sandbox
    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ADDRESS = "accounts@example.com"


def opened(lab: LabPage, name: str, organisation: Path, *cells: str) -> Locator:
    """Return the form of a kernel in whose environment the organisation's file is, as a hub puts it there."""
    first = (
        f"import os; os.environ['DOCMAIL_ORGANISATION'] = {str(organisation)!r}\nimport docmail; docmail.SettingsForm()"
    )
    lab.write(name, first, *cells)
    lab.open(name).viewport(1280, 1000).run(0)
    form = lab.cell(0).locator(".docmail-form").first
    expect(form.get_by_role("button", name="Update")).to_be_enabled()
    return form


def saved(lab: LabPage) -> str:
    """Return what the kernel has saved."""
    return (lab.server.home / "docmail" / "settings.json").read_text("utf-8")


def tab_stops(lab: LabPage, form: Locator, last: str) -> list[str]:
    """Return what the Tab key meets from the address on, to this button."""
    form.get_by_label("Your email address").focus()
    met = ["Your email address"]
    while met[-1] != last and len(met) < 40:
        lab.page.keyboard.press("Tab")
        met.append(
            lab.page.evaluate(
                """() => {
                    const at = document.activeElement;
                    return (at.getAttribute('aria-label') ?? at.labels?.[0]?.textContent ?? at.textContent).trim();
                }"""
            )
        )
    return met


def test_with_an_own_server_the_address_and_the_password_are_left(
    lab: LabPage, box: Sandbox, tmp_path: Path, pictures: Pictures
) -> None:
    organisation = tmp_path / "organisation.toml"
    organisation.write_text(
        f'''copy_to = "archive@example.com"

[[provider]]
name = "Example Ltd"
domains = ["example.com"]
server = "{box.host}"
port = {box.port}
ca_file = "{box.ca_file}"
password_hint = "the password of your computer"
guide = """
1. Type the password of your computer.
2. Press **Test email settings**, then **Update**.

If it is refused, call the help desk: 1234.
"""
''',
        "utf-8",
    )
    form = opened(
        lab, "own.ipynb", organisation, "docmail.send([], to='cfo@example.org', subject='Q3', body='Hello').accepted"
    )
    form.get_by_label("Your email address").press_sequentially(ADDRESS)
    line = form.locator(".dm-field-server")
    expect(line).to_contain_text(f"{box.host} · port {box.port} · encrypted")
    expect(form.get_by_text("a copy of every email goes to archive@example.com")).to_be_visible()
    expect(form.get_by_label("SMTP server")).to_be_hidden()
    expect(form.get_by_label("Password", exact=True)).to_have_attribute("placeholder", "the password of your computer")
    assert len(tab_stops(lab, form, "Update")) <= 11
    pictures.of(form, "organisation-own-server")
    line.get_by_role("button", name="set by your organisation").click()
    for label in ("SMTP server", "Copy to"):
        expect(form.get_by_label(label)).to_be_visible()
        expect(form.get_by_label(label)).to_be_disabled()
    expect(form.locator(".dm-field-host .dm-note")).to_contain_text("set by your organisation")
    expect(form.get_by_label("Copy to")).to_have_value("archive@example.com")
    expect(form.get_by_label("Username")).to_be_enabled()
    pictures.of(form, "organisation-own-server-details")
    line.get_by_role("button", name="set by your organisation").click()
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text(f"on its way to {ADDRESS}")).to_be_visible(timeout=20_000)
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    stored = json.loads(saved(lab))["profiles"]["default"]
    assert stored["copy_to"] == "archive@example.com"
    lab.run(1)
    assert set(box.inbox[-1].recipients) == {"cfo@example.org", "archive@example.com"}


def test_at_microsoft_365_one_button_is_left(lab: LabPage, box: Sandbox, tmp_path: Path, pictures: Pictures) -> None:
    there = box.microsoft_settings.server
    organisation = tmp_path / "organisation.toml"
    organisation.write_text(
        f"""[[provider]]
name = "Example Services"
domains = ["example.com"]
server = "{box.host}"
port = {box.port}
ca_file = "{box.ca_file}"
sign_in = "microsoft"
client_id = "{there.client_id}"
authority = "{there.authority}"
""",
        "utf-8",
    )
    form = opened(lab, "microsoft.ipynb", organisation)
    form.get_by_label("Your email address").press_sequentially(ADDRESS)
    sign_in = form.get_by_role("button", name="Sign in with Microsoft")
    expect(sign_in).to_be_visible()
    for label in ("Application ID", "Organisation", "Password", "SMTP server"):
        expect(form.get_by_label(label, exact=True)).to_be_hidden()
    expect(form.locator(".dm-field-sign_in")).to_be_hidden()
    expect(form.get_by_text("I have only my password")).to_be_hidden()
    pictures.of(form, "organisation-microsoft")
    sign_in.click()
    expect(form.locator(".dm-code")).to_be_visible(timeout=20_000)
    box.identity.agree()
    expect(form.get_by_text(f"Signed in as {ADDRESS}.")).to_be_visible(timeout=30_000)
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text(f"on its way to {ADDRESS}")).to_be_visible(timeout=20_000)
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    pictures.of(form, "organisation-microsoft-saved")
    assert [mail.recipients for mail in box.inbox] == [(ADDRESS,)]


def test_a_file_with_a_mistake_is_said_and_the_form_works_without_it(
    lab: LabPage, box: Sandbox, tmp_path: Path, pictures: Pictures
) -> None:
    organisation = tmp_path / "organisation.toml"
    organisation.write_text(
        '[[provider]]\ndomains = ["example.com"]\nserver = "mail.example.com"\nports = 587\n', "utf-8"
    )
    fill = (
        f"form = docmail.SettingsForm(); form.fill(host={box.host!r}, port={box.port}, username={ADDRESS!r}, "
        f"sender='Accounts', ca_file={str(box.ca_file)!r}); form"
    )
    opened(lab, "mistake.ipynb", organisation, fill)
    lab.run(1)
    form = lab.cell(1).locator(".docmail-form").first
    expect(form.get_by_text("line 4: “ports”: docmail does not know this; “port” may be meant.")).to_be_visible()
    expect(form.get_by_text("Show this to your administrator.")).to_be_visible()
    pictures.of(form, "organisation-mistake")
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text(f"on its way to {ADDRESS}")).to_be_visible(timeout=20_000)
