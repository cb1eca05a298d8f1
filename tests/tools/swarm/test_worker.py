"""A worker counts exactly the faults of a server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from helpers.lying_servers import (
    Dropping,
    DroppingMotion,
    Kicking,
    Mismatching,
    Refusing,
    Removing,
    Reordering,
    Repeating,
    Skipping,
    WrongHash,
    WrongSnapshot,
)
from helpers.stub_server import HonestServer
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


async def run_against(server: HonestServer, rate: float = 50.0) -> Tally:
    """Run two chatty bots against a server until 30 ticks after its fault."""
    async with server.serve() as port, asyncio.timeout(PATIENCE_SECONDS):
        plan = Plan(port=port, bots=2, ramp=50, rate=rate, mix={"chatty": 1})
        swarm, commands = Worker(plan, 0), asyncio.Queue[Command]()
        running = asyncio.create_task(swarm.run(commands))
        try:
            await server.wait_until(lambda: swarm.progress()["done"])
            commands.put_nowait(Measure())
            await server.wait_until(lambda: server.faults_done or type(server) is HonestServer)
            last = server.zone.world.tick + 30
            await server.wait_until(lambda: server.zone.world.tick >= last)
            commands.put_nowait(Stop())
            return await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


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
    ("make_server", "faults"),
    [
        (HonestServer, {}),
        (Dropping, {"lost": 1}),
        (Repeating, {"duplicated": 1}),
        (Reordering, {"reordered": 1}),
        (Mismatching, {"mismatched": 1}),
        (Skipping, {"gaps": 1}),
        (WrongHash, {"diverged": 1}),
        (WrongSnapshot, {"diverged": 1}),
        (Refusing, {"failed": 1}),
    ],
)
def test_worker_counts_exactly_the_faults_of_the_server(
    make_server: Callable[[], HonestServer], faults: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker waits this long for answers that never come.
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    server = make_server()
    tally = asyncio.run(run_against(server))
    assert server.faults_done == sum(faults.values())
    assert {name: count for name in COUNTED if (count := getattr(tally, name))} == faults
    assert tally.sent == tally.delivered + tally.superseded + tally.lost + sum(tally.refused.values())
    assert tally.sent > 10
    assert (tally.requested, tally.joined) == (2, 2 - faults.get("failed", 0))
    result = report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=server.zone.counters.superseded_total))
    assert report.passed(result) == (not faults)


def test_kicked_bot_is_counted_with_its_close_code() -> None:
    tally = asyncio.run(run_against(Kicking()))
    assert (tally.closed_early, tally.joined, tally.failed) == (1, 2, 0)
    assert tally.closed == {"INTERNAL_ERROR": 1, "CLIENT_LEFT": 1}
    assert [(group.kind, group.code, group.count) for group in tally.errors.groups(CLOSE)] == [
        (CLOSE, "INTERNAL_ERROR", 1)
    ]
    # The action that led to the kick has no answer.
    assert tally.lost >= 1
    assert tally.sent == tally.delivered + tally.superseded + tally.lost + sum(tally.refused.values())
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))


def test_dropped_motion_is_lost_by_the_servers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    server = DroppingMotion()
    tally = asyncio.run(run_against(server))
    assert tally.superseded + tally.lost == server.zone.counters.superseded_total + 1
    result = report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=server.zone.counters.superseded_total))
    assert result["actions"]["lost"] == 1
    assert not report.passed(result)


def test_bot_removed_from_the_zone_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_DRAIN_SECONDS", 1.0)
    tally = asyncio.run(run_against(Removing()))
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))


def test_behaviour_that_raises_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    decide, calls = Chatty.decide, itertools.count()

    def breaking(self: Chatty, bot: Bot, replica: Replica) -> Any:
        if next(calls) == 4:
            raise IndexError("no such slot")
        return decide(self, bot, replica)

    monkeypatch.setattr(Chatty, "decide", breaking)
    try:
        tally = asyncio.run(run_against(HonestServer()))
    except (IndexError, ExceptionGroup):
        return
    assert not report.passed(report.summary(outcome(tally, plan=Plan(bots=2), superseded_server=None)))
