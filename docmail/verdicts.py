"""Says what is to be written down of an attempt: the state of the mail and of each recipient, and why.

One failure is one verdict, whoever sends: a person's single mail (`repeatable=False`: it has failed, and whoever called
has been told) or a run through the queue (what was put off waits there).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from docmail.causes import cause, refusal
from docmail.errors import TREATMENT, Action, Kind, SendError
from docmail.pace import retry_seconds
from docmail.store import Settled
from docmail.translation import _
from docmail.transport.base import LOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.replies import Reply
    from docmail.transport import SendResult

BEFORE_A_MAIL = {"dns", "connect", "greeting", "ehlo", "tls", "auth"}
"""The phases in which nothing is about a particular mail yet."""


def of_success(
    number: int, everybody: Sequence[str], result: SendResult, *, repeatable: bool, tries: int = 0
) -> Settled:
    """Return the verdict on a mail that the server took for at least one recipient."""
    outcomes: dict[str, tuple[str, Reply | None]] = dict.fromkeys(everybody, ("sent", result.reply))
    if not result.refused:
        return Settled(number, "sent", outcomes, result.reply)
    wait = retry_seconds(tries, None) if repeatable else None
    for address, reply in result.refused.items():
        outcomes[address] = (_turned_away(reply, repeatable=wait is not None), reply)
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
    outcomes: dict[str, tuple[str, Reply | None]] = dict.fromkeys(everybody, (state, error.reply))
    if action in {Action.DROP, Action.REPEAT}:
        # Each by the words that were about them: whoever is refused for good does not wait with those who are put off.
        for address, reply in error.refused.items():
            outcomes[address] = (_turned_away(reply, repeatable=state == "queued"), reply)
    return Settled(number, state, outcomes, error.reply, reason, not_before)


def of_interrupt(
    number: int, everybody: Sequence[str], exc: BaseException, *, in_doubt: bool, repeatable: bool
) -> Settled:
    """Return the verdict after an interrupt, or a fault of ours: one knows only whether the last byte had gone."""
    if in_doubt:
        state, reason = "unknown", _("Interrupted after the last byte: the mail may have arrived.")
    elif isinstance(exc, Exception):
        state, reason = "failed", str(exc)
    else:
        state, reason = "queued" if repeatable else "failed", _("Interrupted; nothing was sent.")
    return Settled(number, state, dict.fromkeys(everybody, (state, None)), None, reason)


def stops_a_run(error: SendError) -> bool:
    """Say whether every other mail would meet the same."""
    return TREATMENT[error.kind].action is Action.STOP or error.phase in BEFORE_A_MAIL


def limit_in(result: SendResult, host: str) -> SendError | None:
    """Return the account's limit, if the server said of some of the recipients that it is reached."""
    for reply in result.refused.values():
        if reply.code >= 400:  # noqa: PLR2004 - RFC 5321 4.2.1
            error = refusal(reply, "rcpt", host, signed_in=True)
            if error.kind is Kind.LIMIT:
                return error
    return None


def _turned_away(reply: Reply, *, repeatable: bool) -> str:
    """Return the state of a recipient who got nothing, beside others who may have."""
    if reply.code == LOST:
        return "unknown"
    # RFC 5321 4.2.1: 5yz is for good; but some providers say it of a limit, which passes (Gmail's 550 5.4.5).
    if reply.code >= 500 and cause(reply, "rcpt", "").kind is not Kind.LIMIT:  # noqa: PLR2004
        return "refused"
    return "queued" if repeatable else "failed"
