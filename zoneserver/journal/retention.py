"""Retention: which segments of a journal are deleted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from zoneserver.notation import JournalKeep

__all__ = ["NEEDED_BYTES_MAX", "Kept", "excess"]

NEEDED_BYTES_MAX = 10 * 10**9
"""The most that is kept for a restart alone."""


class Kept(NamedTuple):
    """A segment: the tick that it begins with, and its size."""

    first_tick: int
    bytes: int


def excess(segments: Sequence[Kept], hz: int, needed_from: int | None, keep: JournalKeep) -> tuple[int, bool]:
    """How many of the oldest segments may go, and whether a restart would have needed one of them.

    The last segment is being written, and stays. `needed_from` is the tick from which a restart needs the journal, None
    if it needs everything.

    >>> segments = [Kept(0, 70), Kept(100, 70), Kept(200, 70), Kept(300, 70)]
    >>> excess(segments, 20, 250, JournalKeep()), excess(segments, 20, None, JournalKeep())
    ((2, False), (0, False))
    >>> excess(segments, 20, 250, JournalKeep(seconds=6)), excess(segments, 20, 250, JournalKeep(bytes=220))
    ((1, False), (1, False))
    """
    rest_bytes = sum(segment.bytes for segment in segments)
    is_needed = False
    for count, (segment, following) in enumerate(pairwise(segments)):
        would_miss = needed_from is None or following.first_tick > needed_from
        seconds = (segments[-1].first_tick - following.first_tick) / hz
        if seconds < keep.seconds or rest_bytes <= keep.bytes or (would_miss and rest_bytes <= NEEDED_BYTES_MAX):
            return count, is_needed
        is_needed = is_needed or would_miss
        rest_bytes -= segment.bytes
    return max(0, len(segments) - 1), is_needed
