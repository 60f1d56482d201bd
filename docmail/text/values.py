"""Reads the values of a data set as a person would: 12.0 is 12, and NaN, NaT, NA and None are missing."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from docmail.text.numbers import NARROW, Narrow

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Given", "TooManyError", "is_missing", "is_numpy_scalar", "plain", "with_line_feeds"]

_EXACT = 2**53  # from here on, a float no longer distinguishes one whole number from the next
_LINE_ENDS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_DEEPEST = 5
_MOST = 10_000


class TooManyError(ValueError):
    """A list is longer, or nested deeper, than a mail can want."""


class Given(str):
    """A text that docmail made of what a person gave, with that as its `source`; otherwise a text like any other.

    `exact` says whether 0.1.0, too, would have made exactly `source` of it.
    """

    __slots__ = ("exact", "source")
    exact: bool
    source: str

    def __new__(cls, text: str, source: str, exact: bool = True) -> Self:  # noqa: FBT001, FBT002 - as it is pickled
        """Return the text with its source."""
        made = super().__new__(cls, text)
        made.source = source
        made.exact = exact
        return made

    def __getnewargs__(self) -> tuple[str, str, bool]:  # type: ignore[override]  # those of str are fewer
        """Return what makes the same again in another process."""
        return str(self), self.source, self.exact


def with_line_feeds(text: str) -> str:
    """Return a text in which a line feed ends each line, also where it had another sign that readers take for one."""
    return _LINE_ENDS.sub("\n", text)


def is_numpy_scalar(value: Any) -> bool:
    """Say whether it is one value of NumPy's, which is not imported for it."""
    return hasattr(value, "dtype") and not getattr(value, "ndim", 0)


def is_missing(value: Any) -> bool:
    """Say whether a value is missing: None, NaN, NaT, NA."""
    if value is None:
        return True
    if isinstance(value, (str, int)):
        return False
    # By name: pandas is not imported for a look at its marks.
    if type(value).__name__ in {"NAType", "NaTType"}:
        return True
    if isinstance(value, (float, Decimal)):
        return math.isnan(value) if isinstance(value, float) else value.is_nan()
    # NumPy's own scalars; of the rest only what compares unequal to itself, and says so in one bool.
    try:
        return is_numpy_scalar(value) and bool(value != value)  # noqa: PLR0124
    except (TypeError, ValueError):
        return False


def plain(value: Any, _depth: int = 0) -> Any:
    """Return a value as Python's own text, number, date, list or dict; None for what is missing.

    Whole floats become integers: a data set turns 12 into 12.0 as soon as one row has no value. What has no text of its
    own, such as a function or bytes, becomes something empty that cannot stand in a text. Raises `TooManyError` for
    lists of more than 10,000 items.
    """
    if isinstance(value, (str, bool, int)) and type(value) in {str, bool, int}:
        return value  # the quick way for almost everything
    if is_missing(value):
        return None
    if is_numpy_scalar(value) and hasattr(value, "item"):
        value = _from_numpy(value)
    if isinstance(value, float):
        value = value if isinstance(value, Narrow) else float(value)
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, (bool, int, Decimal, dt.date, dt.time, dt.timedelta)):
        return value
    if isinstance(value, str):
        return value if isinstance(value, Given) else str(value)
    if _depth < _DEEPEST:
        return _container(value, _depth + 1)
    raise TooManyError


def _from_numpy(value: Any) -> Any:
    if value.dtype.kind in "mM":
        # item() of nanoseconds is a bare number; of microseconds it is a datetime or timedelta.
        return value.astype(f"{'datetime' if value.dtype.kind == 'M' else 'timedelta'}64[us]").item()
    if value.dtype.kind != "f":
        return value.item()
    # item() of a long double is a long double.
    return Narrow(value, value.dtype.itemsize) if value.dtype.itemsize in NARROW else float(value)


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(each, depth) for key, each in _some(value.items())}
    if hasattr(value, "columns"):  # a DataFrame is a list of its rows
        rows = value.to_dicts() if hasattr(value, "to_dicts") else value.to_dict("records")
        return [plain(row, depth) for row in _some(rows)]
    if isinstance(value, (list, tuple, set, frozenset)) or (hasattr(value, "dtype") and isinstance(value, Iterable)):
        return [plain(each, depth) for each in _some(value)]
    if isinstance(value, (bytes, bytearray)) or type(value).__str__ is object.__str__:  # type: ignore[comparison-overlap]
        # What Python would write is for programmers: “<generator object …>”, “b'…'”. Nobody is to get that in a mail.
        # Templates have no business with the value itself: what is left of it is the name of its type, for errors.
        return type(type(value).__name__, (), {"__slots__": ()})()
    return str(value)


def _some(values: Iterable[Any]) -> list[Any]:
    taken = list(islice(values, _MOST + 1))
    if len(taken) > _MOST:
        raise TooManyError
    return taken
