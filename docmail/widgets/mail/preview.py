"""The text of a mail that is being written: a template's fields filled in, and what the recipient will see of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from docmail.addresses import parse_addresses
from docmail.errors import DocmailError
from docmail.language import _
from docmail.message import markdown_to_html
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docmail.documents import Document
    from docmail.settings import Settings

__all__ = ["MailPreview", "fields", "filled"]

_SIGNS = "{{", "{%", "{#"


def fields(
    values: Mapping[str, Any], documents: Sequence[Document], settings: Settings | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a template in the mail form may use: of the recipient, the document, the sender, and the date.

    Whoever made the button may have given more, and has the last word.
    """
    found: dict[str, Any] = {"date": datetime.now().astimezone().date()}
    try:
        first = next(iter(parse_addresses(values["to"], "to")), None)
    except DocmailError:
        first = None  # it says so beside To
    if first is not None:
        found |= {"email": first.shown, "name": first.name or None}
    if documents:
        found |= {"document": PurePath(documents[0].name).stem, "file": documents[0].name}
    if settings is not None:
        with suppress(DocmailError):
            found["sender"] = settings.address.name or settings.address.shown
    return found | dict(given)


def filled(text: str, known: Mapping[str, Any], field: str) -> str:
    """Return a text with its fields filled in; raises `MessageError` naming the one that is missing."""
    if not any(sign in text for sign in _SIGNS):
        return text
    from docmail import templates

    return templates.fill(text, known, field=field, markdown=field == "body")


class MailPreview(Painted):
    """The HTML that will be sent, in a frame that nothing leaves."""

    def __init__(self, _dom_classes: Sequence[str] = ()) -> None:
        label, title = escape(_("Preview")), escape(_("What the recipient will see"))
        super().__init__(
            stored=f'<span class="widget-label">{label}</span><div class="dm-preview">'
            f'<div data-zone="subject" class="dm-preview-subject"></div>'
            # Without any permission: no script runs, no link leads away, nothing of the notebook is seen.
            f'<iframe title="{title}" sandbox=""></iframe></div>',
            _dom_classes=_dom_classes,
        )

    def show(self, subject: str, body: str) -> None:
        """Show subject and body as they will be sent."""
        nothing = f'<span class="dm-facts">{escape(_("no subject"))}</span>'
        self.draw(subject=f"<b>{escape(subject)}</b>" if subject.strip() else nothing)
        self.frame(markdown_to_html(body))
