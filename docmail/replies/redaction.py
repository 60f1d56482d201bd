"""Cleans and redacts the text of replies; what they mean is for `docmail.replies.smtp` and `docmail.replies.http`.

A server's text is foreign: it can hold terminal escapes, HTML, or the password that was just sent. Everything that is
shown, logged or stored has been through `clean()`.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from docmail.secret import unseen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docmail.secret import Secret

_MAX_TEXT = 2000  # characters of a reply text that are kept
_MASK = "•••"
_BREAK = "\x1e"  # stands where a line ended or a tag was, until the password has been looked for
# A short line of ASCII with neither markup nor anything that a blank or a break could hide.
_SIMPLE = re.compile(r"[!-%'-;=?-~]+(?: [!-%'-;=?-~]+)*", re.ASCII)
_SHORT = 4  # characters; what is shorter may be part of any word


@unseen
def clean(lines: str | Iterable[str], secret: Secret | None = None) -> str:
    """Return the text of a reply as one line without tags, control characters or the password, at most 2,000 long.

    `lines` is a text, or the lines of a reply; a password that is spread over several lines is found, too.
    """
    text = lines if isinstance(lines, str) else "\n".join(lines)
    if len(text) <= _MAX_TEXT // 4 and _SIMPLE.fullmatch(text):
        # Nothing below changes it but the password; and a server says such a line for each mail of a batch.
        return redact(text, secret)
    # The password is looked for before a tag in it, or a letter that is changed below, can hide it, and at the end.
    text = _masked(text.replace(_BREAK, " "), _places(text, secret, cut_off=False))
    text = re.sub(r"\s+", lambda blanks: _BREAK if {"\r", "\n"} & {*blanks[0]} else blanks[0], text)
    text = _redact_across(text, secret, cut_off=False)
    text = re.sub(r"(?is)<(script|style)\b.*?(</\1\s*>|$)", _BREAK, text)
    # A tag's name ends at a blank, a slash or the bracket: <cfo@example.com> and <https://...> are no tags. Nor is what
    # Postfix quotes before a colon, "<DATA>: Data command rejected".
    tag = r"(?s)<!(--.*?(-->|$)|[^<>]{0,200}>)|(?!<\w+>: )</?[a-zA-Z][a-zA-Z0-9]*(\s[^<>]{0,500}|/)?>"
    text = re.sub(tag, _BREAK, text)
    # No character has a number of eight digits, and Python refuses to read one of thousands.
    text = html.unescape(re.sub(r"&#[0-9]{8,};?", "\ufffd", re.sub(r"&#0+(?=[0-9])", "&#", text)))
    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[ -/]*.)", "", text)
    text = "".join(
        character if character.isprintable() or character == _BREAK else _BREAK if character in "\r\n" else " "
        for character in text
    )
    text = re.sub(r"\s+", lambda blanks: _BREAK if _BREAK in blanks[0] else " ", text)
    text = _redact_across(text, secret, cut_off=True).replace(_BREAK, " ").strip()
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


@unseen
def redact(text: str, secret: Secret | None) -> str:
    """Return the text with every form of the password that a server may echo replaced by `•••`."""
    return _masked(text, _places(text, secret, cut_off=True))


def _redact_across(text: str, secret: Secret | None, *, cut_off: bool) -> str:
    """Redact text in which `_BREAK` stands where a line or a tag was, also what continues behind such a break."""
    places = _places(text, secret, cut_off=cut_off)
    left_out = [_BREAK]
    if secret and _BREAK in text and re.search(r"\s", secret.reveal()):
        left_out.append(_BREAK + " ")  # a blank of the password may have gone with the end of the line
    for characters in left_out if secret and _BREAK in text else ():
        kept = [place for place, character in enumerate(text) if character not in characters]
        joined = "".join([text[place] for place in kept])
        places += [(kept[start], kept[end - 1] + 1) for start, end in _places(joined, secret, cut_off=cut_off)]
    return _masked(text, places)


def _masked(text: str, places: Iterable[tuple[int, int]]) -> str:
    pieces, done, hidden = [], 0, -1
    for start, end in sorted(places):
        if start > hidden:
            pieces += [text[done:start], _MASK]
        hidden = done = max(end, done)
    return "".join([*pieces, text[done:]])


def _places(text: str, secret: Secret | None, *, cut_off: bool) -> list[tuple[int, int]]:
    """Return from where to where the password stands in a text, in whatever form; with `cut_off` also its beginning."""
    if not secret:
        return []
    # A word in base64 that holds the password goes as a whole, with the username in it.
    words = re.finditer(r"[\w+/-]{4,}={0,2}", text, flags=re.ASCII)
    found = [word.span() for word in words if _holds(word[0], secret, cut_off=cut_off)]
    for form in secret.forms(_echoes):
        if form not in text:
            continue
        # A very short password is hidden only where it stands alone: the holes it tore into words would spell it.
        edges = (r"(?<!\w)", r"(?!\w)") if len(form) < _SHORT else ("", "")
        found += [match.span() for match in re.finditer(re.escape(form).join(edges), text)]
    return found


def _holds(word: str, secret: Secret, *, cut_off: bool) -> bool:
    """Say whether a word is the base64 of the password, alone or in the response of AUTH PLAIN or HTTP Basic."""
    word = word.rstrip("=").replace("-", "+").replace("_", "/")
    decoded = base64.b64decode(word[: len(word) - (len(word) % 4 == 1)] + "==")
    raw = secret.octets()
    if decoded.endswith(b":" + raw) or (len(raw) >= _SHORT and raw in decoded):
        return True
    # A beginning of the password counts after the NUL of AUTH PLAIN, or when it cannot be chance.
    _user, nul, beginning = decoded.rpartition(b"\0")
    if not raw.startswith(beginning):
        return False
    return beginning == raw or (cut_off and len(beginning) >= (1 if nul else 3))


def _echoes(secret: Secret) -> list[str]:
    plain, raw = secret.reveal(), secret.octets()
    forms = {
        plain,
        "".join(plain.split()),
        " ".join(plain.split()),
        raw.decode("latin-1"),
        html.escape(plain),
        repr(plain)[1:-1],
        json.dumps(plain)[1:-1],
    }
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    forms |= quoted | {re.sub(r"%..", lambda code: code[0].lower(), form) for form in quoted}
    if len(raw) >= _SHORT:
        # Base64 that is cut, wrapped or glued to something: the password starts at any of three offsets, and the
        # characters that depend on its neighbours are left out at both ends.
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + raw).decode()
            forms.add(encoded[-(-offset * 8 // 6) : (len(raw) + offset) * 8 // 6])
    return sorted(filter(None, forms), key=len, reverse=True)
