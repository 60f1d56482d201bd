"""The Email button for the open notebook in a real JupyterLab and a real Notebook 7: it finds the file by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import Pictures
    from tests.support.lab import LabPage
    from tests.support.notebook7 import Notebook7Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = (
    "import docmail\nbox = docmail.Sandbox().start()\nbox.settings.save()",
    "print('total 1234')",
    "docmail.EmailButton(notebook=True)",
    "print(box.inbox[0].subject, '|', 'total 1234' in box.inbox[0].text, '|', 'box.inbox' in box.inbox[0].text)",
)


def email(window: LabPage, name: str, pictures: Pictures | None = None) -> None:
    """Run the notebook but its last cell, save it, and send it by the button."""
    window.write(name, *CELLS)
    window.open(name)
    for cell in range(3):
        window.run(cell)
    form = window.cell(2)
    form.get_by_role("button", name="✉ Email").click()
    line = form.locator(".dm-field-notebook")
    expect(line).to_contain_text(name)
    expect(line).to_contain_text("Save the notebook first")
    window.save()
    line.get_by_role("button", name="Refresh").click()
    expect(line).not_to_contain_text("Save the notebook first")
    expect(line).to_contain_text("Cell 4 of")  # it has not been run: it is for the test alone
    window.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets[3].model.setMetadata('tags', ['docmail-skip'])"""
    )
    window.save()
    line.get_by_role("button", name="Refresh").click()
    expect(line).not_to_contain_text("Cell 4 of")
    expect(
        form.frame_locator(".dm-mail-paper iframe").frame_locator("iframe").get_by_text("total 1234")
    ).to_be_visible()
    form.locator(".dm-field-to textarea").fill("cfo@example.com")
    if pictures is not None:
        pictures.take("notebook-button", 2)
    form.get_by_role("button", name="Send", exact=True).click()
    expect(form.locator(".dm-report")).to_contain_text("Sent")
    window.run(3)
    assert [text.strip() for text in window.output_text(3)] == ["notebook button | True | False"]


def test_in_jupyterlab_the_open_notebook_is_sent(lab: LabPage, pictures: Pictures) -> None:
    email(lab, "notebook button.ipynb", pictures)


def test_in_notebook_7_the_open_notebook_is_sent(notebook7: Notebook7Page) -> None:
    email(notebook7, "notebook button.ipynb")
