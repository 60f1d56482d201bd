"""Writes a table as a file of data, .csv or .xlsx, in which each value is what it was.

Text stays text, also if it begins like a formula: what comes from a data set must not calculate on a recipient's
computer. Numbers have the digits of `docmail.text.digits`. What a format cannot hold is refused with its column, never
cut or changed without a word.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from docmail.errors import DocumentError
from docmail.language import _
from docmail.text import data_of, digits, is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.text import Data

__all__ = ["csv_file", "xlsx_file"]

_EXACT = 15  # digits of a number that Excel keeps
_GENERAL = 10**11, 10**-4  # from there on, and below, Excel writes 1E+11 and 1E-05
_MOST_TEXT = 32_767  # characters of a cell in Excel
_MOST_ROWS, _MOST_COLUMNS = 1_048_576, 16_384
_WIDEST = 60  # characters of a column
_EPOCH = dt.date(1900, 3, 1)  # Excel takes 1900 for a leap year, and knows no date before it
_NO_CSV = re.compile("[\x00\ud800-\udfff]")
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")  # Excel reads _x0041_ as "A" (ECMA-376 22.9.2.19)


def csv_file(frame: Any) -> bytes:
    """Return a table as CSV (RFC 4180) in UTF-8, with the mark by which Excel knows that it is."""
    columns = _columns(frame)
    _check(frame, columns, _NO_CSV, ".csv")
    lines: list[str] = []
    # The writer puts quotation marks around cells with a character of its line end; a lone CR needs them as well.
    file = SimpleNamespace(write=lambda line: lines.append(f"{line[:-2]}\n"))
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerows(zip(*(map(_csv_text, column.labels) for column in columns), strict=True))
    writer.writerows(zip(*map(_csv_texts, columns), strict=True))
    return "".join(lines).encode("utf-8-sig")


def xlsx_file(frame: Any) -> bytes:
    """Return a table as an Excel file; raises `ImportError` without openpyxl."""
    from openpyxl import Workbook
    from openpyxl.utils import get_column_letter

    columns = _columns(frame)
    rows, heads = len(columns[0].values), len(columns[0].labels)
    if rows + heads > _MOST_ROWS or len(columns) > _MOST_COLUMNS:
        raise _refused(
            _("an Excel file has no room for {rows} rows and {columns} columns").format(
                rows=f"{rows:,}", columns=f"{len(columns):,}"
            ),
            _("Choose a name that ends in .csv, or send the rows that matter."),
        )
    _check(frame, columns, _NO_XML, ".xlsx")
    book = Workbook()
    sheet = book.active
    sheet.freeze_panes = f"A{heads + 1}"
    for number, column in enumerate(columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = _width(column)
        _fill(sheet, number, column)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _columns(frame: Any) -> list[Data]:
    columns = data_of(frame)
    if not columns:
        raise DocumentError(_("The table has no columns."), hint=_("Give a DataFrame with at least one column."))
    return columns


def _name(column: Data) -> str:
    return " ".join(filter(None, map(_csv_text, column.labels)))


def _check(frame: Any, columns: list[Data], impossible: re.Pattern[str], ending: str) -> None:
    """Raise `DocumentError` for the first value that a file with this ending cannot hold."""
    polars = not hasattr(frame, "index") and not hasattr(frame, "nlevels")
    for column in columns:
        for row, value in enumerate((*column.labels, *column.values), 1 - len(column.labels)):
            if isinstance(value, str) and not value.isprintable() and (found := impossible.search(value)):
                raise _impossible(impossible.sub("·", _name(column)), found[0], row, ending, polars=polars)
            zoned = ending == ".xlsx" and isinstance(value, (dt.datetime, dt.time)) and not is_missing(value)
            if zoned and value.tzinfo is not None:
                raise _zoned(_name(column), polars=polars)


def _impossible(name: str, character: str, row: int, ending: str, *, polars: bool) -> DocumentError:
    code = f"U+{ord(character):04X}"
    if row < 1:
        reason = _("the heading of the column “{name}” contains the character {code}").format(name=name, code=code)
        return _refused(reason, _("Rename the column."), ending)
    if polars:
        line = f'df.with_columns(pl.col("{name}").str.replace_all(chr({ord(character)}), " ", literal=True))'
    else:
        line = f'df["{name}"] = df["{name}"].str.replace(chr({ord(character)}), " ")'
    reason = _("the column “{name}” contains the character {code} in row {row}").format(name=name, code=code, row=row)
    return _refused(reason, _("Replace it: {line}.").format(line=line), ending)


def _zoned(name: str, *, polars: bool) -> DocumentError:
    if polars:
        line = f'df.with_columns(pl.col("{name}").dt.replace_time_zone(None))'
    else:
        line = f'df["{name}"] = df["{name}"].dt.tz_localize(None)'
    return _refused(
        _("Excel does not support time zones, which the column “{name}” has").format(name=name),
        _("Write {line}, or choose a name that ends in .csv.").format(line=line),
    )


def _refused(reason: str, hint: str, ending: str = ".xlsx") -> DocumentError:
    return DocumentError(
        _("The table cannot be written as {ending}: {reason}.").format(ending=ending, reason=reason), hint=hint
    )


# --- .csv -------------------------------------------------------------------------------------------------------------


def _csv_texts(column: Data) -> Iterator[str]:
    days = _are_days(column)
    for value in column.values:
        is_day = days and isinstance(value, dt.datetime) and not is_missing(value)
        yield value.date().isoformat() if is_day else _csv_text(value)


def _csv_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return digits(value)
    return str(value)


def _are_days(column: Data) -> bool:
    """Say whether the moments in a column are days: without a time, and without a zone."""
    moments = (value for value in column.values if isinstance(value, dt.datetime) and not is_missing(value))
    return all(value.time() == dt.time() and value.tzinfo is None for value in moments)


# --- .xlsx ------------------------------------------------------------------------------------------------------------


def _fill(sheet: Any, number: int, column: Data) -> None:
    """Write a column into the sheet, its labels first."""
    from openpyxl.styles import Alignment, Font

    bold, right = Font(bold=True), Alignment(horizontal="right")
    days = _are_days(column)
    for row, value in enumerate((*column.labels, *column.values), 1):
        if is_missing(value) or value == "":
            continue
        found, form = _excel_value(value, column, days=days)
        cell = sheet.cell(row, number, found)
        if isinstance(found, str):
            cell.data_type = "s"  # otherwise a text with “=” is a formula, and "#N/A" an error
            cell.quotePrefix = found[0] in "=+-@"  # nor does it become one when somebody edits the cell
            if not isinstance(value, str):
                cell.alignment = right
        elif form:
            cell.number_format = form
        if row <= len(column.labels):
            cell.font = bold


def _excel_value(value: Any, column: Data, *, days: bool) -> tuple[Any, str]:
    """Return a value as Excel has it, or else as text, and the format that shows all of it."""
    found, form = value, ""
    if isinstance(value, bool):
        pass
    elif isinstance(value, (int, float, Decimal)):
        found, form = _excel_number(value)
    elif isinstance(value, dt.date) and dt.date(value.year, value.month, value.day) < _EPOCH:
        found = _csv_text(value)
    elif isinstance(value, dt.datetime):
        found = dt.datetime(*value.timetuple()[:6], value.microsecond)  # noqa: DTZ001 - Excel has no zones
        form = "yyyy-mm-dd" if days else "yyyy-mm-dd hh:mm:ss"
    elif isinstance(value, dt.date):
        form = "yyyy-mm-dd"
    elif isinstance(value, dt.time):
        form = "hh:mm:ss"
    elif isinstance(value, dt.timedelta) and value.days >= 0:  # Excel shows none that are negative
        found, form = dt.timedelta(value.days, value.seconds, value.microseconds), "[h]:mm:ss"
    else:
        found = _excel_text(str(value), column)
    return found, form


def _excel_text(text: str, column: Data) -> str:
    if len(text) > _MOST_TEXT:
        raise _refused(
            _("the column “{name}” contains a text of {number} characters, and Excel allows {limit}").format(
                name=_name(column), number=f"{len(text):,}", limit=f"{_MOST_TEXT:,}"
            ),
            _("Shorten it, or choose a name that ends in .csv."),
        )
    return _ESCAPE.sub("_x005F_", re.sub(r"\r\n?", "\n", text))


def _excel_number(value: float | Decimal) -> tuple[Any, str]:
    text = digits(value)
    whole, _point, fraction = text.removeprefix("-").partition(".")
    if not math.isfinite(value):
        return text, ""
    exact = isinstance(value, Decimal)  # a float is one to Excel as well
    if len(whole + fraction if exact else whole) > _EXACT:
        return text, ""  # as a number, it would lose digits
    large, small = _GENERAL
    if isinstance(value, Decimal) or not (value == 0 or small <= abs(value) < large):
        form = f"0.{'0' * min(len(fraction), 30)}" if fraction else "0"
    else:
        form = ""
    return (float(text) if fraction else int(text)), form


def _width(column: Data) -> int:
    texts = (*map(_csv_text, column.labels), *map(_csv_text, column.values[:1000]))
    longest = max((len(line) for text in texts for line in text.split("\n")), default=0)
    return min(max(longest + 2, 8), _WIDEST)
