"""How fast an account may send.

A rate is an even distance between mails ("30/min" is one in two seconds), so all that must be remembered is when the
next one may go: by the next process, too, and whatever the computer's clock did meanwhile.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail import presets
from docmail.errors import MessageError
from docmail.language import _

if TYPE_CHECKING:
    from docmail.outbox.queue import Queue
    from docmail.settings import Settings

UNLIMITED = "unlimited"

_CLOCK_SECONDS = 60.0  # a next mail later than this is the work of a clock that was set back
_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "day": 86400.0}


@dataclass(frozen=True)
class Rate:
    """A number of mails in a number of seconds; zero mails mean no limit."""

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


class AccountRate:
    """The rate of one account, as its outbox remembers it."""

    def __init__(self, queue: Queue, settings: Settings) -> None:
        self._queue = queue
        account = settings.account
        self.provider = presets.of_account(account.host, settings.address.addr_spec, account.port)
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
        rate = Rate.parse(text)
        self._queue.set_rate(text)
        self._rate = self._allowed(rate)

    def wait_seconds(self) -> float:
        """Return how long the next mail must wait, as far as this and earlier processes have sent."""
        if not self._rate.mails:
            return 0.0
        wait = (self._queue.next_at() or 0.0) - time.time()
        if wait > self.interval + _CLOCK_SECONDS:
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
        if (text := self._queue.rate()) is not None:
            return self._allowed(Rate.parse(text))
        return self._of_provider()

    def _of_provider(self) -> Rate:
        per_minute = self.provider.limits.per_minute if self.provider else None
        return Rate(per_minute, 60.0) if per_minute else Rate()

    def _allowed(self, rate: Rate) -> Rate:
        """Return the rate that somebody wants, or the organisation's if that is slower."""
        most = self._of_provider()
        fixed = self.provider is not None and self.provider.organisation and most.mails
        return most if fixed and (not rate.mails or rate.interval < most.interval) else rate
