"""What is typed into the form is in no file, message, log or page of Jupyter, whatever is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.leaks.searcher import search
from tests.leaks.stories import PLAIN, SAVE_STATE, SECONDS, STEPS, Idle, Story, form_cell, in_notebooks, received
from tests.support.lab import LabPage
from tests.support.voila import VoilaPage, VoilaServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from playwright.sync_api import BrowserContext

    from tests.support.jupyter import JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Situation:
    """The fixture of the server, whether "Save Widget State Automatically" is on, and whether a cell runs."""

    server: str
    saves_state: bool = False
    cell_runs: bool = False

    def __str__(self) -> str:
        name = self.server.removesuffix("_server")
        return f"{name}{'-saving-state' * self.saves_state}{'-while-a-cell-runs' * self.cell_runs}"


SITUATIONS = [
    Situation("lab_server", saves_state=True),
    Situation("lab_server", saves_state=True, cell_runs=True),
    Situation("lab_server"),
    Situation("lab_server", cell_runs=True),
    Situation("notebook7_server", saves_state=True),
    Situation("voila_server"),
]


@pytest.fixture(scope="module", params=SITUATIONS, ids=str)
def situation(request: pytest.FixtureRequest) -> Situation:
    """Return one of the situations."""
    chosen: Situation = request.param
    return chosen


@pytest.fixture(scope="module")
def story(
    situation: Situation,
    request: pytest.FixtureRequest,
    kept_context: BrowserContext,
    mail_account: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Story:
    """Return what was found in each step in this situation."""
    server: JupyterServer = request.getfixturevalue(situation.server)
    with kept_context.new_page() as page:
        if isinstance(server, VoilaServer):
            return played_in_voila(VoilaPage(page, server), mail_account)
        over = tmp_path_factory.mktemp("leaks") / "over"
        return played_in_a_notebook(LabPage(page, server), situation, mail_account, over)


class RunningCell(Idle):
    """A cell of the notebook runs until its end is asked for."""

    def __init__(self, window: LabPage, cell: int, over: Path) -> None:
        self._window = window
        self._cell = cell
        self._over = over

    @property
    def code(self) -> str:
        """What the cell does."""
        return f"""\
import pathlib, time
over = pathlib.Path({str(self._over)!r})
while not over.exists():
    time.sleep(0.05)
over.unlink()"""

    def begin(self) -> None:
        """Run it."""
        self._window.run(self._cell, wait=False)
        expect(self._window.page.get_by_text("[*]:")).to_be_visible(timeout=SECONDS)

    def end(self) -> None:
        """End it, and wait until it has."""
        self._over.touch()
        while self._over.exists():
            self._window.page.wait_for_timeout(20)


def played_in_a_notebook(window: LabPage, situation: Situation, account: Mapping[str, Any], over: Path) -> Story:
    """Go through the story in a notebook of JupyterLab or Notebook 7."""
    name = f"leaks-{situation}"
    cell = RunningCell(window, 2, over)
    window.write(f"{name}.ipynb", form_cell(name, account), PLAIN, cell.code)
    window.server.configure(SAVE_STATE, {"saveState": situation.saves_state})
    story = Story(window.page, window.server, window.save, cell if situation.cell_runs else None)
    window.open(f"{name}.ipynb").run(0).run(1)

    def reload() -> None:
        window.open(f"{name}.ipynb", wait=not situation.cell_runs)
        if not situation.cell_runs:
            # The kernel has brought everything back, the plain password included.
            expect(window.page.get_by_label("Plain", exact=True)).to_have_value(story.plain, timeout=SECONDS)
            expect(story.form.get_by_label("Password", exact=True)).to_have_value("")

    story.play(reload)
    window.shutdown_kernel()
    window.server.configure(SAVE_STATE, {})  # other tests use this server, too
    return story


def played_in_voila(window: VoilaPage, account: Mapping[str, Any]) -> Story:
    """Go through the story in a page without code."""
    window.write("leaks.ipynb", form_cell("leaks-voila", account), PLAIN)
    story = Story(window.page, window.server)
    window.open("leaks.ipynb")

    def reload() -> None:
        window.open("leaks.ipynb")
        expect(story.form.get_by_label("Password", exact=True)).to_have_value("")

    story.play(reload)
    return story


@pytest.mark.parametrize("step", STEPS)
def test_the_password_is_nowhere(story: Story, step: str) -> None:
    assert story.during[step].password == []


@pytest.mark.parametrize("step", STEPS)
def test_a_plain_password_is_found_in_the_same_places(story: Story, situation: Situation, step: str) -> None:
    plain = story.during[step].plain
    assert received(plain)
    # In a page that is opened while a cell runs, JupyterLab has no widgets yet whose state it could save.
    if not (situation.cell_runs and step == "reloaded"):
        assert in_notebooks(plain) == situation.saves_state


def test_the_password_is_seen_on_its_way_to_the_kernel(story: Story) -> None:
    assert search(story.password, sent=story.traffic.sent)
