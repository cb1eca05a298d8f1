"""Times of a report, in milliseconds. Pure."""

from __future__ import annotations

from zoneserver.support.histogram import Histogram


def milliseconds(microseconds: float) -> float:
    """Return a time rounded to microseconds."""
    return round(microseconds / 1000, 3)


def percentiles(histogram: Histogram) -> dict[str, float | None]:
    """Return the percentiles of a histogram of microseconds; None for each if it is empty."""
    points = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}
    if not histogram.total:
        return dict.fromkeys([*points, "mean"])
    values = {name: milliseconds(histogram.percentile(percent)) for name, percent in points.items()}
    return {**values, "mean": milliseconds(histogram.mean())}
