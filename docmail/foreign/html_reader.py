"""Reads the HTML of an output as Markdown, tables and pictures: what the words say stays, nothing else of it.

No element and no address of the HTML travels: text is escaped into Markdown, a link stays where it leads to the web, a
picture where it stands in the HTML itself. What scripts would draw is not there at all.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple

from docmail.addresses import first_control, scheme_of
from docmail.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_HTML", "Part", "TooLongError", "is_data", "parts_of"]

_GONE = {
    *("applet", "audio", "button", "canvas", "embed", "frame", "frameset", "head", "iframe", "math", "noembed"),
    *("noframes", "noscript", "object", "option", "script", "select", "style", "svg", "template", "textarea"),
    *("title", "video", "xmp"),
}
_VOID = {"br", "hr", "img", "input", "meta", "link", "embed", "source", "track", "wbr", "col", "area", "base", "frame"}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset"),
    *("figcaption", "figure", "footer", "form", "header", "html", "main", "nav", "p", "section", "summary"),
}
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BEGINNING = {*_BLOCKS, *_HEADINGS, "hr", "li", "ol", "pre", "ul"}
_MARKS = {"b": "**", "strong": "**", "i": "*", "em": "*", "del": "~~", "s": "~~", "strike": "~~"}
_LINKED = {"http", "https", "mailto", "tel"}
_HIDING = re.compile(r"(?i)(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b")
_MOST_DEPTH = 50
_MOST_TEXTS = 5_000  # outside tables

MOST_HTML = 5_000_000
"""Characters."""


def is_data(address: str) -> bool:
    """Say whether a picture stands in its address."""
    return address.lstrip()[:11].lower() == "data:image/"


class Part(NamedTuple):
    """A part of HTML: "text" is Markdown, "table" the HTML of a table, "picture" what stands in its address."""

    kind: str
    content: str
    caption: str = ""


class TooLongError(ValueError):
    """HTML of more words than anybody reads."""


@lru_cache(4)
def parts_of(html: str, takes: Callable[[str], bool] = is_data) -> tuple[Part, ...]:
    """Return what HTML shows, in its order; `takes` says of the address of a picture whether it is one of the parts.

    Raises `TooLongError` for what would take seconds to be read.
    """
    if len(html) > MOST_HTML:
        raise TooLongError
    return tuple(_Reader(html, takes).parts)


class _Reader(HTMLParser):
    def __init__(self, html: str, takes: Callable[[str], bool]) -> None:
        super().__init__()
        self._takes = takes
        self.parts: list[Part] = []
        self._html = html
        self._lines = [0, *(found.end() for found in re.finditer("\n", html))]
        self._blocks: list[str] = []
        self._line: list[str] = []
        self._begin = ""
        self._lists: list[int | None] = []
        self._links: list[str] = []
        self._gone = self._texts = 0
        self._hidden = ""  # the element that a browser does not show, and how many of its name are open
        self._hidden_depth = 0
        self._table = 0
        self._from = 0
        self._verbatim: list[str] | None = None
        self.feed(html)
        self.close()
        if self._table:  # which was not closed
            self._add("table", self._html[self._from :])
        self._end_text()

    def _at(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._hidden or (not self._table and _is_hidden(given)):
            self._hide(tag)
            return
        if tag == "table" and not self._gone:
            if not self._table:
                self._end_text()
                self._from = self._at()
            self._table += 1
        if self._table:
            return
        if tag in _GONE:
            self._gone += tag not in _VOID
        elif not self._gone:
            self._open(tag, given)

    def _hide(self, tag: str) -> None:
        if tag not in _VOID and self._hidden in {"", tag}:
            self._hidden = tag
            self._hidden_depth += 1

    def _open(self, tag: str, given: dict[str, str]) -> None:
        if self._verbatim is not None:
            return
        if tag in _BEGINNING:
            self._end_block()
            self._begin_block(tag)
        elif tag == "br":
            self._line.append("\n")
        elif tag in _MARKS:
            self._line.append(f"\x02{_MARKS[tag]}")
        elif tag == "a":
            self._links.append(given.get("href", ""))
            self._line.append("\x04")
        elif tag == "img":
            self._image(given)

    def _begin_block(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._begin = f"{_HEADINGS[tag]} "
        elif tag == "pre":
            self._verbatim = []
        elif tag in {"ul", "ol"}:
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._begin = self._bullet()
        elif tag == "hr":
            self._blocks.append("---")

    def _bullet(self) -> str:
        if not self._lists:
            return "- "
        indent = "    " * min(len(self._lists) - 1, _MOST_DEPTH)
        if (number := self._lists[-1]) is None:
            return f"{indent}- "
        self._lists[-1] = number + 1
        return f"{indent}{number + 1}. "

    def _image(self, given: dict[str, str]) -> None:
        caption = _line(given.get("alt", ""))
        address = given.get("src", "").strip()
        if self._takes(address):
            self._end_text()
            self._add("picture", address, caption)
        elif caption:
            self._line.append(escape(caption))

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            self._hidden_depth -= tag == self._hidden
            self._hidden = self._hidden if self._hidden_depth else ""
            return
        if self._table:
            if tag == "table":
                self._table -= 1
                if not self._table:
                    end = self._html.find(">", self._at()) + 1
                    self._add("table", self._html[self._from : end or None])
            return
        if tag in _GONE:
            self._gone = max(0, self._gone - (tag not in _VOID))
        elif not self._gone:
            self._close(tag)

    def _close(self, tag: str) -> None:
        if self._verbatim is not None:
            if tag == "pre":
                text, self._verbatim = "".join(self._verbatim).strip("\n"), None
                fence = "```"
                while fence in text:
                    fence += "`"
                self._blocks.append(f"{fence}\n{text}\n{fence}")
        elif tag in {"ul", "ol"}:
            self._end_block()
            if self._lists:
                self._lists.pop()
        elif tag in _BLOCKS or tag in _HEADINGS or tag == "li":
            self._end_block()
        elif tag in _MARKS:
            self._line.append(f"\x03{_MARKS[tag]}")
        elif tag == "a" and self._links:
            url = self._links.pop()
            begin = next((place for place in reversed(range(len(self._line))) if self._line[place] == "\x04"), None)
            if begin is None:
                return
            said = "".join(self._line[begin + 1 :])
            is_shown = scheme_of(url) in _LINKED and said.strip() and not re.search(r"[\s<>]", url)
            self._line[begin:] = [f"[{said.strip()}](<{url}>)" if is_shown else said]

    def handle_data(self, data: str) -> None:
        if self._gone or self._table or self._hidden:
            return
        if self._verbatim is not None:
            self._verbatim.append(data)
            return
        self._texts += 1
        if self._texts > _MOST_TEXTS:
            raise TooLongError
        shown = _line(data)
        if shown:
            begins, ends = data[:1].isspace(), data[-1:].isspace()
            self._line.append(f"{' ' * begins}{escape(shown)}{' ' * ends}")
        elif data:
            self._line.append(" ")

    # --- what has been read ---

    def _end_block(self) -> None:
        text = re.sub(r" *\n *", "\n", re.sub(r"[ \t]+", " ", "".join(self._line).replace("\x04", ""))).strip()
        self._line.clear()
        text = _marked(text)
        begin, self._begin = self._begin, ""
        if not text:
            return
        if begin:
            text = begin + text.replace("\n", " ")
        is_item = begin.lstrip()[:1] in {"-", *"0123456789"} and self._blocks and self._blocks[-1].startswith("\x05")
        if begin.strip() and not begin.startswith("#"):
            text = f"\x05{text}"
        if is_item:
            self._blocks[-1] += f"\n{text[1:]}"
        else:
            self._blocks.append(text)

    def _end_text(self) -> None:
        self._end_block()
        text = "\n\n".join(block.removeprefix("\x05") for block in self._blocks)
        self._blocks.clear()
        if text.strip():
            self._add("text", text)

    def _add(self, kind: str, content: str, caption: str = "") -> None:
        self.parts.append(Part(kind, content, caption))


def _is_hidden(given: dict[str, str]) -> bool:
    return "hidden" in given or _HIDING.search(given.get("style", "")) is not None


def _line(text: str) -> str:
    """Return a text in one line, without what nobody sees."""
    text = " ".join(text.split())
    return "".join(sign for sign in text if not first_control(sign)) if first_control(text) else text


def _marked(text: str) -> str:
    """Return a block with its emphasis as Markdown has it: closed, around words, blanks outside."""
    for sign in ("**", "*", "~~"):
        mark = re.escape(sign)
        pattern = rf"\x02{mark}(\s*)([^\x02\x03\n]*?)(\s*)\x03{mark}"
        text = re.sub(pattern, lambda found: _around(found, sign), text)  # noqa: B023 - called at once
    return re.sub(r"[\x02\x03](?:\*\*|\*|~~)", "", text).strip()


def _around(found: re.Match[str], sign: str) -> str:
    before, said, after = found.groups()
    return f"{before}{sign}{said}{sign}{after}" if said else f"{before}{after}"
