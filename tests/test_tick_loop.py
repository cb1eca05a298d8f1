"""The tick loop: its sleep between packets, and its measurements."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import threading
from collections.abc import Callable

import pytest
from helpers.raw_client import Client, Connect
from helpers.servers import OpenServer
from helpers.waiting import until

from zoneserver import tick_loop
from zoneserver.games.plaza import Plaza
from zoneserver.gateway import packet_rest
from zoneserver.protocol.messages import Act, Bye, Snapshot, Tick
from zoneserver.support.watchdog import Watchdog
from zoneserver.tick_loop import _log_stall
from zoneserver.zone.link import TickOutput
from zoneserver.zone.rules import Player, action


async def ticks_of(client: Client, count: int) -> list[Tick]:
    return [await client.read_a(Tick) for _ in range(count)]


async def test_tick_loop_sleeps_between_packets_of_a_crowd_only(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr(packet_rest, "_CROWD_PACKETS", 4)
    monkeypatch.setattr(packet_rest.time, "sleep", sleeps.append)
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
    assert all(0 < seconds <= packet_rest._SLEEP_SECONDS for seconds in sleeps)

    before = len(sleeps)
    await ticks_of(client, 3)
    assert len(sleeps) == before, "no client sends any more"


async def test_tick_loop_does_not_sleep_while_connections_come_in(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept_at: list[int] = []
    server = await open_server(Plaza, hz=20)
    counters = server.gateway.counters
    monkeypatch.setattr(packet_rest, "_CROWD_PACKETS", 1)
    monkeypatch.setattr(packet_rest.time, "sleep", lambda _seconds: slept_at.append(counters.connections_total))
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


# --- Failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, GeneratorExit])
async def test_tick_that_fails_costs_no_later_tick_and_no_player(
    error: type[BaseException], open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await open_server(Plaza, hz=100)
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    encode, failures = server.zone.encode, 3

    def fails() -> TickOutput:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise error
        return encode()

    (before,) = await ticks_of(client, 1)
    monkeypatch.setattr(server.zone, "encode", fails)
    snapshot = await client.read_until(Snapshot)
    assert snapshot.tick > before.tick + 3
    assert server.stats().ticks_failed_total == 3
    # The player goes on from the snapshot, and a newcomer comes in.
    assert [tick.tick for tick in await ticks_of(client, 2)] == [snapshot.tick + 1, snapshot.tick + 2]
    newcomer = await connect(server.port)
    await newcomer.hello("bob")
    await newcomer.welcomed()


async def test_join_in_a_tick_that_fails_is_told_with_a_later_tick(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await open_server(Plaza, hz=50)
    encode = server.zone.encode

    def fails_once_with_a_join() -> TickOutput:
        if server.zone.rules.players:
            monkeypatch.setattr(server.zone, "encode", encode)
            raise ZeroDivisionError
        return encode()

    monkeypatch.setattr(server.zone, "encode", fails_once_with_a_join)
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    assert server.zone.encode == encode
    await ticks_of(client, 2)


async def test_loop_that_a_rule_stalls_is_logged_with_the_place(
    open_server: OpenServer, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told = threading.Event()

    class Stalling(Plaza):
        def on_join(self, player: Player) -> None:
            told.wait(30)

    def log_stall(seconds: float, place: str) -> None:
        # A busy machine may stand still elsewhere.
        if "Stalling" in place:
            _log_stall(seconds, place)
            told.set()

    def soon(report: Callable[[float, str], None], seconds: float) -> Watchdog:
        assert seconds == 1.0
        return Watchdog(report, 0.1)

    monkeypatch.setattr(tick_loop, "_log_stall", log_stall)
    monkeypatch.setattr(tick_loop, "Watchdog", soon)
    server = await open_server(Stalling, hz=20)
    client = await connect(server.port)
    with caplog.at_level(logging.ERROR):
        await client.hello("ann")
        await client.welcomed()
    (line,) = (record.getMessage() for record in caplog.records if "second stop signal" in record.getMessage())
    assert ".Stalling.on_join (" in line
    assert "test_tick_loop.py:" in line


async def test_stop_runs_a_last_tick_and_calls_on_leave_and_on_stop(open_server: OpenServer, connect: Connect) -> None:
    noted: list[str] = []

    class Noting(Plaza):
        def on_leave(self, player: Player) -> None:
            noted.append(f"{player.name} leaves")

        def on_stop(self) -> None:
            noted.append("stop")

        @action
        def nod(self, player: Player) -> None:
            noted.append(f"{player.name} nods")

    server = await open_server(Noting, hz=1)
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    await client.say(Act(1, [("nod",)]))
    # Nothing but the last tick reads the action: the next one is due a second from now.
    await until(lambda: server.gateway.has_actions)
    await server.stop()
    await server.stop()
    assert noted == ["ann nods", "ann leaves", "stop"]
    tick = await client.read_a(Tick)
    assert [event[2] for event in tick.events] == ["nod"]
    assert (await client.read_a(Bye)).code == "SERVER_STOPPING"


async def test_zone_at_a_high_rate_has_several_ticks_in_a_turn(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await open_server(Plaza, hz=100)
    ticks: list[int] = []
    server.link.subscribe(lambda output: ticks.append(output.tick))
    turns: list[int] = []
    advance = server.tick_loop.ticker.advance
    monkeypatch.setattr(server.tick_loop.ticker, "advance", lambda now: turns.append(len(ticks)) or advance(now))
    server.zone.ticks_per_second = 250.0
    await until(lambda: len(turns) > 5)
    assert server.tick_loop.ticker.period == 3 / 250
    assert {after - before for before, after in itertools.pairwise(turns[2:])} == {3}
