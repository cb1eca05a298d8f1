"""Everything that one worker counted. The tallies of several workers can be added."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field

from zoneserver.support.histogram import Histogram
from zonetools.swarm.measure.errors import Errors
from zonetools.swarm.measure.places import Places


@dataclass(slots=True)
class Tally:
    """The counters that a report is computed from. Times are in microseconds, CPU in seconds."""

    requested: int = 0
    joined: int = 0
    joined_web: int = 0
    """Those among `joined` that came over WebSocket."""
    failed: int = 0
    sent: int = 0
    delivered: int = 0
    answered: int = 0
    superseded: int = 0
    unanswered: int = 0
    """Actions whose outcome was lost with a connection."""
    resent: int = 0
    """Actions that were sent again after a lost connection."""
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    frames: int = 0
    mismatched: int = 0
    gaps: int = 0
    catch_ups: int = 0
    hashes_checked: int = 0
    diverged: int = 0
    told: int = 0
    """Messages that the game told one bot alone."""
    told_bytes: int = 0
    clients: int = 0
    """Bots among `joined` that are clients of the user: of these nothing but their end is counted."""
    deliveries_measured: int = 0
    """Actions delivered while measuring, each counted once per bot that received it."""
    bytes_measured: int = 0
    """Bytes received by all bots while measuring."""
    seconds_measured: float = 0.0
    cpu_seconds: float = 0.0
    """CPU time of the process while measuring."""
    join_seconds: float = 0.0
    """From the start of the ramp to the moment the last bot joined."""
    closed_early: int = 0
    """Bots whose session ended before they left."""
    drops: int = 0
    """Lost connections of bots who come back."""
    resumed: int = 0
    """How often a bot came back."""
    moved: int = 0
    """How often a bot came back at another address."""
    resumes_failed: int = 0
    """Bots who could not come back."""
    ticks_missed: int = 0
    """Ticks whose frames a bot missed while it was away: it came back with a snapshot."""
    broken: int = 0
    """How often a behaviour raised an exception, or chose an action that the game does not have in this form."""
    refused: Counter[str] = field(default_factory=Counter)
    closed: Counter[str] = field(default_factory=Counter)
    errors: Errors = field(default_factory=Errors)
    places: Places = field(default_factory=Places)
    """The counts by address."""
    latency: Histogram = field(default_factory=Histogram)
    latency_uncorrected: Histogram = field(default_factory=Histogram)
    send_delay: Histogram = field(default_factory=Histogram)
    to_tick: Histogram = field(default_factory=Histogram)
    from_tick: Histogram = field(default_factory=Histogram)
    """These five histograms are the fields of `ActionTimes`."""
    away: Histogram = field(default_factory=Histogram)
    """The time from the loss of a connection until the bot was back."""
    round_trip: Histogram = field(default_factory=Histogram)
    """The time from a PING to its PONG."""
    loop_lag: Histogram = field(default_factory=Histogram)
    """How late a timer of the worker fired."""

    def __add__(self, other: Tally) -> Tally:
        """Return the sum. The workers ran at the same time, so of durations the longer one is taken."""
        both = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)}
        for name in ("seconds_measured", "join_seconds"):
            both[name] = max(getattr(self, name), getattr(other, name))
        return Tally(**both)
