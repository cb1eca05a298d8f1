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
        self.is_draining = False
        """Whether the server is to stop when the last player has left."""

    @property
    def is_set(self) -> bool:
        return self.is_draining or bool(self._timers)

    def set(self, seconds: float, text: str = "") -> None:
        """Stops the server after this many seconds."""
        self.cancel()
        self._say(_ended(f"the server stops in {exact_duration(seconds)}", text))
        self._set_timers(seconds, text)

    def drain(self, seconds: float | None, text: str = "") -> None:
        """Stops the server when `stop_if_empty` finds that the last player has left, and at the latest after this many
        seconds, if they are given."""
        self.cancel()
        self.is_draining = True
        when = "when all have left" if seconds is None else f"in {exact_duration(seconds)} at the latest"
        self._say(_ended(f"the server takes no new players, and stops {when}", text))
        if seconds is not None:
            self._set_timers(seconds, text)

    def stop_if_empty(self, players: int) -> None:
        """Stops the server if it waits for the last player to leave, and no player is in."""
        if self.is_draining and players == 0:
            self.cancel()
            self._stop()

    def cancel(self) -> None:
        """Forgets the plan."""
        self.is_draining = False
        timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()

    def _set_timers(self, seconds: float, text: str) -> None:
        end = self._loop.time() + seconds
        for left in (mark for mark in _MARKS_SECONDS if mark < seconds):
            told = _ended(f"the server stops in {exact_duration(left)}", text)
            self._timers.append(self._loop.call_at(end - left, self._say, told))
        self._timers.append(self._loop.call_at(end, self._stop))


def _ended(told: str, text: str) -> str:
    return f"{told}: {text}" if text else told
