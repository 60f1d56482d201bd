"""Recognises that a server refuses the account, or everything that a run sends, though it says so mail by mail.

The sign is one reply text for good, again and again, about recipients at different domains.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from docmail.errors import Guide, Kind, Phase, Refused, SendError
from docmail.language import _
from docmail.outbox.rows import State

if TYPE_CHECKING:
    from collections.abc import Collection

    from docmail.outbox.changes import Outcome
    from docmail.outbox.limits import Limits
    from docmail.reply import Reply

_DOMAINS = 2
_OWN = re.compile(r"5\.(1\.[1236]|2\.1)")  # RFC 3463: no such mailbox or domain, moved, disabled
# What differs from mail to mail: addresses, names of hosts, and whatever has a digit in it (numbers, times, the
# numbers of queues).
_VARIABLE = re.compile(r"\S*@\S*|\b[\w-]+(?:\.[\w-]+)+|\S*\d\S*")
_CALENDAR = re.compile(
    r"\b(mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?\b"
    r"|\b(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?"
    r"|dec(ember)?)\b"
)
_HTTP = {Phase.REQUEST, Phase.REPLY}


def is_about_recipient(reply: Reply) -> bool:
    """Say whether a refusal is certainly about the recipient alone."""
    return _OWN.fullmatch(reply.enhanced) is not None


def essence(reply: Reply) -> str:
    """Return what a reply says, without what differs from mail to mail."""
    text = _CALENDAR.sub(" ", _VARIABLE.sub(" ", reply.text.casefold()))
    return " ".join(re.findall(r"\w+", text)) or f"{reply.code} {reply.enhanced}"


@dataclass(eq=False)
class AlikeRefusals:
    """The mails of a run that were refused for good with the same reply text, one after the other.

    The threads of all its connections notify it. What was deferred, and what was refused because of its recipients,
    says nothing about the account, so it neither counts nor comes between.
    """

    limits: Limits
    numbers: list[int] = field(default_factory=list, init=False)
    """The mails of the present row."""
    error: SendError | None = field(default=None, init=False)
    """What stops the run, once there are enough of them."""
    _essence: str = field(default="", init=False)
    _domains: set[str] = field(default_factory=set, init=False)
    _is_beginning: bool = field(default=True, init=False)
    """Whether every mail so far was refused like the first."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def notify(self, outcome: Outcome, error: SendError | None, archive: Collection[str]) -> None:
        """Take note of what became of a mail; the copy for the archive is nobody whom it was for."""
        with self._lock:
            if outcome.reached:
                self._is_beginning = False
                # On several connections, a mail that went before the row may be taken after its first refusal.
                if not self.numbers or outcome.number > min(self.numbers):
                    self._begin_row()
            elif outcome.state == State.REFUSED and not _blames_recipients(error):
                self._refused(outcome, error, archive)

    def _refused(self, outcome: Outcome, error: SendError | None, archive: Collection[str]) -> None:
        replies = {
            address: reply
            for address, (state, reply) in outcome.recipients.items()
            if state == State.REFUSED and reply is not None and not is_about_recipient(reply)
        }
        replies = {address: reply for address, reply in replies.items() if address not in archive} or replies
        if not replies:
            return
        said = {essence(reply) for reply in replies.values()}
        if said != {self._essence}:
            if self.error is not None:
                return  # it stops, whatever the last ones of the other connections met
            if self.numbers or len(said) > 1:
                self._is_beginning = False
            self._begin_row()
            self._essence = said.pop() if len(said) == 1 else ""
        if not self._essence:
            return
        self.numbers.append(outcome.number)
        self._domains |= {address.rpartition("@")[2].lower() for address in replies}
        enough = self.limits.alike_at_first if self._is_beginning else self.limits.alike_in_a_row
        if self.error is None and len(self.numbers) >= enough and len(self._domains) >= _DOMAINS:
            self.error = _stopping(len(self.numbers), next(iter(replies.values())), error)

    def _begin_row(self) -> None:
        if self.error is None:
            self.numbers, self._domains, self._essence = [], set(), ""


def _blames_recipients(error: SendError | None) -> bool:
    # Mail services have no enhanced codes; what is known of their replies tells as much.
    return error is not None and error.kind is Kind.RECIPIENT and error.phase in _HTTP


def _stopping(number: int, reply: Reply, error: SendError | None) -> SendError:
    said = str(reply)
    return Refused(
        _(
            "{number} mails in a row, to different domains, were refused for good with the same "
            "reply. The reason is therefore the account, or something that these mails have in "
            "common, and the run has stopped. The server said: {reply}"
        ).format(number=number, reply=said if said.endswith((".", "!", "?", "…")) else f"{said}."),
        kind=Kind.CONFIG,
        phase=error.phase if error else "",
        reply=reply,
        hint=_(
            "Correct what the server objects to, then press Resume or call run(): these mails go back into the queue."
        ),
        field=error.field if error else None,
        guide=Guide.SENDING,
    )
