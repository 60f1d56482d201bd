"""Makes and checks a whole batch before any of it is written down: every row's message, its documents, its key.

Rows go through one after the other, so that the memory it takes does not grow with their number; documents may be made
by an executor a few rows ahead.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sized
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from docmail.documents import Document
from docmail.errors import BatchError, DocmailError, MessageError, RowProblem
from docmail.language import _, ngettext
from docmail.message import BadRow, Draft, Merge, Message, completed, described, made
from docmail.outbox.bad_rows import table_of
from docmail.outbox.batch_names import batch_name
from docmail.outbox.entry import entry_of
from docmail.outbox.keys import compare
from docmail.outbox.observers import makings
from docmail.outbox.prepared_mails import Scratch
from docmail.outbox.spool import Flusher
from docmail.outbox.starting import account_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docmail.outbox.changes import Store
    from docmail.outbox.rows import Row
    from docmail.settings import Settings

_CANNOT_PICKLE = re.compile(r"pickl|can.t get (local )?(object|attribute)", re.IGNORECASE)

_Making = list[Document | Future[tuple[Document, ...]]]
"""What makes the documents of a row, each in its place."""

BadRows = Literal["refuse", "skip"]

_AHEAD = 64  # rows whose documents an executor makes while others are written
_REMEMBERED = 16  # documents that were just kept: what many rows share is among them
_NOBODY_GOT_IT = {"failed", "refused"}


@dataclass(frozen=True)
class Added:
    """What became of the rows of a batch: added, known from before, and those that were skipped."""

    batch: str
    added: int
    known: int
    problems: tuple[RowProblem, ...] = ()
    left_out: int = 0
    """How many rows had no value at all."""

    def __repr__(self) -> str:
        skipped = f", {len(self.problems)} skipped" if self.problems else ""
        left_out = f", {self.left_out} empty left out" if self.left_out else ""
        return f"<Added {self.added} to {self.batch!r}, {self.known} known{skipped}{left_out}>"


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
            _("“{value}” is no way to treat bad rows.").format(value=bad_rows),
            field="bad_rows",
            hint=_('Say "refuse" (nothing is added) or "skip".'),
        )
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise MessageError(
            _("The executor must be one of concurrent.futures, not {type}.").format(type=type(executor).__name__),
            field="executor",
            hint=_("Write executor=ThreadPoolExecutor(4), or leave it out."),
        )
    drafts = _drafts(messages)
    with Scratch(store) as scratch, Flusher() as flusher, ExitStack() as watchers:
        preparation = Preparation(store, batch, settings, scratch, flusher)
        preparation.total = len(messages) if isinstance(messages, Sized) else None
        for watcher in makings:
            watchers.enter_context(watcher(preparation))
        try:
            preparation.go_through(drafts, executor)
            if bad_rows == "refuse":
                _refuse(preparation)
            store.wait_for(flusher)
            preparation.writes = True
            added = store.add_all(scratch.entries())
        except BaseException:
            # Otherwise each correction of a large batch would leave all its documents on the disk for a day.
            with suppress(DocmailError):
                store.discard(scratch.contents() if scratch.is_ours else ())
            raise
    left_out = messages.left_out if isinstance(messages, Merge) else 0
    return Added(batch, added, preparation.known, tuple(preparation.problems), left_out)


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


def _drafts(messages: object) -> Iterator[Draft | BadRow]:
    if isinstance(messages, Merge):
        return messages.drafts()
    single = isinstance(messages, (str, bytes, Mapping)) or hasattr(messages, "columns")
    if single or not isinstance(messages, Iterable):
        raise _no_message(messages)
    return _given(messages)


def _given(messages: Iterable[object]) -> Iterator[Draft | BadRow]:
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Message):
            yield BadRow(number, None, _no_message(message))
        elif message.key is None:
            error = MessageError(
                _("The message has no key, by which it is known when the same is run again."),
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


class Preparation:
    """One pass over the rows; how far it is may be looked at from any thread."""

    def __init__(self, store: Store, batch: str, settings: Settings, scratch: Scratch, flusher: Flusher) -> None:
        self._store = store
        self._batch = batch
        self._settings = settings
        self._account = account_of(settings)
        self._is_new = not store.knows(self._account, batch)
        self._scratch = scratch
        self._flusher = flusher
        self._seen: dict[str, int] = {}
        self._former_rows: set[int] = set()  # each is one row of the data set, not several
        self._kept: OrderedDict[object, tuple[Document, str]] = OrderedDict()
        self.problems: list[RowProblem] = []
        self.known = 0
        self.rows = 0
        self.done = 0
        """Rows that are made and checked."""
        self.total: int | None = None
        """How many there are, if that is known."""
        self.writes = False
        """Whether they are being written down: only then is it possible that they are in the outbox."""

    def go_through(self, drafts: Iterator[Draft | BadRow], executor: Executor | None) -> None:
        """Make, check and keep every row."""
        going: deque[tuple[Draft, Row | None, _Making | None]] = deque()
        try:
            for draft in drafts:
                self.rows += 1
                self.done = self.rows - 1 - len(going)
                if isinstance(draft, BadRow):
                    self._problem(draft.row, draft.key, draft.error)
                    continue
                wanted, replaces = self._wanted(draft)
                if not wanted:
                    continue
                making = _submitted(executor, draft) if executor is not None and draft.make else None
                going.append((draft, replaces, making))
                while len(going) >= (_AHEAD if executor is not None else 1):
                    self._finish(*going.popleft())
            while going:
                self._finish(*going.popleft())
                self.done = self.rows - len(going)
            self.done = self.rows
            self.problems.sort(key=lambda problem: problem.row)
        finally:
            for _draft, _replaces, making in going:
                for part in making or ():
                    if isinstance(part, Future):
                        part.cancel()

    def _wanted(self, draft: Draft) -> tuple[bool, Row | None]:
        """Say whether the row is to be added, and which one it replaces."""
        key = cast("str", draft.message.key)
        if (first := self._seen.setdefault(key, draft.row)) != draft.row:
            self._problem(
                draft.row,
                key,
                MessageError(
                    _("Row {number} has the same key.").format(number=first),
                    field="key",
                    hint=_("Choose a column in which each row has a value of its own."),
                ),
            )
            return False, None
        # Whoever else begins this batch meanwhile is met when it is written down.
        row = None if self._is_new else self._store.with_key(self._account, self._batch, key) or self._former(draft)
        if row is None:
            return True, None
        try:
            compare(draft.message, row)
        except MessageError as exc:
            if row.state in _NOBODY_GOT_IT:
                return True, row  # corrected
            exc.message = _("It is in this batch already ({state}), as another mail. {what}").format(
                state=row.state, what=exc.message
            )
            exc.hint = _("Undo the change, use another key, or take what waits back: Outbox().withdraw(batch).")
            self._problem(draft.row, key, exc)
            return False, None
        self.known += 1
        return False, None

    def _former(self, draft: Draft) -> Row | None:
        """Return the row that version 0.1.0 wrote down for the same mail.

        It wrote some numbers in another way, and several long ones as one: which of them it was, its mail says.
        """
        if draft.former_key is None:
            return None
        row = self._store.with_key(self._account, self._batch, draft.former_key)
        if row is None or row.id in self._former_rows:
            return None
        try:
            compare(draft.message, row)
        except MessageError:
            return None
        self._former_rows.add(row.id)
        return row

    def _finish(self, draft: Draft, replaces: Row | None, making: _Making | None) -> None:
        try:
            documents = _result(making) if making is not None else made(draft.make, draft.fields or {}, draft.name)
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
            message = completed(draft.message, documents)
            mail = message.render(self._settings)
            contents = [self._keep(document) for document in message.documents]
        except MessageError as exc:
            self._problem(draft.row, draft.message.key, exc)
            return
        entry = entry_of(message, mail, account=self._account, batch=self._batch, contents=contents)
        self._scratch.add(entry, replaces)

    def _keep(self, document: Document) -> str:
        source = document.source
        known = id(source) if isinstance(source, bytes) else (source, document.size, document.changed)
        if known in self._kept:
            self._kept.move_to_end(known)
            return self._kept[known][1]
        sha256 = self._store.keep(document, self._flusher)
        self._scratch.add_content(sha256)
        self._kept[known] = document, sha256  # with the document, whose id would be used again
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)
        return sha256

    def _problem(self, row: int, key: str | None, error: DocmailError) -> None:
        # The field has a column of its own in the table.
        self.problems.append(RowProblem(row, key, error.field, str(error).removeprefix(f"{error.field}: ")))


class _ExecutorError(Exception):
    """The executor itself failed, not what it was to do."""

    def __init__(self, error: MessageError) -> None:
        super().__init__(str(error))
        self.error = error


def _submitted(executor: Executor, draft: Draft) -> _Making:
    """Have the documents of a row made; those that all rows share stay here, and need not travel."""
    try:
        return [
            part if isinstance(part, Document) else executor.submit(made, (part,), draft.fields or {}, draft.name)
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


def _result(making: _Making) -> tuple[Document, ...]:
    found: list[Document] = []
    try:
        for part in making:
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
    # raises a PicklingError. Where the wording is another again, the place tells: an executor of processes hands on
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
