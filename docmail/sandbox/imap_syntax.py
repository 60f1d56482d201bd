"""Reads commands of IMAP (RFC 3501 9) and writes values; knows nothing of mailboxes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    Token = bytes | list["Token"]

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r?\n\Z")
_TOKEN = re.compile(
    rb' *(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\\r\n]|\\["\\])*)"'
    rb"|(?P<atom>(?:[^\s()\[\"]|\[[^\]\r\n]*\](?:<[\d.]+>)?)+))"
)
_SET = re.compile(rb"(?:\d+|\*)(?::(?:\d+|\*))?(?:,(?:\d+|\*)(?::(?:\d+|\*))?)*")
_DEPTH = 20
_PIECES = 1000  # literals in one command


class Status(StrEnum):
    """What a command that was not done is answered with."""

    BAD = "BAD"
    NO = "NO"


class CommandError(Exception):
    """A command that is not done; its text follows the status, and begins with a response code if there is one."""

    def __init__(self, status: Status, text: str, tag: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.tag = tag


class Text(bytes):
    """A string, quoted or as a literal, where an atom would be a word of the protocol."""

    __slots__ = ()


async def read_command(
    reader: asyncio.StreamReader, invite: Callable[[], None], limit: int
) -> tuple[str, list[Token]] | None:
    """Return the tag and the rest of one command; None at the end of the connection.

    `invite` asks the client to send a literal. Raises `CommandError` for a literal of more than `limit` octets.
    """
    pieces: list[bytes] = []
    while line := await reader.readline():
        found = _LITERAL.search(line)
        if found is None:
            pieces.append(line)
            break
        size = int(found[1])
        if size > limit or len(pieces) > _PIECES:
            if found[2]:
                return None  # it comes unasked
            raise CommandError(Status.NO, "[LIMIT] The literal is too large", _tag([*pieces, line]))
        if not found[2]:
            invite()
        pieces += [line[: found.start()], Text(await reader.readexactly(size))]
    if not pieces or not pieces[-1].endswith(b"\n"):
        return None
    try:
        tokens = _nested(_tokens(pieces), 0)
    except ValueError:
        raise CommandError(Status.BAD, "Syntax error", _tag(pieces)) from None
    if len(tokens) < 2 or not isinstance(tokens[0], bytes):  # noqa: PLR2004 - a tag and a command
        raise CommandError(Status.BAD, "Syntax error", _tag(pieces))
    return tokens[0].decode("ascii", "replace"), tokens[1:]


def _tag(pieces: Sequence[bytes]) -> str:
    found = re.match(rb"[^\s()%*\"\\{+]+(?= )", pieces[0])
    return found[0].decode("ascii", "replace") if found else "*"


def _tokens(pieces: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    for piece in pieces:
        if isinstance(piece, Text):
            yield "text", piece
            continue
        line, place = piece.rstrip(b"\r\n ") if piece.endswith(b"\n") else piece.rstrip(b" "), 0
        while place < len(line):
            found = _TOKEN.match(line, place)
            if found is None or found.lastgroup is None:
                raise ValueError(line)
            if found.lastgroup == "quoted":
                yield "text", Text(re.sub(rb"\\(.)", rb"\1", found["quoted"]))
            else:
                yield found.lastgroup, found[found.lastgroup]
            place = found.end()


def _nested(tokens: Iterator[tuple[str, bytes]], depth: int) -> list[Token]:
    found: list[Token] = []
    for kind, value in tokens:
        if kind == "close":
            if not depth:
                raise ValueError(value)
            return found
        if kind == "open":
            if depth == _DEPTH:
                raise ValueError(value)
            found.append(_nested(tokens, depth + 1))
        else:
            found.append(value)
    if depth:
        raise ValueError(found)
    return found


def word(token: Token) -> str:
    """Return a word of the protocol in capitals; "" for a string or a list."""
    return "" if isinstance(token, Text | list) else token.decode("ascii", "replace").upper()


def text(token: Token) -> str:
    """Return a string or an atom; raises `CommandError` for a list."""
    if isinstance(token, list):
        raise CommandError(Status.BAD, "A string is missing")
    return token.decode("utf-8", "replace")


def is_set(token: Token) -> bool:
    """Whether this is a set of numbers, such as 1:5,9:*."""
    return isinstance(token, bytes) and not isinstance(token, Text) and _SET.fullmatch(token) is not None


def chosen(token: Token, present: Sequence[int]) -> list[int]:
    """Return those of the present numbers, which ascend, that are in a set.

    `*` is the highest one, so that `9:*` always has it, also where it is less than 9 (RFC 3501 6.4.8).
    """
    if not is_set(token) or not isinstance(token, bytes):
        raise CommandError(Status.BAD, "A set of numbers is missing")
    highest = present[-1] if present else 0
    ranges = []
    for part in token.decode("ascii").split(","):
        ends = [highest if end == "*" else int(end) for end in part.split(":")]
        ranges.append((min(ends), max(ends)))
    return [number for number in present if any(low <= number <= high for low, high in ranges)]


def moment(token: Token) -> datetime:
    """Return the time that a date ("1-Dec-2026") or a date with time and zone stands for."""
    day, _blank, time = text(token).strip().partition(" ")
    try:
        found = parsedate_to_datetime(f"{day.replace('-', ' ')} {time or '00:00:00 +0000'}")
    except ValueError:
        raise CommandError(Status.BAD, "A date is missing") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def date_time(when: datetime) -> bytes:
    """Return a time as FETCH shows it."""
    return f'"{format_datetime(when.astimezone(UTC))[5:].replace(" ", "-", 2)}"'.encode("ascii")


def literal(content: bytes) -> bytes:
    """Return a string of any octets."""
    return b"{%d}\r\n" % len(content) + content
