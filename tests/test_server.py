"""The whole server, in this process."""

from __future__ import annotations

import time

import pytest
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Tick


async def ticks_of(client: Client, count: int) -> list[Tick]:
    return [await client.read_a(Tick) for _ in range(count)]


async def test_stats_have_the_monotonic_time_of_the_next_tick(open_server: OpenServer, connect: Connect) -> None:
    began = time.monotonic()
    server = await open_server(Plaza, hz=50)
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    first = server.stats()
    await ticks_of(client, 3)
    second = server.stats()
    # The clock of uvloop counts whole milliseconds.
    assert began - 0.002 < first.tick_due_monotonic_s < second.tick_due_monotonic_s < time.monotonic() + 0.022
    periods = (second.tick_due_monotonic_s - first.tick_due_monotonic_s) * 50
    assert periods == pytest.approx(round(periods), abs=0.001)
    assert round(periods) >= second.tick - first.tick
