"""The outbox under a cell: a table of what was sent that is filtered and opened, and its documents.

Nothing of it is widget state, because the record is full of addresses and notebooks are handed on: the table goes to
the browser as messages (`painted.py`), a page at a time, and is read from the journal a page at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.errors import ConnectError, DocmailError
from docmail.home import of_record
from docmail.language import _
from docmail.outbox import Outbox, Page, Wanted, file_name, has_history, history_if_any, history_of, send_again
from docmail.settings import usable
from docmail.widgets.document import page_images
from docmail.widgets.document.view import DocumentView
from docmail.widgets.mail import result as mail_result
from docmail.widgets.outbox import history_markup
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.background import Work
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.painted import Painted, for_browser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docmail.secret import Secret
    from docmail.transport import SendResult

__all__ = ["HistoryView", "show_outbox"]

PAGE = 25
_MOST_DAYS = 36_500  # a hundred years; SQLite's times and people's patience end somewhere


class HistoryView(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """The mails of the outbox in a folder, the newest first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._wanted = Wanted()
        self._values: dict[str, str] = {}
        self._begin = 0
        self._opened: int | None = None
        self._asks = ""  # "again" or "everybody": the question that is open about the opened mail
        self._said = ""
        self._asked_days: int | None = None
        zones = "".join(f'<div data-zone="{name}"></div>' for name in ("filters", "table", "foot"))
        title = f'<div class="dm-heading"><b>{escape(_("Outbox"))}</b><span data-zone="counts"></span></div>'
        self.screen = Painted(self._pressed, stored=title + zones, _dom_classes=["dm-history"])
        self.screen.on_ready = self._begin_again
        self.actions = Actions([], self._stop)
        self.work = Work(self.actions, self._failed)
        self.panel = light(ipywidgets.VBox)
        super().__init__(
            Lifeline().around([self.screen, self.actions, self.panel]), _dom_classes=["docmail-form", "dm-outbox"]
        )

    def __repr__(self) -> str:
        return "<HistoryView>"

    # --- what is pressed ---

    def _begin_again(self) -> None:
        self.screen.draw(filters=history_markup.filters(self._values))
        self._show()
        self._show_foot()

    def _pressed(self, action: str, which: str, values: dict[str, Any]) -> None:
        number = int(which) if which.isdecimal() else None
        steps: dict[str, Callable[[], object]] = {
            "typed": lambda: self._filter(values),
            "newer": lambda: self._turn(-PAGE),
            "older": lambda: self._turn(PAGE),
            "open": lambda: self._open(number),
            "again": lambda: self._ask("again"),
            "everybody": lambda: self._ask("everybody"),
            "keep": lambda: self._ask(""),
            "send": lambda: self._send(number),
            "arrived": lambda: self._arrived(number),
            "eml": lambda: self._save(number),
            "document": lambda: self._document(which, show=True),
            "download": lambda: self._document(which, show=False),
            "days": lambda: self._ask_days(str(values.get("days", "")).strip()),
            "keep-days": lambda: self._keep_contents(number),
            "leave-days": self._leave_contents,
            "refresh": self._begin_again,
        }
        try:
            steps[action]()
        except DocmailError as exc:
            # Beside what was pressed; the place for the unforeseen is below the table.
            self._say(markup.failure(exc))

    def _filter(self, values: dict[str, Any]) -> None:
        self._values = {name: str(values.get(name, "")) for name in ("who", "what", "state", "reply", "when")}
        days = history_markup.PERIODS.get(self._values["when"], 0)
        today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        self._wanted = Wanted(
            who=self._values["who"],
            what=self._values["what"],
            state=self._values["state"],
            reply=self._values["reply"],
            since=(today - timedelta(days=days - 1)).astimezone(UTC) if days else None,
        )
        self._begin, self._opened, self._asks, self._said = 0, None, "", ""
        self._show()

    def _turn(self, step: int) -> None:
        self._begin = max(0, self._begin + step)
        self._opened, self._asks, self._said = None, "", ""
        self._show()

    def _open(self, number: int | None) -> None:
        self._opened = None if number == self._opened else number
        self._asks, self._said = "", ""
        self.panel.children = ()
        self._show()

    def _ask(self, question: str) -> None:
        self._asks, self._said = question, ""
        self._show()

    def _say(self, html: str) -> None:
        self._said = html
        self._show()

    def _arrived(self, number: int | None) -> None:
        with Outbox(self._folder) as outbox:
            outbox.resolve(number or 0, "sent")
        self._say(markup.good(_("Noted: it arrived.")))

    def _save(self, number: int | None) -> None:
        with history_of(self._folder) as history:
            name = f"{file_name(history.row(number or 0).subject) or _('email')}.eml"
            self.screen.download(name, "message/rfc822", history.eml(number or 0))

    def _document(self, which: str, *, show: bool) -> None:
        number, _slash, position = which.partition("/")
        with history_of(self._folder) as history:
            document = history.documents(int(number))[int(position)]
        if not show:
            self.screen.download(document.name, document.media_type, for_browser(document))
            return
        self.screen.reveal(".dm-card button")
        self.panel.children = (DocumentView(document, page_images.first_page(document), kept=False),)

    def _ask_days(self, days: str) -> None:
        if not days.isdecimal() or not 1 <= int(days) <= _MOST_DAYS:
            self._show_foot(markup.problem(_("Give a number of days, such as 30.")))
        elif int(days) < self._content_days():
            self._asked_days = int(days)  # what is removed does not come back
            self.screen.draw(foot=history_markup.days_question(int(days)))
        else:
            self._asked_days = int(days)
            self._keep_contents(int(days))

    def _content_days(self) -> int:
        with Outbox(self._folder) as outbox:
            return outbox.content_days

    def _leave_contents(self) -> None:
        self._asked_days = None
        self._show_foot()

    def _keep_contents(self, days: int | None) -> None:
        if days is not None and days == self._asked_days:
            with Outbox(self._folder) as outbox:
                outbox.content_days = days
            self._asked_days = None
            self._show_foot(markup.found(_("Changed.")))

    # --- sending again ---

    def _send(self, number: int | None) -> None:
        # The answer to the question, and only while it is asked about this mail.
        if self._asks and number is not None and number == self._opened:
            everybody, self._asks = self._asks == "everybody", ""
            self._show()
            self.work.start(lambda: self._send_now(number, everybody=everybody))

    def _send_now(self, number: int, *, everybody: bool) -> None:
        with history_of(self._folder) as history:
            people = [address for address, each in history.row(number).recipients.items() if each.role != "archive"]
        self.actions.progress = 0.0
        result: SendResult = send_again(
            self._folder,
            number,
            usable(None, of_record(self._folder)),
            everybody=everybody,
            progress=self._progress,
            hold=self.work.hold,
        )
        self._say(mail_result.result(people, result))

    def _progress(self, sent: int, whole: int) -> None:
        self.actions.progress = sent / whole if whole else 1.0
        if sent >= whole:
            self.actions.stoppable = False

    def _failed(self, exc: Exception) -> None:
        said = markup.failure(exc)
        if self.work.stopped and isinstance(exc, ConnectError):
            said = markup.box("mind", markup.paragraph(_("Stopped. Nothing was sent.")))
        try:
            self._say(said)
        except DocmailError:  # the record itself cannot be read any more
            self.screen.draw(failure=said)

    def _stop(self, action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
        if action == "stop":
            self.work.stop()

    # --- what is shown ---

    def _show(self) -> None:
        text = ""
        with history_if_any(self._folder) as history:
            if history is None:
                page = Page((), {})
            else:
                page = history.page(self._wanted, begin=self._begin, limit=PAGE)
                if self._begin and not page.rows:  # mails have gone since, or the filter leaves fewer
                    self._begin = 0
                    page = history.page(self._wanted, limit=PAGE)
            opened = next((row for row in page.rows if row.id == self._opened), None)
            if history is not None and opened is not None:
                text = history.text(opened.id)
        detail = history_markup.detail(opened, text, asks=self._asks, said=self._said) if opened else ""
        said = "" if opened else self._said
        filtered = self._wanted != Wanted()
        self.screen.draw(
            counts=escape(history_markup.counted(page.counts) or ("" if filtered else _("empty"))),
            table=history_markup.table(page, self._begin, self._opened, detail, filtered=filtered) + said,
        )

    def _show_foot(self, said: str = "") -> None:
        if has_history(self._folder):
            days, changeable = self._content_days(), hasattr(Outbox, "content_days")
            self.screen.draw(foot=history_markup.foot(days, changeable=changeable, said=said))


def show_outbox(outbox: Outbox) -> None:
    """Show it under the cell: the table, and for readers without a kernel how many mails are in which state."""
    with history_if_any(outbox.folder) as history:
        counts = history.count() if history else {}
    listed = escape(history_markup.counted(counts) or _("empty"))
    words = {"text/html": f"<p><b>{escape(_('Outbox'))}</b> {listed}</p>", "text/plain": repr(outbox)}
    static_fallback.show(words, HistoryView(outbox.folder))
