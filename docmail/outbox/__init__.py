"""Writes each mail down before it goes out, sends it, and remembers what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.outbox import observers, search
    from docmail.outbox.bad_rows import cells_of, further_of, line_of, table_of
    from docmail.outbox.batch import Added, Preparation
    from docmail.outbox.changes import Store
    from docmail.outbox.observers import bad_batches, makings, watchers
    from docmail.outbox.outbox import Outbox, deliver, send
    from docmail.outbox.preview import Preview
    from docmail.outbox.rate import daily_warning
    from docmail.outbox.rows import Row
    from docmail.outbox.run import Happened, Run, nothing_of
    from docmail.outbox.search import Earlier, Page, check_sender, missing

__all__ = [
    "Added",
    "Earlier",
    "Happened",
    "Outbox",
    "Page",
    "Preparation",
    "Preview",
    "Row",
    "Run",
    "Store",
    "bad_batches",
    "cells_of",
    "check_sender",
    "daily_warning",
    "deliver",
    "further_of",
    "line_of",
    "makings",
    "missing",
    "nothing_of",
    "observers",
    "search",
    "send",
    "table_of",
    "watchers",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "bad_rows": ("cells_of", "further_of", "line_of", "table_of"),
            "batch": ("Added", "Preparation"),
            "changes": ("Store",),
            "observers": ("bad_batches", "makings", "watchers"),
            "outbox": ("Outbox", "deliver", "send"),
            "preview": ("Preview",),
            "rate": ("daily_warning",),
            "rows": ("Row",),
            "run": ("Happened", "Run", "nothing_of"),
            "search": ("Earlier", "Page", "check_sender", "missing"),
        },
        modules=("observers", "search"),
    )
