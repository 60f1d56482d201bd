"""Mails to be read: a list at the left, the one that is chosen at the right, as its recipient sees it.

Nothing of it is widget state: subjects, addresses and texts go to the browser as messages (`painted.py`).
"""

from __future__ import annotations

import time
from contextvars import copy_context
from dataclasses import dataclass
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets
from markupsafe import Markup

from docmail.language import _
from docmail.text import size_of
from docmail.widgets.document import page_images
from docmail.widgets.document.view import DocumentView
from docmail.widgets.parts import markup
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.markup import LINK, NOTHING, button, joined, tag
from docmail.widgets.parts.painted import Painted, for_browser
from docmail.widgets.parts.rendered_mail import kept, rendered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.documents import Document
    from docmail.message import Arrived

__all__ = ["PAGE", "Letter", "Letters", "Line", "MailReader", "letter_without_kernel"]

PAGE = 20
_LONG = 400  # characters of a header
_PANEL = "dm-panel"
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Line:
    """What a list says of a mail."""

    subject: str
    who: str
    when: str = ""


@dataclass(frozen=True)
class Letter:
    """A mail that is opened: its headers as they are named and read, what is seen of it, names and sizes of its files.

    `opens` says whether `Letters.document()` has the content of the files.
    """

    subject: str
    headers: Sequence[tuple[str, str]]
    mail: Arrived
    files: Sequence[tuple[str, int]]
    opens: bool = True


class Letters(Protocol):
    """Where the mails come from; each has a number."""

    title: str
    """What stands above the list; without one there is none, and the first mail is shown."""
    empty: str
    follows: bool
    """Whether mails may come and go while somebody looks on."""

    def numbers(self) -> Sequence[int]:
        """Return the numbers of the mails in the order of the list."""

    def counted(self, number: int) -> str:
        """Return how many there are, in words."""

    def line(self, number: int) -> Line | None:
        """Return what the list says of a mail; None if it has just gone."""

    def letter(self, number: int) -> Letter | None:
        """Return a mail that is opened; None if it has just gone."""

    def document(self, number: int, position: int) -> Document | None:
        """Return a file of a mail; None if it has just gone."""


class MailReader(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """Mails to look at, the first one opened."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters
        self._begin = 0
        self._chosen: int | None = None
        self._lines: dict[int, Line] = {}
        self._opened: tuple[int, Letter] | None = None
        self._seen: Sequence[int] = ()
        self._looking = 0  # browsers that show it
        self._lock = RLock()  # a press and the arrival of a mail are drawn in two threads
        listed = tag("div", markup.zones("list", "pager"), class_="dm-letters")
        opened = tag(
            "div", markup.zones("headers", "mail", "files") + tag("div", data_place=_PANEL), class_="dm-letter"
        )
        stored = (
            markup.heading(letters.title, data_zone="counts") + tag("div", listed + opened, class_="dm-reader")
            if letters.title
            else opened
        )
        self.screen = Painted(self._pressed, stored=stored)
        self.screen.on_ready = self._appeared
        self.screen.on_closed = self._disappeared
        self.panel = light(ipywidgets.VBox, _dom_classes=[_PANEL])
        # It has no buttons, and brings the style sheet of the forms.
        parts = [self.screen, Actions([]), self.panel]
        super().__init__(Lifeline().around(parts), _dom_classes=["docmail-form", "docmail-reader"])

    def __repr__(self) -> str:
        return "<MailReader>"

    # --- what is pressed ---

    def _pressed(self, action: str, which: str, _values: dict[str, Any]) -> None:
        number, _slash, position = which.partition("/")
        if action in {"document", "download"}:
            self._document(int(number), int(position), show=action == "document")
            return
        with self._lock:
            if action == "open":
                self._chosen = int(number)
                self.panel.children = ()
            elif action in {"newer", "older"}:
                self._begin = max(0, self._begin + (PAGE if action == "older" else -PAGE))
            self._show()

    def _document(self, number: int, position: int, *, show: bool) -> None:
        document = self._letters.document(number, position)
        if document is None:
            self._show()
        elif show:
            self.screen.reveal(".dm-card button")
            self.panel.children = (DocumentView(document, page_images.first_page(document), kept=False),)
        else:
            self.screen.download(document.name, document.media_type, for_browser(document))

    # --- what arrives ---

    def _appeared(self) -> None:
        with self._lock:
            self._show()
            self._looking += 1
            if self._letters.follows and self._looking == 1:
                Thread(target=copy_context().run, args=(self._follow,), name="docmail-inbox", daemon=True).start()

    def _disappeared(self) -> None:
        with self._lock:
            self._looking = max(0, self._looking - 1)

    def _follow(self) -> None:
        # The kernel looks, not the browser: its questions would wait behind a cell that runs, and show the kernel busy.
        while self._looking and self.comm is not None:
            time.sleep(_POLL_SECONDS)
            if self._letters.numbers() != self._seen:
                with self._lock:
                    self._show()

    # --- what is shown ---

    def _show(self) -> None:
        numbers = self._seen = self._letters.numbers()
        self._lines = {number: line for number, line in self._lines.items() if number in set(numbers)}
        if self._begin >= len(numbers):
            self._begin = 0
        opened = self._chosen if self._chosen in numbers else next(iter(numbers), None)
        self.screen.draw(
            counts=self._letters.counted(len(numbers)),
            list=self._list(numbers[self._begin : self._begin + PAGE], opened) if numbers else _empty(self._letters),
            pager=self._pager(len(numbers)) if len(numbers) > PAGE else "",
            **self._zones_of(opened),
        )

    def _list(self, numbers: Sequence[int], opened: int | None) -> Markup:
        for number in numbers:
            if number not in self._lines and (line := self._letters.line(number)) is not None:
                self._lines[number] = line
        lines = (_line(number, self._lines[number], opened) for number in numbers if number in self._lines)
        return tag("div", joined(lines), role="group", aria_label=self._letters.title)

    def _pager(self, total: int) -> Markup:
        said = _("{first} to {last} of {total}").format(
            first=f"{self._begin + 1:,}", last=f"{min(self._begin + PAGE, total):,}", total=f"{total:,}"
        )
        return markup.pager(
            tag("span", said, class_="dm-facts", role="status"),
            ("newer", _("Newer mails")),
            ("older", _("Older mails")),
            first=self._begin == 0,
            last=self._begin + PAGE >= total,
        )

    def _zones_of(self, number: int | None) -> dict[str, Markup]:
        if number is None:
            self._opened = None
            return {"headers": NOTHING, "mail": NOTHING, "files": NOTHING}
        if self._opened is None or self._opened[0] != number:
            letter = self._letters.letter(number)
            self._opened = None if letter is None else (number, letter)
        if self._opened is None:
            return {"headers": NOTHING, "mail": NOTHING, "files": NOTHING}
        letter = self._opened[1]
        return {
            "headers": tag("div", letter.subject or _("(no subject)"), class_="dm-letter-subject", dir="auto")
            + _headers(letter.headers),
            "mail": rendered(letter.mail),
            "files": joined(_file(number, position, letter) for position in range(len(letter.files))),
        }


def _line(number: int, line: Line, opened: int | None) -> Markup:
    said = Markup('<span class="dm-line-subject" dir="auto">{}</span><span class="dm-facts">{}</span>{}').format(
        line.subject or _("(no subject)"),
        line.who,
        tag("span", line.when, class_="dm-facts dm-line-when") if line.when else NOTHING,
    )
    current = "true" if number == opened else None
    return button("open", said, number, style="dm-line", data_line=True, aria_current=current)


def _headers(headers: Sequence[tuple[str, str]]) -> Markup:
    """Return the headers of a mail, one in a line; hundreds of recipients are folded."""
    line = Markup('<dt>{}</dt><dd dir="auto">{}</dd>')
    listed = joined(
        line.format(name, value if len(value) < _LONG else markup.folded(f"{value[: _LONG // 2]}…", value))
        for name, value in headers
    )
    return tag("dl", listed, class_="dm-letter-headers")


def _file(number: int, position: int, letter: Letter) -> Markup:
    name, octets = letter.files[position]
    label = name or _("(no name)")
    said = Markup('<span>▣ <bdi>{}</bdi> <span class="dm-facts">{}</span></span>').format(label, size_of(octets))
    if not letter.opens:
        return tag("div", said, class_="dm-links dm-document")
    which = f"{number}/{position}"
    presses = (
        button("document", _("Show"), which, style=LINK, aria_label=_("Show {what}").format(what=label)),
        button("download", _("Download"), which, style=LINK, aria_label=_("Download {what}").format(what=label)),
    )
    return tag("div", said + joined(presses), class_="dm-links dm-document")


def _empty(letters: Letters) -> Markup:
    return markup.paragraph(letters.empty)


def letter_without_kernel(letter: Letter) -> Markup:
    """Return what a notebook keeps of a mail."""
    lines = list(letter.headers)
    if letter.files:
        files = ", ".join(f"{name} ({size_of(octets)})" for name, octets in letter.files)
        lines.append((_("Attached"), files))
    return tag("div", tag("b", letter.subject) + markup.table(lines, style="text-align: left") + kept(letter.mail))
