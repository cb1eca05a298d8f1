"""What only time shows: players who come and go for hours, a few of them hostile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import statistics
import time

from zoneserver.protocol.codes import CloseReason
from zonetools.common.server_process import ServerProcess
from zonetools.soak.lab import Checks, Crowd, Finding, Lab, files, stats, until_stats
from zonetools.soak.peers import RawClient, act
from zonetools.soak.tasks import beside

__all__ = ["churn"]

_MB = 1024 * 1024
# One in so many of those who come is hostile.
_HOSTILE_EVERY = 100
# Memory comes in pages and arenas, and once more were needed at one moment they stay: less than this says nothing.
_RESOLUTION_MB = 0.25


async def churn(lab: Lab) -> Finding:
    """Row 24: hours are not to be had here, so the slope is of a shorter run, and says of how long a one."""
    seconds, bots, checks = lab.pick(240.0, 6.0), lab.pick(200, 50), Checks()
    visits = itertools.count()
    samples: list[tuple[float, float]] = []
    async with lab.server() as server:
        # From its first connection on uvloop holds one descriptor more.
        await stats(server)
        idle = await files(server)
        async with Crowd(server, bots, seed=lab.seed) as crowd:
            async with beside(*(_visit(lab, server, visits) for _ in range(20))):
                # What it takes to reach its size is not growth.
                await asyncio.sleep(seconds / 3)
                began = time.monotonic()
                while (elapsed := time.monotonic() - began) < seconds * 2 / 3:
                    samples.append((elapsed, float((await stats(server)).rss_bytes)))
                    await asyncio.sleep(0.25)
            await until_stats(server, lambda now: now.players == now.connections == bots)
        last = await until_stats(server, lambda now: now.connections == 0)
        left = await files(server)
    slope, _ = statistics.linear_regression([moment for moment, _ in samples], [memory for _, memory in samples])
    per_hour = slope * 3600 / _MB
    grown = slope * samples[-1][0] / _MB
    count = next(visits)
    hostile = -(-count // _HOSTILE_EVERY)
    kicks = sum(last.closes.get(code, 0) for code in (CloseReason.PROTOCOL_ERROR, CloseReason.FLOOD))
    checks.expect(0 < kicks <= hostile, f"{kicks} are thrown out, {hostile} are hostile")
    checks.expect(crowd.is_served, "a healthy player missed something")
    checks.expect((last.players, last.handshaking, last.behind, last.queued_bytes) == (0, 0, 0, 0), "something stays")
    checks.expect(left == idle, f"descriptors: {idle} before, {left} after")
    checks.expect("Traceback" not in server.log, "the server logs a traceback")
    if not lab.quick:
        allowed = 1.0 * samples[-1][0] / 3600 + _RESOLUTION_MB
        checks.expect(grown <= allowed, "memory grows by more than 1 MB per hour and what cannot be told apart")
    judged = ", too short to judge" if lab.quick else ""
    return checks.finding(
        f"{count:,} visits, {hostile} hostile, in {seconds:.0f} s: memory {grown:+.2f} MB in the "
        f"last {samples[-1][0]:.0f} s ({per_hour:+.1f} MB/h extrapolated{judged}); sessions and descriptors as before"
    )


async def _visit(lab: Lab, server: ServerProcess, visits: itertools.count[int]) -> None:
    """One after the other: comes in, does something, and goes; now and then one who means no good."""
    for visit in visits:
        chance = random.Random(lab.seed * 1_000_003 + visit)
        client = await lab.raw(server)
        try:
            if visit % _HOSTILE_EVERY == 0:
                await _misbehave(client, chance)
                continue
            await client.join(f"visitor-{visit}")
            for seq in (1, 3, 5):
                await client.send(act(seq, ("move", chance.randint(-10, 10), chance.randint(-10, 10)), ("emote", 1)))
                await asyncio.sleep(chance.uniform(0.02, 0.2))
                await client.take(65_536)
        finally:
            # Half of them are rude.
            client.close() if chance.random() < 0.5 else client.reset()


async def _misbehave(client: RawClient, chance: random.Random) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        match chance.randrange(4):
            case 0:
                await client.send(chance.randbytes(500))
                await client.bye(1.0)
            case 1:
                await client.join(f"flooder-{chance.random():.9f}")
                async with asyncio.timeout(2.0):
                    for seq in range(1, 100_000, 16):
                        await client.send(act(seq, *[("emote", 1)] * 16))
            case 2:
                await client.hello(f"stuck-{chance.random():.9f}")
                await asyncio.sleep(2.0)
            case 3:
                await asyncio.sleep(2.5)
