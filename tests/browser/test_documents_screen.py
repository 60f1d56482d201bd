"""Documents, the mail form and the record of mail as people meet them, in a real JupyterLab."""

from __future__ import annotations

import email
import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.leaks.stories import SAVE_STATE
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage, Theme

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BEGIN = """\
import docmail
from docmail import templates
from fpdf import FPDF

box = docmail.Sandbox().start()
box.settings.save()


def report(pages):
    pdf = FPDF()
    pdf.set_title("Q3 report")
    pdf.set_font("helvetica", size=24)
    for page in range(pages):
        pdf.add_page()
        pdf.cell(text=f"Quarterly report, page {page + 1}")
    return pdf

"""

MAIL = f"""\
{BEGIN}
docmail.send((), to="Chris Example <earlier@example.com>", subject="Before")
subject, body = "{{{{ document }}}} for {{{{ name }}}}", "**Attached** for {{{{ quarter }}}}."
templates.save(templates.Template("report", subject, body))
import pandas as pd
sales = pd.DataFrame({{"amount": [1, 2]}})
docmail.Document.of(report(3))"""

HISTORY = f"""\
{BEGIN}
import warnings

warnings.simplefilter("ignore")  # a refused recipient
table = docmail.Document.of(b"a,b\\n1,2", name="table.csv")
for number in range(24):
    docmail.send(table, to=f"customer{{number}}@example.com", subject=f"Invoice {{number:03}}")
docmail.send(report(2), to="cfo@example.com", cc="j@example.com; nobody@example.com", subject="Q3 report")
box.drop("end", times=1)
try:
    docmail.send(table, to="lost@example.com", subject="Lost")
except docmail.errors.OutcomeUnknown:
    pass
docmail.Outbox()"""

UPLOADED = "name,amount\nsecret-content-of-the-upload,12\n"


@pytest.fixture
def saving(lab: LabPage) -> Iterator[None]:
    """Save the widgets' state with each notebook."""
    lab.server.configure(SAVE_STATE, {"saveState": True})
    yield
    lab.server.configure(SAVE_STATE, {})  # other tests use this server, too


def opened(lab: LabPage, name: str, *cells: str) -> Locator:
    """Return the live output of the first cell of a new notebook."""
    lab.write(name, *cells)
    lab.open(name).viewport(1280, 1000).run(0)
    return lab.cell(0).locator(".jp-OutputArea-child").last


def cut_off(place: Locator) -> list[str]:
    """Return the labels, buttons and notes whose text is cut off."""
    found: list[str] = place.evaluate(
        """place => [...place.querySelectorAll('label, button, .dm-note, option, .dm-facts, .dm-question, th')]
            .filter(each => each.getBoundingClientRect().width > 0 && each.scrollWidth > each.clientWidth + 1
                && getComputedStyle(each).display !== 'inline' && !each.closest('td') && each.clientWidth > 0)
            .map(each => each.textContent)"""
    )
    return found


def check_widths(lab: LabPage, place: Locator) -> None:
    """Nothing is cut off, and nothing reaches beyond the window, at any width."""
    for width in (800, 620, 1280):
        lab.viewport(width, 1000)
        assert cut_off(place) == [], f"at {width} px"
        assert place.evaluate("place => place.scrollWidth <= place.clientWidth + 1"), f"at {width} px"


def check_axe(lab: LabPage, place: Locator) -> None:
    """axe-core finds no barrier in either theme."""
    lab.page.evaluate(require_axe())
    themes: tuple[Theme, ...] = ("dark", "light")
    for theme in themes:
        lab.theme(theme)
        lab.page.mouse.move(0, 0)
        found = place.evaluate(
            """async (place) => {
                const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
                const { violations } = await axe.run(place, { iframes: false, runOnly: { type: 'tag', values: tags } });
                return violations.flatMap(({ id, nodes }) =>
                    nodes.map(({ html, any }) => `${id}: ${html.slice(0, 160)} ${any[0]?.message ?? ''}`));
            }"""
        )
        assert found == [], theme


def kept(lab: LabPage, path: Path) -> str:
    """Return what the notebook's file holds besides its code: the outputs, and the state of the widgets."""
    lab.save()
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        del cell["source"]
    return json.dumps(notebook)


def test_a_pdf_is_shown_leafed_through_and_enlarged_and_stays_without_a_kernel(
    lab: LabPage, pictures: Pictures
) -> None:
    """The FPDF object itself, after `%load_ext docmail`; a `Document` is shown in the next test."""
    view = opened(lab, "pages.ipynb", f"{BEGIN}\n%load_ext docmail\nreport(12)")
    expect(view.get_by_role("img", name="First page of Q3 report.pdf")).to_be_visible()
    expect(view.get_by_text("12 pages")).to_be_visible()
    view.get_by_role("button", name="Next page").click()
    expect(view.get_by_role("img", name="Page 2 of Q3 report.pdf")).to_be_visible()
    expect(view.get_by_role("button", name="Next page")).to_be_focused()
    lab.page.keyboard.press("ArrowRight")
    expect(view.get_by_role("img", name="Page 3 of")).to_be_visible()
    lab.page.keyboard.press("ArrowLeft")
    expect(view.get_by_role("img", name="Page 2 of")).to_be_visible()
    view.get_by_label("Page", exact=True).fill("12")
    view.get_by_label("Page", exact=True).press("Enter")
    expect(view.get_by_role("img", name="Page 12 of")).to_be_visible()
    expect(view.get_by_role("button", name="Next page")).to_be_disabled()
    pictures.take("document-pages", 0)
    check_axe(lab, view.locator(".docmail"))
    check_widths(lab, view.locator(".docmail"))
    view.get_by_role("button", name="Page 12 of").click()
    large = view.get_by_role("img", name="Page 12 of")
    expect(large).to_have_attribute("width", "700")
    assert large.evaluate("picture => picture.naturalWidth >= 700 * devicePixelRatio")
    with lab.page.expect_download() as download:
        view.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "Q3 report.pdf"
    # Opened again without a kernel, as somebody does who was handed the notebook.
    lab.save()
    lab.shutdown_kernel()
    lab.open("pages.ipynb", wait=False)
    stays = lab.cell(0).locator(".jp-OutputArea")
    expect(stays.get_by_text("Q3 report.pdf").first).to_be_visible()


def test_a_mail_is_written_with_template_preview_and_upload_and_sent(
    lab: LabPage, pictures: Pictures, saving: None
) -> None:
    assert saving is None
    path = lab.server.root / "mail.ipynb"
    view = opened(lab, "mail.ipynb", MAIL, "print([a.name for a in box.inbox[-1].attachments], box.inbox[-1].html)")
    view.get_by_role("button", name="Email").click()
    form = view.locator(".docmail-mail")
    expect(form.get_by_text("Accounts <accounts@example.com>")).to_be_visible()
    address_it(form)
    write_it(form)
    attach_files(form)
    check_axe(lab, form)
    check_widths(lab, form)
    save_it(lab, form)

    send_it(lab, form)
    expect(form.get_by_text("1 refused: nobody@example.com")).to_be_visible()
    expect(view.get_by_text("emailed to cfo@example.com, j@example.com, today")).to_be_visible()
    check_axe(lab, form)
    pictures.take("mail-sent", 0)
    lab.run(1)
    (received,) = lab.output_text(1)
    assert received.startswith("['Q3 report.pdf', 'numbers.csv', 'sales.csv']")
    assert "dear Chris Example" in received

    stored = kept(lab, path)
    assert "dm-preview" in stored, "the widgets' state is there"
    for private in ("secret-content-of-the-upload", "c2VjcmV0LWNvbnRlbn", "earlier@example.com", "emailed to"):
        assert private not in stored, private


def address_it(form: Locator) -> None:
    """Type recipients; earlier ones are offered for the part that is being typed."""
    to = form.get_by_label("To", exact=True)
    expect(to).to_be_focused()
    to.press_sequentially("cfo@example.com; ear")
    offered = form.get_by_role("option", name="Chris Example <earlier@example.com>")
    expect(offered).to_be_visible()
    to.press("ArrowDown")
    expect(offered).to_have_attribute("aria-selected", "true")
    to.press("Enter")
    expect(to).to_have_value("cfo@example.com; Chris Example <earlier@example.com>")
    expect(offered).to_be_hidden()
    to.fill("Chris Example <cfo@example.com>, nobody@example.com")
    form.get_by_role("button", name="Cc, Bcc").click()
    form.get_by_label("Cc", exact=True).fill("j@example.com")


def write_it(form: Locator) -> None:
    """Choose a template, miss a field, write over it, and look at what the recipient will see."""
    form.get_by_label("Template").select_option("report")
    expect(form.get_by_label("Subject")).to_have_value("{{ document }} for {{ name }}")
    expect(form.locator(".dm-field-body .dm-warning")).to_contain_text("quarter")
    form.get_by_label("Body").fill("**Attached**, dear {{ name }}.\n\n- [one](https://example.com)\n- two")
    preview = form.frame_locator(".dm-mail-paper iframe").frame_locator("iframe")
    expect(preview.get_by_text("Attached, dear Chris Example.")).to_be_visible()
    expect(preview.locator("strong")).to_have_text("Attached")
    preview.get_by_role("link").click()
    expect(form.locator(".dm-preview-subject")).to_have_text("Q3 report for Chris Example")
    form.get_by_label("Template").select_option("none")
    form.get_by_label("Template").select_option("report")
    expect(form.get_by_text("Replace subject and body")).to_be_visible()
    form.get_by_role("button", name="Keep my text").click()
    expect(form.get_by_label("Body")).to_have_value(re.compile("dear {{ name }}"))
    expect(preview.get_by_text("Attached, dear Chris Example.")).to_be_visible()  # the link led nowhere


def attach_files(form: Locator) -> None:
    """Upload two files, one in several pieces, and remove that one again; attach a table of the notebook."""
    chooser = form.locator("input[type=file]")
    chooser.set_input_files({"name": "numbers.csv", "mimeType": "text/csv", "buffer": UPLOADED.encode()})
    expect(form.get_by_text("numbers.csv")).to_be_visible()
    large = b"\0" * 2_500_000
    chooser.set_input_files({"name": "large.bin", "mimeType": "application/octet-stream", "buffer": large})
    expect(form.get_by_role("listitem").filter(has_text="large.bin")).to_contain_text("2.5 MB")
    form.get_by_role("button", name="Remove large.bin").click()
    expect(form.get_by_text("large.bin")).to_have_count(0)
    form.get_by_role("button", name="+ a table").press("Enter")
    expect(form.get_by_label("Table", exact=True)).to_be_focused()
    form.get_by_label("Kind of file").select_option(".csv")
    form.get_by_role("button", name="Attach", exact=True).press("Enter")
    expect(form.get_by_role("listitem").filter(has_text="sales.csv")).to_be_visible()
    expect(form.locator("input[type=file]")).to_be_focused()  # the button has gone


def send_it(lab: LabPage, form: Locator) -> None:
    """Send with the keyboard, which keeps its place: nothing else is pressed by the second half of a double press."""
    lab.page.evaluate(
        """() => {
            window.places = new Set();
            document.addEventListener('focusin', ({ target }) => window.places.add(target.textContent));
            document.addEventListener('focusout', ({ relatedTarget }) => relatedTarget ?? window.places.add('lost'));
        }"""
    )
    button = form.get_by_role("button", name="Send", exact=True)
    button.press("Enter")
    lab.page.keyboard.press("Enter")
    expect(form.get_by_text("Sent to 2 recipients.")).to_be_visible(timeout=20_000)
    expect(button).to_be_enabled()
    expect(button).to_be_focused()
    assert lab.page.evaluate("() => [...window.places]") == ["Send"]


def save_it(lab: LabPage, form: Locator) -> None:
    """Save the mail as a file for a mail program."""
    with lab.page.expect_download() as download:
        form.get_by_role("button", name="Save as .eml").click()
    draft = email.message_from_bytes(download.value.path().read_bytes())
    assert draft["Subject"] == "Q3 report for Chris Example"
    assert [part.get_filename() for part in draft.walk() if part.get_filename()] == [
        "Q3 report.pdf",
        "numbers.csv",
        "sales.csv",
    ]


def test_the_record_is_filtered_opened_and_a_doubt_is_settled(lab: LabPage, pictures: Pictures, saving: None) -> None:
    assert saving is None
    path = lab.server.root / "history.ipynb"
    view = opened(lab, "history.ipynb", HISTORY)
    table = view.locator(".dm-history")
    expect(table.get_by_text("1 to 25 of 26")).to_be_visible()
    table.get_by_role("button", name="Older mails").click()
    expect(table.get_by_text("26 to 26 of 26")).to_be_visible()
    expect(table.get_by_role("button", name="Invoice 000")).to_be_visible()
    table.get_by_label("Who").press_sequentially("j@")
    expect(table.get_by_text("1 to 1 of 1")).to_be_visible()
    expect(table.get_by_label("Who")).to_be_focused()
    table.get_by_role("button", name="Q3 report").click()
    expect(table.get_by_role("cell", name="nobody@example.com", exact=True)).to_be_visible()
    expect(table.get_by_text("No such mailbox here (550 5.1.1)").last).to_be_visible()
    pictures.take("history-opened", 0)
    table.get_by_role("button", name="Show").click()
    document = view.locator(".dm-card")
    expect(document.get_by_role("img", name="First page of Q3 report.pdf")).to_be_visible()
    expect(document.get_by_text("emailed to cfo@example.com, j@example.com, today")).to_be_visible()
    expect(document.locator(":focus")).to_have_count(1)
    expect(document).to_be_in_viewport()
    with lab.page.expect_download() as download:
        table.get_by_role("button", name="Save as .eml").click()
    assert email.message_from_bytes(download.value.path().read_bytes())["Subject"] == "Q3 report"
    table.get_by_role("button", name="Send again to everybody…").press("Enter")
    expect(table.get_by_role("button", name="Cancel")).to_be_focused()
    table.get_by_role("button", name="Send again", exact=True).click()  # waits until it can have been read
    expect(table.get_by_text("Sent to 2 recipients.")).to_be_visible(timeout=20_000)
    expect(table.get_by_text("1 to 2 of 2")).to_be_visible()

    table.get_by_label("Who").fill("")
    table.get_by_label("State").select_option("unknown")
    expect(table.get_by_text("1 to 1 of 1")).to_be_visible()
    table.get_by_role("button", name="Lost").click()
    expect(table.get_by_text("nobody knows")).to_be_visible()
    check_axe(lab, view.locator(".docmail-form").first)
    check_widths(lab, view.locator(".docmail-form").first)
    table.get_by_role("button", name="It arrived").click()
    expect(table.get_by_text("No mail fits this filter.")).to_be_visible()
    table.get_by_label("State").select_option("")
    table.get_by_label("What").fill("Lost")
    expect(table.locator("tbody .dm-state-sent")).to_have_count(1)
    table.get_by_label("What").fill("")
    expect(table.get_by_text("1 to 25 of 27")).to_be_visible()

    stored = kept(lab, path)
    assert "dm-history" in stored, "the widgets' state is there"
    for private in ("customer23@example.com", "lost@example.com", "cfo@example.com", "Invoice 023"):
        assert private not in stored, private
