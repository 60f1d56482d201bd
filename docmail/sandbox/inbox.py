"""Keeps the mails that a sandbox received, one file each, for all the processes that look at it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cached_property
from secrets import token_hex
from typing import TYPE_CHECKING, overload

from docmail.documents import Document
from docmail.files import write_whole
from docmail.language import _, ngettext
from docmail.message import with_whole_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ENVELOPE = b"X-Sandbox-Envelope: "
"""Heads each file, so that it remains one that any mail program opens."""

_POLL_SECONDS = 0.02
_NAMED_IN_REPR = 2


def written(mail: EmailMessage) -> bytes:
    """Return a mail as it is written down; the library would make its boundaries of numbers that may be seeded."""
    for part in mail.walk():
        if part.get_content_maintype() == "multipart":
            part.set_boundary(f"=_{token_hex(16)}")
    return mail.as_bytes(policy=policy.SMTPUTF8)


@dataclass(frozen=True)
class Attachment:
    """One attachment as it arrived."""

    name: str
    media_type: str
    content: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.content)

    @cached_property
    def pages(self) -> int | None:
        """The number of pages of a PDF; None if it is none, or cannot be read."""
        return Document(self.name, self.media_type, self.content, self.size).pages


class ReceivedMail(EmailMessage):
    """A mail in the inbox: an `email.message.EmailMessage` that knows its envelope.

    `sender` and `recipients` are those of the envelope (blind copies too), `raw` the bytes as they arrived.
    """

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    number: int

    @classmethod
    def parse(cls, raw: bytes, *, sender: str = "", recipients: Sequence[str] = (), number: int = 0) -> ReceivedMail:
        """Read a mail from its bytes."""
        parsed = BytesParser(policy=policy.default).parsebytes(with_whole_names(raw))
        for part in parsed.walk():
            # Raw UTF-8 in a header (RFC 6532) is read back as surrogates, which the library does not join.
            part._headers = [(name, _joined(value)) for name, value in part.raw_items()]  # type: ignore[attr-defined] # noqa: SLF001
        mail = cls(policy=policy.default)
        # The parser would make every part of the mail one of this class.
        mail.__dict__.update(vars(parsed))
        mail.sender, mail.recipients, mail.raw, mail.number = sender, tuple(recipients), raw, number
        return mail

    @property
    def subject(self) -> str:
        """The subject, decoded."""
        return str(self.get("Subject", ""))

    @property
    def text(self) -> str:
        """The plain text; empty if there is none."""
        return self._body("plain")

    @property
    def html(self) -> str:
        """The HTML; empty if there is none."""
        return self._body("html")

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

    def _body(self, subtype: str) -> str:
        part = self.get_body((subtype,))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""

    def __repr__(self) -> str:
        to = ", ".join(self.recipients[:_NAMED_IN_REPR])
        if len(self.recipients) > _NAMED_IN_REPR:
            to += f" and {len(self.recipients) - _NAMED_IN_REPR} more"
        number = len(list(self.iter_attachments()))
        attached = f", {number} attachment{'s' * (number > 1)}" if number else ""
        return f"<ReceivedMail {self.subject[:60]!r} to {to}{attached}>"


class Inbox(Sequence[ReceivedMail]):
    """The mails that arrived, newest last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self._last = max(self._numbers(), default=0)

    def __len__(self) -> int:
        return len(self._numbers())

    @overload
    def __getitem__(self, index: int) -> ReceivedMail: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ReceivedMail, ...]: ...
    def __getitem__(self, index: int | slice) -> ReceivedMail | tuple[ReceivedMail, ...]:
        numbers = self._numbers()
        if isinstance(index, slice):
            return self._read_all(numbers[index])
        try:
            return self._read(numbers[index])
        except (IndexError, FileNotFoundError):  # the second: somebody empties it at this moment
            raise IndexError(
                ngettext("There is {count} mail in the inbox.", "There are {count} mails in the inbox.", len(numbers))
                .format(count=len(numbers))
            ) from None  # fmt: skip

    def __repr__(self) -> str:
        return f"<Inbox, {count_mails(len(self))}>"

    def after(self, number: int) -> tuple[ReceivedMail, ...]:
        """Return the mails that came after the one with this number."""
        return self._read_all(known for known in self._numbers() if known > number)

    def wait(self, n: int = 1, timeout: float = 10) -> tuple[ReceivedMail, ...]:
        """Return all mails as soon as there are `n`; raises `TimeoutError` if they do not come."""
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
        """Empty the inbox."""
        for number in self._numbers():
            self._path(number).unlink(missing_ok=True)

    def deliver(self, sender: str, recipients: Sequence[str], raw: bytes) -> None:
        """Put a mail in; only the server does."""
        self._last += 1
        envelope = json.dumps({"sender": sender, "recipients": list(recipients)}).encode("ascii")
        write_whole(self._path(self._last), _ENVELOPE, envelope, b"\r\n", raw)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.eml"

    def _numbers(self) -> list[int]:
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []  # the sandbox is closed
        return sorted(int(found[1]) for name in names if (found := re.fullmatch(r"(\d+)\.eml", name)))

    def _read_all(self, numbers: Iterable[int]) -> tuple[ReceivedMail, ...]:
        mails = []
        for number in numbers:
            with suppress(FileNotFoundError):  # somebody empties it at this moment
                mails.append(self._read(number))
        return tuple(mails)

    def _read(self, number: int) -> ReceivedMail:
        head, _end, raw = self._path(number).read_bytes().partition(b"\r\n")
        envelope = json.loads(head.removeprefix(_ENVELOPE))
        return ReceivedMail.parse(raw, sender=envelope["sender"], recipients=envelope["recipients"], number=number)


def _joined(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def count_mails(number: int) -> str:
    """Return "1 mail" or "3 mails", for a repr."""
    return f"{number} mail{'s' * (number != 1)}"
