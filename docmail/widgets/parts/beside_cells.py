"""How the browser's messages are taken while a cell runs.

JupyterLab 4.4 and ipykernel 7 bring the messages of widgets in a thread of their own, a subshell; or between two steps
of a cell that awaits something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ipywidgets

__all__ = ["leave_the_cell_alone", "listen_while_the_cell_waits"]


def leave_the_cell_alone(widget: ipywidgets.Widget) -> None:
    """Handle what the browser says to this widget without IPython's events, which say that a cell begins and is over.

    At its end matplotlib draws, shows and closes the figures that it finds. While a cell is drawing one, two threads
    would draw it, and its bars end up in wrong places (https://github.com/jupyterlab/jupyterlab/issues/19719,
    https://github.com/ipython/ipykernel/issues/1564).
    """
    if widget.comm is not None:
        widget.comm.handle_msg = widget._handle_msg  # noqa: SLF001 - what the comm calls between the two events


def listen_while_the_cell_waits(widget: ipywidgets.Widget) -> None:
    """Receive presses also while the cell that shows this widget waits for something."""
    # ipykernel 7.4 hands a press to the shell that last said something to these buttons, such as the one whose cell
    # waits for a batch: “Stop” would come when the batch is over. It shall come where the front end sends it.
    widget.comm._reply_subshell_for = lambda _data, subshell: subshell  # noqa: SLF001 - others never look at it
