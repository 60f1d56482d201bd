"""Shows a view under a cell, and above it its static fallback, for when the notebook is opened without its kernel."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from docmail.language import _
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Callable

    import ipywidgets
    from IPython.display import HTML, DisplayHandle

    Bundle = dict[str, Any]

_VIEW = "application/vnd.jupyter.widget-view+json"


def show(fallback: Bundle, view: ipywidgets.Widget) -> None:
    """Show a view under the cell; `fallback` is what a notebook without a kernel shows instead.

    These are two outputs, for the reason that `markup.static` gives. A notebook that is not trusted shows the text of
    both; that of the fallback is enough.
    """
    from IPython.display import display

    for bundle in ({**fallback, "text/html": markup.static(fallback["text/html"])}, _view_of(view)):
        display(bundle, raw=True)


def show_beside(fallback: Bundle, view: ipywidgets.Widget) -> DisplayHandle:
    """Show something that stays above the view; return its handle, by which it is changed."""
    from IPython.display import display

    handle: DisplayHandle = display(fallback, raw=True, display_id=True)
    display(_view_of(view), raw=True)
    return handle


def in_marimo(*sentences: str) -> HTML:
    """Return what marimo shows instead of a view: why there is none, and what to do.

    Its front end has Jupyter's widgets no more than its kernel. It asks an object for `_display_()` before anything
    else (https://docs.marimo.io/guides/integrating_with_marimo/displaying_objects), and nobody but marimo asks for it.
    """
    from IPython.display import HTML

    why = _("marimo cannot show this: it does not support Jupyter's widgets.")
    return HTML(str(markup.joined(map(markup.paragraph, (why, *sentences)))))


def show_kept(fallback: Bundle, view: ipywidgets.Widget) -> Callable[[Bundle], None]:
    """Show a view as `show` does; return what changes its fallback, which the notebook then keeps."""
    from IPython.display import display

    def bundle_of(said: Bundle) -> Bundle:
        return {**said, "text/html": markup.static(said["text/html"])}

    handle: DisplayHandle = display(bundle_of(fallback), raw=True, display_id=True)
    display(_view_of(view), raw=True)
    kept = [fallback]

    def keep(said: Bundle) -> None:
        if said != kept[0]:
            kept[0] = said
            with suppress(Exception):  # nothing fails because nobody can look at it
                handle.update(bundle_of(said), raw=True)

    return keep


def _view_of(view: ipywidgets.Widget) -> Bundle:
    return {_VIEW: view._repr_mimebundle_()[_VIEW], "text/plain": ""}
