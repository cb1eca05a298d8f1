"""The plots of the HTML page: the run second by second. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from zonetools.common.plots import Plot, Series
from zonetools.swarm.measure.series import Row


def latency_plots(report: dict[str, Any], rows: Sequence[Row]) -> str:
    """Return plots of the latency and of the duration of a tick, each with the tick period as its limit."""
    hz = report["plan"]["hz"]
    period = None if hz is None else ("one tick", 1000 / hz)
    latency = [_series(rows, "latency_p50_ms", "median"), _series(rows, "latency_p99_ms", "99th percentile")]
    tick = [_series(rows, "tick_p99_ms", "99th percentile of 10 s")]
    return _html(
        Plot("Latency", "seconds", "ms", latency, limit=period),
        Plot("Duration of a tick", "seconds", "ms", tick, limit=period),
    )


def cost_plots(rows: Sequence[Row]) -> str:
    """Return plots of the CPU, the players and the deliveries."""
    cpu = [_series(rows, "cpu_percent_server", "server"), _series(rows, "cpu_percent_swarm", "swarm")]
    return _html(
        Plot("CPU", "seconds", "% of a core", cpu),
        Plot("Players", "seconds", "", [_series(rows, "players", "players")]),
        Plot("Deliveries", "seconds", "per second", [_series(rows, "deliveries_per_s", "actions times receivers")]),
    )


def _series(rows: Iterable[Row], column: str, name: str) -> Series:
    # The rate of less than half a second would be noise.
    points = [(row.s, getattr(row, column)) for row in rows if row.seconds > 0.5]
    return Series(name, [(s, value) for s, value in points if value is not None])


def _html(*plots: Plot) -> str:
    """Return the plots that have any points."""
    return f'<div class="plots">{"".join(plot.svg() for plot in plots if any(s.points for s in plot.series))}</div>'
