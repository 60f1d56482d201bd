"""Writes each mail down before it goes out, and remembers what became of it.

A row is committed as `sending`, durably, before the first byte leaves. Rows whose process is gone were in the middle of
something: they become `unknown`, and a person decides. So killing the kernel at any line loses nothing and sends
nothing twice.

    queued ─▶ sending ─┬▶ sent       the server took it, for at least one recipient
                       ├▶ refused    the server turned it away for good
                       ├▶ failed     nothing was sent: no connection, wrong password, not now
                       └▶ unknown    it may have arrived: resolve(id, "sent" | "resend")
"""

from __future__ import annotations

import warnings
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from docmail import home as homes
from docmail import owners
from docmail.causes import cause
from docmail.errors import (
    TREATMENT,
    Action,
    DocmailError,
    Kind,
    MessageError,
    OutcomeUnknown,
    SendError,
)
from docmail.message import Message
from docmail.rows import Row
from docmail.settings import Settings, usable
from docmail.spool import sha256_of
from docmail.store import KeyTakenError, Store, body_digest
from docmail.translation import _
from docmail.transport import SendResult, Transport, open_transport
from docmail.transport.base import LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docmail.addresses import Address
    from docmail.replies import Reply

    Progress = Callable[[int, int], None]
    Hold = Callable[[Transport], None]
    Addresses = str | Address | Iterable[str | Address]

__all__ = ["Outbox", "Row", "deliver", "send"]

_NOBODY_GOT_IT = {"failed", "refused"}

CONTENT_DAYS = 30
"""How long the text and the attachments of settled mails are kept; the record stays."""


def send(  # noqa: PLR0913 - the header fields of a mail
    documents: Any,
    *,
    to: Addresses,
    subject: str,
    body: str = "",
    cc: Addresses = (),
    bcc: Addresses = (),
    reply_to: Addresses | None = None,
    settings: Settings | None = None,
    key: str | None = None,
    resend: bool = False,
    timeout: float = 60,
) -> SendResult:
    """Email one or more documents now: one attempt, written down before and after.

    `documents` is anything `Document.of` takes, or a list of it; `to`, `cc`, `bcc` a text with addresses separated by
    `;` or `,`, or a list of addresses; `body` Markdown. With a `key`, the same call sends once: run again, it returns
    the recorded result with `repeated=True`; `resend=True` sends again on purpose. `timeout` (seconds) covers
    everything up to the server's answer to the last recipient.

    Returns the recipients that were accepted and those that were refused (which also warns). Raises `SettingsError`,
    `CredentialError` or `MessageError` before anything is sent, `SendError` if nobody gets it, and `OutcomeUnknown` if
    nobody knows.
    """
    message = Message(to, subject, body, documents, cc, bcc, reply_to, key)
    result = deliver(message, settings=settings, resend=resend, timeout=timeout)
    if result.refused and not result.repeated:
        listed = "; ".join(f"{address}: {reply}" for address, reply in result.refused.items())
        warnings.warn(_("Sent, but not to everybody. Refused: {listed}").format(listed=listed), stacklevel=2)
    return result


def deliver(  # noqa: PLR0913
    message: Message,
    *,
    settings: Settings | None = None,
    resend: bool = False,
    timeout: float = 60,
    progress: Progress | None = None,
    hold: Hold | None = None,
) -> SendResult:
    """Send one message as `send` does; `progress` hears of bytes sent and in all, `hold` gets the means to abort."""
    settings = usable(settings)
    with closing(Outbox((settings.home or homes.user_home()).outbox)) as outbox:
        if (recorded := outbox._recorded(message, settings, resend=resend)) is not None:  # noqa: SLF001 - one module
            return recorded
        transport = open_transport(settings, timeout=timeout)
        if hold is not None:
            hold(transport)
        return outbox._deliver(message, settings, transport, progress, resend=resend)  # noqa: SLF001


class Outbox:
    """The mails of one home, and what became of each; iterate over it for its rows, newest last.

    `path` is the folder (None: the user's own, or the open sandbox's).
    """

    def __init__(self, path: Path | str | None = None) -> None:
        # Absolute: the working folder may change while this is open.
        self._store = Store(Path(path).expanduser().absolute() if path is not None else homes.current().outbox)
        self._store.recover()
        self._store.expire(CONTENT_DAYS)

    def close(self) -> None:
        """Close its files."""
        self._store.close()

    def __iter__(self) -> Iterator[Row]:
        return iter(self._store.rows())

    def __len__(self) -> int:
        return sum(self._store.count().values())

    def __repr__(self) -> str:
        counts = self._store.count()
        return f"<Outbox {', '.join(f'{number} {state}' for state, number in sorted(counts.items())) or 'empty'}>"

    def add(self, message: Message, *, key: str | None = None, settings: Settings | None = None) -> int:
        """Write a message down, to be sent by `run()`, and return its number.

        A key that the sending account has used before is an error, unless that attempt failed.
        """
        if key is not None:
            message = replace(message, key=key)
        settings = usable(settings)
        replaces = None
        if message.key is not None and (row := self._store.with_key(_account(settings), None, message.key)):
            if row.state not in _NOBODY_GOT_IT:
                raise MessageError(
                    _("The key {key} is in the outbox already ({state}).").format(key=message.key, state=row.state),
                    field="key",
                    hint=_("Give each message a key of its own."),
                )
            replaces = row
        return self._add(message, settings, None, replaces)

    def run(
        self, *, settings: Settings | None = None, batch: str | None = None, limit: int | None = None
    ) -> dict[str, int]:
        """Send what is queued, oldest first, and return how many mails are in each state now.

        It may be called again at any time: what was sent stays sent. A failure that every mail would meet (sign-in,
        connection, the account's limit) stops it and is raised; the rest stays queued.
        """
        settings = usable(settings)
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise MessageError(
                _("The limit must be a number of mails."), field="limit", hint=_("Leave it out, or write limit=10.")
            )
        self._store.recover()
        waiting = self._store.rows(
            "state = 'queued' AND owner IS NULL AND account = ? AND (? IS NULL OR batch = ?)",
            (_account(settings), batch, batch),
        )
        for row in waiting[:limit]:
            with self._claimed(row.id) as attempt:
                if attempt is None:
                    continue  # another program was faster
                try:
                    self._attempt(row.id, attempt, open_transport(settings), None, repeatable=True)
                except MessageError:
                    continue  # about this mail only, and written down
                except SendError as exc:
                    # Before a mail is begun nothing is about this mail: the next one would sign in for the same answer.
                    if TREATMENT[exc.kind].action is Action.STOP or exc.phase in _BEFORE_A_MAIL:
                        raise
        return self._store.count()

    def retry(self, batch: str | None = None) -> int:
        """Put the mails of the queue that failed (nothing was sent) back into it; return how many.

        Mails of `send()` are not among them: it has raised, and whoever called it has decided since.
        """
        waiting = "current AND NOT single AND head IS NOT NULL AND (? IS NULL OR batch = ?)"
        return self._store.change("failed", "queued", waiting, (batch, batch))

    def resolve(self, id: int, outcome: Literal["sent", "resend"]) -> None:  # noqa: A002 - the row's name for it
        """Decide about a mail whose outcome is unknown: it arrived ("sent"), or it is to be sent again ("resend")."""
        states = {"sent": "sent", "resend": "queued"}
        if outcome not in states:
            raise MessageError(
                _("“{outcome}” is no outcome.").format(outcome=outcome), hint=_('Say "sent" or "resend".')
            )
        # A mail whose key a later one has was sent again already.
        which = "id = ?" if outcome == "sent" else "id = ? AND current AND head IS NOT NULL"
        if not self._store.change("unknown", states[outcome], which, (id,)):
            raise MessageError(
                _("Mail {id} is not one whose outcome is unknown, or it was sent again since.").format(id=id),
                hint=_("Look at the rows of docmail.Outbox() whose state is “unknown”."),
            )

    # --- one attempt ---

    def _recorded(self, message: Message, settings: Settings, *, resend: bool) -> SendResult | None:
        """Return what is recorded of a key that was sent before; None if it is to be sent now."""
        row = None if message.key is None else self._store.with_key(_account(settings), None, message.key)
        if row is None or resend or row.state in _NOBODY_GOT_IT:
            return None
        _compare(message, row)
        if row.state == "sent":
            return _result(message, row)
        if row.state == "unknown":
            raise OutcomeUnknown(
                _("The mail with the key {key} may have arrived already.").format(key=message.key),
                kind=Kind.UNKNOWN,
                reply=row.reply,
                hint=_('Ask the recipient; then call docmail.Outbox().resolve({id}, "sent") or "resend".').format(
                    id=row.id
                ),
                guide="Sending",
            )
        if row.state == "sending":
            raise _being_sent(message)
        return None

    def _deliver(
        self, message: Message, settings: Settings, transport: Transport, progress: Progress | None, *, resend: bool
    ) -> SendResult:
        """Send a message that is not recorded as sent: as a new row, or the one that waits with its key."""
        row = None if message.key is None else self._store.with_key(_account(settings), None, message.key)
        if row is not None and row.state == "queued":
            with self._claimed(row.id) as attempt:
                if attempt is None:
                    raise _being_sent(message)
                result = self._attempt(row.id, attempt, transport, progress)
            # What was written down is what was promised; a PDF made again differs in its date of creation.
            return replace(result, note=_difference(message, row))
        if row is not None and row.state not in _NOBODY_GOT_IT and not resend:
            raise _being_sent(message)  # since it was looked at
        attempt = self._store.begin_attempt()
        try:
            try:
                number = self._add(message, settings, attempt, row)
            except KeyTakenError:
                raise _being_sent(message) from None
            return self._attempt(number, attempt, transport, progress)
        finally:
            owners.end_attempt(attempt)

    def _add(self, message: Message, settings: Settings, attempt: str | None, replaces: Row | None) -> int:
        mail = message.render(settings)
        return self._store.add(
            message, mail, account=_account(settings), batch=None, attempt=attempt, replaces=replaces
        )

    @contextmanager
    def _claimed(self, number: int) -> Iterator[str | None]:
        """Hold a waiting mail for one attempt; None if somebody else has it."""
        attempt = self._store.begin_attempt()
        try:
            yield attempt if self._store.claim(number, attempt) else None
        finally:
            owners.end_attempt(attempt)

    def _attempt(
        self,
        number: int,
        attempt: str,
        transport: Transport,
        progress: Progress | None,
        *,
        repeatable: bool = False,
    ) -> SendResult:
        """Send a mail that the attempt has claimed, and write down what became of it, whatever happens."""
        everybody: tuple[str, ...] = ()
        try:
            mail = self._store.mail(number)
            everybody = mail.recipients
            transport.open()
            self._store.begin(number, attempt)
            result = transport.send(mail, progress)
        except SendError as exc:
            self._settle_failure(number, attempt, everybody, exc, repeatable=repeatable)
            raise
        except BaseException as exc:
            # An interrupt, or a fault of ours: all that is known is whether the last byte had gone.
            if transport.in_doubt:
                state, reason = "unknown", _("Interrupted after the last byte: the mail may have arrived.")
            elif isinstance(exc, Exception):
                state, reason = "failed", str(exc)
            else:
                state, reason = "queued" if repeatable else "failed", _("Interrupted; nothing was sent.")
            self._store.settle(number, attempt, state, dict.fromkeys(everybody, (state, None)), reason=reason)
            raise
        else:
            self._settle_success(number, attempt, everybody, result, repeatable=repeatable)
            return result
        finally:
            transport.close()

    def _settle_success(
        self, number: int, attempt: str, everybody: tuple[str, ...], result: SendResult, *, repeatable: bool
    ) -> None:
        outcomes: dict[str, tuple[str, Reply | None]] = dict.fromkeys(everybody, ("sent", result.reply))
        for address, reply in result.refused.items():
            outcomes[address] = (_turned_away(reply, repeatable=repeatable), reply)
        # Whoever was only put off gets it in another run, and nobody else does.
        state = "queued" if any(each == "queued" for each, _reply in outcomes.values()) else "sent"
        try:
            self._store.settle(number, attempt, state, outcomes, reply=result.reply)
        except DocmailError as exc:
            # The row stays “sending”, and becomes unknown when the outbox is next opened: nothing sends it by itself.
            raise DocmailError(
                _("The mail was sent, but this could not be written down. {reason}").format(reason=exc.message),
                hint=_("Do not send it again; free the disk or the folder first."),
                guide="Sending",
            ) from exc
        except BaseException:
            reason = _("Interrupted while it was being recorded: the mail has most likely arrived.")
            unknown = dict.fromkeys(everybody, ("unknown", None))
            self._store.settle(number, attempt, "unknown", unknown, reason=reason)
            raise

    def _settle_failure(
        self, number: int, attempt: str, everybody: tuple[str, ...], error: SendError, *, repeatable: bool
    ) -> None:
        action = TREATMENT[error.kind].action
        if action is Action.ASK:
            state = "unknown"
        elif action is Action.DROP:
            state = "refused"
        else:
            state = "queued" if repeatable else "failed"
        outcomes: dict[str, tuple[str, Reply | None]] = dict.fromkeys(everybody, (state, error.reply))
        if action is Action.DROP:
            for address, reply in error.refused.items():
                outcomes[address] = (_turned_away(reply, repeatable=False), reply)
        self._store.settle(number, attempt, state, outcomes, reply=error.reply, reason=str(error))


_BEFORE_A_MAIL = {"dns", "connect", "greeting", "ehlo", "tls", "auth"}


def _being_sent(message: Message) -> MessageError:
    return MessageError(
        _("The mail with the key {key} is being sent right now.").format(key=message.key),
        field="key",
        hint=_("Wait until that is done, and look at docmail.Outbox()."),
    )


def _account(settings: Settings) -> str:
    """Return what a key is unique for: the sending address, whatever server it goes through."""
    return settings.address.addr_spec.casefold()


def _turned_away(reply: Reply, *, repeatable: bool) -> str:
    """Return the state of a recipient who got nothing, beside others who may have."""
    if reply.code == LOST:
        return "unknown"
    # RFC 5321 4.2.1: 5yz is for good; but some providers say it of a limit, which passes (Gmail's 550 5.4.5).
    if reply.code >= 500 and cause(reply, "rcpt", "").kind is not Kind.LIMIT:  # noqa: PLR2004
        return "refused"
    return "queued" if repeatable else "failed"


def _compare(message: Message, row: Row) -> None:
    """Raise `MessageError` if a key is used for something else than it was used for before."""
    addressed = {address.mailbox for address in (*message.to, *message.cc, *message.bcc)}
    recorded = {address.lower() for address, recipient in row.recipients.items() if recipient.role != "archive"}
    for field, differs in (
        ("to", addressed != recorded),
        ("subject", message.subject != row.subject),
        ("body", body_digest(message) != row.body_sha256),
    ):
        if differs:
            names = {"to": _("other recipients"), "subject": _("another subject"), "body": _("another body")}
            raise MessageError(
                _("The key {key} belongs to a mail with {difference}; nothing was sent.").format(
                    key=message.key, difference=names[field]
                ),
                field="key",
                hint=_("Use another key for another mail."),
            )


def _difference(message: Message, row: Row) -> str:
    """Say that the documents are not those of the row; nothing if they are."""
    given = [(document.name, sha256_of(document)) for document in message.documents]
    if given == list(zip(row.documents, row.contents, strict=True)):
        return ""
    return _("The documents differ from those that were sent, as a PDF does that is made again.")


def _result(message: Message, row: Row) -> SendResult:
    """Return the result that is recorded of a mail."""
    return SendResult(
        row.message_id,
        tuple(address for address, recipient in row.recipients.items() if recipient.state == "sent"),
        {
            address: recipient.reply
            for address, recipient in row.recipients.items()
            if recipient.state != "sent" and recipient.reply is not None
        },
        row.reply,
        repeated=True,
        note=_difference(message, row),
    )
