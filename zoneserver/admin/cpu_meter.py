"""Measures the CPU time of the process, about once a second."""

from __future__ import annotations

import time

__all__ = ["CpuMeter"]

_SECONDS = 1.0


class CpuMeter:
    """Says how much of one core the process used between the last two samples. `now` is in seconds of any clock."""

    def __init__(self, now: float) -> None:
        # (time, CPU time of the process) at two moments about a second apart.
        self._before = self._after = (now, time.process_time())

    def sample(self, now: float) -> bool:
        """Takes a sample, if the last one is old enough. Returns whether it did. Call it often."""
        if now - self._after[0] < _SECONDS:
            return False
        self._before, self._after = self._after, (now, time.process_time())
        return True

    @property
    def percent(self) -> float:
        """The CPU time of the last second, in percent of one core."""
        (time_before, cpu_before), (time_after, cpu_after) = self._before, self._after
        return round(100 * (cpu_after - cpu_before) / max(1e-9, time_after - time_before), 1)
