"""A mailbox to which a connection is open: its folders, the mails that came, the copies that are filed."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from docmail.addresses import ascii_host
from docmail.errors import AuthenticationError, Field, Guide, Kind, Phase, Refused, SendError, SettingsError, TLSError
from docmail.language import _
from docmail.mailbox.failures import failure_of, stopped
from docmail.mailbox.folders import Folder, folder_for
from docmail.net import FOR_MAILBOX, Connection, Deadline, Trust, tls_context
from docmail.replies import clean
from docmail.settings import Security
from docmail.text import size_and_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date
    from types import TracebackType
    from typing import Self

    from docmail.mailbox.protocol import Client, Imap
    from docmail.oauth import Tokens
    from docmail.secret import Secret
    from docmail.settings import Mailbox

__all__ = ["OpenMailbox", "Position"]

MOST_OF_A_MAIL = 1_000_000
"""Octets that are read of one mail: what a bounce says comes before the mail that it returns."""

_AT_A_TIME = 10  # mails in one request
_LATEST = 100  # mails that are looked at where a server's search finds nothing: some search no headers
_MANY = 50  # mails with one Message-ID
_GOODBYE_SECONDS = 2.0
_NO_SUCH_FOLDER = re.compile(
    r"\[(NONEXISTENT|TRYCREATE)\]|does ?n[o']t exist|nonexistent|(unknown|no such) (mailbox|folder)|not (be )?found",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Position:
    """How far a folder has been read: the mail's number (`uid`), and the `validity` of all numbers in the folder.

    As a text it can be kept: `str()` of it, and `Position.read()`.

    >>> docmail.mailbox.Position.read(str(docmail.mailbox.Position(1700000000, 118)))
    Position(validity=1700000000, uid=118)
    """

    validity: int
    uid: int

    def __str__(self) -> str:
        return f"{self.validity}:{self.uid}"

    @classmethod
    def read(cls, text: str) -> Position | None:
        """Return the position that this text is; None for any other text."""
        found = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", text)
        return cls(int(found[1]), int(found[2])) if found else None


class OpenMailbox:
    """A connection to a mailbox; `with` opens and closes it. Nothing in it is deleted, moved or marked as read.

    `open_mailbox` makes it, and says what `mailbox`, `secret`, `timeout` and `observe` are; it signs in as `username`
    with the secret, or at Microsoft and Google with `tokens`.

    >>> with docmail.mailbox.open_mailbox() as mailbox:
    ...     mailbox.sent_folder(), mailbox.drafts_folder(), mailbox.count("INBOX")
    ('Sent', 'Drafts', 0)
    """

    def __init__(  # noqa: PLR0913 - what `open_mailbox` knows
        self,
        mailbox: Mailbox,
        username: str,
        secret: Secret | None,
        tokens: Tokens | None,
        *,
        timeout: float,
        observe: Callable[[str, str], None],
    ) -> None:
        self._mailbox = mailbox
        self._host = ascii_host(mailbox.host)
        self._username = username
        self._secret = secret
        self._tokens = tokens
        self._seconds = timeout
        self._observe = observe
        self._trust = Trust(mailbox.fingerprint, mailbox.ca_file, FOR_MAILBOX)
        self._connection = Connection(self._host, mailbox.port, FOR_MAILBOX)
        self._second: Connection | None = None
        self._imap: Imap | None = None
        self._client: Client | None = None
        self._folders: list[Folder] | None = None
        self._known_ids: dict[tuple[str, int], dict[int, set[str]]] = {}
        self._mails = 0  # in the folder that was opened last
        self._not_ours: list[str] = []
        self._ours: list[str] = []

    # --- opening ---

    def open(self) -> None:
        """Connect, encrypt and sign in; raises a `SendError` with the phase that failed.

        Raises `SettingsError` where the packages of the extra `mailbox` are missing.

        >>> mailbox = docmail.mailbox.open_mailbox()
        >>> mailbox.open()
        >>> mailbox.close()
        """
        protocol = _protocol()
        if self._tokens is not None:
            self._secret = self._tokens.current()  # first, so that the server never waits for another one
        deadline = Deadline(self._seconds)
        try:
            self._connection.open(deadline, self._observe)
            if self._mailbox.effective_security is Security.TLS:
                self._encrypt(deadline)
            self._imap = imap = self._greeted(protocol.Imap, self._connection, deadline)
            self._observe(Phase.GREETING, clean(protocol.as_text(imap.welcome or b""), self._secret)[:100])
            if self._mailbox.effective_security is Security.STARTTLS:
                self._start_tls(imap)
                self._encrypt(deadline)
                with self._talking(Phase.TLS, keep_deadline=True):
                    imap.forget()
            mechanism = self._sign_in(imap)
            self._observe(
                Phase.AUTH,
                _("signed in as {username} ({mechanism})").format(username=self._username, mechanism=mechanism),
            )
            with self._talking(Phase.AUTH):
                self._client = protocol.Client(imap)
        except BaseException:
            self._connection.close()
            raise

    def _greeted(self, conversation: type[Imap], connection: Connection, deadline: Deadline) -> Imap:
        """Return a conversation of which greeting and capabilities are read."""
        imap = conversation(connection, deadline)
        try:
            imap.begin()
        except Exception as exc:  # noqa: BLE001 - a stranger's bytes: the parsers have errors of many classes
            raise failure_of(imap, exc, Phase.GREETING, self._secret) from None
        if imap.state == "AUTH":
            # RFC 9051 11.1: such a greeting lets somebody on the way prevent STARTTLS, and the mailbox is nobody's.
            raise TLSError(
                _("{host} claims that somebody is signed in already (PREAUTH), before anything is encrypted.").format(
                    host=self._host
                ),
                kind=Kind.CONFIG,
                guide=Guide.PORTS,
                **FOR_MAILBOX.of(Phase.GREETING, None, _("Use another network, or port 993 with TLS.")),
            )
        return imap

    def _start_tls(self, imap: Imap) -> None:
        if "STARTTLS" not in imap.capabilities:
            raise self._unencrypted(
                _("{host} offers no encryption (STARTTLS) for the mailbox; docmail does not go in without it."),
                _("Choose port 993 with TLS, or ask your network's administrator whether something removes the offer."),
            )
        with self._talking(Phase.TLS, keep_deadline=True):
            imap.ask("STARTTLS")
        if imap.connection.has_unread:
            # What came in clear before the handshake must never count as received under encryption (CVE-2011-0411).
            raise self._unencrypted(
                _("Something between you and {host} added text to the connection before it was encrypted."),
                _("Use another network, or port 993 with TLS."),
            )

    def _unencrypted(self, message: str, hint: str) -> TLSError:
        return TLSError(
            message.format(host=self._host),
            kind=Kind.CONFIG,
            phase=Phase.TLS,
            hint=hint,
            field=Field.MAILBOX_PORT,
            guide=Guide.PORTS,
        )

    def _encrypt(self, deadline: Deadline) -> None:
        starttls = self._mailbox.effective_security is Security.STARTTLS
        self._trust.encrypt(self._connection, deadline, partial(self._unverified, deadline), starttls=starttls)
        self._observe(Phase.TLS, self._connection.describe_tls())

    def _unverified(self, deadline: Deadline) -> bytes | None:
        """Return the certificate that could not be verified, by a second connection on which nothing else is said."""
        self._second = connection = Connection(self._host, self._mailbox.port, FOR_MAILBOX)
        if self._connection.aborted:
            connection.abort()
        try:
            connection.open(deadline, lambda _phase, _text: None)
            if self._mailbox.effective_security is Security.STARTTLS:
                imap = self._greeted(_protocol().Imap, connection, deadline)
                with self._talking(Phase.TLS, keep_deadline=True, imap=imap):
                    imap.ask("STARTTLS")
            connection.encrypt(tls_context(None, verify=False), deadline)
            return connection.certificate()
        except (OSError, SendError):
            return None  # the error about the check stands; only the certificate is missing from it
        finally:
            connection.close()

    def _sign_in(self, imap: Imap) -> str:
        from docmail.mailbox.signing_in import sign_in_with_password, sign_in_with_token

        assert self._secret is not None  # noqa: S101 - a mailbox without one is an error before
        with self._talking(Phase.AUTH, keep_deadline=True):
            if self._tokens is None:
                return sign_in_with_password(imap, self._username, self._secret)
            try:
                return sign_in_with_token(imap, self._username, self._secret)
            except AuthenticationError as exc:
                if exc.reply is None or not imap.connection.is_open:
                    raise
                # The token may have been revoked before its time: once more with a new one, and no further.
                self._secret = self._tokens.renewed()
                return sign_in_with_token(imap, self._username, self._secret)

    # --- folders ---

    def sent_folder(self) -> str:
        """Return the folder for copies of sent mails; one that does not exist yet is made by the first `append()`."""
        if found := self._special("sent"):
            return found
        prefix = self._ours[0] if self._ours else ""
        # A folder of this name that holds no mails, only folders, is not made once more.
        taken = {each.name for each in self._listed()}
        names = (f"{prefix}{word}" for word in ("Sent", "Sent Items", "Sent Mail"))
        return next((name for name in names if name not in taken), f"{prefix}Sent")

    def drafts_folder(self) -> str | None:
        """Return the folder for drafts; None where there is none."""
        return self._special("drafts")

    def _special(self, use: str) -> str | None:
        folders = self._listed()
        return folder_for(use, folders, self._ours, self._not_ours)

    def _listed(self) -> list[Folder]:
        """Return all folders as they were when they were first asked for."""
        if self._folders is None:
            with self._talking(Phase.FOLDERS):
                if self._open.has_capability("NAMESPACE"):
                    spaces = self._open.namespace()
                    self._ours = [_decoded(each[0]) for each in spaces.personal or ()]
                    self._not_ours = [_decoded(each[0]) for each in (*(spaces.other or ()), *(spaces.shared or ()))]
                found = self._open.list_folders()
                if self._open.has_capability("SPECIAL-USE") and not any(_uses(each) for each in found):
                    with suppress(Exception):  # a server that offers it, and then does not know it
                        found = [*self._specially_listed(), *found]
            self._folders = [_folder(each) for each in found]
        return self._folders

    def _specially_listed(self) -> list[Any]:
        """Ask for special uses where the server does not say them by itself (RFC 6154 2)."""
        client: Any = self._open
        kind, data = client._imap._simple_command("LIST", "(SPECIAL-USE)", '""', '"*"')  # noqa: SLF001 - it has no other way
        listed: list[Any] = client._proc_folder_list(client._imap._untagged_response(kind, data, "LIST")[1])  # noqa: SLF001
        return listed

    # --- what is in them ---

    def count(self, folder: str) -> int | None:
        """Return how many mails are in a folder; None if it does not exist."""
        return None if self._examined(folder) is None else self._mails

    def holds(self, message_id: str, folder: str) -> bool:
        """Say whether a mail with this Message-ID (`message_id`) is in a folder.

        What the server's search finds is verified. Where it finds nothing, or knows no search for headers, the latest
        mails are looked at.

        >>> with docmail.mailbox.open_mailbox() as mailbox:
        ...     mailbox.holds("<118@example.com>", "Sent")
        False
        """
        wanted = _bare(message_id)
        if not wanted or any(character.isspace() or not character.isprintable() for character in wanted):
            return False
        validity = self._examined(folder)
        if validity is None:
            return False
        known = self._known_ids.setdefault((folder, validity), {})
        try:
            with self._talking(Phase.FOLDERS):
                found = self._open.search(["HEADER", "Message-ID", wanted], "UTF-8" if not wanted.isascii() else None)
        except SendError as exc:
            if not self._connection.is_open or exc.reply is None or exc.reply.text.startswith("BYE"):
                raise
            found = []
        if self._has(wanted, found[-_MANY:], known):
            return True
        with self._talking(Phase.FOLDERS):
            latest = self._open.search(["ALL"])[-_LATEST:]
        return self._has(wanted, latest, known)

    def _has(self, wanted: str, uids: Sequence[int], known: dict[int, set[str]]) -> bool:
        """Say whether one of these mails has the Message-ID; `known` are the ones that were read before.

        A number never becomes another mail's, so each is read once per connection: 200 copies ask for 200 mails.
        """
        if unread := [uid for uid in uids if uid not in known]:
            with self._talking(Phase.FOLDERS):
                headers = self._open.fetch(unread, ["BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
            known |= {uid: {_id_in(value) for value in each.values()} for uid, each in headers.items()}
        return any(wanted in known.get(uid, ()) for uid in uids)

    def append(self, folder: str, raw: bytes, *, flags: tuple[str, ...] = (), when: datetime | None = None) -> None:
        r"""File a mail in a folder, its bytes (`raw`) as they are, with these `flags` of IMAP (RFC 9051 2.3.2).

        `when` is the date that mail programs show (None: now). A folder that does not exist is made. Raises `Deferred`
        where the mailbox is full, and `Refused` for a mail that is larger than the server takes.

        >>> with docmail.mailbox.open_mailbox() as mailbox:
        ...     mailbox.append("Drafts", b"Subject: Hello\r\n\r\nHello")
        ...     mailbox.count("Drafts")
        1
        """
        client = self._open
        self._check_size(len(raw))
        for attempt in range(2):
            try:
                with self._talking(Phase.FOLDERS):
                    self._append(client, folder, raw, flags, when)
            except SendError as exc:
                if attempt or not _is_missing(exc):
                    raise
                with self._talking(Phase.FOLDERS):
                    client.create_folder(folder)
                    client.subscribe_folder(folder)
                self._folders = None
            else:
                return

    def _append(self, client: Client, folder: str, raw: bytes, flags: tuple[str, ...], when: datetime | None) -> None:
        # Not imaplib's own: it rewrites the ends of lines. The server says whether it takes the mail before it is sent
        # (a literal without LITERAL+), so that one which is refused is not uploaded first.
        imap = self._imap
        assert imap is not None  # noqa: S101 - there is a client
        imap.literal = raw  # type: ignore[assignment] # imaplib takes bytes there
        imap.ask(
            "APPEND",
            client._normalise_folder(folder),  # noqa: SLF001 - modified UTF-7, quoted
            f"({' '.join(flags)})",
            f'"{_internal_date(when or datetime.now(UTC))}"',
        )

    def _check_size(self, size: int) -> None:
        """Raise for a mail that is larger than the server says that it takes (RFC 7889)."""
        offered = " ".join(each.decode("ascii", "replace") for each in self._open.capabilities())
        found = re.search(r"\bAPPENDLIMIT=(\d{1,18})\b", offered)
        if found and size > int(found[1]):
            shown, most = size_and_limit(size, int(found[1]))
            raise Refused(
                _("The mail is {size} large, and the mailbox at {host} takes at most {limit}.").format(
                    size=shown, host=self._host, limit=most
                ),
                kind=Kind.MESSAGE,
                phase=Phase.FOLDERS,
                hint=_("The mail itself is not affected; its copy cannot be filed there."),
                guide=Guide.SENDING,
            )

    def new_mails(
        self, folder: str, since: Position | None, *, not_before: date | None = None
    ) -> Iterator[tuple[Position, bytes]]:
        """Yield the mails of a folder that came after a position, each with its own position, oldest first.

        Of a large mail only the beginning is read (`MOST_OF_A_MAIL`). With `since` None, or once the folder has new
        numbers (UIDVALIDITY), all of its mails count, but for those that came before the day `not_before`. A folder
        that does not exist has none.

        >>> result = docmail.send(pdf, to="accounts@example.com", subject="To myself")
        >>> with docmail.mailbox.open_mailbox() as mailbox:
        ...     len(list(mailbox.new_mails("INBOX", None)))
        1
        """
        validity = self._examined(folder)
        if validity is None:
            return
        after = since.uid if since is not None and since.validity == validity else 0
        criteria: list[Any] = ["UID", f"{after + 1}:*"] if after else ["ALL"]
        if not_before is not None and not after:
            criteria = ["SINCE", not_before]
        with self._talking(Phase.FOLDERS):
            # "n:*" names the last mail whatever its number (RFC 9051 9).
            uids = sorted(uid for uid in self._open.search(criteria) if uid > after)
        part = f"BODY.PEEK[]<0.{MOST_OF_A_MAIL}>"
        for start in range(0, len(uids), _AT_A_TIME):
            some = uids[start : start + _AT_A_TIME]
            if self._examined(folder) != validity:  # a caller may look into another folder in between
                return
            with self._talking(Phase.FOLDERS):
                found = self._open.fetch(some, [part])
            for uid in some:
                raw = next((value for name, value in found.get(uid, {}).items() if name.startswith(b"BODY[")), None)
                if isinstance(raw, bytes):
                    yield Position(validity, uid), raw[:MOST_OF_A_MAIL]

    def _examined(self, folder: str) -> int | None:
        """Open a folder for reading only, and return the validity of its numbers; None if there is no such folder."""
        try:
            with self._talking(Phase.FOLDERS):
                found = self._open.select_folder(folder, readonly=True)
                self._mails = int(found.get(b"EXISTS", 0))
                return int(found.get(b"UIDVALIDITY", 0))
        except SendError as exc:
            if _is_missing(exc):
                return None
            raise

    # --- ending ---

    def close(self) -> None:
        """Say good-bye; never raises."""
        imap = self._imap
        try:
            if imap is not None and self._connection.is_open and not self._connection.aborted:
                imap.deadline = Deadline(_GOODBYE_SECONDS)
                with suppress(Exception):
                    imap.logout()
        finally:
            self._connection.close()

    def abort(self) -> None:
        """Abort from another thread: whatever waits for the server fails at once.

        >>> mailbox = docmail.mailbox.open_mailbox()
        >>> mailbox.open()
        >>> mailbox.abort()
        >>> mailbox.close()
        """
        self._connection.abort()
        if self._second is not None:
            self._second.abort()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.close()

    # --- talking ---

    @property
    def _open(self) -> Any:
        if self._client is None:
            raise stopped(Phase.CONNECT) if self._connection.aborted else RuntimeError("open() it first")
        return self._client

    @contextmanager
    def _talking(self, phase: Phase, *, keep_deadline: bool = False, imap: Imap | None = None) -> Iterator[None]:
        """Turn whatever a conversation raises into an error of docmail's own."""
        imap = imap or self._imap
        assert imap is not None  # noqa: S101 - open() was called
        if not keep_deadline:
            imap.deadline = Deadline(self._seconds)
        imap.final = ("", "")
        try:
            yield
        except SendError as exc:
            if not isinstance(exc, ConnectionError) or imap.failure is None:
                raise
            raise failure_of(imap, exc, phase, self._secret) from None
        except Exception as exc:  # noqa: BLE001 - as above
            error = failure_of(imap, exc, phase, self._secret)
            if not isinstance(exc, imap.error) or imap.failure is not None or imap.final[0] not in {"NO", "BAD"}:
                self._connection.close()  # which reply is whose is unknown from here on
            raise error from None


def _is_missing(refusal: SendError) -> bool:
    """Say whether there is no such folder; not every server has a code for it."""
    text = refusal.reply.text if refusal.reply is not None else ""
    return text.startswith("NO ") and bool(_NO_SUCH_FOLDER.search(text))


def _protocol() -> Any:
    """Return the module that speaks; it needs the packages of the extra `mailbox`."""
    try:
        from docmail.mailbox import protocol
    except ImportError as exc:
        raise SettingsError(
            _("Looking into a mailbox needs a package that is missing."),
            hint=_('Install it: pip install "docmail[mailbox]".'),
            field=Field.MAILBOX_HOST,
        ) from exc
    return protocol


def _folder(listed: tuple[Any, Any, str]) -> Folder:
    attributes, delimiter, name = listed
    return Folder(name, _decoded(delimiter or b""), frozenset(_decoded(each).lower() for each in attributes))


def _uses(listed: tuple[Any, Any, str]) -> bool:
    return not _folder(listed).attributes.isdisjoint({"\\sent", "\\drafts"})


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _internal_date(moment: datetime) -> str:
    """Return a moment as RFC 9051 writes it, whatever the language of this computer."""
    moment = moment.astimezone()
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{moment.day:2}-{months[moment.month - 1]}-{moment:%Y %H:%M:%S %z}"


def _bare(message_id: str) -> str:
    """Return a Message-ID without its brackets: some servers search with them, others without."""
    return message_id.strip().removeprefix("<").removesuffix(">")


def _id_in(header: Any) -> str:
    found = re.search(rb"(?is)^message-id:\s*<?([^>\s]*)>?", header) if isinstance(header, bytes) else None
    return _decoded(found[1]) if found else ""
