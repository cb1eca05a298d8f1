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

    __slots__ = ("_at", "_burst", "_excused_seconds", "_excused_until", "_level", "_per_second")

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        # The amount that had not drained away at the moment `_at`.
        self._level = 0.0
        self._at = 0.0
        # The seconds by which the bucket may still drain, should it be full before `_excused_until`.
        self._excused_seconds = 0.0
        self._excused_until = 0.0

    def spend(self, amount: float, now: float) -> float:
        """Adds `amount` and returns the fill: 1.0 is full, and the fill may rise beyond it.

        A negative amount takes back what was spent just before.
        """
        level = self._level - (now - self._at) * self._per_second
        self._at = now
        self._level = level = amount + level if level > 0.0 else amount
        if self._excused_seconds and level >= self._burst:
            level = self._excuse(now)
        return level / self._burst

    def pour(self, fill: float, age_seconds: float, now: float) -> None:
        """Adds what another bucket of this rate held so long ago and has not drained since."""
        amount = fill * self._burst - age_seconds * self._per_second
        if amount > 0.0:
            self.spend(amount, now)

    def fill(self, now: float) -> float:
        """How full the bucket is: 0.0 when it is empty, above 1.0 when too much was spent."""
        return max(0.0, self._level - (now - self._at) * self._per_second) / self._burst

    def holds(self, amount: float, now: float) -> bool:
        """Whether `amount` fits into the bucket."""
        level = self._level - (now - self._at) * self._per_second
        if self._excused_seconds and level + amount > self._burst:
            self._level, self._at = level, now
            level = self._excuse(now)
        return level + amount <= self._burst

    def seconds_until(self, fill: float, now: float) -> float:
        """How long the bucket takes to drain to `fill`; 0.0 when it has already."""
        return max(0.0, (self.fill(now) - fill) * self._burst / self._per_second)

    def excuse(self, seconds: float, until: float) -> None:
        """Lets the bucket drain by so many seconds that the clock did not count, when it is full before `until`.

        What arrives at once after a pause was sent throughout it. The seconds are used up as far as they are
        needed, so that a sender who kept to the rate never finds the bucket full.

        >>> bucket = LeakyBucket(per_second=10, burst=20)
        >>> bucket.excuse(60.0, until=1.0)
        >>> max(bucket.spend(1, now=0.0) for _ in range(600)) < 1.0
        True
        """
        self._excused_seconds += seconds
        self._excused_until = until

    def _excuse(self, now: float) -> float:
        """Drains the full bucket by the excused seconds, and returns its level."""
        if now > self._excused_until:
            self._excused_seconds = 0.0
        seconds = min(self._excused_seconds, self._level / self._per_second)
        self._excused_seconds -= seconds
        self._level -= seconds * self._per_second
        return self._level
