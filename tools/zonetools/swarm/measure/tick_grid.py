"""Finds when a tick of the server was due, from the time at which its frame arrived. Pure.

The ticks of a server lie on a grid of whole periods of CLOCK_MONOTONIC, and its statistics contain one point of
the grid (`tick_due_monotonic_s`). All processes of a machine share that clock. So the receiver of a frame can
compute when its tick was due, and no message has to carry that time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

# An event loop with timers in whole milliseconds may begin a tick this long before it is due.
_EARLY_SECONDS = 0.001
# If the next tick is further away than this, the server runs on another machine and does not share our clock.
_SAME_CLOCK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TickGrid:
    """Ticks are due at `origin_s`, and at whole periods before and after it, in seconds of `time.monotonic()`."""

    origin_s: float
    hz: int

    @classmethod
    def from_next_due(cls, due_s: float, hz: int, now: float) -> Self | None:
        """Return the grid of a server whose next tick is due at `due_s`; None if the server has another clock.

        >>> TickGrid.from_next_due(100.04, hz=20, now=100.0)
        TickGrid(origin_s=100.04, hz=20)
        >>> TickGrid.from_next_due(7_654.3, hz=20, now=100.0) is None
        True
        """
        return cls(due_s, hz) if abs(due_s - now) <= _SAME_CLOCK_SECONDS else None

    def began(self, arrived: float) -> float:
        """Return when a tick was due, if the first copy of its frame arrived at `arrived`.

        The result is the last point of the grid before `arrived`. It is the wrong point if the tick or the swarm
        took more than a whole period, which does not happen while no tick is skipped and the swarm is not late.

        >>> round(TickGrid(100.0, hz=20).began(100.1234), 6)
        100.1
        """
        points = math.floor((arrived + _EARLY_SECONDS - self.origin_s) * self.hz)
        return min(arrived, self.origin_s + points / self.hz)
