"""Saves messages as drafts in the mailbox, for a second pair of eyes: nothing is sent, or recorded as sent.

A draft has a Message-ID that says what the message is, so that the same one is not saved twice, however often a cell
runs or a program is killed: it is looked for before it is saved.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from docmail.errors import BatchError, DocmailError, Field, MessageError, RowProblem, SettingsError
from docmail.files import make_folder
from docmail.language import _, ngettext
from docmail.mailbox import open_mailbox
from docmail.message import BadRow, Message, completed, draft, made
from docmail.outbox.bad_rows import table_of
from docmail.outbox.batch import drafts_of
from docmail.outbox.entry import given_digest
from docmail.outbox.keys import account_of
from docmail.outbox.single_mail import threaded
from docmail.outbox.store import Store
from docmail.settings import HttpServer
from docmail.text import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from docmail.mailbox import OpenMailbox
    from docmail.message import Merge
    from docmail.settings import Settings

__all__ = ["SavedDrafts", "save_draft", "save_drafts"]


@dataclass(frozen=True)
class SavedDrafts:
    """How many drafts were `saved` in this `folder` of the mailbox, and how many were there already (`found`).

    `note` is a sentence about what a draft cannot keep (`send_at`), or empty.

    >>> print(docmail.Outbox().save_drafts(docmail.Message("ann@example.com", "Hello")))
    1 draft was saved in the folder Drafts of the mailbox; nothing was sent.
    """

    folder: str
    saved: int
    found: int = 0
    note: str = ""

    def __str__(self) -> str:
        said = []
        if self.saved or not self.found:
            sentence = ngettext(
                "{number} draft was saved in the folder {folder} of the mailbox; nothing was sent.",
                "{number} drafts were saved in the folder {folder} of the mailbox; nothing was sent.",
                self.saved,
            )
            said.append(sentence.format(number=f"{self.saved:,}", folder=self.folder))
        if self.found:
            sentence = ngettext(
                "{number} is in the mailbox already.", "{number} are in the mailbox already.", self.found
            )
            said.append(sentence.format(number=f"{self.found:,}"))
        return " ".join(filter(None, (*said, self.note)))


def save_draft(message: Message, settings: Settings, *, hold: Callable[[OpenMailbox], None]) -> SavedDrafts:
    """Save one message as a draft, as `save_drafts` does."""
    with closing(Store.looked_through(settings.recorded_in.outbox)) as store:
        return save_drafts(store, message, settings, hold=hold)


def save_drafts(
    store: Store,
    messages: Message | Iterable[Message] | Merge,
    settings: Settings,
    *,
    hold: Callable[[OpenMailbox], None] = lambda _box: None,
) -> SavedDrafts:
    """Save messages as drafts: all are made and checked before the first is saved.

    `hold` gets the mailbox, with which another thread can abort.
    """
    checked = _checked(store, messages, settings)
    with _alone(store, settings):
        box = open_mailbox(_with_mailbox(settings))
        hold(box)
        with box:
            if (folder := box.drafts_folder()) is None:
                raise DocmailError(
                    _("The mailbox has no folder for drafts; nothing was saved."),
                    hint=_("Save a draft in your mail program once, which makes the folder, and try again."),
                )
            sent, saved = box.sent_folder(), 0
            for message, message_id in checked:
                if not (box.holds(message_id, folder) or box.holds(message_id, sent)):
                    raw = draft(message, settings, message_id=message_id)
                    box.append(folder, raw, flags=("\\Draft", "\\Seen"), when=datetime.now(UTC))
                    saved += 1
    timed = any(message.send_at is not None for message, _message_id in checked)
    note = _("A draft goes when somebody sends it; its send_at was left out.") if timed else ""
    return SavedDrafts(folder, saved, len(checked) - saved, note)


def _checked(
    store: Store, messages: Message | Iterable[Message] | Merge, settings: Settings
) -> list[tuple[Message, str]]:
    """Return the messages, each with its Message-ID and its documents, once; raises `BatchError` if any cannot be."""
    if isinstance(messages, Message):
        messages = [messages]
    found: dict[str, Message] = {}
    problems: list[RowProblem] = []
    for each in drafts_of(messages, need_keys=False):
        try:
            if isinstance(each, BadRow):
                raise each.error
            documents = made(each.make, each.fields or {}, each.name, each.message.look)
            message = threaded(store, completed(each.message, documents))
            message.render(settings)  # what is wrong with it is said before the first is saved
        except DocmailError as exc:
            key = each.key if isinstance(each, BadRow) else each.message.key
            problems.append(RowProblem(each.row, key, exc.field, str(exc)))
        else:
            found.setdefault(_message_id(message, settings), message)
    if problems:
        sentence = ngettext(
            "{number} row cannot be a draft; nothing was saved.",
            "{number} rows cannot be drafts; nothing was saved.",
            len(problems),
        )
        raise BatchError(sentence.format(number=f"{len(problems):,}"), problems=problems, table=table_of(problems))
    return [(message, message_id) for message_id, message in found.items()]


def _message_id(message: Message, settings: Settings) -> str:
    """Return a Message-ID that the same message has again, and no other; documents count by their names."""
    people = (",".join(sorted(each.mailbox for each in field)) for field in (message.to, message.cc, message.bcc))
    said = (account_of(settings), message.key or "", *people, source_of(message.subject), given_digest(message))
    names = (document.name for document in message.documents)
    digest = sha256("\0".join((*said, *names)).encode("utf-8", "surrogatepass")).hexdigest()
    return f"<draft-{digest[:32]}@{settings.address.domain}>"


def _with_mailbox(settings: Settings) -> Settings:
    """Return settings that have a mailbox; raises `SettingsError` for others."""
    if settings.mailbox is None:
        service = settings.server.service if isinstance(settings.server, HttpServer) else None
        also = ""
        if service is not None and service.api in {"gmail", "graph"}:
            also = _("The permission to send that docmail has at {service} does not include drafts.").format(
                service=service.name
            )
        raise SettingsError(
            f"{_('Drafts are saved in a mailbox, and these settings have none.')} {also}".strip(),
            field=Field.MAILBOX_HOST,
            hint=_("Enter the mailbox under “After sending” in the form: docmail.SettingsForm()."),
        )
    return settings


@contextmanager
def _alone(store: Store, settings: Settings) -> Iterator[None]:
    """Let one program at a time save drafts for an account: two would not see each other's."""
    _with_mailbox(settings)
    folder = store.folder / "runs"
    name = sha256(account_of(settings).encode()).hexdigest()[:16]
    with store.file.explained():
        make_folder(folder)
        lock = FileLock(folder / f"drafts-{name}.lock", thread_local=False, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout as exc:
        raise MessageError(
            _("Another program is saving drafts for this account."), hint=_("Wait until it is done, and try again.")
        ) from exc
    try:
        yield
    finally:
        lock.release()
