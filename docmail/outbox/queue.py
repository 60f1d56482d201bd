"""The queue of an account, or one batch of it: what waits, which mail is next, how fast it goes, what became of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from docmail.errors import DocmailError
from docmail.outbox.alike import is_about_recipient
from docmail.outbox.rows import State
from docmail.outbox.schema import LATE, RETURNED, STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from docmail.outbox.changes import Changes, Outcome
    from docmail.outbox.journal import Journal
    from docmail.outbox.rows import Row
    from docmail.outbox.spool import SpoolFile

_JUMP = 60.0  # seconds; a clock that says earlier than this before something that happened was set back

_IN_BATCH = "(? IS NULL OR batch = ?)"
"""The condition for mails of a batch, or of any (NULL)."""

_QUEUED = f"state = 'queued' AND owner IS NULL AND account = ? AND {_IN_BATCH}"
_WAITING = f"{_QUEUED} AND (send_at IS NULL OR send_at <= ?)"
"""The condition for mails that wait, without those that are due later; `Queue._waiting_now` are its values."""
_LATER = f"{_QUEUED} AND send_at > ?"
"""The condition for mails that are due later; it takes the same values."""

_MISSED = "EXISTS (SELECT 1 FROM recipient WHERE mail = id AND role != 'archive' AND recipient.state"
_RETURNED = f"EXISTS (SELECT 1 FROM recipient WHERE recipient.mail = mail.id AND role != 'archive' AND {RETURNED})"  # noqa: S608 - ours
_LATE = f"EXISTS (SELECT 1 FROM recipient WHERE recipient.mail = mail.id AND role != 'archive' AND {LATE})"  # noqa: S608 - ours


class Group(StrEnum):
    """Mails of a batch, or of the whole outbox, that are counted and listed together."""

    QUEUED = "queued"
    """They wait, or are about to be sent by any program."""
    REFUSED = "refused"
    """Refused and not sent since."""
    FAILED = "failed"
    """Failed and not sent since."""
    UNKNOWN = "unknown"
    """Nobody knows whether they were sent, and they were not sent again since."""
    PARTLY_SENT = "partly sent"
    """They were sent, but not to everybody; the archive does not count."""
    MISSED = "missed"
    """Somebody has not got them for certain, or they came back; the archive does not count."""
    BOUNCED = "bounced"
    """They came back from somebody; the archive does not count."""
    LATE = "late"
    """A server reported of somebody that it still tries, and has not given up; the archive does not count."""
    UNDELIVERED = "undelivered"
    """Somebody certainly has not got them, and nobody tries to send them any more: `retry` does."""


_UNDELIVERED = (
    "state IN ('sent', 'refused', 'failed') AND current AND NOT single AND owner IS NULL AND head IS NOT NULL"
    f" AND {_IN_BATCH} AND {_MISSED} IN ('refused', 'failed'))"
)
_GROUPS = {
    Group.QUEUED: f"state = 'queued' AND {_IN_BATCH}",
    Group.PARTLY_SENT: f"state = 'sent' AND {_IN_BATCH} AND {_MISSED} != 'sent')",
    Group.MISSED: (
        f"state IN ('sent', 'refused', 'failed') AND current AND {_IN_BATCH}"
        f" AND ({_MISSED} IN ('refused', 'failed')) OR {_RETURNED})"
    ),
    Group.LATE: f"state = 'sent' AND current AND {_IN_BATCH} AND {_LATE}",
    Group.BOUNCED: f"state = 'sent' AND current AND {_IN_BATCH} AND {_RETURNED}",
    Group.UNDELIVERED: _UNDELIVERED,
    **{each: f"state = '{each}' AND current AND {_IN_BATCH}" for each in (Group.REFUSED, Group.FAILED, Group.UNKNOWN)},
}


@dataclass(frozen=True)
class ClaimedMail:
    """A mail that is now being sent, and how often it was deferred before.

    `before` is how it was if it does not come from the queue: a person sends it again.
    """

    id: int
    tries: int
    before: Row | None = None


class Queue:
    """Waiting mails are counted for the account; groups and outcomes are those of the batch, or of the whole outbox.

    Each method that writes is one durable step, or a part of the caller's transaction.
    """

    def __init__(self, journal: Journal, changes: Changes, account: str = "", batch: str | None = None) -> None:
        self.account = account
        self.batch = batch
        self._values = account, batch, batch
        self._journal = journal
        self._changes = changes
        self._file = journal.file
        self._got: dict[int, set[str]] = {}  # who got a mail from here: only an older copy queues it for them

    @property
    def _waiting_now(self) -> tuple[str, str | None, str | None, float]:
        """The values of `_WAITING`, at this moment: by the clock on the wall, which may be set or have slept."""
        return (*self._values, time.time())

    def advance(
        self,
        claim: str,
        outcome: Outcome | None,
        *,
        interval: float = 0.0,
        again: int | None = None,
        fits: Callable[[Sequence[str]], bool] | None = None,
    ) -> ClaimedMail | None:
        """Write down what became of one mail and begin the next, in one durable step; return that one, if any waits.

        The next is `again`, if nobody knows of that mail whether it arrived, or the first that waits, unless its
        recipients do not fit into what the account may send.

        On a full disk, what became of the mail is written in the space kept for that, no other begins, and it raises.
        """
        try:
            with self._file.transaction():
                if outcome is not None:
                    self._remember(outcome)
                    self._changes.settle(claim, outcome)
                return self._begin_next(claim, interval, again, fits)
        except DocmailError:
            if outcome is not None:
                self._changes.settle_alone(claim, outcome)
            raise

    def settle(self, claim: str, outcome: Outcome) -> None:
        """Write down what became of a mail, and begin no other."""
        self._remember(outcome)
        self._changes.settle_alone(claim, outcome)

    def _remember(self, outcome: Outcome) -> None:
        if outcome.reached:
            self._got.setdefault(outcome.number, set()).update(outcome.reached)

    def _begin_next(
        self, claim: str, interval: float, again: int | None, fits: Callable[[Sequence[str]], bool] | None
    ) -> ClaimedMail | None:
        before = self._changes.begin_again(again, claim, State.UNKNOWN) if again is not None else None
        mail = ClaimedMail(before.id, 0, before) if before is not None else self._next()
        if mail is None or (before is None and fits is not None and not fits(self.missing_from(mail.id))):
            return None
        if before is None:
            self._changes.begin(mail.id, claim, claimed=False)
        self.reserve_time(interval)
        return mail

    def _next(self) -> ClaimedMail | None:
        now = time.time()
        found = self._file.ask(
            f"SELECT id, tries FROM mail WHERE {_WAITING}"  # noqa: S608 - conditions are ours
            " AND (not_before IS NULL OR not_before <= ? OR put_off > ?) ORDER BY id LIMIT 1",
            (*self._waiting_now, now, now + _JUMP),
        )
        for number, tries in found:
            if (got := self._got.get(number)) and not got.isdisjoint(self.missing_from(number)):
                raise self._file.went_back()
            return ClaimedMail(number, tries)
        return None

    # --- what waits ---

    def next_waiting(self) -> float | None:
        """Return when the first of the waiting mails may go (0.0: now); None if none waits."""
        return cast(
            "float | None",
            self._file.value(
                "SELECT min(CASE WHEN not_before IS NULL OR put_off > ? THEN 0.0 ELSE not_before END) FROM mail"  # noqa: S608 - ours
                f" WHERE {_WAITING}",
                (time.time() + _JUMP, *self._waiting_now),
            ),
        )

    @property
    def again_at(self) -> datetime | None:
        """When the next of the deferred mails is tried again."""
        moment = self.next_waiting()
        return datetime.fromtimestamp(moment, UTC) if moment else None

    @property
    def deferred(self) -> tuple[int, datetime | None]:
        """How many of the waiting mails may not go yet, and when the first of them may, whatever else waits."""
        now = time.time()
        question = f"SELECT count(*), min(not_before) FROM mail WHERE {_WAITING} AND not_before > ? AND put_off <= ?"  # noqa: S608 - ours
        ((number, moment),) = self._file.ask(question, (*self._waiting_now, now, now + _JUMP))
        return int(number), datetime.fromtimestamp(moment, UTC) if moment else None

    def first_waiting(self, limit: int | None) -> list[int]:
        """Return the numbers of the first of the waiting mails."""
        question = f"SELECT id FROM mail WHERE {_WAITING} ORDER BY id LIMIT ?"  # noqa: S608 - conditions are ours
        return self._file.numbers(question, (*self._waiting_now, -1 if limit is None else limit))

    @property
    def waiting(self) -> int:
        """How many mails wait, without those that are due later."""
        return int(self._file.value(f"SELECT count(*) FROM mail WHERE {_WAITING}", self._waiting_now))  # noqa: S608 - ours

    @property
    def later(self) -> tuple[int, datetime | None]:
        """How many mails are due later, and when the first of them is."""
        question = f"SELECT count(*), min(send_at) FROM mail WHERE {_LATER}"  # noqa: S608 - ours
        ((number, moment),) = self._file.ask(question, self._waiting_now)
        return int(number), datetime.fromtimestamp(moment, UTC) if moment else None

    def count_recipients(self, *, again: Sequence[int] = (), retried: bool = False) -> int:
        """Return to how many different addresses these mails go, and those that are sent again or retried."""
        numbers = ", ".join("?" * len(again))
        return int(
            self._file.value(
                "SELECT count(DISTINCT lower(address)) FROM recipient WHERE role != 'archive'"  # noqa: S608 - ours
                f" AND recipient.state != 'sent' AND (mail IN (SELECT id FROM mail WHERE {_WAITING})"
                f" OR mail IN ({numbers}) OR mail IN (SELECT id FROM mail WHERE ? AND account = ? AND {_UNDELIVERED}))",
                (*self._waiting_now, *again, retried, *self._values),
            )
        )

    def doubles(self, most: int, *, again: Sequence[int] = (), retried: bool = False) -> tuple[int, dict[str, int]]:
        """Return how many addresses get more than one of these mails, and the first of them with how many each gets."""
        numbers = ", ".join("?" * len(again))
        several = (
            "SELECT min(address), count(DISTINCT mail) AS mails FROM recipient WHERE role != 'archive'"  # noqa: S608 - ours
            f" AND recipient.state != 'sent' AND (mail IN (SELECT id FROM mail WHERE {_WAITING})"
            f" OR mail IN ({numbers}) OR mail IN (SELECT id FROM mail WHERE ? AND account = ? AND {_UNDELIVERED}))"
            " GROUP BY lower(address) HAVING count(DISTINCT mail) > 1 ORDER BY mails DESC, min(mail)"
        )
        found = self._file.counts(several, (*self._waiting_now, *again, retried, *self._values))
        return len(found), dict(list(found.items())[:most])

    def missing_from(self, number: int) -> tuple[str, ...]:
        """Return the addresses of a mail that have not got it yet."""
        question = "SELECT address FROM recipient WHERE mail = ? AND state IN ('queued', 'sending')"
        return tuple(address for (address,) in self._file.ask(question, (number,)))

    def recipients_to_come(self, *, again: Sequence[int] = (), retried: bool = False) -> list[tuple[int, str]]:
        """Return to whom these mails go, and those that are sent again or retried: number and address of each copy."""
        numbers = ", ".join("?" * len(again))
        found = self._file.ask(
            "SELECT mail, address FROM recipient WHERE recipient.state != 'sent'"  # noqa: S608 - ours
            f" AND (mail IN (SELECT id FROM mail WHERE {_WAITING}) OR mail IN ({numbers})"
            f" OR mail IN (SELECT id FROM mail WHERE ? AND account = ? AND {_UNDELIVERED}))",
            (*self._waiting_now, *again, retried, *self._values),
        )
        return [(number, address) for number, address in found]

    def shared_contents(self) -> list[tuple[SpoolFile, int]]:
        """Return the contents that several of these mails have, with their sizes, the one with most mails first."""
        found = self._file.ask(
            "SELECT sha256, size FROM attachment JOIN mail ON mail.id = attachment.mail"  # noqa: S608 - ours
            f" WHERE {_WAITING} GROUP BY sha256 HAVING count(*) > 1 ORDER BY count(*) DESC",
            self._waiting_now,
        )
        return [(self._file.spool.file(sha256), size) for sha256, size in found]

    # --- what became of it ---

    def counts(self) -> dict[str, int]:
        """Return how many mails are in each state; those whose key a later mail has are left out."""
        question = f"SELECT {STATE}, count(*) FROM mail WHERE current AND {_IN_BATCH} GROUP BY 1"  # noqa: S608 - ours
        return self._file.counts(question, self._values[1:])

    def count(self, group: Group) -> int:
        """Return how many mails are in a group."""
        return int(self._file.value(f"SELECT count(*) FROM mail WHERE {_GROUPS[group]}", self._values[1:]))  # noqa: S608 - ours

    def rows_of(self, numbers: Iterable[int]) -> dict[int, Row]:
        """Return these mails by their numbers, as far as they are there."""
        return {row.id: row for row in self._journal.rows(numbers)}

    def rows(self, group: Group, most: int = -1) -> list[Row]:
        """Return the first mails of a group; all of them if nobody says how many."""
        question = f"SELECT id FROM mail WHERE {_GROUPS[group]} ORDER BY id LIMIT ?"  # noqa: S608 - ours
        return self._journal.rows(self._file.numbers(question, (*self._values[1:], most)))

    def retry(self) -> int:
        """Put the mails back into the queue that failed or were refused; return how many.

        They go to those who have not got them. The mails of `send()` are not among them.
        """
        with self._file.transaction() as connection:
            question = f"SELECT id FROM mail WHERE {_UNDELIVERED}"  # noqa: S608 - ours
            numbers = [(number,) for number in self._file.numbers(question, self._values[1:])]
            connection.executemany(
                "UPDATE recipient SET state = 'queued' WHERE mail = ? AND state IN ('refused', 'failed')", numbers
            )
            connection.executemany(
                "UPDATE mail SET state = 'queued', tries = 0, not_before = NULL WHERE id = ?", numbers
            )
        return len(numbers)

    # --- what was refused alike, and so stopped a run ---

    def note_refused_alike(self, numbers: Iterable[int]) -> None:
        """Remember mails whose refusals have stopped a run: whoever resumes it sends them again."""
        with self._file.transaction():
            known = self._noted_as_alike()
            self._journal.set_note(self._alike, json.dumps(sorted({*known, *numbers})))

    def refused_alike(self) -> list[int]:
        """Return the mails that the next run puts back into the queue, as far as nobody has sent them meanwhile."""
        question = (
            "SELECT id FROM mail WHERE id IN (SELECT value FROM json_each(?)) AND account = ?"  # noqa: S608 - ours
            f" AND {_UNDELIVERED} ORDER BY id"
        )
        listed = self._noted_as_alike()
        return self._file.numbers(question, (json.dumps(listed), *self._values)) if listed else []

    def put_back_refused_alike(self) -> int:
        """Put these mails back into the queue, for those whose own refusal it was not; return how many."""
        with self._file.transaction() as connection:
            rows = self._journal.rows(self.refused_alike())
            for row in rows:
                missed = [
                    (row.id, address)
                    for address, each in row.recipients.items()
                    if each.state == State.REFUSED and (each.reply is None or not is_about_recipient(each.reply))
                ]
                connection.executemany(
                    "UPDATE recipient SET state = 'queued' WHERE mail = ? AND address = ? AND state = 'refused'", missed
                )
                connection.execute(
                    "UPDATE mail SET state = 'queued', tries = 0, not_before = NULL WHERE id = ?", (row.id,)
                )
            # Those of another batch wait for its own run; those that somebody has settled are forgotten.
            left = Queue(self._journal, self._changes, self.account).refused_alike()
            self._journal.set_note(self._alike, json.dumps(left))
        return len(rows)

    def _noted_as_alike(self) -> list[int]:
        return [int(number) for number in json.loads(self._journal.note(self._alike) or "[]")]

    @property
    def _alike(self) -> str:
        return f"refused alike {self.account}"

    def resolve(self, number: int, outcome: str) -> None:
        """Write down what a person has decided about a mail whose outcome is unknown."""
        self._changes.resolve(number, outcome)

    # --- what a person has agreed to ---

    @property
    def is_agreed(self) -> bool:
        """Whether a person has agreed to send all that waits, however this program or an earlier one ended since."""
        return self._last_waiting() <= int(self._journal.note(self._agreement) or 0)

    def agree(self, *, yes: bool = True) -> None:
        """Remember that a person wants all that waits now to be sent, or no longer wants it."""
        self._journal.set_note(self._agreement, str(self._last_waiting() if yes else 0))

    def _last_waiting(self) -> int:
        return int(self._file.value(f"SELECT max(id) FROM mail WHERE {_WAITING}", self._waiting_now) or 0)  # noqa: S608 - ours

    @property
    def _agreement(self) -> str:
        return f"agreed {self.account} {self.batch or ''}"

    # --- how fast the account may send ---

    def first_sent(self, since: float) -> float | None:
        """Return when the account's first mail since a moment was sent; None if there is none."""
        question = "SELECT min(sent_at) FROM mail WHERE account = ? AND sent_at >= ?"
        return cast("float | None", self._file.value(question, (self.account, since)))

    def sent_since(self, since: float) -> list[tuple[int, float, str]]:
        """Return what the account has sent since a moment: number, moment and recipient of each copy, oldest first.

        What is being sent, and what may have arrived, counts as well.
        """
        question = (
            "SELECT mail.id, CASE mail.state WHEN 'sending' THEN ? ELSE coalesce(sent_at, send_at, created) END"
            " AS moment, address FROM mail JOIN recipient ON recipient.mail = mail.id WHERE account = ?"
            " AND (sent_at >= ? OR mail.state = 'sending'"
            " OR (mail.state = 'unknown' AND max(created, ifnull(send_at, 0)) >= ?))"
            " AND recipient.state IN ('sent', 'sending', 'unknown') ORDER BY moment"
        )
        found = self._file.ask(question, (time.time(), self.account, since, since))
        return [(number, moment, address) for number, moment, address in found]

    def rate(self) -> str | None:
        """Return the rate that a person has set for the account."""
        return cast("str | None", self._file.value("SELECT rate FROM pace WHERE account = ?", (self.account,)))

    def set_rate(self, rate: str) -> None:
        """Remember the rate of the account."""
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT INTO pace (account, rate) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET rate = ?",
                (self.account, rate, rate),
            )

    def next_at(self) -> float | None:
        """Return when the account's next mail may go."""
        return cast("float | None", self._file.value("SELECT next_at FROM pace WHERE account = ?", (self.account,)))

    def reserve_time(self, interval: float) -> None:
        """Have the account's next mail wait these seconds longer."""
        if interval:
            with self._file.transaction() as connection:
                connection.execute(
                    "INSERT INTO pace (account, next_at) VALUES (?, ?) ON CONFLICT (account)"
                    " DO UPDATE SET next_at = max(next_at, ?) + ?",
                    (self.account, time.time() + interval, time.time(), interval),
                )
