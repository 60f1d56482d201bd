"""What docmail's views look like when their kernel was restarted, killed or shut down, and in a reopened notebook."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from playwright.sync_api import expect

from tests.leaks.stories import SAVE_STATE
from tests.support.lab import LabPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from tests.browser.conftest import Pictures
    from tests.support.lab import LabServer
    from tests.support.notebook7 import Notebook7Page
    from tests.support.voila import VoilaPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BEGIN = """\
import os, time, warnings
import docmail
from fpdf import FPDF

warnings.simplefilter("ignore")  # a refused recipient
box = docmail.Sandbox().start()
box.settings.save()
outbox = docmail.Outbox()
pdf = FPDF()
pdf.set_title("Q3 report")
for number in (1, 2, 3):
    pdf.add_page()
    pdf.set_font("helvetica", size=24)
    pdf.cell(text=f"Quarterly report, page {number}")

def batch(name, number=60):
    rows = [{"n": each, "email": f"reader{each}@example.com"} for each in range(number)]
    rows[3]["email"] = "nobody@example.com"
    return outbox.add_all(docmail.merge(rows, key="n", to="{{ email }}", subject="S {{ n }}"), batch=name)"""

FORM = """\
form = docmail.SettingsForm()
form.fill(host=box.host, port=box.port, username="accounts@example.com", sender="Accounts", copy_to="a@example.com")
form"""
DOCUMENT = "docmail.Document.of(pdf)"
BUTTON = """docmail.EmailButton(pdf, to="cfo@example.com", subject="Q3")"""
HISTORY = """\
for number in range(3):
    docmail.send(b"%PDF-1.4 %%EOF", to=f"customer{number}@example.com", subject=f"Invoice {number:03}")
docmail.Outbox()"""
ASKING = """batch("asking"); outbox.run(batch="asking")"""

FINISHED = """batch("finished", 5); outbox.run(batch="finished")"""
MAKING = """\
def make(row):
    time.sleep(0.02)
    return b"%PDF-1.4 " + str(row["n"]).encode() + b" %%EOF"

rows = [{"n": each} for each in range(NUMBER)]
outbox.add_all(docmail.merge(rows, key="n", to="a@example.com", subject="{{ n }}", documents=make), batch="made")"""
PREVIEW = "outbox.preview(1)"
BAD = """\
outbox.add_all(docmail.merge([{"n": 1, "to": "no address"}], key="n", to="{{ to }}", subject="{{ n }}"), batch="bad")"""

KILL = "os.kill(os.getpid(), 9)"

BROKEN_LINKS = r"""roots => roots.flatMap(root => [root, ...root.querySelectorAll("*")])
    .filter(each => /\uf127/.test(getComputedStyle(each, "::before").content))
    .map(each => each.className)"""
"""The icons that ipywidgets draws before each widget without a kernel."""

PLACES = """root => {
    const shown = [...root.querySelectorAll("label, input, textarea, select, button, img, progress, th, td, b")]
        .filter(each => each.getBoundingClientRect().width > 0 && !each.closest(".dm-if-connected"));
    const { x, y } = shown[0].getBoundingClientRect();
    return shown.map(each => {
        const place = each.getBoundingClientRect();
        const name = each.textContent.trim().slice(0, 20) || each.placeholder || each.tagName;
        return `${name} ${Math.round(place.x - x)} ${Math.round(place.y - y)} ${Math.round(place.width)}`;
    });
}"""
"""Where everything stands, relative to the first thing that is shown."""

VALUES = """root => [...root.querySelectorAll("input, textarea, select")].map(each => [each.value, each.checked])"""


def restart(lab: LabPage) -> None:
    """Restart the kernel by the menu's command."""
    lab.restart_kernel()


def kill(lab: LabPage, cell: int = 6) -> None:
    """Let the system end the kernel, as it does where memory runs out; the server starts another one."""
    lab.run(cell, wait=False)
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Ok").click(timeout=40_000)


def shut_down(lab: LabPage) -> None:
    """Shut the kernel down by the menu's command."""
    lab.shutdown_kernel()


WAYS: dict[str, tuple[Callable[[LabPage], None], str]] = {
    "restarted": (restart, "The kernel was restarted."),
    "killed": (kill, "The kernel was restarted."),
    "shut-down": (shut_down, "The kernel was shut down."),
}


def root(lab: LabPage, cell: int) -> Locator:
    """Return the view under a cell."""
    return lab.cell(cell).locator(":is(.docmail, .docmail-form):not(.docmail *, .docmail-form *)")


def all_views(lab: LabPage, name: str) -> None:
    """Open a notebook with a view under each of its cells, and the forms in the views opened."""
    lab.write(name, BEGIN, FORM, DOCUMENT, BUTTON, HISTORY, ASKING, KILL)
    lab.open(name).viewport(1280, 1000)
    lab.run(0).run(1)
    form = root(lab, 1)
    form.get_by_label("Password", exact=True).fill("typed-by-hand")
    form.get_by_label("Receive email replies at a different address").check()
    form.get_by_role("button", name="Advanced").click()
    expect(form.get_by_label("CA file")).to_be_visible()
    lab.run(2)
    document = root(lab, 2)
    document.get_by_role("button", name="Email").click()
    document.get_by_label("To", exact=True).fill("cfo@example.com")
    document.get_by_label("Subject").fill("Invoice 2026-118")
    document.get_by_label("Body").fill("Dear Chris,\n\nplease find **invoice 2026-118** attached.")
    expect(document.get_by_role("button", name="Send", exact=True)).to_be_visible()  # {{ sender }} is a button as well
    lab.run(3)
    expect(root(lab, 3).get_by_role("button", name="Email")).to_be_visible()
    lab.run(4)
    history = root(lab, 4)
    history.get_by_role("button", name="Invoice 001").click()
    expect(history.get_by_role("button", name="Send again")).to_be_visible()
    lab.run(5)
    expect(root(lab, 5).get_by_role("button", name="Send 60 emails")).to_be_visible()


@pytest.mark.parametrize("way", WAYS)
def test_a_view_whose_kernel_is_gone_keeps_its_layout_and_says_what_to_do(
    lab: LabPage, pictures: Pictures, way: str
) -> None:
    """Ipywidgets' broken links became items of the grid: labels moved, 19 red icons appeared in one form."""
    end, happened = WAYS[way]
    all_views(lab, f"gone-{way}.ipynb")
    before = {}
    for cell in range(1, 6):
        lab.page.mouse.move(0, 0)
        before[cell] = (root(lab, cell).evaluate(PLACES), root(lab, cell).evaluate(VALUES))
        pictures.take(f"{way}-{cell}-before", cell)
    end(lab)
    for cell in range(1, 6):
        view = root(lab, cell)
        again = "Nothing was sent yet; run this cell again." if cell == 5 else "Run this cell again."
        expect(view.get_by_text(f"{happened} {again}", exact=True)).to_be_visible()
        expect(view.get_by_text("The kernel was")).to_have_count(1)
        pictures.take(f"{way}-{cell}-gone", cell)
        assert view.evaluate_all(BROKEN_LINKS) == []
        assert view.evaluate(PLACES) == before[cell][0]
        assert view.evaluate(VALUES) == before[cell][1]
        for control in view.locator(":is(input, textarea, select, button:not(.dm-look)):visible").all():
            expect(control).to_be_disabled()
    if way != "shut-down":
        lab.run(0).run(1)
        expect(root(lab, 1).get_by_role("button", name="Update")).to_be_enabled()
        expect(root(lab, 1).get_by_text("The kernel was")).to_have_count(0)


SENDING = """outbox.run(batch="NAME", limit=40, wait=False)"""
STARTS = [
    """box.delay("end", 0.1); batch("NAME")""",
    SENDING,
    """batch("finished", 5); outbox.run(batch="finished")""",
]


@pytest.mark.parametrize("state", ["running", "paused", "stopped"])
def test_a_batch_whose_kernel_is_gone_says_how_many_were_sent(lab: LabPage, pictures: Pictures, state: str) -> None:
    """The view stood still and said nothing."""
    name = f"2026-11 {state}"
    cells = (BEGIN, *(cell.replace("NAME", name) for cell in STARTS), KILL)
    lab.write(f"batch-{state}.ipynb", *cells)
    lab.open(f"batch-{state}.ipynb").viewport(1280, 1000)
    for cell in (0, 1, 3, 2):
        lab.run(cell)
    view, finished = root(lab, 2), root(lab, 3)
    expect(view.get_by_text(re.compile("[1-9][0-9]* sent"))).to_be_visible(timeout=20_000)
    if state == "paused":
        view.get_by_role("button", name="Pause").click()
        expect(view.get_by_role("button", name="Resume")).to_be_visible(timeout=20_000)
    elif state == "stopped":
        view.get_by_role("button", name="Stop").click()
        expect(view.get_by_text("Stopped.")).to_be_visible(timeout=20_000)
    if state == "running":
        kill(lab, 4)
    else:
        lab.restart_kernel()
    line = root(lab, 2).get_by_text(
        re.compile(r"^The kernel was restarted\. [0-9]+ of 60 w(as|ere) sent; run this cell again to go on\.$")
    )
    expect(line).to_be_visible()
    (sent,) = re.findall("([0-9]+) of 60", line.inner_text())
    expect(root(lab, 2).get_by_text(re.compile(rf"^{sent} sent · "))).to_be_visible()
    assert int(sent) > 0
    pictures.take(f"batch-{state}-gone", 2)
    assert root(lab, 2).evaluate_all(BROKEN_LINKS) == []
    expect(view.locator(".dm-if-connected:visible")).to_have_count(0)
    for button in view.get_by_role("button").all():
        expect(button).to_be_disabled()
    finished = root(lab, 3)
    expect(finished.get_by_text("The kernel was restarted. 4 of 5 were sent.")).to_be_visible()
    pictures.take(f"batch-{state}-gone-finished", 3)
    assert finished.evaluate_all(BROKEN_LINKS) == []


def test_a_batch_that_was_being_made_says_that_nothing_was_added(lab: LabPage, pictures: Pictures) -> None:
    lab.write("making-gone.ipynb", BEGIN, MAKING.replace("NUMBER", "2_000"), "len(outbox)")
    lab.open("making-gone.ipynb").viewport(1280, 1000).run(0).run(1, wait=False)
    said = lab.cell(1).get_by_text(re.compile("^Generating and checking: [1-9][0-9]* of 2,000"))
    expect(said).to_be_visible(timeout=20_000)
    lab.restart_kernel()
    sentence = "The kernel was restarted. Nothing was added; run this cell again."
    expect(root(lab, 1).get_by_text(sentence, exact=True)).to_be_visible()
    expect(said).to_be_visible()
    assert root(lab, 1).evaluate_all(BROKEN_LINKS) == []
    pictures.take("making-gone", 1)


def test_a_form_within_somebody_s_own_widgets_says_it_as_well(lab: LabPage) -> None:
    boxed = "import ipywidgets; ipywidgets.VBox([ipywidgets.Text(description='mine'), docmail.SettingsForm()])"
    lab.write("boxed.ipynb", BEGIN, boxed)
    lab.open("boxed.ipynb").run(0).run(1)
    expect(root(lab, 1).get_by_role("button", name="Update")).to_be_enabled()
    lab.restart_kernel()
    expect(root(lab, 1).get_by_text("The kernel was restarted. Run this cell again.")).to_be_visible()
    assert root(lab, 1).evaluate_all(BROKEN_LINKS) == []
    expect(lab.cell(1).get_by_label("mine")).to_be_enabled()


def test_in_notebook_7_a_view_says_it_as_well(notebook7: Notebook7Page) -> None:
    notebook7.write("gone.ipynb", BEGIN, FORM)
    notebook7.open("gone.ipynb").viewport(1280, 1600).run_all()
    form = root(notebook7, 1)
    expect(form.get_by_role("button", name="Update")).to_be_enabled()
    notebook7.restart_kernel()
    expect(form.get_by_text("The kernel was restarted. Run this cell again.")).to_be_visible()
    assert form.evaluate_all(BROKEN_LINKS) == []


def test_in_voila_a_view_says_it_as_well(voila: VoilaPage) -> None:
    voila.write(
        "gone.ipynb", BEGIN, FORM, "import threading; _ = threading.Timer(8, os.kill, (os.getpid(), 9)).start()"
    )
    voila.open("gone.ipynb")
    form = voila.output.locator(".docmail-form")
    expect(form.get_by_text("The kernel was restarted.")).to_be_visible(timeout=40_000)
    assert form.evaluate_all(BROKEN_LINKS) == []


NOT_FOUND = re.compile("model not found|Error displaying|Loading widget")
STATIC = {
    FORM: "Run this cell to open the form.",
    DOCUMENT: "Q3 report.pdf",
    BUTTON: "Run this cell to email Q3 report.pdf.",
    HISTORY: "3 sent",
    ASKING: "Nothing was sent yet",
    FINISHED: "4 of 5 were sent. 4 sent · 1 refused.",
    MAKING.replace("NUMBER", "150"): "Generated and checked: 150 rows.",
    PREVIEW: "S 0",
    BAD: "What is wrong",
}
"""What a notebook says without its kernel under each of its cells."""


@pytest.mark.parametrize("with_state", [False, True], ids=["without-state", "with-state"])
def test_a_reopened_notebook_shows_words_in_place_of_each_view(
    lab: LabPage, pictures: Pictures, request: pytest.FixtureRequest, *, with_state: bool
) -> None:
    """JupyterLab says "model not found", loads for ever without a kernel, or draws views without life."""
    lab.server.configure(SAVE_STATE, {"saveState": with_state})
    request.addfinalizer(lambda: lab.server.configure(SAVE_STATE, {}))  # other tests use this server, too
    path = lab.write("reopened.ipynb", BEGIN, *STATIC)
    lab.open(path.name).viewport(1280, 1000)
    for cell in range(len(STATIC) + 1):
        lab.run(cell)
    expect(lab.cell(6).get_by_text("4 sent · 1 refused", exact=True)).to_be_visible(timeout=20_000)
    lab.save()
    saved = json.loads(path.read_text("utf-8"))
    assert ("widgets" in saved["metadata"]) == with_state
    lab.shutdown_kernel()
    for trusted in (True, False):
        for kernel in (False, True):
            name = f"reopened-state-{with_state}-trusted-{trusted}-kernel-{kernel}"
            reopened(lab, saved, name, trusted=trusted, kernel=kernel)
            for cell, words in enumerate(STATIC.values(), start=1):
                outputs = lab.cell(cell).locator(".jp-OutputArea")
                expect(outputs.get_by_text(words).first, f"{name}, cell {cell}").to_be_visible()
                expect(
                    outputs.get_by_text(re.compile("model not found|Error displaying|Loading widget"))
                ).to_be_hidden()
                expect(outputs.locator(":is(.docmail, .docmail-form):visible")).to_have_count(0)
                assert outputs.evaluate_all(BROKEN_LINKS) == []
                pictures.take(f"{name}-{cell}", cell)


def reopened(lab: LabPage, saved: dict[str, Any], name: str, *, trusted: bool, kernel: bool) -> None:
    """Open a saved notebook as somebody does who gets it, or whose kernel has ended since."""
    notebook = nbformat.from_dict({**saved, "metadata": {**saved["metadata"], "title": name}})
    if not kernel:
        notebook.metadata.kernelspec = {"name": "gone", "display_name": "Gone", "language": "gone"}
        notebook.metadata.pop("language_info")
    path = lab.server.root / f"{name}.ipynb"
    nbformat.write(notebook, path)
    if trusted:
        notary = NotebookNotary(data_dir=str(lab.server.home / ".local/share/jupyter"))
        notary.sign(notebook)
        notary.store.close()  # it leaves its database open, and Python 3.13 warns
    lab.open(path.name, wait=kernel)
    if not kernel:
        lab.page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click()
    is_trusted = "() => window.jupyterapp.shell.currentWidget.content.model.cells.get(0).trusted"
    assert lab.page.evaluate(is_trusted) == trusted


LACKING = "lacks docmail's front end"
LONG = """\
import pathlib
while not pathlib.Path("over").exists():
    time.sleep(0.05)"""
LOOKS = [BEGIN, FORM, "form", DOCUMENT, BUTTON, HISTORY, LONG]


def the_front_end_is_never_missed(window: LabPage) -> None:
    """Run all cells; the last one lasts until long after a front end would be missed."""
    (window.server.root / "over").unlink(missing_ok=True)
    window.write("long.ipynb", *LOOKS)
    window.open("long.ipynb").viewport(1280, 6000).run_all(wait=False)
    expect(window.page.get_by_role("button", name=re.compile("Update|Email"))).to_have_count(4, timeout=40_000)
    window.page.wait_for_timeout(6_500)  # a front end would be missed after five seconds
    expect(window.page.get_by_text(LACKING).locator("visible=true")).to_have_count(0)
    (window.server.root / "over").touch()
    window.wait_idle()
    expect(window.page.get_by_text(LACKING).locator("visible=true")).to_have_count(0)


def test_while_a_long_cell_follows_no_view_says_that_its_front_end_is_missing(lab: LabPage) -> None:
    """The kernel did not hear in time that the front end was there: the buttons were on the screen."""
    the_front_end_is_never_missed(lab)


def test_while_a_long_cell_follows_in_notebook_7_no_view_says_so(notebook7: Notebook7Page) -> None:
    the_front_end_is_never_missed(notebook7)


def test_after_a_long_cell_in_voila_no_view_says_that_its_front_end_is_missing(voila: VoilaPage) -> None:
    voila.write("long.ipynb", *LOOKS[:-1], "time.sleep(6.5)")
    voila.open("long.ipynb")
    expect(voila.output.get_by_role("button", name=re.compile("Update|Email"))).to_have_count(4)
    expect(voila.output.get_by_text(LACKING).locator("visible=true")).to_have_count(0)
    voila.page.wait_for_timeout(6_500)
    expect(voila.output.get_by_text(LACKING).locator("visible=true")).to_have_count(0)


def test_where_the_front_end_is_missing_each_view_says_what_to_do(lab_server: LabServer, page: Page) -> None:
    lab = LabPage(page, lab_server)
    page.route(re.compile(r"/lab/extensions/anywidget/"), lambda route: route.abort())
    lab.write("missing-views.ipynb", *LOOKS[:2], *LOOKS[3:-1])
    lab.open("missing-views.ipynb").viewport(1280, 1000).run_all()
    for cell in range(1, 5):
        expect(lab.cell(cell).get_by_text(LACKING)).to_be_visible(timeout=20_000)
    lab.shutdown_kernel()
