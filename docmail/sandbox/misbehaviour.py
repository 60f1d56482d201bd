"""Plays what no mail server does on purpose: resets, half replies, a byte a second, text without end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docmail.sandbox.failures import Failure

_LOOK_SECONDS = 0.05
_MUCH = 1 << 16  # octets that wait for the client


async def misbehave(failure: Failure, transport: asyncio.Transport) -> None:
    """Do it until the client goes or the connection is cut; returns with the connection closed or about to be."""
    text = failure.reply.encode()
    transport.resume_reading()  # paused, it would not notice that the client goes
    if failure.does == "reset":
        await asyncio.sleep(_LOOK_SECONDS)  # at once, it would meet a client that is still connecting
        # Closing with nothing lingering is a reset (RST) instead of a good-bye (FIN).
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif failure.does == "say":
        transport.write(text)
        await linger(transport)
    elif failure.does == "say-and-cut":
        transport.write(text)
        transport.close()
        return
    elif failure.does == "drip":
        for place in range(len(text)):
            if transport.is_closing():
                break
            transport.write(text[place : place + 1])
            await asyncio.sleep(1)
    elif failure.does == "endless":
        text *= _MUCH // len(text)
        while not transport.is_closing():
            if transport.get_write_buffer_size() < _MUCH:
                transport.write(text)
            await asyncio.sleep(0)
    transport.abort()


async def refuse(transport: asyncio.Transport, context: ssl.SSLContext) -> None:
    """Begin a handshake that comes to nothing, and say why; asyncio would cut the connection without a word."""
    transport.set_protocol(_Refusing(transport, context))
    transport.resume_reading()
    await linger(transport)


class _Refusing(asyncio.Protocol):
    def __init__(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        self._transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def data_received(self, data: bytes) -> None:
        """Continue the handshake."""
        self._incoming.write(data)
        over = True
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            over = False
        except ssl.SSLError:
            pass  # the alert stands in what is to be sent
        self._transport.write(self._outgoing.read())
        if over:
            self._transport.close()


async def linger(transport: asyncio.Transport, seconds: float = float("inf")) -> None:
    """Say nothing until the client goes, or so many seconds are over."""
    while seconds > 0 and not transport.is_closing():
        await asyncio.sleep(_LOOK_SECONDS)
        seconds -= _LOOK_SECONDS
