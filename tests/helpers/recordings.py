"""A small zone whose journal a test writes, tick by tick."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from helpers.driven_zone import DrivenZone
from helpers.yard import HZ, Yard

from zoneserver.journal.values import Checkpoint, Header
from zoneserver.journal.writer import Journal
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.link import TickInput, TickOutput

__all__ = ["RecordedYard"]


class RecordedYard:
    """A yard in which one more player walks about every few ticks, and the journal of it in a directory.

    `states` has the payload of the snapshot after each tick that was recorded.
    """

    def __init__(self, directory: Path, hz: int = HZ) -> None:
        self.directory = directory
        self.zone = DrivenZone(Yard(), hz=hz, seed=1)
        self.journal = Journal.open(directory, sync="never", keep="all")
        self.epoch = 0
        self.states = {0: self.zone.snapshot()}
        self.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.journal.close()

    @property
    def tick(self) -> int:
        return self.zone.world.tick

    def begin(self, info: ZoneInfo | None = None, **changes: Any) -> None:
        """Begins a segment, as each start of a server does: with this game, or with changes of the zone's."""
        self.epoch += 1
        info = (info or self.zone.info)._replace(**changes)
        self.journal.begin(Header(self.epoch, info), self._checkpoint())

    def run(self, ticks: int = 1, *, is_recorded: bool = True) -> None:
        """Runs ticks. Without a record of them they are missing in the journal."""
        for _ in range(ticks):
            tick, zone = self.tick + 1, self.zone
            if tick % 5 == 1:
                zone.join(tick, f"walker-{tick}")
            for ref in range(1, tick, 5):
                if (tick + ref) % 3 == 0:
                    zone.submit(ref, tick, [("walk", tick % 7 - 3, ref % 5 - 2)])
            requests, zone.requests = zone.requests, type(zone.requests)()
            tick_input = TickInput(tick, 0.0, 100, requests)
            output = zone.tick(tick_input)
            if is_recorded:
                self.journal.record(tick_input, output)
                self.states[tick] = zone.snapshot()

    def fail(self) -> None:
        """Runs a tick that fails, and whose changes are in no frame."""
        tick_input = TickInput(self.tick + 1, 0.0, 100, self.zone.requests)
        self.zone.tick(tick_input)
        self.journal.record(tick_input, TickOutput(tick_input.tick, b"", 0, [], [], []))

    def checkpoint(self) -> None:
        self.journal.checkpoint(self._checkpoint())

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(self.tick, self.zone.snapshot(), {"game": None})
