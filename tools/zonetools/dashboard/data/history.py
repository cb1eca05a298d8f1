"""Samples of a server's statistics, with the rates between two of them.

Pure: the time of each sample is passed in.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import Any

from zoneserver.admin.rates import Rates, counted_since, rates_between
from zoneserver.admin.stats import Stats


@dataclass(frozen=True, slots=True)
class Sample:
    """The statistics at one moment, with the rates over the interval before it."""

    at: float
    """When the sample was received, in seconds on the dashboard's own clock."""
    stats: Stats
    rates: Rates | None
    """None in the first sample and in the first after a restart, which have no earlier sample to compare with."""

    def rate(self, name: str) -> float | None:
        """One of the rates; None if there are none."""
        return None if self.rates is None else getattr(self.rates, name)

    def to_json(self) -> dict[str, Any]:
        """The server's statistics with one more key, `rates`, which is an object or null."""
        return {**self.stats.to_json(), "rates": None if self.rates is None else self.rates.to_json()}


@dataclass(frozen=True, slots=True)
class Reset:
    """A moment at which the user set the totals to zero."""

    at: float
    """In seconds on the dashboard's own clock."""
    clock: str
    """The time of day."""
    stats: Stats
    """The statistics at that moment; they are subtracted from later ones."""


class History:
    """The samples of the last `seconds`, oldest first.

    Rates are taken over `interval`: each sample is compared with the newest one that is at least that much
    older. A display may therefore sample more often without making the rates noisier.
    """

    def __init__(self, interval: float, seconds: float) -> None:
        self._interval = interval
        self._seconds = seconds
        self._samples: deque[Sample] = deque()
        # Statistics of the server's present run that a later sample may still be compared with.
        self._bases: deque[Stats] = deque()
        self.restarts = 0
        self.reset_at: Reset | None = None
        """The last reset; None if totals are counted from the start of the server."""
        # The most players since the last reset.
        self._peak = 0
        # What the run of the newest sample is known by.
        self._run: object = None

    def add(self, stats: Stats, at: float, run: object = None) -> Sample:
        """Add one more answer of the server. Figures of different runs are not compared; `run` is what a run is known
        by beside the statistics themselves."""
        former, self._run = self._run, run
        if self._bases and (run != former or restarted(self._bases[-1], stats)):
            self.restarts += 1
            self._bases.clear()
            self.reset_at = None
        self._peak = max(self._peak, stats.players)
        # A tenth less than the interval, since the dashboard's timer may fire slightly early.
        old_enough = stats.uptime_s - 0.9 * self._interval
        while len(self._bases) > 1 and self._bases[1].uptime_s <= old_enough:
            self._bases.popleft()
        rates = rates_between(self._bases[0], stats) if self._bases else None
        self._bases.append(stats)
        sample = Sample(at, stats, rates)
        self._samples.append(sample)
        while self._samples[0].at < at - self._seconds:
            self._samples.popleft()
        return sample

    def samples(self) -> tuple[Sample, ...]:
        """All samples; the totals of the newest one are counted from the last reset."""
        samples = tuple(self._samples)
        if self.reset_at is None or not samples:
            return samples
        counted = counted_since(self.reset_at.stats, samples[-1].stats)
        counted = dataclasses.replace(counted, players_peak=self._peak)
        return (*samples[:-1], dataclasses.replace(samples[-1], stats=counted))

    def reset(self, at: float, clock: str) -> None:
        """Forget all samples but the newest and count totals from there. A no-op before the first sample."""
        if self._samples:
            newest = self._samples[-1]
            self._samples = deque([newest])
            self.reset_at, self._peak = Reset(at, clock, newest.stats), newest.stats.players


def restarted(before: Stats, after: Stats) -> bool:
    """Whether the two come from different runs of the server: another process, or a counter that decreased."""
    return before.pid != after.pid or any(
        getattr(after, name) < getattr(before, name)
        for name in ("uptime_s", "ticks_total", "actions_in_total", "bytes_in_total", "bytes_out_total")
    )
