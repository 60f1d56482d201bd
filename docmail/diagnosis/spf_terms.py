"""Reads and rewrites the words of an SPF record (RFC 7208 4.6, 5 and 6)."""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

VERSION = "v=spf1"

_TERM = re.compile(
    r"(?P<qualifier>[+?~-]?)(?P<name>all|include|a|mx|ptr|ip4|ip6|exists)(?P<rest>[:/].*)?", re.IGNORECASE
)
_LENGTHS = re.compile(r"(?:/(?P<four>\d{1,2}))?(?://(?P<six>\d{1,3}))?$")
_MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9_.-]*)=(?P<value>\S*)", re.IGNORECASE)


class Fault(StrEnum):
    """What is wrong with a record, whoever sends."""

    SEVERAL = "several"
    TERM = "term"
    """A word that SPF does not know."""
    EMPTY_INCLUDE = "include"
    """It refers to a domain that has no record."""
    LOOPS = "loops"
    LOOK_UPS = "look-ups"
    VOID = "void"
    EXCHANGERS = "exchangers"
    ANYONE = "anyone"
    """It allows everybody."""


class Term(NamedTuple):
    """A word of a record: its `qualifier` (empty for redirect=), its name, and what stands behind it."""

    text: str
    qualifier: str
    name: str
    value: str
    length: str = ""


class Broken(Exception):
    """The record is of no use to anybody: a fault, and what it is about."""

    def __init__(self, fault: Fault, about: str) -> None:
        super().__init__(about)
        self.fault, self.about = fault, about


def terms_of(text: str) -> list[Term]:
    """Return the mechanisms of a record in the order in which they count, redirect= last; raises `Broken`."""
    mechanisms: list[Term] = []
    redirects: list[Term] = []
    version, *words = text.split()
    if version.lower() != VERSION:
        raise Broken(Fault.TERM, version)  # such as v=spf1;include:…
    for word in words:
        if found := _TERM.fullmatch(word):
            mechanisms.append(_term(word, found["qualifier"] or "+", found["name"].lower(), found["rest"] or ""))
        elif modifier := _MODIFIER.fullmatch(word):
            if modifier["name"].lower() == "redirect":
                redirects.append(Term(word, "", "redirect", modifier["value"]))
        else:
            raise Broken(Fault.TERM, word)
    if len(redirects) > 1 or any(not each.value for each in redirects):
        raise Broken(Fault.TERM, redirects[-1].text)
    for number, term in enumerate(mechanisms):
        if term.name == "all":
            return mechanisms[: number + 1]  # what follows is ignored, redirect= as well (RFC 7208 5.1)
    return [*mechanisms, *redirects]


def _term(text: str, qualifier: str, name: str, rest: str) -> Term:
    """Return a mechanism whose parts belong together; raises `Broken`."""
    value, length = rest.removeprefix(":"), ""
    if name in {"a", "mx"} and (found := _LENGTHS.search(value)):
        value, length = value[: found.start()], found[0]
    term = Term(text, qualifier, name, value, length)
    given = rest.startswith(":")
    fine = {
        "all": not rest,
        "include": bool(value),
        "exists": bool(value),
        "ptr": not rest or (given and bool(value)),
        "a": given == bool(value),
        "mx": given == bool(value),
        "ip4": given,
        "ip6": given,
    }[name]
    if not fine or ("/" in value and name not in {"ip4", "ip6"} and "%" not in value):
        raise Broken(Fault.TERM, text)
    if name in {"ip4", "ip6"}:
        network_of(term)
    lengths_of(term)
    return term


def network_of(term: Term) -> Network:
    """Return the addresses of `ip4:` or `ip6:`."""
    try:
        if term.name == "ip6":
            return ipaddress.IPv6Network(term.value, strict=False)
        if re.fullmatch(r"[0-9.]+(/\d{1,2})?", term.value):  # IPv4Network takes a mask as well
            return ipaddress.IPv4Network(term.value, strict=False)
    except ValueError:
        pass
    raise Broken(Fault.TERM, term.text)


def lengths_of(term: Term) -> tuple[int, int]:
    """Return the lengths of the prefixes of `a/24//64`."""
    found = _LENGTHS.fullmatch(term.length)
    four, six = (int(found[each] or most) if found else 0 for each, most in (("four", 32), ("six", 128)))
    if four > 32 or six > 128:  # noqa: PLR2004 - of an address
        raise Broken(Fault.TERM, term.text)
    return four, six


# --- what a record should say -----------------------------------------------------------------------------------------


def with_entries(record: str, entries: Sequence[str]) -> str:
    """Return a record with these entries as well, in front of what decides about all others.

    >>> with_entries("v=spf1 mx -all", ["include:_spf.example.com"])
    'v=spf1 mx include:_spf.example.com -all'
    """
    # One that stands there with another qualifier would still decide, being the first.
    wanted = {each.lower() for each in entries}
    words = [word[1:] if word[0] in "?~-" and word[1:].lower() in wanted else word for word in record.split()]
    place = next((number for number, word in enumerate(words) if _decides(word)), len(words))
    known = {word.lower().removeprefix("+") for word in words[:place]}
    new = [each for each in entries if each.lower() not in known]
    return " ".join([*words[:place], *new, *words[place:]])


def without_anyone(record: str) -> str:
    """Return a record that no longer allows everybody."""
    return " ".join("~all" if re.fullmatch(r"\+?all", word, re.IGNORECASE) else word for word in record.split())


def merged(records: Sequence[str]) -> str:
    """Return one record in the place of several, with the mildest of their ends; empty where it takes more than words.

    >>> merged(["v=spf1 mx -all", "v=spf1 a mx ~all"])
    'v=spf1 mx a ~all'
    """
    words: list[str] = []
    ends: list[str] = []
    for record in records:
        try:
            terms = terms_of(record)
        except Broken:
            return ""
        if any(term.name == "redirect" for term in terms):
            return ""
        ends += [term.text for term in terms if term.name == "all"]
        new = [term.text for term in terms if term.name != "all"]
        words += [each for each in new if each.lower() not in {word.lower() for word in words}]
    known = sorted({"+": 1, "?": 0, "~": 2, "-": 3}[end[0] if end[0] in "+?~-" else "+"] for end in ends)
    end = {0: "?all", 1: "~all", 2: "~all", 3: "-all"}[known[0]] if known else "~all"
    return " ".join([VERSION, *words, end])


def _decides(word: str) -> bool:
    return bool(re.fullmatch(r"[+?~-]?all|redirect=.*", word, re.IGNORECASE))
