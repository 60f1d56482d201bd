"""The text of a mail that is being written: a template's fields filled in, and what the recipient will see of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from docmail.errors import DocmailError, MessageError
from docmail.language import _
from docmail.look import Look
from docmail.message import Arrived, look_of, markdown_to_html, markdown_to_text, seen
from docmail.widgets.mail.beginning import title_of
from docmail.widgets.mail.recipients import read
from docmail.widgets.parts.markup import aside, tag, warning
from docmail.widgets.parts.painted import Painted
from docmail.widgets.parts.rendered_mail import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from docmail.documents import Document
    from docmail.message import Body
    from docmail.settings import Settings

__all__ = ["MailPreview", "fields", "filled"]

_SIGNS = "{{", "{%", "{#"


def fields(
    values: Mapping[str, Any], documents: Sequence[Document], settings: Settings | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a template in the mail form may use: of the recipient, the document, the sender, and the date.

    What has no value yet is None. What the maker of the button has `given` comes last, and so wins.
    """
    first = next(iter(read(values["to"], "to").addresses), None)
    found: dict[str, Any] = {
        "name": first.name or None if first else None,
        "email": first.shown if first else None,
        "document": title_of(documents[0]) if documents else None,
        "file": documents[0].name if documents else None,
        "date": datetime.now().astimezone().date(),
        "sender": None,
    }
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
    """What the recipient will see of the mail that is being written."""

    def __init__(self, _dom_classes: Sequence[str] = ()) -> None:
        super().__init__(
            stored=Markup('<span class="widget-label">{}</span><div class="dm-preview">{}{}</div>').format(
                _("Preview"),
                tag("div", data_zone="subject", class_="dm-preview-subject", dir="auto"),
                tag("div", data_zone="mail") + tag("div", data_zone="advice"),
            ),
            _dom_classes=_dom_classes,
        )
        self.mail = Arrived("", "")

    def show(self, subject: str, body: Body | str, settings: Settings | None) -> None:
        """Show subject and body as they will be sent with these settings; None if there are none yet."""
        look = look_of(None, settings) if settings is not None else Look.PLAIN
        try:
            self.mail, advice = seen(body, look)
        except MessageError:  # which is said when it is to be sent
            self.mail, advice = Arrived(str(markdown_to_html(body)), markdown_to_text(body)), ""
        self.draw(
            subject=Markup("<b>{}</b>").format(subject) if subject.strip() else aside(_("no subject")),
            mail=rendered(self.mail),
            advice=warning(advice) if advice else "",
        )
