"""A batch in JupyterLab: asked about, rehearsed, sent, and what is unknown decided; nothing of it names an address."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage
    from tests.support.voila import VoilaPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AXE = Path(__file__).parents[2] / ".venv/npm/node_modules/axe-core/axe.min.js"

PREPARE = """\
import docmail
box = docmail.Sandbox().start()
box.settings.save()
rows = [{"invoice_no": number, "email": f"customer{number}@example.com"} for number in range(1, 61)]
rows[7]["email"] = "nobody@example.com"
def make_pdf(row):
    return b"%PDF-1.4 " + str(row["invoice_no"]).encode() + b" %%EOF"
outbox = docmail.Outbox()
outbox.add_all(
    docmail.merge(rows, key="invoice_no", to="{{ email }}", subject="Invoice {{ invoice_no }}", documents=make_pdf),
    batch="2026-11 invoices",
)"""
RUN = """outbox.run(batch="2026-11 invoices")"""
SLOW = """\
box.delay("end", 0.15)
box.drop("end", recipient="customer50@example.com", keep=True, times=1)
box.drop("end", recipient="customer52@example.com", keep=False, times=1)"""
COUNT = """print(len(box.inbox), sorted(outbox.run(batch="none")), [m.recipients for m in box.inbox][:3])"""


def test_a_batch_is_asked_about_rehearsed_sent_and_its_doubt_decided(lab: LabPage, pictures: Pictures) -> None:
    path = lab.write("batch.ipynb", PREPARE, SLOW, RUN, "len(box.inbox)")
    lab.open("batch.ipynb").viewport(1280, 1000).run(0).run(1).run(2)
    view = lab.cell(2).locator(".docmail").first
    expect(view.get_by_text("60 emails to 60 addresses through accounts@example.com.")).to_be_visible(timeout=20_000)
    pictures.take("batch-1-asked", 2)

    view.get_by_role("button", name="Rehearse").click()
    expect(view.get_by_text("3 mails went to accounts@example.com")).to_be_visible(timeout=20_000)
    assert lab.run(3).output_text(3) == ["3"]
    lab.cell(2)

    view.get_by_role("button", name="Send 60 emails").click()
    expect(view.get_by_role("button", name="Pause")).to_be_visible(timeout=20_000)
    expect(view.get_by_text(re.compile("([6-9]|[1-9][0-9]) sent"))).to_be_visible(timeout=20_000)
    view.get_by_role("button", name="Pause").click()
    expect(view.get_by_role("button", name="Resume")).to_be_visible(timeout=20_000)
    expect(view.get_by_role("list", name="What became of the last ones").get_by_role("listitem")).to_have_count(5)
    pictures.take("batch-2-paused", 2)
    view.get_by_role("button", name="Resume").click()

    doubt = view.get_by_role("button", name="It arrived")
    expect(doubt).to_have_count(2, timeout=40_000)
    expect(view.get_by_text("57 sent · 1 refused · 2 unknown")).to_be_visible(timeout=20_000)
    expect(view.get_by_text("“Send again” sends the mail at once.")).to_be_visible(timeout=20_000)
    pictures.take("batch-4-over", 2)
    if AXE.exists():
        lab.page.evaluate(AXE.read_text("utf-8"))
        found = lab.page.evaluate("async () => (await axe.run('.docmail')).violations.map(v => v.id)")
        assert found == []
    doubt.first.click()
    expect(view.get_by_text("58 sent · 1 refused · 1 unknown", exact=True)).to_be_visible(timeout=20_000)
    expect(doubt).to_have_count(1, timeout=20_000)
    view.get_by_role("button", name="Send again").click()
    expect(view.get_by_text("59 sent · 1 refused", exact=True)).to_be_visible(timeout=20_000)
    expect(doubt).to_be_hidden()
    expect(view.get_by_text("Nothing waits any more; 1 email did not reach everybody.")).to_be_visible(timeout=20_000)
    pictures.take("batch-5-decided", 2)
    lab.run(3)  # what was said before has reached the notebook then
    lab.save()
    outputs = json.dumps(
        [cell.get("outputs") for cell in json.loads(path.read_text("utf-8"))["cells"]], ensure_ascii=False
    )
    assert "59 of 60 were sent. 59 sent · 1 refused." in outputs
    assert "@example.com" not in outputs


RESUME = """\
import docmail
box = docmail.Sandbox().start()
box.settings.save()
rows = [{"no": f"R-{number}", "email": f"customer{number}@example.com"} for number in range(1, 61)]
rows[1]["email"] = "nobody@example.com"
rows[3]["email"] = rows[4]["email"] = "twice@example.com"
box.drop("end", recipient="customer3@example.com", keep=True, times=1)
box.delay("end", 0.3)
outbox = docmail.Outbox()
added = outbox.add_all(
    docmail.merge(rows, key="no", to="{{ email }}", subject="Invoice {{ no }}"), batch="2026-11 invoices"
)
outbox.run(batch="2026-11 invoices")"""


def test_resume_asks_in_place_and_a_refused_address_is_corrected_where_it_stands(  # noqa: PLR0915 - one story
    lab: LabPage, pictures: Pictures
) -> None:
    path = lab.write("resume.ipynb", RESUME, "[m.recipients for m in box.inbox if m.subject == 'Invoice R-2']")
    lab.open("resume.ipynb").viewport(1280, 1000).run(0)
    view = lab.cell(0).locator(".docmail").first
    expect(view.get_by_text("60 emails to 59 addresses (1 gets two) through")).to_be_visible(timeout=20_000)
    view.get_by_text("1 address gets several").click()
    expect(view.get_by_text("twice@example.com")).to_be_visible()
    pictures.take("resume-1-asked", 0)
    view.get_by_role("button", name="Cancel").click()
    expect(view.get_by_text("Nothing was sent. What waits stays in the queue.")).to_be_visible()
    view.get_by_role("button", name="Send …").click()
    view.get_by_role("button", name="Send 60 emails").click(timeout=20_000)
    expect(view.get_by_text(re.compile("([2-9]|[1-5][0-9]) sent"))).to_be_visible(timeout=30_000)
    view.get_by_role("button", name="Stop").click()
    expect(view.get_by_text("Stopped. What waits stays in the queue.")).to_be_visible(timeout=20_000)
    bar = view.get_by_role("progressbar")
    settled = bar.get_attribute("aria-valuenow")
    row = view.get_by_role("row").filter(has_text="nobody@example.com")
    expect(row).to_contain_text("No such mailbox here (550 5.1.1)")
    pictures.take("resume-2-stopped", 0)
    view.get_by_role("button", name="Resume").click()
    expect(view.get_by_text(re.compile("^Send the [0-9]+ that wait[?]"))).to_be_visible(timeout=20_000)
    assert bar.get_attribute("aria-valuenow") == settled
    expect(row).to_be_visible()
    expect(view.get_by_role("button", name="It arrived")).to_be_visible()
    pictures.take("resume-3-asks", 0)
    if AXE.exists():
        lab.page.evaluate(AXE.read_text("utf-8"))
        found = lab.page.evaluate("async () => (await axe.run('.docmail')).violations.map(v => v.id)")
        assert found == []
    view.get_by_role("button", name="Cancel").click()
    expect(view.get_by_text("Stopped. What waits stays in the queue.")).to_be_visible(timeout=20_000)

    row.get_by_role("button", name="Correct and send").click()
    field = view.get_by_role("textbox", name="Correct address for nobody@example.com")
    expect(field).to_be_focused()
    field.fill("somebody@example")
    field.press("Enter")
    expect(view.get_by_text("“somebody@example” is not an email address.")).to_be_visible(timeout=20_000)
    expect(field).to_have_value("somebody@example")
    field.fill("somebody@example.com")
    pictures.take("resume-4-corrected", 0)
    view.get_by_role("button", name="Send", exact=True).click()
    expect(view.get_by_text("Sent to 1 recipient.")).to_be_visible(timeout=20_000)
    expect(row).to_be_hidden()
    view.get_by_role("button", name="Resume").click()
    view.get_by_role("button", name="Send", exact=True).click(timeout=20_000)
    expect(view.get_by_text("59 sent · 1 unknown", exact=True)).to_be_visible(timeout=40_000)
    view.get_by_role("button", name="It arrived").click()
    expect(view.get_by_text("60 sent", exact=True)).to_be_visible(timeout=20_000)
    expect(view.get_by_text("Done: all 60 emails were sent.")).to_be_visible(timeout=20_000)
    pictures.take("resume-5-done", 0)
    assert lab.run(1).output_text(1) == ["[('somebody@example.com',)]"]
    lab.save()
    outputs = json.dumps([cell.get("outputs") for cell in json.loads(path.read_text("utf-8"))["cells"][:1]])
    assert "60 of 60 were sent. 60 sent." in outputs
    assert "@example.com" not in outputs


WAITING = """print(outbox.run(batch="2026-11 invoices", limit=40))"""


def test_pause_and_stop_are_heard_while_the_cell_waits_for_the_batch(lab: LabPage) -> None:
    lab.write("waiting.ipynb", PREPARE, """box.delay("end", 0.3)""", WAITING)
    lab.open("waiting.ipynb").run(0).run(1).run(2, wait=False)
    view = lab.cell(2).locator(".docmail").first
    view.get_by_role("button", name="Pause").click(timeout=20_000)
    expect(view.get_by_text("paused")).to_be_visible(timeout=8_000)
    view.get_by_role("button", name="Resume").click()
    view.get_by_role("button", name="Pause").wait_for()
    view.get_by_role("button", name="Stop").click()
    expect(view.get_by_text("Stopped.")).to_be_visible(timeout=8_000)
    lab.wait_idle()
    assert "Run stopped" in lab.output_text(2)[-1]


SUBSHELLS = "how => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.commsOverSubshells = how; }"


def test_a_batch_shows_how_far_it_is_while_its_cell_waits_though_the_kernel_hears_nothing(lab: LabPage) -> None:
    """As in front ends without subshells, and in JupyterLab until it has one; what a view says first waits as well."""
    lab.write("unheard.ipynb", PREPARE, """box.delay("end", 0.5)""", WAITING)
    lab.open("unheard.ipynb").run(0).run(1)
    lab.page.evaluate(SUBSHELLS, "disabled")
    lab.run(2, wait=False)
    view = lab.cell(2).locator(".docmail").first
    expect(view.get_by_text(re.compile("^[2-9] of 60"))).to_be_visible(timeout=15_000)
    expect(view.get_by_role("progressbar", name=re.compile("^[2-9]"))).to_be_visible(timeout=5_000)
    missed = view.get_by_role("row").filter(has_text="nobody@example.com")
    lab.page.evaluate(SUBSHELLS, "perCommTarget")
    expect(missed).to_be_visible(timeout=15_000)
    view.get_by_role("button", name="Stop").click()
    expect(view.get_by_text("Stopped.")).to_be_visible(timeout=8_000)
    lab.wait_idle()
    assert "Run stopped" in lab.output_text(2)[-1]


def test_a_page_that_is_opened_anew_goes_on_with_the_run_that_went_on_without_it(lab: LabPage) -> None:
    name = "anew.ipynb"
    lab.write(name, PREPARE, """box.delay("end", 0.5)""", WAITING.replace("limit=40", "limit=40, wait=False"))
    lab.open(name).run(0).run(1).run(2)
    lab.cell(2).get_by_role("button", name="Pause").wait_for(timeout=20_000)
    lab.save()
    lab.page.goto("about:blank")
    lab.open(name)
    view = lab.cell(2).locator(".docmail").first
    view.get_by_role("button", name="Pause").click(timeout=20_000)
    expect(view.get_by_text("paused")).to_be_visible(timeout=8_000)
    view.get_by_role("button", name="Stop").click()
    expect(view.get_by_text("Stopped.")).to_be_visible(timeout=8_000)


MAKING = """\
import time
import docmail
box = docmail.Sandbox().start()
box.settings.save()
outbox = docmail.Outbox()
def add(number):
    def make(row):
        time.sleep(0.02)  # as a report may take
        return b"%PDF-1.4 " + str(row["n"]).encode() + b" %%EOF"
    rows = [{"n": n} for n in range(number)]
    messages = docmail.merge(rows, key="n", to="a@example.com", subject="{{ n }}", documents=make)
    return outbox.add_all(messages, batch="large")"""
BAD = """\
rows = [{"n": n, "to": f"reader{n}@example.com; boss@example.com"} for n in range(200)]
outbox.add_all(docmail.merge(rows, key="n", to="{{ to }}", subject="{{ n }}"), batch="bad")"""


def test_a_batch_that_takes_long_to_make_says_how_far_it_is_and_keeps_no_address(
    lab: LabPage, pictures: Pictures
) -> None:
    path = lab.write("making.ipynb", MAKING, "add(2_000)", "len(outbox)", BAD)
    lab.open("making.ipynb").viewport(1280, 1000).run(0).run(1, wait=False)
    line = lab.cell(1).get_by_text(re.compile("^Generating and checking: [1-9][0-9]* of 2,000"))
    expect(line).to_be_visible(timeout=20_000)
    pictures.take("making-1-going", 1)
    if AXE.exists():
        lab.page.evaluate(AXE.read_text("utf-8"))
        found = lab.page.evaluate("async () => (await axe.run('.jp-OutputArea')).violations.map(v => v.id)")
        assert found == []
    lab.command("notebook:interrupt-kernel")
    expect(lab.cell(1).get_by_text("Interrupted: nothing was added.")).to_be_visible(timeout=20_000)
    expect(line).to_be_hidden()
    pictures.take("making-2-interrupted", 1)
    lab.wait_idle()
    assert lab.run(2).output_text(2) == ["0"]
    lab.run(3)
    expect(lab.cell(3).get_by_role("columnheader", name="What is wrong")).to_be_visible()
    expect(lab.cell(3).get_by_text("and 170 more rows")).to_have_count(1)
    pictures.take("making-3-bad", 3)
    lab.save()
    outputs = json.dumps([cell.get("outputs") for cell in json.loads(path.read_text("utf-8"))["cells"]])
    assert not re.search("reader[0-9]|boss", outputs)


# The sandbox that outlives a kernel; the same cells are run again.
AGAIN = """\
import docmail
box = docmail.Sandbox.shared()
box.settings.save()
box.delay("end", 0.2)
outbox = docmail.Outbox()
rows = [{"n": n, "email": f"reader{n}@example.com"} for n in range(30)]
outbox.add_all(docmail.merge(rows, key="n", to="{{ email }}", subject="NAME {{ n }}"), batch="NAME")"""
SENT = """\
subjects = [mail.subject for mail in box.inbox if mail.subject.startswith("NAME")]
print(len(subjects), len(set(subjects)))"""


def test_after_a_restart_of_the_kernel_the_same_cells_go_on_without_another_question(lab: LabPage) -> None:
    name = f"Batch {uuid4().hex[:8]}"  # the sandbox outlives this test, too
    lab.write(
        "again.ipynb", *(cell.replace("NAME", name) for cell in (AGAIN, """run = outbox.run(batch="NAME")""", SENT))
    )
    lab.open("again.ipynb").viewport(1280, 1000).run(0).run(1)
    lab.cell(1).get_by_role("button", name="Send 30 emails").click()
    expect(lab.cell(1).get_by_text(re.compile("[1-9][0-9]* sent"))).to_be_visible(timeout=20_000)
    lab.restart_kernel()
    lab.run_all()
    expect(lab.cell(1).get_by_text("30 of 30", exact=True)).to_be_visible(timeout=20_000)
    assert lab.output_text(2)[0].split() == ["30", "30"]


def test_a_person_before_voila_is_asked(voila: VoilaPage) -> None:
    """It executes the cells as nbconvert does, which takes no input either; but there somebody sits."""
    voila.write("batch.ipynb", PREPARE, RUN)
    voila.open("batch.ipynb")
    voila.output.get_by_role("button", name="Send 60 emails").click()
    expect(voila.output.get_by_text(re.compile("59 sent · 1 refused"))).to_be_visible(timeout=30_000)
