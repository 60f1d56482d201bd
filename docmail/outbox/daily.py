"""What an account may still send within 24 hours, counted as its provider counts it.

Microsoft, Google and Apple count recipients, the copy for the archive as well. What went out from this computer is in
the journal; what the account sends from elsewhere, nobody here knows.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from docmail import presets
from docmail.language import _
from docmail.outbox.limits import DAY_SECONDS
from docmail.settings import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from docmail.outbox.queue import Queue
    from docmail.presets import Preset
    from docmail.settings import Settings

_FRESH_SECONDS = 60.0  # single mails and other programs send for the account as well
_COUNTED = ("per_day", "recipients_per_day", "external_per_day", "different_per_day")
"""The fields of `presets.Limits` that are about 24 hours."""


class DailyLimits:
    """The limits of one account in 24 hours, and how much of them is used; for all threads of a run.

    `fits` lets a run stop before a limit that the provider confirms; `warning` is about any of them.
    """

    def __init__(self, queue: Queue, settings: Settings) -> None:
        self.provider = provider_of(settings)
        self.again_at: datetime | None = None
        """When the account may send on, once a mail did not fit."""
        self._queue = queue
        address = settings.address.addr_spec
        self._used = _Used(address.rpartition("@")[2].lower())
        limits = self.provider.limits_of(address) if self.provider else None
        self._limits = {name: number for name in _COUNTED if (number := getattr(limits, name, None)) is not None}
        self._approximate = {*limits.approximate} if limits else set()
        self._confirmed = {name: number for name, number in self._limits.items() if name not in self._approximate}
        self._counted_at: float | None = None
        self._lock = threading.Lock()

    @property
    def stops_a_run(self) -> bool:
        """Whether any limit is confirmed, so that each mail has to fit."""
        return bool(self._confirmed)

    def fits(self, recipients: Sequence[str]) -> bool:
        """Say whether a mail to these recipients may go now, and count it if so."""
        with self._lock:
            if self._counted_at is None or time.monotonic() - self._counted_at > _FRESH_SECONDS:
                self._count()
            if self._exceeds(recipients):
                self._count()  # what was refused since it was counted here does not stand in the journal
                if self._exceeds(recipients):
                    self.again_at = self._room_for(recipients)
                    return False
            self._used.add(time.time(), recipients)
            return True

    def warning(self, to_come: Callable[[], Iterable[tuple[int, str]]]) -> str:
        """Say how much of the nearest limit is used, and whether these copies (mail and address) go beyond it.

        Nothing where no limit is known, or nothing was sent and all of them fit.
        """
        if self.provider is None or not self._limits:
            return ""
        with self._lock:
            self._count()
            before, after = self._used.totals(), self._used.totals(_by_mail(to_come()))
        name = max(self._limits, key=lambda each: after[each] / self._limits[each])
        is_about = name in self._approximate
        said = []
        if before[name]:
            said.append(self._used_today(name, before[name]))
        if after[name] > self._limits[name]:
            if not said:
                said.append(self._allowance(name))
            said.append(
                _("This batch goes beyond it, and the server may refuse the rest.")
                if is_about
                else _("This batch goes beyond it: the run stops before that, and says when the rest can go.")
            )
        return " ".join(said)

    def goes_beyond(self, to_come: Callable[[], Iterable[tuple[int, str]]]) -> bool:
        """Say whether these copies go beyond a limit, confirmed or not; they are listed only if there is one."""
        if not self._limits:
            return False
        with self._lock:
            self._count()
            after = self._used.totals(_by_mail(to_come()))
        return any(after[name] > number for name, number in self._limits.items())

    def reached(self) -> str:
        """Say that the run has stopped before the limit, and when the rest can go; nothing if it has not."""
        if self.provider is None or self.again_at is None:
            return ""
        name = max(self._confirmed, key=lambda each: self._used.totals()[each] / self._confirmed[each])
        until = _("The rest waits until {time:%Y-%m-%d %H:%M}.").format(time=self.again_at.astimezone())
        return f"{self._used_today(name, self._used.totals()[name])} {until}"

    def _used_today(self, name: str, number: int) -> str:
        assert self.provider is not None  # noqa: S101 - a limit is a provider's
        sentence = _(
            "{counted} today; {provider} takes {limit} in 24 hours (counted: what was sent from this computer)."
        )
        if name in self._approximate:
            sentence = _(
                "{counted} today; {provider} takes about {limit} in 24 hours (counted: what was sent "
                "from this computer)."
            )
        return sentence.format(
            counted=self._amount(name, number), provider=self.provider.name, limit=f"{self._limits[name]:,}"
        )

    def _allowance(self, name: str) -> str:
        assert self.provider is not None  # noqa: S101 - a limit is a provider's
        if name == "per_day":
            return daily_warning(self.provider, self._limits[name] + 1)
        sentence = _("{provider} takes {amount} in 24 hours.")
        if name in self._approximate:
            sentence = _("{provider} takes about {amount} in 24 hours.")
        return sentence.format(provider=self.provider.name, amount=self._amount(name, self._limits[name]))

    def _amount(self, name: str, number: int) -> str:
        sentences = {
            "per_day": _("{number} mails"),
            "recipients_per_day": _("{number} recipients"),
            "external_per_day": _("{number} recipients outside {domain}"),
            "different_per_day": _("{number} different recipients"),
        }
        return sentences[name].format(number=f"{number:,}", domain=self._used.domain)

    def _count(self) -> None:
        """Count what the journal says."""
        self._counted_at = time.monotonic()
        self._used.clear()
        mails: dict[int, tuple[float, list[str]]] = {}
        for number, moment, address in self._queue.sent_since(time.time() - DAY_SECONDS):
            mails.setdefault(number, (moment, []))[1].append(address)
        for moment, addresses in mails.values():
            self._used.add(moment, addresses)

    def _exceeds(self, recipients: Sequence[str]) -> bool:
        self._used.forget(time.time() - DAY_SECONDS)
        if not self._used.mails:
            return False  # it will never fit better: the server decides
        totals = self._used.totals([recipients])
        return any(totals[name] > number for name, number in self._confirmed.items())

    def _room_for(self, recipients: Sequence[str]) -> datetime:
        """Return when enough of what was sent is 24 hours old."""
        moment = time.time()
        used = self._used.copy()
        while used.mails:
            moment = used.mails[0][0] + DAY_SECONDS
            used.forget_first()
            totals = used.totals([recipients])
            if all(totals[name] <= number for name, number in self._confirmed.items()):
                break
        return datetime.fromtimestamp(moment, UTC)


class _Used:
    """Mails that were sent within 24 hours, oldest first, and what they come to."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.clear()

    def clear(self) -> None:
        self.mails: deque[tuple[float, list[str]]] = deque()
        self._recipients = self._external = 0
        self._times: Counter[str] = Counter()

    def copy(self) -> _Used:
        copied = _Used(self.domain)
        for moment, addresses in self.mails:
            copied.add(moment, addresses)
        return copied

    def add(self, moment: float, recipients: Iterable[str]) -> None:
        addresses = [address.lower() for address in recipients]
        self.mails.append((moment, addresses))
        self._recipients += len(addresses)
        self._external += self._outside(addresses)
        self._times.update(addresses)

    def forget(self, before: float) -> None:
        while self.mails and self.mails[0][0] < before:
            self.forget_first()

    def forget_first(self) -> None:
        _moment, addresses = self.mails.popleft()
        self._recipients -= len(addresses)
        self._external -= self._outside(addresses)
        for address in addresses:
            self._times[address] -= 1
            if not self._times[address]:
                del self._times[address]

    def totals(self, further: Sequence[Sequence[str]] = ()) -> dict[str, int]:
        """Return the count for each limit, with further mails (each its recipients)."""
        addresses = [address.lower() for recipients in further for address in recipients]
        return {
            "per_day": len(self.mails) + len(further),
            "recipients_per_day": self._recipients + len(addresses),
            "external_per_day": self._external + self._outside(addresses),
            "different_per_day": len(self._times) + len({*addresses} - self._times.keys()),
        }

    def _outside(self, addresses: Iterable[str]) -> int:
        return sum(address.rpartition("@")[2] != self.domain for address in addresses)


def provider_of(settings: Settings) -> Preset | None:
    """Return whose limits hold for an account, whether mail goes to its provider by SMTP or over HTTP."""
    account = settings.account
    address = account.username if "@" in account.username else settings.address.addr_spec
    if not isinstance(settings.server, HttpServer):
        return presets.of_account(account.host, address, account.port)
    service = presets.services.by_api(settings.server.api)
    if service is None or not service.has_mailbox:
        return None
    hosts = {"microsoft": "smtp.office365.com", "google": "smtp.gmail.com"}
    own = presets.by_address(address)
    if own is not None and own.sign_in == service.sign_in:
        return own
    return presets.of_account(hosts[service.sign_in], address) if service.sign_in in hosts else None


def daily_warning(provider: Preset | None, mails: int) -> str:
    """Say that a provider takes fewer mails in a day; nothing if it takes as many, or nobody knows."""
    if provider is None or provider.limits.per_day is None or mails <= provider.limits.per_day:
        return ""
    about = "per_day" in provider.limits.approximate
    sentence = _("{provider} takes {number} mails a day.")
    if about:
        sentence = _("{provider} takes about {number} mails a day.")
    return sentence.format(provider=provider.name, number=f"{provider.limits.per_day:,}")


def _by_mail(copies: Iterable[tuple[int, str]]) -> list[list[str]]:
    mails: dict[int, list[str]] = {}
    for number, address in copies:
        mails.setdefault(number, []).append(address)
    return [*mails.values()]
