"""A run second by second: the sums over all workers, and the statistics of the server beside them. Pure.

The number of rows is bounded, however long a run is: when there are too many, each pair of neighbours is merged.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.stats import Stats
from zonetools.swarm.measure.meter import Second

ROWS_MAX = 3_600
# The workers report a second at most this far apart.
_LATE_SECONDS = 3
# The counters of a reading that a row contains as rates per second.
_RATES = ("sent", "delivered", "refused", "lost", "duplicated", "deliveries", "frames", "bytes")

# How the values of a column are merged; all other columns by the mean over time.
_MERGE: dict[str, Callable[[Any, Any], Any]] = {
    "s": lambda earlier, _: earlier,
    **dict.fromkeys(("seconds", "overruns"), operator.add),
    **dict.fromkeys(("measuring", "latency_p50_ms", "latency_p99_ms", "latency_max_ms", "tick_p99_ms"), max),
    "players": lambda _, later: later,
    "dilation": min,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One second of a run, or several seconds of a long run. A value that was not measured is None.

    The field names are the column names of `--csv`. Percent are of one core.
    """

    s: float
    """Its start, in seconds since the start of the run."""
    seconds: float
    """Its duration. The first and the last second of a run are shorter."""
    measuring: bool
    players: int
    """The number of joined bots at its end."""
    sent_per_s: float
    delivered_per_s: float
    """Actions that their own players saw in a frame."""
    refused_per_s: float
    lost_per_s: float
    duplicated_per_s: float
    deliveries_per_s: float
    """Delivered actions, each counted once per bot that received it."""
    frames_per_s: float
    bytes_per_s: float
    """Bytes received by all bots."""
    latency_p50_ms: float | None
    """The latency from the moment an action was due. If seconds were merged, this is the worst of them."""
    latency_p99_ms: float | None
    latency_max_ms: float | None
    cpu_percent_swarm: float
    """The CPU of all workers."""
    cpu_percent_server: float | None = None
    tick_p99_ms: float | None = None
    """The duration of a tick: the 99th percentile of the last ten seconds."""
    overruns: int | None = None
    """Ticks that took longer than their period, or began more than one period late."""
    dilation: float | None = None
    """The speed of the zone's time at the end of the row: 1.0 is full speed."""

    def __add__(self, other: Row) -> Row:
        """Merge this row with the row that follows it."""
        values = {}
        for f in dataclasses.fields(self):
            one, two = getattr(self, f.name), getattr(other, f.name)
            if one is None or two is None:
                values[f.name] = two if one is None else one
            elif f.name in _MERGE:
                values[f.name] = _MERGE[f.name](one, two)
            else:
                values[f.name] = (one * self.seconds + two * other.seconds) / (self.seconds + other.seconds)
        return Row(**values)

    def plain(self) -> dict[str, Any]:
        """Return plain values, rounded to three digits."""
        return {
            f.name: round(value, 3) if isinstance(value := getattr(self, f.name), float) else value
            for f in dataclasses.fields(self)
        }


def merge_rows(rows: Sequence[Row], count: int) -> list[Row]:
    """Merge pairs of neighbours, repeatedly, until there are at most `count` rows.

    >>> row = Row(0, 1.0, True, 5, 10, 10, 0, 0, 0, 50, 20, 900, 25.0, 48.0, 49.0, 30.0)
    >>> [row.seconds for row in merge_rows([row] * 5, 3)]
    [2.0, 2.0, 1.0]
    """
    rows = list(rows)
    while len(rows) > count:
        pairs = [rows[place] + rows[place + 1] for place in range(0, len(rows) - 1, 2)]
        rows = pairs + rows[len(rows) & ~1 :]
    return rows


class Series:
    """Collects a run: `add` takes a second of one worker, `add_server` the statistics of the server around a second.

    A second is named by the whole second of `time.monotonic()` at which it begins. `origin` is the first one of the
    run.
    """

    def __init__(self, origin: int, processes: int) -> None:
        self.measuring_from: float | None = None
        """When measuring began, in seconds of `time.monotonic()`; None before."""
        self.last: Row | None = None
        """The newest second that all workers have reported."""
        self._origin = origin
        self._processes = processes
        # The seconds that some workers may not have reported yet, and the statistics around each second.
        self._open: dict[int, list[Second]] = {}
        self._server: dict[int, tuple[Stats, Stats]] = {}
        self._rows: list[Row] = []

    def add(self, second: Second) -> None:
        self._open.setdefault(second.at, []).append(second)
        self._update(second.at)

    def add_server(self, at: int, before: Stats, after: Stats) -> None:
        """Add the statistics of the server at the start and at the end of a second."""
        if before.pid == after.pid and after.uptime_s > before.uptime_s:
            self._server[at] = before, after
            self._update(at)

    def rows(self) -> list[Row]:
        """Return the rows so far, the oldest first."""
        return merge_rows([*self._rows, *map(self._row, sorted(self._open))], ROWS_MAX)

    def _update(self, at: int) -> None:
        if len(self._open.get(at, ())) == self._processes:
            self.last = self._row(at)
        # No worker that still runs will report a second as old as these.
        for old in sorted(old for old in self._open if old < at - _LATE_SECONDS):
            self._rows = merge_rows([*self._rows, self._row(old)], ROWS_MAX)
            del self._open[old]
        for old in [old for old in self._server if old < at - _LATE_SECONDS]:
            del self._server[old]

    def _row(self, at: int) -> Row:
        total = functools.reduce(operator.add, self._open[at])
        counted, latency = total.counted, total.latency
        elapsed = max(counted.moment, 1e-3)
        p50, p99, highest = (latency.percentile(p) / 1000 if latency.total else None for p in (50, 99, 100))
        row = Row(
            s=at - self._origin,
            seconds=elapsed,
            measuring=self.measuring_from is not None and at + elapsed > self.measuring_from,
            players=total.players,
            **{f"{name}_per_s": getattr(counted, name) / elapsed for name in _RATES},
            latency_p50_ms=p50,
            latency_p99_ms=p99,
            latency_max_ms=highest,
            cpu_percent_swarm=100 * counted.cpu_seconds / elapsed,
        )
        if at not in self._server:
            return row
        before, after = self._server[at]
        cpu_seconds = after.cpu_seconds_total - before.cpu_seconds_total
        return dataclasses.replace(
            row,
            cpu_percent_server=100 * cpu_seconds / (after.uptime_s - before.uptime_s),
            tick_p99_ms=after.tick_ms["p99"],
            overruns=after.overruns_total - before.overruns_total,
            dilation=after.dilation,
        )
