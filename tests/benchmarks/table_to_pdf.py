"""A DataFrame of 1,000 rows as a PDF: docmail against fpdf2's table() and reportlab's Table; and the first preview.

Wanted: at most a sixth of fpdf2's CPU time, no more than reportlab's; the first page of 50 shown within 150 ms. All in
one process, one after the other and again, each with what it imports already loaded.
"""

from __future__ import annotations

import io
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from fpdf import FPDF
from reportlab.platypus import SimpleDocTemplate, Table

from docmail.documents import Document
from docmail.widgets.document.page_images import first_page

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 1_000
RUNS = 5


def _frame(word: str = "Customer") -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "Invoice": np.arange(ROWS) + 10_000,
            word: [f"{word} number {number}" for number in range(ROWS)],
            "Date": pd.date_range("2026-01-01", periods=ROWS),
            "Amount": (random.random(ROWS) * 10_000).round(2),
            "Paid": random.random(ROWS) > 0.5,
            "Note": [f"note {number % 7}" for number in range(ROWS)],
        }
    )


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    return [list(frame.columns), *([str(value) for value in row] for row in frame.itertuples(index=False))]


def _with_fpdf2(frame: pd.DataFrame) -> bytes:
    pdf = FPDF()
    pdf.set_font("helvetica", size=9)
    pdf.add_page()
    with pdf.table() as table:
        for cells in _cells(frame):
            row = table.row()
            for cell in cells:
                row.cell(cell)
    return bytes(pdf.output())


def _with_reportlab(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    SimpleDocTemplate(file).build([Table(_cells(frame), repeatRows=1)])
    return file.getvalue()


def _with_docmail(frame: pd.DataFrame) -> bytes:
    return Document.of(frame, name="Sales.pdf").read()


def _seconds(make: Callable[..., Any], *arguments: Any) -> float:
    started = time.process_time()
    make(*arguments)
    return time.process_time() - started


def main() -> None:
    """Print the CPU time of each, and the ratios run by run."""
    frame, other = _frame(), _frame("Kunde Ω")
    makers = {"docmail": _with_docmail, "reportlab": _with_reportlab, "fpdf2": _with_fpdf2}
    for make in makers.values():
        make(frame.head(5))
    taken: dict[str, list[float]] = {name: [] for name in makers}
    for _run in range(RUNS):
        for name, make in makers.items():
            taken[name].append(_seconds(make, frame))
    print(f"{ROWS} rows of 6 columns as a PDF, median of {RUNS} runs")
    for name, seconds in taken.items():
        ratio = statistics.median(ours / each for ours, each in zip(taken["docmail"], seconds, strict=True))
        wanted = {"reportlab": "at most 1", "fpdf2": "at most 0.167"}.get(name, "")
        print(f"  {name:10} {statistics.median(seconds):6.3f} s CPU   docmail takes {ratio:6.3f} of it   {wanted}")
    _with_docmail(other.head(5))
    unicode = statistics.median(_seconds(_with_docmail, other) for _run in range(RUNS))
    print(f"  docmail    {unicode:6.3f} s CPU with letters that take a font in the file")
    long = Document.of(pd.concat([frame] * 3).head(2_300), name="Long.pdf")
    first_page(Document.of(frame.head(5)))
    preview = statistics.median(_seconds(first_page, long) for _run in range(RUNS))
    print(f"  first page of {long.pages} as a picture: {preview:6.3f} s CPU   wanted: at most 0.150")
