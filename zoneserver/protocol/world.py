"""The world: what everybody in a zone agrees on, tick by tick.

The server and every client hold one and run this same code on it, so that they agree by
construction: names, motion and stats by slot, one column per field. Motion is a function of time,
in whole numbers: the position at tick t is clamp(p0 + v * (t - t0)). Nothing therefore happens to
those who merely keep walking, and a tick costs as many steps as there were actions.

Pure: no clock, no socket, no random source.
"""

from __future__ import annotations

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

    `width` and `height` are in the game's own units; positions run from 0 to them, both included.
    `stats` gives the name and first value of each number that everybody may see of a player.

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
        # Columns, all of one length: the highest slot in use + 1. A free slot holds None and zeros.
        self.names: list[str | None] = []
        self.x = array("i")
        self.y = array("i")
        self.vx = array("b")
        self.vy = array("b")
        self.since = array("I")
        self.seq = array("B")
        self.stats = [array("i") for _ in stats]

    def slots(self) -> Iterator[int]:
        """The slots in use, rising."""
        return (slot for slot, name in enumerate(self.names) if name is not None)

    def has(self, slot: int) -> bool:
        """Whether somebody holds the slot."""
        return 0 <= slot < len(self.names) and self.names[slot] is not None

    def position(self, slot: int, tick: int | None = None) -> tuple[int, int]:
        """Where the player is at the end of a tick, by default the current one."""
        elapsed = (self.tick if tick is None else tick) - self.since[slot]
        x = self.x[slot] + self.vx[slot] * elapsed
        y = self.y[slot] + self.vy[slot] * elapsed
        width, height = self.width, self.height
        return (0 if x < 0 else width if x > width else x), (0 if y < 0 else height if y > height else y)

    # --- The changes, each as of the current tick -------------------------------------------------

    def join(self, slot: int, name: str) -> None:
        """Puts a player into a free slot: at (0, 0), at rest, with each stat at its first value."""
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
        """Frees a slot."""
        if not self.has(slot):
            raise ValueError(f"nobody holds slot {slot}")
        self.names[slot] = None
        for column in self._columns():
            column[slot] = 0
        # Free slots at the end are given up, so that all who agree on the players agree on the columns.
        while self.names and self.names[-1] is None:
            self.names.pop()
            for column in self._columns():
                column.pop()

    def move(self, slot: int, vx: int, vy: int) -> None:
        """Changes the velocity, in units per tick, from where the player is now. Raises ValueError."""
        if not (-VELOCITY_MAX <= vx <= VELOCITY_MAX and -VELOCITY_MAX <= vy <= VELOCITY_MAX):
            raise ValueError(f"velocity ({vx}, {vy}) exceeds {VELOCITY_MAX} units per tick")
        self.x[slot], self.y[slot] = self.position(slot)
        self.since[slot] = self.tick
        self.vx[slot] = vx
        self.vy[slot] = vy

    def place(self, slot: int, x: int, y: int, vx: int = 0, vy: int = 0) -> None:
        """Puts the player somewhere within the zone, moving so. Raises ValueError."""
        if not (0 <= x <= self.width and 0 <= y <= self.height):
            raise ValueError(f"({x}, {y}) lies outside the zone")
        if not (-VELOCITY_MAX <= vx <= VELOCITY_MAX and -VELOCITY_MAX <= vy <= VELOCITY_MAX):
            raise ValueError(f"velocity ({vx}, {vy}) exceeds {VELOCITY_MAX} units per tick")
        self.x[slot] = x
        self.y[slot] = y
        self.since[slot] = self.tick
        self.vx[slot] = vx
        self.vy[slot] = vy

    def applied(self, slot: int, seq: int) -> None:
        """Notes the low byte of the newest action of the player that happened."""
        self.seq[slot] = seq & 0xFF

    def apply(self, frame: Tick) -> None:
        """Brings the world from tick t - 1 to the frame's tick t. Raises ValueError for any other."""
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
            # Of a motion and the last event of one player, the newer counts. Within one tick they are
            # less than 128 apart.
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
        """CRC-32 over the columns, little-endian, in the order of a snapshot without `seq`.

        It finds a replica that went wrong; it is no defence against somebody who lies.
        """
        names = "\0".join(name or "" for name in self.names)
        crc = zlib.crc32(names.encode())
        for typecode, column in zip("iibbI", (self.x, self.y, self.vx, self.vy, self.since), strict=True):
            crc = zlib.crc32(columns.pack_column(typecode, column), crc)
        for column in self.stats:
            crc = zlib.crc32(columns.pack_column("i", column), crc)
        return crc

    def snapshot(self) -> Snapshot:
        """The state as a message. It shares the columns: encode it before anything changes."""
        return Snapshot(self.tick, self.names, self.x, self.y, self.vx, self.vy, self.since, self.seq, stats=self.stats)

    def restore(self, snapshot: Snapshot) -> None:
        """Becomes the state in a snapshot. Raises ValueError when its stats are not this world's."""
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
