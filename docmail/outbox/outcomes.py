"""Says what is to be written down of an attempt: the state of the mail and of each recipient, and why.

A failure has the same outcome in a single mail (`limits=None`: it has failed, and the caller is notified by an
exception) and in a run through the queue (what is deferred waits there, as its limits say).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from docmail.errors import TREATMENT, Action, ConnectError, Deferred, Kind, Phase, SendError
from docmail.language import _
from docmail.outbox.changes import Outcome
from docmail.outbox.limits import DAY_SECONDS
from docmail.outbox.rows import Role, State
from docmail.replies import meaning_of, refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from docmail.outbox.changes import Changes, RecipientOutcome
    from docmail.outbox.limits import Limits
    from docmail.outbox.rows import Row
    from docmail.reply import Reply
    from docmail.transport import SendResult

BEFORE_A_MAIL = {Phase.DNS, Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.TLS, Phase.AUTH}
"""The phases in which nothing is about a particular mail yet."""
_BY_URGENCY = (State.UNKNOWN, State.QUEUED, State.SENT, State.BOUNCED, State.REFUSED, State.FAILED)
_CLOSING = 421
_LONGEST_SECONDS = 100 * 366 * 86400.0  # what is added to it stays a date


@dataclass(eq=False)
class Attempt:
    """One attempt to send a mail: it turns what the server replies, and what goes wrong, into the mail's outcome.

    What is certain of some recipients while the mail is still being sent is written down at once (`notify`). With
    `limits`, what is deferred is tried again. A mail that a person sends again was as in `before`; it is not tried
    again unasked, and a deferral says nothing certain of it: it may have arrived before.
    """

    changes: Changes
    number: int
    claim: str
    limits: Limits | None = None
    tries: int = 0
    before: Row | None = None
    everybody: tuple[str, ...] = field(default=(), init=False)
    """Whom it goes to; known once the mail has been read."""
    _certain: dict[str, RecipientOutcome] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.before is not None:
            self.limits = None

    def notify(self, replies: Mapping[str, Reply], kind: Kind | None) -> None:
        """Write down what was said of some recipients (`Transport.send`)."""
        found: dict[str, RecipientOutcome] = {}
        for address, reply in replies.items():
            taken = reply.positive and kind is None
            state = State.SENT if taken else _missed(reply, kind, repeatable=self.limits is not None)
            if self.before is None or state in {State.SENT, State.REFUSED, State.UNKNOWN}:
                found[address] = state, reply
        self._certain |= found
        self.changes.note_outcomes(self.number, self.claim, found)

    def success(self, result: SendResult) -> Outcome:
        """Return the outcome of a mail that the server took for at least one recipient."""
        recipients = self._all(State.SENT, result.reply)
        wait = self.limits.seconds_to_retry(self.tries) if result.refused and self.limits else None
        for address, reply in result.refused.items():
            recipients[address] = _missed(reply, result.kinds.get(address), repeatable=wait is not None), reply
        # Who was only deferred gets it in another attempt, and nobody else does.
        deferred = any(state == State.QUEUED for state, _reply in recipients.values())
        not_before = time.time() + wait if deferred and wait is not None else None
        state = State.QUEUED if deferred else State.SENT
        return self._outcome(state, recipients, result.reply, not_before=not_before)

    def failure(self, error: SendError, *, is_its_own: bool = False) -> Outcome:
        """Return the outcome of a mail that failed: nobody got it, or nobody knows.

        With `is_its_own`, a failure that would stop a run is about this mail, which is tried again later.
        """
        action = TREATMENT[error.kind].action
        state = State.QUEUED if self.limits else State.FAILED
        not_before, reason = None, str(error)
        if action is Action.ASK:
            state = State.UNKNOWN
        elif action is Action.DROP:
            state = State.REFUSED
        elif (action is Action.REPEAT or is_its_own) and self.limits:
            wait = self.limits.seconds_to_retry(self.tries, getattr(error, "retry_after", None))
            if wait is not None:
                not_before = time.time() + wait
                reason = f"{reason} {beyond_a_day(error)}".strip()
            else:
                state = State.FAILED
                reason = _("Given up after {number} attempts. {reason}").format(number=self.tries + 1, reason=reason)
        recipients = self._all(state, error.reply)
        # Each by the reply about it: who is refused for good neither waits with those who are deferred, nor is in doubt
        # with those who were accepted.
        waits = self.limits is not None if action is Action.ASK else state == State.QUEUED
        for address, reply in error.refused.items():
            # What stops a run is often said to each recipient, and is about none of them.
            if action is not Action.STOP or meaning_of(reply, Phase.RCPT, "").kind is Kind.RECIPIENT:
                recipients[address] = _missed(reply, None, repeatable=waits), reply
        return self._outcome(state, recipients, error.reply, reason, not_before)

    def interrupt(self, exc: BaseException, *, in_doubt: bool) -> Outcome:
        """Return the outcome after an interrupt, or a fault of ours.

        It is known only whether the last byte had gone, and what was certain of some recipients by then.
        """
        if in_doubt and self.everybody and self._certain.keys() >= {*self.everybody}:
            state, reason = whole_of([state for state, _reply in self._certain.values()]), ""
        elif in_doubt:
            state, reason = State.UNKNOWN, _("Interrupted after the last byte: the mail may have arrived.")
        elif isinstance(exc, Exception):
            state, reason = State.FAILED, str(exc)
        else:
            state, reason = State.QUEUED if self.limits else State.FAILED, _("Interrupted; nothing was sent.")
        return self._outcome(state, {**self._all(state, None), **self._certain}, None, reason)

    def _all(self, state: State, reply: Reply | None) -> dict[str, RecipientOutcome]:
        return dict.fromkeys(self.everybody, (state, reply))

    def _outcome(
        self,
        state: State,
        recipients: dict[str, RecipientOutcome],
        reply: Reply | None,
        reason: str = "",
        not_before: float | None = None,
    ) -> Outcome:
        outcome = Outcome(self.number, state, recipients, reply, reason, not_before)
        return outcome if self.before is None else _of_repetition(outcome, self.before)


def _of_repetition(outcome: Outcome, before: Row) -> Outcome:
    """Return the outcome of a mail that a person has sent again, which was as in `before`.

    Who has not got it this time either, and was not refused, is as before: a doubt is no smaller for an attempt that
    came to nothing.
    """
    recipients = dict(outcome.recipients)
    for address, (state, reply) in outcome.recipients.items():
        if state not in {State.SENT, State.UNKNOWN} and (state != State.REFUSED or reply is None):
            recipients[address] = (before.recipients[address].state, before.recipients[address].reply)
    states = {address: each.state for address, each in before.recipients.items() if each.role != Role.ARCHIVE}
    states |= {address: state for address, (state, _reply) in recipients.items() if address in states}
    whole = State.SENT if before.state == State.SENT else whole_of(states.values())
    if outcome.state in {State.UNKNOWN, whole}:
        return replace(outcome, recipients=recipients)
    return replace(outcome, state=whole, recipients=recipients, reply=before.reply, reason=before.reason)


def whole_of(states: Collection[State]) -> State:
    """Return the state of a mail from those of its recipients: the one about which something is left to be done."""
    return next(state for state in _BY_URGENCY if state in states)


def beyond_a_day(error: SendError) -> str:
    """Say how long the server asked to wait, if that is longer than docmail waits; otherwise nothing."""
    seconds = getattr(error, "retry_after", None) or 0.0
    if seconds <= DAY_SECONDS:
        return ""
    until = datetime.fromtimestamp(time.time() + min(seconds, _LONGEST_SECONDS), UTC).astimezone()
    return _("The server asked to wait until {time:%Y-%m-%d %H:%M}; docmail waits a day at most.").format(time=until)


def stops_a_run(error: SendError) -> bool:
    """Say whether every other mail would meet the same."""
    return TREATMENT[error.kind].action is Action.STOP or error.phase in BEFORE_A_MAIL


def about_connection(error: SendError) -> bool:
    """Say whether it was the connection that failed, so that a new one may serve."""
    return (
        isinstance(error, ConnectError)
        or wants_another_connection(error)
        or (isinstance(error, Deferred) and error.kind is Kind.TEMPORARY and error.phase in BEFORE_A_MAIL)
    )


def is_about_all(error: SendError) -> bool:
    """Say whether it may be about more than this one mail."""
    return about_connection(error) or stops_a_run(error) or bool(getattr(error, "retry_after", None))


def wants_another_connection(error: SendError) -> bool:
    """Say whether the server ends the conversation (RFC 5321 3.8), as some do after a number of mails."""
    closing = isinstance(error, Deferred) and error.reply is not None and error.reply.code == _CLOSING
    return closing and error.kind is not Kind.LIMIT  # which holds for every connection


def limit_in(result: SendResult, host: str) -> SendError | None:
    """Return the account's limit, if the server said of some of the recipients that it is reached."""
    for reply in result.refused.values():
        if reply.code >= 400:  # noqa: PLR2004 - RFC 5321 4.2.1
            error = refusal(reply, Phase.RCPT, host, signed_in=True)
            if error.kind is Kind.LIMIT:
                return error
    return None


def _missed(reply: Reply, kind: Kind | None, *, repeatable: bool) -> State:
    """Return the state of a recipient who got nothing, beside others who may have; a `kind` says more than a code."""
    if kind is Kind.UNKNOWN:
        return State.UNKNOWN
    deferred = State.QUEUED if repeatable else State.FAILED
    if kind is not None:  # the codes of HTTP are no SMTP replies
        return State.REFUSED if TREATMENT[kind].action is Action.DROP else deferred
    # RFC 5321 4.2.1: 5yz is for good; but some providers say it of a limit, which passes (Gmail's 550 5.4.5).
    if reply.code >= 500 and meaning_of(reply, Phase.RCPT, "").kind is not Kind.LIMIT:  # noqa: PLR2004
        return State.REFUSED
    return deferred
