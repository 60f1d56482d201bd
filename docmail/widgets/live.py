"""Shows a live view under a cell, and above it what stands there when the notebook is opened without its kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docmail.widgets import markup

if TYPE_CHECKING:
    import ipywidgets

    Bundle = dict[str, Any]


def outputs(words: Bundle, view: ipywidgets.Widget) -> list[Bundle]:
    """Return the outputs of a cell that shows a view; `words` is what a notebook without a kernel shows instead.

    They are two, for the reason that `markup.static` gives.
    """
    live = view._repr_mimebundle_()
    live.pop("text/html", None)
    return [{**words, "text/html": markup.static(words["text/html"])}, {**live, "text/plain": words["text/plain"]}]


def show(words: Bundle, view: ipywidgets.Widget) -> None:
    """Show them."""
    from IPython.display import display

    for bundle in outputs(words, view):
        display(bundle, raw=True)
