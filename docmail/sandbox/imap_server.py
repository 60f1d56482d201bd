"""Speaks IMAP4rev1 (RFC 3501) as far as reading bounces and filing copies goes, over TLS from the first byte.

What mail programs ask beyond that is refused and not pretended: it deletes, moves and creates nothing, and tells no
MIME structure (ENVELOPE, BODYSTRUCTURE, single parts).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docmail.sandbox.folders import SPECIAL_USE
from docmail.sandbox.imap_search import Heads, condition
from docmail.sandbox.imap_syntax import (
    CommandError,
    Status,
    chosen,
    date_time,
    literal,
    moment,
    read_command,
    text,
    word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docmail.sandbox.imap_syntax import Token
    from docmail.sandbox.inbox import Inbox, Stored
    from docmail.sandbox.rehearsal import Rehearsal

_FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")
_BODY = re.compile(r"BODY(?:\.PEEK)?\[(.*)\](?:<(\d+)(?:\.(\d+))?>)?")
_OLDER = {"RFC822": "BODY[]", "RFC822.HEADER": "BODY.PEEK[HEADER]", "RFC822.TEXT": "BODY[TEXT]"}
_LEAF = "\\HasNoChildren"
_ALWAYS = {"CAPABILITY", "NOOP", "LOGOUT", "ID"}
_SELECTED = {"CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "FETCH", "SEARCH", "STORE", "UID"}
_KEEPS_NUMBERS = {"FETCH", "SEARCH", "STORE"}
"""RFC 3501 7.4.1: during these commands no mail loses its number."""


@dataclass
class _Selected:
    name: str
    folder: Inbox
    uids: list[int]
    writable: bool


class ImapEndpoint:
    """Serves the mailbox of a rehearsal's account."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._heads = Heads()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it goes."""
        try:
            await _Session(self._rehearsal, self._heads, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # the client hung up, or its line has no end
        finally:
            if not writer.is_closing():
                writer.transport.abort()


class _Session:
    def __init__(
        self, rehearsal: Rehearsal, heads: Heads, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._rehearsal = rehearsal
        self._heads = heads
        self._reader = reader
        self._writer = writer
        self._signed_in = False
        self._selected: _Selected | None = None

    # --- commands ---

    async def run(self) -> None:
        self._say(f"* OK [CAPABILITY {self._capabilities()}] docmail sandbox")
        tag = "*"
        while not self._writer.is_closing():
            await self._writer.drain()
            try:
                if (command := await read_command(self._reader, self._invite, self._rehearsal.size_limit)) is None:
                    return
                tag, tokens = command
                self._say(f"{tag} OK {await self._answer(tokens)}")
            except CommandError as exc:
                self._say(f"{exc.tag or tag} {exc.status} {exc}")

    async def _answer(self, tokens: list[Token]) -> str:
        """Do what a command says, and return what follows OK."""
        name, arguments = word(tokens[0]), tokens[1:]
        does = getattr(self, f"_do_{name.lower()}", None)
        if does is None or not name.isalpha():
            raise CommandError(Status.BAD, "The sandbox does not know this command")
        is_sign_in = name in {"LOGIN", "AUTHENTICATE"}
        if name not in _ALWAYS and self._signed_in == is_sign_in:
            raise CommandError(Status.BAD, "Signed in already" if is_sign_in else "Sign in first")
        if name in _SELECTED and self._selected is None:
            raise CommandError(Status.BAD, "Select a folder first")
        try:
            said = await does(arguments)
        except (IndexError, TypeError, ValueError):
            raise CommandError(Status.BAD, f"{name} lacks an argument, or has one of another kind") from None
        self._show_changes(keep_numbers=name in _KEEPS_NUMBERS)
        return str(said or f"{name} completed")

    async def _do_capability(self, _arguments: list[Token]) -> None:
        self._say(f"* CAPABILITY {self._capabilities()}")

    def _capabilities(self) -> str:
        ways = " AUTH=XOAUTH2 AUTH=OAUTHBEARER" if self._rehearsal.identity.asked else ""
        return f"IMAP4rev1 LITERAL+ SASL-IR SPECIAL-USE UNSELECT ID AUTH=PLAIN{ways}"

    async def _do_id(self, _arguments: list[Token]) -> None:
        self._say('* ID ("name" "docmail sandbox")')

    async def _do_noop(self, _arguments: list[Token]) -> None:
        """Tell what is new, as after every command."""

    _do_check = _do_noop

    async def _do_logout(self, _arguments: list[Token]) -> None:
        self._say("* BYE")
        self._selected = None
        asyncio.get_running_loop().call_soon(self._writer.close)  # after the OK that follows

    # --- signing in ---

    async def _do_login(self, arguments: list[Token]) -> str:
        name, password = arguments
        return self._judge(right=self._rehearsal.has_password(_octets(name), _octets(password)))

    async def _do_authenticate(self, arguments: list[Token]) -> str:
        mechanism = word(arguments[0])
        if f"AUTH={mechanism}" not in self._capabilities().split():
            raise CommandError(Status.NO, "[CANNOT] The sandbox does not know this mechanism")
        if len(arguments) > 1:
            given = b"" if arguments[1] == b"=" else _octets(arguments[1])
        else:
            given = await self._challenge(b"")
        try:
            response = base64.b64decode(given, validate=True)
        except binascii.Error:
            raise CommandError(Status.BAD, "This is no base64") from None
        if mechanism == "PLAIN":
            fields = response.split(b"\0")
            return self._judge(right=len(fields) == 3 and self._rehearsal.has_password(*fields[1:]))  # noqa: PLR2004
        right = self._rehearsal.has_token(mechanism, response)
        if not right:
            # The reason comes as a challenge, which the client answers with nothing.
            await self._challenge(b'{"status":"401","schemes":"bearer","scope":"https://sandbox.example/mail"}')
        return self._judge(right=right)

    async def _challenge(self, challenge: bytes) -> bytes:
        self._say(f"+ {base64.b64encode(challenge).decode()}")
        await self._writer.drain()
        given = (await self._reader.readline()).strip()
        if given == b"*":
            raise CommandError(Status.BAD, "Given up")
        return given

    def _judge(self, *, right: bool) -> str:
        if not right:
            raise CommandError(Status.NO, "[AUTHENTICATIONFAILED] Authentication failed.")
        self._signed_in = True
        return f"[CAPABILITY {self._capabilities()}] Signed in"

    # --- folders ---

    async def _do_list(self, arguments: list[Token]) -> None:
        special = isinstance(arguments[0], list)  # RFC 6154 5.2: "(SPECIAL-USE)" is what can stand there
        arguments = arguments[special:]
        reference, patterns = text(arguments[0]), arguments[1]
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            if not text(pattern):
                self._say('* LIST (\\Noselect) "/" ""')
            wanted = re.escape(reference + text(pattern)).replace(r"\*", ".*").replace("%", "[^/]*")
            for name, use in SPECIAL_USE.items():
                if re.fullmatch(wanted, name, re.IGNORECASE) and (use or not special):
                    self._say(f'* LIST ({f"{_LEAF} {use}".rstrip()}) "/" {name}')

    async def _do_lsub(self, arguments: list[Token]) -> None:
        wanted = re.escape(text(arguments[0]) + text(arguments[1])).replace(r"\*", ".*").replace("%", "[^/]*")
        for name in SPECIAL_USE:
            if re.fullmatch(wanted, name, re.IGNORECASE):
                self._say(f'* LSUB () "/" {name}')

    async def _do_status(self, arguments: list[Token]) -> None:
        name, folder = self._folder(arguments[0])
        numbers = folder.numbers()
        known: dict[str, Callable[[], int]] = {
            "MESSAGES": lambda: len(numbers),
            "RECENT": lambda: 0,
            "UIDNEXT": lambda: folder.next_number,
            "UIDVALIDITY": lambda: self._rehearsal.folders.validity(name),
            "UNSEEN": lambda: sum("\\Seen" not in found.flags for each in numbers if (found := folder.stored(each))),
        }
        asked = [word(each) for each in arguments[1]] if isinstance(arguments[1], list) else []
        if not asked or not set(asked) <= set(known):
            raise CommandError(Status.BAD, "STATUS lacks what is asked")
        self._say(f"* STATUS {name} ({' '.join(f'{each} {known[each]()}' for each in asked)})")

    async def _do_select(self, arguments: list[Token], *, writable: bool = True) -> str:
        self._selected = None
        name, folder = self._folder(arguments[0])
        uids = folder.numbers()
        flags = " ".join(_FLAGS)
        self._say(
            f"* FLAGS ({flags})",
            f"* {len(uids)} EXISTS",
            "* 0 RECENT",
            f"* OK [PERMANENTFLAGS ({flags if writable else ''})] Kept",
            f"* OK [UIDVALIDITY {self._rehearsal.folders.validity(name)}] Valid",
            f"* OK [UIDNEXT {folder.next_number}] Next",
        )
        self._selected = _Selected(name, folder, uids, writable)
        return "[READ-WRITE] Selected" if writable else "[READ-ONLY] Examined"

    async def _do_examine(self, arguments: list[Token]) -> str:
        return await self._do_select(arguments, writable=False)

    async def _do_close(self, _arguments: list[Token]) -> None:
        self._selected = None

    _do_unselect = _do_close

    async def _do_append(self, arguments: list[Token]) -> None:
        _name, folder = self._folder(arguments[0])
        options, content = arguments[1:-1], _octets(arguments[-1])
        flags: list[str] = []
        if options and isinstance(options[0], list):
            flags, options = [text(each) for each in options[0]], options[1:]
        when = moment(options[0]) if options else None
        if len(options) > 1 or not content:
            raise CommandError(Status.BAD, "APPEND takes flags, a time and a mail")
        try:
            folder.deliver("", (), content, flags=flags, received=when)
        except OSError:  # a full disk
            raise CommandError(Status.NO, "[OVERQUOTA] Insufficient system storage") from None

    async def _do_create(self, _arguments: list[Token]) -> None:
        raise CommandError(Status.NO, "[CANNOT] The folders of the sandbox stay as they are")

    _do_delete = _do_rename = _do_create

    async def _do_expunge(self, _arguments: list[Token]) -> None:
        raise CommandError(Status.NO, "[CANNOT] The sandbox deletes nothing")

    def _folder(self, name: Token) -> tuple[str, Inbox]:
        wanted = text(name)
        try:
            return wanted, self._rehearsal.folders[wanted]
        except KeyError:
            raise CommandError(Status.NO, "[NONEXISTENT] There is no such folder") from None

    # --- the mails of the selected folder ---

    async def _do_uid(self, arguments: list[Token]) -> str | None:
        name = word(arguments[0])
        if name not in _KEEPS_NUMBERS:
            raise CommandError(Status.BAD, "UID takes FETCH, SEARCH or STORE")
        return await getattr(self, f"_do_{name.lower()}")(arguments[1:], by_uid=True)  # type: ignore[no-any-return]

    async def _do_search(self, arguments: list[Token], *, by_uid: bool = False) -> None:
        selected = self._opened
        if word(arguments[0]) == "CHARSET":
            if text(arguments[1]).upper() not in {"UTF-8", "US-ASCII"}:
                raise CommandError(Status.NO, "[BADCHARSET (UTF-8 US-ASCII)] Unknown character set")
            arguments = arguments[2:]
        fits = condition(arguments, selected.folder, selected.uids, self._heads.of(selected.name, selected.folder))
        found = [uid if by_uid else number for number, uid in enumerate(list(selected.uids), 1) if fits(number, uid)]
        self._say(" ".join(["* SEARCH", *map(str, found)]))

    async def _do_fetch(self, arguments: list[Token], *, by_uid: bool = False) -> None:
        items = arguments[1] if isinstance(arguments[1], list) else [arguments[1]]
        wanted = [_OLDER.get(word(each), word(each)) for each in items]
        wanted = [
            each for item in wanted for each in {"FAST": ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]}.get(item, [item])
        ]
        if by_uid and "UID" not in wanted:
            wanted.insert(0, "UID")
        selected = self._opened
        reads = selected.writable and any(each.startswith("BODY[") for each in wanted)
        for number, uid in self._chosen(arguments[0], by_uid=by_uid):
            found = selected.folder.stored(uid)
            if found is None:
                continue  # gone, which is told after the next command
            flags = found.flags
            if reads and "\\Seen" not in flags:
                flags = (*flags, "\\Seen")
                selected.folder.flag(uid, flags)
            values = [_fetched(each, uid, found, flags) for each in wanted]
            self._writer.write(b"* %d FETCH (%s)\r\n" % (number, b" ".join(values)))
            await self._writer.drain()

    async def _do_store(self, arguments: list[Token], *, by_uid: bool = False) -> None:
        selected, does = self._opened, word(arguments[1])
        given = [text(each) for each in (arguments[2] if isinstance(arguments[2], list) else arguments[2:])]
        sign, silent = does[0] if does[0] in "+-" else "", does.endswith(".SILENT")
        if does.lstrip("+-").removesuffix(".SILENT") != "FLAGS":
            raise CommandError(Status.BAD, "STORE takes FLAGS")
        if not selected.writable:
            raise CommandError(Status.NO, "[READ-ONLY] The folder is open for reading only")
        for number, uid in self._chosen(arguments[0], by_uid=by_uid):
            if found := selected.folder.stored(uid):
                kept = [flag for flag in found.flags if sign and not (sign == "-" and flag in given)]
                flags = list(dict.fromkeys([*kept, *(given if sign != "-" else ())]))
                selected.folder.flag(uid, flags)
                if not silent:
                    named = f"UID {uid} " if by_uid else ""
                    self._say(f"* {number} FETCH ({named}FLAGS ({' '.join(flags)}))")

    @property
    def _opened(self) -> _Selected:
        if self._selected is None:
            raise CommandError(Status.BAD, "Select a folder first")
        return self._selected

    def _chosen(self, numbers: Token, *, by_uid: bool) -> list[tuple[int, int]]:
        """Return number and UID of the mails that are meant, in their order."""
        uids = list(self._opened.uids)
        if by_uid:
            wanted = set(chosen(numbers, uids))
            return [(number, uid) for number, uid in enumerate(uids, 1) if uid in wanted]
        return [(number, uids[number - 1]) for number in chosen(numbers, range(1, len(uids) + 1))]

    def _show_changes(self, *, keep_numbers: bool) -> None:
        """Tell which mails came and, where it may be told, which are gone."""
        if (selected := self._selected) is None:
            return
        present = selected.folder.numbers()
        if not keep_numbers:
            here = set(present)
            for number in range(len(selected.uids), 0, -1):
                if selected.uids[number - 1] not in here:
                    del selected.uids[number - 1]
                    self._say(f"* {number} EXPUNGE")
        last = selected.uids[-1] if selected.uids else 0
        if new := [uid for uid in present if uid > last]:
            selected.uids += new
            self._say(f"* {len(selected.uids)} EXISTS")

    # --- the connection ---

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._writer.write(f"{line}\r\n".encode())

    def _invite(self) -> None:
        self._say("+ Ready")


def _octets(token: Token) -> bytes:
    if isinstance(token, list):
        raise CommandError(Status.BAD, "A string is missing")
    return bytes(token)


def _fetched(item: str, uid: int, mail: Stored, flags: Sequence[str]) -> bytes:
    """Return an item of FETCH with its value."""
    simple: dict[str, Callable[[], bytes]] = {
        "UID": lambda: b"%d" % uid,
        "FLAGS": f"({' '.join(flags)})".encode,
        "INTERNALDATE": lambda: date_time(mail.received),
        "RFC822.SIZE": lambda: b"%d" % len(mail.raw),
    }
    if value := simple.get(item):
        return item.encode("ascii") + b" " + value()
    body = _BODY.fullmatch(item)
    if body is None:
        raise CommandError(Status.BAD, f"The sandbox does not tell {item[:40]}")
    content, name = _section(mail.raw, body[1]), f"BODY[{body[1]}]"
    if body[2]:
        start, length = int(body[2]), body[3]
        name += f"<{start}>"
        content = content[start : start + int(length)] if length else content[start:]
    return name.encode("ascii", "replace") + b" " + literal(content)


def _section(raw: bytes, section: str) -> bytes:
    """Return a part of a mail: all of it, its header, some fields of that, or its text."""
    head, _blank, rest = raw.partition(b"\r\n\r\n")
    fields = re.fullmatch(r"HEADER\.FIELDS(\.NOT)? \((.*)\)", section)
    if fields:
        names = {name.strip('"').encode("ascii", "replace").lower() for name in fields[2].split()}
        lines = re.findall(rb"[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n?", head)
        kept = [line.rstrip() for line in lines if (line.partition(b":")[0].lower() in names) != bool(fields[1])]
        return b"".join(line + b"\r\n" for line in kept if line) + b"\r\n"
    parts = {"": raw, "HEADER": head + b"\r\n\r\n", "TEXT": rest}
    if section not in parts:
        raise CommandError(Status.BAD, "The sandbox tells no single parts of a mail")
    return parts[section]
