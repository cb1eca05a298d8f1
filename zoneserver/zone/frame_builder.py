"""Builds the frame of a tick: everything that changed, as the payload of one TICK message."""

from __future__ import annotations

from array import array
from typing import Any

from zoneserver.protocol import messages
from zoneserver.protocol.values import encode_event
from zoneserver.protocol.world import World

__all__ = ["FrameBuilder"]

# The bound on the packed events of one tick. A client accepts larger frames, and a crowd cannot be sent so much.
_EVENT_BYTES_MAX = 1024 * 1024
# The bound on the packed messages to one player within one tick: about four of the largest messages.
_TOLD_BYTES_MAX = 256 * 1024


class FrameBuilder:
    """Collects what happens within one tick and encodes it, exactly once.

    For motion, stats and the board, only what changed is noted. The values are read from the world when the tick ends,
    so a player has one record no matter how often it changed.
    """

    def __init__(self) -> None:
        self.undo: list[tuple[Any, ...]] | None = None
        """While an action runs, one (function, argument, ...) for each change: calling it takes the change back."""
        self.clear()

    def clear(self) -> None:
        """Forgets all that was noted."""
        # The low byte of the newest action that moved each slot.
        self.moved: dict[int, int] = {}
        # Slots to which the rules gave another velocity.
        self.steered: set[int] = set()
        # Slots that the rules put elsewhere.
        self.placed: set[int] = set()
        # The new holder of each slot that was taken.
        self.joins: dict[int, str | int] = {}
        self.leaves: list[int] = []
        # (code, text) for each slot whose player the rules throw out. No frame tells it; the zone ends them.
        self.kicked: dict[int, tuple[str, str]] = {}
        # For each slot, the stats that changed: bit i stands for stat i.
        self.stats: dict[int, int] = {}
        # The indexes of the entries of the board that changed.
        self.board: dict[int, None] = {}
        self.events: list[bytes] = []
        # The size of all events.
        self.event_bytes = 0
        # What the game tells one player alone: (ref, payload), and the size by ref.
        self.told: list[tuple[int, bytes]] = []
        self.told_bytes: dict[int, int] = {}

    # --- Events and private messages --------------------------------------------------------------

    def event(self, *event: Any) -> None:
        """Adds (slot, seq, kind, value, ...). An event that no client would accept raises here, and is not added."""
        self.insert_event(len(self.events), *event)

    def insert_event(self, index: int, *event: Any) -> None:
        """Inserts an event at `index`: an action comes before the events that its rule emitted."""
        encoded = encode_event(*event)
        if self.event_bytes + len(encoded) > _EVENT_BYTES_MAX:
            raise OverflowError(f"the events of one tick have at most {_EVENT_BYTES_MAX:,} bytes")
        self.events.insert(index, encoded)
        self.event_bytes += len(encoded)

    def tell(self, ref: int, payload: bytes) -> None:
        """Adds a message for one player alone. Raises OverflowError when the player has been told too much already."""
        told_bytes = self.told_bytes.get(ref, 0) + len(payload)
        if told_bytes > _TOLD_BYTES_MAX:
            raise OverflowError(f"one player can be told at most {_TOLD_BYTES_MAX:,} bytes within one tick")
        self.told.append((ref, payload))
        self.told_bytes[ref] = told_bytes
        if self.undo is not None:
            self.undo.append((self._untell,))

    def _untell(self) -> None:
        ref, payload = self.told.pop()
        self.told_bytes[ref] -= len(payload)

    # --- Slots ------------------------------------------------------------------------------------

    def joined(self, slot: int, holder: str | int) -> None:
        """Notes that a player or a thing took a free slot."""
        self.joins[slot] = holder

    def left(self, slot: int) -> None:
        """Notes that a slot became free. Earlier notes about it are dropped, since a receiver applies leaves first."""
        if self.joins.pop(slot, None) is None:
            self.leaves.append(slot)
        self._drop(slot)

    def _drop(self, slot: int) -> None:
        self.kicked.pop(slot, None)
        self.moved.pop(slot, None)
        self.steered.discard(slot)
        self.placed.discard(slot)
        self.stats.pop(slot, None)

    # --- Undo -------------------------------------------------------------------------------------

    def take_back(self, events: int) -> None:
        """Takes back everything that the running action has changed, including all events after the first `events`."""
        assert self.undo is not None, "no action runs"
        while self.undo:
            function, *arguments = self.undo.pop()
            function(*arguments)
        self.event_bytes -= sum(map(len, self.events[events:]))
        del self.events[events:]

    def notes(self, slot: int) -> tuple[Any, ...]:
        """The notes about the motion of a slot, for `restore_notes`."""
        return self.moved.get(slot), slot in self.steered, slot in self.placed

    def restore_notes(self, slot: int, moved: int | None, is_steered: bool, is_placed: bool) -> None:
        """Sets the notes about the motion of a slot as they were before."""
        self.moved.pop(slot, None)
        if moved is not None:
            self.moved[slot] = moved
        if not is_steered:
            self.steered.discard(slot)
        if not is_placed:
            self.placed.discard(slot)

    def restore_stats(self, slot: int, stats: int) -> None:
        """Sets which stats of a slot are noted, as it was before."""
        if stats:
            self.stats[slot] = stats
        else:
            self.stats.pop(slot, None)

    def slot_notes(self, slot: int) -> tuple[Any, ...]:
        """All that is noted about a slot, for `restore_slot`."""
        return self.joins.get(slot), self.stats.get(slot, 0), self.notes(slot)

    def restore_slot(self, slot: int, notes: tuple[Any, ...]) -> None:
        """Takes back `left`: restores all notes about the slot."""
        joined, stats, (moved, is_steered, is_placed) = notes
        if joined is None:
            # The undo runs in reverse.
            left = self.leaves.pop()
            assert left == slot, f"slot {left} left after slot {slot}"
        else:
            self.joins[slot] = joined
        self.restore_stats(slot, stats)
        if moved is not None:
            self.moved[slot] = moved
        if is_steered:
            self.steered.add(slot)
        if is_placed:
            self.placed.add(slot)

    # --- The frame --------------------------------------------------------------------------------

    @property
    def records(self) -> int:
        """The number of changes so far that the frame will contain."""
        motions = len(self.moved) + len(self.placed) + len(self._told_as_steered())
        slots = len(self.joins) + len(self.leaves)
        stats = sum(changed.bit_count() for changed in self.stats.values())
        return motions + slots + stats + len(self.board) + len(self.events)

    def _told_as_steered(self) -> set[int]:
        # The motion of a slot in `placed` or in `moved` is told there already.
        return self.steered - self.placed - self.moved.keys()

    def encode(self, world: World, dilation_percent: int, state_hash: int | None) -> bytes:
        """The frame of the world's current tick. The builder is empty afterwards.

        Records are in the order of slots: what an action noted and took back then leaves no trace in the bytes.
        """
        moved, placed = self.moved, self.placed
        movers = sorted(moved)
        steered = sorted(self._told_as_steered())
        places: list[int] = []
        for slot in sorted(placed):
            places += (slot, world.x[slot], world.y[slot], world.vx[slot], world.vy[slot])
        stats: list[int] = []
        for slot, changed in sorted(self.stats.items()):
            for index in range(changed.bit_length()):
                if changed >> index & 1:
                    stats += (slot, index, world.stats[index][slot])
        board: list[int | str] = []
        for index in sorted(self.board):
            board += (index, world.board[index])
        tick = messages.Tick(
            world.tick,
            dilation_percent,
            state_hash,
            self.leaves,
            sorted(self.joins.items()),
            movers,
            bytes(map(moved.__getitem__, movers)),
            *_velocities(world, movers),
            steered,
            *_velocities(world, steered),
            places,
            stats,
            board,
        )
        payload = tick.encode(self.events)
        self.clear()
        return payload


def _velocities(world: World, slots: list[int]) -> tuple[array[int], array[int]]:
    return array("b", map(world.vx.__getitem__, slots)), array("b", map(world.vy.__getitem__, slots))
