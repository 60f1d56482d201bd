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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from docmail import home as homes
from docmail.errors import TREATMENT, Action, DocmailError, Kind, MessageError, OutcomeUnknown, SendError
from docmail.message import Message
from docmail.rows import Row
from docmail.settings import Settings
from docmail.spool import sha256_of
from docmail.store import KeyTakenError, Store, body_digest
from docmail.translation import _
from docmail.transport import SendResult, Transport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docmail.addresses import Address
    from docmail.message import Mail
    from docmail.replies import Reply

    Progress = Callable[[int, int], None]
    Hold = Callable[[Transport], None]
    Addresses = str | Address | Iterable[str | Address]

__all__ = ["Outbox", "Row", "deliver", "send"]

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
    settings = settings or Settings.load()
    transport = open_transport(settings, timeout=timeout)
    outbox = Outbox((settings.home or homes.user_home()).outbox)
    try:
        found = outbox._claim_or_repeat(message, settings, resend=resend)  # noqa: SLF001 - one module
        if isinstance(found, SendResult):
            return found
        if hold is not None:
            hold(transport)
        return outbox._attempt(found, transport, progress)  # noqa: SLF001
    finally:
        outbox.close()


class Outbox:
    """The mails of one home, and what became of each; iterate over it for its rows, newest last.

    `path` is the folder (None: the user's own, or the open sandbox's).
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self._store = Store(Path(path) if path is not None else homes.current().outbox)
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
            message = Message(
                message.to,
                message.subject,
                message.body,
                message.documents,
                message.cc,
                message.bcc,
                message.reply_to,
                key,
            )
        settings = settings or Settings.load()
        settings.check()
        replaces = None
        if message.key is not None and (row := self._store.with_key(_account(settings), None, message.key)):
            if row.state not in {"failed", "refused"}:
                raise MessageError(
                    _("The key {key} is in the outbox already ({state}).").format(key=message.key, state=row.state),
                    field="key",
                    hint=_("Give each message a key of its own."),
                )
            replaces = row.id
        mail = message.render(settings)
        return self._store.add(message, mail, account=_account(settings), batch=None, single=False, replaces=replaces)

    def run(
        self, *, settings: Settings | None = None, batch: str | None = None, limit: int | None = None
    ) -> dict[str, int]:
        """Send what is queued, oldest first, and return how many mails are in each state now.

        It may be called again at any time: what was sent stays sent. A failure that every mail would meet (sign-in,
        connection, the account's limit) stops it and is raised; the rest stays queued.
        """
        settings = settings or Settings.load()
        self._store.recover()
        waiting = [
            row.id
            for row in self._store.rows("state = 'queued' AND NOT single AND (? IS NULL OR batch = ?)", (batch, batch))
        ]
        for number in waiting[:limit]:
            try:
                self._attempt(number, open_transport(settings), None, repeatable=True)
            except SendError as exc:
                if TREATMENT[exc.kind].action is Action.STOP:
                    raise
        return self._store.count()

    def retry(self, batch: str | None = None) -> int:
        """Put the mails that failed (nothing was sent) back into the queue; return how many."""
        return self._store.change("failed", "queued", "current AND (? IS NULL OR batch = ?)", (batch, batch))

    def resolve(self, id: int, outcome: Literal["sent", "resend"]) -> None:  # noqa: A002 - the row's name for it
        """Decide about a mail whose outcome is unknown: it arrived ("sent"), or it is to be sent again ("resend")."""
        states = {"sent": "sent", "resend": "queued"}
        if outcome not in states:
            raise MessageError(
                _("“{outcome}” is no outcome.").format(outcome=outcome), hint=_('Say "sent" or "resend".')
            )
        if not self._store.change("unknown", states[outcome], "id = ?", (id,)):
            raise MessageError(
                _("Mail {id} is not one whose outcome is unknown.").format(id=id),
                hint=_("Look at the rows of docmail.Outbox() whose state is “unknown”."),
            )

    # --- one attempt ---

    def _claim_or_repeat(self, message: Message, settings: Settings, *, resend: bool) -> int | SendResult:
        """Return the number of the row to send, or the recorded result of a key that was sent before."""
        account = _account(settings)
        replaces = None
        if message.key is not None and (row := self._store.with_key(account, None, message.key)):
            _compare(message, row)
            if row.state == "sent" and not resend:
                return _recorded(message, row)
            if row.state == "unknown" and not resend:
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
                raise MessageError(
                    _("The mail with the key {key} is being sent right now.").format(key=message.key),
                    field="key",
                    hint=_("Wait until that is done, and look at docmail.Outbox()."),
                )
            if row.state == "queued":
                return row.id
            replaces = row.id
        mail = message.render(settings)
        try:
            return self._store.add(message, mail, account=account, batch=None, single=True, replaces=replaces)
        except KeyTakenError:
            return self._claim_or_repeat(message, settings, resend=False)

    def _attempt(
        self, number: int, transport: Transport, progress: Progress | None, *, repeatable: bool = False
    ) -> SendResult:
        """Send one row and write down what became of it, whatever happens."""
        mail = self._store.mail(number)
        try:
            transport.open()
            self._begin(number)
            result = transport.send(mail, progress)
        except _TakenByAnotherError:
            raise
        except SendError as exc:
            self._settle_failure(number, mail, exc, repeatable=repeatable)
            raise
        except BaseException as exc:
            # An interrupt, or a fault of ours: all that is known is whether the last byte had gone.
            if transport.in_doubt:
                state, reason = "unknown", _("Interrupted after the last byte: the mail may have arrived.")
            elif isinstance(exc, Exception):
                state, reason = "failed", str(exc)
            else:
                state, reason = "failed", _("Interrupted; nothing was sent.")
            self._store.settle(number, state, dict.fromkeys(mail.recipients, (state, None)), reason=reason)
            raise
        else:
            self._settle_success(number, mail, result)
            return result
        finally:
            transport.close()

    def _begin(self, number: int) -> None:
        if not self._store.begin(number):
            raise _TakenByAnotherError(
                _("Another program has taken this mail out of the queue."),
                hint=_("Look at docmail.Outbox() for what became of it."),
            )

    def _settle_success(self, number: int, mail: Mail, result: SendResult) -> None:
        recipients: dict[str, tuple[str, Reply | None]] = dict.fromkeys(mail.recipients, ("sent", result.reply))
        for address, reply in result.refused.items():
            recipients[address] = (_turned_away(reply), reply)
        try:
            self._store.settle(number, "sent", recipients, reply=result.reply)
        except DocmailError as exc:
            # The row stays “sending” and becomes unknown when this process ends: nothing sends it again by itself.
            raise DocmailError(
                _("The mail was sent, but this could not be written down. {reason}").format(reason=exc.message),
                hint=_("Do not send it again; free the disk or the folder first."),
                guide="Sending",
            ) from exc
        except BaseException:
            reason = _("Interrupted while it was being recorded: the mail has most likely arrived.")
            self._store.settle(number, "unknown", dict.fromkeys(mail.recipients, ("unknown", None)), reason=reason)
            raise

    def _settle_failure(self, number: int, mail: Mail, error: SendError, *, repeatable: bool) -> None:
        action = TREATMENT[error.kind].action
        if action is Action.ASK:
            state = "unknown"
        elif action is Action.DROP:
            state = "refused"
        else:
            state = "queued" if repeatable else "failed"
        recipients: dict[str, tuple[str, Reply | None]] = dict.fromkeys(mail.recipients, (state, error.reply))
        if action is Action.DROP:
            for address, reply in error.refused.items():
                recipients[address] = (_turned_away(reply), reply)
        self._store.settle(number, state, recipients, reply=error.reply, reason=str(error))


class _TakenByAnotherError(MessageError):
    """Two processes met at one row; the other one sends it."""


def _account(settings: Settings) -> str:
    """Return what a key is unique for: the sending address, whatever server it goes through."""
    return settings.address.addr_spec.casefold()


def _turned_away(reply: Reply) -> str:
    return "refused" if reply.code >= 500 else "failed"  # noqa: PLR2004 - RFC 5321 4.2.1: 5yz is for good


def _compare(message: Message, row: Row) -> None:
    """Raise `MessageError` if a key is used for something else than it was used for before."""
    addressed = {address.addr_spec for address in (*message.to, *message.cc, *message.bcc)}
    recorded = {address for address, recipient in row.recipients.items() if recipient.role != "archive"}
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


def _recorded(message: Message, row: Row) -> SendResult:
    now = [(document.name, sha256_of(document)) for document in message.documents]
    same = now == list(zip(row.documents, row.contents, strict=True))
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
        # Not an error: a PDF made again differs in its date of creation.
        note="" if same else _("The documents differ from those that were sent, as a PDF does that is made again."),
    )
