"""Reads the rows of a data set as people mean them: DataFrames, lists of dicts, and CSV files.

Blanks around a name or a cell are left away, and so is the line in which Excel notes the separator. A file that
cannot be read for certain is refused, with the number of the line and what to do.
"""

from __future__ import annotations

import csv
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docmail.addresses import trimmed
from docmail.errors import MessageError
from docmail.language import _
from docmail.text import Given, TooManyError, is_missing, narrowed, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fields_of", "is_empty", "name_of", "records_of"]

_PORTION = 256  # rows of a frame that are dicts at the same time
_SNIFFED = 65536  # characters of a CSV file from which its separator is found out
_SNIFFED_ROWS = 50
_SEPARATORS = ",;\t|"
_WORKBOOKS = (b"PK\x03\x04", bytes.fromhex("d0cf11e0a1b11ae1"))  # .xlsx and .ods, .xls
_READING = 'pandas.read_csv(..., encoding="{}", sep=None, engine="python", dtype=str)'


def name_of(column: Any) -> str:
    """Return the name of a column without the blanks around it; of a head in several levels, what they say together."""
    if isinstance(column, tuple):
        return " ".join(filter(None, map(name_of, column)))
    return trimmed(column) if isinstance(column, str) else str(column)


class _Fields(dict[str, Any]):
    """The fields of a row: each is found under its name with and without the blanks that stood around it."""

    def __missing__(self, name: Any) -> Any:
        if isinstance(name, (str, tuple)) and (short := name_of(name)) != name:
            return self[short]
        raise KeyError(name)


def is_empty(row: Mapping[Any, Any]) -> bool:
    """Say whether a row has no value at all, as rows below a table of Excel's."""
    return all(not trimmed(value) if isinstance(value, str) else is_missing(value) for value in row.values())


def fields_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the plain values of a row by their names, without the blanks around both; raises `MessageError`."""
    fields = _Fields()
    for name, value in row.items():
        if name is None and isinstance(value, list):  # of a CSV file
            raise MessageError(
                _("This row has more cells than the first line has columns, so values may be in the wrong column."),
                field="rows",
                hint=_("Put values that hold the separator in double quotes."),
            )
        try:
            found = plain(value)
            if isinstance(found, str) and (short := trimmed(found)) != found:
                found = Given(short, found)  # a key compares what was given
            if name_of(name) == name or name_of(name) not in row:
                fields[name_of(name)] = found
        except TooManyError as exc:
            raise MessageError(
                _("The column “{name}” holds a list that is too long, or too deep, for a mail.").format(name=name),
                field=str(name),
                hint=_("Leave the column out, or shorten the list."),
            ) from exc
    return fields


def records_of(rows: Any) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a data set as dicts."""
    if isinstance(rows, Path):
        return _csv(rows)
    # By what it can do: neither pandas nor Polars is imported for a look.
    if hasattr(rows, "columns") and (hasattr(rows, "to_dicts") or hasattr(rows, "to_dict")):
        names = [name_of(name) for name in rows.columns]
        _check_names(names)
        return _FrameRows(rows) if hasattr(rows, "slice") or hasattr(rows, "iloc") else _records(rows)
    if isinstance(rows, (str, bytes, Mapping)) or not hasattr(rows, "__iter__"):
        hint = _('Give a DataFrame, a list of dicts, or Path("invoices.csv").')
        raise _not_rows(_("A {type} cannot be the rows of a merge.").format(type=type(rows).__name__), hint)
    records = list(rows)
    if not all(isinstance(record, Mapping) for record in records):
        raise _not_rows(_("Each row of a merge must be a dict."), _('Write rows such as {"invoice_no": 118}.'))
    return records


class _FrameRows(Sequence[Mapping[str, Any]]):
    """The rows of a frame as it is now, made a portion at a time: as dicts they take ten times its memory."""

    def __init__(self, frame: Any) -> None:
        # A person may go on to work with the frame before its rows are asked for.
        self._frame = frame.clone() if hasattr(frame, "clone") else frame.copy()

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, place: Any) -> Any:
        rows = range(len(self))[place]
        return [self[each] for each in rows] if isinstance(rows, range) else self._portion(rows, 1)[0]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for begin in range(0, len(self), _PORTION):
            yield from self._portion(begin, _PORTION)

    def _portion(self, begin: int, number: int) -> list[dict[str, Any]]:
        frame = self._frame
        return _records(frame.iloc[begin : begin + number] if hasattr(frame, "iloc") else frame.slice(begin, number))


def _records(frame: Any) -> list[dict[str, Any]]:
    return _with_narrow_floats(frame, frame.to_dicts() if hasattr(frame, "to_dicts") else frame.to_dict("records"))


def _with_narrow_floats(frame: Any, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a frame with the floats of four octets, and of two, as what they are."""
    for name in frame.columns:
        values = [record[name] for record in records]
        # The same list comes back for all other columns.
        if (narrow := narrowed(values, getattr(frame[name], "dtype", None))) is not values:
            for record, value in zip(records, narrow, strict=True):
                record[name] = value
    return records


def _csv(path: Path) -> list[dict[str, Any]]:
    text = _csv_text(path)
    # Excel writes and reads a first line that says how the others are separated.
    said = re.match(r'(?i)"?sep=([^"\n])"?(?:\1|[;,\t|])*(?:\n|\Z)', text)
    start = said.end() if said else 0
    separator = said[1] if said else _separator(text)
    _check_quotation_marks(text, separator, path, start)
    file = StringIO(text[start:], newline="")
    try:
        # Above the heads, a sheet may have rows of nothing.
        heads = next((row for row in csv.reader(file, delimiter=separator) if any(map(trimmed, row))), [])
        records = list(csv.DictReader(file, list(map(trimmed, heads)), delimiter=separator)) if heads else []
    except csv.Error as exc:
        if "field limit" in str(exc):
            sentence = _("In {path}, a cell is longer than {limit} characters.")
            raise _not_rows(sentence.format(path=path, limit=f"{csv.field_size_limit():,}"), _("Shorten it.")) from exc
        raise _unreadable(path, str(exc)) from exc
    _check_names(list(filter(None, map(trimmed, heads))))
    # An empty cell is a missing value; so are those beyond the header, unless something stands in one.
    return [
        {
            name: value if value and (name is None or trimmed(value)) else None
            for name, value in record.items()
            if name is not None or any(map(trimmed, value))
        }
        for record in records
    ]


def _csv_text(path: Path) -> str:
    try:
        # Unlike Path's, this expanduser() leaves an unknown ~user as it is.
        content = Path(os.path.expanduser(path)).read_bytes()  # noqa: PTH111
    except (OSError, ValueError) as exc:
        raise _unreadable(path, getattr(exc, "strerror", None) or str(exc)) from exc
    if content.startswith(_WORKBOOKS):
        raise _not_csv(path, _("it is an Excel workbook"), "pandas.read_excel(..., dtype=str)")
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or content[:_SNIFFED].count(0) > len(content[:_SNIFFED]) / 4:
        raise _not_csv(path, _("it is UTF-16, which Excel calls Unicode text"), _READING.format("utf-16"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise _not_csv(path, _("it is not UTF-8 in line {line}").format(line=line), _READING.format("cp1252")) from exc
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _separator(text: str) -> str:
    """Return what separates the cells of a CSV file: with it, most rows have as many cells as the first one."""
    return max(_SEPARATORS, key=lambda separator: _fitness(text[:_SNIFFED], separator))


def _fitness(text: str, separator: str) -> tuple[bool, bool, float, int]:
    sound, cells = _cells(text, separator, strict=True)
    if not sound:  # because of the separator, or of a cell that is refused later
        _sound, cells = _cells(text, separator, strict=False)
    first = cells[0] if cells else 0
    return first > 1, sound, cells.count(first) / max(len(cells), 1), first


def _cells(text: str, separator: str, *, strict: bool) -> tuple[bool, list[int]]:
    """Return how many cells the first rows have, and whether that is certain."""
    cells: list[int] = []
    try:
        for row in islice(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=strict), _SNIFFED_ROWS):
            cells += [len(row)] if row else []
    except csv.Error:
        return len(text) == _SNIFFED, cells  # a cell at which the text is cut is not wrong
    if len(text) == _SNIFFED and len(cells) > 1:
        cells.pop()  # it may be cut
    return True, cells


def _check_quotation_marks(text: str, separator: str, path: Path, start: int) -> None:
    """Raise `MessageError` for the first cell that RFC 4180 does not know, with the number of its line.

    Python's reader, and many others, take such a cell together with the lines below it: one person would get what is
    meant for the next.
    """
    end = re.escape(separator) + r"\n"
    # Possessive, so that it takes one pass: where it ends is where the first bad cell begins.
    cells = re.compile(rf'(?:(?:"(?:[^"]|"")*+"|[^"{end}]*+)(?:[{end}]|\Z))*+').match(text, start)
    begin = cells.end() if cells else start
    if begin == len(text):
        return
    place = {"path": path, "line": _line_number(text, begin)}
    closed = re.compile(r'"(?:[^"]|"")*+"').match(text, begin)
    hint = _('Put the whole cell in quotation marks, and double those in it, as in "a ""b"" c".')
    # The hint above would lead to a cell with blanks and quotation marks in it: “Dear  "Anna Meyer",”.
    if spaced := re.compile(rf'([^\S\n]*+)("(?:[^"]|"")*+")([^\S\n]*+)(?=[{end}]|\Z)').match(text, begin):
        sentence = _("In line {line} of {path}, there is a space beside the quotation marks of a cell.")
        if "\n" not in spaced[2]:
            hint = _("Remove the space, so that the cell is {cell}.").format(cell=spaced[2])
    elif text[begin] != '"':
        sentence = _("In line {line} of {path}, a cell contains a quotation mark but does not begin with one.")
    elif closed is None:
        sentence = _("In line {line} of {path}, a cell begins with a quotation mark that is never closed.")
    elif (last := _line_number(text, closed.end())) == place["line"]:
        sentence = _("In line {line} of {path}, text follows the quotation mark that closes a cell.")
    else:
        place["last"] = last
        sentence = _(
            "The quotation mark that opens a cell in line {line} of {path} is closed in line {last}, inside a text."
        )
    raise _not_rows(sentence.format(**place), hint)


def _line_number(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1  # whatever ended a line in the file is one by now


def _unreadable(path: Path, reason: str | None) -> MessageError:
    return _not_rows(
        _("The file {path} cannot be read: {reason}.").format(path=path, reason=reason),
        _("Check its name, and save it as CSV in UTF-8."),
    )


def _not_csv(path: Path, reason: str, line: str) -> MessageError:
    return _not_rows(
        _("The file {path} cannot be read: {reason}.").format(path=path, reason=reason),
        _("Save it in Excel as “CSV UTF-8”, or give its rows: {line}.").format(line=line),
    )


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise _not_rows(
            _("Two columns of the data set have the name “{name}”.").format(name=twice),
            _("Give each a name of its own."),
        )


def _not_rows(sentence: str, hint: str) -> MessageError:
    return MessageError(sentence, field="rows", hint=hint)
