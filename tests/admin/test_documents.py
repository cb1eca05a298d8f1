"""The documents of the admin port."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import ClassVar

import pytest
from helpers.admin_browser import Browse, ask
from helpers.raw_client import Connect
from helpers.servers import OpenServer
from prometheus_client.parser import text_string_to_metric_families
from zoneclient.errors import JoinRefusedError
from zoneclient.join import connect

from zoneserver.admin.stats import Stats
from zoneserver.games.plaza import Plaza
from zoneserver.server import ZoneServer
from zoneserver.zone.rules import Rules
from zoneserver.zone.schema import schema_of


async def test_stats_have_the_declared_fields_and_types(server: ZoneServer, browse: Browse, connect: Connect) -> None:
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    answer = await (await browse()).ask("GET /stats")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["cache-control"] == "no-store"
    document = answer.document
    fields = {field.name: str(field.type) for field in dataclasses.fields(Stats)}
    assert list(document) == list(fields)
    types: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,)}
    types["list[GatewayStats]"] = (list,)
    for name, kind in fields.items():
        assert isinstance(document[name], types.get(kind, (dict,))), f"{name} is no {kind}"
    assert document["schema"] == "zone-stats/1"
    assert (document["game"], document["hz"]) == ("plaza", 100)
    assert (document["players"], document["connections"], document["joins_total"]) == (1, 1, 1)
    assert document["encodes_total"] == document["ticks_total"] > 0
    assert (document["epoch"], document["parked"], document["replay"]) == (1, 0, {})
    assert document["loop"] in ("asyncio", "uvloop")
    assert set(document["tick_ms"]) == {"p50", "p99", "max"}
    assert set(document["phases_ms"]) == {"ingest", "rules", "encode", "journal", "deflate", "fan_out"}


async def test_metrics_are_prometheus_text(server: ZoneServer, browse: Browse, connect: Connect) -> None:
    client = await connect(server.port)
    await client.hello("ann")
    await client.welcomed()
    answer = await (await browse()).ask("GET /metrics")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = [sample for family in text_string_to_metric_families(answer.body.decode()) for sample in family.samples]
    assert {sample.name: sample.value for sample in samples}["zone_players"] == 1.0


async def test_metrics_without_their_package_name_the_pip_line(
    monkeypatch: pytest.MonkeyPatch, open_server: OpenServer
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setitem(sys.modules, "prometheus_client.exposition", None)
    server = await open_server(Plaza)
    assert server.stats_port is not None
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await ask(server.stats_port, request)
    assert answer.startswith(b"HTTP/1.1 501 Not Implemented\r\n")
    assert b"prometheus-client is not installed: pip install 'zoneserver[metrics]'" in answer
    # The operator installs it while the server runs.
    monkeypatch.undo()
    assert (await ask(server.stats_port, request)).startswith(b"HTTP/1.1 200 ")


async def test_reporter_is_watched_after_a_request_for_stats_but_not_for_health(
    server: ZoneServer, browse: Browse
) -> None:
    browser = await browse()
    for path, watches in (("/healthz", False), ("/map", False), ("/stats", True), ("/metrics", True)):
        server.frontend.reporter.is_watched = False
        await browser.ask(f"GET {path}")
        assert server.frontend.reporter.is_watched is watches


async def test_game_json_is_the_schema_of_the_game(browse: Browse) -> None:
    answer = await (await browse()).ask("GET /game.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.document == schema_of(Plaza)


async def test_map_has_the_place_of_every_player(server: ZoneServer, browse: Browse, connect: Connect) -> None:
    browser = await browse()
    empty = (await browser.ask("GET /map")).document
    assert (empty["schema"], empty["players"], empty["positions"]) == ("zone-map/1", 0, [])
    client = await connect(server.port)
    await client.hello("ann")
    _, snapshot = await client.welcomed()
    document = (await browser.ask("GET /map")).document
    assert (document["players"], document["width"], document["height"]) == (1, 10_000, 10_000)
    assert document["positions"] == [snapshot.x[0], snapshot.y[0]]


GET = b"GET %s HTTP/1.0\r\n\r\n"


class Field(Rules):
    kinds: ClassVar = {"stone": {}}

    def on_start(self) -> None:
        for x in range(2_500):
            self.spawn("stone", x, 7)


async def test_map_has_things_apart_from_players_and_at_most_2_000_of_them(open_server: OpenServer) -> None:
    server = await open_server(Field, stats_port=0)
    assert server.stats_port is not None
    document = json.loads((await ask(server.stats_port, GET % b"/map")).partition(b"\r\n\r\n")[2])
    assert (document["players"], document["positions"], document["things"]) == (0, [], 2_500)
    assert document["thing_positions"] == [value for x in range(0, 2_500, 2) for value in (x, 7)]


async def test_watchers_are_counted_and_bounded(open_server: OpenServer) -> None:
    server = await open_server(Field, stats_port=0, max_watchers=1)
    assert server.stats_port is not None
    async with connect("127.0.0.1", server.port, name="eye", watch=True):
        assert (server.stats().watchers, server.stats().players) == (1, 0)
        assert b"\nzone_watchers 1.0\n" in await ask(server.stats_port, GET % b"/metrics")
        with pytest.raises(JoinRefusedError, match="SERVER_FULL: the zone has no room for another watcher"):
            async with connect("127.0.0.1", server.port, name="eye", watch=True):
                raise AssertionError("a second watcher came in")


async def test_sessions_are_sorted_by_the_requested_figure(
    server: ZoneServer, browse: Browse, connect: Connect
) -> None:
    for name in ("ann", "bob"):
        client = await connect(server.port)
        await client.hello(name)
        await client.welcomed()
    browser = await browse()
    document = (await browser.ask("GET /sessions")).document
    assert (document["schema"], document["sort"], document["players"]) == ("zone-sessions/1", "queued", 2)
    document = (await browser.ask("GET /sessions?sort=age&limit=1")).document
    assert ([session["name"] for session in document["sessions"]], document["closed"]) == (["ann"], [])


@pytest.mark.parametrize("query", ["sort=name", "limit=0", "limit=1e3", "limit=-1", "limit=" + "9" * 5000, "sort=%1b"])
async def test_sessions_with_an_unknown_query_are_a_bad_request(browse: Browse, query: str) -> None:
    answer = await (await browse()).ask(f"GET /sessions?{query}")
    assert answer.status == 400
    assert set(answer.document) == {"error"}


async def test_health_is_ok_until_the_server_stops(server: ZoneServer, browse: Browse) -> None:
    browser = await browse()
    answer = await browser.ask("GET /healthz")
    assert (answer.status, answer.document["status"]) == (200, "ok")
    server.request_stop()
    answer = await browser.ask("GET /healthz")
    assert (answer.status, answer.document["status"]) == (503, "stopping")
