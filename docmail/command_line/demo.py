"""Makes a realistic invoice, for `python -m docmail demo` and for trying things out."""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docmail.look import Look
    from docmail.reports import Report

NUMBER = "2026-118"

_COLOUR = "#0a5c8c"
_VAT = Decimal("0.20")
_ITEMS = (
    ("Quarterly financial report, consolidation of three entities", 1, Decimal(1850)),
    ("Analyst hours, cash-flow forecast", 14, Decimal(95)),
    ("Dashboard maintenance, monthly", 3, Decimal(120)),
    ("Printed board pack, 64 pages, bound", 8, Decimal("22.50")),
)


@cache
def look() -> Look:
    """Return the look of the company that sends the invoice; it is invented, and its footer says so."""
    from docmail.look import Look

    return Look(
        "Larkfield Analytics",
        logo=_logo(),
        colour=_COLOUR,
        signature="Larkfield Analytics\n14 Harbour Street, Dublin 2, Ireland",
        footer="Larkfield Analytics · 14 Harbour Street, Dublin 2, Ireland · accounts@example.com · VAT IE0000000X\n"
        "An invented company: this shows what docmail makes.",
        currency="EUR",
    )


def _logo() -> bytes:
    """Return three bars that rise, on a rounded square."""
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (384, 384))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, 383, 383), 72, fill=_COLOUR)
    for left, top in ((88, 216), (164, 152), (240, 88)):
        draw.rounded_rectangle((left, top, left + 52, 296), 10, fill="white")
    file = io.BytesIO()
    image.resize((192, 192), Image.Resampling.LANCZOS).save(file, "PNG")
    return file.getvalue()


def invoice(number: str = NUMBER, date: dt.date | None = None) -> Report:
    """Return a one-page invoice: letterhead, addressee, dates, table with a total, terms."""
    from docmail.reports import Report

    date = date or dt.datetime.now().astimezone().date()
    due = date + dt.timedelta(days=30)
    items = "\n".join(
        f"| {text} | {quantity} | {price:,.2f} | {quantity * price:,.2f} |" for text, quantity, price in _ITEMS
    )
    net = sum((quantity * price for _text, quantity, price in _ITEMS), Decimal())
    return Report(f"Invoice {number}", look=look(), date=date).text(f"""\
**Cedar & Pine Ltd**
Chief Financial Officer
7 Mill Lane, Cork, Ireland
cfo@example.com

| Description | Qty | Price | Amount |
|---|---:|---:|---:|
{items}
| Net | | | {net:,.2f} |
| VAT 20 % | | | {net * _VAT:,.2f} |
| **Total, due {due:%d %B %Y}** | | | **EUR {net + net * _VAT:,.2f}** |

### Payment
Please transfer the total by {due:%d %B %Y}, quoting {number}. Thank you.

IBAN IE00 TEST 0000 0000 0000 00
""")
