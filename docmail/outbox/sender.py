"""Sends what waits in the queue over a connection: the loop of a run, and what it does when something goes wrong.

The outcome of a mail and the beginning of the next one are one durable step, taken before the next one's first byte
leaves. So at every moment at most one mail of a connection is in doubt, and a killed process leaves the others as they
are.
"""

from __future__ import annotations

import time
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from docmail.errors import ConnectError, Deferred, DocmailError, Guide, Kind, MessageError, Phase, SendError
from docmail.language import _
from docmail.outbox import outcomes
from docmail.outbox.limits import DAY_SECONDS
from docmail.outbox.rehearsal import redirected
from docmail.outbox.rows import State
from docmail.outbox.shared_contents import shared_contents
from docmail.transport import Transport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.addresses import Address
    from docmail.outbox.alike import AlikeRefusals
    from docmail.outbox.changes import Outcome
    from docmail.outbox.control import Control, Progress
    from docmail.outbox.daily import DailyLimits
    from docmail.outbox.limits import Limits
    from docmail.outbox.queue import ClaimedMail, Queue
    from docmail.outbox.rate import AccountRate
    from docmail.outbox.remembered_servers import RememberedServers
    from docmail.outbox.shared_contents import SharedContents
    from docmail.outbox.store import Store
    from docmail.settings import Settings

_BUSY_IN_A_ROW = 3  # mails deferred one after the other: it is the server, not they


class Extra(Protocol):
    """The extra connections of a run, as the first one sees them."""

    def begin_one(self, claim: str, shared: SharedContents, first: Transport) -> None:
        """Have one more of them begin, if there is work for it."""

    def end(self) -> bool:
        """Return when none of them sends any more and all is written down; whether there was any."""

    def error(self) -> SendError | None:
        """Return, once, the failure of an extra connection that the first one has to treat as its own; else None."""


@dataclass(eq=False)
class Sender:
    """One connection, and the mails that go over it."""

    store: Store
    queue: Queue
    settings: Settings
    rate: AccountRate
    control: Control
    progress: Progress
    limits: Limits
    daily: DailyLimits
    alike: AlikeRefusals
    servers: RememberedServers
    transport: Transport | None = field(default=None, init=False)
    """Open, or about to be."""
    _closed: Transport | None = field(default=None, init=False)
    """May be opened again, and knows what its server cannot do."""
    _on_connection: int = field(default=0, init=False)
    _outcome: Outcome | None = field(default=None, init=False)
    """What became of the last mail, as long as it is not written down."""
    _failures: int = field(default=0, init=False)
    """Of the connection, in a row."""
    _broke_over: int | None = field(default=None, init=False)
    """The mail over which the connection failed last."""
    _deferred: int = field(default=0, init=False)
    """Mails, in a row."""
    _rests_until: float = field(default=0.0, init=False)
    """By the clock that nobody sets; the server wants nothing before."""

    def abort(self) -> None:
        """Abort the mail that is being sent, from another thread, unless its last byte has gone."""
        transport = self.transport
        if transport is not None and not transport.in_doubt:
            with suppress(OSError):
                transport.abort()

    def send_all(self, claim: str, extra: Extra) -> None:
        """Send what waits, until nothing does, somebody stops it, or every mail would meet the same failure.

        The extra connections send a part of a long queue.
        """
        shared = shared_contents(self.queue)
        try:
            while not self._has_to_end:
                if error := extra.error():
                    self._judge(error)
                if self._has_to_wait(claim, extra):
                    continue
                if not self._is_connected:
                    if not self._comes_to_a_mail(claim, extra):
                        break
                    continue
                mail = self._take(claim)
                if mail is None:
                    self.hang_up()
                    continue
                error = self._send(claim, mail, shared)
                if error is None and self.transport is not None:
                    extra.begin_one(claim, shared, self.transport)
                self._judge(error)
        finally:
            self._end(claim, extra)
        if self.alike.error is not None:
            raise self.alike.error
        if error := extra.error():
            self._judge(error)

    def _comes_to_a_mail(self, claim: str, extra: Extra) -> bool:
        """Connect if a mail may go now, or wait for it; False if none comes in time."""
        self._write_down(claim)
        if (wait := self._seconds_to_the_next()) is None:
            return extra.end()  # what they have deferred is waited for here
        self._sleep(wait) if wait else self._connect()
        return True

    def _end(self, claim: str, extra: Extra) -> None:
        """Write down what became of the last mails, and which of them are to be put back if the run is resumed."""
        try:
            extra.end()
        finally:
            self._write_down(claim)
        if self.alike.error is not None:
            self.queue.note_refused_alike(self.alike.numbers)

    @property
    def _has_to_end(self) -> bool:
        """Whether no further mail is to begin."""
        wanted = not self.control.stopped and not self.progress.is_enough
        return not wanted or self.alike.error is not None or self.daily.again_at is not None

    def send_beside(
        self, transport: Transport, claim: str, shared: SharedContents, is_over: Callable[[], bool]
    ) -> None:
        """Send what waits over this connection until `is_over`; raise the first failure that is not one mail's own."""
        self.transport = transport
        try:
            transport.open()
            while self._is_connected and not (is_over() or self._has_to_end or self.control.paused):
                mail = self._take(claim)
                if mail is None:
                    break
                error = self._send(claim, mail, shared)
                self._deferred = self._deferred + 1 if isinstance(error, Deferred) else 0
                if error is not None and (outcomes.is_about_all(error) or self._deferred >= _BUSY_IN_A_ROW):
                    raise error
        finally:
            try:
                self._write_down(claim)
            finally:
                self.hang_up()

    def _take(self, claim: str) -> ClaimedMail | None:
        """Write down what became of the last mail, and begin the next."""
        if self.control.retries:
            self.control.retries = False
            self.queue.retry()
        if self.control.puts_back:
            self.control.puts_back = False
            self.queue.put_back_refused_alike()
        fits = self.daily.fits if self.daily.stops_a_run else None
        again, interval = self.control.next_resend(), self.rate.interval
        mail = self.queue.advance(claim, self._outcome, interval=interval, again=again, fits=fits)
        self._outcome = None
        if self.daily.again_at is not None:
            self.control.wake()
        return mail

    def _has_to_wait(self, claim: str, extra: Extra) -> bool:
        """Wait as long as somebody has paused the run, or as the account's rate wants; say whether that was so."""
        rest = max(self._rests_until - time.monotonic(), 0.0)
        wait = None if self.control.paused else max(self.rate.wait_seconds(), rest)
        if wait == 0:
            return False
        extra.end()
        self._write_down(claim)
        self._sleep(wait)
        return True

    def _judge(self, error: SendError | None) -> None:
        """Take note of how a mail went; raise the failure that every further one would meet."""
        if error is not None and outcomes.about_connection(error):
            self._failures += 1
            if self._failures > len(self.limits.reconnect_seconds):
                raise error
            return
        self._failures = 0
        if error is not None and outcomes.stops_a_run(error):
            raise self._with_time(error) from error.__cause__
        self._deferred = self._deferred + 1 if isinstance(error, Deferred) else 0
        rest = 0.0
        if self._deferred >= _BUSY_IN_A_ROW:
            rest = self.limits.seconds_to_retry(self._deferred - _BUSY_IN_A_ROW) or self.limits.patience_seconds
        if isinstance(error, Deferred) and error.retry_after:
            # Said of the whole account (Retry-After), so the other mails wait as well.
            if error.retry_after > self.limits.patience_seconds:
                raise self._with_time(error) from error.__cause__
            rest = max(rest, error.retry_after)
        if rest:
            self._rests_until = time.monotonic() + rest

    def _send(self, claim: str, claimed: ClaimedMail, shared: SharedContents) -> SendError | None:
        """Send the mail that was just begun, and keep its outcome; return the failure, if there was one."""
        assert self.transport is not None  # noqa: S101 - connected before the mail was begun
        transport = self.transport
        error: SendError | None = None
        changes, tries, before = self.store.changes, claimed.tries, claimed.before
        attempt = outcomes.Attempt(changes, claimed.id, claim, self.limits, tries, before)
        archive: frozenset[str] = frozenset()
        try:
            mail = self.store.journal.mail(claimed.id, shared)
            attempt.everybody, archive = mail.recipients, mail.archive
            result = transport.send(mail, notify=attempt.notify)
        except SendError as exc:
            error = exc
            # A mail over which the connection breaks twice in a row is the reason, perhaps: the others go first.
            breaks_it = isinstance(exc, ConnectError) and exc.phase not in outcomes.BEFORE_A_MAIL
            is_its_own = breaks_it and self._broke_over == claimed.id
            self._broke_over = claimed.id if breaks_it else self._broke_over
            outcome = attempt.failure(exc, is_its_own=is_its_own)
            if outcomes.wants_another_connection(exc) and self._on_connection:
                outcome = replace(outcome, not_before=None)  # it is about the connection, not this mail
        except BaseException as exc:
            in_doubt = bool(attempt.everybody) and transport.in_doubt
            attempt.everybody = attempt.everybody or self.queue.missing_from(claimed.id)
            outcome = attempt.interrupt(exc, in_doubt=in_doubt)
            if not isinstance(exc, MessageError):
                self._keep(outcome, None)
                raise
            self.hang_up()  # in the middle of a mail, perhaps
        else:
            outcome = attempt.success(result)
            if result.refused and (error := outcomes.limit_in(result, self.settings.account.host)):
                outcome = replace(outcome, not_before=None)  # the rest goes with the next run
            self._on_connection += 1
        self._keep(outcome, error)
        if before is None:  # what is said of a mail that may have arrived before is perhaps about that
            self.alike.notify(outcome, error, archive)
        if self.alike.error is not None:
            self.control.wake()
        if self._on_connection >= self.limits.mails_per_connection:
            self._write_down(claim)
            self.hang_up()
        return error

    def _keep(self, outcome: Outcome, error: SendError | None) -> None:
        """Keep an outcome until the next step writes it down, and count it now: every mail is counted."""
        self._outcome = outcome
        self.progress.notify(outcome, error)

    def _write_down(self, claim: str) -> None:
        """Write down what became of the last mail, before something else than the next one comes."""
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            return
        try:
            self.queue.settle(claim, outcome)
        except DocmailError as exc:
            if outcome.state != State.SENT:
                raise
            raise not_written_down(exc) from exc

    # --- the connection ---

    @property
    def gets_through(self) -> bool:
        """Whether a mail has gone over this connection."""
        return self._on_connection > 0

    @property
    def _is_connected(self) -> bool:
        return self.transport is not None and self.transport.is_open

    def _connect(self) -> None:
        """Open a connection; after a failure that may pass, wait."""
        self.hang_up()
        transport = self._closed or open_transport(self.settings, capabilities=self.servers)
        self.transport = self._closed = transport
        if self.control.stopped:  # abort() may have come before there was anything to abort
            return
        try:
            transport.open()
        except SendError as exc:
            self.transport = None
            self._failures += 1
            if (
                exc.phase == Phase.AUTH
                or not outcomes.about_connection(exc)
                or self._failures > len(self.limits.reconnect_seconds)
            ):
                raise self._with_time(exc) from exc.__cause__
            self._sleep(self.limits.reconnect_seconds[self._failures - 1])
        except BaseException:
            self.transport = None
            raise

    def hang_up(self) -> None:
        """Say good-bye to the server."""
        transport, self.transport = self.transport, None
        self._on_connection = 0
        if transport is not None:
            transport.close()

    # --- waiting ---

    def _with_time(self, error: SendError) -> SendError:
        """Return the error that stops the run: a limit also says when the rest can be sent."""
        hint = error.hint
        if seconds := getattr(error, "retry_after", None):
            moment = time.time() + min(seconds, DAY_SECONDS)
            hint = _("Run the rest after {time:%Y-%m-%d %H:%M}.").format(time=_local(moment))
            hint = f"{outcomes.beyond_a_day(error)} {hint}".strip()
        elif error.kind is Kind.LIMIT and (first := self.queue.first_sent(time.time() - DAY_SECONDS)):
            hint += " " + _(
                "The daily limit allows more mails from {time:%Y-%m-%d %H:%M} on, 24 hours after the first of these."
            ).format(time=_local(first + DAY_SECONDS))
        stopping = copy(error).with_traceback(error.__traceback__)
        stopping.hint = hint
        return stopping

    def _seconds_to_the_next(self) -> float | None:
        """Return how long to wait for a mail that may go; None if none comes in time."""
        if self.control.resends or self.control.retries or (self.control.puts_back and self.queue.refused_alike()):
            return 0.0
        moment = self.queue.next_waiting()
        wait = None if moment is None else max(moment - time.time(), 0.0)
        if wait is None or wait > self.limits.patience_seconds:
            return None
        _number, first = self.queue.later  # one that comes due while it waits for another goes then
        return wait if first is None else max(min(wait, first.timestamp() - time.time()), 0.0)

    def _sleep(self, seconds: float | None) -> None:
        if seconds is None or seconds > self.limits.idle_seconds:
            self.hang_up()
        self.control.sleep(seconds)

    # --- rehearsing ---

    def rehearse(self, address: Address) -> None:
        """Send copies of the first mails to oneself; nothing is written down, because nothing was sent."""
        for number in self.queue.first_waiting(self.progress.limit):
            if self.control.stopped:
                break
            if not self._is_connected:
                self.hang_up()
                self.transport = self._closed = self._closed or open_transport(self.settings, capabilities=self.servers)
                self.transport.open()
            if wait := self.rate.wait_seconds():
                self._sleep(wait)
            assert self.transport is not None  # noqa: S101 - connected above
            self.transport.send(redirected(self.store.journal.mail(number), address, self.settings))
            self.queue.reserve_time(self.rate.interval)
            self.progress.rehearsed += 1


def not_written_down(failure: DocmailError) -> DocmailError:
    """Return the error for a mail that was sent, that could not be written down as sent."""
    # The row stays “sending”, and becomes unknown when the outbox is next opened: nothing sends it by itself.
    return DocmailError(
        _("The mail was sent, but this could not be recorded. {reason}").format(reason=failure.message),
        hint=_("Do not send it again; first make room on the disk, or allow writing to the folder."),
        guide=Guide.SENDING,
    )


def _local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone()
