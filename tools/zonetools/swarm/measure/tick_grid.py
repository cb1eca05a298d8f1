"""When the ticks of a server were due, by our own clock. Pure.

A server keeps its ticks on a grid of whole periods of CLOCK_MONOTONIC, and says where that lies
(`tick_due_monotonic_s` of its statistics). All processes of one machine share that clock: whoever has
got a frame knows from the grid when its tick was due, and nobody had to send anything for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

__all__ = ["TickGrid"]

# A loop that counts whole milliseconds may begin a tick so much before it is due.
_EARLY_SECONDS = 0.001
# Whose next tick is due further away from now than this has another clock than we.
_SAME_CLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TickGrid:
    """Ticks are due at `origin_s` and whole periods before and after it, in seconds of `time.monotonic()`."""

    origin_s: float
    hz: int

    @classmethod
    def told(cls, due_s: float, hz: int, now: float) -> Self | None:
        """The grid of a server that said when its next tick is due; None when it has another clock than
        ours, being on another machine.

        >>> TickGrid.told(100.04, hz=20, now=100.0)
        TickGrid(origin_s=100.04, hz=20)
        >>> TickGrid.told(7_654.3, hz=20, now=100.0) is None
        True
        """
        return cls(due_s, hz) if abs(due_s - now) <= _SAME_CLOCK_SECONDS else None

    def began(self, arrived: float) -> float:
        """When the tick was due whose frame arrived, as the first copy of it, at this moment.

        That is the last point of the grid before it. It is the wrong one if the tick, or we, took more
        than a whole period: a server that skips no ticks, and a swarm that is not late itself, do not.

        >>> round(TickGrid(100.0, hz=20).began(100.1234), 6)
        100.1
        """
        points = math.floor((arrived + _EARLY_SECONDS - self.origin_s) * self.hz)
        return min(arrived, self.origin_s + points / self.hz)
