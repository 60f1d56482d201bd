"""Turns the Markdown of cells and outputs into pieces: docmail's own Markdown, and its pictures and formulas.

Jupyter's Markdown has what a mail's has not: elements of HTML, formulas, files attached to the cell. Elements become
the Markdown that shows the same, or their words; a formula that stands alone is drawn. And the lines of a paragraph are
one in Jupyter, where in the text of a mail each is as it was typed.
"""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from docmail.addresses import scheme_of
from docmail.foreign.html_pieces import html_pieces
from docmail.foreign.html_reader import is_data
from docmail.foreign.notebook import joined, plain, visible
from docmail.foreign.pictures import UnshownError, data_drawn, drawn, svg_drawn
from docmail.foreign.pieces import Pictured, Printed, Said, note
from docmail.language import _
from docmail.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.foreign.pieces import Shown

__all__ = ["Beside", "formula", "markdown_pieces"]

_LONGEST_FORMULA = 2_000
_MOST_OCTETS = 30_000_000
_ENDINGS = {".png", ".jpg", ".jpeg", ".gif", ".svg"}


class Beside(NamedTuple):
    """What stands beside the Markdown of a cell: the files attached to it, and those in the notebook's folder."""

    attachments: dict[str, Any]
    folder: Path

    def takes(self, address: str) -> bool:
        """Say whether an address is that of one of these, or holds the picture itself."""
        return is_data(address) or scheme_of(address) == "attachment" or self._file(address) is not None

    def picture(self, address: str, caption: str) -> Pictured:
        """Return such a picture as a mail shows it; raises `UnshownError`."""
        if is_data(address):
            return data_drawn(address, caption)
        if scheme_of(address) == "attachment":
            return self._attached(unquote(address.partition(":")[2]), caption)
        file = self._file(address)
        try:
            content = file.read_bytes() if file is not None and file.stat().st_size <= _MOST_OCTETS else b""
        except OSError:
            content = b""
        if file is not None and file.suffix.lower() == ".svg":
            return svg_drawn(content.decode("utf-8", "replace"), caption)
        return drawn(content, caption)

    def _attached(self, name: str, caption: str) -> Pictured:
        forms = self.attachments.get(name)
        for kind, content in forms.items() if isinstance(forms, dict) else ():
            if str(kind).startswith("image/svg"):
                return svg_drawn(joined(content), caption)
            if str(kind).startswith("image/"):
                return drawn(joined(content), caption)
        raise UnshownError(_("The picture {name} stood here; it is not in the notebook.").format(name=name[:80]))

    def _file(self, address: str) -> Path | None:
        """Return a picture in the folder of the notebook, or below; never one from anywhere else."""
        if scheme_of(address) or address.startswith(("/", "\\\\", "~")):
            return None
        try:
            file = (self.folder / unquote(address.partition("?")[0])).resolve()
            inside = file.is_relative_to(self.folder.resolve()) and file.suffix.lower() in _ENDINGS and file.is_file()
        except (OSError, ValueError):
            return None
        return file if inside else None


_NOTHING = Beside({}, Path("/nonexistent"))
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CODE = r"(?P<ticks>`+)(?!`)(?s:.+?)(?<!`)(?P=ticks)(?!`)"
_IMAGE = (
    r"!\[(?P<alt>(?:[^\[\]\\]|\\.|\[[^\[\]]*\])*)\]"
    r"\(\s*(?:<(?P<angled>[^<>\n]*)>|(?P<address>[^\s()<>]+(?:\([^\s()]*\)[^\s()]*)*))"
    r"(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
)
_MATH = (
    r"(?m:^[ ]{0,3}\$\$(?P<math>(?s:.+?))\$\$[ \t]*$)"
    r"|(?m:^[ ]{0,3}(?P<environment>\\begin\{(?P<kind>equation|align|gather|eqnarray)\*?\}(?s:.+?)"
    r"\\end\{(?P=kind)\*?\}))"
)
_TAG = r"<(?P<closing>/?)(?P<element>[A-Za-z][A-Za-z0-9]*)(?P<attributes>(?:\s[^<>]*)?)/?>"
_ANCHOR = r"\[(?P<said>[^\[\]]*)\]\(\s*<?(?P<to>(?:[^\s()<>]|\([^()]*\))*)>?[^()]*\)"
_PART = re.compile(rf"(?P<code>{_CODE})|{_MATH}|(?P<image>{_IMAGE})|(?P<anchor>{_ANCHOR})|(?P<tag>{_TAG})")
_LINKED = {"", "http", "https", "mailto", "tel"}
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HTML_BLOCK = re.compile(
    r"\s{0,3}</?(?:table|div|p|center|ul|ol|li|dl|figure|details|summary|section|article|header|footer|nav|main|aside"
    r"|form|fieldset|h[1-6]|pre|script|style|iframe|video|audio|svg|object|embed|hr)\b",
    re.IGNORECASE,
)
_BEGINS = re.compile(
    r"\s*(?:[>|#]|[-+*](?:\s|$)|\d{1,9}[.)](?:\s|$)|=+\s*$|-+\s*$|(?:[*_-]\s*){3,}$|\[[^\]]+\]:|:?-+:?\s*\|)"
)
"""What begins with a line of its own, or makes the line above a heading."""
_ENDS = re.compile(
    r"\s*$|\s*(?:#|=+\s*$|-+\s*$|(?:[*_-]\s*){3,}$|\[[^\]]+\]:)|(?:    |\t)|.*(?:\||  |\\|<br ?/?>)$", re.IGNORECASE
)
"""A line that nothing continues: a heading, a rule, code, a row of a table, and one with a line break at its end."""
_LINK = "\x00"  # stands before the address of a link that is open
_MARKS = {"b": "**", "strong": "**", "i": "*", "em": "*", "del": "~~", "s": "~~", "code": "`", "kbd": "`"}
_KNOWN = {
    *("a", "abbr", "big", "cite", "font", "img", "ins", "mark", "small", "span", "sub", "sup", "tt", "u", "var", "wbr"),
    *("center", "div", "p", "script", "style", "iframe", "button", "input", "form", "svg", "path", "video", "audio"),
    *("html", "body", "head", "meta", "link", "table", "tr", "td", "th", "object", "embed", "label", "select"),
}


def markdown_pieces(text: str, beside: Beside | None) -> Iterator[Shown]:
    """Yield what Markdown shows; without `beside` it comes from outside, and refers to no file or other server."""
    waiting: list[str] = []

    def said() -> Iterator[Shown]:
        words = "\n\n".join(part for part in waiting if part.strip())
        waiting.clear()
        if words.strip():
            yield Said(words)

    for chunk in _chunks(visible(text.replace("\r\n", "\n").replace("\r", "\n"))):
        if _FENCE.match(chunk):
            waiting.append(chunk)
        elif _HTML_BLOCK.match(chunk):
            inside = beside or _NOTHING
            yield from said()
            yield from html_pieces(chunk, inside.takes, inside.picture)
        else:
            for piece in _inline(chunk, beside):
                if isinstance(piece, str):
                    waiting.append(_unwrapped(piece.strip("\n")))
                else:
                    yield from said()
                    yield piece
    yield from said()


def _unwrapped(text: str) -> str:
    """Return Markdown with each paragraph in one line."""
    lines = text.split("\n")
    found = lines[:1]
    for above, line in pairwise(lines):
        if not line.strip() or "|" in line or _BEGINS.match(line) or _ENDS.match(above) or "|" in above:
            found.append(line)
        else:
            found[-1] = f"{found[-1].rstrip()} {line.strip()}"
    return "\n".join(found)


def _chunks(text: str) -> Iterator[str]:
    """Yield code in fences, and the text between it; HTML, which ends at an empty line, apart from other text."""
    fence, lines = "", list[str]()

    def parts(lines: list[str]) -> Iterator[str]:
        held: list[str] = []
        # An empty line within a formula or a comment ends neither.
        for block in re.split(r"\n[ \t]*\n", _COMMENT.sub("", "\n".join(lines))):
            if _HTML_BLOCK.match(block):
                if held:
                    yield "\n\n".join(held)
                    held = []
                yield block
            else:
                held.append(block)
        if held:
            yield "\n\n".join(held)

    for line in text.split("\n"):
        found = _FENCE.match(line)
        if not fence and found:
            yield from parts(lines)
            fence, lines = found[1], [line]
        elif fence and found and found[1].startswith(fence) and not line.strip().strip(fence[0]):
            yield "\n".join([*lines, line])
            fence, lines = "", []
        else:
            lines.append(line)
    if fence:
        yield "\n".join([*lines, fence])
    else:
        yield from parts(lines)


def _inline(text: str, beside: Beside | None) -> Iterator[str | Shown]:
    """Yield text whose elements of HTML are Markdown, and the pictures and formulas that stand in it."""
    said: list[str] = []
    end = 0
    gone = ""
    for found in _PART.finditer(text):
        between = text[end : found.start()]
        end = found.end()
        if gone:
            gone = "" if found["closing"] and found["element"].lower() == gone else gone
            continue
        said.append(_quiet(between, beside))
        if found["code"] or found["anchor"]:
            is_kept = found["code"] or scheme_of(found["to"]) in _LINKED
            said.append(found[0] if is_kept else found["said"])
        elif latex := found["math"] or found["environment"]:
            yield "".join(said)
            said.clear()
            yield from formula(latex)
        elif found["image"]:
            yield from _image(found, said, beside)
        else:
            element = found["element"].lower()
            if element in {"script", "style"} and not found["closing"]:
                gone = element
            else:
                yield from _element(found, element, said, beside)
    if not gone:
        said.append(_quiet(text[end:], beside))
    yield "".join("" if part.startswith(_LINK) else part for part in said)  # of a link without an end


def _image(found: re.Match[str], said: list[str], beside: Beside | None) -> Iterator[str | Shown]:
    """Yield a picture that the notebook holds; of others the words stay, and in a cell those of the web."""
    address, caption = (found["angled"] or found["address"] or "").strip(), found["alt"]
    if beside is None and not is_data(address):
        said.append(caption)
    elif (beside or _NOTHING).takes(address):
        yield "".join(said)
        said.clear()
        yield _picture(address, " ".join(caption.split()), beside or _NOTHING)
    else:
        said.append(found[0] if scheme_of(address) in {"http", "https"} else caption)


def _quiet(text: str, beside: Beside | None) -> str:
    """Return text from outside without pictures by reference, which would be loaded from another server."""
    return text.replace("![", "\\!\\[") if beside is None else text


def _picture(address: str, caption: str, beside: Beside) -> Shown:
    try:
        return beside.picture(address, caption)
    except UnshownError as exc:
        return note(str(exc))


def _element(found: re.Match[str], element: str, said: list[str], beside: Beside | None) -> Iterator[str | Shown]:
    if element == "img":
        address, words = _attribute(found["attributes"], "src"), _attribute(found["attributes"], "alt")
        if (beside or _NOTHING).takes(address):
            yield "".join(said)
            said.clear()
            yield _picture(address, words, beside or _NOTHING)
        else:
            said.append(escape(words))
    elif element == "br":
        said.append("<br>")
    elif element == "a":
        said.append(_link(found, said))
    elif element in _MARKS:
        said.append(_MARKS[element])
    elif element not in _KNOWN:
        said.append(found[0])


def _link(found: re.Match[str], said: list[str]) -> str:
    """Return what begins or ends a link; of one that leads nowhere a mail may lead, the words stay alone."""
    if found["closing"]:
        begun = next((place for place in reversed(range(len(said))) if said[place].startswith(_LINK)), None)
        if begun is None:
            return ""
        address, said[begun] = said[begun].removeprefix(_LINK), "["
        return f"](<{address}>)"
    address = _attribute(found["attributes"], "href")
    leads = scheme_of(address) in _LINKED - {""} and not re.search(r"[\s<>]", address)
    return f"{_LINK}{address}" if leads else ""


def _attribute(attributes: str, name: str) -> str:
    found = re.search(rf"""(?i)\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", attributes)
    return unescape(next(filter(None, found.groups()), "")).strip() if found else ""


# --- formulas ---------------------------------------------------------------------------------------------------------

_AROUND = re.compile(
    r"\\(?:displaystyle|limits|nonumber)\b|\\(?:begin|end)\{(?:equation|align|gather|eqnarray|math|displaymath)\*?\}|&"
)


def formula(latex: str, words: str = "") -> Iterator[Shown]:
    """Yield a formula, drawn by matplotlib where that is installed and knows it; otherwise as it was written."""
    source = " ".join(_AROUND.sub("", latex.strip().strip("$")).split()).removeprefix(r"\[").removesuffix(r"\]").strip()
    try:
        yield _drawn(source)
    except Exception:  # noqa: BLE001 - whatever matplotlib does not know of LaTeX, or that it is missing
        yield Printed(plain(words or latex).strip())


def _drawn(source: str) -> Pictured:
    import importlib.util
    import io

    if importlib.util.find_spec("matplotlib") is None or not source or len(source) > _LONGEST_FORMULA:
        raise ValueError
    from matplotlib import mathtext
    from matplotlib.font_manager import FontProperties

    file = io.BytesIO()
    mathtext.math_to_image(f"${source}$", file, prop=FontProperties(size=12), dpi=144, format="png")
    found = drawn(file.getvalue(), source)
    return Pictured(found.content, found.kind, max(found.width // 2, 1), source)
