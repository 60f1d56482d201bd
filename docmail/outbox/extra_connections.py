"""Extra connections beside the first, for a long queue: while one waits for the server, others get mail ready.

They are a help and no more. One begins when mails get through over all that are there; each ends at the first thing
that goes wrong, and leaves to the first connection what has to be waited for, tried again or decided.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docmail.errors import CredentialError, SendError
from docmail.outbox.outcomes import BEFORE_A_MAIL, about_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.outbox.sender import Sender
    from docmail.outbox.shared_contents import SharedContents
    from docmail.transport import Transport


@dataclass(eq=False)
class ExtraConnections:
    """The extra connections of a run; all but `abort` is for the thread of the first."""

    new_sender: Callable[[], Sender]
    is_wanted: Callable[[], bool]
    most: int
    _open: list[_Connection] = field(default_factory=list, init=False)
    _error: SendError | None = field(default=None, init=False)

    def begin_one(self, claim: str, shared: SharedContents, first: Transport) -> None:
        """Have one more of them begin, if there is work for it."""
        for extra in [each for each in self._open if each.is_over]:
            self._end(extra)
        if len(self._open) >= self.most:
            return
        gets_through = all(each.sender.gets_through for each in self._open)
        if gets_through and self.is_wanted() and (further := first.another()):
            try:
                self._open.append(_Connection(self.new_sender(), further, claim, shared))
            except RuntimeError:  # "can't start new thread": the first sends all of it, then
                self.most = len(self._open)

    def end(self) -> bool:
        """Return when none of them sends any more and all is written down; whether there was any."""
        ended = list(self._open)
        for extra in ended:
            extra.ending.set()
        for extra in ended:
            extra.thread.join()  # all, before a fault of one is raised: the run must not end while another sends
        for extra in ended:
            self._end(extra)
        return bool(ended)

    def error(self) -> SendError | None:
        """Return, once, the failure of an extra connection that the first one has to treat as its own; else None."""
        error, self._error = self._error, None
        return error

    def abort(self) -> None:
        """Abort their mails, unless the last byte has gone; from any thread."""
        for extra in list(self._open):
            extra.sender.abort()

    def _end(self, extra: _Connection) -> None:
        """Keep what one that is over has met; raises a fault of ours."""
        self._open.remove(extra)
        if extra.fault is not None:
            raise extra.fault
        if (error := extra.error) is None:
            return
        # Whatever it was, another one would meet it, too.
        self.most = len(self._open)
        if isinstance(error, SendError) and not about_connection(error) and error.phase not in BEFORE_A_MAIL:
            self._error = error
        elif self._open:
            # Where no more are let in, one goes: then a single mail, or another program, finds a place.
            self.most -= 1
            self._open[-1].ending.set()


class _Connection:
    """One extra connection, with the thread that sends over it."""

    def __init__(self, sender: Sender, transport: Transport, claim: str, shared: SharedContents) -> None:
        self.sender = sender
        self.ending = threading.Event()
        self.error: SendError | CredentialError | None = None
        self.fault: BaseException | None = None
        context = copy_context()  # the language
        self.thread = threading.Thread(
            target=context.run, args=(self._work, transport, claim, shared), name="docmail-extra", daemon=True
        )
        self.thread.start()

    @property
    def is_over(self) -> bool:
        """Whether its thread has ended."""
        return not self.thread.is_alive()

    def _work(self, transport: Transport, claim: str, shared: SharedContents) -> None:
        try:
            self.sender.send_beside(transport, claim, shared, self.ending.is_set)
        except (SendError, CredentialError) as exc:
            self.error = exc
        except BaseException as exc:  # noqa: BLE001 - raised by `end`
            self.fault = exc
