"""A look into the mailbox from a button: for bounces, or for copies of mails in doubt; followed, and stoppable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docmail.errors import ConnectError
from docmail.language import _, ngettext
from docmail.outbox import look_for_bounces, look_for_copies
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from markupsafe import Markup

    from docmail.mailbox import OpenMailbox
    from docmail.settings import Settings

__all__ = ["MailboxLook", "look_in_sent_label", "look_label"]

_STEP = 20  # mails after which is said how many were read


def look_label() -> str:
    """Return what the button is called that looks for bounces."""
    return _("Look for bounces")


def look_in_sent_label() -> str:
    """Return what the button is called that looks for a copy of a mail in doubt."""
    return _("Look in the Sent folder")


class MailboxLook:
    """One look for the mails that are recorded in a folder; `say` is notified of how far it is, in a sentence.

    `stop()` may be called from any thread.
    """

    def __init__(self, folder: Path, settings: Settings, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._settings = settings
        self._say = say
        self._box: OpenMailbox | None = None
        self.stopped = False

    def for_bounces(self) -> Markup:
        """Look for bounces, and return what was found; raises `DocmailError`."""
        found = look_for_bounces(self._folder, self._settings, read=self._read, hold=self._hold)
        return markup.box("mind" if found.bounced else "good", markup.paragraph(str(found)))

    def for_copies(self) -> Markup:
        """Look for copies of the mails in doubt, and return what was found; raises `DocmailError`."""
        settled = look_for_copies(self._folder, self._settings, hold=self._hold)
        return markup.box("mind" if settled.unknown else "good", markup.paragraph(str(settled)))

    def stop(self) -> None:
        """End it as soon as possible; what was found stays."""
        self.stopped = True
        if self._box is not None:
            self._box.abort()

    def failure(self, exc: Exception) -> Markup:
        """Return how an exception is shown; a stop by a person is no failure."""
        if self.stopped and isinstance(exc, ConnectError):
            return markup.note(_("Stopped. The next look goes on where this one ended."))
        return markup.failure(exc)

    def _hold(self, box: OpenMailbox) -> None:
        self._box = box
        self._say(_("Reading what is new …"))
        if self.stopped:
            box.abort()

    def _read(self, number: int) -> bool:
        if not number % _STEP:
            sentence = ngettext("{number} new mail read …", "{number} new mails read …", number)
            self._say(sentence.format(number=f"{number:,}"))
        return not self.stopped
