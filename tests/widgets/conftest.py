"""Removes the widgets that a test made, and opens a sandbox for those that ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets
import pytest

import docmail

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_widgets_left() -> Iterator[None]:
    yield
    ipywidgets.Widget.close_all()


@pytest.fixture
def box() -> Iterator[docmail.Sandbox]:
    """Return an open sandbox; settings, outbox and passwords are its own."""
    with docmail.Sandbox() as sandbox:
        yield sandbox
