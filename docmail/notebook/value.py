"""Offers the notebook as a value where people look for it; it is read in a room further down, which knows no kernel."""

from __future__ import annotations

from docmail.foreign import Notebook

__all__ = ["Notebook"]
