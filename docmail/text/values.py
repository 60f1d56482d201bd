"""Reads the values of a data set as a person would: 12.0 is 12, and NaN, NaT, NA and None are nothing at all."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from numbers import Integral
from typing import TYPE_CHECKING, Any

from docmail.text.numbers import Narrow

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "Given",
    "InexactError",
    "TooManyError",
    "former_number_key",
    "is_missing",
    "narrow_limit",
    "narrowed",
    "number_key",
    "plain",
]

_EXACT = 2**53  # from here on, a float no longer tells one whole number from the next
_NARROW = {2: 2**11, 4: 2**24}  # the same for floats of so many octets, as NumPy has them
_NARROW_COLUMNS = {"float16": 2, "halffloat[pyarrow]": 2, "float32": 4, "float[pyarrow]": 4}
_LONGEST = 10**200  # a key of more digits is refused as no text, before Python refuses to write it
_DEEPEST = 5
_MOST = 10_000


class TooManyError(ValueError):
    """A list is longer, or nested deeper, than a mail can want."""


class InexactError(ValueError):
    """A float that may stand for several whole numbers."""


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
        return math.isnan(value) if isinstance(value, float) else value.is_nan()
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
        value = value if isinstance(value, Narrow) else float(value)
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, (bool, int, Decimal, dt.date, dt.time, dt.timedelta)):
        return value
    if isinstance(value, str):
        return value if isinstance(value, Given) else str(value)
    if _depth < _DEEPEST:
        return _container(value, _depth + 1)
    raise TooManyError


def number_key(value: Any, limit: int = _EXACT) -> str | None:
    """Return a number as the text of a key: one text for one number, whatever its type. None for all but numbers.

    118, 118.0 and Decimal("118.00") are "118". Raises `InexactError` for a float from `limit` on.
    """
    number = _number(value)
    if isinstance(number, float):
        if hasattr(value, "dtype"):
            limit = min(limit, _NARROW.get(value.dtype.itemsize, _EXACT))
        if not abs(number) < limit:
            raise InexactError
        return _digits(number)
    if isinstance(number, Decimal):
        return _decimal_key(number)
    return None if number is None or not -_LONGEST < number < _LONGEST else str(number)


def _number(value: Any) -> int | float | Decimal | None:
    """Return a number as Python's own; None for everything else."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in {"i", "u", "f"} and not getattr(value, "ndim", 0):  # NumPy's
        return float(value) if kind == "f" else int(value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    return value if isinstance(value, (float, Decimal)) else None


def _digits(value: float) -> str:
    """Return a float as people write it, unless that were another float's text, too."""
    if value.is_integer():
        return str(int(value))
    text = f"{value:.15g}"
    return text if float(text) == value else repr(value)


def _decimal_key(value: Decimal) -> str:
    """Return a decimal as it is written, because 2.50 says more than 2.5; only a whole one is an integer."""
    if not value.is_finite():
        raise InexactError
    whole = abs(value.adjusted()) < len(str(_LONGEST)) and value == int(value)
    return str(int(value)) if whole else str(value)


def former_number_key(value: Any) -> str | None:
    """Return the key that version 0.1.0 made of a number which was not an integer; None for everything else."""
    number = _number(value)
    return f"{number:.15g}" if isinstance(number, float) else str(number) if isinstance(number, Decimal) else None


def narrow_limit(kind: Any) -> int:
    """Return from where on the floats of a column of this kind no longer tell one whole number from the next."""
    return _NARROW.get(_NARROW_COLUMNS.get(str(kind).lower(), 0), _EXACT)


def _from_numpy(value: Any) -> Any:
    if value.dtype.kind in "mM":
        # item() of nanoseconds is a bare number; of microseconds it is a datetime or timedelta.
        return value.astype(f"{'datetime' if value.dtype.kind == 'M' else 'timedelta'}64[us]").item()
    if value.dtype.kind != "f":
        return value.item()
    # item() of a long double is a long double.
    return Narrow(value, value.dtype.itemsize) if value.dtype.itemsize in _NARROW else float(value)


def narrowed(values: list[Any], kind: Any) -> list[Any]:
    """Return the values of a column of this kind, handed out as Python's floats, as narrow as they were."""
    octets = _NARROW_COLUMNS.get(str(kind).lower())
    return [Narrow(each, octets) if isinstance(each, float) else each for each in values] if octets else values


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
