"""The results of a comparison, as plain values and as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoneserver.support.format import format_decimal
from zonetools.common.machine import load_text
from zonetools.compare.measure import TICKS_HELD, Run, Verdict
from zonetools.swarm.plan import Plan

STRATEGIES = {
    "zone": "one buffer per tick",
    "session": "a gather send per session",
    "immediate": "a send per action per player",
}
# A server that waits longer than this for a core was measured together with its neighbours, among them the swarm.
_WAITED_PERCENT = 20.0
_STYLES = {Verdict.HELD: "green", Verdict.LATE: "yellow", Verdict.BEHIND: "red", Verdict.WRONG: "bold red"}


def document(runs: Sequence[Run], plan: Plan, hz: int, machine: dict[str, Any], interrupted: bool) -> dict[str, Any]:
    """The comparison, schema `zone-compare/1`. Percentages are of one core."""
    deliveries = list(dict.fromkeys(run.delivery for run in runs))
    return {
        "schema": "zone-compare/1",
        "interrupted": interrupted,
        "machine": machine,
        "plan": {
            "seconds": plan.seconds,
            "rate": plan.rate,
            "seed": plan.seed,
            "hz": hz,
            "mix": plan.mix,
            "processes": plan.processes,
        },
        "held_ms_p99": TICKS_HELD * 1000 / hz,
        "deliveries": [
            {
                "name": name,
                "what": STRATEGIES[name],
                "largest_crowd_held": max(
                    (run.players for run in runs if run.delivery == name and run.verdict == Verdict.HELD), default=0
                ),
                "runs": [
                    {key: value for key, value in dataclasses.asdict(run).items() if key != "delivery"}
                    for run in runs
                    if run.delivery == name
                ],
            }
            for name in deliveries
        ],
    }


def passed(document: dict[str, Any]) -> bool:
    """Whether no player was sent anything wrong. A strategy that cannot keep up is a result and not a failure."""
    runs = [run for delivery in document["deliveries"] for run in delivery["runs"]]
    return all(run["verdict"] != Verdict.WRONG for run in runs)


def render(document: dict[str, Any]) -> RenderableType:
    """The comparison as a table: for each crowd, what each strategy costs and how late it is."""
    plan = document["plan"]
    # Narrow enough for a terminal of 80 columns.
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("players", "delivery", "sends\n/s", "system\ncalls/s", "kB/s\neach", "CPU\n%"):
        table.add_column(name, justify="left" if name == "delivery" else "right", no_wrap=True)
    for name in ("p50\nms", "p99\nms", "over-\nruns"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    notes: list[Text] = []
    players = 0
    for delivery, run in runs_by_crowd(document):
        if players not in {0, run["players"]}:
            table.add_row()
        players = run["players"]
        latency, bytes_per_s = run["latency_ms"], run["bytes_per_player_per_s"]
        table.add_row(
            f"{players:,}",
            delivery["name"],
            format_decimal(run["sends_per_s"]),
            format_decimal(run["system_calls_per_s"]),
            format_decimal(None if bytes_per_s is None else bytes_per_s / 1000, 1),
            format_decimal(run["cpu_percent"]),
            format_decimal(latency.get("p50")),
            format_decimal(latency.get("p99")),
            format_decimal(run["tick_overruns"]),
            Text(run["verdict"] + (" *" if run["limited_by_swarm"] else ""), _STYLES.get(run["verdict"], "dim")),
        )
        if remarks := notes_of(run):
            notes.append(Text(f"{delivery['name']}, {players:,} players: {'; '.join(remarks)}", "dim"))
    head = f"{plan['rate']:g} actions per second and player, {plan['hz']} ticks per second, {plan['seconds']:g} s each"
    summary = [
        Text.assemble(
            (f"{delivery['name']:<10}", "bold"),
            f"holds {delivery['largest_crowd_held']:,} with p99 <= {document['held_ms_p99']:.0f} ms: ",
            delivery["what"],
        )
        for delivery in document["deliveries"]
    ]
    tail = load_text(document["machine"])
    if document["interrupted"]:
        tail += "; interrupted"
    return Group(head, "", table, "", *summary, *notes, Text(tail, "dim"))


def runs_by_crowd(document: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """All runs with their strategies, smallest crowd first."""
    runs = [(delivery, run) for delivery in document["deliveries"] for run in delivery["runs"]]
    return sorted(runs, key=lambda each: each[1]["players"])


def notes_of(run: dict[str, Any]) -> list[str]:
    """Remarks on a run that its numbers do not show."""
    notes = [] if run["verdict"] == Verdict.SKIPPED else list(run["why"])
    notes += [f"* limited by the swarm: {why}" for why in run["limited_by_swarm"]]
    if (run["waited_percent"] or 0.0) > _WAITED_PERCENT:
        notes.append(f"the machine was busy: the server waited for a core {run['waited_percent']:.0f} % of the time")
    if run["system_calls_unknown"]:
        notes.append(f"system calls are unknown: {run['system_calls_unknown']}")
    return notes
