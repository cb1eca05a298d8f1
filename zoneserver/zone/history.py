"""The recent frames and, on demand, the state: for those who missed some."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

from zoneserver.protocol import messages
from zoneserver.protocol.compression import deflate
from zoneserver.protocol.framing import HEADER_BYTES, frame

__all__ = ["Buffer", "History"]

# Deflating less than this saves next to nothing, and takes as long as saving something.
_DEFLATE_BYTES_MIN = 64


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
