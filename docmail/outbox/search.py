"""Looks back at what was sent: finds mails by who, what, when and what the server said, and brings one back.

The journal may hold many thousands of mails, so that every question is put to its tables; nothing here reads them all.
"""

from __future__ import annotations

import json
import re
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, localtime
from typing import TYPE_CHECKING, Any

from docmail import home as homes
from docmail.addresses import parse_address
from docmail.documents import Document
from docmail.errors import MessageError
from docmail.language import _
from docmail.message import Message, new_message_id
from docmail.outbox import traces
from docmail.outbox.changes import Store
from docmail.outbox.journal import no_journal
from docmail.outbox.keys import has_same_body
from docmail.outbox.outbox import Outbox, deliver, elsewhere, records
from docmail.outbox.schema import JOURNAL
from docmail.outbox.spool import SpoolFile, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docmail.addresses import Address
    from docmail.message import Mail
    from docmail.outbox.outbox import Hold, Progress
    from docmail.outbox.rows import Row
    from docmail.settings import Settings
    from docmail.transport import SendResult

__all__ = ["Earlier", "Page", "Wanted", "copy", "documents", "eml", "last_emailed", "opened", "page", "send_again"]

_PERHAPS = ("sending", "sent", "unknown")
_SENT = f"state IN {_PERHAPS}"
_RECENT = timedelta(days=1)
_WORDS = "json_extract({0}, '$[0]') || ' ' || ifnull(json_extract({0}, '$[1]') || ' ', '') || json_extract({0}, '$[2]')"
"""A reply as people read it, in SQL; it is kept as code, enhanced code, words (see rows.py)."""

_RECIPIENTS = """
SELECT json_group_array(json_array(address, latest)) FROM (
    SELECT address, max(mail) AS latest FROM recipient JOIN mail ON mail.id = mail
    WHERE account = ? AND role <> 'archive' AND address LIKE ? ESCAPE '\\'
    GROUP BY lower(address) ORDER BY latest DESC LIMIT ?)"""
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

    def condition(self) -> tuple[str, list[Any]]:
        """Return it for the journal's table of mails, with its parameters."""
        parts: list[str] = []
        parameters: list[Any] = []
        recipients = "SELECT mail FROM recipient WHERE {0} LIKE ? ESCAPE '\\'"
        for text, alternatives in (
            (self.who, ["sender", "user", f"id IN ({recipients.format('address')})"]),
            (
                self.what,
                [*("subject", "key", "batch"), "id IN (SELECT mail FROM attachment WHERE name LIKE ? ESCAPE '\\')"],
            ),
            (self.reply, [_WORDS.format("reply"), "reason", f"id IN ({recipients.format(_WORDS.format('reply'))})"]),
        ):
            if text.strip():
                parts.append(
                    " OR ".join(each if "?" in each else f"{each} LIKE ? ESCAPE '\\'" for each in alternatives)
                )
                parameters += [_part(text)] * len(alternatives)
        for value, comparison in (
            (self.state, "state = ?"),
            (self.since and self.since.timestamp(), "created >= ?"),
            (self.until and self.until.timestamp(), "created < ?"),
        ):
            if value:
                parts.append(comparison)
                parameters.append(value)
        return " AND ".join(f"({part})" for part in parts) or "1", parameters


@dataclass(frozen=True)
class Page:
    """Some of the mails that fit, the newest first; `counts` is how many there are in all, by state."""

    rows: tuple[Row, ...]
    counts: dict[str, int]

    @property
    def total(self) -> int:
        """How many fit."""
        return sum(self.counts.values())


def folder_of(settings: Settings | None) -> Path:
    """Return where the mail of these settings is recorded (None: of the home in force)."""
    return (settings.recorded_in if settings else homes.current()).outbox


def is_there(folder: Path) -> bool:
    """Say whether there is a journal in a folder, or was one: then opening it reports that it is gone."""
    return (folder / JOURNAL).exists() or traces.show_use(folder)


@contextmanager
def opened(folder: Path) -> Iterator[Store | None]:
    """Open the journal in a folder to look into it; None if there is none, and none is made."""
    if not is_there(folder):
        yield None
        return
    with closing(Store(folder)) as store:
        store.recover()
        yield store


@contextmanager
def reading(folder: Path) -> Iterator[Store]:
    """Open the journal in a folder that must be there."""
    with opened(folder) as store:
        if store is None:
            raise no_journal(folder)
        yield store


def page(store: Store, wanted: Wanted, *, begin: int = 0, limit: int = 25) -> Page:
    """Return the mails that fit from the one at `begin`, the newest being 0."""
    condition, parameters = wanted.condition()
    rows = store.rows(
        f"id IN (SELECT id FROM mail WHERE {condition} ORDER BY id DESC LIMIT ? OFFSET ?)",  # noqa: S608 - ours
        (*parameters, limit, begin),
    )
    return Page(tuple(reversed(rows)), store.count(condition, parameters))


def row(store: Store, number: int) -> Row:
    """Return one mail; raises `MessageError` if there is none of this number."""
    found = store.rows("id = ?", (number,))
    if not found:
        raise MessageError(_("There is no mail {id}.").format(id=number), hint=_("Look at docmail.Outbox()."))
    return found[0]


# --- questions that come up while a mail is written ---


def last_emailed(document: Document, settings: Settings | None) -> tuple[Row, bool] | None:
    """Return the mail with which a document went out last, and whether its content was the same.

    A document that is made again differs in its content; it is then recognised by its name.
    """
    with opened(folder_of(settings)) as store:
        if store is None:
            return None
        newest = "id = (SELECT max(mail) FROM attachment JOIN mail ON mail.id = mail WHERE {} AND state IN (?, ?))"
        for column, value in (("sha256", sha256_of(document)), ("name", document.name)):
            if found := store.rows(newest.format(f"attachment.{column} = ?"), (value, "sent", "unknown")):
                return found[0], column == "sha256"
    return None


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
    with opened(folder_of(settings)) as store:
        if store is None:
            return None
        recipients = {address.addr_spec.lower() for address in (*message.to, *message.cc, *message.bcc)}
        contents = {sha256_of(document) for document in message.documents}
        names = sorted(document.name for document in message.documents)
        # The tables narrow it down to a few; what is the same is told here.
        listed = ", ".join("?" * len(recipients))
        condition = f"{_SENT} AND subject = ? AND id IN (SELECT mail FROM recipient WHERE lower(address) IN ({listed}))"  # noqa: S608 - ours
        for row in reversed(store.rows(condition, (message.subject, *recipients))):
            people = tuple(
                address
                for address, each in row.recipients.items()
                if address.lower() in recipients and each.state in _PERHAPS and each.role != "archive"
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
    with opened(folder_of(settings)) as store:
        if store is None:
            return []
        account = settings.address.addr_spec.casefold()
        found = json.loads(store.value(_RECIPIENTS, (account, _part(typed), limit)))
        return [_with_name(store, address, number) for address, number in found]


def _with_name(store: Store, address: str, number: int) -> str:
    try:
        mail = store.mail(number)
        names = {each.addr_spec: each for header in ("To", "Cc") for each in _addresses(mail, header)}
    except MessageError:
        return address  # its content is no longer kept
    return str(names.get(address, address))


# --- bringing a mail back ---


def documents(store: Store, number: int) -> tuple[Document, ...]:
    """Return the documents of a mail; raises `MessageError` if its content is no longer kept."""
    found = []
    for attachment in store.mail(number).attachments:
        assert isinstance(attachment.source, SpoolFile)  # noqa: S101 - the journal's mails have no others
        path = attachment.source.path
        gone = MessageError(
            _("The document {name} is no longer in the outbox.").format(name=attachment.name),
            hint=_("Make it again and send it anew."),
        )
        try:
            changed = path.stat().st_mtime_ns
        except OSError as exc:
            raise gone from exc
        document = Document(attachment.name, attachment.media_type, path, attachment.size, changed)
        if sha256_of(document) != attachment.source.sha256:
            raise gone  # another content is in its place
        found.append(document)
    return tuple(found)


def text(store: Store, number: int) -> str:
    """Return the text of a mail as people without HTML read it; nothing if its content is no longer kept."""
    try:
        plain = store.mail(number).parsed().get_body(("plain",))
    except MessageError:
        return ""
    return str(plain.get_content()).replace("\r\n", "\n").strip() if plain is not None else ""


def eml(store: Store, number: int) -> bytes:
    """Return a mail as a file that mail programs open: as it went out, with its documents, without Bcc."""
    return b"".join(store.mail(number).wire())


def file_name(subject: str) -> str:
    """Return a subject as the name of a file, without an ending; nothing if nothing of it can stand there."""
    return re.sub(r"[^\w .,()+-]", "_", subject)[:60].strip(" .")


class _Copy(Message):
    """A mail that was sent, to be sent once more as a mail of its own: with a new Message-ID and date."""

    def __init__(self, found: Row, mail: Mail, attached: tuple[Document, ...]) -> None:
        super().__init__(
            to=_addresses(mail, "To"),
            cc=_addresses(mail, "Cc"),
            bcc=[address for address, recipient in found.recipients.items() if recipient.role == "bcc"],
            subject=found.subject,
            documents=list(attached),
        )
        everybody = tuple(found.recipients)
        archive = frozenset(each for each in everybody if found.recipients[each].role == "archive")
        object.__setattr__(self, "_mail", replace(mail, recipients=everybody, archive=archive))

    def render(self, settings: Settings) -> Mail:
        """Return the text as it was written down, its headers brought up to date."""
        mail: Mail = self._mail  # type: ignore[attr-defined]  # set past the frozen dataclass
        message_id = new_message_id(settings.address.domain)
        headers, end, text = mail.head.partition(b"\r\n\r\n")
        for name, value in ((b"Message-ID", message_id), (b"Date", format_datetime(localtime()))):
            headers = re.sub(rb"(?m)^%b: [^\r]*" % name, b"%b: %b" % (name, value.encode()), headers, count=1)
        return replace(mail, message_id=message_id, head=headers + end + text)


def copy(store: Store, number: int) -> Message:
    """Return a mail as a message that says the same once more; raises `MessageError` if its content is not kept.

    Without its key, which stays with the mail that has gone.
    """
    return _Copy(row(store, number), store.mail(number), documents(store, number))


def _addresses(mail: Mail, header: str) -> list[Address]:
    value = mail.parsed()[header]
    return [
        replace(parse_address(each.addr_spec, header.lower()), name=each.display_name)
        for each in getattr(value, "addresses", ())
    ]


def check_sender(row: Row, settings: Settings) -> None:
    """Raise `MessageError` if a mail was sent as somebody else than the settings say."""
    if settings.address.addr_spec.casefold() != row.sender.casefold():
        raise MessageError(
            _("This mail was sent as {sender}, and the settings are those of {address}.").format(
                sender=row.sender, address=settings.address.addr_spec
            ),
            hint=_("Choose the profile of {sender}.").format(sender=row.sender),
        )


def missing(row: Row) -> tuple[str, ...]:
    """Return who has not got a mail, or of whom nobody knows whether they have; the archive is nobody.

    A mail in doubt is not for those who were refused.
    """
    has_it = {"sent", "refused"} if row.state == "unknown" else {"sent"}
    return tuple(
        address for address, each in row.recipients.items() if each.role != "archive" and each.state not in has_it
    )


def send_again(  # noqa: PLR0913
    folder: Path,
    number: int,
    settings: Settings,
    *,
    everybody: bool = False,
    progress: Progress | None = None,
    hold: Hold | None = None,
) -> SendResult:
    """Send a mail once more because a person says so.

    It stays the same mail with its Message-ID and its key, and goes to those who have not got it or of whom nobody
    knows. What everybody has got goes out as a mail of its own, and what some have got if `everybody` is to get it.
    Nothing is changed before there is a connection for it, and a failure leaves it as it was.
    """
    if not records(homes.of_record(folder), settings.recorded_in):
        raise elsewhere(settings.recorded_in, folder)
    settings = replace(settings, home=replace(settings.recorded_in, outbox=folder))
    with closing(Outbox(folder)) as outbox:
        store = outbox._store  # noqa: SLF001 - the two modules are the two sides of one thing
        found = row(store, number)
        check_sender(found, settings)
        if found.state == "sent" and (everybody or not missing(found)):
            return deliver(copy(store, number), settings=settings, resend=True, progress=progress, hold=hold)
        return outbox._send_again(found, settings, progress, hold)  # noqa: SLF001 - as above


# --- how long contents are kept ---


def content_days(folder: Path) -> int:
    """Return how many days the contents of settled mails are kept."""
    with closing(Outbox(folder)) as outbox:
        return outbox.content_days


def keep_contents(folder: Path, days: int) -> None:
    """Change it."""
    with closing(Outbox(folder)) as outbox:
        outbox.content_days = days


def _part(text: str) -> str:
    """Return a text as LIKE looks for it anywhere, its own signs meaning nothing."""
    escaped = text.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
