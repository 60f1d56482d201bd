"""Runs what a button started in a thread of its own: one thing at a time, stoppable, its failure shown and not lost."""

from __future__ import annotations

from contextlib import suppress
from contextvars import copy_context
from threading import Lock, Thread
from typing import TYPE_CHECKING, Protocol

from docmail.home import is_unattended

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.widgets.parts.controls import Actions


class Stoppable(Protocol):
    """What Stop can break off: a transport, or what asks a sign-in server."""

    @property
    def in_doubt(self) -> bool:
        """Whether the last byte of a mail has gone, and nobody knows yet whether it was taken."""

    def abort(self) -> None:
        """Break off from another thread."""


class Work:
    """The one thing that a form is doing, if it does anything.

    `failed` shows an exception in the form: ipywidgets would write it into a log that nobody reads.
    """

    def __init__(self, actions: Actions, failed: Callable[[Exception], None]) -> None:
        self._actions = actions
        self._failed = failed
        self._running = Lock()
        self._transport: Stoppable | None = None
        self.stopped = False

    def start(self, do: Callable[[], object]) -> bool:
        """Do it in a thread and return at once; False, and nothing else, while something else is being done."""
        if not self._running.acquire(blocking=False):
            return False
        try:
            # The press's language, and the channel on which ipykernel answers it, hold in the thread as well.
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
        return failure

    def hold(self, transport: Stoppable) -> None:
        """Take the connection that Stop will break."""
        self._transport = transport
        if self.stopped:
            transport.abort()

    def stop(self) -> None:
        """Break off, unless the last byte has gone: from there on stopping would only hide what happened."""
        transport = self._transport
        if transport is not None and transport.in_doubt:
            return
        self.stopped = True
        if transport is not None:
            with suppress(OSError):
                transport.abort()
