"""Entities: players and things, as rules see them. They share slots, motion and stats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from zoneserver.protocol.messages import Told
from zoneserver.protocol.world import World
from zoneserver.zone.frame_builder import FrameBuilder
from zoneserver.zone.timers import Timer, Timers

__all__ = ["Entity", "Player", "Thing"]

INT32 = range(-(2**31), 2**31)


class Entity:
    """A player or a thing in the zone. It is valid until it leaves or is removed.

    The state of an entity that is gone raises LookupError, to read and to write: another one may have the slot.

    >>> def halfway(a: Entity, b: Entity) -> tuple[int, int]:
    ...     (ax, ay), (bx, by) = a.position, b.position
    ...     return (ax + bx) // 2, (ay + by) // 2
    """

    __slots__ = ("_frame", "_present", "_slot", "_stat_indexes", "_world")

    def __init__(self, slot: int, world: World, frame: FrameBuilder) -> None:
        self._slot = slot
        self._world = world
        self._frame = frame
        self._stat_indexes = world.stat_indexes[world.kind(slot)]
        # The population sets this: whether the entity is in the zone.
        self._present = True

    @property
    def slot(self) -> int:
        """The number by which frames and actions name this entity. A later one may get it."""
        return self._slot

    @property
    def kind(self) -> str:
        """The kind of a thing; "player" for a player."""
        raise NotImplementedError

    @property
    def present(self) -> bool:
        """False once the entity has left. A rule that keeps one over several ticks checks it."""
        return self._present

    @property
    def position(self) -> tuple[int, int]:
        """(x, y) at the current tick, in the game's units."""
        if not self._present:
            raise self._is_gone()
        return self._world.position(self._slot)

    @property
    def velocity(self) -> tuple[int, int]:
        """(vx, vy) in steps of velocity: units per tick, unless the game has a `speed_step`."""
        if not self._present:
            raise self._is_gone()
        return self._world.vx[self._slot], self._world.vy[self._slot]

    def move(self, vx: int, vy: int) -> None:
        """Changes the velocity, in whole steps along each axis: units per tick, unless the game has a `speed_step`.

        Raises ValueError outside -127 to 127, TypeError for a number that is not whole, and LookupError when the
        entity is gone. The velocity is then as before.
        """
        if not self._present:
            raise self._is_gone()
        self._remember_motion()
        self._world.move(self._slot, vx, vy)
        self._frame.steered.add(self._slot)

    def place(self, x: int, y: int, vx: int = 0, vy: int = 0) -> None:
        """Puts the entity at (x, y), for a spawn or a teleport.

        Raises ValueError for a place outside the zone, TypeError for a number that is not whole, and LookupError when
        the entity is gone. It then stands as before.
        """
        if not self._present:
            raise self._is_gone()
        self._remember_motion()
        self._world.place(self._slot, x, y, vx, vy)
        self._frame.placed.add(self._slot)

    def distance_to(self, other: Entity) -> float:
        """The distance to another entity at the current tick, in the game's units."""
        return math.dist(self.position, other.position)

    def __getitem__(self, stat: str) -> int:
        if not self._present:
            raise self._is_gone()
        return self._world.stats[self._stat_indexes[stat]][self._slot]

    def __setitem__(self, stat: str, value: int) -> None:
        if not self._present:
            raise self._is_gone()
        slot, frame, number = self._slot, self._frame, self._stat_indexes[stat]
        column, noted = self._world.stats[number], frame.stats.get(slot, 0)
        before = column[slot]
        column[slot] = value
        if frame.undo is not None:
            frame.undo.append((self._restore_stat, number, before, noted))
        frame.stats[slot] = noted | 1 << number

    def _restore_stat(self, number: int, value: int, noted: int) -> None:
        self._world.stats[number][self._slot] = value
        self._frame.restore_stats(self._slot, noted)

    def _remember_motion(self) -> None:
        """While an action runs, notes how to take back the change of motion that follows."""
        slot, world, frame = self._slot, self._world, self._frame
        if frame.undo is not None:
            # As `world.motion` and `frame.notes`, but without a call: most actions are motions.
            motion = world.x[slot], world.y[slot], world.vx[slot], world.vy[slot], world.since[slot]
            notes = frame.moved.get(slot), slot in frame.steered, slot in frame.placed
            frame.undo.append((self._restore_motion, motion, notes))

    def _restore_motion(self, motion: tuple[int, ...], notes: tuple[Any, ...]) -> None:
        self._world.restore_motion(self._slot, motion)
        self._frame.restore_notes(self._slot, *notes)

    def _is_gone(self) -> LookupError:
        # Another entity may have the slot by now.
        return LookupError(f"{self!r} has left")


class Player(Entity):
    """One player in the zone, as rules see it. It is valid until `on_leave` has returned.

    >>> from zoneserver.protocol.zone_info import ZoneInfo, player_kind
    >>> world, frame = World(ZoneInfo(width=100, height=100, kinds=(player_kind(hp=100),))), FrameBuilder()
    >>> world.join(0, "ann")
    >>> player = Player(0, "ann", world, frame)
    >>> player["hp"] -= 30
    >>> player["hp"], player.position
    (70, (0, 0))
    """

    __slots__ = ("_acting_seq", "_has_moved", "_is_here", "_name", "_ref", "_saved", "_seq", "_timers")

    def __init__(
        self,
        slot: int,
        name: str,
        world: World,
        frame: FrameBuilder,
        timers: Timers | None = None,
        ref: int = 0,
    ) -> None:
        super().__init__(slot, world, frame)
        self._timers = timers
        self._name = name
        # The number by which the gateway knows the player.
        self._ref = ref
        self._saved: dict[str, Any] = {}
        # The zone sets these: the sequence of the player's public action that is running now, or None; whether that
        # action has moved this player.
        self._acting_seq: int | None = None
        self._has_moved = False
        self._is_here = True
        # The newest sequence of this player that the zone has taken.
        self._seq = 0

    def __repr__(self) -> str:
        return f"<Player {self._name!r} in slot {self._slot}>"

    @property
    def name(self) -> str:
        return self._name

    @property
    def kind(self) -> str:
        return "player"

    @property
    def is_here(self) -> bool:
        """False while the player's connection is lost: the player may come back, to this very place."""
        return self._is_here

    @property
    def saved(self) -> dict[str, Any]:
        """What `Rules.to_save` last returned for this player, as the store had it when the player came in. It is {} for
        a new player, and on a server without a store."""
        return self._saved

    def move(self, vx: int, vy: int) -> None:
        if self._acting_seq is None:
            super().move(vx, vy)
            return
        if not self._present:
            raise self._is_gone()
        self._remember_motion()
        self._world.move(self._slot, vx, vy)
        self._frame.moved[self._slot] = self._acting_seq & 0xFF
        self._has_moved = True

    def tell(self, kind: str, *values: Any) -> None:
        """Tells this player alone, ahead of the frame of this tick.

        A value is as in `Rules.emit`. Raises TypeError for any other value, ValueError for more than 65,535 bytes,
        OverflowError for a whole number beyond 64 bits and when the player is told more than 256 KiB within one tick,
        and LookupError when the player has left. The player is then told nothing.
        """
        if not self._present:
            raise self._is_gone()
        self._frame.tell(self._ref, Told(self._world.tick, kind, values).encode())

    def kick(self, code: str, text: object = "") -> None:
        """Throws the player out at the end of this tick: the session ends with `code`, an upper-case word, and `text`.

        The player's waiting actions are dropped, and `on_leave` is called at the beginning of the next tick. Raises
        LookupError when the player has left.
        """
        if not self._present:
            raise self._is_gone()
        frame, why = self._frame, (str(code), str(text))
        if self._slot not in frame.kicked:
            frame.kicked[self._slot] = why
            if frame.undo is not None:
                frame.undo.append((frame.kicked.pop, self._slot))

    def after(
        self,
        ticks: int | None = None,
        callback: Callable[..., object] | None = None,
        *arguments: Any,
        seconds: float | None = None,
    ) -> Timer:
        """Calls `callback(*arguments)` as `Rules.after` does, but not after the player has left.

        Raises LookupError when the player has left already, and as `Rules.after` does.
        """
        if not self._present:
            raise self._is_gone()
        assert self._timers is not None, "a player in a zone has timers"
        return self._timers.after(ticks, callback, arguments, seconds=seconds, owner=self)


class Thing(Entity):
    """A thing in the zone that is no player: `Rules.spawn` makes it. It is valid until it is removed.

    >>> def take(player: Player, coin: Thing) -> None:
    ...     player["gold"] += coin["worth"]
    ...     coin.remove()
    """

    __slots__ = ("_number", "_take_out")

    def __init__(
        self, slot: int, world: World, frame: FrameBuilder, take_out: Callable[[Thing], None], number: int
    ) -> None:
        super().__init__(slot, world, frame)
        self._take_out = take_out
        # Things are numbered in the order in which they came.
        self._number = number

    def __repr__(self) -> str:
        if not self._present:
            return f"<a thing that was in slot {self._slot}>"
        return f"<{self.kind} in slot {self._slot}>"

    @property
    def kind(self) -> str:
        """The name of its kind, as in the game's `kinds`."""
        if not self._present:
            raise self._is_gone()
        return self._world.info.kinds[self._world.kind(self._slot)].name

    def remove(self) -> None:
        """Takes the thing out of the zone. Raises LookupError when it is gone already."""
        if not self._present:
            raise self._is_gone()
        self._take_out(self)
