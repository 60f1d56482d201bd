"""Reads a logo, and makes the picture of it that mails carry: small, sharp, and to be seen on light and dark."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from docmail.language import _
from docmail.look.colours import contrast

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Logo", "LogoError", "checked_logo", "logo_of"]

MAX_OCTETS = 10_000_000
_MAX_DOTS = 40_000_000  # about 160 MB while it is read
_MIN_DOTS = 16  # on each side
_LONGEST = 12  # times as long as high, or as high as long
_FORMATS = {"PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"}

_WIDTH, _HEIGHT, _DENSITY = 220, 48, 2  # of the place in a mail, in pixels, and the dots of a good screen for each
_DARK = "#1c2127"  # the background of a mail in a dark mail program
_SEEN = 3.0  # the contrast that a sign needs (WCAG 2.2, 1.4.11)
_MARGIN, _CORNER = 14, 12  # dots of white around a logo that needs it, and of its round corners
_COLOURS = 256


class LogoError(ValueError):
    """What is wrong with a logo, as a sentence."""


@dataclass(frozen=True)
class Logo:
    """A logo as a mail carries it: the `content` of a PNG with twice as many dots as it has pixels on the screen.

    `width` and `height` are in those pixels.

    >>> docmail.look.Logo(b"...", 320, 40).is_a_name
    True
    """

    content: bytes = field(repr=False)
    width: int
    height: int

    @property
    def is_a_name(self) -> bool:
        """Whether it is so wide that it will be a name in letters, which need not stand beside it again."""
        return self.width >= 2.5 * self.height


@lru_cache(8)
def checked_logo(content: bytes) -> tuple[int, int]:
    """Return how many dots a logo has; raises `LogoError` for what can be none."""
    head = content[:4096].replace(b"\0", b"").lower()  # it may be UTF-16
    if head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<") and b"<svg" in head:
        raise LogoError(_("The logo is an SVG, which mail programs do not show; save it as PNG."))
    if content[:5] == b"%PDF-":
        raise LogoError(_("The logo is a PDF; save it as PNG."))
    if len(content) > MAX_OCTETS:
        raise LogoError(_("The logo is larger than {limit} MB.").format(limit=MAX_OCTETS // 1_000_000))
    image = _opened(content)
    width, height = image.size
    size = _("{width} by {height}").format(width=width, height=height)
    if width * height > _MAX_DOTS:
        raise LogoError(_("The logo has {size} pixels, which is too many.").format(size=size))
    if min(width, height) < _MIN_DOTS:
        raise LogoError(_("The logo has {size} pixels, which is too few.").format(size=size))
    if max(width, height) > _LONGEST * min(width, height):
        raise LogoError(_("The logo has {size} pixels, and is too narrow to be seen.").format(size=size))
    if getattr(image, "is_animated", False):
        raise LogoError(_("The logo moves; save one of its pictures as PNG."))
    if _upright(image).getbbox(alpha_only=True) is None:
        raise LogoError(_("The logo cannot be seen: all of it is transparent."))
    return width, height


@lru_cache(8)
def logo_of(content: bytes) -> Logo:
    """Return the picture that a mail carries of a logo."""
    from PIL import Image, ImageDraw

    image = _upright(_opened(content))
    image = image.crop(image.getbbox(alpha_only=True))
    box = (_WIDTH * _DENSITY, _HEIGHT * _DENSITY)
    if needs_white := _vanishes_on_dark(image):
        box = (box[0] - 2 * _MARGIN, box[1] - 2 * _MARGIN)
    image.thumbnail(box, Image.Resampling.LANCZOS)
    if needs_white:
        # Mail programs in the dark leave pictures as they are: dark letters would be on a dark ground.
        ground = Image.new("RGBA", (image.width + 2 * _MARGIN, image.height + 2 * _MARGIN), "#ffffff00")
        ImageDraw.Draw(ground).rounded_rectangle((0, 0, ground.width - 1, ground.height - 1), _CORNER, "white")
        ground.alpha_composite(image, (_MARGIN, _MARGIN))
        image = ground
    file = io.BytesIO()
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    image.save(file, "PNG", optimize=True)
    small = io.BytesIO()
    image.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    best = min(file.getvalue(), small.getvalue(), key=len) if len(file.getvalue()) > 30_000 else file.getvalue()  # noqa: PLR2004
    return Logo(best, max(image.width // _DENSITY, 1), max(image.height // _DENSITY, 1))


def _opened(content: bytes) -> Any:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
            if image.width * image.height <= _MAX_DOTS and image.format in _FORMATS:
                image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise LogoError(_("The logo has too many pixels; make it smaller.")) from None
    except Exception:  # noqa: BLE001 - a damaged picture raises anything in Pillow
        raise LogoError(_("The logo is no picture, or is damaged; save it as PNG.")) from None
    if image.format not in _FORMATS:
        raise LogoError(_("The logo is no picture that mail programs show; save it as PNG."))
    return image


def _upright(image: Any) -> Image:
    """Return it as a screen shows it: as the camera was held, and in a screen's colours."""
    from PIL import ImageOps

    upright: Image = ImageOps.exif_transpose(image).convert("RGBA")
    return upright


def _vanishes_on_dark(image: Image) -> bool:
    """Say whether it has no ground of its own, and much of it could not be seen in a dark mail program."""
    alpha = image.getchannel("A")
    histogram = alpha.histogram()
    if sum(histogram[:128]) < 0.02 * image.width * image.height:
        return False
    tiny = image.copy()
    tiny.thumbnail((64, 64))
    dots = tiny.tobytes()
    seen = [
        contrast(f"#{red:02x}{green:02x}{blue:02x}", _DARK)
        for red, green, blue, opaque in zip(dots[::4], dots[1::4], dots[2::4], dots[3::4], strict=True)
        if opaque > 128  # noqa: PLR2004
    ]
    return sum(each < _SEEN for each in seen) > 0.15 * len(seen)
