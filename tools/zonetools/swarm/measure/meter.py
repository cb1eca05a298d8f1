"""Cuts the counters of a worker into seconds, and sums up what was counted while measuring. Pure.

Counters only grow; a second is the difference of two readings. The processes of a machine share one clock, and
all cut at its whole seconds, so the seconds of several workers can be added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from zoneclient.bots.action_tracker import ActionCounts, ActionTimes

from zoneserver.support.histogram import Histogram

# A timer may fire this long before its time.
_EARLY_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of a worker at a moment of `time.monotonic()`. In a difference, `moment` is the duration."""

    moment: float = 0.0
    cpu_seconds: float = 0.0
    sent: int = 0
    delivered: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    deliveries: int = 0
    frames: int = 0
    bytes: int = 0

    def __sub__(self, earlier: Reading) -> Reading:
        return Reading(*(getattr(self, f.name) - getattr(earlier, f.name) for f in dataclasses.fields(self)))

    def __add__(self, other: Reading) -> Reading:
        """Return the sum of two differences. The workers ran at the same time, so the longer duration is taken."""
        both = Reading(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))
        return dataclasses.replace(both, moment=max(self.moment, other.moment))


@dataclass(frozen=True, slots=True)
class Second:
    """One second of one worker, or a part of it if the worker started or ended in it. Two of these can be added."""

    at: int
    """The whole second of `time.monotonic()` at which it began."""
    players: int
    """The number of joined bots at its end."""
    counted: Reading
    """What was counted in this second. `counted.moment` is its duration."""
    latency: Histogram = field(default_factory=Histogram)
    """From the moment an action was due to the moment its own player saw it, in microseconds."""

    def __add__(self, other: Second) -> Second:
        assert self.at == other.at
        return Second(self.at, self.players + other.players, self.counted + other.counted, self.latency + other.latency)


class Meter:
    """Takes readings of a worker: call `cut` at the end of each second, `begin` and `end` around the measured time.

    >>> readings = iter([Reading(7.5), Reading(8.0, sent=20), Reading(9.0, sent=50)])
    >>> meter = Meter(ActionCounts(), lambda: next(readings))
    >>> meter.cut(players=4); meter.cut(players=5)
    >>> [(second.at, second.players, second.counted.sent) for second in meter.seconds]
    [(7, 4, 20), (8, 5, 30)]
    """

    def __init__(self, counts: ActionCounts, read: Callable[[], Reading]) -> None:
        self.seconds: list[Second] = []
        """The seconds since this attribute was last replaced: the worker takes them and puts an empty list here."""
        self.times = ActionTimes()
        """The action times of the measured time."""
        self.measured = Reading()
        """What was counted in the measured time. `measured.moment` is its duration."""
        self.is_measuring = False
        self._counts = counts
        self._read = read
        self._began = Reading()
        # The reading at the last cut, and the latency since.
        self._cut = read()
        self._latency = Histogram()

    def cut(self, players: int) -> None:
        """End the current second."""
        self._take_times()
        reading = self._read()
        counted, latency, at = reading - self._cut, self._latency, int(self._cut.moment + _EARLY_SECONDS)
        self.seconds.append(Second(at, players, counted, latency))
        self._cut, self._latency = reading, Histogram()

    def begin(self) -> None:
        self._take_times()
        self._began = self._read()
        self.is_measuring = True

    def end(self) -> None:
        self._take_times()
        if self.is_measuring:
            self.measured = self._read() - self._began
            self.is_measuring = False

    def _take_times(self) -> None:
        times, self._counts.times = self._counts.times, ActionTimes()
        self._latency += times.latency
        if self.is_measuring:
            self.times += times
