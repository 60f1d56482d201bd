"""Looks back at what was sent: finds mails by who, what, when and what the server said, and shows what is in one.

The journal may hold many thousands of mails, so that every question is put to its tables; nothing here reads them all.
"""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from docmail import home as homes
from docmail.addresses import parse_address
from docmail.documents import Document
from docmail.errors import MessageError
from docmail.language import _
from docmail.message import arrived
from docmail.outbox import earlier_use
from docmail.outbox.journal import no_journal, unusable
from docmail.outbox.keys import account_of, has_same_body
from docmail.outbox.rows import Role, State
from docmail.outbox.schema import JOURNAL, STATE
from docmail.outbox.spool import SpoolFile, sha256_of
from docmail.outbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from docmail.addresses import Address
    from docmail.message import Arrived, Mail, Message
    from docmail.outbox.journal import Journal
    from docmail.outbox.rows import Row
    from docmail.settings import Settings

_PERHAPS = (State.SENDING, State.SENT, State.UNKNOWN)  # what bounced has not arrived
_RECENT = timedelta(days=1)
_REPLY = "json_extract({0}, '$[0]') || ' ' || ifnull(json_extract({0}, '$[1]') || ' ', '') || json_extract({0}, '$[2]')"
"""A reply as people read it, in SQL; it is kept as code, enhanced code, text (see rows.py)."""

_WORDS = re.compile(r"[ !#-\[\]-~]+")  # which JSON writes as they are
_PORTION = 200  # rows

_RECIPIENTS = """
SELECT address, max(mail) AS latest FROM recipient JOIN mail ON mail.id = mail
WHERE account = ? AND role <> 'archive' AND address LIKE ? ESCAPE '\\'
GROUP BY lower(address) ORDER BY latest DESC LIMIT ?"""
"""To whom an account has written, each with the number of the last mail."""


@dataclass(frozen=True)
class Wanted:
    """Which mails to look for: every part that is given must fit; an empty one fits all.

    `who` is part of an address or of the user's name, `what` of the subject, a document's name, a key or a batch,
    `reply` of what the server said.
    """

    who: str = ""
    what: str = ""
    state: str = ""
    reply: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Some of the mails that fit, the newest first; `counts` is how many there are in all, by state."""

    rows: tuple[Row, ...]
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """How many mails fit the search."""
        return sum(self.counts.values())


def _condition(wanted: Wanted) -> tuple[str, list[Any]]:
    """Return the condition for the mails that are looked for, with the values for its question marks."""
    parts: list[str] = []
    parameters: list[Any] = []
    recipients = "SELECT mail FROM recipient WHERE {0} LIKE ? ESCAPE '\\'"
    for text, alternatives in (
        (wanted.who, ["sender", "user", f"id IN ({recipients.format('address')})"]),
        (
            wanted.what,
            [*("subject", "key", "batch"), "id IN (SELECT mail FROM attachment WHERE name LIKE ? ESCAPE '\\')"],
        ),
    ):
        if text.strip():
            parts.append(" OR ".join(each if "?" in each else f"{each} LIKE ? ESCAPE '\\'" for each in alternatives))
            parameters += [_part(text)] * len(alternatives)
    if reply := wanted.reply.strip():
        # To parse the replies of 50,000 mails takes too long: words are looked for in their order in what stands there.
        as_kept = _WORDS.fullmatch(reply) and reply.lower() not in "null"
        place, part = (
            ("reply", "%".join(map(_part, reply.split()))) if as_kept else (_REPLY.format("reply"), _part(reply))
        )
        fits = f"{place} LIKE ? ESCAPE '\\'"
        parts.append(f"{fits} OR reason LIKE ? ESCAPE '\\' OR id IN (SELECT mail FROM recipient WHERE {fits})")  # noqa: S608 - ours
        parameters += [part, _part(reply), part]
    for value, comparison in (
        (wanted.state, f"{STATE} = ?"),
        (wanted.since and wanted.since.timestamp(), "created >= ?"),
        (wanted.until and wanted.until.timestamp(), "created < ?"),
    ):
        if value:
            parts.append(comparison)
            parameters.append(value)
    return " AND ".join(f"({part})" for part in parts) or "1", parameters


class History:
    """The journal, to be looked back at."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._file = journal.file

    def page(self, wanted: Wanted, *, begin: int = 0, limit: int = 25) -> Page:
        """Return the mails that fit from the one at `begin`, the newest being 0."""
        condition, values = _condition(wanted)
        if not values:  # both are looked up in an index
            numbers = self._file.numbers("SELECT id FROM mail ORDER BY id DESC LIMIT ? OFFSET ?", (limit, begin))
            counts = self.journal.count()
        else:
            found = self._file.ask(
                f"SELECT id, {STATE} FROM mail WHERE {condition} ORDER BY id DESC LIMIT ? OFFSET ?",  # noqa: S608 - ours
                (*values, limit, begin),
            )
            numbers = [number for number, _state in found]
            if begin == 0 and len(found) < limit:  # these are all: the condition is put to each mail once
                counts = dict(Counter(state for _number, state in found))
            else:  # counted where they are: to fetch 50,000 rows takes longer than to look for them
                by_state = f"SELECT {STATE}, count(*) FROM mail WHERE {condition} GROUP BY 1"  # noqa: S608 - ours
                counts = {str(state): int(number) for state, number in self._file.ask(by_state, values)}
        return Page(tuple(reversed(self.journal.rows(numbers))), counts)

    def rows(self, wanted: Wanted) -> Iterator[Row]:
        """Return all mails that fit, the newest first, each as it is when its portion is read."""
        condition, values = _condition(wanted)
        numbers = self._file.numbers(f"SELECT id FROM mail WHERE {condition} ORDER BY id DESC", values)  # noqa: S608 - ours
        for begin in range(0, len(numbers), _PORTION):
            yield from reversed(self.journal.rows(numbers[begin : begin + _PORTION]))

    def last_with(self, *, sha256: str = "", name: str = "") -> Row | None:
        """Return the last mail that went out, or may have, with a document of this content, or of this name."""
        column = "sha256" if sha256 else "name"
        newest = self._file.value(
            "SELECT max(mail) FROM attachment JOIN mail ON mail.id = mail"  # noqa: S608 - ours
            f" WHERE attachment.{column} = ? AND state IN ('sent', 'unknown')",
            (sha256 or name,),
        )
        return None if newest is None else self.journal.row(newest)

    def perhaps_sent(self, subject: str, recipients: Collection[str]) -> list[Row]:
        """Return the mails with a subject that went, or may have gone, to any of these addresses, newest last.

        The addresses are in small letters.
        """
        listed = ", ".join("?" * len(recipients))
        return self.journal.rows(
            self._file.numbers(
                "SELECT id FROM mail WHERE state IN (?, ?, ?) AND subject = ?"  # noqa: S608 - ours
                f" AND id IN (SELECT mail FROM recipient WHERE lower(address) IN ({listed}))",
                (*_PERHAPS, subject, *recipients),
            )
        )

    def recipients_of(self, account: str, typed: str, limit: int) -> list[tuple[str, int]]:
        """Return the addresses with this text to which an account has written, each with the number of its last mail.

        The one of the latest mail comes first.
        """
        return [(address, number) for address, number in self._file.ask(_RECIPIENTS, (account, _part(typed), limit))]

    def documents(self, number: int) -> tuple[Document, ...]:
        """Return the documents of a mail; raises `MessageError` if its content is no longer kept."""
        found = []
        for attachment in self.journal.mail(number).attachments:
            assert isinstance(attachment.source, SpoolFile)  # noqa: S101 - the journal's mails have no others
            path = attachment.source.path
            gone = MessageError(
                _("The document {name} is no longer in the outbox.").format(name=attachment.name),
                hint=_("Make it again and send it again."),
            )
            try:
                changed = path.stat().st_mtime_ns
            except OSError as exc:
                raise gone from exc
            media_type = attachment.media_type.partition(";")[0]  # without the charset, which a document finds itself
            document = Document(attachment.name, media_type, path, attachment.size, changed)
            if sha256_of(document) != attachment.source.sha256:
                raise gone  # another content is in its place
            found.append(document)
        return tuple(found)

    def arrived(self, number: int) -> Arrived | None:
        """Return what the recipients of a mail see of it; None if its content is no longer kept."""
        try:
            return arrived(self.journal.mail(number).parsed())
        except MessageError:
            return None

    def eml(self, number: int) -> bytes:
        """Return a mail as a file that mail programs open: as it went out, with its documents, without Bcc."""
        return b"".join(self.journal.mail(number).wire())


def folder_of(settings: Settings | None) -> Path:
    """Return where the mail of these settings is recorded (None: of the home in force)."""
    return (settings.recorded_in if settings else homes.current()).outbox


def has_history(folder: Path) -> bool:
    """Say whether there is a journal in a folder, or was one: then opening it reports that it is gone."""
    try:
        return (folder / JOURNAL).exists() or earlier_use.show_use(folder)
    except OSError as exc:
        raise unusable(folder, exc) from exc


@contextmanager
def history_if_any(folder: Path) -> Iterator[History | None]:
    """Open the journal in a folder to read it; None if the folder has none. It makes no file."""
    if not has_history(folder):
        yield None
        return
    with closing(Store(folder)) as store:
        store.changes.recover()
        yield History(store.journal)


@contextmanager
def history_of(folder: Path) -> Iterator[History]:
    """Open the journal in a folder that must be there."""
    with history_if_any(folder) as history:
        if history is None:
            raise no_journal(folder)
        yield history


# --- questions that come up while a mail is written ---


def last_emailed(document: Document, settings: Settings | None) -> tuple[Row, bool] | None:
    """Return the mail with which a document went out last, and whether its content was the same.

    A document that is made again differs in its content; it is then recognised by its name, if that is its own.
    """
    with history_if_any(folder_of(settings)) as history:
        if history is None:
            return None
        if (found := history.last_with(sha256=sha256_of(document))) is not None:
            return found, True
        found = None if document.is_unnamed else history.last_with(name=document.name)
        return None if found is None else (found, False)


@dataclass(frozen=True)
class Earlier:
    """A mail that said the same as one that is being written: the row, and who of its recipients has got it.

    `same` is whether the documents are the very same, and not only named so.
    """

    row: Row
    people: tuple[str, ...]
    same: bool


def sent_before(message: Message, settings: Settings) -> Earlier | None:
    """Return the latest mail with which somebody got the same documents under the same subject already.

    A document that is made again differs in its content (a PDF in its date); for a day, one of the same name is taken
    for it. A mail without documents is the same if its text is.
    """
    with history_if_any(folder_of(settings)) as history:
        if history is None:
            return None
        recipients = {address.addr_spec.lower() for address in (*message.to, *message.cc, *message.bcc)}
        contents = {sha256_of(document) for document in message.documents}
        names = sorted(document.name for document in message.documents)
        # The tables narrow it down to a few; which is the same is decided here.
        for row in reversed(history.perhaps_sent(message.subject, recipients)):
            people = tuple(
                address
                for address, each in row.recipients.items()
                if address.lower() in recipients and each.state in _PERHAPS and each.role != Role.ARCHIVE
            )
            same = set(row.contents) == contents and (bool(contents) or has_same_body(message, row) is True)
            made_again = bool(contents) and sorted(row.documents) == names and _is_recent(row)
            if people and (same or made_again):
                return Earlier(row, people, same)
    return None


def _is_recent(row: Row) -> bool:
    return datetime.now(UTC) - row.created < _RECENT


def earlier_recipients(typed: str, settings: Settings, limit: int = 12) -> list[str]:
    """Return the people this sender has written to whose address contains a text, the latest first.

    With the name, where the mail in which it stood is still kept.
    """
    with history_if_any(folder_of(settings)) as history:
        if history is None:
            return []
        found = history.recipients_of(account_of(settings), typed, limit)
        return [_with_name(history, address, number) for address, number in found]


def _with_name(history: History, address: str, number: int) -> str:
    try:
        mail = history.journal.mail(number)
        names = {each.addr_spec: each for header in ("To", "Cc") for each in addresses_in(mail, header)}
    except MessageError:
        return address  # its content is no longer kept
    return str(names.get(address, address))


def file_name(subject: str) -> str:
    """Return a subject as the name of a file, without an ending; nothing if nothing of it can stand there."""
    return re.sub(r"[^\w .,()+-]", "_", subject)[:60].strip(" .")


def addresses_in(mail: Mail, header: str) -> list[Address]:
    """Return the addresses in a header of a mail, with their names."""
    value = mail.parsed()[header]
    return [
        replace(parse_address(each.addr_spec, header.lower()), name=each.display_name)
        for each in getattr(value, "addresses", ())
    ]


def _part(text: str) -> str:
    """Return a text as LIKE looks for it anywhere, its own signs meaning nothing."""
    escaped = text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
