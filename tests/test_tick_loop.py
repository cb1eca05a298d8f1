"""The tick loop: when it sleeps, and what it measures."""

from __future__ import annotations

import contextlib
import socket

import pytest
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver import tick_loop
from zoneserver.games.plaza import Plaza
from zoneserver.protocol.messages import Act, Tick
from zoneserver.tick_loop import PHASES, TickTimes


async def ticks_of(client: Client, count: int) -> list[Tick]:
    return [await client.read_a(Tick) for _ in range(count)]


async def test_tick_loop_sleeps_between_packets_of_a_crowd_only(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr(tick_loop, "_CROWD_PACKETS", 4)
    monkeypatch.setattr(tick_loop.time, "sleep", sleeps.append)
    server = await open_server(Plaza, hz=20)
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    await ticks_of(client, 2)
    assert not sleeps, "one packet is no crowd"

    await client.say(*(Act(seq, [("emote", 0)]) for seq in range(1, 5)))
    seen = [event for tick in await ticks_of(client, 3) for event in tick.events]
    assert [seq for _, seq, *_ in seen] == [1, 2, 3, 4]
    assert sleeps
    assert all(0 < seconds <= tick_loop._SLEEP_SECONDS for seconds in sleeps)

    before = len(sleeps)
    await ticks_of(client, 3)
    assert len(sleeps) == before, "no client sends any more"


async def test_tick_loop_does_not_sleep_while_connections_come_in(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept_at: list[int] = []
    server = await open_server(Plaza, hz=20)
    counters = server.gateway.counters
    monkeypatch.setattr(tick_loop, "_CROWD_PACKETS", 1)
    monkeypatch.setattr(tick_loop.time, "sleep", lambda _seconds: slept_at.append(counters.connections_total))
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    with contextlib.ExitStack() as stack:
        # The loop begins to sleep with the next tick. The system completes the connections meanwhile, and all of
        # them wait to be accepted.
        await client.say(Act(1, [("emote", 0)]))
        while not slept_at:
            await ticks_of(client, 1)
        for _ in range(50):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        await until(lambda: counters.connections_total == 51)
        await client.say(Act(2, [("emote", 0)]))
        await until(lambda: slept_at[-1] == 51)
    assert len({count for count in slept_at if 1 < count < 51}) <= 5


# --- TickTimes ------------------------------------------------------------------------------------


def test_tick_ms_is_the_sum_of_the_phases_without_ingest() -> None:
    times = TickTimes(10)
    times.record(9.0, 0.001, 0.002, 0.004, 0.008)
    assert times.tick_ms() == {"p50": 15.0, "p99": 15.0, "max": 15.0}


def test_phases_ms_are_means_in_milliseconds() -> None:
    times = TickTimes(10)
    times.record(0.001, 0.002, 0.003, 0.004, 0.005)
    times.record(0.003, 0.004, 0.005, 0.006, 0.007)
    assert times.phases_ms() == {"ingest": 2.0, "rules": 3.0, "encode": 4.0, "deflate": 5.0, "fan_out": 6.0}


def test_tick_times_keep_only_the_newest_ticks() -> None:
    times = TickTimes(2)
    for rules in (9.0, 0.001, 0.002):
        times.record(0.0, rules, 0.0, 0.0, 0.0)
    assert times.tick_ms() == {"p50": 1.0, "p99": 2.0, "max": 2.0}
    assert times.phases_ms()["rules"] == 1.5


def test_tick_times_before_the_first_tick_are_zero() -> None:
    times = TickTimes(2)
    assert times.tick_ms() == {"p50": 0.0, "p99": 0.0, "max": 0.0}
    assert times.phases_ms() == dict.fromkeys(PHASES, 0.0)
