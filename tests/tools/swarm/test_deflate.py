"""The swarm with deflated frames."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from collections import Counter

from helpers.driven_zone import DrivenZone
from helpers.servers import OpenServer
from helpers.waiting import PATIENCE_SECONDS, until
from zonetools.swarm.commands import Command, Measure, Stop
from zonetools.swarm.frame_checker import FrameChecker
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Plan
from zonetools.swarm.worker import Worker

from zoneserver.games.plaza import Plaza
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import (
    Deflated,
    Tick,
)
from zoneserver.server import ZoneServer


async def run_worker(server: ZoneServer, bots: int, deflate: bool) -> tuple[Tally, Worker]:
    """Runs a worker with this many bots for some dozen ticks; returns its tally."""
    plan = Plan(
        port=server.port, bots=bots, ramp=1000, rate=10, mix={"walker": 2, "chatty": 1}, seed=2, deflate=deflate
    )
    swarm, commands = Worker(plan, 0), asyncio.Queue[Command]()
    running = asyncio.create_task(swarm.run(commands))
    await until(lambda: swarm.progress()["done"])
    commands.put_nowait(Measure())
    enough = server.zone.world.tick + 40
    await until(lambda: server.zone.world.tick > enough)
    commands.put_nowait(Stop())
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await running, swarm


async def test_worker_checks_every_byte_of_deflated_frames(open_server: OpenServer) -> None:
    server = await open_server(Plaza, hz=50)
    tally, swarm = await run_worker(server, 60, deflate=True)
    counters = server.gateway.counters
    assert (tally.joined, tally.mismatched, tally.gaps, tally.diverged, tally.lost) == (60, 0, 0, 0, 0)
    assert tally.hashes_checked > 0
    assert tally.sent == tally.delivered + tally.superseded + sum(tally.refused.values())
    assert counters.frames_deflated_total > 60 * 5
    inflated = swarm.frame_checker.inflate.cache_info()
    assert inflated.misses <= counters.deflates_total, "each message is inflated once for all bots"
    assert tally.frames > 4 * (inflated.hits + inflated.misses), "a copy is compared as it came"


def test_first_sequences_of_bots_are_spread_evenly_and_repeatable() -> None:
    first = [Plan(seed=3).first_seq(number) for number in range(2000)]
    assert (
        first == [Plan(seed=3).first_seq(number) for number in range(2000)] != list(map(Plan().first_seq, range(2000)))
    )
    counts = Counter(first)
    assert sorted(counts) == list(range(1, 65))
    assert max(counts.values()) < 3 * min(counts.values())


def test_frame_checker_compares_inflated_payloads() -> None:
    zone = DrivenZone(Plaza(), hz=20, seed=1)
    for ref in range(20):
        zone.join(ref, f"player {ref}")
    payload = zone.step().frame
    tick = decode_server(payload)
    assert isinstance(tick, Tick)
    another = dataclasses.replace(tick, dilation_percent=99).encode()
    checker = FrameChecker()
    checker.check_frame(1, payload)
    for level in (1, 9):
        deflated = Deflated(zlib.compress(payload, level, -15)).encode()
        checker.check_frame(1, checker.inflate(deflated))
    assert (checker.received, checker.mismatched) == (3, 0)
    checker.check_frame(1, checker.inflate(Deflated(deflate(another)).encode()))
    assert (checker.received, checker.mismatched) == (4, 1)
