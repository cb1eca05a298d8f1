"""The history of a zone: recent frames and, on demand, a snapshot. It answers every receiver's "I have tick T"."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

from zoneserver.protocol import messages
from zoneserver.protocol.compression import deflate, seams_of
from zoneserver.protocol.framing import Framing

__all__ = ["Form", "History", "Message"]

# Deflating a shorter payload saves almost nothing.
_DEFLATE_BYTES_MIN = 64
# The bytes of all frames that are kept. A receiver who missed more of them is better served by a snapshot.
_FRAME_BYTES_MAX = 16 * 1024 * 1024


class Form(NamedTuple):
    """The form of messages on the wire. Receivers with equal forms share the bytes."""

    framing: Framing
    deflated: bool = False


class Message:
    """One payload and its forms on the wire. Each form is made once, when the first receiver needs it.

    >>> from zoneserver.protocol.framing import LENGTH_PREFIX
    >>> message = Message(messages.Refusal(7, 1, "SAY_LESS", "blah " * 200).encode())
    >>> small = Form(LENGTH_PREFIX, deflated=True)
    >>> message.has(small), len(message.form(Form(LENGTH_PREFIX))), len(message.form(small)) < 100, message.has(small)
    (False, 1020, True, True)
    """

    __slots__ = ("_deflated", "_forms", "payload")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        # The payload of a DEFLATED message, or `payload` itself where deflating makes it no shorter.
        self._deflated: bytes | None = None
        self._forms: dict[Form, bytes] = {}

    def has(self, form: Form) -> bool:
        """Whether the message was made in this form."""
        return form in self._forms

    @property
    def is_deflated(self) -> bool:
        """Whether the message was deflated, for whichever framing."""
        return self._deflated is not None

    @property
    def saved_bytes(self) -> int:
        """By how many bytes the deflated message is shorter."""
        return 0 if self._deflated is None else len(self.payload) - len(self._deflated)

    def form(self, form: Form) -> bytes:
        """The bytes of the message in this form."""
        data = self._forms.get(form)
        if data is None:
            data = self._forms[form] = form.framing.wrap(self._deflate() if form.deflated else self.payload)
        return data

    def _deflate(self) -> bytes:
        if self._deflated is None:
            self._deflated = self.payload
            if len(self.payload) >= _DEFLATE_BYTES_MIN:
                deflated = messages.Deflated(deflate(self.payload, seams_of(self.payload))).encode()
                self._deflated = min(self.payload, deflated, key=len)
        return self._deflated


class History:
    """The newest frames of a zone, bounded in number and bytes, and a snapshot where they do not suffice.

    `snapshot` returns the payload of the state after the newest frame.

    >>> history = History(ticks=2, snapshot=lambda: b"snapshot")
    >>> for tick in (1, 2, 3): history.append(tick, b"frame%d" % tick)
    >>> [[message.payload for message in history.since(tick)] for tick in (2, 0, None)]
    [[b'frame3'], [b'snapshot'], [b'snapshot']]
    """

    def __init__(self, ticks: int, snapshot: Callable[[], bytes]) -> None:
        self.tick = 0
        self.snapshots_total = 0
        self._ticks = ticks
        self._frames: deque[Message] = deque()
        self._frame_bytes = 0
        self._make_snapshot = snapshot
        self._snapshot_tick = -1
        self._snapshot = Message(b"")

    def append(self, tick: int, frame: bytes) -> None:
        """Adds the frame of the next tick, as a payload."""
        frames = self._frames
        if tick != self.tick + 1:
            frames.clear()  # A tick failed: frames from before it lead nowhere.
            self._frame_bytes = 0
            self._snapshot_tick = -1  # Another zone may count its ticks anew.
        self.tick = tick
        frames.append(Message(frame))
        self._frame_bytes += len(frame)
        while len(frames) > self._ticks or (self._frame_bytes > _FRAME_BYTES_MAX and len(frames) > 1):
            self._frame_bytes -= len(frames.popleft().payload)

    @property
    def newest(self) -> Message:
        """The frame of the last tick. There must have been a tick."""
        return self._frames[-1]

    def since(self, tick: int | None, whole: bool = False) -> list[Message]:
        """The messages that bring a receiver from `tick` up to date: none, the frames since then, or a snapshot.

        The frames or the snapshot are used, whichever has fewer bytes; `whole` prefers the frames, which tell all
        events. None stands for a receiver without a state.
        The last message is always one of the newest tick.
        """
        missed = self.tick - tick if tick is not None else None
        if missed == 0:
            return []
        if missed is None or not 0 < missed <= len(self._frames):
            return [self.snapshot()]
        frames = list(islice(self._frames, len(self._frames) - missed, None))
        if whole:
            return frames
        snapshot = self.snapshot()
        return frames if sum(len(frame.payload) for frame in frames) <= len(snapshot.payload) else [snapshot]

    def snapshot(self) -> Message:
        """The state after the newest tick, encoded at most once per tick and shared by all receivers."""
        if self._snapshot_tick != self.tick:
            self._snapshot = Message(self._make_snapshot())
            self._snapshot_tick = self.tick
            self.snapshots_total += 1
        return self._snapshot
