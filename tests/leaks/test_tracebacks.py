"""No traceback in verbose mode, and no log of a kernel that tells everything, shows what was typed into the form."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.leaks.conftest import account_at
from tests.leaks.searcher import search
from tests.leaks.stories import SECONDS, Story, form_cell
from tests.support.lab import LabPage
from tests.support.scripted import ScriptedServer, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext

    from tests.support.certificates import Certificates
    from tests.support.lab import LabServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# The kernel's log, which JupyterLab takes over into its own, then holds every message.
LOG_EVERYTHING = "c.IPKernelApp.log_level = 10"

# Each time with another number: a sentence that the form shows already is not sent to the browser again.
VERBOSE = """\
%xmode Verbose
from itertools import count
numbers = count()
def broken(*arguments, **options):
    raise RuntimeError(f"broken on purpose, {next(numbers)}")"""

# Its traceback goes the way of docmail's: a handler of a button, which ipywidgets calls.
CONTROL = """\
import ipywidgets
plain = ipywidgets.Password(description="Plain")
def hold(password):
    raise RuntimeError("the control")
button = ipywidgets.Button(description="Break")
button.on_click(lambda _: hold(plain.value))
ipywidgets.VBox([plain, button])"""

# What breaks while it is called with the password, or with a message that holds it: from the inside to the outside.
BROKEN = {
    "the test": ("import docmail.diagnosis; docmail.diagnosis.diagnose = broken", "Test email settings"),
    "the check of the password": ("docmail.credentials.tidied = broken", "Update"),
    "saving": ("docmail.Settings.save = broken", "Update"),
    "the thread": ("type(form._work).start = broken", "Update"),
    "the handler": ("form.actions._handle = broken", "Test email settings"),
    "the message": ("type(form.actions)._values = broken", "Test email settings"),
}

STEPS = ("a server that repeats it", *BROKEN, "the control")


def repeat(session: Session) -> None:
    """Refuse a login in the words of a server that was never meant for the public."""
    sent = session.heard[-1].data.split()[-1]
    password = base64.b64decode(sent).split(b"\0")[-1]
    session.send(b"535 5.7.8 Not the password: " + password + b" (" + sent + b")\r\n")


@pytest.fixture(scope="module")
def story(
    request: pytest.FixtureRequest, kept_context: BrowserContext, lab_server: LabServer, certificates: Certificates
) -> Iterator[Story]:
    """Return what was found after each of the failures."""
    config = lab_server.home / ".ipython" / "profile_default" / "ipython_kernel_config.py"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(LOG_EVERYTHING, "utf-8")
    request.addfinalizer(config.unlink)  # noqa: PT021 - also when what follows fails
    context = certificates.good().context()
    with (
        kept_context.new_page() as page,
        ScriptedServer({"AUTH": repeat}, security="starttls", context=context) as server,
    ):
        window = LabPage(page, lab_server)
        form = form_cell("leaks-tracebacks", account_at(server, certificates))
        breaking = [code for code, _button in BROKEN.values()]
        window.write("leaks-tracebacks.ipynb", VERBOSE, form, CONTROL, *breaking)
        story = Story(window.page, lab_server, window.save, steps=STEPS)
        window.open("leaks-tracebacks.ipynb").run(0).run(1).run(2)
        story.type()
        story.form.get_by_role("button", name="Test email settings").click()
        expect(story.form.locator(".dm-field-password .dm-problem")).to_be_visible(timeout=SECONDS)
        story.look("a server that repeats it")
        for cell, (step, (_code, button)) in enumerate(BROKEN.items(), start=3):
            window.run(cell)
            story.form.get_by_label("Password", exact=True).fill(story.password)
            story.wait_for_more(b"broken on purpose", story.form.get_by_role("button", name=button).click)
            story.look(step)
        story.wait_for_more(b"the control", window.page.get_by_role("button", name="Break").click)
        story.look("the control")
        yield story
        window.shutdown_kernel()


@pytest.mark.parametrize("step", STEPS)
def test_the_password_is_in_no_traceback_and_no_log(story: Story, step: str) -> None:
    assert story.during[step].password == []


def test_a_plain_password_is_found_in_the_log_and_in_the_traceback(story: Story) -> None:
    plain = story.during["the control"].plain
    assert any(each.place.endswith(".log") for each in plain)
    traceback = story.traffic.received.partition(b"the control")[2]
    assert search(story.plain, traceback=traceback)


def test_the_password_was_on_its_way_each_time(story: Story) -> None:
    assert story.traffic.sent.count(story.password.encode()) == 1 + len(BROKEN)
