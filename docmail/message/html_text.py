"""The look of a mail's text in HTML: mail programs drop style sheets, so each element carries its own style."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from docmail import language
from docmail.addresses import scheme_of
from docmail.look import Look
from docmail.message.html_page import FONT, column, page
from docmail.message.pieces import Body, Ready
from docmail.message.plain_text import has_signature
from docmail.text import marks_of, minus, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["markdown_to_html"]

_STRONG = "#6b7684"

_CELL = "border-bottom: 1px solid {rule}; padding: {pad}px 10px; text-align: {{align}}; vertical-align: {place}"
_CODE = "background-color: #f1f3f5; color: #1f2933; font-family: Consolas, Menlo, monospace; font-size: 13px"
_STYLES = {
    "p": "margin: 0 0 14px",
    # Rules as in a printed book: none of them vertical, and no ground that would glare in the dark.
    "table": f"width: 100%; border-collapse: collapse; border-top: 2px solid {_STRONG}; border-bottom: 2px solid"
    f" {_STRONG}; margin: 4px 0 20px; {FONT.replace('15px', '14px').replace('1.5', '1.4')}",
    "th": _CELL.format(rule=_STRONG, pad=8, place="bottom") + "; font-weight: bold",
    "td": _CELL.format(rule="#dde2e7", pad=7, place="top"),
    "blockquote": "margin: 0 0 14px; padding: 0 0 0 14px; border-left: 3px solid #a9b3bd",
    "pre": f"margin: 0 0 14px; padding: 10px 14px; {_CODE}; line-height: 1.45; white-space: pre-wrap; word-break:"
    " break-word",
    "code": _CODE,
    "del": "text-decoration: line-through",
    "hr": "border: 0; border-top: 1px solid #a9b3bd; margin: 20px 0",
    "img": "max-width: 100%; height: auto; border: 0",
    "h1": "font-size: 24px; line-height: 1.25; margin: 4px 0 12px",
    "h2": "font-size: 19px; line-height: 1.3; margin: 22px 0 8px",
    "h3": "font-size: 16px; line-height: 1.3; margin: 18px 0 6px",
    **dict.fromkeys(("ul", "ol"), "margin: 0 0 14px; padding: 0 0 0 24px"),
    **dict.fromkeys(("h4", "h5", "h6"), "font-size: 15px; margin: 16px 0 6px"),
}
_CLASSES = {"pre": "dm-code", "code": "dm-code"}  # what has other colours in the dark
_INKED = {"h1", "h2", "h3", "a"}
_FIGURE = "width: 100%; max-width: {}px; height: auto; border: 0"

# Of a table on a phone: the pixels beside the margins, around a cell, and of a character.
_PHONE, _AROUND, _CHARACTER = 318, 8, 7.6
_LONG = 14  # characters of a word, beyond which it may be broken
_NUMBER = 20  # characters of a cell on the right, beyond which it is no number, and may be broken


# "" is a place in the mail, #terms; “cid:” names a picture that travels with it.
_LINKED = {"", "http", "https", "mailto", "tel", "cid"}
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
# The outer elements say nothing: they look only at text that is in no block with a direction of its own.
_BLOCK = re.compile(r"<(p|h[1-6]|li|td|th)(?=[ >])")


def markdown_to_html(
    text: str | Sequence[str | Ready],
    look: Look = Look.PLAIN,
    *,
    lang: str | None = None,
    logo: str = "cid:logo",
    figures: Mapping[str, tuple[str, int]] | None = None,
) -> Markup:
    """Return a Markdown text as a whole HTML document; HTML in it is shown as text, scripts in links are dropped.

    Instead of a text, it takes what a body is made of: Markdown, and tables that are HTML already.
    `lang` is the language of the text, `logo` the address of the logo's picture (empty: the letterhead has the name
    alone), `figures` the address and the width of each figure, by its name.
    """
    runs = text.runs if isinstance(text, Body) else (text,) if isinstance(text, str) else text
    text = "\n\n".join(run for run in runs if isinstance(run, str))
    direction, lang = "rtl" if _is_right_to_left(text) else "ltr", lang or look.locale or _language_of(text)
    lang = lang.partition(".")[0].replace("_", "-")
    before, after = _around(look, lang, direction, logo if look.logo else "", not has_signature(text))
    shown = Markup().join(_framed(run) if isinstance(run, Ready) else _part(run, look.ink) for run in runs)
    for name, (address, width) in (figures or {}).items():
        width = min(width, column(look))  # noqa: PLW2901
        sent = Markup('style="{}" src="{}" width="{}"').format(_FIGURE.format(width), address, width)
        # Escaped text holds no such quotes: this can only be the picture itself, or one in a table.
        said: str = shown.replace(f'style="{_STYLES["img"]}" src="cid:{name}"', sent)
        said = said.replace(f'src="cid:{name}"', Markup('src="{}"').format(address))
        shown = Markup(said)  # noqa: S704 - as before
    return before + shown + after


@lru_cache(8)
def _around(look: Look, lang: str, direction: str, logo: str, signed: bool) -> tuple[Markup, Markup]:  # noqa: FBT001 - a key
    """Return what stands before and behind a text; a batch shares it."""
    signature = _part(look.signature, look.ink) if signed else Markup()
    return page(look, lang, direction, logo, (signature, _part(look.footer, look.ink, small=True)))


def _is_right_to_left(text: str) -> bool:
    """Say whether most letters of a text are of a script that is written from right to left."""
    letters = len(_RIGHT_TO_LEFT.findall(text))
    return letters > 0 and letters > len(re.findall(r"[^\W\d_]", text)) / 2


def _language_of(text: str) -> str:
    """Return the language that the script of a text tells, else the reader's."""
    if not _is_right_to_left(text):
        return language.current()
    if re.search("[\u0590-\u05ff]", text):
        return "he"
    return "fa" if re.search("[\u067e\u0686\u0698\u06a9\u06af\u06cc]", text) else "ar"


def _part(text: str, ink: str | None, *, small: bool = False) -> Markup:
    """Return the HTML of a Markdown text alone."""
    shown = _renderer(ink)(tokens_of(text)) if text else ""
    if _RIGHT_TO_LEFT.search(text):
        # Each block begins on the side of its own script: a Hebrew paragraph on the right, the English one below it on
        # the left; and the signs of a list need room on both.
        shown = _BLOCK.sub(r'<\1 dir="auto"', shown).replace("; text-align: left;", "; text-align: start;")
        shown = shown.replace(_STYLES["ul"], _STYLES["ul"].replace("0 0 0 24px", "0 24px"))
    if small:
        shown = shown.replace(_STYLES["p"], "margin: 0 0 6px")
    return Markup(shown)  # noqa: S704 - written by the renderer, which escapes


def _framed(ready: Ready) -> Markup:
    """Return a table that another package has drawn, on the light ground for which its colours are made."""
    return Markup(
        '<table role="presentation" class="dm-light" width="100%" cellpadding="0" cellspacing="0" border="0" '
        'bgcolor="{ground}" style="width: 100%; table-layout: fixed; margin: 4px 0 20px; background-color: {ground}; '
        'color: {text}"><tr><td style="padding: 6px 0"><div style="overflow-x: auto">\n{table}\n</div></td></tr>'
        "</table>\n"
    ).format(ground="#ffffff", text="#1f2933", table=ready.html)


@lru_cache(8)
def _renderer(ink: str | None) -> Callable[[Any], str]:
    import mistune

    styles = {tag: f"{_STYLES.get(tag, '')}; color: {ink}".removeprefix("; ") for tag in _INKED} if ink else {}
    styles = {**_STYLES, **styles}
    classes = {**_CLASSES, **(dict.fromkeys(_INKED, "dm-ink") if ink else {})}
    opening = {tag: f' style="{style}"' for tag, style in styles.items()}
    opening |= {tag: f' class="{name}"{opening[tag]}' for tag, name in classes.items()}

    class Styled(mistune.HTMLRenderer):
        """Writes a style into each element; what its methods are given as `text` is HTML already."""

        def link(self, text: str, url: str, title: str | None = None) -> str:
            return super().link(text, _harmless(url), title)

        def image(self, text: str, url: str, title: str | None = None) -> str:
            return super().image(text, _harmless(url), title)

        def block_code(self, code: str, info: str | None = None) -> str:
            del info  # no mail program colours code
            return Markup("<pre>{}</pre>\n").format(code.rstrip())

        def render_token(self, token: dict[str, Any], state: Any) -> str:
            def rendered(children: list[dict[str, Any]]) -> Markup:
                return Markup(self.render_tokens(children, state))  # noqa: S704

            if token["type"] == "table":
                return _table(token, rendered)
            if token["type"] == "list" and not _counts(marks_of(token)):
                return _signed(token, rendered)
            written = super().render_token(token, state)
            # The first element of what a token becomes is its own; what stands in it has its style already.
            opened = re.match(r"\s*<([a-z][a-z0-9]*)(?=[\s>/])(?![^>]*\sstyle=)", written)
            if opened is None or opened[1] not in opening:
                return written
            return f"{written[: opened.end()]}{opening[opened[1]]}{written[opened.end() :]}"

    renderer = Styled(escape=True, allow_harmful_protocols=("cid:",))
    mistune.create_markdown(renderer=renderer, plugins=["table", "strikethrough"])  # which teaches it both
    return lambda tokens: renderer.render_tokens(tokens, mistune.BlockState())


def _table(block: dict[str, Any], rendered: Callable[[list[dict[str, Any]]], Markup]) -> Markup:
    """Return a table; one that a phone has no room for is there a list of its rows, with the heads beside each cell."""
    head, *bodies = block["children"]
    rows = [row["children"] for body in bodies for row in body["children"]]
    aligned = [cell["attrs"].get("align") or "left" for cell in head["children"]]
    heads = [rendered(cell.get("children", [])) for cell in head["children"]]
    cells = [[rendered(cell.get("children", [])) for cell in row] for row in rows]
    texts = [[text.striptags() if "<" in text else str(text) for text in row] for row in (heads, *cells)]
    stacked = _needed(texts, aligned) > _PHONE
    labels = [Markup("")] * len(heads)
    if stacked:
        labels = [Markup('<span class="dm-label" style="display: none">{}: </span>').format(text) for text in texts[0]]
    kind = "dm-table dm-stack" if stacked else "dm-table"
    lines = [f'<table class="{kind}" style="{_STYLES["table"]}">\n<thead>\n<tr>\n']
    for text, align in zip(heads, aligned, strict=True):
        shown = minus(text) if align == "right" else str(text)
        lines.append(f'<th style="{_STYLES["th"].format(align=align)}">{shown}</th>\n')
    lines.append("</tr>\n</thead>\n")
    if cells:
        lines.append("<tbody>\n")
    styles = {align: _STYLES["td"].format(align=align) for align in {*aligned}}
    for row, said_in in zip(cells, texts[1:], strict=True):
        lines.append("<tr>\n")
        for place, (cell, plain, align) in enumerate(zip(row, said_in, aligned, strict=False)):
            style = styles[align]
            shown = minus(cell) if align == "right" else str(cell)
            if align == "right":
                style += "; white-space: nowrap" if len(plain) <= _NUMBER else ""
            if any(len(word) > 2 * _LONG for word in plain.split()):
                style += "; word-break: break-all"
            role = ("" if place else ' class="dm-first"') if plain.strip() else ' class="dm-none"'
            lines.append(f'<td{role if stacked else ""} style="{style}">{labels[place]}{shown}</td>\n')
        lines.append("</tr>\n")
    if cells:
        lines.append("</tbody>\n")
    return Markup("".join([*lines, "</table>\n"]))  # noqa: S704 - of rendered cells


def _needed(rows: list[list[str]], aligned: list[str]) -> float:
    """Return how many pixels a table needs at least, in the small letters of a phone."""
    total = 0.0
    for column_, align in zip(zip(*rows, strict=False), aligned, strict=False):
        head, *cells = column_
        words = [word for text in (head, *([] if align == "right" else cells)) for word in text.split()]
        longest = min(max(map(len, words), default=1), _LONG)
        if align == "right":
            longest = max([longest, *(len(text) if len(text) <= _NUMBER else _LONG for text in cells)])
        total += longest * _CHARACTER + _AROUND
    return total


def _harmless(url: str) -> str:
    """Return an address that a person may mean in a mail; mail programs open whatever a link names."""
    return url if scheme_of(url) in _LINKED else "#harmful-link"  # as mistune writes it for those that it knows


def _counts(marks: list[str]) -> bool:
    """Say whether these are the signs that every program writes when it counts the items of a list: 1., 2., 3."""
    return all(mark == f"{number}." for number, mark in enumerate(marks, 1))


def _signed(block: dict[str, Any], rendered: Callable[[list[dict[str, Any]]], Markup]) -> Markup:
    """Return a list whose signs no mail program shows that counts its items itself: they stand in the text.

    As paragraphs with a hanging indent, as Outlook writes its own lists, and others understand.
    """
    marks = marks_of(block)
    hang = max(24, 8 * max(map(len, marks)) + 4)
    below = 4 if block["tight"] else 12
    items = Markup()
    for mark, item in zip(marks, block["children"], strict=True):
        text, others = _first_line(item)
        line = Markup("{} {}").format(mark, rendered(text)).rstrip()
        items += Markup(
            '<div role="listitem" style="margin: 0 0 0 {hang}px">\n'
            '<p style="margin: 0 0 {below}px; text-indent: -{hang}px">{line}</p>\n{others}</div>\n'
        ).format(hang=hang, below=below, line=line, others=rendered(others))
    return Markup('<div role="list" style="margin: 0 0 12px">\n{}</div>\n').format(items)


def _first_line(item: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the text of an item beside which its sign can stand, if it begins with text, and the blocks below it."""
    blocks = [child for child in item["children"] if child["type"] != "blank_line"]
    if blocks and blocks[0]["type"] in {"block_text", "paragraph"}:
        return blocks[0]["children"], blocks[1:]
    return [], blocks
