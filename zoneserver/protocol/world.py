"""The world: the state of a zone on which the server and all clients agree, tick by tick.

The server and every client hold a World and run this code on it, so that they agree by construction. A world holds
motion and stats by slot, one column per field, and the board. Motion is a function of time in whole numbers: the
position at tick t is clamp(p0 + v * (t - t0)). A player who keeps walking therefore costs nothing, and the cost of a
tick grows with the number of actions, not of players.

The module is pure: it uses no clock, no socket and no random source.
"""

from __future__ import annotations

import math
import operator
import zlib
from array import array
from collections.abc import Iterator

from zoneserver.protocol import columns
from zoneserver.protocol.messages import Snapshot, Tick
from zoneserver.protocol.zone_info import ZoneInfo
from zoneserver.support.known_names import KnownNames

__all__ = ["VELOCITY_MAX", "World"]

VELOCITY_MAX = 127
"""The fastest that anything moves along an axis, in steps of velocity."""


class World:
    """Holders, motion and stats by slot, and the board, at the end of tick `tick`.

    A slot is held by a player, by a thing, or by nobody. Positions run from 0 to the zone's width and height, both
    included.

    >>> from zoneserver.protocol.zone_info import player_kind
    >>> world = World(ZoneInfo(width=100, height=100, kinds=(player_kind(hp=100),)))
    >>> world.join(0, "ann")
    >>> world.place(0, 10, 10, 7, 0)
    >>> world.position(0, tick=3), world.position(0, tick=90)
    ((31, 10), (100, 10))
    """

    def __init__(self, info: ZoneInfo) -> None:
        self.info = info
        self.width = info.width
        self.height = info.height
        self.tick = 0
        common = math.gcd(info.speed_step, info.hz)
        self.step, self.step_ticks = info.speed_step // common, info.hz // common
        """One step of velocity moves by `step` units in `step_ticks` ticks."""
        self.stat_indexes = [
            KnownNames(f"{kind.name} has no stat", {name: index for index, (name, _) in enumerate(kind.stats)})
            for kind in info.kinds
        ]
        """The index of each stat by its name, for each kind."""
        stats_count = max(len(kind.stats) for kind in info.kinds)
        self._first_stats = [
            [first for _, first in kind.stats] + [0] * (stats_count - len(kind.stats)) for kind in info.kinds
        ]
        # How the hash names a thing of each kind. No player's name begins with a control character.
        self._hashed = [f"\x01{kind.name}" for kind in info.kinds]
        # All columns have one length: the highest slot in use + 1. A free slot holds None and zeros.
        self.holders: list[str | int | None] = []
        """What holds each slot: the name of a player, the kind of a thing (from 1), or None."""
        self.x = array("i")
        self.y = array("i")
        self.vx = array("b")
        self.vy = array("b")
        self.since = array("I")
        self.seq = array("B")
        self.stats = [array("i") for _ in range(stats_count)]
        """Column i is stat i of whatever holds the slot."""
        self.board: list[int | str] = [first for _, first in info.board]
        self.touched: set[int] | None = None
        """Slots whose holder or motion has changed, for a reader that puts a set here and empties it."""

    def slots(self) -> Iterator[int]:
        """The slots in use, in rising order."""
        return (slot for slot, holder in enumerate(self.holders) if holder is not None)

    def players(self) -> Iterator[int]:
        """The slots of players, in rising order."""
        return (slot for slot, holder in enumerate(self.holders) if type(holder) is str)

    def things(self) -> Iterator[int]:
        """The slots of things, in rising order."""
        return (slot for slot, holder in enumerate(self.holders) if type(holder) is int)

    def has(self, slot: int) -> bool:
        """Whether a player or a thing holds the slot."""
        return 0 <= slot < len(self.holders) and self.holders[slot] is not None

    def name(self, slot: int) -> str | None:
        """The name of the player in the slot; None for a thing and for a free slot."""
        holder = self.holders[slot] if 0 <= slot < len(self.holders) else None
        return holder if isinstance(holder, str) else None

    def kind(self, slot: int) -> int:
        """The kind of whatever holds the slot: 0 for a player. Raises LookupError for a free slot."""
        holder = self.holders[slot] if slot >= 0 else None
        if holder is None:
            raise LookupError(f"slot {slot} is free")
        return holder if isinstance(holder, int) else 0

    def position(self, slot: int, tick: int | None = None) -> tuple[int, int]:
        """The position at the end of `tick`, by default of the current tick."""
        steps = ((self.tick if tick is None else tick) - self.since[slot]) * self.step
        dx, dy = self.vx[slot] * steps, self.vy[slot] * steps
        if self.step_ticks != 1:
            # Rounded towards zero, as the division of whole numbers is in most languages.
            ticks = self.step_ticks
            dx = dx // ticks if dx >= 0 else -(-dx // ticks)
            dy = dy // ticks if dy >= 0 else -(-dy // ticks)
        x, y, width, height = self.x[slot] + dx, self.y[slot] + dy, self.width, self.height
        return (0 if x < 0 else width if x > width else x), (0 if y < 0 else height if y > height else y)

    def position_between(self, slot: int, tick: float) -> tuple[float, float]:
        """The position at a fraction of a tick, to draw it."""
        steps = (tick - self.since[slot]) * self.step / self.step_ticks
        x, y = self.x[slot] + self.vx[slot] * steps, self.y[slot] + self.vy[slot] * steps
        return min(max(x, 0.0), float(self.width)), min(max(y, 0.0), float(self.height))

    # --- Changes, each as of the current tick -----------------------------------------------------

    def join(self, slot: int, holder: str | int) -> None:
        """Puts a player, by name, or a thing, by kind, into a free slot: at (0, 0), at rest, with its first stats.

        Raises ValueError if the slot is taken, LookupError if there is no such kind.
        """
        if self.has(slot):
            raise ValueError(f"slot {slot} is taken")
        first_stats = self._first_stats[0 if isinstance(holder, str) else holder]
        missing = slot + 1 - len(self.holders)
        if missing > 0:
            self.holders.extend([None] * missing)
            for column in self._columns():
                column.frombytes(bytes(column.itemsize * missing))
        for column in self._columns():
            column[slot] = 0
        self.holders[slot] = holder
        self.since[slot] = self.tick
        for column, value in zip(self.stats, first_stats, strict=True):
            column[slot] = value
        if self.touched is not None:
            self.touched.add(slot)

    def leave(self, slot: int) -> None:
        """Frees a slot. Raises ValueError if it is free already."""
        if not self.has(slot):
            raise ValueError(f"slot {slot} is free")
        self.holders[slot] = None
        if self.touched is not None:
            self.touched.add(slot)
        for column in self._columns():
            column[slot] = 0
        # Free slots at the end are dropped, so that worlds with equal holders have equal columns.
        holders, end = self.holders, len(self.holders)
        while end and holders[end - 1] is None:
            end -= 1
        if end < len(holders):
            del holders[end:]
            for column in self._columns():
                del column[end:]

    def move(self, slot: int, vx: int, vy: int) -> None:
        """Sets the velocity, in steps; the motion goes on from the present position. Raises ValueError if the velocity
        is too high, TypeError if it is not of whole numbers."""
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
            raise ValueError(f"velocity ({vx}, {vy}) exceeds {VELOCITY_MAX} along an axis")
        self.x[slot] = x
        self.y[slot] = y
        self.since[slot] = self.tick
        self.vx[slot] = vx
        self.vy[slot] = vy
        if self.touched is not None:
            self.touched.add(slot)

    def motion(self, slot: int) -> tuple[int, int, int, int, int]:
        """The motion in a slot: x, y, vx, vy, since."""
        return self.x[slot], self.y[slot], self.vx[slot], self.vy[slot], self.since[slot]

    def restore_motion(self, slot: int, motion: tuple[int, ...]) -> None:
        """Sets the motion in a slot to what it was when `motion` was read."""
        self.x[slot], self.y[slot], self.vx[slot], self.vy[slot], self.since[slot] = motion
        if self.touched is not None:
            self.touched.add(slot)

    def applied(self, slot: int, seq: int) -> None:
        """Notes `seq` as the sequence of the player's newest action that was applied; only its low byte is kept."""
        self.seq[slot] = seq & 0xFF

    def apply(self, frame: Tick) -> None:
        """Brings the world from tick t - 1 to the frame's tick t.

        Raises ValueError for the frame of any other tick, ValueError or LookupError for one that does not fit.
        """
        if frame.tick != self.tick + 1:
            raise ValueError(f"the frame of tick {frame.tick} does not follow tick {self.tick}")
        self.tick = frame.tick
        for slot in frame.leaves:
            self.leave(slot)
        for slot, holder in frame.joins:
            self.join(slot, holder)
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
        for slot, vx, vy in zip(frame.steered, frame.steered_vx, frame.steered_vy, strict=True):
            self.move(slot, vx, vy)
        placed = iter(frame.placed)
        for slot, x, y, vx, vy in zip(placed, placed, placed, placed, placed, strict=True):
            self.place(slot, x, y, vx, vy)
        stats = iter(frame.stats)
        for slot, index, value in zip(stats, stats, stats, strict=True):
            self.stats[index][slot] = value
        for number, entry in zip(frame.board[::2], frame.board[1::2], strict=True):
            self.board[_whole(number)] = entry

    # --- The whole state --------------------------------------------------------------------------

    def hash(self) -> int:
        """CRC-32 over the holders, all columns but `seq` in the order of a snapshot, and the board.

        It detects a replica that has diverged by mistake; it does not protect against forgery.
        """
        hashed = self._hashed
        names = [
            holder if type(holder) is str else "" if holder is None else hashed[holder]  # type: ignore[index]
            for holder in self.holders
        ]
        crc = zlib.crc32("\0".join(names).encode())
        for column in (self.x, self.y, self.vx, self.vy, self.since, *self.stats):
            crc = zlib.crc32(columns.pack_column(column.typecode, column), crc)
        return zlib.crc32("".join([f"\0{value}" for value in self.board]).encode(), crc)

    def snapshot(self) -> Snapshot:
        """The state as a message. It shares the columns of the world: encode it before the world changes."""
        motion = self.x, self.y, self.vx, self.vy, self.since, self.seq
        return Snapshot(self.tick, self.holders, *motion, stats=self.stats, board=self.board)

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over the state of a snapshot. Raises ValueError if it does not fit the facts about this zone."""
        if len(snapshot.stats) != len(self.stats) or len(snapshot.board) != len(self.info.board):
            counts = f"{len(snapshot.stats)} stats and {len(snapshot.board)} entries of the board"
            raise ValueError(f"a snapshot with {counts}, expected {len(self.stats)} and {len(self.info.board)}")
        if any(isinstance(holder, int) and holder >= len(self._hashed) for holder in snapshot.holders):
            raise ValueError("a snapshot with a kind that WELCOME did not name")
        self.tick = snapshot.tick
        self.holders = list(snapshot.holders)
        self.x, self.y = snapshot.x, snapshot.y
        self.vx, self.vy = snapshot.vx, snapshot.vy
        self.since, self.seq = snapshot.since, snapshot.seq
        self.stats = list(snapshot.stats)
        self.board = list(snapshot.board)

    def _columns(self) -> Iterator[array[int]]:
        yield from (self.x, self.y, self.vx, self.vy, self.since, self.seq)
        yield from self.stats


def _whole(number: object) -> int:
    try:
        return operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"positions and velocities are whole numbers, not {number!r:.40}") from None
