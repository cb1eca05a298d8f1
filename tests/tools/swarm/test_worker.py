"""A worker counts exactly what a lying server does wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from helpers.lying_servers import (
    Dropping,
    DroppingAMotion,
    Expelling,
    Mishashing,
    Misremembering,
    Refusing,
    Reordering,
    Repeating,
    Skipping,
    TakingOut,
    TwoFaced,
)
from helpers.stub_server import Connection, Honest
from helpers.swarm_results import outcome
from zoneclient.bots.behaviours import Chatty
from zoneclient.bots.bot import Bot
from zoneclient.replica import Replica
from zonetools.swarm import worker
from zonetools.swarm.commands import Command, Measure, Stop
from zonetools.swarm.measure.errors import CLOSE
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.worker import Worker

PATIENCE_SECONDS = 30.0


async def run_against(server: Honest, rate: float = 50.0) -> Tally:
    """Two talkative bots against this server, until some time after it has lied."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)

    async def tick() -> None:
        while True:
            server.tick()
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(tick())
    mix = {"chatty": 1}
    plan = Plan(port=listener.sockets[0].getsockname()[1], bots=2, ramp=50, rate=rate, mix=mix)
    swarm, commands = Worker(plan, 0), asyncio.Queue[Command]()
    running = asyncio.create_task(swarm.run(commands))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not swarm.progress()["done"]:
                await asyncio.sleep(0.01)
            commands.put_nowait(Measure())
            while not server.lies and type(server) is not Honest:
                await asyncio.sleep(0.01)
            enough = server.zone.world.tick + 30
            while server.zone.world.tick < enough:
                await asyncio.sleep(0.01)
            commands.put_nowait(Stop())
            return Tally.from_json(await running)
    finally:
        ticking.cancel()
        running.cancel()
        await asyncio.gather(ticking, running, return_exceptions=True)
        listener.close()


COUNTED = (
    "failed",
    "lost",
    "duplicated",
    "reordered",
    "mismatched",
    "gaps",
    "diverged",
    "closed_early",
    "catch_ups",
)


@pytest.mark.parametrize(
    ("server", "faults"),
    [
        (Honest, {}),
        (Dropping, {"lost": 1}),
        (Repeating, {"duplicated": 1}),
        (Reordering, {"reordered": 1}),
        (TwoFaced, {"mismatched": 1}),
        (Skipping, {"gaps": 1}),
        (Mishashing, {"diverged": 1}),
        (Misremembering, {"diverged": 1}),
        (Refusing, {"failed": 1}),
    ],
)
def test_the_swarm_counts_exactly_what_a_server_does_wrong(
    server: Callable[[], Honest], faults: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What never comes is waited for: less long than in a real run.
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    lying = server()
    tally = asyncio.run(run_against(lying))
    assert lying.lies == sum(faults.values())
    assert {name: count for name in COUNTED if (count := getattr(tally, name))} == faults
    assert tally.sent == tally.delivered + tally.superseded + tally.lost + sum(tally.refused.values())
    assert tally.sent > 10
    assert (tally.requested, tally.joined) == (2, 2 - faults.get("failed", 0))
    result = report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=lying.zone.superseded_total))
    assert report.passed(result) == (not faults)


def test_a_bot_that_is_thrown_out_is_counted_with_the_reason() -> None:
    tally = asyncio.run(run_against(Expelling()))
    assert (tally.closed_early, tally.joined, tally.failed) == (1, 2, 0)
    assert tally.closed == {"INTERNAL_ERROR": 1, "CLIENT_LEFT": 1}
    assert [(group.kind, group.code, group.count) for group in tally.errors.groups(CLOSE)] == [
        (CLOSE, "INTERNAL_ERROR", 1)
    ]
    # What it had just done died with it.
    assert tally.lost >= 1
    assert tally.sent == tally.delivered + tally.superseded + tally.lost + sum(tally.refused.values())
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))


def test_a_motion_that_is_dropped_is_lost_by_the_servers_own_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    lying = DroppingAMotion()
    tally = asyncio.run(run_against(lying))
    assert tally.superseded + tally.lost == lying.zone.superseded_total + 1
    result = report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=lying.zone.superseded_total))
    assert result["actions"]["lost"] == 1
    assert not report.passed(result)


def test_a_bot_that_the_server_took_out_of_the_zone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    lying = TakingOut()
    with pytest.MonkeyPatch.context() as patch:
        # The zone forgets the player: what it still asks for is nobody's.
        patch.setattr(Connection, "gone", lambda self: self.server.clients.pop(self.ref, None))
        tally = asyncio.run(run_against(lying))
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))


def test_a_behaviour_that_breaks_does_not_pass_for_a_good_run(monkeypatch: pytest.MonkeyPatch) -> None:
    decide, calls = Chatty.decide, itertools.count()

    def breaking(self: Chatty, bot: Bot, replica: Replica) -> Any:
        if next(calls) == 4:
            raise IndexError("no such slot")
        return decide(self, bot, replica)

    monkeypatch.setattr(Chatty, "decide", breaking)
    try:
        tally = asyncio.run(run_against(Honest()))
    except (IndexError, ExceptionGroup):
        return
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))
