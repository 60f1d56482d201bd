"""Executes notebooks on time and emails what they show; tells somebody when one fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.notebook.running import Job, Outcome, RunResult, SentAs, check_credential, report_of, reported, run
    from docmail.notebook.schedules import Plan, plan
    from docmail.notebook.skipping import Skip
    from docmail.notebook.source import from_yaml, typed
    from docmail.notebook.value import Notebook

__all__ = [
    "Job",
    "Notebook",
    "Outcome",
    "Plan",
    "RunResult",
    "SentAs",
    "Skip",
    "check_credential",
    "from_yaml",
    "plan",
    "report_of",
    "reported",
    "run",
    "typed",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "running": ("Job", "Outcome", "RunResult", "SentAs", "check_credential", "report_of", "reported", "run"),
            "schedules": ("Plan", "plan"),
            "skipping": ("Skip",),
            "source": ("from_yaml", "typed"),
            "value": ("Notebook",),
        },
    )
