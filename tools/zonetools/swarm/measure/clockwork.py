"""What a process of the swarm measures at fixed times: its own lateness, and its counters at whole seconds."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import NoReturn

from zoneserver.support.histogram import Histogram
from zonetools.swarm.measure.meter import Meter

# The interval of the timer that measures how late this process is.
_LAG_TIMER_SECONDS = 0.02


async def measure_lag(meter: Meter, lag: Histogram) -> NoReturn:
    """Measure how late a timer of this process fires, in microseconds."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(_LAG_TIMER_SECONDS)
        if meter.is_measuring:
            lag.record(int((time.monotonic() - before - _LAG_TIMER_SECONDS) * 1e6))


async def cut_seconds(meter: Meter, players: Callable[[], int]) -> NoReturn:
    """Cut the counters at whole seconds of the monotonic clock, as every process of the swarm does."""
    boundary = math.floor(time.monotonic()) + 1
    while True:
        await asyncio.sleep(boundary - time.monotonic())
        meter.cut(players())
        boundary = max(boundary + 1, math.ceil(time.monotonic()))
