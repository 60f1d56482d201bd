"""Lets a cell say that there is nothing to send today, which is no failure."""

from __future__ import annotations

_MARK = "docmail.notebook.Skip: "


class Skip(Exception):
    """Raised in a cell, it ends the notebook, and `docmail notebook run` sends nothing: there is nothing to send.

    >>> try:
    ...     raise docmail.notebook.Skip("nothing new since yesterday")
    ... except docmail.notebook.Skip as skip:
    ...     print(skip)
    nothing new since yesterday
    """

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: no frames, because nothing failed.

        It is also how the program that executes the notebook knows this class from others called Skip.
        """
        return [f"{_MARK}{self}"]


def skip_of(traceback: list[str]) -> str | None:
    """Return the reason that a cell gave for sending nothing; None if what it raised is no `Skip`."""
    first = traceback[0] if traceback else ""
    return first.removeprefix(_MARK) if first.startswith(_MARK) else None
