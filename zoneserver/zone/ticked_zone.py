"""What a server runs, tick by tick: the zone of a game, or a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.zone.counters import ZoneCounters
from zoneserver.zone.link import TickInput, TickOutput

__all__ = ["TickedZone", "told_schema"]


@runtime_checkable
class TickedZone(Protocol):
    """A zone as the server sees it: it takes one input per tick, and gives one output."""

    info: ZoneInfo
    world: World
    """The state after the last tick. It is one object from the start to the end."""
    counters: ZoneCounters

    @property
    def schema(self) -> Mapping[str, Any]:
        """What a client has to know about the game."""

    @property
    def commands(self) -> Sequence[tuple[str, str]]:
        """The zone's own commands for operators: each with its parameters, and what it does."""

    @property
    def ticks_per_second(self) -> float:
        """How often the zone is to be ticked. It may change with a tick."""

    @property
    def parked(self) -> int:
        """The number of players whose connection is lost, and who may come back."""

    @property
    def replay(self) -> Mapping[str, float]:
        """The figures of a replay, for the statistics; empty for the zone of a game."""

    def advance(self, tick_input: TickInput) -> None:
        """Runs a tick."""

    def encode(self) -> TickOutput:
        """The output of the tick that `advance` ran. A zone that stands still gives the last frame again."""

    def snapshot(self) -> bytes:
        """The state after the last tick: the payload of a SNAPSHOT message."""

    def slowest(self) -> tuple[str, float]:
        """What took most of the last `advance`, for people, and its seconds."""

    def stop(self, *, keep: bool = False) -> list[tuple[str, str]]:
        """No tick follows. With `keep` the players stay in over the next start. Returns the players that were saved
        since the last output, as in `TickOutput.saves`."""


def told_schema(zone: TickedZone) -> Mapping[str, Any]:
    """What clients are told of the game, and of a replay."""
    if not zone.replay:
        return zone.schema
    return {**zone.schema, "replay": {name: zone.replay[name] for name in ("first_tick", "last_tick")}}
