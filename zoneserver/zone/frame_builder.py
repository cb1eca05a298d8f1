"""Builds the frame of a tick: everything that changed, as the payload of one TICK message."""

from __future__ import annotations

from array import array
from typing import Any

from zoneserver.protocol import messages
from zoneserver.protocol.world import World

__all__ = ["FrameBuilder"]

# The events of one tick, packed: far below what a client accepts as one frame, and far above what a crowd can be sent.
_EVENT_BYTES_MAX = 1024 * 1024


class FrameBuilder:
    """Collects what happens within one tick and encodes it, exactly once.

    For motion and stats, only the slots are noted. The values are read from the world when the tick ends, so a
    player has one record no matter how often it changed.
    """

    def __init__(self) -> None:
        self.undo: list[tuple[Any, ...]] | None = None
        """While an action runs: how to take back what it has changed, as (function, argument, ...) of each change."""
        self._clear()

    def _clear(self) -> None:
        # The low byte of the newest action that moved each slot.
        self.moved: dict[int, int] = {}
        # Slots that the rules moved, rather than an action of the player's own.
        self.placed: set[int] = set()
        self.joins: list[tuple[int, str]] = []
        self.leaves: list[int] = []
        # (code, text) for each slot whose player the rules throw out. No frame tells it; the zone ends them.
        self.kicked: dict[int, tuple[str, str]] = {}
        # (slot, index of the stat) of each changed stat; a dict as an ordered set.
        self.stats: dict[tuple[int, int], None] = {}
        self.events: list[bytes] = []
        # The size of all events.
        self.event_bytes = 0

    def event(self, *event: Any) -> None:
        """Adds (slot, seq, kind, value, ...). An event that no client would accept raises here, and is not added."""
        self.insert_event(len(self.events), *event)

    def insert_event(self, index: int, *event: Any) -> None:
        """Inserts an event at `index`: an action comes before the events that its rule emitted."""
        encoded = messages.encode_event(*event)
        if self.event_bytes + len(encoded) > _EVENT_BYTES_MAX:
            raise OverflowError(f"the events of one tick have at most {_EVENT_BYTES_MAX:,} bytes")
        self.events.insert(index, encoded)
        self.event_bytes += len(encoded)

    def take_back(self, events: int) -> None:
        """Takes back what the action that runs has changed: all of it, events beyond the first `events` included."""
        assert self.undo is not None, "no action runs"
        while self.undo:
            function, *arguments = self.undo.pop()
            function(*arguments)
        self.event_bytes -= sum(map(len, self.events[events:]))
        del self.events[events:]

    def restore_notes(self, slot: int, moved: int | None, is_placed: bool) -> None:
        """Sets what is noted about the motion of a slot, as it was before."""
        self.moved.pop(slot, None)
        if moved is not None:
            self.moved[slot] = moved
        if not is_placed:
            self.placed.discard(slot)

    def joined(self, slot: int, name: str) -> None:
        """Notes a join."""
        self.joins.append((slot, name))

    def left(self, slot: int) -> None:
        """Notes a leave. A receiver applies leaves first, so earlier notes about the slot are dropped."""
        self.leaves.append(slot)
        self._drop(slot)

    def withdraw_join(self, slot: int) -> None:
        """Drops the newest join, which was to this slot, and the notes about it: the player was turned away."""
        joined, _ = self.joins.pop()
        assert joined == slot, f"the newest join is to slot {joined}, not {slot}"
        self._drop(slot)

    def _drop(self, slot: int) -> None:
        self.kicked.pop(slot, None)
        self.moved.pop(slot, None)
        self.placed.discard(slot)
        for key in [key for key in self.stats if key[0] == slot]:
            del self.stats[key]

    @property
    def records(self) -> int:
        """How many changes were noted so far, all of which each receiver will be told."""
        return (
            len(self.moved) + len(self.placed) + len(self.joins) + len(self.leaves) + len(self.stats) + len(self.events)
        )

    def encode(self, world: World, dilation_percent: int, state_hash: int | None) -> bytes:
        """The frame of the world's current tick. The builder is empty afterwards."""
        moved = self.moved
        movers = sorted(moved)
        placed: list[int] = []
        for slot in sorted(self.placed):
            placed += (slot, world.x[slot], world.y[slot], world.vx[slot], world.vy[slot])
        stats: list[int] = []
        for slot, index in self.stats:
            stats += (slot, index, world.stats[index][slot])
        tick = messages.Tick(
            world.tick,
            dilation_percent,
            state_hash,
            movers,
            bytes(map(moved.__getitem__, movers)),
            array("b", map(world.vx.__getitem__, movers)),
            array("b", map(world.vy.__getitem__, movers)),
            placed,
            self.joins,
            self.leaves,
            stats,
            (),
        )
        payload = tick.encode(self.events)
        self._clear()
        return payload
