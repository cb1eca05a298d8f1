"""What a process of the swarm counts, cut into seconds, and of these what is measured. Pure.

Counters only grow; a second is the difference of two readings. The processes of a machine share one
clock and all cut at its whole seconds, so that the seconds of several add up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoneclient.bots.action_tracker import ActionCounts, ActionTimes

from zoneserver.support.histogram import Histogram

__all__ = ["Meter", "Reading", "Second"]

# A timer may ring so much before its moment.
_EARLY_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that a process has counted up to a moment of `time.monotonic()`."""

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
        """What came between the two."""
        return Reading(*(getattr(self, f.name) - getattr(earlier, f.name) for f in dataclasses.fields(self)))

    def __add__(self, other: Reading) -> Reading:
        """Both together; of what ran side by side, the longer time counts."""
        both = Reading(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))
        return dataclasses.replace(both, moment=max(self.moment, other.moment))


@dataclass(frozen=True, slots=True)
class Second:
    """One second, or the part of it that a process was there. Those of several processes add up."""

    at: int
    """The whole second of `time.monotonic()` that it began with."""
    players: int
    """Bots that were in at its end."""
    counted: Reading
    """What came in it; its moment is how long it was."""
    latency: Histogram = field(default_factory=Histogram)
    """From the moment an action was due to the moment its own player saw it, in microseconds."""

    def __add__(self, other: Second) -> Second:
        assert self.at == other.at
        return Second(self.at, self.players + other.players, self.counted + other.counted, self.latency + other.latency)

    def to_json(self) -> dict[str, Any]:
        """A form that `from_json` takes back, in another process."""
        counted = [getattr(self.counted, f.name) for f in dataclasses.fields(Reading)]
        return {"at": self.at, "players": self.players, "counted": counted, "latency": self.latency.to_json()}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Second:
        """The second that `to_json` wrote."""
        return cls(form["at"], form["players"], Reading(*form["counted"]), Histogram.from_json(form["latency"]))


class Meter:
    """Takes readings of a process: `cut` at the end of each second, `begin` and `end` of what is measured.

    >>> readings = iter([Reading(7.5), Reading(8.0, sent=20), Reading(9.0, sent=50)])
    >>> meter = Meter(ActionCounts(), lambda: next(readings))
    >>> meter.cut(players=4); meter.cut(players=5)
    >>> [(second.at, second.players, second.counted.sent) for second in meter.seconds]
    [(7, 4, 20), (8, 5, 30)]
    """

    def __init__(self, counts: ActionCounts, read: Callable[[], Reading]) -> None:
        self.seconds: list[Second] = []
        """Since these were last taken away."""
        self.times = ActionTimes()
        """Of all that was measured."""
        self.measured = Reading()
        """What was counted meanwhile; its moment is how long that was."""
        self.is_measuring = False
        self._counts = counts
        self._read = read
        self._began = Reading()
        # The reading at the last cut, and the latency since.
        self._cut = read()
        self._latency = Histogram()

    def cut(self, players: int) -> None:
        """A second ends here."""
        self._take_times()
        reading = self._read()
        counted, latency, at = reading - self._cut, self._latency, int(self._cut.moment + _EARLY_SECONDS)
        self.seconds.append(Second(at, players, counted, latency))
        self._cut, self._latency = reading, Histogram()

    def begin(self) -> None:
        """What comes from now on is measured."""
        self._take_times()
        self._began = self._read()
        self.is_measuring = True

    def end(self) -> None:
        """And no more from now on."""
        self._take_times()
        if self.is_measuring:
            self.measured = self._read() - self._began
            self.is_measuring = False

    def _take_times(self) -> None:
        times, self._counts.times = self._counts.times, ActionTimes()
        self._latency += times.latency
        if self.is_measuring:
            self.times += times
