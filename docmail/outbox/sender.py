"""Sends what waits in the queue over a connection: the loop of a run, and what it does when something goes wrong.

What became of a mail and that the next one begins is one durable step, taken before the next one's first byte leaves.
So at every moment at most one mail of a connection is in doubt, and whoever is killed leaves the others as they are.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from docmail.errors import ConnectError, Deferred, DocmailError, Kind, MessageError, SendError
from docmail.language import _
from docmail.outbox import outcomes
from docmail.outbox.rate import RECONNECT_SECONDS, Pace, retry_seconds
from docmail.outbox.rehearsal import redirected
from docmail.outbox.shared_contents import SharedContents
from docmail.transport import Transport, open_transport

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from docmail.addresses import Address
    from docmail.outbox.changes import Settled
    from docmail.outbox.queue import QueueStore, Taken, Waiting
    from docmail.settings import Settings

MAILS_PER_CONNECTION = 200  # some servers take no more, and a new connection costs no more than three mails
IDLE_SECONDS = 20.0  # servers hang up on those who wait longer; a good-bye is more polite
PATIENCE_SECONDS = 600.0
"""How long a run waits for the mails that were put off; what takes longer is left to the next run."""
_BUSY_IN_A_ROW = 3  # mails put off one after the other: it is the server, not they
_DAY = 86400.0


class Control(Protocol):
    """Whoever steers a run, and hears of it."""

    rehearsed: int
    resends: deque[int]
    """Mails in doubt that a person sends again: before those that wait, as soon as there is a connection."""

    @property
    def is_enough(self) -> bool:
        """Whether as many mails have gone as were asked for."""

    @property
    def stopped(self) -> bool:
        """Whether it shall end."""

    @property
    def paused(self) -> bool:
        """Whether it shall wait."""

    def sleep(self, seconds: float | None) -> None:
        """Wait, or until something else is wanted; None is until then."""

    def tell(self, settled: Settled, error: SendError | None) -> None:
        """Hear what became of a mail."""

    @property
    def is_to_retry(self) -> bool:
        """Whether mails are to be put back into the queue that failed or were refused."""

    def put_back(self) -> None:
        """Put them back, now that there is a connection."""


class ExtraConnections(Protocol):
    """The further connections of a run, as the first one sees them."""

    def go_on(self, attempt: str, shared: SharedContents, first: Transport) -> None:
        """Have one more of them begin, if there is work for it."""

    def end(self) -> bool:
        """Return when none of them sends any more and all is written down; whether there was any."""

    def error(self) -> SendError | None:
        """Return, once, a failure that one ended with, if the first has to judge it as one of its own."""


class Sender:
    """One connection, and the mails that go over it."""

    def __init__(  # noqa: PLR0913 - what it sends, how, and who steers
        self,
        store: QueueStore,
        settings: Settings,
        waiting: Waiting,
        *,
        pace: Pace,
        control: Control,
        limit: int | None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._waiting = waiting
        self._pace = pace
        self._control = control
        self._limit = limit
        self._transport: Transport | None = None
        self._closed: Transport | None = None  # which may be opened again, and knows what its server cannot do
        self._on_connection = 0
        self._settled: Settled | None = None  # what became of the last mail, as long as it is not written down
        self._failures = 0  # of the connection, in a row
        self._broke_over: int | None = None  # the mail over which it failed last
        self._put_off = 0  # mails, in a row
        self._rests_until = 0.0  # by the clock that nobody sets; the server wants nothing before

    def abort(self) -> None:
        """Break off the mail that is on its way, from another thread, unless its last byte has gone."""
        transport = self._transport
        if transport is not None and not transport.in_doubt:
            with suppress(OSError):
                transport.abort()

    def send_all(self, attempt: str, helpers: ExtraConnections) -> None:
        """Send what waits, until nothing does, somebody stops it, or every mail would meet the same failure.

        Of a long queue, the helpers send a part.
        """
        shared = SharedContents(self._store, self._waiting)
        try:
            while not self._control.stopped and not self._control.is_enough:
                if error := helpers.error():
                    self._judge(error)
                if self._has_to_wait(attempt, helpers):
                    continue
                if not self._is_connected:
                    self._write_down(attempt)
                    if (wait := self._seconds_to_the_next()) is None:
                        if helpers.end():
                            continue  # what they have put off is waited for here
                        break
                    self._sleep(wait) if wait else self._connect()
                    continue
                taken = self._take(attempt)
                if taken is None:
                    self.hang_up()
                    continue
                error = self._send(attempt, taken, shared)
                if error is None and self._transport is not None:
                    helpers.go_on(attempt, shared, self._transport)
                self._judge(error)
        finally:
            try:
                helpers.end()
            finally:
                self._write_down(attempt)
        if error := helpers.error():
            self._judge(error)

    def send_beside(
        self, transport: Transport, attempt: str, shared: SharedContents, is_over: Callable[[], bool]
    ) -> None:
        """Send what waits over this connection until `is_over`; raise the first failure that is not one mail's own."""
        self._transport = transport
        try:
            transport.open()
            while self._is_connected and not (is_over() or self._control.stopped or self._control.paused):
                taken = self._take(attempt)
                if taken is None:
                    break
                error = self._send(attempt, taken, shared)
                self._put_off = self._put_off + 1 if isinstance(error, Deferred) else 0
                if error is not None and (outcomes.is_about_all(error) or self._put_off >= _BUSY_IN_A_ROW):
                    raise error
        finally:
            try:
                self._write_down(attempt)
            finally:
                self.hang_up()

    def _take(self, attempt: str) -> Taken | None:
        """Write down what became of the last mail, and begin the next."""
        if self._control.is_to_retry:
            self._control.put_back()
        again = None
        with suppress(IndexError):
            again = self._control.resends.popleft()
        taken = self._store.advance(attempt, self._settled, self._waiting, interval=self._pace.interval, again=again)
        self._settled = None
        return taken

    def _has_to_wait(self, attempt: str, helpers: ExtraConnections) -> bool:
        """Wait as long as somebody has paused the run, or as the account's rate wants; say whether that was so."""
        rest = max(self._rests_until - time.monotonic(), 0.0)
        wait = None if self._control.paused else max(self._pace.wait_seconds(), rest)
        if wait == 0:
            return False
        helpers.end()
        self._write_down(attempt)
        self._sleep(wait)
        return True

    def _judge(self, error: SendError | None) -> None:
        """Go on after a mail, or raise what every further one would meet."""
        if error is not None and outcomes.about_connection(error):
            self._failures += 1
            if self._failures > len(RECONNECT_SECONDS):
                raise error
            return
        self._failures = 0
        if error is not None and outcomes.stops_a_run(error):
            raise self._with_time(error)
        self._put_off = self._put_off + 1 if isinstance(error, Deferred) else 0
        rest = 0.0
        if self._put_off >= _BUSY_IN_A_ROW:
            rest = retry_seconds(self._put_off - _BUSY_IN_A_ROW, None) or PATIENCE_SECONDS
        if isinstance(error, Deferred) and error.retry_after:
            # Said of the whole account (Retry-After), so the other mails wait as well.
            if error.retry_after > PATIENCE_SECONDS:
                raise self._with_time(error)
            rest = max(rest, error.retry_after)
        if rest:
            self._rests_until = time.monotonic() + rest

    def _send(self, attempt: str, taken: Taken, shared: SharedContents) -> SendError | None:
        """Send the mail that was just begun, and keep the verdict; return the failure, if there was one."""
        assert self._transport is not None  # noqa: S101 - connected before the mail was begun
        transport, everybody = self._transport, tuple[str, ...]()
        error: SendError | None = None
        repeatable = taken.before is None  # a doubt does not wait in the queue for somebody to send it unasked
        known = outcomes.Known(self._store, taken.id, attempt, repeatable=repeatable, again=not repeatable)
        transport.notify = known.notify
        try:
            mail = self._store.mail(taken.id, shared)
            everybody = mail.recipients
            result = transport.send(mail)
        except SendError as exc:
            error = exc
            # A mail over which the connection breaks twice in a row is the reason, perhaps: the others go first.
            breaks_it = isinstance(exc, ConnectError) and exc.phase not in outcomes.BEFORE_A_MAIL
            put_off = breaks_it and self._broke_over == taken.id
            self._broke_over = taken.id if breaks_it else self._broke_over
            self._settled = outcomes.of_failure(
                taken.id, everybody, exc, repeatable=repeatable, tries=taken.tries, put_off=put_off
            )
            if outcomes.wants_another_connection(exc) and self._on_connection:
                self._settled = replace(self._settled, not_before=None)  # it is about the connection, not this mail
        except BaseException as exc:
            everybody = everybody or self._store.recipients(taken.id)
            in_doubt = bool(everybody) and transport.in_doubt
            self._settled = outcomes.of_interrupt(
                taken.id, everybody, exc, in_doubt=in_doubt, repeatable=repeatable, known=known.outcomes
            )
            if not isinstance(exc, MessageError):
                self._tell(taken, None)
                raise
            self.hang_up()  # in the middle of a mail, perhaps
        else:
            self._settled = outcomes.of_success(taken.id, everybody, result, repeatable=repeatable, tries=taken.tries)
            if result.refused and (error := outcomes.limit_in(result, self._settings.account.host)):
                self._settled = replace(self._settled, not_before=None)  # the rest goes with the next run
            self._on_connection += 1
        self._tell(taken, error)
        if self._on_connection >= MAILS_PER_CONNECTION:
            self._write_down(attempt)
            self.hang_up()
        return error

    def _tell(self, taken: Taken, error: SendError | None) -> None:
        """Say what became of a mail, before it is written down: every mail is counted."""
        assert self._settled is not None  # noqa: S101 - the verdict on this mail
        if taken.before is not None:
            self._settled = outcomes.of_repetition(self._settled, taken.before)
        self._control.tell(self._settled, error)

    def _write_down(self, attempt: str) -> None:
        """Write down what became of the last mail, before something else than the next one comes."""
        settled, self._settled = self._settled, None
        if settled is None:
            return
        try:
            self._store.advance(attempt, settled, None)
        except DocmailError as exc:
            if settled.state != "sent":
                raise
            raise not_written_down(exc) from exc

    # --- the connection ---

    @property
    def gets_through(self) -> bool:
        """Whether a mail has gone over this connection."""
        return self._on_connection > 0

    @property
    def _is_connected(self) -> bool:
        # HTTP has a connection for each mail, and makes it itself.
        return self._transport is not None and bool(getattr(self._transport, "is_open", True))

    def _connect(self) -> None:
        """Open a connection; after a failure that may pass, wait."""
        self.hang_up()
        transport = self._closed or open_transport(self._settings)
        self._transport = self._closed = transport
        if self._control.stopped:  # abort() may have come before there was anything to break off
            return
        try:
            transport.open()
        except SendError as exc:
            self._transport = None
            self._failures += 1
            if exc.phase == "auth" or not outcomes.about_connection(exc) or self._failures > len(RECONNECT_SECONDS):
                self._with_time(exc)
                raise
            self._sleep(RECONNECT_SECONDS[self._failures - 1])
        except BaseException:
            self._transport = None
            raise

    def hang_up(self) -> None:
        """Say good-bye to the server."""
        transport, self._transport = self._transport, None
        self._on_connection = 0
        if transport is not None:
            transport.close()

    # --- waiting ---

    def _with_time(self, error: SendError) -> SendError:
        """Add to a limit when the run can go on: as the server says, or as the record of sent mail tells."""
        if seconds := getattr(error, "retry_after", None):
            error.hint = _("Run the rest after {time:%Y-%m-%d %H:%M}.").format(time=_local(time.time() + seconds))
        elif error.kind is Kind.LIMIT and (first := self._store.first_sent(self._waiting.account, time.time() - _DAY)):
            error.hint += " " + _(
                "A daily limit begins to ease on {time:%Y-%m-%d %H:%M}, 24 hours after the first of these mails."
            ).format(time=_local(first + _DAY))
        return error

    def _seconds_to_the_next(self) -> float | None:
        """Return how long to wait for a mail that may go; None if none comes in time."""
        if self._control.resends or self._control.is_to_retry:
            return 0.0
        moment = self._store.next_waiting(self._waiting)
        wait = None if moment is None else max(moment - time.time(), 0.0)
        return None if wait is None or wait > PATIENCE_SECONDS else wait

    def _sleep(self, seconds: float | None) -> None:
        if seconds is None or seconds > IDLE_SECONDS:
            self.hang_up()
        self._control.sleep(seconds)

    # --- rehearsing ---

    def rehearse(self, address: Address) -> None:
        """Send copies of the first mails to oneself; nothing is written down, because nothing was sent."""
        for number in self._store.first_waiting(self._waiting, self._limit):
            if self._control.stopped:
                break
            if not self._is_connected:
                self.hang_up()
                self._transport = self._closed = self._closed or open_transport(self._settings)
                self._transport.open()
            if wait := self._pace.wait_seconds():
                self._sleep(wait)
            assert self._transport is not None  # noqa: S101 - connected above
            self._transport.send(redirected(self._store.mail(number), address, self._settings))
            self._store.reserve_time(self._waiting.account, self._pace.interval)
            self._control.rehearsed += 1


def not_written_down(failure: DocmailError) -> DocmailError:
    """Return the error for a mail that was sent, of which the journal could not be told."""
    # The row stays “sending”, and becomes unknown when the outbox is next opened: nothing sends it by itself.
    return DocmailError(
        _("The mail was sent, but this could not be written down. {reason}").format(reason=failure.message),
        hint=_("Do not send it again; free the disk or the folder first."),
        guide="Sending",
    )


def _local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone()
