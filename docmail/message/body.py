"""Makes the text of a mail: Markdown, with figures and small tables among it, as plain text and as HTML.

What a person gives is settled here: one Markdown text, and the pictures to which it refers as `cid:figure-1`.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from functools import lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from docmail.addresses import first_control
from docmail.errors import DocumentError, MessageError
from docmail.language import _
from docmail.text import columns_of, elements_in, escape, is_frame, table, to_html, to_text, unindented

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Picture", "body_of", "content_of"]

_MAX_BODY = 250_000  # more is a document; and Markdown made to be slow takes two seconds, not ten
_MAX_PICTURES = 4_000_000  # octets; what people look at in a mail has a tenth of it
_REMEMBERED = 8  # texts: most mails of a batch say the same
_LINE = 76  # characters; RFC 2045 6.7 and 6.8
_MAX_ROWS, _MAX_COLUMNS = 100, 15  # what can be read in a mail

# A reader's screen has about twice the dots of the 96 per inch that mail programs reckon with.
_DOTS, _DENSITY = 96, 2


@dataclass(frozen=True)
class Picture:
    """A figure that stands in the text, as PNG."""

    name: str
    content: bytes = field(repr=False)
    width: int
    """Pixels on a screen; it has twice as many dots."""


def body_of(value: Any) -> tuple[str, tuple[Picture, ...]]:
    """Return the Markdown text of a body, and the pictures in it.

    A body is Markdown, or a list of Markdown, figures of matplotlib's and DataFrames. Raises `MessageError`.
    """
    texts: list[str] = []
    pictures: list[Picture] = []
    several = isinstance(value, (list, tuple))
    for piece in value if several else [value]:
        if is_frame(piece):
            texts.append(_table(piece))
        elif _is_figure(piece):
            pictures.append(_picture(piece, len(pictures) + 1))
            texts.append(f"![{escape(_caption(piece, len(pictures)))}](cid:{pictures[-1].name})")
        else:
            text = _text(piece)
            _refuse_html(text)
            texts.append(unindented(text) if several else text)
    if sum(len(picture.content) for picture in pictures) > _MAX_PICTURES:
        raise MessageError(
            _("The pictures in the body are larger than {limit} MB together.").format(limit=_MAX_PICTURES // 1_000_000),
            field="body",
            hint=_("Attach the figures as documents, or make them smaller."),
        )
    return _text("\n\n".join(texts)), tuple(pictures)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MessageError(
            _("The {field} must be text, not {type}.").format(field="body", type=type(value).__name__),
            field="body",
            hint=_('Write it in quotes, such as body="Attached."'),
        )
    # Line and paragraph separators are line ends to a reader; to a mail parser they are odd characters.
    text: str = re.sub(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", value)
    if len(text) > _MAX_BODY:
        raise MessageError(
            _("The {field} is longer than {limit} characters.").format(field="body", limit=_MAX_BODY),
            field="body",
            hint=_("Attach it as a document."),
        )
    if control := first_control(text, allowed="\n\t\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"):
        raise MessageError(
            _("The {field} contains the invisible character {code}.").format(field="body", code=control),
            field="body",
            hint=_("Remove it from the text."),
        )
    return text


def _refuse_html(text: str) -> None:
    elements = elements_in(text)
    if not elements:
        return
    raise MessageError(
        _("The {field} is HTML, of which readers would see every tag: <{element}>.").format(
            field="body", element="table" if "table" in elements else min(elements)
        ),
        field="body",
        hint=_('Give the table itself: body=["Hello,", df].')
        if "table" in elements
        else _("Write it as Markdown, such as **bold** and [text](https://example.com); docmail makes HTML of it."),
    )


def _table(frame: Any) -> str:
    try:
        columns = columns_of(frame)
    except DocumentError as exc:
        raise MessageError(exc.message, hint=exc.hint, field="body") from exc
    rows = len(columns[0].cells)
    if rows > _MAX_ROWS or len(columns) > _MAX_COLUMNS:
        raise MessageError(
            _("A table of {rows} rows and {columns} columns is too large for the text of a mail.").format(
                rows=f"{rows:,}", columns=len(columns)
            ),
            field="body",
            hint=_("Attach it as a document, or put df.head(20) in the body."),
        )
    heads = [" ".join(filter(None, column.heads)) for column in columns]
    return table(heads, list(zip(*(column.cells for column in columns), strict=True)), [each.right for each in columns])


def _is_figure(piece: Any) -> bool:
    from docmail.reports import is_figure

    return is_figure(piece)


def _picture(figure: Any, number: int) -> Picture:
    from docmail.reports import figure_pdf

    try:
        content = figure_pdf(figure, "png", dpi=_DOTS * _DENSITY)
    except DocumentError as exc:
        raise MessageError(exc.message, hint=exc.hint, field="body") from exc
    # The width of a PNG stands in its head; the figure's own says nothing of what stands beside the axes.
    return Picture(f"figure-{number}", content, round(int.from_bytes(content[16:20]) / _DENSITY))


def _caption(figure: Any, number: int) -> str:
    """Return what stands for a picture where none is shown: its titles, if it has any."""
    titles = [figure.get_suptitle(), *(axes.get_title() for axes in figure.axes)]
    said = "; ".join(" ".join(title.split()) for title in titles if title.strip())[:200]
    return "".join(each for each in said if not first_control(each)) or _("Figure {number}").format(number=number)


def content_of(body: str, pictures: Sequence[Picture], domain: str) -> bytes:
    """Return the text as plain text and, if there is any, as HTML with its pictures: a part of a mail, or all of it.

    By hand, because the library takes a hundred times as long for the same, and most of the time for a mail.
    """
    plain = _plain_part(body)
    if not body.strip():
        return plain
    rich = _with_pictures(to_html(body), pictures, domain) if pictures else _html_part(body)
    boundary = f"=_{token_hex(16)}"
    between = f"\r\n--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'.encode()
    return b"".join([head, between, plain, between, rich, f"\r\n--{boundary}--\r\n".encode()])


@lru_cache(maxsize=_REMEMBERED)
def _plain_part(body: str) -> bytes:
    return _text_part(to_text(body), "plain")


@lru_cache(maxsize=_REMEMBERED)
def _html_part(body: str) -> bytes:
    return _text_part(to_html(body), "html")


def _text_part(text: str, kind: str) -> bytes:
    """Return a text in the shortest form that needs no 8BITMIME from any server on the way."""
    lines = text.removesuffix("\n").split("\n")
    data = "".join(f"{line}\r\n" for line in lines).encode()
    encoding = "7bit"
    if not data.isascii() or max(map(len, lines)) > _LINE:
        encoding, encoded = "quoted-printable", binascii.b2a_qp(data)
        if len(encoded) > len(data) * 4 / 3:  # most letters are beyond ASCII
            encoding = "base64"
            whole = binascii.b2a_base64(data, newline=False)
            encoded = b"".join(whole[start : start + _LINE] + b"\r\n" for start in range(0, len(whole), _LINE))
        data = encoded
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + data


def _with_pictures(html: str, pictures: Sequence[Picture], domain: str) -> bytes:
    token = token_hex(8)
    for picture in pictures:
        # Escaped text holds no such quotes: this can only be the picture itself.
        html = html.replace(
            f'src="cid:{picture.name}"', f'src="cid:{picture.name}.{token}@{domain}" width="{picture.width}"'
        )
    rich = EmailMessage(policy=policy.SMTP.clone(cte_type="7bit"))
    rich.set_content(html, subtype="html")
    for picture in pictures:
        rich.add_related(
            picture.content,
            "image",
            "png",
            cid=f"<{picture.name}.{token}@{domain}>",
            disposition="inline",
            filename=f"{picture.name}.png",
        )
    rich.set_param("type", "text/html")  # RFC 2387 3.1: what the pictures belong to
    rich.set_boundary(f"=_{token_hex(16)}")
    del rich["MIME-Version"]
    return bytes(rich)
