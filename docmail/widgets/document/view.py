"""How a document appears under a cell: its pages, what it is, to whom it went, and the Email button."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.errors import DocmailError, DocumentError
from docmail.language import _, ngettext
from docmail.outbox import last_emailed
from docmail.widgets.document import page_images
from docmail.widgets.document.email_button import EmailButton
from docmail.widgets.mail.form import saved_settings
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from docmail.documents import Document

__all__ = ["DocumentView", "show_document"]

_SMALL, _LARGE = 210, 700
"""The two widths of a page on the screen, in the browser's pixels."""

_NAMED = 3  # recipients; a longer list says less


class DocumentView(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """A document with its pages and its Email button; forms open below it.

    `first_page` is kept in the notebook. Without `kept` nothing of the document is: it comes from the record of mail.
    """

    def __init__(self, document: Document, first_page: bytes | None, *, kept: bool = True) -> None:
        self.email = EmailButton(document)
        self.email.on_sent = self.show_sent
        self.pages = Pages(document, first_page if kept else None)
        facts = facts_of(document)
        self.facts = Painted(stored=f'<div data-zone="facts">{facts if kept else ""}</div>')
        self.facts.draw(facts=facts)
        self.facts.on_ready = self.show_sent
        side = light(ipywidgets.VBox, [self.facts, self.email.bar], _dom_classes=["dm-side"])
        card = light(ipywidgets.HBox, [self.pages, side] if first_page else [side], _dom_classes=["dm-card"])
        super().__init__(Lifeline().around([card, self.email.panel]), _dom_classes=["docmail"])

    def show_sent(self) -> None:
        """Say to whom it went, if the record knows; only in the browser, because it names addresses."""
        self.facts.draw(sent=_sent(self.email.document))

    def __repr__(self) -> str:
        return f"<DocumentView {self.email.document.name}>"


class Pages(Painted):
    """The pages of a document to leaf through, one at a time, each rendered when it is looked at."""

    def __init__(self, document: Document, first_page: bytes | None) -> None:
        self._document = document
        self._render = lru_cache(16)(self._rendered)
        self.number, self.large = 1, False
        picture = _picture(document, first_page, _SMALL) if first_page else ""
        super().__init__(
            self._turn,
            stored=f'<div data-zone="page">{_framed(picture, larger=True) if picture else ""}</div>',
            _dom_classes=["dm-pages"],
        )
        self.on_ready = self._show

    @property
    def last(self) -> int:
        """The number of its last page."""
        try:
            return self._document.pages or 1
        except DocumentError:
            return 1

    def _turn(self, action: str, _id: str, values: dict[str, Any]) -> None:
        asked = str(values.get("number", "")).strip()
        number = {
            "previous": self.number - 1,
            "next": self.number + 1,
            "go": int(asked) if asked.isdecimal() else self.number,
        }.get(action, self.number)
        self.number = min(max(number, 1), self.last)
        if action in {"larger", "smaller"}:
            self.large = action == "larger"
        self._show()

    def _show(self) -> None:
        shown_width = _LARGE if self.large else _SMALL
        png = self._render(self.number, round(shown_width * self.ratio) if self.large else page_images.WIDTH)
        picture = _picture(self._document, png, shown_width, self.number) if png else ""
        unreadable = markup.problem(_("This page cannot be shown."))
        page = _framed(picture, larger=not self.large) if picture else unreadable
        self.draw(page=page, pager=_pager(self.number, self.last) if self.last > 1 else "")

    def _rendered(self, number: int, width: int) -> bytes | None:
        return page_images.page(self._document, number, width)


def show_document(document: Document) -> None:
    """Show it under the cell: the live view, and for readers without a kernel picture and name."""
    static_fallback.show(*view_of(document))


def view_of(document: Document, *, pictured: bool = True) -> tuple[dict[str, Any], DocumentView]:
    """Return what a notebook stores of a document, and its live view; not `pictured` where a picture stands above."""
    picture = page_images.first_page(document) if pictured else None
    words = {
        "text/html": f"<div>{_picture(document, picture, _SMALL) if picture else ''}{facts_of(document)}</div>",
        "text/plain": repr(document),
    }
    if picture:
        words["image/png"] = b64encode(picture).decode("ascii")
    return words, DocumentView(document, picture)


def facts_of(document: Document) -> str:
    """Return name, pages and size of a document."""
    facts = [markup.size(document.size)]
    try:
        if (pages := document.pages) is not None:
            facts.insert(0, ngettext("{number} page", "{number} pages", pages).format(number=f"{pages:,}"))
        elif trouble := page_images.trouble(document):
            facts.append(trouble)
    except DocumentError as exc:
        facts.append(exc.message)  # the file is gone or changed: it can be shown, but not sent
    name, listed = escape(document.name), escape(" · ".join(facts))
    return f'<div class="dm-name">{name}</div><div class="dm-facts">{listed}</div>'


def _picture(document: Document, png: bytes, width: int, number: int = 1) -> str:
    alternative = _("First page of {name}") if number == 1 else _("Page {number} of {name}")
    alternative = alternative.format(name=document.name, number=number)
    data = b64encode(png).decode("ascii")
    # The frame is written out, because a notebook without a kernel has no style sheet of ours.
    style = "border: 1px solid #ccc"
    return f'<img alt="{escape(alternative)}" style="{style}" width="{width}" src="data:image/png;base64,{data}">'


def _framed(picture: str, *, larger: bool) -> str:
    """Return a page that a click makes larger or small again."""
    action, title = ("larger", _("Enlarge")) if larger else ("smaller", _("Make smaller"))
    return f'<button type="button" class="dm-page" data-press="{action}" title="{escape(title)}">{picture}</button>'


def _pager(number: int, last: int) -> str:
    def button(action: str, sign: str, title: str, *, off: bool) -> str:
        return (
            f'<button type="button" class="jupyter-button widget-button" data-press="{action}"'
            f' title="{escape(title)}" aria-label="{escape(title)}"{" disabled" if off else ""}>{sign}</button>'
        )

    said = _("of {number}").format(number=f"{last:,}")
    return (
        f'<div class="dm-pager" data-arrows="previous next" role="group" aria-label="{escape(_("Pages"))}">'
        + button("previous", "&lsaquo;", _("Previous page"), off=number <= 1)
        + f'<input type="text" inputmode="numeric" data-name="number" data-enter="go" value="{number}" size="3"'
        f' aria-label="{escape(_("Page"))}"><span>{escape(said)}</span>'
        + button("next", "&rsaquo;", _("Next page"), off=number >= last)
        + "</div>"
    )


def _sent(document: Document) -> str:
    """Return to whom a document went last, and when."""
    try:
        found = last_emailed(document, saved_settings())
    except DocmailError:
        return ""  # an outbox that cannot be read says so itself, where it is looked at
    if found is None:
        return ""
    row, same = found
    got = [address for address, each in row.recipients.items() if each.state in {"sent", "unknown"}]
    named = markup.listed([address for address in got if row.recipients[address].role != "archive"], _NAMED)
    if row.state == "unknown":
        sentence = _("perhaps emailed to {people}, {when}: nobody knows whether it arrived")
    elif same:
        sentence = _("emailed to {people}, {when}")
    else:
        sentence = _("an earlier {name} was emailed to {people}, {when}")
    listed = sentence.format(name=document.name, people=named, when=markup.when(row.sent_at or row.created))
    return f'<div class="dm-facts">{escape(listed)}</div>'
