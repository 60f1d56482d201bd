"""Reads the values of a data set as a person would: 12.0 is 12, and NaN, NaT, NA and None are nothing at all."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

__all__ = ["TooManyError", "is_missing", "plain"]

_EXACT = 10**15  # beyond, a float no longer tells one whole number from the next
_DEEPEST = 5
_MOST = 10_000


class TooManyError(ValueError):
    """A list is longer, or nested deeper, than a mail can want."""


def is_missing(value: Any) -> bool:
    """Say whether a value stands for "nothing is known here": None, NaN, NaT, NA."""
    if value is None:
        return True
    if isinstance(value, (str, int)):
        return False
    # By name: pandas is not imported for a look at its marks.
    if type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, (float, Decimal)):
        return math.isnan(value)
    # NumPy's own scalars; of the rest only what compares unequal to itself, and says so in one bool.
    try:
        return bool(value != value) if hasattr(value, "dtype") and not getattr(value, "ndim", 0) else False  # noqa: PLR0124
    except (TypeError, ValueError):
        return False


def plain(value: Any, _depth: int = 0) -> Any:
    """Return a value as Python's own text, number, date, list or dict; None for what is missing.

    Whole floats become integers: a data set turns 12 into 12.0 as soon as one row has no value. Raises `TooManyError`
    for lists of more than 10,000 items.
    """
    if isinstance(value, (str, bool, int)) and type(value) in {str, bool, int}:
        return value  # the quick way for almost everything
    if is_missing(value):
        return None
    if hasattr(value, "dtype") and not getattr(value, "ndim", 0) and hasattr(value, "item"):
        value = _from_numpy(value)
    if isinstance(value, float):
        value = float(value)
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, (bool, int, Decimal, dt.date, dt.time, dt.timedelta)):
        return value
    if isinstance(value, str):
        return str(value)
    if _depth < _DEEPEST:
        return _container(value, _depth + 1)
    raise TooManyError


def _from_numpy(value: Any) -> Any:
    if value.dtype.kind in "mM":
        # item() of nanoseconds is a bare number; of microseconds it is a datetime or timedelta.
        return value.astype(f"{'datetime' if value.dtype.kind == 'M' else 'timedelta'}64[us]").item()
    return value.item()


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(each, depth) for key, each in _some(value.items())}
    if hasattr(value, "columns"):  # a DataFrame is a list of its rows
        rows = value.to_dicts() if hasattr(value, "to_dicts") else value.to_dict("records")
        return [plain(row, depth) for row in _some(rows)]
    if isinstance(value, (list, tuple, set, frozenset)) or (hasattr(value, "dtype") and isinstance(value, Iterable)):
        return [plain(each, depth) for each in _some(value)]
    return str(value)


def _some(values: Iterable[Any]) -> list[Any]:
    taken = list(islice(values, _MOST + 1))
    if len(taken) > _MOST:
        raise TooManyError
    return taken
