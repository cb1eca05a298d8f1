"""One workload: the server under the swarm, then the floor with buffers of the same size, and again.

Between the two comes, where that is wanted, the server under a swarm that asks for everything deflated. The
machine may be slower in one minute than in the next; the parts of a round lie close together, so their
ratios are kept, and of all rounds the median.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zonetools.bench.floor import FloorPlan, FloorRound, run_floor
from zonetools.bench.workload import Workload
from zonetools.common.server_process import ServerProcess
from zonetools.swarm.conductor import Conductor, Outcome, SwarmError
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report

__all__ = ["Measured", "Repetition", "ServerRound", "measure", "median_of"]

# What the joins leave behind, in buffers on both sides, is gone by then.
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServerRound:
    """What the server did and cost while measured. Percent are of one core."""

    cpu_percent: float
    cpu_us_per_send: float
    sends: int
    frame_bytes: float
    """The mean size of what was sent."""
    latency_p50_ms: float
    """From the moment an action was due to the moment its own player saw it."""
    latency_p99_ms: float
    latency_p50_ticks: float
    latency_p99_ticks: float
    ticks: int
    overruns: int
    ticks_skipped: int
    frames_skipped: int
    bytes_per_delivered_action: float
    """What the bots got over the wire, snapshots and all."""
    deflate_ms_per_tick: float
    """Of the tick, what it took to deflate the frame."""
    join_seconds: float
    """From the first connection to the moment the last player was in."""
    memory_bytes_per_session: float
    """What the process holds more than when it was empty, per player; the kernel's share is not in it."""
    swarm_cpu_percent: float
    limited_by_swarm: bool
    everybody_got_everything: bool
    loop: str


@dataclass(frozen=True, slots=True)
class Repetition:
    """The server and the floor, one after the other; between them the server that deflates, if asked to."""

    server: ServerRound
    floor: FloorRound
    deflated: ServerRound | None = None

    @property
    def ratio(self) -> float:
        """CPU time per buffer sent: the server's over the floor's."""
        return self.server.cpu_us_per_send / self.floor.cpu_us_per_send

    @property
    def servers(self) -> list[ServerRound]:
        """The server as it is, and the one that deflates."""
        return [self.server] if self.deflated is None else [self.server, self.deflated]


@dataclass(frozen=True, slots=True)
class Measured:
    """All rounds of one workload."""

    workload: Workload
    mix: Mapping[str, int]
    seconds: float
    rounds: Sequence[Repetition]

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return statistics.median(one.ratio for one in self.rounds)

    @property
    def everybody_got_everything(self) -> bool:
        """Whether the crowd of every round was the one that was asked for; else the figures are void."""
        return all(server.everybody_got_everything for one in self.rounds for server in one.servers)

    @property
    def server(self) -> dict[str, float]:
        """The medians of the server's figures."""
        return median_of([one.server for one in self.rounds])

    @property
    def floor(self) -> dict[str, float]:
        """The medians of the floor's figures."""
        return median_of([one.floor for one in self.rounds])

    @property
    def deflated(self) -> dict[str, float] | None:
        """The medians of the figures of the server that deflates, and of what two of them are of those of the
        server beside it. None where it was not asked to."""
        pairs = [(one.deflated, one.server) for one in self.rounds if one.deflated is not None]
        if not pairs:
            return None
        return median_of([deflated for deflated, _ in pairs]) | {
            f"{figure}_ratio": statistics.median(
                getattr(deflated, figure) / max(1e-9, getattr(plain, figure)) for deflated, plain in pairs
            )
            for figure in ("cpu_us_per_send", "bytes_per_delivered_action")
        }


async def measure(
    workload: Workload,
    *,
    mix: Mapping[str, int],
    loop: str,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
    deflate: bool,
) -> Measured:
    """Runs a workload. Raises SpawnError, SwarmError or FloorError when a process of it breaks."""
    done = []
    for number in range(1, rounds + 1):
        say(f"{workload.name}, round {number} of {rounds}: the server under the swarm")
        server = await run_server(workload, mix, loop, seconds, deflate=False)
        deflated = None
        if deflate:
            say(f"{workload.name}, round {number} of {rounds}: the server that deflates")
            deflated = await run_server(workload, mix, loop, seconds, deflate=True)
        say(f"{workload.name}, round {number} of {rounds}: the floor")
        plan = FloorPlan(workload.players, max(1, round(server.frame_bytes)), workload.hz, seconds)
        done.append(Repetition(server, await run_floor(plan), deflated))
    return Measured(workload, mix, seconds, done)


async def run_server(
    workload: Workload, mix: Mapping[str, int], loop: str, seconds: float, *, deflate: bool
) -> ServerRound:
    """A fresh server under a fresh swarm, all or none of which asks for what it is sent to be deflated."""
    arguments = ("--hz", str(workload.hz), "--max-players", str(workload.players), "--loop", loop)
    async with ServerProcess(*arguments) as server:
        plan = Plan(
            port=server.port,
            bots=workload.players,
            ramp=workload.ramp,
            seconds=seconds,
            rate=workload.rate,
            processes=workload.processes,
            mix=dict(mix),
            deflate=deflate,
        )
        outcome = await Conductor(plan, server.stats_port, _SETTLE_SECONDS).run(lambda _progress: None)
    return figures(outcome)


def figures(outcome: Outcome) -> ServerRound:
    """What a run of the swarm says about the server. Raises SwarmError when it says too little."""
    if outcome.stats is None:
        raise SwarmError("the run ended before anything was measured")
    empty, began, ended = outcome.stats
    summary = report.summary(outcome)
    sends = max(1, ended.frames_out_total - began.frames_out_total)
    cpu_seconds = ended.cpu_seconds_total - began.cpu_seconds_total
    latency = summary["latency_ms"]
    return ServerRound(
        cpu_percent=round(100 * cpu_seconds / max(1e-9, ended.uptime_s - began.uptime_s), 2),
        cpu_us_per_send=round(1e6 * cpu_seconds / sends, 3),
        sends=sends,
        frame_bytes=round((ended.bytes_out_total - began.bytes_out_total) / sends, 1),
        latency_p50_ms=latency["p50"],
        latency_p99_ms=latency["p99"],
        latency_p50_ticks=round(latency["p50"] * ended.hz / 1000, 3),
        latency_p99_ticks=round(latency["p99"] * ended.hz / 1000, 3),
        ticks=ended.ticks_total - began.ticks_total,
        overruns=ended.overruns_total - began.overruns_total,
        ticks_skipped=ended.ticks_skipped_total - began.ticks_skipped_total,
        frames_skipped=ended.frames_skipped_total - began.frames_skipped_total,
        bytes_per_delivered_action=summary["bytes_per_delivered_action"],
        deflate_ms_per_tick=round(
            1000
            * (ended.deflate_seconds_total - began.deflate_seconds_total)
            / max(1, ended.ticks_total - began.ticks_total),
            4,
        ),
        join_seconds=summary["join_seconds"],
        memory_bytes_per_session=round((ended.rss_bytes - empty.rss_bytes) / max(1, ended.players)),
        swarm_cpu_percent=summary["cpu_percent"]["swarm"],
        limited_by_swarm=summary["limited_by_swarm"],
        everybody_got_everything=report.passed(summary),
        loop=ended.loop,
    )


def median_of(rounds: Sequence[Any]) -> dict[str, float]:
    """The median of each number over dataclasses of one kind."""
    columns = {field.name: [getattr(one, field.name) for one in rounds] for field in dataclasses.fields(rounds[0])}
    return {name: statistics.median(values) for name, values in columns.items() if type(values[0]) in (int, float)}
