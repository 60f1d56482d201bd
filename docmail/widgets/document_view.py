"""How a document appears under a cell: its first page, what it is, and the Email button."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.errors import DocumentError
from docmail.translation import _, ngettext
from docmail.widgets import markup
from docmail.widgets.mail_form import EmailButton
from docmail.widgets.preview import first_page

if TYPE_CHECKING:
    from docmail.documents import Document

__all__ = ["DocumentView", "document_mimebundle"]


class DocumentView(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """A document with its Email button; forms open below it."""

    def __init__(self, document: Document, picture: bytes | None) -> None:
        self.email = EmailButton(document)
        image = ipywidgets.HTML(_picture(document, picture))
        image.add_class("dm-picture")
        side = ipywidgets.VBox([ipywidgets.HTML(_facts(document)), self.email.bar])
        side.add_class("dm-side")
        card = ipywidgets.HBox([image, side] if picture else [side])
        card.add_class("dm-card")
        super().__init__([card, self.email.panel])
        self.add_class("docmail")

    def __repr__(self) -> str:
        return f"<DocumentView {self.email.document.name}>"


def document_mimebundle(document: Document) -> dict[str, Any]:
    """Return what a notebook shows and stores: the live view, and for readers without a kernel picture and name."""
    picture = first_page(document)
    view = DocumentView(document, picture)
    view.email.expect_front_end()
    bundle: dict[str, Any] = view._repr_mimebundle_()
    bundle["text/plain"] = repr(document)
    bundle["text/html"] = f"<div>{_picture(document, picture)}{_facts(document)}</div>"
    if picture:
        bundle["image/png"] = b64encode(picture).decode("ascii")
    return bundle


def _picture(document: Document, picture: bytes | None) -> str:
    if not picture:
        return ""
    alternative = _("First page of {name}").format(name=document.name)
    data = b64encode(picture).decode("ascii")
    return f'<img alt="{escape(alternative)}" width="210" src="data:image/png;base64,{data}">'


def _facts(document: Document) -> str:
    facts = [markup.size(document.size)]
    try:
        pages = document.pages
    except DocumentError as exc:
        facts.append(exc.message)  # the file is gone or changed: it can be shown, but not sent
    else:
        if pages is not None:
            facts.insert(0, ngettext("{number} page", "{number} pages", pages).format(number=pages))
        elif document.is_pdf:
            facts.append(_("locked by a password"))
    name, listed = escape(document.name), escape(" · ".join(facts))
    return f'<div class="dm-name">{name}</div><div class="dm-facts">{listed}</div>'
