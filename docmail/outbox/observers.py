"""Knows who wants to see batches and runs; it imports nothing, so that a notebook can say so at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from docmail.outbox.run import Run

watchers: list[Callable[[Run], bool]] = []
"""Called with each new run; they return whether a person is asked first, who then calls its `start()`."""


class BatchProgress(Protocol):
    """How far a batch is that is being made, checked and written down; it may be looked at from any thread."""

    @property
    def done(self) -> int:
        """How many rows are made and checked."""

    @property
    def total(self) -> int | None:
        """How many rows there are, if that is known."""

    @property
    def writes(self) -> bool:
        """Whether they are being written down: only then is it possible that they are in the outbox."""


makings: list[Callable[[BatchProgress], AbstractContextManager[None]]] = []
"""Entered with each batch while it is made, checked and written down; they look at it from a thread of their own."""
