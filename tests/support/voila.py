"""Drives notebooks as Voilà shows them: all cells have run, their outputs are there, and no code.

```python
def test_form(voila: VoilaPage) -> None:
    voila.write("form.ipynb", "import docmail; docmail.SettingsForm()")
    voila.open("form.ipynb")
    expect(voila.output.get_by_label("SMTP server")).to_be_visible()
```
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.support.jupyter import JupyterServer, write_notebook

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from playwright.sync_api import Locator, Page


class VoilaServer(JupyterServer):
    """A Voilà that serves `root`; each visit runs the notebook in a kernel of its own."""

    name = "Voila"
    _status = "/"

    def address(self, notebook: str) -> str:
        """Return where this notebook runs."""
        return f"{self.url}/voila/render/{quote(notebook)}?token={self._token}"

    def _command(self, port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "voila", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"),
            *(f"--token={self._token}", "--strip_sources=True", str(self.root)),
        ]


class VoilaPage:
    """One notebook at a time in a browser window; `page` is Playwright's for everything else."""

    def __init__(self, page: Page, server: VoilaServer) -> None:
        self.page = page
        self.server = server

    def write(self, name: str, *cells: str) -> Path:
        """Write a notebook with these code cells into the server's folder."""
        return write_notebook(self.server.root / name, *cells)

    def open(self, name: str, timeout: float = 60) -> Self:
        """Run a notebook and wait until its outputs are drawn."""
        self.page.goto(self.server.address(name), timeout=timeout * 1000)
        # Voilà shows the outputs, and takes its own picture of waiting away, once the widgets are drawn.
        self.page.locator("#rendered_cells").wait_for(state="visible", timeout=timeout * 1000)
        return self

    @property
    def output(self) -> Locator:
        """Return all outputs; all locators of Playwright work inside."""
        return self.page.locator("#rendered_cells")
