"""Players that are connected by the client library, for tests whose ticks are run by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import zoneclient as client
from helpers.gateway_fixture import GatewayFixture
from helpers.waiting import until
from zoneclient.connection import Update, ZoneConnection

from zoneserver.protocol.messages import Tick, Welcome

HOST = "127.0.0.1"


WELCOME = Welcome(1, 0, 0, 20, "made up", 100, 100, [], 1024, 16).encode()


FIRST = Tick(1, 100, None, [], [], [], [], [], [], [], [], [])


@contextlib.asynccontextmanager
async def joined(fixture: GatewayFixture, name: str, **settings: Any) -> AsyncIterator[ZoneConnection]:
    """A player in a hall, let in with a tick of its own."""
    greeted = fixture.gateway.counters.packets_in_total

    async def admit() -> None:
        await until(lambda: fixture.gateway.counters.packets_in_total > greeted)
        fixture.tick()

    admitting = asyncio.create_task(admit())
    async with client.connect(HOST, fixture.port, name=name, **settings) as zone:
        await admitting
        yield zone


async def actions_received(fixture: GatewayFixture, actions: int) -> None:
    """Returns when the gateway has taken in so many actions, ever."""

    def have_arrived() -> bool:
        fixture.gateway.read_inbox()  # the halls of these tests tick by hand
        return fixture.gateway.counters.actions_in_total >= actions

    await until(have_arrived)


async def updates_to(zone: ZoneConnection, tick: int) -> list[Update]:
    """All updates up to that of a tick."""
    updates = [await anext(zone)]
    while updates[-1].tick < tick:
        updates.append(await anext(zone))
    return updates


def assert_same_world(zone: ZoneConnection, fixture: GatewayFixture) -> None:
    ours, theirs = zone.replica, fixture.zone.world
    assert ours.tick == theirs.tick
    assert ours.world.hash() == theirs.hash()
    assert [ours.position(slot) for slot in ours.players] == [theirs.position(slot) for slot in theirs.slots()]


async def serve_bytes(cleanup: contextlib.AsyncExitStack, data: bytes) -> int:
    """A server that says this to everybody and closes the connection; returns its port."""

    class Saying(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            said: Any = transport
            said.write(data)
            said.close()

    server = await asyncio.get_running_loop().create_server(Saying, HOST, 0)
    cleanup.push_async_callback(server.wait_closed)
    cleanup.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port
