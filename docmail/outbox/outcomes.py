"""Says what is to be written down of an attempt: the state of the mail and of each recipient, and why.

One failure is one verdict, whoever sends: a person's single mail (`repeatable=False`: it has failed, and whoever called
has been told) or a run through the queue (what was put off waits there).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from docmail.errors import TREATMENT, Action, ConnectError, Deferred, Kind, SendError
from docmail.language import _
from docmail.outbox.changes import Settled
from docmail.outbox.rate import retry_seconds
from docmail.replies import cause, refusal
from docmail.transport import LOST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from docmail.outbox.changes import Store
    from docmail.outbox.rows import Row
    from docmail.reply import Reply
    from docmail.transport import SendResult

    Outcome = tuple[str, Reply | None]

BEFORE_A_MAIL = {"dns", "connect", "greeting", "ehlo", "tls", "auth"}
"""The phases in which nothing is about a particular mail yet."""
_CLOSING = 421


def of_success(
    number: int, everybody: Sequence[str], result: SendResult, *, repeatable: bool, tries: int = 0
) -> Settled:
    """Return the verdict on a mail that the server took for at least one recipient."""
    outcomes: dict[str, Outcome] = dict.fromkeys(everybody, ("sent", result.reply))
    if not result.refused:
        return Settled(number, "sent", outcomes, result.reply)
    wait = retry_seconds(tries, None) if repeatable else None
    for address, reply in result.refused.items():
        outcomes[address] = (_turned_away(reply, result.kinds.get(address), repeatable=wait is not None), reply)
    # Whoever was only put off gets it in another attempt, and nobody else does.
    put_off = any(each == "queued" for each, _reply in outcomes.values())
    not_before = time.time() + wait if put_off and wait is not None else None
    return Settled(number, "queued" if put_off else "sent", outcomes, result.reply, not_before=not_before)


def of_failure(  # noqa: PLR0913 - what a verdict depends on
    number: int,
    everybody: Sequence[str],
    error: SendError,
    *,
    repeatable: bool,
    tries: int = 0,
    put_off: bool = False,
) -> Settled:
    """Return the verdict on a mail that nobody got, or of which nobody knows.

    With `put_off`, a failure that would stop a run is this mail's own, and it is tried again later.
    """
    action = TREATMENT[error.kind].action
    not_before, reason = None, str(error)
    if action is Action.ASK:
        state = "unknown"
    elif action is Action.DROP:
        state = "refused"
    elif (action is Action.REPEAT or put_off) and repeatable:
        wait = retry_seconds(tries, getattr(error, "retry_after", None))
        state = "queued" if wait is not None else "failed"
        not_before = None if wait is None else time.time() + wait
        if wait is None:
            reason = _("Given up after {number} attempts. {reason}").format(number=tries + 1, reason=reason)
    else:
        state = "queued" if repeatable else "failed"
    outcomes: dict[str, Outcome] = dict.fromkeys(everybody, (state, error.reply))
    # Each by the words that were about them: whoever is refused for good neither waits with those who are deferred, nor
    # is in doubt with those who were accepted.
    waits = repeatable if action is Action.ASK else state == "queued"
    for address, reply in error.refused.items():
        # What stops a run is often said to each recipient, and is about none of them.
        if action is not Action.STOP or cause(reply, "rcpt", "").kind is Kind.RECIPIENT:
            outcomes[address] = (_turned_away(reply, None, repeatable=waits), reply)
    return Settled(number, state, outcomes, error.reply, reason, not_before)


def of_interrupt(  # noqa: PLR0913 - what a verdict depends on
    number: int,
    everybody: Sequence[str],
    exc: BaseException,
    *,
    in_doubt: bool,
    repeatable: bool,
    known: Mapping[str, Outcome],
) -> Settled:
    """Return the verdict after an interrupt, or a fault of ours.

    One knows only whether the last byte had gone, and what was `known` of some recipients by then.
    """
    if in_doubt and everybody and known.keys() >= {*everybody}:
        state, reason = whole_of([state for state, _reply in known.values()]), ""
    elif in_doubt:
        state, reason = "unknown", _("Interrupted after the last byte: the mail may have arrived.")
    elif isinstance(exc, Exception):
        state, reason = "failed", str(exc)
    else:
        state, reason = "queued" if repeatable else "failed", _("Interrupted; nothing was sent.")
    return Settled(number, state, {**dict.fromkeys(everybody, (state, None)), **known}, None, reason)


def of_repetition(settled: Settled, before: Row) -> Settled:
    """Return the verdict on a mail that a person has sent again, which was as in `before`.

    Who has not got it this time either, and was not refused, is as before: a doubt is no smaller for an attempt that
    came to nothing.
    """
    outcomes = dict(settled.recipients)
    for address, (state, reply) in settled.recipients.items():
        if state not in {"sent", "unknown"} and (state != "refused" or reply is None):
            outcomes[address] = (before.recipients[address].state, before.recipients[address].reply)
    states = {address: each.state for address, each in before.recipients.items() if each.role != "archive"}
    states |= {address: state for address, (state, _reply) in outcomes.items() if address in states}
    state = "sent" if before.state == "sent" else whole_of(states.values())
    if settled.state in {"unknown", state}:
        return replace(settled, recipients=outcomes)
    return replace(settled, state=state, recipients=outcomes, reply=before.reply, reason=before.reason)


def whole_of(states: Collection[str]) -> str:
    """Return the state of a mail from those of its recipients: the one about which something is left to be done."""
    return next(state for state in ("unknown", "queued", "sent", "refused", "failed") if state in states)


class Known:
    """What is certain of some recipients of a mail that is still under way, written down as soon as it is.

    Of a mail that goes `again`, a deferral is not: it may have arrived before.
    """

    def __init__(self, store: Store, number: int, attempt: str, *, repeatable: bool, again: bool) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._store = store
        self._number = number
        self._attempt = attempt
        self._repeatable = repeatable
        self._again = again

    def notify(self, replies: Mapping[str, Reply], kind: Kind | None) -> None:
        """Be notified of what was said of some recipients (`Transport.notify`)."""
        found: dict[str, Outcome] = {}
        for address, reply in replies.items():
            taken = reply.positive and kind is None
            state = "sent" if taken else _turned_away(reply, kind, repeatable=self._repeatable)
            if not self._again or state in {"sent", "refused", "unknown"}:
                found[address] = state, reply
        self.outcomes |= found
        self._store.note_outcomes(self._number, self._attempt, found)


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
            error = refusal(reply, "rcpt", host, signed_in=True)
            if error.kind is Kind.LIMIT:
                return error
    return None


def _turned_away(reply: Reply, kind: Kind | None, *, repeatable: bool) -> str:
    """Return the state of a recipient who got nothing, beside others who may have; a `kind` tells more than a code."""
    if reply.code == LOST:
        return "unknown"
    if kind is not None:  # the codes of HTTP are no SMTP replies
        return "refused" if TREATMENT[kind].action is Action.DROP else "queued" if repeatable else "failed"
    # RFC 5321 4.2.1: 5yz is for good; but some providers say it of a limit, which passes (Gmail's 550 5.4.5).
    if reply.code >= 500 and cause(reply, "rcpt", "").kind is not Kind.LIMIT:  # noqa: PLR2004
        return "refused"
    return "queued" if repeatable else "failed"
