"""Takes a mail apart without trusting it: so many octets, parts, levels and headers, and no more.

The standard library's parser builds an object for every part and calls itself for every level, so that a mail of 1 MB
can take a gigabyte or all of the stack. Here a mail takes time and memory in proportion to its octets.
"""

from __future__ import annotations

import binascii
import quopri
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_OCTETS = 2_000_000  # of a mail; what a server reports stands at its beginning
_MOST_HEAD = 200_000  # octets
_MOST_FIELDS = 500
_MOST_VALUE = 4_000  # characters of a field
_MOST_PARTS = 100  # of a mail, on all levels
_DEEPEST = 8  # levels
_MOST_TEXT = 200_000  # characters of one text

_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:(.*)", re.DOTALL)
_PARAMETER = re.compile(r';\s*([\w!#$&.+^-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')
# Python has charsets that take a square of the time, or that write warnings; these are the ones of mails.
_CHARSETS = re.compile(
    r"us-ascii|utf-?8|iso-?8859-?\d{1,2}|windows-?125\d|cp125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|iso-2022-jp|shift_jis"
    r"|euc-(jp|kr)",
    re.IGNORECASE,
)


@dataclass
class _Budget:
    """What is left for one mail."""

    parts: int = _MOST_PARTS


@dataclass(frozen=True)
class Part:
    """A mail, or a part of one: the values of its header fields by their names in small letters, and its body."""

    fields: dict[str, list[str]]
    raw_body: bytes = field(repr=False)
    level: int = 0
    _budget: _Budget = field(default_factory=_Budget, repr=False, compare=False)

    def first(self, name: str) -> str:
        """Return the first value of a header field; an empty text if there is none."""
        return next(iter(self.fields.get(name, ())), "")

    @cached_property
    def kind(self) -> str:
        """Its media type, in small letters."""
        found = self.first("content-type").partition(";")[0].strip().lower()
        return found if re.fullmatch(r"[\w.+-]+/[\w.+-]+", found) else "text/plain"

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of its media type, by their names in small letters."""
        found = _PARAMETER.findall(self.first("content-type")[:2000])
        return {
            name.lower(): re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
            for name, value in reversed(found)
        }

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Its parts, if it is a multipart."""
        boundary = self.parameters.get("boundary", "").encode("utf-8", "replace")
        if not self.kind.startswith("multipart/") or not boundary or self.level >= _DEEPEST:
            return ()
        found: list[bytes] = []
        begin: int | None = None
        for line in re.finditer(rb"(?:^|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|$)", self.raw_body):
            if begin is not None:
                found.append(self.raw_body[begin : line.start()])
            begin = line.end()
            if line[1] or len(found) >= self._budget.parts:
                begin = None
                break
        if begin is not None:  # cut off
            found.append(self.raw_body[begin:])
        return tuple(self._inner(re.sub(rb"\A\r?\n", b"", octets)) for octets in found)

    @property
    def embedded(self) -> Part | None:
        """The mail in it, if it is one, or the headers of one; None otherwise."""
        if self.level >= _DEEPEST or not re.fullmatch(
            r"(message/(rfc822|global)|(text|message)/rfc822-headers|message/global-headers)", self.kind
        ):
            return None
        return self._inner(self.body)

    def _inner(self, octets: bytes) -> Part:
        if self._budget.parts <= 0:
            return Part({}, b"", _DEEPEST, self._budget)
        self._budget.parts -= 1
        return _part(octets, self.level + 1, self._budget)

    @cached_property
    def body(self) -> bytes:
        """Its body as it was before it was encoded for the way."""
        encoding = self.first("content-transfer-encoding").strip().lower()
        if encoding == "base64":
            letters = re.sub(rb"[^A-Za-z0-9+/]", b"", self.raw_body)
            try:
                return binascii.a2b_base64(letters[: len(letters) // 4 * 4] + _padded(letters))
            except binascii.Error:
                return b""
        return quopri.decodestring(self.raw_body) if encoding == "quoted-printable" else self.raw_body

    @cached_property
    def text(self) -> str:
        """Its body as text, at most so much of it as a report of a server has."""
        charset = self.parameters.get("charset", "")
        return text_of(self.body[:_MOST_TEXT], charset)

    def walk(self) -> Iterator[Part]:
        """Yield it and its parts, in their order; not the mails in it."""
        yield self
        for part in self.parts:
            yield from part.walk()


def read_mail(raw: bytes) -> Part:
    """Return a mail, of which only its beginning is read if it is very large."""
    return _part(raw[:_MOST_OCTETS], 0, _Budget())


def text_of(octets: bytes, charset: str = "") -> str:
    """Return octets as text, whatever they are."""
    name = charset if _CHARSETS.fullmatch(charset) else "utf-8"
    try:
        return octets.decode(name, "replace")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")


def fields_of(octets: bytes) -> dict[str, list[str]]:
    """Return the header fields at the beginning of octets, each on one line, by their names in small letters."""
    found: dict[str, list[str]] = {}
    lines: list[bytes] = []
    number = 0
    for line in [*octets[:_MOST_HEAD].splitlines()[: 10 * _MOST_FIELDS], b""]:
        if line[:1] in {b" ", b"\t"} and lines:
            lines.append(line)
            continue
        if lines and (match := _FIELD.match(b" ".join(each.strip() for each in lines)[: 2 * _MOST_VALUE])):
            value = text_of(match[2]).strip()[:_MOST_VALUE]
            found.setdefault(match[1].decode("ascii").lower(), []).append(value)
            number += 1
        if number >= _MOST_FIELDS:
            break
        lines = [line]
    return found


def _part(octets: bytes, level: int, budget: _Budget) -> Part:
    blank = re.search(rb"\A\r?\n|\r?\n\r?\n", octets)
    head, body = (octets[: blank.start()], octets[blank.end() :]) if blank else (octets, b"")
    return Part(fields_of(head), body, level, budget)


def _padded(letters: bytes) -> bytes:
    rest = letters[len(letters) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""
