"""Chromium's own password manager, with a login saved for JupyterLab's address, leaves docmail's form alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.leaks.saved_login import PASSWORD, USERNAME, save_login
from tests.leaks.stories import SECONDS
from tests.support.lab import LabPage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from playwright.sync_api import Playwright

    from tests.support.lab import LabServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# A login as many sites have it, in the same page; it is added last, so what is filled in has been filled in by then.
LOGIN = """() => {
    const login = document.createElement("form");
    login.id = "login";
    login.style = "position: fixed; inset: 0 0 auto auto; z-index: 10000";
    login.innerHTML = `<label>Account <input type="text" autocomplete="username"></label>
        <label>Code <input type="password" autocomplete="current-password"></label>`;
    document.body.append(login);
}"""


@pytest.fixture(scope="module")
def window(
    playwright: Playwright,
    browser_type_launch_args: dict[str, Any],
    lab_server: LabServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LabPage]:
    """Return JupyterLab with docmail's form in a browser that knows a login for this address, after a click."""
    profile = tmp_path_factory.mktemp("profile")
    # Chromium makes the database itself.
    playwright.chromium.launch_persistent_context(profile, **browser_type_launch_args).close()
    save_login(profile, lab_server.url)
    with playwright.chromium.launch_persistent_context(profile, **browser_type_launch_args) as context:
        lab = LabPage(context.pages[0], lab_server)
        lab.write("leaks-login.ipynb", "import docmail; docmail.SettingsForm('leaks-login')")
        lab.open("leaks-login.ipynb").run(0)
        expect(lab.page.locator(".docmail-form").get_by_label("Password", exact=True)).to_be_visible(timeout=SECONDS)
        lab.page.evaluate(LOGIN)
        expect(lab.page.locator("#login :autofill")).to_have_count(2, timeout=SECONDS)
        # Before a click, what is filled in is drawn but no script may read it.
        lab.page.locator(".docmail-form").get_by_label("SMTP server").click()
        lab.page.locator(".docmail-form").get_by_label("Password", exact=True).click()
        yield lab
        lab.shutdown_kernel()


def test_a_login_in_the_same_page_is_filled_in(window: LabPage) -> None:
    expect(window.page.get_by_label("Account", exact=True)).to_have_value(USERNAME)
    expect(window.page.get_by_label("Code", exact=True)).to_have_value(PASSWORD)


def test_nothing_is_filled_into_the_form(window: LabPage) -> None:
    form = window.page.locator(".docmail-form")
    expect(form.locator(":autofill")).to_have_count(0)
    for label in ("Password", "Username"):
        expect(form.get_by_label(label, exact=True)).to_have_value("")


def test_the_password_is_marked_as_none_of_this_site_for_every_password_manager(window: LabPage) -> None:
    password = window.page.locator(".docmail-form").get_by_label("Password", exact=True)
    expect(password).to_have_attribute("autocomplete", "new-password")
    # The words of 1Password, LastPass, Bitwarden and Dashlane.
    for name in ("data-1p-ignore", "data-lpignore", "data-bwignore", "data-form-type"):
        assert password.get_attribute(name) is not None, name
