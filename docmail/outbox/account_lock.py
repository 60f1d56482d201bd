"""Locks the queue of an account: one run at a time sends it, because providers count by account."""

from __future__ import annotations

import os
import platform
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from docmail.errors import DocmailError, Guide
from docmail.files import make_folder
from docmail.language import _

if TYPE_CHECKING:
    from collections.abc import Callable

    from docmail.outbox.store import Store


class BusyError(DocmailError):
    """Another run goes through the queue; it may be over in a moment."""


def lock_queue(store: Store, account: str) -> FileLock:
    """Return the lock of an account's queue, held and noted; raises `BusyError` if somebody else holds it."""
    return _locked(store, sha256(account.encode()).hexdigest()[:16], busy)


def lock_waiting(store: Store, account: str) -> FileLock:
    """Return the lock of the one program that waits for an account's later mails, held and noted.

    Raises `DocmailError` if another one waits.
    """
    return _locked(store, f"{sha256(account.encode()).hexdigest()[:16]}-waiting", _waited_for)


def _locked(store: Store, name: str, taken: Callable[[str], DocmailError]) -> FileLock:
    folder = store.folder / "runs"
    lock = FileLock(folder / f"{name}.lock", thread_local=False, mode=0o600)
    with store.file.explained():
        try:
            make_folder(folder)
            lock.acquire(timeout=0)
        except Timeout as exc:
            raise taken(store.journal.note(f"run {name}") or _("another program")) from exc
    moment = datetime.now().astimezone()
    who = _("process {number} on {computer}, since {time:%H:%M}").format(
        number=os.getpid(), computer=platform.node() or "?", time=moment
    )
    try:
        store.journal.set_note(f"run {name}", who)
    except BaseException:
        lock.release()  # a traceback that is kept would hold it, and this program would wait for itself
        raise
    return lock


def busy(who: str, batch: str | None = None) -> BusyError:
    """Return the error for a queue that somebody else is sending."""
    what = _("the batch {batch}").format(batch=batch) if batch else _("this account's queue")
    return BusyError(
        _("Somebody is sending {what} already: {who}. Nothing was sent from here.").format(what=what, who=who),
        hint=_("Wait until that is done, or stop it there; single emails go out in between."),
        guide=Guide.SENDING,
    )


def _waited_for(who: str) -> DocmailError:
    return DocmailError(
        _("Another program waits already for the mails of this account that are due later: {who}.").format(who=who),
        hint=_("Leave it running, or end it first; one is enough."),
        guide=Guide.SENDING,
    )
