"""Results of the bench that were never measured."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from rich.console import Console, RenderableType
from zonetools.bench.floor import FloorResult
from zonetools.bench.measure import Repetition, ServerResult, WorkloadResult
from zonetools.bench.workload import WORKLOADS, Target, Workload
from zonetools.swarm.plan import DEFAULT_MIX, parse_mix

TINY = Workload("W1", players=20, hz=20, rate=5, targets=(Target("ratio", 0.001, stretch=1e9),))


def documents_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def text_of(shown: RenderableType) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


SERVER = ServerResult(
    cpu_percent=20.0,
    cpu_us_per_send=9.0,
    sends=1_000,
    frame_bytes=500.0,
    latency_p50_ms=30.0,
    latency_p99_ms=60.0,
    latency_p50_ticks=0.6,
    latency_p99_ticks=1.2,
    ticks=20,
    overruns=0,
    ticks_skipped=0,
    frames_skipped=0,
    bytes_per_delivered_action=4.0,
    deflate_ms_per_tick=0.0,
    join_seconds=1.0,
    memory_bytes_per_session=2_048,
    swarm_cpu_percent=25.0,
    limited_by_swarm=False,
    everybody_got_everything=True,
    loop="asyncio",
)


FLOOR = FloorResult(
    cpu_percent=12.0,
    cpu_us_per_send=6.0,
    ticks=20,
    ticks_skipped=0,
    sends=1_000,
    blocked=0,
    bytes_sent=750_000,
    bytes_drained=750_000,
)


def workload_result(
    *cpu_us_per_send: float, workload: str = "W1", mix: str = DEFAULT_MIX, **changes: Any
) -> WorkloadResult:
    servers = [dataclasses.replace(SERVER, cpu_us_per_send=value, **changes) for value in cpu_us_per_send]
    return WorkloadResult(WORKLOADS[workload], parse_mix(mix), 1.0, [Repetition(server, FLOOR) for server in servers])
