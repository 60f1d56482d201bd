"""An organisation's settings in a real JupyterHub: below a prefix, for two people, with passwords from the hub."""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.hub import Hub
from tests.support.mailserver import USERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator

    from tests.support.lab import LabPage
    from tests.support.mailserver import RealMailServer

pytestmark = [pytest.mark.browser, pytest.mark.mailserver, pytest.mark.timeout(600)]

PEOPLE = ("accounts", "other")
SEND = """\
print([row.subject for row in docmail.Outbox()])
sent = docmail.send([], to=docmail.Settings.load().address, subject="Q3", body="Hello")
print([row.subject for row in docmail.Outbox()])"""


@pytest.fixture
def hub(mailserver: RealMailServer, tmp_path: Path) -> Iterator[Hub]:
    """Return a hub whose organisation has a mail server of its own; it knows everybody's password there."""
    organisation = tmp_path / "organisation.toml"
    organisation.write_text(
        f"""\
[[provider]]
name = "Example Ltd"
domains = ["example.com"]
server = "localhost"
port = {mailserver.ports.starttls}
ca_file = "{mailserver.ca_file}"
""",
        "utf-8",
    )
    folder = tmp_path / "hub"
    folder.mkdir()
    hub = Hub(
        folder,
        {"DOCMAIL_ORGANISATION": str(organisation)},
        {name: USERS[f"{name}@example.com"] for name in PEOPLE},
    )
    hub.start()
    yield hub
    hub.stop()


def form_of(lab: LabPage) -> Locator:
    """Return the settings form in a new notebook."""
    lab.write("settings.ipynb", "import docmail; docmail.SettingsForm()", SEND)
    lab.open("settings.ipynb", timeout=120).viewport(1280, 1000).run(0)
    form = lab.cell(0).locator(".docmail-form").first
    expect(form.get_by_role("button", name="Update")).to_be_enabled()
    return form


def test_on_a_hub_each_person_types_an_address_and_presses_test(
    hub: Hub, mailserver: RealMailServer, browser: Browser
) -> None:
    mailserver.clear()
    for name in PEOPLE:
        address = f"{name}@example.com"
        with closing(browser.new_context()) as context:
            lab = hub.lab_of(name, context.new_page())
            form = form_of(lab)
            expect(form.get_by_text("not saved yet")).to_be_visible()  # nothing of who came before
            form.get_by_label("Your email address").press_sequentially(address)
            expect(form.get_by_role("button", name="set by your organisation")).to_be_visible()
            expect(form.get_by_text("comes from DOCMAIL_PASSWORD")).to_be_visible()
            form.get_by_role("button", name="Test email settings").click()
            expect(form.get_by_text(f"on its way to {address}")).to_be_visible(timeout=30_000)
            form.get_by_role("button", name="Update").click()
            expect(form.get_by_text(re.compile(r"Saved\b"))).to_be_visible(timeout=20_000)
            lab.run(1)
            assert lab.output_text(1) == ["[]\n['Q3']\n"]  # and nothing of who came before
            lab.shutdown_kernel()
        mailserver.wait_for_mail(address, 2)
    homes = sorted(path.name for path in (hub.home / "people").iterdir())
    assert homes == sorted(PEOPLE)
    for name in PEOPLE:
        saved = (hub.home / "people" / name / ".config" / "docmail" / "settings.json").read_text("utf-8")
        assert f"{name}@example.com" in saved
        assert USERS[f"{name}@example.com"] not in saved
        assert not any(f"{other}@example.com" in saved for other in PEOPLE if other != name)
