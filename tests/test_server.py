"""The server as a whole, in this process: what no part of it does alone."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver import server as server_module
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Act, Tick


async def ticks_of(client: Client, count: int) -> list[Tick]:
    return [await client.read_a(Tick) for _ in range(count)]


async def test_the_loop_rests_while_a_crowd_sends_and_only_then(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(server_module, "_CROWD_PACKETS", 4)
    monkeypatch.setattr(server_module.time, "sleep", rests.append)
    server = await open_server(Plaza, hz=20)
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    await ticks_of(client, 2)
    assert not rests, "one packet is no crowd"

    await client.say(*(Act(seq, [("emote", 0)]) for seq in range(1, 5)))
    seen = [event for tick in await ticks_of(client, 3) for event in tick.events]
    assert [seq for _, seq, *_ in seen] == [1, 2, 3, 4]
    assert rests
    assert all(0 < seconds <= server_module._REST_SECONDS for seconds in rests)

    before = len(rests)
    await ticks_of(client, 3)
    assert len(rests) == before, "nobody sends any more"


async def test_the_loop_does_not_rest_while_connections_come_in(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    rested_at: list[int] = []
    server = await open_server(Plaza, hz=20)
    counters = server.gateway.counters
    monkeypatch.setattr(server_module, "_CROWD_PACKETS", 1)
    monkeypatch.setattr(server_module.time, "sleep", lambda _seconds: rested_at.append(counters.connections_total))
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    with contextlib.ExitStack() as stack:
        # With the next tick the loop begins to rest. The system completes the connections, and has them all
        # for it to accept.
        await client.say(Act(1, [("emote", 0)]))
        while not rested_at:
            await ticks_of(client, 1)
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        await until(lambda: counters.connections_total == 51)
        await client.say(Act(2, [("emote", 0)]))
        await until(lambda: rested_at[-1] == 51)
    assert len({count for count in rested_at if 1 < count < 51}) <= 5


async def test_the_statistics_say_by_the_clock_of_the_machine_when_the_next_tick_is_due(
    open_server: OpenServer, connect: Connect
) -> None:
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
