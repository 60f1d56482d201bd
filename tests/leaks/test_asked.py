"""A password that `docmail.credentials.ask` asks for in a notebook is nowhere but in this kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.leaks.stories import Story, in_notebooks, received

if TYPE_CHECKING:
    from tests.support.lab import LabPage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ASKED = """\
import docmail
server = docmail.SmtpServer("smtp.example.com", username="accounts@example.com")
settings = docmail.Settings("Accounts", server)
docmail.credentials.ask(settings)"""

CONTROL = 'plain = input("Plain: ")'

SHOWN = "print(docmail.credentials.where(settings), docmail.credentials.get(settings), repr(plain))"


def test_the_password_stays_in_the_kernel(lab: LabPage) -> None:
    lab.write("leaks-asked.ipynb", ASKED, CONTROL, SHOWN)
    story = Story(lab.page, lab.server, lab.save, steps=["asked"])
    lab.open("leaks-asked.ipynb")
    for cell, answer in enumerate([story.password, story.plain]):
        lab.run(cell, wait=False)
        prompt = lab.cell(cell).locator(".jp-Stdin-input")
        prompt.fill(answer)
        prompt.press("Enter")
        lab.wait_idle()
    lab.run(2)
    expect(lab.cell(2).get_by_text("session •••")).to_be_visible()
    story.look("asked")
    found = story.during["asked"]
    assert found.password == []
    assert received(found.plain)
    assert in_notebooks(found.plain)
