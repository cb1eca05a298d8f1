"""The lag tracker: what happens to a receiver that cannot take every frame.

| step | condition | the receiver gets |
|---|---|---|
| full rate | the receiver takes every frame | each frame at once; it has no tracker |
| behind | a send is in flight, or its byte budget is spent | nothing; afterwards, in one gather send, what it missed |
| ended | over the soft limit or without progress for `stall_seconds`, or over the hard limit (`session`) | a reason |

The soft and the hard limit follow Redis's client-output-buffer-limit. The later snapshot for a client that
cannot take the rate follows Quake III's SV_RateMsec. Pure: the time is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["LagTracker", "largest_beyond"]

_Receiver = TypeVar("_Receiver")


class LagTracker:
    """Tracks one receiver while it is behind.

    `sent_bytes` are the bytes that the kernel has taken so far, `waiting_bytes` are queued or in flight.

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
        # When the kernel was last seen to take bytes, and how many it had taken then.
        self._progress_at = now
        self._sent_bytes = sent_bytes
        # Since when more bytes wait than the soft limit allows; None while fewer wait.
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
        """The seconds since the kernel was seen to take bytes, as of the last check."""
        return now - self._progress_at


def largest_beyond(total_bytes: int, waiting: Iterable[tuple[_Receiver, int]]) -> list[_Receiver]:
    """Returns the fewest receivers to end so that the bytes that wait for the others fit, the largest first.

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
