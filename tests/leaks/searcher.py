"""Looks for a password in files and in memory, in every form in which something might have written it.

```python
password = new_password()
search(password, home, root, received=b"...")  # [Finding(place="home/.ipynb_checkpoints/a.ipynb", form="JSON"), ...]
```
"""

from __future__ import annotations

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import re
import secrets
import string
import urllib.parse
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Each of these is written differently in JSON, HTML, URLs, Python and the two base64 alphabets.
_SIGNS: Final = """+/é"&<'%\\ÿ?~"""


def new_password() -> str:
    """Return a password that nothing else contains, and whose forms all differ."""
    head, tail = ("".join(secrets.choice(string.ascii_letters) for _ in range(10)) for _ in range(2))
    return f"{head}{_SIGNS}{tail}"


@dataclass(frozen=True)
class Finding:
    """Where a password was found, and in which form."""

    place: str
    form: str


def search(password: str, *folders: Path, **memory: bytes | str) -> list[Finding]:
    """Return where the password is: in files below these folders, in their names, and in what is given by name."""
    forms = _forms(password)
    found = []
    for folder in folders:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            place = f"{folder.name}/{path.relative_to(folder)}"
            found += [Finding(f"name of {place}", form) for form in _found(forms, str(path).encode())]
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # a temporary file that has gone in the meantime
                continue
            found += [Finding(place, form) for form in _found(forms, content)]
    for place, kept in memory.items():
        content = kept if isinstance(kept, bytes) else kept.encode("utf-8", "surrogatepass")
        found += [Finding(place, form) for form in _found(forms, content)]
    return found


def _found(forms: dict[str, bytes], content: bytes) -> list[str]:
    texts = [content, *_unpacked(content)]
    return [form for form, wanted in forms.items() if any(wanted in text for text in texts)]


def _forms(password: str) -> dict[str, bytes]:
    head, tail = password[:10], password[-10:]
    octets = password.encode()
    texts = {
        "plain": password,
        "JSON": json.dumps(password, ensure_ascii=False)[1:-1],
        "ASCII JSON": json.dumps(password)[1:-1],
        "JSON in JSON": json.dumps(json.dumps(password)[1:-1])[1:-1],
        "HTML": html.escape(password),
        "HTML text": html.escape(password, quote=False),
        "repr": repr(password)[1:-1],
        "ASCII repr": ascii(password)[1:-1],
        "repr of bytes": repr(octets)[2:-1],
        "URL": urllib.parse.quote(password, safe=""),
        "URL, small digits": re.sub("%..", lambda code: code[0].lower(), urllib.parse.quote(password, safe="")),
        "URL path": urllib.parse.quote(password),
        "URL form": urllib.parse.quote_plus(password),
        "hexadecimal": octets.hex(),
    }
    forms = {name: text.encode() for name, text in texts.items()}
    forms |= {name: password.encode(name) for name in ("latin-1", "utf-16-le", "utf-16-be", "utf-32-le")}
    for shift in range(3):
        forms[f"base64, shifted by {shift}"] = middle = _in_base64(octets, shift)
        forms[f"URL-safe base64, shifted by {shift}"] = middle.translate(bytes.maketrans(b"+/", b"-_"))
        forms[f"base64 in JSON or a URL, shifted by {shift}"] = urllib.parse.quote(middle, safe="").encode()
    # Whatever is done to the signs, the letters before or behind them stay, and a break between two lines or pages
    # spares one of these.
    forms |= {"its first letters": head.encode(), "its last letters": tail.encode()}
    forms |= {"its first letters, reversed": head[::-1].encode(), "its last letters, reversed": tail[::-1].encode()}
    forms["its first letters, utf-16"] = head.encode("utf-16-le")
    forms["its last letters, utf-16"] = tail.encode("utf-16-le")
    for name, part in (("first", head), ("last", tail)):
        for shift in range(3):
            forms[f"its {name} letters in base64, shifted by {shift}"] = _in_base64(part.encode(), shift)
    return forms


def _in_base64(octets: bytes, shift: int) -> bytes:
    """Return what is the same in base64 whatever stands before and behind, with so many octets before it."""
    encoded = base64.b64encode(b"\0" * shift + octets)
    # A group of three octets is four digits: those of the groups that are shared with the neighbours are left out.
    first = (shift * 8 + 5) // 6
    last = (shift + len(octets)) * 8 // 6
    return encoded[first:last]


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Yield what a compressed file holds."""
    unpack: dict[bytes, Callable[[bytes], bytes]] = {
        b"\x1f\x8b": gzip.decompress,
        b"BZh": bz2.decompress,
        b"\xfd7zXZ": lzma.decompress,
        b"x": zlib.decompress,
    }
    for magic, decompress in unpack.items():
        if content.startswith(magic):
            try:
                yield decompress(content)
            except (OSError, EOFError, lzma.LZMAError, zlib.error):
                continue  # it only begins like one
    if content.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield name.encode()
                    yield archive.read(name)
        except zipfile.BadZipFile:
            return
