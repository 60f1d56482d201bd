"""Holds the failures that a rehearsal asks for: what a sandbox answers, cuts or delays, at which step, how often."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NoReturn, get_args

from docmail.errors import MessageError
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Step = Literal[
    "connect",
    "ehlo",
    "starttls",
    "handshake",
    "auth",
    "mail",
    "rcpt",
    "data",
    "chunk",
    "body",
    "end",
    "delivery",
    "http",
    "draft",
    "upload",
]
"""Where in a conversation: `data` and `chunk` are the answers to DATA and BDAT, `end` the one after the final dot.

`delivery` is what the recipient's server replies later, when the mail was taken: refused there, it comes back.
By HTTP, `http` is the request that sends a mail; `draft` makes a draft at Microsoft Graph, which a large mail is at
first, or in Gmail, and `upload` is each request for the attachments of such a large mail.
"""

Does = Literal["answer", "drop", "delay", "reset", "say", "say-and-cut", "drip", "endless"]
"""What goes wrong; from `reset` on it is what no mail server does (`docmail.sandbox.misbehaviour`)."""

_WITH_RECIPIENTS = {"rcpt", "data", "chunk", "body", "end", "delivery", "http", "draft", "upload"}
_CODE = re.compile(r"[2-5]\d\d(?=[ -]|$)")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_CODES = {"5": "550", "4": "451"}
_SAID = {
    "5.1.1": "Recipient address rejected: User unknown",
    "5.1.10": "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    "5.2.1": "The mailbox is disabled",
    "5.2.2": "The mailbox is full",
    "5.7.1": "Message rejected as spam by Content Filtering",
    "4.2.2": "The mailbox is full",
    "4.4.1": "Connection timed out",
}


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
    """Does not happen to a client with the right password, nor, from `mail` on, to the account's own address."""

    def __post_init__(self) -> None:
        if self.step not in get_args(Step):
            _refuse(
                _("“{step}” is not a step of the connection.").format(step=self.step),
                _("Choose one of {steps}.").format(steps=", ".join(get_args(Step))),
                "step",
            )
        if self.does == "answer" and self.step == "body":
            _refuse(_("A body is not answered."), _("Answer at “end”, or cut it with drop()."), "step")
        if self.does == "answer" and self.step == "handshake":
            _refuse(_("A handshake is not answered."), _("Answer at “starttls”, or cut it with drop()."), "step")
        if self.does != "answer" and self.step == "delivery":
            _refuse(_("What comes after a mail was taken is a reply."), _("Use answer() or bounce()."), "step")
        if self.does == "answer" and not _CODE.match(self.reply):
            _refuse(
                _("“{reply}” is not a server's reply.").format(reply=self.reply[:60]),
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
        """The code of the reply that is played."""
        return int(self.reply[:3])

    @property
    def is_for_good(self) -> bool:
        """Whether the reply is one for good (5yz), and not for now."""
        return self.code >= 500  # noqa: PLR2004 - RFC 5321 4.2.1

    @property
    def status(self) -> str:
        """The enhanced status code of the reply (RFC 3463), or the plainest of its class."""
        found = _STATUS.match(self.reply[4:])
        return found[0] if found else f"{self.reply[0]}.0.0"

    @property
    def takes_mail(self) -> bool:
        """Whether the server has the mail all the same: the answer is positive, or the cut comes too late."""
        return self.code < 300 if self.does == "answer" else self.keep  # noqa: PLR2004 - RFC 5321 4.2.1

    def applies_to(self, step: str, recipients: Sequence[str], *, right: bool) -> bool:
        """Whether it is meant for this step of a mail to these recipients; `right` as in `Failures.next`."""
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


def bounced(recipient: str, status: str, text: str | None, times: int | None) -> Failure:
    """Return the failure of a mail that is taken and comes back with this status (RFC 3463)."""
    if not _STATUS.fullmatch(status) or status[0] == "2":
        _refuse(
            _("“{status}” is not a status of mail that came back.").format(status=status[:60]),
            _('Use one such as "5.1.1" (no such mailbox) or "4.4.1" (later).'),
            "status",
        )
    said = text or _SAID.get(status) or ("Not delivered" if status[0] == "5" else "Not delivered yet")
    code = _CODES.get(status[0], "")
    return Failure("delivery", "answer", f"{code} {status} <{recipient}>: {said}", recipient=recipient, times=times)


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
        """Forget every failure that was programmed."""
        with self._lock:
            self._waiting.clear()

    def delay(self, step: Step, recipients: Sequence[str] = (), *, right: bool = False) -> float:
        """Return the seconds to wait at this step."""
        failure = self._take(step, recipients, {"delay"}, right=right)
        return failure.seconds if failure else 0.0

    async def meet(self, step: Step, recipients: Sequence[str] = (), *, right: bool = False) -> Failure | None:
        """Wait if that is programmed, and return what `next` does."""
        if seconds := self.delay(step, recipients, right=right):
            await asyncio.sleep(seconds)
        return self.next(step, recipients, right=right)

    def next(self, step: Step, recipients: Sequence[str] = (), *, right: bool = False) -> Failure | None:
        """Return what is to be answered, cut or played at this step, if anything.

        `right` says that the client has the right password, or the right address.
        """
        if failure := self._take(step, recipients, set(get_args(Does)) - {"delay"}, right=right):
            return failure
        # Whose mail is to come back is not refused at once.
        if step != "rcpt" or not recipients or self._waits_for(recipients[0]):
            return None
        return _built_in(recipients[0])

    def _waits_for(self, recipient: str) -> bool:
        with self._lock:
            return any(
                failure.recipient is not None and failure.applies_to("delivery", [recipient], right=False)
                for failure in self._waiting
            )

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
