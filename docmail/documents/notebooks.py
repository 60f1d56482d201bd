"""Makes a PDF or a web page of an executed notebook: `Document.of(Path("report.ipynb"), name="Report.pdf")`.

Both are of what `docmail.foreign` has read of it. The PDF is a report of docmail's own, with the letterhead of the
look. The page is one file for a browser: no script, nothing that is loaded from elsewhere.
"""

from __future__ import annotations

import io
import re
from base64 import b64encode
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from docmail.addresses import scheme_of
from docmail.errors import DocumentError
from docmail.foreign import Notebook, Pictured, Said, Tabled, read_notebook
from docmail.language import _, current
from docmail.settings import current_look
from docmail.text import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from docmail.foreign import Shown
    from docmail.look import Look

__all__ = ["notebook_file"]

_MOST_OCTETS = 100_000_000
_DOTS = 96  # per inch, with which browsers reckon
_TITLE = re.compile(r"\s*#[ \t]+([^\n]+?)[ \t#]*(?:\n+|$)")


def notebook_file(source: Notebook | Path, ending: str, look: Look | None = None) -> bytes:
    """Return the PDF or the page of an executed notebook; raises `DocumentError`, naming the cell."""
    look = current_look() if look is None else look
    pieces = read_notebook(source)
    stem = (source.path if isinstance(source, Notebook) else source).stem
    content = _pdf(pieces, stem, look) if ending == ".pdf" else _page(pieces, stem, look).encode()
    if len(content) > _MOST_OCTETS:
        raise DocumentError(
            _("What the notebook {name} shows has {size} MB, which no mail can hold.").format(
                name=stem, size=len(content) // 1_000_000
            ),
            hint=_("Clear the outputs that are so large."),
        )
    return content


def _titled(pieces: Sequence[Shown], stem: str) -> tuple[str, list[Shown]]:
    """Return the title, which is the heading at the beginning or the name of the file, and the other pieces."""
    first, *others = pieces
    if isinstance(first, Said) and (found := _TITLE.match(first.markdown)):
        rest = first.markdown[found.end() :]
        plain = "".join(_words(tokens_of(found[1])))
        return plain or stem, [*([Said(rest)] if rest.strip() else []), *others]
    return stem, [*pieces]


def _words(tokens: list[dict[str, Any]]) -> list[str]:
    return [
        word
        for token in tokens
        for word in (_words(token["children"]) if "children" in token else [token.get("raw", "")])
    ]


# --- PDF --------------------------------------------------------------------------------------------------------------


def _pdf(pieces: Sequence[Shown], stem: str, look: Look) -> bytes:
    from PIL import Image

    from docmail.reports import Report

    title, pieces = _titled(pieces, stem)
    report = Report(title, look=look)
    for piece in pieces:
        if isinstance(piece, Pictured):
            with Image.open(io.BytesIO(piece.content)) as picture:
                picture.info["dpi"] = (_DOTS * picture.width / piece.width,) * 2
                report.figure(picture)
        else:
            report.text(piece.markdown)
    return report.pdf()


# --- HTML -------------------------------------------------------------------------------------------------------------

_STYLE = """
body { margin: 0; background: #fff; color: #1f2933; font: 16px/1.5 "Segoe UI", Helvetica, Arial, sans-serif }
main, header, footer { max-width: 860px; margin: 0 auto; padding: 0 20px }
main { padding-bottom: 40px }
header { padding-top: 24px } header img { vertical-align: middle; margin-right: 12px }
footer { padding-bottom: 24px; color: #52606d; font-size: 13px }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; margin: 1.4em 0 .5em } h1 { font-size: 1.8em } a { color: #0b5cad }
table { border-collapse: collapse; font-size: .92em; line-height: 1.4; margin: .4em 0 1.2em }
th, td { padding: 6px 10px; border-bottom: 1px solid #dde2e7; text-align: left; vertical-align: top }
thead th { border-bottom: 1px solid #6b7684; vertical-align: bottom }
.wide { overflow-x: auto } img { max-width: 100%; height: auto }
pre, code { font: 14px/1.45 Consolas, Menlo, monospace; background: #f1f3f5 }
pre { padding: 10px 14px; overflow-x: auto }
blockquote { margin: 0; padding-left: 14px; border-left: 3px solid #a9b3bd }
"""
_LINKED = {"", "http", "https", "mailto", "tel"}


def _page(pieces: Sequence[Shown], stem: str, look: Look) -> Markup:
    title, _others = _titled(pieces, stem)
    parts = Markup("\n").join(map(_shown, pieces))
    ink = Markup("<style>h1, h2, h3, h4, h5, h6, a {{ color: {} }}</style>").format(look.ink) if look.ink else Markup()
    return Markup(
        '<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # A browser is to load and to run nothing, whatever stands here.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src'
        " 'unsafe-inline'\">\n"
        "<title>{title}</title>\n<style>{style}</style>{ink}</head>\n<body>\n{head}<main>\n{parts}\n</main>\n{foot}"
        "</body></html>\n"
    ).format(
        lang=(look.locale or current()).partition(".")[0].replace("_", "-"),
        title=title,
        style=Markup(_STYLE),  # noqa: S704 - ours
        ink=ink,
        head=_letterhead(look),
        parts=parts,
        foot=Markup("<footer>{}</footer>\n").format(_html(look.footer)) if look.footer else "",
    )


def _letterhead(look: Look) -> Markup:
    logo = Markup()
    if look.picture:
        logo = Markup('<img alt="" src="{}" width="{}" height="{}">').format(
            _data(look.picture.content, "png"), look.picture.width, look.picture.height
        )
    name = look.name if not (look.picture and look.picture.is_a_name) else ""
    return Markup("<header>{}<strong>{}</strong></header>\n").format(logo, name) if logo or name else Markup()


def _shown(piece: Shown) -> Markup:
    if isinstance(piece, Pictured):
        return Markup('<p><img alt="{}" src="{}" width="{}"></p>').format(
            piece.caption, _data(piece.content, piece.kind), piece.width
        )
    if isinstance(piece, Tabled) and piece.drawn is not None:
        html = piece.drawn.html
        for picture in piece.drawn.pictures:
            address = Markup('src="{}"').format(_data(picture.content, picture.kind))
            html = Markup(html.replace(Markup('src="cid:{}"').format(picture.name), address))  # noqa: S704 - cleaned
        return Markup('<div class="wide">{}</div>').format(html)
    shown = _html(piece.markdown)
    return Markup('<div class="wide">{}</div>').format(shown) if isinstance(piece, Tabled) else shown


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind.replace('jpg', 'jpeg')};base64,{b64encode(content).decode()}"


def _html(markdown: str) -> Markup:
    return Markup(_renderer()(tokens_of(markdown)))  # noqa: S704 - written by the renderer, which escapes


@cache
def _renderer() -> Callable[[Any], str]:
    import mistune

    class Plain(mistune.HTMLRenderer):
        """Writes no element and no address of the text but those of its Markdown."""

        def link(self, text: str, url: str, title: str | None = None) -> str:
            return super().link(text, url, title) if scheme_of(url) in _LINKED else text

        def image(self, text: str, url: str, title: str | None = None) -> str:
            del url, title  # one of another server, which would know who opens the page
            return text

    renderer = Plain(escape=True)
    mistune.create_markdown(renderer=renderer, plugins=["table", "strikethrough"])  # which teaches it both
    return lambda tokens: renderer.render_tokens(tokens, mistune.BlockState())
