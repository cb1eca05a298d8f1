"""Players that use the client library, for tests that run the ticks themselves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import zoneclient as client
from helpers.gateway_fixture import GatewayFixture
from helpers.waiting import until
from helpers.worlds import zone_info
from zoneclient.connection import ZoneConnection
from zoneclient.update import Update

from zoneserver.protocol.messages import Goodbye, Tick, Welcome

HOST = "127.0.0.1"


WELCOME = Welcome(2, 0, 0, zone_info(100, 100, name="made up"), 1024, 16).encode()


FIRST = Tick(1, 100, None)


@contextlib.asynccontextmanager
async def joined(fixture: GatewayFixture, name: str, **settings: Any) -> AsyncIterator[ZoneConnection]:
    """Connect a player to a gateway, and run the tick that admits it."""

    async def admit() -> None:
        await until(lambda: fixture.gateway._requests.joins)
        fixture.tick()

    admitting = asyncio.create_task(admit())
    # Nothing runs the ticks that would tell the fate of the last actions.
    settings = {"leave_timeout": 0, **settings}
    async with client.connect(HOST, fixture.port, name=name, **settings) as zone:
        await admitting
        await zone.ping()  # The server has read the first of the regular PINGs, too.
        yield zone


async def actions_received(fixture: GatewayFixture, actions: int) -> None:
    """Return when the gateway has received this many actions since its start."""

    def have_arrived() -> bool:
        fixture.gateway.send_requests()  # Nothing else has it read its inbox: these gateways have no tick loop.
        return fixture.gateway.counters.actions_in_total >= actions

    await until(have_arrived)


async def updates_to(zone: ZoneConnection, tick: int) -> list[Update]:
    """Return all updates up to the one of this tick."""
    updates = [await anext(zone)]
    while updates[-1].tick < tick:
        updates.append(await anext(zone))
    return updates


def assert_same_world(zone: ZoneConnection, fixture: GatewayFixture) -> None:
    replica, world = zone.replica, fixture.zone.world
    assert replica.tick == world.tick
    assert replica.world.hash() == world.hash()
    assert [replica.position(slot) for slot in replica.players] == [world.position(slot) for slot in world.slots()]


async def serve_bytes(cleanup: contextlib.AsyncExitStack, data: bytes, closes: bool = True) -> int:
    """Start a server that sends these bytes to each client and closes the connection; return its port.

    The close may discard what the client has not read yet: with many bytes, leave it to the client.
    """

    class Sender(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            writer: Any = transport
            writer.write(data)
            self.transport = writer
            if closes:
                writer.close()

        def data_received(self, data: bytes) -> None:
            if data.endswith(Goodbye().encode()):
                self.transport.close()

    server = await asyncio.get_running_loop().create_server(Sender, HOST, 0)
    cleanup.push_async_callback(server.wait_closed)
    cleanup.callback(server.close)
    port: int = server.sockets[0].getsockname()[1]
    return port
