"""From an address to a saved account: what a recognised provider spares its user, and how the rest is reached."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from docmail.sandbox import SANDBOX_PASSWORD
from tests.browser.test_settings_screen import FORM, SANDBOX, focused, found_by_axe, opened
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

MOST_ROWS, MOST_STOPS = 6, 11
ADDRESS, MORE = "Your email address", "Copies, replies, certificates, after sending, look, guide"

ROWS = """form => [...form.querySelectorAll('.dm-row')].filter(row => row.getBoundingClientRect().height > 0)
    .map(row => [...row.classList].find(name => name.startsWith('dm-field-')).slice('dm-field-'.length))"""


def rows(form: Locator) -> list[str]:
    """Return the names of the rows that are on the screen."""
    found: list[str] = form.evaluate(ROWS)
    return found


def stops(lab: LabPage, form: Locator) -> list[str]:
    """Return what the Tab key meets from the address to Update."""
    form.get_by_label(ADDRESS).focus()
    met = [focused(lab)]
    while met[-1] != "Update":
        assert len(met) < 40, met
        lab.page.keyboard.press("Tab")
        met.append(focused(lab))
    return met


def by_address(address: str) -> Callable[[Locator], None]:
    """Return what types this address."""
    return lambda form: form.get_by_label(ADDRESS).fill(address)


def by_menu(provider: str) -> Callable[[Locator], None]:
    """Return what chooses this provider, for an address that nobody knows."""

    def choose(form: Locator) -> None:
        form.get_by_label(ADDRESS).fill("anna@example.com")
        form.get_by_label("Provider").select_option(provider)

    return choose


@pytest.mark.parametrize(
    ("choose", "name", "wanted"),
    [
        (by_address("anna@gmail.com"), "gmail", ["email_address", "server", "password", "sender", "more"]),
        (by_address("anna@yahoo.com"), "yahoo", ["email_address", "server", "password", "sender", "more"]),
        (by_address("anna@web.de"), "web-de", ["email_address", "server", "password", "sender", "more"]),
        (
            by_address("anna@firm.onmicrosoft.com"),
            "microsoft",
            ["email_address", "server", "sign_in", "password", "sender", "more"],
        ),
        (by_address("anna@hotmail.com"), "outlook", ["email_address", "server", "client_id", "sender", "more"]),
        (by_menu("Google Workspace"), "workspace", ["email_address", "server", "password", "sender", "more"]),
        (by_menu("Mailgun"), "mailgun", ["email_address", "region", "domain", "password", "sender", "more"]),
        (by_menu("SendGrid"), "sendgrid", ["email_address", "server", "password", "sender", "more"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_recognised_provider_leaves_a_few_rows_and_stops_and_no_barrier(
    lab: LabPage, pictures: Pictures, choose: Callable[[Locator], None], name: str, wanted: list[str]
) -> None:
    form = opened(lab, f"short-{name}.ipynb", FORM)
    lab.page.evaluate(require_axe())
    choose(form)
    expect(form.get_by_role("button", name="change").locator("visible=true")).to_be_visible()
    met = stops(lab, form)
    assert rows(form) == wanted
    assert len(wanted) <= MOST_ROWS
    assert len(met) <= MOST_STOPS, met
    assert found_by_axe(lab, 0) == []
    pictures.take(f"short-{name}", 0)


def test_a_server_of_ones_own_has_every_row_in_the_reference_s_order(lab: LabPage) -> None:
    form = opened(lab, "own.ipynb", FORM)
    form.get_by_label("SMTP server").fill("mail.example.com")
    form.get_by_label(ADDRESS).fill("anna@example.com")
    everything = [
        *("email_address", "provider", "protocol", "host", "port", "security", "username", "password", "sender"),
        *("copies", "replies", "self_signed", "after_sending", "look", "advanced"),
    ]
    assert rows(form) == everything
    # A known server's name that is being typed does not fold the row in which it is typed.
    form.get_by_label("SMTP server").press("End")
    form.get_by_label("SMTP server").fill("smtp.gmail.com")
    expect(form.get_by_label("Provider")).to_have_value("Gmail")
    expect(form.get_by_label("SMTP server")).to_be_focused()
    assert "server" not in rows(form)


def test_change_opens_everything_and_escape_closes_it_again(lab: LabPage) -> None:
    form = opened(lab, "change.ipynb", FORM)
    form.get_by_label(ADDRESS).fill("anna@gmail.com")
    change = form.get_by_role("button", name="change")
    change.press("Enter")
    expect(change).to_have_attribute("aria-expanded", "true")
    for label in ("Provider", "SMTP server", "Username", "Send a copy of every email to this address"):
        expect(form.get_by_label(label)).to_be_visible()
    expect(form.get_by_label("Allow self-signed certificates")).to_be_disabled()
    expect(form.get_by_role("button", name=MORE)).to_be_hidden()
    form.get_by_role("button", name="587").click()
    expect(form.locator(".dm-field-server")).to_contain_text("smtp.gmail.com · port 587 · encrypted")
    form.get_by_role("button", name="other…").click()
    form.get_by_label("Port number").fill("2525")
    form.get_by_label("Username").press("Escape")
    expect(change).to_be_focused()
    expect(change).to_have_attribute("aria-expanded", "false")
    expect(form.get_by_label("SMTP server")).to_be_hidden()
    expect(form.locator(".dm-field-server")).to_contain_text("port 2525")  # what is set is said, folded or not


def test_what_few_people_need_is_one_fold_that_is_open_where_something_in_it_is_on(lab: LabPage) -> None:
    form = opened(
        lab,
        "more.ipynb",
        FORM,
        "form = docmail.SettingsForm('copied'); form.fill(host='smtp.gmail.com', username='anna@gmail.com', "
        "copy_to='archive@example.com'); form",
    )
    form.get_by_label(ADDRESS).fill("anna@gmail.com")
    more = form.get_by_role("button", name=MORE)
    more.press("Enter")
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(form.get_by_label("Allow self-signed certificates")).to_be_disabled()
    expect(form.get_by_text("How do I set up Gmail?")).to_be_visible()
    advanced = form.get_by_role("button", name="Advanced")
    advanced.press("Enter")
    form.get_by_label("CA file").press("Escape")
    expect(advanced).to_be_focused()
    expect(form.get_by_label("CA file")).to_be_hidden()
    advanced.press("Escape")
    expect(more).to_be_focused()
    expect(form.get_by_role("button", name="Advanced")).to_be_hidden()
    lab.run(1)
    copied = lab.cell(1).locator(".docmail-form")
    expect(copied.get_by_label("Copy to")).to_have_value("archive@example.com")
    expect(copied.get_by_label("Copy to")).to_be_visible()
    expect(copied.get_by_role("button", name="change")).to_have_attribute("aria-expanded", "false")


def test_a_problem_within_a_fold_opens_it_and_takes_the_focus(lab: LabPage) -> None:
    form = opened(lab, "problem.ipynb", FORM)
    form.get_by_label(ADDRESS).fill("anna@gmail.com")
    change = form.get_by_role("button", name="change")
    change.click()
    form.get_by_role("button", name="other…").click()
    form.get_by_label("Port number").fill("12x")
    form.get_by_label("Port number").press("Tab")
    problem = form.locator(".dm-field-port_number .dm-problem")
    expect(problem).to_be_visible()  # judged when it was left; whoever folds it all the same may do so
    change.click()
    expect(form.get_by_label("Port number")).to_be_hidden()
    form.get_by_label("Sender's name").fill("Anna")
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_label("Port number")).to_be_focused()
    expect(problem).to_be_visible()


def test_the_provider_menu_stays_as_long_as_somebody_is_in_it(lab: LabPage) -> None:
    form = opened(lab, "menu.ipynb", FORM)
    menu = form.get_by_label("Provider")
    menu.focus()
    menu.select_option("Yahoo Mail")
    expect(form.locator(".dm-field-server")).to_contain_text("smtp.mail.yahoo.com")
    expect(menu).to_be_focused()
    menu.select_option("Gmail")
    expect(form.locator(".dm-field-server")).to_contain_text("smtp.gmail.com")
    # The row goes when it is left, but not before the click is over that leaves it.
    with lab.page.context.expect_page() as opening:
        form.get_by_role("link", name="Make an app password").click()
    opening.value.close()
    expect(menu).to_be_hidden()


def test_the_arrow_keys_go_through_a_choice(lab: LabPage) -> None:
    form = opened(lab, "arrows.ipynb", FORM)
    port = form.get_by_role("button", name="587")
    port.focus()
    lab.page.keyboard.press("ArrowRight")
    expect(form.get_by_role("button", name="465")).to_be_focused()
    expect(form.get_by_role("button", name="465")).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_role("button", name="TLS", exact=True)).to_have_attribute("aria-pressed", "true")
    lab.page.keyboard.press("ArrowLeft")
    lab.page.keyboard.press("ArrowLeft")
    expect(form.get_by_role("button", name="other…")).to_be_focused()
    expect(form.get_by_label("Port number")).to_be_visible()


def test_enter_in_the_password_tests_and_a_saved_profile_opens_as_it_was(lab: LabPage) -> None:
    form = opened(lab, "enter.ipynb", SANDBOX)
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_label("Password", exact=True).press("Enter")
    expect(form.get_by_text("on its way to accounts@example.com")).to_be_visible(timeout=20_000)


def test_google_is_one_click_away_from_the_app_password_and_back(lab: LabPage, pictures: Pictures) -> None:
    form = opened(lab, "google-instead.ipynb", FORM)
    lab.page.evaluate(require_axe())
    form.get_by_label(ADDRESS).fill("anna@gmail.com")
    expect(form.get_by_label("Password", exact=True)).to_be_visible()
    form.get_by_role("button", name="Sign in with Google instead").press("Enter")
    expect(form.get_by_label("Client ID")).to_be_focused()
    expect(form.get_by_role("button", name="Sign in with Google", exact=True)).to_be_visible()
    assert len(rows(form)) <= MOST_ROWS
    pictures.take("google-instead", 0)
    assert found_by_axe(lab, 0) == []
    form.get_by_role("button", name="Use an app password instead").press("Enter")
    expect(form.get_by_label("Password", exact=True)).to_be_focused()


def test_microsoft_365_has_two_cards_and_a_letter_to_the_administrator(lab: LabPage, pictures: Pictures) -> None:
    form = opened(lab, "cards.ipynb", FORM)
    lab.page.evaluate(require_axe())
    form.get_by_label(ADDRESS).fill("anna@firm.onmicrosoft.com")
    given = form.get_by_role("button", name="My administrator gave me an application ID")
    mine = form.get_by_role("button", name=re.compile("I have only my password.*end of December 2026"))
    expect(mine).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_label("Password", exact=True)).to_be_visible()
    mine.focus()
    lab.page.keyboard.press("ArrowLeft")
    expect(given).to_be_focused()
    expect(given).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_label("Application ID")).to_be_visible()
    expect(form.get_by_text("that firm.onmicrosoft.com has registered")).to_be_visible()
    expect(form.get_by_label("Password", exact=True)).to_be_hidden()
    assert len(rows(form)) <= MOST_ROWS
    form.locator("summary", has_text="What to ask my administrator").click()
    letter = form.locator(".dm-request pre")
    expect(letter).to_contain_text("anna@firm.onmicrosoft.com")
    pictures.take("letter", 0)
    assert found_by_axe(lab, 0) == []
    form.get_by_role("button", name="Copy").click()
    expect(form.get_by_role("button", name=re.compile("Copied|Selected"))).to_be_visible()
    expect(given).to_have_attribute("aria-pressed", "true")  # ipywidgets takes any button of its row for a choice
    letter.press("Escape")
    expect(letter).to_be_hidden()


def test_the_button_beside_a_choice_leaves_it_as_it_is(lab: LabPage) -> None:
    form = opened(lab, "beside.ipynb", FORM)
    by_menu("Mailgun")(form)
    form.get_by_role("button", name="change").locator("visible=true").click()
    expect(form.get_by_label("Provider")).to_have_value("Mailgun")
    expect(form.get_by_role("button", name="United States")).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_text("Something went wrong")).to_have_count(0)


def test_outlook_com_says_what_remains_before_it_asks(lab: LabPage) -> None:
    form = opened(lab, "remains.ipynb", FORM)
    form.get_by_label(ADDRESS).fill("anna@outlook.com")
    note = form.locator(".dm-field-email_address .dm-note")
    expect(note).to_contain_text(re.compile(r"takes no password any more.*\(checked 20\d\d-\d\d-\d\d\)"))
    asked, said = form.get_by_label("Application ID").bounding_box(), note.bounding_box()
    assert asked
    assert said
    assert said["y"] < asked["y"]
    form.get_by_text("What you can do").click()
    expect(note.get_by_text("Send through another account")).to_be_visible()
    form.get_by_text("What you can do").press("Escape")
    expect(note.get_by_text("Send through another account")).to_be_hidden()


@pytest.mark.parametrize(
    ("width", "zoom"), [(1280, 1), (800, 1), (620, 1), (1280, 2)], ids=["wide", "half", "narrow", "200 %"]
)
def test_the_steps_stand_above_the_password_and_nothing_is_clipped(lab: LabPage, width: int, zoom: int) -> None:
    form = opened(lab, f"narrow-{width}-{zoom}.ipynb", FORM)
    lab.viewport(width // zoom, 1000 // zoom)  # what a browser does at 200 %: half the pixels of the style sheets
    for address, host, step in (
        ("anna@gmail.com", "smtp.gmail.com", "Make an app password"),
        ("anna@firm.onmicrosoft.com", "smtp.office365.com", ""),
        ("anna@hotmail.com", "smtp-mail.outlook.com", ""),
        ("anna@yahoo.com", "smtp.mail.yahoo.com", "Other app"),
    ):
        form.get_by_label(ADDRESS).fill(address)
        expect(form.locator(".dm-field-server")).to_contain_text(host)
        if step:
            expect(form.locator(".dm-field-password .dm-steps")).to_contain_text(step)
            expect(form.get_by_label("Password", exact=True)).to_be_visible()
            assert form.evaluate(
                """form => form.querySelector('.dm-field-password .dm-steps').getBoundingClientRect().bottom
                    <= form.querySelector('.dm-field-password input').getBoundingClientRect().top + 1"""
            )
        clipped = form.evaluate(
            """form => [...form.querySelectorAll('label, button, a, summary, .dm-note, .dm-above, .widget-html *')]
                .filter(each => each.getBoundingClientRect().width > 0 && getComputedStyle(each).display !== 'inline'
                    && (each.scrollWidth > each.clientWidth + 1
                        || each.getBoundingClientRect().right > form.getBoundingClientRect().right + 1))
                .map(each => each.className + ': ' + each.textContent)"""
        )
        assert clipped == [], address
        assert form.evaluate("form => form.scrollWidth <= form.clientWidth + 1"), address
