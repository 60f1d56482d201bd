"""Starts and ends the servers that show notebooks in a browser; JupyterLab, Notebook 7 and Voilà have a module each."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.undertaker import Undertaker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any, Self

# Without a kernelspec JupyterLab asks "Select Kernel" and waits.
_KERNELSPEC: Final = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}

_QUIET: Final[Mapping[str, Mapping[str, Any]]] = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
"""User settings, by plugin: no question that would cover the notebook, about news or a file that was saved twice."""

_PAGE: Final = {"buildCheck": False, "buildAvailable": False}
"""Each page would have Node.js look whether JupyterLab has to be built again."""


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook with these code cells, and return its path."""
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": _KERNELSPEC})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def environment(home: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which Jupyter and its kernels have `home` for HOME, and `env` besides."""
    temporary = home / "tmp"  # what a killed kernel leaves behind goes with its home
    temporary.mkdir(exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "XDG_"))}
    return inherited | {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CONFIG_DIRS": str(home / "etc"),  # no file of an organisation that this computer may have
        "JUPYTER_PLATFORM_DIRS": "0",
        # Never the keyring of the desktop.
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "DOCMAIL_HOME": str(home / "docmail"),
        **(env or {}),
    }


class JupyterServer(ABC):
    """A server that shows the notebooks in `root`; its kernels run this Python with `home` as HOME and `env` besides.

    `settings` are user settings by plugin, for example
    `{"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True}}`.
    """

    name: str
    """What it is called, also in the name of its log."""

    _status = "/api/status"

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
        self.changed = False
        """Whether its settings are other ones than those with which a window has loaded."""

    @abstractmethod
    def address(self, notebook: str) -> str:
        """Return where this notebook opens."""

    @abstractmethod
    def _command(self, port: int) -> list[str]: ...

    def start(self, timeout: float = 180) -> Self:
        """Start it and wait until it answers."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.prepare()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(port),
                env=environment(self.home, self._env),
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
                message = f"{self.name} did not start:\n{self._log.read_text('utf-8', 'replace')[-4000:]}"
                raise RuntimeError(message)
            time.sleep(0.1)
        return self

    def prepare(self) -> None:
        """Write the settings that its pages begin with."""
        for plugin, values in self._settings.items():
            self.configure(plugin, values)
        page = self.home / ".jupyter" / "labconfig" / "page_config.json"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(json.dumps(_PAGE), "utf-8")

    def stop(self) -> None:
        """End it and its kernels."""
        if self._process is None:
            return
        if self._undertaker:
            self._undertaker.dismiss()
            self._undertaker = None
        self._process.terminate()  # Jupyter then shuts its kernels down itself
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def configure(self, plugin: str, values: Mapping[str, Any]) -> None:
        """Set the user settings of a plugin; pages opened from now on have them."""
        file = self.home / ".jupyter" / "lab" / "user-settings" / f"{plugin.replace(':', '/')}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), "utf-8")
        self.changed = True

    @property
    def _log(self) -> Path:
        return self.home / f"{self.name.lower().replace(' ', '-')}.log"

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{self._status}?token={self._token}", timeout=2):  # noqa: S310 - ours
                return True
        except OSError:
            return False


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
