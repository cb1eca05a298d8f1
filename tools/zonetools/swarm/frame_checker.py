"""Compares every frame that the bots of one process receive with the first copy of that frame.

The comparison is of bytes. Each frame is decoded once, and applied once to one replica, for all bots of the
process. A deflated payload is inflated once for all bots that received equal bytes. The first copy is kept in each form
in which a bot received it, complete on the wire, so that a bot compares what it reads without taking it apart.
"""

from __future__ import annotations

import dataclasses
import functools
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from zoneclient.errors import DivergedError
from zoneclient.replica import Replica
from zoneclient.update import Event

from zoneserver.protocol import decoding
from zoneserver.protocol.framing import LENGTH_PREFIX
from zoneserver.protocol.messages import Snapshot, Tick, Welcome
from zoneserver.protocol.websocket import WEBSOCKET
from zonetools.swarm.measure.tick_grid import TickGrid

# How many ticks a first copy is kept: a bot may lag this far behind the bot that received it first.
_RECORDS_KEPT = 1_200
# How many ticks the events of a first copy are kept, if a bot wants them: as many as the server keeps frames.
_EVENTS_KEPT = 256
# How many inflated payloads are kept: bots that keep up are no further apart.
_INFLATED_KEPT = 64


# The framing of each form: see `form_of`.
_FORMS = (LENGTH_PREFIX, WEBSOCKET) * 2


def form_of(*, is_web: bool, is_deflated: bool) -> int:
    """Return the number of the form in which a bot gets frames: the bots of one form get equal bytes."""
    return is_web + 2 * is_deflated


@dataclass(slots=True)
class FrameRecord:
    """The first copy of one frame."""

    payload: bytes
    forms: list[bytes]
    """The frame as it is on the wire, by the number of the form; empty while no bot has received it in this form."""
    # More than a thousand records of up to a thousand actions are kept. They hold only numbers, so that the garbage
    # collector does not track them.
    motions: dict[int, int]
    """By slot of each player that moved by an action: the low byte of the action's sequence."""
    events: dict[int, tuple[int, ...]]
    """By slot of each player whose actions became events: the low bytes of the sequences, in order."""
    actions: int
    """How many actions the frame delivers to each receiver."""
    tick_began: float | None
    """When its tick was due, in seconds of `time.monotonic()`; None if that is not known."""
    heard: tuple[Event, ...]
    """What happened, for bots that want to know. It is kept only if there are any, and only for some time."""


class FrameChecker:
    """All frames that the bots of a process received, and how many of them were wrong."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.replica: Replica | None = None
        self.grid: TickGrid | None = None
        """When the ticks of the server are due; None while that is not known."""
        self.received = 0
        self.mismatched = 0
        self.gaps = 0
        self.hashes_checked = 0
        self.diverged = 0
        self.deliveries = 0
        """Delivered actions, each counted once per bot that received it."""
        self.wants_events = False
        """Whether a bot of this process wants to know the events: they are then kept for all bots."""
        self.new_digests: dict[int, int] = {}
        """The CRC-32 of each new first copy, by tick, to compare processes. The worker takes and empties it."""
        self.inflate = functools.lru_cache(_INFLATED_KEPT)(decoding.inflate_message)
        """Return the message inside the payload of a DEFLATED. Raises ValueError."""
        self.records: dict[int, FrameRecord] = {}
        """The first copies, by tick."""
        self._clock = clock
        self._snapshot_payload = b""
        self._snapshot: Snapshot

    def on_welcome(self, welcome: Welcome) -> Replica:
        """Return the replica of the process; create it when the first bot has joined."""
        if self.replica is None:
            self.replica = Replica(welcome)
        return self.replica

    def check_frame(self, tick: int, payload: bytes, form: int = 0, sent: bytes = b"") -> tuple[int, FrameRecord]:
        """Check a frame for a bot that expects the frame of `tick`; return the tick it is of, and its record.

        `form` is the form of the frame, and `sent` the payload in which it came if that was deflated.
        """
        self.received += 1
        record = self.records.get(tick)
        if record is None or record.payload != payload:
            tick, record = self._check_unknown(tick, payload)
        if not record.forms[form] and record.payload == payload:
            record.forms[form] = _FORMS[form].wrap(sent or payload)
        self.deliveries += record.actions
        return tick, record

    def _check_unknown(self, expected: int, payload: bytes) -> tuple[int, FrameRecord]:
        """Check the first copy of a frame, or a frame that is not the expected one."""
        frame = decoding.decode_server(payload)
        assert isinstance(frame, Tick)
        if frame.tick != expected:
            self.gaps += 1
        known = self.records.get(frame.tick)
        if known is not None:
            self.mismatched += known.payload != payload
            return frame.tick, known
        events: dict[int, tuple[int, ...]] = {}
        for slot, seq, *_ in frame.events:
            if slot is not None:
                events[slot] = (*events.get(slot, ()), seq)
        actions = len(frame.movers) + sum(map(len, events.values()))
        tick_began = None if self.grid is None else self.grid.began(self._clock())
        motions = dict(zip(frame.movers, frame.seqs, strict=True))
        record = FrameRecord(payload, [b""] * len(_FORMS), motions, events, actions, tick_began, ())
        self.records[frame.tick] = record
        self.records.pop(frame.tick - _RECORDS_KEPT, None)
        self.new_digests[frame.tick] = zlib.crc32(payload)
        # The first copies come in order, except after frames that no bot received: then a snapshot follows.
        if self.replica is not None and frame.tick == self.replica.tick + 1:
            self.hashes_checked += frame.hash is not None
            try:
                self.replica.apply(frame)
            except DivergedError:
                self.diverged += 1
        if self.wants_events:
            record.heard = self._heard(frame)
            if (old := self.records.get(frame.tick - _EVENTS_KEPT)) is not None:
                old.heard = ()
        return frame.tick, record

    def _heard(self, frame: Tick) -> tuple[Event, ...]:
        assert self.replica is not None, "a frame came before the WELCOME"
        name = self.replica.name
        return tuple(
            Event(slot, None if slot is None else name(slot), kind, tuple(values))
            for slot, _seq, kind, *values in frame.events
        )

    def check_snapshot(self, payload: bytes) -> Snapshot:
        """Compare a snapshot with the replica if both are of one tick; return the snapshot."""
        if payload != self._snapshot_payload:
            decoded = decoding.decode_server(payload)
            assert isinstance(decoded, Snapshot)
            # The replica takes the columns over, and later frames change them: other bots get this snapshot later.
            self._snapshot_payload, self._snapshot = payload, dataclasses.replace(decoded, seq=decoded.seq[:])
            replica = self.replica
            assert replica is not None, "a snapshot came before the WELCOME"
            if decoded.tick == replica.tick:
                expected = replica.world.hash()
                replica.restore(decoded)
                self.hashes_checked += 1
                self.diverged += replica.world.hash() != expected
            elif decoded.tick > replica.tick:
                replica.restore(decoded)
        return self._snapshot
