"""A run second by second: what all processes of the swarm saw together, and the server beside it. Pure.

However long a run is, the rows are bounded: when there are too many, each two neighbours become one.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoneserver.admin.stats import Stats
from zonetools.swarm.measure.meter import Second

__all__ = ["Row", "Series", "thinned"]

ROWS_MAX = 3_600
# A process tells of a second at most so much later than another.
_LATE_SECONDS = 3


# What a column of two rows together is.
_BOTH: dict[str, Callable[[Any, Any], Any]] = {
    "first": lambda one, _: one,
    "last": lambda _, other: other,
    "sum": operator.add,
    "largest": max,
    "smallest": min,
}


def _column(both: str, default: Any = dataclasses.MISSING) -> Any:
    """A column, and what it is of two rows together: their mean over the time, or one of `_BOTH`."""
    return field(default=default, metadata={"both": both})


@dataclass(frozen=True, slots=True)
class Row:
    """One second of a run, or several of a long one. What was not measured is None.

    The names are those of the columns of `--csv`: a rate is per second, percent are of one core.
    """

    s: float = _column("first")
    """When it began, from the beginning of the run."""
    seconds: float = _column("sum")
    """How long it was: of the first and the last second of a run only a part."""
    measuring: bool = _column("largest")
    players: int = _column("last")
    """Bots that were in at its end."""
    sent_per_s: float = _column("mean")
    delivered_per_s: float = _column("mean")
    """Actions that their own players saw."""
    refused_per_s: float = _column("mean")
    lost_per_s: float = _column("mean")
    duplicated_per_s: float = _column("mean")
    deliveries_per_s: float = _column("mean")
    """Actions, times the bots that they were delivered to."""
    frames_per_s: float = _column("mean")
    bytes_per_s: float = _column("mean")
    """That all bots received."""
    latency_p50_ms: float | None = _column("largest")
    """From the moment an action was due. Of several seconds, the worst one's."""
    latency_p99_ms: float | None = _column("largest")
    latency_max_ms: float | None = _column("largest")
    cpu_percent_swarm: float = _column("mean")
    """All processes of the honest bots together."""
    cpu_percent_server: float | None = _column("mean", None)
    tick_p99_ms: float | None = _column("largest", None)
    """How long a tick takes: the 99th percentile of the ten seconds up to then."""
    overruns: int | None = _column("sum", None)
    """Ticks that took longer than their period or came late by more than one."""
    dilation: float | None = _column("smallest", None)
    """How fast the zone's time ran, at its end: 1.0 is full speed."""

    def __add__(self, other: Row) -> Row:
        """Both, one after the other."""
        values = {}
        for f in dataclasses.fields(self):
            one, two, both = getattr(self, f.name), getattr(other, f.name), f.metadata["both"]
            if one is None or two is None:
                values[f.name] = two if one is None else one
            elif both == "mean":
                values[f.name] = (one * self.seconds + two * other.seconds) / (self.seconds + other.seconds)
            else:
                values[f.name] = _BOTH[both](one, two)
        return Row(**values)

    def plain(self) -> dict[str, Any]:
        """As plain values, no longer than they need to be."""
        return {
            f.name: round(value, 3) if isinstance(value := getattr(self, f.name), float) else value
            for f in dataclasses.fields(self)
        }


def thinned(rows: Sequence[Row], count: int) -> list[Row]:
    """The same run in at most so many rows: neighbours together, as often as it takes.

    >>> row = Row(0, 1.0, True, 5, 10, 10, 0, 0, 0, 50, 20, 900, 25.0, 48.0, 49.0, 30.0)
    >>> [row.seconds for row in thinned([row] * 5, 3)]
    [2.0, 2.0, 1.0]
    """
    rows = list(rows)
    while len(rows) > count:
        pairs = [rows[place] + rows[place + 1] for place in range(0, len(rows) - 1, 2)]
        rows = pairs + rows[len(rows) & ~1 :]
    return rows


@dataclass(slots=True)
class _Open:
    """A second of which not everybody may have told yet."""

    seconds: list[Second] = field(default_factory=list)
    server: tuple[Stats, Stats] | None = None


class Series:
    """Collects a run: `add` what a process saw, `add_server` the statistics around a second.

    Seconds are named by the whole second of `time.monotonic()` that they begin with; `origin` is the
    first of the run.
    """

    def __init__(self, origin: int, processes: int) -> None:
        self.measuring_from: float | None = None
        """Where measuring began, by the same clock."""
        self.last: Row | None = None
        """The newest second of which all processes have told."""
        self._origin = origin
        self._processes = processes
        self._open: dict[int, _Open] = {}
        self._rows: list[Row] = []

    def add(self, second: Second) -> None:
        """One process tells of a second."""
        known = self._known(second.at)
        known.seconds.append(second)
        if len(known.seconds) == self._processes:
            self.last = self._row(second.at, known)

    def add_server(self, at: int, before: Stats, after: Stats) -> None:
        """The server's statistics at the beginning and the end of a second."""
        if before.pid == after.pid and after.uptime_s > before.uptime_s:
            known = self._known(at)
            known.server = before, after
            if len(known.seconds) == self._processes:
                self.last = self._row(at, known)

    def rows(self) -> list[Row]:
        """The whole run so far, the oldest second first."""
        newest = [self._row(at, known) for at, known in sorted(self._open.items()) if known.seconds]
        return thinned([*self._rows, *newest], ROWS_MAX)

    def _known(self, at: int) -> _Open:
        known = self._open.setdefault(at, _Open())
        # What is older has been told by everybody, or by nobody who is still there.
        for old in sorted(old for old in self._open if old < at - _LATE_SECONDS):
            closed = self._open.pop(old)
            if closed.seconds:
                self._rows = thinned([*self._rows, self._row(old, closed)], ROWS_MAX)
        return known

    def _row(self, at: int, known: _Open) -> Row:
        both = known.seconds[0]
        for second in known.seconds[1:]:
            both += second
        counted, latency = both.counted, both.latency
        elapsed = max(counted.moment, 1e-3)
        p50, p99, highest = (latency.percentile(p) / 1000 if latency.total else None for p in (50, 99, 100))
        row = Row(
            s=at - self._origin,
            seconds=elapsed,
            measuring=self.measuring_from is not None and at + elapsed > self.measuring_from,
            players=both.players,
            sent_per_s=counted.sent / elapsed,
            delivered_per_s=counted.delivered / elapsed,
            refused_per_s=counted.refused / elapsed,
            lost_per_s=counted.lost / elapsed,
            duplicated_per_s=counted.duplicated / elapsed,
            deliveries_per_s=counted.deliveries / elapsed,
            frames_per_s=counted.frames / elapsed,
            bytes_per_s=counted.bytes / elapsed,
            latency_p50_ms=p50,
            latency_p99_ms=p99,
            latency_max_ms=highest,
            cpu_percent_swarm=100 * counted.cpu_seconds / elapsed,
        )
        return row if known.server is None else dataclasses.replace(row, **_of_server(*known.server))


def _of_server(before: Stats, after: Stats) -> dict[str, Any]:
    cpu_seconds = after.cpu_seconds_total - before.cpu_seconds_total
    return {
        "cpu_percent_server": 100 * cpu_seconds / (after.uptime_s - before.uptime_s),
        "tick_p99_ms": after.tick_ms["p99"],
        "overruns": after.overruns_total - before.overruns_total,
        "dilation": after.dilation,
    }
