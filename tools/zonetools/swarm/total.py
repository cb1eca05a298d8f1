"""Adds up what a worker, its bots and its meter counted."""

from __future__ import annotations

import dataclasses
from collections import Counter

from zoneclient.bots.action_tracker import ActionCounts, ActionTimes

from zonetools.swarm.frame_checker import FrameChecker
from zonetools.swarm.measure.meter import Meter
from zonetools.swarm.measure.tally import Tally

# The counts of actions that a tally takes over.
_COUNTS = ("sent", "delivered", "answered", "superseded", "unanswered", "resent", "lost", "duplicated", "reordered")


def total(own: Tally, counts: ActionCounts, checker: FrameChecker, meter: Meter) -> Tally:
    """Return everything that one worker counted. `own` is what it counted itself; it has the sessions and errors."""
    measured, times = meter.measured, meter.times
    return dataclasses.replace(
        own,
        **{name: getattr(counts, name) for name in _COUNTS},
        mismatched=checker.mismatched,
        gaps=checker.gaps,
        # The clients have replicas of their own.
        hashes_checked=own.hashes_checked + checker.hashes_checked,
        diverged=own.diverged + checker.diverged,
        refused=Counter(counts.refused),
        frames=checker.received,
        deliveries_measured=measured.deliveries,
        bytes_measured=measured.bytes,
        seconds_measured=measured.moment,
        cpu_seconds=measured.cpu_seconds,
        **{f.name: getattr(times, f.name) for f in dataclasses.fields(ActionTimes)},
    )
