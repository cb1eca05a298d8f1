"""The clock of a client: which tick the zone is at, as a fraction, from what arrives and when.

The zone cannot be behind a tick whose frame has arrived. A PONG tells where the zone stood at some moment between its
PING and its arrival, which bounds the present from both sides. The clock keeps the narrowest such bounds, lets them run
on at the rate of the zone, and shows the middle.

The module is pure: the time is an argument, in seconds of any clock that does not jump.
"""

from __future__ import annotations

import math

__all__ = ["Clock"]

# The bounds drift apart by this part of the full rate: dilation is told in whole percent, and clocks differ.
_DRIFT = 0.005
# How long the clock runs on without a frame, on top of what a frame takes to arrive: then the zone is taken to stand.
_OVERDUE_SECONDS = 0.5


class Clock:
    """Where a zone is in time, as a fractional tick. It never runs backwards, unless the zone itself begins again at an
    earlier tick.

    >>> clock = Clock(hz=20, tick=100, now=0.0)
    >>> round(clock.now(0.1), 1)
    102.0
    >>> clock.pong_arrived(102, 0, sent=0.0, now=0.1)
    >>> round(clock.now(0.1), 1), clock.rtt
    (103.0, 0.1)
    """

    def __init__(self, hz: int, tick: int, now: float) -> None:
        self.rtt: float | None = None
        """The seconds from the last answered PING to its PONG."""
        self._hz = hz
        # Ticks per second at the present dilation.
        self._rate = float(hz)
        # The zone is between these ticks at the moment `_at`.
        self._low, self._high = float(tick), math.inf
        self._at = now
        # The newest tick that is known to have ended, and the newest answer of `now`.
        self._newest = tick
        self._shown = float(tick)

    def now(self, now: float) -> float:
        """Return the tick at which the zone is now: 12.5 is the middle between the ends of tick 12 and tick 13."""
        self._advance(now)
        middle = self._low if math.isinf(self._high) else (self._low + self._high) / 2
        # Beyond this tick the next frame would have arrived.
        latest = self._newest + 1 + self._rate * ((self.rtt or 0.0) + _OVERDUE_SECONDS)
        self._shown = max(self._shown, min(middle, latest))
        return self._shown

    def tick_arrived(self, tick: int, dilation: float, now: float) -> None:
        """A frame or a snapshot arrived at `now`, with the dilation of the zone."""
        self._advance(now)
        # An arrival that is told late counts as of the moment that the bounds have reached.
        low = tick + self._rate * (self._at - now)
        self._newest = max(self._newest, tick)
        self._rate = self._hz * dilation
        self._low = max(self._low, low)
        self._high = max(self._high, self._low)

    def restart(self, tick: int, now: float) -> None:
        """The zone goes on from this tick, an earlier one than before."""
        self._low, self._high = float(tick), math.inf
        self._at, self._newest, self._shown = now, tick, float(tick)

    def follow(self, former: Clock) -> None:
        """Go on where the clock of an earlier connection was."""
        self.rtt = former.rtt
        if former._newest <= self._newest:
            self._shown = max(self._shown, former._shown)

    def pong_arrived(self, tick: int, microseconds: int, sent: float, now: float) -> None:
        """The answer to the PING of the moment `sent` arrived at `now`: so long ago tick `tick` had ended."""
        self._advance(now)
        self.rtt = now - sent
        self._newest = max(self._newest, tick)
        low = tick + min(1.0, microseconds * 1e-6 * self._rate) + self._rate * (self._at - now)
        high = low + self.rtt * self._rate
        if low > self._high or high < self._low:
            self._low, self._high = low, high  # The bounds ran at a wrong rate, or the zone stood still.
        else:
            self._low, self._high = max(self._low, low), min(self._high, high)

    def _advance(self, now: float) -> None:
        """Let the bounds run on to `now`."""
        seconds = now - self._at
        if seconds > 0:
            self._at = now
            self._low += seconds * max(0.0, self._rate - _DRIFT * self._hz)
            self._high += seconds * (self._rate + _DRIFT * self._hz)
