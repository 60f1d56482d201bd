"""Holds the failures that a rehearsal asks for: what a sandbox answers, cuts or delays, at which step, how often."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NoReturn, get_args

from docmail.errors import MessageError
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Step = Literal["connect", "ehlo", "starttls", "handshake", "auth", "mail", "rcpt", "data", "body", "end", "http"]
"""Where in a conversation: `data` is the answer to the command, `end` the one after the final dot."""

Does = Literal["answer", "drop", "delay", "reset", "say", "say-and-cut", "drip", "endless"]
"""What goes wrong; from `reset` on it is what no mail server does (`docmail.sandbox.misbehaviour`)."""

_WITH_RECIPIENTS = {"rcpt", "data", "body", "end", "http"}
_CODE = re.compile(r"[2-5]\d\d(?=[ -]|$)")


@dataclass(frozen=True)
class Failure:
    """One thing that goes wrong."""

    step: Step
    does: Does
    reply: str = ""
    seconds: float = 0.0
    after: int = 0
    keep: bool = True
    recipient: str | None = None
    times: int | None = None
    mendable: bool = False
    """Does not happen to whoever has the right password, and from the mail on, to the account's own address."""

    def __post_init__(self) -> None:
        if self.step not in get_args(Step):
            _refuse(
                _("“{step}” is no step of a conversation.").format(step=self.step),
                _("Choose one of {steps}.").format(steps=", ".join(get_args(Step))),
                "step",
            )
        if self.does == "answer" and self.step == "body":
            _refuse(_("A body is not answered."), _("Answer at “end”, or cut it with drop()."), "step")
        if self.does == "answer" and self.step == "handshake":
            _refuse(_("A handshake is not answered."), _("Answer at “starttls”, or cut it with drop()."), "step")
        if self.does == "answer" and not _CODE.match(self.reply):
            _refuse(
                _("“{reply}” is no reply of a server.").format(reply=self.reply[:60]),
                _('Begin with a code, as in "550 5.1.1 No such mailbox".'),
                "reply",
            )
        if self.recipient is not None and self.step not in _WITH_RECIPIENTS:
            _refuse(
                _("At the step “{step}” no recipient is known.").format(step=self.step),
                _("Leave `recipient` out, or choose “rcpt”."),
                "recipient",
            )

    @property
    def lines(self) -> list[str]:
        """The reply as it goes over the wire; every line begins with the code (RFC 5321 4.2.1)."""
        return reply_lines(self.reply)

    @property
    def code(self) -> int:
        """The reply's code."""
        return int(self.reply[:3])

    def applies_to(self, step: str, recipients: Sequence[str], *, right: bool) -> bool:
        """Whether it is meant for this step of a mail to these recipients, from somebody who does it right or not."""
        if self.step != step or (self.mendable and right):
            return False
        return self.recipient is None or self.recipient.casefold() in (address.casefold() for address in recipients)


def reply_lines(reply: str) -> list[str]:
    """Return the lines of an SMTP reply, each with its code."""
    code = reply[:3]
    texts = [
        line[4:] if line[:3] == code and line[3:4] in {" ", "-", ""} else line.strip() for line in reply.splitlines()
    ]
    return [f"{code}-{text}" for text in texts[:-1]] + [f"{code} {texts[-1]}".rstrip()]


def _refuse(message: str, hint: str, field: str) -> NoReturn:
    raise MessageError(message, hint=hint, field=field)


class Failures:
    """What is still to go wrong; those for a number of times come first, in their order, then the lasting ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Failure] = []

    def add(self, failure: Failure) -> None:
        """Let this happen from now on; a lasting one takes the place of the lasting one before it."""
        with self._lock:
            if failure.times is None:
                self._waiting = [known for known in self._waiting if not _replaces(failure, known)]
            self._waiting.append(failure)

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._waiting.clear()

    def delay(self, step: Step, recipients: Sequence[str] = (), *, right: bool = False) -> float:
        """Return the seconds to wait at this step."""
        failure = self._take(step, recipients, {"delay"}, right=right)
        return failure.seconds if failure else 0.0

    def next(self, step: Step, recipients: Sequence[str] = (), *, right: bool = False) -> Failure | None:
        """Return what is to be answered, cut or played at this step, if anything.

        `right` says that whoever is there has the right password, or the right address.
        """
        if failure := self._take(step, recipients, set(get_args(Does)) - {"delay"}, right=right):
            return failure
        return _built_in(recipients[0]) if step == "rcpt" and recipients else None

    def _take(self, step: Step, recipients: Sequence[str], does: Iterable[str], *, right: bool) -> Failure | None:
        with self._lock:
            matching = [
                failure
                for failure in self._waiting
                if failure.does in does and failure.applies_to(step, recipients, right=right) and failure.times != 0
            ]
            if not matching:
                return None
            # The more special goes first; min() keeps the order otherwise.
            found = min(matching, key=lambda failure: (failure.recipient is None, failure.times is None))
            if found.times is not None:
                place = next(number for number, known in enumerate(self._waiting) if known is found)
                if found.times > 1:
                    self._waiting[place] = replace(found, times=found.times - 1)
                else:
                    del self._waiting[place]
            return found


def _replaces(new: Failure, old: Failure) -> bool:
    return old.times is None and (old.step, old.recipient, old.does == "delay") == (
        new.step,
        new.recipient,
        new.does == "delay",
    )


def _built_in(recipient: str) -> Failure | None:
    """Refuse nobody@… and defer later@… at any domain, so that both can be tried without programming anything."""
    local = recipient.rpartition("@")[0].casefold()
    if local == "nobody":
        return Failure("rcpt", "answer", f"550 5.1.1 <{recipient}> No such mailbox here")
    if local == "later":
        return Failure("rcpt", "answer", f"451 4.2.1 <{recipient}> Mailbox busy, try again later")
    return None
