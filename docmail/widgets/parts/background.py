"""Runs what a button started in a thread of its own: one thing at a time, stoppable, its failure shown and not lost."""

from __future__ import annotations

from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from threading import Lock, Thread
from typing import TYPE_CHECKING, Protocol

from docmail.errors import ConnectError
from docmail.home import is_unattended
from docmail.language import _
from docmail.widgets.parts import markup

if TYPE_CHECKING:
    from collections.abc import Callable

    from markupsafe import Markup

    from docmail.widgets.parts.controls import Actions


class Stoppable(Protocol):
    """What Stop can abort: a transport, or the client of a sign-in server."""

    @property
    def in_doubt(self) -> bool:
        """Whether the last byte of a mail has gone, and nobody knows yet whether it was taken."""

    def abort(self) -> None:
        """Abort from another thread."""


def in_thread(work: Callable[[], None]) -> None:
    """Do it in a thread of its own, in the language of whoever asks for it."""
    Thread(target=copy_context().run, args=(work,), name="docmail-view", daemon=True).start()


@dataclass(frozen=True)
class WithoutDoubt:
    """What Stop can abort at any time: a mailbox, from which no mail goes out."""

    abort: Callable[[], None]
    in_doubt: bool = False


class Work:
    """The one thing that a form is doing, if it does anything.

    `failed` shows an exception in the form: ipywidgets would write it into a log that nobody reads. `on_idle` is called
    when something has been done, for what could not start meanwhile.
    """

    def __init__(self, actions: Actions, failed: Callable[[Exception], None]) -> None:
        self._actions = actions
        self._failed = failed
        self._running = Lock()
        self._transport: Stoppable | None = None
        self.stopped = False
        self.on_idle: Callable[[], None] = lambda: None
        actions.on_stop = self.stop

    def start(self, do: Callable[[], object]) -> bool:
        """Do it in a thread and return at once; False, and nothing else, while something else is being done."""
        if not self._running.acquire(blocking=False):
            return False
        try:
            # The press's language, and the channel on which ipykernel replies to it, hold in the thread as well.
            Thread(target=copy_context().run, args=(self._do, do), name="docmail-form", daemon=True).start()
        except Exception as exc:  # noqa: BLE001 - "can't start new thread"; a later press may find room for one
            self._running.release()
            self._failed(exc)
            return False
        return True

    def run(self, do: Callable[[], object]) -> bool:
        """Do it here and now; False, and nothing else, while something else is being done.

        Where nobody sees the form, a failure is raised as well.
        """
        if not self._running.acquire(blocking=False):
            return False
        failure = self._do(do)
        if failure is not None and is_unattended():
            raise failure
        return True

    def _do(self, do: Callable[[], object]) -> Exception | None:
        """Do it, and return the failure that was shown, if there was one."""
        self.stopped = False
        self._transport = None
        actions = self._actions
        failure: Exception | None = None
        try:
            actions.progress, actions.stoppable, actions.busy = -1.0, True, True
            do()
        except Exception as exc:  # noqa: BLE001 - a form that dies silently leaves its user with a dead button
            failure = exc
            self._failed(exc)
        finally:
            self._transport = None
            try:
                actions.busy, actions.stoppable = False, True
            finally:
                self._running.release()
            actions.send({"finished": True})
            self.on_idle()
        return failure

    def hold(self, transport: Stoppable) -> None:
        """Take the connection that Stop will break."""
        self._transport = transport
        if self.stopped:
            transport.abort()

    def failure(self, exc: Exception) -> Markup:
        """Return how a form that sends shows an exception; a stop by a person is no failure."""
        if self.stopped and isinstance(exc, ConnectError):
            return markup.note(_("Stopped. Nothing was sent."))
        return markup.failure(exc)

    def stop(self) -> None:
        """Abort, unless the last byte has gone: from there on stopping would only hide what happened."""
        transport = self._transport
        if transport is not None and transport.in_doubt:
            return
        self.stopped = True
        if transport is not None:
            with suppress(OSError):
                transport.abort()
