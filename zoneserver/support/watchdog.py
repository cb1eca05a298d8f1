"""The watchdog: a thread that finds a stalled loop, and names the code that stalls it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Self

from zoneserver.support.errors import where_running

__all__ = ["Watchdog"]

# A stall is reported after so many intervals, and again each time that it has lasted ten times as long.
_PATIENCE, _AGAIN = 2, 10


class Watchdog:
    """Calls `stalled(seconds, place)` while the thread that made it counts no `beats`.

    `place` is where that thread is, in the user's own files if possible, as in `Tag.on_tick (tag.py:12)`. Only
    intervals are counted, so a process that was stopped as a whole has not stalled. `stalled` is called in the
    watchdog's thread.
    """

    def __init__(self, stalled: Callable[[float, str], object], interval_seconds: float = 1.0) -> None:
        self.beats = 0
        """Add 1 at least once per interval."""
        self._stalled = stalled
        self._interval_seconds = interval_seconds
        self._watched = threading.get_ident()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begins to watch. A watchdog starts once."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread. A watchdog that was not started may be stopped."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        beats, intervals, report_at = self.beats, 0, _PATIENCE
        while not self._is_over.wait(self._interval_seconds):
            if self.beats != beats:
                beats, intervals, report_at = self.beats, 0, _PATIENCE
                continue
            intervals += 1
            frame = sys._current_frames().get(self._watched)
            if intervals == report_at and frame is not None:
                report_at *= _AGAIN
                self._stalled(intervals * self._interval_seconds, where_running(frame))
