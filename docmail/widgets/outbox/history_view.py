"""The outbox under a cell: a table of what was sent that is filtered and opened, and its documents.

Nothing of it is widget state, because the record is full of addresses and notebooks are handed on: the table goes to
the browser as messages (`painted.py`), a page at a time, and is read from the journal a page at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import ipywidgets
from markupsafe import Markup

from docmail.errors import DocmailError
from docmail.home import of_record
from docmail.language import _
from docmail.outbox import (
    Group,
    Outbox,
    Page,
    Run,
    State,
    Wanted,
    csv_of,
    file_name,
    has_history,
    history_if_any,
    history_of,
    send_again,
)
from docmail.settings import usable
from docmail.widgets.document import page_images
from docmail.widgets.document.view import DocumentView
from docmail.widgets.mail import result as mail_result
from docmail.widgets.outbox import history_markup
from docmail.widgets.outbox.mailbox_look import MailboxLook, look_label
from docmail.widgets.outbox.missed_view import MissedView
from docmail.widgets.outbox.states import MISSED, counted, counts_with_fold
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.background import WithoutDoubt, Work, in_thread
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.markup import tag
from docmail.widgets.parts.painted import Painted, for_browser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docmail.settings import Settings
    from docmail.transport import SendResult

__all__ = ["HistoryView", "show_outbox"]

PAGE = 25
_MISSED_PANEL = "dm-missed-panel"
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
        self._said = ""  # HTML: what came of the last press
        self._asked_days: int | None = None
        self._missed: MissedView | None = None
        heading = markup.heading(_("Outbox"), data_zone="counts")
        stored = tag("div", heading + markup.zones("save"), class_="dm-history-head")
        stored += markup.zones("looked") + tag("div", data_place=_MISSED_PANEL)
        stored += markup.zones("filters", "table", "foot")
        self.screen = Painted(self._pressed, stored=stored, _dom_classes=["dm-history"])
        self.screen.on_ready = self._begin_again
        self.actions = Actions([])
        self.work = Work(self.actions, self._failed)
        self.panel = light(ipywidgets.VBox, _dom_classes=[history_markup.PANEL])
        self.missed_panel = light(ipywidgets.VBox, _dom_classes=[_MISSED_PANEL])
        super().__init__(
            Lifeline().around([self.screen, self.actions, self.panel, self.missed_panel]),
            _dom_classes=["docmail-form", "dm-outbox"],
        )

    def __repr__(self) -> str:
        return "<HistoryView>"

    # --- what is pressed ---

    def _begin_again(self) -> None:
        self.screen.draw(filters=history_markup.filters(self._values))
        if self._missed is not None:
            self._missed.redraw()
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
            MISSED: self._show_missed,
            "correct": lambda: self._correct(number),
            "look": lambda: self._look(MailboxLook.for_bounces, self._say_looked),
            "look-in-sent": lambda: self._look(MailboxLook.for_copies, self._say),
            "refresh": self._begin_again,
            "csv": self._save_table,
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
        since = (today - timedelta(days=days - 1)).astimezone(UTC) if days else None
        who, what, state, reply = (self._values[name] for name in ("who", "what", "state", "reply"))
        self._wanted = Wanted(who=who, what=what, state=state, reply=reply, since=since)
        self._turn(-self._begin)

    def _turn(self, step: int) -> None:
        self._begin = max(0, self._begin + step)
        self._opened = None
        self.panel.children = ()
        self._ask("")

    def _open(self, number: int | None) -> None:
        self._opened = None if number == self._opened else number
        self.panel.children = ()
        self._ask("")

    def _ask(self, question: str) -> None:
        self._asks, self._said = question, ""
        self._show()

    def _say(self, html: Markup) -> None:
        self._said = html
        self._show()

    def _arrived(self, number: int | None) -> None:
        with Outbox(self._folder) as outbox:
            outbox.resolve(number or 0, "sent")
        self._say(markup.good(_("Noted: it arrived.")))

    # --- what came back ---

    def _show_missed(self) -> None:
        """Show the mails that bounced with what can be done about them, or hide them again."""
        self._bounced().toggle()
        self._show()
        self.screen.reveal(f".{_MISSED_PANEL} button")

    def _correct(self, number: int | None) -> None:
        if number is not None:
            self._bounced().correct(number)
            self._show()
            self.screen.reveal(f".{_MISSED_PANEL} input")

    def _bounced(self) -> MissedView:
        if self._missed is None:
            run = Run(self._folder, self._settings())
            self._missed = MissedView(lambda: run, in_thread, self._show_from_thread, Group.BOUNCED)
            self.missed_panel.children = (self._missed,)
        return self._missed

    def _settings(self) -> Settings:
        return usable(None, of_record(self._folder))

    def _has_mailbox(self) -> bool:
        try:
            return self._settings().mailbox is not None
        except DocmailError:
            return False

    def _look(self, look: Callable[[MailboxLook], Markup], say: Callable[[Markup], None]) -> None:
        """Look into the mailbox, and say how far it is and what came of it."""
        looking = MailboxLook(self._folder, self._settings(), lambda sentence: say(markup.aside(sentence)))

        def work() -> None:
            self.work.hold(WithoutDoubt(looking.stop))
            say(markup.aside(_("Opening the mailbox …")))
            try:
                found = look(looking)
            except Exception as exc:  # noqa: BLE001 - shown where it was asked for
                found = looking.failure(exc)
            say(found)
            if self._missed is not None:
                self._missed.redraw()
            self._show()

        self.work.start(work)

    def _say_looked(self, html: Markup) -> None:
        self.screen.draw(looked=markup.status(html))

    def _show_from_thread(self) -> None:
        try:
            self._show()
        except DocmailError as exc:
            self.screen.draw(failure=markup.failure(exc))

    def _save(self, number: int | None) -> None:
        with history_of(self._folder) as history:
            name = f"{file_name(history.journal.row(number or 0).subject) or _('email')}.eml"
            self.screen.download(name, "message/rfc822", history.eml(number or 0))

    def _save_table(self) -> None:
        """Let the browser save all mails that fit the filter, not only those of this page."""
        with history_of(self._folder) as history:
            content = csv_of(history.rows(self._wanted), decimal_comma=self.screen.decimal_comma)
        self.screen.download(f"{_('Outbox')}.csv", "text/csv", content)

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
        # After the question, and only while it is asked about this mail.
        if self._asks and number is not None and number == self._opened:
            everybody, self._asks = self._asks == "everybody", ""
            self._show()
            self.work.start(lambda: self._send_now(number, everybody=everybody))

    def _send_now(self, number: int, *, everybody: bool) -> None:
        with history_of(self._folder) as history:
            people = mail_result.people(history.journal.row(number))
        self.actions.progress = 0.0
        result: SendResult = send_again(
            self._folder,
            number,
            usable(None, of_record(self._folder)),
            everybody=everybody,
            progress=self.actions.show_share,
            hold=self.work.hold,
        )
        self._say(mail_result.result(people, result))

    def _failed(self, exc: Exception) -> None:
        said = self.work.failure(exc)
        try:
            self._say(said)
        except DocmailError:  # the record itself cannot be read any more
            self.screen.draw(failure=said)

    # --- what is shown ---

    def _show(self) -> None:
        mail = None
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
                mail = history.arrived(opened.id)
        detail = markup.NOTHING
        if opened is not None:
            has_mailbox = opened.state == State.UNKNOWN and self._has_mailbox()
            detail = history_markup.detail(opened, asks=self._asks, said=self._said, has_mailbox=has_mailbox)
        said = "" if opened else self._said
        filtered = self._wanted != Wanted()
        self.screen.draw(
            counts=counts_with_fold(page.counts, opened=self._missed_is_shown) or ("" if filtered else _("empty")),
            save=self._buttons(page) if page.total else "",
            table=history_markup.table(page, self._begin, self._opened, detail, filtered=filtered) + said,
            mail=history_markup.mail(mail) if opened else "",
        )

    @property
    def _missed_is_shown(self) -> bool:
        return bool(self._missed and self._missed.opened)

    def _buttons(self, page: Page) -> Markup:
        looks = page.counts.keys() & {State.SENT, State.BOUNCED} and self._has_mailbox()
        look = markup.button("look", look_label()) if looks else markup.NOTHING
        return look + markup.button("csv", _("Save as CSV"))

    def _show_foot(self, said: str = "") -> None:
        if has_history(self._folder):
            self.screen.draw(foot=history_markup.foot(self._content_days(), said))


def show_outbox(outbox: Outbox) -> None:
    """Show it under the cell: the table, and for readers without a kernel how many mails are in which state."""
    with history_if_any(outbox.folder) as history:
        counts = history.journal.count() if history else {}
    shown = Markup("<p><b>{}</b> {}</p>").format(_("Outbox"), counted(counts) or _("empty"))
    fallback = {"text/html": shown, "text/plain": repr(outbox)}
    static_fallback.show(fallback, HistoryView(outbox.folder))
