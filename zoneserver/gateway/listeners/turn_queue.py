"""A queue of work that is divided over the turns of the loop, so that no client can hold the loop with its part."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

__all__ = ["TurnQueue"]


class TurnQueue:
    """Runs steps in the order in which they were added, for a bounded time in each turn of the loop.

    A turn runs at least one step, and begins no further step once its time is spent. A step that has more to do
    adds itself again, so that it waits behind all others. The clock of a loop may stand still within a turn, so
    it is not the loop's that measures the time.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._clock = clock
        self._steps: deque[Callable[[], object]] = deque()
        # True while the loop is to call `_turn`, or does.
        self._is_scheduled = False

    def add(self, step: Callable[[], object]) -> None:
        """Runs the step with the next turn of the loop, or with a later one when others wait before it."""
        self._steps.append(step)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        until = self._clock() + self._seconds
        try:
            while self._steps:
                self._steps.popleft()()
                if self._clock() >= until:
                    break
        finally:
            self._is_scheduled = bool(self._steps)
            if self._steps:
                self._loop.call_soon(self._turn)
