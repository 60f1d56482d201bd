"""Writes each mail down before it goes out, and remembers what became of it.

A row is committed as `sending`, durably, before the first byte leaves. Rows whose process is gone were in the middle of
something: they become `unknown`, and a person decides. So killing the kernel at any line loses nothing and sends
nothing twice.

    queued ─▶ sending ─┬▶ sent       the server took it, for at least one recipient
                       │  bounced    ... and it came back from everybody who should have got it
                       ├▶ refused    the server refused it for good
                       ├▶ failed     nothing was sent: no connection, wrong password, not now
                       └▶ unknown    it may have arrived: resolve(id, "sent" | "resend")
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from docmail import home as homes
from docmail.addresses import parse_addresses
from docmail.errors import MessageError
from docmail.language import _
from docmail.message import Message, key_text
from docmail.outbox import observers
from docmail.outbox.batch import BadRows, batch_name, batch_or_all, prepare
from docmail.outbox.came_back import FoundBounces, find_bounces
from docmail.outbox.doubts import SettledDoubts, settle_doubts
from docmail.outbox.drafts import SavedDrafts, save_drafts
from docmail.outbox.keys import account_of, gives_way
from docmail.outbox.limits import DEFAULT
from docmail.outbox.mailbox_work import mailbox_of, without_bounces
from docmail.outbox.resending import correct_and_send
from docmail.outbox.run import Run, run_of, sent_or_failed
from docmail.outbox.sent_copies import FiledCopies, file_copies
from docmail.outbox.single_mail import entry_in
from docmail.outbox.store import Store, elsewhere, takes_mail_of
from docmail.outbox.tables import pandas_of, polars_of
from docmail.settings import Settings, usable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Executor
    from typing import Self

    from docmail.addresses import Address
    from docmail.home import Home
    from docmail.message import Merge
    from docmail.outbox.batch import Added
    from docmail.outbox.preview import Preview
    from docmail.outbox.rows import Row
    from docmail.transport import SendResult

_MOST_DAYS = 36_500
_REHEARSED = 3  # mails, if nobody says how many


class Outbox:
    """The mails of one home, and what became of each; iterate over it for its rows, newest last.

    `path` is the folder. None: the user's own, or the open sandbox's; if the first thing that it is used for has
    settings whose mail is recorded elsewhere, it is that one. From then on it stays with its home, also when a sandbox
    opens or closes: without `settings`, those saved there are used, and others raise `MessageError`.

    In a `with` it is closed at the end; a run that is still running, and all else that uses the same files, is left
    alone.

    >>> outbox = docmail.Outbox()
    >>> number = outbox.add(docmail.Message("ann@example.com", "Hello"))
    >>> [(row.subject, str(row.state)) for row in outbox]
    [('Hello', 'queued')]
    >>> outbox.run()
    <Run over: 1 sent>
    """

    limits = DEFAULT  # of its runs

    def __init__(self, path: Path | str | None = None) -> None:
        self._is_bound = path is not None
        self._moving = Lock()
        self._home: Home | None
        if path is None:
            self._home = homes.of_profile(os.environ.get("DOCMAIL_PROFILE", "default"))
            folder = self._home.outbox
        else:
            # Unlike Path's, this expanduser() leaves a ~ as it is that leads nowhere.
            folder = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - the working folder may change while this is open
            self._home = homes.of_record(folder)
        self._opened = Store.looked_through(folder)

    @property
    def _store(self) -> Store:
        self._is_bound = True  # what was seen or written here has its number here
        return self._opened

    def _usable(self, settings: Settings | None) -> Settings:
        """Return the settings to work with, checked, whose mail is recorded here and nowhere else."""
        self._opened.file.must_be_open()
        settings = usable(settings, self._home)
        home = settings.recorded_in
        with self._moving:
            if not takes_mail_of(self._home, home):
                if self._is_bound:
                    raise elsewhere(home, self._opened.folder)
                before, self._opened, self._home = self._opened, Store.looked_through(home.outbox), home
                before.close()
            self._is_bound = True
        return settings

    def __enter__(self) -> Self:
        self._opened.file.must_be_open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files; what is asked of it from then on raises `DocmailError`.

        >>> with docmail.Outbox() as outbox:
        ...     len(list(outbox))
        0
        """
        self._opened.close()

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return self._store.folder

    def __iter__(self) -> Iterator[Row]:
        return self._store.journal.all_rows()

    def __len__(self) -> int:
        return sum(self._store.journal.count().values())

    def __repr__(self) -> str:
        if not self._opened.file.close.alive:
            return "<Outbox, closed>"  # a repr never raises; tracebacks and debuggers ask for it
        counts = self._opened.journal.count()
        return f"<Outbox {', '.join(f'{number} {state}' for state, number in sorted(counts.items())) or 'empty'}>"

    @property
    def content_days(self) -> int:
        """How many days the text and the attachments of settled mails are kept; the record stays."""
        return self._store.journal.content_days()

    @content_days.setter
    def content_days(self, days: int) -> None:
        if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= _MOST_DAYS:
            raise MessageError(
                _("The contents are kept for a number of days."),
                field="content_days",
                hint=_("Write a whole number, such as content_days = 30; 0 keeps no content of what is settled."),
            )
        self._store.journal.set_note("content_days", str(days))
        self._store.changes.expire(days)

    def add(self, message: Message, *, key: str | float | None = None, settings: Settings | None = None) -> int:
        """Write a message down, to be sent by `run()`, and return its number.

        `key` takes the place of the message's own. Raises `SettingsError` for settings that cannot be used, and
        `MessageError` for a key that the sending account has used before, unless nobody got that mail.

        >>> docmail.Outbox().add(docmail.Message("ann@example.com", "Hello"), key="hello to Ann")
        1
        """
        if key is not None:
            message = replace(message, key=key_text(key))
        settings = self._usable(settings)
        replaces = None
        if message.key is not None and (row := self._store.journal.with_key(account_of(settings), None, message.key)):
            if not gives_way(message, row):
                raise MessageError(
                    _("The key {key} is in the outbox already ({state}).").format(key=message.key, state=row.state),
                    field="key",
                    hint=_("Give each message a key of its own."),
                )
            replaces = row
        return self._store.changes.add(entry_in(self._store, message, settings), replaces=replaces)

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

        `messages` are those of `docmail.merge`, or any. Everything is made and checked before the first mail leaves.
        Rows that cannot be sent are one `BatchError` with `problems`, a table; `bad_rows="skip"` adds the others and
        returns the table. Keys that are in the batch already are recognised, so the same cell can be run again.
        Documents are made one after the other, or by any `executor` of `concurrent.futures`. `settings` None are the
        saved ones.

        >>> messages = docmail.merge(frame, key="Customer", to="{{ row['E-mail'] }}", subject="For {{ Customer }}")
        >>> docmail.Outbox().add_all(messages, batch="2026-11 invoices")
        <Added 2 to '2026-11 invoices', 0 known>
        """
        settings = self._usable(settings)
        return prepare(self._store, messages, batch, settings, executor, bad_rows)

    def withdraw(self, batch: str | int) -> int:
        """Take what waits of a batch out of the queue, so that it can be added anew; return how many mails.

        A number is that of one mail, as `add` returned it.

        >>> outbox = docmail.Outbox()
        >>> added = outbox.add_all([docmail.Message("ann@example.com", "Hello", key="1")], batch="2026-11")
        >>> outbox.withdraw("2026-11")
        1
        """
        reason = _("Withdrawn before it was sent.")
        one = isinstance(batch, int) and not isinstance(batch, bool)
        return self._store.changes.withdraw(batch if one else batch_name(batch), reason)

    def preview(self, n: int = 3, *, batch: str | None = None) -> Preview:
        """Return the first `n` mails that wait, oldest first, as they will arrive; none of them is sent.

        With `batch`, only those of this batch. Raises `MessageError` for an `n` that is no number.

        >>> outbox = docmail.Outbox()
        >>> number = outbox.add(docmail.Message("ann@example.com", "Hello"))
        >>> outbox.preview()[0].subject
        'Hello'
        """
        from docmail.outbox.preview import preview

        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise MessageError(
                _("A preview shows a number of mails."), field="n", hint=_("Write preview(3), or leave it out.")
            )
        return preview(self._store, n, batch_or_all(batch))

    def run(  # noqa: PLR0913 - the options of a run
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
        connection, the account's limit, the same refusal again and again) stops it and is raised; the rest stays
        queued, and what was refused alike goes back into the queue with the next run. Mails that the server defers are
        tried again after a while. Before a daily limit that the provider confirms is met, it returns, and `again_at`
        says when it can go on. Mails with a `send_at` to come stay in the queue, and hold nothing up: a run from then
        on sends them, or `docmail outbox run --wait`, which waits for them.

        `settings` (None: the saved ones) say for which account, `batch` which of its mails: None is all of them.
        `limit` is the number of mails to send; with it, or for 20 mails and fewer, a notebook does not ask first.
        `redirect_to` sends the first mails (3, or `limit`) to this address instead, which counts as a rehearsal, not as
        sent. `rate` is how fast the account sends from now on ("30/min"); unsaid, as its provider allows. With
        `wait=False`, it returns at once and runs until this program ends.

        In a notebook that runs with nobody there (`DOCMAIL_UNATTENDED`), nothing is asked and `wait` is always True;
        `SendError` is raised if somebody has not got a mail, or one still waits, so that the notebook fails as well.

        >>> outbox = docmail.Outbox()
        >>> number = outbox.add(docmail.Message("ann@example.com", "Hello"))
        >>> dict(outbox.run(rate="60/min"))
        {'sent': 1}
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
        folder, limits = self._store.folder, self.limits
        new = Run(folder, settings, batch=batch, limit=limit, redirect_to=address, rate=rate, limits=limits)
        asked = [asks(new) for asks in observers.runs]
        if any(asked):
            return new
        if address is None and new.goes_beyond_a_daily_limit:
            warnings.warn(new.daily_warning(), stacklevel=2)
        try:
            return outcome(new.start())
        except KeyboardInterrupt:
            new.end()  # between the two, it would run on by itself
            raise

    def to_pandas(self, batch: str | None = None) -> Any:
        """Return the record, or one batch of it, as a DataFrame of pandas: a line per mail, the newest last.

        `to` is everybody it was written to (To, Cc and Bcc), `missed` who of them has not got it, `bounced` from whom
        of these it came back; times are in UTC. What the server said is the last column. `to_polars()` returns the
        same of polars. Raises
        `ImportError` where that library is not installed.

        >>> outbox = docmail.Outbox()
        >>> number = outbox.add(docmail.Message("ann@example.com", "Hello"))
        >>> outbox.to_pandas()[["subject", "to", "state"]].to_numpy().tolist()
        [['Hello', 'ann@example.com', 'queued']]
        """
        return pandas_of(self._rows_in(batch_or_all(batch)))

    def to_polars(self, batch: str | None = None) -> Any:
        """Return the record, or one batch of it, as a DataFrame of polars; see `to_pandas`.

        >>> docmail.Outbox().to_polars().is_empty()
        True
        """
        return polars_of(self._rows_in(batch_or_all(batch)))

    def _rows_in(self, batch: str | None) -> Iterator[Row]:
        return (row for row in self if batch is None or row.batch == batch)

    def retry(self, batch: str | None = None) -> int:
        """Put the mails of the queue that failed or were refused back into it; return how many.

        A mail that others got goes only to those who did not; a missing copy in the archive is no reason to retry.
        Mails of `send()` are not among them: it has raised, and its caller has decided since. With `batch`, only those
        of this batch.

        >>> outbox = docmail.Outbox()
        >>> box.answer("rcpt", "550 5.1.1 No such mailbox", times=1)
        >>> number = outbox.add(docmail.Message("ann@example.com", "Hello"))
        >>> outbox.run()
        <Run over: 1 refused>
        >>> outbox.retry()
        1
        >>> outbox.run()
        <Run over: 1 sent>
        """
        return self._store.queue(batch=batch_or_all(batch)).retry()

    def find_bounces(self, *, settings: Settings | None = None) -> FoundBounces:
        """Read what is new in the sender's mailbox, and write down which mails came back, and from whom.

        A recipient from whom a mail came back is `bounced`, with the status and a sentence; `retry()` does not send it
        again. What is only late is mentioned and stays sent. The first look goes back 30 days at most; nothing in the
        mailbox is deleted or marked as read. It happens by itself after each run. Raises `SettingsError` if the
        settings have no mailbox, and `SendError` if it cannot be opened.

        >>> docmail.Outbox().find_bounces().bounced
        0
        """
        settings = self._usable(settings)
        with mailbox_of(settings) as box:
            return replace(find_bounces(self._store, box, settings), note=without_bounces(settings))

    def file_copies(self, *, settings: Settings | None = None) -> FiledCopies:
        """File the copies of sent mails that are not in the Sent folder yet, and say how many there are now.

        It happens by itself after each mail and each run; what could not be filed then is filed with the next. Raises
        `SettingsError` if the settings have no mailbox, and `SendError` if it cannot be opened.

        >>> docmail.Outbox().file_copies().waiting
        0
        """
        settings = self._usable(settings)
        with mailbox_of(settings) as box:
            return file_copies(self._store, box, settings)

    def settle_doubts(self, *, settings: Settings | None = None) -> SettledDoubts:
        """Look for copies of the mails whose outcome is unknown; those of which there is one were sent.

        It looks in the Sent folder, and in the inbox for mails that went to oneself, as to an archive. That there is
        no copy proves nothing. It happens by itself after each run. Raises `SettingsError` if the settings have no
        mailbox, and `SendError` if it cannot be opened.

        >>> docmail.Outbox().settle_doubts().unknown
        ()
        """
        settings = self._usable(settings)
        with mailbox_of(settings) as box:
            return settle_doubts(self._store, box, settings)

    def save_drafts(
        self, messages: Message | Iterable[Message] | Merge, *, settings: Settings | None = None, again: bool = False
    ) -> SavedDrafts:
        """Save `messages`, one or a batch, in the drafts folder of the mailbox, to be looked at and sent from there.

        Nothing is sent, or recorded as sent. The same message is saved once, however often this runs; one
        whose text has changed is another draft. Everything is made and checked before the first is saved: rows that
        cannot be a mail are one `BatchError`. With `again`, those that are there, or may be, are saved once more.

        `settings` (None: the saved ones) without a mailbox save through Microsoft Graph or the Gmail API, where the
        token has the permission Mail.ReadWrite or gmail.compose. There a request that is not confirmed raises
        `OutcomeUnknown`, and the draft is not tried again by itself. Raises `SettingsError` if there is neither, and
        `SendError` if the mailbox cannot be opened, or the service refuses.

        >>> docmail.Outbox().save_drafts(docmail.Message("ann@example.com", "Hello")).folder
        'Drafts'
        """
        return save_drafts(self._store, messages, self._usable(settings), again=again)

    def correct_and_send(
        self,
        id: int,  # noqa: A002 - the row's name for it
        corrected: Mapping[str, str],
        *,
        settings: Settings | None = None,
    ) -> SendResult:
        """Send a mail that was refused or bounced to corrected addresses: `{"old@example.com": "new@example.com"}`.

        It stays the same mail with its key, and goes to those alone who have not got it. The record remembers for whom
        it was written down. `id` is the row's, `corrected` has the new address of each old one; without `settings`,
        those saved are used. Raises `AddressError` for what is no address, `MessageError` for an address that has got
        the mail, and what `send` raises; then nothing has changed.

        >>> outbox = docmail.Outbox()
        >>> box.answer("rcpt", "550 5.1.1 No such mailbox", times=1)
        >>> number = outbox.add(docmail.Message("an@example.com", "Hello"))
        >>> outbox.run()
        <Run over: 1 refused>
        >>> outbox.correct_and_send(number, {"an@example.com": "ann@example.com"}).accepted
        ('ann@example.com',)
        """
        return correct_and_send(self._store.folder, id, self._usable(settings), corrected)

    def resolve(self, id: int, outcome: Literal["sent", "resend"]) -> None:  # noqa: A002 - the row's name for it
        """Decide about a mail whose outcome is unknown: it arrived ("sent"), or the next `run()` sends it ("resend").

        Either is about the recipients whose outcome is unknown: who was refused stays refused, and who was deferred
        waits. `id` is the row's. Raises `MessageError` for a mail whose outcome is not unknown (any more).

        >>> outbox = docmail.Outbox()
        >>> box.drop("end", times=1)  # the connection is lost after the last byte
        >>> number = outbox.add(docmail.Message("ann@example.com", "Hello"))
        >>> outbox.run()
        <Run over: 1 unknown>
        >>> outbox.resolve(number, "sent")
        """
        self._store.changes.resolve(id, outcome)
