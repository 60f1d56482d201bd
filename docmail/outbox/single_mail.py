"""Sends one mail now: a single attempt, written down before and after."""

from __future__ import annotations

import warnings
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from docmail.errors import DocmailError, Guide, Kind, MessageError, OutcomeUnknown, SendError, listed
from docmail.language import _
from docmail.message import Message
from docmail.outbox.changes import KeyTakenError, settled_meanwhile
from docmail.outbox.entry import entry_of
from docmail.outbox.keys import account_of, conflict, difference, gives_way, recorded_result
from docmail.outbox.later import check_is_due, past_text
from docmail.outbox.mailbox_work import work_quietly
from docmail.outbox.outcomes import Attempt
from docmail.outbox.rate import AccountRate
from docmail.outbox.remembered_servers import RememberedServers
from docmail.outbox.rows import State
from docmail.outbox.sender import not_written_down
from docmail.outbox.sent_copies import owes_copies
from docmail.outbox.store import Store
from docmail.settings import usable
from docmail.transport import SendResult, Transport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from docmail.addresses import Address
    from docmail.look import Look
    from docmail.outbox.changes import Outcome
    from docmail.outbox.entry import Entry
    from docmail.outbox.rows import Row
    from docmail.settings import Settings

    ByteProgress = Callable[[int, int], None]
    Hold = Callable[[Transport], None]
    Addresses = str | Address | Iterable[str | Address]


def send(  # noqa: PLR0913 - the header fields of a mail
    documents: Any,
    *,
    to: Addresses,
    subject: str,
    body: Any = "",
    cc: Addresses = (),
    bcc: Addresses = (),
    reply_to: Addresses | None = None,
    settings: Settings | None = None,
    key: str | float | None = None,
    resend: bool = False,
    timeout: float = 60,
    locale: str | None = None,
    look: Look | None = None,
    in_reply_to: Any = None,
) -> SendResult:
    """Email one or more documents now: one attempt, written down before and after.

    `documents` is anything `Document.of` takes, or a list of it; `to`, `cc`, `bcc` a text with addresses separated by
    `;` or `,`, or a list of addresses; `subject` one line of text; `reply_to`, written in the same way, where answers
    go (None: as the settings say); `body` Markdown, the path of an executed notebook, or a list of Markdown, figures,
    small DataFrames and such paths. With a `key`, the same call sends once: run again, it returns the recorded result
    with `repeated=True`; `resend=True` sends again on purpose. `timeout` (seconds) covers everything up to the server's
    reply to the last recipient. `locale` ("de", "en-ZA") sets the signs in the numbers of DataFrames in the body.
    `settings` None are the saved ones; `look` takes the place of theirs. `in_reply_to` is the mail that this one
    answers, as a reminder does: a row of the outbox, what `send` returned, or a Message-ID.

    Returns the recipients that were accepted and those that were refused (which also warns). Raises `SettingsError`,
    `CredentialError` or `MessageError` before anything is sent, `SendError` if nobody gets it, and `OutcomeUnknown` if
    nobody knows.

    >>> result = docmail.send(pdf, to="cfo@example.com", subject="Q3", body="Attached.", key="Q3 2026")
    >>> result.accepted
    ('cfo@example.com',)
    >>> docmail.send(pdf, to="cfo@example.com", subject="Q3", body="Attached.", key="Q3 2026").repeated
    True
    """
    message = Message(
        to, subject, body, documents, cc, bcc, reply_to, key, locale=locale, look=look, in_reply_to=in_reply_to
    )
    result = deliver(message, settings=settings, resend=resend, timeout=timeout)
    if result.refused and not result.repeated:
        refused = listed([f"{address}: {reply}" for address, reply in result.refused.items()])
        warnings.warn(_("Sent, but not to everybody. Refused: {listed}").format(listed=refused), stacklevel=2)
    return result


def deliver(  # noqa: PLR0913
    message: Message,
    *,
    settings: Settings | None = None,
    resend: bool = False,
    timeout: float = 60,
    progress: ByteProgress | None = None,
    hold: Hold | None = None,
) -> SendResult:
    """Send one message as `send` does.

    `progress` is notified of the bytes sent, and of all there are; `hold` gets the transport, with which another thread
    can abort.
    """
    settings = usable(settings)
    check_is_due(message)
    with closing(Store.looked_through(settings.recorded_in.outbox)) as store:
        if (recorded := _recorded(store, message, settings, resend=resend)) is not None:
            return recorded
        transport = open_transport(settings, timeout=timeout, capabilities=RememberedServers(store.journal))
        if hold is not None:
            hold(transport)
        return _deliver(_SingleMail(store, settings, transport, progress), message, resend=resend)


def recorded(message: Message, settings: Settings | None = None) -> SendResult | None:
    """Return what is recorded of a message whose subject and text are not known yet; None if it is to be made and sent.

    Its key and its recipients count. Raises as `send` does: if the key belongs to a mail to other people, if the
    outcome is unknown, or if the mail is being sent.
    """
    settings = usable(settings)
    with closing(Store.looked_through(settings.recorded_in.outbox)) as store:
        found = _recorded(store, message, settings, resend=False, is_whole=False)
    return found and replace(found, note="")


def send_row_again(  # noqa: PLR0913
    store: Store,
    row: Row,
    settings: Settings,
    progress: ByteProgress | None = None,
    hold: Hold | None = None,
    *,
    change: Callable[[], None] = lambda: None,
) -> SendResult:
    """Send a mail again that not everybody has got, or perhaps nobody: it stays the same mail.

    `change` writes down what is to be changed of it first, once there is a connection, in the step that begins it.
    """
    store.journal.mail(row.id)  # says so if its content is no longer kept
    transport = open_transport(settings, capabilities=RememberedServers(store.journal))
    if hold is not None:
        hold(transport)
    mail = _SingleMail(store, settings, transport, progress)
    with store.claim() as claim, closing(transport):
        transport.open()
        with store.file.transaction():
            change()
            before = store.changes.begin_again(row.id, claim, row.state)
            if before is None:
                raise settled_meanwhile(row.id)
        return mail.send(row.id, claim, begun=True, before=before)


def entry_in(store: Store, message: Message, settings: Settings) -> Entry:
    """Return what is to be written down of a message; its documents are kept."""
    message = threaded(store, message)
    mail = message.render(settings)
    for advice in filter(None, (mail.advice, past_text(message))):
        warnings.warn(advice, stacklevel=2)
    contents = [store.changes.keep(document) for document in message.documents]
    return entry_of(message, mail, account=account_of(settings), batch=None, contents=contents)


def threaded(store: Store, message: Message) -> Message:
    """Return a message with all that is known of its conversation, if it names the mail that it answers alone."""
    if len(message.in_reply_to) != 1 or type(message) is not Message:  # what is sent again has all of it
        return message
    for row in store.journal.with_message_id(message.in_reply_to[0]):
        if row.references:
            return replace(message, in_reply_to=(*row.references, row.message_id))
    return message


def _with_key(store: Store, message: Message, settings: Settings) -> Row | None:
    return None if message.key is None else store.journal.with_key(account_of(settings), None, message.key)


def _recorded(
    store: Store, message: Message, settings: Settings, *, resend: bool, is_whole: bool = True
) -> SendResult | None:
    """Return what is recorded of a key that was sent before; None if it is to be sent now.

    Of a message that is not whole, only the recipients are compared.
    """
    row = _with_key(store, message, settings)
    if row is None or resend or gives_way(message, row):
        return None
    if other := conflict(message, row, is_whole=is_whole):
        raise MessageError(other, field="key", hint=_("Use another key for another mail."))
    if row.state in {State.SENT, State.BOUNCED}:
        return recorded_result(message, row)
    if row.state == State.UNKNOWN:
        raise OutcomeUnknown(
            _("The mail with the key {key} may have arrived already.").format(key=message.key),
            kind=Kind.UNKNOWN,
            reply=row.reply,
            hint=_('Ask the recipient; then call docmail.Outbox().resolve({id}, "sent") or "resend".').format(
                id=row.id
            ),
            guide=Guide.SENDING,
        )
    if row.state == State.SENDING:
        raise _being_sent(message)
    return None


def _deliver(mail: _SingleMail, message: Message, *, resend: bool) -> SendResult:
    """Send a message that is not recorded as sent: as a new row, or the one that waits with its key."""
    store, transport = mail.store, mail.transport
    row = _with_key(store, message, mail.settings)
    if row is not None and row.state == State.QUEUED:
        with store.claim() as claim:
            if not store.changes.take(row.id, claim):
                raise _being_sent(message)
            result = mail.send(row.id, claim)
        # What was written down is what was promised; a PDF made again differs in its date of creation.
        return replace(result, note=difference(message, row))
    gone = row is not None and not gives_way(message, row)
    if gone and not resend:
        raise _being_sent(message)  # since it was looked at
    # What has gone before, or may have, keeps its key and its state until there is a connection for it to go again.
    goes_again = resend and (message.key is None or gone)
    with store.claim() as claim, closing(transport):
        if goes_again:
            transport.open()
        entry = entry_in(store, message, mail.settings)
        write_down = store.changes.add_and_begin if goes_again else store.changes.add
        try:
            number = write_down(entry, claim=claim, replaces=row)
        except KeyTakenError:
            raise _being_sent(message) from None
        return mail.send(number, claim, begun=goes_again, instead_of=row if goes_again else None)


@dataclass(frozen=True)
class _SingleMail:
    """A mail that goes out alone, over a connection of its own."""

    store: Store
    settings: Settings
    transport: Transport
    progress: ByteProgress | None

    def send(
        self, number: int, claim: str, *, begun: bool = False, before: Row | None = None, instead_of: Row | None = None
    ) -> SendResult:
        """Send a claimed mail, and write down what became of it, whatever happens.

        If it has `begun` already, the transport is open. A mail that goes again was as in `before`, or goes
        `instead_of` another one.
        """
        store, transport = self.store, self.transport
        store.changes.owes_copies = owes_copies(self.settings)
        attempt = Attempt(store.changes, number, claim, before=before)

        def settle(outcome: Outcome) -> None:
            store.changes.settle_alone(claim, outcome, instead_of=instead_of)

        try:
            mail = store.journal.mail(number)
            attempt.everybody = mail.recipients
            queue = store.queue(account_of(self.settings))
            interval = AccountRate(queue, self.settings).interval
            if not begun:
                transport.open()
            queue.reserve_time(interval)  # it waits for nothing, but the mails of a run wait for it
            if not begun:
                store.changes.begin(number, claim)
            result = transport.send(mail, self.progress, attempt.notify)
        except SendError as exc:
            settle(attempt.failure(exc))
            raise
        except BaseException as exc:
            settle(attempt.interrupt(exc, in_doubt=transport.in_doubt))
            raise
        else:
            self._settle_success(attempt.success(result), settle)
        finally:
            transport.close()
        try:
            note = work_quietly(store, self.settings, look=False)
        except KeyboardInterrupt:
            # It is raised on, because it is meant for the loop of sends that it may have met in the middle.
            said = _("The mail was sent, and is recorded as sent; its copy is filed with the next mail.")
            raise KeyboardInterrupt(said) from None
        return replace(result, note=note) if note else result

    @staticmethod
    def _settle_success(outcome: Outcome, settle: Callable[[Outcome], None]) -> None:
        try:
            settle(outcome)
        except DocmailError as exc:
            raise not_written_down(exc) from exc
        except BaseException:
            reason = _("Interrupted while it was being recorded: the mail has most likely arrived.")
            recipients = {
                address: (State.UNKNOWN, None) if state == State.SENT else (state, reply)
                for address, (state, reply) in outcome.recipients.items()
            }
            settle(replace(outcome, state=State.UNKNOWN, recipients=recipients, reply=None, reason=reason))
            raise


def _being_sent(message: Message) -> MessageError:
    return MessageError(
        _("The mail with the key {key} is being sent right now.").format(key=message.key),
        field="key",
        hint=_("Wait until that is done, and look at docmail.Outbox()."),
    )
