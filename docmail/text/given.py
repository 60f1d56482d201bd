"""Writes down what a person gave as the text of a mail, in a form that no later docmail changes.

A key compares this, and not the Markdown or the mail that docmail made of it: how the cells of a table, a figure or a
value in a template become text may change with any version, and the same call must stay the same mail. So nothing here
may ever write otherwise what it has written once; a test holds it to the files of version 0.1.0.

- Texts, and the values that a template puts into a text, are written exactly as 0.1.0 wrote them into its Markdown. So
  its mails, which have the digest of their Markdown and no other, are compared without any doubt as well.
- A table is its names and cells; a figure is its words and its data, and not its picture, which changes with the
  version of matplotlib, its fonts and colours.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from docmail.text.values import Given, is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Given", "body_given", "source_of", "text_given", "value_given"]

_MARK = "\x00"  # no text of a mail can hold it
_LINE_ENDS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_FLOATS_LIKE_INTEGERS = 10**15  # from here on, 0.1.0 wrote a whole float otherwise than an integer


def body_given(text: str, value: Any) -> str:
    """Return the Markdown of a body together with the texts, tables and figures, all of them checked, it is made of."""
    pieces = value if isinstance(value, (list, tuple)) else [value]
    source = _lines("\n\n".join(map(_source_of_piece, pieces)))
    exact = all(isinstance(piece, str) and getattr(piece, "exact", True) for piece in pieces)
    return text if exact and source == text else Given(text, source, exact)


def source_of(text: str) -> str:
    """Return what a text was made of: the text itself, if docmail has added nothing."""
    return text.source if isinstance(text, Given) else _lines(text)


def _source_of_piece(piece: Any) -> str:
    if isinstance(piece, str):
        return source_of(piece)
    kind, content = ("figure", _figure(piece)) if hasattr(piece, "savefig") else ("table", _table(piece))
    return f"{_MARK}{kind} {json.dumps(content)}"


def _lines(text: str) -> str:
    return _LINE_ENDS.sub("\n", text)


# --- values in a template ---------------------------------------------------------------------------------------------

_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]()*]*[^\s<>\"'`|\\^{}\[\]()*.,:;!?]")
_SIGNS = re.compile(r"[\\`*_\[\]<>|~]|!$")
_SIGNS_AT_START = re.compile(r"(#{1,6}(?=\s|$)|[-+=](?=[\s=-]|$)|[.)](?=\s|$))|(\d{1,9})([.)])(?=\s|$)")


def value_given(value: Any) -> tuple[str, bool]:
    """Return a value as 0.1.0 put it into a text, and whether it certainly did: it is a number, a text or a date."""
    exact = not isinstance(value, int) or abs(value) < _FLOATS_LIKE_INTEGERS
    return "\n".join(map(_escaped, _LINE_ENDS.sub("\n", text_given(value)).split("\n"))), exact


def text_given(value: Any) -> str:
    """Return a value as 0.1.0 wrote it, without the marks that keep it from being Markdown."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < _FLOATS_LIKE_INTEGERS else f"{value:.15g}"
    elif isinstance(value, dt.datetime) and value.time() == dt.time():
        value = value.date()
    return value.source if isinstance(value, Given) else str(value)


def _escaped(line: str) -> str:
    shown, line = "\u00a0" * (len(line) - len(line.lstrip(" \t"))), line.lstrip(" \t")
    if start := _SIGNS_AT_START.match(line):
        shown += f"\\{start[1]}" if start[1] else f"{start[2]}\\{start[3]}"
        line = line[start.end() :]
    end = 0
    for url in _URL.finditer(line):
        shown += _SIGNS.sub(r"\\\g<0>", line[end : url.start()]) + f"<{url[0]}>"
        end = url.end()
    return shown + _SIGNS.sub(r"\\\g<0>", line[end:])


# --- tables and figures -----------------------------------------------------------------------------------------------


def _table(frame: Any) -> list[Any]:
    """Return the columns of a DataFrame or Series, each as its name and its cells; the index is one as well."""
    if hasattr(frame, "to_frame"):
        frame = frame.to_frame()
    if hasattr(frame, "get_columns"):  # of polars
        columns = [(column.name, column.to_list()) for column in frame.get_columns()]
    else:
        index = frame.index
        columns = [(name, index.get_level_values(level).tolist()) for level, name in enumerate(index.names)]
        columns += [(name, frame.iloc[:, place].tolist()) for place, name in enumerate(frame.columns)]
    return [[_cell(name), *map(_cell, cells)] for name, cells in columns]


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):  # a name of several levels
        return [*map(_cell, value)]
    if is_missing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a column of integers in which one is missing is a column of floats
    return value if isinstance(value, (bool, int, float)) else str(value)


def _figure(figure: Any) -> list[Any]:
    """Return the words of a figure, and the SHA-256 of the data that it shows."""
    said, digest = [figure.get_suptitle(), *(text.get_text() for text in figure.texts)], hashlib.sha256()
    for axes in [each for main in figure.axes for each in (main, *main.child_axes)]:
        said += [axes.get_title(loc=place) for place in ("left", "center", "right")]
        said += [axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)]
        said += [cell.get_text().get_text() for table in axes.tables for cell in table.get_celld().values()]
        said += [label for artist in axes.lines if not (label := str(artist.get_label())).startswith("_")]
        for values in _data(axes):
            digest.update(_MARK.encode() + values)
    return [said, digest.hexdigest()]


def _data(axes: Any) -> Iterator[bytes]:
    import numpy as np  # matplotlib needs it, and has made the figure

    def octets(values: Any) -> bytes:
        numbers: Any = np.atleast_1d(np.ma.filled(np.ma.asarray(values, dtype="<f8"), np.nan))
        numbers = np.where(np.isnan(numbers), np.nan, numbers)  # it has a sign, which says nothing
        # To eleven digits: what another version of a library calculates a little differently is the same.
        return bytes(((numbers.view("<i8") + (1 << 15)) >> 16).tobytes())

    for line in axes.lines:
        yield octets(line.get_xydata())
    for patch in axes.patches:
        yield octets(patch.get_patch_transform().transform(patch.get_path().vertices))
    for image in axes.images:
        yield octets(image.get_array())
    for collection in axes.collections:
        yield octets(collection.get_offsets())
        if (values := collection.get_array()) is not None:
            yield octets(values)
        else:
            yield from (octets(path.vertices) for path in collection.get_paths())
