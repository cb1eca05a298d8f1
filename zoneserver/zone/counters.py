"""The counters of a zone."""

from __future__ import annotations

from dataclasses import dataclass

from zoneserver.support.statistic import count

__all__ = ["ZoneCounters"]


@dataclass
class ZoneCounters:
    """Numbers that only grow."""

    encodes_total: int = count("Frames encoded: one per tick.", "zone_frames_encoded_total")
    rule_failures_total: int = count("Rules of the game that raised an exception.", "zone_rule_failures_total")
    superseded_total: int = count(
        "Motions that a later motion of the same player within the same tick replaced.", "zone_motions_superseded_total"
    )
