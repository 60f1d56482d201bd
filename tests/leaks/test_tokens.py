"""Nothing of a sign-in is left behind: no token, code, verifier or client secret, in a kernel that logs everything.

The sign-in server and the mail server run in the test, which so knows every secret that there is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import expect

from docmail.sandbox import Sandbox
from tests.leaks.searcher import Finding, new_password, search
from tests.leaks.stories import PLAIN, SAVE_STATE, SECONDS, Traffic, in_notebooks, received
from tests.leaks.test_tracebacks import LOG_EVERYTHING
from tests.oauth.sign_ins import decided
from tests.support.lab import LabPage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator

    from docmail.sandbox.response import Response
    from docmail.settings import Settings
    from tests.support.lab import LabServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SECRETS = {
    "access_token",
    "refresh_token",
    "id_token",
    "device_code",
    "code",
    "code_verifier",
    "client_secret",
}
"""What is secret in the questions to a sign-in server and in its answers, by the names that the protocols have."""

FORM = """\
%xmode Verbose
import docmail
form = docmail.SettingsForm("leaks-tokens")
form.fill(**{details!r})
form"""

# Sent and written down, then refused with a traceback.
SENT = """\
settings = docmail.Settings.load("leaks-tokens")
docmail.send([], to="cfo@example.com", subject="Q3", body="x", settings=settings)
print(docmail.credentials.get(settings), vars(form.sign_in), docmail.credentials.store._session)
tokens = docmail.oauth.tokens_of(settings)
tokens, tokens.current(), docmail.oauth.tokens._kept"""
REFUSED = 'docmail.send([], to="cfo@example.com", subject="Q4", body="x", settings=settings)'


class Ear:
    """Hears what is said to the sign-in server of a sandbox and what it answers."""

    def __init__(self, box: Sandbox) -> None:
        self.heard: dict[str, set[str]] = {}
        self._answer = box.identity.answer
        box.identity.answer = self.answer  # type: ignore[method-assign]

    def answer(self, method: str, target: str, host: str, body: bytes) -> Response:
        """Answer as the server does."""
        response = self._answer(method, target, host, body)
        status, content, media_type = response
        said = dict(parse_qsl(body.decode()))
        if media_type == "application/json":
            said |= {name: str(value) for name, value in json.loads(content).items()}
        elif status == 303:
            said |= dict(parse_qsl(urlsplit(content).query))
        for name in SECRETS & said.keys():
            self.heard.setdefault(name, set()).add(said[name])
        return response


def filled(settings: Settings) -> dict[str, object]:
    """Return what `fill()` takes for these settings."""
    server = vars(settings.server)
    kept = ("host", "port", "username", "ca_file", "client_id", "authority")
    return {name: server[name] for name in kept} | {"sender": "Accounts", "sign_in": str(server["sign_in"])}


def _core(secret: str) -> str:
    """Return what is by chance in a secret: "access-" alone stands in many places."""
    return secret[8:] if len(secret) > 40 else secret


def begin(form: Locator, button: str) -> None:
    """Press a button of the sign-in."""
    form.get_by_role("button", name=button).click()


@pytest.fixture(scope="module")
def left_behind(
    request: pytest.FixtureRequest, browser: Browser, lab_server: LabServer
) -> Iterator[tuple[dict[str, set[str]], list[Finding], list[Finding]]]:
    """Sign in both ways, send, and fail; return the secrets, where they were found, and where the control was."""
    config = lab_server.home / ".ipython" / "profile_default" / "ipython_kernel_config.py"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(LOG_EVERYTHING, "utf-8")
    request.addfinalizer(config.unlink)
    lab_server.configure(SAVE_STATE, {"saveState": True})
    request.addfinalizer(lambda: lab_server.configure(SAVE_STATE, {}))  # noqa: PT021 - as above
    plain = new_password()
    with browser.new_context() as session, Sandbox() as box:
        ear = Ear(box)
        box.identity.google_secret = f"GOCSPX-{new_password()[:10]}"
        window = LabPage(session.new_page(), lab_server)
        traffic = Traffic(window.page)
        cells = [
            FORM.replace("{details!r}", repr(filled(each))) for each in (box.google_settings, box.microsoft_settings)
        ]
        window.write("leaks-tokens.ipynb", PLAIN, *cells, SENT, REFUSED)
        window.open("leaks-tokens.ipynb").run(0).run(1)
        window.page.get_by_label("Plain", exact=True).fill(plain)
        form = window.cell(1).locator(".docmail-form")
        form.get_by_label("Client secret", exact=True).fill(box.identity.google_secret)
        begin(form, "Sign in with Google")
        link = form.get_by_role("link", name="Open Google's page")
        expect(link).to_be_visible(timeout=SECONDS)
        window.save()
        form.get_by_label("Page address", exact=True).fill(decided(link.get_attribute("href") or ""))
        begin(form, "Use this address")
        expect(form.get_by_text("Signed in as accounts@example.com.")).to_be_visible(timeout=SECONDS)
        begin(form, "Test email settings")
        expect(form.get_by_text("on its way")).to_be_visible(timeout=SECONDS)
        begin(form, "Update")
        expect(form.get_by_text("Saved.")).to_be_visible(timeout=SECONDS)
        window.run(3)
        box.identity.revoke()
        window.run(4)
        window.run(2)
        form = window.cell(2).locator(".docmail-form")
        begin(form, "Sign in with Microsoft")
        expect(form.locator(".dm-copied")).to_be_visible(timeout=SECONDS)
        window.save()
        box.identity.agree()
        expect(form.get_by_text("Signed in as accounts@example.com.")).to_be_visible(timeout=SECONDS)
        window.save()
        memory: dict[str, bytes | str] = {
            "received": traffic.received,
            "console": traffic.console,
            "page": window.page.content(),
        }
        found = [
            Finding(f"{name} in {each.place}", each.form)
            for name, values in ear.heard.items()
            for value in values
            for each in search(_core(value), lab_server.root, lab_server.home, **memory)
        ]
        control = search(plain, lab_server.root, lab_server.home, **memory)
        yield ear.heard, found, control
        window.shutdown_kernel()


def test_nothing_of_a_sign_in_is_in_a_file_a_message_a_log_or_a_page(
    left_behind: tuple[dict[str, set[str]], list[Finding], list[Finding]],
) -> None:
    heard, found, _control = left_behind
    assert heard.keys() == SECRETS, "all of them were on their way"
    assert found == []


def test_a_plain_password_is_found_in_the_same_places(
    left_behind: tuple[dict[str, set[str]], list[Finding], list[Finding]],
) -> None:
    _heard, _found, control = left_behind
    assert in_notebooks(control)
    assert received(control)
    assert any(each.place.endswith(".log") for each in control)
