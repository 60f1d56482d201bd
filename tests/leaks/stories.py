"""Types a password into docmail's form and into a plain `ipywidgets.Password` beside it, and searches in each step.

The plain one is the control: where it is found, docmail's would be found as well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from playwright.sync_api import expect

from tests.leaks.searcher import Finding, new_password, search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from playwright.sync_api import Locator, Page, WebSocket

    from tests.support.jupyter import JupyterServer

STEPS: Final = ("typed", "tested", "saved", "reloaded")

SAVE_STATE: Final = "@jupyter-widgets/jupyterlab-manager:plugin"
"""The plugin with the setting behind "Save Widget State Automatically"."""

PLAIN: Final = 'import ipywidgets; ipywidgets.Password(description="Plain")'

SECONDS: Final = 20_000  # in which a test email and the like must be done, in ms


def form_cell(profile: str, details: Mapping[str, Any]) -> str:
    """Return the cell that shows the form, filled in up to the password."""
    lines = ["import docmail", f"form = docmail.SettingsForm({profile!r})", f"form.fill(**{details!r})", "form"]
    return "\n".join(lines)


class Traffic:
    """What went over a page's web sockets from now on, and what its console said."""

    def __init__(self, page: Page) -> None:
        self._received: list[bytes] = []
        self._sent: list[bytes] = []
        self._console: list[str] = []
        page.on("websocket", self._open)
        page.on("console", lambda message: self._console.append(message.text))

    def _open(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: self._received.append(_octets(frame)))
        socket.on("framesent", lambda frame: self._sent.append(_octets(frame)))

    @property
    def received(self) -> bytes:
        """What the kernel said, messages of the iopub channel among it."""
        return b"\n".join(self._received)

    @property
    def sent(self) -> bytes:
        """What the kernel was sent."""
        return b"\n".join(self._sent)

    @property
    def console(self) -> str:
        """What the browser's console shows."""
        return "\n".join(self._console)


def _octets(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


@dataclass
class Snapshot:
    """Where the two passwords were found in a step; what was found once mostly stays, so the first step counts."""

    password: list[Finding] = field(default_factory=list)
    plain: list[Finding] = field(default_factory=list)


class Idle:
    """The kernel has nothing to do while the story is played."""

    def begin(self) -> None:
        """Begin to occupy the kernel."""

    def end(self) -> None:
        """Let it go."""


class Story:
    """One notebook in one browser window, and the two passwords that are typed there.

    `busy` occupies the kernel during each step.
    """

    def __init__(
        self,
        page: Page,
        server: JupyterServer,
        save: Callable[[], None] = lambda: None,
        busy: Idle | None = None,
        *,
        steps: Sequence[str] = STEPS,
    ) -> None:
        self.password = new_password()
        self.plain = new_password()
        self.during: dict[str, Snapshot] = {step: Snapshot() for step in steps}
        self.page = page
        self.traffic = Traffic(page)
        self._server = server
        self._save = save
        self._busy = busy or Idle()

    @property
    def form(self) -> Locator:
        """Return docmail's form."""
        return self.page.locator(".docmail-form")

    def settle(self) -> None:
        """Use the plain input once.

        ipykernel 7.4 hands a widget's message to the subshell in which it last sent something to that widget: to one
        that has been made in a cell, and never used since, it listens only when no cell runs.
        """
        self._type_plain(new_password())

    def type(self) -> None:
        """Type both passwords, and wait until the kernel has answered to the plain one."""
        self.form.get_by_label("Password", exact=True).fill(self.password)
        self._type_plain(self.plain)

    def _type_plain(self, text: str) -> None:
        self.page.get_by_label("Plain", exact=True).fill(text)
        self._wait_until(lambda: bool(search(text, received=self.traffic.received)))

    def wait_for_more(self, words: bytes, act: Callable[[], None]) -> None:
        """Do something, and wait until the kernel has said these words once more."""
        before = self.traffic.received.count(words)
        act()
        self._wait_until(lambda: self.traffic.received.count(words) > before)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS / 1000
        while not done():
            assert time.monotonic() < deadline, "the kernel does not say it"
            self.page.wait_for_timeout(20)  # lets Playwright hand over what has come

    def press(self, button: str, sentence: str, step: str) -> None:
        """Press a button, search while the kernel may not yet have heard of it, and wait for what the form says."""
        self.form.get_by_role("button", name=button).click()
        self.look(step)
        self._busy.end()
        expect(self.form.get_by_text(sentence)).to_be_visible(timeout=SECONDS)
        self.look(step)

    def play(self, reload: Callable[[], None]) -> None:
        """Go through all steps; save and search in each."""
        self.settle()
        self._busy.begin()
        self.type()
        self.look("typed")
        self.press("Test email settings", "The test email is on its way", "tested")
        self._busy.begin()
        self.press("Update", "Saved.", "saved")
        self._busy.begin()
        self.form.get_by_label("Password", exact=True).fill(self.password)  # typed, and not sent
        reload()
        self.look("reloaded")
        self._busy.end()

    def look(self, step: str) -> None:
        """Save the notebook, and search everything."""
        self._save()
        self.during[step].password += self._search(self.password)
        self.during[step].plain += self._search(self.plain)

    def _search(self, password: str) -> list[Finding]:
        traffic = self.traffic
        memory: dict[str, bytes | str] = {
            "received": traffic.received,
            "console": traffic.console,
            "page": self.page.content(),
        }
        return search(password, self._server.root, self._server.home, **memory)


def in_notebooks(findings: list[Finding]) -> bool:
    """Say whether both the notebook and its checkpoint are among the places."""
    notebooks = {each.place for each in findings if each.place.endswith(".ipynb")}
    checkpoints = {place for place in notebooks if ".ipynb_checkpoints" in place}
    return bool(checkpoints) and bool(notebooks - checkpoints)


def received(findings: list[Finding]) -> bool:
    """Say whether the kernel has sent it back."""
    return any(each.place == "received" for each in findings)
