"""Reads a mail as the program of its recipient does: the text, the HTML, and the pictures that stand in it."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

if TYPE_CHECKING:
    from email.message import EmailMessage, MIMEPart

__all__ = ["Arrived", "arrived", "text_in"]

MOST = 12_000_000
"""Characters of a mail that are shown; the pictures in it make the most of them."""

# In an attribute or a url(), and not in a text that happens to speak of one. RFC 2392 2: the identifier is encoded.
_CID = re.compile(r"""(?i)(?<=["'=(])(\s*)cid:([^\s"'<>()]+)""")


@dataclass(frozen=True)
class Arrived:
    """What a recipient can see of a mail: its HTML, whose pictures are part of it as data, and its plain text.

    Either is empty if the mail has none. `pictures_left_out` are octets, `shortened` says that HTML or text is missing
    or ends early: a mail can be larger than anybody wants to have on the screen.
    """

    html: str
    text: str
    pictures_left_out: int = 0
    shortened: bool = False


def arrived(mail: EmailMessage, most: int = MOST) -> Arrived:
    """Return what can be seen of a mail, in about so many characters at most."""
    html, text = text_in(mail, "html"), text_in(mail, "plain")
    shortened = len(html) > most or len(text) > most
    html, text = "" if len(html) > most else html, text[:most]
    html, left_out = _with_pictures(html, _pictures_in(mail), most - len(html))
    return Arrived(html, text, left_out, shortened)


def text_in(mail: EmailMessage, kind: Literal["plain", "html"]) -> str:
    """Return the plain text or the HTML of a mail, its lines ending as Python's do; empty if it has none."""
    part = mail.get_body((kind,))
    if part is None:
        return ""
    try:
        text = str(part.get_content())
    except LookupError:  # a charset that nobody knows
        text = _octets(part).decode("utf-8", "replace")
    return text.replace("\r\n", "\n")


def _octets(part: EmailMessage | MIMEPart) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _pictures_in(mail: EmailMessage) -> dict[str, EmailMessage]:
    """Return the pictures to which the HTML can refer, by their identifiers."""
    parts = (part for part in mail.walk() if part.get_content_maintype() == "image" and part["Content-ID"])
    return {str(part["Content-ID"]).strip().strip("<>"): part for part in parts}


def _with_pictures(html: str, pictures: dict[str, EmailMessage], most: int) -> tuple[str, int]:
    """Return HTML with its pictures as data, of so many characters at most, and the octets of those left out.

    A picture that stands in it a thousand times is a thousand times as long, so each place counts.
    """
    room, left_out, known = most, {}, {}

    def shown(reference: re.Match[str]) -> str:
        nonlocal room
        name = unquote(unescape(reference[2]))
        if name not in pictures:
            return reference[0]
        if name not in known:
            octets = _octets(pictures[name])
            known[name] = len(octets), f"data:{pictures[name].get_content_type()};base64,{b64encode(octets).decode()}"
        size, address = known[name]
        if len(address) > room:
            left_out[name] = size
            return reference[0]
        room -= len(address)
        return reference[1] + address

    return (_CID.sub(shown, html) if pictures else html), sum(left_out.values())
