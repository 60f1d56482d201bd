"""Drives notebooks in a real JupyterLab in a real Chromium, as a person at the screen would.

```python
def test_form(lab: LabPage) -> None:
    lab.write("form.ipynb", "import docmail; docmail.SettingsForm()")
    lab.open("form.ipynb").run_all()
    expect(lab.cell(0).get_by_label("SMTP server")).to_be_visible()
```
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.undertaker import Undertaker

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

_NOTEBOOK: Final = ".jp-NotebookPanel:not(.lm-mod-hidden)"

# Without a kernelspec JupyterLab asks "Select Kernel" and waits.
_KERNELSPEC: Final = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}

_QUIET: Final[Mapping[str, Mapping[str, Any]]] = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}
"""User settings, by plugin: no question about news, which would cover the notebook."""


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook with these code cells."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": _KERNELSPEC})
    nbformat.write(notebook, path)


class LabServer:
    """A JupyterLab that serves `root`; its kernels run this Python with `home` as HOME and `env` besides.

    `settings` are user settings by plugin, for example
    `{"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}`.
    """

    def __init__(
        self,
        root: Path,
        home: Path,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.root = root
        self.home = home
        self._env = dict(env or {})
        self._settings = {**_QUIET, **(settings or {})}
        self._token = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._undertaker: Undertaker | None = None
        self.url = ""

    def start(self, timeout: float = 60) -> Self:
        """Start it and wait until it answers."""
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        for plugin, values in self._settings.items():
            file = self.home / ".jupyter" / "lab" / "user-settings" / f"{plugin.replace(':', '/')}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values), "utf-8")
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
            *(f"--ServerApp.root_dir={self.root}", f"--IdentityProvider.token={self._token}"),
            *("--LabApp.expose_app_in_browser=True", "--ServerApp.terminals_enabled=False"),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=self._environment(),
                stdout=log,
                stderr=log,
                cwd=self.root,
                start_new_session=True,
            )
        self._undertaker = Undertaker(self.home, [self._process.pid])
        deadline = time.monotonic() + timeout
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                message = f"JupyterLab did not start:\n{self._log.read_text('utf-8', 'replace')[-4000:]}"
                raise RuntimeError(message)
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """End it and its kernels."""
        if self._process is None:
            return
        if self._undertaker:
            self._undertaker.dismiss()
            self._undertaker = None
        self._process.terminate()  # JupyterLab then shuts its kernels down itself
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def address(self, notebook: str) -> str:
        """Return where this notebook opens, in a fresh workspace."""
        return f"{self.url}/lab/tree/{quote(notebook)}?token={self._token}&reset"

    @property
    def _log(self) -> Path:
        return self.home / "jupyterlab.log"

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "XDG_"))}
        return inherited | {
            "HOME": str(self.home),
            "JUPYTER_PLATFORM_DIRS": "0",
            # Never the keyring of the desktop.
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "DOCMAIL_HOME": str(self.home / "docmail"),
            **self._env,
        }

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/status?token={self._token}", timeout=2):  # noqa: S310 - ours
                return True
        except OSError:
            return False


class LabPage:
    """One notebook at a time in a browser window; `page` is Playwright's for everything else."""

    def __init__(self, page: Page, server: LabServer) -> None:
        self.page = page
        self.server = server

    def write(self, name: str, *cells: str) -> Path:
        """Write a notebook with these code cells into the server's folder."""
        path = self.server.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_notebook(path, *cells)
        return path

    def open(self, name: str, timeout: float = 60) -> Self:
        """Open a notebook and wait for its kernel."""
        self.page.goto(self.server.address(name))
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=timeout * 1000)
        self.page.wait_for_selector(f"{_NOTEBOOK} .jp-Cell", timeout=timeout * 1000)
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

    def run(self, cell: int, timeout: float = 60) -> Self:
        """Run one cell."""
        self.page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", cell)
        self.command("notebook:run-cell")
        self.wait_idle(timeout)
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
        """Return the visible text of each output of a cell."""
        return self.cell(cell).locator(".jp-OutputArea-output").all_inner_texts()

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

    def shutdown_kernel(self) -> None:
        """End the kernel of the notebook; what it has shown stays."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def command(self, name: str, arguments: Mapping[str, Any] | None = None) -> None:
        """Execute a command of JupyterLab and wait for its end."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)",
            [name, dict(arguments or {})],
        )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
