"""An SMTP server on real sockets that does at each step what a test says, however wrong, and keeps what it hears.

```python
with ScriptedServer({"RCPT": ["250 ok", "550 5.1.1 unknown"], "dot": ("25", cut)}) as server:
    smtplib.SMTP("127.0.0.1", server.port)
```

The steps are `greeting`, `handshake`, `EHLO`, `STARTTLS`, `AUTH` (the outcome), `LOGIN` and `USERNAME` (the requests
of AUTH LOGIN), `MAIL`, `RCPT`, `DATA`, `body`, `dot`, `first chunk` (BDAT without LAST), `BDAT`,
`RSET`, `QUIT`. What is not scripted works. An action is a reply (`str`; CRLF is added), raw `bytes`, a function of the
session, or a tuple of these, one after the other; a list gives one action per occurrence, and the last one stays.
"""

from __future__ import annotations

import base64
import contextlib
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from docmail.message import Mail, Message
from docmail.secret import Secret
from docmail.settings import Security, Settings, SmtpServer
from docmail.transport.base import Access, Waits
from docmail.transport.capabilities import RememberedCapabilities
from docmail.transport.smtp.transport import SmtpTransport

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self

Action = str | bytes | Callable[["Session"], None] | tuple["Action", ...]
Script = Mapping[str, Action | list[Any]]

EXTENSIONS = ("PIPELINING", "SIZE 30000000", "8BITMIME", "SMTPUTF8", "AUTH PLAIN LOGIN")


@dataclass(frozen=True)
class Heard:
    """Some bytes of the client: at which step, and whether under TLS."""

    step: str
    data: bytes
    encrypted: bool


@dataclass
class ReceivedMail:
    """One transaction up to its end, or as far as it came."""

    sender: str
    recipients: list[str] = field(default_factory=list)
    content: bytes = b""
    complete: bool = False

    @property
    def unstuffed(self) -> bytes:
        """What came behind DATA, as it was before its dots were stuffed (RFC 5321 4.5.2)."""
        return re.sub(rb"(?m)^\.", b"", self.content)


class _OverError(Exception):
    """The session has ended."""


def cut(session: Session) -> None:
    """Close the connection (FIN; RST if the client's last words are unread)."""
    with contextlib.suppress(OSError):
        # Not SSLSocket's own shutdown: that would drop TLS and leave the connection open.
        socket.socket.shutdown(session.sock, socket.SHUT_RDWR)
    raise _OverError


def reset(session: Session) -> None:
    """Break the connection off (RST)."""
    session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.sock.close()
    raise _OverError


def silence(session: Session) -> None:
    """Say nothing more, but listen until the client goes."""
    while session.receive():
        pass
    raise _OverError


def deaf(session: Session) -> None:
    """Neither speak nor listen until the server is stopped."""
    session.server.stopping.wait()
    raise _OverError


def wait(seconds: float) -> Action:
    """Wait, or until the server is stopped."""

    def act(session: Session) -> None:
        session.server.stopping.wait(seconds)

    return act


def drip(data: bytes, interval: float) -> Action:
    """Send one byte at a time, again and again from the beginning, until the client goes."""

    def act(session: Session) -> None:
        while not session.server.stopping.is_set():
            for number in range(len(data)):
                session.send(data[number : number + 1])
                session.server.stopping.wait(interval)

    return act


def endless(data: bytes) -> Action:
    """Send the same as fast as the client takes it, until it goes."""

    def act(session: Session) -> None:
        while not session.server.stopping.is_set():
            session.send(data * 50)

    return act


def hear(size: int) -> Action:
    """Take so many bytes of the client, and continue."""

    def act(session: Session) -> None:
        left = size
        while left > 0 and (data := session.receive(min(left, 65536))):
            left -= len(data)

    return act


def slowly(size: int, interval: float) -> Action:
    """Take so many bytes of the client at each interval, until it goes."""

    def act(session: Session) -> None:
        while session.receive(size):
            session.server.stopping.wait(interval)

    return act


def name_of(action: Any) -> str | None:
    """Return a short name for what a test is run with (pytest's `ids`)."""
    if isinstance(action, tuple):
        return "-".join(name_of(each) or "" for each in action)
    if isinstance(action, bytes):
        return ascii(action)[2:-1][:20]
    if isinstance(action, str):
        return action[:20]
    name: str | None = getattr(action, "__qualname__", None)
    return name and name.split(".")[0]


def patience(action: Any) -> float:
    """Return a time-out: short where it must strike, long where something else must, also on a busy machine."""
    return 0.3 if {"silence", "drip"} & set((name_of(action) or "").split("-")) else 10


class ScriptedServer:
    """Listens on a free port of 127.0.0.1; `security` is none, starttls or tls, `context` has its certificate."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        security: str = "none",
        context: ssl.SSLContext | None = None,
        extensions: tuple[str, ...] = EXTENSIONS,
        receive_buffer: int | None = None,
    ) -> None:
        self.security = security
        self.context = context
        self.extensions = extensions
        self.stopping = threading.Event()
        self.sessions: list[Session] = []
        self._script = {step: list(acts) if isinstance(acts, list) else acts for step, acts in (script or {}).items()}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.stopping.set()
        # close() alone does not wake up a thread in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(5)  # from here on there are no new sessions
        for session in self.sessions:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(session.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive(), "a session does not end"
        for session in self.sessions:
            session.sock.close()
            if session.failure is not None and kind is None:
                raise session.failure

    def action(self, step: str, default: Action) -> Action:
        """Return what the script says for this step, or the default."""
        with self._lock:
            found: Any = self._script.get(step, default)
            if isinstance(found, list):
                found = found.pop(0) if len(found) > 1 else found[0]
        act: Action = found
        return act

    @property
    def heard(self) -> list[Heard]:
        """All that clients said, in the order it came."""
        return [each for session in list(self.sessions) for each in list(session.heard)]

    @property
    def said(self) -> bytes:
        """All that clients said, as one."""
        return b"".join(each.data for each in self.heard)

    @property
    def commands(self) -> list[str]:
        """The lines of the first client outside of mail and sign-in, decoded."""
        return [
            each.data.decode("utf-8", "replace").removesuffix("\r\n")
            for each in self.sessions[0].heard
            if each.step not in {"body", "handshake", "afterwards"}
        ]

    @property
    def verbs(self) -> list[str]:
        """The first words of the first client's lines."""
        return [line.split(" ")[0] for line in self.commands]

    @property
    def mails(self) -> list[ReceivedMail]:
        """What was delivered whole, in the order it came."""
        return [mail for session in list(self.sessions) for mail in session.mails if mail.complete]

    def wait_for(self, done: Callable[[], object], seconds: float = 5) -> None:
        """Wait until it is true, or fail."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "it does not happen"
            time.sleep(0.005)

    def reached(self, step: str) -> bool:
        """Say whether some session has come to this step."""
        return any(step in session.steps for session in list(self.sessions))

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="scripted", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _address = self._listener.accept()
            except OSError:
                return
            session = Session(self, sock)
            self.sessions.append(session)
            self._start(session.run)


class Session:
    """One client."""

    def __init__(self, server: ScriptedServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.encrypted = False
        self.heard: list[Heard] = []
        self.steps: list[str] = []
        self.mails: list[ReceivedMail] = []
        self.failure: BaseException | None = None
        self._buffer = b""

    # What actions use

    def send(self, data: bytes) -> None:
        """Send to the client."""
        self.sock.sendall(data)

    def receive(self, size: int = 65536) -> bytes:
        """Return some bytes of the client, empty at its end."""
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        if not data:
            data = self.sock.recv(size)
        if data:
            self.heard.append(Heard(self.steps[-1], data, self.encrypted))
        return data

    def handshake(self) -> None:
        """Begin TLS."""
        assert self.server.context is not None
        plain = self.sock
        encrypting = self.server.context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self.sock = encrypting
        encrypting.do_handshake()
        self.encrypted = True

    # The conversation

    def run(self) -> None:
        """Talk until the end."""
        try:
            self._talk()
        except (_OverError, OSError):
            pass
        except BaseException as exc:  # noqa: BLE001 - shown by the test that owns this server
            self.failure = exc
        finally:
            with contextlib.suppress(OSError):
                self.sock.close()

    def _do(self, step: str, default: Action) -> None:
        self.steps.append(step)
        self._act(self.server.action(step, default))

    def _act(self, action: Action) -> None:
        if isinstance(action, tuple):
            for each in action:
                self._act(each)
        elif isinstance(action, str):
            self.send(action.replace("\n", "\r\n").encode() + b"\r\n")
        elif isinstance(action, bytes):
            self.send(action)
        else:
            action(self)

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            if not (data := self.sock.recv(65536)):
                if self._buffer:
                    self.heard.append(Heard("afterwards", self._buffer, self.encrypted))
                raise _OverError
            self._buffer += data
        line, _end, self._buffer = self._buffer.partition(b"\n")
        line += b"\n"
        verb = line.split()[0].decode("ascii", "replace").upper() if line.split() else ""
        self.heard.append(Heard(verb, line, self.encrypted))
        return line

    def _talk(self) -> None:
        if self.server.security == "tls":
            self._do("handshake", Session.handshake)
        self._do("greeting", "220 scripted ESMTP")
        while True:
            line = self._line()
            verb = self.heard[-1].step
            if verb == "EHLO":
                self._do("EHLO", self._extensions())
            elif verb == "STARTTLS":
                self._do("STARTTLS", "220 2.0.0 go ahead")
                self._do("handshake", Session.handshake)
            elif verb == "AUTH":
                self._auth(line)
            elif verb == "BDAT":
                is_last = line.rstrip().endswith(b"LAST")
                take = partial(Session.take_chunk, size=int(line.split()[1]), is_last=is_last)
                if is_last:
                    self._do("body", take)
                    self._do("BDAT", "250 2.0.0 taken")
                else:
                    self._do("first chunk", (take, "250 2.0.0 1 octet"))
            elif verb in {"MAIL", "RCPT", "DATA", "RSET"}:
                self._transaction(verb, line)
            elif verb == "QUIT":
                self._do("QUIT", "221 2.0.0 bye")
                cut(self)
            else:
                self._do(verb, "502 5.5.2 unknown command")

    def _extensions(self) -> str:
        offered = [*self.server.extensions]
        if self.server.security == "starttls" and not self.encrypted:
            offered = [each for each in offered if not each.startswith("AUTH")] + ["STARTTLS"]
        lines = ["scripted", *offered]
        return "\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)

    def _auth(self, line: bytes) -> None:
        if line.split()[1:2] == [b"LOGIN"]:
            self._do("LOGIN", "334 VXNlcm5hbWU6")
            self._line()
            self._do("USERNAME", "334 UGFzc3dvcmQ6")
            self._line()
        self._do("AUTH", "235 2.7.0 welcome")

    def _transaction(self, verb: str, line: bytes) -> None:
        if verb == "MAIL":
            self.mails.append(ReceivedMail(_path(line)))
            self._do("MAIL", "250 2.1.0 sender ok")
        elif verb == "RCPT":
            self.mails[-1].recipients.append(_path(line))
            self._do("RCPT", "250 2.1.5 recipient ok")
        elif verb == "RSET":
            self._do("RSET", "250 2.0.0 forgotten")
        else:
            answer = self.server.action("DATA", "354 go on")
            self.steps.append("DATA")
            self._act(answer)
            if not isinstance(answer, str) or answer.startswith("354"):
                self._do("body", Session.take_body)
                self._do("dot", "250 2.0.0 taken")

    def take_body(self) -> None:
        """Read the mail up to its end."""
        mail = self.mails[-1]
        pieces = bytearray()
        while not (pieces.endswith(b"\r\n.\r\n") or pieces == b".\r\n"):
            if not (data := self.receive()):
                raise _OverError
            pieces += data
        mail.content = bytes(pieces[: -len(b".\r\n")])
        mail.complete = True

    def take_chunk(self, size: int, *, is_last: bool = True) -> None:
        """Read a chunk of the mail (RFC 3030)."""
        mail = self.mails[-1]
        pieces = bytearray()
        while len(pieces) < size:
            if not (data := self.receive(min(65536, size - len(pieces)))):
                raise _OverError
            pieces += data
        mail.content += bytes(pieces)
        mail.complete = is_last


def _path(line: bytes) -> str:
    found = re.search(r"<(.*)>", line.decode("utf-8", "replace"))
    return found[1] if found else ""


# What most tests send through it

USER = "accounts@example.com"
PASSWORD = "correct-horse battery/9"


def settings_for(server: ScriptedServer, **changes: Any) -> Settings:
    """Return settings that reach this server; `changes` are those of its `SmtpServer`."""
    details = {"port": server.port, "security": Security(server.security), "username": USER, **changes}
    return Settings("Accounts <accounts@example.com>", SmtpServer(details.pop("host", "127.0.0.1"), **details))


class ShownCapabilities(RememberedCapabilities):
    """Knows of every server that it takes chunks, until it shows that it does not."""

    def takes_chunks(self, server: str) -> bool | None:
        """Return what was noted, or True."""
        known = super().takes_chunks(server)
        return True if known is None else known


def transport_to(server: ScriptedServer, *, secret: str | None = PASSWORD, **options: Any) -> SmtpTransport:
    """Return a transport to this server; `options` are those of `Access`, `settings` the `SmtpServer`'s."""
    settings = settings_for(server, **options.pop("settings", {}))
    access = {"timeout": 5, "waits": Waits(reply=5), "capabilities": RememberedCapabilities(), **options}
    return SmtpTransport(Access(settings, Secret(secret) if secret is not None else None, **access))


def mail_to(*recipients: str, settings: Settings | None = None, **values: Any) -> Mail:
    """Return a mail to these recipients."""
    message = Message(list(recipients or ("cfo@example.com",)), "Q3", values.pop("body", "Attached."), **values)
    sender = Settings("Accounts <accounts@example.com>", SmtpServer("127.0.0.1", security=Security.NONE))
    return message.render(settings or sender)


def pdf_of(size: int) -> bytes:
    """Return something that passes for a PDF, of about this size, the same each time."""
    return b"%PDF-1.7\n" + random.Random(size).randbytes(size) + b"\n%%EOF\n"  # noqa: S311 - not for secrecy


def echoes(password: str = PASSWORD, user: str = USER) -> tuple[str, ...]:
    """Return what must be nowhere: the password plain, and as it goes over the wire."""
    encoded = (base64.b64encode(text.encode()).decode() for text in (password, f"\0{user}\0{password}"))
    return (password, repr(password)[1:-1], *encoded)


def _described(value: object) -> str:
    try:
        return repr(value)
    except Exception as exc:  # noqa: BLE001 - some things cannot be described once they are closed
        return repr(exc)


def shown(error: BaseException) -> str:
    """Return everything that a notebook in verbose mode, or a tool that logs variables, could show of an error."""
    from IPython.core.ultratb import VerboseTB

    # The first frame is that of the test, which knows the password.
    assert error.__traceback__ is not None
    inner = error.__traceback__.tb_next
    texts = [str(error), repr(error), repr(vars(error))]
    texts += VerboseTB(theme_name="nocolor").text(type(error), error, inner, context=9).splitlines()
    chained: BaseException | None = error
    frame = inner
    while chained is not None:
        while frame is not None:
            texts += [_described(value) for value in frame.tb_frame.f_locals.values()]
            frame = frame.tb_next
        chained = chained.__cause__ or (None if chained.__suppress_context__ else chained.__context__)
        frame = chained.__traceback__ if chained is not None else None
    return "\n".join(texts)
