"""A batch under its cell: asked about first, then how far it is, what became of the mails, and what needs a person.

What a notebook keeps of it are counts, keys and subjects, no addresses.
"""

from __future__ import annotations

from html import escape
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any

import ipywidgets

from docmail.errors import DocmailError
from docmail.home import is_unattended
from docmail.language import _, chosen, language, ngettext
from docmail.outbox import check_sender, daily_warning, nothing_of
from docmail.widgets.outbox import run_markup
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.controls import Actions
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docmail.addresses import Address
    from docmail.outbox import Row, Run
    from docmail.secret import Secret

__all__ = ["BatchView", "show"]

SEND, REHEARSE, PAUSE, RESUME, STOP, GO_ON, RETRY = "send", "rehearse", "pause", "resume", "stop", "go-on", "retry"
ARRIVED, AGAIN = "arrived", "again"
UNASKED = 20
"""So many mails go without a question."""
_LOOK_SECONDS = 0.5
_REHEARSED = 3
_LISTED = 50
_ASKED_ABOUT = 20  # unknown mails with buttons; each is a widget


def show(run: Run) -> bool:
    """Show a run that is about to begin; return whether the view asks first, and then starts it."""
    asks = asks_first(run)
    view = BatchView(run, asks=asks)
    static_fallback.show(view.words(), view)
    run.shown = True
    if not asks:
        view.watch()
    return asks


def asks_first(run: Run) -> bool:
    """Say whether these are many mails, nobody has said yet that they are to be sent, and somebody is there to."""
    many = run.redirect_to is None and run.limit is None and run.total > UNASKED
    return many and not run.agreed and not is_unattended()


def show_again(run: Run) -> None:
    """Show a run as it stands, and go on showing it."""
    view = BatchView(run, asks=run.state == "asked")
    static_fallback.show(view.words(), view)
    if run.is_going_on:
        view.watch()


class BatchView(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """One run: question, progress, outcome. `press(action)` does what the button does."""

    def __init__(self, run: Run, *, asks: bool = False) -> None:
        self.run = run
        self._asks = asks
        self._language = chosen()
        self._note = ""
        self._about: list[int] = []
        self._drawing = RLock()  # presses, the watching thread and a rehearsal all draw
        self._rehearses = False
        self.lifeline = Lifeline()
        self.heading = light(ipywidgets.HTML)
        self.actions = Actions([], self._pressed).listen_while_the_cell_waits()
        self.report = light(ipywidgets.HTML, _dom_classes=["dm-report"])
        self.doubts = light(ipywidgets.VBox)
        super().__init__(
            self.lifeline.around([self.heading, self.actions, self.report, self.doubts]),
            _dom_classes=["docmail", "docmail-form"],
        )
        self.refresh()

    def press(self, action: str) -> None:
        """Do what a button does, and show what came of it."""
        try:
            self._note = ""
            self._do(action)
        except Exception as exc:  # noqa: BLE001 - ipywidgets would write it into a log that nobody reads
            self._note = markup.failure(exc)
        self.refresh()

    def watch(self) -> None:
        """Show how far it is until it is over."""
        self._in_thread(self._watch)

    def refresh(self) -> None:
        """Show how it stands."""
        with self._drawing:
            self.heading.value = self._question() if self._asks else self._progress()
            self._offer()
            self.lifeline.what_to_do = self._after_a_restart()
            self.report.value = markup.without_addresses(self._note + self._report())
            self._ask_about()

    def __repr__(self) -> str:
        return repr(self.run)

    def words(self) -> dict[str, str]:
        """Return what a notebook without a kernel shows of it."""
        sentence = _("Nothing was sent yet: press Send, or say how many: run(limit={number}).")
        if not self._asks:
            sentence = ngettext(
                "{number} email waited when this was shown; run the cell again to see how it stands.",
                "{number} emails waited when this was shown; run the cell again to see how it stands.",
                self.run.total,
            )
        title = markup.without_addresses(self._title())
        text = f"{title}: {sentence.format(number=self.run.total)}"
        return {"text/plain": text, "text/html": f"<p>{escape(text)}</p>"}

    # --- what the buttons do ---

    def _pressed(self, action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
        self.press(action)

    def _do(self, action: str) -> None:
        run = self.run
        if (action == SEND and not self._asks) or (action == REHEARSE and self._rehearses):
            return  # the second half of a double click
        if action == PAUSE:
            run.pause()
        elif action == RESUME:
            run.resume()
        elif action == STOP:
            self._asks = False
            run.agree(yes=False)
            run.stop()
        elif action == SEND and run.ahead > run.total:
            run.total = run.ahead
            sentence = _("More mails were added since this was shown. Look at the number, and press Send again.")
            self._note = markup.box("mind", markup.paragraph(sentence))
        elif action == SEND:
            self._asks = False
            run.agree()
            self._begin(run)
        elif action == REHEARSE:
            self._rehearse()
        elif action in {GO_ON, RETRY}:
            self._go_on(retries=action == RETRY)

    def _go_on(self, *, resends: Sequence[int] = (), retries: bool = False) -> None:
        """Send what waits; many mails are asked about, if nobody has agreed to these yet."""
        run = self.run.again(resends=resends, retries=retries)
        if asks_first(run):
            self.run, self._asks = run, True
        else:
            self._begin(run)

    def _begin(self, run: Run) -> None:
        self.run = run.start()
        self.watch()

    def _rehearse(self) -> None:
        address: Address = self.run.settings.address
        rehearsal = self.run.again(redirect_to=address, limit=_REHEARSED).start()
        self._note = markup.box("mind", markup.paragraph(_("Sending the first mails to yourself …")))
        self._rehearses = True

        def tell() -> None:
            try:
                rehearsal.wait()
                number = rehearsal.rehearsed
                sentence = ngettext(
                    "{number} mail went to your own address, and to nobody else. Look at it, then press Send.",
                    "{number} mails went to your own address, and to nobody else. Look at them, then press Send.",
                    number,
                ).format(number=number)
                self._note = markup.box("good", markup.good(sentence))
            except Exception as exc:  # noqa: BLE001 - shown in the view
                self._note = markup.failure(exc)
            self._rehearses = False
            self.refresh()

        self._in_thread(tell)

    def _in_thread(self, work: Callable[[], None]) -> None:
        def speak() -> None:
            with language(self._language):
                work()

        Thread(target=speak, name="docmail-batch-view", daemon=True).start()

    def _watch(self) -> None:
        run = self.run
        over = False
        while not over:
            over = run.over.wait(_LOOK_SECONDS)
            try:
                self.refresh()
            except DocmailError as exc:  # such as a disk that is full: the next look may do better
                self.report.value = markup.failure(exc)

    # --- what it shows ---

    def _question(self) -> str:
        run = self.run
        mails = ngettext("{number} email", "{number} emails", run.total).format(number=f"{run.total:,}")
        recipients = run.recipients
        people = ngettext("{number} address", "{number} addresses", recipients).format(number=f"{recipients:,}")
        sentence = _("{mails} to {people} through {server}.").format(
            mails=mails, people=people, server=run.settings.account.host
        )
        further = [daily_warning(run.pace.provider, run.total)]
        if interval := run.pace.interval:
            time = run_markup.duration(run.total * interval)
            further.insert(0, _("It takes {time} ({rate}).").format(time=time, rate=run.pace.describe()))
        said = " ".join([sentence, *filter(None, further)])
        return f'<div class="dm-heading"><b>{escape(self._title())}</b></div>{markup.paragraph(said)}'

    def _title(self) -> str:
        return self.run.batch or _("Outbox")

    def _progress(self) -> str:
        run = self.run
        total, done = run.extent()
        title = escape(self._title())
        if run.redirect_to is not None:
            done, total = run.rehearsed, min(run.limit or total, total)
            title = escape(_("Rehearsal: {batch}").format(batch=self._title()))
        said = _("{done} of {total}").format(done=f"{done:,}", total=f"{total:,}")
        facts = []
        if run.state == "paused":
            facts.append(_("paused"))
        elif run.is_going_on:
            facts += [fact for fact in (self._speed(), self._left()) if fact]
        label = escape(_("{done} of {total} emails").format(done=done, total=total), quote=True)
        bar = f'<progress max="{max(total, 1)}" value="{done}" aria-label="{label}" style="width: 100%"></progress>'
        passing = "".join(f'<span class="dm-if-live"> · {escape(fact)}</span>' for fact in facts)
        return f'<div class="dm-heading"><b>{title}</b><span>{escape(said)}{passing}</span></div>{bar}'

    def _after_a_restart(self) -> str:
        """Return what the view says then: by itself the browser does not know how many were sent."""
        run = self.run
        # Of the whole outbox, `counts` knows what earlier runs have sent as well.
        sent = run.counts().get("sent", 0) if run.batch else run.done - run.missed
        if self._asks and not sent:
            return _("Nothing was sent yet; run this cell again.")
        if run.redirect_to is not None or not (total := run.extent()[0]):
            return _("Run this cell again.")
        return ngettext(
            "{number} of {total} was sent; run this cell again.",
            "{number} of {total} were sent; run this cell again.",
            sent,
        ).format(number=f"{sent:,}", total=f"{total:,}")

    def _speed(self) -> str:
        per_minute = self.run.speed * 60
        if not per_minute:
            return self.run.pace.describe()
        said = _("{number} a minute").format(number=f"{per_minute:,.0f}")
        rate = self.run.pace.describe()
        return f"{said} ({rate})" if rate else said

    def _left(self) -> str:
        waiting, speed = self.run.waiting, self.run.speed
        # Where every mail is put off, nobody knows.
        known = waiting and speed and self.run.done
        return _("{time} left").format(time=run_markup.duration(waiting / speed)) if known else ""

    def _report(self) -> str:
        run = self.run
        counts = run.counts()
        words = {
            "sent": _("{number} sent"),
            "queued": _("{number} waiting"),
            "sending": _("{number} being sent"),
            "refused": _("{number} refused"),
            "failed": _("{number} not sent"),
            "unknown": _("{number} unknown"),
        }
        listed = [words[state].format(number=f"{counts[state]:,}") for state in words if counts.get(state)]
        if (again := run.again_at) is not None:
            told = (
                _("some will be tried again at {time}") if run.is_going_on else _("some wait until {time}: go on then")
            )
            listed.append(told.format(time=f"{again.astimezone():%H:%M}"))
        parts = [f"<p>{escape(' · '.join(listed))}</p>" if listed and not self._asks else ""]
        if run.state == "stopped":
            parts.append(markup.box("mind", markup.paragraph(_("Stopped. What waits stays in the queue."))))
        elif run.error is not None:
            parts.append(_failure(run.error))
        elif run.state == "over" and not counts:
            parts.append(markup.box("mind", markup.paragraph(nothing_of(run.batch))))
        elif run.state == "over" and run.redirect_to is None and not counts.keys() & {"queued", "unknown"}:
            parts.append(markup.box("good", markup.good(_("Done: nothing waits any more."))))
        if not run.is_going_on and (others := counts.get("queued", 0) - run.waiting) > 0:
            sentence = ngettext(
                "{number} email waits for another sender: run it with that sender's settings.",
                "{number} emails wait for another sender: run them with that sender's settings.",
                others,
            )
            parts.append(markup.box("mind", markup.paragraph(sentence.format(number=f"{others:,}"))))
        if not self._asks:
            parts.append(run_markup.last_replies(run.last))
        if not run.is_going_on:
            parts += self._missed(counts)
        if counts.get("unknown") and not self._asks:
            parts.append(markup.paragraph(self._about_doubts()))
        return "".join(parts)

    def _missed(self, counts: dict[str, int]) -> list[str]:
        """Return the mails that somebody has not got, folded."""
        folded = [
            markup.folded(f"{counts[state]:,} {title}", run_markup.table(self.run.rows(state, _LISTED)))
            for state, title in (("refused", _("refused")), ("failed", _("not sent")))
            if counts.get(state)
        ]
        if partly := self.run.partly_sent:
            title = _("sent, but not to everybody")
            folded.append(markup.folded(f"{partly:,} {title}", run_markup.table(self.run.partly_sent_rows(_LISTED))))
        return folded

    def _about_doubts(self) -> str:
        """Return what the buttons below do, as things stand."""
        if self.run.is_going_on:
            return _("“Send again” puts the mail back into the queue that is being sent.")
        if not (waiting := self.run.waiting):
            return _("“Send again” sends the mail at once.")
        return ngettext(
            "“Send again” sends the mail at once, and the {number} that waits as well.",
            "“Send again” sends the mail at once, and the {number} that wait as well.",
            waiting,
        ).format(number=f"{waiting:,}")

    def _offer(self) -> None:
        run = self.run
        offered: list[list[str]] = []
        primary = ""
        if self._asks:
            offered = [
                [SEND, _("Send {number} emails").format(number=f"{run.total:,}")],
                [REHEARSE, _("Rehearse: send {number} to me").format(number=_REHEARSED)],
            ]
            primary = SEND
        elif run.is_going_on:
            offered = [[RESUME, _("Go on")] if run.state == "paused" else [PAUSE, _("Pause")], [STOP, _("Stop")]]
        elif run.redirect_to is None:
            if run.waiting:
                offered.append([GO_ON, _("Go on")])
            if number := run.given_up:
                offered.append([RETRY, _("Retry {number} refused or not sent").format(number=f"{number:,}")])
        if self.actions.actions != offered:
            self.actions.actions = offered
        if self.actions.primary != primary:
            self.actions.primary = primary

    # --- the unknown ones ---

    def _ask_about(self) -> None:
        """Ask about each mail of which nobody knows whether it arrived."""
        about = self.run.rows("unknown", _ASKED_ABOUT) if not self._asks else []
        rows = [row for row in about if not self._goes_again(row)]
        numbers = [row.id for row in rows]
        if numbers != self._about:
            self._about = numbers
            self.doubts.children = [self._doubt(row) for row in rows]

    def _goes_again(self, row: Row) -> bool:
        """Say whether the run is about to send it again already."""
        return self.run.is_going_on and row.id in self.run.resends

    def _send_again(self, row: Row) -> None:
        """Send a mail in doubt once more; unless the run has a connection, or gets one, it stays in doubt."""
        check_sender(row, self.run.settings)
        if self.run.is_going_on:
            self.run.resend(row.id)
        else:
            self._go_on(resends=[row.id])

    def _doubt(self, row: Row) -> ipywidgets.Widget:
        text = light(ipywidgets.HTML)
        named = f"{run_markup.named(row)} · {markup.when(row.sent_at or row.created)}"
        text.value = markup.box("mind", f"<p><b>{escape(named)}</b></p>", markup.paragraph(run_markup.said(row)))

        def decided(action: str, _values: dict[str, Any], _secret: Secret | None) -> None:
            if row.id not in self._about:
                return  # the second half of a double click
            try:
                self._note = ""
                if action == ARRIVED:
                    self.run.resolve(row.id, "sent")
                else:
                    self._send_again(row)
            except Exception as exc:  # noqa: BLE001 - as in press()
                self._note = markup.failure(exc)
            self.refresh()

        buttons = Actions([(ARRIVED, _("It arrived")), (AGAIN, _("Send again"))], decided).listen_while_the_cell_waits()
        return light(ipywidgets.VBox, [text, buttons])


def _failure(error: BaseException) -> str:
    if isinstance(error, Exception):
        return markup.failure(error)
    return markup.box("mind", markup.paragraph(_("Interrupted. What waits stays in the queue.")))
