"""A batch under its cell: asked about first, then how far it is, what became of the mails, and what needs a person.

What a notebook keeps of it are counts, keys and subjects, no addresses: these go to the browser as messages.
"""

from __future__ import annotations

import time
from collections import Counter
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import ipywidgets
from markupsafe import Markup

from docmail.errors import DocmailError
from docmail.home import is_unattended
from docmail.language import _, chosen, language, ngettext
from docmail.outbox import Group, State, check_sender, nothing_of
from docmail.widgets.outbox import run_markup
from docmail.widgets.outbox.mailbox_look import MailboxLook, look_in_sent_label, look_label
from docmail.widgets.outbox.missed_view import MissedView
from docmail.widgets.outbox.states import MISSED, counted, counts_with_fold
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import Html, light
from docmail.widgets.parts.kernel_gone import Lifeline
from docmail.widgets.parts.markup import NOTHING, joined, tag
from docmail.widgets.parts.painted import Painted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from docmail.addresses import Address
    from docmail.outbox import Row, Run
    from docmail.secret import Secret
    from docmail.widgets.parts.static_fallback import Bundle

__all__ = ["BatchView", "show"]

SEND, REHEARSE, CANCEL = "send", "rehearse", "cancel"
PAUSE, RESUME, STOP, SEND_REST, RETRY = "pause", "resume", "stop", "send-rest", "retry"
LOOK, STOP_LOOKING = "look-for-bounces", "stop-looking"
ARRIVED, AGAIN, LOOK_IN_SENT = "arrived", "again", "look-in-sent"
UNASKED = 20
"""So many mails go without a question."""
_LOOK_SECONDS = 0.5
_KEEP_SECONDS = 10.0  # after which the notebook is given how far it is
_REHEARSED = 3
_ASKED_ABOUT = 20  # unknown mails with buttons; each is a widget
_DOUBLES = 20  # addresses that are named
_PARTS = {
    State.SENT: "sent",
    State.BOUNCED: "missed",
    State.REFUSED: "missed",
    State.FAILED: "missed",
    State.UNKNOWN: "unknown",
}
"""How the bar shows what is settled, in its order."""
_just_shown: WeakValueDictionary[int, Run] = WeakValueDictionary()  # by id(): a mapping has no hash


def show(run: Run) -> bool:
    """Show a run that is about to begin; return whether the view asks first, and then starts it."""
    asks = asks_first(run)
    view = BatchView(run, asks=asks)
    view.display()
    _just_shown[id(run)] = run
    if not asks:
        view.follow()
    return asks


def asks_first(run: Run) -> bool:
    """Say whether a person has to confirm this run first: many mails, not confirmed yet, and a person is there."""
    many = run.redirect_to is None and run.progress.limit is None and run.progress.total > UNASKED
    return many and not run.queue.is_agreed and not is_unattended()


def show_again(run: Run) -> None:
    """Show a run as it stands, and follow it; not where its own cell, which ends, has shown it when it began."""
    if _just_shown.pop(id(run), None) is not None:
        return
    view = BatchView(run, asks=run.state == "asked")
    view.display()
    if run.is_running:
        view.follow()


class _Heading(Painted):
    """The line with the counts above a batch: what bounced can be pressed, and the notebook keeps all of it."""

    def __init__(self, pressed: Callable[[str, str, dict[str, Any]], None]) -> None:
        super().__init__(pressed)
        self.listen_while_the_cell_waits()

    @property
    def value(self) -> Markup:
        """What it shows."""
        return self.html

    @value.setter
    def value(self, html: Markup) -> None:
        self.draw(heading=html)
        self.stored = tag("div", html, data_zone="heading")


class BatchView(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """One run: question, progress, outcome. `press(action)` does what the button does."""

    def __init__(self, run: Run, *, asks: bool = False) -> None:
        self.run = run
        self._asks = asks
        # What a question takes the place of, as long as nobody has said yes: the run, and what was settled before it.
        self._before: tuple[Run, Counter[State]] | None = None
        self._earlier: Counter[State] = Counter()  # settled by earlier runs of this view
        self._language = chosen()
        self._note = NOTHING  # without addresses
        self._rehearsal = NOTHING  # what came of it, with the address
        self._about: list[int] = []
        self._named: dict[int, Row] = {}  # the mails of the last lines
        self._drawing = RLock()  # presses, the refreshing thread and a rehearsal all draw
        self._rehearses = False
        self._was_used = False  # what was found after the run is then no news any more
        self._looking: MailboxLook | None = None
        self._keep: Callable[[Bundle], None] = lambda _bundle: None
        self._kept_at = 0.0
        self.lifeline = Lifeline()
        self.heading = _Heading(self._pressed_in_heading)
        self.question = Painted(stored=markup.zones("asked", "rehearsal"), _dom_classes=["dm-asks"])
        self.actions = Actions([], self._pressed).listen_while_the_cell_waits()
        self.report = light(Html, _dom_classes=["dm-report"])
        self.missed = MissedView(lambda: self.run, self._in_thread, self._refresh_from_thread)
        self.doubts = light(ipywidgets.VBox)
        super().__init__(
            self.lifeline.around([self.heading, self.question, self.actions, self.report, self.doubts, self.missed]),
            _dom_classes=["docmail", "docmail-form", "dm-batch"],
        )
        self.refresh()

    def display(self) -> None:
        """Show it under the cell; how it stands is kept in the notebook from time to time, and when it is over."""
        self._keep = static_fallback.show_kept(self.fallback(), self)

    def press(self, action: str) -> None:
        """Do what a button does, and show what came of it."""
        steps = {LOOK: lambda: self._look_into_mailbox(MailboxLook.for_bounces), STOP_LOOKING: self._stop_looking}
        self._try(steps.get(action, lambda: self._do(action)))

    def _try(self, do: Callable[[], None]) -> None:
        try:
            self._note = self._rehearsal = NOTHING
            self._was_used = True
            do()
        except Exception as exc:  # noqa: BLE001 - ipywidgets would write it into a log that nobody reads
            self._note = markup.failure(exc)
        self.refresh()

    def follow(self) -> None:
        """Show how far the run is, from a thread, until it is over.

        A cell that waits for the run shows its end itself: when the cell is over, programs that run notebooks no longer
        keep what the thread says.
        """
        run = self.run
        run.last_looks.append(self._look)
        self._in_thread(lambda: self._refresh_while_running(run))

    def refresh(self) -> None:
        """Draw the view anew from what the run counts now."""
        with self._drawing:
            counts = self.run.counts()
            self.heading.value = self._heading(counts)
            self._ask(counts)
            self._offer(counts)
            self.lifeline.what_to_do = self._how_it_stands(counts)
            self.report.value = markup.nameless(self._note + self._report(counts))
            self.missed.refresh(counts)
            self._ask_about()
            if time.monotonic() - self._kept_at > _KEEP_SECONDS or not self.run.is_running:
                self._kept_at = time.monotonic()
                self._keep(self.fallback())

    def __repr__(self) -> str:
        return repr(self.run)

    def fallback(self) -> Bundle:
        """Return what a notebook without a kernel shows of it."""
        counts = self.run.counts()
        sentence = self._how_it_stands(counts)
        if self._asks and not self._sent(counts):
            sentence = _("Nothing was sent yet: press Send, or say how many: run(limit={number}).").format(
                number=self.run.progress.total
            )
        elif counts and self.run.redirect_to is None:
            sentence = f"{sentence} {counted(counts, first=State.SENT)}."
        text = f"{markup.without_addresses(self._title())}: {sentence}"
        return {"text/plain": text, "text/html": markup.paragraph(text)}

    # --- what the buttons do ---

    def _pressed(self, action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
        self.press(action)

    def _pressed_in_heading(self, action: str, _which: str, _values: dict[str, Any]) -> None:
        if action == MISSED:
            with self._drawing:
                self.missed.toggle()
            self.refresh()

    def _do(self, action: str) -> None:
        run = self.run
        if (action in {SEND, CANCEL} and not self._asks) or (action == REHEARSE and self._rehearses):
            return  # the second half of a double click
        if action == PAUSE:
            run.pause()
        elif action == RESUME:
            run.resume()
        elif action == STOP:
            run.queue.agree(yes=False)
            run.stop()
        elif action == CANCEL:
            self._cancel()
        elif action == SEND and run.ahead > run.progress.total:
            run.progress.total = run.ahead
            sentence = _("More mails were added since this was shown. Look at the number, and press Send again.")
            self._note = markup.note(sentence)
        elif action == SEND:
            run.queue.agree()
            self._begin(run)
        elif action == REHEARSE:
            self._rehearse()
        elif action in {SEND_REST, RETRY}:
            self._send_rest(retries=action == RETRY)

    def _look_into_mailbox(self, look: Callable[..., Markup]) -> None:
        """Look into the mailbox in a thread, one look at a time, and say how far it is and what came of it."""
        if self._looking is not None:
            return

        def say(sentence: str) -> None:
            self._note = markup.aside(sentence)
            self._refresh_from_thread()

        run = self.run
        self._looking = looking = MailboxLook(run.record.folder, run.settings, say)
        self._note = markup.aside(_("Opening the mailbox …"))

        def work() -> None:
            try:
                found = look(looking)
            except Exception as exc:  # noqa: BLE001 - shown in the view
                found = looking.failure(exc)
            self._looking, self._note = None, found
            self._refresh_from_thread()

        self._in_thread(work)

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.stop()

    def _send_rest(self, *, resends: Sequence[int] = (), retries: bool = False) -> None:
        """Send what waits; many mails are asked about, if nobody has agreed to these yet."""
        before = self._before or (self.run, self._earlier)
        run = before[0].again(resends=resends, retries=retries)
        earlier = Counter(before[1] + before[0].progress.settled)
        earlier[State.UNKNOWN] = max(earlier[State.UNKNOWN] - len(resends), 0)
        if retries:
            earlier[State.REFUSED] = earlier[State.FAILED] = 0
        if not asks_first(run):
            self._begin(run)
            self._earlier = earlier
            return
        self._before, self._earlier = before, earlier
        self.run, self._asks = run, True

    def _cancel(self) -> None:
        """Leave everything as it was before the question."""
        self._asks = False
        if self._before is not None:
            (self.run, self._earlier), self._before = self._before, None
        if self.run.state == "asked":
            self._note = markup.note(_("Nothing was sent. What waits stays in the queue."))

    def _begin(self, run: Run) -> None:
        self.run = run.start()
        self._asks = self._was_used = False
        self._before = None
        self.follow()

    def _rehearse(self) -> None:
        address: Address = self.run.settings.address
        rehearsal = self.run.again(redirect_to=address, limit=_REHEARSED).start()
        self._note = markup.note(_("Sending the first mails to yourself …"))
        self._rehearses = True

        def report() -> None:
            self._note = NOTHING
            try:
                rehearsal.wait()
                number = rehearsal.rehearsed
                sentence = ngettext(
                    "{number} mail went to {address}, and to nobody else. Look at it, then press Send.",
                    "{number} mails went to {address}, and to nobody else. Look at them, then press Send.",
                    number,
                ).format(number=number, address=address.addr_spec)
                self._rehearsal = markup.box("good", markup.good(sentence))
            except Exception as exc:  # noqa: BLE001 - shown in the view
                self._note = markup.failure(exc)
            self._rehearses = False
            self._refresh_from_thread()

        self._in_thread(report)

    def _in_thread(self, work: Callable[[], None]) -> None:
        def speak() -> None:
            with language(self._language):
                work()

        Thread(target=speak, name="docmail-batch-view", daemon=True).start()

    def _refresh_while_running(self, run: Run) -> None:
        over = False
        while not over:
            over = run.over.wait(_LOOK_SECONDS)
            self._refresh_from_thread()
        run.last_looks.remove(self._look)

    def _look(self) -> None:
        with language(self._language):
            self._refresh_from_thread()

    def _refresh_from_thread(self) -> None:
        try:
            self.refresh()
        except DocmailError as exc:  # such as a disk that is full: the next look may do better
            self.report.value = markup.failure(exc)

    # --- what it shows ---

    def _title(self) -> str:
        return self.run.batch or _("Outbox")

    def _heading(self, counts: Mapping[str, int]) -> Markup:
        """Return how far it is, as long as there is anything to show of that, and what became of the mails."""
        run = self.run
        title, (parts, total) = self._title(), self._extent(counts)
        done = sum(parts.values())
        if self._asks and not done:
            return markup.nameless(markup.heading(title))
        if run.redirect_to is not None:
            title = _("Rehearsal: {batch}").format(batch=title)
        said = _("{done} of {total}").format(done=f"{done:,}", total=f"{total:,}")
        facts = []
        if run.state == "paused":
            facts.append(_("paused"))
        elif run.is_running:
            facts += [fact for fact in (self._speed(), self._left()) if fact]
        passing = (Markup('<span class="dm-if-connected"> · {}</span>').format(fact) for fact in facts)
        label = _("{done} of {total} emails").format(done=done, total=total)
        shown = self._counts(counts)
        if shown:
            label = f"{label}: {shown.striptags()}"
        lines = [
            markup.heading(title, joined([said, *passing])),
            markup.shares([(_PARTS[state], number) for state, number in parts.items()], total, label),
            tag("div", shown, class_="dm-counts") if shown else NOTHING,
        ]
        return markup.nameless(joined(lines))

    def _extent(self, counts: Mapping[str, int]) -> tuple[dict[State, int], int]:
        """Return how many mails are settled in which state, and how many it is about.

        Of a batch these are all, also those that earlier runs have sent.
        """
        run = self.run
        if run.redirect_to is not None:
            return {State.SENT: run.rehearsed}, min(run.progress.limit or run.progress.total, run.progress.total)
        settled = counts if run.batch else self._earlier + run.progress.settled
        parts = {state: settled[state] for state in _PARTS if settled.get(state)}
        if run.batch:
            return parts, sum(counts.values())
        return parts, max(self._earlier.total() + run.progress.total, sum(parts.values()))

    def _sent(self, counts: Mapping[str, int]) -> int:
        """Return how many were sent."""
        return self._extent(counts)[0].get(State.SENT, 0)

    def _how_it_stands(self, counts: Mapping[str, int]) -> str:
        """Return what the view says when its kernel is gone: the browser does not know how many were sent."""
        run, sent = self.run, self._sent(counts)
        if run.redirect_to is not None or not (total := self._extent(counts)[1]):
            return _("Run this cell again.")
        if self._asks and not sent:
            return _("Nothing was sent yet; run this cell again.")
        sentence = ngettext("{number} of {total} was sent", "{number} of {total} were sent", sent)
        sentence = sentence.format(number=f"{sent:,}", total=f"{total:,}")
        if run.waiting:
            return _("{so_far}; run this cell again to go on.").format(so_far=sentence)
        return f"{sentence}."

    def _counts(self, counts: Mapping[str, int]) -> Markup:
        """Return how many mails are in which state; of those that wait, the deferred and later ones are apart."""
        run = self.run
        if run.redirect_to is not None or not counts:
            return NOTHING
        deferred, again = run.queue.deferred if not run.daily_limit_reached else (0, None)
        waiting = max(counts.get(State.QUEUED, 0) - run.later, 0)
        waiting -= (deferred := min(deferred, waiting))
        opened = self.missed.is_open(counts)
        listed: list[str] = [counts_with_fold({**counts, State.QUEUED: waiting}, opened=opened, first=State.SENT)]
        if deferred and again is not None:
            sentence = (
                ngettext("{number} deferred, again at {time}", "{number} deferred, again at {time}", deferred)
                if run.is_running or waiting
                else ngettext(
                    "{number} deferred until {time}: press Resume then",
                    "{number} deferred until {time}: press Resume then",
                    deferred,
                )
            )
            listed.append(sentence.format(number=f"{deferred:,}", time=run_markup.clock(again)))
        return Markup(" · ").join(filter(None, [*listed, run.due_later]))

    def _speed(self) -> str:
        per_minute = self.run.progress.speed * 60
        if not per_minute:
            return self.run.rate.describe()
        said = _("{number} a minute").format(number=f"{per_minute:,.0f}")
        rate = self.run.rate.describe()
        return f"{said} ({rate})" if rate else said

    def _left(self) -> str:
        waiting, speed = self.run.waiting, self.run.progress.speed
        # Where every mail is deferred, nobody knows.
        known = waiting and speed and self.run.progress.done
        return _("{time} left").format(time=run_markup.duration(waiting / speed)) if known else ""

    # --- the question ---

    def _ask(self, counts: Mapping[str, int]) -> None:
        """Show what is asked, if anything is, and what a rehearsal came to; the notebook gets it without addresses."""
        asked = self._question(counts) if self._asks else NOTHING
        rehearsal = self._rehearsal or self._rehearsed_to()
        self.question.draw(asked=asked, rehearsal=rehearsal)
        zones = {"asked": asked, "rehearsal": rehearsal}
        stored = (tag("div", markup.nameless(html), data_zone=zone) for zone, html in zones.items())
        self.question.stored = joined(stored)

    def _question(self, counts: Mapping[str, int]) -> Markup:
        run, total = self.run, self.run.progress.total
        further = [run.daily_warning()]
        if interval := run.rate.interval:
            taken = run_markup.duration(total * interval)
            further.insert(0, _("It takes {time} ({rate}).").format(time=taken, rate=run.rate.describe()))
        if self._extent(counts)[0]:
            question = ngettext("Send the {number} that waits?", "Send the {number} that wait?", total)
            if total > run.waiting:
                question = ngettext("Send {number} email?", "Send {number} emails?", total)
            asked = markup.question(question.format(number=f"{total:,}"))
            return tag("div", joined([asked, *(Markup(" {}").format(each) for each in further if each)]))
        mails = ngettext("{number} email", "{number} emails", total).format(number=f"{total:,}")
        recipients = run.count_recipients()
        people = ngettext("{number} address", "{number} addresses", recipients).format(number=f"{recipients:,}")
        number, named = run.doubles(_DOUBLES)
        if number:
            people = f"{people} ({run_markup.get_several(number, named)})"
        sentence = _("{mails} to {people} through {account}.").format(
            mails=mails, people=people, account=run.settings.address.addr_spec
        )
        said = " ".join([sentence, *filter(None, further)])
        return markup.paragraph(said) + run_markup.doubles(number, named)

    def _rehearsed_to(self) -> Markup:
        """Return to whom a run went that is a rehearsal."""
        run = self.run
        if run.redirect_to is None or run.is_running or not run.rehearsed:
            return NOTHING
        sentence = ngettext(
            "{number} mail went to {address}, and to nobody else.",
            "{number} mails went to {address}, and to nobody else.",
            run.rehearsed,
        )
        said = sentence.format(number=f"{run.rehearsed:,}", address=run.redirect_to.addr_spec)
        return markup.box("good", markup.good(said))

    # --- what came of it ---

    def _report(self, counts: Mapping[str, int]) -> Markup:
        run = self.run
        parts = self._how_it_ended(counts)
        if not run.is_running and (others := counts.get(State.QUEUED, 0) - run.waiting - run.later) > 0:
            sentence = ngettext(
                "{number} email waits for another sender: run it with that sender's settings.",
                "{number} emails wait for another sender: run them with that sender's settings.",
                others,
            )
            parts.append(markup.note(sentence.format(number=f"{others:,}")))
        if not self._asks or self._before is not None:
            parts.append(self._last_mails(self._before[0] if self._before else run))
        if run.after_sending and not self._was_used:
            parts.append(markup.aside(run.after_sending))
        if unknown := counts.get(State.UNKNOWN, 0):
            parts.append(markup.paragraph(self._about_doubts(unknown)))
        return joined(parts)

    def _last_mails(self, run: Run) -> Markup:
        happened = list(run.progress.last)
        if run.record.file.is_there:
            self._named = run.queue.rows_of(each.id for each in happened)
        return run_markup.last_mails(happened, self._named)

    def _how_it_ended(self, counts: Mapping[str, int]) -> list[Markup]:
        """Return why it sends no more, if it does not."""
        run = self.run
        if run.state == "stopped":
            return [markup.note(_("Stopped. What waits stays in the queue."))]
        if run.error is not None:
            return [_failure(run.error)]
        if run.daily_limit_reached and run.waiting:
            return [markup.note(run.daily_limit_reached)]
        return [self._result(counts)] if run.state == "over" and run.redirect_to is None else []

    def _result(self, counts: Mapping[str, int]) -> Markup:
        """Return what came of a run that is over: good, only if everybody has got everything."""
        run = self.run
        if not counts:
            return markup.note(nothing_of(run.batch))
        waits = counts.get(State.QUEUED, 0) > run.later
        if waits or counts.keys() & {State.SENDING, State.UNKNOWN}:
            return NOTHING
        if missed := run.queue.count(Group.MISSED):
            sentence = ngettext(
                "Nothing waits any more; {number} email did not reach everybody.",
                "Nothing waits any more; {number} emails did not reach everybody.",
                missed,
            )
            return markup.note(sentence.format(number=f"{missed:,}"))
        if not (sent := counts.get(State.SENT, 0)):
            return NOTHING  # all that there is goes later
        sentence = ngettext("Done: the email was sent.", "Done: all {number} emails were sent.", sent)
        return markup.box("good", markup.good(sentence.format(number=f"{sent:,}")))

    def _about_doubts(self, unknown: int) -> str:
        """Return what the buttons below do, as things stand."""
        said = []
        if (more := unknown - _ASKED_ABOUT) > 0:
            sentence = ngettext(
                "{number} more is asked about when these are decided.",
                "{number} more are asked about when these are decided.",
                more,
            )
            said.append(sentence.format(number=f"{more:,}"))
        if self.run.is_running:
            said.append(_("“Send again” puts the mail back into the queue that is being sent."))
        elif not (waiting := self.run.waiting):
            said.append(_("“Send again” sends the mail at once."))
        else:
            sentence = ngettext(
                "“Send again” sends the mail at once, and the {number} that waits as well.",
                "“Send again” sends the mail at once, and the {number} that wait as well.",
                waiting,
            )
            said.append(sentence.format(number=f"{waiting:,}"))
        return " ".join(said)

    def _offer(self, counts: Mapping[str, int]) -> None:
        run = self.run
        offered: list[list[str]] = []
        primary = ""
        if self._asks:
            primary = SEND
            if self._extent(counts)[0]:
                offered = [[SEND, _("Send")], [CANCEL, _("Cancel")]]
            else:
                number = min(_REHEARSED, run.progress.total)
                send = ngettext("Send {number} email", "Send {number} emails", run.progress.total)
                offered = [
                    [SEND, send.format(number=f"{run.progress.total:,}")],
                    [REHEARSE, _("Rehearse: send {number} to me").format(number=number)],
                    [CANCEL, _("Cancel")],
                ]
        elif run.is_running:
            offered = [[RESUME, _("Resume")] if run.state == "paused" else [PAUSE, _("Pause")], [STOP, _("Stop")]]
        elif run.redirect_to is None:
            offered = self._offered_afterwards(counts)
        if self.actions.actions != offered:
            self.actions.actions = offered
        if self.actions.primary != primary:
            self.actions.primary = primary

    def _offered_afterwards(self, counts: Mapping[str, int]) -> list[list[str]]:
        """Return the buttons of a run that sends no more."""
        run = self.run
        if self._looking is not None:
            return [[STOP_LOOKING, _("Stop")]]
        offered = []
        if run.waiting or run.refused_alike:
            offered.append([SEND_REST, _("Send …") if run.state == "asked" else _("Resume")])
        if number := run.queue.count(Group.UNDELIVERED):
            offered.append([RETRY, _("Retry {number} refused or not sent").format(number=f"{number:,}")])
        if run.settings.mailbox is not None and counts.keys() & {State.SENT, State.BOUNCED}:
            offered.append([LOOK, look_label()])
        return offered

    # --- the unknown ones ---

    def _ask_about(self) -> None:
        """Ask about each mail that may have arrived or not."""
        about = self.run.queue.rows(Group.UNKNOWN, _ASKED_ABOUT)
        rows = [row for row in about if not self._goes_again(row)]
        numbers = [row.id for row in rows]
        if numbers != self._about:
            self._about = numbers
            self.doubts.children = [self._doubt(row) for row in rows]

    def _goes_again(self, row: Row) -> bool:
        """Say whether the run is about to send it again already."""
        return self.run.is_running and row.id in self.run.control.resends

    def _send_again(self, row: Row) -> None:
        """Send a mail in doubt once more; unless the run has a connection, or gets one, it stays in doubt."""
        check_sender(row, self.run.settings)
        if self.run.is_running:
            self.run.control.resend(row.id)
        else:
            self._send_rest(resends=[row.id])

    def _doubt(self, row: Row) -> ipywidgets.Widget:
        named = f"{run_markup.named(row)} · {markup.when(row.sent_at or row.created)}"
        title = Markup("<p><b>{}</b></p>").format(named)
        text = light(Html, value=markup.box("mind", title, markup.paragraph(run_markup.why_unknown(row))))

        def decided(action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
            if row.id in self._about:  # not the second half of a double click
                steps: dict[str, Callable[[], None]] = {
                    ARRIVED: lambda: self.run.queue.resolve(row.id, "sent"),
                    AGAIN: lambda: self._send_again(row),
                    LOOK_IN_SENT: lambda: self._look_into_mailbox(MailboxLook.for_copies),
                }
                self._try(steps[action])

        offered = [(ARRIVED, _("It arrived")), (AGAIN, _("Send again"))]
        if self.run.settings.mailbox is not None:
            offered.append((LOOK_IN_SENT, look_in_sent_label()))
        buttons = Actions(offered, decided).listen_while_the_cell_waits()
        return light(ipywidgets.VBox, [text, buttons])


def _failure(error: BaseException) -> Markup:
    if isinstance(error, Exception):
        return markup.failure(error)
    return markup.note(_("Interrupted. What waits stays in the queue."))
