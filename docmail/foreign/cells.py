"""Reads an executed notebook as pieces: what its Markdown says and its outputs show, in their order; code if asked.

Tags of cells are those of Jupyter Book: `remove-cell`, `remove-input`, `remove-output`, and `hide-…`, because a mail
cannot fold anything; `docmail-skip` leaves a cell out of everything, also of what must have run.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from docmail.errors import DocumentError
from docmail.foreign.markdown_pieces import Beside, markdown_pieces
from docmail.foreign.notebook import Notebook, check_executed, is_left_out, read_file
from docmail.foreign.outputs import pieces_of
from docmail.foreign.pieces import Printed
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.foreign.notebook import Cell, File
    from docmail.foreign.pieces import Shown

__all__ = ["read_notebook"]

_NO_INPUT = {"remove-input", "hide-input", "hide-cell"}
_NO_OUTPUT = {"remove-output", "remove-outputs", "hide-output", "hide-cell"}


def read_notebook(source: Notebook | Path) -> list[Shown]:
    """Return what an executed notebook shows; a path is one without its code.

    Warns of cells that ran in another order than they stand in. Raises `DocumentError`, naming the cell, for a notebook
    that has not been run to its end, and for a file that is none.
    """
    notebook = source if isinstance(source, Notebook) else Notebook(source)
    file = read_file(notebook.path)
    if doubt := check_executed(file):
        warnings.warn(f"{doubt} {_('Run all cells, and save it, to be sure.')}", stacklevel=2)
    pieces = [piece for cell in file.cells if not is_left_out(cell) for piece in _of_cell(cell, file, notebook)]
    if not pieces:
        raise DocumentError(
            _("The notebook {name} shows nothing: it has neither text nor outputs.").format(name=file.name),
            hint=_("Run all its cells, and save it; with its code: docmail.notebook.Notebook(path, code=True)."),
        )
    return pieces


def _of_cell(cell: Cell, file: File, notebook: Notebook) -> Iterator[Shown]:
    if cell.kind == "markdown":
        yield from markdown_pieces(cell.source, Beside(cell.attachments, notebook.folder or file.folder))
    elif cell.kind == "code":
        if notebook.code and cell.source.strip() and not cell.tags & _NO_INPUT:
            yield Printed(cell.source.strip("\n"))
        if not cell.tags & _NO_OUTPUT:
            yield from pieces_of(cell.outputs, cell.tags)
