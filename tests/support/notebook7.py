"""Drives notebooks in Jupyter Notebook 7, which is built of JupyterLab's parts and shows one notebook per page.

```python
def test_form(notebook7: Notebook7Page) -> None:
    notebook7.write("form.ipynb", "import docmail; docmail.SettingsForm()")
    notebook7.open("form.ipynb").run_all()
    expect(notebook7.cell(0).get_by_label("SMTP server")).to_be_visible()
```
"""

from __future__ import annotations

import sys
from urllib.parse import quote

from tests.support.jupyter import JupyterServer
from tests.support.lab import LabPage


class Notebook7Server(JupyterServer):
    """A Notebook 7 that serves `root`; its settings are JupyterLab's."""

    name = "Notebook 7"

    def address(self, notebook: str) -> str:
        """Return where this notebook opens."""
        return f"{self.url}/notebooks/{quote(notebook)}?token={self._token}"

    def _command(self, port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "notebook", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
            *(f"--ServerApp.root_dir={self.root}", f"--IdentityProvider.token={self._token}"),
            *("--JupyterNotebookApp.expose_app_in_browser=True", "--ServerApp.terminals_enabled=False"),
        ]


class Notebook7Page(LabPage):
    """One notebook at a time in a browser window, with the commands of JupyterLab."""
