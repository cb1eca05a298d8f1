"""One run of an arrangement under load: cheap players hold most of the sockets, and bots of the swarm check and time.

Measured: the CPU time of the zone and of each gateway, what they sent, and the latency of the bots. The cheap players
read without looking: that everybody gets everything is checked for the bots, and counted for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.stats import Stats
from zonetools.bench.arrangement import Arrangement, arrange
from zonetools.common.admin_client import AdminClient
from zonetools.common.cheap_crowd import CheapCrowd
from zonetools.swarm.conductor import Conductor, SwarmError
from zonetools.swarm.plan import DEFAULT_MIX, Address, Plan, parse_mix
from zonetools.swarm.report import build as report

__all__ = ["Crowd", "Load", "run_load"]

# By then, the buffers that the joins filled are empty.
_SETTLE_SECONDS = 2.0
_JOIN_SECONDS_MAX = 60.0
# The zone answers between two ticks, and may be late under load.
_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many players there are, and how busy they are."""

    players: int
    """All of them, the bots included."""
    bots: int
    """The bots of the swarm, which check every frame. The others are cheap."""
    hz: int
    rate: float
    """Actions per second and player."""

    def __str__(self) -> str:
        return f"{self.players:,} players, {self.hz} Hz, {self.rate:g}/s"


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured. Percentages are of one core."""

    link: str
    gateways: int
    zone_cpu_percent: float
    gateway_cpu_percent: float
    """The sum over all gateways; 0 without one."""
    cpu_us_per_send: float
    """CPU time of the processes that hold players, by the frames that they sent."""
    cpu_us_per_send_in_all: float
    """That of the zone and of all gateways, by the frames that were sent."""
    sends_per_s: float
    frame_bytes: float
    latency_p50_ms: float
    """From the moment an action of a bot was due until this bot saw it."""
    latency_p99_ms: float
    tick_p99_ms: float
    """The zone's work of a tick."""
    frames_skipped: int
    """Frames that slow readers skipped: above zero, something did not keep up."""
    overruns: int
    limited_by_swarm: bool
    everybody_got_everything: bool


async def run_load(link: str, gateways: int, crowd: Crowd, seconds: float, seed: int = 1) -> Load:
    """Start an arrangement, let the crowd in, and measure it for so long. Raises SpawnError or SwarmError."""
    options = ("--hz", str(crowd.hz), "--max-players", str(crowd.players + 16))
    async with arrange(link, gateways, *options) as arrangement, _cheap_players(arrangement, crowd):
        first, *others = (Address("127.0.0.1", door.port) for door in arrangement.doors)
        rest = {"ramp": 500.0, "seconds": seconds, "rate": crowd.rate, "mix": parse_mix(DEFAULT_MIX), "seed": seed}
        plan = Plan(port=first.port, others=tuple(others), bots=crowd.bots, **rest)  # type: ignore[arg-type]
        conductor = Conductor(plan, arrangement.zone.stats_port, _SETTLE_SECONDS)
        running = asyncio.create_task(conductor.run())
        try:
            while conductor.progress.measuring_for is None:
                if running.done():
                    raise SwarmError("the run ended before anything was measured")
                await asyncio.sleep(0.05)
            began = await _read(arrangement)
            await asyncio.sleep(seconds)
            ended = await _read(arrangement)
        finally:
            conductor.stop()
            outcome = await running
    return _load(link, began, ended, report.summary(outcome))


def _load(link: str, began: list[Stats], ended: list[Stats], summary: dict[str, Any]) -> Load:
    """The results from the statistics of the zone and each gateway, and the report of the bots."""

    def grown(places: Sequence[int], counter: str) -> float:
        return float(sum(getattr(ended[place], counter) - getattr(began[place], counter) for place in places))

    zone, gateways = [0], list(range(1, len(began)))
    holders = gateways or zone
    sends = max(1.0, grown(holders, "frames_out_total"))
    elapsed = ended[0].uptime_s - began[0].uptime_s
    held_cpu, cpu = grown(holders, "cpu_seconds_total"), grown([*zone, *gateways], "cpu_seconds_total")
    return Load(
        link=link,
        gateways=len(gateways),
        zone_cpu_percent=round(100 * grown(zone, "cpu_seconds_total") / elapsed, 1),
        gateway_cpu_percent=round(100 * grown(gateways, "cpu_seconds_total") / elapsed, 1),
        cpu_us_per_send=round(1e6 * held_cpu / sends, 2),
        cpu_us_per_send_in_all=round(1e6 * cpu / sends, 2),
        sends_per_s=round(sends / elapsed),
        frame_bytes=round(grown(holders, "bytes_out_total") / sends, 1),
        latency_p50_ms=summary["latency_ms"]["p50"],
        latency_p99_ms=summary["latency_ms"]["p99"],
        tick_p99_ms=ended[0].tick_ms["p99"],
        frames_skipped=round(grown(holders, "frames_skipped_total")),
        overruns=round(grown(zone, "overruns_total")),
        limited_by_swarm=summary["limited_by_swarm"],
        everybody_got_everything=report.passed(summary),
    )


async def _read(arrangement: Arrangement) -> list[Stats]:
    """The statistics of the zone, and of each gateway."""
    found = []
    for process in (arrangement.zone, *arrangement.gateways):
        with contextlib.closing(AdminClient("127.0.0.1", process.stats_port, _PATIENCE_SECONDS)) as client:
            found.append(await client.stats())
    return found


# --- Cheap players --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _cheap_players(arrangement: Arrangement, crowd: Crowd) -> AsyncIterator[None]:
    """The cheap players of a crowd, at all doors alike. All are in the zone when the block begins."""
    doors, cheap = arrangement.doors, crowd.players - crowd.bots
    if not cheap:
        yield
        return
    counts = [cheap // len(doors) + (place < cheap % len(doors)) for place in range(len(doors))]
    async with contextlib.AsyncExitStack() as stack:
        crowds = [
            await stack.enter_async_context(CheapCrowd(door.port, count, crowd.rate, first=place * crowd.players))
            for place, (door, count) in enumerate(zip(doors, counts, strict=True))
        ]
        async with asyncio.timeout(_JOIN_SECONDS_MAX):
            while (await _read(arrangement))[0].players < cheap:
                await asyncio.sleep(0.1)
        for each in crowds:
            each.act()
        yield
    if ended := sum(each.ended for each in crowds):
        raise SwarmError(f"{ended} connections of cheap players ended")
