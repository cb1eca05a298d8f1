"""The files of a journal."""

from __future__ import annotations

from pathlib import Path

from zoneserver.journal.values import Header

__all__ = ["Segment"]


class Segment:
    """One file of a journal."""

    path: Path
    first_tick: int
    """The tick of the checkpoint that the segment begins with."""

    @property
    def header(self) -> Header:
        """Raises JournalError."""
        raise NotImplementedError
