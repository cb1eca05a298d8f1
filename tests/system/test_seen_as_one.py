"""A zone and its gateway, seen as one: statistics, metrics, and who may be kicked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from helpers.waiting import until
from prometheus_client.parser import text_string_to_metric_families
from zoneclient import connect
from zonetools.common.admin_client import AdminClient

from zoneserver import ZoneServer, gateway_server
from zoneserver.admin.prometheus import load_exposition
from zoneserver.config import Config
from zoneserver.games.plaza import Plaza
from zoneserver.gateway_server import GatewayServer

Pair = tuple[ZoneServer, GatewayServer]


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(gateway_server, "_FIGURES_SECONDS", 0.0)
    here: dict[str, Any] = {"link": f"unix:{tmp_path / 'zone.sock'}", "stats_port": 0, "drain_seconds": 0.1}
    async with ZoneServer(Plaza, hz=50, **here) as zone:
        gateway = GatewayServer("gw1", Config(port=0, **here))
        await gateway.start()
        serving = asyncio.create_task(gateway.serve())
        yield zone, gateway
        gateway.request_stop()
        await serving
        await gateway.stop()


async def test_zone_counts_the_players_of_its_gateway_and_keeps_its_totals(pair: Pair) -> None:
    zone, gateway = pair
    async with connect("127.0.0.1", gateway.port, name="ann"):
        await until(lambda: zone.stats().players == 1)
        own, whole = gateway.stats(), zone.stats()
        assert (own.gateway, own.link, own.hz) == ("gw1", zone.hub and zone.hub.carrier.address, 50)
        assert own.lead_ms > 0
        (row,) = whole.gateways
        assert (row.name, row.players, row.pid, row.is_lost) == ("gw1", 1, own.pid, False)
        assert row.address == f"127.0.0.1:{gateway.port}"
        assert row.stats == f"127.0.0.1:{gateway.stats_port}"
        assert (whole.joins_total, whole.connections, whole.gateways_attached_total) == (1, 1, 1)
        text = load_exposition()(whole).decode()
        found = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.labels == {"gateway": "gw1"}
        }
        assert found["zone_gateway_players"] == 1
        assert found["zone_gateway_sent_bytes_total"] > 0
        # The zone's document and the gateway's are read by programs.
        for port, players in ((zone.stats_port, 1), (gateway.stats_port, 1)):
            client = AdminClient("127.0.0.1", port or 0)
            assert (await client.stats()).players == players
            client.close()
    await until(lambda: zone.stats().players == 0)
    before = zone.stats()
    gateway.request_stop()
    await gateway.stop()
    await until(lambda: [row.is_stopped for row in zone.stats().gateways] == [True])
    after = zone.stats()
    assert after.joins_total == 1
    assert after.bytes_out_total >= before.bytes_out_total > 0
