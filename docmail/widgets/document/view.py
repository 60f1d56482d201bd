"""How a document appears under a cell: its pages, what it is, to whom it went, and the Email button."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets
from markupsafe import Markup

from docmail.errors import DocmailError, DocumentError
from docmail.language import _, ngettext
from docmail.outbox import State, last_emailed
from docmail.text import size_of
from docmail.widgets.document import page_images
from docmail.widgets.document.email_button import EmailButton
from docmail.widgets.mail.form import saved_settings
from docmail.widgets.mail.result import people
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.markup import NOTHING, joined, tag
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
        self.facts = Painted(stored=tag("div", facts if kept else "", data_zone="facts"))
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
        page = _framed(_picture(document, first_page, _SMALL), larger=True) if first_page else ""
        super().__init__(self._turn, stored=tag("div", page, data_zone="page"), _dom_classes=["dm-pages"])
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
        page = markup.problem(_("This page cannot be shown."))
        if png:
            page = _framed(_picture(self._document, png, shown_width, self.number), larger=not self.large)
        self.draw(page=page, pager=_pager(self.number, self.last) if self.last > 1 else "")

    def _rendered(self, number: int, width: int) -> bytes | None:
        return page_images.page(self._document, number, width)


def show_document(document: Document) -> None:
    """Show it under the cell: the view, and for readers without a kernel picture and name."""
    static_fallback.show(*view_of(document))


def view_of(document: Document, *, pictured: bool = True) -> tuple[dict[str, Any], DocumentView]:
    """Return what a notebook stores of a document, and its view; not `pictured` where a picture stands above."""
    picture = page_images.first_page(document) if pictured else None
    shown = [_picture(document, picture, _SMALL)] if picture else []
    fallback: dict[str, Any] = {
        "text/html": tag("div", joined([*shown, facts_of(document)])),
        "text/plain": repr(document),
    }
    if picture:
        fallback["image/png"] = b64encode(picture).decode("ascii")
    return fallback, DocumentView(document, picture)


def facts_of(document: Document) -> Markup:
    """Return name, pages and size of a document."""
    facts = [size_of(document.size)]
    try:
        if (pages := document.pages) is not None:
            facts.insert(0, ngettext("{number} page", "{number} pages", pages).format(number=f"{pages:,}"))
        elif trouble := page_images.trouble(document):
            facts.append(trouble)
    except DocumentError as exc:
        facts.append(exc.message)  # the file is gone or changed: it can be shown, but not sent
    return tag("div", document.name, class_="dm-name") + tag("div", " · ".join(facts), class_="dm-facts")


def _picture(document: Document, png: bytes, width: int, number: int = 1) -> Markup:
    alternative = _("First page of {name}") if number == 1 else _("Page {number} of {name}")
    alternative = alternative.format(name=document.name, number=number)
    # The frame is written out, because a notebook without a kernel has no style sheet of ours.
    return Markup('<img alt="{}" style="border: 1px solid #ccc" width="{}" src="data:image/png;base64,{}">').format(
        alternative, width, b64encode(png).decode("ascii")
    )


def _framed(picture: Markup, *, larger: bool) -> Markup:
    """Return a page that a click makes larger or small again."""
    action, title = ("larger", _("Enlarge")) if larger else ("smaller", _("Make smaller"))
    return markup.button(action, picture, style="dm-page", title=title)


def _pager(number: int, last: int) -> Markup:
    field = markup.entry("number", number, inputmode="numeric", data_enter="go", size=3, aria_label=_("Page"))
    return markup.pager(
        field + tag("span", _("of {number}").format(number=f"{last:,}")),
        ("previous", _("Previous page")),
        ("next", _("Next page")),
        first=number <= 1,
        last=number >= last,
    )


def _sent(document: Document) -> Markup:
    """Return to whom a document went last, and when."""
    try:
        found = last_emailed(document, saved_settings())
    except DocmailError:
        return NOTHING  # an outbox that cannot be read says so itself, where it is looked at
    if found is None:
        return NOTHING
    row, same = found
    got = [address for address in people(row) if row.recipients[address].state in {State.SENT, State.UNKNOWN}]
    if not got:
        got = list(row.bounced)
    if row.state == State.UNKNOWN:
        sentence = _("perhaps emailed to {people}, {when}: nobody knows whether it arrived")
    elif same:
        sentence = _("emailed to {people}, {when}")
    else:
        sentence = _("an earlier {name} was emailed to {people}, {when}")
    said = sentence.format(
        name=document.name, people=markup.listed(got, _NAMED), when=markup.when(row.sent_at or row.created)
    )
    if row.bounced:
        came_back = _("came back from {people}: {reason}").format(
            people=markup.listed(row.bounced, _NAMED), reason=row.recipients[row.bounced[0]].reason
        )
        return tag("div", said, class_="dm-facts") + tag("div", markup.warning(came_back))
    return tag("div", said, class_="dm-facts")
