"""Takes the tables that other packages have drawn as HTML into a mail: cleaned, with their styles in their elements.

Only objects come here, a Styler of pandas or a GT of great_tables, because a text that claims to be HTML can come from
anywhere. What is in their cells can as well (a Styler escapes nothing), so nothing passes but what stands in the lists
below: no script, form, frame or style sheet, nothing that is loaded from elsewhere.

First all but the table is taken away (nh3), then the table's own style sheet is put into its elements (css-inline), and
then each element and each declaration is looked at once more (nh3, and `_declarations`, because nh3 does not look at
the values in a style).
"""

from __future__ import annotations

import importlib.util
import io
import re
from base64 import b64decode
from binascii import Error as Base64Error
from functools import lru_cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from docmail.addresses import scheme_of
from docmail.errors import DocumentError
from docmail.language import _
from docmail.text import escape, styled_kind, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ForeignPicture", "ForeignTable", "foreign_table", "html_table", "plain_table"]

_ELEMENTS = {
    *("a", "b", "br", "caption", "code", "del", "div", "em", "hr", "i", "img", "li", "ol", "p", "s", "small", "span"),
    *("strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
}
# Gone with all that is in them; of any other element, the text stays.
_GONE = {
    *("applet", "audio", "button", "canvas", "embed", "frame", "frameset", "iframe", "math", "noembed", "noframes"),
    *("noscript", "object", "option", "plaintext", "script", "select", "style", "svg", "template", "textarea"),
    *("title", "video", "xmp"),
}
_ATTRIBUTES = {
    "*": {"style"},
    "a": {"href"},
    "img": {"alt", "height", "src", "width"},
    "td": {"align", "colspan", "rowspan", "scope", "valign"},
    "th": {"align", "colspan", "rowspan", "scope", "valign"},
}
_NAMED = {"class", "id"}  # for its own style sheet; nothing of them stays
_SCHEMES = {"cid", "data", "http", "https", "mailto", "tel"}
_LINKED = {"http", "https", "mailto", "tel"}

_SIDES = ("top", "right", "bottom", "left")
_PROPERTIES = {
    *("background", "background-color", "border-collapse", "color", "font-size", "font-style", "font-weight"),
    *("line-height", "text-align", "text-decoration", "text-indent", "text-transform", "vertical-align"),
    *("white-space", "width", "border", "padding"),
    *(f"{what}-{side}" for what in ("border", "padding") for side in _SIDES),
    *(f"border-{side}-{what}" for side in _SIDES for what in ("color", "style", "width")),
    *(f"border-{what}" for what in ("color", "style", "width")),
}
# A value has words, numbers, colours, and the bars of a Styler; no address, no quotes, no escapes, no other function.
_VALUE = re.compile(r"(?:[a-z%#.,\s0-9-]|(?:rgba?|hsla?|linear-gradient)\(|\))*")
_NEGATIVE = re.compile(r"(?<![\w)-])-[\d.]")
_LENGTH = re.compile(r"(?<![\w#.])(\d*\.?\d+)(px|pt|em|rem|cm|mm|in|pc|q|vw|vh|vmin|vmax|ch|ex|%)?(?![\w.])")
_LONGEST = {"": 100, "px": 64, "pt": 48, "em": 12, "rem": 12, "%": 100}
_LONGEST_COLOUR = {**_LONGEST, "": 360}  # degrees of hsl(), and the numbers of rgb()
_SILENT = {"inherit", "initial", "unset", "revert", "auto", "normal"}
_ANYWAY = {("background-color", "transparent"), ("font-size", "100%")}
_NO_LINE = {"none", "hidden", "0", "0px"}
_MOST_SPAN = 100
_MOST_OCTETS = 5_000_000  # of what a package writes; 102 kB of it is all that Gmail shows
_MOST_PICTURE, _WIDEST = 1_000_000, 600
_MOST_ROWS = 5_000  # of a Styler, before it is written out at all

# A Styler has no lines of its own: those of a notebook, or of docmail's own tables.
_JOINED = "table { border-collapse: collapse }"
_LINES = (
    "td, th { padding: 6px 10px; border-bottom: 1px solid #dde2e7; text-align: left; vertical-align: top }"
    "thead th { border-bottom: 1px solid #6b7684; vertical-align: bottom }"
)
_DENSE = {"padding-left": "3px", "padding-right": "3px", "padding-top": "4px", "padding-bottom": "4px"}
_SMALL = "font-size: 11px"
_COLUMN = 600
_CHARACTER, _AROUND = 7.4, 20  # pixels of a letter, and around a cell
_TABLE = "border-collapse: collapse; font-size: 14px; line-height: 1.4"


class ForeignPicture(NamedTuple):
    """A picture that stood in a table as “data:”."""

    name: str
    content: bytes
    kind: str


class ForeignTable(NamedTuple):
    """A table as a mail has it: its HTML, its pictures, the same as Markdown, and the words in its rows."""

    html: Markup
    pictures: tuple[ForeignPicture, ...]
    markdown: str
    words: tuple[tuple[str, ...], ...]
    rows: int
    columns: int


def foreign_table(source: Any, name: str) -> ForeignTable:
    """Return a Styler of pandas or a GT of great_tables, cleaned; `name` begins the names of its pictures.

    Raises `DocumentError` where it cannot be drawn, or what cleans it is not installed.
    """
    _check_installed()
    kind = styled_kind(source)
    try:
        html = _of_styler(source) if kind == "Styler" else source.as_raw_html()
    except DocumentError:
        raise
    except Exception as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")[:300]
        raise DocumentError(
            _("The {type} cannot be written as HTML: {reason}.").format(type=kind, reason=reason),
            hint=_("Correct what it names; the table alone in a cell shows where it comes from."),
        ) from exc
    # Otherwise the same table is another one each time: its elements are named at random.
    if found := re.search(r'\sid="(T_[\w-]+|[a-z]{10})"', html[: html.find(">", html.find("<table"))]):
        html = html.replace(found[1], "T_")
    return _cleaned(html, _numbers(source) if kind == "Styler" else "", name)


def html_table(html: str, name: str) -> ForeignTable:
    """Return a table of which a notebook holds the HTML and its style sheet, cleaned; raises as `foreign_table`."""
    _check_installed()
    is_styler = re.search(r'<t[dh][^>]*\sclass="[^"]*\bcol0\b', html) is not None
    below = ""
    if is_styler or "<style" not in html:
        grid = _Grid(html)
        heads = len(re.findall(r"<th[\s>]", html[html.find("<tbody") :].partition("</tr>")[0]))
        right = [f".col{place}" for place, right in enumerate(grid.rights[heads:]) if right]
        below = _LINES + (f"{', '.join(right)} {{ text-align: right }}" if right else "")
    return _cleaned(html, below, name)


_PLAIN_ELEMENTS = {"table", "thead", "tbody", "tfoot", "tr", "th", "td", "br", "p", "colgroup", "col"}
_POLARS_TYPES = re.compile(r"<tr>(?:\s*<td>[^<]*</td>)+\s*</tr>(?=\s*</thead>)")


def plain_table(html: str, most: int | None = None) -> ForeignTable | None:
    """Return the HTML of a table that has no look of its own, such as that of a DataFrame; None for any other.

    It has no HTML then: its Markdown is all there is to it. `most` is how many rows are wanted.
    """
    if "dataframe" not in html[: html.find(">")]:
        return None
    bare = re.sub(r'<tr style="text-align: \w+;">', "<tr>", html)
    elements = {found.lower() for found in re.findall(r"<([a-zA-Z][a-zA-Z0-9]*)", bare)}
    if elements - _PLAIN_ELEMENTS or re.search(r"<[^<>]*\sstyle=", bare):
        return None
    grid = _Grid(_POLARS_TYPES.sub("", bare), most)
    words = tuple(tuple(row) for row in grid.said)
    return ForeignTable(Markup(), (), grid.markdown, words, len(grid.rows), grid.width)


def _check_installed() -> None:
    for module, package in (("nh3", "nh3"), ("css_inline", "css-inline")):
        if importlib.util.find_spec(module) is None:
            raise DocumentError(
                _("A styled table needs the package {package}, which is not installed.").format(package=package),
                hint=_('Install it: pip install "docmail[tables]".'),
            )


def _of_styler(styler: Any) -> str:
    if len(styler.data) > _MOST_ROWS:
        raise DocumentError(
            _("A table of {rows} rows and {columns} columns is too large for the text of a mail.").format(
                rows=f"{len(styler.data):,}", columns=len(styler.data.columns)
            ),
            hint=_("Attach it as a document, or put df.head(20) in the body."),
        )
    return str(styler.to_html())


def _numbers(styler: Any) -> str:
    """Return the style sheet of a Styler as a notebook shows it: with lines, and its numbers on the right."""
    right = [f".col{place}" for place, dtype in enumerate(styler.data.dtypes) if getattr(dtype, "kind", "") in "iufc"]
    return _LINES + (f"{', '.join(right)} {{ text-align: right }}" if right else "")


@lru_cache(8)
def _cleaned(html: str, below: str, name: str) -> ForeignTable:
    import css_inline
    import nh3

    if len(html) > _MOST_OCTETS:
        raise DocumentError(
            _("The table has {size} MB of HTML, which is too much for the text of a mail.").format(
                size=len(html) // 1_000_000
            ),
            hint=_("Attach it as a document, or put df.head(20) in the body."),
        )
    # Its own style sheet stands before it; one in a cell is somebody else's.
    sheets = re.findall(r"<style[^>]*>(.*?)</style>", html[: html.find("<table")], re.DOTALL)
    named = {element: allowed | _NAMED for element, allowed in _ATTRIBUTES.items()}
    bare = nh3.clean(
        html, tags=_ELEMENTS, clean_content_tags=_GONE, attributes=named, url_schemes=_SCHEMES, link_rel=None
    )
    try:
        inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
        inlined = inliner.inline_fragment(bare, "\n".join([_JOINED, below, *sheets]))
    except (css_inline.InlineError, ValueError) as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")[:300]
        raise DocumentError(
            _("The styles of the table cannot be read: {reason}.").format(reason=reason),
            hint=_("Correct the style that it names."),
        ) from exc
    if "<td" in bare and "<td" not in inlined:  # as releases before 0.24 do with some tables
        raise DocumentError(
            _("The styles of the table cannot be read: {reason}.").format(reason="css-inline returned no table"),
            hint=_("Install a newer release: {command}.").format(command='pip install "css-inline>=0.24"'),
        )
    pictures: list[ForeignPicture] = []
    shown = _passed(inlined, name, pictures, dense=False)
    grid = _Grid(shown)
    if grid.needed > _COLUMN:
        shown = _passed(inlined, name, pictures, dense=True)
    return ForeignTable(
        Markup(shown),  # noqa: S704 - cleaned
        tuple(pictures),
        grid.markdown,
        tuple(tuple(row) for row in grid.said),
        len(grid.rows),
        grid.width,
    )


def _passed(html: str, name: str, pictures: list[ForeignPicture], *, dense: bool) -> str:
    """Return what of this HTML stands in a mail; `dense` is for a table that has more columns than a mail has room."""
    import nh3

    def checked(element: str, attribute: str, value: str) -> str | None:
        if attribute == "src":
            return _source(value, name, pictures)
        return _style(element, value, dense=dense) if attribute == "style" else _attribute(attribute, value)

    shown = nh3.clean(
        html,
        tags=_ELEMENTS,
        clean_content_tags=_GONE,
        attributes=_ATTRIBUTES,
        attribute_filter=checked,
        url_schemes=_SCHEMES,
        link_rel=None,
    )
    # A picture that is left away leaves its text.
    shown = re.sub(r'<img((?: [a-z]+="[^"]*")*)>', _picture, shown)
    shown = re.sub(r' style=""', "", shown).replace("<a ", f'<a style="color: {_LINK}" ')
    return re.sub(r"\s*\n\s*", "\n", shown).strip()


_LINK = "#0b5cad"


def _attribute(attribute: str, value: str) -> str | None:
    """Return the value of an attribute as it passes; None for one that does not."""
    if attribute == "href":
        # nh3 takes “jav ascript:” for an address without a scheme, and it is one for mail programs of old.
        return value if scheme_of(value) in _LINKED else None
    if attribute in {"colspan", "rowspan"}:
        return value if value.isascii() and value.isdigit() and 1 < int(value[:6]) <= _MOST_SPAN else None
    if attribute in {"width", "height"}:
        return value if value.isascii() and value.isdigit() and int(value[:6]) <= _WIDEST else None
    if attribute in {"align", "valign", "scope"}:
        return value if value.isascii() and value.isalpha() else None
    return value


def _source(value: str, name: str, pictures: list[ForeignPicture]) -> str | None:
    """Return under which address a picture travels; None for one that is elsewhere, or no picture."""
    if value.lower().startswith("cid:"):
        return value
    found = re.fullmatch(r"data:image/(?:png|jpe?g|gif);base64,([A-Za-z0-9+/=\s]+)", value, re.IGNORECASE)
    if found is None or len(value) > 2 * _MOST_PICTURE:
        return None
    try:
        content = b64decode(found[1], validate=False)
    except (Base64Error, ValueError):
        return None
    kind = _kind_of(content)
    if not kind or len(content) > _MOST_PICTURE:
        return None
    same = next((each for each in pictures if each.content == content), None)
    if same is None:
        same = ForeignPicture(f"{name}-{len(pictures) + 1}", content, kind)
        pictures.append(same)
    return f"cid:{same.name}"


def _kind_of(content: bytes) -> str:
    """Return "png", "jpg" or "gif" for a picture that is one to its end, and not too large to be shown."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "GIF")) as image:
            kind = {"PNG": "png", "JPEG": "jpg", "GIF": "gif"}[str(image.format)]
            if image.width * image.height > _MOST_OCTETS:
                return ""
            image.load()
    except Exception:  # noqa: BLE001 - whatever PIL says of it: it is no picture to send
        return ""
    return kind


def _picture(image: re.Match[str]) -> str:
    if ' src="' not in image[1]:
        alt = re.search(r' alt="([^"]*)"', image[1])
        return alt[1].replace("<", "&lt;").replace(">", "&gt;") if alt else ""
    kept = re.sub(r' style="[^"]*"', "", image[1])
    return f'<img{kept} style="max-width: 100%; height: auto; border: 0">'


# --- styles -----------------------------------------------------------------------------------------------------------


def _style(element: str, text: str, *, dense: bool) -> str | None:
    """Return the declarations of a style that pass, in their shortest form; None if there are none."""
    kept: dict[str, str] = {}
    for name, value in _declarations(text):
        for each, said in _sides(name, value):
            kept.pop(each, None)
            kept[each] = said
    if dense:
        kept |= {name: value for name, value in _DENSE.items() if name in kept}
        kept.pop("width", None)
        if element in {"td", "th"}:
            kept.pop("font-size", None)
    if element == "table":
        return "; ".join(_of_table(_written(element, kept), dense=dense))
    return "; ".join(_written(element, kept)) or None


def _written(element: str, kept: dict[str, str]) -> list[str]:
    """Return declarations without those that say what is so anyway."""
    lines = [*_lines(kept), *_paddings(kept)]
    for name, value in kept.items():
        if name.startswith(("border-", "padding-")) and name != "border-collapse":
            continue
        said_anyway = value in _SILENT and (element, name) != ("th", "font-weight")
        if said_anyway or (name, value) in _ANYWAY or (element, name, value) == ("td", "text-align", "left"):
            continue
        lines.append(f"{name}: {value}")
    return lines


def _of_table(lines: list[str], *, dense: bool) -> list[str]:
    lines = [line for line in lines if not line.startswith(("border-collapse", "width"))]
    if dense:
        lines = [*(line for line in lines if not line.startswith("font-size")), _SMALL]
    own = {line.partition(":")[0] for line in lines}
    return [*(line for line in _TABLE.split("; ") if line.partition(":")[0] not in own), *lines]


def _declarations(text: str) -> Iterator[tuple[str, str]]:
    """Yield the declarations of a style that stand in our list and have a value that can do no harm."""
    # Where a semicolon stands in quotes or brackets, the pieces are cut there: they pass, or not, as any others.
    for declaration in text.lower().split(";"):
        name, _colon, value = (part.strip() for part in declaration.partition(":"))
        value = re.sub(r"\s*!\s*important$", "", value)
        if name not in _PROPERTIES or not value or _VALUE.fullmatch(value) is None or _NEGATIVE.search(value):
            continue
        longest = _LONGEST_COLOUR if "(" in value else {**_LONGEST, "": 900} if name == "font-weight" else _LONGEST
        if any(float(size) > longest.get(unit, 0) for size, unit in _LENGTH.findall(value)):
            continue
        if name == "width" and not value.endswith(("em", "%")):
            continue  # a column of 400 pixels has no room on a phone
        if value.count("(") != value.count(")"):
            continue
        yield name, value


def _sides(name: str, value: str) -> Iterator[tuple[str, str]]:
    """Yield what a declaration says, for each side alone where it is about several."""
    what, _dash, which = name.partition("-")
    if name == "padding":
        values = value.split()
        found = {1: (0, 0, 0, 0), 2: (0, 1, 0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3)}.get(len(values), ())
        yield from ((f"padding-{side}", values[place]) for side, place in zip(_SIDES, found, strict=False))
    elif what == "border" and which in {"color", "style", "width"}:
        values = re.findall(r"[^\s(]+(?:\([^)]*\))?", value)
        found = {1: (0, 0, 0, 0), 2: (0, 1, 0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3)}.get(len(values), ())
        yield from ((f"border-{side}-{which}", values[place]) for side, place in zip(_SIDES, found, strict=False))
    elif what == "border" and (not which or which in _SIDES):
        said = {"style": "none", "width": "1px", "color": ""}
        for each in re.findall(r"[^\s(]+(?:\([^)]*\))?", value):
            kind = "width" if each[0] in "0123456789." or each in {"thin", "medium", "thick"} else "color"
            said["style" if each in _LINE_STYLES else kind] = each
        for side in (which,) if which else _SIDES:
            yield from ((f"border-{side}-{kind}", each) for kind, each in said.items())
    else:
        yield name, value


_LINE_STYLES = {"none", "hidden", "dotted", "dashed", "solid", "double", "groove", "ridge", "inset", "outset"}


def _lines(kept: dict[str, str]) -> list[str]:
    sides = {}
    for side in _SIDES:
        style, width, colour = (kept.get(f"border-{side}-{what}", "") for what in ("style", "width", "color"))
        if style in _LINE_STYLES - _NO_LINE and width not in _NO_LINE:
            sides[side] = " ".join(filter(None, [width if width not in _SILENT else "1px", style, colour]))
    if len(sides) == len(_SIDES) and len({*sides.values()}) == 1:
        return [f"border: {sides['top']}"]
    return [f"border-{side}: {line}" for side, line in sides.items()]


def _paddings(kept: dict[str, str]) -> list[str]:
    values = [kept.get(f"padding-{side}", "") for side in _SIDES]
    if all(values):
        top, right, bottom, left = values
        if (top, right) != (bottom, left):
            return [f"padding: {' '.join(values)}"]
        return [f"padding: {top} {right}" if top != right else f"padding: {top}"]
    return [f"padding-{side}: {value}" for side, value in zip(_SIDES, values, strict=True) if value]


# --- as text ----------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[^\w\s]*\s?[\d.,'\u00a0\u202f\s]+\s?[%\w€$£¥]{0,4}[)]?")


def _longest(cell: str) -> int:
    """Return how many letters a line of a cell has at least: words are not broken, and numbers stay together."""
    return len(cell) if _NUMBER.fullmatch(cell) else max(map(len, cell.split()), default=0)


def _span(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and 0 < int(value[:6]) <= _MOST_SPAN else 1


class _Grid(HTMLParser):
    """Reads a cleaned table as rows of text, those of its head apart, and as Markdown."""

    def __init__(self, html: str, most: int | None = None) -> None:
        super().__init__()
        self._most = most
        self._gone = 0
        self.rows: list[list[str]] = []
        self.heads: list[list[str]] = []
        self.above: list[str] = []
        self.below: list[str] = []
        self._open: dict[int, tuple[int, str]] = {}  # columns that a cell above reaches into: how many rows, its text
        self._row: list[tuple[str, int, int]] | None = None
        self._is_titled = False
        self._part = "tbody"
        self._said: list[str] | None = None
        self._spans = (1, 1)
        self._depth = 0
        self.feed(html)
        self.close()
        self._finish()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a table, a row or a cell."""
        given = dict(attrs)
        self._gone += tag in _GONE
        if tag == "table":
            self._depth += 1
        if self._depth > 1:
            self._say(" ")
        elif tag in {"thead", "tbody", "tfoot"}:
            self._part = tag
        elif tag == "tr":
            self._row = []
        elif tag in {"td", "th", "caption"}:
            self._said = []
            self._is_titled = tag == "td"
            self._spans = _span(given.get("colspan")), _span(given.get("rowspan"))
        elif tag in {"br", "p", "div", "li"}:
            self._say(" ")
        elif tag == "img":
            self._say(given.get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        """End it."""
        self._gone = max(0, self._gone - (tag in _GONE))
        if tag == "table":
            self._depth -= 1
        elif self._depth > 1:
            self._say(" ")
        elif tag in {"td", "th"} and self._row is not None:
            self._row.append((self._take(), *self._spans))
        elif tag == "caption":
            self.above.append(self._take())
        elif tag == "tr" and self._row is not None:
            self._placed(self._row)
            self._row = None

    def handle_data(self, data: str) -> None:
        """Take note of a text."""
        self._say(data)

    def _say(self, text: str) -> None:
        if self._said is not None and not self._gone:
            self._said.append(text)

    def _take(self) -> str:
        said, self._said = " ".join("".join(self._said or ()).split()), None
        return said

    def _placed(self, cells: list[tuple[str, int, int]]) -> None:
        if len(cells) == 1 and self._part != "tbody" and self._is_titled:
            (self.above if self._part == "thead" else self.below).append(cells[0][0])  # a title, a note
            return
        row: list[str] = []

        def reach_down() -> None:
            while (open_ := self._open.get(len(row))) is not None:
                left, said = open_
                row.append(said if self._part == "thead" else "")
                self._open.pop(len(row) - 1)
                if left > 1:
                    self._open[len(row) - 1] = left - 1, said

        for said, wide, high in cells:
            reach_down()
            for place in range(wide):
                if high > 1:
                    self._open[len(row)] = high - 1, ""
                # A head over several columns is one of each of them; any other cell is said once.
                row.append(said if self._part == "thead" or not place else "")
        reach_down()
        (self.heads if self._part == "thead" else self.rows).append(row)

    def _finish(self) -> None:
        self.width = max(map(len, [*self.heads, *self.rows]), default=0)
        for row in (*self.heads, *self.rows):
            row.extend([""] * (self.width - len(row)))
        self.above = [*filter(None, self.above)]
        self.below = [*filter(None, self.below)]
        del self.rows[self._most if self._most is not None else len(self.rows) :]
        self.said = [self.above, *self.heads, *self.rows, self.below]
        heads = [" ".join(dict.fromkeys(filter(None, column))) for column in zip(*self.heads, strict=True)]
        heads = heads or [""] * self.width
        columns = [*zip(*self.heads, *self.rows, strict=True)]
        self.needed = sum(_CHARACTER * max(map(_longest, column)) + _AROUND for column in columns)
        self.rights = rights = [self._is_right([row[place] for row in self.rows]) for place in range(self.width)]
        parts = [*map(escape, self.above), *([table(heads, self.rows, rights)] if self.width else [])]
        self.markdown = "\n\n".join([*parts, *map(escape, self.below)])

    @staticmethod
    def _is_right(cells: list[str]) -> bool:
        said = [cell for cell in cells if cell]
        numbers = sum(_NUMBER.fullmatch(cell) is not None for cell in said)
        return numbers > len(said) / 2
