"""A stop that players are told of before it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from zoneserver.support.format import exact_duration

__all__ = ["StopPlan"]

_MARKS_SECONDS = (60.0, 30.0, 10.0, 5.0)


class StopPlan:
    """Stops a server after a while: says so at once, and again 1 m, 30 s, 10 s and 5 s before the end.

    `say` tells all players a text, `stop` stops the server. There is one plan at most: a new one replaces it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Callable[[str], None], stop: Callable[[], None]) -> None:
        self._loop = loop
        self._say = say
        self._stop = stop
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def is_set(self) -> bool:
        return bool(self._timers)

    def set(self, seconds: float, text: str = "") -> None:
        """Stops the server after this many seconds."""
        self.cancel()
        end = self._loop.time() + seconds
        for left in (seconds, *(mark for mark in _MARKS_SECONDS if mark < seconds)):
            told = f"the server stops in {exact_duration(left)}{f': {text}' if text else ''}"
            if left == seconds:
                self._say(told)
            else:
                self._timers.append(self._loop.call_at(end - left, self._say, told))
        self._timers.append(self._loop.call_at(end, self._stop))

    def cancel(self) -> None:
        """Forgets the plan."""
        timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
