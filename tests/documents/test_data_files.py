"""A table that is sent as data holds what it held: text, numbers with all their digits, and all its heads."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import warnings
from decimal import Decimal
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import docmail
from docmail.documents import Document
from docmail.errors import DocumentError
from docmail.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMULAS = ["=1+1", '=HYPERLINK("http://x.example","y")', "+1", "-1", "@SUM(A1)", "#N/A", "007", "\tx", "'x"]


def sheet_of(source: Any) -> list[list[Any]]:
    """Return the cells of what becomes an Excel file, as openpyxl reads them."""
    sheet = openpyxl.load_workbook(io.BytesIO(Document.of(source, name="a.xlsx").read())).active
    return [list(row) for row in sheet]


def values_of(source: Any) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet_of(source)]


def lines_of(source: Any) -> list[list[str]]:
    """Return the cells of what becomes a CSV file, as Python reads them."""
    text = Document.of(source, name="a.csv").read().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_text_stays_text_whatever_sign_it_begins_with(make: Callable[[Any], Any]) -> None:
    """A formula from a data set would calculate, or call a server, on the computer of who opens it."""
    frame = make({"=head": FORMULAS})
    head, *cells = (row[0] for row in sheet_of(frame))
    assert [cell.value for cell in (head, *cells)] == ["=head", *FORMULAS]
    assert {cell.data_type for cell in (head, *cells)} == {"s"}
    assert all(cell.quotePrefix == (cell.value[0] in "=+-@") for cell in cells)
    assert [row[0] for row in lines_of(frame)] == ["=head", *FORMULAS]
    # Excel, but not openpyxl, reads such a mark as a character: _x005F_ is the underscore.
    assert values_of(make({"a": ["_x0041_"]}))[1] == ["_x005F_x0041_"]


NUMBERS: list[tuple[Any, Any, str, str]] = [
    (12345678901234567, "12345678901234567", "General", "12345678901234567"),
    (-(10**15), "-1000000000000000", "General", "-1000000000000000"),
    (999_999_999_999_999, 999_999_999_999_999, "0", "999999999999999"),
    (1234567890123456.0, "1234567890123456", "General", "1234567890123456"),
    (Decimal("12345678901234567.89"), "12345678901234567.89", "General", "12345678901234567.89"),
    (Decimal("1.50"), 1.5, "0.00", "1.50"),
    (Decimal("1E+3"), 1000, "0", "1000"),
    (1e-7, 1e-7, "0.0000000", "0.0000001"),
    (0.1 + 0.2, 0.3, "General", "0.3"),
    (2026, 2026, "General", "2026"),
    (np.float32(19.99), 19.99, "General", "19.99"),
    (float("inf"), "inf", "General", "inf"),
    (True, True, "General", "True"),
]


@pytest.mark.parametrize(("number", "value", "form", "text"), NUMBERS, ids=lambda each: repr(each)[:24])
def test_a_number_has_all_its_digits_in_both(number: Any, value: Any, form: str, text: str) -> None:
    """Excel keeps fifteen, shows twelve, and writes what is small or large as 1E-07."""
    frame = pd.DataFrame({"n": pd.Series([number], dtype=object)})
    cell = sheet_of(frame)[1][0]
    assert (cell.value, cell.number_format) == (value, form)
    assert lines_of(frame)[1] == [text]


def test_days_and_moments_are_those_of_excel_and_what_it_does_not_know_is_text() -> None:
    frame = pd.DataFrame(
        {
            "day": pd.to_datetime(["2026-03-01", None]),
            "moment": pd.to_datetime(["2026-03-01 10:30", "2026-03-02"], format="mixed"),
            "old": [dt.date(1815, 6, 18), dt.date(2026, 3, 1)],
            "span": pd.to_timedelta(["26 hours", "-1 hours"]),
        }
    )
    (_heads, first, second) = sheet_of(frame)
    assert [cell.value for cell in first[:2]] == [dt.datetime(2026, 3, 1), dt.datetime(2026, 3, 1, 10, 30)]  # noqa: DTZ001
    assert [cell.number_format for cell in first] == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "General", "[h]:mm:ss"]
    assert (first[2].value, first[3].value) == ("1815-06-18", dt.timedelta(hours=26))
    assert (second[0].value, second[3].data_type) == (None, "s")
    assert lines_of(frame)[1:] == [
        ["2026-03-01", "2026-03-01 10:30:00", "1815-06-18", "1 days 02:00:00"],
        ["", "2026-03-02 00:00:00", "2026-03-01", "-1 days +23:00:00"],
    ]


ZONED = pd.to_datetime(["2026-01-01"], utc=True)
REFUSED: list[tuple[Any, str, str]] = [
    (pd.DataFrame({"when": ZONED}), "“when”", r'df["when"] = df["when"].dt.tz_localize(None)'),
    (pd.DataFrame({"a": [1]}, index=pd.Index(ZONED, name="when")), "“when”", "tz_localize"),
    (pl.DataFrame({"when": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]}), "“when”", "dt.replace_time_zone(None)"),
    (pd.DataFrame({"a": [1], "Note": ["ding\x07"]}), "“Note” contains the character U+0007 in row 1", "chr(7)"),
    (pl.DataFrame({"Note": ["", "\x1b[31m"]}), "“Note” contains the character U+001B in row 2", "replace_all(chr(27)"),
    (pd.DataFrame({"Note\x00": ["x"]}), "the heading of the column “Note·” contains", "Rename"),
    (pd.DataFrame({"Note": ["x" * 32_768]}), "“Note” contains a text of 32,768 characters", "ends in .csv"),
]


@pytest.mark.parametrize(("frame", "words", "cure"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_what_excel_cannot_hold_is_refused_with_its_column_and_the_cure(frame: Any, words: str, cure: str) -> None:
    with pytest.raises(DocumentError) as caught:
        Document.of(frame, name="a.xlsx")
    assert words in caught.value.message
    assert cure in str(caught.value.hint)


def test_a_cure_that_is_given_cures() -> None:
    df = pd.DataFrame({"Note": ["ding\x07"], "when": ZONED})
    for _line in range(2):
        with pytest.raises(DocumentError) as caught:
            Document.of(df, name="a.xlsx")
        line = re.search(r'df\["\w+"\] = .*\)', str(caught.value.hint))
        assert line is not None
        exec(line[0], {"df": df})  # noqa: S102 - as the user would run it
    assert values_of(df)[1] == ["ding ", dt.datetime(2026, 1, 1)]  # noqa: DTZ001


def test_half_a_character_cannot_be_written_in_either() -> None:
    for name in ("a.csv", "a.xlsx"):
        with pytest.raises(DocumentError, match=r"“Note” contains the character U\+D800"):
            Document.of(pd.DataFrame({"Note": ["\ud800"]}), name=name)


def test_heads_of_two_levels_stand_above_each_other() -> None:
    """As pivot_table() makes them; pandas itself refuses to write them without an index."""
    sales = pd.DataFrame({"Region": ["N", "S"], "Year": [2025, 2026], "Net": [1.5, 2.0]})
    pivot = sales.pivot_table(index="Region", columns="Year", values=["Net"], aggfunc="sum").reset_index()
    heads = [["Region", "Net", "Net"], ["", "2025", "2026"]]
    assert lines_of(pivot) == [*heads, ["N", "1.5", ""], ["S", "", "2"]]
    assert values_of(pivot) == [heads[0], [None, 2025, 2026], ["N", 1.5, None], ["S", None, 2]]
    assert Document.of(pivot).pages == 1
    kept = sales.pivot_table(index="Region", columns="Year", values=["Net"])
    assert values_of(kept)[1] == ["Region", 2025, 2026]


COLUMNS: list[tuple[Any, list[list[str]]]] = [
    (pd.Series([1.5, 2], name="a"), [["a"], ["1.5"], ["2"]]),
    (pd.Series([1, 2]), [[""], ["1"], ["2"]]),
    (pd.Series([1], name="a", index=["x"]), [["", "a"], ["x", "1"]]),
    (pd.Series(["x"], dtype="category", name="c"), [["c"], ["x"]]),
    (pl.Series("a", [1.5, 2.0]), [["a"], ["1.5"], ["2"]]),
    (pl.Series(["x"]), [[""], ["x"]]),
    (pd.Index(["x", "y"], name="key"), [["key"], ["x"], ["y"]]),
    (pd.Index([1, 2]), [[""], ["1"], ["2"]]),
    (pd.RangeIndex(2, name="n"), [["n"], ["0"], ["1"]]),
    (pd.date_range("2026-01-01", periods=1, name="day"), [["day"], ["2026-01-01"]]),
    (pd.MultiIndex.from_tuples([("x", 1)], names=["a", "b"]), [["a", "b"], ["x", "1"]]),
]


@pytest.mark.parametrize(("source", "lines"), COLUMNS, ids=[str(number) for number in range(len(COLUMNS))])
def test_a_series_and_an_index_are_documents_in_every_form(source: Any, lines: list[list[str]]) -> None:
    assert lines_of(source) == lines
    assert len(values_of(source)) == len(lines)
    assert Document.of(source).pages == 1
    assert "table" not in docmail.Message("a@example.com", "x", [source]).body


def test_line_ends_in_a_cell_stay_in_it() -> None:
    texts = ["a\nb", "a\r\nb", "a\rb", 'a "b"', "a,b;c", " a "]
    assert [row[0] for row in lines_of(pd.DataFrame({"x": texts}))[1:]] == texts
    assert [row[0] for row in values_of(pd.DataFrame({"x": texts}))[1:]] == ["a\nb", "a\nb", "a\nb", *texts[3:]]


def test_a_table_without_columns_and_one_that_is_too_long_for_excel_are_refused() -> None:
    for name in ("a.csv", "a.xlsx"):
        with pytest.raises(DocumentError, match="no columns"):
            Document.of(pd.DataFrame(), name=name)
    with pytest.raises(DocumentError, match="no room for 1,048,576 rows"):
        Document.of(pd.DataFrame({"a": np.zeros(1_048_576)}), name="a.xlsx")


CELLS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20),
    st.floats(allow_nan=False),
    st.integers(),
    st.booleans(),
    st.none(),
    st.decimals(allow_nan=False),
    st.datetimes(),
    st.dates(),
    st.timedeltas(),
)


@given(st.lists(CELLS, min_size=1, max_size=6))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_table_is_a_file_that_others_read(values: list[Any]) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "y": range(len(values))})
    with warnings.catch_warnings():
        rows = values_of(frame)
    lines = lines_of(frame)
    assert len(rows) == len(lines) == len(values) + 1
    for value, row, line in zip(values, rows[1:], lines[1:], strict=True):
        if isinstance(value, str):
            assert row[0] == (value or None)
            assert line[0] == value
        if isinstance(value, int) and not isinstance(value, bool):
            assert str(row[0]) == line[0] == str(value)


# --- in a mail ---


def test_every_text_says_its_charset_and_excel_knows_that_of_a_csv_file(tmp_path: Path) -> None:
    """Without a mark at its beginning, Excel shows Ã¼ for ü."""
    for name, text, encoding in (("u.txt", "ü", "utf-8"), ("w.txt", "ü", "utf-16"), ("c.txt", "ü", "cp1252")):
        (tmp_path / name).write_text(text, encoding)
    documents: list[Any] = [
        Document.of(pd.DataFrame({"Name": ["Ünal"]}), name="pandas.csv"),
        Document.of(pl.DataFrame({"Name": ["Ünal"]}), name="polars.csv"),
        Document.of(b"plain", name="notes.md"),
        Document.of(("ü" * 700_000).encode(), name="lang über.txt"),
        *(tmp_path / name for name in ("u.txt", "w.txt", "c.txt")),
        Document.of(b"%PDF-1.4\n%%EOF", name="a.pdf"),
    ]
    with docmail.Sandbox() as box:
        outbox = Outbox()
        outbox.add(docmail.Message("a@example.com", "x", "", documents), key="k", settings=box.settings)
        outbox.run(settings=box.settings)
        parts = list(message_from_bytes(box.inbox[0].raw, policy=policy.default).iter_attachments())
    assert [part["Content-Type"] for part in parts] == [
        *('text/csv; charset="utf-8"', 'text/csv; charset="utf-8"', 'text/markdown; charset="utf-8"'),
        *('text/plain; charset="utf-8"', 'text/plain; charset="utf-8"', 'text/plain; charset="utf-16"'),
        *("text/plain", "application/pdf"),  # what cannot be known is not said
    ]
    contents = [part.get_content() for part in parts]
    assert contents[:2] == ["\ufeffName\nÜnal\n"] * 2
    assert contents[4:6] == ["ü"] * 2
    assert documents[0].media_type == "text/csv"
