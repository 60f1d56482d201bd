"""Finds the DataFrames of the notebook, so that a table is attached without a line of code."""

from __future__ import annotations

import re
import sys
import weakref
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from typing import Any

from docmail.documents import Document
from docmail.errors import DocumentError
from docmail.language import _
from docmail.text import is_frame

__all__ = ["ENDINGS", "Table", "best_ending", "called", "table_called", "tables"]

ENDINGS = (".xlsx", ".csv", ".pdf")
"""The forms in which a table is attached, the most wanted first."""

_MOST = 100  # characters of a table's name that become its file's
_LARGE = 1_000_000  # cells
_MOST_ROWS = 1_000_000  # of an Excel file; it has room for some more


@dataclass(frozen=True, eq=False)
class Table:
    """A table that becomes a document when that is wanted: with many rows it takes a while."""

    held: Any
    """The table, or a weak reference to a large one: a button under a cell is no reason to keep it in memory."""

    title: str
    ending: str

    @classmethod
    def shown(cls, frame: Any) -> Table:
        """Return the table that a cell shows."""
        held = weakref.ref(frame) if prod(frame.shape) > _LARGE else frame
        return cls(held, called(frame), best_ending(frame))

    @property
    def frame(self) -> Any:
        """The table itself; None if nothing else in the notebook holds a large one any more."""
        return self.held() if isinstance(self.held, weakref.ref) else self.held

    @property
    def name(self) -> str:
        """The name of the file that is made of it."""
        return f"{self.title}{self.ending}"

    def document(self) -> Document:
        """Make the file, of the table as it is now; raises `DocumentError`."""
        if (frame := self.frame) is None:
            raise DocumentError(
                _("The table {name} is no longer in this notebook.").format(name=self.title),
                hint=_("Run the cell that makes it."),
            )
        return Document.of(frame, self.name)


def best_ending(frame: Any) -> str:
    """Return the form in which a table is attached if nobody chooses: Excel, where that can be written and holds it."""
    fits = len(frame) < _MOST_ROWS and find_spec("openpyxl") is not None
    return ".xlsx" if fits else ".csv"


def called(frame: Any) -> str:
    """Return what a table is called: by itself, or by the notebook; “table” if nobody calls it anything."""
    attributes = getattr(frame, "attrs", None)
    own = [attributes.get(key) for key in ("name", "title")] if isinstance(attributes, dict) else []
    own.append(getattr(frame, "name", None) if type(frame).__name__ == "Series" else None)
    for name in (*own, *(name for name, value in tables().items() if value is frame)):
        if isinstance(name, str) and (plain := re.sub(r'[\x00-\x1f/\\:*?"<>|]+', " ", name).strip(" .")[:_MOST]):
            return plain
    return _("table")


def tables() -> dict[str, Any]:
    """Return the DataFrames of the notebook by name, the latest first; what begins with an underscore is no name."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not {"pandas", "polars"} & sys.modules.keys():
        return {}
    # A copy, because a cell that runs may make a new name meanwhile.
    named = reversed(list(shell.user_ns.items()))
    return {name: value for name, value in named if not name.startswith("_") and is_frame(value)}


def table_called(name: str, ending: str) -> Table:
    """Return a table of the notebook; raises `DocumentError` if it is no longer there."""
    found = tables()
    if name not in found:
        raise DocumentError(
            _("There is no table {name} in this notebook any more.").format(name=name),
            hint=_("Run the cell that makes it."),
        )
    return Table(found[name], name, ending if ending in ENDINGS else ENDINGS[0])
