"""Lag: what becomes of a receiver that cannot take everything.

| rung | when | what it gets |
|---|---|---|
| full rate | it takes everything | every frame as it is made; no tracker |
| behind | a send is in flight, or its byte budget is spent | nothing; then, in one gather send, what it missed |
| ended | over the soft limit or without progress for `stall_seconds`, or over the hard limit (`session`) | a reason |

Redis's client-output-buffer-limit is the model for hard and soft; Quake III's SV_RateMsec for a
client that cannot take the rate and gets its next snapshot later. Pure: time is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["LagTracker", "largest_beyond"]

_Receiver = TypeVar("_Receiver")


class LagTracker:
    """Watches one receiver for as long as it is behind.

    `sent_bytes` are all bytes that the kernel has taken so far, `waiting_bytes` those that it has not.

    >>> lag = LagTracker(tick=7, now=0.0, sent_bytes=100)
    >>> lag.check(now=5.0, sent_bytes=100, waiting_bytes=10, soft_bytes=50, patience_seconds=5.0)
    >>> lag.check(now=5.1, sent_bytes=100, waiting_bytes=10, soft_bytes=50, patience_seconds=5.0)
    '10 bytes wait, none was taken for 5.1 s'
    """

    __slots__ = ("_progress_at", "_sent_bytes", "_soft_since", "is_paused", "tick")

    def __init__(self, tick: int, now: float, sent_bytes: int) -> None:
        self.tick = tick
        """The newest tick that the receiver was handed."""
        self.is_paused = False
        """True while the receiver has room but its byte budget has to recover."""
        # The last moment at which the kernel was seen to take something, and how much it had by then.
        self._progress_at = now
        self._sent_bytes = sent_bytes
        # Since when more waits than the soft limit allows; None while less waits.
        self._soft_since: float | None = None

    def check(
        self, now: float, sent_bytes: int, waiting_bytes: int, soft_bytes: int, patience_seconds: float
    ) -> str | None:
        """Returns why the receiver has been behind for too long, in figures, or None."""
        if sent_bytes != self._sent_bytes or not waiting_bytes:
            self._sent_bytes, self._progress_at = sent_bytes, now
        if waiting_bytes <= soft_bytes:
            self._soft_since = None
        elif self._soft_since is None:
            self._soft_since = now
        if now - self._progress_at > patience_seconds:
            return f"{waiting_bytes} bytes wait, none was taken for {now - self._progress_at:.1f} s"
        if self._soft_since is not None and now - self._soft_since > patience_seconds:
            return f"more than {soft_bytes} bytes waited for {now - self._soft_since:.1f} s, {waiting_bytes} now"
        return None

    def idle_seconds(self, now: float) -> float:
        """How long ago the kernel was seen to take something, as of the last check."""
        return now - self._progress_at


def largest_beyond(total_bytes: int, waiting: Iterable[tuple[_Receiver, int]]) -> list[_Receiver]:
    """Returns the receivers to end so that what waits for the others fits: the largest first, and no more than needed.

    >>> largest_beyond(100, [("ann", 30), ("bob", 60), ("cyd", 50)])
    ['bob']
    """
    ordered = sorted(waiting, key=lambda each: each[1])
    excess = sum(count for _, count in ordered) - total_bytes
    gone = []
    while excess > 0:
        receiver, count = ordered.pop()
        gone.append(receiver)
        excess -= count
    return gone
