"""Colours as texts (“#0a5c8c”), and how well a text in one of them can be read (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import colorsys
import re

__all__ = ["ENOUGH", "WHITE", "contrast", "lightened", "normal", "readable"]

WHITE = "#ffffff"
ENOUGH = 4.5
"""The contrast that a text of common size needs."""

_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)
_STEPS = 100


def normal(text: str) -> str | None:
    """Return a colour with six digits (“#00aa55” for “0a5”); None for what is none."""
    found = _HEX.fullmatch(text.strip())
    if found is None:
        return None
    digits = found[1].lower()
    return f"#{digits if len(digits) == 6 else ''.join(2 * digit for digit in digits)}"  # noqa: PLR2004


def contrast(one: str, other: str = WHITE) -> float:
    """Return the contrast of `one` colour with the `other`, from 1 to 21 (WCAG 2.2).

    >>> docmail.look.contrast("#000000")
    21.0
    """
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return round((lighter + 0.05) / (darker + 0.05), 2)


def readable(colour: str, background: str = WHITE) -> str:
    """Return the colour, made as dark or as light as a text on this background needs.

    >>> docmail.look.readable("#0a5c8c")
    '#0a5c8c'
    >>> docmail.look.readable("#ffcc00")
    '#8f7200'
    """
    hue, light, saturation = colorsys.rgb_to_hls(*_parts(colour))
    darken = _luminance(background) > 0.18  # noqa: PLR2004 - where black and white are equally far
    for step in range(_STEPS + 1):
        share = step / _STEPS
        lightness = light * (1 - share) if darken else light + (1 - light) * share
        shade = _written(*colorsys.hls_to_rgb(hue, lightness, saturation))
        if contrast(shade, background) >= ENOUGH:
            return shade
    return "#000000" if darken else WHITE


def lightened(colour: str, share: float) -> str:
    """Return the colour mixed with a `share` of white, from 0 to 1.

    >>> docmail.look.lightened("#000000", 0.5)
    '#808080'
    """
    return _written(*(part + (1 - part) * share for part in _parts(colour)))


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _written(*parts: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _luminance(colour: str) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 - sRGB's
        for part in _parts(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
