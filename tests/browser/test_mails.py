"""Mails in a browser of a phone's and of a screen's width, light and dark: nothing is cut off, all can be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.mails import BODIES, LOOKS, html_of
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 360, "height": 640})
    yield page
    page.close()


def show(page: Page, body: str, look: str, *, dark: bool = False) -> None:
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_content(html_of(body, look))
    if folder := os.environ.get("DOCMAIL_SCREENSHOTS"):
        width = (page.viewport_size or {"width": 0})["width"]
        name = f"mail-{body}-{look}-{width}-{'dark' if dark else 'light'}.png"
        page.screenshot(path=Path(folder) / name, full_page=True)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("body", BODIES)
def test_a_mail_fits_a_phone(phone: Page, body: str, look: str) -> None:
    """A table of five columns was 432 pixels wide on a phone of 360."""
    show(phone, body, look)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    # What sticks out of a column of a fixed width need not make the page wider. A styled table that somebody made wide
    # is scrolled sideways in its own place, which fits.
    beyond = """margin => [...document.querySelectorAll(
        '.dm-table, th, p, li, img, pre, code, span, [style*="overflow-x"]'
    )].filter(each => !each.parentElement.closest('[style*="overflow-x"]')).filter(each => {
        const place = each.getBoundingClientRect();
        return place.width && (place.right > 360.5 - margin || place.left < margin - 0.5);
    }).map(each => each.outerHTML.slice(0, 80))"""
    assert phone.evaluate(beyond, 20 if LOOKS[look].has_letterhead else 8) == []


def test_a_table_that_is_too_wide_for_a_phone_is_a_list_of_its_rows_there(phone: Page) -> None:
    show(phone, "statement", "letterhead")
    row = phone.locator(".dm-stack tbody tr").first
    assert row.inner_text().split("\n") == [
        "2026-09-30", "Reference:", "INV-1041", "Description:", "Invoice", "Debit:", "18,250.5", "Balance:", "18,250.5",
    ]  # fmt: skip
    phone.set_viewport_size({"width": 700, "height": 640})
    assert not phone.locator(".dm-label").first.is_visible()
    assert phone.locator("thead").is_visible()


def test_a_table_that_a_phone_has_room_for_stays_one(phone: Page) -> None:
    show(phone, "invoice", "letterhead")
    assert phone.locator("thead").is_visible()
    rights = "cells => new Set(cells.map(cell => Math.round(cell.getBoundingClientRect().right))).size"
    assert phone.locator("tbody tr td:last-child").evaluate_all(f"{rights}") >= 1
    assert phone.locator(".dm-table td:last-child").evaluate_all(rights) == 1


@pytest.mark.parametrize("look", ["letterhead", "plain"])
@pytest.mark.parametrize("body", ["invoice", "report", "statement", "hebrew"])
def test_colours_hold_in_the_light_and_in_the_dark(phone: Page, body: str, look: str) -> None:
    """By axe-core's rule for the contrast of text."""
    for dark in (False, True):
        show(phone, body, look, dark=dark)
        phone.evaluate(require_axe())
        found = phone.evaluate(
            "async () => (await axe.run(document, { runOnly: ['color-contrast', 'image-alt', 'html-has-lang',"
            " 'html-lang-valid', 'list', 'link-name'] })).violations.map(each => each.id)"
        )
        assert found == []


def test_a_column_is_600_pixels_wide_on_a_screen(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 900, "height": 640})
    for look in ("letterhead", "plain"):
        show(page, "report", look)
        widths = page.locator("table[style*='max-width: 600px']").evaluate_all(
            "all => all.map(each => each.offsetWidth)"
        )
        assert set(widths) == {600}
        assert page.locator("img").last.evaluate("each => each.offsetWidth") == {"letterhead": 536, "plain": 600}[look]
    page.close()
