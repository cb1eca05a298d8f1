"""The connection of a hostile bot."""

from __future__ import annotations

import asyncio
from typing import Any

from helpers.driven_zone import DrivenZone
from helpers.tick_frames import changed
from helpers.worlds import zone_info
from zonetools.swarm.hostile.connection import DIVERGED, ReplicatingConnection

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import Welcome

PATIENCE_SECONDS = 50.0


async def test_diverged_replica_ends_the_connection() -> None:
    zone = DrivenZone(Plaza(), hz=1, seed=1)
    zone.join(0, "ann")
    zone.step()
    welcome = Welcome(2, 0, 1, zone_info(10_000, 10_000, Plaza.stats, hz=1, name="plaza"), 1024, 16)
    snapshot = zone.world.snapshot().encode()
    right, wrong = (zone.step().frame for _ in range(2))
    sent = b"".join(map(length_prefixed, (welcome.encode(), snapshot, right, changed(wrong, hash=12345))))

    class Server(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(sent)

    loop = asyncio.get_running_loop()
    listener = await loop.create_server(Server, "127.0.0.1", 0)
    try:
        _, connection = await loop.create_connection(
            lambda: ReplicatingConnection("ann"), *listener.sockets[0].getsockname()
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await connection.ended == DIVERGED
        assert connection.replica.hashes_checked == 2
    finally:
        listener.close()
