"""The world: the state of a zone on which the server and all clients agree, tick by tick.

The server and every client hold a World and run this code on it, so that they agree by construction. A world holds
names, motion and stats by slot, one column per field. Motion is a function of time in whole numbers: the position at
tick t is clamp(p0 + v * (t - t0)). A player who keeps walking therefore costs nothing, and the cost of a tick grows
with the number of actions, not of players.

The module is pure: it uses no clock, no socket and no random source.
"""

from __future__ import annotations

import operator
import zlib
from array import array
from collections.abc import Iterator

from zoneserver.protocol import columns
from zoneserver.protocol.messages import Snapshot, Tick

__all__ = ["VELOCITY_MAX", "World"]

VELOCITY_MAX = 127
"""The fastest a player may move along an axis, in units per tick."""


class World:
    """Names, motion and stats of all players, by slot, at the end of tick `tick`.

    `width` and `height` are in units of the game; positions run from 0 to these, both included. `stats` gives the name
    and the initial value of each public number of a player.

    >>> world = World(100, 100, {"hp": 100})
    >>> world.join(0, "ann")
    >>> world.place(0, 10, 10, 7, 0)
    >>> world.position(0, tick=3), world.position(0, tick=90)
    ((31, 10), (100, 10))
    """

    def __init__(self, width: int, height: int, stats: dict[str, int]) -> None:
        self.width = width
        self.height = height
        self.tick = 0
        self.stat_names = tuple(stats)
        self.stat_indexes = {name: index for index, name in enumerate(stats)}
        self.stat_defaults = tuple(stats.values())
        # All columns have one length: the highest slot in use + 1. A free slot holds None and zeros.
        self.names: list[str | None] = []
        self.x = array("i")
        self.y = array("i")
        self.vx = array("b")
        self.vy = array("b")
        self.since = array("I")
        self.seq = array("B")
        self.stats = [array("i") for _ in stats]

    def slots(self) -> Iterator[int]:
        """The slots in use, in rising order."""
        return (slot for slot, name in enumerate(self.names) if name is not None)

    def has(self, slot: int) -> bool:
        """Whether a player holds the slot."""
        return 0 <= slot < len(self.names) and self.names[slot] is not None

    def position(self, slot: int, tick: int | None = None) -> tuple[int, int]:
        """The position of the player at the end of `tick`, by default of the current tick."""
        elapsed = (self.tick if tick is None else tick) - self.since[slot]
        x = self.x[slot] + self.vx[slot] * elapsed
        y = self.y[slot] + self.vy[slot] * elapsed
        width, height = self.width, self.height
        return (0 if x < 0 else width if x > width else x), (0 if y < 0 else height if y > height else y)

    # --- Changes, each as of the current tick -----------------------------------------------------

    def join(self, slot: int, name: str) -> None:
        """Puts a player into a free slot: at (0, 0), at rest, each stat at its initial value. Raises ValueError if the
        slot is taken."""
        if self.has(slot):
            raise ValueError(f"slot {slot} is taken")
        missing = slot + 1 - len(self.names)
        if missing > 0:
            self.names.extend([None] * missing)
            for column in self._columns():
                column.frombytes(bytes(column.itemsize * missing))
        for column in self._columns():
            column[slot] = 0
        self.names[slot] = name
        self.since[slot] = self.tick
        for column, value in zip(self.stats, self.stat_defaults, strict=True):
            column[slot] = value

    def leave(self, slot: int) -> None:
        """Frees a slot. Raises ValueError if it is free already."""
        if not self.has(slot):
            raise ValueError(f"slot {slot} is free")
        self.names[slot] = None
        for column in self._columns():
            column[slot] = 0
        # Free slots at the end are dropped, so that worlds with equal players have equal columns.
        while self.names and self.names[-1] is None:
            self.names.pop()
            for column in self._columns():
                column.pop()

    def move(self, slot: int, vx: int, vy: int) -> None:
        """Sets the velocity, in units per tick; the player goes on from their present position. Raises ValueError if
        the velocity is too high, TypeError if it is not of whole numbers."""
        if not (type(vx) is type(vy) is int):
            vx, vy = _whole(vx), _whole(vy)
        self._set_motion(slot, *self.position(slot), vx, vy)

    def place(self, slot: int, x: int, y: int, vx: int = 0, vy: int = 0) -> None:
        """Sets position and velocity. Raises ValueError if the position lies outside the zone or the velocity is too
        high, TypeError if a number is not whole."""
        if not (type(vx) is type(vy) is type(x) is type(y) is int):
            # Only an int is compared: any other number may compare as it likes.
            x, y, vx, vy = map(_whole, (x, y, vx, vy))
        if not (0 <= x <= self.width and 0 <= y <= self.height):
            raise ValueError(f"({x}, {y}) lies outside the zone")
        self._set_motion(slot, x, y, vx, vy)

    def _set_motion(self, slot: int, x: int, y: int, vx: int, vy: int) -> None:
        # Everything is checked before the first column changes: a motion that is half set would diverge all clients.
        if not (-VELOCITY_MAX <= vx <= VELOCITY_MAX and -VELOCITY_MAX <= vy <= VELOCITY_MAX):
            raise ValueError(f"velocity ({vx}, {vy}) exceeds {VELOCITY_MAX} units per tick")
        self.x[slot] = x
        self.y[slot] = y
        self.since[slot] = self.tick
        self.vx[slot] = vx
        self.vy[slot] = vy

    def motion(self, slot: int) -> tuple[int, ...]:
        """The motion of a player, for `restore_motion`."""
        return self.x[slot], self.y[slot], self.vx[slot], self.vy[slot], self.since[slot]

    def restore_motion(self, slot: int, motion: tuple[int, ...]) -> None:
        """Sets the motion of a player to what it was when `motion` was read."""
        self.x[slot], self.y[slot], self.vx[slot], self.vy[slot], self.since[slot] = motion

    def applied(self, slot: int, seq: int) -> None:
        """Notes `seq` as the sequence of the player's newest action that was applied; only its low byte is kept."""
        self.seq[slot] = seq & 0xFF

    def apply(self, frame: Tick) -> None:
        """Brings the world from tick t - 1 to the frame's tick t. Raises ValueError for the frame of any other tick."""
        if frame.tick != self.tick + 1:
            raise ValueError(f"the frame of tick {frame.tick} does not follow tick {self.tick}")
        self.tick = frame.tick
        for slot in frame.leaves:
            self.leave(slot)
        for slot, name in frame.joins:
            self.join(slot, name)
        acted = set()
        for slot, seq, *_ in frame.events:
            if slot is not None:
                self.applied(slot, seq)
                acted.add(slot)
        for slot, seq, vx, vy in zip(frame.movers, frame.seqs, frame.vx, frame.vy, strict=True):
            self.move(slot, vx, vy)
            # A player's motion and their last event may come from two actions; the newer one counts. Sequences of one
            # player within one tick are less than 128 apart.
            if slot not in acted or (seq - self.seq[slot]) & 0xFF < 128:
                self.applied(slot, seq)
        placed = iter(frame.placed)
        for slot, x, y, vx, vy in zip(placed, placed, placed, placed, placed, strict=True):
            self.place(slot, x, y, vx, vy)
        stats = iter(frame.stats)
        for slot, index, value in zip(stats, stats, stats, strict=True):
            self.stats[index][slot] = value

    # --- The whole state --------------------------------------------------------------------------

    def hash(self) -> int:
        """CRC-32 over the names and all columns but `seq`, in the order of a snapshot.

        It detects a replica that has diverged by mistake; it does not protect against forgery.
        """
        names = "\0".join(name or "" for name in self.names)
        crc = zlib.crc32(names.encode())
        for column in (self.x, self.y, self.vx, self.vy, self.since, *self.stats):
            crc = zlib.crc32(columns.pack_column(column.typecode, column), crc)
        return crc

    def snapshot(self) -> Snapshot:
        """The state as a message. It shares the columns of the world: encode it before the world changes."""
        return Snapshot(self.tick, self.names, self.x, self.y, self.vx, self.vy, self.since, self.seq, stats=self.stats)

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over the state of a snapshot. Raises ValueError if the snapshot has another number of stats."""
        if len(snapshot.stats) != len(self.stats):
            raise ValueError(f"a snapshot with {len(snapshot.stats)} stats, expected {len(self.stats)}")
        self.tick = snapshot.tick
        self.names = list(snapshot.names)
        self.x, self.y = snapshot.x, snapshot.y
        self.vx, self.vy = snapshot.vx, snapshot.vy
        self.since, self.seq = snapshot.since, snapshot.seq
        self.stats = list(snapshot.stats)

    def _columns(self) -> Iterator[array[int]]:
        yield from (self.x, self.y, self.vx, self.vy, self.since, self.seq)
        yield from self.stats


def _whole(number: object) -> int:
    try:
        return operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"positions and velocities are whole numbers, not {number!r:.40}") from None
