"""Takes pictures of the screens for people who want to look: `DOCMAIL_SCREENSHOTS` names the folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.support.lab import LabPage

WIDTHS = (1280, 800)

# How long a page may take to show what it is expected to: on a busy machine five seconds, the usual, are too few.
expect.set_options(timeout=20_000)


class Pictures:
    """Takes a picture of a state in both themes and in two widths."""

    def __init__(self, lab: LabPage, folder: Path | None) -> None:
        self._lab = lab
        self._folder = folder

    def take(self, name: str, cell: int) -> None:
        """Picture the window with the end of this cell in view, and leave it light and wide."""
        self._lab.viewport(max(WIDTHS), 1000)
        if self._folder is None:
            return
        for theme in ("dark", "light"):
            self._lab.theme(theme)
            for width in reversed(WIDTHS):
                self._lab.viewport(width, 1000)
                self._lab.cell(cell).evaluate("cell => cell.scrollIntoView({ block: 'end' })")
                self._lab.screenshot(self._folder / f"{name}-{theme}-{width}.png")

    def of(self, place: Locator, name: str) -> None:
        """Picture one place of the window in both themes."""
        if self._folder is None:
            return
        for theme in ("dark", "light"):
            self._lab.theme(theme)
            self._lab.screenshot(self._folder / f"{name}-{theme}.png", of=place)


@pytest.fixture
def pictures(lab: LabPage) -> Pictures:
    """Return the camera of this test's browser window."""
    folder = os.environ.get("DOCMAIL_SCREENSHOTS")
    return Pictures(lab, Path(folder) if folder else None)
