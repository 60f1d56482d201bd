"""The sandbox's account with a mailbox that stands in for a real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from docmail.mailbox import Mailbox
from tests.support.fake_mailbox import FakeMailbox

if TYPE_CHECKING:
    from docmail.sandbox import Sandbox
    from docmail.settings import Settings


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> FakeMailbox:
    """Return the mailbox that every opening meets instead of a server."""
    fake = FakeMailbox()
    fake.stand_in(monkeypatch)
    return fake


@pytest.fixture
def settings(box: Sandbox) -> Settings:
    """Return the sandbox's settings with that mailbox."""
    return replace(box.settings, mailbox=Mailbox("localhost", username="accounts@example.com"))
