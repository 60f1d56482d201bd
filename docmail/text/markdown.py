"""Reads Markdown as people mean it, and writes texts and tables as Markdown.

People write mails, and not Markdown: a sign is markup only where nobody means it otherwise. So a line of dashes below
a text makes no heading, and signs inside words, numbers, names of files and paths are just signs.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from functools import cache, lru_cache
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from docmail.text.values import with_line_feeds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["elements_in", "escape", "margin_of", "marks_of", "table", "tokens_of", "unindented"]

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


# --- into Markdown ----------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Return Markdown that is shown as exactly this text; a web address in it becomes a link to itself."""
    return "\n".join(map(_escaped_line, with_line_feeds(text).split("\n")))


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
# them; with a doubled one behind it, it has no such meaning. Blanks are in it where a backslash follows the next words.
_PATH = (
    r"(?<![\w\\])(?:[A-Za-z]:\\(?![\\*<>|\"?\[\]`~])|\\\\(?=[^\W_])|\.{1,2}\\(?=[^\W_]|\.))"
    r"(?>(?:[^\s<>|\"*?`\[\]\\]|\\(?!\\)|(?: [\w.-]+){1,4}(?=\\(?!\\)))*)(?!\\)"
)
_NOTEWORTHY = re.compile(
    rf"(?P<path>{_PATH})"
    r"|(?P<kept>\\(?:[^\w\s]|_)|<[A-Za-z/!?][^<>]*>|https?://[^\s<]+)"
    r"|(?P<ticks>`+)"
    # The text of a link is followed by an address; “f[i](x)” is no link.
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


@cache
def _parser() -> Any:
    import mistune
    from mistune.plugins import import_plugin

    plugins = map(import_plugin, ("table", "strikethrough", "url"))
    return mistune.Markdown(renderer=None, block=_block_parser(), inline=_inline_parser(), plugins=plugins)


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
                state.append_token({"type": "linebreak", "typed": True})
                return found.end()
            return super().parse_inline_html(m, state)

    return Inline(hard_wrap=True)


@lru_cache(4)  # a mail is rendered twice, as HTML and as plain text
def tokens_of(text: str) -> list[dict[str, Any]]:
    """Return the blocks of a Markdown text, as mistune reads them; they are to be looked at, not changed."""
    found: list[dict[str, Any]] = _parser().parse(unindented(text))[0]
    return found


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
