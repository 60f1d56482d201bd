"""What every way of sending has in common: what a transport is given, what it does, and what it returns.

A transport is opened once, sends any number of mails one after the other, and is closed. It never repeats anything.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from docmail.errors import Guide, Kind, Refused
from docmail.language import _
from docmail.text import size_and_limit
from docmail.transport.capabilities import OF_THIS_PROCESS, Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from docmail.message import Mail
    from docmail.net import Connection
    from docmail.reply import Reply
    from docmail.secret import Secret
    from docmail.settings import Settings

__all__ = ["Access", "Notify", "Progress", "SendResult", "TokenSource", "Transport", "Waits"]

Notify: TypeAlias = "Callable[[Mapping[str, Reply], Kind | None], None]"
"""Notified of recipients whose outcome is certain: the reply about each, and the kind of failure, if known."""

Observe: TypeAlias = "Callable[[str, str], None]"
"""Notified of each phase that went well, and of what was found in it."""

Progress: TypeAlias = "Callable[[int, int], None]"
"""Notified while a mail is sent: of the bytes sent so far, and of all."""


@dataclass(frozen=True)
class SendResult:
    """What became of one mail that the server took.

    `message_id` is the mail's, `reply` what the server said last. `accepted` are the recipients it will deliver to,
    `refused` the others, each with the server's reply. `kinds` says what sort of failure a refusal is where the reply's
    code does not: `UNKNOWN` for a recipient whose mail may have arrived, `NETWORK` for one to whom nothing was sent;
    the reply then has no code, and its text says why. `repeated` says that nothing was sent now, because the mail with
    this key had been sent before; `note` is a sentence about such a repetition, or about a copy that could not be filed
    yet. `bounced` are those from whom the mail came back since, each with the status and why.

    >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3")
    >>> result.accepted, result.refused, result.repeated
    (('cfo@example.com',), {}, False)
    """

    message_id: str
    accepted: tuple[str, ...]
    refused: dict[str, Reply] = field(default_factory=dict)
    reply: Reply | None = None
    repeated: bool = False
    note: str = ""
    kinds: dict[str, Kind] = field(default_factory=dict, repr=False, compare=False)
    bounced: dict[str, Reply] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long a transport waits for a reply once the envelope has gone, in seconds."""

    reply: float = 600.0
    """For the one after the last byte; RFC 5321 4.5.3.2.6: less makes doubts of our own."""
    goodbye: float = 2.0
    """For the one to QUIT and RSET."""
    late_reply: float = 2.0
    """For the one of a server that hung up before it had everything."""
    crawl: tuple[int, float] = (480_000, 30.0)
    """The bytes of a mail that go out in so many seconds at least (16 kB/s); a slower one fails as not sent."""
    idle: float = 5.0
    """After it, a connection may be gone: servers hang up on silent clients, the busiest ones after ten seconds."""


def ignore_outcome(_replies: Mapping[str, Reply], _kind: Kind | None) -> None:
    """Be notified, and do nothing."""


def ignore_phase(_phase: str, _text: str) -> None:
    """Be notified, and do nothing."""


@dataclass(frozen=True)
class Access:
    """What a transport is given: the account, what lets it in there, and how long it waits (in seconds)."""

    settings: Settings
    secret: Secret | None = None
    _: KW_ONLY
    tokens: TokenSource | None = None
    timeout: float = 60.0
    """From the look-up of the server's name to its reply to the last recipient, as one deadline."""
    waits: Waits = Waits()
    observe: Observe = ignore_phase
    capabilities: Capabilities = OF_THIS_PROCESS


def too_large(size: int, limit: int, host: str, phase: str) -> Refused:
    """Return the error for a mail with more than the `limit` of bytes that a server takes."""
    shown, most = size_and_limit(size, limit)
    return Refused(
        _("The mail is {size} large, and {host} accepts at most {limit}.").format(size=shown, host=host, limit=most),
        kind=Kind.MESSAGE,
        phase=phase,
        hint=_("Send a smaller document; in an email it grows by about 37 %."),
        guide=Guide.SENDING,
    )


class Transport(Protocol):
    """One way to a server, through which mail is sent; `with` opens and closes it."""

    @property
    def in_doubt(self) -> bool:
        """Whether the mail that was sent last may have been taken, as long as its outcome is not known.

        True from just before its last byte until it is known that it was not taken, or until the next mail begins: an
        interrupt in between leaves a mail that must not count as unsent.
        """

    @property
    def is_open(self) -> bool:
        """Whether the next mail can be sent without `open()`."""

    def open(self) -> None:
        """Connect, encrypt and sign in; raises a `SendError` with the phase that failed."""

    def send(self, mail: Mail, progress: Progress | None = None, notify: Notify = ignore_outcome) -> SendResult:
        """Hand one mail over; raises a `SendError` if no recipient gets it, `OutcomeUnknown` if that is unknown.

        `notify` is called as soon as the outcome for some recipients is certain while others are still under way:
        refused beside others that are accepted (before the last byte, where the server says it before), or taken by a
        request of their own. Whatever happens to the rest of the mail, also to this process, does not change it.
        """

    def close(self) -> None:
        """Say good-bye; never raises, never changes the outcome of what was sent."""

    def abort(self) -> None:
        """Abort from another thread: whatever waits for the server fails at once."""

    def another(self) -> Transport | None:
        """Return a further transport for the same account, not yet open; None where one is as fast as several."""
        return None

    def connection_to(self, port: int) -> Connection:
        """Return a connection to a port of the same server, not yet open; `abort()` ends it as well.

        Raises `TypeError` where a URL names the port.
        """
        raise TypeError(port)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.close()


class TokenSource(Protocol):
    """Where a transport gets the token that lets it in, where that is no password (`docmail.oauth.Tokens`)."""

    @property
    def for_application(self) -> bool:
        """Whether an application signs in for itself."""

    def current(self) -> Secret:
        """Return a token that lets one in now."""

    def renewed(self) -> Secret:
        """Return a new one, once the server has refused that."""
