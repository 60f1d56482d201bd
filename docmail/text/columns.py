"""Reads a DataFrame (pandas or polars) as columns of text, written as a person would write them.

- Integers stay as they are: years and invoice numbers are integers, too. Decimals get commas between the thousands and
  as many places, up to four, as their column needs. `formats` says otherwise: `{"Revenue": ",.0f"}`.
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
from typing import TYPE_CHECKING, Any

from docmail.errors import DocumentError
from docmail.language import _, ngettext
from docmail.text.values import is_missing

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["Column", "columns_of", "is_frame", "text_of"]

Format = str | Callable[[Any], str]

_PLACES = 4
_HUGE = 1e15
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


def is_frame(source: object) -> bool:
    """Say whether it is a DataFrame or Series of pandas or polars; neither is imported for it."""
    return any(
        kind.__module__.partition(".")[0] in {"pandas", "polars"} and kind.__name__ in {"DataFrame", "Series"}
        for kind in type(source).__mro__
    )


def columns_of(
    frame: Any, *, totals: bool | Collection[str] = False, formats: Mapping[str, Format] | None = None
) -> list[Column]:
    """Return the columns of a DataFrame; raises `DocumentError` for one that makes no table."""
    if hasattr(frame, "to_frame"):  # a single column
        frame = frame.to_frame()
    data = _polars(frame) if hasattr(frame, "get_columns") else _pandas(frame)
    rows = len(frame)
    if not data:
        raise DocumentError(_("The table has no columns."), hint=_("Give a DataFrame with at least one column."))
    if rows * len(data) > _MOST_CELLS:
        raise DocumentError(
            _("A table of {rows} rows and {columns} columns is too large for a PDF that somebody reads.").format(
                rows=f"{rows:,}", columns=f"{len(data):,}"
            ),
            hint=_('Attach it as data: Document.of(df, name="table.csv"), or choose the rows that matter.'),
        )
    names = {heads[-1] for heads, _values, index in data if not index}
    wished = set() if isinstance(totals, bool) else {totals} if isinstance(totals, str) else set(totals)
    for name in (*wished, *(formats or ())):
        if name not in names:
            raise DocumentError(
                _("The table has no column “{name}”.").format(name=name),
                hint=_("Name one of its columns: {names}.").format(names=", ".join(sorted(names)[:12])),
            )
    columns = []
    for heads, values, index in data:
        form = (formats or {}).get(heads[-1])
        summed = not index and (totals is True or heads[-1] in wished)
        columns.append(_column(heads, values, form, index=index, summed=summed, insisted=heads[-1] in wished))
    return columns


def _pandas(frame: Any) -> list[tuple[tuple[str, ...], list[Any], bool]]:
    index, columns = frame.index, frame.columns
    found: list[tuple[tuple[str, ...], list[Any], bool]] = []
    depth = columns.nlevels
    if type(index).__name__ != "RangeIndex" or index.name is not None:
        for level in range(index.nlevels):
            name = index.names[level]
            heads = ("",) * (depth - 1) + ("" if name is None else text_of(name),)
            found.append((heads, index.get_level_values(level).tolist(), True))
    for position, label in enumerate(columns):
        parts = label if depth > 1 else (label,)
        found.append((tuple(map(text_of, parts)), frame.iloc[:, position].tolist(), False))
    return found


def _polars(frame: Any) -> list[tuple[tuple[str, ...], list[Any], bool]]:
    return [((column.name,), column.to_list(), False) for column in frame.get_columns()]


def _column(  # noqa: PLR0913 - what a column is made of
    heads: tuple[str, ...], values: list[Any], form: Format | None, *, index: bool, summed: bool, insisted: bool
) -> Column:
    present = values if set(map(type, values)) <= {int, str} else [each for each in values if not is_missing(each)]
    kinds = set(map(type, present))
    numbers = bool(kinds) and all(issubclass(kind, (int, float, Decimal)) and kind is not bool for kind in kinds)
    write = _writer(present, kinds, form)
    cells = (
        [write(each) for each in values]
        if present is values
        else ["" if is_missing(each) else write(each) for each in values]
    )
    total = ""
    if summed and numbers:
        total = write(_sum(present))
    elif summed and insisted and present:
        raise DocumentError(
            _("The column “{name}” has no numbers to add up.").format(name=heads[-1]),
            hint=_("Name columns of numbers: totals=[...]."),
        )
    return Column(heads, cells, right=numbers and not (index and kinds <= {int}), total=total, index=index)


def _sum(values: list[Any]) -> Any:
    exact = any(isinstance(each, Decimal) for each in values)
    if not exact:
        with suppress(OverflowError, ValueError):
            return math.fsum(values) if any(isinstance(each, float) for each in values) else sum(values)
    # Decimals, sums beyond what a float holds, and infinities of both signs, which have no sum.
    with localcontext() as context:
        context.traps[InvalidOperation] = False
        total = sum((Decimal(str(each) if isinstance(each, float) else each) for each in values), Decimal())
        return total if exact else total.normalize()


def _writer(present: list[Any], kinds: set[type], form: Format | None) -> Callable[[Any], str]:
    """Return what writes a value of this column."""
    if form is not None:
        return lambda value: _formatted(value, form)
    if kinds <= {str}:
        return _line
    if kinds == {int}:
        return str
    if kinds <= {int, float} and not (int in kinds and any(abs(each) >= _HUGE for each in present)):
        return _decimals(present)
    if all(issubclass(kind, dt.datetime) for kind in kinds):
        days = all(value.time() == dt.time() for value in present)
        return (lambda value: value.date().isoformat()) if days else _moment
    return text_of


def _formatted(value: Any, form: Format) -> str:
    try:
        return _line(str(form(value) if callable(form) else format(value, form)))
    except (TypeError, ValueError) as exc:
        raise DocumentError(
            _("The format {form} does not suit the value {value}: {reason}.").format(
                form=repr(form), value=text_of(value)[:40], reason=str(exc).rstrip(".")
            ),
            hint=_('Write formats as in formats={{"Revenue": ",.0f"}}.').format(),
        ) from exc


def _decimals(values: list[Any]) -> Callable[[Any], str]:
    finite = [value for value in values if math.isfinite(value)]
    top = max(map(abs, finite), default=0)
    if all(value == int(value) for value in finite) and top < _HUGE:
        # Integers with a gap in their column are floats to pandas.
        return lambda value: str(int(value)) if math.isfinite(value) else str(value)
    places = next((places for places in range(1, _PLACES + 1) if _are_exact(finite, places)), 0)
    if not places:
        places = 2 if top >= 10 else _PLACES  # noqa: PLR2004 - cents of what may be money, else parts of one
    small = top < 10**-_PLACES * 10 or top >= _HUGE

    def write(value: float) -> str:
        if not math.isfinite(value):
            return str(value)
        text = f"{value:.4g}" if small else f"{value:,.{places}f}"
        return text.removeprefix("-") if not small and not text.strip("-0.,") else text  # no “-0.00”

    return write


def _are_exact(values: list[Any], places: int) -> bool:
    return all(abs(round(value, places) - value) <= 1e-9 * abs(value) for value in values)


def _moment(value: Any) -> str:
    text: str = value.isoformat(" ", "minutes" if not value.second else "seconds")
    return text


def text_of(value: Any) -> str:
    """Return one value, of whatever kind, as text."""
    if is_missing(value):
        return ""
    if isinstance(value, bool) or type(value).__name__ in {"bool_", "bool"}:
        return _("yes") if value else _("no")
    if isinstance(value, float):
        return _decimals([value])(value)
    if isinstance(value, Decimal):
        return f"{value:,}"
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
    text = re.sub(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]", "\n", text).replace("\t", "    ")
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", " ", text)
