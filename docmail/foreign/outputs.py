"""Turns the outputs of a cell into pieces: of each the best form that a mail can show, or a sentence in its place.

A notebook holds an output in several forms (media types). A picture is drawn anew, a table and other HTML are read by
lists of what passes, text is text. What only a browser with scripts can show is shown by its static picture, drawn from
its description, or not at all.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from docmail.foreign.html_pieces import html_pieces
from docmail.foreign.html_reader import TooLongError, parts_of
from docmail.foreign.markdown_pieces import formula, markdown_pieces
from docmail.foreign.notebook import joined, plain
from docmail.foreign.pictures import UnshownError, chart_drawn, drawn, svg_drawn
from docmail.foreign.pieces import Printed, note
from docmail.language import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.foreign.pieces import Pictured, Shown

__all__ = ["pieces_of"]

_MOST_LINES, _HEAD_LINES, _TAIL_LINES = 200, 120, 60
_LONGEST_LINE, _MOST_LINE = 2_000, 1_000_000
_WIDGET = "application/vnd.jupyter.widget-view+json"

# What a cell returns besides what it shows: objects of matplotlib's and others that say only where they are in memory.
_SILENT = re.compile(
    r"(?s)[\[(]*\s*(?:array\(\[*)?<[^<>\n]{1,200}?(?: at 0x[0-9a-fA-F]+)[^<>]*>.*"
    r"|[\[(]*(?:array\(\[*)?<(?:Axes|Figure|AxesSubplot|BarContainer)[^>]*>.*"
    r"|Text\(-?[\d.]+, -?[\d.]+, .*\)|<(?:IPython\.\w+\.display|docmail|EmailButton|SettingsForm|DocumentView)[^>]*>"
)
# Forms that a person sees in the notebook, and that are not silently missing in a mail.
_SEEN = re.compile(r"(?:image|video|audio)/|application/(?:pdf|json|(?:geo|ld)\+json|vnd\.dataresource\+json)")
_SEEN_HTML = re.compile(r"(?i)<(?:audio|canvas|embed|img|meter|object|progress|svg|video)\b")
# scikit-learn and xarray write the plain text beside what only their style sheet folds.
_HAS_WORDS = re.compile(r"class=[\"'][^\"'<>]*-text-repr-fallback\b")
_LOADED_LATER = re.compile(r"(?i)Loading (?:<b>)?ITables|\binit_datatables\b")
_PROGRESS = re.compile(r"\s*\d{1,3}%\|.*\|.*\[\d.*\]|.*\|\s*\d+/(?:\d+|\?)\s*\[.*\]")


def pieces_of(outputs: Iterable[dict[str, Any]], tags: frozenset[str]) -> Iterator[Shown]:
    """Yield what the outputs of a cell show. What was written to stderr is for the writer of the notebook alone."""
    printed: list[str] = []
    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            if output.get("name", "stdout") != "stderr" and "remove-stdout" not in tags:
                printed.append(joined(output.get("text")))
            continue
        yield from _lines("".join(printed))
        printed.clear()
        if kind == "error":  # one that is expected; others are refused
            said = ": ".join(filter(None, (joined(output.get("ename")), joined(output.get("evalue")))))
            yield from _lines(said)
        elif kind in {"display_data", "execute_result"}:
            data, metadata = output.get("data"), output.get("metadata")
            if isinstance(data, dict):
                yield from _shown(data, metadata if isinstance(metadata, dict) else {})
    yield from _lines("".join(printed))


def _lines(text: str) -> Iterator[Shown]:
    """Yield printed text, without the middle of a long one."""
    lines = text.replace("\r\n", "\n").strip("\n").split("\n")
    shown = lines if len(lines) <= _MOST_LINES else [*lines[:_HEAD_LINES], *lines[-_TAIL_LINES:]]
    shown = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} …" for line in map(_line, shown)]
    if not any(map(str.strip, shown)):
        return
    if len(lines) <= _MOST_LINES:
        yield Printed("\n".join(shown).rstrip())
        return
    yield Printed("\n".join(shown[:_HEAD_LINES]))
    left_out = len(lines) - _HEAD_LINES - _TAIL_LINES
    yield note(
        ngettext("{count} line is left out here.", "{count} lines are left out here.", left_out).format(
            count=f"{left_out:,}"
        )
    )
    yield Printed("\n".join(shown[_HEAD_LINES:]))


def _line(line: str) -> str:
    """Return a printed line; one of megabytes, such as a progress bar writes, by its end alone."""
    return plain(line if len(line) <= _MOST_LINE else line[-_MOST_LINE:])


def _shown(data: dict[str, Any], metadata: dict[str, Any]) -> Iterator[Shown]:
    """Yield one output: the first of its forms that shows something."""
    words, html = joined(data.get("text/plain")), joined(data.get("text/html"))
    if "docmail-static" in html or "docmail-beside" in html or _is_own_view(data):
        return  # docmail's own buttons and forms
    try:
        picture = _picture(data, metadata)
    except UnshownError as exc:
        yield note(str(exc))
        return
    if picture is not None:
        yield picture
        return
    interactive = _interactive(data, html, words)
    if interactive is not None:
        yield from interactive
        return
    if _HAS_WORDS.search(html) and words.strip():
        yield from _lines(words)
    elif html.strip() and (shown := [*html_pieces(html)]):
        yield from shown
    else:
        yield from _other_form(data, html, words)


def _other_form(data: dict[str, Any], html: str, words: str) -> Iterator[Shown]:
    """Yield what is neither a picture nor HTML, or a sentence where something was to be seen."""
    if latex := joined(data.get("text/latex")).strip():
        yield from formula(latex, words)
    elif (markdown := joined(data.get("text/markdown"))).strip():
        yield from markdown_pieces(markdown, None)
    elif words.strip() and not _SILENT.fullmatch(words.strip()):
        yield from _lines(words)
    elif _SEEN_HTML.search(html) or any(map(_SEEN.match, data)):
        yield note(_("An output stood here that a mail cannot show; only the notebook itself shows it."))


def _is_own_view(data: dict[str, Any]) -> bool:
    """Say whether it is the view below a static fallback of docmail's, which says nothing as text."""
    return {*data} <= {_WIDGET, "text/plain"} and not joined(data.get("text/plain")).strip()


def _picture(data: dict[str, Any], metadata: dict[str, Any]) -> Pictured | None:
    for kind in ("image/png", "image/jpeg", "image/gif"):
        if content := joined(data.get(kind)).strip():
            own = metadata.get(kind)
            return drawn(content, width=own.get("width") if isinstance(own, dict) else None)
    svg = joined(data.get("image/svg+xml")).strip()
    return svg_drawn(svg) if svg else None


# --- what needs scripts -----------------------------------------------------------------------------------------------

_CHARTS = re.compile(r"application/vnd\.(?:plotly|vegalite)\.")
_SCRIPTED = re.compile(r"application/(?:javascript|vnd\.(?!jupyter\.widget|dataresource)|geo\+json)|text/javascript")


def _interactive(data: dict[str, Any], html: str, words: str) -> list[Shown] | None:
    """Return what stands for an output that a browser draws; None for one that has a static form."""
    chart = next((kind for kind in data if _CHARTS.match(kind)), None)
    spec = data.get(chart) if chart else _vega_in(html)
    if chart or spec is not None:
        return [chart_drawn(chart or "vegalite", spec) or _chart_missing()]
    if _WIDGET in data:
        done = _PROGRESS.match(plain(words)) is not None  # a bar that has reached its end
        return [] if done else [_element_missing()]
    if _LOADED_LATER.search(html):
        return [_element_missing()]
    if _says_something(html) or joined(data.get("text/markdown")).strip():
        return None
    return _scripted([kind for kind in data if _SCRIPTED.match(kind)], data, html, words)


def _scripted(kinds: list[str], data: dict[str, Any], html: str, words: str) -> list[Shown] | None:
    """Return what stands for scripts; nothing for those that make the notebook ready, and show nothing."""
    if any("bokehjs_exec" in kind or "holoviews_exec" in kind for kind in kinds):
        return [_chart_missing()]
    if kinds and all(kind.endswith("javascript") or "_load" in kind for kind in kinds):
        shows = any("embed" in str(data[kind])[:20_000].lower() for kind in kinds if kind.endswith("javascript"))
        return [_chart_missing()] if shows and not any("_load" in kind for kind in kinds) else []
    if "<iframe" in html.lower():
        return [note(_("A map or a page of another server stood here; only the notebook itself shows it."))]
    if (kinds and (not words.strip() or _SILENT.fullmatch(words.strip()))) or "<script" in html.lower():
        return [_chart_missing()]
    return None


def _element_missing() -> Shown:
    return note(_("An interactive element stood here; only the notebook itself shows it."))


def _chart_missing() -> Shown:
    return note(_("An interactive chart stood here; only the notebook itself shows it."))


def _says_something(html: str) -> bool:
    try:
        return bool(parts_of(html))
    except TooLongError:
        return True  # and a sentence says so


def _vega_in(html: str) -> Any:
    """Return the chart in the HTML that altair writes for a browser; None if there is none."""
    if "vegaEmbed" not in html:
        return None
    for found in re.finditer(r"(?:\}\)\(|\bspec\s*=)\s*(?=\{)", html):
        try:
            spec, _end = json.JSONDecoder().raw_decode(html, found.end())
        except (ValueError, RecursionError):
            continue
        if isinstance(spec, dict) and "$schema" in spec:
            return spec
    return {}
