"""A sandbox whose sign-in server is as new for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docmail import credentials
from docmail.credentials import store
from docmail.oauth import google, tokens
from docmail.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def _opened() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


@pytest.fixture
def box(_opened: Sandbox) -> Iterator[Sandbox]:
    """Return a sandbox where nobody has signed in, and which knows the secret of the application at Google."""
    _opened.reset()
    _opened.inbox.clear()
    _opened.identity.__init__("accounts@example.com")  # type: ignore[misc]  # as new
    before = dict(store._session)
    credentials.set(google.application(_opened.google_settings), _opened.identity.google_secret)
    yield _opened
    tokens._kept.clear()
    store._session.clear()
    store._session.update(before)
