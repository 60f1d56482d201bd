"""A mail server that counts what arrives, and takes its time at every step: for programs that are killed in the middle.

It speaks SMTP with PIPELINING and, if wanted, CHUNKING, and takes docmail's HTTP form. What it has taken counts as
arrived even if the client is gone before it hears so. It lets in as many clients at once as it has places.
"""

from __future__ import annotations

import contextlib
import random
import re
import socketserver
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

Way = Literal["data", "bdat", "http"]


class SlowServer:
    """Listens on a free port of 127.0.0.1; `arrived` counts the subjects of what it has taken."""

    def __init__(self, way: Way, *, delay: float = 0.002, seed: int = 1, places: int = 100) -> None:
        self.arrived: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0
        self.sent_away = 0
        self.first_says = self.others_say = "250 ok"  # to RCPT, on the first connection and on every other
        self.others_wait = 0.0  # seconds, before they say so
        self._connections = 0
        self._places = places
        self._way = way
        self._delay = delay
        self._random = random.Random(seed)  # noqa: S311 - moments, no secrets
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                with contextlib.suppress(OSError, _GoneError):
                    owner.http(self) if way == "http" else owner.smtp(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _wait(self, step: str) -> None:
        with self._lock:
            self.steps[step] += 1
            seconds = self._random.expovariate(1 / self._delay)
        self._stopping.wait(min(seconds, 10 * self._delay))

    def _take(self, content: bytes | bytearray, pattern: bytes) -> None:
        found = re.search(pattern, content)
        assert found is not None
        with self._lock:
            self.arrived[found[1].decode()] += 1

    # --- SMTP ---

    def smtp(self, client: Any) -> None:
        """Talk to one client until it goes, if there is a place for it."""
        with self._lock:
            full = self.at_once >= self._places
            self.sent_away += full
            self.at_once += not full
            self.most_at_once = max(self.most_at_once, self.at_once)
            self._connections += 1
            is_first = self._connections == 1
        if full:
            self._say(client, "greeting", "421 4.7.0 too many connections")
            return
        try:
            self._serve(client, is_first=is_first)
        finally:
            with self._lock:
                self.at_once -= 1

    def _serve(self, client: Any, *, is_first: bool) -> None:  # noqa: C901 - one table of commands
        self._say(client, "greeting", "220 slow ESMTP")
        to_recipients = ""
        while True:
            line = _line(client)
            verb = line[:4].upper()
            if line.rstrip() == b"BDAT 1":
                client.rfile.read(1)
                verb = b"FIRST CHUNK"
            if verb == b"EHLO":
                extensions = ["slow", "PIPELINING", "8BITMIME", *(["CHUNKING"] if self._way == "bdat" else [])]
                said = "\r\n".join(f"250{' ' if each == extensions[-1] else '-'}{each}" for each in extensions)
                self._say(client, "EHLO", said)
            elif verb == b"DATA":
                self._say(client, "DATA", "354 go on")
                content = bytearray()
                while not content.endswith(b"\r\n.\r\n"):
                    content += _line(client)
                self._wait("taking")
                self._take(content, rb"(?m)^Subject: (.*)\r$")
                self._say(client, "end", "250 2.0.0 taken")
            elif verb == b"BDAT":
                content = client.rfile.read(size := int(line.split()[1]))
                if len(content) < size:
                    raise _GoneError
                self._wait("taking")
                if not to_recipients.startswith("250"):
                    self._say(client, "BDAT", "554 5.5.1 no valid recipients")
                    continue
                self._take(content, rb"(?m)^Subject: (.*)\r$")
                self._say(client, "BDAT", "250 2.0.0 taken")
            elif verb == b"QUIT":
                self._say(client, "QUIT", "221 bye")
                return
            elif verb == b"RCPT":
                self._stopping.wait(0 if is_first else self.others_wait)
                to_recipients = self.first_says if is_first else self.others_say
                self._say(client, "RCPT", to_recipients)
            else:
                self._say(client, verb.decode(), "250 ok")

    def _say(self, client: Any, step: str, reply: str) -> None:
        self._wait(step)
        client.wfile.write(reply.encode() + b"\r\n")

    # --- HTTP ---

    def http(self, client: Any) -> None:
        """Take one form."""
        size = 0
        while (line := _line(client)) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        content = client.rfile.read(size)
        if len(content) < size:
            raise _GoneError
        self._wait("taking")
        self._take(content, rb"(?s)name=\"subject\"\r\n\r\n(.*?)\r\n|[?&]?subject=([^&]*)")
        self._wait("reply")
        client.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


class _GoneError(Exception):
    """The client has gone in the middle of something."""


def _line(client: Any) -> bytes:
    line: bytes = client.rfile.readline()
    if not line.endswith(b"\n"):
        raise _GoneError
    return line
