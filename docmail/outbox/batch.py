"""Generates and checks a whole batch before any of it is written down: every row's message, its documents, its key.

Rows go through one after the other, so that the memory it takes does not grow with their number; documents may be made
by an executor a few rows ahead.
"""

from __future__ import annotations

import pickle
import re
import warnings
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sized
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, cast

from docmail.documents import Document
from docmail.errors import BatchError, DocmailError, MessageError, RowProblem
from docmail.language import _, ngettext
from docmail.message import BadRow, Draft, Merge, Message, completed, described, made
from docmail.outbox import observers
from docmail.outbox.bad_rows import table_of
from docmail.outbox.entry import entry_of
from docmail.outbox.keys import account_of, conflict, gives_way
from docmail.outbox.later import is_due, past_text
from docmail.outbox.observers import BatchProgress
from docmail.outbox.prepared_mails import Scratch
from docmail.outbox.rows import State
from docmail.outbox.single_mail import threaded
from docmail.outbox.spool import Flusher

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from docmail.outbox.entry import Entry
    from docmail.outbox.rows import Row
    from docmail.outbox.store import Store
    from docmail.settings import Settings

_CANNOT_PICKLE = re.compile(r"pickl|can.t get (local )?(object|attribute)", re.IGNORECASE)

_Documents = list[Document | Future[tuple[Document, ...]]]
"""What makes the documents of a row, each in its place."""

BadRows = Literal["refuse", "skip"]

_AHEAD = 64  # rows whose documents an executor generates while others are written
_REMEMBERED = 16  # documents that were just kept: what many rows share is among them


@dataclass(frozen=True)
class Added:
    """What became of the rows of a batch: `added`, `known` from before, and those with `problems` that were skipped.

    >>> messages = docmail.merge(frame, key="Customer", to="{{ row['E-mail'] }}", subject="Hello")
    >>> outbox = docmail.Outbox()
    >>> added = outbox.add_all(messages, batch="2026-11")
    >>> outbox.add_all(messages, batch="2026-11").known
    2
    """

    batch: str
    added: int
    known: int
    problems: tuple[RowProblem, ...] = ()
    left_out: int = 0
    """How many rows had no value at all."""
    notes: tuple[RowProblem, ...] = ()
    """What one should know about mails that were added all the same."""
    moved: int = 0
    """How many of the known mails waited for another time (`send_at`), and now wait for that of this call."""

    def __repr__(self) -> str:
        skipped = f", {len(self.problems)} skipped" if self.problems else ""
        left_out = f", {self.left_out} empty left out" if self.left_out else ""
        noted = f", {len(self.notes)} with a note" if self.notes else ""
        moved = f", {self.moved} of them moved to another time" if self.moved else ""
        return f"<Added {self.added} to {self.batch!r}, {self.known} known{moved}{skipped}{left_out}{noted}>"


def batch_name(value: object) -> str:
    """Return the name of a batch without the blanks around it; raises `MessageError` for anything that is no name."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if value is None or isinstance(value, str):
        sentence = _("A batch needs a name.")
    else:
        sentence = _("The name of a batch must be text, not {type}.").format(type=type(value).__name__)
    raise MessageError(sentence, field="batch", hint=_('Give it one, such as batch="2026-11 invoices".'))


def batch_or_all(value: object) -> str | None:
    """Return the name of a batch; None where all of them are meant."""
    return None if value is None else batch_name(value)


def prepare(  # noqa: PLR0913, PLR0917 - what a batch is made of
    store: Store,
    messages: Iterable[Message] | Merge,
    batch: str,
    settings: Settings,
    executor: Executor | None,
    bad_rows: BadRows,
) -> Added:
    """Write a batch down, or raise `BatchError` with all that is wrong with it."""
    batch = batch_name(batch)
    if bad_rows not in {"refuse", "skip"}:
        raise MessageError(
            _("bad_rows cannot be “{value}”.").format(value=bad_rows),
            field="bad_rows",
            hint=_('Say "refuse" (nothing is added) or "skip".'),
        )
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise MessageError(
            _("The executor must be one of concurrent.futures, not {type}.").format(type=type(executor).__name__),
            field="executor",
            hint=_("Write executor=ThreadPoolExecutor(4), or leave it out."),
        )
    drafts = drafts_of(messages)
    with Scratch(store) as scratch, Flusher() as flusher, ExitStack() as observed:
        preparation = Preparation(store, batch, settings, scratch, flusher)
        preparation.progress.total = len(messages) if isinstance(messages, Sized) else None
        for observer in observers.preparations:
            observed.enter_context(observer(preparation.progress))
        try:
            preparation.go_through(drafts, executor)
            if bad_rows == "refuse":
                _refuse(preparation)
            store.changes.wait_for(flusher)
            preparation.progress.writes = True
            with store.file.transaction():
                moved = sum(store.changes.move(number, moment) for number, moment in preparation.moves)
                added = store.changes.add_all(preparation.written())
        except BaseException:
            # Otherwise each correction of a large batch would leave all its documents on the disk for a day.
            with suppress(DocmailError):
                store.changes.discard(scratch.contents() if scratch.is_ours else ())
            raise
    left_out = messages.left_out if isinstance(messages, Merge) else 0
    notes = tuple(preparation.notes)
    if notes:
        warnings.warn(_noted(notes), stacklevel=3)
    return Added(batch, added, preparation.known, tuple(preparation.problems), left_out, notes, moved)


def _noted(notes: Sequence[RowProblem]) -> str:
    """Return the first note, and of how many rows it is one."""
    message = ngettext(
        "{number} mail was added, but look at it first: row {row}: {note}",
        "{number} mails were added, but look at them first, as at row {row}: {note}",
        len(notes),
    )
    return message.format(number=f"{len(notes):,}", row=f"{notes[0].row:,}", note=notes[0].message)


def _refuse(preparation: Preparation) -> None:
    """Raise what is wrong with the rows, if anything is."""
    number = len(preparation.problems)
    if not number:
        return
    message = ngettext(
        "{number} row of {total} cannot be sent; nothing was added.",
        "{number} rows of {total} cannot be sent; nothing was added.",
        number,
    )
    raise BatchError(
        message.format(number=f"{number:,}", total=f"{preparation.rows:,}"),
        problems=preparation.problems,
        table=table_of(preparation.problems),
        hint=_('Correct them, or leave them out with bad_rows="skip".'),
    )


def drafts_of(messages: object, *, need_keys: bool = True) -> Iterator[Draft | BadRow]:
    """Yield the message of each row, or what is wrong with it; raises `MessageError` for what is no batch."""
    if isinstance(messages, Merge):
        return messages.drafts()
    single = isinstance(messages, (str, bytes, Mapping)) or hasattr(messages, "columns")
    if single or not isinstance(messages, Iterable):
        raise _no_message(messages)
    return _given(messages, need_keys=need_keys)


def _given(messages: Iterable[object], *, need_keys: bool) -> Iterator[Draft | BadRow]:
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Message):
            yield BadRow(number, None, _no_message(message))
        elif need_keys and message.key is None:
            error = MessageError(
                _("The message has no key; docmail needs one to recognise the message when the batch runs again."),
                field="key",
                hint=_("Give each message a key of its own."),
            )
            yield BadRow(number, None, error)
        else:
            yield Draft(number, message)


def _no_message(thing: object) -> MessageError:
    if isinstance(thing, Message):
        return MessageError(
            _("A batch consists of several messages; this is a single one."),
            hint=_("Write add_all([message], batch=...), or add(message)."),
        )
    return MessageError(
        _("A batch consists of messages, not of {type}.").format(type=type(thing).__name__),
        hint=_("Make them with docmail.merge(...), or give a list of docmail.Message(...)."),
    )


@dataclass(eq=False)
class Preparation:
    """One pass over the rows of a batch: they are generated, checked, and written down if all are well."""

    store: Store
    batch: str
    settings: Settings
    scratch: Scratch
    flusher: Flusher
    problems: list[RowProblem] = field(default_factory=list)
    notes: list[RowProblem] = field(default_factory=list)
    known: int = 0
    moves: list[tuple[int, float | None]] = field(default_factory=list)
    """Known mails that wait for another time than they have now, with that one."""
    rows: int = 0
    progress: BatchProgress = field(default_factory=BatchProgress)
    _seen: _Keys = field(default_factory=lambda: _Keys())  # noqa: PLW0108 - it stands below
    _former_rows: set[int] = field(default_factory=set)  # each is one row of the data set, not several
    _kept: OrderedDict[object, tuple[Document, str]] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._account = account_of(self.settings)
        self._is_new = not self.store.journal.knows(self._account, self.batch)

    def go_through(self, drafts: Iterator[Draft | BadRow], executor: Executor | None) -> None:
        """Make, check and keep every row."""
        going: deque[tuple[Draft, Row | None, _Documents | None]] = deque()
        try:
            for draft in drafts:
                self.rows += 1
                self.progress.done = self.rows - 1 - len(going)
                if isinstance(draft, BadRow):
                    self._problem(draft.row, draft.key, draft.error)
                    continue
                wanted, replaces = self._wanted(draft)
                if not wanted:
                    continue
                generating = _submitted(executor, draft) if executor is not None and draft.make else None
                going.append((draft, replaces, generating))
                while len(going) >= (_AHEAD if executor is not None else 1):
                    self._finish(*going.popleft())
            while going:
                self._finish(*going.popleft())
                self.progress.done = self.rows - len(going)
            self.progress.done = self.rows
            self.problems.sort(key=lambda problem: problem.row)
        finally:
            for _draft, _replaces, generating in going:
                for part in generating or ():
                    if isinstance(part, Future):
                        part.cancel()

    def written(self) -> Iterator[tuple[Entry, Row | None]]:
        """Yield what is to be written down, and count it."""
        for number, entry in enumerate(self.scratch.entries()):
            self.progress.written = number
            yield entry

    def _wanted(self, draft: Draft) -> tuple[bool, Row | None]:
        """Say whether the row is to be added, and which one it replaces."""
        key = cast("str", draft.message.key)
        row: Row | None = None
        if (first := self._seen.first(key, draft.row)) != draft.row:
            what = _("Row {number} has the same key.").format(number=first)
            hint = _("Choose a column in which each row has a value of its own.")
        else:
            # If another program begins this batch meanwhile, that is noticed when it is written down.
            if not self._is_new:
                row = self.store.journal.with_key(self._account, self.batch, key) or self._former(draft)
            other = conflict(draft.message, row) if row is not None else ""
            if row is None or (other and gives_way(draft.message, row)):
                return True, row  # new, or corrected
            if not other:
                self.known += 1
                self._move(row, draft.message)
                return False, None
            what = _("This key is in the batch already ({state}), for a different mail. {what}").format(
                state=row.state, what=other
            )
            hint = _("Undo the change, use another key, or withdraw the mails that wait: Outbox().withdraw(batch).")
        self._problem(draft.row, key, MessageError(what, field="key", hint=hint))
        return False, None

    def _move(self, row: Row, message: Message) -> None:
        """Have a mail that waits go at the time that it has in the data now."""
        moment = message.send_at
        if row.state == State.QUEUED and row.send_at != moment and not (is_due(row.send_at) and is_due(moment)):
            self.moves.append((row.id, None if moment is None else moment.timestamp()))

    def _former(self, draft: Draft) -> Row | None:
        """Return the row that version 0.1.0 wrote down for the same mail.

        It wrote some numbers in another way, and several long ones as one: which of them it was, its mail says.
        """
        if draft.former_key is None:
            return None
        row = self.store.journal.with_key(self._account, self.batch, draft.former_key)
        if row is None or row.id in self._former_rows or conflict(draft.message, row):
            return None
        self._former_rows.add(row.id)
        return row

    def _finish(self, draft: Draft, replaces: Row | None, generating: _Documents | None) -> None:
        try:
            documents = (
                _result(generating)
                if generating is not None
                else made(draft.make, draft.fields or {}, draft.name, draft.message.look)
            )
        except _ExecutorError as exc:
            raise exc.error from exc.__cause__
        except DocmailError as exc:
            self._problem(draft.row, draft.message.key, exc)
            return
        except Exception as exc:  # noqa: BLE001 - whatever a function of the user's raises is about its row
            error = MessageError(
                _("Its document could not be made: {error}.").format(error=described(exc)), field="documents"
            )
            self._problem(draft.row, draft.message.key, error)
            return
        try:
            message = threaded(self.store, completed(draft.message, documents))
            mail = message.render(self.settings)
            contents = [self._keep(document) for document in message.documents]
        except MessageError as exc:
            self._problem(draft.row, draft.message.key, exc)
            return
        for field_name, advice in (("body", mail.advice), ("send_at", past_text(message))):
            if advice:
                self.notes.append(RowProblem(draft.row, message.key, field_name, advice))
        entry = entry_of(message, mail, account=self._account, batch=self.batch, contents=contents)
        self.scratch.add(entry, replaces)

    def _keep(self, document: Document) -> str:
        source = document.source
        known = id(source) if isinstance(source, bytes) else (source, document.size, document.changed)
        if known in self._kept:
            self._kept.move_to_end(known)
            return self._kept[known][1]
        sha256 = self.store.changes.keep(document, self.flusher)
        self.scratch.add_content(sha256)
        self._kept[known] = document, sha256  # with the document, whose id would be used again
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)
        return sha256

    def _problem(self, row: int, key: str | None, error: DocmailError) -> None:
        # The field has a column of its own in the table.
        self.problems.append(RowProblem(row, key, error.field, str(error).removeprefix(f"{error.field}: ")))


class _Keys:
    """In which row each key was first, in little memory: a table with a free place for each that is taken, or more.

    It holds eight octets of a key's digest; a million keys have two of the same once in forty million such batches.
    """

    def __init__(self) -> None:
        self._taken = 0
        self._clear(1024)

    def _clear(self, places: int) -> None:
        self._digests = array("Q", bytes(8 * places))
        self._rows = array("I", bytes(4 * places))  # 0: free

    def first(self, key: str, row: int) -> int:
        """Return the row that had a key first; this one, if none had it before."""
        if 2 * self._taken >= len(self._rows):
            digests, rows = self._digests, self._rows
            self._clear(2 * len(rows))
            for digest, each in zip(digests, rows, strict=True):
                if each:
                    self._put(digest, each)
        first = self._put(int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()), row)
        self._taken += first == row
        return first

    def _put(self, digest: int, row: int) -> int:
        place = digest % len(self._rows)
        while self._rows[place]:
            if self._digests[place] == digest:
                return self._rows[place]
            place = (place + 1) % len(self._rows)
        self._digests[place], self._rows[place] = digest, row
        return row


class _ExecutorError(Exception):
    """The executor itself failed, not what it was to do."""

    def __init__(self, error: MessageError) -> None:
        super().__init__(str(error))
        self.error = error


def _submitted(executor: Executor, draft: Draft) -> _Documents:
    """Have the documents of a row made; those that all rows share stay here, and need not travel."""
    try:
        return [
            part
            if isinstance(part, Document)
            else executor.submit(made, (part,), draft.fields or {}, draft.name, draft.message.look)
            for part in draft.make
        ]
    except BrokenExecutor as exc:
        raise _broken(exc) from exc
    except RuntimeError as exc:
        raise MessageError(
            _("The executor takes no more work: {error}.").format(error=described(exc)),
            field="executor",
            hint=_("It was shut down: make a new one, and call add_all(...) inside its “with”."),
        ) from exc


def _result(generating: _Documents) -> tuple[Document, ...]:
    found: list[Document] = []
    try:
        for part in generating:
            found += part.result() if isinstance(part, Future) else (part,)
    except BrokenExecutor as exc:
        raise _ExecutorError(_broken(exc)) from exc
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        if _is_about_pickling(exc):
            raise _ExecutorError(_cannot_carry(exc)) from exc
        raise
    return tuple(found)


def _broken(failure: BrokenExecutor) -> MessageError:
    return MessageError(
        _("A process of the executor ended while it made documents: {error}.").format(error=described(failure)),
        field="executor",
        hint=_(
            "A function that is defined in the notebook does not exist in other processes: write it into a file "
            "(%%writefile invoices.py) and import it from there. If it is in one, the process ran out of memory or "
            "a library crashed: use fewer processes, or none, which shows the row."
        ),
    )


def _is_about_pickling(failure: BaseException) -> bool:
    # Python 3.11 and 3.12 say "Can't pickle local object" in an AttributeError, 3.13 "Can't get local object", and 3.14
    # raises a PicklingError. Where the wording differs, the place decides: an executor of processes hands on
    # the traceback of what failed in carrying a call or its result as the cause.
    if isinstance(failure, pickle.PicklingError) or _CANNOT_PICKLE.search(str(failure)):
        return True
    return "multiprocessing" in (carried := str(failure.__cause__)) and "ForkingPickler" in carried


def _cannot_carry(failure: BaseException) -> MessageError:
    return MessageError(
        _("The executor cannot run the function that makes the documents: {error}.").format(error=described(failure)),
        field="executor",
        hint=_(
            "A function that is defined in the notebook does not exist in other processes: write it into a file "
            "(%%writefile invoices.py) and import it from there; or use a ThreadPoolExecutor, or a Dask cluster."
        ),
    )
