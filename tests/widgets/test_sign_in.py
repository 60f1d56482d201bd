"""Signing in with Microsoft in the settings form: offered where it leads somewhere, shown step by step, and ended."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from docmail import credentials, oauth, send_test
from docmail.sandbox import Sandbox
from docmail.settings import Settings, SignIn, SmtpServer
from docmail.widgets import SettingsForm
from docmail.widgets.sign_in import SIGN_IN, SIGN_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.memory_keyring import MemoryKeyring


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as opened:
        yield opened
    oauth._kept.clear()


def form_for(box: Sandbox) -> SettingsForm:
    server = box.microsoft_settings.server
    assert isinstance(server, SmtpServer)
    form = SettingsForm()
    form.fill(
        host=server.host,
        port=server.port,
        username=server.username,
        ca_file=server.ca_file,
        sender="Accounts",
        client_id=server.client_id,
        tenant=server.tenant,
        sign_in=SignIn.MICROSOFT,
    )
    return form


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def sign_in(form: SettingsForm, box: Sandbox) -> str:
    """Press the button, wait for the code, agree to it, and return the code."""
    form.sign_in._pressed(SIGN_IN, form._values(), None)
    until(lambda: "dm-code" in form.sign_in.report.value)
    shown = re.search(r'dm-copied">([A-Z]{9})<', form.sign_in.report.value)
    assert shown
    box.identity.agree()
    until(lambda: not form.sign_in.actions.busy)
    return shown[1]


def labels(form: SettingsForm) -> list[str]:
    return [action for action, _label in form.sign_in.actions.actions]


@pytest.mark.parametrize(
    ("address", "offered"),
    [("me@contoso.onmicrosoft.com", True), ("me@outlook.com", True), ("me@gmail.com", False)],
)
def test_it_is_offered_first_where_the_provider_is_microsoft(address: str, offered: bool) -> None:  # noqa: FBT001
    form = SettingsForm()
    form.fields["email_address"].value = address
    assert ("microsoft" in form._states) == offered
    assert form.fields["sign_in"].value is (SignIn.MICROSOFT if offered else SignIn.PASSWORD)
    form.fields["email_address"].value = "me@gmail.com"
    assert form.fields["sign_in"].value is SignIn.PASSWORD


def test_settings_with_a_password_stay_with_it(memory_keyring: MemoryKeyring) -> None:
    settings = Settings("A", SmtpServer("smtp.office365.com", username="a@example.com"))
    settings.save()
    credentials.set(settings, "the-password")
    form = SettingsForm()
    assert repr(form) == "<SettingsForm profile=default, saved>"
    assert form.fields["sign_in"].value is SignIn.PASSWORD
    assert form.password.placeholder.startswith("•")
    assert list(memory_keyring.data.values()) == ["the-password"]


def test_a_code_is_shown_and_then_who_signed_in_and_mail_goes_out(box: Sandbox) -> None:
    form = form_for(box)
    assert labels(form) == [SIGN_IN]
    code = sign_in(form, box)
    assert "Signed in as accounts@example.com." in form.sign_in.report.value
    assert code not in form.sign_in.report.value
    assert labels(form) == [SIGN_IN, SIGN_OUT]
    diagnosis = form.test()
    assert diagnosis is not None
    assert diagnosis.ok
    assert form.save()
    assert "The sign-in lasts until this kernel stops" in form.report.value
    assert send_test().ok
    assert repr(SettingsForm()) == "<SettingsForm profile=default, saved>"
    form.sign_in._pressed(SIGN_OUT, form._values(), None)
    until(lambda: labels(form) == [SIGN_IN])
    assert not send_test().ok


def test_nothing_secret_reaches_the_browser_or_a_file(box: Sandbox) -> None:
    form = form_for(box)
    sent: list[Any] = []
    for widget in (form.sign_in.report, form.sign_in.actions, form.report, form):
        widget.observe(lambda change: sent.append(change.new))
    sign_in(form, box)
    assert form.save()
    traits = [str(widget.get_state()) for widget in (form.sign_in.report, form.sign_in.actions, form.report)]
    files = [path.read_text("utf-8", "replace") for path in box.folder.rglob("*") if path.is_file()]
    for text in [*traits, *map(str, sent), *files]:
        assert "access-" not in text
        assert "refresh-" not in text


def test_what_is_missing_is_named_before_anybody_is_asked(box: Sandbox) -> None:
    form = form_for(box)
    form.fields["host"].value = "smtp.office365.com"
    form.fields["client_id"].value = ""
    form.sign_in._sign_in(form._values())
    assert form.rows.wrong == ["client_id"]
    assert not box.identity.asked


def test_a_refusal_stands_below_the_button_and_beside_the_field(box: Sandbox) -> None:
    form = form_for(box)
    box.identity.refuse("invalid_client", "AADSTS7000218: The request body must contain client_assertion")
    form.sign_in._pressed(SIGN_IN, form._values(), None)
    until(lambda: not form.sign_in.actions.busy)
    assert "Allow public client flows" in form.sign_in.report.value
    assert form.rows.wrong == ["client_id"]


def test_waiting_is_stopped_by_a_press(box: Sandbox) -> None:
    form = form_for(box)
    form.sign_in._pressed(SIGN_IN, form._values(), None)
    until(lambda: "dm-code" in form.sign_in.report.value)
    threading.Thread(target=form.sign_in._pressed, args=("stop", {}, None)).start()
    until(lambda: not form.sign_in.actions.busy)
    assert "nobody was signed in" in form.sign_in.report.value
    assert labels(form) == [SIGN_IN]


def test_without_a_sign_in_update_says_so(box: Sandbox) -> None:
    form = form_for(box)
    assert form.save()
    assert form.rows.wrong == ["sign_in"]
    assert "Nobody has signed in" in form.report.value
