"""Turns figures of matplotlib's into files, and draws them in reports: as vectors, with their fonts in the file."""

from __future__ import annotations

import io
import sys
import warnings
from typing import TYPE_CHECKING, Any

from docmail.errors import DocumentError
from docmail.language import _

if TYPE_CHECKING:
    from docmail.reports.pages import Pages

__all__ = ["draw_figure", "figure_height", "figure_pdf", "is_figure"]

# In inches: the room around what stands outside a figure, as notebooks leave it; and what is only the room that a font
# keeps below its letters.
_PAD, _SLIGHT = 0.1, 0.02

_WIDE = 0.65  # of the text's width: a figure that is wider is meant to be as wide as the text


def is_figure(source: object) -> bool:
    """Say whether `source` is a figure of matplotlib's, which is not imported for it.

    >>> docmail.reports.is_figure(figure), docmail.reports.is_figure(frame)
    (True, False)
    """
    return any(kind.__module__ == "matplotlib.figure" and kind.__name__ == "Figure" for kind in type(source).__mro__)


def figure_pdf(figure: Any, form: str = "pdf", dpi: float | None = None) -> bytes:
    """Return a figure as a PDF (or in another `form` that matplotlib writes), its fonts in it as TrueType.

    `dpi` (dots per inch) None is the figure's own; it counts for pictures.

    A figure that `plt.close` has closed is as good as an open one.

    >>> docmail.reports.figure_pdf(figure)[:5]
    b'%PDF-'
    """
    matplotlib = sys.modules["matplotlib"]
    file = io.BytesIO()
    try:
        # Type 42: text stays text, which can be searched and copied, and printers take it.
        with matplotlib.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42}), warnings.catch_warnings():
            # An empty box instead of a letter is no figure to send.
            warnings.filterwarnings("error", message="Glyph .* missing")
            figure.savefig(file, format=form, dpi=dpi or "figure", bbox_inches=_shown(figure))
    except Exception as exc:
        raise DocumentError(
            _("matplotlib cannot save this figure: {reason}.").format(reason=" ".join(str(exc).split()).rstrip(".")),
            hint=_('Correct that; run figure.savefig("figure.pdf") by itself to see where it comes from.'),
        ) from exc
    return file.getvalue()


def _shown(figure: Any) -> Any:
    """Return what of a figure is to be seen, in inches: all of it, and what a notebook shows outside it.

    That is a legend beside the axes, a long label, a title above. None where there is no such thing, or where the
    user's own settings cut to what is there (`savefig.bbox`).
    """
    if sys.modules["matplotlib"].rcParams["savefig.bbox"] == "tight":
        return None
    figure.draw_without_rendering()  # which puts everything in its place
    whole, drawn = figure.bbox_inches, figure.get_tightbbox()
    left, lower = (
        min(own, seen - _PAD) if own - seen > _SLIGHT else own for own, seen in zip(whole.min, drawn.min, strict=True)
    )
    right, upper = (
        max(own, seen + _PAD) if seen - own > _SLIGHT else own for own, seen in zip(whole.max, drawn.max, strict=True)
    )
    if (left, lower, right, upper) == tuple(whole.extents):
        return None
    return type(whole).from_extents(left, lower, right, upper)


def draw_figure(pages: Pages, pdf: bytes) -> None:
    """Draw what `figure_pdf` returned where the pages are: as wide as the text, or at its own size if it is small."""
    pages.orient(landscape=False)
    form = pages.writer.form_of(pdf)
    height = figure_height(pages, pdf)
    pages.need(height)
    pages.y -= height
    pages.draw(pages.writer.place(form, pages.x, pages.y, height / form.height))
    pages.y -= 12


def figure_height(pages: Pages, pdf: bytes) -> float:
    """Return how high a figure is on these pages, which leave room for a heading above it."""
    form = pages.writer.form_of(pdf)
    width = pages.width if form.width > _WIDE * pages.width else min(form.width, pages.width)
    return form.height * min(width / form.width, (pages.height - 60) / form.height)
