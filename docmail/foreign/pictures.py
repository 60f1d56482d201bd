"""Draws the pictures of a notebook anew: PNG, JPEG, GIF and SVG, and charts of which it holds the description.

What travels is what was drawn here, at the size of a mail's column: no metadata of a picture, no scripts of an SVG, and
nothing that a picture would load from elsewhere, or that is larger than a screen.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import re
import warnings
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any
from urllib.parse import unquote_to_bytes

from docmail.errors import DocumentError
from docmail.files import one_at_a_time
from docmail.foreign.pieces import Pictured
from docmail.language import _
from docmail.reports import chart_caption, chart_png

__all__ = ["UnshownError", "chart_drawn", "data_drawn", "drawn", "svg_drawn"]

_COLUMN = 600
_MOST_OCTETS = 30_000_000
_MOST_DOTS = 50_000_000
_MOST_SVG = 5_000_000
_MOST_SHAPES = 50_000
_DENSITY = 2
_TALLEST = 4 * _COLUMN
_MOST_SPEC = 10_000_000


class UnshownError(Exception):
    """What cannot be shown; its text is the sentence that stands in its place."""


def drawn(content: str | bytes, caption: str = "", width: Any = None) -> Pictured:
    """Return a PNG, JPEG or GIF as a mail shows it; `width` is that of the notebook, in pixels.

    Raises `UnshownError`.
    """
    if isinstance(content, str):
        try:
            content = b64decode(re.sub(r"\s+", "", content), validate=True)
        except (Base64Error, ValueError):
            raise UnshownError(_("A picture stood here that is damaged.")) from None
    if len(content) > _MOST_OCTETS:
        raise UnshownError(_("A picture of {size} MB stood here.").format(size=len(content) // 1_000_000))
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "GIF")) as image:
            warnings.simplefilter("ignore")
            _check_size(image.width, image.height)
            image.load()
            shown, kind, natural = chart_png(image, _COLUMN)
    except UnshownError:
        raise
    except Image.DecompressionBombError as exc:
        raise UnshownError(_("A picture stood here that is too large.")) from exc
    except Exception as exc:
        raise UnshownError(_("A picture stood here that is damaged.")) from exc
    if isinstance(width, (int, float)) and not isinstance(width, bool) and width >= 1:
        natural = min(int(width), _COLUMN)
    return Pictured(shown, kind, max(natural, 1), caption)


def _check_size(width: int, height: int) -> None:
    if width * height > _MOST_DOTS:
        size = _("{width} by {height}").format(width=f"{width:,}", height=f"{height:,}")
        raise UnshownError(_("A picture of {size} pixels stood here.").format(size=size))


def data_drawn(address: str, caption: str = "") -> Pictured:
    """Return a picture that stands in its address (`data:`), as a mail shows it; raises `UnshownError`."""
    head, _comma, content = address.partition(",")
    if "svg" in head.lower():
        octets = _octets(content) if "base64" in head.lower() else unquote_to_bytes(content)
        return svg_drawn(octets.decode("utf-8", "replace"), caption)
    return drawn(unquote_to_bytes(content).decode("ascii", "replace"), caption)


def _octets(content: str) -> bytes:
    try:
        return b64decode(re.sub(r"\s+", "", content))
    except (Base64Error, ValueError):
        raise UnshownError(_("A picture stood here that is damaged.")) from None


# --- SVG --------------------------------------------------------------------------------------------------------------

_ACTIVE = {"script", "foreignobject", "image", "feimage", "iframe", "video", "audio", "animate", "set", "handler"}


def svg_drawn(text: str, caption: str = "") -> Pictured:
    """Return an SVG as a PNG, because mail programs show none; raises `UnshownError` for one that cannot be drawn."""
    if len(text) > _MOST_SVG:
        raise UnshownError(_("A picture of {size} MB stood here.").format(size=len(text) // 1_000_000))
    try:
        return _by_fpdf(_harmless(text), caption)
    except UnshownError:
        raise
    except Exception as exc:
        raise UnshownError(_("A picture (SVG) stood here that cannot be drawn.")) from exc


def _harmless(text: str) -> bytes:
    """Return an SVG without what runs, what is loaded, and what would be drawn without end."""
    from xml.etree.ElementTree import fromstring, tostring

    if "<!ENTITY" in text:  # a few lines of them are as much text as one likes
        raise UnshownError(_("A picture (SVG) stood here that cannot be drawn."))
    root = fromstring(text.strip().encode())  # noqa: S314 - without entities
    parents = {child: parent for parent in root.iter() for child in parent}
    if len(parents) > _MOST_SHAPES:
        raise UnshownError(_("A picture (SVG) of {count} shapes stood here.").format(count=f"{len(parents):,}"))
    named = {element.get("id"): element for element in root.iter() if element.get("id")}
    for element in [*root.iter()]:
        kind = element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else "script"
        link = next((value for name, value in element.items() if name.rpartition("}")[2] == "href"), "")
        if kind == "use":
            shown = named.get(link.removeprefix("#"))
            # One that shows what itself shows another one is how a few lines become a thousand million shapes.
            nested = shown is not None and any(
                isinstance(each.tag, str) and each.tag.endswith("use") for each in shown.iter()
            )
            active = shown is None or nested
        else:
            active = kind in _ACTIVE
        if active and element is not root:
            parents[element].remove(element)
            continue
        for name, value in [*element.items()]:
            own = name.rpartition("}")[2].lower()
            is_elsewhere = own in {"href", "src"} and not value.startswith("#")
            if own.startswith("on") or is_elsewhere or re.search(r"url\(\s*['\"]?(?!#|\s|['\"])", value):
                del element.attrib[name]
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))  # by which fpdf2 knows it


def _by_fpdf(svg: bytes, caption: str) -> Pictured:
    import fpdf
    import pypdfium2
    from fpdf.svg import SVGObject

    logging.getLogger("fpdf.svg").setLevel(logging.ERROR)  # it names each element that it does not draw
    image = SVGObject(svg)
    box = image.viewbox or (0, 0, image.width or 0, image.height or 0)
    wide, high = float(image.width or box[2] or 0), float(image.height or box[3] or 0)
    if isinstance(image.width, str) or not (0 < wide < 1e6 and 0 < high < 1e6):  # noqa: PLR2004
        wide, high = float(box[2]), float(box[3])
    if not (wide > 0 and high > 0):
        raise UnshownError(_("A picture (SVG) stood here that cannot be drawn."))
    shown = min(wide * 96 / 72, _COLUMN, _TALLEST * wide / high)
    pdf = fpdf.FPDF(unit="pt", format=(wide, high))
    pdf.set_margin(0)
    pdf.set_auto_page_break(False)
    pdf.add_page()
    pdf.image(io.BytesIO(svg), x=0, y=0, w=wide, h=high)
    with one_at_a_time:
        opened = pypdfium2.PdfDocument(bytes(pdf.output()))
        try:
            picture = opened[0].render(scale=_DENSITY * shown / wide).to_pil()
        finally:
            opened.close()
    content, kind, _natural = chart_png(picture, _COLUMN)
    return Pictured(content, kind, max(round(shown), 1), caption)


# --- charts -----------------------------------------------------------------------------------------------------------

_ELSEWHERE = re.compile(r"(?i)(?:https?|ftp|file)://|javascript:|data:[a-z]+/|^\s*//")
_MAPS = re.compile(r"map(box)?$|geo$")


def chart_drawn(media_type: str, spec: Any) -> Pictured | None:
    """Return a chart of plotly's or altair's, drawn of what the notebook holds of it; None if that cannot be done.

    One that loads something from elsewhere is not drawn: a file of this computer could be in it, or who looked.
    """
    if not isinstance(spec, dict) or len(json.dumps(spec)) > _MOST_SPEC:
        return None
    try:
        chart = _plotly(spec) if "plotly" in media_type else _altair(spec)
        if chart is None:
            return None
        content, kind, width = chart_png(chart, _COLUMN)
        return Pictured(content, kind, width, chart_caption(chart))
    except DocumentError:
        return None  # what draws it is missing, or refuses
    except Exception:  # noqa: BLE001 - a library's own words about a spec that somebody else has written
        return None


def _plotly(spec: dict[str, Any]) -> Any:
    data, layout = spec.get("data"), spec.get("layout")
    if importlib.util.find_spec("plotly") is None or not isinstance(data, list):
        return None
    layout = layout if isinstance(layout, dict) else {}
    kinds = [str(trace.get("type", "")) for trace in data if isinstance(trace, dict)]
    if layout.get("images") or any(map(_MAPS.search, kinds)) or _loads(data) or _loads(layout):
        return None
    from plotly.graph_objects import Figure

    return Figure(data=data, layout=layout, skip_invalid=True)


def _altair(spec: dict[str, Any]) -> Any:
    if importlib.util.find_spec("altair") is None or _loads({**spec, "$schema": ""}) or _has_url(spec):
        return None
    import altair as alt

    return alt.Chart.from_dict(spec, validate=False)


def _loads(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_loads(each) for each in value.values())
    if isinstance(value, list):
        return any(map(_loads, value))
    return isinstance(value, str) and _ELSEWHERE.search(value) is not None


def _has_url(value: Any) -> bool:
    if isinstance(value, dict):
        return "url" in value or any(map(_has_url, value.values()))
    return isinstance(value, list) and any(map(_has_url, value))
