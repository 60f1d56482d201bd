"""The sandbox's account with a mailbox that stands in for a real one, and a clock that a test moves."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
import time_machine

from docmail.mailbox import Mailbox
from tests.support.fake_mailbox import FakeMailbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.sandbox import Sandbox
    from docmail.settings import Settings

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = dt.datetime(2026, 12, 4, 16, 0, tzinfo=BERLIN)
MONDAY = dt.datetime(2026, 12, 7, 7, 0, tzinfo=BERLIN)


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


@pytest.fixture
def clock(box: Sandbox) -> Iterator[time_machine.Traveller]:
    """Make it Friday afternoon in Berlin; the clock stands still until a test moves it."""
    assert box.host  # it began before: its certificate is of today, by the clock that OpenSSL reads
    with time_machine.travel(FRIDAY, tick=False) as moved:
        yield moved
