"""Reads the SPF record of a domain (RFC 7208) and says whether it allows the servers of a provider.

A recipient's server has one address to judge. Here it is all those of a provider, or of a server: what holds for them
is known by the provider's own entry (`include:`), or because every address of that entry is allowed one by one.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from docmail.diagnosis.records import NotLookedUp
from docmail.diagnosis.spf_terms import VERSION, Broken, Fault, Term, lengths_of, network_of, terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from docmail.diagnosis.records import LookUps
    from docmail.diagnosis.spf_terms import Network


MAX_LOOK_UPS = 10  # RFC 7208 4.6.4
MAX_VOID = 2
_MAX_EXCHANGERS = 10
_ENOUGH = 30  # look-ups; a record that needs more is as useless as one that needs thousands


class Outcome(StrEnum):
    """What a record says of the servers in question."""

    PASS = "pass"  # noqa: S105 - RFC 7208's word
    NEUTRAL = "neutral"
    SOFTFAIL = "softfail"
    FAIL = "fail"
    PARTLY = "partly"
    """Some of their addresses are allowed, and others are not."""
    UNKNOWN = "unknown"
    """It is decided mail by mail (macros), or nobody says which servers they are."""
    NONE = "none"
    """There is no record."""
    BROKEN = "broken"
    """Nobody can use the record: a “permanent error”."""


_BY_QUALIFIER = {"+": Outcome.PASS, "?": Outcome.NEUTRAL, "~": Outcome.SOFTFAIL, "-": Outcome.FAIL}


@dataclass(frozen=True)
class Senders:
    """Whose mail is judged: servers behind one of these entries (`includes`), or with these addresses."""

    includes: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything is known of them."""
        return bool(self.includes or self.networks)


@dataclass(frozen=True)
class Spf:
    """What was found: the outcome for the senders, the domain's own `records`, and what is wrong with them.

    `faults` name what each is about, such as a term; `undecided` is the term that cannot be judged; `look_ups` how many
    a recipient's server may need, and `void` how many of them find nothing.
    """

    outcome: Outcome
    records: tuple[str, ...] = ()
    faults: tuple[tuple[Fault, str], ...] = ()
    undecided: str = ""
    look_ups: int = 0
    void: int = 0

    @property
    def record(self) -> str:
        """The domain's record, empty unless it has exactly one."""
        return self.records[0] if len(self.records) == 1 else ""


def judge(look_ups: LookUps, domain: str, senders: Senders) -> Spf:
    """Return what the SPF record of a domain says of these senders; raises `NotLookedUp`."""
    records = tuple(look_ups.texts(domain, VERSION))
    if not records:
        return Spf(Outcome.NONE)
    if len(records) > 1:
        return Spf(Outcome.BROKEN, records, ((Fault.SEVERAL, str(len(records))),))
    walk = _Walk(look_ups, {each.lower().rstrip(".") for each in senders.includes})
    try:
        outcome = walk.record(domain, records[0])
    except Broken as exc:
        walk.fault(exc)
        outcome = Outcome.BROKEN
    if outcome is not Outcome.BROKEN and not senders.known:
        outcome = Outcome.UNKNOWN
    elif outcome not in {Outcome.BROKEN, Outcome.PASS}:
        outcome = _by_address(look_ups, senders, walk, outcome)
    if walk.void > MAX_VOID:
        walk.faults.append((Fault.VOID, str(walk.void)))
    if walk.count > MAX_LOOK_UPS:
        walk.faults.append((Fault.LOOK_UPS, str(walk.count)))
        # What stands in front of the provider's entry is all that its mails need.
        if outcome is not Outcome.PASS or not 0 < walk.count_at_match <= MAX_LOOK_UPS:
            outcome = Outcome.BROKEN
    return Spf(outcome, records, tuple(walk.faults), walk.undecided, walk.count, walk.void)


def _by_address(look_ups: LookUps, senders: Senders, walk: _Walk, outcome: Outcome) -> Outcome:
    """Return the outcome when the addresses that a record allows are compared with those of the senders."""
    networks = senders.networks or _networks_of(look_ups, senders.includes)
    if not networks or not walk.allowed:
        return outcome
    if _overlap(walk.denied, networks):
        return Outcome.UNKNOWN
    if outcome is Outcome.UNKNOWN and walk.undecided[0] in "-~?":
        return outcome  # what allows them may stand behind
    left = list(networks)
    for count, network in walk.allowed:
        left = _without(left, network)
        if not left:
            walk.count_at_match = count
            return Outcome.PASS
    partly = outcome is not Outcome.UNKNOWN and _overlap([each for _count, each in walk.allowed], networks)
    return Outcome.PARTLY if partly else outcome


def _overlap(some: Iterable[Network], others: Sequence[Network]) -> bool:
    return any(each.overlaps(other) for each in some for other in others if each.version == other.version)


def _networks_of(look_ups: LookUps, includes: Iterable[str]) -> tuple[Network, ...]:
    """Return the addresses behind a provider's entries; none where they are not all written down."""
    found: list[Network] = []
    for name in includes:
        walk = _Walk(look_ups, set())
        try:
            [record] = look_ups.texts(name, VERSION)
            outcome = walk.record(name, record)
        except (NotLookedUp, Broken, ValueError):
            return ()
        if outcome is Outcome.UNKNOWN or walk.anyone:
            return ()
        found += [network for _count, network in walk.allowed]
    return tuple(found)


def _without(networks: Iterable[Network], other: Network) -> list[Network]:
    """Return what is left of networks without another one."""
    return [
        part for each in networks for part in (_difference(each, other) if each.version == other.version else [each])
    ]


def _difference(network: Network, other: Network) -> list[Network]:
    if not network.overlaps(other):
        return [network]
    if other.prefixlen <= network.prefixlen:
        return []
    return list(network.address_exclude(other))  # type: ignore[arg-type] # both are of one version


@dataclass
class _Walk:
    """One way through a record and all that it refers to, to its very end: so are its look-ups counted."""

    look_ups: LookUps
    includes: set[str]
    count: int = 0
    count_at_match: int = 0
    void: int = 0
    anyone: bool = False
    undecided: str = ""
    allowed: list[tuple[int, Network]] = field(default_factory=list)  # each with the look-ups until there
    denied: list[Network] = field(default_factory=list)
    faults: list[tuple[Fault, str]] = field(default_factory=list)
    _above: list[str] = field(default_factory=list)

    def fault(self, broken: Broken) -> None:
        """Note what is wrong, once."""
        if (broken.fault, broken.about) not in self.faults:
            self.faults.append((broken.fault, broken.about))

    def record(self, domain: str, text: str, *, allowing: bool = True) -> Outcome:
        """Return what a domain's record says; `allowing` is whether a pass of it is one of the first record's."""
        if domain in self._above:
            raise Broken(Fault.LOOPS, domain)
        self._above.append(domain)
        try:
            return self._decide(domain, terms_of(text), allowing=allowing)
        finally:
            self._above.pop()

    def _decide(self, domain: str, terms: list[Term], *, allowing: bool) -> Outcome:
        possible: list[Outcome] = []
        decided = False
        for term in terms:
            result = _BY_QUALIFIER.get(term.qualifier, Outcome.NEUTRAL)
            try:
                allows = allowing and (result is Outcome.PASS or term.name == "redirect")
                matches = self._matches(term, domain, allowing=allows)
            except Broken as exc:
                if not decided:
                    raise
                self.fault(exc)  # behind what decides, it hurts others only
                continue
            except NotLookedUp:
                if not decided:
                    raise
                continue
            if decided:
                continue
            if term.name == "redirect":
                possible.append(matches if isinstance(matches, Outcome) else Outcome.NEUTRAL)
                decided = True
            elif matches is not False:
                possible.append(result)
                decided = matches is True
        if not decided:
            possible.append(Outcome.NEUTRAL)  # RFC 7208 4.7
        return possible[0] if len(set(possible)) == 1 else Outcome.UNKNOWN

    def _matches(self, term: Term, domain: str, *, allowing: bool) -> bool | Outcome | None:
        """Say whether a term is about the senders (None: nobody knows); of redirect= what it leads to."""
        if term.name == "all":
            if allowing:
                self.anyone = True
                self.fault(Broken(Fault.ANYONE, term.text))
            return True
        if term.name in {"ip4", "ip6"}:
            self._take([network_of(term)], term, allowing=allowing)
            return False
        self.count += 1
        if self.count > _ENOUGH:
            raise Broken(Fault.LOOK_UPS, str(self.count))
        if "%" in term.value or term.name in {"exists", "ptr"}:
            self.undecided = self.undecided or term.text
            return Outcome.UNKNOWN if term.name == "redirect" else None
        name = (term.value or domain).lower().rstrip(".")
        if term.name in {"include", "redirect"}:
            return self._refers(term, name, allowing=allowing)
        hosts = [name] if term.name == "a" else self._exchangers(name)
        self._take([network for host in hosts for network in self._addresses(host, term)], term, allowing=allowing)
        return False

    def _refers(self, term: Term, name: str, *, allowing: bool) -> bool | Outcome | None:
        records = self.look_ups.texts(name, VERSION)
        if len(records) != 1:
            if not self.look_ups.of(name, "TXT").values:
                self.void += 1
            raise Broken(Fault.SEVERAL if records else Fault.EMPTY_INCLUDE, name if records else term.text)
        is_theirs = name in self.includes
        outcome = self.record(name, records[0], allowing=allowing)
        if is_theirs and not self.count_at_match:
            self.count_at_match = self.count
        if term.name == "redirect":
            return Outcome.PASS if is_theirs else outcome
        if is_theirs:
            return True
        return None if outcome is Outcome.UNKNOWN else outcome is Outcome.PASS

    def _exchangers(self, name: str) -> list[str]:
        values = self.look_ups.of(name, "MX").values
        self.void += not values
        if len(values) > _MAX_EXCHANGERS:
            raise Broken(Fault.EXCHANGERS, name)
        return [value.partition(" ")[2].rstrip(".") for value in values if value.partition(" ")[2] != "."]

    def _addresses(self, host: str, term: Term) -> list[Network]:
        found = [*self.look_ups.of(host, "A").values, *self.look_ups.of(host, "AAAA").values]
        if not found and term.name == "a":
            self.void += 1
        four, six = lengths_of(term)
        return [ipaddress.ip_network(f"{each}/{six if ':' in each else four}", strict=False) for each in found]

    def _take(self, networks: list[Network], term: Term, *, allowing: bool) -> None:
        if allowing:
            self.allowed += [(self.count, each) for each in networks]
        elif term.qualifier != "+":
            self.denied += networks
