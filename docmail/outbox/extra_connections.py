"""Further connections beside the first, for a long queue: while one waits for the server, others get mail ready.

They are a help and no more. One begins when mails get through over all that are there; each ends at the first thing
that goes wrong, and leaves to the first connection what has to be waited for, tried again or decided.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING

from docmail.errors import CredentialError, SendError
from docmail.outbox.outcomes import BEFORE_A_MAIL, about_connection
from docmail.transport import SmtpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.outbox.sender import Sender
    from docmail.outbox.shared_contents import SharedContents
    from docmail.transport import Transport

MOST = 3
"""With the first, as many as peers open that send at once; the servers of companies allow ten times as many."""
WORTH_IT = 40
"""Mails that must be waiting: opening a connection takes as long as a few of them."""


class Helpers:
    """The further connections of a run; all but `abort` is for the thread of the first."""

    def __init__(self, new_sender: Callable[[], Sender], is_wanted: Callable[[], bool]) -> None:
        self._new_sender = new_sender
        self._is_wanted = is_wanted
        self._most = MOST
        self._going: list[_Helper] = []
        self._error: SendError | None = None

    def go_on(self, attempt: str, shared: SharedContents, first: Transport) -> None:
        """Have one more of them begin, if there is work for it."""
        for helper in [each for each in self._going if each.is_over]:
            self._end(helper)
        if len(self._going) >= self._most or not isinstance(first, SmtpTransport):
            return
        if all(each.sender.gets_through for each in self._going) and self._is_wanted():
            try:
                self._going.append(_Helper(self._new_sender(), first.another(), attempt, shared))
            except RuntimeError:  # "can't start new thread": the first sends all of it, then
                self._most = len(self._going)

    def end(self) -> bool:
        """Return when none of them sends any more and all is written down; whether there was any."""
        ended = list(self._going)
        for helper in ended:
            helper.ending.set()
        for helper in ended:
            helper.thread.join()  # all, before a fault of one is raised: the run must not end while another sends
        for helper in ended:
            self._end(helper)
        return bool(ended)

    def error(self) -> SendError | None:
        """Return, once, a failure that one ended with, if the first has to judge it as one of its own."""
        error, self._error = self._error, None
        return error

    def abort(self) -> None:
        """Break off their mails, unless the last byte has gone; from any thread."""
        for helper in list(self._going):
            helper.sender.abort()

    def _end(self, helper: _Helper) -> None:
        """Keep what one that is over has met; raises a fault of ours."""
        self._going.remove(helper)
        if helper.fault is not None:
            raise helper.fault
        if (error := helper.error) is None:
            return
        # Whatever it was, another one would meet it, too.
        self._most = len(self._going)
        if isinstance(error, SendError) and not about_connection(error) and error.phase not in BEFORE_A_MAIL:
            self._error = error
        elif self._going:
            # Where no more are let in, one goes: then a single mail, or another program, finds a place.
            self._most -= 1
            self._going[-1].ending.set()


class _Helper:
    """One of them, at work."""

    def __init__(self, sender: Sender, transport: Transport, attempt: str, shared: SharedContents) -> None:
        self.sender = sender
        self.ending = threading.Event()
        self.error: SendError | CredentialError | None = None
        self.fault: BaseException | None = None
        context = copy_context()  # the language
        self.thread = threading.Thread(
            target=context.run, args=(self._work, transport, attempt, shared), name="docmail-helper", daemon=True
        )
        self.thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self.thread.is_alive()

    def _work(self, transport: Transport, attempt: str, shared: SharedContents) -> None:
        try:
            self.sender.send_beside(transport, attempt, shared, self.ending.is_set)
        except (SendError, CredentialError) as exc:
            self.error = exc
        except BaseException as exc:  # noqa: BLE001 - raised by whoever waits for it
            self.fault = exc
