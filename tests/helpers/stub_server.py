"""A server in a few lines that does as the protocol says: base of those that do something wrong."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from helpers.driven_zone import DrivenZone

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.decoding import decode_client
from zoneserver.protocol.framing import Deframer, frame
from zoneserver.protocol.messages import Act, Bye, Goodbye, Hello, Welcome
from zoneserver.zone.link import TickOutput


class Honest:
    """A small server, tick by tick: what it says of its zone is true. Those that lie are made of it."""

    def __init__(self) -> None:
        self.zone = DrivenZone(Plaza(), hz=100, seed=1)
        self.clients: dict[int, Connection] = {}
        self.lies = 0
        self.numbers = itertools.count()
        self.late: list[tuple[int, int, Any]] = []

    # What a lie replaces.

    def submit(self, ref: int, seq: int, actions: Any) -> None:
        for number, action in enumerate(actions, seq):
            self.zone.submit(ref, number, [action])

    def say_tick(self, result: TickOutput) -> None:
        for connection in self.playing():
            connection.transport.write(frame(result.frame))

    def say_snapshot(self, connection: Connection) -> bytes:
        return frame(self.zone.world.snapshot().encode())

    def hello(self, connection: Connection, hello: Hello) -> None:
        self.zone.join(connection.ref, hello.name)

    # The rest.

    def playing(self) -> list[Connection]:
        return [connection for connection in self.clients.values() if connection.slot is not None]

    def tick(self) -> None:
        result = self.zone.step()
        self.say_tick(result)
        world = self.zone.world
        for ref, slot in result.joined:
            connection = self.clients[ref]
            connection.slot = slot
            stats = list(Plaza.stats.items())
            welcome = Welcome(1, slot, world.tick, 100, "plaza", world.width, world.height, stats, 1024, 16)
            connection.transport.write(frame(welcome.encode()) + self.say_snapshot(connection))
        for ref, refusal, _ in result.refused:
            if ref in self.clients:
                self.clients[ref].transport.write(frame(refusal.encode()))

    def received(self, connection: Connection, payload: bytes) -> None:
        match decode_client(payload):
            case Hello() as hello:
                self.hello(connection, hello)
            case Act(seq, actions):
                self.submit(connection.ref, seq, actions)
            case Goodbye():
                connection.end("CLIENT_LEFT")


class Connection(asyncio.Protocol):
    def __init__(self, server: Honest) -> None:
        self.server = server
        self.ref = next(server.numbers)
        self.slot: int | None = None
        self.transport: Any = None
        self.deframer = Deframer(1024)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.server.clients[self.ref] = self

    def data_received(self, data: bytes) -> None:
        for payload in self.deframer.receive(data):
            self.server.received(self, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone()

    def end(self, code: str) -> None:
        self.transport.write(frame(Bye(code, "", True).encode()))
        self.transport.close()
        self.gone()

    def gone(self) -> None:
        if self.server.clients.pop(self.ref, None) is not None and self.slot is not None:
            self.server.zone.leave(self.ref)
