"""Shows the rows of a batch that cannot be sent as a table below the error, where a notebook wraps what is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docmail.errors import BatchError, DocmailError
from docmail.home import is_unattended
from docmail.outbox import cells_of, further_of, table_of
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import joined, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from docmail.errors import RowProblem

__all__ = ["register", "table"]

_LEFT = "text-align: left; vertical-align: top"


def table(problems: Sequence[RowProblem]) -> Markup:
    """Return the table as HTML; it names no address."""
    heads, lines = cells_of(problems)
    head = joined(tag("th", cell, scope="col", style=_LEFT) for cell in heads)
    further = markup.paragraph(said) if (said := further_of(problems)) else ""
    return markup.table(lines, head, style=_LEFT) + further


def register(shell: Any) -> None:
    """Show the table of such an error when its cell is done: IPython itself has only text for an error."""
    waiting: list[BatchError] = []
    whole = BatchError._render_traceback_

    def rendered(error: BatchError) -> list[str]:
        if is_unattended():
            return whole(error)  # the log of the program that executes the notebook has the error's text, and no tables
        # IPython asks twice, because it renders an error for its history as well.
        if all(error is not known for known in waiting):
            waiting.append(error)
        return [f"{type(error).__name__}: {DocmailError.__str__(error)}"]

    def show(_result: object) -> None:
        from IPython.display import display

        shown, waiting[:] = waiting[:], []
        for error in shown:
            display({"text/plain": table_of(error.problems), "text/html": table(error.problems)}, raw=True)

    BatchError._render_traceback_ = rendered  # type: ignore[assignment, method-assign]
    shell.events.register("post_run_cell", show)
