"""A whole server under failing rules, failing ticks, overload, and vanishing connections."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from helpers.waiting import PATIENCE_SECONDS, until
from zoneclient import ZoneClosedError, connect

from zoneserver.games.plaza import Plaza
from zoneserver.server import ZoneServer
from zoneserver.zone.link import TickInput
from zoneserver.zone.rules import Player, Rules, action
from zoneserver.zone.zone import Zone


class Fragile(Rules):
    @action
    def break_it(self, player: Player) -> None:
        raise ZeroDivisionError("the rule failed")

    @action
    def wave(self, player: Player) -> None:
        """This action does nothing."""


async def test_rule_that_raises_costs_only_its_action(
    open_server: OpenServer, caplog: pytest.LogCaptureFixture
) -> None:
    server = await open_server(Fragile, hz=50)
    async with (
        connect("127.0.0.1", server.port, name="ann") as ann,
        connect("127.0.0.1", server.port, name="bob") as bob,
    ):
        ann.act("break_it")
        ann.act("wave")
        bob.act("wave")
        refused, seen = [], []
        while len(seen) < 2 or not refused:
            update = await anext(ann)
            refused += [refusal.code for refusal in update.refused]
            seen += [event.name for event in update.events]
        assert refused == ["RULE_FAILED"]
        assert sorted(seen) == ["ann", "bob"]
        assert await bob.ping() >= 0
    (record,) = [record for record in caplog.records if record.exc_info]
    told = record.__dict__["fields"]
    assert (told["player"], told["action"], told["failures_total"]) == ("ann", "break_it", 1)
    assert told["error"].startswith("ZeroDivisionError: the rule failed (tests/system/test_failure.py:")
    assert "break_it" in caplog.text
    assert "'ann'" in caplog.text


async def test_server_stops_after_too_many_failed_ticks_and_tells_every_player(
    open_server: OpenServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = await open_server(Plaza, hz=100)
    async with connect("127.0.0.1", server.port, name="ann") as ann:
        await anext(ann)
        monkeypatch.setattr(Zone, "encode", lambda *_: 1 // 0)
        await server.serve()
        assert server.has_failed
        monkeypatch.undo()
        stopping = asyncio.create_task(server.stop())
        with pytest.raises(ZoneClosedError, match="SERVER_STOPPING"):
            while True:
                await anext(ann)
        await stopping
    assert "the zone cannot go on" in caplog.text
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


async def test_server_survives_single_failed_ticks(open_server: OpenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server: ZoneServer = await open_server(Plaza, hz=100)
    async with connect("127.0.0.1", server.port, name="ann") as ann, asyncio.timeout(PATIENCE_SECONDS):
        await anext(ann)
        failed = 0
        advance = Zone.advance

        def sometimes(zone: Zone, tick_input: TickInput) -> None:
            nonlocal failed
            failed += 1
            if failed % 2:
                raise MemoryError
            advance(zone, tick_input)

        monkeypatch.setattr(Zone, "advance", sometimes)
        for _ in range(60):
            await anext(ann)
        assert not server.has_failed


class Heavy(Rules):
    """A game whose ticks take three periods while `is_heavy` is set."""

    is_heavy = False

    def on_tick(self) -> None:
        if self.is_heavy:
            time.sleep(3 / self.hz)


async def test_time_dilates_under_overload_and_recovers(open_server: OpenServer) -> None:
    server = await open_server(Heavy, hz=50)
    rules = server.zone.rules
    assert isinstance(rules, Heavy)
    async with connect("127.0.0.1", server.port, name="ann") as ann:
        update = await anext(ann)
        rules.is_heavy = True
        while update.dilation > 0.5:
            update = await anext(ann)
        assert update.dilation >= 0.1
        rules.is_heavy = False
        ticks = 0
        while update.dilation < 1.0:
            update = await anext(ann)
            ticks += 1
        # Two seconds, counted in ticks, since the machine may be slow.
        assert ticks <= 2 * 50
        assert server.gateway.counters.closes == {}


async def test_thousand_vanished_connections_leave_nothing_behind(open_server: OpenServer, connect: Connect) -> None:
    server = await open_server(Plaza, hz=100)
    clients = [await connect(server.port) for _ in range(300)]
    for number, client in enumerate(clients):
        await client.hello(f"ann {number}")
    await until(lambda: server.gateway.players_count == 300)
    for client in clients:
        client.sock.close()
    await until(lambda: server.gateway.connections == 0)
    await until(lambda: not server.zone.rules.players)
    assert (
        len(server.gateway.pending)
        == server.gateway.broadcaster.behind
        == len(server.gateway.pending.address_limits)
        == 0
    )
