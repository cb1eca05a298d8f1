"""Faults that only time shows: players join and leave for a long time, and a few of them are hostile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import statistics
import time

from zoneserver.protocol.codes import CloseReason
from zonetools.common.server_process import ServerProcess
from zonetools.soak.clients import RawClient, act
from zonetools.soak.fault_lab import Checks, Crowd, Finding, Lab, open_files, stats, wait_for_stats
from zonetools.soak.tasks import beside

_MB = 1024 * 1024
# One visitor in this many is hostile.
_HOSTILE_EVERY = 100
# Python takes memory in arenas and keeps those that one busy moment needed. Smaller growth cannot be told from that.
_RESOLUTION_MB = 0.25
_PROMISED_MB_PER_HOUR = 1.0


async def churn(lab: Lab) -> Finding:
    """Measure the growth of memory while visitors join and leave, and whether anything else grows.

    The run takes minutes and not hours, so it cannot show the promised slope of memory. The finding says which
    slope it would have detected.
    """
    seconds, bots, checks = lab.pick(240.0, 6.0), lab.pick(200, 50), Checks()
    visits = itertools.count()
    samples: list[tuple[float, float]] = []
    async with lab.server() as server:
        # uvloop opens one more descriptor with the first connection.
        await stats(server)
        idle = await open_files(server)
        async with Crowd(server, lab.plan(bots)) as crowd:
            async with beside(*(_visit(lab, server, visits) for _ in range(20))):
                # The first third warms up; what the server needs to reach its size is not growth.
                await asyncio.sleep(seconds / 3)
                began = time.monotonic()
                while (elapsed := time.monotonic() - began) < seconds * 2 / 3:
                    samples.append((elapsed, float((await stats(server)).rss_bytes)))
                    await asyncio.sleep(0.25)
            await wait_for_stats(server, lambda now: now.players == now.connections == bots)
        last = await wait_for_stats(server, lambda now: now.connections == 0)
        left = await open_files(server)
    slope, _ = statistics.linear_regression([moment for moment, _ in samples], [memory for _, memory in samples])
    span = samples[-1][0]
    per_hour, grown = slope * 3600 / _MB, slope * span / _MB
    allowed = _PROMISED_MB_PER_HOUR * span / 3600 + _RESOLUTION_MB
    count = next(visits)
    hostile = -(-count // _HOSTILE_EVERY)
    kicks = sum(last.closes.get(code, 0) for code in (CloseReason.PROTOCOL_ERROR, CloseReason.FLOOD))
    checks.expect(0 < kicks <= hostile, f"{kicks} sessions are disconnected, but {hostile} visitors are hostile")
    checks.expect(crowd.is_served, "a healthy player missed something")
    checks.expect((last.players, last.handshaking, last.behind, last.queued_bytes) == (0, 0, 0, 0), "a session remains")
    checks.expect(left == idle, f"descriptors: {idle} before, {left} after")
    checks.expect_no_traceback(server)
    resolved = f"a run of this length detects only growth above {allowed * 3600 / span:.1f} MB/h"
    if lab.quick:
        resolved = "this run is too short to judge memory"
    else:
        checks.expect(grown <= allowed, f"memory grows by more than {allowed:.2f} MB in {span:.0f} s")
    return checks.finding(
        f"the promised {_PROMISED_MB_PER_HOUR:g} MB/h is not shown: {resolved}; memory {grown:+.2f} MB in the last "
        f"{span:.0f} s ({per_hour:+.1f} MB/h extrapolated), {count:,} visits, {hostile} hostile, in {seconds:.0f} s; "
        "sessions and descriptors as before"
    )


async def _visit(lab: Lab, server: ServerProcess, visits: itertools.count[int]) -> None:
    """Visit the zone again and again: join, act, leave. One visit in `_HOSTILE_EVERY` is hostile."""
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
                await client.read(65_536)
        finally:
            # Half of the visitors reset the connection.
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
