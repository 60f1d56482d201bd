"""Understands what SEARCH asks of the mails of a folder (RFC 3501 6.4.4)."""

from __future__ import annotations

import re
from contextlib import suppress
from email.header import decode_header, make_header
from typing import TYPE_CHECKING

from docmail.sandbox.imap_syntax import CommandError, Status, chosen, is_set, moment, text, word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docmail.sandbox.imap_syntax import Token
    from docmail.sandbox.inbox import Inbox

    Fits = Callable[[int, int], bool]
    """Whether a mail fits, by its number and its UID."""

_FLAGS = ("ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN")


class Heads:
    """The headers of mails that were searched, read once: every copy that is filed asks for a Message-ID."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], dict[str, str]] = {}

    def of(self, name: str, folder: Inbox) -> Callable[[int], dict[str, str]]:
        """Return what looks up the headers of a mail of this folder: their values by name, in small letters."""

        def look_up(uid: int) -> dict[str, str]:
            key = (name.upper(), uid)
            if key not in self._known:
                found = folder.stored(uid, head_only=True)
                if found is None:
                    return {}
                self._known[key] = _values(found.raw)
            return self._known[key]

        return look_up


def _values(head: bytes) -> dict[str, str]:
    values: dict[str, str] = {}
    for field in re.split(r"\r?\n(?![ \t])", head.decode("utf-8", "replace")):
        name, _colon, value = field.partition(":")
        value = re.sub(r"\r?\n(?=[ \t])", "", value).strip()
        if "=?" in value:
            with suppress(ValueError, LookupError):
                value += f"\n{make_header(decode_header(value))}"
        values[name.lower()] = "\n".join(filter(None, (values.get(name.lower()), value.casefold())))
    return values


def condition(
    tokens: Sequence[Token], folder: Inbox, uids: Sequence[int], head: Callable[[int], dict[str, str]]
) -> Fits:
    """Return what says whether a mail fits all these keys; raises `CommandError` for a key that is unknown."""
    return _Keys(folder, list(uids), head).all_of(list(tokens))


class _Keys:
    def __init__(self, folder: Inbox, uids: list[int], head: Callable[[int], dict[str, str]]) -> None:
        self._folder = folder
        self._uids = uids
        self._head = head

    def all_of(self, tokens: list[Token]) -> Fits:
        keys: list[Fits] = []
        while tokens:
            keys.append(self._key(tokens))
        if not keys:
            raise CommandError(Status.BAD, "SEARCH lacks what is sought")
        return lambda number, uid: all(key(number, uid) for key in keys)

    def _key(self, tokens: list[Token]) -> Fits:  # noqa: PLR0911 - one kind of key after the other
        """Take one key, with what belongs to it, from the tokens."""
        first = tokens.pop(0)
        if isinstance(first, list):
            return self.all_of(first)
        name = word(first)
        if is_set(first):
            numbers = set(chosen(first, range(1, len(self._uids) + 1)))
            return lambda number, _uid: number in numbers
        if name == "UID":
            chosen_uids = set(chosen(tokens.pop(0), self._uids))
            return lambda _number, uid: uid in chosen_uids
        if name == "NOT":
            inner = self._key(tokens)
            return lambda number, uid: not inner(number, uid)
        if name == "OR":
            one, other = self._key(tokens), self._key(tokens)
            return lambda number, uid: one(number, uid) or other(number, uid)
        if name in {"ALL", "OLD"}:
            return lambda _number, _uid: True
        if name.removeprefix("UN") in _FLAGS:
            flag, wanted = f"\\{name.removeprefix('UN').capitalize()}", not name.startswith("UN")
            return lambda _number, uid: (flag in self._flags(uid)) == wanted
        return self._about_content(name, tokens)

    def _about_content(self, name: str, tokens: list[Token]) -> Fits:
        if name in {"HEADER", "SUBJECT", "FROM", "TO", "CC", "BCC"}:
            header = text(tokens.pop(0)).lower() if name == "HEADER" else name.lower()
            sought = text(tokens.pop(0)).casefold()
            return lambda _number, uid: sought in self._head(uid).get(header, "") and header in self._head(uid)
        if name in {"TEXT", "BODY"}:
            octets = text(tokens.pop(0)).lower().encode()
            return lambda _number, uid: octets in self._raw(uid, of_body=name == "BODY").lower()
        if name in {"LARGER", "SMALLER"}:
            size = int(text(tokens.pop(0)))
            sign = 1 if name == "LARGER" else -1
            return lambda _number, uid: sign * len(self._raw(uid)) > sign * size
        if name in {"SINCE", "BEFORE", "ON"}:
            day = moment(tokens.pop(0)).date()
            return lambda _number, uid: self._is_then(name, uid, day.toordinal())
        raise CommandError(Status.BAD, "The sandbox does not know this key of SEARCH")

    def _flags(self, uid: int) -> tuple[str, ...]:
        found = self._folder.stored(uid, head_only=True)
        return found.flags if found else ()

    def _raw(self, uid: int, *, of_body: bool = False) -> bytes:
        found = self._folder.stored(uid)
        raw = found.raw if found else b""
        return raw.partition(b"\r\n\r\n")[2] if of_body else raw

    def _is_then(self, name: str, uid: int, day: int) -> bool:
        found = self._folder.stored(uid, head_only=True)
        if found is None:
            return False
        then = found.received.date().toordinal()
        return {"SINCE": then >= day, "BEFORE": then < day, "ON": then == day}[name]
