"""The observers of batches and runs; it imports nothing, so that a notebook can register them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from docmail.outbox.run import Run

runs: list[Callable[[Run], bool]] = []
"""Called with each new run; they return whether a person is asked first, who then calls its `start()`."""


@dataclass
class BatchProgress:
    """How far a batch is that is being generated, checked and written down; any thread may look at it."""

    total: int | None = None
    """How many rows there are, if that is known."""
    done: int = 0
    """How many rows are generated and checked."""
    writes: bool = False
    """Whether they are being written down: only then is it possible that they are in the outbox."""
    written: int = 0
    """How many mails are written down; none of them is in the outbox before all are."""


preparations: list[Callable[[BatchProgress], AbstractContextManager[None]]] = []
"""Entered with each batch while it is generated, checked and written down; they look from a thread of their own."""
