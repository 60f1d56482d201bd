"""Writes each mail down before it goes out, sends it, and remembers what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.outbox import observers
    from docmail.outbox.bad_rows import cells_of, further_of, table_of
    from docmail.outbox.batch import Added
    from docmail.outbox.came_back import FoundBounces
    from docmail.outbox.control import Happened
    from docmail.outbox.daily import daily_warning
    from docmail.outbox.doubts import SettledDoubts
    from docmail.outbox.drafts import SavedDrafts, can_save_drafts, save_draft
    from docmail.outbox.later import due_text, is_due
    from docmail.outbox.mailbox_work import look_for_bounces, look_for_copies
    from docmail.outbox.observers import BatchProgress
    from docmail.outbox.outbox import Outbox
    from docmail.outbox.preview import Preview
    from docmail.outbox.queue import Group
    from docmail.outbox.resending import check_sender, correct_and_send, missing, send_again
    from docmail.outbox.rows import Role, Row, State
    from docmail.outbox.run import Run, nothing_of
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
    from docmail.outbox.sent_copies import FiledCopies
    from docmail.outbox.single_mail import deliver, recorded, send
    from docmail.outbox.staying import stay
    from docmail.outbox.tables import csv_of, missed_by, missed_csv, reply_text, why_missed

__all__ = [
    "Added",
    "BatchProgress",
    "Earlier",
    "FiledCopies",
    "FoundBounces",
    "Group",
    "Happened",
    "History",
    "Outbox",
    "Page",
    "Preview",
    "Role",
    "Row",
    "Run",
    "SavedDrafts",
    "SettledDoubts",
    "State",
    "Wanted",
    "can_save_drafts",
    "cells_of",
    "check_sender",
    "correct_and_send",
    "csv_of",
    "daily_warning",
    "deliver",
    "due_text",
    "earlier_recipients",
    "file_name",
    "further_of",
    "has_history",
    "history_if_any",
    "history_of",
    "is_due",
    "last_emailed",
    "look_for_bounces",
    "look_for_copies",
    "missed_by",
    "missed_csv",
    "missing",
    "nothing_of",
    "observers",
    "recorded",
    "reply_text",
    "save_draft",
    "send",
    "send_again",
    "sent_before",
    "stay",
    "table_of",
    "why_missed",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "came_back": ("FoundBounces",),
            "control": ("Happened",),
            "daily": ("daily_warning",),
            "bad_rows": ("cells_of", "further_of", "table_of"),
            "batch": ("Added",),
            "doubts": ("SettledDoubts",),
            "drafts": ("SavedDrafts", "can_save_drafts", "save_draft"),
            "later": ("due_text", "is_due"),
            "mailbox_work": ("look_for_bounces", "look_for_copies"),
            "observers": ("BatchProgress",),
            "outbox": ("Outbox",),
            "preview": ("Preview",),
            "queue": ("Group",),
            "resending": ("check_sender", "correct_and_send", "missing", "send_again"),
            "rows": ("Role", "Row", "State"),
            "run": ("Run", "nothing_of"),
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
            "sent_copies": ("FiledCopies",),
            "single_mail": ("deliver", "recorded", "send"),
            "staying": ("stay",),
            "tables": ("csv_of", "missed_by", "missed_csv", "reply_text", "why_missed"),
        },
        modules=("observers",),
    )
