"""Keeps the mails that a sandbox received, one file each, for all the processes that look at it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cached_property
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from docmail.documents import Document
from docmail.files import make_folder, remove, write_whole
from docmail.language import _, ngettext
from docmail.message import text_in, with_whole_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ENVELOPE = b"X-Sandbox-Envelope: "
"""Heads each file, so that it remains one that any mail program opens."""

_POLL_SECONDS = 0.02
_NAMED_IN_REPR = 2
_HEAD_OCTETS = 1 << 18  # headers that are longer end early in a list


def written(mail: EmailMessage) -> bytes:
    """Return a mail as it is written down; the library would make its boundaries of numbers that may be seeded."""
    for part in mail.walk():
        if part.get_content_maintype() == "multipart":
            part.set_boundary(f"=_{token_hex(16)}")
    return mail.as_bytes(policy=policy.SMTPUTF8)


@dataclass(frozen=True)
class Attachment:
    """One attachment as it arrived: its `name`, `media_type` and `content`.

    >>> result = docmail.send(docmail.Document.of(pdf, "Q3.pdf"), to="cfo@example.com", subject="Q3")
    >>> attachment = box.inbox[-1].attachments[0]
    >>> attachment.name, attachment.media_type, attachment.pages
    ('Q3.pdf', 'application/pdf', 1)
    """

    name: str
    media_type: str
    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.content)

    @cached_property
    def pages(self) -> int | None:
        """The number of pages of a PDF; None for other files, and for a PDF that cannot be read."""
        return Document(self.name, self.media_type, self.content, self.size).pages


class ReceivedMail(EmailMessage):
    r"""A mail in the inbox: an `email.message.EmailMessage` that knows its envelope.

    `sender` and `recipients` are those of the envelope (blind copies too), `raw` the bytes as they arrived, `received`
    the time at which they did, `flags` what a mail program noted about it in a mailbox (`\Seen`).

    >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3", body="Attached.")
    >>> mail = box.inbox[-1]
    >>> mail.recipients, mail.subject, mail.text
    (('cfo@example.com',), 'Q3', 'Attached.\n')
    """

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    number: int
    received: datetime
    flags: tuple[str, ...]

    @classmethod
    def parse(  # noqa: PLR0913 - what is known of a mail beside its bytes
        cls,
        raw: bytes,
        *,
        sender: str = "",
        recipients: Sequence[str] = (),
        number: int = 0,
        received: datetime | None = None,
        flags: Sequence[str] = (),
    ) -> ReceivedMail:
        """Read a mail from its bytes (`raw`); it is received now unless a time is given.

        `sender`, `recipients`, `number` (in its folder) and `flags` are not in those bytes.

        >>> type(box.inbox).__name__, docmail.sandbox.ReceivedMail.parse(b"Subject: Q3").subject
        ('Inbox', 'Q3')
        """
        parsed = BytesParser(policy=policy.default).parsebytes(with_whole_names(raw))
        for part in parsed.walk():
            # Raw UTF-8 in a header (RFC 6532) is read back as surrogates, which the library does not join.
            part._headers = [(name, joined(value)) for name, value in part.raw_items()]  # type: ignore[attr-defined] # noqa: SLF001
        mail = cls(policy=policy.default)
        # The parser would make every part of the mail one of this class.
        mail.__dict__.update(vars(parsed))
        mail.sender, mail.recipients, mail.raw, mail.number = sender, tuple(recipients), raw, number
        mail.received, mail.flags = received or datetime.now(UTC), tuple(flags)
        return mail

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return str(self.get("Subject", ""))

    @property
    def text(self) -> str:
        """The plain text; empty if the mail has none."""
        return text_in(self, "plain")

    @property
    def html(self) -> str:
        """The HTML; empty if the mail has none."""
        return text_in(self, "html")

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """What is attached, in order."""
        found = []
        for part in self.iter_attachments():
            content = part.get_payload(decode=True)
            if not isinstance(content, bytes):  # an attached mail
                content = part.get_content().as_bytes(policy=policy.SMTP.clone(refold_source="none"))
            found.append(Attachment(part.get_filename() or "", part.get_content_type(), content))
        return tuple(found)

    def __repr__(self) -> str:
        to = ", ".join(self.recipients[:_NAMED_IN_REPR])
        if len(self.recipients) > _NAMED_IN_REPR:
            to += f" and {len(self.recipients) - _NAMED_IN_REPR} more"
        number = len(list(self.iter_attachments()))
        attached = f", {number} attachment{'s' * (number > 1)}" if number else ""
        return f"<ReceivedMail {self.subject[:60]!r} to {to}{attached}>"


class Stored(NamedTuple):
    """A mail as it is kept: its envelope, with its flags if it has any; its bytes; when it arrived."""

    envelope: dict[str, Any]
    raw: bytes
    received: datetime

    @property
    def flags(self) -> tuple[str, ...]:
        """What a mail program noted about it."""
        return tuple(self.envelope.get("flags", ()))


class Inbox(Sequence[ReceivedMail]):
    """The mails that arrived, newest last; the sandbox makes it, in a `folder`.

    >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3")
    >>> len(box.inbox), box.inbox[-1].subject
    (1, 'Q3')
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)
        self._last = max(self.numbers(), default=0)

    def __len__(self) -> int:
        return len(self.numbers())

    @overload
    def __getitem__(self, index: int) -> ReceivedMail: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ReceivedMail, ...]: ...
    def __getitem__(self, index: int | slice) -> ReceivedMail | tuple[ReceivedMail, ...]:
        numbers = self.numbers()
        if isinstance(index, slice):
            return self._read_all(numbers[index])
        try:
            return self._read(numbers[index])
        except (IndexError, FileNotFoundError):  # the second: another program empties it at this moment
            raise IndexError(
                ngettext("There is {count} mail in the inbox.", "There are {count} mails in the inbox.", len(numbers))
                .format(count=len(numbers))
            ) from None  # fmt: skip

    def __repr__(self) -> str:
        return f"<Inbox, {count_mails(len(self))}>"

    def numbers(self) -> list[int]:
        """Return the numbers of the mails, newest last; a mail keeps its number when others are gone.

        >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3")
        >>> box.inbox.numbers()
        [1]
        """
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []  # the sandbox is closed
        return sorted(int(found[1]) for name in names if (found := re.fullmatch(r"(\d+)\.eml", name)))

    def mail(self, number: int) -> ReceivedMail | None:
        """Return the mail with this number; None if it is gone.

        >>> box.inbox.mail(118) is None
        True
        """
        return next(iter(self._read_all([number])), None)

    def head(self, number: int) -> ReceivedMail | None:
        """Return the headers of the mail with this number, without its content; None if it is gone.

        >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3")
        >>> box.inbox.head(1).subject
        'Q3'
        """
        with suppress(FileNotFoundError):
            return self._read(number, _HEAD_OCTETS)
        return None

    def after(self, number: int) -> tuple[ReceivedMail, ...]:
        """Return the mails that came after the one with this `number`.

        >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3")
        >>> [mail.subject for mail in box.inbox.after(0)]
        ['Q3']
        """
        return self._read_all(known for known in self.numbers() if known > number)

    def wait(self, n: int = 1, timeout: float = 10) -> tuple[ReceivedMail, ...]:
        """Return all mails as soon as there are `n`; raises `TimeoutError` if they do not come in `timeout` seconds.

        >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3")
        >>> [mail.subject for mail in box.inbox.wait()]
        ['Q3']
        """
        end = time.monotonic() + timeout
        while len(self) < n:
            if time.monotonic() > end:
                raise TimeoutError(
                    _("After {seconds:g} s there are {count} mails in the inbox, not {expected}.").format(
                        seconds=timeout, count=len(self), expected=n
                    )
                )
            time.sleep(_POLL_SECONDS)
        return self[:]

    def clear(self) -> None:
        """Empty the inbox.

        >>> box.inbox.clear()
        >>> len(box.inbox)
        0
        """
        for number in self.numbers():
            remove(self._path(number))

    def deliver(
        self,
        sender: str,
        recipients: Sequence[str],
        raw: bytes,
        *,
        flags: Sequence[str] = (),
        received: datetime | None = None,
    ) -> int:
        """Put a mail in, `received` now or then, and return its number; for docmail itself, whose server does it.

        `sender` and `recipients` are those of the envelope, `raw` its bytes, `flags` what a mail program noted about
        it.
        """
        self._last += 1
        envelope = {"sender": sender, "recipients": list(recipients)} | ({"flags": list(flags)} if flags else {})
        self._write(self._last, envelope, raw, received)
        return self._last

    @property
    def next_number(self) -> int:
        """The number that the next mail gets."""
        return self._last + 1

    def stored(self, number: int, *, head_only: bool = False) -> Stored | None:
        """Return the mail with this `number` as it is kept, or its headers (`head_only`); None if it is gone.

        What is returned is not parsed; for docmail itself.
        """
        with suppress(FileNotFoundError):
            return self._stored(number, _HEAD_OCTETS if head_only else None)
        return None

    def flag(self, number: int, flags: Sequence[str]) -> None:
        """Note these `flags` instead of those of the mail with this `number`; for docmail itself."""
        if found := self.stored(number):
            self._write(number, found.envelope | {"flags": list(flags)}, found.raw, found.received)

    def _write(self, number: int, envelope: dict[str, Any], raw: bytes, received: datetime | None) -> None:
        path = self._path(number)
        write_whole(path, _ENVELOPE, json.dumps(envelope).encode("ascii"), b"\r\n", raw)
        if received is not None:
            os.utime(path, (received.timestamp(), received.timestamp()))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.eml"

    def _read_all(self, numbers: Iterable[int]) -> tuple[ReceivedMail, ...]:
        mails = []
        for number in numbers:
            with suppress(FileNotFoundError):  # another program empties it at this moment
                mails.append(self._read(number))
        return tuple(mails)

    def _read(self, number: int, head_octets: int | None = None) -> ReceivedMail:
        envelope, raw, received = self._stored(number, head_octets)
        return ReceivedMail.parse(raw, **envelope, number=number, received=received)

    def _stored(self, number: int, head_octets: int | None = None) -> Stored:
        with self._path(number).open("rb") as file:
            envelope = json.loads(file.readline().removeprefix(_ENVELOPE))
            raw = file.read() if head_octets is None else file.read(head_octets).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            return Stored(envelope, raw, datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC))


def joined(value: str) -> str:
    """Return a header's value with its raw UTF-8 (RFC 6532), which the library reads as surrogates, as characters."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def count_mails(number: int) -> str:
    """Return "1 mail" or "3 mails", for a repr."""
    return f"{number} mail{'s' * (number != 1)}"
