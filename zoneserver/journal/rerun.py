"""Runs the recorded ticks of a zone through rules again, and compares all that they told and saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zoneserver.journal.bodies import failed_output, recorded_tick
from zoneserver.journal.difference import difference
from zoneserver.journal.roster import snapshot_of
from zoneserver.journal.values import Checkpoint, Entry, Header, RecordedTick
from zoneserver.support.errors import GameError, raised_by
from zoneserver.zone.game_state import NEW_GAME
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Rules
from zoneserver.zone.stopwatch import no_clock
from zoneserver.zone.zone import Zone

__all__ = ["Rerun"]

# Verifies no ticket: those in a journal were good.
_ANY_SECRET = b"a secret that signs no ticket"


class Rerun:
    """Takes the entries of a journal one by one, from one that a zone can begin with on: the start of the zone, or a
    checkpoint with the state of the game. It ends at the first difference.

    `new_rules` makes a game that has not started. `secret` verifies the tickets of players who join later.
    """

    def __init__(
        self,
        new_rules: Callable[[], Rules],
        secret: bytes = b"",
        clock: Callable[[], float] = no_clock,
        *,
        is_trial: bool = False,
    ) -> None:
        self.ticks = 0
        """The number of ticks that were run again."""
        self.difference = ""
        """What the rules did otherwise than the journal has it, for people; empty if nothing."""
        self._new_rules = new_rules
        self._secret = secret or _ANY_SECRET
        self._settings: dict[str, Any] = {"clock": clock, "is_trial": is_trial, "is_rerun": True}
        self.begun_with: Checkpoint
        """The checkpoint with which the zone has begun."""
        self._zone: Zone | None = None
        self._header: Header

    @property
    def zone(self) -> Zone:
        """The zone after the last tick. Only a re-run without a difference has one."""
        assert self._zone is not None
        return self._zone

    def take(self, entry: Entry) -> None:
        """Goes on by one entry."""
        assert not self.difference, "the zone has left the journal"
        try:
            if isinstance(entry, RecordedTick):
                self._run(entry)
            elif isinstance(entry, Checkpoint):
                if self._zone is None or entry.state["game"] == NEW_GAME:
                    self._begin(entry)
            else:
                self._header = entry
                if self._zone is not None:
                    self._zone.change(ZoneParameters.from_plain(entry.parameters), self._secret)
        except (GameError, TypeError, ValueError) as error:
            # The game cannot begin, or go on, with what the journal has.
            self.difference = str(error)
        if self.difference and not isinstance(entry, Header):
            self.difference = f"tick {entry.tick:,}: {self.difference}"

    def _begin(self, checkpoint: Checkpoint) -> None:
        self.begun_with = checkpoint
        parameters = ZoneParameters.from_plain(self._header.parameters)
        secret = self._secret if parameters.needs_ticket else b""
        self._zone = zone = Zone(self._new_rules(), **parameters.for_zone(), secret=secret, **self._settings)
        if checkpoint.tick:
            zone.restore(snapshot_of(checkpoint.snapshot), checkpoint.state)

    def _run(self, recorded: RecordedTick) -> None:
        zone = self.zone
        try:
            output = zone.tick(recorded.tick_input)
        except Exception as error:
            if recorded.frame:
                self.difference = f"the tick failed: {raised_by(error)}"
                return
            output = failed_output(recorded.tick)
        self.difference = difference(recorded, recorded_tick(recorded.tick_input, output), zone.world)
        self.ticks += not self.difference
