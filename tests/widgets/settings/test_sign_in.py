"""Signing in with Microsoft and Google in the settings form: offered where it leads, shown step by step, and ended."""

from __future__ import annotations

import re
import socket
import threading
import time
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from docmail import credentials, send_test
from docmail.oauth import google, tokens
from docmail.sandbox import Sandbox
from docmail.settings import Settings, SignIn, SmtpServer
from docmail.widgets import SettingsForm
from docmail.widgets.settings.sign_in import PASTE, SIGN_IN, SIGN_OUT
from tests.oauth.sign_ins import decided, fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.memory_keyring import MemoryKeyring


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as opened:
        yield opened
    tokens._kept.clear()


def form_for(settings: Settings) -> SettingsForm:
    """Return the form as somebody fills it in before signing in."""
    server = settings.server
    assert isinstance(server, SmtpServer)
    form = SettingsForm()
    form.fill(
        host=server.host,
        port=server.port,
        username=server.username,
        ca_file=server.ca_file,
        sender="Accounts",
        client_id=server.client_id,
        authority=server.authority,
        sign_in=server.sign_in,
    )
    return form


def begun(form: SettingsForm, secret: str = "") -> str:
    """Press the button for Google, and return the link that is shown."""
    content = {"action": SIGN_IN, "values": {}}
    form.sign_in.actions._handle_custom_msg(content, [memoryview(secret.encode())] if secret else [])
    until(lambda: "Open Google" in form.sign_in.report.value)
    shown = re.search(r'href="([^"]+)"', form.sign_in.report.value)
    assert shown
    return unescape(shown[1])


def paste(form: SettingsForm, address: str) -> None:
    """Press the button below the field for the address."""
    form.sign_in.paste._handle_custom_msg({"action": PASTE, "values": {}}, [memoryview(address.encode())])


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
    ("address", "offered", "first"),
    [
        ("me@contoso.onmicrosoft.com", SignIn.MICROSOFT, SignIn.PASSWORD),
        ("me@outlook.com", SignIn.MICROSOFT, SignIn.MICROSOFT),
        ("me@gmail.com", SignIn.GOOGLE, SignIn.PASSWORD),
        ("me@gmx.net", SignIn.PASSWORD, SignIn.PASSWORD),
    ],
)
def test_it_is_offered_where_the_provider_has_it_and_comes_first_where_no_password_is_taken(
    address: str, offered: SignIn, first: SignIn
) -> None:
    form = SettingsForm()
    for each in (address, "me@gmail.com", "me@outlook.com", address):
        form.fields["email_address"].value = each
    assert form._states & {"microsoft", "google"} == {offered.value} - {"password"}
    assert ("sign-in" in form._states) == (offered is not SignIn.PASSWORD)
    assert form.fields["sign_in"].value is first
    if offered is not SignIn.PASSWORD:
        form.fields["sign_in"].value = offered
        assert labels(form) == [SIGN_IN]
        assert form.sign_in.actions.actions[0][1] == f"Sign in with {offered.value.capitalize()}"
    form.fields["host"].value = "mail.example.org"
    assert form.fields["sign_in"].value is SignIn.PASSWORD


@pytest.mark.parametrize(
    ("way", "host", "domain", "client_id", "tenant"),
    [
        (
            SignIn.MICROSOFT,
            "smtp.office365.com",
            "contoso.onmicrosoft.com",
            "00000000-1111-2222-3333-444444444444",
            "t",
        ),
        (SignIn.GOOGLE, "smtp.gmail.com", "gmail.com", "1-a.apps.googleusercontent.com", ""),
    ],
)
def test_it_comes_first_where_saved_settings_know_the_application_whose_id_is_then_no_question(
    way: SignIn, host: str, domain: str, client_id: str, tenant: str
) -> None:
    server = SmtpServer(host, username=f"a@{domain}", sign_in=way, client_id=client_id, tenant=tenant)
    Settings("A", server).save("work")
    form = SettingsForm("second")
    form.fields["email_address"].value = f"b@{domain}"
    assert (form.fields["sign_in"].value, form.fields["client_id"].value) == (way, client_id)
    assert form.fields["tenant"].value == tenant
    assert "applied" in form._states
    assert "cards" not in form._states
    form.fields["email_address"].value = "b@outlook.com"
    assert form.fields["client_id"].value == "", "another organisation has another application"
    assert "applied" not in form._states


def test_microsoft_365_asks_how_before_it_asks_what() -> None:
    form = SettingsForm()
    form.fields["email_address"].value = "me@contoso.onmicrosoft.com"
    form.fields["username"].value = "me@contoso.onmicrosoft.com"
    cards = unescape(form.rows["sign_in"].above)
    assert "cards" in form._states
    assert "My administrator gave me an application ID" in cards
    assert "by default from the end of December 2026" in cards
    for exact in ("Single tenant", "Allow public client flows", "SMTP.Send", "Grant admin consent"):
        assert exact in cards
    assert "Set-CASMailbox -Identity me@contoso.onmicrosoft.com -SmtpClientAuthenticationDisabled $false" in cards
    form.fields["sign_in"].value = SignIn.MICROSOFT
    assert form.fields["tenant"].value == "contoso.onmicrosoft.com", "an application of one organisation needs it"
    form.fields["email_address"].value = "me@gmail.com"
    assert "cards" not in form._states
    assert form.rows["sign_in"].above == ""


@pytest.mark.parametrize("chosen", [SignIn.MICROSOFT, SignIn.PASSWORD])
def test_looking_at_http_changes_nothing_about_the_sign_in_by_smtp(chosen: SignIn) -> None:
    form = SettingsForm()
    form.fields["email_address"].value = "me@outlook.com"
    form.fields["sign_in"].value = chosen
    form.fields["protocol"].value = "http"
    form.fields["api"].value = "gmail"
    assert form.fields["sign_in"].value is SignIn.GOOGLE
    form.fields["api"].value = "postmark"
    form.fields["protocol"].value = "smtp"
    assert form.fields["sign_in"].value is chosen


def test_a_choice_of_the_password_is_kept(box: Sandbox) -> None:
    form = form_for(box.google_settings)
    form.fields["sign_in"].value = SignIn.PASSWORD
    form.fields["sender"].value = "Somebody"
    assert form.fields["sign_in"].value is SignIn.PASSWORD
    assert "google" in form._states, "the other way is still offered"


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
    form = form_for(box.microsoft_settings)
    assert labels(form) == [SIGN_IN]
    code = sign_in(form, box)
    assert "Signed in as accounts@example.com." in form.sign_in.report.value
    assert code not in form.sign_in.report.value
    assert labels(form) == [SIGN_IN, SIGN_OUT]
    diagnosis = form.test()
    assert diagnosis is not None
    assert diagnosis.ok
    assert form.save()
    assert "The sign-in lasts until this kernel stops" in form.actions.status["sentence"]
    assert send_test().ok
    assert repr(SettingsForm()) == "<SettingsForm profile=default, saved>"
    form.sign_in._pressed(SIGN_OUT, form._values(), None)
    until(lambda: labels(form) == [SIGN_IN])
    assert not send_test().ok


def test_nothing_secret_reaches_the_browser_or_a_file(box: Sandbox) -> None:
    form = form_for(box.microsoft_settings)
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
    form = form_for(box.microsoft_settings)
    form.fields["host"].value = "smtp.office365.com"
    form.fields["client_id"].value = ""
    form.sign_in._sign_in(form._values(), None)
    assert form.rows.wrong == ["client_id"]
    assert not box.identity.asked


def test_a_refusal_stands_below_the_button_and_beside_the_field(box: Sandbox) -> None:
    form = form_for(box.microsoft_settings)
    box.identity.refuse("invalid_client", "AADSTS7000218: The request body must contain client_assertion")
    form.sign_in._pressed(SIGN_IN, form._values(), None)
    until(lambda: not form.sign_in.actions.busy)
    assert "Allow public client flows" in form.sign_in.report.value
    assert form.rows.wrong == ["client_id"]


def test_waiting_is_stopped_by_a_press(box: Sandbox) -> None:
    form = form_for(box.microsoft_settings)
    form.sign_in._pressed(SIGN_IN, form._values(), None)
    until(lambda: "dm-code" in form.sign_in.report.value)
    threading.Thread(target=form.sign_in.actions._handle_custom_msg, args=({"action": "stop"}, [])).start()
    until(lambda: not form.sign_in.actions.busy)
    assert "nobody was signed in" in form.sign_in.report.value
    assert labels(form) == [SIGN_IN]


@pytest.mark.parametrize("way", [SignIn.MICROSOFT, SignIn.GOOGLE])
def test_a_sign_in_server_that_does_not_answer_is_stopped_by_a_press(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, way: SignIn
) -> None:
    monkeypatch.setattr("docmail.oauth.token_requests.SECONDS", 600.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        form = form_for(box.microsoft_settings) if way is SignIn.MICROSOFT else form_for(box.google_settings)
        if way is SignIn.GOOGLE:
            place = decided(begun(form, box.identity.google_secret))
            browser = form.sign_in._browser
            assert browser is not None
            server = replace(browser._settings.server, authority=f"http://127.0.0.1:{silent.getsockname()[1]}")
            browser._settings = replace(browser._settings, server=server)
            credentials.set(google.application(browser._settings), "GOCSPX-x")
            paste(form, place)
        else:
            form.fields["tenant"].value = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
            form.sign_in._pressed(SIGN_IN, form._values(), None)
        with silent.accept()[0] as asked:
            assert asked.recv(1) in {b"G", b"P"}
            form.sign_in.actions._handle_custom_msg({"action": "stop"}, [])
            until(lambda: not form.sign_in.actions.busy)
    assert "nobody was signed in" in form.sign_in.report.value


def test_without_a_sign_in_update_says_so(box: Sandbox) -> None:
    form = form_for(box.microsoft_settings)
    assert form.save()
    assert form.rows.wrong == ["sign_in"]
    assert "Nobody has signed in" in form.actions.status["sentence"]


# --- Google -----------------------------------------------------------------------------------------------------------


def test_somebody_signs_in_with_google_sends_and_signs_out(box: Sandbox) -> None:
    form = form_for(box.google_settings)
    assert form.rows["client_id"].control.description == "Client ID"
    place = decided(begun(form, f" {box.identity.google_secret}\n"))
    assert "pasting" in form._states
    assert fetched(place)[0] == 200
    until(lambda: not form.sign_in.actions.busy)
    assert "Signed in as accounts@example.com." in form.sign_in.report.value
    assert "pasting" not in form._states
    assert form.rows["client_secret"].control.placeholder.startswith("•")
    diagnosis = form.test()
    assert diagnosis is not None
    assert diagnosis.ok
    assert form.save()
    assert repr(SettingsForm()) == "<SettingsForm profile=default, saved>"
    assert len(box.inbox) == 1
    form.sign_in._pressed(SIGN_OUT, form._values(), None)
    until(lambda: labels(form) == [SIGN_IN])
    assert "here and at Google" in form.sign_in.report.value


def test_the_address_of_a_page_that_a_browser_elsewhere_cannot_open_is_pasted(box: Sandbox) -> None:
    form = form_for(box.google_settings)
    place = decided(begun(form, box.identity.google_secret))
    for wrong in ("", "http://127.0.0.1:8888/lab"):
        paste(form, wrong)
        assert form.rows.wrong == ["pasted"]
    paste(form, place)
    until(lambda: not form.sign_in.actions.busy)
    assert form.rows.wrong == []
    assert "Signed in as accounts@example.com." in form.sign_in.report.value
    paste(form, place)  # too late: nothing waits any more
    assert form.rows.wrong == []


def test_a_client_secret_with_a_character_that_none_has_is_refused_beside_its_field(box: Sandbox) -> None:
    form = form_for(box.google_settings)
    form.sign_in._pressed(SIGN_IN, form._values(), credentials.Secret("GOCSPX-hush\u2013hush"))
    until(lambda: not form.sign_in.actions.busy)
    assert form.rows.wrong == ["client_secret"]
    assert "U+2013 EN DASH" in form.rows["client_secret"].note
    assert "hush" not in form.sign_in.report.value + form.rows["client_secret"].note


def test_without_a_client_secret_its_field_is_named(box: Sandbox) -> None:
    form = form_for(box.google_settings)
    form.sign_in._pressed(SIGN_IN, form._values(), None)
    until(lambda: not form.sign_in.actions.busy)
    assert form.rows.wrong == ["client_secret"]
    assert "client secret" in form.sign_in.report.value


def test_waiting_for_the_browser_is_stopped_by_a_press(box: Sandbox) -> None:
    form = form_for(box.google_settings)
    begun(form, box.identity.google_secret)
    form.sign_in.actions._handle_custom_msg({"action": "stop"}, [])
    until(lambda: not form.sign_in.actions.busy)
    assert "nobody was signed in" in form.sign_in.report.value
    assert "pasting" not in form._states


@pytest.mark.parametrize("answer", ["forgotten", "unreachable"])
def test_where_a_sign_in_is_not_ended_everywhere_the_form_says_so(box: Sandbox, answer: str) -> None:
    form = form_for(box.microsoft_settings) if answer == "forgotten" else form_for(box.google_settings)
    if answer == "unreachable":
        fetched(decided(begun(form, box.identity.google_secret)))
        until(lambda: not form.sign_in.actions.busy)
        box.identity.refuse("temporarily_unavailable")
    form.sign_in._pressed(SIGN_OUT, form._values(), None)
    until(lambda: "Signed out" in form.sign_in.report.value)
    assert ("myaccount.microsoft" if answer == "forgotten" else "myaccount.google") in form.sign_in.report.value


def test_the_organisation_at_microsoft_does_not_go_to_google() -> None:
    form = SettingsForm()
    form.fields["email_address"].value = "me@contoso.onmicrosoft.com"
    form.fields["tenant"].value = "contoso.onmicrosoft.com"
    form.fields["email_address"].value = "me@gmail.com"
    form.fields["client_id"].value = "x.apps.googleusercontent.com"
    form.fields["sign_in"].value = SignIn.GOOGLE
    settings, problems = form._settings_of(form._values())
    assert (settings.server.sign_in, settings.server.tenant) == (SignIn.GOOGLE, "")
    assert problems == []
