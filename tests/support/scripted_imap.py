"""An IMAP server on real sockets that does at each command what a test says, however wrong, and keeps what it hears.

```python
with ScriptedImap({"AUTHENTICATE": "{tag} NO [ALERT] Application-specific password required"}) as server:
    ...
```

The steps are `greeting`, `STARTTLS` and the commands (`UID SEARCH` for those with UID). What is not scripted works:
INBOX and Sent are there, empty. An action is text (`{tag}` is the command's; CRLF is added), raw `bytes`, a function of
the session, None (silence) or `CUT`; a list gives one action per occurrence, and the last one stays.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

CUT: Final = object()
"""The action that ends the connection."""

CAPABILITIES: Final = "IMAP4rev1 STARTTLS AUTH=PLAIN AUTH=XOAUTH2 NAMESPACE SPECIAL-USE"

_DEFAULTS: Final[Mapping[str, Any]] = {
    "greeting": "* OK ready",
    "STARTTLS": "{tag} OK begin",
    "NAMESPACE": '* NAMESPACE (("" "/")) NIL NIL\r\n{tag} OK',
    "LIST": '* LIST (\\HasNoChildren) "/" INBOX\r\n* LIST (\\Sent) "/" Sent\r\n{tag} OK',
    "EXAMINE": "* 0 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 7] ok\r\n{tag} OK [READ-ONLY] done",
    "UID SEARCH": "* SEARCH\r\n{tag} OK",
    "LOGOUT": "* BYE bye\r\n{tag} OK",
}


class Session:
    """One connection."""

    def __init__(self, server: ScriptedImap, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.encrypted = False
        self._buffer = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def line(self) -> bytes:
        """Return the client's next line; raises `EOFError` when it is gone."""
        while b"\n" not in self._buffer:
            self._more()
        line, _end, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def literal(self, size: int) -> bytes:
        """Return so many bytes of the client."""
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self) -> None:
        if not (data := self.sock.recv(65536)):
            raise EOFError
        self._buffer += data

    def encrypt(self) -> None:
        """Begin TLS."""
        assert self.server.tls is not None
        self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
        self.encrypted = True


class ScriptedImap:
    """The server; `heard` are its clients' commands, `mails` what they filed, each with whether it was encrypted."""

    def __init__(
        self,
        script: Mapping[str, Any] | None = None,
        *,
        capabilities: str = CAPABILITIES,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
    ) -> None:
        self._script = dict(script or {})
        self._counts: dict[str, int] = {}
        self._capabilities = capabilities
        self._implicit = implicit
        self.tls = tls
        self.heard: list[tuple[str, bool]] = []
        self.mails: list[bytes] = []
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._sessions: list[Session] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self._sessions:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(session.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def commands(self, name: str) -> list[str]:
        """Return what was heard of one command, without its tag."""
        return [line for line, _encrypted in self.heard if line.startswith(name)]

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _address = self._listener.accept()
                self._sessions.append(session := Session(self, sock))
                self._start(self._serve, session)

    def _serve(self, session: Session) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError):
            if self._implicit:
                session.encrypt()
            if self._act(session, "greeting", ""):
                while self._command(session):
                    pass
        with contextlib.suppress(OSError):
            session.sock.close()

    def _command(self, session: Session) -> bool:
        tag, _blank, rest = session.line().decode("utf-8", "replace").partition(" ")
        name = rest.split(" ")[0].upper()
        if name == "UID":
            name = " ".join(rest.split(" ")[:2]).upper()
        self.heard.append((rest, session.encrypted))
        found = re.search(r"\{(\d+)(\+?)\}$", rest)
        if found and self._action(name, peek=True) in ("", "take"):
            if not found[2]:
                session.send(b"+ go on\r\n")
            self.mails.append(session.literal(int(found[1])))
            session.line()
        elif name == "AUTHENTICATE" and self._action(name, peek=True) != "at once":
            session.send(b"+ \r\n")
            self.heard.append((base64.b64decode(session.line()).decode("utf-8", "replace"), session.encrypted))
        going_on = self._act(session, name, tag)
        if name == "STARTTLS" and going_on and self.tls is not None and not session.encrypted:
            session.encrypt()
        return going_on and name != "LOGOUT"

    def _action(self, name: str, *, peek: bool = False) -> Any:
        action = self._script.get(name, _DEFAULTS.get(name, ""))
        if isinstance(action, list):
            count = self._counts.get(name, 0)
            if not peek:
                self._counts[name] = count + 1
            action = action[min(count, len(action) - 1)]
        return action

    def _act(self, session: Session, name: str, tag: str) -> bool:
        action = self._action(name)
        if action is CUT:
            return False
        if action is None:
            self.stopping.wait()
            return False
        if callable(action):
            action(session)
            return True
        if name == "CAPABILITY" and action == "":
            action = f"* CAPABILITY {self._capabilities}\r\n{{tag}} OK"
        if isinstance(action, bytes):
            session.send(action.replace(b"{tag}", tag.encode()))
        else:
            text = action if action not in ("", "take") else "{tag} OK done"
            session.send(text.replace("{tag}", tag).encode() + b"\r\n")
        return True
