"""A zone and its gateways as programs: killed, interrupted and started again, as their players see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from pathlib import Path

import pytest
from helpers.loops import one_loop
from helpers.paths import ROOT
from helpers.processes import Family, ended
from helpers.processes import until as wait_until
from helpers.purse import Purse
from helpers.site import Site
from helpers.waiting import until
from zoneclient import ZoneConnection, connect

from zoneserver.control.client import ask
from zoneserver.games.chat import Chat
from zoneserver.protocol.codes import CloseReason

Started = tuple["subprocess.Popen[str]", int]


@pytest.fixture
def site(tmp_path: Path, cleanup: contextlib.AsyncExitStack) -> Site:
    return Site(tmp_path, cleanup)


class Earner:
    """A player who earns gold, one piece after the other, and must never lose the connection."""

    def __init__(self, zone: ZoneConnection) -> None:
        self.zone = zone
        self.earned = 0

    async def run(self) -> None:
        while True:
            assert await self.zone.done(self.zone.act("earn"), timeout=30)
            self.earned += 1
            assert self.zone.replica.stat(self.zone.slot, "gold") == self.earned


@one_loop
async def test_nobody_notices_that_the_zone_is_killed_or_started_again(
    family: Family, site: Site, tmp_path: Path
) -> None:
    control = tmp_path / "ctl"
    command = ["zoneserver", "run", "helpers.purse:Purse", "--link", site.link, "--hz", "50", "--stats-port", "0"]
    command += ["--journal", str(tmp_path / "journal"), "--journal-sync", "never", "--ctl", str(control), "-q"]
    zone = family.start(*command, cwd=ROOT / "tests", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    gateways = [await site.gateway(name) for name in ("one", "other")]
    async with asyncio.timeout(50), contextlib.AsyncExitStack() as players, asyncio.TaskGroup() as group:
        earners = []
        for gateway in gateways:
            way = connect("127.0.0.1", gateway.port or 0, name=gateway.name)
            earners.append(Earner(await players.enter_async_context(way)))
        tasks = [group.create_task(each.run()) for each in earners]

        async def go_on() -> None:
            before = [each.earned for each in earners]
            await until(lambda: all(each.earned > one + 2 for each, one in zip(earners, before, strict=True)))

        await go_on()
        zone.kill()
        zone.wait()
        zone = family.start(*command, cwd=ROOT / "tests", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await go_on()
        assert [gateway.link.epoch for gateway in gateways] == [2, 2]
        code, text = await asyncio.to_thread(ask, control, ["restart"])
        assert (code, text) == (0, "fine: restarting; 2 players stay in")
        await until(lambda: {gateway.link.epoch for gateway in gateways} == {3})
        await go_on()
        for task in tasks:
            task.cancel()
        for gateway in gateways:
            assert gateway.frontend.gateway.counters.closes == {}
    zone.terminate()
    await asyncio.to_thread(zone.wait)


def start(family: Family, folder: Path, site: Site, name: str, port: int = 0) -> Started:
    """Starts a gateway; returns it and its port."""
    ready = folder / f"{name}.json"
    flags = ("--link", site.link, "--name", name, "--port", str(port), "--ready-file", str(ready))
    gateway = family.start("zoneserver", "gateway", *flags)
    wait_until(lambda: ready.exists() or gateway.poll() is not None)
    return gateway, json.loads(ready.read_text())["port"]


@one_loop
async def test_a_gateway_takes_on_the_players_of_a_killed_one_and_another_game(
    family: Family, site: Site, tmp_path: Path
) -> None:
    zone = await site.zone(Purse)
    one, port = await asyncio.to_thread(start, family, tmp_path, site, "one")
    other, _ = await asyncio.to_thread(start, family, tmp_path, site, "other", port)
    await site.attached(zone, 2)
    async with asyncio.timeout(50), connect("127.0.0.1", port, name="ann", resume=True) as ann:
        assert await ann.done(ann.act("earn"))
        slot = ann.slot
        await until(lambda: any(row.players for row in zone.stats().gateways))
        (holder,) = (row for row in zone.stats().gateways if row.players)
        here, there = (one, other) if holder.name == "one" else (other, one)
        here.kill()
        async for update in ann:
            if update.resumed:
                break
        assert ann.slot == slot
        assert await ann.done(ann.act("earn"))
        assert ann.replica.stat(slot, "gold") == 2
    # Another game takes the place of the first one.
    await zone.stop()
    chat = await site.zone(Chat)
    async with asyncio.timeout(50):
        await until(lambda: chat.stats().gateways_attached_total == 2 and chat.stats().gateways[0].tick)
        async with connect("127.0.0.1", port, name="bob", resume=True, leave_timeout=0) as bob:
            drops: list[str] = []
            bob._line.on_drop = lambda bye: drops.append(bye.code)
            assert await bob.done(bob.act("say", "hello"))
            there.send_signal(signal.SIGINT)
            await until(lambda: drops)
    assert drops == [CloseReason.SERVER_RESTARTING]
    code, out, err = await asyncio.to_thread(ended, there)
    assert (code, "Traceback" in err) == (0, False)
    assert "the zone runs another game now: this gateway starts again" in err
    assert "gateway other of zone chat" in err or "gateway one of zone chat" in err
    assert "1 player at the peak" in out
