"""Formats the values of a report for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zonetools.swarm.report.metrics import METRICS


def counts_text(counts: Mapping[str, int], empty: str = "none") -> str:
    """Return counts by code in one line.

    >>> counts_text({"COOLDOWN": 1_200, "DEAD": 3}), counts_text({})
    ('1,200 COOLDOWN, 3 DEAD', 'none')
    """
    return ", ".join(f"{count:,} {code}" for code, count in counts.items()) or empty


def control_text(report: Mapping[str, Any]) -> str:
    """Return the latency of the honest bots with and without the hostile bots; empty if one of them is unknown.

    >>> control = {"latency_ms": {"p99": 48.5}, "p99_ratio": 1.021}
    >>> control_text({"latency_ms": {"p99": 49.5}, "control": control})
    '49.5 ms, without the hostile bots 48.5 ms: x 1.021'
    """
    control, p99 = report["control"], report["latency_ms"]["p99"]
    if control["p99_ratio"] is None:
        return ""
    return f"{p99:.1f} ms, without the hostile bots {control['latency_ms']['p99']:.1f} ms: x {control['p99_ratio']:.3f}"


def compared_rows(compared: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return the rows of a comparison, without the metrics that are 0 in both reports."""
    rows = []
    for row in compared["figures"]:
        if row["old"] or row["new"]:
            old, new = (METRICS[row["name"]].value_text(row[name]) for name in ("old", "new"))
            ratio = "" if row["ratio"] is None else f"x {row['ratio']:.2f}"
            rows.append((row["name"], old, new, ratio, row["verdict"]))
    return rows


def date_text(started: str | None) -> str:
    """Return the start of a run without its seconds.

    >>> date_text("2026-11-24T17:39:39+00:00")
    '2026-11-24 17:39 UTC'
    """
    return f"{started[:10]} {started[11:16]} UTC" if started else "an unknown time"


def difference_text(difference: Mapping[str, Any]) -> str:
    """Return a difference between two plans or machines as a warning.

    >>> difference_text({"name": "bots", "old": 1000, "new": 500})
    'the runs differ: bots was 1000 and is 500'
    """
    return f"the runs differ: {difference['name']} was {difference['old']} and is {difference['new']}"
