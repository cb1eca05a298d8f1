"""Gateways in the process of a test, over a link: what becomes of players, whatever stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from pathlib import Path

import pytest
from helpers.purse import Purse
from helpers.site import Site
from helpers.waiting import until
from zoneclient import ZoneClosedError, ZoneConnection, connect

from zoneserver import gateway_server
from zoneserver.config import Config
from zoneserver.control.desk import Desk
from zoneserver.control.gateway_desk import GatewayDesk
from zoneserver.gateway_server import GatewayServer
from zoneserver.link import admission, hub, remote_link
from zoneserver.protocol.codes import CloseReason
from zoneserver.protocol.messages import Bye
from zoneserver.support.errors import CannotStartError
from zoneserver.zone.link import gateway_of
from zoneserver.zone.rules import Player, action

Stack = contextlib.AsyncExitStack


@pytest.fixture
def site(tmp_path: Path, cleanup: Stack) -> Site:
    return Site(tmp_path, cleanup)


async def end_of(zone: ZoneConnection) -> str:
    """Reads to the end, and returns the close code."""
    with pytest.raises(ZoneClosedError) as caught:
        async for _ in zone:
            pass
    return caught.value.code


async def came_back(zone: ZoneConnection) -> None:
    """Reads until the first update after a return."""
    async for update in zone:
        if update.resumed:
            return


async def test_players_of_a_gateway_that_stops_go_on_at_another(site: Site) -> None:
    zone = await site.zone(Purse)
    one = await site.gateway("one")
    other = await site.gateway("other", one.port or 0)
    drops: list[Bye] = []
    async with asyncio.timeout(20), connect("127.0.0.1", one.port or 0, name="ann", resume=True) as ann:
        ann._line.on_drop = drops.append
        assert await ann.done(ann.act("earn"))
        here, there = sorted((one, other), key=lambda each: -each.frontend.gateway.players_count)
        here.request_stop()
        await here.stop()
        await came_back(ann)
        assert [bye.code for bye in drops] == [CloseReason.SERVER_RESTARTING]
        assert await ann.done(ann.act("earn"))
        assert ann.replica.stat(ann.slot, "gold") == 2
        assert there.frontend.gateway.players_count == 1
        assert zone.stats().joins_total == 0, "it counts at the gateways"
        assert zone.zone.attendance.count_players() == (1, 1)


async def test_gateway_that_is_lost_or_has_stopped_stays_in_the_statistics_until_another_takes_its_name(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LEASE_SECONDS", 0.5)
    zone = await site.zone(Purse)
    lost, stopped = [await site.gateway(name) for name in ("lost", "stopped")]
    monkeypatch.setattr(lost.link, "_send_payload", lambda _: None)
    stopped.request_stop()
    await stopped.stop()

    def states() -> dict[str, tuple[bool, bool]]:
        return {row.name: (row.is_lost, row.is_stopped) for row in zone.stats().gateways}

    await until(lambda: states() == {"lost": (True, False), "stopped": (False, True)})
    await until(lambda: not list(zone.hub.gateways) if zone.hub else False)
    assert states() == {"lost": (True, False), "stopped": (False, True)}
    await site.gateway("stopped")
    assert states()["stopped"] == (False, False)


async def test_gateway_without_players_says_only_that_it_waits(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    await site.zone(Purse)
    gateway = await site.gateway("one")
    gateway.link.heard_at -= 5
    gateway._watch()
    assert caplog.messages[-1].endswith(" s: waiting for it")


async def test_gateways_wait_for_the_next_zone_and_begin_anew_there(site: Site, cleanup: Stack) -> None:
    zone = await site.zone(Purse)
    gateways = [await site.gateway("one"), await site.gateway("other")]
    before = {gateway.link.number for gateway in gateways}

    async def joined() -> list[ZoneConnection]:
        ways = [connect("127.0.0.1", gateway.port or 0, name=gateway.name) for gateway in gateways]
        players = [await cleanup.enter_async_context(way) for way in ways]
        for number, player in enumerate(players):
            assert player.slot == number
            assert await player.done(player.act("earn"))
            assert player.replica.stat(number, "gold") == 1
        return players

    async with asyncio.timeout(20):
        players = await joined()
        await zone.stop()
        assert [await end_of(player) for player in players] == [CloseReason.SERVER_STOPPING] * 2
        again = await site.zone(Purse)
        await site.attached(again, 2)
        await joined()
        refs = again.zone.attendance.refs()
        assert {*map(gateway_of, refs)} == {gateway.link.number for gateway in gateways}
        assert before.isdisjoint(map(gateway_of, refs))
        assert again.zone.attendance.count_players()[0] == 2


async def test_desk_of_a_gateway_knows_its_players_and_kicks_them(site: Site) -> None:
    zone = await site.zone(Purse)
    gateway = await site.gateway("one")
    sessions = gateway.frontend.gateway
    desk = GatewayDesk(sessions, gateway.loop, gateway.request_stop)
    async with asyncio.timeout(20), connect("127.0.0.1", gateway.port or 0, name="ann", resume=True) as ann:
        code, text = await desk.run(["players", "--json"])
        (row,) = json.loads(text)["players"]
        assert (code, row["name"], row["slot"]) == (0, "ann", 0)
        # The zone knows who is there, and at which gateway.
        of_zone = Desk(zone.link, zone.gateway, zone.loop, zone)
        _, line = (await of_zone.run(["players"])).text.splitlines()
        assert line.split() == ["0", "-", "-", "at", "one", "ann"]
        (row,) = json.loads((await of_zone.run(["players", "--json"])).text)["players"]
        assert row == {"name": "ann", "slot": 0, "gateway": "one"} | dict.fromkeys(
            ("address", "connected_s", "queued_bytes")
        )
        of_zone.close()
        assert (await desk.run(["kick", "bob"])).text == "there is no player 'bob' at this gateway"
        assert await desk.run(["kick", "ann", "be", "nice"]) == (0, "ann is kicked")
        assert await end_of(ann) == "KICKED"
    await until(lambda: zone.count_players()[0] == 0)
    assert (await desk.run(["ban", "ann"])).text.startswith("a gateway has no command 'ban'")
    assert (await desk.run([])).text.count("\n") == 3
    desk.close()


async def test_zone_rejects_a_gateway_at_its_start_and_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.zone(Purse)
    gateway = await site.gateway("one")
    monkeypatch.setattr(remote_link, "LINK_VERSION", 99)
    with pytest.raises(CannotStartError, match="rejects this gateway: the zone speaks version"):
        await site.gateway("other")
    gateway.link_rejected("another gateway was started that is also called one")
    await gateway.serve()
    assert gateway.has_failed


async def test_second_gateway_of_a_name_asks_until_the_zone_rejects_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_CONTEND_SECONDS", 0.1)
    monkeypatch.setattr(gateway_server, "_KNOCK_SECONDS", 0.05)
    zone = await site.zone(Purse)
    first = await site.gateway("one")
    await site.attached(zone, 1)
    second = GatewayServer("one", Config(port=0, stats_port=None, link=site.link))
    monkeypatch.setattr(second, "link_figures", lambda: {"pid": 2, "host": "elsewhere"})
    with pytest.raises(CannotStartError, match="a gateway called one is attached already"):
        await second.start()
    assert (first.has_failed, [each.peer for each in zone.hub.gateways]) == (False, ["#1"])  # type: ignore[union-attr]


async def test_stats_of_a_zone_leave_out_the_players_of_a_gateway_whose_way_is_closed_or_silent(site: Site) -> None:
    zone = await site.zone(Purse)
    gateway = await site.gateway("one")
    async with asyncio.timeout(20), connect("127.0.0.1", gateway.port or 0, name="ann"):
        await until(lambda: zone.stats().players == 1)
        assert zone.hub is not None
        (known,) = zone.hub.gateways
        known.silent_ticks = 27
        assert (zone.stats().players, zone.stats().gateways[0].is_lost) == (0, False)
        known.silent_ticks, known.peer = 0, ""
        assert (zone.stats().players, zone.stats().joins_total) == (0, 1)


async def test_health_of_a_gateway_says_that_its_zone_is_silent_or_that_it_stops(site: Site) -> None:
    zone = await site.zone(Purse)
    gateway = await site.gateway("one")
    assert gateway._trouble() == ""
    await zone.stop()
    gateway.link.heard_at -= 2.0
    await until(lambda: gateway._trouble() == "the zone is silent")
    gateway.request_stop()
    assert gateway._trouble() == "stopping"


async def test_gateway_stops_when_the_next_zone_would_let_anyone_in(site: Site) -> None:
    zone = await site.zone(Purse, secret=b"a secret of sixteen bytes")
    gateway = await site.gateway("one", host="0.0.0.0")
    await zone.stop()
    await site.zone(Purse)
    async with asyncio.timeout(20):
        await gateway.serve()
    assert gateway.has_failed


async def test_nobody_notices_a_restart_with_changed_code_whose_schema_gateways_serve(
    site: Site, tmp_path: Path
) -> None:
    class Richer(Purse):
        name = "purse"

        @action
        def give(self, player: Player, to: int) -> None: ...

    zone = await site.zone(Purse, journal=str(tmp_path / "journal"))
    gateway = await site.gateway("one", stats_port=0)
    async with asyncio.timeout(20), connect("127.0.0.1", gateway.port or 0, name="ann") as ann:
        zone.request_stop(keep=True)
        await zone.stop()
        again = await site.zone(Richer, journal=str(tmp_path / "journal"))
        await site.attached(again, 1)
        assert await ann.done(ann.act("give", 1))
        for port in (gateway.port, gateway.stats_port):
            schema = json.loads(await asyncio.to_thread(get, f"http://127.0.0.1:{port}/game.json"))
            assert [each["name"] for each in schema["actions"]] == ["earn", "give"]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())
