"""Writes the headers of a mail (RFC 5322), by hand where the standard library is slow or wrong."""

from __future__ import annotations

import re
import time
from email import policy
from email.errors import HeaderParseError
from email.header import Header, decode_header
from email.message import EmailMessage
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING
from urllib.parse import quote

from pybase64 import b64encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.addresses import Address

__all__ = ["address_header", "date_of", "dated", "new_message_id", "part_header", "subject_header", "with_whole_names"]

_MAX_LINE = 76  # characters of a header line, where it can be folded (RFC 2047 2)
_SHORT_SUBJECT = _MAX_LINE - len("Subject: ")
_WORD = rb"=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?="
_WORDS = re.compile(rb"%b(?:[ \t]*\r?\n?[ \t]+%b)+" % (_WORD, _WORD))
_DATE = re.compile(rb"(?m)^Date: ([^\r]*)")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]([A-Za-z0-9 ._-]*[A-Za-z0-9_-])?")


def new_message_id(domain: str) -> str:
    """Return a Message-ID that no other mail has.

    Not the library's `make_msgid`: it asks `random`, which data scientists seed to be able to repeat a calculation, and
    which a forked process continues from where its parent was. Nor does it leave their numbers as they were.
    """
    return f"<{token_hex(16)}@{domain}>"


@lru_cache(maxsize=1)
def date_of(moment: int) -> str:
    """Return a moment (seconds since 1970) as a header says it; hundreds of mails are made in one second."""
    return formatdate(moment, localtime=True)


def dated(head: bytes, send_at: float) -> bytes | None:
    """Return the head of a mail with today's date, if its date is before the moment at which it was to go."""
    headers, end, text = head.partition(b"\r\n\r\n")
    found = _DATE.search(headers)
    if found is None or parsedate_to_datetime(found[1].decode("ascii")).timestamp() >= int(send_at):
        return None
    return headers[: found.start(1)] + date_of(int(time.time())).encode() + headers[found.end(1) :] + end + text


def address_header(name: str, addresses: Iterable[Address]) -> bytes:
    """Return an address header, each address in a line of its own.

    By hand, because Python 3.11 hides the comma after a long name in an encoded word, and the next recipient with it.
    """
    return (f"{name}: " + ",\r\n ".join(map(_mailbox, addresses)) + "\r\n").encode()


def _mailbox(address: Address) -> str:
    shown = str(address)
    if address.name.isascii() and "=?" not in address.name and len(shown) <= _MAX_LINE:
        return shown
    return f"{_encoded(address.name, 'Reply-To')}\r\n <{address.addr_spec}>"


def subject_header(text: str) -> bytes:
    """Return the header with a subject."""
    if not text.isascii() or "=?" in text:
        return f"Subject: {_encoded(text, 'Subject')}\r\n".encode()
    if len(text) <= _SHORT_SUBJECT:
        return f"Subject: {text}\r\n".encode()  # as the library writes it, in a hundredth of its time
    if max(map(len, text.split(" "))) > _SHORT_SUBJECT:  # before a word that fills a line, the library adds a blank
        return f"Subject: {_encoded(text, 'Subject')}\r\n".encode()
    header = EmailMessage(policy=policy.SMTP)
    header["Subject"] = text
    return bytes(header).removesuffix(b"\r\n")


def _encoded(text: str, header_name: str) -> str:
    """Return a text as encoded words (RFC 2047) of the right length, each ending between two characters."""
    return Header(text, "utf-8", maxlinelen=_MAX_LINE, header_name=header_name).encode(linesep="\r\n")


def part_header(name: str, media_type: str, encoding: str) -> bytes:
    """Return the headers of an attachment with this file name, and the empty line below them."""
    disposition = f'Content-Disposition: attachment; filename="{name}"'
    if _PLAIN_NAME.fullmatch(name) and len(disposition) <= _MAX_LINE:
        # As the library writes it, in a hundredth of its time.
        kind = f"Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
        return f"{kind}{disposition}\r\n\r\n".encode()
    part = EmailMessage(policy=policy.SMTP)
    part["Content-Type"] = media_type
    part["Content-Transfer-Encoding"] = encoding
    if "=?" not in name:
        part.add_header("Content-Disposition", "attachment", filename=name)
        return bytes(part)
    # The library would write the name as it is, and its reader would take it for an encoded word.
    coded = f"Content-Disposition: attachment;\r\n filename*=utf-8''{quote(name, safe='')}\r\n\r\n"
    return bytes(part).removesuffix(b"\r\n") + coded.encode()


def with_whole_names(mail: bytes) -> bytes:
    """Return a mail in whose headers neighbouring encoded words are one (RFC 2047 6.2).

    To be read only: the library's reader puts a blank where a display name continues in the next word.
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
