"""What a test finds: one check for each phase of a connection, and all of them together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail.errors import CredentialError, DocmailError, Kind, MessageError, Phase, SendError, TLSError

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.diagnosis.domain_report import DomainReport
    from docmail.diagnosis.explore import Finding
    from docmail.reply import Certificate, Reply
    from docmail.settings import SmtpServer


@dataclass(frozen=True)
class Check:
    """One `phase` of the connection: whether it went well (`ok`), what was found (`text`), and how many `seconds`.

    A failed one also says of what `kind` the failure is, what to do (`hint`), which setting to change (`field`), which
    `guide` explains more, the server's `reply`, and the `certificate` that was not accepted with its `fingerprint`.
    Where another port or security was tried and answers, `suggestion` is the server with it.

    >>> check = docmail.send_test().checks[-1]
    >>> check.phase, check.ok
    ('data', True)
    """

    phase: str
    ok: bool
    text: str
    seconds: float
    kind: Kind | None = None
    hint: str = ""
    field: str | None = None
    guide: str | None = None
    reply: Reply | None = None
    fingerprint: str | None = None
    certificate: Certificate | None = None
    suggestion: SmtpServer | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What the test email found: `checks` for each phase, in the order met; the failed one, if any, is the last.

    `domain` is what the DNS of the sender's domain says about its mails; None for a test that failed, and where there
    is nothing to look at. It is advice, and changes nothing about `ok`.

    >>> docmail.send_test(docmail.Settings("Accounts", docmail.SmtpServer("mail example.com"))).failed.hint
    'Correct the settings in docmail.SettingsForm().'
    """

    checks: tuple[Check, ...]
    domain: DomainReport | None = None

    @property
    def ok(self) -> bool:
        """Whether the test email was taken."""
        return self.failed is None

    @property
    def failed(self) -> Check | None:
        """The check that failed, or None."""
        return next((check for check in self.checks if not check.ok), None)

    def __repr__(self) -> str:
        failed = self.failed
        return (
            f"<Diagnosis ok, {len(self.checks)} checks>" if failed is None else f"<Diagnosis failed at {failed.phase}>"
        )


class Checklist:
    """The checks of one test, as they come; each phase has one line."""

    def __init__(self, on_check: Callable[[Check], None] | None = None) -> None:
        self._on_check = on_check or (lambda _check: None)
        self._checks: list[Check] = []
        self._since = time.monotonic()

    @property
    def diagnosis(self) -> Diagnosis:
        """What the test has found."""
        return Diagnosis(tuple(self._checks))

    def passed(self, phase: str, text: str) -> None:
        """Note a phase that went well, and what was found in it."""
        self._add(Check(phase, True, text, self.seconds()))  # noqa: FBT003 - the field is named ok

    def failed(self, error: DocmailError, seconds: float, finding: Finding | None = None) -> None:
        """Note the phase that failed; `finding` wins over what the error says."""
        kind, phase, reply = _place_of(error)
        found = finding._asdict() if finding else {}
        self._add(
            Check(
                phase,
                ok=False,
                text=found.get("message") or error.message,
                seconds=seconds,
                kind=kind,
                hint=found.get("hint") or error.hint,
                field=found.get("field") or error.field,
                guide=error.guide,
                reply=reply,
                fingerprint=error.fingerprint if isinstance(error, TLSError) else None,
                certificate=error.certificate if isinstance(error, TLSError) else None,
                suggestion=found.get("suggestion"),
            )
        )

    def seconds(self) -> float:
        """Return the seconds since the phase before."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        return seconds

    def _add(self, check: Check) -> None:
        # STARTTLS says EHLO twice; one line is enough, unless the second time fails.
        if any(each.phase == check.phase for each in self._checks):
            if check.ok:
                return
            self._checks = [each for each in self._checks if each.phase != check.phase]
        self._checks.append(check)
        self._on_check(check)


def _place_of(error: DocmailError) -> tuple[Kind, str, Reply | None]:
    """Return the kind, the phase and the reply of a failure."""
    if isinstance(error, SendError):
        return error.kind, error.phase, error.reply
    if isinstance(error, CredentialError):
        return Kind.AUTH, Phase.CREDENTIAL, None
    if isinstance(error, MessageError):
        return Kind.MESSAGE, Phase.SETTINGS, None
    return Kind.CONFIG, Phase.SETTINGS, None
