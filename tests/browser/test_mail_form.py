"""The mail form as people fill it in, in a real JupyterLab: by pasting, dropping, and with the keyboard alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_documents_screen import BEGIN, check_axe, check_widths, opened

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

INVOICE = f"""{BEGIN}
pdf = report(1)
pdf.set_title("Invoice 2026-118")
docmail.Document.of(pdf)"""

INBOX = "print([(mail.subject, *mail.recipients) for mail in box.inbox])"

DROP = """(form, files) => {
    const transfer = new DataTransfer();
    for (const [name, size] of files) transfer.items.add(new File([new Uint8Array(size).fill(65)], name));
    const over = new DragEvent('dragover', { bubbles: true, cancelable: true, dataTransfer: transfer });
    form.querySelector('.dm-field-subject').dispatchEvent(over);
    window.taken = over.defaultPrevented;
    const shown = getComputedStyle(form, '::after').content;
    const drop = new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer });
    form.querySelector('.dm-field-subject').dispatchEvent(drop);
    return [window.taken && drop.defaultPrevented, shown];
}"""

PASTE = """(field, text) => {
    field.focus();
    document.execCommand('insertText', false, text);
}"""

FRAMES = f"""{BEGIN}
import pandas as pd
import polars as pl

%load_ext docmail
sales = pd.DataFrame({{"region": ["North", "South"], "amount": [12.5, 7]}})
display(pl.DataFrame({{"a": [1]}}))
display(sales["amount"])
None
sales"""


def mail_form(lab: LabPage, name: str, *cells: str) -> Locator:
    """Return the open mail form under the first cell of a new notebook."""
    view = opened(lab, name, *cells)
    view.get_by_role("button", name="Email").click()
    form = view.locator(".docmail-mail")
    expect(form.get_by_text("Accounts <accounts@example.com>")).to_be_visible()
    return form


def test_the_form_begins_in_to_with_title_and_text_of_its_kind(lab: LabPage, pictures: Pictures) -> None:
    form = mail_form(lab, "begins.ipynb", INVOICE, INBOX)
    to = form.get_by_label("To", exact=True)
    expect(to).to_be_focused()
    expect(form.get_by_label("Subject")).to_have_value("Invoice 2026-118")
    expect(form.get_by_label("Template")).to_have_value("invoice")
    expect(form.get_by_label("Body")).to_have_value(containing("Dear", "{{ document }} attached", "{{ sender }}"))
    lab.page.keyboard.type("Chris Example <cfo@example.com>")
    lab.page.keyboard.press("Tab")
    form.get_by_label("Body").fill("Dear all, ")
    form.get_by_role("button", name="{{ document }}").click()
    expect(form.get_by_label("Body")).to_have_value("Dear all, {{ document }}")
    expect(form.get_by_label("Body")).to_be_focused()
    form.get_by_label("Template").select_option("reminder")
    form.get_by_role("button", name="Replace my text").click()
    expect(form.get_by_label("Subject")).to_have_value("Reminder: Invoice 2026-118")
    pictures.take("mail-form", 0)
    check_axe(lab, form)
    check_widths(lab, form)


def containing(*parts: str) -> re.Pattern[str]:
    """Return a pattern of a text that contains these in order."""
    return re.compile(".*".join(re.escape(part) for part in parts), re.DOTALL)


def test_addresses_are_pasted_judged_when_they_are_left_and_stand_in_lines(lab: LabPage, pictures: Pictures) -> None:
    form = mail_form(lab, "pasted.ipynb", INVOICE, INBOX)
    to, row = form.get_by_label("To", exact=True), form.locator(".dm-field-to")
    to.evaluate(PASTE, "a@example.com\r\nnonsense\r\nb@example.com\r\n")
    expect(row.locator(".dm-problem")).to_have_count(0)
    to.press("Tab")
    expect(row.locator(".dm-problem")).to_contain_text("“nonsense” is not an email address.")
    expect(to).to_have_value("a@example.com\nnonsense\nb@example.com")
    expect(to).to_have_attribute("aria-invalid", "true")
    pictures.of(form, "mail-to-wrong")
    to.fill("")
    to.evaluate(PASTE, "Smith, J <j@example.com>; שרה <sara@example.com>; a@example.com; A@example.com")
    to.press("Tab")
    expect(to).to_have_value('"Smith, J" <j@example.com>\nשרה <sara@example.com>\na@example.com')
    expect(row).to_contain_text("3 recipients")
    expect(row).to_contain_text("stands there twice")
    expect(row.locator(".dm-problem")).to_have_count(0)
    assert to.evaluate("field => field.scrollHeight <= field.clientHeight + 1"), "it has grown"
    pictures.of(form, "mail-to-lines")
    check_axe(lab, form)
    # The button does not move away under the mouse, whatever leaving the field changes.
    to.fill("x@example.com; y@example.com; z@example.com")
    form.get_by_role("button", name="Send", exact=True).click()
    expect(form.get_by_text("Sent to 3 recipients.")).to_be_visible(timeout=20_000)


def test_files_are_dropped_onto_the_form_and_what_is_refused_is_said(lab: LabPage, pictures: Pictures) -> None:
    form = mail_form(lab, "dropped.ipynb", INVOICE, INBOX)
    files = [["numbers.csv", 12], ["empty.txt", 0], ["fdp\u202exe.csv", 5], ["קובץ.csv", 7], ["large.bin", 2_500_000]]
    taken, shown = form.evaluate(DROP, files)
    assert taken, "otherwise the browser leaves the notebook and shows the file"
    assert "Drop files here" in shown
    expect(form.get_by_role("listitem").filter(has_text="large.bin")).to_contain_text("2.5 MB", timeout=20_000)
    expect(form.get_by_role("listitem").filter(has_text="numbers.csv")).to_contain_text("12 bytes")
    expect(form.get_by_role("listitem").filter(has_text="קובץ.csv")).to_be_visible()
    status = form.locator(".dm-field-documents [role=status]").first
    expect(status).to_contain_text("empty.txt is empty.")
    expect(status).to_contain_text("fdp·xe.csv has an invisible character (U+202E)")
    pictures.of(form, "mail-dropped")
    check_axe(lab, form)
    check_widths(lab, form)
    form.evaluate(DROP, [["numbers.csv", 12]])
    expect(status).to_contain_text("numbers.csv is attached already.")
    expect(status).not_to_contain_text("empty.txt")
    form.get_by_role("button", name="Remove numbers.csv").click()
    expect(form.get_by_role("listitem")).to_have_count(3)
    expect(status).not_to_contain_text("attached already")
    # A text that is dragged is none of its business.
    assert not form.evaluate(
        """form => {
            const transfer = new DataTransfer();
            transfer.setData('text/plain', 'a text');
            const over = new DragEvent('dragover', { bubbles: true, cancelable: true, dataTransfer: transfer });
            form.querySelector('.dm-field-subject').dispatchEvent(over);
            return over.defaultPrevented;
        }"""
    )


def test_the_keyboard_alone_writes_a_mail_and_enter_sends_nothing_by_accident(lab: LabPage) -> None:
    form = mail_form(lab, "keys.ipynb", INVOICE, INBOX)
    lab.page.keyboard.type("cfo@example.com")
    for key in ("Enter", "Control+Enter", "Shift+Enter"):
        lab.page.keyboard.press(key)
    subject = form.get_by_label("Subject")
    places = []
    for _step in range(12):
        lab.page.keyboard.press("Tab")
        places.append(lab.page.evaluate("() => document.activeElement.closest('.dm-row')?.className ?? ''"))
        if "dm-field-subject" in places[-1]:
            break
    expect(subject).to_be_focused()
    for key in ("End", "Enter", "Control+Enter", "Shift+Enter"):
        lab.page.keyboard.press(key)
    form.get_by_label("send me a copy").press("Space")
    expect(form.get_by_label("send me a copy")).to_be_checked()
    for _step in range(4):
        form.get_by_label("send me a copy").press("Enter")
    lab.run(1)
    assert lab.output_text(1) == ["[]\n"], "nothing was sent"
    form.get_by_role("button", name="Send", exact=True).focus()
    lab.page.keyboard.press("Enter")
    lab.page.keyboard.press("Enter")
    expect(form.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)
    outcome = form.locator(".dm-outcome")
    send, said = (outcome.locator(each).bounding_box() for each in (".dm-buttons", ".dm-report"))
    assert send is not None
    assert said is not None
    assert said["y"] < send["y"] + send["height"], "it stands beside the button"
    lab.run(1)
    assert lab.output_text(1) == ["[('Invoice 2026-118', 'cfo@example.com', 'accounts@example.com')]\n"]


def test_a_table_under_a_cell_keeps_its_look_and_has_an_email_button(lab: LabPage, pictures: Pictures) -> None:
    lab.write(
        "frames.ipynb",
        FRAMES,
        "print([a.name for a in box.inbox[-1].attachments])",
        "None",
        "%unload_ext docmail",
        "sales",
    )
    lab.open("frames.ipynb").viewport(1280, 1000).run(0)
    cell = lab.cell(0)
    expect(cell.get_by_role("button", name="Email")).to_have_count(3, timeout=30_000)
    expect(cell.locator("table.dataframe")).to_have_count(2)
    button = cell.get_by_role("button", name="Email").last
    button.click()
    form = cell.locator(".docmail-mail")
    expect(form.get_by_label("To", exact=True)).to_be_focused()
    expect(form.get_by_label("Subject")).to_have_value("sales")
    expect(form.get_by_role("listitem")).to_contain_text("sales.xlsx")
    form.get_by_label("Kind of file of sales").select_option(".csv")
    expect(form.get_by_role("listitem")).to_contain_text("sales.csv")
    expect(form.get_by_role("listitem")).to_contain_text("bytes")
    form.get_by_label("To", exact=True).fill("cfo@example.com")
    check_axe(lab, form)
    check_widths(lab, form)
    pictures.take("table-mail", 0)
    form.get_by_role("button", name="Send", exact=True).click()
    expect(form.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)
    for number in (1, 2, 3, 4):
        lab.run(number)
    assert lab.output_text(1) == ["['sales.csv']\n"]
    expect(lab.cell(4).locator("table.dataframe")).to_be_visible()
    expect(lab.cell(4).get_by_role("button", name="Email")).to_have_count(0)


def test_the_form_speaks_afrikaans_and_answers_a_faktuur_in_it(lab: LabPage, pictures: Pictures) -> None:
    code = INVOICE.replace("import docmail\n", 'import os\nos.environ["LANGUAGE"] = "af"\nimport docmail\n', 1)
    view = opened(lab, "faktuur.ipynb", code.replace("Invoice 2026-118", "Faktuur 118"))
    view.get_by_role("button", name="E-pos").click()
    form = view.locator(".docmail-mail")
    expect(form.get_by_label("Onderwerp")).to_have_value("Faktuur 118")
    expect(form.locator(".dm-field-template select")).to_have_value("faktuur")
    expect(form.locator(".dm-field-body textarea")).to_have_value(containing("Geagte", "is aangeheg"))
    pictures.take("mail-afrikaans", 0)
    check_widths(lab, form)
