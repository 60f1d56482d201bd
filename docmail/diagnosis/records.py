"""Reads the DNS records of a domain: from the system's name server, within one deadline, each answer kept for a while.

A name without a record and a name server without an answer are told apart: only the first says something of a domain.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from docmail.language import _
from docmail.net import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from dns.resolver import Resolver

_ONE_LOOK_UP = 2.0  # seconds; a name server that is there answers in a tenth of that
_KEPT = 300.0  # seconds; a test right after the first asks nobody, and one after a correction sees it
_MAX_KEPT = 1000

_answers: dict[tuple[object, ...], tuple[float, Records]] = {}


class NotLookedUp(Exception):
    """Nothing is known of this name, for this reason; it may have records."""


class Records(NamedTuple):
    """What a name has: `values` as text, `exists` is whether there is such a name at all.

    `alias` is the name to which CNAME records lead, where there are some.
    """

    values: tuple[str, ...]
    exists: bool = True
    alias: str = ""


class LookUps:
    """The look-ups of one examination, all within some `seconds`; `stopped` is asked before each."""

    def __init__(self, seconds: float, stopped: Callable[[], bool] = lambda: False) -> None:
        self._deadline = Deadline(seconds)
        self._stopped = stopped

    def of(self, name: str, kind: str) -> Records:
        """Return the records of this kind; raises `NotLookedUp`."""
        if self._stopped():
            raise NotLookedUp(_("Stopped."))
        name = name.lower().rstrip(".")
        system = _system()
        # Another network may have other answers for the same name.
        key = (tuple(str(each) for each in system.nameservers), system.port, name, kind)
        until, found = _answers.get(key, (0.0, Records(())))
        if until < time.monotonic():
            found = self._ask(system, name, kind)
            while len(_answers) >= _MAX_KEPT:
                _answers.pop(next(iter(_answers)), None)
            _answers[key] = time.monotonic() + _KEPT, found
        return found

    def texts(self, name: str, begin: str) -> list[str]:
        """Return the TXT records that begin with this word, whatever its capitals, sorted; raises `NotLookedUp`."""
        return sorted(text for text in self.of(name, "TXT").values if _begins(text, begin))

    def _ask(self, system: Resolver, name: str, kind: str) -> Records:
        import dns.exception
        import dns.resolver

        late = _("Your DNS server does not answer.")
        try:
            seconds = min(_ONE_LOOK_UP, self._deadline.remaining())
            answer = system.resolve(f"{name}.", kind, lifetime=seconds, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as exc:
            alias = _alias(exc, name)
            return Records((), exists=bool(alias), alias=alias)
        except (dns.exception.Timeout, TimeoutError) as exc:
            raise NotLookedUp(late) from exc
        except Exception as exc:
            sentence = _("Your DNS server cannot answer for {name}.")
            raise NotLookedUp(sentence.format(name=name)) from exc
        target = answer.canonical_name.to_text(omit_final_dot=True).lower()
        return Records(tuple(_text(record) for record in answer.rrset or ()), alias=target if target != name else "")


def resolver() -> Resolver:
    """Return the system's resolver, read anew, because laptops change networks; tests put theirs here."""
    import dns.resolver

    return dns.resolver.Resolver()


def _system() -> Resolver:
    import dns.resolver

    try:
        return resolver()
    except (dns.resolver.NoResolverConfiguration, OSError) as exc:
        raise NotLookedUp(_("This computer knows no DNS server; it may have no network.")) from exc


def forget() -> None:
    """Forget all answers."""
    _answers.clear()


def _begins(text: str, word: str) -> bool:
    """Say whether a record begins with a word: "v=spf10" does not begin with "v=spf1"."""
    head, rest = text[: len(word)], text[len(word) :]
    return head.lower() == word.lower() and (not rest or rest[0] in " ;\t")


def _text(record: Any) -> str:
    """Return a record as text: of a TXT record its strings as one (RFC 7208 3.3), of an MX its number and its host."""
    if hasattr(record, "strings"):
        text = b"".join(record.strings).decode("ascii", "replace")
        return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
    return str(record.to_text())


def _alias(exc: Any, name: str) -> str:
    """Return where the aliases of a name end that leads to one which does not exist."""
    try:
        target = str(exc.canonical_name.to_text(omit_final_dot=True)).lower()
    except Exception:  # noqa: BLE001 - a response that cannot be followed
        return ""
    return target if target != name else ""
