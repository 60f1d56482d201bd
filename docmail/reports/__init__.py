"""Makes a PDF of text, tables and figures: `Report("Q3").text("…").table(df, title="Sales").figure(fig)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.reports.report import Report, figure_pdf, is_figure, table_pdf

__all__ = ["Report", "figure_pdf", "is_figure", "table_pdf"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, {"report": ("Report", "figure_pdf", "is_figure", "table_pdf")})
