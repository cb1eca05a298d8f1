"""A leaky bucket used as a meter (GCRA, ITU-T I.371): spending fills it, time drains it.

Every limited rate is measured by one. In any window of t seconds at most `burst + rate * t` fits into the
bucket, and it keeps two numbers in place of a list of moments. Pure: the time is passed in.
"""

from __future__ import annotations

__all__ = ["LeakyBucket"]


class LeakyBucket:
    """A meter that holds `burst` and drains `per_second`, in units of the caller's choice.

    The bucket only measures. Its owner decides what follows from a full one.

    >>> bucket = LeakyBucket(per_second=10, burst=20)
    >>> bucket.spend(30, now=0.0), bucket.fill(now=1.0), bucket.seconds_until(0.5, now=1.0)
    (1.5, 1.0, 1.0)
    """

    __slots__ = ("_at", "_burst", "_level", "_per_second")

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        # The amount that had not drained away at the moment `_at`.
        self._level = 0.0
        self._at = 0.0

    def spend(self, amount: float, now: float) -> float:
        """Adds `amount` and returns the fill: 1.0 is full, and the fill may rise beyond it."""
        level = self._level - (now - self._at) * self._per_second
        self._at = now
        self._level = level = amount + level if level > 0.0 else amount
        return level / self._burst

    def fill(self, now: float) -> float:
        """How full the bucket is: 0.0 when it is empty, above 1.0 when too much was spent."""
        return max(0.0, self._level - (now - self._at) * self._per_second) / self._burst

    def holds(self, amount: float, now: float) -> bool:
        """Whether `amount` fits into the bucket."""
        return self._level - (now - self._at) * self._per_second + amount <= self._burst

    def seconds_until(self, fill: float, now: float) -> float:
        """How long the bucket takes to drain to `fill`; 0.0 when it has already."""
        return max(0.0, (self.fill(now) - fill) * self._burst / self._per_second)
