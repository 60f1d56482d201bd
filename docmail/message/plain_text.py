"""The text of a mail without marks, but with what they stand for, so that it reads on its own.

A link's address stands behind its text, the columns of a table below each other.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

from docmail.text import marks_of, tokens_of, unindented

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.look import Look

__all__ = ["below_text", "has_signature", "markdown_to_text"]

_WIDEST = 40  # characters of a cell to which others are aligned; a longer one sticks out


def markdown_to_text(text: str) -> str:
    """Return the plain text of a Markdown text: the text itself, if it has no markup."""
    blocks = tokens_of(text)
    if "\\" not in text and all(map(_is_plain, blocks)):
        return unindented(text)
    said = "\n\n".join(said for block in blocks if (said := "\n".join(_lines(block)))) + "\n"
    # RFC 3676 4.3: the blank behind the dashes is what makes them the delimiter of a signature.
    return re.sub(r"(?m)^--$", "-- ", said) if has_signature(text) else said


def has_signature(text: str) -> bool:
    """Say whether a text has a signature of its own, and so needs none of the look's."""
    return re.search(r"(?m)^[ \t]*-- $", text) is not None


def below_text(said: str, look: Look) -> str:
    """Return what a look puts below the text of a mail: the signature behind its delimiter (RFC 3676 4.3), the footer.

    Mail programs leave away what follows the delimiter, when they quote a mail.
    """
    return _below(look, not has_signature(said))


@lru_cache(8)
def _below(look: Look, signed: bool) -> str:  # noqa: FBT001 - a key
    parts = [look.signature if signed else "", look.footer]
    parts = [markdown_to_text(part).strip("\n") for part in parts if part]
    if parts and signed:
        parts[0] = f"-- \n{parts[0]}"
    return "".join(f"{part}\n" for part in ["\n\n".join(parts)] if parts)


def _is_plain(block: dict[str, Any]) -> bool:
    if block["type"] == "blank_line":
        return True
    return block["type"] == "paragraph" and all(
        (child["type"] in {"text", "linebreak", "softbreak"} and "typed" not in child) or "_autolink" in child
        for child in block["children"]
    )


def _lines(block: dict[str, Any]) -> Iterator[str]:
    kind, children = block["type"], block.get("children", [])
    if kind == "list":
        yield from _listed(block)
    elif kind == "block_quote":
        for number, child in enumerate(child for child in children if child["type"] != "blank_line"):
            yield from [">"] * bool(number)
            yield from (f"> {line}".rstrip() for line in _lines(child))
    elif kind == "table":
        yield from _aligned(children)
    elif kind == "heading":
        said = _said(children).replace("\n", " ")
        yield said
        if mark := {1: "=", 2: "-"}.get(block["attrs"]["level"]):
            yield mark * min(_width(said), 78)
    elif kind == "thematic_break":
        yield "-" * 40
    elif kind == "block_code":
        yield from (f"    {line}".rstrip() for line in block["raw"].rstrip("\n").split("\n"))
    elif kind != "blank_line":
        yield from (block["raw"].rstrip("\n") if "raw" in block else _said(children)).split("\n")


def _listed(block: dict[str, Any]) -> Iterator[str]:
    # “+ 5 %” would be another number with a hyphen.
    bullet = "+" if block.get("bullet") == "+" else "-"
    for sign, item in zip(marks_of(block) or repeat(bullet), block["children"], strict=False):
        mark = f"{sign} "
        lines = [line for child in item.get("children", []) for line in _lines(child)] or [""]
        yield (mark + lines[0]).rstrip()
        yield from ((" " * len(mark) + line).rstrip() for line in lines[1:])


def _said(children: list[dict[str, Any]]) -> str:
    """Return what a line says, without its marks."""
    said = ""
    for child in children:
        kind = child["type"]
        if kind in {"linebreak", "softbreak"}:
            said += "\n"
        elif kind == "image":
            said += f"[{_said(child['children'])}]"
        elif kind == "strikethrough":
            said += f"~~{_said(child['children'])}~~"  # “100 80” says something else than “80 instead of 100”
        elif kind == "link":
            text, url = _said(child["children"]), child["attrs"]["url"]
            # An address that is its own text is said once.
            bare = url.removeprefix("mailto:")
            said += text if "_autolink" in child or text in {url, bare} or not text else f"{text} ({bare})"
        else:
            said += _said(child["children"]) if "children" in child else child.get("raw", "")
    return said


def _aligned(parts: list[dict[str, Any]]) -> Iterator[str]:
    rows = [parts[0]["children"], *(row["children"] for part in parts[1:] for row in part["children"])]
    texts = [[re.sub(r"[\xa0\n]", " ", _said(cell.get("children", []))).strip() for cell in row] for row in rows]
    rights = [cell["attrs"].get("align") == "right" for cell in rows[0]]
    widths = [min(_WIDEST, max(map(_width, column), default=0)) for column in zip(*texts, strict=False)]
    for number, row in enumerate(texts):
        padded = []
        for text, width, right in zip(row, widths, rights, strict=False):
            gap = " " * (width - _width(text))
            padded.append(gap + text if right else text + gap)
        yield "  ".join(padded).rstrip()
        if not number:
            yield "  ".join("-" * width for width in widths)


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
