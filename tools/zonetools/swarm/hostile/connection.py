"""The connection of a bot that does not do as it should: it says what its script says, and reads when told to."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from zoneclient.errors import DivergedError
from zoneclient.protocol import ClientProtocol
from zoneclient.replica import Replica

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Bye, Pong, Refusal, Snapshot, Tick, Value, Welcome

__all__ = ["DIVERGED", "HostileConnection", "NoHelloConnection", "OverError", "ReplicatingConnection"]

DIVERGED = "DIVERGED"
"""What a line with a replica of its own says ended it, when a state hash was not the replica's."""

# What waits in a bot itself, beyond which it writes no more.
_WRITE_BYTES_MAX = 64 * 1024


class OverError(Exception):
    """The connection has ended while its script was not at its end."""


class HostileConnection(ClientProtocol):
    """The connection of a hostile bot: it reads as much as it is told to, and waits for what it hears."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.refused: Counter[str] = Counter()
        """What was refused, or said of all that was sent, by code."""
        self.over: asyncio.Future[str] = self.loop.create_future()
        """The code it ended with, once it has: that of the BYE, or CONNECTION_LOST where there was none."""
        self.is_in = False
        """Whether it has its first snapshot."""
        self.pong: Pong | None = None
        """The last answer to a PING."""
        self._news = asyncio.Event()
        # While true, reading pauses after each read from the kernel.
        self._is_sipping = False

    # --- For scripts ------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until something it was told makes this hold. Raises OverError."""
        while not condition():
            if self.over.done():
                raise OverError
            self._news.clear()
            await self._news.wait()

    async def joined(self) -> None:
        """Waits for the first snapshot. Raises OverError."""
        await self.until(lambda: self.is_in)

    async def pause(self, seconds: float) -> None:
        """Lets time pass. Raises OverError."""
        await asyncio.wait({self.over}, timeout=seconds)
        if self.over.done():
            raise OverError

    def write(self, data: bytes) -> None:
        """Sends bytes as they are, unless many wait already or the connection is over."""
        if self.bye is None and not self.is_lost and self.transport.get_write_buffer_size() < _WRITE_BYTES_MAX:
            self.transport.write(data)

    def do(self, kind: str, *arguments: Value) -> None:
        """One action in a packet of its own."""
        self.act(kind, *arguments)
        self.flush()

    def stop_reading(self) -> None:
        """Leaves what comes in the kernel from now on."""
        self._is_sipping = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def sip(self) -> None:
        """Reads what the kernel holds now, once."""
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def read_on(self) -> None:
        """Reads everything from now on."""
        self._is_sipping = False
        self.sip()

    # --- What it hears ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_sipping:
            self.stop_reading()
        self._news.set()

    def on_snapshot(self, payload: bytes) -> None:
        self.is_in = True

    def on_refused(self, refusal: Refusal) -> None:
        self.refused[refusal.code] += 1

    def on_pong(self, pong: Pong) -> None:
        self.pong = pong

    def on_closed(self, bye: Bye) -> None:
        self.over.set_result(bye.code)
        self._news.set()


class NoHelloConnection(HostileConnection):
    """One that does not say HELLO by itself."""

    def send(self, payload: bytes) -> None:
        if payload is not self._hello:
            super().send(payload)


class ReplicatingConnection(HostileConnection):
    """One that keeps a replica of its own, and ends with DIVERGED when that is not the server's state."""

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
