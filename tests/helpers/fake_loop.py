"""An event loop whose turns a test runs and whose clock it sets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class FakeLoop(asyncio.AbstractEventLoop):
    """A loop that does nothing by itself: the test runs its turns and sets its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[asyncio.TimerHandle] = []

    def get_debug(self) -> bool:
        return False

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self.now + delay, callback, args, self, context)
        self._timers.append(timer)
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if handle in self._timers:
            self._timers.remove(handle)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    @property
    def timers(self) -> int:
        """Timers that have neither fired nor been cancelled."""
        return len(self._timers)

    def turn(self) -> bool:
        """Runs the callbacks that are ready now, and returns whether there were any."""
        ready, self._ready = self._ready, deque()
        for handle in ready:
            if not handle.cancelled():
                handle._run()
        return bool(ready)

    def run(self) -> None:
        """Turns until nothing is ready."""
        while self.turn():
            pass

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self._timers if timer.when() <= self.now]:
            if timer in self._timers:  # else an earlier timer cancelled it
                self._timers.remove(timer)
                timer._run()
        self.run()
