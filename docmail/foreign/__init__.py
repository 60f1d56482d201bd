"""Takes in what other programs have made, by lists of what passes: styled tables, and notebooks with their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.foreign.cells import read_notebook
    from docmail.foreign.foreign_html import ForeignPicture, ForeignTable, foreign_table
    from docmail.foreign.notebook import Notebook, cells_of, is_notebook, shows_button
    from docmail.foreign.pieces import Pictured, Printed, Said, Shown, Tabled

__all__ = [
    "ForeignPicture",
    "ForeignTable",
    "Notebook",
    "Pictured",
    "Printed",
    "Said",
    "Shown",
    "Tabled",
    "cells_of",
    "foreign_table",
    "is_notebook",
    "read_notebook",
    "shows_button",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "cells": ("read_notebook",),
            "foreign_html": ("ForeignPicture", "ForeignTable", "foreign_table"),
            "notebook": ("Notebook", "cells_of", "is_notebook", "shows_button"),
            "pieces": ("Pictured", "Printed", "Said", "Shown", "Tabled"),
        },
    )
