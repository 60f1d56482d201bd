"""Shares and sums of money are written as readers of tables expect them, by their exact digits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from docmail.errors import DocumentError
from docmail.text import columns_of

GAP = "\xa0"


def cells(values: list[Any], form: str, **options: Any) -> list[str]:
    (column,) = columns_of(pd.DataFrame({"x": values}), formats={"x": form}, **options)
    return list(column.cells)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.125, 0.5, 1], ["12.5%", "50.0%", "100.0%"]),
        ([0.07, 0.29], ["7%", "29%"]),  # 0.07 * 100 is 7.000000000000001, and 0.29 * 100 is 28.999999999999996
        ([1 / 3, 2 / 3], ["33.3%", "66.7%"]),
        ([0.123456], ["12.35%"]),
        ([-0.004, 0.0], ["-0.4%", "0.0%"]),
        ([12.5], ["1,250%"]),
        ([0.5, float("nan")], ["50%", ""]),
        ([0.5, float("inf")], ["50%", "inf"]),
        ([Decimal("0.1250"), Decimal(1)], ["12.50%", "100.00%"]),
        ([np.float32(0.1)], ["10%"]),
    ],
    ids=repr,
)
def test_a_share_has_the_places_of_its_column(values: list[Any], said: list[str]) -> None:
    assert cells(values, "percent") == said


@pytest.mark.parametrize(
    ("code", "values", "said"),
    [
        ("EUR", [1850, 22.5, 0.125], ["EUR 1,850.00", "EUR 22.50", "EUR 0.13"]),
        ("USD", [1.005, 2.675], ["USD 1.01", "USD 2.68"]),  # as the digits say, not as the floats' binary fractions do
        ("JPY", [1850.0, 22.5], ["JPY 1,850", "JPY 23"]),
        ("KWD", [1.0], ["KWD 1.000"]),
        ("ZAR", [-12.5, None], ["-ZAR 12.50", ""]),
        ("EUR", [-0.001], ["EUR 0.00"]),
        ("EUR", [Decimal("1E+3")], ["EUR 1,000.00"]),
        ("EUR", [10**30], [f"EUR 1{',000' * 10}.00"]),
    ],
    ids=repr,
)
def test_an_amount_has_its_currency_and_the_places_of_it(code: str, values: list[Any], said: list[str]) -> None:
    assert cells(values, code) == [each.replace(" ", GAP) for each in said]
    assert cells(values, "currency", currency=code) == cells(values, code)


@pytest.mark.parametrize(
    ("locale", "amount", "rand", "share"),
    [
        ("de-DE", f"-1.850,00{GAP}€", f"12,50{GAP}ZAR", f"12,5{GAP}%"),
        ("en-US", "-€1,850.00", f"ZAR{GAP}12.50", "12.5%"),
        ("en-ZA", f"-€1{GAP}850,00", "R12,50", "12,5%"),
        ("en-IN", "-€1,850.00", f"ZAR{GAP}12.50", "12.5%"),
        ("tr", "-€1.850,00", f"ZAR{GAP}12,50", "%12,5"),
        ("nl", f"-€{GAP}1.850,00", f"ZAR{GAP}12,50", "12,5%"),
        ("fr", f"-1{GAP}850,00{GAP}€", f"12,50{GAP}ZAR", f"12,5{GAP}%"),
    ],
)
def test_a_locale_has_its_own_signs_and_places_for_them(locale: str, amount: str, rand: str, share: str) -> None:
    assert cells([-1850], "EUR", locale=locale) == [amount]
    assert cells([12.5], "ZAR", locale=locale) == [rand]
    assert cells([0.125], "percent", locale=locale) == [share]


def test_such_columns_stand_at_the_right_and_are_added_up_in_their_currency() -> None:
    frame = pl.DataFrame({"Amount": [1.5, 2.25], "Share": [0.4, 0.6]})
    amount, share = columns_of(frame, totals=True, formats={"Amount": "EUR", "Share": "percent"})
    assert (amount.total, amount.right) == (f"EUR{GAP}3.75", True)
    assert (share.total, share.right) == ("", True)


def test_what_cannot_be_written_so_is_refused_with_the_column_and_the_cure() -> None:
    with pytest.raises(DocumentError, match="“x” shall be written as a currency, but which currency") as caught:
        cells([1.5], "currency")
    assert caught.value.hint == 'Write its code, as in formats={"x": "EUR"}, or give the look a currency.'
    for form in ("percent", "EUR"):
        with pytest.raises(DocumentError, match=f"'{form}' does not suit the value ten: it is no number"):
            cells([1.5, "ten"], form)
