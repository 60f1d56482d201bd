"""The test email and the test of the mailbox, phase by phase, and the search for a domain's servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.diagnosis.autoconfig import Finding, find, questions
    from docmail.diagnosis.checks import Check, Diagnosis
    from docmail.diagnosis.diagnosis import diagnose, expected_phases, send_test
    from docmail.diagnosis.domain import look_at_domain, look_at_sender
    from docmail.diagnosis.domain_report import DomainCheck, DomainReport, Standing, Subject
    from docmail.diagnosis.mailbox_checks import check_mailbox, diagnose_mailbox, expected_mailbox_phases

__all__ = [
    "Check",
    "Diagnosis",
    "DomainCheck",
    "DomainReport",
    "Finding",
    "Standing",
    "Subject",
    "check_mailbox",
    "diagnose",
    "diagnose_mailbox",
    "expected_mailbox_phases",
    "expected_phases",
    "find",
    "look_at_domain",
    "look_at_sender",
    "questions",
    "send_test",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "autoconfig": ("Finding", "find", "questions"),
            "checks": ("Check", "Diagnosis"),
            "diagnosis": ("diagnose", "expected_phases", "send_test"),
            "mailbox_checks": ("check_mailbox", "diagnose_mailbox", "expected_mailbox_phases"),
            "domain": ("look_at_domain", "look_at_sender"),
            "domain_report": ("DomainCheck", "DomainReport", "Standing", "Subject"),
        },
    )
