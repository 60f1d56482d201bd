"""Everything that can go wrong, drawn as a tree: one class for each thing that a caller would do differently.

DocmailError                .hint  .guide  .field
├── SettingsError           .problems                          open the form
├── CredentialError         nothing stored, keyring locked     store one
├── MessageError            nothing left this computer         fix the arguments
│   ├── AddressError        .address
│   ├── BatchError          .problems                          fix the rows, or skip them
│   ├── DocumentError       not a PDF, empty, too large
│   └── NotebookError       a cell failed, no end, no kernel       correct the notebook
└── SendError               .reply  .phase  .kind  .refused
    ├── ConnectError        DNS, TCP, time-out, proxy, cut before the last byte    not sent
    ├── TLSError            certificate, handshake, no STARTTLS                    not sent
    ├── AuthenticationError                                    stop the run
    ├── Refused                                                do not repeat
    ├── Deferred            .retry_after                       may be repeated
    └── OutcomeUnknown      lost after the last byte           a person decides

`TREATMENT` is the one table from the kind of a failure to its class and to what the outbox does about it.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from docmail.privacy import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from types import TracebackType

    from docmail.reply import Certificate, Reply

__all__ = [
    "AddressError",
    "AuthenticationError",
    "BatchError",
    "ConnectError",
    "CredentialError",
    "Deferred",
    "DocmailError",
    "DocumentError",
    "Field",
    "Guide",
    "Kind",
    "MessageError",
    "NotebookError",
    "OrganisationWarning",
    "OutcomeUnknown",
    "Phase",
    "Problem",
    "Refused",
    "RowProblem",
    "SendError",
    "SettingsError",
    "TLSError",
]


class Word(StrEnum):
    """One of a few words. It shows itself as that word: a notebook keeps what a cell shows."""

    def __repr__(self) -> str:
        return repr(self.value)


class Guide(Word):
    """A heading of the guides that an error leads to: `docmail.presets.guide(error.guide)`.

    The guides of providers have the provider's name (`Provider.guide`), so `DocmailError.guide` may be another text.

    >>> docmail.presets.guide(docmail.errors.Guide.PORTS).title
    'Ports'
    """

    ADDRESSES = "Addresses"
    ADMINISTRATORS = "For administrators"
    AFTER_SENDING = "After sending"
    CERTIFICATES = "Certificates"
    GMAIL = "Gmail"
    LOOKS = "Looks of mail"
    MICROSOFT_365 = "Microsoft 365"
    PASSWORDS = "Passwords"
    PORTS = "Ports"
    SCHEDULED = "Scheduled notebooks"
    SENDING = "Sending"
    SPAM = "Why do my mails land in the spam folder?"


class Phase(Word):
    """A step on the way of a mail to the server, in the order in which a connection meets them.

    STARTTLS puts `greeting` and `ehlo` before `tls`. By HTTP, `request` and `reply` stand in the place of what follows
    `tls`. In a mailbox (IMAP), `folders` comes after `auth`, and what follows is missing.

    >>> docmail.send_test(docmail.Settings("Ann", docmail.SmtpServer(""))).failed.phase is docmail.errors.Phase.SETTINGS
    True
    """

    SETTINGS = "settings"
    CREDENTIAL = "credential"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    GREETING = "greeting"
    EHLO = "ehlo"
    AUTH = "auth"
    FOLDERS = "folders"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    REQUEST = "request"
    REPLY = "reply"


class Field(Word):
    """A field of the settings, as `Problem.field`, `DocmailError.field` and the settings form name it.

    >>> docmail.Settings("Ann", docmail.SmtpServer("")).problems()[0].field is docmail.errors.Field.HOST
    True
    """

    PROTOCOL = "protocol"
    HOST = "host"
    PORT = "port"
    SECURITY = "security"
    USERNAME = "username"
    EMAIL_ADDRESS = "email_address"
    SENDER = "sender"
    PASSWORD = "password"  # noqa: S105 - the name of a field
    COPY_TO = "copy_to"
    REPLY_TO = "reply_to"
    FINGERPRINT = "fingerprint"
    CA_FILE = "ca_file"
    URL = "url"
    SIGN_IN = "sign_in"
    CLIENT_ID = "client_id"
    CLIENT_SECRET = "client_secret"  # noqa: S105 - the name of a field
    TENANT = "tenant"
    MAILBOX_HOST = "mailbox_host"
    MAILBOX_PORT = "mailbox_port"
    MAILBOX_SECURITY = "mailbox_security"
    MAILBOX_USERNAME = "mailbox_username"
    MAILBOX_PASSWORD = "mailbox_password"  # noqa: S105 - the name of a field
    MAILBOX_FINGERPRINT = "mailbox_fingerprint"
    MAILBOX_CA_FILE = "mailbox_ca_file"
    ORGANISATION = "organisation"  # no field of the form, but the organisation's file


_MOST_LISTED = 5
_MOST_LETTERS = 300


def listed(texts: Collection[str], separator: str = "; ", most: int = _MOST_LISTED) -> str:
    """Return the first texts, each of a bounded length, and how many more there are.

    A sentence about a thousand refusals, each with its reply, would have millions of letters, in every traceback and
    in the notebook. All of them are in the error's or the result's own fields.
    """
    shown = [text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…" for text in islice(texts, most)]
    more = len(texts) - len(shown)
    return separator.join([*shown, *([f"… (+{more:,})"] if more > 0 else [])])


class DocmailError(Exception):
    """Any failure of docmail.

    `str()` says what happened and what to do. `hint` is the second part alone, one imperative sentence; `guide` the
    heading of the guide that explains more (`docmail.presets.guide`); `field` the setting to change, if it is one.

    >>> try:
    ...     docmail.Message("not an address", "Q3")
    ... except docmail.errors.DocmailError as error:
    ...     print(error.field, error.guide)
    to Addresses
    """

    def __init__(self, message: str, *, hint: str = "", guide: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.guide = guide
        self.field = field

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows instead of the traceback: the sentence, the cell's own line, the guide.

        The frames inside docmail say nothing to the person who wrote the cell. `%xmode Verbose` shows them, and so does
        a script.
        """
        # Nobody but IPython asks, and it may ask twice: it renders an error for its history as well.
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        shown = getattr(shell, "InteractiveTB", None)
        if shown is not None and shown.mode != "Context":
            frames: list[str] = shown.structured_traceback(type(self), self, self.__traceback__, tb_offset=1)
            return frames
        lines = [f"{type(self).__name__}: {self}", *_lines_of_cell(self.__traceback__)]
        if self.guide:
            lines.append(f'→ docmail.presets.guide("{self.guide}")')
        return lines


def _lines_of_cell(trace: TracebackType | None) -> list[str]:
    """Return the cell's line that led to an error, and that of a function of the notebook in which it arose."""
    places = [place for place in traceback.walk_tb(trace) if place[0].f_globals.get("__name__") == "__main__"]
    lines = []
    for frame, number in dict.fromkeys([*places[:1], *places[-1:]]):
        if line := linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip():
            lines.append(f"----> {number} {line}")  # as IPython marks it, in any language
    return lines


@dataclass(frozen=True)
class Problem:
    """One `field` of the settings that cannot stay as it is, and why, in a sentence (`message`).

    >>> docmail.Settings("Ann", docmail.SmtpServer("")).problems()[0].message
    "Give the SMTP server's name, such as smtp.example.com."
    """

    field: str
    message: str


class SettingsError(DocmailError, ValueError):
    """The settings are missing, unreadable or not usable; `problems` names the fields.

    >>> try:
    ...     docmail.Settings("accounts@example.com", docmail.SmtpServer("mail example.com")).check()
    ... except docmail.errors.SettingsError as error:
    ...     [str(problem.field) for problem in error.problems]
    ['host']
    """

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[Problem] = (),
        hint: str = "",
        guide: str | None = None,
        field: str | None = None,
    ) -> None:
        field = field or (problems[0].field if problems else None)
        super().__init__(message, hint=hint, guide=guide, field=field)
        self.problems = tuple(problems)


class CredentialError(DocmailError, LookupError):
    """No password can be had: nothing is stored, or the keyring is locked.

    Store one with `docmail.credentials.ask(settings)` or in the form; a script gets it from the environment.
    """


class MessageError(DocmailError, ValueError):
    """The message cannot be made as asked; nothing left this computer.

    Correct the argument that `field` names.
    """


class AddressError(MessageError):
    """A text is no email address where one is needed; `address` is that text.

    Correct it where `field` says: an argument such as `to`, or a setting.
    """

    def __init__(self, message: str, *, address: str = "", hint: str = "", field: str | None = None) -> None:
        super().__init__(message, hint=hint, guide=Guide.ADDRESSES, field=field)
        self.address = address


@dataclass(frozen=True)
class RowProblem:
    """One row of a batch that cannot be sent, and why.

    `row` is its number (from 1), `key` its key, `field` what is wrong in it, `message` a sentence. `str()` of it names
    no address, because a notebook would keep it; `key` and `message` are as they are.

    >>> messages = docmail.merge([{"no": 1, "to": "nobody"}], key="no", to="{{ to }}", subject="Hello")
    >>> added = docmail.Outbox().add_all(messages, batch="2026-11", bad_rows="skip")
    >>> added.problems[0].row, added.problems[0].field
    (1, 'to')
    """

    row: int
    key: str | None
    field: str | None
    message: str

    def __str__(self) -> str:
        cells = (f"{self.row:,}", self.key or "-", self.field or "-", self.message)
        return "  ".join(map(one_line, cells))


class BatchError(MessageError):
    """Some rows of a batch cannot be sent, and nothing was added; `problems` are these rows.

    `table` is what `str()` says of them below the message. It names no address: Jupyter keeps it in the notebook.

    >>> rows = [{"no": 1, "to": "ann@example.com"}, {"no": 2, "to": "nobody"}]
    >>> try:
    ...     docmail.Outbox().add_all(docmail.merge(rows, key="no", to="{{ to }}", subject="Hello"), batch="2026-11")
    ... except docmail.errors.BatchError as error:
    ...     [problem.row for problem in error.problems]
    [2]
    """

    def __init__(
        self, message: str, *, problems: Sequence[RowProblem] = (), table: str = "", hint: str = "", **details: Any
    ) -> None:
        super().__init__(message, hint=hint, **{"field": problems[0].field if problems else None, **details})
        self.problems = tuple(problems)
        self.table = table

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [super().__str__(), self.table]))

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of it, which is no line of code: none is to blame."""
        return [f"{type(self).__name__}: {self}"]


class DocumentError(MessageError):
    """A document cannot be attached: missing, empty, damaged, or of a kind that docmail does not know.

    Give what `docmail.Document.of` takes.
    """

    def __init__(self, message: str, *, hint: str = "", guide: str | None = None, field: str = "documents") -> None:
        super().__init__(message, hint=hint, guide=guide, field=field)


class NotebookError(MessageError):
    """A notebook could not be executed to its end, or what it shows cannot be mailed; nothing was sent.

    `cell` is the number of the cell in the notebook, from 1 and with the Markdown cells, None if it is not about one;
    `source` the first line of that cell, `error` the exception's class and message, `output` the last lines that were
    shown. Passwords and email addresses are left out of all of them.
    """

    def __init__(  # noqa: PLR0913 - what a caller may ask
        self,
        message: str,
        *,
        cell: int | None = None,
        source: str = "",
        error: str = "",
        output: str = "",
        hint: str = "",
        guide: str | None = Guide.SCHEDULED,
        field: str | None = "notebook",
    ) -> None:
        super().__init__(message, hint=hint, guide=guide, field=field)
        self.cell = cell
        self.source = source
        self.error = error
        self.output = output


class Kind(StrEnum):
    """What sort of failure it is; decides the class and the action, never the reply's code alone.

    >>> [str(kind) for kind in docmail.errors.Kind][:3]
    ['auth', 'config', 'temporary']
    """

    AUTH = "auth"  # who signs in
    CONFIG = "config"  # another setting
    TEMPORARY = "temporary"  # repeat later
    LIMIT = "limit"  # the account's quota: stop the batch (some servers say 5yz)
    RECIPIENT = "recipient"  # this recipient
    MESSAGE = "message"  # content or size
    NETWORK = "network"  # nothing was sent
    UNKNOWN = "unknown"  # may have been sent


class SendError(DocmailError):
    """The message was not (or perhaps not) taken by the server.

    `reply` holds the server's reply, `phase` the step at which it failed (as in `Diagnosis`), `kind` the sort of
    failure, `refused` the reply for each recipient that was refused, `wrong_port` whether another port of the server
    may be the answer.

    >>> box.answer("rcpt", "550 5.1.1 No such mailbox", times=1)
    >>> try:
    ...     docmail.send(pdf, to="gone@example.com", subject="Q3")
    ... except docmail.errors.SendError as error:
    ...     print(error.kind, error.phase, error.refused["gone@example.com"].code)
    recipient rcpt 550
    """

    def __init__(  # noqa: PLR0913 - what a caller may ask
        self,
        message: str,
        *,
        kind: Kind,
        phase: str = "",
        reply: Reply | None = None,
        refused: Mapping[str, Reply] | None = None,
        wrong_port: bool = False,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.kind = kind
        self.wrong_port = wrong_port
        self.phase = phase
        self.reply = reply
        self.refused = dict(refused or {})

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would call the class without its keywords.
        return (_rebuild, (type(self), self.message, self.__dict__))


def _rebuild(cls: type[SendError], message: str, state: dict[str, Any]) -> SendError:
    error = cls(message, kind=state["kind"])
    error.__dict__.update(state)
    return error


class ConnectError(SendError, ConnectionError):
    """The server was not reached, or the connection broke before the last byte: nothing was sent.

    Send again; if it stays so, `docmail.send_test()` says what is in the way.
    """


class TLSError(SendError, ConnectionError):
    """The connection could not be encrypted to the right server: nothing was sent.

    `certificate` is the one that was not accepted, if the server showed one that can be read, and `fingerprint` its
    SHA-256. Check host and port; for a server of your own, the guide "Certificates" says what to do.
    """

    def __init__(
        self, message: str, *, fingerprint: str | None = None, certificate: Certificate | None = None, **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.fingerprint = fingerprint
        self.certificate = certificate


class AuthenticationError(SendError):
    """The server does not let this username and password in: nothing was sent, and a run stops.

    Store the right password, for many providers an app password: `docmail.credentials.ask(settings)`.
    """


class Refused(SendError):
    """The server refuses for good; repeating would not help.

    Correct what its `reply` names: an address (each has its own reply in `refused`), the sender, or the message.
    """


class Deferred(SendError):
    """The server does not take it now; it may be repeated after `retry_after` seconds (None: not said).

    A run of the outbox repeats it by itself.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class OutcomeUnknown(SendError):
    """The connection was lost after the last byte: the mail may have arrived, and a person decides.

    Look whether it arrived, then say so: `docmail.Outbox().resolve(id, "sent")`, or "resend".
    """


class OrganisationWarning(UserWarning):
    """The organisation's file cannot be used, so mail is sent without what it fixes, such as a copy to the archive.

    Its administrator corrects it; `docmail organisation` says what is wrong.
    """


class Action(StrEnum):
    """What the outbox does after a failure."""

    DROP = "drop"  # this message is settled, the next one follows
    REPEAT = "repeat"  # this message again later, the next one follows
    STOP = "stop"  # every message would meet the same: keep them, stop the run
    ASK = "ask"  # nobody knows whether it was sent: a person decides


@dataclass(frozen=True)
class Treatment:
    """The exception and the action that belong to a kind."""

    error: type[SendError]
    action: Action


# The one table. Which kind a reply is of is for `docmail.replies` to say, and the code alone never
# decides: `550 5.4.5` and `550 5.4.6` are limits though 5yz, `451 ... Maximum credits exceeded` is one though waiting a
# minute does not help, and a 421 is temporary wherever it comes. Without words it is the moment that decides: a
# connection that breaks before the last byte is NETWORK; after it no reply, half of one or no SMTP at all is UNKNOWN;
# and what happens to RSET and QUIT is nothing.
TREATMENT: dict[Kind, Treatment] = {
    Kind.AUTH: Treatment(AuthenticationError, Action.STOP),
    Kind.CONFIG: Treatment(Refused, Action.STOP),
    Kind.TEMPORARY: Treatment(Deferred, Action.REPEAT),
    Kind.LIMIT: Treatment(Deferred, Action.STOP),
    Kind.RECIPIENT: Treatment(Refused, Action.DROP),
    Kind.MESSAGE: Treatment(Refused, Action.DROP),
    Kind.NETWORK: Treatment(ConnectError, Action.STOP),
    Kind.UNKNOWN: Treatment(OutcomeUnknown, Action.ASK),
}
