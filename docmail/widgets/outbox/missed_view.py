"""Who has not got a mail of a batch, as a table: each with why, and an address that can be corrected in place.

It names addresses, so it goes to the browser as messages (`painted.py`), and nothing of it is kept in the notebook.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from docmail.language import _
from docmail.outbox import Group, State, correct_and_send, file_name, missed_by, missed_csv
from docmail.widgets.mail import result as mail_result
from docmail.widgets.outbox import run_markup
from docmail.widgets.parts import markup
from docmail.widgets.parts.markup import NOTHING, joined
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from docmail.outbox import Row, Run

__all__ = ["MissedView"]

_LISTED = 50  # mails; the file has all


class MissedView(Painted):
    """The table; `run_of` returns the run that it is about now, `changed` is called when a mail was sent from here.

    `in_thread` runs what takes long; `group` are the mails that it is about, those that were missed or only those that
    bounced. A mail that is late is shown below, and not counted.
    """

    def __init__(
        self,
        run_of: Callable[[], Run],
        in_thread: Callable[[Callable[[], None]], None],
        changed: Callable[[], None],
        group: Group = Group.MISSED,
    ) -> None:
        super().__init__(self._pressed, stored=markup.zones("missed", "said"), _dom_classes=["dm-missed-view"])
        self.opened: bool | None = None
        """Whether somebody has opened or closed it; None: it is open where a mail was refused or not sent."""
        self._run_of = run_of
        self._group = group
        self._in_thread = in_thread
        self._changed = changed
        self._sending = Lock()
        self._corrected: int | None = None
        self._typed: dict[str, str] = {}
        self._wrong = NOTHING  # what is wrong with what was typed, beside it
        self._said = NOTHING
        self._drawn: Hashable = None
        self.listen_while_the_cell_waits()

    def refresh(self, counts: Mapping[str, int], *, anew: bool = False) -> None:
        """Draw it, if anything of it can have changed since, or `anew`."""
        run = self._run_of()
        missed = tuple(counts.get(state, 0) for state in (State.REFUSED, State.FAILED, State.BOUNCED, State.SENT))
        # While it sends, the mails that were sent to everybody change nothing here: the journal is not asked for them.
        seen: Hashable = (run.progress.missed, missed[:3]) if run.is_running else (run.state, missed)
        state = seen, self.is_open(counts)
        if state == self._drawn and not anew:
            return
        self._drawn = state
        listed = run.redirect_to is None and self.is_open(counts)
        rows = run.queue.rows(self._group, _LISTED) if listed else []
        number = len(rows) if len(rows) < _LISTED else run.queue.count(self._group)
        late = run.queue.rows(Group.LATE, _LISTED) if listed else []
        off = self._sending.locked()
        found = next((row for row in rows if row.id == self._corrected), None)
        editor = run_markup.editor(found, self._typed, self._wrong, off=off) if found else NOTHING
        table = run_markup.missed(rows, number, self._corrected, editor, off=off)
        self.draw(missed=joined([table, run_markup.late(late)]), said=self._said)

    def is_open(self, counts: Mapping[str, int]) -> bool:
        """Say whether it is shown: what bounced alone is opened by a person."""
        if self.opened is not None:
            return self.opened
        if self._group is Group.BOUNCED:
            return False
        if not counts.get(State.BOUNCED):
            return True
        queue = self._run_of().queue
        return queue.count(Group.MISSED) > queue.count(Group.BOUNCED)

    def toggle(self) -> None:
        """Show it, or hide it again."""
        counts = self._run_of().counts()
        self.opened = not self.is_open(counts)
        self._corrected, self._typed, self._wrong, self._said = None, {}, NOTHING, NOTHING
        self.refresh(counts, anew=True)

    def correct(self, number: int) -> None:
        """Show it with the fields in which the addresses of this mail are corrected."""
        self.opened = True
        self._corrected, self._typed, self._wrong, self._said = number, {}, NOTHING, NOTHING
        self.redraw()

    # --- what is pressed ---

    def _pressed(self, action: str, which: str, values: dict[str, Any]) -> None:
        run = self._run_of()
        if action == "csv":
            name = file_name(_("{batch} not sent").format(batch=run.batch or _("Outbox")))
            content = missed_csv(run.queue.rows(self._group), decimal_comma=self.decimal_comma)
            self.download(f"{name}.csv", "text/csv", content)
        elif action == "send-corrected" and which == str(self._corrected):
            self._typed = {name: str(value) for name, value in values.items()}
            self._start(run, int(which))
        elif action in {"correct", "leave-corrected"} and not self._sending.locked():
            number = int(which) if which.isdecimal() else None
            opens = action == "correct" and number != self._corrected
            self._corrected, self._typed, self._wrong, self._said = number if opens else None, {}, NOTHING, NOTHING
            self.redraw()
            if opens:
                self.focus_on("[data-keep]")

    def _start(self, run: Run, number: int) -> None:
        (row,) = run.queue.rows_of([number]).values()
        given = {old: self._typed.get(f"address-{each}", old).strip() for each, old in enumerate(missed_by(row))}
        corrected = {old: new for old, new in given.items() if new != old}
        if not self._sending.acquire(blocking=False):
            return  # the second half of a double click
        self._wrong, self._said = NOTHING, markup.status(_("Sending …"))
        self.redraw()
        self._in_thread(lambda: self._send_now(run, row, corrected))

    def _send_now(self, run: Run, row: Row, corrected: Mapping[str, str]) -> None:
        try:
            sent = correct_and_send(run.record.folder, row.id, run.settings, corrected)
            people = tuple(corrected.get(address, address) for address in missed_by(row))
            self._corrected, self._wrong = None, NOTHING
            self._said = markup.status(mail_result.result((*people, *sent.accepted), sent))
        except Exception as exc:  # noqa: BLE001 - shown beside what was typed
            self._wrong, self._said = markup.status(markup.failure(exc)), NOTHING
        finally:
            self._sending.release()
            self.redraw()
            self._changed()

    def redraw(self) -> None:
        """Draw it as things stand now."""
        self.refresh(self._run_of().counts(), anew=True)
