"""How often, how long and how many: the limits of a run, and when a deferred mail is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from random import SystemRandom

DAY_SECONDS = 86400.0
_LONGEST_SECONDS = 1800.0
_random = SystemRandom()


@dataclass(frozen=True)
class Limits:
    """What a run keeps to; a program has no reason to change them, a test has."""

    retry_seconds: float = 60.0
    """How long a mail waits that was deferred for the first time; then twice as long, and so on."""
    tries: int = 12
    """How often a mail is deferred before it fails: after about four hours, counted in a way no clock can spoil."""
    reconnect_seconds: tuple[float, ...] = (1.0, 5.0)
    """How long to wait before a second and a third connection; a third failure stops the run."""
    mails_per_connection: int = 200
    """Some servers take no more, and a new connection costs no more than three mails."""
    idle_seconds: float = 20.0
    """Servers hang up on a connection that is idle for longer; a QUIT is more polite."""
    patience_seconds: float = 600.0
    """How long a run waits for deferred mails; what takes longer is left to the next run."""
    extra_connections: int = 3
    """With the first, as many as peers open that send at once; the servers of companies allow ten times as many."""
    long_queue: int = 40
    """Mails that must wait for an extra connection: opening one takes as long as sending a few of them."""
    alike_at_first: int = 3
    """So many mails that are refused alike at the beginning, to different domains, stop a run."""
    alike_in_a_row: int = 5
    """So many in a row stop it later."""

    def seconds_to_retry(self, tries: int, retry_after: float | None = None) -> float | None:
        """Return how long a mail waits that was deferred `tries` times before; None if it is not tried again.

        The server's own `retry_after` (seconds) counts if it is longer, up to a day: nobody looks for a mail that waits
        until next year. Chance keeps many mails that were deferred
        together from coming back together.
        """
        if tries + 1 >= self.tries:
            return None
        seconds = min(self.retry_seconds * float(2**tries), _LONGEST_SECONDS) * _random.uniform(1.0, 1.25)
        return max(seconds, min(retry_after or 0.0, DAY_SECONDS))


DEFAULT = Limits()
