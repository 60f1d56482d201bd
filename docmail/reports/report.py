"""Makes a PDF of text, tables and figures: `Report("Q3").text("…").table(df, title="Sales").figure(fig)`.

What is given is taken as it is at that moment; changing the DataFrame or the figure afterwards changes nothing. Text
is Markdown. Tables are those of `docmail.text.columns`; figures stay vectors, with their fonts in the file. Where the
letters come from is told in `docmail.reports.fonts`.
"""

from __future__ import annotations

import io
import sys
import unicodedata
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from docmail.errors import DocumentError
from docmail.language import _
from docmail.reports.fonts import Fonts, UnsettableError
from docmail.reports.pages import Sheets
from docmail.reports.paragraphs import Paragraph, Run, draw_paragraph, paragraphs_of
from docmail.reports.pdf_writer import Form, Writer
from docmail.reports.tables import Table
from docmail.text import Column, columns_of, elements_in, is_frame, minus, signs_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from docmail.text import Format

__all__ = ["Report", "figure_pdf", "is_figure", "table_pdf"]


@dataclass(frozen=True)
class _Table:
    columns: Sequence[Column]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each text with the place where it stands."""
        for column in self.columns:
            name = column.heads[-1]
            for head in column.heads:
                yield head, _("the head of column “{name}”").format(name=name)
            for row, cell in enumerate(column.cells, 1):
                yield cell, _("column “{name}”, row {row}").format(name=name, row=row)
            yield column.total, _("the total of column “{name}”").format(name=name)


@dataclass(frozen=True)
class _Figure:
    pdf: bytes


_BREAK = Paragraph(())
# In inches: the room around what stands outside a figure, as notebooks leave it; and what is only the room that a font
# keeps below its letters.
_PAD, _SLIGHT = 0.1, 0.02


class Report:
    """A PDF in the making; each method adds something and returns the report itself, so that calls can be chained.

    `Document.of` and `docmail.send` take it as it is. `locale` ("de", "en-ZA") sets the signs in the numbers of its
    tables: "182.450,50". It needs babel: `pip install "docmail[locale]"`.
    """

    def __init__(self, title: str = "", *, locale: str | None = None) -> None:
        if not isinstance(title, str):
            raise DocumentError(
                _("The {field} must be text, not {type}.").format(field="title", type=type(title).__name__),
                hint=_('Write it in quotes: Report("Q3").'),
            )
        signs_of(locale)  # at once, not in the first table
        self._locale = locale
        self.title = " ".join(title.split())
        self._parts: list[Paragraph | _Table | _Figure] = []
        if self.title:
            self._parts.append(Paragraph((Run(self.title, "bold"),), size=18.0, after=8.0, keep=40.0))

    def text(self, text: str, *, markdown: bool = True) -> Report:
        """Add text: Markdown, in which a line break is a line break, or with `markdown=False` as it is."""
        if not isinstance(text, str):
            raise DocumentError(
                _("The {field} must be text, not {type}.").format(field="text", type=type(text).__name__),
                hint=_("Add a DataFrame with .table(), a figure with .figure()."),
            )
        if markdown:
            if elements := elements_in(text):
                raise DocumentError(
                    _("The {field} is HTML, of which readers would see every tag: <{element}>.").format(
                        field="text", element="table" if "table" in elements else min(elements)
                    ),
                    hint=_("Give the table itself: .table(df).")
                    if "table" in elements
                    else _("Write it as Markdown, such as **bold**, or add markdown=False to show it as it is."),
                )
            for paragraph, rows in paragraphs_of(text):
                self._parts.append(paragraph if rows is None else _table(rows))
        else:
            self._parts += [Paragraph((Run(part),)) for part in text.split("\n\n") if part.strip()]
        return self

    def table(
        self,
        frame: Any,
        *,
        title: str = "",
        totals: bool | Collection[str] = False,
        formats: Mapping[str, Format] | None = None,
        locale: str | None = None,
    ) -> Report:
        """Add a DataFrame as a table.

        `totals=True` adds up the columns of amounts and counts in a last row, but no identifiers, years, shares or
        prices per unit; `totals=["Revenue"]` those that it names. `formats` says how to write the numbers of a column,
        as `{"Revenue": ",.0f"}`, and `locale` ("de", "en-ZA") with which signs, if not with those of the report. Raises
        `DocumentError` for what makes no table.
        """
        if not is_frame(frame):
            raise DocumentError(
                _("A {type} is no table.").format(type=type(frame).__name__),
                hint=_("Give a DataFrame of pandas or polars."),
            )
        if title:
            self._parts.append(Paragraph((Run(title, "bold"),), size=12.0, before=4.0, after=4.0, keep=60.0))
        locale = self._locale if locale is None else locale
        self._parts.append(_table(columns_of(frame, totals=totals, formats=formats, locale=locale)))
        return self

    def figure(self, figure: Any, *, title: str = "") -> Report:
        """Add a figure of matplotlib's, at its own size or as large as the page allows."""
        if not is_figure(figure):
            raise DocumentError(
                _("A {type} is no figure of matplotlib's.").format(type=type(figure).__name__),
                hint=_("Give the figure: fig, axes = plt.subplots(); an axes has it as axes.figure."),
            )
        pdf = figure_pdf(figure)
        if title:
            self._parts.append(Paragraph((Run(title, "bold"),), size=12.0, before=4.0, after=4.0, keep=200.0))
        self._parts.append(_Figure(pdf))
        return self

    def page_break(self) -> Report:
        """Go on on a new page."""
        self._parts.append(_BREAK)
        return self

    def pdf(self) -> bytes:
        """Return the PDF; raises `DocumentError` with the place of a character that no font here has."""
        writer = Writer(self.title)
        characters = {character for text, _where in self._texts() for character in text}
        try:
            fonts = Fonts(characters)
        except UnsettableError as exc:
            raise self._unsettable(exc) from None
        sheets = Sheets(writer, fonts)
        parts = [
            Table(fonts, part.columns, *sheets.widths()) if isinstance(part, _Table) else part for part in self._parts
        ]
        for index, part in enumerate(parts):
            if isinstance(part, Table):
                part.draw(sheets)
            elif isinstance(part, _Figure):
                _draw_figure(sheets, writer.form_of(part.pdf))
            elif part is _BREAK:
                sheets.end_page()
            elif part.keep:
                self._draw_heading(sheets, part, parts[index + 1 :])
            else:
                sheets.turn(across=False)
                draw_paragraph(sheets, part)
        sheets.finish()
        fonts.write(writer)
        return writer.finish()

    @staticmethod
    def _draw_heading(sheets: Sheets, heading: Paragraph, rest: Sequence[Table | Paragraph | _Figure]) -> None:
        """Draw a heading where what it stands above begins: on a page across for a wide table."""
        below = next((part for part in rest if not isinstance(part, Paragraph) or not part.keep), None)
        keep = 0.0
        if isinstance(below, Table):
            sheets.turn(across=below.across)
            keep = below.height(sheets.height / 2)
        elif isinstance(below, _Figure):
            sheets.turn(across=False)
            form = sheets.writer.form_of(below.pdf)
            keep = form.height * _scale(sheets, form)
        else:
            sheets.turn(across=False)
        draw_paragraph(sheets, heading, min(keep, sheets.height - 60))

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Yield every text of the report with the place where it stands."""
        # What the layout itself writes: numbers of pages, “Total”.
        yield "".join((_("page {number} of {pages}"), _("Total"), _("no rows"), "0123456789…•")), ""
        for part in self._parts:
            if isinstance(part, Paragraph):
                for text in (part.mark, *(run.text for run in part.runs)):
                    yield text, _("the text “{text}”").format(text=" ".join(text.split())[:40])
            elif isinstance(part, _Table):
                yield from part.texts()

    def _unsettable(self, exc: UnsettableError) -> DocumentError:
        where = next((where for text, where in self._texts() if exc.character in text), "")
        code = f"U+{ord(exc.character):04X} {unicodedata.name(exc.character, '')}".rstrip()
        where = where.encode("utf-8", "replace").decode()  # half a character, as damaged data has it
        if exc.lacking:
            return DocumentError(
                _("No font on this computer has the character {character} ({code}), in {where}.").format(
                    character=exc.character if exc.character.isprintable() else "?", code=code, where=where
                ),
                hint=_("Install a font that has it, such as one of the Noto fonts, or write something else."),
            )
        return DocumentError(
            _("docmail cannot set the script of the character {character} ({code}), in {where}.").format(
                character=exc.character, code=code, where=where
            ),
            hint=_("Make this PDF with a word processor, and attach the file."),
        )

    def __repr__(self) -> str:
        tables = sum(isinstance(part, _Table) for part in self._parts)
        figures = sum(isinstance(part, _Figure) for part in self._parts)
        return f"<Report {self.title!r}, {tables} tables, {figures} figures>"


def _table(columns: Sequence[Column]) -> _Table:
    """Return a table whose negative numbers have a minus sign, which is as wide as a plus, and not a hyphen."""
    return _Table([_with_minus(column) if column.right else column for column in columns])


def _with_minus(column: Column) -> Column:
    cells = [minus(cell) for cell in column.cells]
    return replace(column, cells=cells, total=minus(column.total))


def table_pdf(frame: Any, title: str = "") -> bytes:
    """Return a DataFrame as a PDF."""
    return Report(title).table(frame).pdf()


def is_figure(source: object) -> bool:
    """Say whether it is a figure of matplotlib's, which is not imported for it."""
    return any(kind.__module__ == "matplotlib.figure" and kind.__name__ == "Figure" for kind in type(source).__mro__)


def figure_pdf(figure: Any, form: str = "pdf", dpi: float | None = None) -> bytes:
    """Return a figure as a PDF (or another format that matplotlib writes), its fonts in it as TrueType.

    A figure that `plt.close` has closed is as good as an open one.
    """
    matplotlib = sys.modules["matplotlib"]
    file = io.BytesIO()
    try:
        # Type 42: text stays text, which can be searched and copied, and printers take it.
        with matplotlib.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42}), warnings.catch_warnings():
            # An empty box instead of a letter is no figure to send.
            warnings.filterwarnings("error", message="Glyph .* missing")
            figure.savefig(file, format=form, dpi=dpi or "figure", bbox_inches=_shown(figure))
    except Exception as exc:
        raise DocumentError(
            _("matplotlib cannot save this figure: {reason}.").format(reason=" ".join(str(exc).split()).rstrip(".")),
            hint=_('Correct what it names; figure.savefig("figure.pdf") alone shows where it comes from.'),
        ) from exc
    return file.getvalue()


def _shown(figure: Any) -> Any:
    """Return what of a figure is to be seen, in inches: all of it, and what a notebook shows outside it.

    That is a legend beside the axes, a long label, a title above. None where there is no such thing, or where the
    user's own settings cut to what is there (`savefig.bbox`).
    """
    if sys.modules["matplotlib"].rcParams["savefig.bbox"] == "tight":
        return None
    figure.draw_without_rendering()  # which puts everything in its place
    whole, drawn = figure.bbox_inches, figure.get_tightbbox()
    left, lower = (
        min(own, seen - _PAD) if own - seen > _SLIGHT else own for own, seen in zip(whole.min, drawn.min, strict=True)
    )
    right, upper = (
        max(own, seen + _PAD) if seen - own > _SLIGHT else own for own, seen in zip(whole.max, drawn.max, strict=True)
    )
    if (left, lower, right, upper) == tuple(whole.extents):
        return None
    return type(whole).from_extents(left, lower, right, upper)


def _scale(sheets: Sheets, form: Form) -> float:
    """Return how large a figure can be, with room for a heading above it."""
    return min(1.0, sheets.width / form.width, (sheets.height - 60) / form.height)


def _draw_figure(sheets: Sheets, form: Form) -> None:
    sheets.turn(across=False)
    scale = _scale(sheets, form)
    sheets.need(form.height * scale)
    sheets.y -= form.height * scale
    sheets.draw(sheets.writer.place(form, sheets.x, sheets.y, scale))
    sheets.y -= 12
