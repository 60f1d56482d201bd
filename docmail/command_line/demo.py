"""Makes a realistic invoice, for `python -m docmail demo` and for trying things out."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpdf import FPDF

NUMBER = "2026-118"

_INK, _GREY, _RULE, _BAND = (33, 37, 41), (110, 118, 125), (205, 210, 214), (31, 78, 95)
_MARGIN = 20
_WIDTHS = (92, 18, 30, 30)
_VAT = Decimal("0.20")


@dataclass(frozen=True)
class _Item:
    text: str
    quantity: int
    price: Decimal

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.price


_ITEMS = (
    _Item("Quarterly financial report, consolidation of three entities", 1, Decimal(1850)),
    _Item("Analyst hours, cash-flow forecast", 14, Decimal(95)),
    _Item("Dashboard maintenance, monthly", 3, Decimal(120)),
    _Item("Printed board pack, 64 pages, bound", 8, Decimal("22.50")),
)


def invoice(number: str = NUMBER, date: dt.date | None = None) -> FPDF:
    """Return a one-page invoice: header, addressee, table, total, terms."""
    from fpdf import FPDF

    date = date or dt.datetime.now().astimezone().date()
    pdf = FPDF(format="A4")
    pdf.set_title(f"Invoice {number}")
    pdf.set_author("Larkfield Analytics")
    pdf.set_margin(_MARGIN)
    pdf.add_page()
    _head(pdf, number, date)
    _table(pdf)
    _foot(pdf, number, date)
    return pdf


def _text(pdf: FPDF, size: float, text: str, style: str = "", align: str = "L") -> None:
    """Write lines; the style is "B" for bold, "grey", or nothing."""
    pdf.set_font("Helvetica", "B" if style == "B" else "", size)
    pdf.set_text_color(*(_GREY if style == "grey" else _INK))
    pdf.multi_cell(0, size * 0.5, text, align=align, new_x="LMARGIN", new_y="NEXT")


def _head(pdf: FPDF, number: str, date: dt.date) -> None:
    pdf.set_fill_color(*_BAND)
    pdf.rect(0, 0, pdf.w, 8, style="F")
    pdf.set_y(22)
    _text(pdf, 18, "Larkfield Analytics", "B")
    _text(pdf, 9, "14 Harbour Street, Dublin 2, Ireland\naccounts@example.com  |  VAT IE0000000X", "grey")
    pdf.set_y(22)
    _text(pdf, 18, "INVOICE", "B", align="R")
    due = date + dt.timedelta(days=30)
    _text(pdf, 9, f"No. {number}\nDate {date:%d %B %Y}\nDue {due:%d %B %Y}", "grey", align="R")
    pdf.set_y(58)
    _text(pdf, 8, "BILLED TO", "grey")
    _text(pdf, 11, "Cedar & Pine Ltd", "B")
    _text(pdf, 10, "Chief Financial Officer\n7 Mill Lane, Cork, Ireland\ncfo@example.com")
    pdf.ln(10)


def _table(pdf: FPDF) -> None:
    pdf.set_draw_color(*_RULE)
    pdf.set_font("Helvetica", "B", 9)
    pdf.set_text_color(255, 255, 255)
    pdf.set_fill_color(*_BAND)
    for title, width in zip(("  Description", "Qty", "Price", "Amount  "), _WIDTHS, strict=True):
        pdf.cell(width, 9, title, align="L" if width == _WIDTHS[0] else "R", fill=True)
    pdf.ln()
    pdf.set_font("Helvetica", "", 9.5)
    pdf.set_text_color(*_INK)
    for item in _ITEMS:
        cells = (f"  {item.text}", str(item.quantity), f"{item.price:,.2f}", f"{item.amount:,.2f}  ")
        for text, width in zip(cells, _WIDTHS, strict=True):
            pdf.cell(width, 10, text, border="B", align="L" if width == _WIDTHS[0] else "R")
        pdf.ln()
    net = sum((item.amount for item in _ITEMS), Decimal())
    vat = net * _VAT
    pdf.ln(4)
    for label, amount, bold in (("Net", net, False), ("VAT 20 %", vat, False), ("Total EUR", net + vat, True)):
        pdf.set_font("Helvetica", "B" if bold else "", 12 if bold else 9.5)
        pdf.cell(_WIDTHS[0] + _WIDTHS[1], 8)
        pdf.cell(_WIDTHS[2], 8, label, border="T" if bold else 0, align="R")
        pdf.cell(_WIDTHS[3], 8, f"{amount:,.2f}  ", border="T" if bold else 0, align="R", new_x="LMARGIN", new_y="NEXT")


def _foot(pdf: FPDF, number: str, date: dt.date) -> None:
    pdf.ln(16)
    _text(pdf, 9, "PAYMENT", "B")
    due = date + dt.timedelta(days=30)
    _text(
        pdf,
        9,
        f"Please transfer the total by {due:%d %B %Y} to IBAN IE00 TEST 0000 0000 0000 00,\n"
        f"quoting {number}. Thank you.",
    )
    pdf.set_y(-30)
    _text(pdf, 8, "Larkfield Analytics is an invented company; this invoice demonstrates docmail.", "grey", align="C")
