"""The documentation site in Chromium, from files, as on a computer without a network."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.requires import require_axe
from tests.support.site import build_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PAGES = (
    "index",
    "notebooks/3_email_a_pdf",
    "notebooks/4_reports",
    "guides/other-providers",
    "guides/af/ports",
    "names/docmail",
    "architecture",
    "changelog",
)

AXE = """async () => {
  const { violations } = await axe.run();
  return violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a built site."""
    return build_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(
    params=[(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")], ids=lambda each: f"{each[0]}-{each[1]}"
)
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a window of this width, in this theme."""
    width, theme = request.param
    with closing(browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=theme)) as context:
        yield context.new_page()


def test_nobody_is_shut_out_and_nothing_is_wider_than_the_window(window: Page, site: Path) -> None:
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        window.goto((site / f"{name}.html").as_uri())
        window.evaluate(require_axe())
        found = window.evaluate(AXE)
        assert (name, found) == (name, [])
        assert window.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        assert window.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)"), name
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob", "about"}


def test_the_search_finds_a_guide_without_a_server(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_placeholder("Search").fill("app password")
    page.keyboard.press("Enter")
    found = page.locator("#search-results li a")
    expect(found.filter(has_text="Gmail").first).to_be_visible()
    found.filter(has_text="Gmail").first.click()
    expect(page.get_by_role("heading", level=1).first).to_contain_text("Gmail")


def test_a_long_line_of_code_is_reached_by_the_keyboard(page: Page, site: Path) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.goto((site / "index.html").as_uri())
    code = page.locator(".highlight pre").first
    expect(code).to_have_attribute("tabindex", "0")
    code.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.highlight pre').scrollLeft > 0")
