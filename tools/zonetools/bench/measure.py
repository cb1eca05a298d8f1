"""Measure one workload: repeat the server under the swarm, then the floor with buffers of equal size.

On request, each repetition also measures the server under a swarm that comes over WebSocket, and under one that asks
for deflate. The machine may be slower in one minute than in the next. Since the parts of one repetition lie close
together, their ratio is taken, and the result is the median of the ratios.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zonetools.bench.floor import FloorPlan, FloorResult, run_floor
from zonetools.bench.workload import Workload
from zonetools.common.server_process import ServerProcess
from zonetools.swarm.conductor import Conductor, Outcome, SwarmError
from zonetools.swarm.plan import Plan
from zonetools.swarm.report import build as report

# By then, the buffers on both sides that the joins filled are empty.
_SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ServerResult:
    """What the server did during the measurement, and its cost. Percentages are of one core."""

    cpu_percent: float
    cpu_us_per_send: float
    sends: int
    frame_bytes: float
    """The mean size of a send."""
    latency_p50_ms: float
    """The time from the moment an action was due until its own player saw it."""
    latency_p99_ms: float
    latency_p50_ticks: float
    latency_p99_ticks: float
    ticks: int
    overruns: int
    ticks_skipped: int
    frames_skipped: int
    bytes_per_delivered_action: float
    """Counted from the bytes that the bots received, including snapshots."""
    deflate_ms_per_tick: float
    """The part of a tick that deflated the frame."""
    join_seconds: float
    """The time from the first connection until the last player had joined."""
    memory_bytes_per_session: float
    """The growth of the server process per player. Memory of the kernel is not included."""
    swarm_cpu_percent: float
    limited_by_swarm: bool
    everybody_got_everything: bool
    loop: str


@dataclass(frozen=True, slots=True)
class Repetition:
    """The server and then the floor; between them, on request, the server over WebSocket and with deflate."""

    server: ServerResult
    floor: FloorResult
    deflated: ServerResult | None = None
    web: ServerResult | None = None

    @property
    def ratio(self) -> float:
        """CPU time per buffer sent: the server's divided by the floor's."""
        return self.server.cpu_us_per_send / self.floor.cpu_us_per_send


@dataclass(frozen=True, slots=True)
class WorkloadResult:
    """All repetitions of one workload."""

    workload: Workload
    mix: Mapping[str, int]
    seconds: float
    repetitions: Sequence[Repetition]

    @property
    def ratio(self) -> float:
        return statistics.median(one.ratio for one in self.repetitions)

    @property
    def everybody_got_everything(self) -> bool:
        """Whether no player missed anything in any repetition; otherwise the results are void."""
        return all(
            server.everybody_got_everything
            for one in self.repetitions
            for server in (one.server, one.deflated, one.web)
            if server is not None
        )

    @property
    def server(self) -> dict[str, float]:
        return median_of([one.server for one in self.repetitions])

    @property
    def floor(self) -> dict[str, float]:
        return median_of([one.floor for one in self.repetitions])

    @property
    def deflated(self) -> dict[str, float] | None:
        """The medians of the numbers with deflate, and of two of them relative to the server without deflate.

        None if deflate was not measured.
        """
        return _beside([(one.deflated, one.server) for one in self.repetitions if one.deflated is not None])

    @property
    def web(self) -> dict[str, float] | None:
        """The medians of the numbers over WebSocket, and of two of them relative to the server over TCP.

        None if WebSocket was not measured.
        """
        return _beside([(one.web, one.server) for one in self.repetitions if one.web is not None])


def _beside(pairs: Sequence[tuple[ServerResult, ServerResult]]) -> dict[str, float] | None:
    """The medians of the first of each pair, and of its ratios to the second; None without a pair."""
    if not pairs:
        return None
    return median_of([changed for changed, _ in pairs]) | {
        f"{name}_ratio": statistics.median(
            getattr(changed, name) / max(1e-9, getattr(plain, name)) for changed, plain in pairs
        )
        for name in ("cpu_us_per_send", "bytes_per_delivered_action")
    }


async def measure(
    workload: Workload,
    *,
    mix: Mapping[str, int],
    loop: str,
    repetitions: int,
    seconds: float,
    log: Callable[[str], None],
    deflate: bool,
    web: bool = False,
) -> WorkloadResult:
    """Run a workload. Raises SpawnError, SwarmError or FloorError if one of its processes fails."""
    done = []
    for number in range(1, repetitions + 1):
        place = f"{workload.name}, repetition {number} of {repetitions}"
        log(f"{place}: the server under the swarm")
        server = await run_server(workload, mix, loop, seconds)
        over_web = deflated = None
        if web:
            log(f"{place}: the server over WebSocket")
            over_web = await run_server(workload, mix, loop, seconds, web=True)
        if deflate:
            log(f"{place}: the server with deflate")
            deflated = await run_server(workload, mix, loop, seconds, deflate=True)
        log(f"{place}: the floor")
        plan = FloorPlan(workload.players, max(1, round(server.frame_bytes)), workload.hz, seconds)
        done.append(Repetition(server, await run_floor(plan), deflated, over_web))
    return WorkloadResult(workload, mix, seconds, done)


async def run_server(
    workload: Workload,
    mix: Mapping[str, int],
    loop: str,
    seconds: float,
    *,
    deflate: bool = False,
    web: bool = False,
) -> ServerResult:
    """Run a new server under a new swarm, in which all or no bots ask for deflate, and come over WebSocket."""
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
            web=float(web),
        )
        outcome = await Conductor(plan, server.stats_port, _SETTLE_SECONDS).run()
    return server_result(outcome)


def server_result(outcome: Outcome) -> ServerResult:
    """The result of the server from a run of the swarm. Raises SwarmError if nothing was measured."""
    if outcome.stats is None:
        raise SwarmError("the run ended before anything was measured")
    empty, began, ended = outcome.stats
    summary = report.summary(outcome)
    sends = max(1, ended.frames_out_total - began.frames_out_total)
    cpu_seconds = ended.cpu_seconds_total - began.cpu_seconds_total
    latency = summary["latency_ms"]
    return ServerResult(
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


def median_of(results: Sequence[Any]) -> dict[str, float]:
    """The median of each numeric field over dataclasses of one type."""
    columns = {field.name: [getattr(one, field.name) for one in results] for field in dataclasses.fields(results[0])}
    return {name: statistics.median(values) for name, values in columns.items() if type(values[0]) in (int, float)}
