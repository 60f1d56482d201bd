"""A time is read as a person means it, in the computer's time zone or another, and on two nights of the year."""
# ruff: noqa: DTZ001, DTZ901 - times without a zone are what it is about

from __future__ import annotations

import datetime as dt
import time
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import docmail
from docmail.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Iterator

BERLIN = ZoneInfo("Europe/Berlin")
SEVEN = dt.datetime(2026, 12, 7, 6, 0, tzinfo=dt.UTC)  # in Berlin


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the computer stand in Berlin."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def moment(value: Any) -> dt.datetime:
    found = docmail.Message("ann@example.com", "Hello", send_at=value).send_at
    assert found is not None
    assert found.utcoffset() == dt.timedelta(0)
    return found


@pytest.mark.parametrize(
    "given_time",
    [
        "2026-12-07 07:00",
        "2026-12-07T07:00",
        "2026-12-07  7:00",
        "2026-12-7 7:00:00",
        "2026/12/07 07:00",
        "2026-12-07 07:00:00.000",
        "2026-12-07T06:00:00Z",
        "2026-12-07 08:00+02:00",
        "2026-12-07 08:00 +0200",
        "2026-12-07 01:00 \N{MINUS SIGN}05:00",
        "2026-12-07 01:00 America/New_York",
        "2026-12-07 06:00 UTC",
        dt.datetime(2026, 12, 7, 7),
        dt.datetime(2026, 12, 7, 7, tzinfo=BERLIN),
        dt.datetime(2026, 12, 7, 6, tzinfo=dt.UTC),
        pd.Timestamp("2026-12-07 07:00"),
        pd.Timestamp("2026-12-07 07:00", tz="Europe/Berlin"),
        pd.Timestamp("2026-12-07 06:00", tz="UTC"),
    ],
)
def test_a_time_is_read_as_it_is_meant(given_time: Any) -> None:
    assert moment(given_time) == SEVEN


def test_a_summer_time_is_two_hours_from_utc_and_a_winter_time_one() -> None:
    assert moment("2026-07-07 07:00") == dt.datetime(2026, 7, 7, 5, tzinfo=dt.UTC)
    assert moment("2026-12-07 07:00") == SEVEN


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "tomorrow",
        "07:00",
        "2026-12-07",
        dt.date(2026, 12, 7),
        "7.12.2026 07:00",  # people disagree on which of two numbers is the day
        "12/7/2026 07:00",
        "2026-02-30 07:00",
        "2026-12-07 24:30",
        "2026-12-07 07:00 PM",
        "2026-12-07 07:00 Berlin",
        "2026-12-07 07:00 Europe",  # a folder of the data base of time zones
        "2026-12-07 07:00 ../../etc/passwd",
        "2026-12-07 07:00 +99:00",
        "0001-01-01 00:00",
        "9999-12-31 23:59 -05:00",
        dt.datetime.min,
        46363.29,
        1_796_623_200,
        True,
        b"2026-12-07 07:00",
        pd.NaT,
        float("nan"),
        dt.time(7),
        dt.timedelta(hours=1),
    ],
)
def test_what_is_no_time_is_refused_in_a_sentence(wrong: Any) -> None:
    with pytest.raises(MessageError) as caught:
        moment(wrong)
    assert caught.value.field == "send_at"
    assert "2026-12-07 07:00" in caught.value.hint


@pytest.mark.parametrize("missing", [pd.NaT, float("nan"), np.datetime64("NaT", "s")])
def test_a_missing_time_is_said_to_be_missing(missing: Any) -> None:
    with pytest.raises(MessageError, match="missing value"):
        moment(missing)


GONE = "2026-03-29 02:30"
TWICE = "2026-10-25 02:30"


@pytest.mark.parametrize(
    "gone",
    [
        GONE,
        f"{GONE} Europe/Berlin",
        dt.datetime(2026, 3, 29, 2, 30),
        dt.datetime(2026, 3, 29, 2, 30, fold=1),
        dt.datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),
        pd.Timestamp(GONE),
    ],
)
def test_an_hour_that_the_night_leaves_out_is_refused_with_its_neighbours(gone: Any) -> None:
    with pytest.raises(MessageError, match="There is no 2026-03-29 02:30") as caught:
        moment(gone)
    assert caught.value.hint == "Write 2026-03-29 01:30 or 2026-03-29 03:30."


@pytest.mark.parametrize(
    "twice",
    [
        TWICE,
        f"{TWICE} Europe/Berlin",
        dt.datetime(2026, 10, 25, 2, 30),
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    ],
)
def test_an_hour_that_comes_twice_is_the_first_one_and_that_is_said(twice: Any) -> None:
    with pytest.warns(
        UserWarning, match="02:30 comes twice .* 2026-10-25 02:30[+]02:00. Write 2026-10-25 02:30[+]01:00"
    ):
        assert moment(twice) == dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("exact", "hour"),
    [
        ("2026-10-25 02:30+02:00", 0),
        ("2026-10-25 02:30+01:00", 1),
        (dt.datetime(2026, 10, 25, 2, 30, fold=1), 1),
        (dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), 1),
        (pd.Timestamp(TWICE).tz_localize(BERLIN, ambiguous=False), 1),
        (pd.Timestamp(TWICE).tz_localize(BERLIN, ambiguous=True), 0),
    ],
)
def test_who_says_which_of_the_two_is_taken_at_the_word(exact: Any, hour: int) -> None:
    assert moment(exact) == dt.datetime(2026, 10, 25, hour, 30, tzinfo=dt.UTC)


def test_the_hours_beside_those_of_the_two_nights_are_ordinary_ones() -> None:
    for text, hour in (
        ("2026-03-29 01:59", 0),
        ("2026-03-29 03:00", 1),
        ("2026-10-25 01:59", 23),
        ("2026-10-25 03:00", 2),
    ):
        assert moment(text).hour == hour


@hypothesis_settings(max_examples=30)
@given(st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2037, 1, 1), timezones=st.just(BERLIN)))
def test_a_moment_is_the_same_as_an_object_as_a_text_and_in_a_copy(value: dt.datetime) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            found = moment(value)
        except MessageError as exc:
            assert "There is no" in str(exc)  # noqa: PT017 - the only reason
            return
    text = found.replace(microsecond=0).astimezone(BERLIN).isoformat(" ")
    assert moment(text) == found.replace(microsecond=0)
    message = docmail.Message("ann@example.com", "Hello", send_at=found)
    assert replace(message, subject="x").send_at == found


ROWS = [
    {"no": 1, "to": "ann@example.com", "When": "2026-12-07 07:00"},
    {"no": 2, "to": "bob@example.com", "When": ""},
    {"no": 3, "to": "eve@example.com", "When": "2026-07-07 07:00"},
]
EXPECTED = [SEVEN, None, dt.datetime(2026, 7, 7, 5, tzinfo=dt.UTC)]


def frames() -> list[Any]:
    times = [dt.datetime(2026, 12, 7, 7), None, dt.datetime(2026, 7, 7, 7)]
    plain = {"no": [1, 2, 3], "to": [row["to"] for row in ROWS]}
    return [
        ROWS,
        [row | {"When": each} for row, each in zip(ROWS, times, strict=True)],
        pd.DataFrame(plain | {"When": pd.to_datetime(pd.Series(times))}),
        pd.DataFrame(plain | {"When": pd.to_datetime(pd.Series(times)).dt.tz_localize("Europe/Berlin")}),
        pl.DataFrame(plain | {"When": times}),
        [row | {"When": np.datetime64(each) if each else None} for row, each in zip(ROWS, times, strict=True)],
    ]


@pytest.mark.parametrize("kind", range(6))
def test_a_column_gives_each_row_a_time_of_its_own_and_an_empty_cell_none(kind: int) -> None:
    messages = docmail.merge(frames()[kind], key="no", to="{{ to }}", subject="Report", send_at="When")
    assert [message.send_at for message in messages] == EXPECTED


@pytest.mark.parametrize("value", ["2026-12-07 07:00", SEVEN, lambda _row: SEVEN, "2026-12-0{{ no }} 07:00"])
def test_a_merge_takes_one_time_for_all_a_function_or_a_template(value: Any) -> None:
    rows = [{"no": 7, "to": "ann@example.com"}]
    assert [each.send_at for each in docmail.merge(rows, key="no", to="{{ to }}", subject="R", send_at=value)] == [
        SEVEN
    ]


def test_a_merge_names_the_row_with_a_wrong_time() -> None:
    rows = [ROWS[0], ROWS[1] | {"When": GONE}]
    bad = list(docmail.merge(rows, key="no", to="{{ to }}", subject="R", send_at="When").drafts())[1]
    assert (bad.row, "the clocks go forward" in str(getattr(bad, "error", ""))) == (2, True)


def test_a_name_that_is_neither_a_column_nor_a_time_is_refused() -> None:
    with pytest.raises(MessageError, match="There is no column “Wenn”") as caught:
        docmail.merge(ROWS, key="no", to="{{ to }}", subject="R", send_at="Wenn")
    assert caught.value.field == "send_at"
