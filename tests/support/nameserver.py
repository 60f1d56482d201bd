"""A name server on a free port of 127.0.0.1 (UDP and TCP) that knows what a test tells it, and keeps what it hears.

```python
with NameServer() as server:
    server.add("example.com", "MX", "10 mx.example.com.")
    server.resolver().resolve("example.com.", "MX")
```

A name that it knows under another type has no records, one above a name that it knows exists and has none, and any
other does not exist (NXDOMAIN). `*.example.com` answers for all names below that it does not know.
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


Trouble = Literal["servfail", "silence", "truncate"]


@dataclass(frozen=True)
class Question:
    """What a client asked, and the bytes in which it did."""

    name: str
    type: str
    over: Literal["udp", "tcp"]
    octets: bytes


class NameServer:
    """A name server; `trouble` makes it fail as some do: "servfail", "silence", or "truncate" (but not over TCP).

    `trouble_at` are names with a trouble of their own.
    """

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self.trouble_at: dict[str, Trouble] = {}
        self.asked: list[Question] = []
        self._records: dict[tuple[str, str], list[str]] = {}
        self._tcp, self._udp = self._listening()
        self.port: int = self._tcp.server_address[1]

    def add(self, name: str, kind: str, *records: str) -> None:
        """Know these records, written as in a zone file; host names in them end with a dot."""
        self._records.setdefault((name.lower(), kind), []).extend(records)

    def resolver(self) -> dns.resolver.Resolver:
        """Return a resolver that asks this server alone."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.port
        return resolver

    def _listening(self) -> tuple[socketserver.TCPServer, socketserver.UDPServer]:
        while True:  # until a port is free in both protocols
            tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._tcp_handler())
            tcp.daemon_threads = True
            try:
                return tcp, socketserver.UDPServer(tcp.server_address, self._udp_handler())
            except OSError:
                tcp.server_close()

    def _udp_handler(self) -> type[socketserver.BaseRequestHandler]:
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                octets, sock = self.request
                if answer := server._answer(octets, "udp"):
                    sock.sendto(answer, self.client_address)

        return Handler

    def _tcp_handler(self) -> type[socketserver.BaseRequestHandler]:
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, struct.error):  # the client may go at any time
                    (length,) = struct.unpack("!H", self.rfile.read(2))
                    if answer := server._answer(self.rfile.read(length), "tcp"):
                        self.wfile.write(struct.pack("!H", len(answer)) + answer)

        return Handler

    def _answer(self, octets: bytes, over: Literal["udp", "tcp"]) -> bytes | None:
        query = dns.message.from_wire(octets)
        [question] = query.question
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(Question(name, kind, over, octets))
        trouble = self.trouble_at.get(name.lower(), self.trouble)
        if trouble == "silence":
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if trouble == "servfail":
            response.set_rcode(dns.rcode.SERVFAIL)
        elif trouble == "truncate" and over == "udp":
            response.flags |= dns.flags.TC
        else:
            self._look_up(response, name.lower(), kind)
        return response.to_wire()

    def _look_up(self, response: dns.message.Message, name: str, kind: str) -> None:
        asked = name
        while alias := self._records.get((self._known_as(name), "CNAME")):  # a resolver's server follows it, sends both
            response.answer.append(self._rrset(name, "CNAME", alias))
            name = alias[0].removesuffix(".").lower()
            if name == asked:
                return  # a circle
        if records := self._records.get((self._known_as(name), kind)):
            response.answer.append(self._rrset(name, kind, records))
        elif not any(f".{known}".endswith(f".{self._known_as(name)}") for known, _kind in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    def _known_as(self, name: str) -> str:
        """Return the name under which it has records for this one: its own, or that of a wildcard above."""
        known = {each for each, _kind in self._records}
        if any(f".{each}".endswith(f".{name}") for each in known):
            return name
        above = name.split(".")
        wild = (f"*.{'.'.join(above[number:])}" for number in range(1, len(above)))
        return next((each for each in wild if each in known), name)

    @staticmethod
    def _rrset(name: str, kind: str, records: list[str]) -> Any:
        return dns.rrset.from_text_list(f"{name}.", 60, "IN", kind, records)

    def __enter__(self) -> Self:
        for server in (self._tcp, self._udp):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for server in (self._tcp, self._udp):
            server.shutdown()
            server.server_close()
