"""The frames of a run as this process knows them: the first copy of each, and who got another.

Every bot holds every frame it gets against the first copy that any bot of the process got: bytes
against bytes. A frame is decoded once, and applied once to one replica for the whole process. What is
deflated is inflated first, once for all who got the very same bytes.
"""

from __future__ import annotations

import functools
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from zoneclient.errors import DivergedError
from zoneclient.replica import Replica

from zoneserver.protocol import decoding, framing
from zoneserver.protocol.messages import Snapshot, Tick, Welcome
from zonetools.swarm.measure.tick_grid import TickGrid

__all__ = ["FrameChecker", "Record"]

# How many ticks a first copy is kept: as long as a bot may lag behind the first of them.
_KEPT_TICKS = 1_200
# How many are kept inflated: as far as bots of one process lie apart while all keep up.
_INFLATED_KEPT = 64


@dataclass(slots=True)
class Record:
    """The first copy of one frame."""

    wire: bytes
    """As it came, its length before it."""
    # A thousand frames of a thousand actions are kept: of numbers, which the collector of garbage passes over.
    motions: dict[int, int]
    """For each player who moved by an action: the low byte of its sequence."""
    events: dict[int, tuple[int, ...]]
    """For each player whose actions became events: the low bytes of theirs, in order."""
    actions: int
    """Actions that it delivers to each receiver."""
    tick_began: float | None
    """When its tick was due, in seconds of `time.monotonic()`; None where that is not known."""

    def holds(self, payload: bytes) -> bool:
        """Whether it is a copy of just this payload."""
        return len(self.wire) == framing.HEADER_BYTES + len(payload) and self.wire.endswith(payload)


class FrameChecker:
    """All frames of the run, and how well they agree."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.replica: Replica | None = None
        self.grid: TickGrid | None = None
        """When the ticks of the server are due, once that is known."""
        self.received = 0
        self.mismatched = 0
        self.gaps = 0
        self.hashes_checked = 0
        self.diverged = 0
        self.deliveries = 0
        """Actions delivered, times the bots they were delivered to."""
        self.new_digests: dict[int, int] = {}
        """CRC-32 of each first copy since this was last emptied: for comparison between processes."""
        self._clock = clock
        self._records: dict[int, Record] = {}
        self.inflated = functools.lru_cache(_INFLATED_KEPT)(decoding.inflate_message)
        """What a payload of DEFLATED holds. Raises ValueError."""
        self._snapshot_payload = b""
        self._snapshot: Snapshot

    def welcome(self, welcome: Welcome) -> None:
        """The first bot that is let in gives the process its replica."""
        if self.replica is None:
            self.replica = Replica(welcome)

    def repeated(self, tick: int, data: bytes) -> Record | None:
        """A bot that expects the frame of `tick` read this: its record, if it is another copy of it and no more."""
        record = self._records.get(tick)
        if record is None or record.wire != data:
            return None
        self.received += 1
        self.deliveries += record.actions
        return record

    def frame(self, tick: int, payload: bytes) -> tuple[int, Record]:
        """A bot that expects the frame of `tick` got this one; returns the tick it is of, and its record."""
        self.received += 1
        record = self._records.get(tick)
        if record is None or not record.holds(payload):
            tick, record = self._unexpected(tick, payload)
        self.deliveries += record.actions
        return tick, record

    def _unexpected(self, expected: int, payload: bytes) -> tuple[int, Record]:
        """The first copy of a frame, or one that is not what it should be."""
        frame = decoding.decode_server(payload)
        assert isinstance(frame, Tick)
        if frame.tick != expected:
            self.gaps += 1
        known = self._records.get(frame.tick)
        if known is not None:
            self.mismatched += not known.holds(payload)
            return frame.tick, known
        events: dict[int, tuple[int, ...]] = {}
        for slot, seq, *_ in frame.events:
            if slot is not None:
                events[slot] = (*events.get(slot, ()), seq)
        actions = len(frame.movers) + sum(map(len, events.values()))
        tick_began = None if self.grid is None else self.grid.began(self._clock())
        motions = dict(zip(frame.movers, frame.seqs, strict=True))
        record = Record(framing.frame(payload), motions, events, actions, tick_began)
        self._records[frame.tick] = record
        self._records.pop(frame.tick - _KEPT_TICKS, None)
        self.new_digests[frame.tick] = zlib.crc32(payload)
        self._apply(frame)
        return frame.tick, record

    def _apply(self, frame: Tick) -> None:
        replica = self.replica
        # The first copies come in order, but for those that all bots skipped: a snapshot follows then.
        if replica is None or frame.tick != replica.tick + 1:
            return
        self.hashes_checked += frame.hash is not None
        try:
            replica.apply(frame)
        except DivergedError:
            self.diverged += 1

    def snapshot(self, payload: bytes) -> Snapshot:
        """A bot got a snapshot; it must be what our own replica says of that tick."""
        if payload != self._snapshot_payload:
            decoded = decoding.decode_server(payload)
            assert isinstance(decoded, Snapshot)
            self._snapshot_payload, self._snapshot = payload, decoded
            self._compare(decoded)
        return self._snapshot

    def _compare(self, snapshot: Snapshot) -> None:
        replica = self.replica
        assert replica is not None, "a snapshot before the welcome"
        if snapshot.tick == replica.tick:
            ours = replica.world.hash()
            replica.restore(snapshot)
            self.hashes_checked += 1
            self.diverged += replica.world.hash() != ours
        elif snapshot.tick > replica.tick:
            replica.restore(snapshot)
