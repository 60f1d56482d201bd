"""Turns Markdown into what a mail holds: HTML that survives mail programs, and plain text that reads on its own.

Mail programs drop style sheets, so every element carries its own style. The plain text has no marks, but what they
stand for: a link's address behind its text, the columns of a table below each other.

People write mails, and not Markdown: a sign is markup only where nobody means it otherwise. So a line of dashes below
a text makes no heading, and signs inside words, numbers, names of files and paths are just signs.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter, defaultdict
from functools import cache, lru_cache
from itertools import repeat
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from docmail.text.numbers import minus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["elements_in", "escape", "margin_of", "marks_of", "table", "to_html", "to_text", "tokens_of", "unindented"]

_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]()*]*[^\s<>\"'`|\\^{}\[\]()*.,:;!?]")
# A letter or digit of a script that parts its words by blanks; in the others, emphasis may begin inside what looks like
# one word: Thai, Hangul, Chinese, Japanese.
_WORD = r"[^\W_\u0e00-\u0eff\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_INSIDE = rf"(?<={_WORD})[*_~]+(?={_WORD})"
# An underscore inside a word and a backslash before one stay as they are: they are no markup, and in a path that a
# person has typed around a value, another backslash would be one.
_ALWAYS = re.compile(rf"(?<={_WORD})_+(?={_WORD})|(?<![\w\\])\\(?=[^\W_])|(\\|[`*\[\]<>|~]|(?<!\b[A-Za-z]:)_|!$)")
# What is markup only where a line begins: headings, lists, rules and underlines, quotations, numbered lists.
_AT_START = re.compile(r"(#{1,6}(?=\s|$)|[-+=](?=[\s=-]|$)|[.)](?=\s|$))|(\d{1,9})([.)])(?=\s|$)")

_PLUGINS = ["table", "strikethrough", "url"]
_WIDEST = 40  # characters of a cell to which others are aligned; a longer one sticks out


# --- into Markdown ----------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Return Markdown that is shown as exactly this text; a web address in it becomes a link to itself."""
    return "\n".join(_escaped_line(line) for line in re.split(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]", text))


def _escaped_line(line: str) -> str:
    indented = len(line) - len(line.lstrip(" \t"))
    # Four blanks would begin a block of code.
    shown = "\u00a0" * indented
    line = line[indented:]
    if start := _AT_START.match(line):
        shown += f"\\{start[1]}" if start[1] else f"{start[2]}\\{start[3]}"
        line = line[start.end() :]
    end = 0
    for url in _URL.finditer(line):
        shown += _ALWAYS.sub(_escaped_sign, line[end : url.start()]) + f"<{url[0]}>"
        end = url.end()
    return shown + _ALWAYS.sub(_escaped_sign, line[end:])


def _escaped_sign(sign: re.Match[str]) -> str:
    return f"\\{sign[1]}" if sign[1] else sign[0]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], rights: Sequence[bool]) -> str:
    """Return a table with these texts in its cells; `rights` are its columns of numbers."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(escape(' '.join(cell.split())) for cell in cells)} |"

    rule = f"| {' | '.join('---:' if right else '---' for right in rights)} |"
    return "\n".join([line(heads), rule, *map(line, rows)])


# --- out of Markdown --------------------------------------------------------------------------------------------------

# A path of Windows as a person types it, in which each backslash stands for itself. Docmail's own `escape` doubles
# them; with a doubled one behind it, it is none. Blanks are in it where a backslash follows the next words.
_PATH = (
    r"(?<![\w\\])(?:[A-Za-z]:\\(?![\\*<>|\"?\[\]`~])|\\\\(?=[^\W_])|\.{1,2}\\(?=[^\W_]|\.))"
    r"(?>(?:[^\s<>|\"*?`\[\]\\]|\\(?!\\)|(?: [\w.-]+){1,4}(?=\\(?!\\)))*)(?!\\)"
)
_NOTEWORTHY = re.compile(
    rf"(?P<path>{_PATH})"
    r"|(?P<kept>\\(?:[^\w\s]|_)|<[A-Za-z/!?][^<>]*>|https?://[^\s<]+)"
    r"|(?P<ticks>`+)"
    # The text of a link is followed by an address; “f[i](x)” is none.
    r"|(?P<index>\](?=\([^\s()<>:/.#@]*\)))"
    # Inside a word; a name before an ending or host, and one behind a part of a path; a pattern of names.
    rf"|(?P<literal>{_INSIDE}|(?<!\w)(?:_\w*_|[*~]+\w+[*~]+)(?=[.\\@]{_WORD})|(?<={_WORD})[*_~]+(?=[.\\@]{_WORD})"
    rf"|(?<=[./\\@])(?:_\w*_|[*_~]+(?={_WORD}))|(?<![*_~])\*+(?=\.{_WORD}))"
)
_SIGN = re.compile(r"[^\w\s]|_")
_BREAK = re.compile(r"<br\s*/?>[ \t]*\n?", re.IGNORECASE)
# “>100” and “>= 5” are numbers; a quotation has a blank, or text.
_COMPARED = re.compile(r" {0,3}>(?:[\d.,+=-]|\s?=)")
_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]+")


def _quieted(text: str) -> str:
    """Return a paragraph's text with a backslash before each sign that is no markup there."""
    runs: defaultdict[int, list[int]] | None = None
    pieces: list[str] = []
    end = 0
    while (found := _NOTEWORTHY.search(text, end)) is not None:
        begin, stop, kind = *found.span(), found.lastgroup
        pieces.append(text[end:begin])
        if kind == "ticks":
            if runs is None:
                runs = defaultdict(list)
                for ticks in re.finditer("`+", text):
                    runs[len(ticks[0])].append(ticks.start())
            if re.match(_WORD, text[begin - 1 : begin]):  # as in “6` by 5`”
                kind = "literal"
            elif (following := bisect_right(closing := runs[stop - begin], begin)) < len(closing):
                stop = closing[following] + stop - begin
        said = text[begin:stop]
        pieces.append(_SIGN.sub(r"\\\g<0>", said) if kind in {"path", "index", "literal"} else said)
        end = stop
    return "".join([*pieces, text[end:]])


def margin_of(text: str) -> str:
    """Return the indentation that all lines of a text have, apart from the first one, which stands behind the quotes.

    It is that of the code around the text. Empty for a list whose further lines belong to its first item.
    """
    first, *others = text.split("\n")
    indentations = [line[: len(line) - len(line.lstrip(" \t"))] for line in others if line.strip()]
    margin, item = commonprefix(indentations), _ITEM.match(first)  # noqa: RUF071 - of texts, not of paths
    return "" if item and len(margin.expandtabs(4)) < item.end() + 4 else margin


def unindented(text: str) -> str:
    """Return a text without the indentation that all of it has, as `inspect.cleandoc` takes it away."""
    if not text.strip():
        return text
    margin = margin_of(text)
    first, *others = text.split("\n")
    if not margin and not (first[:1] in {" ", "\t"} and not any(line.strip() for line in others)):
        return text
    lines = [first.lstrip(" \t"), *(line.removeprefix(margin) for line in others)]
    # What is left of an empty line, and of the one in which the quotes are closed.
    return "\n".join(line if line.strip() else "" for line in lines).lstrip("\n")


def _plugins() -> list[Any]:
    from mistune.plugins import import_plugin

    return [import_plugin(name) for name in _PLUGINS]


@cache
def _parser() -> Any:
    import mistune

    return mistune.Markdown(renderer=None, block=_block_parser(), inline=_inline_parser(), plugins=_plugins())


def _block_parser() -> Any:  # noqa: C901 - a class of mistune's, which loads when it is needed
    import mistune

    class State(mistune.BlockState):
        """Notes where the items of a list end, because mistune keeps the number of the first one only."""

        def __init__(self, parent: Any = None) -> None:
            super().__init__(parent)
            self.ends: list[int] = []

        def child_state(self, src: str, lazy_line_starts: set[int] | None = None) -> mistune.BlockState:
            if lazy_line_starts is None:  # which a quotation has
                self.ends.append(self.cursor)
            return super().child_state(src, lazy_line_starts)

    class Blocks(mistune.BlockParser):
        """Keeps the sign before each item of a list (“31.”, “3)”), which means what it says: a date, a clause."""

        state_cls = State

        def parse_list(self, m: re.Match[str], state: Any) -> int:
            state.ends = []
            end = super().parse_list(m, state)
            marks = [m["list_2"]]
            for position in state.ends[:-1]:
                # The line with the sign of the next item has been read by then.
                line = state.src[:position].removesuffix("\n").rpartition("\n")[2]
                marks.append(line.split(maxsplit=1)[0])
            if state.ends:
                found = next(token for token in reversed(state.tokens) if token["type"] == "list")
                found["marks"] = marks
            return end

        def parse_setex_heading(self, m: re.Match[str], state: Any) -> Any:
            """Leave a line of dashes, or the delimiter of a signature, below a text what it is."""
            if state.cursor in getattr(state, "lazy_line_starts", ()):
                return None
            return state.append_paragraph() or super().parse_setex_heading(m, state)

        def parse_block_quote(self, m: re.Match[str], state: Any) -> Any:
            return state.append_paragraph() if _COMPARED.match(m[0]) else super().parse_block_quote(m, state)

        def parse_ref_link(self, m: re.Match[str], state: Any) -> Any:
            """Take a line for the address of a link only if it is one, and there is the link."""
            line = state.src[state.cursor : state.find_line_end()]
            label, _colon, address = line.strip().partition("]:")
            if _labels(state)[f"{label.lower()}]"] > 1 and re.match(r"\s*<?(?:https?://|mailto:)", address):
                return super().parse_ref_link(m, state)
            return state.append_paragraph()

        def parse_raw_html(self, m: re.Match[str], state: Any) -> Any:
            if _BREAK.match(state.src, m.start() + len(m[0]) - len(m[0].lstrip(" "))):
                return state.append_paragraph()
            return super().parse_raw_html(m, state)

    return Blocks()


def _labels(state: Any) -> Any:
    """Return how often each text in brackets stands in the whole of what is parsed; it is counted once."""
    if "labels" not in state.env:
        whole = state
        while whole.parent is not None:
            whole = whole.parent
        state.env["labels"] = Counter(re.findall(r"\[[^\[\]\n]*\]", whole.src.lower()))
    return state.env["labels"]


def _inline_parser() -> Any:
    import mistune

    class Inline(mistune.InlineParser):
        """Takes for markup what cannot be anything else, and a typed line break for one."""

        def __call__(self, s: str, env: Any) -> list[dict[str, Any]]:
            return super().__call__(_quieted(s), env)

        def parse_inline_html(self, m: re.Match[str], state: Any) -> Any:
            if found := _BREAK.match(state.src, m.start()):
                state.append_token({"type": "linebreak"})
                return found.end()
            return super().parse_inline_html(m, state)

    return Inline(hard_wrap=True)


@lru_cache(4)  # a mail is rendered twice, as HTML and as plain text
def _parsed(text: str) -> tuple[list[dict[str, Any]], Any]:
    found: tuple[list[dict[str, Any]], Any] = _parser().parse(unindented(text))
    return found


def tokens_of(text: str) -> list[dict[str, Any]]:
    """Return the blocks of a Markdown text, as mistune reads them; they are to be looked at, not changed."""
    return _parsed(text)[0]


_PAIRED = re.compile(r"<(/?)([a-z][a-z0-9]*)(?=[\s>])", re.IGNORECASE)
_ELEMENTS = set(
    "a abbr b big blockquote body center code div dl em font h1 h2 h3 h4 h5 h6 head html i li ol p pre small span "  # noqa: SIM905 - a list of them is one of signs
    "strong style sub sup table tbody td th thead tr u ul".split()
)


def elements_in(text: str) -> set[str]:
    """Return the elements of HTML that stand in a Markdown text, outside code: “b”, “table”."""
    if "</" not in text:
        return set()

    def htmls(tokens: list[dict[str, Any]]) -> Iterator[str]:
        for token in tokens:
            if token["type"] in {"inline_html", "block_html"}:
                yield token["raw"]
            yield from htmls(token.get("children", []))

    opened: set[str] = set()
    closed: set[str] = set()
    for tag in _PAIRED.finditer("".join(htmls(tokens_of(text)))):
        (closed if tag[1] else opened).add(tag[2].lower())
    return opened & closed & _ELEMENTS


def marks_of(block: dict[str, Any]) -> list[str]:
    """Return the sign before each item of a numbered list, as it was typed; nothing for one with bullets."""
    return block["marks"] if block["attrs"]["ordered"] else []


# --- HTML -------------------------------------------------------------------------------------------------------------

_BODY = "font-family: Arial, Helvetica, sans-serif; font-size: 14px; line-height: 1.5"
_CELL = "border: 1px solid #c8c8c8; padding: 4px 10px; text-align: {align}; vertical-align: top"
_STYLES = {
    "p": "margin: 0 0 12px",
    "table": "border-collapse: collapse; margin: 0 0 12px; font-size: 14px",
    "th": f"{_CELL}; background-color: #f0f0f0; color: #1a1a1a; font-weight: bold",
    "td": _CELL,
    "blockquote": "margin: 0 0 12px; padding: 0 0 0 12px; border-left: 3px solid #c8c8c8",
    "pre": "margin: 0 0 12px; padding: 8px 12px; background-color: #f4f4f4; color: #1a1a1a; font-family: Consolas,"
    " Menlo, monospace; font-size: 13px; white-space: pre-wrap",
    "code": "background-color: #f4f4f4; color: #1a1a1a; font-family: Consolas, Menlo, monospace; font-size: 13px",
    "del": "text-decoration: line-through",
    "hr": "border: 0; border-top: 1px solid #c8c8c8; margin: 16px 0",
    "img": "max-width: 100%; height: auto; border: 0",
    "h1": "font-size: 22px; line-height: 1.3; margin: 20px 0 10px",
    "h2": "font-size: 18px; line-height: 1.3; margin: 18px 0 8px",
    "h3": "font-size: 15px; line-height: 1.3; margin: 16px 0 6px",
    **dict.fromkeys(("ul", "ol"), "margin: 0 0 12px; padding: 0 0 0 24px"),
    **dict.fromkeys(("h4", "h5", "h6"), "font-size: 14px; margin: 14px 0 6px"),
}


@cache
def _renderer() -> Callable[[Any, Any], str]:
    import mistune

    class Styled(mistune.HTMLRenderer):
        """Writes a style into each element."""

        def table(self, text: str) -> str:
            return f"<table>\n{text}</table>\n"

        def table_head(self, text: str) -> str:
            return f"<thead>\n<tr>\n{text}</tr>\n</thead>\n"

        def table_body(self, text: str) -> str:
            return f"<tbody>\n{text}</tbody>\n"

        def table_row(self, text: str) -> str:
            return f"<tr>\n{text}</tr>\n"

        def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:  # noqa: FBT001, FBT002 - mistune calls it so
            tag = "th" if head else "td"
            text = minus(text) if align == "right" else text
            return f'<{tag} style="{_STYLES[tag].format(align=align or "left")}">{text}</{tag}>\n'

        def block_code(self, code: str, info: str | None = None) -> str:
            del info  # no mail program colours code
            return f"<pre>{mistune.escape(code.rstrip())}</pre>\n"

        def render_token(self, token: dict[str, Any], state: Any) -> str:
            if token["type"] == "list" and not _counts(marks_of(token)):
                return _signed(token, lambda children: self.render_tokens(children, state))
            written = super().render_token(token, state)
            # The first element of what a token becomes is its own; what stands in it has its style already.
            opened = re.match(r"\s*<([a-z][a-z0-9]*)(?=[\s>/])(?![^>]*\sstyle=)", written)
            if opened is None or opened[1] not in _STYLES:
                return written
            return f'{written[: opened.end()]} style="{_STYLES[opened[1]]}"{written[opened.end() :]}'

    # “cid:” names a picture that travels with the mail.
    renderer = Styled(escape=True, allow_harmful_protocols=("cid:",))
    # The plugins teach it whatever they find in a text.
    mistune.Markdown(renderer=renderer, plugins=_plugins())
    return renderer


def _counts(marks: list[str]) -> bool:
    """Say whether these are the signs that every program writes when it counts the items of a list: 1., 2., 3."""
    return all(mark == f"{number}." for number, mark in enumerate(marks, 1))


def _signed(block: dict[str, Any], rendered: Callable[[list[dict[str, Any]]], str]) -> str:
    """Return a list whose signs no mail program shows that counts its items itself: they stand in the text.

    As paragraphs with a hanging indent, as Outlook writes its own lists, and others understand.
    """
    marks = marks_of(block)
    hang = max(24, 8 * max(map(len, marks)) + 4)
    below = 4 if block["tight"] else 12
    items = []
    for mark, item in zip(marks, block["children"], strict=True):
        text, others = _first_line(item)
        items.append(
            f'<div role="listitem" style="margin: 0 0 0 {hang}px">\n'
            f'<p style="margin: 0 0 {below}px; text-indent: -{hang}px">{f"{mark} {rendered(text)}".rstrip()}</p>\n'
            f"{rendered(others)}</div>\n"
        )
    return f'<div role="list" style="margin: 0 0 12px">\n{"".join(items)}</div>\n'


def _first_line(item: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the text of an item beside which its sign can stand, if it begins with text, and the blocks below it."""
    blocks = [child for child in item["children"] if child["type"] != "blank_line"]
    if blocks and blocks[0]["type"] in {"block_text", "paragraph"}:
        return blocks[0]["children"], blocks[1:]
    return [], blocks


_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
# The outer elements say nothing: they look only at text that is in no block with a direction of its own.
_BLOCK = re.compile(r"<(p|h[1-6]|li|td|th)(?=[ >])")


def to_html(text: str) -> str:
    """Return the HTML of a Markdown text; HTML in it is shown as text, scripts in links are dropped."""
    blocks, state = _parsed(text)
    shown = _renderer()(blocks, state)
    if _RIGHT_TO_LEFT.search(text):
        # Each block begins on the side of its own script: a Hebrew paragraph on the right, the English one below it on
        # the left; and the signs of a list need room on both.
        shown = _BLOCK.sub(r'<\1 dir="auto"', shown).replace("; text-align: left;", "; text-align: start;")
        shown = shown.replace(_STYLES["ul"], _STYLES["ul"].replace("0 0 0 24px", "0 24px"))
    return (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head>\n<body style="{_BODY}">\n{shown}</body></html>\n'
    )


# --- plain text -------------------------------------------------------------------------------------------------------


def to_text(text: str) -> str:
    """Return the plain text of a Markdown text: the text itself, if it has no markup."""
    blocks = tokens_of(text)
    if "\\" not in text and not _BREAK.search(text) and all(_is_plain(block) for block in blocks):
        return unindented(text)
    said = "\n\n".join(said for block in blocks if (said := "\n".join(_lines(block)))) + "\n"
    # RFC 3676 4.3: the blank behind the dashes is what makes them the delimiter of a signature.
    return re.sub(r"(?m)^--$", "-- ", said) if re.search(r"(?m)^[ \t]*-- $", text) else said


def _is_plain(block: dict[str, Any]) -> bool:
    if block["type"] == "blank_line":
        return True
    return block["type"] == "paragraph" and all(
        child["type"] in {"text", "linebreak", "softbreak"} or "_autolink" in child for child in block["children"]
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
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
