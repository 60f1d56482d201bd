"""Turns charts of plotly's and altair's, and pictures of PIL's, into files.

plotly draws in a browser, which its package kaleido starts and which takes seconds; altair draws with vl-convert, which
needs none. A chart that has not changed is drawn once.
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections import OrderedDict
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

from docmail.addresses import first_control
from docmail.errors import DocumentError
from docmail.language import _
from docmail.text import chart_kind

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["chart_caption", "chart_file", "chart_png"]

_PLOTLY, _ALTAIR, _PIL = "plotly", "altair", "PIL"
_DENSITY = 2  # a reader's screen has about twice as many dots as pixels
_FILLS = 0.6  # of the column: a chart that is at least so wide fills it
_SHAPE = 0.62  # the height of a chart that says nothing of its size
_REMEMBERED = 16
_LARGE = 300_000  # octets of a PNG, beyond which it is a photo
_MOST_DOTS = 50_000_000
_QUALITY = 88
_DOTS_PER_INCH, _FEWEST_DOTS, _MOST_DOTS_PER_INCH = 150.0, 60, 1200

_drawn: OrderedDict[str, bytes] = OrderedDict()
_drawing = Lock()
"""Held while a chart is drawn: another thread that wants the same one waits for it, and browsers start one by one."""


def chart_file(chart: Any, form: str) -> bytes:
    """Return a chart as a file.

    `form` is "png" (with twice as many dots as pixels), "svg", "pdf" or "jpg"; a picture has no "svg". Raises
    `DocumentError` naming the package, or the browser, that is missing.

    >>> import PIL.Image
    >>> docmail.reports.chart_file(PIL.Image.new("RGB", (8, 8)), "png")[1:4]
    b'PNG'
    """
    kind = chart_kind(chart)
    form = "jpg" if form == "jpeg" else form
    if kind == _PIL:
        return _picture_file(chart, form)
    return _plotly(chart, form) if kind == _PLOTLY else _altair(chart, form, _DENSITY)


def chart_png(chart: Any, column: int) -> tuple[bytes, str, int]:
    """Return a chart for a column of so many pixels: its content, "png" or "jpg", and how wide it is shown.

    A chart that has no width of its own is as wide as the column.

    >>> import PIL.Image
    >>> docmail.reports.chart_png(PIL.Image.new("RGB", (1300, 80)), 600)[1:]
    ('png', 600)
    """
    kind = chart_kind(chart)
    if kind == _PIL:
        return _shown_picture(chart, column)
    if kind == _PLOTLY:
        own = chart.layout.width
        fills = own is None or own >= _FILLS * column
        content = _plotly(chart, "png", column if own is None else None, column if fills else None)
        return content, "png", column if fills else int(own)
    content = _altair(chart, "png", _DENSITY)
    width = int.from_bytes(content[16:20]) // _DENSITY  # as the head of a PNG says
    if width < _FILLS * column:
        return content, "png", width
    return _altair(chart, "png", _DENSITY * column / width), "png", column


def chart_caption(chart: Any) -> str:
    """Return the title of a chart, without the marks in it; an empty text if it has none.

    >>> import PIL.Image
    >>> docmail.reports.chart_caption(PIL.Image.new("RGB", (8, 8)))
    ''
    """
    kind = chart_kind(chart)
    if kind == _PIL:
        return ""
    title = chart.layout.title.text if kind == _PLOTLY else chart.to_dict().get("title")
    title = title.get("text") if isinstance(title, dict) else title
    said = " ".join(map(str, title)) if isinstance(title, (list, tuple)) else str(title or "")
    if kind == _PLOTLY:  # which shows some elements of HTML
        said = re.sub(r"<[a-zA-Z/][^<>]*>", " ", said)
    return "".join(each for each in " ".join(said.split())[:200] if not first_control(each))


# --- plotly -----------------------------------------------------------------------------------------------------------


def _plotly(figure: Any, form: str, width: int | None = None, shown: int | None = None) -> bytes:
    """Draw a figure; `width` is for one that has none of its own, `shown` the width for which it has enough dots."""
    own = figure.layout.width
    width = int(own or width or 700)
    height = int(figure.layout.height or max(_SHAPE * width, 320))
    options = {
        "format": form,
        "width": width,
        "height": height,
        "scale": _DENSITY * (shown or width) / width if form in {"png", "jpg"} else 1,
    }
    return _once(f"{figure.to_json()} {options}", lambda: _by_kaleido(figure, options))


def _by_kaleido(figure: Any, options: dict[str, Any]) -> bytes:
    if importlib.util.find_spec("kaleido") is None:
        raise _not_installed(_PLOTLY, "kaleido")
    import kaleido

    try:
        if not hasattr(kaleido, "calc_fig_sync"):  # before 1.0
            return bytes(figure.to_image(**options))
        # MathJax comes from another server, so only a figure that has formulas asks for it.
        quiet = {} if "$" in figure.to_json() else {"mathjax": False}
        return bytes(kaleido.calc_fig_sync(figure.to_dict(), opts=options, kopts=quiet))
    except Exception as exc:
        if "ChromeNotFound" in type(exc).__name__ or "requires Google Chrome" in str(exc):
            raise DocumentError(
                _("plotly draws its figures in a browser, and kaleido finds neither Chrome nor Chromium."),
                hint=_(
                    "Install one of them, or have kaleido do so: kaleido.get_chrome_sync(). Figures of matplotlib's "
                    "and altair's need no browser."
                ),
            ) from exc
        raise _cannot(_PLOTLY, exc) from exc


# --- altair -----------------------------------------------------------------------------------------------------------


def _altair(chart: Any, form: str, scale: float) -> bytes:
    try:
        told = chart.to_json(indent=None)
    except Exception as exc:
        raise _cannot(_ALTAIR, exc) from exc
    return _once(f"{told} {form} {scale}", lambda: _by_vl_convert(chart, form, scale))


def _by_vl_convert(chart: Any, form: str, scale: float) -> bytes:
    if importlib.util.find_spec("vl_convert") is None:
        raise _not_installed(_ALTAIR, "vl-convert-python")
    try:
        if form == "jpg":
            return _picture_file(_opened(_by_vl_convert(chart, "png", scale)), "jpg")
        file = io.StringIO() if form == "svg" else io.BytesIO()
        chart.save(file, format=form, **({"scale_factor": scale} if form == "png" else {}))
    except DocumentError:
        raise
    except Exception as exc:
        raise _cannot(_ALTAIR, exc) from exc
    content = file.getvalue()
    return content.encode() if isinstance(content, str) else content


# --- pictures ---------------------------------------------------------------------------------------------------------


def _upright(picture: Any) -> Any:
    """Return a picture as it is seen, and nothing else of it: neither where it was taken nor a preview."""
    from PIL import Image, ImageOps

    width, height = picture.size
    if not width or not height or width * height > _MOST_DOTS:
        raise DocumentError(
            _("The picture has {size} pixels.").format(
                size=_("{width} by {height}").format(width=width, height=height)
            ),
            hint=_("Make it smaller: image.thumbnail((1200, 1200)).")
            if width and height
            else _("Make it again, with content."),
        )
    try:
        turned = ImageOps.exif_transpose(picture)
        if turned.mode.startswith(("I;", "I", "F")):
            # Values beyond 255 are all white otherwise.
            extremes: Any = turned.convert("F").getextrema()
            low, high = extremes
            scale = 255 / ((high - low) or 1)
            turned = turned.convert("F").point(lambda value: value * scale - low * scale).convert("L")
        clear = turned.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in turned.info
        plain = turned.convert("RGBA" if clear else "RGB")
        seen = Image.new(plain.mode, plain.size)
        seen.paste(plain)
    except Exception as exc:
        raise _cannot(_PIL, exc) from exc
    return seen


def _picture_file(picture: Any, form: str) -> bytes:
    seen = _upright(picture)
    if form in {"jpg", "pdf"}:
        seen = _on_white(seen)
    file = io.BytesIO()
    if form == "jpg":
        seen.save(file, "JPEG", quality=_QUALITY)
    elif form == "pdf":
        # A JPEG within the PDF, which may have lines and letters.
        seen.save(file, "PDF", resolution=_resolution(picture), quality=95, subsampling=0)
    else:
        seen.save(file, "PNG", optimize=True)
    return file.getvalue()


def _resolution(picture: Any) -> float:
    """Return how many dots of a picture make an inch: what it says itself, if that can be."""
    said = picture.info.get("dpi")
    dots = said[0] if isinstance(said, tuple) and said and isinstance(said[0], (int, float)) else 0
    return float(dots) if _FEWEST_DOTS <= dots <= _MOST_DOTS_PER_INCH else _DOTS_PER_INCH


def _on_white(picture: Any) -> Any:
    from PIL import Image

    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def _shown_picture(picture: Any, column: int) -> tuple[bytes, str, int]:
    def draw() -> bytes:
        seen = _upright(picture)
        if seen.width > _DENSITY * column:
            seen = seen.resize((_DENSITY * column, max(1, round(seen.height * _DENSITY * column / seen.width))))
        content = _picture_file(seen, "png")
        photo = len(content) > _LARGE and (seen.mode == "RGB" or seen.getchannel("A").getextrema()[0] == 255)  # noqa: PLR2004
        return _picture_file(seen, "jpg") if photo else content

    key = sha256(picture.tobytes()).hexdigest()
    content = _once(f"{picture.size} {picture.mode} {key} {column} {picture.info.get('transparency')}", draw)
    return content, "jpg" if content.startswith(b"\xff\xd8") else "png", min(_seen_width(picture), column)


def _seen_width(picture: Any) -> int:
    orientation = picture.getexif().get(0x0112, 1) if hasattr(picture, "getexif") else 1
    return int(picture.size[1] if orientation in {5, 6, 7, 8} else picture.size[0])


def _opened(content: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(content))


# --- of all of them ---------------------------------------------------------------------------------------------------


def _once(told: str, draw: Callable[[], bytes]) -> bytes:
    """Return what was drawn for the same before, or draw it."""
    key = sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
    with _drawing:
        if key not in _drawn:
            _drawn[key] = draw()
            if len(_drawn) > _REMEMBERED:
                _drawn.popitem(last=False)
        _drawn.move_to_end(key)
        return _drawn[key]


def _not_installed(library: str, package: str) -> DocumentError:
    return DocumentError(
        _("A figure of {library} becomes a picture with the package {package}, which is not installed.").format(
            library=library, package=package
        ),
        hint=_('Install it: pip install "docmail[{extra}]".').format(extra=library),
    )


def _cannot(library: str, failure: Exception) -> DocumentError:
    reason = (str(failure).strip() or type(failure).__name__).splitlines()[0].rstrip(".")[:300]
    return DocumentError(
        _("{library} cannot save this figure: {reason}.").format(library=library, reason=reason),
        hint=_("Correct what it names; saving the figure alone shows where it comes from."),
    )
