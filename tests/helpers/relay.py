"""A relay between clients and a server, which cuts their connections in every way that a network does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, NamedTuple

HOST = "127.0.0.1"


class Cut(NamedTuple):
    """Where a connection is cut: after so many bytes from the client, or from the server."""

    from_client: bool
    after_bytes: int


class Relay:
    """Passes bytes on, both ways. The first of `cuts` is for the first connection, and so on."""

    def __init__(self, server_port: int, cuts: list[Cut] | None = None) -> None:
        self.port = 0
        self.connections = 0
        self.is_closed = False
        """While this is set, new connections are closed at once."""
        self.server_port = server_port
        self.cuts = cuts or []
        self.ends: set[End] = set()

    async def open(self, cleanup: contextlib.AsyncExitStack) -> Relay:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: End(self, None), HOST, 0)
        self.port = listener.sockets[0].getsockname()[1]
        cleanup.push_async_callback(listener.wait_closed)
        cleanup.callback(self.reset)
        cleanup.callback(listener.close)
        return self

    def reset(self) -> None:
        """Both ends of all connections get a reset."""
        for end in list(self.ends):
            end.reset()

    def half_close(self, *, client: bool) -> None:
        """The clients, or the server, get an end of the stream; their own bytes still arrive."""
        for end in self.ends:
            if end.is_client == client:
                end.half_close()

    def freeze(self) -> None:
        """The present connections stay open, and no byte arrives any more."""
        for end in self.ends:
            end.is_frozen = True


class End(asyncio.Protocol):
    """One end of a connection through a relay."""

    def __init__(self, relay: Relay, other: End | None) -> None:
        self.relay = relay
        self.is_client = other is None
        self.is_frozen = False
        self.transport: Any = None
        # The other end, and what arrived before it was there.
        self._other = other
        self._early = b""
        self._cut: Cut | None = None
        self._passed_bytes = 0
        # Nothing is written behind the end of the stream: what the other end goes on sending is lost.
        self._has_written_eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.relay.ends.add(self)
        if self._other is not None:
            self._other._meet(self)
        elif self.relay.is_closed:
            self.reset()
        else:
            self.relay.connections += 1
            self._cut = self.relay.cuts.pop(0) if self.relay.cuts else None
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(
                loop.create_connection(lambda: End(self.relay, self), HOST, self.relay.server_port)
            )

    def _meet(self, server: End) -> None:
        self._other, server._cut = server, self._cut
        early, self._early = self._early, b""
        if self.transport.is_closing():
            server.reset()
        elif early:
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self.is_frozen:
            return
        if self._other is None:
            self._early += data
            return
        cut, passed = self._cut, self._passed_bytes
        self._passed_bytes += len(data)
        if cut is not None and cut.from_client == self.is_client and self._passed_bytes >= cut.after_bytes:
            # The rest of the bytes still arrives, as in a network: the cut is the end of the stream.
            self._other.write(data[: cut.after_bytes - passed])
            self._other.transport.close()
            self.reset()
        else:
            self._other.write(data)

    def write(self, data: bytes) -> None:
        if not self._has_written_eof:
            self.transport.write(data)

    def half_close(self) -> None:
        self._has_written_eof = True
        self.transport.write_eof()

    def eof_received(self) -> bool:
        if self._other is not None and not self.is_frozen:
            self._other.transport.close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.relay.ends.discard(self)
        if self._other is not None and not self.is_frozen:
            self._other.transport.close()

    def reset(self) -> None:
        if not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
