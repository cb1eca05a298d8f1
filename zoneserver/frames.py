"""Frames: what a tick changed, as one buffer, and the recent buffers for those who missed some.

A frame here is complete on the wire, its length included: the very bytes that every session sends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from zoneserver.wire import messages
from zoneserver.wire.columns import pack_column
from zoneserver.wire.deflate import deflate
from zoneserver.wire.framing import HEADER_BYTES, frame
from zoneserver.world import World

__all__ = ["Buffer", "FrameBuilder", "History"]

# Deflating less than this saves next to nothing, and takes as long as saving something.
_DEFLATE_BYTES_MIN = 64


class FrameBuilder:
    """Collects what happens within one tick and encodes it, exactly once.

    Motion and stats are noted by who changed, not by value: the value is read from the world when
    the tick ends, so that there is one record per player however often it changed.
    """

    def __init__(self) -> None:
        self.encodes_total = 0
        self._clear()

    def _clear(self) -> None:
        # The low byte of the newest action that moved each slot.
        self.moved: dict[int, int] = {}
        # Slots that the rules moved, rather than an action of the player's own.
        self.placed: set[int] = set()
        self.joins: list[tuple[int, str]] = []
        self.leaves: list[int] = []
        # (slot, index of the stat) of what changed, in order; a dict as an ordered set.
        self.stats: dict[tuple[int, int], None] = {}
        self.events: list[bytes] = []
        # The size of all of them.
        self.event_bytes = 0

    def event(self, *event: Any) -> None:
        """Adds (slot, seq, kind, value, ...). What cannot be packed raises here, and is not added."""
        self.insert_event(len(self.events), *event)

    def insert_event(self, index: int, *event: Any) -> None:
        """The same, ahead of the events from `index` on: an action comes before what follows from it."""
        encoded = messages.encode_event(event)
        self.events.insert(index, encoded)
        self.event_bytes += len(encoded)

    def joined(self, slot: int, name: str) -> None:
        """Notes a join."""
        self.joins.append((slot, name))

    def left(self, slot: int) -> None:
        """Notes a leave, which comes before everything else in a tick: what was noted of the slot goes."""
        self.leaves.append(slot)
        self.moved.pop(slot, None)
        self.placed.discard(slot)
        for key in [key for key in self.stats if key[0] == slot]:
            del self.stats[key]

    @property
    def records(self) -> int:
        """How many things happened so far: what each receiver is about to be told."""
        return (
            len(self.moved) + len(self.placed) + len(self.joins) + len(self.leaves) + len(self.stats) + len(self.events)
        )

    def encode(self, world: World, dilation_percent: int, state_hash: int | None) -> bytes:
        """The frame of the world's current tick; the builder is then empty again."""
        moved = self.moved
        movers = sorted(moved)
        placed: list[int] = []
        for slot in sorted(self.placed):
            placed += (slot, world.x[slot], world.y[slot], world.vx[slot], world.vy[slot])
        stats: list[int] = []
        for slot, index in self.stats:
            stats += (slot, index, world.stats[index][slot])
        payload = messages.encode_tick(
            world.tick,
            dilation_percent,
            state_hash,
            movers,
            bytes(map(moved.__getitem__, movers)),
            pack_column("b", map(world.vx.__getitem__, movers)),
            pack_column("b", map(world.vy.__getitem__, movers)),
            placed,
            self.joins,
            self.leaves,
            stats,
            self.events,
        )
        self.encodes_total += 1
        self._clear()
        return frame(payload)


class Buffer:
    """One message, complete on the wire: as it is, and deflated once somebody is to be sent it so.

    >>> buffer = Buffer(frame(messages.Refusal(7, 1, "SAY_LESS", "blah " * 200).encode()))
    >>> buffer.deflated is None, len(buffer.plain), len(buffer.deflate()) < 100, buffer.deflate() is buffer.deflated
    (True, 1020, True, True)
    """

    __slots__ = ("deflated", "plain")

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self.deflated: bytes | None = None
        """None until it is made; then it is `plain` itself where deflating makes it no shorter."""

    def deflate(self) -> bytes:
        """The deflated form, which is made at most once."""
        if self.deflated is None:
            self.deflated = self.plain
            payload = self.plain[HEADER_BYTES:]
            if len(payload) >= _DEFLATE_BYTES_MIN:
                deflated = frame(messages.Deflated(deflate(payload, messages.seams_of(payload))).encode())
                self.deflated = min(self.plain, deflated, key=len)
        return self.deflated


class History:
    """The recent frames and, on demand, the state: the one answer to "I have tick T".

    >>> history = History(ticks=2, snapshot=lambda: b"snapshot")
    >>> for tick in (1, 2, 3): history.append(tick, b"frame%d" % tick)
    >>> [[buffer.plain for buffer in history.since(tick)] for tick in (2, 0, None)]
    [[b'frame3'], [b'snapshot'], [b'snapshot']]
    """

    def __init__(self, ticks: int, snapshot: Callable[[], bytes]) -> None:
        self.tick = 0
        self.snapshots_total = 0
        self._frames: deque[Buffer] = deque(maxlen=ticks)
        self._make_snapshot = snapshot
        self._snapshot_tick = -1
        self._snapshot = Buffer(b"")

    def append(self, tick: int, data: bytes) -> None:
        """Adds the frame of the tick that follows."""
        self.tick = tick
        self._frames.append(Buffer(data))

    @property
    def newest(self) -> Buffer:
        """The frame of the last tick; there must have been one."""
        return self._frames[-1]

    def since(self, tick: int | None) -> list[Buffer]:
        """What brings somebody who has `tick` up to date: nothing, the frames since, or a snapshot.

        Frames and snapshot are compared in bytes, as they are, and the shorter is taken. None means: has
        nothing. The last of what is missed is always of the last tick.
        """
        missed = self.tick - tick if tick is not None else None
        if missed == 0:
            return []
        snapshot = self.snapshot()
        if missed is None or not 0 < missed <= len(self._frames):
            return [snapshot]
        frames = list(islice(self._frames, len(self._frames) - missed, None))
        return frames if sum(len(buffer.plain) for buffer in frames) <= len(snapshot.plain) else [snapshot]

    def snapshot(self) -> Buffer:
        """The state after the last tick, encoded at most once per tick and shared by all who ask."""
        if self._snapshot_tick != self.tick:
            self._snapshot = Buffer(self._make_snapshot())
            self._snapshot_tick = self.tick
            self.snapshots_total += 1
        return self._snapshot
