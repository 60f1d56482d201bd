"""Notebook 7 and Voilà in a browser behave as the other tests take for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.support.notebook7 import Notebook7Page
    from tests.support.voila import VoilaPage

pytestmark = pytest.mark.browser

FORM = """\
import ipywidgets as w
host = w.Text(description="SMTP server", value="smtp.example.com")
button = w.Button(description="Test")
status = w.HTML()
def test(_):
    status.value = f"<b role='status'>tested {host.value}</b>"
button.on_click(test)
w.VBox([host, button, status])
"""


def test_a_form_is_filled_in_clicked_and_saved_in_notebook_7(notebook7: Notebook7Page) -> None:
    path = notebook7.write("form.ipynb", FORM, "print(host.value)")
    notebook7.open("form.ipynb").run_all()
    form = notebook7.cell(0)
    form.get_by_label("SMTP server").fill("mail.example.org")
    form.get_by_role("button", name="Test").click()
    expect(form.get_by_role("status")).to_have_text("tested mail.example.org")
    notebook7.run(1)
    assert notebook7.output_text(1) == ["mail.example.org\n"]
    notebook7.save()
    assert nbformat.read(path, 4).cells[1].outputs[0]["text"] == "mail.example.org\n"


def test_a_form_is_filled_in_and_clicked_in_voila_where_no_code_is_seen(voila: VoilaPage) -> None:
    voila.write("form.ipynb", FORM)
    voila.open("form.ipynb")
    voila.output.get_by_label("SMTP server").fill("mail.example.org")
    voila.output.get_by_role("button", name="Test").click()
    expect(voila.output.get_by_role("status")).to_have_text("tested mail.example.org")
    expect(voila.page.get_by_text("ipywidgets")).to_have_count(0)
