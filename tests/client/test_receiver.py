"""The regular PINGs of a client, its clock, and a server that falls silent."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import zoneclient as client
from helpers.gateway_fixture import OpenGateway
from helpers.servers import OpenServer
from helpers.waiting import until
from helpers.zone_connections import FIRST, HOST, WELCOME, joined, serve_bytes, updates_to
from zoneclient import receiver

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.framing import length_prefixed

GREETING = length_prefixed(WELCOME) + length_prefixed(FIRST.encode())


async def test_connected_client_measures_the_round_trip_by_itself(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "PING_SECONDS", 0.01)
    server = await open_server(Plaza, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        await until(lambda: zone.rtt is not None)
        first = zone.rtt
        await until(lambda: zone.rtt != first)
        assert zone.rtt is not None
        assert zone.rtt > 0


async def test_now_is_a_fraction_near_the_newest_tick_and_never_decreases(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=100)
    async with client.connect(HOST, server.port, name="ann") as zone:
        shown = []
        async for update in zone:
            # At most a tick, a round trip and half a second beyond the newest frame.
            shown.append(zone.now())
            assert shown[-1] < update.tick + 1 + 100 * (0.5 + (zone.rtt or 0))
            if len(shown) == 30:
                break
        assert shown == sorted(shown)
        assert shown[-1] >= update.tick - 64
        assert len({value % 1 for value in shown}) > 1
        x, y = zone.replica.position(0, shown[-1])
        assert (type(x), type(y)) == (float, float)


async def test_silent_server_is_a_lost_connection(
    cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "PING_SECONDS", 0.01)
    monkeypatch.setattr(receiver, "SILENT_SECONDS_MAX", 0.05)
    port = await serve_bytes(cleanup, GREETING, closes=False)
    async with client.connect(HOST, port, name="ann") as zone:
        assert (await anext(zone)).tick == 1
        with pytest.raises(client.ZoneClosedError, match=r"the server has sent nothing for 0\.05 s") as caught:
            await anext(zone)
        assert (caught.value.code, caught.value.retry) == ("CONNECTION_LOST", True)
        with pytest.raises(client.ZoneClosedError, match="CONNECTION_LOST"):
            zone.act("wave")


async def test_server_is_not_silent_while_the_client_does_not_read(
    open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = await open_gateway(Plaza, hz=100)
    async with joined(fixture, "ann") as zone:
        for _ in range(100):
            fixture.tick()
            await asyncio.sleep(0)
        await until(lambda: zone._receiver._is_paused)
        checks = 0

        def ping_again() -> None:
            nonlocal checks
            checks += 1
            receiver.Receiver._ping_again(zone._receiver)

        monkeypatch.setattr(receiver, "PING_SECONDS", 0.005)
        monkeypatch.setattr(receiver, "SILENT_SECONDS_MAX", 0.01)
        monkeypatch.setattr(zone._receiver, "_ping_again", ping_again)
        zone._receiver._ping_again()
        await until(lambda: checks > 10)
        assert zone._receiver.bye is None
        monkeypatch.setattr(receiver, "SILENT_SECONDS_MAX", 60.0)
        await updates_to(zone, fixture.zone.world.tick)


async def test_unanswered_ping_is_not_repeated(
    cleanup: contextlib.AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "PING_SECONDS", 0.002)
    port = await serve_bytes(cleanup, GREETING, closes=False)
    async with client.connect(HOST, port, name="ann") as zone:
        await until(lambda: zone._receiver._silent_pings > 10)
        assert zone._receiver._pings_sent == 1
        assert zone.rtt is None
