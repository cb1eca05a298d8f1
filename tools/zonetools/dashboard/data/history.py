"""What was seen of a server: samples of its statistics, with the rates between two of them.

Pure: the time of a sample is passed in.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.rates import Rates, counted_since, rates_between
from zoneserver.admin.stats import Stats

__all__ = ["History", "Reset", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """The statistics at one moment, with the rates since about one interval before."""

    at: float
    """When it was received, in seconds of the watcher's own clock."""
    stats: Stats
    rates: Rates | None
    """None in the first sample, and in the first after a restart: there is nothing to compare with."""

    def to_json(self) -> dict[str, Any]:
        """The server's statistics with one more key, `rates`: an object or null."""
        return {**self.stats.to_json(), "rates": None if self.rates is None else self.rates.to_json()}


@dataclass(frozen=True, slots=True)
class Reset:
    """Where somebody began to count anew."""

    at: float
    """By the watcher's own clock, in seconds."""
    clock: str
    """The time of day."""
    stats: Stats
    """What had been counted by then."""


class History:
    """The samples of the last `seconds`, oldest first.

    `interval` is the time that rates are taken over: a sample is compared with the newest one that is
    at least so old, so that a display may sample more often than its figures change their base.
    """

    def __init__(self, interval: float, seconds: float) -> None:
        self._interval = interval
        self._seconds = seconds
        self._samples: deque[Sample] = deque()
        # Samples of the present run of the server that may still serve as the older one of two.
        self._bases: deque[Stats] = deque()
        self.restarts = 0
        self.reset_at: Reset | None = None
        """Since when totals are counted; None: since the server started."""
        # The most players since then.
        self._peak = 0

    def add(self, stats: Stats, at: float) -> Sample:
        """Takes in one more answer of the server."""
        if self._bases and restarted(self._bases[-1], stats):
            self.restarts += 1
            self._bases.clear()
            self.reset_at = None
        self._peak = max(self._peak, stats.players)
        # A tenth less than the interval: the watcher's timer may be early by a little.
        enough = stats.uptime_s - 0.9 * self._interval
        while len(self._bases) > 1 and self._bases[1].uptime_s <= enough:
            self._bases.popleft()
        rates = rates_between(self._bases[0], stats) if self._bases else None
        self._bases.append(stats)
        sample = Sample(at, stats, rates)
        self._samples.append(sample)
        while self._samples[0].at < at - self._seconds:
            self._samples.popleft()
        return sample

    def samples(self) -> tuple[Sample, ...]:
        """All of them, as they are now; the totals of the newest are those since the reset."""
        samples = tuple(self._samples)
        if self.reset_at is None or not samples:
            return samples
        counted = counted_since(self.reset_at.stats, samples[-1].stats)
        counted = dataclasses.replace(counted, players_peak=self._peak)
        return (*samples[:-1], dataclasses.replace(samples[-1], stats=counted))

    def reset(self, at: float, clock: str) -> None:
        """Forgets all samples but the newest, and counts totals from there; before the first it does nothing."""
        if self._samples:
            newest = self._samples[-1]
            self._samples = deque([newest])
            self.reset_at, self._peak = Reset(at, clock, newest.stats), newest.stats.players


def restarted(before: Stats, after: Stats) -> bool:
    """Whether the two come from different runs: another process, or a counter that went backwards."""
    return before.pid != after.pid or any(
        getattr(after, name) < getattr(before, name)
        for name in ("uptime_s", "ticks_total", "actions_in_total", "bytes_in_total", "bytes_out_total")
    )
