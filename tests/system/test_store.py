"""Whole servers with a store: players come back to what they had, and no tick waits for the store."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers.postgres import Postgres
from helpers.purse import Purse
from helpers.servers import OpenServer
from helpers.waiting import until
from zoneclient import JoinRefusedError, ZoneConnection, connect

from zoneserver import Limits, persistence
from zoneserver.protocol.framing import length_prefixed
from zoneserver.protocol.messages import PROTOCOL_VERSION, Hello
from zoneserver.server import ZoneServer
from zoneserver.store.sqlite import SqliteBackend
from zoneserver.testing import MemoryStore, StartClient, StartServer


def test_player_who_comes_back_at_once_has_what_they_had(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Purse, store="memory:")
    for gold in range(20):
        ann = zone_client("ann")
        assert ann.stat("gold") == gold
        ann.act("earn")
        ann.leave()


def test_newer_session_has_what_the_older_one_had(zone_server: StartServer, zone_client: StartClient) -> None:
    zone_server(Purse, store="memory:")
    for gold in range(20):
        ann = zone_client("ann")
        assert ann.stat("gold") == gold
        ann.act("earn")


def test_stop_saves_everybody_and_the_next_server_has_it(zone_server: StartServer, zone_client: StartClient) -> None:
    store = MemoryStore()
    zone_server(Purse, store=store)
    for name in ("ann", "bob"):
        zone_client(name).act("earn")
    zone_server.stop()
    assert store.players == {"ann": '{"gold":1}', "bob": '{"gold":1}'}
    zone_server(Purse, store=store)
    assert zone_client("ann").stat("gold") == 1


def test_file_keeps_players_over_a_restart(zone_server: StartServer, zone_client: StartClient, tmp_path: Path) -> None:
    store = str(tmp_path / "accounts.db")
    zone_server(Purse, store=store)
    zone_client("ann").act("earn")
    zone_server.stop()
    zone_server(Purse, store=store)
    assert zone_client("ann").stat("gold") == 1


def test_each_interval_saves_a_player_who_stays(zone_server: StartServer, zone_client: StartClient) -> None:
    store = MemoryStore()
    zone_server(Purse, store=store, store_interval_seconds=0.05)
    ann = zone_client("ann")
    ann.act("earn")
    while store.players.get("ann") != '{"gold":1}':
        ann.wait(1)


async def test_database_that_is_gone_refuses_joins_and_keeps_what_players_have(
    open_server: OpenServer, postgres: Postgres, cleanup: contextlib.AsyncExitStack
) -> None:
    server = await open_server(Purse, hz=50, store=postgres.url())
    ann = await cleanup.enter_async_context(connect("127.0.0.1", server.port, name="ann"))
    await _earn(ann)
    async with connect("127.0.0.1", server.port, name="bob") as bob:
        await _earn(bob)
        postgres.stop()
    try:
        await until(lambda: server.stats().store_failures_total)
        with pytest.raises(JoinRefusedError) as refused:
            await cleanup.enter_async_context(connect("127.0.0.1", server.port, name="cid"))
        assert (refused.value.code, refused.value.retry) == ("STORE_FAILED", True)
        await _earn(ann)  # Who is in plays on.
        assert server.stats().store_unsaved == 1
        # What was not written answers who comes back.
        bob = await cleanup.enter_async_context(connect("127.0.0.1", server.port, name="bob"))
        assert await _gold(bob) == 1
    finally:
        postgres.start()
    await until(lambda: not server.stats().store_unsaved)
    cid = await cleanup.enter_async_context(connect("127.0.0.1", server.port, name="cid"))
    assert await _gold(cid) == 0


class GatedStore(MemoryStore):
    """Does nothing while its gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.threads: set[int] = set()

    def load(self, name: str) -> str | None:
        self.threads.add(threading.get_ident())
        assert self.gate.wait(30)
        return super().load(name)

    def save(self, saved: Mapping[str, str]) -> None:
        self.threads.add(threading.get_ident())
        assert self.gate.wait(30)
        super().save(saved)


async def test_store_that_does_not_answer_refuses_joins_and_holds_up_no_tick(open_server: OpenServer) -> None:
    store = GatedStore()
    server = await open_server(Purse, hz=100, store=store)
    try:
        with pytest.raises(JoinRefusedError, match=r"STORE_FAILED: the store did not answer within 1\.5 s"):
            async with connect("127.0.0.1", server.port, name="ann"):
                pass
        # More ticks were run while the store stood still than its whole patience could hide.
        assert server.zone.world.tick > 10
    finally:
        store.gate.set()
    async with connect("127.0.0.1", server.port, name="ann") as ann:
        await _earn(ann)
    await until(lambda: store.players)
    assert threading.get_ident() not in store.threads


async def test_session_that_ends_while_it_waits_for_the_store_never_joins(open_server: OpenServer) -> None:
    store = GatedStore()
    server = await open_server(Purse, hz=100, store=store)
    try:
        joining = asyncio.create_task(connect("127.0.0.1", server.port, name="ann").__aenter__())
        await until(lambda: store.threads)
        joining.cancel()
        await until(lambda: not server.gateway.connections)
        tick = server.zone.world.tick
        await until(lambda: server.zone.world.tick > tick + 1)
    finally:
        store.gate.set()
    async with connect("127.0.0.1", server.port, name="bob"):
        assert [player.name for player in server.zone.rules.players.values()] == ["bob"]


class ThreadNotingStore(SqliteBackend):
    """Notes the threads that write."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.threads: set[int] = set()

    def save(self, saved: Mapping[str, str]) -> None:
        self.threads.add(threading.get_ident())
        super().save(saved)


async def test_500_players_who_leave_at_once_are_written_behind_the_tick(
    open_server: OpenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ThreadNotingStore] = []
    monkeypatch.setattr(
        "zoneserver.store.store.open_backend", lambda path: made.append(ThreadNotingStore(path)) or made[0]
    )
    limits = Limits(address_connections_max=600, address_connections_burst=600)
    server = await open_server(Purse, hz=20, store=str(tmp_path / "accounts.db"), limits=limits)
    writers = [await _hello(server.port, f"p{number}") for number in range(500)]
    await until(lambda: server.stats().players == 500)
    ticks: list[float] = []
    begins: list[float] = []
    run_tick = server.tick_loop.run_tick

    def measured() -> float:
        begins.append(time.perf_counter())
        ticks.append(run_tick())
        return ticks[-1]

    monkeypatch.setattr(server.tick_loop, "run_tick", measured)
    for writer in writers:
        writer.transport.abort()
    await until(lambda: len(begins) > 1 and not server.zone.rules.players and not server.stats().store_unsaved)
    assert server.stats().store_writes_total >= 500
    assert made[0].threads
    assert threading.get_ident() not in made[0].threads
    gap = max(after - before for before, after in itertools.pairwise(begins))
    print(f"the longest tick took {1000 * max(ticks):.1f} ms of 50, and came {1000 * gap:.1f} ms after the one before")


async def test_stop_writes_what_the_store_does_not_take_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(persistence, "STORE_SECONDS", 0.2)
    store = GatedStore()
    Purse.name = "a purse/of gold"
    try:
        async with ZoneServer(Purse, port=0, stats_port=None, hz=100, store=store, drain_seconds=0) as server:
            store.gate.set()
            async with connect("127.0.0.1", server.port, name="ann") as ann:
                await _earn(ann)
                store.gate.clear()
                await server.stop()
        assert server.has_failed
    finally:
        store.gate.set()
        Purse.name = ""
    (file,) = tmp_path.glob("unsaved-a_purse_of_gold-*.jsonl")
    assert json.loads(file.read_text()) == {"name": "ann", "saved": {"gold": 1}}
    assert file.stat().st_mode & 0o777 == 0o600
    (error,) = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert error == f"1 players could not be written to the store GatedStore: they are in {file.name}"


async def _hello(port: int, name: str) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(length_prefixed(Hello(PROTOCOL_VERSION, name, b"").encode()))
    return writer


async def _earn(zone: ZoneConnection) -> None:
    gold = await _gold(zone)
    zone.act("earn")
    async with asyncio.timeout(10):
        while zone.replica.stat(zone.slot, "gold") == gold:
            await anext(zone)


async def _gold(zone: ZoneConnection) -> int:
    async with asyncio.timeout(10):
        while not zone.replica.tick:
            await anext(zone)
    return zone.replica.stat(zone.slot, "gold")
