"""What every view contains: it says in the view's own layout that the kernel is gone, and what to do then.

The browser alone can know: a kernel that was restarted has forgotten the view, and a busy one receives nothing.
How it finds out stands at the top of `kernel_gone.js`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets
import traitlets

from docmail.language import _
from docmail.widgets.parts import markup
from docmail.widgets.parts.form_rows import Html, light, shared
from docmail.widgets.parts.scripts import script

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = Path(__file__).parent


class Lifeline(anywidget.AnyWidget):
    """A line at the top of a view, empty while its kernel lives; `what_to_do` is what it says besides what happened."""

    _esm = script("kernel_gone")
    _css = _HERE / "kernel_gone.css"

    words = traitlets.Dict().tag(sync=True)
    what_to_do = traitlets.Unicode().tag(sync=True)

    def __init__(self, what_to_do: str = "") -> None:
        super().__init__(
            layout=shared(ipywidgets.Layout),
            what_to_do=what_to_do or _("Run this cell again."),
            words={"restarted": _("The kernel was restarted."), "ended": _("The kernel was shut down.")},
        )

    def around(self, parts: Sequence[Any]) -> list[Any]:
        """Return the children of a view with these parts.

        The last one is for a notebook server without docmail's front end: what the front end draws hides it.
        """
        return [self, *parts, light(Html, value=markup.without_front_end(), _dom_classes=["dm-lacking"])]
