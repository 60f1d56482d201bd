"""A number has the digits that its own type reads back, and the signs of the language that is asked for."""

from __future__ import annotations

import builtins
import copy
import math
import pickle
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import docmail
from docmail.errors import MessageError
from docmail.message import markdown_to_html, markdown_to_text
from docmail.reports import Report
from docmail.templates import fill
from docmail.text import columns_of, digits, grouped, localised, plain, signs_of, source_of
from docmail.text.numbers import Narrow
from docmail.text.summable import is_summable
from tests.reports.test_report import pages


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_written_out_and_is_the_same_number_when_it_is_read(value: float) -> None:
    text = digits(value)
    assert set(text) <= set("-.0123456789")
    assert math.isclose(float(text), value, rel_tol=1e-14)
    assert not text.endswith(".0")
    assert value == 0 or text.strip("-0.")


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_float_of_four_octets_has_the_digits_with_which_it_was_typed(value: float) -> None:
    narrow = plain(np.float32(value))
    assert np.float32(digits(narrow)) == np.float32(value)
    # Nine digits tell any two floats of four octets apart; a whole number may have more.
    assert len(digits(narrow).strip("-0.").replace(".", "")) <= max(9, len(f"{value:f}"))


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_a_decimal_keeps_its_own_digits(value: Decimal) -> None:
    assert Decimal(digits(value)) == value
    assert "E" not in digits(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (4000000000000002.0, "4000000000000002"),  # the number of a card, of a column with a gap
        (1000000000000002.5, "1000000000000002.5"),
        (10_000_000_000_000.03, "10000000000000.03"),
        (0.1 + 0.2, "0.3"),
        (1.005 * 1000, "1005"),
    ],
)
def test_only_what_a_calculation_adds_is_left_away(value: float, said: str) -> None:
    assert digits(value) == said


def test_a_decimal_of_a_million_places_fills_no_memory() -> None:
    assert digits(Decimal("1E+999999")) == "1E+999999"
    assert digits(10**5000) == f"1{'0' * 5000}"


def test_a_narrow_float_goes_into_other_processes_as_what_it_is() -> None:
    value = Narrow(float(np.float32(19.99)), 4)
    for other in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):  # noqa: S301
        assert (digits(other), float(other)) == ("19.99", float(value))


NARROW: list[Any] = [
    pd.DataFrame({"price": np.array([19.99, 0.1, 7], dtype="float32")}),
    pd.DataFrame({"price": pd.array([19.99, 0.1, 7], dtype="Float32")}),
    pl.DataFrame({"price": pl.Series([19.99, 0.1, 7], dtype=pl.Float32)}),
]


@pytest.mark.parametrize("frame", NARROW, ids=["NumPy", "pandas", "polars"])
def test_a_narrow_column_is_the_same_in_mails_tables_and_files(frame: Any) -> None:
    """It was 19.989999771118164."""
    assert list(columns_of(frame)[0].cells) == ["19.99", "0.10", "7.00"]
    merged = docmail.merge(
        frame, key="price", to="a@example.com", subject="{{ price }}", body="{{ price ~ '' }} {{ '%s' % price }}"
    )
    assert [(message.subject, message.body) for message in merged] == [
        *(("19.99", "19.99 19.99"), ("0.1", "0.1 0.1"), ("7", "7 7"))
    ]
    csv = docmail.Document.of(frame, name="a.csv").read().decode("utf-8-sig")
    assert csv.split() == ["price", "19.99", "0.1", "7"]


def test_how_numbers_are_written_makes_no_other_mail_of_an_old_call() -> None:
    """0.1.0 recorded the digest of what it wrote itself, also where a filter had made a text of it."""
    fields = {"x": 1e-7, "y": Decimal("1E+3"), "z": np.float32(19.99), "n": 1 / 3}
    template = (
        "{{ x }} {{ y }} {{ z }} {{ n }} {{ x ~ '!' }} {{ '%s' % z }} {{ '{}'.format(x) }} {{ [x, y] | join('+') }}"
    )
    filled = fill(template, fields, markdown=True)
    assert (
        markdown_to_text(filled)
        == "0.0000001 1000 19.99 0.3333333333333333 0.0000001! 19.99 0.0000001 0.0000001+1000\n"
    )
    former = "1e-07 1E+3 19.9899997711182 0.333333333333333 1e-07! 19.989999771118164 1e-07 1e-07+1E+3"
    assert source_of(filled).replace("\\", "") == former
    assert source_of(fill(template, fields)) == former
    assert source_of(fill("{{ x }}", {"x": 2.5})) == "2.5"
    assert type(fill("{{ x }}", {"x": 2.5})) is str


@pytest.mark.parametrize(
    ("locale", "said"),
    [
        ("af", "182\u00a0450,50"),
        ("de", "182.450,50"),
        ("fr_FR", "182\u00a0450,50"),
        ("en", "182,450.50"),
        ("en-IN", "1,82,450.50"),
        (None, "182,450.50"),
    ],
)
def test_a_language_puts_its_own_signs_between_the_digits(locale: str | None, said: str) -> None:
    frame = pd.DataFrame({"Net": [182450.5, 20.25], "Year": [2025, 2026]})
    net, year = columns_of(frame, locale=locale)
    assert net.cells[0] == said
    assert list(year.cells) == ["2025", "2026"]
    formatted = columns_of(frame, locale=locale, formats={"Net": ",.2f"}, totals=["Net"])[0]
    assert formatted.cells[0] == said
    shown = pages(Report("Q3", locale=locale).table(frame).pdf())[0]
    assert said.replace("\u00a0", " ") in shown
    assert shown == pages(Report("Q3").table(frame, locale=locale).pdf())[0]
    template = "{{ '{:,.2f}'.format(x) }} {{ year }}"
    assert fill(template, {"x": 182450.5, "year": 2026}, locale=locale) == f"{said} 2026"


def test_templates_of_a_merge_have_the_signs_of_its_language_and_are_the_same_mail() -> None:
    rows = [{"no": 1, "x": 182450.5, "y": Decimal("-0.50")}]
    subject = "{{ x }} {{ y }} {{ x | round(1) }} {{ '%.2f' % x }} {{ y ~ '' }}"
    one, other = (
        next(iter(docmail.merge(rows, key="no", to="a@example.com", subject=subject, body=subject, locale=locale)))
        for locale in ("de", None)
    )
    assert one.subject == "182.450,5 -0,50 182.450,5 182450,50 -0,50"
    assert other.subject == "182450.5 -0.50 182450.5 182450.50 -0.50"
    assert source_of(one.body) == source_of(other.body)
    assert source_of(one.subject) == other.subject


@pytest.mark.parametrize(
    "make", [lambda: signs_of("xx"), lambda: fill("x", {}, locale="tlh"), lambda: Report(locale="?")]
)
def test_a_language_that_is_none_is_refused_in_a_sentence(make: Any) -> None:
    with pytest.raises(MessageError, match="There is no locale") as caught:
        make()
    assert caught.value.field == "locale"


def test_without_babel_the_extra_is_named_and_only_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_babel(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "babel":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    signs_of.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without_babel)
    monkeypatch.delitem(sys.modules, "babel", raising=False)
    assert Report("Q3").pdf()
    with pytest.raises(ImportError, match=r"docmail\[locale\]"):
        docmail.merge([{"no": 1}], key="no", to="a@example.com", subject="x", locale="de")


def test_only_numbers_of_a_text_get_other_signs() -> None:
    assert localised("+1,234.5 % of -12", signs_of("de")) == "+1.234,5 % of -12"
    assert grouped("-1234567.25") == "-1,234,567.25"


def test_a_negative_number_has_a_minus_sign_in_html_and_pdf() -> None:
    """A hyphen is shorter than a plus, and programs break lines at it."""
    frame = pd.DataFrame({"Region": ["-N", "S"], "Net": [-1234.5, 20.25]})
    message = docmail.Message("a@example.com", "Q3", [frame])
    html, text = markdown_to_html(message.body), markdown_to_text(message.body)
    assert "\u22121,234.50<" in html
    assert "-N" in html
    assert "-1,234.50" in text
    pdf = Report("Q3").table(frame, totals=True).pdf()
    shown = pages(pdf)[0]
    assert "\u22121,234.50" in shown
    assert "-N" in shown
    assert b"FontFile" not in pdf, "the font that every reader has knows the sign"


def test_whole_numbers_that_are_added_up_are_written_like_their_total() -> None:
    frame = pd.DataFrame({"Year": [2025, 2026], "Units": [1_000_000, 2_500], "Visits": [1e6, np.nan]})
    year, units, visits = columns_of(frame, totals=True)
    assert (list(year.cells), year.total) == (["2025", "2026"], "")
    assert (list(units.cells), units.total) == (["1,000,000", "2,500"], "1,002,500")
    assert (list(visits.cells), visits.total) == (["1,000,000", ""], "1,000,000")
    assert list(columns_of(frame)[1].cells) == ["1000000", "2500"]


@pytest.mark.parametrize(
    ("frame", "total"),
    [
        ([19.99, 0.01, 0.1], "20.10"),
        ([0.001, 0.0022], "0.0032"),
        ([1 / 3, 2 / 3, 10.0], "11.00"),
        ([Decimal("0.10"), Decimal("0.20")], "0.30"),
        (np.array([19.99, 0.01], dtype="float32"), "20.00"),
    ],
)
def test_a_total_has_no_digits_of_the_calculation(frame: Any, total: str) -> None:
    assert columns_of(pd.DataFrame({"Amount": frame}), totals=True)[0].total == total


NOT_SUMMED: dict[str, list[Any]] = {
    "Year": [2024, 2025],
    "FY": [2024, 2025],
    "Jahr": [2024, 2025],
    "boekjaar": [2024, 2025],
    "x": [2024, 2025],
    "Quarter": [1, 2],
    "Invoice no.": [118, 119],
    "invoice_id": [118, 119],
    "customerId": [7, 8],
    "Kundennummer": [7, 8],
    "Faktuurnommer": [7, 8],
    "PLZ": [80331, 10115],
    "Invoice": [118, 119],
    "Share": [0.25, 0.75],
    "Market share": [12.5, 3],
    "% of total": [12.5, 87.5],
    "Growth": [0.1, 0.2],
    "Margin": [0.25, 0.3],
    "Umsatzanteil": [0.5, 0.5],
    "Conversion rate": [0.02, 0.03],
    "Average order value": [12.5, 13.5],
    "Price": [2.5, 3.5],
    "unitPrice": [2.5, 3.5],
    "Price per unit": [2.5, 3.5],
    "EUR/kg": [2.5, 3.5],
    "Einzelpreis": [2.5, 3.5],
    "Eenheidsprys": [2.5, 3.5],
}
SUMMED: dict[str, list[Any]] = {
    "Revenue": [1234.5, 2.25],
    "Umsatz": [2000, 2001],
    "Umsatz Vorjahr": [1950, 2001],
    "Last month": [30, 12],
    "Units": [1950, 2010],
    "Quantity": [1, 2],
    "Number of items": [1, 2],
    "Order value": [12.5, 13.5],
    "Total price": [12.5, 13.5],
    "Invoice amount": [12.5, 13.5],
    "Rechnungsbetrag": [12.5, 13.5],
    "Margin": [1200.5, 300.0],
    "Account balance": [12.5, -13.5],
    "2025": [2000, 2001],
    "a": [0.1, 0.2],
}


@pytest.mark.parametrize("name", NOT_SUMMED)
def test_no_total_is_made_of_what_cannot_be_added_up_unless_it_is_named(name: str) -> None:
    frame = pd.DataFrame({name: NOT_SUMMED[name]})
    assert columns_of(frame, totals=True)[0].total == ""
    assert columns_of(frame, totals=[name])[0].total
    assert not is_summable(("2025", name), NOT_SUMMED[name])


@pytest.mark.parametrize("name", SUMMED)
def test_a_total_is_made_of_amounts_and_counts(name: str) -> None:
    assert columns_of(pd.DataFrame({name: SUMMED[name]}), totals=True)[0].total
