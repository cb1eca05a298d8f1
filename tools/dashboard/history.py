"""What was seen of a server: samples of its statistics, and the rates between two of them.

Pure: the time of a sample is passed in.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import Any

from zoneserver.metrics import Stats

__all__ = ["History", "Rates", "Reset", "Sample"]


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened between two samples of one run of a server, per second of the server's own clock."""

    seconds: float
    """How far apart the two samples are."""
    ticks_per_s: float
    joins_per_s: float
    packets_in_per_s: float
    actions_in_per_s: float
    bytes_in_per_s: float
    sends_per_s: float
    deliveries_out_per_s: float
    bytes_out_per_s: float
    frames_skipped_per_s: float
    catch_ups_per_s: float
    overruns_per_s: float
    refusals_per_s: float
    closes_per_s: float
    amplification: float | None
    """Deliveries out per action in; None when no action came in."""
    encodes_per_tick: float | None
    """1.0 is what the whole design is about; None when no tick passed."""

    def to_json(self) -> dict[str, Any]:
        """As plain values, rounded to what is worth reading."""
        return {
            name: None if value is None else round(value, 3)
            for name, value in ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        }


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


def counted_since(before: Stats, after: Stats) -> Stats:
    """The later of two samples of one run, with what was counted between them in place of all its totals."""
    changes: dict[str, Any] = {}
    for name in (field.name for field in dataclasses.fields(Stats)):
        new, old = getattr(after, name), getattr(before, name)
        if name.endswith("_total"):
            changes[name] = new - old
        elif name in ("refusals", "restraints", "closes"):
            more = {code: number - old.get(code, 0) for code, number in new.items()}
            changes[name] = {code: number for code, number in more.items() if number}
    return dataclasses.replace(after, **changes)


def rates_between(before: Stats, after: Stats) -> Rates | None:
    """The rates from one sample to a later one of the same run; None when no time passed."""
    # The server's own clock: what the answers waited for on their way does not bend the rates.
    seconds = after.uptime_s - before.uptime_s
    if seconds <= 0:
        return None
    actions = after.actions_in_total - before.actions_in_total
    deliveries = after.deliveries_out_total - before.deliveries_out_total
    ticks = after.ticks_total - before.ticks_total
    return Rates(
        seconds=seconds,
        ticks_per_s=ticks / seconds,
        joins_per_s=(after.joins_total - before.joins_total) / seconds,
        packets_in_per_s=(after.packets_in_total - before.packets_in_total) / seconds,
        actions_in_per_s=actions / seconds,
        bytes_in_per_s=(after.bytes_in_total - before.bytes_in_total) / seconds,
        sends_per_s=(after.sends_total - before.sends_total) / seconds,
        deliveries_out_per_s=deliveries / seconds,
        bytes_out_per_s=(after.bytes_out_total - before.bytes_out_total) / seconds,
        frames_skipped_per_s=(after.frames_skipped_total - before.frames_skipped_total) / seconds,
        catch_ups_per_s=(after.catch_ups_total - before.catch_ups_total) / seconds,
        overruns_per_s=(after.overruns_total - before.overruns_total) / seconds,
        refusals_per_s=(sum(after.refusals.values()) - sum(before.refusals.values())) / seconds,
        closes_per_s=(sum(after.closes.values()) - sum(before.closes.values())) / seconds,
        amplification=deliveries / actions if actions else None,
        encodes_per_tick=(after.encodes_total - before.encodes_total) / ticks if ticks else None,
    )
