"""Frames: what a tick changed, as one buffer, and the recent buffers for those who missed some.

A frame here is complete on the wire, its length included: the very bytes that every session sends.
"""

from __future__ import annotations

from typing import Any

from zoneserver.protocol import messages
from zoneserver.protocol.columns import pack_column
from zoneserver.protocol.framing import frame
from zoneserver.protocol.world import World

__all__ = ["FrameBuilder"]


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
