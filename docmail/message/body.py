"""Makes the text of a mail: Markdown, with figures and small tables among it, as plain text and as HTML."""

from __future__ import annotations

import binascii
from functools import lru_cache
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

from pybase64 import encodebytes

from docmail.addresses import first_control
from docmail.errors import DocumentError, MessageError
from docmail.foreign import is_notebook
from docmail.language import _
from docmail.look import Look
from docmail.message.fields import checked_text
from docmail.message.html_text import markdown_to_html
from docmail.message.pieces import Body, Drawn, Picture, Piece, Ready
from docmail.message.plain_text import below_text, markdown_to_text
from docmail.settings import current_look
from docmail.text import (
    chart_given,
    chart_kind,
    columns_of,
    elements_in,
    escape,
    figure_given,
    is_frame,
    picture_given,
    signs_of,
    source_of,
    styled_given,
    styled_kind,
    table,
    table_given,
    unindented,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.foreign import ForeignTable, Pictured

__all__ = ["Body", "body_of", "content_of"]

_MAX_BODY = 250_000  # characters; more is a document; and Markdown made to be slow takes two seconds, not ten
_MAX_PICTURES = 4_000_000  # octets; what people look at in a mail has a tenth of it
_REMEMBERED = 8  # texts: most mails of a batch say the same
_LINE = 76  # characters; RFC 2045 6.7 and 6.8
_MAX_ROWS, _MAX_COLUMNS = 100, 15  # what can be read in a mail

# A reader's screen has about twice the dots of the 96 per inch that mail programs reckon with.
_DOTS, _DENSITY = 96, 2
_COLUMN = 600  # pixels of the text; a figure that is at least so much of it fills it
_FILLS = 0.6


def body_of(value: Any, locale: str | None = None, look: Look | None = None) -> Body:
    """Return the body that a person gives: Markdown, or a list of Markdown, figures, tables, pictures and notebooks.

    `locale` is for the numbers in the DataFrames; unsaid, it is the look's. Raises `MessageError`.
    """
    signs_of(locale)  # raises at once, not at the first table
    if isinstance(value, Body):
        return value
    if isinstance(value, str):
        return Body([_text(value)])
    pieces: list[Piece] = []
    try:
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if is_frame(each):
                pieces.append(_table(each, locale or (look or current_look()).locale))
            elif styled_kind(each):
                pieces.append(_drawn(each, len(pieces) + 1))
            elif is_notebook(each):
                pieces += _notebook(each, sum(len(piece.pictures) for piece in pieces))
            elif chart_kind(each) or _is_figure(each):
                number = sum(isinstance(piece, Picture) for piece in pieces) + 1
                pieces.append((_chart if chart_kind(each) else _picture)(each, number))
            else:
                pieces.append(_text(each, indented=True))
    except DocumentError as exc:
        raise MessageError(exc.message, hint=exc.hint, field="body") from exc
    body = Body(pieces)
    checked_text(body, "body", _MAX_BODY, lines=True)
    if sum(len(picture.content) for picture in body.pictures) > _MAX_PICTURES:
        raise MessageError(
            _("The pictures in the body are larger than {limit} MB together.").format(limit=_MAX_PICTURES // 1_000_000),
            field="body",
            hint=_("Attach the figures as documents, or make them smaller."),
        )
    return body


def _text(value: Any, *, indented: bool = False) -> Piece:
    if not isinstance(value, str):
        raise _no_body(value)
    text = checked_text(value, "body", _MAX_BODY, lines=True)
    if elements := elements_in(text):
        raise MessageError(
            _("The {field} is HTML, and readers would see its tags as text: <{element}>.").format(
                field="body", element="table" if "table" in elements else min(elements)
            ),
            field="body",
            hint=_('Give the table itself: body=["Hello,", df].')
            if "table" in elements
            else _("Write it as Markdown, such as **bold** and [text](https://example.com); docmail makes HTML of it."),
        )
    return Piece(unindented(text) if indented else text, source_of(value), getattr(value, "exact", True))


def _no_body(value: object) -> MessageError:
    kind = type(value).__name__
    hints = {
        "int": _('Write it in quotes, such as {field}="Q3".').format(field="body"),
        "Axes": _("Give its figure: axes.figure."),
    }
    return MessageError(
        _("The {field} must be text, not {type}.").format(field="body", type=kind),
        field="body",
        hint=hints.get(kind, _('Give text, a table, a figure or a picture, or a list of them: body=["Hello,", df].')),
    )


def _table(frame: Any, locale: str | None) -> Piece:
    columns = columns_of(frame, locale=locale)
    _check_size(len(columns[0].cells), len(columns))
    heads = [" ".join(filter(None, column.heads)) for column in columns]
    cells = list(zip(*(column.cells for column in columns), strict=True))
    return Piece(table(heads, cells, [column.right for column in columns]), table_given(frame), exact=False)


def _check_size(rows: int, columns: int) -> None:
    if rows > _MAX_ROWS or columns > _MAX_COLUMNS:
        raise MessageError(
            _("A table of {rows} rows and {columns} columns is too large for the text of a mail.").format(
                rows=f"{rows:,}", columns=columns
            ),
            field="body",
            hint=_("Attach it as a document, or put df.head(20) in the body."),
        )


def _drawn(source: Any, number: int) -> Drawn:
    from docmail.foreign import foreign_table

    found = foreign_table(source, f"table-{number}")
    _check_size(found.rows, found.columns)
    return _table_shown(found, source)


def _table_shown(found: ForeignTable, source: Any) -> Drawn:
    pictures = tuple(
        Picture("", "", exact=False, name=picture.name, content=picture.content, width=_COLUMN, kind=picture.kind)
        for picture in found.pictures
    )
    return Drawn(found.markdown, styled_given(source, found.words), exact=False, ready=Ready(found.html), own=pictures)


def _chart(chart: Any, number: int) -> Picture:
    from docmail.reports import chart_caption, chart_png

    content, kind, width = chart_png(chart, _COLUMN)
    name, said = f"figure-{number}", chart_caption(chart) or _("Figure {number}").format(number=number)
    return Picture(
        f"![{escape(said)}](cid:{name})",
        chart_given(chart),
        exact=False,
        name=name,
        content=content,
        width=width,
        kind=kind,
    )


def _notebook(source: Any, pictures: int) -> Iterator[Piece]:
    """Yield what an executed notebook shows; `pictures` are those that stand above it."""
    from docmail.foreign import Pictured, Tabled, read_notebook

    for shown in read_notebook(source):
        if isinstance(shown, Pictured):
            pictures += 1
            yield _figure_shown(shown, pictures)
        elif isinstance(shown, Tabled) and shown.drawn is not None:
            yield _table_shown(shown.drawn, None)
        else:
            given = styled_given(None, shown.words) if isinstance(shown, Tabled) else shown.markdown
            yield Piece(shown.markdown, given, exact=False)


def _figure_shown(shown: Pictured, number: int) -> Picture:
    name, said = f"figure-{number}", shown.caption or _("Figure {number}").format(number=number)
    return Picture(
        f"![{escape(said)}](cid:{name})",
        picture_given(shown.content),
        exact=False,
        name=name,
        content=shown.content,
        width=shown.width,
        kind=shown.kind,
    )


def _is_figure(piece: Any) -> bool:
    from docmail.reports import is_figure

    return is_figure(piece)


def _picture(figure: Any, number: int) -> Picture:
    from docmail.reports import figure_pdf

    inches = figure.get_figwidth()
    fills = inches * _DOTS >= _FILLS * _COLUMN
    dots = _DENSITY * (_COLUMN / inches if fills else _DOTS)
    name, content = f"figure-{number}", figure_pdf(figure, "png", dpi=dots)
    # The width of a PNG stands in its head; the figure's own says nothing of what stands beside the axes.
    width = int.from_bytes(content[16:20]) // _DENSITY
    return Picture(
        f"![{escape(_caption(figure, number))}](cid:{name})",
        figure_given(figure),
        exact=False,
        name=name,
        content=content,
        width=_COLUMN if fills else min(width, _COLUMN),
    )


def _caption(figure: Any, number: int) -> str:
    """Return what stands for a picture where none is shown: its titles, if it has any."""
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    said = "; ".join(" ".join(title.split()) for title in titles if title.strip())[:200]
    return "".join(each for each in said if not first_control(each)) or _("Figure {number}").format(number=number)


class Content(NamedTuple):
    """The text of a mail as it goes out: a part of it, or all of it."""

    octets: bytes
    html_size: int
    """How many octets its HTML has, before it is encoded; 0 without any."""


def content_of(body: Body, domain: str, look: Look = Look.PLAIN, lang: str | None = None) -> Content:
    """Return the text as plain text and, if there is any, as HTML with its pictures, in this look.

    By hand, because the library takes a hundred times as long for the same, and most of the time for a mail.
    """
    markdown = str(body)  # what is remembered shall not hold its pictures
    plain = _plain_part(markdown, look)
    if not markdown.strip() and not look.signature:
        return Content(plain, 0)
    rich, size = (
        _with_pictures(body, domain, look, lang) if body.pictures else _html_part(body.runs, domain, look, lang)
    )
    boundary = f"=_{token_hex(16)}"
    between = f"\r\n--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'.encode()
    return Content(b"".join([head, between, plain, between, rich, f"\r\n--{boundary}--\r\n".encode()]), size)


@lru_cache(maxsize=_REMEMBERED)
def _plain_part(markdown: str, look: Look) -> bytes:
    said = markdown_to_text(markdown)
    if signature := below_text(said, look):
        said = f"{said.rstrip()}\n\n{signature}".lstrip("\n")
    return _text_part(said, "plain")


@lru_cache(maxsize=_REMEMBERED)
def _html_part(runs: tuple[str | Ready, ...], domain: str, look: Look, lang: str | None) -> tuple[bytes, int]:
    logo = _logo_name(look, domain)
    html = str(markdown_to_html(runs, look, lang=lang, logo=f"cid:{logo}"))
    part = _text_part(html, "html")
    return (_related(part, [_logo_part(look, logo)]) if logo else part), len(html.encode())


def _text_part(text: str, kind: str) -> bytes:
    """Return a text in the shortest form that needs no 8BITMIME from any server on the way."""
    lines = text.removesuffix("\n").split("\n")
    data = "".join(f"{line}\r\n" for line in lines).encode()
    encoding = "7bit"
    if not data.isascii() or max(map(len, lines)) > _LINE:
        encoding, encoded = "quoted-printable", binascii.b2a_qp(data)
        if len(encoded) > len(data) * 4 / 3:  # most letters are beyond ASCII
            encoding, encoded = "base64", _base64(data)
        data = encoded
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + data


def _base64(data: bytes) -> bytes:
    return encodebytes(data).replace(b"\n", b"\r\n")


def _with_pictures(body: Body, domain: str, look: Look, lang: str | None) -> tuple[bytes, int]:
    token, logo = token_hex(8), _logo_name(look, domain)
    named = {picture.name: f"{picture.name}.{token}@{domain}" for picture in body.pictures}
    figures = {picture.name: (f"cid:{named[picture.name]}", picture.width) for picture in body.pictures}
    html = str(markdown_to_html(body, look, lang=lang, logo=f"cid:{logo}", figures=figures))
    parts = [_picture_part(each.content, named[each.name], each.name, each.kind) for each in body.pictures]
    return _related(_text_part(html, "html"), [*([_logo_part(look, logo)] if logo else []), *parts]), len(html.encode())


def _logo_name(look: Look, domain: str) -> str:
    """Return the name of the logo in a mail (RFC 2392): one for one picture, so that all mails have the same part."""
    return f"logo.{sha256(look.picture.content).hexdigest()[:16]}@{domain}" if look.picture else ""


@lru_cache(maxsize=_REMEMBERED)
def _logo_part(look: Look, name: str) -> bytes:
    return _picture_part(look.picture.content if look.picture else b"", name, "logo")


def _picture_part(content: bytes, name: str, file: str, kind: str = "png") -> bytes:
    head = (
        f"Content-Type: image/{kind.replace('jpg', 'jpeg')}\r\n"
        f"Content-Transfer-Encoding: base64\r\nContent-ID: <{name}>\r\n"
        f'Content-Disposition: inline; filename="{file}.{kind}"\r\n\r\n'
    )
    return head.encode() + _base64(content)


def _related(html: bytes, pictures: Iterable[bytes]) -> bytes:
    """Return HTML with the pictures that belong to it (RFC 2387; its 3.1 asks for the type)."""
    boundary = f"=_{token_hex(16)}"
    head = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{boundary}"\r\n'.encode()
    between = f"\r\n--{boundary}\r\n".encode()
    return between.join([head, html, *pictures]) + f"\r\n--{boundary}--\r\n".encode()
