"""Writes down what a person gave as the text of a mail, in a form that no later docmail changes.

A key compares this, and not the Markdown or the mail that docmail made of it: how the cells of a table, a figure or a
value in a template become text may change with any version, and the same call must stay the same mail. So nothing here
may ever write otherwise what it has written once; a test holds it to the files of version 0.1.0.

- Texts, and the values that a template puts into a text, are written exactly as 0.1.0 wrote them into its Markdown. So
  its mails, which have the digest of their Markdown and no other, are compared without any doubt as well.
- A table is its names and cells; a figure is its words and its data, and not its picture, which changes with the
  version of matplotlib, its fonts and colours. The same holds for the charts of plotly and altair, and for styled
  tables; a picture is its dots.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from docmail.text.kinds import chart_kind
from docmail.text.values import Given, is_missing, with_line_feeds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "chart_given",
    "figure_given",
    "picture_given",
    "source_of",
    "styled_given",
    "table_given",
    "text_given",
    "value_given",
]

_MARK = "\x00"  # no text of a mail can hold it
_FLOATS_LIKE_INTEGERS = 10**15  # from here on, 0.1.0 wrote a whole float otherwise than an integer


def source_of(text: str) -> str:
    """Return what a text was made of: the text itself, if docmail has added nothing."""
    return with_line_feeds(text.source if isinstance(text, Given) else text)


# --- values in a template ---------------------------------------------------------------------------------------------

_URL = re.compile(r"https?://[^\s<>\"'`|\\^{}\[\]()*]*[^\s<>\"'`|\\^{}\[\]()*.,:;!?]")
_SIGNS = re.compile(r"[\\`*_\[\]<>|~]|!$")
_SIGNS_AT_START = re.compile(r"(#{1,6}(?=\s|$)|[-+=](?=[\s=-]|$)|[.)](?=\s|$))|(\d{1,9})([.)])(?=\s|$)")


def value_given(value: Any) -> tuple[str, bool]:
    """Return a value as 0.1.0 put it into a text, and whether it certainly did: it is a number, a text or a date."""
    exact = not isinstance(value, int) or abs(value) < _FLOATS_LIKE_INTEGERS
    return "\n".join(map(_escaped, with_line_feeds(text_given(value)).split("\n"))), exact


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


def table_given(frame: Any) -> str:
    """Return the columns of a DataFrame or Series, each as its name and its cells; the index is one as well."""
    if hasattr(frame, "to_frame"):
        frame = frame.to_frame()
    if hasattr(frame, "get_columns"):  # of polars
        columns = [(column.name, column.to_list()) for column in frame.get_columns()]
    else:
        index = frame.index
        columns = [(name, index.get_level_values(level).tolist()) for level, name in enumerate(index.names)]
        columns += [(name, frame.iloc[:, place].tolist()) for place, name in enumerate(frame.columns)]
    return _written("table", [[_cell(name), *map(_cell, cells)] for name, cells in columns])


def _written(kind: str, content: list[Any]) -> str:
    return f"{_MARK}{kind} {json.dumps(content)}"


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):  # a name of several levels
        return [*map(_cell, value)]
    if is_missing(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a column of integers in which one is missing is a column of floats
    return value if isinstance(value, (bool, int, float)) else str(value)


def figure_given(figure: Any) -> str:
    """Return the words of a figure, and the SHA-256 of the data that it shows."""
    said, digest = [figure.get_suptitle(), *(text.get_text() for text in figure.texts)], hashlib.sha256()
    for axes in [each for main in figure.axes for each in (main, *main.child_axes)]:
        said += [axes.get_title(loc=place) for place in ("left", "center", "right")]
        said += [axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.texts)]
        said += [cell.get_text().get_text() for table in axes.tables for cell in table.get_celld().values()]
        said += [label for artist in axes.lines if not (label := str(artist.get_label())).startswith("_")]
        for values in _data(axes):
            digest.update(_MARK.encode() + values)
    return _written("figure", [said, digest.hexdigest()])


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


# --- charts, pictures, styled tables ----------------------------------------------------------------------------------

# Of a trace of plotly's: what it shows, and not how.
_SHOWN = {
    *("type", "name", "text", "labels", "values", "parents", "ids", "locations", "lat", "lon", "node", "link"),
    *("x", "y", "z", "r", "theta", "open", "high", "low", "close", "header", "cells", "value", "delta", "title"),
}
# Of a chart of altair's: its words and its fields; the names of its parts are counted through the whole notebook.
_TOLD = {"title", "subtitle", "text", "field", "aggregate", "timeUnit", "mark", "url", "calculate", "filter"}
_DIGITS = 11  # what another version of a library calculates a little differently is the same


def styled_given(source: Any, words: Iterable[Iterable[str]]) -> str:
    """Return a styled table: for one of pandas its frame, else the words in its cells."""
    return _written("styled", [table_given(source.data)] if hasattr(source, "data") else [[*row] for row in words])


def chart_given(chart: Any) -> str:
    """Return the words and the data of a chart of plotly's or altair's; of a picture, the SHA-256 of its dots."""
    kind = chart_kind(chart)
    if kind == "PIL":
        shown: Any = [chart.size, chart.mode, hashlib.sha256(chart.convert("RGBA").tobytes()).hexdigest()]
    elif kind == "plotly":
        traces = [{name: trace[name] for name in sorted(_SHOWN & {*trace})} for trace in chart.data]
        layout = chart.layout.to_plotly_json()
        axes = {name: each for name, each in layout.items() if re.fullmatch(r"[xyz]axis\d*|annotations", name)}
        titles = [layout.get("title"), *(_texts(axes[name]) for name in sorted(axes))]
        shown = [_texts(titles), [_plain(trace) for trace in traces]]
    else:
        spec = chart.to_dict()
        shown = [_told(spec), [_plain(data) for _name, data in sorted(spec.get("datasets", {}).items())]]
    return _written("chart", [kind, shown])


def picture_given(content: bytes) -> str:
    """Return a picture of which there is the file alone: the SHA-256 of it."""
    return _written("picture", [hashlib.sha256(content).hexdigest()])


def _texts(value: Any) -> list[str]:
    """Return the texts that stand in a part of plotly's layout."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [said for name in ("title", "text") if name in value for said in _texts(value[name])]
    return [said for each in value for said in _texts(each)] if isinstance(value, (list, tuple)) else []


def _told(value: Any) -> list[Any]:
    found: list[Any] = []
    if isinstance(value, dict):
        for name in sorted(value):
            if name in {"config", "datasets", "usermeta"}:
                continue
            each = value[name]
            if name == "mark":
                each = each.get("type", "") if isinstance(each, dict) else each
            if name == "values":
                found.append(_plain(each))
            elif name in _TOLD and not isinstance(each, (dict, list)):
                found.append([name, str(each)])
            else:
                found += _told(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            found += _told(each)
    return found


def _plain(value: Any) -> Any:
    """Return data as JSON has it, its numbers to so many digits."""
    if hasattr(value, "to_plotly_json"):
        value = value.to_plotly_json()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return [*map(_plain, value)]
    if is_missing(value):
        return None
    if isinstance(value, float):
        value = float(f"{value:.{_DIGITS}g}")
        return int(value) if value.is_integer() else value
    return value if isinstance(value, (bool, int)) else str(value)
