"""Shows a live view under a cell, and above it what stands there when the notebook is opened without its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docmail.widgets.parts import markup

if TYPE_CHECKING:
    import ipywidgets
    from IPython.display import DisplayHandle

    Bundle = dict[str, Any]

_VIEW = "application/vnd.jupyter.widget-view+json"


def outputs(words: Bundle, view: ipywidgets.Widget) -> list[Bundle]:
    """Return the outputs of a cell that shows a view; `words` is what a notebook without a kernel shows instead.

    They are two, for the reason that `markup.static` gives. A notebook that is not trusted shows the text of both; that
    of the words is enough.
    """
    return [{**words, "text/html": markup.static(words["text/html"])}, _live(view)]


def show(words: Bundle, view: ipywidgets.Widget) -> None:
    """Show them."""
    from IPython.display import display

    for bundle in outputs(words, view):
        display(bundle, raw=True)


def show_beside(words: Bundle, view: ipywidgets.Widget) -> DisplayHandle:
    """Show words that stay above the view; return their handle, with which they can be changed."""
    from IPython.display import display

    handle: DisplayHandle = display(words, raw=True, display_id=True)
    display(_live(view), raw=True)
    return handle


def _live(view: ipywidgets.Widget) -> Bundle:
    return {_VIEW: view._repr_mimebundle_()[_VIEW], "text/plain": ""}
