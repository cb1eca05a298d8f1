"""The ticker says when the next tick is due. Pure: the time is passed in.

Ticks lie on a grid of whole periods from the start, so that rounding errors do not add up (Mirror's
`AccurateInterval` is the model). A grid point that has passed is skipped: late ticks are never run in a burst.
"""

from __future__ import annotations

__all__ = ["Ticker"]


class Ticker:
    """A fixed grid of ticks, with a count of the skipped ones.

    >>> ticker = Ticker(hz=10, now=100.0)
    >>> ticker.due, ticker.advance(100.12), round(ticker.due, 6)
    (100.1, 0, 100.2)
    >>> ticker.advance(100.55), round(ticker.due, 6)
    (3, 100.6)
    """

    # The weight of the newest tick in the dilation. At 20 Hz a return to full speed shows within two seconds.
    _SMOOTHING = 0.2

    def __init__(self, hz: float, now: float) -> None:
        self.skipped_total = 0
        self.change_rate(hz, now)

    def change_rate(self, hz: float, now: float) -> None:
        """Begins a new grid at this moment."""
        self.period = 1.0 / hz
        self._start = now
        # The number of the next grid point that is due.
        self._point = 1
        # Grid points per tick run, smoothed; 1.0 when none is skipped.
        self._points_per_tick = 1.0

    @property
    def due(self) -> float:
        """The moment of the next tick, in the caller's seconds."""
        return self._start + self._point * self.period

    @property
    def dilation(self) -> float:
        """How fast the zone's time runs against the clock, 0 to 1: 0.5 when every other tick is skipped."""
        return 1.0 / self._points_per_tick

    def advance(self, now: float) -> int:
        """Call it when a tick begins. Moves on to the first grid point after `now`; returns how many were skipped."""
        passed = int((now - self._start) / self.period + 1e-9)
        skipped = max(0, passed - self._point)
        self._point += skipped + 1
        self.skipped_total += skipped
        self._points_per_tick += self._SMOOTHING * (skipped + 1 - self._points_per_tick)
        # Smoothing never reaches 1.0 exactly, so half a percent from full speed counts as full speed.
        if self._points_per_tick < 1.005:
            self._points_per_tick = 1.0
        return skipped
