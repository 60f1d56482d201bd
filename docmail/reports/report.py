"""Makes a PDF of text, tables and figures: `Report("Q3").text("…").table(df, title="Sales").figure(fig)`.

What is given is taken as it is at that moment; changing the DataFrame or the figure afterwards changes nothing. Text
is Markdown. Tables are those of `docmail.text.columns`; figures stay vectors, with their fonts in the file.
`docmail.reports.fonts` explains where the letters come from.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from docmail.addresses import first_control
from docmail.errors import DocumentError
from docmail.language import _, current
from docmail.look import Look, checked
from docmail.reports.charts import chart_file
from docmail.reports.figures import draw_figure, figure_height, figure_pdf, is_figure
from docmail.reports.fonts import Fonts, MissingCharacterError, composed
from docmail.reports.letterhead import Letterhead, ink_of, long_date
from docmail.reports.lines import Run
from docmail.reports.pages import Pages
from docmail.reports.paragraphs import Paragraph, draw_paragraph, paragraphs_of
from docmail.reports.pdf_writer import Writer
from docmail.reports.tables import Table
from docmail.settings import current_look
from docmail.text import Column, chart_kind, columns_of, elements_in, is_frame, minus, signs_of, with_line_feeds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from docmail.text import Format

__all__ = ["Report"]


@dataclass(frozen=True)
class _Table:
    columns: Sequence[Column]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield each text with the place where it stands."""
        for column in self.columns:
            name = column.heads[-1]
            for head in column.heads:
                yield head, _("the heading of column “{name}”").format(name=name)
            for row, cell in enumerate(column.cells, 1):
                yield cell, _("column “{name}”, row {row}").format(name=name, row=row)
            yield column.total, _("the total of column “{name}”").format(name=name)


@dataclass(frozen=True)
class _Figure:
    pdf: bytes


_BREAK = Paragraph(())
_BETWEEN = 8.0  # a text and the table or figure below it, in points
_TODAY: Any = object()


class Report:
    """A PDF that is being written; each method adds something and returns the report, so that calls can be chained.

    `title` stands at its top, and is what its file is called. `Document.of` and `docmail.send` take it as it is.
    `locale` ("de", "en-ZA") sets the signs in the numbers of its tables: "182.450,50". It needs babel: `pip install
    "docmail[locale]"`.

    `look` is how it looks (`docmail.look.Look`): letterhead, colour, font, footer, locale and currency; without it, the
    look that is saved with the selected profile, and with `Look.PLAIN` none. `date` is the day that the letterhead
    shows: today without it, and none with None.

    >>> docmail.reports.Report("Q3").text("Sales **rose**.").table(frame, totals=True)
    <Report 'Q3', 1 tables, 0 figures>
    """

    def __init__(
        self, title: str = "", *, locale: str | None = None, look: Look | None = None, date: dt.date | None = _TODAY
    ) -> None:
        title = _checked_text(title, "title", _('Write it in quotes: Report("Q3").'))
        signs_of(locale)  # at once, not in the first table
        if date is not _TODAY and date is not None and not isinstance(date, dt.date):
            raise DocumentError(
                _("The {field} must be a date, not {type}.").format(field="date", type=type(date).__name__),
                hint=_("Give a datetime.date, or None to have no date in the letterhead."),
            )
        # What is given is taken as it is now: a look that is saved later is that of later documents.
        self._look = current_look() if look is None else checked(look) or Look.PLAIN
        self._locale = self._look.locale if locale is None else locale
        # The date of creation is the report's, so that what was sent is the same file as what is shown.
        self._made = dt.datetime.now().astimezone()
        self._date = self._made.date() if date is _TODAY else date
        self.title = " ".join(title.split())
        self._parts: list[Paragraph | _Table | _Figure] = []
        if self.title:
            self._parts.append(Paragraph((Run(self.title, "bold"),), size=18.0, after=10.0, keep=40.0, level=1))

    def text(self, text: str, *, markdown: bool = True) -> Report:
        """Add text: Markdown, in which a line break is a line break, or with `markdown=False` as it is.

        >>> docmail.reports.Report().text("Sales *rose*.").text("2 * 3 * 4", markdown=False).pdf()[:5]
        b'%PDF-'
        """
        text = _checked_text(text, "text", _("Add a DataFrame with .table(), a figure with .figure()."))
        if markdown:
            if elements := elements_in(text):
                raise DocumentError(
                    _("The {field} is HTML, and readers would see its tags as text: <{element}>.").format(
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
        """Add a DataFrame (`frame`) as a table, under a `title` if it has one.

        `totals=True` adds up the columns of amounts and counts in a last row, but no identifiers, years, shares or
        prices per unit; `totals=["Revenue"]` those that it names. `formats` says how to write the numbers of a column:
        `{"Revenue": ",.0f"}`, "percent" for shares of one, "EUR" for amounts, or "currency" for those of the look's
        currency. `locale` ("de", "en-ZA") says with which signs, if not with those of the report. Raises
        `DocumentError` for what makes no table.

        >>> docmail.reports.Report().table(frame, title="Customers", totals=["Amount"], formats={"Amount": ",.2f"})
        <Report '', 1 tables, 0 figures>
        """
        if not is_frame(frame):
            raise DocumentError(
                _("A {type} is not a table.").format(type=type(frame).__name__),
                hint=_("Give a DataFrame of pandas or polars."),
            )
        if title:
            self._parts.append(_caption(title, 60.0))
        locale = self._locale if locale is None else locale
        currency = self._look.currency
        self._parts.append(_table(columns_of(frame, totals=totals, formats=formats, locale=locale, currency=currency)))
        return self

    def figure(self, figure: Any, *, title: str = "") -> Report:
        """Add a figure of matplotlib's, plotly's or altair's, or a picture, with a `title` above it if there is one.

        It is as wide as the text, or smaller if it is so itself.

        >>> docmail.reports.Report("Q3").figure(figure, title="Sales")
        <Report 'Q3', 0 tables, 1 figures>
        """
        if not is_figure(figure) and not chart_kind(figure):
            raise DocumentError(
                _("A {type} is not a figure of matplotlib, plotly or altair.").format(type=type(figure).__name__),
                hint=_("Give the figure: fig, axes = plt.subplots(); an axes has it as axes.figure."),
            )
        pdf = figure_pdf(figure) if is_figure(figure) else chart_file(figure, "pdf")
        if title:
            self._parts.append(_caption(title, 200.0))
        self._parts.append(_Figure(pdf))
        return self

    def page_break(self) -> Report:
        """Let what follows begin on a new page.

        >>> docmail.reports.Report().text("Page 1").page_break().text("Page 2").pdf()[:5]
        b'%PDF-'
        """
        self._parts.append(_BREAK)
        return self

    def pdf(self) -> bytes:
        """Return the PDF; raises `DocumentError` with the place of a character that no font here has.

        >>> docmail.reports.Report("Q3").text("Sales rose.").pdf()[:5]
        b'%PDF-'
        """
        look = self._look
        writer = Writer(self._made, self.title, author=look.name, language=self._locale or current())
        try:
            fonts = Fonts((text for text, _where in self._texts()), look.font)
        except MissingCharacterError as exc:
            raise self._missing(exc.character) from None
        pages = Pages(
            writer,
            fonts,
            frame=Letterhead(look, self._written_date(), fonts),
            ink=ink_of(look),
            running_head=(self.title, look.name),
        )
        parts = [
            Table(fonts, part.columns, *pages.widths()) if isinstance(part, _Table) else part for part in self._parts
        ]
        for index, part in enumerate(parts):
            before = parts[index - 1] if index else None
            is_below_heading = isinstance(before, Paragraph) and before.keep > 0
            if isinstance(part, (Table, _Figure)) and not is_below_heading:  # which has its own distance
                pages.leave(_BETWEEN)
            if isinstance(part, Table):
                part.draw(pages)
            elif isinstance(part, _Figure):
                draw_figure(pages, part.pdf)
            elif part is _BREAK:
                pages.end_page()
            elif part.keep:
                self._draw_heading(pages, part, parts[index + 1 :])
            else:
                pages.orient(landscape=False)
                draw_paragraph(pages, part)
        pages.finish()
        fonts.write(writer)
        return writer.finish()

    @staticmethod
    def _draw_heading(pages: Pages, heading: Paragraph, rest: Sequence[Table | Paragraph | _Figure]) -> None:
        """Draw a heading where what it stands above begins: on a landscape page for a wide table."""
        below = next((part for part in rest if not isinstance(part, Paragraph) or not part.keep), None)
        pages.orient(landscape=isinstance(below, Table) and below.landscape)
        keep = 0.0
        if isinstance(below, Table):
            keep = below.height(pages.height / 2)
        elif isinstance(below, _Figure):
            keep = figure_height(pages, below.pdf)
        draw_paragraph(pages, heading, min(keep, pages.height - 60))

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Yield every text of the report with the place where it stands."""
        # What the layout itself writes: numbers of pages, “Total”.
        yield "".join((_("page {number} of {pages}"), _("Total"), _("no rows"), "0123456789…•")), ""
        for run in Letterhead.runs(self._look):
            yield run.text, _("the letterhead")
        yield self._written_date(), _("the letterhead")
        for part in self._parts:
            if isinstance(part, Paragraph):
                for text in (part.mark, *(run.text for run in part.runs)):
                    yield text, _("the text “{text}”").format(text=" ".join(text.split())[:40])
            elif isinstance(part, _Table):
                yield from part.texts()

    def _written_date(self) -> str:
        return "" if self._date is None else long_date(self._date, self._locale)

    def _missing(self, character: str) -> DocumentError:
        where = next((where for text, where in self._texts() if character in composed(text)), "")
        return DocumentError(
            _("No font on this computer has the character {character} ({code}), in {where}.").format(
                character=character if character.isprintable() else "?",
                code=f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip(),
                where=where.encode("utf-8", "replace").decode(),  # half a character, as damaged data has it
            ),
            hint=_(
                "Install a font that has it, such as one of the Noto fonts (on Debian and Ubuntu: apt install"
                " fonts-noto-core), or write something else."
            ),
        )

    def __repr__(self) -> str:
        tables = sum(isinstance(part, _Table) for part in self._parts)
        figures = sum(isinstance(part, _Figure) for part in self._parts)
        return f"<Report {self.title!r}, {tables} tables, {figures} figures>"


def _checked_text(value: Any, field: str, hint: str) -> str:
    """Return a text with line feeds at its line ends; raises for what is no text, and for control characters."""
    if not isinstance(value, str):
        raise DocumentError(
            _("The {field} must be text, not {type}.").format(field=field, type=type(value).__name__), hint=hint
        )
    text = with_line_feeds(value)
    if control := first_control(text, lines=True):
        raise DocumentError(
            _("The {field} contains the invisible character {code}.").format(field=field, code=control),
            hint=_("Remove it from the text."),
        )
    return text


def _caption(title: str, keep: float) -> Paragraph:
    """Return the title of a table or a figure, which stands above it on the same page."""
    title = _checked_text(title, "title", _('Write it in quotes, such as {field}="Q3".').format(field="title"))
    return Paragraph((Run(title, "bold"),), size=12.0, before=10.0, after=4.0, keep=keep, level=3)


def _table(columns: Sequence[Column]) -> _Table:
    """Return a table whose negative numbers have a minus sign, which is as wide as a plus, and not a hyphen."""
    return _Table(
        [
            replace(column, cells=list(map(minus, column.cells)), total=minus(column.total)) if column.right else column
            for column in columns
        ]
    )
