"""What every way of sending has in common: three methods and a result.

A transport is opened once, sends any number of mails one after the other, and is closed. It never repeats anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from docmail.errors import Kind
    from docmail.message import Mail
    from docmail.reply import Reply
    from docmail.secret import Secret

__all__ = ["LOST", "UNSENT", "Notify", "SendResult", "TokenSource", "Transport"]

LOST, UNSENT = 0, -1
"""The codes in `refused` where no server refused: the mail may have arrived; it is certain that it was not sent."""

Notify: TypeAlias = "Callable[[Mapping[str, Reply], Kind | None], None]"
"""Notified of recipients of whom it is certain what became: the reply to each, and the kind of failure, if known."""

REPLY_SECONDS = 600.0
"""RFC 5321 4.5.3.2.6: how long the reply after the last byte may take, or we create doubts of our own."""


@dataclass(frozen=True)
class SendResult:
    """What became of one mail that the server took.

    `accepted` are the recipients it will deliver to, `refused` the others with its reply (or `LOST` or `UNSENT` and a
    sentence). `repeated` says that nothing was sent now, because the mail with this key had been sent before; `note` is
    a sentence about such a repetition. `kinds` says what sort of failure a refusal is, where its code does not.
    """

    message_id: str
    accepted: tuple[str, ...]
    refused: dict[str, Reply] = field(default_factory=dict)
    reply: Reply | None = None
    repeated: bool = False
    note: str = ""
    kinds: dict[str, Kind] = field(default_factory=dict, repr=False, compare=False)


def nobody_listens(_replies: Mapping[str, Reply], _kind: Kind | None) -> None:
    """Be notified, and do nothing."""


class Transport(Protocol):
    """One connection through which mail is sent.

    `in_doubt` is true from just before the last byte of a mail until it is known that the mail was not taken, or until
    the next one begins: whoever is interrupted in between must not take the mail for unsent.

    `notify` is called as soon as it is certain what became of some recipients while others are still under way: refused
    beside others that are accepted (before the last byte, where the server says it before), or taken by a post of their
    own. Whatever happens to the rest of the mail, also to this process, does not change it.
    """

    in_doubt: bool
    notify: Notify

    def open(self) -> None:
        """Connect, encrypt and sign in; raise a `SendError` with the phase that failed."""

    def send(self, mail: Mail, progress: Callable[[int, int], None] | None = None) -> SendResult:
        """Hand one mail over; raise a `SendError` if no recipient gets it, `OutcomeUnknown` if nobody knows."""

    def close(self) -> None:
        """Say good-bye; never raises, never changes the verdict on what was sent."""

    def abort(self) -> None:
        """Break off from another thread: whatever is waiting fails at once."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class TokenSource(Protocol):
    """Where a transport gets the token that lets it in, where that is no password (`docmail.oauth.Tokens`)."""

    @property
    def for_application(self) -> bool:
        """Whether an application signs in for itself."""

    def current(self) -> Secret:
        """Return a token that lets one in now."""

    def renewed(self) -> Secret:
        """Return a new one, once the server has refused that."""
