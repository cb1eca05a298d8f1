"""The results of the bench, as JSON documents for programs and as tables for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from zonetools.bench.measure import WorkloadResult
from zonetools.bench.micro_benchmarks import MicroResult
from zonetools.common.machine import machine

BENCH_SCHEMA = "zone-bench/1"

_MARKS = {True: ("<=", "green"), False: ("above", "red"), None: ("void, target", "yellow")}


def workload_document(result: WorkloadResult, load_before: float | None) -> dict[str, Any]:
    """One workload: the medians, the targets and whether they were reached, and every repetition."""
    workload, repetitions = result.workload, result.repetitions
    return {
        "schema": BENCH_SCHEMA,
        "measurement": workload.name,
        "machine": machine(load_before),
        "loop": repetitions[0].server.loop,
        "players": workload.players,
        "hz": workload.hz,
        "rate": workload.rate,
        "mix": dict(result.mix),
        "seconds": result.seconds,
        "ratio": round(result.ratio, 3),
        "ratios": [round(one.ratio, 3) for one in repetitions],
        "server": result.server,
        "floor": result.floor,
        "deflated": result.deflated,
        "web": result.web,
        "limited_by_swarm": any(one.server.limited_by_swarm for one in repetitions),
        "everybody_got_everything": result.everybody_got_everything,
        "targets": targets(result),
        "rounds": [dataclasses.asdict(one) for one in repetitions],
    }


def micro_document(result: MicroResult, load_before: float | None) -> dict[str, Any]:
    """The result of one micro benchmark."""
    values = dataclasses.asdict(result)
    name = f"micro.{values.pop('name')}"
    return {"schema": BENCH_SCHEMA, "measurement": name, "machine": machine(load_before), **values}


def targets(result: WorkloadResult) -> list[dict[str, Any]]:
    """Each target of a workload beside the value that was measured. A void value neither reaches nor misses."""
    found = {**result.server, "ratio": result.ratio}

    def reached(value: float, at_most: float | None) -> bool | None:
        return value <= at_most if at_most is not None and result.everybody_got_everything else None

    return [
        {
            "figure": target.metric,
            "value": round(found[target.metric], 3),
            "at_most": target.at_most,
            "reached": reached(found[target.metric], target.at_most),
            "stretch": target.stretch,
            "stretch_reached": reached(found[target.metric], target.stretch),
        }
        for target in result.workload.targets_for(result.mix)
    ]


def workload_table(documents: Sequence[dict[str, Any]]) -> Table:
    """The workloads side by side. A value with a target shows the target and whether it was reached."""
    table = Table(title="the server compared with the floor, medians", title_justify="left")
    table.add_column("")
    for document in documents:
        load = f"{document['players']:,} players, {document['hz']} Hz, {document['rate']:g}/s"
        table.add_column(f"{document['measurement']}: {load}", justify="right")
    columns = [_cells(document) | _deflated_cells(document) | _web_cells(document) for document in documents]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _cells(document: dict[str, Any]) -> dict[str, Text]:
    server, floor = document["server"], document["floor"]
    limits = {target["figure"]: target for target in document["targets"]}

    def cell(text: str, metric: str = "", unit: float = 1) -> Text:
        target = limits.get(metric)
        if target is None:
            return Text(text)
        mark, colour = _MARKS[target["reached"]]
        return Text(text).append(f"  {mark} {target['at_most'] / unit:g}", colour)

    kilobyte = 1024
    return {
        "CPU, server / floor": cell(f"{document['ratio']:.2f} x", "ratio"),
        "  of each repetition": Text(" ".join(f"{ratio:.2f}" for ratio in document["ratios"]), "dim"),
        "CPU of the server": cell(f"{server['cpu_percent']:.1f} %"),
        "CPU of the floor": cell(f"{floor['cpu_percent']:.1f} %"),
        "CPU per send, server": cell(f"{server['cpu_us_per_send']:.2f} us"),
        "CPU per send, floor": cell(f"{floor['cpu_us_per_send']:.2f} us"),
        "bytes per send": cell(f"{server['frame_bytes']:,.0f}"),
        "bytes per delivered action": cell(f"{server['bytes_per_delivered_action']:.2f}", "bytes_per_delivered_action"),
        "latency p50": cell(f"{server['latency_p50_ms']:.1f} ms, {server['latency_p50_ticks']:.2f} ticks"),
        "latency p99": cell(
            f"{server['latency_p99_ms']:.1f} ms, {server['latency_p99_ticks']:.2f} ticks", "latency_p99_ms"
        ),
        "ticks overrun": cell(f"{server['overruns']:g} of {server['ticks']:g}"),
        "ticks skipped by the floor": cell(f"{floor['ticks_skipped']:g}"),
        "time until all joined": cell(f"{server['join_seconds']:.2f} s", "join_seconds"),
        "memory per session": cell(
            f"{server['memory_bytes_per_session'] / kilobyte:.1f} KiB", "memory_bytes_per_session", kilobyte
        ),
        "CPU of the swarm": cell(f"{server['swarm_cpu_percent']:.0f} %"),
        "limited by the swarm": Text("yes", "yellow") if document["limited_by_swarm"] else Text("no"),
        "everybody got everything": Text("yes") if document["everybody_got_everything"] else Text("NO", "bold red"),
    }


def _deflated_cells(document: dict[str, Any]) -> dict[str, Text]:
    """The values with deflate; empty if deflate was not measured."""
    deflated = document["deflated"]
    if deflated is None:
        return {}
    return {
        "deflated: bytes per delivered action": Text(
            f"{deflated['bytes_per_delivered_action']:.2f}, {deflated['bytes_per_delivered_action_ratio']:.2f} x"
        ),
        "deflated: CPU per send": Text(
            f"{deflated['cpu_us_per_send']:.2f} us, {deflated['cpu_us_per_send_ratio']:.2f} x"
        ),
        "deflated: time to deflate a tick": Text(f"{1000 * deflated['deflate_ms_per_tick']:.0f} us"),
        "deflated: latency p99": Text(f"{deflated['latency_p99_ms']:.1f} ms"),
        "deflated: time until all joined": Text(f"{deflated['join_seconds']:.2f} s"),
        "deflated: CPU of the swarm": Text(f"{deflated['swarm_cpu_percent']:.0f} %"),
    }


def _web_cells(document: dict[str, Any]) -> dict[str, Text]:
    """The values over WebSocket; empty if WebSocket was not measured."""
    web = document["web"]
    if web is None:
        return {}
    return {
        "WebSocket: CPU per send": Text(f"{web['cpu_us_per_send']:.2f} us, {web['cpu_us_per_send_ratio']:.2f} x"),
        "WebSocket: bytes per delivered action": Text(f"{web['bytes_per_delivered_action']:.2f}"),
        "WebSocket: latency p99": Text(f"{web['latency_p99_ms']:.1f} ms"),
        "WebSocket: time until all joined": Text(f"{web['join_seconds']:.2f} s"),
        "WebSocket: memory per session": Text(f"{web['memory_bytes_per_session'] / 1024:.1f} KiB"),
        "WebSocket: CPU of the swarm": Text(f"{web['swarm_cpu_percent']:.0f} %"),
    }


def micro_table(documents: Sequence[dict[str, Any]]) -> Table:
    """The micro benchmarks, one per row."""
    table = Table(title="micro benchmarks, medians", title_justify="left")
    table.add_column("")
    for heading in ("CPU", "least", "most", "instructions"):
        table.add_column(heading, justify="right")
    for document in documents:
        runs, counted = document["cpu_us_runs"], document["instructions"]
        table.add_row(
            f"{document['measurement'].removeprefix('micro.')} per {document['unit']}",
            f"{document['cpu_us']:.2f} us",
            f"{min(runs):.2f} us",
            f"{max(runs):.2f} us",
            "no counter" if counted is None else f"{counted:,.0f}",
        )
    return table
