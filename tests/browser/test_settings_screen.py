"""The settings screen as people meet it: what it shows when, in what state, and by which means it can be used."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from docmail.sandbox import SANDBOX_PASSWORD
from tests.support.lab import LabPage
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabServer, Theme

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

FORM = "import docmail; docmail.SettingsForm()"
SANDBOX = """\
import docmail

box = docmail.Sandbox().start()
form = docmail.SettingsForm()
form.fill(host=box.host, port=box.port, username="accounts@example.com", sender="Accounts", ca_file=str(box.ca_file))
form"""


def opened(lab: LabPage, name: str, *cells: str) -> Locator:
    """Return the form in the first cell of a new notebook, ready to be used."""
    lab.write(name, *cells)
    lab.open(name).viewport(1280, 1000).run(0)
    form = lab.cell(0).locator(".docmail-form").first
    expect(form.get_by_role("button", name="Update")).to_be_enabled()
    return form


# --- what it shows ---


def test_an_address_of_a_known_provider_fills_in_the_rest_and_brings_its_guide(
    lab: LabPage, pictures: Pictures
) -> None:
    form = opened(lab, "gmail.ipynb", FORM)
    form.get_by_label("Your email address").press_sequentially("accounts@gmail.com")
    expect(form.locator(".dm-field-server")).to_contain_text("smtp.gmail.com · port 465 · encrypted")
    steps = form.get_by_role("link", name="Make an app password")
    expect(steps).to_be_visible()
    pictures.of(form, "recognised")
    form.get_by_role("button", name="change").click()
    expect(form.get_by_label("Provider")).to_have_value("Gmail")
    expect(form.get_by_label("SMTP server")).to_have_value("smtp.gmail.com")
    expect(form.get_by_label("Username")).to_have_value("accounts@gmail.com")
    expect(form.get_by_role("button", name="465")).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_role("button", name="TLS", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(form.get_by_label("Allow self-signed certificates")).to_be_disabled()
    guide, fields = form.locator(".dm-guide-card").bounding_box(), form.get_by_label("SMTP server").bounding_box()
    assert guide
    assert fields
    assert guide["x"] > fields["x"] + fields["width"], "it stands beside the fields"
    pictures.take("gmail", 0)
    lab.viewport(800, 1000)
    form.get_by_label("Your email address").fill("accounts@yahoo.com")
    summary = form.get_by_text("How do I set up Yahoo Mail?")
    expect(summary).to_be_visible()
    expect(form.get_by_label("Password", exact=True)).to_be_visible()
    buttons = form.get_by_role("button", name="Update").bounding_box()
    below = summary.bounding_box()
    assert buttons
    assert below
    assert below["y"] > buttons["y"], "where there is little room it stands under the form"
    expect(form.locator(".dm-guide-card").get_by_role("listitem").first).to_be_hidden()


def test_a_field_is_judged_when_it_is_left_and_no_other_with_it(lab: LabPage) -> None:
    form = opened(lab, "left.ipynb", FORM)
    host = form.get_by_label("SMTP server")
    host.fill("https://smtp.example.com")
    expect(form.locator(".dm-note .dm-problem")).to_have_count(0)
    host.press("Tab")
    expect(form.locator(".dm-field-host .dm-problem")).to_be_visible()
    expect(host).to_have_attribute("aria-invalid", "true")
    expect(host).to_have_accessible_description(re.compile("server's name"))
    expect(form.locator(".dm-note .dm-problem")).to_have_count(1)
    host.fill("smtp.example.com")
    expect(form.locator(".dm-note .dm-problem")).to_have_count(0)


def test_what_a_cell_fills_in_stays_as_it_was_given_though_fields_follow_what_is_typed(lab: LabPage) -> None:
    fill = (
        'form.fill(email_address="office@example.com", username="accounts", host="mail.example.com", port=465,'
        ' security="starttls")'
    )
    form = opened(lab, "filled.ipynb", SANDBOX, fill, "form.fields['username'].value, form.fields['security'].value")
    form.get_by_label("Your email address").fill("accounts@example.org")
    expect(form.get_by_label("Username")).to_have_value("accounts@example.org")  # it follows
    lab.run(1)
    expect(form.get_by_label("Your email address")).to_have_value("office@example.com")
    expect(form.get_by_label("Username")).to_have_value("accounts")
    expect(form.get_by_role("button", name="STARTTLS", exact=True)).to_have_attribute("aria-pressed", "true")
    assert lab.run(2).output_text(2) == ["('accounts', <Security.STARTTLS: 'starttls'>)"]
    form.get_by_label("Your email address").fill("other@example.com")
    expect(form.get_by_label("Username")).to_have_value("accounts")


def test_port_25_and_missing_encryption_are_warned_about_while_the_kernel_is_busy(lab: LabPage) -> None:
    form = opened(lab, "port25.ipynb", FORM, "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)")
    lab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }")
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    expect(form.get_by_text("Port 25 is for mail between servers")).to_have_count(2)
    for warning in form.get_by_text("Port 25 is for mail between servers").all():
        expect(warning).to_be_hidden()
    form.get_by_role("button", name="25", exact=True).click()
    expect(form.locator(".dm-field-port .dm-warning")).to_be_visible()
    form.get_by_role("button", name="none", exact=True).click()
    expect(form.locator(".dm-field-security .dm-warning")).to_be_visible()
    form.get_by_role("button", name="other…").click()
    form.get_by_label("Port number").fill("25")
    expect(form.locator(".dm-field-port_number .dm-warning")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "af"])
def test_no_label_is_cut_off_at_any_width(lab: LabPage, pictures: Pictures, language: str) -> None:
    form = opened_in(lab, language)
    form.get_by_role("button", name=re.compile("Advanced|Gevorderd")).click()
    for width in (1280, 800, 620):
        lab.viewport(width, 1000)
        cut = form.evaluate(
            """form => [...form.querySelectorAll('label, button, .dm-note, option, .widget-label-basic span')]
                .filter(each => each.getBoundingClientRect().width > 0 && each.scrollWidth > each.clientWidth + 1
                    && getComputedStyle(each).display !== 'inline')
                .map(each => each.textContent)"""
        )
        assert cut == [], f"at {width} px"
        assert form.evaluate("form => form.scrollWidth <= form.clientWidth + 1"), f"at {width} px"
    pictures.take(f"language-{language}", 0)


def opened_in(lab: LabPage, language: str) -> Locator:
    """Return the form in a language."""
    lab.write(f"language-{language}.ipynb", f"import docmail; docmail.SettingsForm(language={language!r})")
    lab.open(f"language-{language}.ipynb").viewport(1280, 1000).run(0)
    form = lab.cell(0).locator(".docmail-form")
    expect(form.locator(".dm-buttons button").last).to_be_visible()
    return form


# --- never stale ---


def test_after_a_restart_of_the_kernel_the_form_says_what_to_do_at_once(lab: LabPage) -> None:
    form = opened(lab, "restart.ipynb", FORM)
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(form.get_by_text("The kernel was restarted. Run this cell again")).to_be_visible()
    expect(form.get_by_role("button", name="Update")).to_be_disabled()
    lab.wait_idle()
    lab.run(0)
    expect(lab.cell(0).get_by_role("button", name="Update")).to_be_enabled()


def test_a_reloaded_page_shows_the_values_again_but_not_the_password(lab: LabPage) -> None:
    form = opened(lab, "reload.ipynb", SANDBOX)
    form.get_by_label("Sender's name").fill("Accounts receivable")
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    lab.save()
    lab.page.reload()
    lab.page.wait_for_selector("#jupyterlab-splash", state="detached")
    lab.page.wait_for_selector(".docmail-form")
    form = lab.cell(0).locator(".docmail-form")
    expect(form.get_by_label("Sender's name")).to_have_value("Accounts receivable")
    expect(form.get_by_label("Password", exact=True)).to_have_value("")
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text("on its way to accounts@example.com")).to_be_visible(timeout=20_000)


def test_the_same_form_shown_twice_is_one_form(lab: LabPage) -> None:
    first = opened(lab, "twice.ipynb", SANDBOX, "form")
    lab.run(1)
    second = lab.cell(1).locator(".docmail-form")
    expect(second.get_by_role("button", name="Update")).to_be_enabled()
    first = lab.cell(0).locator(".docmail-form")
    first.get_by_label("Password", exact=True).fill("wrong-password")
    expect(second.get_by_label("Password", exact=True)).to_have_value("wrong-password")
    second.get_by_role("button", name="Test email settings").click()
    for form in (first, second):
        expect(form.locator(".dm-field-password .dm-problem")).to_be_visible(timeout=20_000)
        expect(form.get_by_role("button", name="Test email settings")).to_be_enabled()
    second.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    first.get_by_role("button", name="Update").click()
    for form in (first, second):
        expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
        expect(form.get_by_label("Password", exact=True)).to_have_value("")


def test_of_two_forms_of_one_profile_each_knows_what_the_other_saved(lab: LabPage) -> None:
    opened(lab, "two.ipynb", SANDBOX, "docmail.SettingsForm()")
    lab.run(1)
    second = lab.cell(1).locator(".docmail-form")
    expect(second.get_by_text("not saved yet")).to_be_visible()
    lab.cell(0).get_by_role("button", name="Update").click()
    second = lab.cell(1).locator(".docmail-form")
    expect(second.get_by_label("Sender's name")).to_have_value("Accounts", timeout=20_000)
    expect(second.locator(".dm-heading")).to_contain_text("· saved")


def test_a_double_click_starts_one_test_which_can_be_stopped(lab: LabPage) -> None:
    form = opened(
        lab,
        "double.ipynb",
        SANDBOX.replace("form = ", "box.delay('auth', 600)\nform = "),
        "print(len(box.inbox))",
    )
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Test email settings").dblclick()
    stop = form.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    expect(form.get_by_role("button", name="Test email settings")).to_be_disabled()
    stop.click()
    expect(form.get_by_text("Stopped. No test email was sent.")).to_be_visible(timeout=20_000)
    expect(form.get_by_role("button", name="Test email settings")).to_be_enabled()
    lab.run(1)
    assert lab.output_text(1) == ["0\n"]


def test_a_button_that_changes_while_it_is_held_down_still_hears_the_click(lab: LabPage) -> None:
    form = opened(lab, "held.ipynb", "import docmail; form = docmail.SettingsForm(); form", "form.actions.primary = ''")
    form.get_by_role("button", name="Update").hover()
    lab.page.mouse.down()
    lab.run(1)
    expect(lab.cell(0).locator(".dm-buttons .mod-primary")).to_have_count(0)
    lab.page.mouse.up()
    expect(lab.cell(0).get_by_text("fields need another look")).to_be_visible()


def test_reopened_without_a_kernel_the_cell_says_what_is_saved_and_what_to_do(lab: LabPage) -> None:
    form = opened(lab, "later.ipynb", f"{SANDBOX}\nform.save()\nform")
    expect(form.get_by_text("Saved.")).to_be_visible()
    lab.save()
    path = lab.server.root / "later.ipynb"
    stored = json.loads(path.read_text("utf-8"))
    static, _live = stored["cells"][0]["outputs"]
    words = "".join(static["data"]["text/html"])
    assert "127.0.0.1" in words
    assert "default" in words
    assert "accounts@" not in words
    lab.shutdown_kernel()
    for cell in stored["cells"]:
        cell["metadata"]["trusted"] = True
    path.with_name("reopened.ipynb").write_text(json.dumps(stored), "utf-8")
    lab.open("reopened.ipynb")
    expect(lab.cell(0).get_by_text("Run this cell to open the form.")).to_be_visible()
    expect(lab.cell(0).get_by_text("model not found")).to_be_hidden()
    lab.run(0)
    expect(lab.cell(0).get_by_role("button", name="Update")).to_be_enabled()
    expect(lab.cell(0).get_by_text("Run this cell to open the form.")).to_be_hidden()


def test_where_the_front_end_is_missing_the_cell_says_what_to_do(lab_server: LabServer, page: Page) -> None:
    lab = LabPage(page, lab_server)
    lab.page.route(re.compile(r"/lab/extensions/anywidget/"), lambda route: route.abort())
    lab.write("missing.ipynb", FORM)
    lab.open("missing.ipynb").run(0)
    expect(lab.cell(0).get_by_text("lacks docmail's front end (anywidget)")).to_be_visible(timeout=20_000)
    expect(lab.cell(0).get_by_text("DOCMAIL_PASSWORD")).to_be_visible()
    lab.shutdown_kernel()


# --- for everybody ---


def test_everything_can_be_reached_and_pressed_with_the_keyboard(lab: LabPage) -> None:
    form = opened(lab, "keyboard.ipynb", SANDBOX)
    form.get_by_label("Your email address").focus()
    met = [focused(lab)]
    for _ in range(40):
        lab.page.keyboard.press("Tab")
        met.append(focused(lab))
        if met[-1] == "Update":
            break
    wanted = [
        # Of each choice the one that is chosen; the arrow keys lead to the others.
        *("Your email address", "Provider", "SMTP", "SMTP server", "other…", "Port number", "STARTTLS"),
        *("Username", "Password", "Show password", "Sender's name"),
        "Send a copy of every email to this address",
        "Receive email replies at a different address than you send from",
        *("Allow self-signed certificates", "After sending", "Look", "Advanced", "Test email settings", "Update"),
    ]
    assert met == wanted
    ring = "() => parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
    assert lab.page.evaluate(ring) >= 2, "where the keyboard is can be seen"
    form.get_by_role("button", name="Advanced").press("Enter")
    expect(form.get_by_label("CA file")).to_be_visible()
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Test email settings").press("Enter")
    expect(form.get_by_text("on its way to accounts@example.com")).to_be_visible(timeout=20_000)
    expect(form.get_by_role("button", name="Test email settings")).to_be_focused()


def focused(lab: LabPage) -> str:
    """Return what a screen reader would call the element that has the focus."""
    name: str = lab.page.evaluate(
        """() => {
            const at = document.activeElement;
            return at.getAttribute('aria-label') ?? at.labels?.[0]?.textContent ?? at.textContent;
        }"""
    )
    return name.strip()


def test_axe_finds_no_barrier_in_any_state(lab: LabPage) -> None:
    script = require_axe()
    form = opened(lab, "axe.ipynb", SANDBOX, FORM)
    lab.page.evaluate(script)
    lab.run(1)
    empty = lab.cell(1).locator(".docmail-form")
    expect(empty.get_by_role("button", name="Update")).to_be_enabled()
    barriers = {"empty": found_by_axe(lab, 1)}
    empty.get_by_label("Your email address").fill("accounts@gmail.com")
    expect(empty.get_by_role("button", name="change")).to_be_visible()
    barriers["short"] = found_by_axe(lab, 1)
    empty.get_by_role("button", name="change").click()
    empty.get_by_role("button", name="25", exact=True).click()
    barriers["gmail"] = found_by_axe(lab, 1)
    empty.get_by_label("Your email address").fill("")
    empty.get_by_label("SMTP server").fill("")
    empty.get_by_role("button", name="Test email settings").click()
    expect(empty.locator(".dm-note .dm-problem").first).to_be_visible()
    barriers["problems"] = found_by_axe(lab, 1)
    empty.get_by_role("button", name="HTTP").click()
    barriers["http"] = found_by_axe(lab, 1)

    form = lab.cell(0).locator(".docmail-form")
    form.get_by_label("Password", exact=True).fill("wrong-password")
    form.get_by_role("button", name="Test email settings").click()
    expect(form.locator(".dm-field-password .dm-problem")).to_be_visible(timeout=20_000)
    for summary in form.locator("summary").all():
        summary.click()
    barriers["failed"] = found_by_axe(lab, 0)
    form.get_by_label("Password", exact=True).fill(SANDBOX_PASSWORD)
    form.get_by_role("button", name="Test email settings").click()
    expect(form.get_by_text("on its way")).to_be_visible(timeout=20_000)
    barriers["tested"] = found_by_axe(lab, 0)
    form.get_by_role("button", name="Update").click()
    expect(form.get_by_text("Saved.")).to_be_visible(timeout=20_000)
    barriers["saved"] = found_by_axe(lab, 0)
    assert {state: found for state, found in barriers.items() if found} == {}


def found_by_axe(lab: LabPage, cell: int) -> list[str]:
    """Return the violations of WCAG 2.2, levels A and AA, within the output of a cell in both themes."""
    lab.cell(cell)
    lab.page.mouse.move(0, 0)
    found: list[str] = []
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    # Between the themes only the colours differ.
    asked: dict[Theme, dict[str, Any]] = {
        "dark": {"type": "rule", "values": ["color-contrast"]},
        "light": {"type": "tag", "values": tags},
    }
    for theme, rules in asked.items():
        lab.theme(theme)
        found += lab.page.evaluate(
            """async ([index, theme, rules]) => {
                const notebook = document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden)");
                const cell = notebook.querySelector(`.jp-Cell[data-windowed-list-index='${index}'] .docmail-form`);
                const { violations } = await axe.run(cell, { runOnly: rules });
                return violations.flatMap(({ id, nodes }) =>
                    nodes.map(({ html, any }) => `${theme}, ${id}: ${html.slice(0, 160)} ${any[0]?.message ?? ''}`));
            }""",
            [cell, theme, rules],
        )
    return found
