"""How mails look is decided in the settings form, and seen there, in the mail form, and by who gets the mail."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import expect

from docmail.sandbox import SANDBOX_PASSWORD
from tests.browser.test_settings_screen import SANDBOX, found_by_axe, opened
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def logo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (96, 96), "#0a5c8c").save(file, "PNG")
    return file.getvalue()


def test_a_look_is_typed_seen_saved_and_sent(lab: LabPage, pictures: Pictures) -> None:
    form = opened(
        lab,
        "look.ipynb",
        SANDBOX,
        "look = docmail.Settings.load().look; print(look.name, '-', look.footer, '-', len(look.logo) > 50)",
    )
    form.locator(".dm-field-look").click()
    panel = form.locator(".dm-look-panel")
    panel.get_by_label("Name").fill("Example Ltd")
    panel.get_by_label("Colour, such as").fill("blue")
    expect(panel.get_by_text("“blue” is no colour")).to_be_visible()
    panel.get_by_label("Colour, such as").fill("#0a5c8c")
    expect(panel.get_by_text("“blue” is no colour")).to_be_hidden()
    panel.get_by_label("Signature").fill("Ann Adams\nAccounts")
    panel.get_by_label("Footer").fill("Registered in Cape Town")
    panel.locator("input[type=file]").set_input_files({"name": "logo.png", "mimeType": "image/png", "buffer": logo()})
    expect(panel.get_by_role("img", name="Logo")).to_be_visible()
    mail = panel.frame_locator(".dm-mail-paper iframe").frame_locator("iframe")
    expect(mail.get_by_text("Registered in Cape Town")).to_be_visible()
    expect(mail.get_by_text("Ann Adams")).to_be_visible()
    expect(mail.get_by_role("img", name="Example Ltd")).to_be_visible()
    lab.page.evaluate(require_axe())
    assert not found_by_axe(lab, 0)
    expect(panel.get_by_label("Signature")).to_have_value("Ann Adams\nAccounts")
    expect(panel.get_by_label("Colour, such as")).to_have_value("#0a5c8c")
    pictures.take("look", 0)
    lab.page.emulate_media(color_scheme="null")  # otherwise Playwright says “light” to every frame
    panel.get_by_role("button", name="Dark").click()
    expect(mail.locator(".dm-card").first).to_have_css("background-color", "rgb(28, 33, 39)")
    pictures.of(panel, "look-dark")
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible()
    lab.run(1)
    expect(lab.cell(1)).to_contain_text("Example Ltd - Registered in Cape Town - True")
