"""A small server that follows the protocol. Servers with a fault are derived from it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

from helpers.driven_zone import DrivenZone

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.decoding import decode_client
from zoneserver.protocol.framing import Deframer, length_prefixed
from zoneserver.protocol.messages import Act, Bye, Goodbye, Hello, Welcome
from zoneserver.zone.link import TickOutput


class HonestServer:
    """Everything that it sends is true. A subclass overrides one method, and counts its faults."""

    def __init__(self) -> None:
        self.zone = DrivenZone(Plaza(), hz=100, seed=1)
        self.connections: dict[int, Connection] = {}
        self.numbers = itertools.count()
        self.faults_done = 0

    # --- For subclasses to override ---------------------------------------------------------------

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        for number, action in enumerate(actions, seq):
            self.zone.submit(ref, number, [action])

    def send_tick(self, result: TickOutput) -> None:
        for connection in self.players():
            connection.transport.write(length_prefixed(result.frame))

    def snapshot_bytes(self, connection: Connection) -> bytes:
        return length_prefixed(self.zone.world.snapshot().encode())

    def on_hello(self, connection: Connection, hello: Hello) -> None:
        self.zone.join(connection.ref, hello.name)

    def on_lost(self, connection: Connection) -> None:
        if self.connections.pop(connection.ref, None) is not None and connection.slot is not None:
            self.zone.leave(connection.ref)

    # --- The protocol -----------------------------------------------------------------------------

    def players(self) -> list[Connection]:
        return [connection for connection in self.connections.values() if connection.slot is not None]

    def tick(self) -> None:
        result = self.zone.step()
        self.send_tick(result)
        world = self.zone.world
        for ref, slot in result.joined:
            connection = self.connections[ref]
            connection.slot = slot
            welcome = Welcome(2, slot, world.tick, world.info, 1024, 16)
            connection.transport.write(length_prefixed(welcome.encode()) + self.snapshot_bytes(connection))
        for ref, refusal, _ in result.refused:
            if ref in self.connections:
                self.connections[ref].transport.write(length_prefixed(refusal.encode()))

    def on_payload(self, connection: Connection, payload: bytes) -> None:
        match decode_client(payload):
            case Hello() as hello:
                self.on_hello(connection, hello)
            case Act(seq, actions):
                self.submit(connection.ref, seq, actions)
            case Goodbye():
                connection.end("CLIENT_LEFT")

    async def wait_until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds. It is tested about once per tick."""
        while not condition():
            await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        """Listen, and tick a hundred times per second, until the end of the block; yields the port."""
        listener = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", 0)

        async def tick_forever() -> None:
            while True:
                self.tick()
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick_forever())
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            listener.close()


class Connection(asyncio.Protocol):
    def __init__(self, server: HonestServer) -> None:
        self.server = server
        self.ref = next(server.numbers)
        self.slot: int | None = None
        self.transport: Any = None
        self.deframer = Deframer(1024)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server.connections[self.ref] = self

    def data_received(self, data: bytes) -> None:
        for payload in self.deframer.receive(data):
            self.server.on_payload(self, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.on_lost(self)

    def end(self, code: str) -> None:
        self.transport.write(length_prefixed(Bye(code, "", True).encode()))
        self.transport.close()
        self.server.on_lost(self)
