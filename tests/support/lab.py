"""Drives notebooks in a real JupyterLab in a real Chromium, as a person at the screen would.

```python
def test_form(lab: LabPage) -> None:
    lab.write("form.ipynb", "import docmail; docmail.SettingsForm()")
    lab.open("form.ipynb").run_all()
    expect(lab.cell(0).get_by_label("SMTP server")).to_be_visible()
```
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from tests.support.jupyter import JupyterServer, write_notebook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any, Self

    from playwright.sync_api import Locator, Page

CHROMIUM_ARGS: Final = [
    "--no-sandbox",  # Chromium refuses to run as root otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers give /dev/shm 64 MB
    # Nothing below may ask the network: a machine without one waits for each answer.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Theme = Literal["light", "dark"]
_THEMES: Final[Mapping[Theme, str]] = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

_SIZE: Final = (1280, 720)
"""Of a new window."""

_NOTEBOOK: Final = ".jp-NotebookPanel:not(.lm-mod-hidden)"


class LabServer(JupyterServer):
    """A JupyterLab that serves `root`."""

    name = "JupyterLab"

    def address(self, notebook: str) -> str:
        """Return where this notebook opens, in a fresh workspace."""
        return f"{self.url}/lab/tree/{quote(notebook)}?token={self._token}&reset"

    def _command(self, port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
            *(f"--ServerApp.root_dir={self.root}", f"--IdentityProvider.token={self._token}"),
            *("--LabApp.expose_app_in_browser=True", "--ServerApp.terminals_enabled=False"),
        ]


class LabPage:
    """One notebook at a time in a browser window; `page` is Playwright's for everything else."""

    def __init__(self, page: Page, server: JupyterServer) -> None:
        self.page = page
        self.server = server

    def write(self, name: str, *cells: str) -> Path:
        """Write a notebook with these code cells into the server's folder."""
        return write_notebook(self.server.root / name, *cells)

    def open(self, name: str, timeout: float = 120, *, wait: bool = True) -> Self:
        """Open a notebook and wait for its kernel, or without `wait` only until its cells are drawn.

        Where the window shows JupyterLab already, the notebook takes the place of the one that was open in it.
        """
        if self.page.url.startswith(f"{self.server.url}/lab") and not self.server.changed:
            self._close_all()
            self.command("docmanager:open", {"path": name})
        else:
            self.server.changed = False
            self.page.goto(self.server.address(name))
            self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=timeout * 1000)
        self.page.wait_for_selector(f"{_NOTEBOOK} .jp-Cell", timeout=timeout * 1000)
        if wait:
            self.wait_idle(timeout)
        return self

    def run_all(self, timeout: float = 60, *, wait: bool = True) -> Self:
        """Run all cells; return when they have run, or at once without `wait`."""
        if wait:
            self.command("notebook:run-all-cells")
            self.wait_idle(timeout)
        else:
            self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        return self

    def run(self, cell: int, timeout: float = 60, *, wait: bool = True) -> Self:
        """Run one cell; return when it has run, or at once without `wait`."""
        self.page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", cell)
        if wait:
            self.command("notebook:run-cell")
            self.wait_idle(timeout)
        else:
            self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
        return self

    def wait_idle(self, timeout: float = 60) -> None:
        """Wait until the kernel is connected and idle and no cell waits to be run."""
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp && window.jupyterapp.shell.currentWidget;
                const kernel = panel && panel.sessionContext?.session?.kernel;
                const prompts = panel ? [...panel.node.querySelectorAll('.jp-InputPrompt')] : [];
                return !!kernel && kernel.status === 'idle' && kernel.connectionStatus === 'connected'
                    && !prompts.some(prompt => prompt.textContent.includes('*'));
            }""",
            timeout=timeout * 1000,
        )

    def cell(self, index: int) -> Locator:
        """Return the cell, input and outputs; all locators of Playwright work inside."""
        # JupyterLab draws only the cells near the window, so the cell is brought there, and it is found by
        # its index, not by its position among those drawn.
        self.page.evaluate("i => window.jupyterapp.shell.currentWidget.content.scrollToItem(i, 'auto')", index)
        cell = self.page.locator(f".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell[data-windowed-list-index='{index}']")
        cell.scroll_into_view_if_needed()
        return cell

    def output_text(self, cell: int) -> list[str]:
        """Return the visible text of each output of a cell, once all that the notebook holds are drawn."""
        outputs = self.cell(cell).locator(".jp-OutputArea-output")
        self.page.wait_for_function(
            """index => {
                const cell = window.jupyterapp.shell.currentWidget.content.widgets[index];
                const drawn = [...cell.outputArea.node.querySelectorAll('.jp-OutputArea-output')];
                return drawn.length === cell.model.outputs.length
                    && drawn.every(each => each.checkVisibility({ contentVisibilityAuto: true }));
            }""",
            arg=cell,
        )
        return outputs.all_inner_texts()

    def save(self) -> None:
        """Save the notebook to its file."""
        self.command("docmanager:save")
        self.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")

    def theme(self, name: Theme) -> Self:
        """Switch to the light or the dark theme."""
        self.command("apputils:change-theme", {"theme": _THEMES[name]})
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=_THEMES[name])
        return self

    def viewport(self, width: int, height: int) -> Self:
        """Resize the window."""
        self.page.set_viewport_size({"width": width, "height": height})
        return self

    def screenshot(self, path: Path, *, of: Locator | None = None) -> Path:
        """Save a picture of the window, or of one part of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        (of or self.page).screenshot(path=path, animations="disabled")
        return path

    def restart_kernel(self, timeout: float = 60) -> None:
        """Restart the kernel of the notebook, as a person would who confirms it."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        self.wait_idle(timeout)

    def shutdown_kernel(self) -> None:
        """End the kernel of the notebook; what it has shown stays."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def clear(self) -> bool:
        """End the kernel and close the notebook; return whether another test may use this window."""
        if not self.page.url.startswith(f"{self.server.url}/lab") or self.page.locator(".jp-Dialog").count():
            return False
        self.shutdown_kernel()
        self._close_all()
        self.page.evaluate("() => localStorage.clear()")
        self.viewport(*_SIZE).theme("light")
        return True

    def _close_all(self) -> None:
        # As leaving the page does: without a question, and without an end of the kernels.
        self.page.evaluate("() => [...window.jupyterapp.shell.widgets('main')].forEach(widget => widget.dispose())")

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Execute a command of JupyterLab and wait for its end."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, dict(arguments or {})],
        )
