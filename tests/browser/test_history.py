"""The record of mail in JupyterLab: filtered, saved as a table, and a document of an opened mail shown at its row."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AXE = Path(__file__).parents[2] / ".venv/npm/node_modules/axe-core/axe.min.js"

SHOW = """\
import docmail
box = docmail.Sandbox().start()
box.settings.save()
rows = [{"no": number, "email": f"customer{number}@example.com"} for number in range(1, 13)]
rows[7]["email"] = "nobody@example.com"
outbox = docmail.Outbox()
added = outbox.add_all(
    docmail.merge(
        rows,
        key="no",
        to="{{ email }}",
        subject="=Invoice {{ no }} \u05d7\u05e9\u05d1\u05d5\u05e0\u05d9\u05ea",
        name="Invoice {{ no }}.pdf",
        documents=lambda row: docmail.reports.Report(f"Invoice {row['no']}").text("Thank you."),
    ),
    batch="invoices",
)
done = outbox.run(batch="invoices", limit=12)
outbox"""


def test_a_document_is_shown_at_the_row_of_its_mail_and_the_table_is_saved_for_a_spreadsheet(
    lab: LabPage, pictures: Pictures, tmp_path: Path
) -> None:
    path = lab.write("history.ipynb", SHOW)
    lab.open("history.ipynb").viewport(1280, 1000).run(0)
    view = lab.cell(0).locator(".dm-outbox")
    expect(view.get_by_text("11 sent · 1 refused")).to_be_visible(timeout=20_000)
    expect(view.get_by_role("row").filter(has_text="nobody@")).to_contain_text("No such mailbox here (550 5.1.1)")
    pictures.take("history-1-table", 0)
    lab.viewport(620, 1000)
    pictures.of(view, "history-2-narrow")
    lab.viewport(1280, 1000)

    view.get_by_role("button", name="=Invoice 9").click()
    view.get_by_role("button", name="Show").click()
    opened = view.locator("tr.dm-opened")
    shown = opened.get_by_role("img", name="First page of Invoice 9.pdf")
    expect(shown).to_be_visible(timeout=20_000)
    expect(opened.get_by_role("button", name="Email")).to_be_visible()
    pictures.take("history-3-document", 0)
    if AXE.exists():
        lab.page.evaluate(AXE.read_text("utf-8"))
        found = lab.page.evaluate("async () => (await axe.run('.dm-outbox')).violations.map(v => v.id)")
        assert found == []
    view.get_by_role("button", name="=Invoice 9").click()
    expect(shown).to_be_hidden()
    view.get_by_role("button", name="=Invoice 8").click()
    expect(opened.get_by_text("nobody@example.com").first).to_be_visible()
    expect(view.locator(".dm-card")).to_have_count(0)

    view.get_by_role("textbox", name="Who").fill("customer1")
    expect(view.get_by_text("4 sent")).to_be_visible(timeout=20_000)
    with lab.page.expect_download() as saved:
        view.get_by_role("button", name="Save as CSV").click()
    file = tmp_path / "saved.csv"
    saved.value.save_as(file)
    assert saved.value.suggested_filename == "Outbox.csv"
    content = file.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf"), "Excel takes it for another encoding without"
    lines = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
    assert [line["To"] for line in lines] == [f"customer{number}@example.com" for number in (12, 11, 10, 1)]
    assert lines[0]["Subject"].startswith("'=Invoice 12"), "a spreadsheet would take it for a formula"
    lab.save()
    outputs = json.dumps([cell.get("outputs") for cell in json.loads(path.read_text("utf-8"))["cells"]])
    assert "@example.com" not in outputs
