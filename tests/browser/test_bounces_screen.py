"""What came back, in JupyterLab: looked for, opened in the line with the counts, corrected in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_settings_screen import found_by_axe
from tests.support.requires import require_axe

if TYPE_CHECKING:
    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SEND = f"""\
import sys
from dataclasses import replace
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import docmail
from docmail.mailbox import Mailbox
from docmail.outbox import mailbox_work
from tests.support.bounces import RETURNED, group, notification
from tests.support.fake_mailbox import FakeMailbox
mailbox = FakeMailbox()
mailbox_work.open_mailbox = mailbox.open
box = docmail.Sandbox().start()
settings = replace(box.settings, mailbox=Mailbox("localhost", username="accounts@example.com"))
settings.save()
rows = [{{"no": 1600 + number, "email": f"customer{{number}}@example.com"}} for number in range(1, 13)]
box.drop("end", times=1)
outbox = docmail.Outbox()
messages = docmail.merge(rows, key="no", to="{{{{ email }}}}", subject="Invoice {{{{ no }}}}", body="Thank you.")
added = outbox.add_all(messages, batch="2026-11 invoices")
outbox.run(batch="2026-11 invoices")"""
COME_BACK = """\
GONE = {"1603": ("failed", "5.1.1"), "1607": ("failed", "5.2.2"), "1609": ("delayed", "4.4.1")}
for row in outbox:
    if row.key in GONE:
        action, status = GONE[row.key]
        report = group(row.to[0], status, action, diagnostic="smtp; 550 5.1.1 <x@example.com>: User unknown")
        returned = RETURNED.replace("<q3-1@example.com>", row.message_id)
        mailbox.folders["INBOX"].append(notification(report, returned=returned))"""


def test_bounces_are_looked_for_and_corrected_in_the_batch_and_stand_in_the_history(
    lab: LabPage, pictures: Pictures
) -> None:
    path = lab.write("bounces.ipynb", SEND, COME_BACK, "outbox")
    lab.open("bounces.ipynb").viewport(1280, 1000).run(0)
    lab.page.evaluate(require_axe())
    batch = lab.cell(0).locator(".dm-batch")
    expect(batch.get_by_text("11 sent · 1 unknown")).to_be_visible(timeout=30_000)
    doubt = batch.get_by_role("button", name="Look in the Sent folder")
    expect(doubt).to_be_visible()
    pictures.take("bounces-1-doubt", 0)
    doubt.click()
    expect(batch.get_by_text("which proves nothing")).to_be_visible(timeout=20_000)
    batch.get_by_role("button", name="It arrived").click()
    expect(batch.get_by_text("12 sent")).to_be_visible(timeout=20_000)
    lab.run(1)
    batch.get_by_role("button", name="Look for bounces").click()
    opener = batch.get_by_role("button", name="2 bounced")
    expect(opener).to_have_attribute("aria-expanded", "false", timeout=20_000)
    expect(batch.get_by_text("2 emails bounced.")).to_be_visible()
    pictures.take("bounces-2-found", 0)
    assert found_by_axe(lab, 0) == []
    opener.press("Enter")
    table = batch.get_by_role("group", name="2 emails did not reach everybody")
    expect(table).to_contain_text("bounced: There is no such mailbox; check the address.")
    expect(batch.get_by_text("Not delivered yet; the server is still trying.")).to_be_visible()
    expect(opener).to_be_focused()
    expect(opener).to_have_attribute("aria-expanded", "true")
    table.get_by_role("button", name="Correct and send").first.click()
    pictures.take("bounces-3-table", 0)
    assert found_by_axe(lab, 0) == []
    batch.get_by_label("Correct address for customer3@example.com").fill("accounts3@example.com")
    batch.get_by_role("button", name="Send", exact=True).click()
    expect(batch.get_by_role("button", name="1 bounced")).to_be_visible(timeout=20_000)

    lab.run(2)
    history = lab.cell(2).locator(".dm-outbox")
    opener = history.get_by_role("button", name="1 bounced")
    opener.click()
    expect(history.get_by_role("group", name="1 email did not reach everybody")).to_be_visible(timeout=20_000)
    history.get_by_role("button", name="Invoice 1607").click()
    expect(history.locator("tr.dm-opened")).to_contain_text("The mailbox is full")
    expect(history.locator("tr.dm-opened")).to_contain_text("a copy is in the Sent folder")
    pictures.take("bounces-4-history", 2)
    assert found_by_axe(lab, 2) == []
    opener.click()
    expect(history.get_by_role("group", name="1 email did not reach everybody")).to_be_hidden()
    lab.viewport(620, 1000)
    pictures.of(history, "bounces-5-narrow")
    lab.viewport(1280, 1000)
    lab.save()
    outputs = json.dumps([cell.get("outputs") for cell in json.loads(path.read_text("utf-8"))["cells"]])
    assert "customer" not in outputs
