"""The connection of a hostile bot: its script decides what it sends, and when it reads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from zoneclient.errors import DivergedError
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import PROTOCOL_VERSION, Bye, Hello, Pong, Refusal, Snapshot, Tick, Welcome
from zoneserver.protocol.values import ACTIONS_PER_PACKET as ARRAY_MAX
from zoneserver.protocol.values import Value
from zoneserver.protocol.websocket import WebSocketReader

DIVERGED = "DIVERGED"
"""The close code that a ReplicatingConnection reports when a state hash differs from the hash of its replica."""

# A script writes no more while this many bytes wait in its own transport.
_WRITE_BYTES_MAX = 64 * 1024


class ConnectionEnded(Exception):
    """The connection ended before its script did."""


class HostileConnection(ClientProtocol):
    """A connection with methods for scripts: wait for a condition, write raw bytes, stop reading."""

    def __init__(self, name: str, ticket: bytes = b"", **settings: Any) -> None:
        super().__init__(name, ticket, **settings)
        self.refused: Counter[str] = Counter()
        """The refusals and warnings that it received, by code."""
        self.ended: asyncio.Future[str] = self.loop.create_future()
        """The close code, once the connection has ended: that of the BYE, or CONNECTION_LOST without a BYE."""
        self.is_joined = False
        """True after the first snapshot."""
        self.is_web = bool(settings.get("web_host"))
        """Whether the connection is a WebSocket."""
        self.pong: Pong | None = None
        """The last answer to a PING."""
        self._received = asyncio.Event()
        # While true, reading pauses again after each read from the kernel.
        self._pauses_after_read = False

    # --- For scripts ------------------------------------------------------------------------------

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until received data makes the condition true. Raises ConnectionEnded."""
        while not condition():
            if self.ended.done():
                raise ConnectionEnded
            self._received.clear()
            await self._received.wait()

    async def wait_joined(self) -> None:
        """Wait for the first snapshot. Raises ConnectionEnded."""
        await self.wait_until(lambda: self.is_joined)

    async def pause(self, seconds: float) -> None:
        """Wait. Raises ConnectionEnded."""
        await asyncio.wait({self.ended}, timeout=seconds)
        if self.ended.done():
            raise ConnectionEnded

    @property
    def close_status(self) -> int | None:
        """The status of the server's close frame; None if there was none."""
        return self._reader.close_status if isinstance(self._reader, WebSocketReader) else None

    @property
    def is_websocket(self) -> bool:
        """Whether the server has made a WebSocket of the connection."""
        return self.is_web and self._upgrade is None

    def write(self, data: bytes) -> None:
        """Send raw bytes, unless many bytes wait already or the connection has ended."""
        if self.bye is None and not self.is_lost and self.transport.get_write_buffer_size() < _WRITE_BYTES_MAX:
            self.transport.write(data)

    async def write_slowly(self, data: bytes) -> None:
        """Send all but the last byte of raw bytes, two in a second. Raises ConnectionEnded."""
        for byte in data[:-1]:
            self.write(bytes((byte,)))
            await self.pause(0.5)

    def act_now(self, kind: str, *arguments: Value) -> None:
        """Send one action as a packet of its own."""
        self.act(kind, *arguments)
        self.flush()

    def stop_reading(self) -> None:
        """Leave all further data in the kernel."""
        self._pauses_after_read = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def read_once(self) -> None:
        """Read once from the kernel, then stop reading again."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def resume_reading(self) -> None:
        self._pauses_after_read = False
        self.read_once()

    # --- Received data ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._pauses_after_read:
            self.stop_reading()
        self._received.set()

    def on_snapshot(self, payload: bytes) -> None:
        self.is_joined = True

    def on_refused(self, refusal: Refusal) -> None:
        self.refused[refusal.code] += 1

    def on_pong(self, pong: Pong) -> None:
        self.pong = pong

    def on_closed(self, bye: Bye) -> None:
        self.ended.set_result(bye.code)
        self._received.set()


class WatchingConnection(HostileConnection):
    """A connection of a watcher."""

    def __init__(self, name: str, ticket: bytes = b"", **settings: Any) -> None:
        super().__init__(name, ticket, watch=True, **settings)


class OutdatedConnection(HostileConnection):
    """A connection that insists on a version of the game that no server has."""

    def __init__(self, name: str, ticket: bytes = b"", **settings: Any) -> None:
        super().__init__(name, ticket, game_version="of yesterday", **settings)


class OptionsConnection(HostileConnection):
    """A connection that asks for as many options as HELLO may name. No server knows any of them."""

    def __init__(self, name: str, ticket: bytes = b"", **settings: Any) -> None:
        super().__init__(name, ticket, **settings)
        options = [f"{number:02} {'option' * 7}" for number in range(ARRAY_MAX)]
        self._hello = Hello(PROTOCOL_VERSION, name, ticket, options).encode()


class NoHelloConnection(HostileConnection):
    """A connection that sends no HELLO by itself."""

    def send_hello(self) -> None:
        """Send nothing."""


class SilentConnection(NoHelloConnection):
    """A connection to a WebSocket that does not send the request by itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert self._upgrade is not None
        self.request, self._upgrade.request = self._upgrade.request, b""
        super().connection_made(transport)


class ReplicatingConnection(HostileConnection):
    """A connection with a replica of its own. It ends with DIVERGED when the replica differs from the server."""

    replica: Replica

    def on_welcome(self, welcome: Welcome) -> None:
        self.replica = Replica(welcome)

    def on_snapshot(self, payload: bytes) -> None:
        super().on_snapshot(payload)
        snapshot = decode_server(payload)
        assert isinstance(snapshot, Snapshot)
        self.replica.restore(snapshot)

    def on_tick(self, payload: bytes) -> None:
        tick = decode_server(payload)
        assert isinstance(tick, Tick)
        try:
            self.replica.apply(tick)
        except DivergedError as error:
            self.record_end(Bye(DIVERGED, str(error), False))
            self.abort()
