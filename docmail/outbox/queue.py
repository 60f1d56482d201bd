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
    def where(self) -> str:
        """The condition for those that wait."""
        return "state = 'queued' AND owner IS NULL AND account = ? AND (? IS NULL OR batch = ?)"

    @property
    def parameters(self) -> tuple[str | None, ...]:
        """The values for its question marks."""
        return (self.account, self.batch, self.batch)


_MISSED = "EXISTS (SELECT 1 FROM recipient WHERE mail = id AND role != 'archive' AND recipient.state"

PARTLY = f"state = 'sent' AND (? IS NULL OR batch = ?) AND {_MISSED} != 'sent')"
"""The condition for mails of a batch that were sent, but not to everybody; the archive is nobody."""

GIVEN_UP = (
    "state IN ('sent', 'refused', 'failed') AND current AND NOT single AND owner IS NULL AND head IS NOT NULL"
    f" AND (? IS NULL OR batch = ?) AND {_MISSED} IN ('refused', 'failed'))"
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
            f"SELECT id, tries FROM mail WHERE {waiting.where}"  # noqa: S608 - conditions are ours
            " AND (not_before IS NULL OR not_before <= ? OR put_off > ?) ORDER BY id LIMIT 1",
            (*waiting.parameters, now, now + _JUMP),
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
            self.value(
                "SELECT min(CASE WHEN not_before IS NULL OR put_off > ? THEN 0.0 ELSE not_before END) FROM mail"  # noqa: S608 - ours
                f" WHERE {waiting.where}",
                (now + _JUMP, *waiting.parameters),
            ),
        )

    def first_waiting(self, waiting: Waiting, limit: int | None) -> list[int]:
        """Return the numbers of the first of these mails."""
        with self._lock, self._translated():
            found = self._database.execute(
                f"SELECT id FROM mail WHERE {waiting.where} ORDER BY id LIMIT ?",  # noqa: S608 - conditions are ours
                (*waiting.parameters, -1 if limit is None else limit),
            ).fetchall()
        return [row["id"] for row in found]

    def count_waiting(self, waiting: Waiting) -> int:
        """Return how many of these mails there are."""
        return int(self.value(f"SELECT count(*) FROM mail WHERE {waiting.where}", waiting.parameters))  # noqa: S608 - ours

    def last_waiting(self, waiting: Waiting) -> int:
        """Return the number of the newest of these mails; 0 if there is none."""
        return int(self.value(f"SELECT max(id) FROM mail WHERE {waiting.where}", waiting.parameters) or 0)  # noqa: S608 - ours

    def count_recipients(self, waiting: Waiting, *, again: Sequence[int] = (), retried: bool = False) -> int:
        """Return to how many different addresses these mails go, and those that are sent again or retried."""
        numbers = ", ".join("?" * len(again))
        return int(
            self.value(
                "SELECT count(DISTINCT lower(address)) FROM recipient WHERE role != 'archive'"  # noqa: S608 - ours
                f" AND recipient.state != 'sent' AND (mail IN (SELECT id FROM mail WHERE {waiting.where})"
                f" OR mail IN ({numbers}) OR mail IN (SELECT id FROM mail WHERE ? AND account = ? AND {GIVEN_UP}))",
                (*waiting.parameters, *again, retried, waiting.account, waiting.batch, waiting.batch),
            )
        )

    def recipients(self, number: int) -> tuple[str, ...]:
        """Return the addresses of a mail that have not got it yet."""
        with self._lock, self._translated():
            found = self._database.execute(
                "SELECT address FROM recipient WHERE mail = ? AND state IN ('queued', 'sending')", (number,)
            ).fetchall()
        return tuple(row["address"] for row in found)

    def shared_contents(self, waiting: Waiting) -> list[tuple[str, int]]:
        """Return SHA-256 and size of the contents that several of these mails have, the one with most mails first."""
        with self._lock, self._translated():
            found = self._database.execute(
                "SELECT sha256, size FROM attachment JOIN mail ON mail.id = attachment.mail"  # noqa: S608 - ours
                f" WHERE {waiting.where} GROUP BY sha256 HAVING count(*) > 1 ORDER BY count(*) DESC",
                waiting.parameters,
            ).fetchall()
        return [(row["sha256"], row["size"]) for row in found]

    def content(self, sha256: str) -> SpoolFile:
        """Return a content of the spool."""
        return self._spool.file(sha256)

    # --- those that were given up on ---

    def retry(self, batch: str | None) -> int:
        """Put the mails back into the queue that failed or were refused; return how many.

        They go to those who have not got them. The mails of `send()` are not among them.
        """
        with self._transaction() as database:
            found = database.execute(f"SELECT id FROM mail WHERE {GIVEN_UP}", (batch, batch)).fetchall()  # noqa: S608 - ours
            numbers = [(row["id"],) for row in found]
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
            self.value("SELECT min(sent_at) FROM mail WHERE account = ? AND sent_at >= ?", (account, since)),
        )

    def rate(self, account: str) -> str | None:
        """Return the rate that a person has set for an account."""
        return cast("str | None", self.value("SELECT rate FROM pace WHERE account = ?", (account,)))

    def set_rate(self, account: str, rate: str) -> None:
        """Remember the rate of an account."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO pace (account, rate) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET rate = ?",
                (account, rate, rate),
            )

    def next_at(self, account: str) -> float | None:
        """Return when the account's next mail may go."""
        return cast("float | None", self.value("SELECT next_at FROM pace WHERE account = ?", (account,)))

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
