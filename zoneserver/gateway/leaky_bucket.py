"""So much at once and so much per second: the one meter behind every rate that is limited.

A leaky bucket used as a meter (GCRA, ITU-T I.371): what is spent fills it, time drains it. In every
window of t seconds, wherever it begins, at most `burst + rate * t` fits below the brim, and that is
one number to keep rather than a list of moments. Pure: the caller says what time it is.
"""

from __future__ import annotations

__all__ = ["LeakyBucket"]


class LeakyBucket:
    """A meter that drains `per_second` and is spent beyond `burst`, in units of the caller's choice.

    It only measures: what follows from a budget that is spent is for its owner to decide.

    >>> budget = LeakyBucket(per_second=10, burst=20)
    >>> budget.spend(30, now=0.0), budget.fill(now=1.0), budget.seconds_until(0.5, now=1.0)
    (1.5, 1.0, 1.0)
    """

    __slots__ = ("_at", "_burst", "_level", "_per_second")

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        # What was spent and has not drained away by the moment `_at`.
        self._level = 0.0
        self._at = 0.0

    def spend(self, amount: float, now: float) -> float:
        """Adds `amount`; returns the fill after it: 1.0 is the brim, and nothing stops it there."""
        level = self._level - (now - self._at) * self._per_second
        self._at = now
        self._level = level = amount + level if level > 0.0 else amount
        return level / self._burst

    def fill(self, now: float) -> float:
        """How full it is: 0.0 when all has drained away, above 1.0 when it is spent."""
        return max(0.0, self._level - (now - self._at) * self._per_second) / self._burst

    def holds(self, amount: float, now: float) -> bool:
        """Whether `amount` can be spent without going beyond the brim."""
        return self._level - (now - self._at) * self._per_second + amount <= self._burst

    def seconds_until(self, fill: float, now: float) -> float:
        """How long until it has drained to `fill`; 0.0 when it has."""
        return max(0.0, (self.fill(now) - fill) * self._burst / self._per_second)
