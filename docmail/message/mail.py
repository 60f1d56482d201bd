"""A mail as it goes out: an envelope (RFC 5321), and a content (RFC 5322) that can be streamed.

Attachments are encoded in pieces while they are sent, because a 20 MB document as one `EmailMessage` costs ten times
its time and memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Protocol

from pybase64 import encodebytes

from docmail.documents import Document
from docmail.errors import MessageError, listed
from docmail.language import _, ngettext
from docmail.message.headers import part_header, with_whole_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from email.message import EmailMessage

__all__ = ["Attachment", "Mail", "Openable", "base64_pieces", "changed"]

_SHOWN_BY_GMAIL = 102_000  # octets of HTML; the rest is behind a link
_MAX_OCTETS = 998  # of a line (RFC 5322 2.1.1)
_MAIL_TYPE, _FILE_TYPE = "message/rfc822", "application/octet-stream"
_LINE = 57  # octets that make a line of 76 characters, the most that RFC 2045 6.8 allows
_PIECE = _LINE * 256  # no more: memory for larger pieces comes anew from the system, which takes longer than encoding


def advice_on(html_size: int, remote_images: Sequence[str] = (), *, loses_its_thread: bool = False) -> str:
    """Return what the writer of a mail should know about its HTML: of so many octets, with pictures at these URLs.

    And about the mail that it answers, where the way to the server has no place for that. Empty if there is nothing.
    """
    said = []
    if html_size > _SHOWN_BY_GMAIL:
        said.append(
            _(
                "The text of this mail has {size} kB, and Gmail shows the first {limit} kB. Put less of the tables "
                "into the text, and attach the whole as a document."
            ).format(size=f"{html_size / 1000:,.0f}", limit=_SHOWN_BY_GMAIL // 1000)
        )
    if remote_images:
        said.append(
            ngettext(
                "The text shows a picture that is on another server: {urls}. Many readers will not see it, and "
                "the server learns who opens the mail. Put the picture itself into the text: "
                'body=["Hello,", PIL.Image.open("chart.png")].',
                "The text shows {number} pictures that are on other servers: {urls}. Many readers will not see them, "
                "and the servers learn who opens the mail. Put the pictures themselves into the text: "
                'body=["Hello,", PIL.Image.open("chart.png")].',
                len(remote_images),
            ).format(number=len(remote_images), urls=listed(remote_images, ", ", 3))
        )
    if loses_its_thread:
        said.append(
            _(
                "The server of these settings cannot be told which mail this one answers: its readers find it as a "
                "mail of its own. Send it through SMTP, if they are to see both together."
            )
        )
    return " ".join(said)


@dataclass(frozen=True)
class Mail:
    """One mail as it goes out: the envelope, the head (headers and text, RFC 5322) and the attachments.

    `recipients` are all of the envelope: To, Cc, Bcc and the archive copy. Bcc and archive stand nowhere else.
    """

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    archive: frozenset[str]
    head: bytes
    boundary: str
    smtputf8: bool
    attachments: tuple[Attachment, ...] = ()
    html_size: int = 0
    """How many octets its HTML has; 0 without any, and where it is not known any more."""
    remote_images: tuple[str, ...] = ()
    """The pictures in its text that are on other servers; none where that is not known any more."""
    loses_its_thread: bool = False
    """Whether it answers another mail, and its server is not told so."""

    @property
    def advice(self) -> str:
        """What its writer should know before it goes out, as a sentence; an empty text if there is nothing."""
        return advice_on(self.html_size, self.remote_images, loses_its_thread=self.loses_its_thread)

    def parsed(self) -> EmailMessage:
        """Return headers and text, without the attachments, as the standard library reads them."""
        return message_from_bytes(with_whole_names(self.head) + self._end, policy=policy.default)

    def wire(self, *, dot_stuffed: bool = False) -> Iterator[bytes]:
        """Yield the content in pieces, with CRLF line ends.

        With `dot_stuffed`, lines that begin with a dot get a second one (RFC 5321 4.5.2).
        """
        yield _dot_stuffed(self.head) if dot_stuffed else self.head
        for attachment, header in zip(self.attachments, self._part_headers, strict=True):
            yield header
            yield from attachment.encoded(dot_stuffed=dot_stuffed)
        if self.boundary:
            yield self._end

    @cached_property
    def size(self) -> int:
        """The octets of the content on the wire, before dot-stuffing (RFC 1870)."""
        attached = sum(attachment.octets for attachment in self.attachments)
        return len(self.head) + sum(map(len, self._part_headers)) + attached + len(self._end)

    @property
    def _end(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode() if self.boundary else b""

    @cached_property
    def _part_headers(self) -> tuple[bytes, ...]:
        between = f"\r\n--{self.boundary}\r\n".encode()
        return tuple(between + attachment.header for attachment in self.attachments)


class Openable(Protocol):
    """Anything whose content can be read from the beginning: a `Document`, or a file of the outbox."""

    def open(self) -> BinaryIO:
        """Return the content as a binary file."""


@dataclass(frozen=True)
class Attachment:
    """A file that travels with a mail; its content is read while it is sent."""

    name: str
    media_type: str
    size: int
    source: Openable = field(repr=False)

    def pieces(self, octets: int) -> Iterator[bytes]:
        """Yield the content in pieces of so many octets, as `_checked_pieces` does."""
        with self.source.open() as file:
            yield from _checked_pieces(file, self.size, octets)
            if isinstance(self.source, Document):
                self.source.check(file)

    @cached_property
    def _mail(self) -> bytes | None:
        """A mail that travels in this one as it is, because it may not be in base64 (RFC 2046 5.2.1).

        None for anything else: also for a mail that not every server on the way would carry, which is a file then.
        """
        is_mail = self.media_type == _MAIL_TYPE and self.name.lower().endswith(".eml")
        return _carried(b"".join(self.pieces(_PIECE))) if is_mail else None

    @property
    def header(self) -> bytes:
        """The headers above it, and the empty line below them."""
        if self._mail is not None:
            return part_header(self.name, _MAIL_TYPE, "7bit")
        return part_header(self.name, _FILE_TYPE if self.media_type == _MAIL_TYPE else self.media_type, "base64")

    @property
    def octets(self) -> int:
        """What it takes in the mail."""
        if self._mail is not None:
            return len(self._mail)
        return -(-self.size // _LINE) * 2 + -(-self.size // 3) * 4

    def encoded(self, *, dot_stuffed: bool) -> Iterator[bytes]:
        """Yield it as it stands in the mail; base64 has no lines that begin with a dot."""
        if self._mail is None:
            yield from self.base64()
        else:
            yield _dot_stuffed(b"\r\n" + self._mail)[2:] if dot_stuffed else self._mail

    def base64(self) -> Iterator[bytes]:
        """Yield the content in base64, in lines of 76 characters; a source that many mails share has it ready."""
        if (encoded := getattr(self.source, "base64", None)) is not None:
            yield from encoded()
        else:
            yield from _base64_lines(self.pieces(_PIECE))


def _carried(content: bytes) -> bytes | None:
    """Return a mail in the form in which every server carries it: ASCII, CRLF, no long lines; None if it has none."""
    mail = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    head = mail.partition(b"\r\n\r\n")[0]
    if not re.match(rb"[!-9;-~]+:", mail) or not head.isascii():
        return None
    if not _is_carried(mail):
        parsed = message_from_bytes(mail, policy=policy.SMTP.clone(cte_type="7bit", refold_source="none"))
        if parsed.get_content_type() == "multipart/signed":
            return None  # a signature covers the encoding (RFC 1847 2.1)
        try:
            mail = parsed.as_bytes()  # as servers do for others that do not know 8BITMIME (RFC 6152 3)
        except (UnicodeError, LookupError, ValueError):
            return None  # its charset is not what it says
    return mail if _is_carried(mail) else None


def _is_carried(mail: bytes) -> bool:
    return mail.isascii() and b"\0" not in mail and max(map(len, mail.split(b"\r\n"))) <= _MAX_OCTETS


def _dot_stuffed(lines: bytes) -> bytes:
    return lines.replace(b"\r\n.", b"\r\n..")


def base64_pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield a file in base64, in lines of 76 characters, about 20 kB at a time.

    Raises `MessageError` if its size is no longer this one.
    """
    return _base64_lines(_checked_pieces(file, size, _PIECE))


def _base64_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield encodebytes(piece).replace(b"\n", b"\r\n")


def _checked_pieces(file: BinaryIO, size: int, octets: int) -> Iterator[bytes]:
    """Yield a file in pieces of so many octets, the last one only if all of it has been read and has this size.

    Raises `MessageError` otherwise: a mail must never be another than the one that was checked, and behind a last piece
    the server may have a whole mail, which it would deliver.
    """
    held, seen = b"", 0
    while piece := file.read(octets):
        seen += len(piece)
        if seen > size:
            break
        if held:
            yield held
        held = piece
    if seen != size:
        raise changed()
    if held:
        yield held


def changed() -> MessageError:
    """Return the error for a document that is no longer the one that was checked."""
    return MessageError(
        _("A document changed before or while it was sent; the mail was not finished."),
        hint=_("Make the document again and send it."),
    )
