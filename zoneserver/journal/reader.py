"""The reader of a journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoneserver.journal.segments import Segment
from zoneserver.journal.values import Entry

__all__ = ["JournalReader"]


class JournalReader:
    """Reads the journal in a directory, also while a server writes it.

    It reads and checks nothing but what is asked for. Raises JournalError if the directory cannot be read; a directory
    without a journal has no segments.
    """

    torn_bytes: int = 0
    """After the end of `entries`: the bytes at the end of the last segment that are no whole tick."""

    def __init__(self, directory: str | Path) -> None:
        raise NotImplementedError

    @property
    def segments(self) -> Sequence[Segment]:
        """The segments, the oldest first."""
        raise NotImplementedError

    @property
    def first_tick(self) -> int:
        """The tick of the first checkpoint. Raises JournalError for a directory without a journal."""
        raise NotImplementedError

    @property
    def last_tick(self) -> int:
        """The last tick that is whole. Raises JournalError for a directory without a journal."""
        raise NotImplementedError

    def checkpoints(self) -> list[int]:
        """The tick of each checkpoint, in rising order, each tick once."""
        raise NotImplementedError

    def entries(self, from_tick: int | None = None) -> Iterator[Entry]:
        """Everything from the newest checkpoint at or before `from_tick`, or from the first checkpoint without a tick.

        The first entry is the header of the segment, the second one the checkpoint. Each later segment begins with a
        header and a checkpoint too. The iteration ends behind the last whole tick. Raises JournalError, with file and
        offset, for a record that is broken anywhere else.
        """
        raise NotImplementedError
