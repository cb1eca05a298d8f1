"""The population of a zone: its players and things, and the slots that they hold."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from typing import Any

from zoneserver.protocol.messages import Snapshot
from zoneserver.protocol.world import World
from zoneserver.protocol.zone_info import PLAYER_KIND
from zoneserver.zone.cell_index import CellIndex
from zoneserver.zone.entities import INT32, Entity, Player, Thing
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.ordered_things import OrderedThings
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.timers import Timers

__all__ = ["SLOTS_MAX", "Population"]

SLOTS_MAX = 65_536
"""The most players and things in one zone."""


class Population:
    """All players and things of a zone, by slot.

    Things leave room for `players_max` players.
    """

    def __init__(self, world: World, frame: FrameBuilder, timers: Timers, players_max: int) -> None:
        self.players: dict[int, Player] = {}
        self.things = OrderedThings()
        self._world = world
        self._frame = frame
        self._timers = timers
        self._spawned_total = 0
        self._things_max = max(0, SLOTS_MAX - players_max)
        self._kinds = {kind.name: number for number, kind in enumerate(world.info.kinds) if number}
        # A heap of free slots: the lowest is used first, so that slots stay dense.
        self._free: list[int] = []
        # Slots in the heap that are in use all the same: the undo of an action took them back.
        self._taken_back: set[int] = set()
        # The index is made when a rule asks for it first.
        self._index: CellIndex | None = None

    def _take_slot(self) -> int:
        while self._free:
            slot = heapq.heappop(self._free)
            if slot not in self._taken_back:
                return slot
            self._taken_back.remove(slot)
        # The slots in use are 0 to their number - 1.
        return len(self.players) + len(self.things)

    def _give_slot(self, slot: int) -> None:
        if slot in self._taken_back:
            self._taken_back.remove(slot)
        else:
            heapq.heappush(self._free, slot)

    # --- Players ----------------------------------------------------------------------------------

    def add_player(self, ref: int, name: str) -> Player:
        """Gives a new player a slot."""
        slot = self._take_slot()
        self._world.join(slot, name)
        self._frame.joined(slot, name)
        player = self.players[slot] = Player(slot, name, self._world, self._frame, self._timers, ref)
        return player

    def absent(self, kind: type[Player | Thing], slot: int, name: str | None) -> Player | Thing:
        """A player or a thing that has left this slot: not even its kind is known any more."""
        entity = object.__new__(kind)
        entity._slot, entity._present = slot, False
        if isinstance(entity, Player):
            entity._name = name or ""
        return entity

    def remove_player(self, player: Player) -> None:
        """Takes a player out, and frees the slot."""
        slot = player.slot
        player._present = False
        self._timers.forget(player)
        del self.players[slot]
        self._world.leave(slot)
        self._frame.left(slot)
        self._give_slot(slot)

    # --- Things -----------------------------------------------------------------------------------

    def kind_number(self, kind: str) -> int:
        """The number of a kind of things. Raises LookupError if the game has no such kind."""
        number = self._kinds.get(kind)
        if number is None:
            known = ", ".join(self._kinds) or "none"
            raise LookupError(f"there is no kind {kind!r:.40}: the game's kinds are {known}")
        return number

    def spawn(self, kind: str, x: int, y: int, vx: int, vy: int, stats: Mapping[str, Any]) -> Thing:
        """Makes a thing. Raises as `Rules.spawn` says; there is then no thing."""
        world, frame, number = self._world, self._frame, self.kind_number(kind)
        indexes = world.stat_indexes[number]
        for stat, value in stats.items():
            if stat not in indexes:
                raise LookupError(f"{kind} has no stat {stat!r:.40}: its stats are {', '.join(indexes) or 'none'}")
            if type(value) is not int or value not in INT32:
                raise ValueError(f"{stat} of {kind} is {value!r:.40}: a stat is a whole number of 32 bits")
        if len(self.things) >= self._things_max:
            raise OverflowError(f"there is no room for another thing: {len(self.things):,} are in the zone")
        slot = self._take_slot()
        world.join(slot, number)
        try:
            world.place(slot, x, y, vx, vy)
        except (TypeError, ValueError):
            world.leave(slot)
            self._give_slot(slot)
            raise
        frame.joined(slot, number)
        frame.placed.add(slot)
        self._spawned_total += 1
        thing = self.things[slot] = Thing(slot, world, frame, self.remove, self._spawned_total)
        for stat, value in stats.items():
            world.stats[indexes[stat]][slot] = value
            frame.stats[slot] = frame.stats.get(slot, 0) | 1 << indexes[stat]
        if frame.undo is not None:
            frame.undo.append((self._drop, thing))
        return thing

    def remove(self, thing: Thing) -> None:
        """Takes a thing out, and frees its slot."""
        world, frame, slot = self._world, self._frame, thing.slot
        if frame.undo is not None:
            state = world.holders[slot], world.motion(slot), [column[slot] for column in world.stats]
            frame.undo.append((self._put_back, thing, *state, frame.slot_notes(slot)))
        self._drop(thing)

    def _drop(self, thing: Thing) -> None:
        slot = thing.slot
        thing._present = False
        del self.things[slot]
        self._world.leave(slot)
        self._frame.left(slot)
        self._give_slot(slot)

    def _put_back(
        self, thing: Thing, holder: int, motion: tuple[int, ...], stats: list[int], notes: tuple[Any, ...]
    ) -> None:
        """Takes back a `remove`."""
        slot, world = thing.slot, self._world
        self._taken_back.add(slot)
        world.join(slot, holder)
        world.restore_motion(slot, motion)
        for column, value in zip(world.stats, stats, strict=True):
            column[slot] = value
        self._frame.restore_slot(slot, notes)
        thing._present = True
        self.things.put_back(thing)

    # --- Checkpoints ------------------------------------------------------------------------------

    def change(self, parameters: ZoneParameters) -> None:
        """Leaves room for another number of players."""
        self._things_max = max(0, SLOTS_MAX - parameters.players_max)

    def restore(self, snapshot: Snapshot, players: Mapping[int, int], things: Iterable[int]) -> None:
        """Takes over the state of a snapshot, with its players, by slot with their refs, and the slots of its things,
        both in the order in which they came. Raises ValueError for a snapshot of another zone."""
        for entity in (*self.players.values(), *self.things.values()):
            entity._present = False
        self.players.clear()
        self.things.clear()
        self._world.restore(snapshot)
        self._world.touched = self._index = None
        self._free = [slot for slot, holder in enumerate(snapshot.holders) if holder is None]
        for slot, ref in players.items():
            name = self._world.name(slot) or ""
            self.players[slot] = Player(slot, name, self._world, self._frame, self._timers, ref)
        for self._spawned_total, slot in enumerate(things, 1):
            self.things[slot] = Thing(slot, self._world, self._frame, self.remove, self._spawned_total)

    # --- Places -----------------------------------------------------------------------------------

    def near(self, where: Entity | tuple[int, int], radius: float, kind: str | None, players: bool) -> list[Entity]:
        """The entities around a place, as `Rules.near` says."""
        if not 0 <= radius < math.inf:
            raise ValueError(f"a radius is a distance from 0 on, not {radius!r:.40}")
        if self._index is None:
            self._index = CellIndex(self._world)
        x, y = where.position if isinstance(where, Entity) else where
        found: list[Entity] = []
        only = None if kind is None else 0 if kind == PLAYER_KIND else self.kind_number(kind)
        holders = self._world.holders
        for slot in self._index.near(x, y, radius):
            holder = holders[slot]
            if type(holder) is str:
                if only == 0 or players:
                    found.append(self.players[slot])
            elif only is None or holder == only:
                found.append(self.things[slot])
        if where in found:
            found.remove(where)
        return found
