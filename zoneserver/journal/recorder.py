"""Records a running zone in its journal: each tick before anybody is told of it, and a checkpoint now and then."""

from __future__ import annotations

import logging
from collections.abc import Callable

from zoneserver.journal.bodies import failed_output
from zoneserver.journal.values import Checkpoint
from zoneserver.journal.writer import Journal
from zoneserver.support.logs import fields
from zoneserver.zone.link import TickInput, TickOutput
from zoneserver.zone.zone import Zone

__all__ = ["CHECKPOINT_SECONDS", "Recorder"]

CHECKPOINT_SECONDS = 30
"""The time between two checkpoints, at full speed. A restart runs the ticks since the last one again."""

log = logging.getLogger(__name__)


class Recorder:
    """Writes the ticks of one zone into a journal that has begun. Its methods raise JournalError when the journal
    cannot be written any more; nobody may be told of that tick.

    It logs once why a checkpoint lacks the game's own state, unless the user `has_told` of it before.
    """

    def __init__(self, journal: Journal, zone: Zone, *, has_told: bool = False) -> None:
        self._journal = journal
        self.zone = zone
        self.saved_up_to: Callable[[int], int] = lambda tick: tick
        """The newest tick up to which nothing that was saved waits for the store, after the last tick."""
        self._interval_ticks = CHECKPOINT_SECONDS * zone.info.hz
        # The tick after which a checkpoint is due.
        self._due = zone.world.tick + self._interval_ticks
        self._has_told = has_told
        # The last tick in which anything was saved, and the tick after which a mark of it is due.
        self._saved_tick = zone.world.tick
        self._mark_due = 0

    @property
    def last_tick(self) -> int:
        """The last tick that the journal has."""
        return self._journal.last_tick or 0

    def record(self, tick_input: TickInput, output: TickOutput) -> None:
        """Writes one tick."""
        self._journal.record(tick_input, output)
        if output.saves:
            self._saved_tick = output.tick

    def record_failed(self, tick_input: TickInput) -> None:
        """Writes a tick that failed: its input, and an empty frame. The frames before it lead nowhere, so that the next
        tick is followed by a checkpoint."""
        self._journal.record(tick_input, failed_output(tick_input.tick))
        self._due = 0

    def write_what_is_due(self) -> None:
        """Writes, when it is time, what the store has by now, and the state after the tick that was recorded last.
        What this tick has saved was handed to the store."""
        tick = self.zone.world.tick
        if self._saved_tick > self._journal.saved_tick and tick >= self._mark_due:
            self._mark_due = tick + self.zone.info.hz
            self._journal.mark_saved(self.saved_up_to(tick))
        if tick >= self._due:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Writes the state after the tick that was recorded last."""
        tick = self.zone.world.tick
        self._due = tick + self._interval_ticks
        state = self.zone.state()
        # A restart looks for saved players from the newest mark on.
        self._journal.mark_saved(self.saved_up_to(tick))
        self._journal.checkpoint(Checkpoint(tick, self.zone.snapshot(), state))
        if state["game"] is None and not self._has_told:
            self._has_told = True
            problem = self.zone.save_problem
            log.info("%s", problem, extra=fields(problem=problem))
            log.info("nothing to do: without the game's own state in the journal, a restart runs all its ticks again")

    def close(self) -> None:
        """Ends the journal, after the store is closed. Raises JournalError."""
        self._journal.close(self.saved_up_to(self.zone.world.tick))
