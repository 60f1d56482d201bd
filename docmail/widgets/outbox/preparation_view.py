"""One line under a cell whose batch takes longer to generate: how far it is, and in the end what came of it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import copy_context
from functools import cached_property
from threading import Event, Thread
from typing import TYPE_CHECKING

import ipywidgets
from markupsafe import Markup

from docmail.language import _, ngettext
from docmail.widgets.parts import markup, static_fallback
from docmail.widgets.parts.form_rows import light
from docmail.widgets.parts.kernel_gone import Lifeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.display import DisplayHandle

    from docmail.outbox import BatchProgress

__all__ = ["PreparationView", "show"]

_CALM_SECONDS = 1.0  # what is done sooner, or nearly, needs no word
_LOOK_SECONDS = 0.25


@contextmanager
def show(preparation: BatchProgress) -> Iterator[None]:
    """Show how far a batch is while its mails are generated, checked and written down."""
    view = PreparationView(preparation)
    view.start()
    try:
        yield
    except BaseException as exc:
        view.end(exc)
        raise
    view.end(None)


class PreparationView:
    """The line; the cell itself is busy, so a thread draws it."""

    def __init__(self, preparation: BatchProgress) -> None:
        self._preparation = preparation
        self._began = time.monotonic()
        self._over = Event()
        self._shown = ""
        self._handle: DisplayHandle | None = None
        # The language holds in the thread as well, and so does the cell under which it is shown.
        self._thread = Thread(
            target=copy_context().run, args=(self._refresh_until_over,), name="docmail-preparation", daemon=True
        )

    def start(self) -> None:
        """Start the thread that shows the progress."""
        self._thread.start()

    def end(self, failure: BaseException | None) -> None:
        """Leave what came of it in place of how far it was, if that was shown."""
        self._over.set()
        self._thread.join()
        if self._shown:
            self._draw(self.outcome(failure))

    def text(self) -> str:
        """Return the progress as a sentence."""
        done, total = self._preparation.done, self._preparation.total
        if self._preparation.writes:
            said = _("Generated and checked: {done}. Recording them …").format(done=f"{done:,}")
            return f"{said} {written:,}" if (written := self._preparation.written) else said
        if total is None:
            return _("Generating and checking: {done}").format(done=f"{done:,}")
        return _("Generating and checking: {done} of {total}").format(done=f"{done:,}", total=f"{total:,}")

    def outcome(self, failure: BaseException | None) -> str:
        """Say what came of it; the cell's result or its error says the rest."""
        done = self._preparation.done
        said = ngettext("Generated and checked: {number} row.", "Generated and checked: {number} rows.", done)
        said = said.format(number=f"{done:,}")
        if failure is None:
            return said
        if isinstance(failure, Exception):
            return f"{said} {_('Nothing was added.')}"
        if not self._preparation.writes:
            return f"{said} {_('Interrupted: nothing was added.')}"
        # It may have come just before the batch was in the outbox, or just after.
        again = _(
            "Interrupted while they were being recorded: run the cell again; it recognises what is recorded already."
        )
        return f"{said} {again}"

    def _refresh_until_over(self) -> None:
        if self._over.wait(_CALM_SECONDS):
            return
        while True:
            if self._shown or not self._is_nearly_done():
                self._draw(self.text())
            if self._over.wait(_LOOK_SECONDS):
                return

    def _is_nearly_done(self) -> bool:
        done, total = self._preparation.done, self._preparation.total
        if total is None or not done:
            return False
        return (time.monotonic() - self._began) / done * (total - done) < _CALM_SECONDS

    def _draw(self, text: str) -> None:
        if text == self._shown:
            return
        self._shown = text
        html = markup.tag("div", markup.joined([text, self._bar()]))
        shown_above = {"text/plain": text, "text/html": markup.beside(html)}
        try:
            self._lifeline.what_to_do = self._after_a_restart()
            if self._handle is None:
                self._handle = static_fallback.show_beside(
                    shown_above, light(ipywidgets.VBox, [self._lifeline], _dom_classes=["docmail"])
                )
            else:
                self._handle.update(shown_above, raw=True)
        except Exception:  # noqa: BLE001, S110 - a batch does not fail because nobody can look at it
            pass

    @cached_property  # most batches are done before anything is shown
    def _lifeline(self) -> Lifeline:
        return Lifeline()

    def _after_a_restart(self) -> str:
        """Return what the view says then."""
        if self._over.is_set():
            return _("Run this cell again.")
        if self._preparation.writes:
            return _("Run this cell again; it recognises what is recorded already.")
        return _("Nothing was added; run this cell again.")

    def _bar(self) -> Markup:
        done, total = self._preparation.done, self._preparation.total
        if total is None or self._over.is_set():
            return markup.NOTHING
        if self._preparation.writes:
            return Markup("<br>") + markup.bar(self._preparation.written, done, _("rows written down"))
        return Markup("<br>") + markup.bar(done, total, _("rows generated and checked"))
