"""Histograms that can be added, buckets of durations, and quantiles of a list."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

__all__ = ["BUCKETS_MS", "DurationBuckets", "Histogram", "quantile"]

BUCKETS_MS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 200)
"""The upper bounds of `DurationBuckets`, in milliseconds, each of which its bucket includes."""

_BOUNDS = [bound / 1000 for bound in BUCKETS_MS]


class Histogram:
    """Counts of whole numbers, such as microseconds, in buckets less than 1 % wide. Histograms can be added.

    The layout is that of HdrHistogram: exact up to 255, then 128 buckets for every doubling.

    >>> histogram = Histogram()
    >>> for value in range(1, 101): histogram.record(value)
    >>> histogram.percentile(50), histogram.percentile(100), (histogram + histogram).total
    (50, 100, 200)
    """

    __slots__ = ("_counts", "max", "total")

    _SUB_BITS = 7

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.total = 0
        self.max = 0

    def record(self, value: int) -> None:
        """Counts one value; a negative value counts as zero."""
        shift = value.bit_length() - self._SUB_BITS - 1
        if value < 0:
            value = shift = 0
        elif shift < 0:
            shift = 0
        index = (shift << self._SUB_BITS) + (value >> shift)
        self._counts[index] = self._counts.get(index, 0) + 1
        self.total += 1
        if value > self.max:
            self.max = value

    def percentile(self, percent: float) -> int:
        """The value that `percent` percent of all values do not exceed; 0 for an empty histogram."""
        wanted = max(1, -(-self.total * percent // 100))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= wanted:
                shift = max(0, (index >> self._SUB_BITS) - 1)
                highest = ((index - (shift << self._SUB_BITS) + 1) << shift) - 1
                return min(highest, self.max)
        return self.max

    def mean(self) -> float:
        """The mean of all values, to within half a bucket; 0.0 for an empty histogram."""
        whole = 0
        for index, count in self._counts.items():
            shift = max(0, (index >> self._SUB_BITS) - 1)
            lowest = (index - (shift << self._SUB_BITS)) << shift
            whole += count * (2 * lowest + (1 << shift) - 1)
        return whole / (2 * self.total) if self.total else 0.0

    def __add__(self, other: Histogram) -> Histogram:
        both = Histogram()
        both._counts = dict(Counter(self._counts) + Counter(other._counts))
        both.total = self.total + other.total
        both.max = max(self.max, other.max)
        return both

    def to_json(self) -> dict[str, Any]:
        """The histogram as plain values, for `from_json` in another process."""
        return {"counts": sorted(self._counts.items()), "max": self.max}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Histogram:
        """The histogram of which `to_json` returned this form."""
        histogram = cls()
        histogram._counts = dict(form["counts"])
        histogram.total = sum(histogram._counts.values())
        histogram.max = form["max"]
        return histogram


class DurationBuckets:
    """Counts durations in a few fixed buckets. One record costs one bisection.

    >>> buckets = DurationBuckets()
    >>> buckets.record(0.001); buckets.record(0.012); buckets.record(3.0)
    >>> table = buckets.to_json()
    >>> table["1"], table["10"], table["20"], table["200"], table["+Inf"], table["sum"]
    (1, 1, 2, 2, 3, 3013.0)
    """

    __slots__ = ("_counts", "_seconds")

    def __init__(self) -> None:
        # The last one counts what is above all bounds.
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def record(self, seconds: float) -> None:
        """Counts one duration."""
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def to_json(self) -> dict[str, float]:
        """How many durations were at most as long as each bound in milliseconds, how many there were (`+Inf`), and the
        sum of all in milliseconds (`sum`). This is the form of Prometheus' classic histograms."""
        bounds = (*map(str, BUCKETS_MS), "+Inf")
        return dict(zip(bounds, accumulate(self._counts), strict=True)) | {"sum": round(self._seconds * 1000, 3)}


def quantile(ordered: Sequence[float], q: float) -> float:
    """The nearest-rank quantile of values in rising order; 0.0 if there are no values.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    if not ordered:
        return 0.0
    # Without the small term, 0.07 * 100 would be rounded up to 8: in floating point it is a little above 7.
    rank = math.ceil(q * len(ordered) - 1e-9)
    return ordered[min(max(rank, 1), len(ordered)) - 1]
