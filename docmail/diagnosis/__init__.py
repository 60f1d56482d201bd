"""The test email, phase by phase, and the search for a domain's servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.diagnosis.autoconfig import Finding, find, questions
    from docmail.diagnosis.diagnosis import Check, Diagnosis, diagnose, send_test

__all__ = ["Check", "Diagnosis", "Finding", "diagnose", "find", "questions", "send_test"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {"autoconfig": ("Finding", "find", "questions"), "diagnosis": ("Check", "Diagnosis", "diagnose", "send_test")},
    )
