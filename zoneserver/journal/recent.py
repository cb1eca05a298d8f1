"""The newest frames of a journal, for clients that come back after a restart."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from zoneserver.journal.reader import JournalReader
from zoneserver.journal.values import RecordedTick

__all__ = ["recent_frames"]


def recent_frames(directory: str | Path, ticks_max: int) -> list[tuple[int, bytes]]:
    """(tick, frame) of the newest ticks of a journal, the oldest first. Raises JournalError if it cannot be read.

    The frames before the last restart are those that clients were told: one that has tick T can go on with T + 1.
    """
    reader = JournalReader(directory)
    recent: deque[tuple[int, bytes]] = deque(maxlen=ticks_max)
    for entry in reader.entries(max(0, reader.last_tick - ticks_max)):
        # A tick that failed has no frame. The next one then leads nowhere, which a history notices by the numbers.
        if isinstance(entry, RecordedTick) and entry.frame:
            recent.append((entry.tick, entry.frame))
    return list(recent)
