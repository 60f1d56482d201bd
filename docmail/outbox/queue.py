"""What a run asks of the journal: which mail is next, what became of the last one, how fast the account may send."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from docmail.errors import DocmailError
from docmail.outbox.changes import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docmail.outbox.changes import Settled
    from docmail.outbox.rows import Row
    from docmail.outbox.spool import SpoolFile

_JUMP = 60.0  # seconds; a clock that says earlier than this before something that happened was set back


@dataclass(frozen=True)
class Waiting:
    """Which mails a run is about: those of an account, or of one of its batches."""

    account: str
    batch: str | None = None

    @property
    def values(self) -> tuple[str | None, ...]:
        """What stands for the question marks of the condition for those that wait."""
        return (self.account, self.batch, self.batch)


_IN_BATCH = "(? IS NULL OR batch = ?)"
"""The condition for mails of a batch, or of any (NULL)."""

_WAITING = f"state = 'queued' AND owner IS NULL AND account = ? AND {_IN_BATCH}"
"""The condition for mails that wait; `Waiting.values` are its values."""

_MISSED = "EXISTS (SELECT 1 FROM recipient WHERE mail = id AND role != 'archive' AND recipient.state"

_PARTLY_SENT = f"state = 'sent' AND {_IN_BATCH} AND {_MISSED} != 'sent')"
"""The condition for mails of a batch that were sent, but not to everybody; the archive does not count."""

_UNDELIVERED = (
    "state IN ('sent', 'refused', 'failed') AND current AND NOT single AND owner IS NULL AND head IS NOT NULL"
    f" AND {_IN_BATCH} AND {_MISSED} IN ('refused', 'failed'))"
)
"""The condition for mails of a batch that somebody certainly has not got, and that nobody tries to send any more."""


@dataclass(frozen=True)
class Taken:
    """A mail that is now being sent, and how often it was put off before.

    `before` is how it was if it does not come from the queue: a person sends it again.
    """

    id: int
    tries: int
    before: Row | None = None


class QueueStore(Store):
    """The journal in one folder, with its queue."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._got: dict[int, tuple[str, ...]] = {}  # who got a mail from here: only an older copy queues it for them

    def advance(
        self,
        attempt: str,
        settled: Settled | None,
        waiting: Waiting | None,
        *,
        interval: float = 0.0,
        again: int | None = None,
    ) -> Taken | None:
        """Write down what became of one mail and begin the next, in one durable step; return that one, if any waits.

        The next is `again`, if nobody knows of that mail whether it arrived, or the first that waits.

        On a full disk, what became of the mail is written in the space kept for that, no other begins, and it raises.
        """

        def settle() -> None:
            if settled is not None:
                got = [address for address, (state, _reply) in settled.recipients.items() if state == "sent"]
                if got:
                    self._got[settled.number] = (*self._got.get(settled.number, ()), *got)
                self._settle(attempt, settled)

        def settle_alone() -> None:
            with self._transaction():
                settle()

        try:
            with self._transaction():
                settle()
                return self._begin_next(attempt, waiting, interval, again) if waiting is not None else None
        except DocmailError:
            if settled is not None:
                self._even_if_full(settle_alone)
            if waiting is not None:
                raise
            return None

    def _begin_next(self, attempt: str, waiting: Waiting, interval: float, again: int | None) -> Taken | None:
        before = self._begin_again(again, attempt, "unknown") if again is not None else None
        taken = Taken(before.id, 0, before) if before is not None else self._next(waiting)
        if taken is None:
            return None
        if before is None:
            self._begin(taken.id, attempt, claims=True)
        self._reserve_time(waiting.account, interval)
        return taken

    def _next(self, waiting: Waiting) -> Taken | None:
        now = time.time()
        row = self._database.execute(
            f"SELECT id, tries FROM mail WHERE {_WAITING}"  # noqa: S608 - conditions are ours
            " AND (not_before IS NULL OR not_before <= ? OR put_off > ?) ORDER BY id LIMIT 1",
            (*waiting.values, now, now + _JUMP),
        ).fetchone()
        if row is None:
            return None
        if (got := self._got.get(row["id"])) and not set(got).isdisjoint(self.recipients(row["id"])):
            raise self._journal.went_back()
        return Taken(row["id"], row["tries"])

    # --- looking ahead ---

    def next_waiting(self, waiting: Waiting) -> float | None:
        """Return when the first of these mails may go (0.0: now); None if none waits."""
        now = time.time()
        return cast(
            "float | None",
            self._value(
                "SELECT min(CASE WHEN not_before IS NULL OR put_off > ? THEN 0.0 ELSE not_before END) FROM mail"  # noqa: S608 - ours
                f" WHERE {_WAITING}",
                (now + _JUMP, *waiting.values),
            ),
        )

    def first_waiting(self, waiting: Waiting, limit: int | None) -> list[int]:
        """Return the numbers of the first of these mails."""
        question = f"SELECT id FROM mail WHERE {_WAITING} ORDER BY id LIMIT ?"  # noqa: S608 - conditions are ours
        return self._numbers(question, (*waiting.values, -1 if limit is None else limit))

    def count_waiting(self, waiting: Waiting) -> int:
        """Return how many of these mails there are."""
        return int(self._value(f"SELECT count(*) FROM mail WHERE {_WAITING}", waiting.values))  # noqa: S608 - ours

    def last_waiting(self, waiting: Waiting) -> int:
        """Return the number of the newest of these mails; 0 if there is none."""
        return int(self._value(f"SELECT max(id) FROM mail WHERE {_WAITING}", waiting.values) or 0)  # noqa: S608 - ours

    def count_recipients(self, waiting: Waiting, *, again: Sequence[int] = (), retried: bool = False) -> int:
        """Return to how many different addresses these mails go, and those that are sent again or retried."""
        numbers = ", ".join("?" * len(again))
        return int(
            self._value(
                "SELECT count(DISTINCT lower(address)) FROM recipient WHERE role != 'archive'"  # noqa: S608 - ours
                f" AND recipient.state != 'sent' AND (mail IN (SELECT id FROM mail WHERE {_WAITING})"
                f" OR mail IN ({numbers}) OR mail IN (SELECT id FROM mail WHERE ? AND account = ? AND {_UNDELIVERED}))",
                (*waiting.values, *again, retried, *waiting.values),
            )
        )

    def recipients(self, number: int) -> tuple[str, ...]:
        """Return the addresses of a mail that have not got it yet."""
        question = "SELECT address FROM recipient WHERE mail = ? AND state IN ('queued', 'sending')"
        return tuple(address for (address,) in self._ask(question, (number,)))

    def shared_contents(self, waiting: Waiting) -> list[tuple[str, int]]:
        """Return SHA-256 and size of the contents that several of these mails have, the one with most mails first."""
        found = self._ask(
            "SELECT sha256, size FROM attachment JOIN mail ON mail.id = attachment.mail"  # noqa: S608 - ours
            f" WHERE {_WAITING} GROUP BY sha256 HAVING count(*) > 1 ORDER BY count(*) DESC",
            waiting.values,
        )
        return [(sha256, size) for sha256, size in found]

    def content(self, sha256: str) -> SpoolFile:
        """Return a content of the spool."""
        return self._spool.file(sha256)

    # --- what became of a batch (None: of the whole outbox) ---

    def count_current(self, batch: str | None) -> dict[str, int]:
        """Return how many mails are in each state; those whose key a later mail has are left out."""
        question = f"SELECT state, count(*) FROM mail WHERE current AND {_IN_BATCH} GROUP BY state"  # noqa: S608 - ours
        return self._counts(question, (batch, batch))

    def first_in(self, state: str, batch: str | None, limit: int) -> list[Row]:
        """Return the first of the mails in a state, again without those whose key a later mail has."""
        return self._first(f"state = ? AND current AND {_IN_BATCH}", (state, batch, batch), limit)

    def count_queued(self, batch: str | None) -> int:
        """Return how many mails wait, or are about to be sent, whoever sends them."""
        return self._count(f"state = 'queued' AND {_IN_BATCH}", batch)

    def first_queued(self, batch: str | None, limit: int) -> list[Row]:
        """Return the first of them."""
        return self._first(f"state = 'queued' AND {_IN_BATCH}", (batch, batch), limit)

    def count_partly_sent(self, batch: str | None) -> int:
        """Return how many mails were sent, but not to everybody."""
        return self._count(_PARTLY_SENT, batch)

    def first_partly_sent(self, batch: str | None, limit: int) -> list[Row]:
        """Return the first of them."""
        return self._first(_PARTLY_SENT, (batch, batch), limit)

    def count_undelivered(self, batch: str | None) -> int:
        """Return how many mails `retry` puts back into the queue."""
        return self._count(_UNDELIVERED, batch)

    def _count(self, condition: str, batch: str | None) -> int:
        return int(self._value(f"SELECT count(*) FROM mail WHERE {condition}", (batch, batch)))  # noqa: S608 - ours

    def _first(self, condition: str, values: tuple[str | None, ...], limit: int) -> list[Row]:
        question = f"SELECT id FROM mail WHERE {condition} ORDER BY id LIMIT ?"  # noqa: S608 - ours
        return self.rows(self._numbers(question, (*values, limit)))

    def retry(self, batch: str | None) -> int:
        """Put the mails back into the queue that failed or were refused; return how many.

        They go to those who have not got them. The mails of `send()` are not among them.
        """
        with self._transaction() as database:
            question = f"SELECT id FROM mail WHERE {_UNDELIVERED}"  # noqa: S608 - ours
            numbers = [(number,) for number in self._numbers(question, (batch, batch))]
            database.executemany(
                "UPDATE recipient SET state = 'queued' WHERE mail = ? AND state IN ('refused', 'failed')", numbers
            )
            database.executemany("UPDATE mail SET state = 'queued', tries = 0, not_before = NULL WHERE id = ?", numbers)
        return len(numbers)

    # --- the pace of an account ---

    def first_sent(self, account: str, since: float) -> float | None:
        """Return when the account's first mail since a moment was sent; None if there is none."""
        return cast(
            "float | None",
            self._value("SELECT min(sent_at) FROM mail WHERE account = ? AND sent_at >= ?", (account, since)),
        )

    def rate(self, account: str) -> str | None:
        """Return the rate that a person has set for an account."""
        return cast("str | None", self._value("SELECT rate FROM pace WHERE account = ?", (account,)))

    def set_rate(self, account: str, rate: str) -> None:
        """Remember the rate of an account."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO pace (account, rate) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET rate = ?",
                (account, rate, rate),
            )

    def next_at(self, account: str) -> float | None:
        """Return when the account's next mail may go."""
        return cast("float | None", self._value("SELECT next_at FROM pace WHERE account = ?", (account,)))

    def reserve_time(self, account: str, interval: float) -> None:
        """Have the account's next mail wait so much longer."""
        if interval:
            with self._transaction():
                self._reserve_time(account, interval)

    def _reserve_time(self, account: str, interval: float) -> None:
        if interval:
            self._database.execute(
                "INSERT INTO pace (account, next_at) VALUES (?, ?) ON CONFLICT (account)"
                " DO UPDATE SET next_at = max(next_at, ?) + ?",
                (account, time.time() + interval, time.time(), interval),
            )
