"""What is done in the mailbox after sending: copies are filed, doubts settled, bounces looked for.

After a run it happens quietly: what goes wrong there fails no mail and no run, and is said in a sentence.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from docmail.errors import DocmailError, Field, Guide, SettingsError
from docmail.language import _
from docmail.mailbox import in_words, open_mailbox
from docmail.outbox.came_back import find_bounces
from docmail.outbox.doubts import settle_doubts
from docmail.outbox.keys import account_of
from docmail.outbox.sent_copies import file_copies
from docmail.outbox.store import Store
from docmail.settings import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docmail.mailbox import OpenMailbox
    from docmail.outbox.came_back import FoundBounces
    from docmail.outbox.doubts import SettledDoubts
    from docmail.settings import Mailbox, Settings

_SECONDS = 10.0  # to connect to the mailbox after sending, where nobody has asked for it
_SLOW = 2.0  # seconds; a mailbox that takes longer to fail is left alone for a while, so that a loop of sends goes on
_LEFT_ALONE = 60.0  # seconds

_slow: dict[Mailbox, tuple[float, str]] = {}  # until when, and why


@contextmanager
def mailbox_of(settings: Settings, timeout: float = 60.0) -> Iterator[OpenMailbox]:
    """Open the mailbox of these settings; raises `SettingsError` if they have none."""
    if settings.mailbox is None:
        raise SettingsError(
            in_words(settings),
            field=Field.MAILBOX_HOST,
            hint=_("Enter the mailbox under “After sending” in the form: docmail.SettingsForm()."),
            guide=Guide.AFTER_SENDING,
        )
    with open_mailbox(settings, timeout=timeout) as box:
        yield box


def without_bounces(settings: Settings) -> str:
    """Say that no bounces come, if the mails go through a service that sends none; otherwise nothing."""
    server = settings.server
    if not isinstance(server, HttpServer) or (server.service and server.service.has_mailbox):
        return ""
    return in_words(settings)


def work_quietly(
    store: Store,
    settings: Settings,
    *,
    batch: str | None = None,
    look: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> str:
    """Do what is to be done in the mailbox, and return in sentences what came of it; never raises.

    Without `look`, only copies are filed, and nothing is said of what went well. With a `batch`, nothing is said of
    mails outside it that stay in doubt.
    """
    if settings.mailbox is None or stopped():
        return ""
    begin = time.monotonic()
    until, reason = _slow.get(settings.mailbox, (0.0, ""))
    try:
        if not look and not store.journal.owed_copies(account_of(settings)):
            return ""
        if not look and begin < until:
            return _not_looked_into(reason)
        _slow.pop(settings.mailbox, None)
        with mailbox_of(settings, _SECONDS) as box:
            return _work(store, box, settings, batch=batch, look=look, stopped=stopped)
    except SettingsError as exc:
        if settings.recorded_in.rehearsal:
            return ""  # the packages are missing: every sandbox has a mailbox, and nobody asked for it
        reason = str(exc)
    except DocmailError as exc:
        reason = str(exc)
    except Exception as exc:  # noqa: BLE001 - what was sent is sent
        reason = f"{type(exc).__name__}: {exc}"
    if time.monotonic() - begin >= _SLOW:
        _slow[settings.mailbox] = time.monotonic() + _LEFT_ALONE, reason
    return _not_looked_into(reason)


def _not_looked_into(reason: str) -> str:
    return _("The mailbox could not be looked into after sending; it is tried again next time. {reason}").format(
        reason=reason
    )


def _work(  # noqa: PLR0913
    store: Store, box: OpenMailbox, settings: Settings, *, batch: str | None, look: bool, stopped: Callable[[], bool]
) -> str:
    copies = file_copies(store, box, settings, stopped=stopped)
    said = [str(copies)] if copies.waiting or copies.given_up or (look and copies.filed + copies.found) else []
    if not look:
        return " ".join(said)
    doubts = settle_doubts(store, box, settings, stopped=stopped)
    unknown = tuple(each for each in doubts.unknown if batch is None or store.journal.row(each).batch == batch)
    said += [str(replace(doubts, unknown=unknown))] if doubts.sent or unknown else []
    bounces = find_bounces(store, box, settings, stopped=stopped)
    said += [str(bounces)] if bounces.bounced or bounces.delayed else []
    return " ".join(said)


def look_for_bounces(
    folder: Path,
    settings: Settings,
    *,
    read: Callable[[int], bool] = lambda _number: True,
    hold: Callable[[OpenMailbox], None] = lambda _box: None,
) -> FoundBounces:
    """Do what `Outbox.find_bounces` does; `read` is notified of how many mails were read, and says whether to go on.

    `hold` gets the mailbox before it is read, so that another thread can abort it.
    """
    numbers = count(1)
    with closing(Store.looked_through(folder)) as store, mailbox_of(settings) as box:
        hold(box)
        found = find_bounces(store, box, settings, stopped=lambda: not read(next(numbers)))
        return replace(found, note=without_bounces(settings))


def look_for_copies(
    folder: Path, settings: Settings, *, hold: Callable[[OpenMailbox], None] = lambda _box: None
) -> SettledDoubts:
    """Do what `Outbox.settle_doubts` does; `hold` gets the mailbox, so that another thread can abort it."""
    with closing(Store.looked_through(folder)) as store, mailbox_of(settings) as box:
        hold(box)
        return settle_doubts(store, box, settings)
