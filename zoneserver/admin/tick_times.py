"""How long ticks take, by phase."""

from __future__ import annotations

from collections import deque
from typing import Any

from zoneserver.support.histogram import DurationBuckets, quantile

__all__ = ["PHASES", "TickTimes"]

PHASES = ("ingest", "rules", "encode", "journal", "deflate", "fan_out")
"""The phases of a tick. Ingest is the CPU time of receiving and decoding since the previous tick; the others make
up the tick itself. `journal` is zero without one."""


class TickTimes:
    """The durations of recent ticks, by phase, and those of all ticks, in buckets."""

    def __init__(self, ticks: int) -> None:
        self._recent: deque[tuple[float, ...]] = deque(maxlen=ticks)
        self._ticks = DurationBuckets()
        self._phases = tuple(DurationBuckets() for _ in PHASES)

    def record(self, *seconds: float) -> None:
        """Adds one tick: the seconds of each phase, in the order of PHASES."""
        self._recent.append(seconds)
        self._ticks.record(sum(seconds[1:]))
        for buckets, duration in zip(self._phases, seconds, strict=True):
            buckets.record(duration)

    def newest_ms(self) -> dict[str, float]:
        """The duration of each phase of the newest tick."""
        newest = self._recent[-1] if self._recent else [0.0] * len(PHASES)
        return {phase: round(seconds * 1000, 3) for phase, seconds in zip(PHASES, newest, strict=True)}

    def figures(self) -> dict[str, Any]:
        """The figures by the names that they have in `Stats`."""
        return {
            "tick_ms": self.tick_ms(),
            "phases_ms": self.phases_ms(),
            "tick_durations_ms": self._ticks.to_json(),
            "phase_durations_ms": {
                phase: buckets.to_json() for phase, buckets in zip(PHASES, self._phases, strict=True)
            },
        }

    def tick_ms(self) -> dict[str, float]:
        """Median, 99th percentile and maximum of the duration of a recent tick, without ingest."""
        ordered = sorted(sum(times[1:]) * 1000 for times in self._recent)
        return {
            "p50": round(quantile(ordered, 0.5), 3),
            "p99": round(quantile(ordered, 0.99), 3),
            "max": round(ordered[-1] if ordered else 0.0, 3),
        }

    def phases_ms(self) -> dict[str, float]:
        """The mean duration of each phase of the recent ticks."""
        ticks = len(self._recent) or 1
        columns = zip(*self._recent, strict=True) if self._recent else [()] * len(PHASES)
        return {phase: round(sum(column) * 1000 / ticks, 3) for phase, column in zip(PHASES, columns, strict=True)}
