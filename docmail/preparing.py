"""Makes and checks a whole batch before any of it is written down: every row's message, its documents, its key.

Rows go through one after the other, so that the memory it takes does not grow with their number; documents may be made
by an executor a few rows ahead.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict, deque
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from docmail.documents import Document
from docmail.entry import entry_of
from docmail.errors import BatchError, DocmailError, MessageError, RowProblem
from docmail.merging import BadRow, Draft, Merge, completed, described, made
from docmail.message import Message
from docmail.queue_run import account_of
from docmail.repetition import compare
from docmail.spool import Flusher
from docmail.translation import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from docmail.entry import Entry
    from docmail.rows import Row
    from docmail.settings import Settings
    from docmail.store import Store

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

    def __repr__(self) -> str:
        skipped = f", {len(self.problems)} skipped" if self.problems else ""
        return f"<Added {self.added} to {self.batch!r}, {self.known} known{skipped}>"


def prepare(  # noqa: PLR0913, PLR0917 - what a batch is made of
    store: Store,
    messages: Iterable[Message] | Merge,
    batch: str,
    settings: Settings,
    executor: Executor | None,
    bad_rows: BadRows,
) -> Added:
    """Write a batch down, or raise `BatchError` with all that is wrong with it."""
    if not isinstance(batch, str) or not batch.strip():
        raise MessageError(
            _("A batch needs a name."), field="batch", hint=_('Give it one, such as batch="2026-11 invoices".')
        )
    if bad_rows not in {"refuse", "skip"}:
        raise MessageError(
            _("“{value}” is no way to treat bad rows.").format(value=bad_rows),
            field="bad_rows",
            hint=_('Say "refuse" (nothing is added) or "skip".'),
        )
    with TemporaryFile() as file, Flusher() as flusher:
        preparation = _Preparation(store, batch, settings, file, flusher)
        preparation.go_through(_drafts(messages), executor)
        problems = sorted(preparation.problems, key=lambda problem: problem.row)
        if problems and bad_rows == "refuse":
            number = len(problems)
            message = ngettext(
                "{number} row of {total} cannot be sent; nothing was added.",
                "{number} rows of {total} cannot be sent; nothing was added.",
                number,
            )
            raise BatchError(
                message.format(number=number, total=f"{preparation.rows:,}"),
                problems=problems,
                hint=_('Correct them, or leave them out with bad_rows="skip".'),
            )
        store.wait_for(flusher)
        added = store.add_all(preparation.entries())
    return Added(batch, added, preparation.known, tuple(problems))


def _drafts(messages: Iterable[Message] | Merge) -> Iterator[Draft | BadRow]:
    if isinstance(messages, Merge):
        yield from messages.drafts()
        return
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Message):
            error = MessageError(
                _("A batch consists of messages, not of {type}.").format(type=type(message).__name__),
                hint=_("Make them with docmail.Message(...) or docmail.merge(...)."),
            )
            yield BadRow(number, None, error)
        elif message.key is None:
            error = MessageError(
                _("The message has no key, by which it is known when the same is run again."),
                field="key",
                hint=_("Give each message a key of its own."),
            )
            yield BadRow(number, None, error)
        else:
            yield Draft(number, message)


class _Preparation:
    """One pass over the rows."""

    def __init__(self, store: Store, batch: str, settings: Settings, file: IO[bytes], flusher: Flusher) -> None:
        self._store = store
        self._batch = batch
        self._settings = settings
        self._account = account_of(settings)
        self._file = file
        self._flusher = flusher
        self._seen: dict[str, int] = {}
        self._kept: OrderedDict[object, tuple[Document, str]] = OrderedDict()
        self.problems: list[RowProblem] = []
        self.known = 0
        self.rows = 0

    def go_through(self, drafts: Iterator[Draft | BadRow], executor: Executor | None) -> None:
        """Make, check and keep every row."""
        going: deque[tuple[Draft, Row | None, _Making | None]] = deque()
        try:
            for draft in drafts:
                self.rows += 1
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
        finally:
            for _draft, _replaces, making in going:
                for part in making or ():
                    if isinstance(part, Future):
                        part.cancel()

    def entries(self) -> Iterator[tuple[Entry, Row | None]]:
        """Yield what is to be written down."""
        self._file.seek(0)
        while True:
            try:
                yield cast("tuple[Entry, Row | None]", pickle.load(self._file))  # noqa: S301 - a file without a name, which nobody else can write
            except EOFError:
                return

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
        row = self._store.with_key(self._account, self._batch, key)
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
        pickle.dump((entry, replaces), self._file, protocol=pickle.HIGHEST_PROTOCOL)

    def _keep(self, document: Document) -> str:
        source = document.source
        known = id(source) if isinstance(source, bytes) else (source, document.size, document.changed)
        if known in self._kept:
            self._kept.move_to_end(known)
            return self._kept[known][1]
        sha256 = self._store.keep(document, self._flusher)
        self._kept[known] = document, sha256  # with the document, whose id would be used again
        if len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)
        return sha256

    def _problem(self, row: int, key: str | None, error: DocmailError) -> None:
        self.problems.append(RowProblem(row, key, error.field, str(error)))


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
    except (BrokenExecutor, RuntimeError) as exc:  # the second: it was shut down
        raise _cannot_carry(exc) from exc


def _result(making: _Making) -> tuple[Document, ...]:
    found: list[Document] = []
    try:
        for part in making:
            found += part.result() if isinstance(part, Future) else (part,)
    except BrokenExecutor as exc:
        raise _ExecutorError(_cannot_carry(exc)) from exc
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        if _is_about_pickling(exc):
            raise _ExecutorError(_cannot_carry(exc)) from exc
        raise
    return tuple(found)


def _is_about_pickling(failure: Any) -> bool:
    text = str(failure).casefold()
    return isinstance(failure, pickle.PicklingError) or "pickle" in text or "can't get attribute" in text


def _cannot_carry(failure: BaseException) -> MessageError:
    return MessageError(
        _("The executor cannot run the function that makes the documents: {error}.").format(error=described(failure)),
        field="executor",
        hint=_(
            "A function that is defined in the notebook does not exist in other processes: write it into a file "
            "(%%writefile invoices.py) and import it from there; or use a ThreadPoolExecutor, or a Dask cluster."
        ),
    )
