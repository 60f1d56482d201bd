"""Draws what stands around the contents of a report: logo, name and date on the first page, a footer on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.language import _
from docmail.reports.lines import Run, lines_of
from docmail.reports.pages import GREY, LEADING, TEXT_WIDTH
from docmail.reports.paragraphs import draw_line, paragraphs_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from docmail.look import Look
    from docmail.reports.fonts import Fonts
    from docmail.reports.pages import Pages

__all__ = ["Letterhead", "ink_of", "long_date"]

_LOGO = (200.0, 44.0)  # at most as wide and high, in points
_NAME, _SMALL, _FOOT = 13.0, 9.0, 7.5  # sizes
_GAP = 12.0


class Letterhead:
    """The letterhead and the footer of a look, with a date as it is written; see `Frame`."""

    def __init__(self, look: Look, date: str, fonts: Fonts) -> None:
        self._look = look
        self._date = date
        self._lines = [
            line
            for paragraph, _columns in paragraphs_of(look.footer)
            for line in lines_of(fonts, paragraph.runs, TEXT_WIDTH / _FOOT)
        ]
        self.foot = len(self._lines) * _FOOT * LEADING + (_GAP if self._lines else 0.0)

    @staticmethod
    def runs(look: Look) -> Iterator[Run]:
        """Yield what it writes, apart from the date."""
        yield Run(look.name, "bold")
        for paragraph, _columns in paragraphs_of(look.footer):
            yield from paragraph.runs

    def begin(self, pages: Pages) -> None:
        """Draw logo, name and date at the top of the first page, with a rule below."""
        look = self._look
        if not look.has_letterhead:
            return
        top, below = pages.y, pages.y
        if look.logo:
            picture = pages.writer.picture(look.logo)
            scale = min(_LOGO[0] / picture.width, _LOGO[1] / picture.height)
            below = top - picture.height * scale
            pages.draw(pages.writer.place(picture, pages.x, below, scale))
        # The name stands beside a logo that is none, and where a name in letters would be without one.
        beside = not look.logo or not (look.picture and look.picture.is_a_name)
        edge = pages.x + pages.width
        if look.name and beside:
            name = pages.fonts.typeset(look.name, "bold")
            at_left = not look.logo and not name.right_to_left
            x = pages.x if at_left else edge - name.width * _NAME
            pages.write(name, x, top - _NAME, _NAME, pages.ink)
            below = min(below, top - _NAME * LEADING)
        if self._date:
            date = pages.fonts.typeset(self._date)
            y = below + 2 if below < top - _NAME * 2 * LEADING else top - _NAME
            pages.write(date, edge - date.width * _SMALL, y, _SMALL, GREY)
            below = min(below, y - _SMALL * 0.3)
        pages.rule(pages.x, below - _GAP / 2, pages.width, 1.2, pages.ink)
        pages.y = below - 2 * _GAP

    def end(self, pages: Pages) -> None:
        """Draw the footer of a page, above its number."""
        at, pages.y = pages.y, pages.bottom - 1.5 * _GAP
        if self._lines:
            pages.rule(pages.x, pages.y, pages.width, 0.4, b"0.75 g")
            pages.y -= _GAP / 2
        for line in self._lines:
            draw_line(pages, line, pages.x, _FOOT, GREY)
            pages.y -= _FOOT * LEADING
        pages.y = at


def ink_of(look: Look) -> bytes:
    """Return the operator that sets the colour of a look's headings and rules."""
    if look.ink is None:
        return b"0 g"
    parts = (int(look.ink[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return b"%.3f %.3f %.3f rg" % tuple(parts)


def long_date(day: dt.date, locale: str | None) -> str:
    """Return a day as a letter has it: “30 November 2026”, or as is usual in a locale."""
    if locale is None:
        months = (
            *(_("January"), _("February"), _("March"), _("April"), _("May"), _("June"), _("July")),
            *(_("August"), _("September"), _("October"), _("November"), _("December")),
        )
        return f"{day.day} {months[day.month - 1]} {day.year}"
    from babel.dates import format_date

    return str(format_date(day, "long", locale=locale.replace("-", "_").partition(".")[0]))
