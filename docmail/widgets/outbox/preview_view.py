"""The first mails of the queue under a cell, as they will arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docmail.language import _, ngettext
from docmail.message import MOST
from docmail.widgets.mail.reader import Letter, Line, MailReader, letter_without_kernel
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.markup import joined, tag
from docmail.widgets.parts.rendered_mail import KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docmail.outbox import Preview

    Bundle = dict[str, Any]

__all__ = ["preview_without_kernel", "show_preview"]

_KEPT = 3  # mails; a notebook in which hundreds are shown does not keep them all


class _Previewed:
    """The mails of a preview in the order in which they are sent."""

    follows = False

    def __init__(self, preview: Preview) -> None:
        self._preview = preview
        self.title = _("Preview")
        self.empty = _("No mail waits.")

    def numbers(self) -> Sequence[int]:
        return range(len(self._preview))

    def counted(self, number: int) -> str:
        waiting = self._preview.waiting
        return ngettext(
            "{number} of {waiting} mail that waits", "{number} of {waiting} mails that wait", waiting
        ).format(number=number, waiting=f"{waiting:,}")

    def line(self, number: int) -> Line:
        mail = self._preview[number]
        return Line(mail.subject, mail.headers.get("To") or mail.headers.get("Cc", ""))

    def letter(self, number: int, most: int = MOST) -> Letter:
        mail = self._preview[number]
        names = {"From": _("From"), "To": _("To"), "Cc": _("Cc"), "Reply-To": _("Reply to")}
        headers = [(label, mail.headers[name]) for name, label in names.items() if name in mail.headers]
        return Letter(mail.subject, headers, mail.arrived(most), mail.attachments, opens=False)

    def document(self, _number: int, _position: int) -> None:
        return None


def show_preview(preview: Preview) -> None:
    """Show mails under the cell; addresses included, because nobody displays them for another reason."""
    static_fallback.show(preview_without_kernel(preview), MailReader(_Previewed(preview)))


def preview_without_kernel(preview: Preview) -> Bundle:
    """Return the first mails of a preview as a notebook keeps them."""
    previewed = _Previewed(preview)
    shown = [letter_without_kernel(previewed.letter(number, KEPT // _KEPT)) for number in range(len(preview))[:_KEPT]]
    if len(preview) > _KEPT:
        shown.append(markup.paragraph(_("and {number} more").format(number=len(preview) - _KEPT)))
    title = f"{previewed.title}: {previewed.counted(len(preview))}" if preview else previewed.empty
    return {"text/plain": repr(preview), "text/html": tag("div", joined([tag("b", title), *shown]))}
