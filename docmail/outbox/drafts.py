"""Saves messages as drafts in the mailbox, for a second pair of eyes: nothing is sent, or recorded as sent.

A draft has a Message-ID that says what the message is, so that the same one is not saved twice, however often a cell
runs or a program is killed: in a mailbox (IMAP) it is looked for before it is saved. Through Microsoft Graph and the
Gmail API, which give mails Message-IDs of their own and do not let every token search, it is written down in the
journal, before the request, that the draft may be there, and after it, that it was saved.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from docmail.errors import BatchError, DocmailError, Field, MessageError, OutcomeUnknown, RowProblem, SettingsError
from docmail.files import make_folder
from docmail.language import _, ngettext
from docmail.mailbox import open_mailbox
from docmail.message import BadRow, Message, completed, draft, made, rendered
from docmail.outbox.bad_rows import table_of
from docmail.outbox.batch import drafts_of
from docmail.outbox.entry import given_digest
from docmail.outbox.keys import account_of
from docmail.outbox.single_mail import threaded
from docmail.outbox.store import Store
from docmail.settings import HttpServer
from docmail.text import source_of
from docmail.transport import open_drafts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from docmail.mailbox import OpenMailbox
    from docmail.message import Merge
    from docmail.settings import Settings
    from docmail.transport import Transport

    Hold: TypeAlias = "Callable[[OpenMailbox | Transport], None]"

__all__ = ["SavedDrafts", "can_save_drafts", "save_draft", "save_drafts"]

_SAVED, _ASKED, _NOT = "saved", "asked", ""


@dataclass(frozen=True)
class SavedDrafts:
    """How many drafts were `saved` in this `folder` of the mailbox, and how many were before (`found`).

    Of those that are `unknown` an earlier request was not confirmed, so nobody knows whether they are there. `note` is
    a sentence about what a draft cannot keep (`send_at`), or empty.

    >>> print(docmail.Outbox().save_drafts(docmail.Message("ann@example.com", "Hello")))
    1 draft was saved in the folder Drafts of the mailbox; nothing was sent.
    """

    folder: str
    saved: int
    found: int = 0
    unknown: int = 0
    note: str = ""

    def __str__(self) -> str:
        said = []
        if self.saved or not (self.found or self.unknown):
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
        if self.unknown:
            sentence = ngettext(
                "{number} may be in {folder} since an earlier attempt that was not confirmed, and was not saved again: "
                "look there first. With again=True it is saved whatever is there.",
                "{number} may be in {folder} since an earlier attempt that was not confirmed, and were not saved "
                "again: look there first. With again=True they are saved whatever is there.",
                self.unknown,
            )
            said.append(sentence.format(number=f"{self.unknown:,}", folder=self.folder))
        return " ".join(filter(None, (*said, self.note)))


def can_save_drafts(settings: Settings) -> bool:
    """Say whether there is a mailbox, or a service that may let drafts in; whether it does, only it knows."""
    service = settings.server.service if isinstance(settings.server, HttpServer) else None
    if service is None or not service.drafts or settings.mailbox is not None:
        return settings.mailbox is not None
    # Google lets in for what was asked for, and docmail asks for sending; at Microsoft an administrator may allow more.
    return service.sign_in == "microsoft" or not settings.signs_in_with_token


def save_draft(message: Message, settings: Settings, *, hold: Hold, again: bool = False) -> SavedDrafts:
    """Save one message as a draft, as `save_drafts` does."""
    with closing(Store.looked_through(settings.recorded_in.outbox)) as store:
        return save_drafts(store, message, settings, hold=hold, again=again)


def save_drafts(
    store: Store,
    messages: Message | Iterable[Message] | Merge,
    settings: Settings,
    *,
    hold: Hold = lambda _way: None,
    again: bool = False,
) -> SavedDrafts:
    """Save messages as drafts: all are made and checked before the first is saved.

    `hold` gets the connection, with which another thread can abort. With `again`, those that were saved before, or may
    have been, are saved once more.
    """
    checked = _checked(store, messages, settings)
    with _alone(store, settings):
        save = _by_mailbox if settings.mailbox is not None else _by_service
        found = save(store, checked, settings, hold, again=again)
    timed = any(message.send_at is not None for message, _message_id in checked)
    note = _("A draft goes when somebody sends it; its send_at was left out.") if timed else ""
    return replace(found, note=note)


def _by_mailbox(
    _store: Store, checked: list[tuple[Message, str]], settings: Settings, hold: Hold, *, again: bool
) -> SavedDrafts:
    """Save them in the drafts folder of the mailbox (IMAP), but for those that are there, or were sent from there."""
    box = open_mailbox(settings)
    hold(box)
    with box:
        if (folder := box.drafts_folder()) is None:
            raise DocmailError(
                _("The mailbox has no folder for drafts; nothing was saved."),
                hint=_("Save a draft in your mail program once, which makes the folder, and try again."),
            )
        sent, saved = box.sent_folder(), 0
        for message, message_id in checked:
            if again or not (box.holds(message_id, folder) or box.holds(message_id, sent)):
                raw = draft(message, settings, message_id=message_id)
                box.append(folder, raw, flags=("\\Draft", "\\Seen"), when=datetime.now(UTC))
                saved += 1
    return SavedDrafts(folder, saved, len(checked) - saved)


def _by_service(
    store: Store, checked: list[tuple[Message, str]], settings: Settings, hold: Hold, *, again: bool
) -> SavedDrafts:
    """Save them through the API of the service, but for those that were saved, or may have been."""
    noted = {message_id: _NOT if again else store.journal.note(_name(message_id)) for _message, message_id in checked}
    left = [(message, message_id) for message, message_id in checked if not noted[message_id]]
    transport = open_drafts(settings)
    hold(transport)
    for message, message_id in left:
        store.journal.set_note(_name(message_id), _ASKED)
        try:
            if not transport.save_draft(rendered(message, settings, message_id)):
                raise _no_place(settings)
        except OutcomeUnknown:
            raise
        except DocmailError:
            store.journal.set_note(_name(message_id), _NOT)
            raise
        store.journal.set_note(_name(message_id), _SAVED)
    said = [*noted.values()]
    return SavedDrafts("Drafts", len(left), said.count(_SAVED), said.count(_ASKED))


def _name(message_id: str) -> str:
    return f"draft {message_id}"


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


def _no_place(settings: Settings) -> SettingsError:
    """Return the error for settings without a place for drafts."""
    service = settings.server.service if isinstance(settings.server, HttpServer) else None
    also = ""
    if service is not None and service.drafts:
        also = _(
            "The permission to send that docmail has at {service} does not include drafts: that takes {permission}."
        ).format(service=service.name, permission=service.drafts)
    return SettingsError(
        f"{_('Drafts are saved in a mailbox, and these settings have none.')} {also}".strip(),
        field=Field.MAILBOX_HOST,
        hint=_("Enter the mailbox under “After sending” in the form: docmail.SettingsForm()."),
    )


@contextmanager
def _alone(store: Store, settings: Settings) -> Iterator[None]:
    """Let one program at a time save drafts for an account: two would not see each other's."""
    if not can_save_drafts(settings):
        raise _no_place(settings)
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
