"""Players and things written down as plain values, and found again in a zone that was restored."""

from __future__ import annotations

from typing import Any

from zoneserver.zone.entities import Entity, Player, Thing
from zoneserver.zone.population import Population

__all__ = ["References"]

_PLAIN = frozenset({int, float, str, bytes, bool, type(None)})


class References:
    """Writes and reads the values of one checkpoint.

    A plain value stands for itself, `[slot]` for who has the slot, `[slot, name, number]` for one who has left: a
    game may still hold it, and compare it. It has the same number wherever it is written, and no name if it is a thing.
    """

    def __init__(self, population: Population) -> None:
        self._population = population
        self._numbers: dict[Entity, int] = {}
        self._gone: dict[int, Entity] = {}

    def write(self, value: object) -> Any:
        """Raises TypeError for a value that is neither plain nor a player or thing of the zone."""
        if type(value) in _PLAIN:
            return value
        if not isinstance(value, Entity):
            raise TypeError(f"of type {type(value).__name__}")
        if value.present:
            return [value.slot]
        number = self._numbers.setdefault(value, len(self._numbers))
        return [value.slot, value.name if isinstance(value, Player) else None, number]

    def read(self, written: Any) -> Any:
        """The value that was written."""
        if type(written) is not list:
            return written
        slot, *gone = written
        if not gone:
            return self._population.players.get(slot) or self._population.things[slot]
        name, number = gone
        if number not in self._gone:
            self._gone[number] = self._population.absent(Thing if name is None else Player, slot, name)
        return self._gone[number]
