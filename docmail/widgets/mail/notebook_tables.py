"""Finds the DataFrames of the notebook, so that a table is attached without a line of code."""

from __future__ import annotations

import sys
from typing import Any

from docmail.documents import Document
from docmail.errors import DocumentError
from docmail.language import _
from docmail.text import is_frame

__all__ = ["ENDINGS", "document_of", "tables"]

ENDINGS = (".xlsx", ".csv", ".pdf")
"""The forms in which a table is attached, the most wanted first."""


def tables() -> dict[str, Any]:
    """Return the DataFrames of the notebook by name, the latest first; what begins with an underscore is no name."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not {"pandas", "polars"} & sys.modules.keys():
        return {}
    # A copy, because a cell that runs may make a new name meanwhile.
    named = reversed(list(shell.user_ns.items()))
    return {name: value for name, value in named if not name.startswith("_") and is_frame(value)}


def document_of(name: str, ending: str) -> Document:
    """Return a table of the notebook as a document, as it is now; raises `DocumentError`."""
    found = tables()
    if name not in found:
        raise DocumentError(
            _("There is no table {name} in this notebook any more.").format(name=name),
            hint=_("Run the cell that makes it."),
        )
    return Document.of(found[name], f"{name}{ending if ending in ENDINGS else ENDINGS[0]}")
