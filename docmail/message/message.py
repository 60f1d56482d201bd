"""Turns what a person wants to say into a mail: an envelope (RFC 5321) and a content (RFC 5322) that can be streamed.

Every value is cleaned here, once, with an error that names the field; later code trusts it. Headers are made by the
standard library, the text by `docmail.message.body`; attachments are encoded in pieces while they are sent, because a
20 MB document as one `EmailMessage` costs ten times its time and memory.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import Header, decode_header
from email.message import EmailMessage
from email.utils import formatdate
from functools import cached_property, lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import quote

from pybase64 import b64encode, encodebytes

from docmail.addresses import Address, first_control, parse_address, parse_addresses
from docmail.documents import Document, documents_of
from docmail.errors import AddressError, MessageError
from docmail.language import _
from docmail.message.body import Picture, body_of, content_of
from docmail.text import Given, InexactError, body_given, is_missing, number_key
from docmail.text import to_html as markdown_to_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.settings import Settings

__all__ = ["Attachment", "Mail", "Message", "draft", "markdown_to_html", "with_whole_names"]

_MAX_SUBJECT = 900
_MAX_KEY = 200
_MAX_LINE = 76  # characters of a header line, where it can be folded (RFC 2047 2)
_MAX_OCTETS = 998  # of a line (RFC 5322 2.1.1)
_A_MAIL, _A_FILE = "message/rfc822", "application/octet-stream"
_SHORT_SUBJECT = _MAX_LINE - len("Subject: ")
_WORD = rb"=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?="
_WORDS = re.compile(rb"%b(?:[ \t]*\r?\n?[ \t]+%b)+" % (_WORD, _WORD))
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9 ._-]*[A-Za-z0-9_-])?")


@dataclass(frozen=True)
class Message:
    """What a person wants to say to whom.

    `to`, `cc`, `bcc` and `reply_to` take a text with one or more addresses (separated by `;` or `,`), or a list of
    which each item is one address. `body` is Markdown, in which a line break is a line break, or a list of Markdown,
    figures of matplotlib's and small DataFrames, which then stand in the text. `documents` takes whatever `Document.of`
    takes, or a list of it. `key`, a text or a number, makes the message unique per sending account: the outbox sends a
    key once. Raises `MessageError` (`AddressError`, `DocumentError`) naming the field.
    """

    to: tuple[Address, ...]
    subject: str
    body: str = ""
    documents: tuple[Document, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    key: str | None = None
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    """The figures in the body, which refers to them by their names (“cid:figure-1”)."""

    # The constructor takes more than the fields hold, so that every value is settled before the object exists.
    def __init__(  # noqa: PLR0913, PLR0917 - the header fields of a mail, in the order in which people think of them
        self,
        to: str | Address | Iterable[str | Address],
        subject: str,
        body: Any = "",
        documents: Any = (),
        cc: str | Address | Iterable[str | Address] = (),
        bcc: str | Address | Iterable[str | Address] = (),
        reply_to: str | Address | Iterable[str | Address] | None = None,
        key: str | float | None = None,
        pictures: Any = (),
    ) -> None:
        text, found = body_of(body)
        values = {
            **_recipients(to=to, cc=cc, bcc=bcc),
            "reply_to": () if reply_to is None else _addresses(reply_to, "reply_to"),
            "subject": _subject_line(subject),
            "body": body_given(text, body),
            "documents": documents_of(documents),
            "key": None if key is None else key_text(key),
            "pictures": found or tuple(pictures),  # those of `replace()`, whose body is text already
        }
        if not values["to"]:
            raise AddressError(
                _("The message has no recipient."), field="to", hint=_('Give an address: to="cfo@example.com".')
            )
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def render(self, settings: Settings) -> Mail:
        """Return the mail as these settings send it: with its sender, Message-ID, date and archive copy."""
        sender = settings.address
        recipients = [*self.to, *self.cc, *self.bcc]
        archive = [parse_address(settings.copy_to, "copy_to")] if settings.copy_to else []
        archive = [copy_to for copy_to in archive if copy_to.mailbox not in {each.mailbox for each in recipients}]
        recipients += archive
        reply_to = self.reply_to or tuple(parse_address(text, "reply_to") for text in settings.reply_to)
        smtputf8 = any(address.needs_smtputf8 for address in (sender, *recipients, *reply_to))
        content = content_of(self.body, self.pictures, sender.domain)
        boundary = f"=_{token_hex(16)}" if self.documents else ""
        message_id = new_message_id(sender.domain)
        head = b"".join(
            _header(name, addresses)
            for name, addresses in (("From", [sender]), ("To", self.to), ("Cc", self.cc), ("Reply-To", reply_to))
            if addresses
        )
        head += _subject(self.subject)
        head += f"Date: {_date(int(time.time()))}\r\nMessage-ID: {message_id}\r\n".encode()
        head += b"MIME-Version: 1.0\r\n"
        if boundary:
            # By hand: the library would write an empty multipart, end and all.
            head += f'Content-Type: multipart/mixed;\r\n boundary="{boundary}"\r\n\r\n--{boundary}\r\n'.encode()
        return Mail(
            message_id=message_id,
            sender=sender.addr_spec,
            recipients=tuple(address.addr_spec for address in recipients),
            archive=frozenset(address.addr_spec for address in archive),
            head=head + content,
            boundary=boundary,
            smtputf8=smtputf8,
            attachments=tuple(
                Attachment(document.name, document.content_type, document.size, document) for document in self.documents
            ),
        )

    def __repr__(self) -> str:
        return f"<Message to {', '.join(address.addr_spec for address in self.to)}: {self.subject!r}>"


def new_message_id(domain: str) -> str:
    """Return a Message-ID that no other mail has.

    Not the library's `make_msgid`: it asks `random`, which data scientists seed to be able to repeat a calculation, and
    which a forked process continues from where its parent was. Nor does it leave their numbers as they were.
    """
    return f"<{token_hex(16)}@{domain}>"


def draft(message: Message, settings: Settings) -> bytes:
    """Return a message as a file (.eml) that mail programs open as a draft, to be looked at and sent there.

    Unlike in what docmail sends, the blind copies stand in it: the program that sends it takes them out.
    """
    hidden = list(message.bcc)
    mail = message.render(settings)
    hidden += [parse_address(address, "copy_to") for address in mail.recipients if address in mail.archive]
    head = b"X-Unsent: 1\r\n" + (_header("Bcc", hidden) if hidden else b"")
    return head + b"".join(mail.wire())


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
        """Yield the content in pieces of so many octets, as `checked_pieces` does."""
        with self.source.open() as file:
            yield from checked_pieces(file, self.size, octets)
            if isinstance(self.source, Document):
                self.source.check(file)

    @cached_property
    def letter(self) -> bytes | None:
        """A mail that travels in this one as it is, because it may not be in base64 (RFC 2046 5.2.1).

        None for anything else: also for a mail that not every server on the way would carry, which is a file then.
        """
        is_mail = self.media_type == _A_MAIL and self.name.lower().endswith(".eml")
        return _as_letter(b"".join(self.pieces(_PIECE))) if is_mail else None

    @property
    def octets(self) -> int:
        """What it takes in the mail."""
        if self.letter is not None:
            return len(self.letter)
        return -(-self.size // _LINE) * 2 + -(-self.size // 3) * 4

    def encoded(self, *, dot_stuffed: bool) -> Iterator[bytes]:
        """Yield it as it stands in the mail; base64 has no lines that begin with a dot."""
        if self.letter is None:
            yield from self.base64()
        else:
            yield _dot_stuffed(b"\r\n" + self.letter)[2:] if dot_stuffed else self.letter

    def base64(self) -> Iterator[bytes]:
        """Yield the content in base64, in lines of 76 characters; a source that many mails share has it ready."""
        if (encoded := getattr(self.source, "base64", None)) is not None:
            yield from encoded()
        else:
            yield from _lines(self.pieces(_PIECE))


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

    def parsed(self) -> EmailMessage:
        """Return headers and text, without the attachments, as the standard library reads them."""
        end = f"\r\n--{self.boundary}--\r\n".encode() if self.boundary else b""
        return message_from_bytes(with_whole_names(self.head) + end, policy=policy.default)

    def wire(self, *, dot_stuffed: bool = False) -> Iterator[bytes]:
        """Yield the content in pieces, with CRLF line ends.

        With `dot_stuffed`, lines that begin with a dot get a second one (RFC 5321 4.5.2).
        """
        yield _dot_stuffed(self.head) if dot_stuffed else self.head
        for attachment, part_header in zip(self.attachments, self._part_headers, strict=True):
            yield part_header
            yield from attachment.encoded(dot_stuffed=dot_stuffed)
        if self.boundary:
            yield f"\r\n--{self.boundary}--\r\n".encode()

    @cached_property
    def size(self) -> int:
        """The octets of the content on the wire, before dot-stuffing (RFC 1870)."""
        attached = sum(attachment.octets for attachment in self.attachments)
        end = len(self.boundary) + 8 if self.boundary else 0
        return len(self.head) + sum(map(len, self._part_headers)) + attached + end

    @cached_property
    def _part_headers(self) -> tuple[bytes, ...]:
        return tuple(
            f"\r\n--{self.boundary}\r\n".encode() + _part_header(attachment) for attachment in self.attachments
        )


def _part_header(attachment: Attachment) -> bytes:
    disposition = f'Content-Disposition: attachment; filename="{attachment.name}"'
    media_type, encoding = attachment.media_type, "base64"
    if attachment.letter is not None:
        encoding = "7bit"
    elif media_type == _A_MAIL:
        media_type = _A_FILE
    if _PLAIN_NAME.fullmatch(attachment.name) and len(disposition) <= _MAX_LINE:
        # As the library writes it, in a hundredth of its time.
        kind = f"Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
        return f"{kind}{disposition}\r\n\r\n".encode()
    part = EmailMessage(policy=policy.SMTP)
    part["Content-Type"] = media_type
    part["Content-Transfer-Encoding"] = encoding
    if "=?" not in attachment.name:
        part.add_header("Content-Disposition", "attachment", filename=attachment.name)
        return bytes(part)
    # The library would write the name as it is, and its reader would take it for an encoded word.
    name = f"Content-Disposition: attachment;\r\n filename*=utf-8''{quote(attachment.name, safe='')}\r\n\r\n"
    return bytes(part).removesuffix(b"\r\n") + name.encode()


def _as_letter(content: bytes) -> bytes | None:
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


# --- base64 -----------------------------------------------------------------------------------------------------------

_LINE = 57  # octets that make a line of 76 characters, the most that RFC 2045 6.8 allows
_PIECE = _LINE * 256  # no more: memory for larger pieces comes anew from the system, which takes longer than encoding


def base64_pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield a file in base64, in lines of 76 characters, about 20 kB at a time; raises as `checked_pieces` does."""
    return _lines(checked_pieces(file, size, _PIECE))


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield encodebytes(piece).replace(b"\n", b"\r\n")


def checked_pieces(file: BinaryIO, size: int, octets: int) -> Iterator[bytes]:
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
        _(
            "A document was changed while it was being sent, or changed its size or content before; the mail was"
            " not finished."
        ),
        hint=_("Make the document again and send it."),
    )


# --- headers and text -------------------------------------------------------------------------------------------------


def _recipients(**fields: Any) -> dict[str, tuple[Address, ...]]:
    """Return the addresses of each field; nobody is in two, and the first one counts."""
    found: dict[str, tuple[Address, ...]] = {}
    seen: set[str] = set()
    for name, value in fields.items():
        found[name] = tuple(address for address in _addresses(value, name) if address.mailbox not in seen)
        seen |= {address.mailbox for address in found[name]}
    return found


def _addresses(value: Any, name: str) -> tuple[Address, ...]:
    try:
        return parse_addresses(value, name)
    except AddressError as exc:
        exc.message = f"{name}: {exc.message}"
        raise


def _header(name: str, addresses: Iterable[Address]) -> bytes:
    """Return an address header, each address in a line of its own.

    By hand, because Python 3.11 hides the comma after a long name in an encoded word, and the next recipient with it.
    """
    return (f"{name}: " + ",\r\n ".join(map(_mailbox, addresses)) + "\r\n").encode()


def _mailbox(address: Address) -> str:
    shown = str(address)
    if address.name.isascii() and "=?" not in address.name and len(shown) <= _MAX_LINE:
        return shown
    return f"{_encoded(address.name, 'Reply-To')}\r\n <{address.addr_spec}>"


def with_whole_names(mail: bytes) -> bytes:
    """Return a mail in whose headers neighbouring encoded words are one (RFC 2047 6.2).

    To be read only: the library's reader puts a blank where a display name goes on in the next word.
    """

    def joined(words: re.Match[bytes]) -> bytes:
        try:
            text = "".join(
                part if isinstance(part, str) else part.decode(charset or "ascii", "replace")
                for part, charset in decode_header(re.sub(r"\s+", " ", words[0].decode("ascii", "replace")))
            )
        except (LookupError, HeaderParseError, ValueError):
            return words[0]  # in a charset that Python does not know, or damaged: as the library reads it
        return b"=?utf-8?b?" + b64encode(text.encode("utf-8", "replace")) + b"?="

    end = re.search(rb"\r?\n\r?\n", mail)
    head = mail[: end.start()] if end else mail
    return _WORDS.sub(joined, head) + mail[len(head) :]


@lru_cache(maxsize=1)
def _date(moment: int) -> str:
    """Return a moment (seconds since 1970) as a header says it; hundreds of mails are made in one second."""
    return formatdate(moment, localtime=True)


def _subject(text: str) -> bytes:
    if not text.isascii() or "=?" in text:
        return f"Subject: {_encoded(text, 'Subject')}\r\n".encode()
    if len(text) <= _SHORT_SUBJECT:
        return f"Subject: {text}\r\n".encode()  # as the library writes it, in a hundredth of its time
    header = EmailMessage(policy=policy.SMTP)
    header["Subject"] = text
    return bytes(header).removesuffix(b"\r\n")


def _encoded(text: str, header_name: str) -> str:
    """Return a text as encoded words (RFC 2047) of the right length, none of which ends inside a character."""
    return Header(text, "utf-8", maxlinelen=_MAX_LINE, header_name=header_name).encode(linesep="\r\n")


def _subject_line(value: Any) -> str:
    line = _line(value, "subject", _MAX_SUBJECT)
    # What a template was filled with goes along, because a key compares it.
    return Given(line, value.source.strip(" \t")) if isinstance(value, Given) else line


def _line(value: Any, name: str, limit: int) -> str:
    if not isinstance(value, str):
        raise MessageError(
            _("The {field} must be text, not {type}.").format(field=name, type=type(value).__name__),
            field=name,
            hint=_('Write it in quotes, such as {field}="Q3".').format(field=name),
        )
    text: str = value.strip(" \t")
    if control := first_control(text):
        raise MessageError(
            _("The {field} contains the invisible character {code}.").format(field=name, code=control),
            field=name,
            hint=_("Write it in one line, without control characters."),
        )
    if len(text) > limit:
        raise MessageError(
            _("The {field} is longer than {limit} characters.").format(field=name, limit=limit),
            field=name,
            hint=_("Shorten it."),
        )
    return text


def inexact_key(value: Any, column: str) -> MessageError:
    """Return the error for a float, as key, that may stand for several whole numbers."""
    return MessageError(
        _("The key {value} is a float, and floats of this size are not exact: two numbers become one.").format(
            value=f"{value:.17g}"
        ),
        field="key",
        hint=_('Read the column as text: pandas.read_csv(..., dtype={{"{column}": str}}).').format(column=column),
    )


def key_text(value: Any) -> str:
    """Return a key as the text that is compared and written down; raises `MessageError` for what is none."""
    # Numbers are common keys (an invoice number in a data set, where it is NumPy's); text is what is compared.
    if not isinstance(value, str) and is_missing(value):
        value = ""
    try:
        key = _line(number_key(value) or value, "key", _MAX_KEY)
    except InexactError as exc:
        raise inexact_key(value, "invoice_no") from exc
    if not key:
        raise MessageError(
            _("The {field} is empty.").format(field="key"), field="key", hint=_("Give a key that is unique, or none.")
        )
    return key
