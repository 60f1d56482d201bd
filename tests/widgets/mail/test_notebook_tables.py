from __future__ import annotations

import gc
from types import SimpleNamespace

import pandas as pd
import polars as pl
import pytest

from docmail.errors import DocumentError
from docmail.widgets.mail import notebook_tables
from docmail.widgets.mail.notebook_tables import Table


def test_a_table_is_called_by_itself_by_its_variable_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, other = pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(user_ns={"sales": frame, "s": pl.DataFrame()}))
    assert notebook_tables.called(frame) == "sales"
    assert notebook_tables.called(other) == "table"
    other.attrs["name"] = "Sales / North: 2026"
    assert notebook_tables.called(other) == "Sales   North  2026"
    assert notebook_tables.called(frame["a"].rename("Amount")) == "Amount"
    assert notebook_tables.called(frame["a"].rename(7)) == "table"
    assert notebook_tables.called(pl.Series("b", [1])) == "b"


def test_a_table_is_an_excel_file_unless_it_has_too_many_rows_or_nothing_writes_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert notebook_tables.best_ending(pd.DataFrame({"a": [1]})) == ".xlsx"
    assert notebook_tables.best_ending(pd.DataFrame({"a": range(1_000_000)})) == ".csv"
    monkeypatch.setattr(notebook_tables, "find_spec", lambda _name: None)
    assert notebook_tables.best_ending(pd.DataFrame({"a": [1]})) == ".csv"


def test_a_small_table_is_held_and_a_large_one_is_not_kept_from_being_collected() -> None:
    small = Table.shown(pd.DataFrame({"a": [1]}))
    large = Table.shown(pl.DataFrame({"a": range(1_000_001)}))
    gc.collect()
    assert small.document().name == "table.xlsx"
    with pytest.raises(DocumentError, match="no longer in this notebook"):
        large.document()
