"""Hands mail over by SMTP: step by step, or in as few round trips as the server offers.

The step at which a connection breaks decides what is true: before the last byte nothing was sent, after it nobody knows
(`OutcomeUnknown`) until the reply is read.

- The first mail of a connection goes step by step, so that what is wrong is known before there is any doubt.
- With PIPELINING (RFC 2920), MAIL, RCPT and DATA of the others are one write: two round trips for a mail.
- With CHUNKING (RFC 3030) as well, MAIL, RCPT, BDAT and the content are one write: one round trip. A server that
  refuses MAIL or BDAT then may take the content for commands, so the connection is closed; and never is a second mail
  begun before the first is answered, so no more than one is in doubt.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from docmail.errors import TREATMENT, Action, ConnectError, Kind, MessageError, OutcomeUnknown, Refused, SendError
from docmail.language import _
from docmail.net import Deadline
from docmail.transport.base import Notify, SendResult, nobody_listens
from docmail.transport.smtp.conversation import CLOSING, Conversation, NoReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docmail.message import Mail
    from docmail.reply import Reply

_QUIT_SECONDS = 2.0
_LAST_WORDS_SECONDS = 2.0
_FRESH_SECONDS = 5.0  # servers hang up on those who say nothing, the busiest ones after ten seconds
_ONE_WRITE = 262_144  # octets of a mail that are put together first: fewer, larger writes take less time

_START_MAIL = 354  # RFC 5321 4.3.2: the one reply with which the body may go out
_NOT_KNOWN = {500, 501, 502, 503, 504}  # RFC 5321 4.2.4: a command that the server does not do, though it offers it


class Sending:
    """The part of an SMTP transport that sends; it is given a conversation that is open and signed in."""

    _talk: Conversation
    _host: str
    _timeout: float
    _reply_timeout: float
    _seconds_left: float
    _observe: Callable[[str, str], None]
    in_doubt = False
    _mails = 0  # over this connection
    _last_reply = 0.0
    _in_step = True  # every command has its reply, and the server waits for the next one
    _chunking = True  # the server takes BDAT, if it offers it

    def __init__(self) -> None:
        self.notify: Notify = nobody_listens
        self._refused: dict[str, Reply] = {}  # who of the mail under way is refused, whatever becomes of the others

    @cached_property
    def _room(self) -> memoryview:
        """Where a write is put together; for each mail anew, getting the memory would take longer than filling it."""
        return memoryview(bytearray(_ONE_WRITE))

    def send(self, mail: Mail, progress: Callable[[int, int], None] | None = None) -> SendResult:
        """Hand one mail over, step by step."""
        # The first mail shares the deadline of the connection that was opened for it.
        deadline, self._seconds_left = Deadline(self._seconds_left), self._timeout
        self.in_doubt = False
        self._in_step = True
        self._refused = {}
        try:
            if self._mails and self._offers("PIPELINING"):
                accepted, refused, reply = self._quickly(mail, deadline, progress)
            else:
                self._mail(mail, deadline)
                accepted, refused = self._recipients(mail, deadline)
                self._data(deadline)
                self._body(mail, progress)
                reply = self._end()
        except BaseException as exc:
            if isinstance(exc, SendError):
                exc.refused = self._refused | exc.refused
            self._recover(exc)
            raise
        self._mails += 1
        self._last_reply = time.monotonic()
        self._observe("data", _("taken: {reply}").format(reply=reply))
        return SendResult(mail.message_id, tuple(accepted), refused, reply)

    def _offers(self, extension: str) -> bool:
        return extension in self._talk.extensions

    # --- step by step ---

    def _mail(self, mail: Mail, deadline: Deadline) -> None:
        self._judge_mail(self._talk.say(self._mail_line(mail), "mail", deadline), mail)

    def _mail_line(self, mail: Mail) -> str:
        line = f"MAIL FROM:<{mail.sender}>"
        if "SIZE" in self._talk.extensions:
            self._check_size(mail)
            line += f" SIZE={mail.size}"  # RFC 1870
        if mail.smtputf8:
            if "SMTPUTF8" not in self._talk.extensions:
                raise Refused(
                    _("{host} does not take addresses with letters beyond ASCII before the @.").format(host=self._host),
                    kind=Kind.RECIPIENT,
                    phase="mail",
                    hint=_("Use an address of plain letters for this person, or another provider."),
                    guide="Addresses",
                )
            line += " BODY=8BITMIME SMTPUTF8"  # RFC 6531 3.1
        return line

    def _judge_mail(self, reply: Reply, mail: Mail) -> None:
        if not reply.positive:
            raise self._negative(reply, "MAIL", "mail")
        self._observe("mail", _("sender {address} accepted").format(address=mail.sender))

    def _negative(self, reply: Reply, command: str, phase: str) -> SendError:
        """Return the error for a reply that does not let the mail go on, before any of its content has gone."""
        if reply.code < 400:  # noqa: PLR2004 - RFC 5321 4.2.1: no refusal
            return self._talk.out_of_place(reply, command, phase)
        return self._talk.refusal(reply, phase)

    def _check_size(self, mail: Mail) -> None:
        limit = self._talk.extensions["SIZE"]
        if limit.isdecimal() and 0 < int(limit) < mail.size:
            raise Refused(
                _("The mail has {size:.1f} MB, and {host} takes at most {limit:.1f} MB.").format(
                    size=mail.size / 1e6, host=self._host, limit=int(limit) / 1e6
                ),
                kind=Kind.MESSAGE,
                phase="mail",
                hint=_("Send a smaller document; in an email it grows by about 37 %."),
                guide="Sending",
            )

    def _recipients(self, mail: Mail, deadline: Deadline) -> tuple[list[str], dict[str, Reply]]:
        return self._judge_recipients(
            mail, (self._talk.say(f"RCPT TO:<{address}>", "rcpt", deadline) for address in mail.recipients)
        )

    def _judge_recipients(self, mail: Mail, replies: Iterable[Reply]) -> tuple[list[str], dict[str, Reply]]:
        accepted: list[str] = []
        refused: dict[str, Reply] = {}
        for address, reply in zip(mail.recipients, replies, strict=True):
            if reply.positive:
                accepted.append(address)
            elif reply.code == CLOSING or reply.code < 400:  # noqa: PLR2004 - RFC 5321 4.2.1: no refusal
                # Not about this recipient, and nobody hears the others, or which reply is whose.
                self._refused = refused
                raise self._negative(reply, "RCPT", "rcpt")
            else:
                refused[address] = reply
        if not set(accepted) - mail.archive:
            errors = [self._talk.refusal(reply, "rcpt", {address: reply}) for address, reply in refused.items()]
            raise _gravest(errors, refused)
        self._keep(refused)
        turned_away = [f"{address} ({reply})" for address, reply in refused.items()]
        listed = ", ".join(accepted)[:200]
        if turned_away:
            listed = _("{accepted}; refused: {refused}").format(accepted=listed, refused=", ".join(turned_away)[:400])
        self._observe("rcpt", listed)
        return accepted, refused

    def _keep(self, refused: dict[str, Reply]) -> None:
        """Keep who is refused, and say so now: after the last byte it may be too late."""
        self._refused = refused
        if refused:
            self.notify(refused, None)

    def _data(self, deadline: Deadline) -> None:
        reply = self._talk.say("DATA", "data", deadline)
        if reply.code != _START_MAIL:
            raise self._negative(reply, "DATA", "data")

    def _body(self, mail: Mail, progress: Callable[[int, int], None] | None) -> None:
        # What is stuffed is not counted: a dot more or less does not matter to a progress bar.
        on_sent = (lambda sent: progress(min(sent, mail.size), mail.size)) if progress else (lambda _sent: None)
        try:
            self._talk.connection.stream(_readable(mail.wire(dot_stuffed=True)), on_sent)
        except OSError as exc:
            raise self._cut_short(exc) from exc

    def _end(self) -> Reply:
        deadline = Deadline(self._reply_timeout)
        self.in_doubt = True
        try:
            self._talk.connection.send(b".\r\n", deadline)
        except OSError as exc:
            self.in_doubt = False  # the system did not take the dot, so the server never gets it
            raise self._cut_short(exc) from exc
        try:
            reply = self._talk.receive(deadline)
        except (OSError, NoReply) as exc:
            raise self._lost(exc) from exc
        return self._judge_end(reply)

    def _judge_end(self, reply: Reply) -> Reply:
        if reply.code < 400 and not reply.positive:  # noqa: PLR2004 - RFC 5321 4.2.1: 3yz ends nothing
            raise self._lost(NoReply())
        self.in_doubt = reply.positive
        if not reply.positive:
            raise self._talk.refusal(reply, "data")
        return reply

    # --- in few round trips ---

    def _quickly(
        self, mail: Mail, deadline: Deadline, progress: Callable[[int, int], None] | None
    ) -> tuple[list[str], dict[str, Reply], Reply]:
        chunking = self._chunking and self._offers("CHUNKING")
        lines = [self._mail_line(mail), *(f"RCPT TO:<{address}>" for address in mail.recipients)]
        # On a connection that may be gone by now, one write of everything would make a doubt of what is none. And an
        # archive alone shall not get what nobody else gets, so its mail waits for the recipients' replies.
        fresh = time.monotonic() - self._last_reply < _FRESH_SECONDS and not self._talk.connection.has_news()
        if chunking and fresh and not mail.archive:
            return self._at_once(mail, lines, progress)
        with_data = not chunking and not mail.archive
        replies = self._say_all([*lines, "DATA"] if with_data else lines, deadline)
        # A server that wants the content, or has taken it for read, is not where the next mail begins.
        self._in_step = not with_data or replies[-1].code >= 400  # noqa: PLR2004 - RFC 5321 4.2.1: a refusal
        self._judge_mail(replies[0], mail)
        accepted, refused = self._judge_recipients(mail, replies[1 : len(lines)])
        if chunking:
            return accepted, refused, self._chunk(mail, b"", progress, lambda: self._judge_end(self._reply_to_all()))
        if not with_data:
            self._data(deadline)
        elif replies[-1].code != _START_MAIL:
            raise self._negative(replies[-1], "DATA", "data")
        self._body(mail, progress)
        return accepted, refused, self._end()

    def _say_all(self, lines: list[str], deadline: Deadline) -> list[Reply]:
        """Say several lines in one write, and return the reply to each."""
        self._in_step = False
        self._talk.tell(_joined(lines), "mail", deadline)
        replies: list[Reply] = []
        for number in range(len(lines)):
            phase = "rcpt" if number else "mail"
            replies.append(self._talk.read(phase, deadline))
            if replies[-1].code == CLOSING:
                raise self._talk.refusal(replies[-1], phase)  # nobody answers the others
        return replies

    def _at_once(
        self, mail: Mail, lines: list[str], progress: Callable[[int, int], None] | None
    ) -> tuple[list[str], dict[str, Reply], Reply]:
        """Say everything in one write, the content included, and read the replies."""
        found: list[tuple[list[str], dict[str, Reply]]] = []

        def judge() -> Reply:
            first = self._reply_to_all()
            if not first.positive:
                self.in_doubt = False
            self._judge_mail(first, mail)
            replies: list[Reply] = []
            try:
                for _address in mail.recipients:
                    replies.append(self._reply_to_all())
                    if replies[-1].code == CLOSING:
                        self.in_doubt = False
                        raise self._talk.refusal(replies[-1], "rcpt")
            except SendError:
                heard = zip(mail.recipients, replies, strict=False)
                self._keep({address: said for address, said in heard if not said.positive and said.code != CLOSING})
                raise
            if not any(reply.positive for reply in replies):
                self.in_doubt = False  # whatever is said, or not said, of a content that goes to nobody
            found.append(self._judge_recipients(mail, replies))
            return self._judge_end(self._reply_to_all())

        reply = self._chunk(mail, _joined(lines), progress, judge)
        return *found[0], reply

    def _chunk(
        self, mail: Mail, before: bytes, progress: Callable[[int, int], None] | None, judge: Callable[[], Reply]
    ) -> Reply:
        """Send the content as one chunk, behind what is said before it, and return the reply as it is judged."""
        self._in_step = False
        on_sent = (lambda sent: progress(min(sent, mail.size), mail.size)) if progress else (lambda _sent: None)
        before += f"BDAT {mail.size} LAST\r\n".encode()
        try:
            self._talk.connection.stream(self._with_doubt(before, _readable(mail.wire())), on_sent)
        except OSError as exc:
            self.in_doubt = False  # the system did not take the last byte, so the server never gets it
            raise self._cut_short(exc) from exc
        try:
            reply = judge()
        except SendError as exc:
            if exc.phase == "data" and exc.reply is not None and exc.reply.code in _NOT_KNOWN:
                raise self._without_chunks() from exc
            raise
        self._in_step = True
        return reply

    def _with_doubt(self, before: bytes, pieces: Iterable[bytes]) -> Iterator[memoryview]:
        """Yield all of it in large pieces, each to be sent before the next; from the last one on, it is in doubt."""
        room, size = self._room, 0
        for piece in chain([before], pieces):
            left = memoryview(piece)
            while left:
                if size == len(room):
                    yield room
                    size = 0
                part = left[: len(room) - size]
                room[size : size + len(part)] = part
                size += len(part)
                left = left[len(part) :]
        self.in_doubt = True
        yield room[:size]

    def _reply_to_all(self) -> Reply:
        """Return the next reply after the last byte, when every command waits for a plain yes or no."""
        try:
            reply = self._talk.receive(Deadline(self._reply_timeout))
        except (OSError, NoReply) as exc:
            raise self._lost(exc) from exc
        if reply.code < 400 and not reply.positive:  # noqa: PLR2004 - RFC 5321 4.2.1: 3yz ends nothing
            raise self._lost(NoReply())
        return reply

    def _without_chunks(self) -> ConnectError:
        """Return the error for a server that does not do what it offers; another connection goes without it."""
        self._chunking = False
        return ConnectError(
            _("{host} offers a quicker way of sending (CHUNKING) that it does not know; nothing was sent.").format(
                host=self._host
            ),
            kind=Kind.NETWORK,
            phase="data",
            hint=_("Send again: docmail then takes the usual way."),
            guide="Sending",
        )

    # --- what went wrong ---

    def _cut_short(self, failure: OSError) -> SendError:
        """Return the error for a connection that broke before the last byte, in the server's words if it gave any."""
        deadline = Deadline(_LAST_WORDS_SECONDS)
        with suppress(OSError, NoReply):
            # After one write for several commands, what comes first is about those that went well.
            while (reply := self._talk.receive(deadline)).positive:
                pass
            if reply.code >= 400:  # noqa: PLR2004 - RFC 5321 4.2.1: a refusal
                return self._talk.refusal(reply, "data")
        return self._talk.broken(failure, "data")

    def _lost(self, failure: OSError | NoReply) -> OutcomeUnknown:
        if isinstance(failure, TimeoutError):
            reason = _("{host} did not answer after the last byte").format(host=self._host)
        elif isinstance(failure, NoReply):
            reason = _("{host} answered the last byte with something that is no reply").format(host=self._host)
        else:
            reason = _("the connection to {host} broke after the last byte").format(host=self._host)
        return OutcomeUnknown(
            _("The mail may have arrived: {reason}.").format(reason=reason),
            kind=Kind.UNKNOWN,
            phase="data",
            hint=_("Ask the recipient, or look into your Sent folder, before you send it again."),
            guide="Sending",
        )

    def _say_goodbye(self) -> None:
        # What happens to a good-bye changes nothing about what was sent.
        with suppress(SendError):
            self._talk.say("QUIT", "data", Deadline(_QUIT_SECONDS))

    def _recover(self, error: BaseException) -> None:
        """Make the connection ready for the next mail, or close it where that is not certain."""
        intact = (
            isinstance(error, SendError) and not isinstance(error, ConnectError) and error.phase in {"mail", "rcpt"}
        )
        reply = error.reply if isinstance(error, SendError) else None
        closing = reply is not None and reply.code == CLOSING
        ready = False
        try:
            if intact and self._in_step and not closing:
                with suppress(SendError):
                    ready = self._talk.say("RSET", "mail", Deadline(_QUIT_SECONDS)).positive
        finally:
            if not ready:
                self._talk.connection.close()


def _readable(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces; a file that cannot be read is no broken connection."""
    try:
        yield from pieces
    except OSError as exc:
        raise MessageError(
            _("A document cannot be read any more ({reason}); the mail was not finished.").format(
                reason=exc.strerror or type(exc).__name__
            ),
            hint=_("Make the document again and send it."),
        ) from exc


def _gravest(errors: list[SendError], refused: dict[str, Reply]) -> SendError:
    """Return the error that decides what happens next, with every recipient's reply."""
    order = [Action.STOP, Action.REPEAT, Action.DROP]
    first = min(errors, key=lambda error: order.index(TREATMENT[error.kind].action))
    if len(errors) > 1:
        listed = "; ".join(f"{address} — {reply}" for address, reply in refused.items())
        first = type(first)(
            _("The server refuses every recipient: {listed}.").format(listed=listed),
            kind=first.kind,
            phase=first.phase,
            reply=first.reply,
            hint=first.hint,
            field=first.field,
            guide=first.guide,
        )
    first.refused = refused
    return first


def _joined(lines: Iterable[str]) -> bytes:
    """Return lines as they go over the wire, together."""
    # Addresses are clean since Message; this is the last border before the wire.
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError(lines)
    return "".join(f"{line}\r\n" for line in lines).encode()
