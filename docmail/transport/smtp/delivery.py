"""Hands one mail over by SMTP: step by step, or in as few round trips as the server offers.

The step at which a connection breaks decides what is true: before the last byte nothing was sent, after it the outcome
is unknown (`OutcomeUnknown`) until the reply is read.

- The first mail of a connection goes step by step, so that what is wrong is known before there is any doubt.
- With PIPELINING (RFC 2920), MAIL, RCPT and DATA of the others are one write: two round trips for a mail.
- With CHUNKING (RFC 3030) as well, where the server has shown that it takes chunks (`capabilities`), MAIL, RCPT, BDAT
  and the content are one write: one round trip. A server that refuses MAIL or BDAT then may take the content for
  commands, so the connection is closed; and never is a second mail begun before the first has its reply, so no more
  than one is in doubt. The first chunk for a server is one octet, whose reply is waited for.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING

from docmail.errors import (
    TREATMENT,
    Action,
    ConnectError,
    Guide,
    Kind,
    MessageError,
    OutcomeUnknown,
    Phase,
    Refused,
    SendError,
    listed,
)
from docmail.language import _
from docmail.net import Deadline
from docmail.transport.base import too_large
from docmail.transport.smtp.conversation import CLOSING, NoReply, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docmail.message import Mail
    from docmail.reply import Reply
    from docmail.transport.base import Access, Notify, Progress
    from docmail.transport.smtp.conversation import Conversation

_START_MAIL = 354  # RFC 5321 4.3.2: the one reply with which the body may go out
_NOT_KNOWN = {500, 501, 502, 503, 504}  # RFC 5321 4.2.4: a command that the server does not do, though it offers it
_PARAMETERS_NOT_KNOWN = {501, 504, 555}  # RFC 5321 4.1.1.11
_MAX_ENVELOPE = 100  # characters (RFC 3461 4.4)


class ChunksRefused(ConnectError):
    """The server refused the mail when it came as a chunk: it was certainly not taken, and may be sent by DATA."""


class Delivery:
    """One mail on its way over an open conversation; one of the ways is called, once.

    Each way returns the reply to the content, or raises a `SendError` if no recipient gets the mail.
    """

    def __init__(  # noqa: PLR0913 - what a delivery is about
        self,
        talk: Conversation,
        mail: Mail,
        access: Access,
        progress: Progress | None,
        notify: Notify,
        *,
        names_itself: bool = True,
    ) -> None:
        self.in_doubt = False
        self.names_itself = names_itself and "DSN" in talk.extensions
        """Whether bounces are to name the mail and its recipients as we do (RFC 3461), where the server offers it."""
        self.accepted: list[str] = []
        self.takes_chunks: bool | None = None
        """Whether the server took a chunk; false after a refusal, a stall or a break, None if there was none."""
        self._talk = talk
        self._mail = mail
        self._access = access
        self._notify = notify
        # What is stuffed is not counted: a dot more or less does not matter to a progress bar.
        self._on_sent = (lambda sent: progress(min(sent, mail.size), mail.size)) if progress else (lambda _sent: None)
        self._in_step = True  # every command has its reply, and the server waits for the next one
        talk.refused = {}

    # --- the ways ---

    def step_by_step(self, deadline: Deadline) -> Reply:
        """Wait for each reply before the next command."""
        command = self._talk.command
        self._judge_mail(command(self._mail_line(), Phase.MAIL, deadline))
        self._judge_recipients(command(line, Phase.RCPT, deadline) for line in self._rcpt_lines())
        return self._data(command("DATA", Phase.DATA, deadline))

    def pipelined(self, deadline: Deadline) -> Reply:
        """Send MAIL, RCPT and DATA in one write; DATA alone if an archive shall not get what nobody else gets."""
        with_data = not self._mail.archive
        replies = self._envelope(deadline, *(["DATA"] if with_data else []))
        return self._data(replies[-1] if with_data else self._talk.command("DATA", Phase.DATA, deadline))

    def in_one_chunk(self, deadline: Deadline, *, is_first: bool) -> Reply:
        """Send MAIL and RCPT in one write, and the content as one chunk (BDAT) once the recipients are accepted.

        If it `is_first` for the server, the first octet goes as a chunk of its own, and its reply is waited for: one
        letter is no command, should the server not know BDAT. (Postfix refuses an empty chunk.)
        """
        self._envelope(deadline)
        if is_first:
            with self._noting_chunks():
                first = next(_readable(self._mail.wire()))[:1]
                self._talk.send(b"BDAT 1\r\n" + first, Phase.DATA, deadline)
                reply = self._talk.read(Phase.DATA, deadline)
                if not reply.positive:
                    raise self._talk.unexpected(reply, "BDAT", Phase.DATA)
        return self._chunk(
            b"", lambda deadline: self._judge_content(self._reply_after_all(deadline)), sent=int(is_first)
        )

    def in_one_write(self) -> Reply:
        """Send everything in one write, the content included, and read the replies."""
        return self._chunk(joined([self._mail_line(), *self._rcpt_lines()]), self._judge_all)

    # --- the envelope ---

    def _mail_line(self) -> str:
        mail, extensions = self._mail, self._talk.extensions
        line = f"MAIL FROM:<{mail.sender}>"
        if "SIZE" in extensions:
            limit = extensions["SIZE"]
            if limit.isdecimal() and 0 < int(limit) < mail.size:
                raise too_large(mail.size, int(limit), self._talk.host, Phase.MAIL)
            line += f" SIZE={mail.size}"  # RFC 1870
        if mail.smtputf8:
            if "SMTPUTF8" not in extensions:
                raise Refused(
                    _("{host} does not accept addresses with letters such as é or ü before the @.").format(
                        host=self._talk.host
                    ),
                    kind=Kind.RECIPIENT,
                    phase=Phase.MAIL,
                    hint=_("Use an address with plain letters for this person, or another provider."),
                    guide=Guide.ADDRESSES,
                )
            line += " BODY=8BITMIME SMTPUTF8"  # RFC 6531 3.1
        envelope = _xtext(mail.message_id.strip("<>"))
        if self.names_itself and mail.message_id.isascii() and len(envelope) <= _MAX_ENVELOPE:
            line += f" RET=HDRS ENVID={envelope}"
        return line

    def _rcpt_lines(self) -> list[str]:
        return [f"RCPT TO:<{address}>{self._original(address)}" for address in self._mail.recipients]

    def _original(self, address: str) -> str:
        # NOTIFY is left out, so that the server reports what it always reports: failures, and long delays.
        return f" ORCPT=rfc822;{_xtext(address)}" if self.names_itself and address.isascii() else ""

    def is_about_names(self, error: BaseException) -> bool:
        """Return whether the server may refuse the mail only because it does not do what it offers (DSN)."""
        if not (self.names_itself and isinstance(error, SendError) and error.phase in {Phase.MAIL, Phase.RCPT}):
            return False
        return error.reply is not None and error.reply.code in _PARAMETERS_NOT_KNOWN and not self.accepted

    def _envelope(self, deadline: Deadline, *more: str) -> list[Reply]:
        """Send MAIL, RCPT and `more` in one write, and return the reply to each."""
        lines = [self._mail_line(), *self._rcpt_lines(), *more]
        self._in_step = False
        self._talk.send(joined(lines), Phase.MAIL, deadline)
        replies: list[Reply] = []
        for number in range(len(lines)):
            phase = Phase.RCPT if number else Phase.MAIL
            replies.append(self._talk.read(phase, deadline))
            if replies[-1].code == CLOSING:
                raise self._talk.refusal(replies[-1], phase)  # there is no reply to the others
        # A server that wants the content, or has taken it for read, is not where the next mail begins.
        self._in_step = not more or replies[-1].negative
        self._judge_mail(replies[0])
        self._judge_recipients(replies[1 : len(lines) - len(more)])
        return replies

    def _judge_mail(self, reply: Reply) -> None:
        if not reply.positive:
            raise self._talk.unexpected(reply, "MAIL", Phase.MAIL)
        self._access.observe(Phase.MAIL, _("sender {address} accepted").format(address=self._mail.sender))

    def _judge_recipients(self, replies: Iterable[Reply]) -> None:
        refused: dict[str, Reply] = {}
        for address, reply in zip(self._mail.recipients, replies, strict=True):
            if reply.positive:
                self.accepted.append(address)
            elif reply.code == CLOSING or not reply.negative:
                # Not about this recipient, and the others have no reply, or it is unknown which reply is whose.
                self._talk.refused = refused
                raise self._talk.unexpected(reply, "RCPT", Phase.RCPT)
            else:
                refused[address] = reply
        if not set(self.accepted) - self._mail.archive:
            raise self._all_refused(refused)
        self._keep(refused)
        said = listed(self.accepted, ", ")[:200]
        if refused:
            others = listed([f"{address} ({reply})" for address, reply in refused.items()], ", ")
            said = _("{accepted}; refused: {refused}").format(accepted=said, refused=others[:400])
        self._access.observe(Phase.RCPT, said)

    def _keep(self, refused: dict[str, Reply]) -> None:
        """Keep who is refused, and notify of it now: after the last byte it may be too late."""
        self._talk.refused = refused
        if refused:
            self._notify(refused, None)

    def _all_refused(self, refused: dict[str, Reply]) -> SendError:
        """Return the error that decides what happens next, with the reply about each recipient."""
        order = [Action.STOP, Action.REPEAT, Action.DROP]
        errors = [self._talk.refusal(reply, Phase.RCPT, {address: reply}) for address, reply in refused.items()]
        gravest = min(errors, key=lambda error: order.index(TREATMENT[error.kind].action))
        if len(errors) == 1:
            return gravest
        everybody = listed([f"{address} — {reply}" for address, reply in refused.items()])
        return type(gravest)(
            _("The server refuses every recipient: {listed}.").format(listed=everybody),
            kind=gravest.kind,
            phase=gravest.phase,
            reply=gravest.reply,
            refused=refused,
            hint=gravest.hint,
            field=gravest.field,
            guide=gravest.guide,
        )

    # --- the content ---

    def _data(self, reply: Reply) -> Reply:
        """Send the content after the reply to DATA, and return the reply to it."""
        if reply.code != _START_MAIL:
            raise self._talk.unexpected(reply, "DATA", Phase.DATA)
        connection = self._talk.connection
        try:
            connection.stream(_readable(self._mail.wire(dot_stuffed=True)), self._on_sent, self._access.waits.crawl)
            deadline = Deadline(self._access.waits.reply)
            self.in_doubt = True
            connection.send(b".\r\n", deadline)
        except OSError as exc:
            raise self._cut_short(exc) from exc
        return self._judge_content(self._reply_after_all(deadline))

    def _judge_content(self, reply: Reply) -> Reply:
        self.in_doubt = reply.positive
        self._in_step = reply.code not in _NOT_KNOWN  # otherwise a chunk was taken for commands
        if not reply.positive:
            raise self._talk.refusal(reply, Phase.DATA)
        return reply

    def _chunk(self, before: bytes, judge: Callable[[Deadline], Reply], *, sent: int = 0) -> Reply:
        """Send the content as one chunk, behind what is sent before it, and return the reply as it is judged.

        So many octets of the content have been `sent` already.
        """
        self._in_step = False
        before += f"BDAT {self._mail.size - sent} LAST\r\n".encode()
        with self._noting_chunks():
            try:
                pieces = self._in_large_writes(before, sent)
                self._talk.connection.stream(pieces, self._on_sent, self._access.waits.crawl)
            except OSError as exc:
                raise self._cut_short(exc) from exc
            reply = judge(Deadline(self._access.waits.reply))  # one for the replies to one write
        self.takes_chunks = True
        return reply

    @contextmanager
    def _noting_chunks(self) -> Iterator[None]:
        """Note what a failure in this block says about chunks."""
        try:
            yield
        except SendError as exc:
            code = exc.reply.code if exc.reply else 0
            if self._talk.connection.aborted or exc.phase != Phase.DATA or code == CLOSING:
                raise
            self.takes_chunks = False
            if not code or isinstance(exc, (ConnectError, OutcomeUnknown)):
                raise
            raise ChunksRefused(
                _("{host} offers a faster way of sending (CHUNKING) but does not support it; nothing was sent.").format(
                    host=self._talk.host
                ),
                kind=Kind.NETWORK,
                phase=Phase.DATA,
                reply=exc.reply,
                refused=self._talk.refused,
                hint=_("Send again: docmail then sends in the usual way."),
                guide=Guide.SENDING,
            ) from exc

    def _in_large_writes(self, before: bytes, sent: int) -> Iterator[memoryview]:
        """Yield all of it in large pieces, each to be sent before the next; from the last one on, it is in doubt."""
        room, size = self._talk.room, 0
        pieces = _readable(self._mail.wire())
        for piece in chain([before, next(pieces)[sent:]], pieces):
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

    def _judge_all(self, deadline: Deadline) -> Reply:
        """Read the replies to everything, and return the one to the content."""
        first = self._reply_after_all(deadline)
        self.in_doubt = first.positive
        self._judge_mail(first)
        replies: list[Reply] = []
        refused = self._talk.refused
        try:
            for address in self._mail.recipients:
                replies.append(reply := self._reply_after_all(deadline))
                if reply.code == CLOSING:
                    self.in_doubt = False
                    raise self._talk.refusal(reply, Phase.RCPT)
                if reply.negative:
                    refused[address] = reply
        except SendError:
            self._keep(refused)
            raise
        if not any(reply.positive for reply in replies):
            self.in_doubt = False  # whatever the reply, or none, to a content that goes to nobody
        self._judge_recipients(replies)
        return self._judge_content(self._reply_after_all(deadline))

    def _reply_after_all(self, deadline: Deadline) -> Reply:
        """Return the next reply after the last byte, when whatever was sent waits for a plain yes or no."""
        try:
            reply = self._talk.receive(deadline)
        except (OSError, NoReply) as exc:
            raise self._lost(exc) from exc
        if not reply.positive and not reply.negative:  # 3yz ends nothing
            raise self._lost(NoReply())
        return reply

    # --- what went wrong ---

    def _cut_short(self, failure: OSError) -> SendError:
        """Return the error for a connection that broke before the last byte, with the server's reply if it gave one."""
        self.in_doubt = False  # the system did not take the last byte, so the server never gets it
        deadline = Deadline(self._access.waits.late_reply)
        with suppress(OSError, NoReply):
            # After one write for several commands, what comes first is about those that went well.
            while (reply := self._talk.receive(deadline)).positive:
                pass
            if reply.negative:
                return self._talk.refusal(reply, Phase.DATA)
        return self._talk.broken(failure, Phase.DATA)

    def _lost(self, failure: OSError | NoReply) -> OutcomeUnknown:
        host = self._talk.host
        if isinstance(failure, TimeoutError):
            reason = _("{host} did not answer after the last byte").format(host=host)
        elif isinstance(failure, NoReply):
            reason = _("{host} answered the last byte with something that is not a reply").format(host=host)
        else:
            reason = _("the connection to {host} broke after the last byte").format(host=host)
        return OutcomeUnknown(
            _("The mail may have arrived: {reason}.").format(reason=reason),
            kind=Kind.UNKNOWN,
            phase=Phase.DATA,
            refused=self._talk.refused,
            hint=_("Ask the recipient, or look into your Sent folder, before you send it again."),
            guide=Guide.SENDING,
        )

    def recover(self, error: BaseException) -> bool:
        """Make the connection ready for the next mail, or close it where that is not certain; return which."""
        ready = False
        try:
            if self._in_step and _leaves_it_intact(error):
                ready = self._talk.reset(Deadline(self._access.waits.goodbye))
        finally:
            if not ready:
                self._talk.connection.close()
        return ready


def _xtext(text: str) -> str:
    """Return a text as a parameter holds it (RFC 3461 4)."""
    return "".join(each if "!" <= each <= "~" and each not in "+=" else f"+{ord(each):02X}" for each in text)


def _leaves_it_intact(error: BaseException) -> bool:
    """Return whether the connection may serve after this error."""
    if not isinstance(error, SendError) or isinstance(error, ConnectError):
        return isinstance(error, ChunksRefused)
    closing = error.reply is not None and error.reply.code == CLOSING
    return error.phase in {Phase.MAIL, Phase.RCPT} and not closing


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
