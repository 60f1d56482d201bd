"""Takes email addresses out of what a notebook keeps: people hand notebooks on, with what stands in them."""

from __future__ import annotations

import re

__all__ = ["one_line", "without_addresses"]

# No "&" behind the "@", because the text may be HTML already: "&lt;a@example.com&gt;". A word is looked at once, from
# its beginning: from each of its letters on, a long one of a server's would take minutes.
_ADDRESS = re.compile(r"(?<![^\s<>(),;:\"'“”@])[^\s<>(),;:\"'“”@]+@[^\s<>(),;:\"'“”&]+")
_OURS = re.compile(r"(?:name|naam|j)@example\.com\.?")
"""What docmail's own hints show as an example; a hint without it would say nothing."""


def without_addresses(text: str) -> str:
    """Return a text without the addresses in it."""
    return _ADDRESS.sub(lambda found: found[0] if _OURS.fullmatch(found[0]) else "…@…", text)


def one_line(text: str) -> str:
    """Return a text in one line, without the addresses in it and without signs that a terminal would obey."""
    line = " ".join(without_addresses(text).split())
    return "".join(sign if sign.isprintable() else "·" for sign in line)
