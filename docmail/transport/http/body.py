"""The body of an HTTP request, whose large parts are read, and encoded, while they are sent."""

from __future__ import annotations

import binascii
import json
import re
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

from docmail.errors import MessageError, listed
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docmail.message import Attachment, Mail

_PIECE = 65536


class Streamed(Protocol):
    """A part of a body: its octets, counted before any of them is read."""

    @property
    def size(self) -> int:
        """The octets that `pieces()` yields."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the content in pieces; raises `MessageError` before the last one if it is not what was announced."""


@dataclass(frozen=True)
class Body:
    """The body of a request."""

    media_type: str
    parts: tuple[bytes | Streamed, ...]

    @property
    def size(self) -> int:
        """The octets of the body."""
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self.parts)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in pieces."""
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from part.pieces()


@dataclass(frozen=True)
class Octets:
    """What is in memory already."""

    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.data)

    def pieces(self) -> Iterator[bytes]:
        """Yield them in pieces, so that progress is seen and a slow network is not taken for one that stands still."""
        for start in range(0, len(self.data), _PIECE):
            yield self.data[start : start + _PIECE]


@dataclass(frozen=True)
class File:
    """An attachment in a body, not encoded."""

    attachment: Attachment

    @property
    def size(self) -> int:
        """The octets of the file."""
        return self.attachment.size

    def pieces(self) -> Iterator[bytes]:
        """Yield the file in pieces."""
        # An error of the file must not be taken for one of the network, which is an OSError as well.
        try:
            yield from self.attachment.pieces(_PIECE)
        except OSError as exc:
            raise _changed(self.attachment.name) from exc


@dataclass(frozen=True)
class Wire:
    """A mail as it goes over the wire (RFC 5322), with headers in front that only the service reads."""

    mail: Mail
    before: bytes = b""

    @property
    def size(self) -> int:
        """The octets of the mail with these headers."""
        return len(self.before) + self.mail.size

    def pieces(self) -> Iterator[bytes]:
        """Yield the mail in pieces."""
        if self.before:
            yield self.before
        try:
            yield from self.mail.wire()
        except OSError as exc:
            raise _changed(listed([attachment.name for attachment in self.mail.attachments], ", ")) from exc


@dataclass(frozen=True)
class Base64:
    """A part in base64, in one line; `for_url` is the alphabet of RFC 4648 5."""

    part: Streamed
    for_url: bool = field(default=False, kw_only=True)

    @property
    def size(self) -> int:
        """The characters of the line."""
        return -(-self.part.size // 3) * 4

    def pieces(self) -> Iterator[bytes]:
        """Yield the line in pieces."""
        rest = b""
        for piece in self.part.pieces():
            data = rest + piece
            whole = len(data) - len(data) % 3
            rest = data[whole:]
            if whole:
                yield self._encoded(data[:whole])
        if rest:
            yield self._encoded(rest)

    def _encoded(self, data: bytes) -> bytes:
        line = binascii.b2a_base64(data, newline=False)
        return line.translate(_FOR_URL) if self.for_url else line


_FOR_URL = bytes.maketrans(b"+/", b"-_")


def json_body(content: dict[str, Any]) -> Body:
    """Return a body in JSON; `Base64` objects in the content become strings that are encoded while they are sent."""
    mark = token_hex(16)
    streamed: list[Base64] = []

    def stand_in(part: Any) -> str:
        if not isinstance(part, Base64):
            raise TypeError(type(part).__name__)
        streamed.append(part)
        return mark

    texts = re.split(mark, json.dumps(content, default=stand_in))
    parts: list[bytes | Streamed] = [texts[0].encode("ascii")]
    for part, text in zip(streamed, texts[1:], strict=True):
        parts += [part, text.encode("ascii")]
    return Body("application/json", tuple(parts))


def multipart(fields: Sequence[tuple[str, str]], files: Sequence[tuple[str, str, str, Streamed]]) -> Body:
    """Return a multipart form: fields with a name and a value, files with a name, a file name, a type and a content."""
    boundary = f"docmail-{token_hex(16)}"
    text = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    )
    parts: list[bytes | Streamed] = []
    for name, filename, media_type, content in files:
        # As browsers write it (WHATWG, multipart/form-data): names in UTF-8, only these three escaped.
        shown = filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        text += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{shown}"\r\n'
            f"Content-Type: {media_type}\r\n\r\n"
        )
        parts += [text.encode(), content]
        text = "\r\n"
    parts.append(f"{text}--{boundary}--\r\n".encode())
    return Body(f"multipart/form-data; boundary={boundary}", tuple(parts))


def _changed(name: str) -> MessageError:
    return MessageError(
        _("{name} is gone or was changed while it was being sent; the mail was not finished.").format(name=name),
        hint=_("Make the document again and send it."),
    )
