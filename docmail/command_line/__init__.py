"""What `python -m docmail` does, for machines without a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.command_line.commands import main

__all__ = ["main"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, {"commands": ("main",)})
