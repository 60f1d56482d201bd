"""Reads a DataFrame (pandas or polars) as columns of text, written as a person would write them.

- Whole numbers stay as they are: years and invoice numbers are whole numbers, too. Where they are added up, they have
  commas between the thousands like their total, as fractions always have. Amounts of up to two places get as many as
  their column needs; other numbers have their own digits. `formats` says otherwise: `{"Revenue": ",.0f"}`,
  `{"Amount": "currency", "Share": "percent"}`.
- Dates without a time of day are days. NaN, NaT, NA and None are empty.
- An index is shown unless it only counts the rows.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation, localcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from docmail.errors import DocumentError
from docmail.language import _, ngettext
from docmail.text.amounts import PERCENT, as_currency, as_percent, currency_code
from docmail.text.numbers import ENGLISH, Narrow, digits, grouped, localised, narrowed, significant, signs_of
from docmail.text.summable import is_summable
from docmail.text.values import is_missing, is_numpy_scalar, plain, with_line_feeds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from docmail.text.numbers import Signs

__all__ = ["Column", "Data", "columns_of", "data_of", "is_frame", "text_of"]

Format = str | Callable[[Any], str]

_PLACES = 4  # of parts of one that were calculated
_CENTS = 2  # places of what may be money
_TYPED = 15  # significant digits; more are the result of a calculation
_MOST_CELLS = 500_000
_MOST_TEXT = 20_000  # characters of one cell: five pages


@dataclass(frozen=True)
class Column:
    """One column of a table: its heads from the outermost to its own, and its cells from top to bottom."""

    heads: tuple[str, ...]
    cells: Sequence[str]
    right: bool = False
    total: str = ""
    index: bool = False


class Data(NamedTuple):
    """A column as it is: the labels above it, from the outermost to its own, and its values from top to bottom."""

    labels: tuple[Any, ...]
    values: list[Any]
    is_index: bool


def is_frame(source: object) -> bool:
    """Say whether it is a DataFrame, Series or Index of pandas or polars; neither is imported for it."""
    return any(
        kind.__module__.partition(".")[0] in {"pandas", "polars"} and kind.__name__ in {"DataFrame", "Series", "Index"}
        for kind in type(source).__mro__
    )


def columns_of(
    frame: Any,
    *,
    totals: bool | Collection[str] = False,
    formats: Mapping[str, Format] | None = None,
    locale: str | None = None,
    currency: str | None = None,
) -> list[Column]:
    """Return the columns of a DataFrame, Series or Index as texts; raises `DocumentError` for one that makes no table.

    `totals=True` adds up what can be: not identifiers, years, shares or prices per unit. `currency` is that of the
    columns whose format is "currency".
    """
    signs = signs_of(locale)
    data = data_of(frame)
    rows = len(data[0].values) if data else 0
    if not data:
        raise DocumentError(_("The table has no columns."), hint=_("Give a DataFrame with at least one column."))
    if rows * len(data) > _MOST_CELLS:
        raise DocumentError(
            _("A table of {rows} rows and {columns} columns is too large for a readable PDF.").format(
                rows=f"{rows:,}", columns=f"{len(data):,}"
            ),
            hint=_('Attach it as data: Document.of(df, name="table.csv"), or choose the rows that matter.'),
        )
    texts = [tuple(map(text_of, column.labels)) for column in data]
    names = {heads[-1] for heads, column in zip(texts, data, strict=True) if not column.is_index}
    wished = set() if isinstance(totals, bool) else {totals} if isinstance(totals, str) else set(totals)
    for name in (*wished, *(formats or ())):
        if name not in names:
            raise DocumentError(
                _("The table has no column “{name}”.").format(name=name),
                hint=_("Name one of its columns: {names}.").format(names=", ".join(sorted(names)[:12])),
            )
    columns = []
    for heads, column in zip(texts, data, strict=True):
        # None: if it makes sense.
        summed = not column.is_index and (None if totals is True else heads[-1] in wished)
        write = _writer(heads[-1], column, (formats or {}).get(heads[-1]), locale, currency)
        columns.append(_column(heads, column, write, signs, summed=summed))
    return columns


def data_of(frame: Any) -> list[Data]:
    """Return the columns of a DataFrame, Series or Index, with its index unless that only counts the rows."""
    if hasattr(frame, "get_columns"):
        return [_polars(column) for column in frame.get_columns()]
    if hasattr(frame, "columns"):
        return _pandas(frame)
    if hasattr(frame, "index"):
        return _series(frame)
    if hasattr(frame, "nlevels"):  # an index
        return [_level(frame, level, 1, is_index=False) for level in range(frame.nlevels)]
    return [_polars(frame)]


def _polars(column: Any) -> Data:
    return Data((column.name,), narrowed(column.to_list(), column.dtype), is_index=False)


def _series(series: Any) -> list[Data]:
    *index, column = _pandas(series.to_frame())
    return [*index, column if series.name is not None else column._replace(labels=("",))]


def _pandas(frame: Any) -> list[Data]:
    index, columns = frame.index, frame.columns
    found: list[Data] = []
    depth = columns.nlevels
    if type(index).__name__ != "RangeIndex" or index.name is not None:
        found += [_level(index, level, depth, is_index=True) for level in range(index.nlevels)]
    for position, label in enumerate(columns):
        values = frame.iloc[:, position]
        found.append(Data(label if depth > 1 else (label,), _own(values), is_index=False))
    return found


def _level(values: Any, level: int, depth: int, *, is_index: bool) -> Data:
    name = values.names[level]
    return Data(("",) * (depth - 1) + ("" if name is None else name,), _own(values.get_level_values(level)), is_index)


def _own(values: Any) -> list[Any]:
    """Return the values of pandas as Python's; those of NumPy in a column of objects as well."""
    found = narrowed(values.tolist(), values.dtype)
    if str(values.dtype) == "object":
        found = [plain(each) if is_numpy_scalar(each) else each for each in found]
    return found


def _writer(
    name: str, data: Data, form: Format | None, locale: str | None, currency: str | None
) -> Callable[[Any], str] | None:
    """Return what writes the values of a column as somebody asks for it; None where nobody does."""
    if form is None:
        return None
    try:
        code = currency_code(form, currency)
    except ValueError as exc:
        raise DocumentError(
            _("The column “{name}” shall be written as a currency, but {reason}.").format(name=name, reason=exc),
            hint=_('Write its code, as in formats={{"{name}": "EUR"}}, or give the look a currency.').format(name=name),
        ) from None
    signs = signs_of(locale)
    if code is None and form != PERCENT:
        return partial(_formatted, form, signs)
    present = [each for each in data.values if not is_missing(each)]
    if wrong := next((each for each in present if not _is_number(each)), None):
        raise DocumentError(
            _("The format {form} does not suit the value {value}: {reason}.").format(
                form=repr(form), value=text_of(wrong)[:40], reason=_("it is no number")
            ),
            hint=_("Name columns of numbers: formats={...}."),
        )
    return as_percent(present, locale) if code is None else as_currency(code, locale)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _column(
    heads: tuple[str, ...], data: Data, asked: Callable[[Any], str] | None, signs: Signs, *, summed: bool | None
) -> Column:
    _labels, values, index = data
    present = values if set(map(type, values)) <= {int, str} else [each for each in values if not is_missing(each)]
    kinds = set(map(type, present))
    numbers = bool(kinds) and all(issubclass(kind, (int, float, Decimal)) and kind is not bool for kind in kinds)
    if summed is None:
        summed = numbers and is_summable(heads, present)
    if summed and not numbers and present:
        raise DocumentError(
            _("The column “{name}” has no numbers to add up.").format(name=heads[-1]),
            hint=_("Name columns of numbers: totals=[...]."),
        )
    if asked is not None:
        write = asked
    elif numbers:
        write = _numbers(present, signs, summed=summed)
    else:
        write = _words(present, kinds, signs)
    cells = (
        [write(each) for each in values]
        if present is values
        else ["" if is_missing(each) else write(each) for each in values]
    )
    total = write(_sum(present)) if summed and numbers else ""
    if kinds == {Decimal} and total == "NaN":
        total = ""
    return Column(heads, cells, right=numbers and not (index and kinds <= {int}), total=total, index=index)


def _sum(values: list[Any]) -> Any:
    values = [float(each.digits) if isinstance(each, Narrow) else each for each in values]
    exact = any(isinstance(each, Decimal) for each in values)
    if not exact:
        with suppress(OverflowError, ValueError):
            return math.fsum(values) if any(isinstance(each, float) for each in values) else sum(values)
    # Decimals, sums beyond what a float holds, and infinities of both signs, which have no sum.
    with localcontext() as context:
        context.traps[InvalidOperation] = False
        return sum((Decimal(str(each) if isinstance(each, float) else each) for each in values), Decimal())


def _words(present: list[Any], kinds: set[type], signs: Signs) -> Callable[[Any], str]:
    """Return what writes a value of a column that is not of numbers only."""
    if kinds <= {str}:
        return _line
    if all(issubclass(kind, dt.datetime) for kind in kinds):
        days = all(value.time() == dt.time() for value in present)
        return (lambda value: value.date().isoformat()) if days else _moment
    return partial(text_of, signs=signs)


def _formatted(form: Format, signs: Signs, value: Any) -> str:
    try:
        # What a function writes is the user's own.
        return _line(str(form(value)) if callable(form) else localised(format(value, form), signs))
    except (TypeError, ValueError) as exc:
        raise DocumentError(
            _("The format {form} does not suit the value {value}: {reason}.").format(
                form=repr(form), value=text_of(value)[:40], reason=str(exc).rstrip(".")
            ),
            hint=_('Write formats as in formats={{"Revenue": ",.0f"}}.').format(),
        ) from exc


def _numbers(values: list[Any], signs: Signs, *, summed: bool) -> Callable[[Any], str]:
    """Return what writes the numbers of a column, which have something in common: places, or none at all."""
    finite = [value for value in values if not isinstance(value, float) or math.isfinite(value)]
    floats = [value for value in finite if isinstance(value, float)]
    if all(isinstance(value, Decimal) or value == int(value) for value in finite) and not summed:
        # Integers with a gap in their column are floats to pandas.
        return lambda value: localised(grouped(digits(value)) if isinstance(value, Decimal) else digits(value), signs)
    texts = list(map(digits, floats))
    places = max((len(text.partition(".")[2]) for text in texts), default=0)
    calculated = any(significant(text) > _TYPED for text in texts)
    if calculated:
        top = max(map(abs, finite), default=0)
        places = _CENTS if top >= 10 else _PLACES  # noqa: PLR2004 - cents of what may be money, else parts of one

    def write(value: Any) -> str:
        if not isinstance(value, float) or not math.isfinite(value):
            return grouped(digits(value))
        if calculated and significant(rounded := f"{value:.{places}f}"):
            return grouped(rounded)
        if calculated:  # it would be shown as nothing at all
            return grouped(digits(float(f"{value:.{_PLACES}g}")))
        # A sum may have more places than what was added, by what a float adds itself.
        text = digits(value if isinstance(value, Narrow) else round(value, places))
        whole, _point, fraction = text.partition(".")
        return grouped(f"{whole}.{fraction:0<{places}}") if 0 < places <= _CENTS else grouped(text)

    return lambda value: localised(write(value), signs)


def _moment(value: Any) -> str:
    text: str = value.isoformat(" ", "minutes" if not value.second else "seconds")
    return text


def text_of(value: Any, signs: Signs = ENGLISH) -> str:
    """Return one value, of whatever kind, as text."""
    if is_missing(value):
        return ""
    if isinstance(value, bool) or type(value).__name__ in {"bool_", "bool"}:
        return _("yes") if value else _("no")
    if isinstance(value, (float, Decimal)):
        return _numbers([value], signs, summed=False)(value)
    if isinstance(value, int):
        return digits(value)
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else _moment(value)
    return _line(str(value))


def _line(text: str) -> str:
    """Return a text without what no line can show; its line ends stay."""
    if (more := len(text) - _MOST_TEXT) > 0:
        said = ngettext("{number} more character", "{number} more characters", more).format(number=f"{more:,}")
        text = f"{text[:_MOST_TEXT]}… ({said})"
    if text.isprintable():
        return text
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", " ", with_line_feeds(text).replace("\t", "    "))
