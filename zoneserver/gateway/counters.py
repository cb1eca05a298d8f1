"""What a gateway counts, and how long its ticks take."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from zoneserver.support.histogram import quantile

__all__ = ["PHASES", "Counters", "TickTimes"]

PHASES = ("ingest", "rules", "encode", "deflate", "fan_out")
"""Where the time of a tick goes. Ingest is what was received and decoded since the tick before, in
CPU time; the others make up the tick itself."""


class TickTimes:
    """How long recent ticks took, in seconds, by phase."""

    def __init__(self, ticks: int) -> None:
        self._recent: deque[tuple[float, ...]] = deque(maxlen=ticks)

    def record(self, ingest: float, rules: float, encode: float, deflate: float, broadcast: float) -> None:
        """Adds one tick."""
        self._recent.append((ingest, rules, encode, deflate, broadcast))

    def newest_ms(self) -> dict[str, float]:
        """Each phase of the newest tick."""
        newest = self._recent[-1] if self._recent else [0.0] * len(PHASES)
        return {phase: round(seconds * 1000, 3) for phase, seconds in zip(PHASES, newest, strict=True)}

    def tick_ms(self) -> dict[str, float]:
        """Median, 99th percentile and maximum of a tick, without its ingest."""
        ordered = sorted(sum(times[1:]) * 1000 for times in self._recent)
        return {
            "p50": round(quantile(ordered, 0.5), 3),
            "p99": round(quantile(ordered, 0.99), 3),
            "max": round(ordered[-1] if ordered else 0.0, 3),
        }

    def phases_ms(self) -> dict[str, float]:
        """The mean of each phase."""
        ticks = len(self._recent) or 1
        columns = zip(*self._recent, strict=True) if self._recent else [()] * len(PHASES)
        return {phase: round(sum(column) * 1000 / ticks, 3) for phase, column in zip(PHASES, columns, strict=True)}


@dataclass(slots=True)
class Counters:
    """What a gateway counts. They only grow."""

    packets_in_total: int = 0
    actions_in_total: int = 0
    bytes_in_total: int = 0
    frames_out_total: int = 0
    sends_total: int = 0
    frames_skipped_total: int = 0
    deliveries_out_total: int = 0
    bytes_out_total: int = 0
    deflates_total: int = 0
    deflate_seconds_total: float = 0.0
    frames_deflated_total: int = 0
    bytes_saved_total: int = 0
    catch_ups_total: int = 0
    joins_total: int = 0
    connections_total: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    restraints: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
