"""What was measured, as lines of JSON for a program and as tables for a person."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from zonetools.bench.measure import Measured
from zonetools.bench.micro import MicroResult

__all__ = ["BENCH_SCHEMA", "micro_line", "micro_table", "workload_line", "workload_table"]

BENCH_SCHEMA = "zone-bench/1"

_MARKS = {True: ("<=", "green"), False: ("above", "red"), None: ("void, asked", "yellow")}


def workload_line(measured: Measured) -> dict[str, Any]:
    """One workload: the medians, each target with whether it was reached, and every round."""
    workload = measured.workload
    rounds = measured.rounds
    return {
        "schema": BENCH_SCHEMA,
        "measurement": workload.name,
        "machine": machine(),
        "loop": rounds[0].server.loop,
        "players": workload.players,
        "hz": workload.hz,
        "rate": workload.rate,
        "mix": dict(measured.mix),
        "seconds": measured.seconds,
        "ratio": round(measured.ratio, 3),
        "ratios": [round(one.ratio, 3) for one in rounds],
        "server": measured.server,
        "floor": measured.floor,
        "deflated": measured.deflated,
        "limited_by_swarm": any(one.server.limited_by_swarm for one in rounds),
        "everybody_got_everything": measured.everybody_got_everything,
        "targets": targets(measured),
        "rounds": [dataclasses.asdict(one) for one in rounds],
    }


def micro_line(result: MicroResult) -> dict[str, Any]:
    """One micro benchmark."""
    values = dataclasses.asdict(result)
    return {"schema": BENCH_SCHEMA, "measurement": f"micro.{values.pop('name')}", "machine": machine(), **values}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"python": platform.python_version(), "system": platform.system(), "cpus": os.cpu_count()}


def targets(measured: Measured) -> list[dict[str, Any]]:
    """Each target of a workload beside the figure that came out; a void figure reaches and misses nothing."""
    found = {**measured.server, "ratio": measured.ratio}

    def reached(value: float, at_most: float | None) -> bool | None:
        return value <= at_most if at_most is not None and measured.everybody_got_everything else None

    return [
        {
            "figure": target.figure,
            "value": round(found[target.figure], 3),
            "at_most": target.at_most,
            "reached": reached(found[target.figure], target.at_most),
            "stretch": target.stretch,
            "stretch_reached": reached(found[target.figure], target.stretch),
        }
        for target in measured.workload.targets_for(measured.mix)
    ]


def workload_table(lines: Sequence[dict[str, Any]]) -> Table:
    """The workloads side by side. A figure with a target says what was asked and whether it is there."""
    table = Table(title="the server against the floor, medians of the rounds", title_justify="left")
    table.add_column("")
    for line in lines:
        rate = f"{line['players']:,} players, {line['hz']} Hz, {line['rate']:g}/s"
        table.add_column(f"{line['measurement']}: {rate}", justify="right")
    columns = [_cells(line) | _deflated_cells(line) for line in lines]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _cells(line: dict[str, Any]) -> dict[str, Text]:
    server, floor = line["server"], line["floor"]
    asked = {target["figure"]: target for target in line["targets"]}

    def cell(text: str, figure: str = "", unit: float = 1) -> Text:
        target = asked.get(figure)
        if target is None:
            return Text(text)
        mark, colour = _MARKS[target["reached"]]
        return Text(text).append(f"  {mark} {target['at_most'] / unit:g}", colour)

    kilobyte = 1024
    return {
        "CPU, server / floor": cell(f"{line['ratio']:.2f} x", "ratio"),
        "  of each round": Text(" ".join(f"{ratio:.2f}" for ratio in line["ratios"]), "dim"),
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
        "everybody in within": cell(f"{server['join_seconds']:.2f} s", "join_seconds"),
        "memory per session": cell(
            f"{server['memory_bytes_per_session'] / kilobyte:.1f} KiB", "memory_bytes_per_session", kilobyte
        ),
        "CPU of the swarm": cell(f"{server['swarm_cpu_percent']:.0f} %"),
        "limited by the swarm": Text("yes", "yellow") if line["limited_by_swarm"] else Text("no"),
        "everybody got everything": Text("yes") if line["everybody_got_everything"] else Text("NO", "bold red"),
    }


def _deflated_cells(line: dict[str, Any]) -> dict[str, Text]:
    """What it is to the same crowd when all of it asks for it to be deflated; nothing where that was not measured."""
    deflated = line["deflated"]
    if deflated is None:
        return {}
    return {
        "deflated: bytes per delivered action": Text(
            f"{deflated['bytes_per_delivered_action']:.2f}, {deflated['bytes_per_delivered_action_ratio']:.2f} x"
        ),
        "deflated: CPU per send": Text(
            f"{deflated['cpu_us_per_send']:.2f} us, {deflated['cpu_us_per_send_ratio']:.2f} x"
        ),
        "deflated: of which deflating takes": Text(f"{1000 * deflated['deflate_ms_per_tick']:.0f} us a tick"),
        "deflated: latency p99": Text(f"{deflated['latency_p99_ms']:.1f} ms"),
        "deflated: everybody in within": Text(f"{deflated['join_seconds']:.2f} s"),
        "deflated: CPU of the swarm": Text(f"{deflated['swarm_cpu_percent']:.0f} %"),
    }


def micro_table(lines: Sequence[dict[str, Any]]) -> Table:
    """The micro benchmarks, one a row."""
    table = Table(title="the pieces by themselves, medians of the runs", title_justify="left")
    table.add_column("")
    for heading in ("CPU", "least", "most", "instructions"):
        table.add_column(heading, justify="right")
    for line in lines:
        runs, counted = line["cpu_us_runs"], line["instructions"]
        table.add_row(
            f"{line['measurement'].removeprefix('micro.')} per {line['unit']}",
            f"{line['cpu_us']:.2f} us",
            f"{min(runs):.2f} us",
            f"{max(runs):.2f} us",
            "no counter" if counted is None else f"{counted:,.0f}",
        )
    return table
