"""Knows who wants to see the runs through the queue; it imports nothing, so that a notebook can say so at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.queue_run import Run

watchers: list[Callable[[Run], bool]] = []
"""Called with each new run; they return whether a person is asked first, who then calls its `start()`."""
