"""Writes each mail down before it goes out, sends it, and remembers what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.outbox import observers
    from docmail.outbox.bad_rows import cells_of, further_of, table_of
    from docmail.outbox.batch import Added
    from docmail.outbox.observers import BatchProgress, makings, watchers
    from docmail.outbox.outbox import Outbox, deliver, send
    from docmail.outbox.preview import Preview
    from docmail.outbox.rate import daily_warning
    from docmail.outbox.resending import check_sender, missing, send_again
    from docmail.outbox.rows import Row
    from docmail.outbox.run import Happened, Run, nothing_of
    from docmail.outbox.search import (
        Earlier,
        History,
        Page,
        Wanted,
        earlier_recipients,
        file_name,
        has_history,
        history_if_any,
        history_of,
        last_emailed,
        sent_before,
    )

__all__ = [
    "Added",
    "BatchProgress",
    "Earlier",
    "Happened",
    "History",
    "Outbox",
    "Page",
    "Preview",
    "Row",
    "Run",
    "Wanted",
    "cells_of",
    "check_sender",
    "daily_warning",
    "deliver",
    "earlier_recipients",
    "file_name",
    "further_of",
    "has_history",
    "history_if_any",
    "history_of",
    "last_emailed",
    "makings",
    "missing",
    "nothing_of",
    "observers",
    "send",
    "send_again",
    "sent_before",
    "table_of",
    "watchers",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "bad_rows": ("cells_of", "further_of", "table_of"),
            "batch": ("Added",),
            "observers": ("BatchProgress", "makings", "watchers"),
            "outbox": ("Outbox", "deliver", "send"),
            "preview": ("Preview",),
            "rate": ("daily_warning",),
            "resending": ("check_sender", "missing", "send_again"),
            "rows": ("Row",),
            "run": ("Happened", "Run", "nothing_of"),
            "search": (
                "Earlier",
                "History",
                "Page",
                "Wanted",
                "earlier_recipients",
                "file_name",
                "has_history",
                "history_if_any",
                "history_of",
                "last_emailed",
                "sent_before",
            ),
        },
        modules=("observers",),
    )
