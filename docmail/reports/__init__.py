"""Makes a PDF of text, tables and figures: `Report("Q3").text("…").table(df, title="Sales").figure(fig)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.faces import lazy

if TYPE_CHECKING:
    from docmail.reports.charts import chart_caption, chart_file, chart_png
    from docmail.reports.figures import figure_pdf, is_figure
    from docmail.reports.report import Report

__all__ = ["Report", "chart_caption", "chart_file", "chart_png", "figure_pdf", "is_figure"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "charts": ("chart_caption", "chart_file", "chart_png"),
            "figures": ("figure_pdf", "is_figure"),
            "report": ("Report",),
        },
    )
