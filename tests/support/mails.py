"""Mails of every kind that people send, in the looks that they give them, as HTML: for tests that look at them."""

from __future__ import annotations

import base64
import datetime as dt
import io
from functools import cache
from typing import Any

import great_tables
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from docmail.look import Look
from docmail.message import Message
from docmail.settings import Settings, SmtpServer

SERVER = SmtpServer("mail.example.com", username="accounts@example.com")
LONG = (
    "https://portal.example.com/accounts/2026/invoices/INV-1077/statement?customer=000123456789&view=full&" + "x" * 80
)


def logo(size: tuple[int, int] = (900, 200), form: str = "PNG", mode: str = "RGBA") -> bytes:
    """Return a picture that may be a logo: a dark triangle, without any ground where the form has none."""
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    ImageDraw.Draw(image).polygon([(0, size[1]), (size[0] // 2, 0), (size[0], size[1])], fill=(16, 60, 90, 255))
    file = io.BytesIO()
    image.convert(mode).save(file, form)
    return file.getvalue()


def figure(title: str = "Revenue by month", size: tuple[float, float] = (6.4, 3.2)) -> Figure:
    """Return a figure of matplotlib's."""
    made = Figure(figsize=size)
    axes = made.subplots()
    axes.bar(["Oct", "Nov"], [480, 511])
    axes.set_title(title)
    return made


LETTERHEAD = Look(
    "Example Ltd",
    logo=logo(),
    colour="#0a5c8c",
    signature="Kind regards\n\n**Ann Adams**  \n[accounts@example.com](mailto:accounts@example.com)",
    footer="Example Ltd · 1 Long Street, Cape Town · Registration 2019/012345/07",
)
LOOKS = {
    "plain": Look.PLAIN,
    "letterhead": LETTERHEAD,
    "square": Look("Example Bakery", logo=logo((400, 400), "JPEG", "RGB"), colour="#b43c28", signature="Ben Botha"),
    "name": Look("Example Analytics", colour="#5b3fa0"),
    "signature": Look(signature="Carol Nkosi"),
}

ITEMS = pd.DataFrame({"Description": ["Consulting", "Report"], "Hours": [12, 4.5], "Amount": [11400.0, 4400.25]})
REGIONS = pd.DataFrame(
    {
        "Region": ["North", "South"],
        "Revenue": [182450.5, 97120.25],
        "Cost": [120300.5, 80110.25],
        "Margin": [62150.25, 17009.75],
        "Change": ["+12 %", "-3 %"],
    }
)
STATEMENT = pd.DataFrame(
    {
        "Date": [dt.date(2026, 9, 30), dt.date(2026, 10, 15)],
        "Reference": ["INV-1041", "PMT-2201"],
        "Description": ["Invoice", "Payment received, thank you"],
        "Debit": [18250.5, None],
        "Credit": [None, 18250.5],
        "Balance": [18250.5, 0.0],
    }
)

BODIES: dict[str, Any] = {
    "invoice": ["Dear Ms Botha,\n\nplease find attached **INV-1118**.", ITEMS, "*Total* due: `R 22,925.00`"],
    "reminder": f"Dear Mr Adams,\n\n- due: 30 November\n- overdue\n  - 14 days\n    - deeper\n\n> Quote it.\n\n{LONG}",
    "report": [
        "# November\n\nUp by **6 %**.",
        figure(),
        "## By region",
        REGIONS,
        "### Notes\n\n31. Audit\n30. More\n\n---\n\n~~old~~\n\n```python\n"
        + "report = sales.groupby('region')" * 8
        + "\n```",
    ],
    "statement": ["Dear Ms Botha,\n\nyour account:", STATEMENT],
    "prices": ["# Prices\n\n1. Bread\n2. Rolls", pd.DataFrame({"Bread": ["Rye"], "Price": [59.5]}), "Free from R 500."],
    "hebrew": ["שלום חנה,\n\nמצורפת חשבונית **1118**.", pd.DataFrame({"תיאור": ["שירות"], "סכום": [11400.5]}), "תודה"],  # noqa: RUF001
    "styled": [
        "Dear all,",
        REGIONS.style.hide(axis="index").background_gradient(subset=["Revenue"]).bar(subset=["Cost"]).set_caption("Q3"),
        great_tables.GT(REGIONS).tab_header("Regions", "November").fmt_currency("Revenue").tab_source_note("The books"),
    ],
    "wide": pd.DataFrame([[f"{'long ' * column}word" for column in range(15)]]),
    "words": f"{'supercalifragilistic' * 9}\n\n- {'x' * 90}\n\n| a | b |\n|---|---|\n| {LONG} | 5 |\n\n`{'y' * 120}`",
}


@cache
def html_of(body: str, look: str) -> str:
    """Return the HTML of one of these bodies in one of these looks, with its pictures in it."""
    settings = Settings("Example Ltd <accounts@example.com>", SERVER, look=LOOKS[look])
    mail = Message("ann@example.com", "x", BODIES[body]).render(settings).parsed()
    part = mail.get_body(("html",))
    assert part is not None
    html: str = part.get_content().replace("\r\n", "\n")
    for each in mail.walk():
        if name := str(each.get("Content-ID", "")).strip("<>"):
            picture: Any = each.get_content()
            html = html.replace(f"cid:{name}", f"data:image/png;base64,{base64.b64encode(picture).decode()}")
    return html
