"""Made-up outcomes and reports of a swarm run."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from helpers.server_stats import gateway_stats, stats
from rich.console import Console
from zonetools.swarm.conductor import Outcome
from zonetools.swarm.hostile.verdict import RoleTally
from zonetools.swarm.measure.errors import CLOSE, Errors
from zonetools.swarm.measure.places import Place, Places
from zonetools.swarm.measure.series import Row
from zonetools.swarm.measure.tally import Tally
from zonetools.swarm.plan import Address, Plan
from zonetools.swarm.report import build as report
from zonetools.swarm.report.comparison import compare
from zonetools.swarm.report.conditions import evaluate, parse_condition
from zonetools.swarm.report.text import render_text

from zoneserver.support.histogram import Histogram


def histogram(*values: int) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def errors_of(counts: dict[str, int]) -> Errors:
    made = Errors()
    for code, count in counts.items():
        for number in range(count):
            made.add(CLOSE, code, f"the text of {code} number {number}", bot="ann", now=float(number))
    return made


def distinct_tally(factor: int) -> Tally:
    """Return a tally whose fields all differ from each other and from their defaults."""
    values: dict[str, Any] = {}
    for number, field in enumerate(dataclasses.fields(Tally), 1):
        value: Any = factor * number
        if field.default_factory is Histogram:
            value = histogram(value, 1000 * value)
        elif field.default_factory is Counter:
            value = Counter({"A": value, f"ONLY_{factor}": 1})
        elif field.default_factory is Errors:
            value = errors_of({"A": value, f"ONLY_{factor}": 1})
        elif field.default_factory is Places:
            value = Places([Place(joined=value)] * factor)
        values[field.name] = value
    return Tally(**values)


def outcome(tally: Tally | None = None, **changes: Any) -> Outcome:
    """Return the outcome of a run without faults, except for the changes."""
    good = tally or Tally(
        requested=10,
        joined=10,
        sent=110,
        delivered=100,
        superseded=5,
        refused=Counter(COOLDOWN=5),
        frames=1000,
        hashes_checked=5,
        deliveries_measured=1000,
        bytes_measured=20_000,
        seconds_measured=4.0,
        cpu_seconds=1.0,
        closed=Counter(CLIENT_LEFT=10),
        latency=histogram(*range(1000, 101_000, 1000)),
    )
    values: dict[str, Any] = {
        "plan": Plan(bots=10),
        "tally": good,
        "interrupted": False,
        "cpu_percent_busiest": 25.0,
        "cpu_percent_server": 40.0,
        "superseded_server": 5,
        "hz": 20,
        "digests_mismatched": 0,
        "closed_server": {"CLIENT_LEFT": 10},
        "machine": {
            "cpus": 2,
            "system": "Linux x86_64",
            "python": "3.11.2",
            "load_average": {"before": 0.5, "after": 1.5},
        },
    }
    return Outcome(**values | changes)


def flood_tally(**changes: Any) -> RoleTally:
    """Return the tally of two flooding bots with the expected codes, except for the changes."""
    values: dict[str, Any] = {
        "bots": 2,
        "expected": ["FLOOD", "BANNED"],
        "refusals": ["WARNED", "MUTED"],
        "got": Counter(FLOOD=2, BANNED=2),
        "refused": Counter(WARNED=2, MUTED=2),
    }
    return RoleTally(**values | changes)


SERVER_CLOSES = {"FLOOD": 2, "BANNED": 2, "CLIENT_LEFT": 10}
"""The counts of a server that match `flood_tally()` and ten honest bots."""


def rendered_text(result: dict[str, Any]) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(render_text(result))
    return console.export_text()


ROW = Row(3, 1.0, True, 10, 50.0, 49.0, 1.0, 0.0, 0.0, 490.0, 200.0, 9_000.0, 30.0, 55.0, 60.0, 12.0, 9.0, 4.0, 0, 1.0)


def full_report() -> dict[str, Any]:
    """Return a report without missing values."""
    tally = dataclasses.replace(
        outcome().tally,
        latency_uncorrected=histogram(45_000),
        send_delay=histogram(1_000),
        to_tick=histogram(10_000, 30_000, 46_000),
        from_tick=histogram(8_000, 12_000),
        round_trip=histogram(2_000, 4_000, 20_000),
        loop_lag=histogram(500),
        drops=4,
        resumed=3,
        moved=2,
        places=Places(
            [
                Place(bots=5, joined=5, connected=2, frames=400, drops=4, returned=1, moved=2, away=histogram(150_000)),
                Place(bots=5, joined=5, connected=7, frames=600, returned=2, failed=1, latency=histogram(30_000)),
            ]
        ),
        ticks_missed=12,
        away=histogram(150_000, 220_000),
        errors=errors_of({"SLOW_CONSUMER": 3}),
    )
    one = gateway_stats("gw1", cpu_seconds_total=10.0, frames_out_total=500)
    began = stats(pid=7, game="plaza", hz=20, ticks_total=100, overruns_total=1, tick_ms={"p99": 5.0}, gateways=[one])
    ended = dataclasses.replace(began, ticks_total=180, overruns_total=3, ticks_skipped_total=1, rss_bytes=30_000_000)
    ended.uptime_s = began.uptime_s + 4.0
    later = dataclasses.replace(one, cpu_seconds_total=12.0, frames_out_total=9_500, behind=3)
    ended.gateways = [later, gateway_stats("gw2", pid=202, is_lost=True)]
    stuck = RoleTally(1, ["SLOW_CONSUMER"], ["WARNED"], refused=Counter(WARNED=1))
    for code in ("SLOW_CONSUMER", "SLOW_CONSUMER", "FLOOD"):
        stuck.record_end(code, 5.5)
    rows = [dataclasses.replace(ROW, s=s) for s in range(30)]
    made = outcome(
        tally,
        plan=Plan(bots=11, mix={"walker": 10, "stuck": 1}, others=(Address("127.0.0.1", 7779),)),
        stats=(began, began, ended),
        hostile={"stuck": stuck},
        closed_server={"CLIENT_LEFT": 10, "SLOW_CONSUMER": 2},
        rows=rows,
        started_unix_s=1_700_000_000.0,
        # So high that the swarm must be reported as the limit.
        cpu_percent_busiest=90.0,
    )
    result = report.summary(made, control=made)
    result["conditions"] = evaluate([parse_condition("p99>1ms"), parse_condition("lost>0")], result)
    result["compared"] = compare({**report.summary(outcome()), "file": "old.json"}, result)
    return result
