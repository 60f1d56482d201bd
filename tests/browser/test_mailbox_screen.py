"""After sending, in JupyterLab: folded, one line for a known provider, every row for a server of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_settings_screen import FORM, SANDBOX, found_by_axe, opened
from tests.browser.test_short_form import ADDRESS, MORE, rows
from tests.support.imapserver import PASSWORD, ImapServer
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BOX = "Look into a mailbox (IMAP)"
FOLD = "After sending"


def fold(form: Locator) -> Locator:
    """Return the button that opens it."""
    return form.get_by_role("button", name=FOLD, exact=False).locator("visible=true").last


def test_a_known_provider_s_mailbox_is_one_line_that_opens_to_all_of_it(lab: LabPage, pictures: Pictures) -> None:
    form = opened(lab, "mailbox-known.ipynb", FORM)
    lab.page.evaluate(require_axe())
    form.get_by_label(ADDRESS).fill("anna@gmail.com")
    form.get_by_role("button", name=MORE).press("Enter")
    before = rows(form)
    fold(form).press("Enter")
    assert [row for row in rows(form) if row not in before] == ["mailbox"]
    form.get_by_label(BOX).check()
    line = form.locator(".dm-field-mailbox_server")
    expect(line).to_contain_text("imap.gmail.com · port 993 · encrypted")
    expect(form.get_by_role("button", name="Test mailbox")).to_be_visible()
    assert [row for row in rows(form) if row not in before] == ["mailbox", "mailbox_server"]
    pictures.take("mailbox-known", 0)
    assert found_by_axe(lab, 0) == []
    change = line.get_by_role("button", name="change")
    change.press("Enter")
    expect(form.get_by_label("IMAP server")).to_be_visible()
    pictures.take("mailbox-known-changed", 0)
    form.get_by_label("IMAP server").press("Escape")
    expect(change).to_be_focused()
    expect(form.get_by_label("IMAP server")).to_be_hidden()
    form.get_by_label(BOX).press("Escape")
    expect(fold(form)).to_be_focused()
    expect(form.get_by_label(BOX)).to_be_hidden()


def test_a_server_of_one_s_own_has_every_row_and_the_port_says_how_it_is_encrypted(
    lab: LabPage, pictures: Pictures
) -> None:
    form = opened(lab, "mailbox-own.ipynb", FORM)
    lab.page.evaluate(require_axe())
    form.get_by_label("SMTP server").fill("smtp.example.com")
    form.get_by_label(ADDRESS).fill("anna@example.com")
    before = rows(form)
    fold(form).click()
    form.get_by_label(BOX).check()
    form.get_by_role("button", name="Use imap.example.com").click()
    expect(form.get_by_label("IMAP server")).to_have_value("imap.example.com")
    security = form.locator(".dm-field-mailbox_security")
    expect(security.get_by_role("button", name="TLS", exact=True)).to_have_attribute("aria-pressed", "true")
    form.get_by_label("IMAP port").fill("143")
    expect(security.get_by_role("button", name="STARTTLS")).to_have_attribute("aria-pressed", "true")
    assert [row for row in rows(form) if row not in before] == [
        *("mailbox", "mailbox_host", "mailbox_port", "mailbox_security", "mailbox_username", "mailbox_self_signed"),
    ]
    form.get_by_label("IMAP user name").fill("bounces@example.com")
    expect(form.get_by_label("IMAP password", exact=True)).to_be_visible()
    form.get_by_label("Allow a self-signed certificate of the mailbox").check()
    expect(form.get_by_label("IMAP certificate")).to_be_visible()
    pictures.take("mailbox-own", 0)
    assert found_by_axe(lab, 0) == []
    form.get_by_label("IMAP certificate").fill("12:AB")
    form.get_by_role("button", name="Test mailbox").click()
    expect(form.get_by_label("IMAP certificate")).to_be_focused()
    expect(form.locator(".dm-field-mailbox_fingerprint .dm-problem")).to_be_visible()
    pictures.take("mailbox-problem", 0)


@pytest.mark.mailserver
def test_the_mailbox_of_a_real_server_is_tested_phase_by_phase_and_a_wrong_password_is_said_at_its_row(
    lab: LabPage, pictures: Pictures
) -> None:
    with ImapServer() as server:
        filled = {
            "mailbox_host": "localhost",
            "mailbox_port": server.tls,
            "mailbox_security": "tls",
            "mailbox_username": "ann@example.com",
            "mailbox_ca_file": str(server.ca_file),
        }
        fill = f"form.fill(**{filled!r}); form"
        form = opened(lab, "mailbox-test.ipynb", SANDBOX.rpartition("\n")[0] + "\n" + fill)
        lab.page.evaluate(require_axe())
        fold(form).click()
        password = form.get_by_label("IMAP password", exact=True)
        password.fill("wrong")
        password.press("Enter")
        bar = form.locator(".dm-mailbox-actions")
        expect(bar.locator(".dm-status")).to_contain_text("✗", timeout=30_000)
        expect(form.locator(".dm-field-mailbox_password .dm-problem")).to_be_visible()
        expect(password).to_be_focused()
        expect(form.locator(".dm-mailbox-details")).to_be_visible()
        pictures.take("mailbox-wrong-password", 0)
        assert found_by_axe(lab, 0) == []
        password.fill(PASSWORD)
        form.get_by_role("button", name="Test mailbox").click()
        expect(bar.locator(".dm-status")).to_contain_text(
            "Works: docmail can read bounces here and file copies", timeout=30_000
        )
        expect(form.locator(".dm-mailbox-details")).to_be_hidden()
        bar.get_by_role("button", name="steps").click()
        expect(form.locator(".dm-mailbox-details")).to_contain_text("copies go to “Verstuur”")
        expect(form.get_by_role("button", name="Test email settings")).to_be_enabled()
        pictures.take("mailbox-works", 0)
        assert found_by_axe(lab, 0) == []
