"""The writer of a journal."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from zoneserver.journal.counters import JournalCounters
from zoneserver.journal.values import Checkpoint, Header
from zoneserver.zone.link import TickInput, TickOutput

__all__ = ["Journal"]


class Journal:
    """Writes the journal of one zone. Its methods are called by one thread, in the order of ticks.

    After a JournalError nothing is written any more: each later call raises the same error, except `close`.
    """

    counters: JournalCounters
    last_tick: int | None
    """The last tick that is whole in the journal; None while there is no journal."""

    @classmethod
    def open(cls, directory: str | Path, *, sync: str = "200ms", keep: str = "") -> Self:
        """Locks the directory, which is made if it does not exist, and cuts what is torn off the end of the journal.

        `sync` and `keep` are as in Config. Nothing new is written before `begin`. Raises JournalError if the directory
        cannot be used, if another process has it, and if the last segment is broken elsewhere than at its end.
        """
        raise NotImplementedError

    def begin(self, header: Header, checkpoint: Checkpoint) -> None:
        """Starts a segment, for a server that starts at the tick of this checkpoint: `last_tick`, if there is one."""
        raise NotImplementedError

    def record(self, tick_input: TickInput, output: TickOutput) -> None:
        """Writes one tick. When it returns, a process that is killed loses nothing of the tick."""
        raise NotImplementedError

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Writes the state after the last tick. It begins a new segment if the present one is large, and deletes the
        segments that are not kept any longer."""
        raise NotImplementedError

    def close(self) -> None:
        """Syncs what is written, unless `sync` is never, and unlocks the directory. Raises JournalError if the sync
        fails. A second call does nothing."""
        raise NotImplementedError
