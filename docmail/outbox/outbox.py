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

import os
import warnings
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from docmail import home as homes
from docmail.addresses import parse_addresses
from docmail.errors import DocmailError, Kind, MessageError, OutcomeUnknown, SendError
from docmail.language import _
from docmail.message import Message, key_text
from docmail.outbox import claims
from docmail.outbox import outcomes as verdicts
from docmail.outbox.batch import BadRows, prepare
from docmail.outbox.batch_names import batch_name, batch_or_all
from docmail.outbox.changes import KeyTakenError
from docmail.outbox.entry import entry_of
from docmail.outbox.keys import compare, difference, recorded_result
from docmail.outbox.observers import watchers
from docmail.outbox.queue import QueueStore
from docmail.outbox.rate import Pace
from docmail.outbox.rows import Row
from docmail.outbox.run import Run, run_of, sent_or_failed
from docmail.outbox.sender import not_written_down
from docmail.outbox.starting import account_of
from docmail.settings import Settings, usable
from docmail.transport import SendResult, Transport, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor
    from typing import Self

    from docmail.addresses import Address
    from docmail.home import Home
    from docmail.message import Merge
    from docmail.outbox.batch import Added
    from docmail.outbox.changes import Settled
    from docmail.outbox.preview import Preview

    Progress = Callable[[int, int], None]
    Hold = Callable[[Transport], None]
    Addresses = str | Address | Iterable[str | Address]

__all__ = ["Outbox", "Row", "deliver", "send"]

_NOBODY_GOT_IT = {"failed", "refused"}

CONTENT_DAYS = 30
"""How long the text and the attachments of settled mails are kept by default; the record stays."""
_MOST_DAYS = 36_500
_REHEARSED = 3  # mails, if nobody says how many


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
) -> SendResult:
    """Email one or more documents now: one attempt, written down before and after.

    `documents` is anything `Document.of` takes, or a list of it; `to`, `cc`, `bcc` a text with addresses separated by
    `;` or `,`, or a list of addresses; `body` Markdown, or a list of Markdown, figures and small DataFrames. With a
    `key`, the same call sends once: run again, it returns the recorded result with `repeated=True`; `resend=True` sends
    again on purpose. `timeout` (seconds) covers everything up to the server's answer to the last recipient.

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
    with closing(Outbox(settings.recorded_in.outbox)) as outbox:
        if (recorded := outbox._recorded(message, settings, resend=resend)) is not None:  # noqa: SLF001 - one module
            return recorded
        transport = open_transport(settings, timeout=timeout)
        if hold is not None:
            hold(transport)
        return outbox._deliver(message, settings, transport, progress, resend=resend)  # noqa: SLF001


class Outbox:
    """The mails of one home, and what became of each; iterate over it for its rows, newest last.

    `path` is the folder. None: the user's own, or the open sandbox's; if the first thing that it is used for has
    settings whose mail is recorded elsewhere, it is that one. From then on it stays with its home, also when a sandbox
    opens or closes: without `settings`, those saved there are used, and others raise `MessageError`.

    In a `with` it is closed at the end; whoever else uses the same files, a run that goes on among them, is left alone.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self._is_bound = path is not None
        self._moving = Lock()
        self._home: Home | None
        if path is None:
            self._home = homes.of_profile(os.environ.get("DOCMAIL_PROFILE", "default"))
            self._opened = _opened(self._home.outbox)
        else:
            folder = Path(path).expanduser().absolute()  # the working folder may change while this is open
            self._home = homes.of_record(folder)
            self._opened = _opened(folder)

    @property
    def _store(self) -> QueueStore:
        self._is_bound = True  # what was seen or written here has its number here
        return self._opened

    def _usable(self, settings: Settings | None) -> Settings:
        """Return the settings to work with, checked, whose mail is recorded here and nowhere else."""
        self._opened.must_be_open()
        settings = usable(settings, self._home)
        home = settings.recorded_in
        with self._moving:
            if not records(self._home, home):
                if self._is_bound:
                    raise elsewhere(home, self._opened.folder)
                before, self._opened, self._home = self._opened, _opened(home.outbox), home
                before.close()
            self._is_bound = True
        return settings

    def __enter__(self) -> Self:
        self._opened.must_be_open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files; what is asked of it from then on is a `DocmailError`."""
        self._opened.close()

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return self._store.folder

    def __iter__(self) -> Iterator[Row]:
        return self._store.all_rows()

    def __len__(self) -> int:
        return sum(self._store.count().values())

    def __repr__(self) -> str:
        if not self._opened.close.alive:
            return "<Outbox, closed>"  # a repr never raises; tracebacks and debuggers ask for it
        counts = self._opened.count()
        return f"<Outbox {', '.join(f'{number} {state}' for state, number in sorted(counts.items())) or 'empty'}>"

    @property
    def content_days(self) -> int:
        """How many days the text and the attachments of settled mails are kept; the record stays."""
        return _content_days(self._store)

    @content_days.setter
    def content_days(self, days: int) -> None:
        if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= _MOST_DAYS:
            raise MessageError(
                _("The contents are kept for a number of days."),
                field="content_days",
                hint=_("Write a whole number, such as content_days = 30; 0 keeps no content of what is settled."),
            )
        self._store.set_note("content_days", str(days))
        self._store.expire(days)

    def add(self, message: Message, *, key: str | float | None = None, settings: Settings | None = None) -> int:
        """Write a message down, to be sent by `run()`, and return its number.

        A key that the sending account has used before is an error, unless that attempt failed.
        """
        if key is not None:
            message = replace(message, key=key_text(key))
        settings = self._usable(settings)
        replaces = None
        if message.key is not None and (row := self._store.with_key(account_of(settings), None, message.key)):
            if row.state not in _NOBODY_GOT_IT:
                raise MessageError(
                    _("The key {key} is in the outbox already ({state}).").format(key=message.key, state=row.state),
                    field="key",
                    hint=_("Give each message a key of its own."),
                )
            replaces = row
        return self._add(message, settings, None, replaces)

    def add_all(
        self,
        messages: Iterable[Message] | Merge,
        *,
        batch: str,
        settings: Settings | None = None,
        executor: Executor | None = None,
        bad_rows: BadRows = "refuse",
    ) -> Added:
        """Write a batch down, to be sent by `run(batch=...)`: all of it, or nothing.

        Everything is made and checked before the first mail leaves. Rows that cannot be sent are one `BatchError` with
        `problems`, a table; `bad_rows="skip"` adds the others and returns the table. Keys that are in the batch already
        are recognised, so the same cell can be run again. Documents are made one after the other, or by any `executor`
        of `concurrent.futures`.
        """
        settings = self._usable(settings)
        return prepare(self._store, messages, batch, settings, executor, bad_rows)

    def withdraw(self, batch: str) -> int:
        """Take what waits of a batch out of the queue, so that it can be added anew; return how many mails."""
        reason = _("Withdrawn before it was sent.")
        return self._store.withdraw(batch_name(batch), reason)

    def preview(self, n: int = 3, *, batch: str | None = None) -> Preview:
        """Return the first mails that wait, as they will arrive."""
        from docmail.outbox.preview import preview

        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise MessageError(
                _("A preview shows a number of mails."), field="n", hint=_("Write preview(3), or leave it out.")
            )
        return preview(self._store, n, batch_or_all(batch))

    def run(  # noqa: PLR0913 - what a run can be told
        self,
        *,
        settings: Settings | None = None,
        batch: str | None = None,
        limit: int | None = None,
        redirect_to: str | Address | None = None,
        rate: str | None = None,
        wait: bool = True,
    ) -> Run:
        """Send what is queued, oldest first, and return how many mails are in each state then.

        It may be called again at any time: what was sent stays sent. A failure that every mail would meet (sign-in,
        connection, the account's limit) stops it and is raised; the rest stays queued. Mails that the server puts off
        are tried again after a while.

        `limit` is the number of mails to send; with it, or for 20 mails and fewer, a notebook does not ask first.
        `redirect_to` sends the first mails (3, or `limit`) to this address instead, which counts as a rehearsal, not as
        sent. `rate` is how fast the account sends from now on ("30/min"); unsaid, as its provider allows. With
        `wait=False`, it returns at once and goes on until this program ends.

        In a notebook that runs with nobody there (`DOCMAIL_UNATTENDED`), nothing is asked and `wait` is always True;
        `SendError` is raised if somebody has not got a mail, or one still waits, so that the notebook fails as well.
        """
        nobody_there = homes.is_unattended()
        settings = self._usable(settings)
        batch = batch_or_all(batch)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            raise MessageError(
                _("The limit must be a number of mails."), field="limit", hint=_("Leave it out, or write limit=10.")
            )
        (address,) = parse_addresses([redirect_to], "redirect_to") if redirect_to is not None else (None,)
        run = run_of(self._store.folder, settings, batch) if address is None else None

        def outcome(run: Run) -> Run:
            if nobody_there:
                return sent_or_failed(run.wait())
            return run.wait() if wait else run

        if run is not None:
            return outcome(run)
        limit = _REHEARSED if address is not None and limit is None else limit
        new = Run(self._store.folder, settings, batch=batch, limit=limit, redirect_to=address, rate=rate)
        asked = [asks(new) for asks in watchers]
        if any(asked):
            return new
        try:
            return outcome(new.start())
        except KeyboardInterrupt:
            new.end()  # between the two, it would go on by itself
            raise

    def retry(self, batch: str | None = None) -> int:
        """Put the mails of the queue that failed or were refused back into it; return how many.

        A mail that others got goes only to those who did not; that the archive has no copy is no reason. Mails of
        `send()` are not among them: it has raised, and whoever called it has decided since.
        """
        return self._store.retry(batch_or_all(batch))

    def resolve(self, id: int, outcome: Literal["sent", "resend"]) -> None:  # noqa: A002 - the row's name for it
        """Decide about a mail whose outcome is unknown: it arrived ("sent"), or the next `run()` sends it ("resend").

        Either is about those of whom nobody knows: who was refused stays refused, and who was deferred waits.
        """
        self._store.resolve(id, outcome)

    # --- one attempt ---

    def _recorded(self, message: Message, settings: Settings, *, resend: bool) -> SendResult | None:
        """Return what is recorded of a key that was sent before; None if it is to be sent now."""
        row = None if message.key is None else self._store.with_key(account_of(settings), None, message.key)
        if row is None or resend or row.state in _NOBODY_GOT_IT:
            return None
        compare(message, row)
        if row.state == "sent":
            return recorded_result(message, row)
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
        row = None if message.key is None else self._store.with_key(account_of(settings), None, message.key)
        if row is not None and row.state == "queued":
            with self._claimed(row.id) as attempt:
                if attempt is None:
                    raise _being_sent(message)
                result = self._attempt(row.id, attempt, settings, transport, progress)
            # What was written down is what was promised; a PDF made again differs in its date of creation.
            return replace(result, note=difference(message, row))
        if row is not None and row.state not in _NOBODY_GOT_IT and not resend:
            raise _being_sent(message)  # since it was looked at
        # What has gone before, or may have, keeps its key and its state until there is a connection for it to go again.
        goes_again = resend and (message.key is None or (row is not None and row.state not in _NOBODY_GOT_IT))
        attempt = self._store.begin_attempt()
        try:
            if goes_again:
                transport.open()
            try:
                number = self._add(message, settings, attempt, row, begins=goes_again)
            except KeyTakenError:
                raise _being_sent(message) from None
            instead_of = row if goes_again else None
            return self._attempt(
                number, attempt, settings, transport, progress, begun=goes_again, instead_of=instead_of
            )
        finally:
            claims.end_attempt(attempt)
            transport.close()

    def _send_again(self, row: Row, settings: Settings, progress: Progress | None, hold: Hold | None) -> SendResult:
        """Send a mail again that not everybody has got, or perhaps nobody: it stays the same mail."""
        self._store.mail(row.id)  # says so if its content is no longer kept
        transport = open_transport(settings)
        if hold is not None:
            hold(transport)
        attempt = self._store.begin_attempt()
        try:
            transport.open()
            before = self._store.begin_again(row.id, attempt, row.state)
            return self._attempt(row.id, attempt, settings, transport, progress, begun=True, before=before)
        finally:
            claims.end_attempt(attempt)
            transport.close()

    def _add(
        self,
        message: Message,
        settings: Settings,
        attempt: str | None,
        replaces: Row | None,
        *,
        begins: bool = False,
    ) -> int:
        mail = message.render(settings)
        contents = [self._store.keep(document) for document in message.documents]
        entry = entry_of(message, mail, account=account_of(settings), batch=None, contents=contents)
        return self._store.add(entry, attempt=attempt, replaces=replaces, begins=begins)

    @contextmanager
    def _claimed(self, number: int) -> Iterator[str | None]:
        """Hold a waiting mail for one attempt; None if somebody else has it."""
        attempt = self._store.begin_attempt()
        try:
            yield attempt if self._store.claim(number, attempt) else None
        finally:
            claims.end_attempt(attempt)

    def _attempt(  # noqa: PLR0913
        self,
        number: int,
        attempt: str,
        settings: Settings,
        transport: Transport,
        progress: Progress | None,
        *,
        begun: bool = False,
        before: Row | None = None,
        instead_of: Row | None = None,
    ) -> SendResult:
        """Send a mail that the attempt has claimed, and write down what became of it, whatever happens.

        If it has `begun` already, the transport is open. A mail that goes again was as in `before`, or goes
        `instead_of` another one.
        """
        known = verdicts.Known(self._store, number, attempt, repeatable=False, again=before is not None)
        transport.notify = known.notify

        def settle(verdict: Settled) -> None:
            if before is not None:
                verdict = verdicts.of_repetition(verdict, before)
            self._settle(attempt, verdict, instead_of)

        everybody: tuple[str, ...] = ()
        try:
            mail = self._store.mail(number)
            everybody = mail.recipients
            account = account_of(settings)
            interval = Pace(self._store, settings, account).interval
            if not begun:
                transport.open()
            self._store.reserve_time(account, interval)  # it waits for nothing, but the mails of a run wait for it
            if not begun:
                self._store.begin(number, attempt)
            result = transport.send(mail, progress)
        except SendError as exc:
            settle(verdicts.of_failure(number, everybody, exc, repeatable=False))
            raise
        except BaseException as exc:
            in_doubt = transport.in_doubt
            settle(
                verdicts.of_interrupt(number, everybody, exc, in_doubt=in_doubt, repeatable=False, known=known.outcomes)
            )
            raise
        else:
            self._settle_success(verdicts.of_success(number, everybody, result, repeatable=False), settle)
            return result
        finally:
            transport.close()

    def _settle(self, attempt: str, verdict: Settled, instead_of: Row | None) -> None:
        self._store.settle(
            verdict.number,
            attempt,
            verdict.state,
            verdict.recipients,
            reply=verdict.reply,
            reason=verdict.reason,
            instead_of=instead_of,
        )

    def _settle_success(self, verdict: Settled, settle: Callable[[Settled], None]) -> None:
        try:
            settle(verdict)
        except DocmailError as exc:
            raise not_written_down(exc) from exc
        except BaseException:
            reason = _("Interrupted while it was being recorded: the mail has most likely arrived.")
            outcomes = {
                address: ("unknown", None) if state == "sent" else (state, reply)
                for address, (state, reply) in verdict.recipients.items()
            }
            settle(replace(verdict, state="unknown", recipients=outcomes, reply=None, reason=reason))
            raise


def _opened(folder: Path) -> QueueStore:
    store = QueueStore(folder)
    store.recover()
    store.expire_daily(_content_days(store))
    return store


def _content_days(store: QueueStore) -> int:
    return int(store.note("content_days") or CONTENT_DAYS)


# --- whose record it is ---


def records(home: Home | None, other: Home) -> bool:
    """Say whether the record of one home (None: of a folder that is no home's) takes mail of another."""
    return home is None or home.settings_file.resolve() == other.settings_file.resolve()


def elsewhere(home: Home, folder: Path) -> MessageError:
    """Return the error for mail of a home that is to be recorded in the folder of another one."""
    return MessageError(
        _("The mail of these settings is recorded in {theirs}, not in this outbox in {ours}; nothing was done.").format(
            theirs=home.outbox, ours=folder
        ),
        field="settings",
        hint=_("Use that one: outbox = docmail.Outbox({theirs}).").format(theirs=repr(str(home.outbox))),
    )


def _being_sent(message: Message) -> MessageError:
    return MessageError(
        _("The mail with the key {key} is being sent right now.").format(key=message.key),
        field="key",
        hint=_("Wait until that is done, and look at docmail.Outbox()."),
    )
