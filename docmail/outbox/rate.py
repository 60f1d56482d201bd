"""How fast an account may send, and when to try again what was put off.

A rate is an even distance between mails ("30/min" is one in two seconds), so all that must be remembered is when the
next one may go: by the next process, too, and whatever the computer's clock did meanwhile.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING

from docmail import presets
from docmail.errors import MessageError
from docmail.language import _

if TYPE_CHECKING:
    from docmail.outbox.queue import QueueStore
    from docmail.presets import Preset
    from docmail.settings import Settings

UNLIMITED = "unlimited"

RETRY_SECONDS = 60.0
"""How long a mail waits that was put off for the first time; then twice as long, and so on."""
_LONGEST_SECONDS = 1800.0
TRIES = 12
"""How often a mail is put off before docmail gives up: after about four hours, counted in a way no clock can spoil."""

RECONNECT_SECONDS = (1.0, 5.0)
"""How long to wait before a second and a third connection; a third failure stops the run."""

_PATIENCE = 60.0  # seconds; a next mail later than this is the work of a clock that was set back
_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "day": 86400.0}
_random = SystemRandom()


@dataclass(frozen=True)
class Rate:
    """So many mails in so many seconds; none at all is no limit."""

    mails: int = 0
    seconds: float = 1.0

    @property
    def interval(self) -> float:
        """The seconds between two mails."""
        return self.seconds / self.mails if self.mails else 0.0

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Return what "30/min", "1/s", "500/h", "300/day" or "unlimited" means; raises `MessageError`."""
        if isinstance(text, str):
            if text.strip().casefold() == UNLIMITED:
                return cls()
            found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*([a-z]+)\s*", text.casefold())
            if found and int(found[1]) and found[2] in _UNITS:
                return cls(int(found[1]), _UNITS[found[2]])
        raise MessageError(
            _("The rate “{rate}” cannot be understood.").format(rate=text),
            field="rate",
            hint=_('Write a number of mails per s, min, h or day: rate="30/min"; or rate="unlimited".'),
        )


class Pace:
    """The rate of one account, as its outbox remembers it."""

    def __init__(self, store: QueueStore, settings: Settings, account: str) -> None:
        self._store = store
        self._account = account
        self.provider = presets.by_host(settings.account.host)
        self._rate = self._remembered()

    @property
    def interval(self) -> float:
        """The seconds between two mails."""
        return self._rate.interval

    @property
    def allows_many_connections(self) -> bool:
        """Whether several at once are fair: a rate needs one only, and providers of mailboxes count them."""
        # Microsoft takes three of an account (432 4.3.2), Gmail answers 421 4.7.0; the services are made for many.
        of_a_mailbox = self.provider is not None and self.provider.password != "api-key"  # noqa: S105 - a kind of one
        return not self._rate.mails and not of_a_mailbox

    def set(self, text: str) -> None:
        """Send at this rate from now on."""
        self._rate = Rate.parse(text)
        self._store.set_rate(self._account, text)

    def wait_seconds(self) -> float:
        """Return how long the next mail must wait, as far as this and earlier processes have sent."""
        if not self._rate.mails:
            return 0.0
        wait = (self._store.next_at(self._account) or 0.0) - time.time()
        if wait > self.interval + _PATIENCE:
            return self.interval
        return max(wait, 0.0)

    def describe(self) -> str:
        """Say which rate holds, and whose it is; nothing if there is none."""
        if not self._rate.mails:
            return ""
        per_minute = self._rate.mails * 60 / self._rate.seconds
        if self.provider is not None and self.provider.limits.per_minute == per_minute:
            return _("{provider} allows {number} a minute").format(
                provider=self.provider.name, number=round(per_minute)
            )
        return _("at most {number} a minute").format(number=f"{per_minute:.3g}")

    def _remembered(self) -> Rate:
        if (text := self._store.rate(self._account)) is not None:
            return Rate.parse(text)
        per_minute = self.provider.limits.per_minute if self.provider else None
        return Rate(per_minute, 60.0) if per_minute else Rate()


def daily_warning(provider: Preset | None, mails: int) -> str:
    """Say that a provider takes fewer mails in a day; nothing if it takes as many, or nobody knows."""
    if provider is None or provider.limits.per_day is None or mails <= provider.limits.per_day:
        return ""
    about = "per_day" in provider.limits.approximate
    sentence = _("{provider} takes {number} mails a day.")
    if about:
        sentence = _("{provider} takes about {number} mails a day.")
    return sentence.format(provider=provider.name, number=f"{provider.limits.per_day:,}")


def retry_seconds(tries: int, said: float | None) -> float | None:
    """Return how long to wait after a mail was put off for the so-manieth time (0 first); None to give up.

    The server's own word counts (Retry-After). Chance keeps many mails that were put off together from coming back
    together.
    """
    if tries + 1 >= TRIES:
        return None
    seconds = min(RETRY_SECONDS * float(2**tries), _LONGEST_SECONDS) * _random.uniform(1.0, 1.25)
    return max(seconds, said or 0.0)
