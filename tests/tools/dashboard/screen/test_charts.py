"""Charts: values over time as characters."""

from __future__ import annotations

from zonetools.dashboard.screen.charts import buckets, chart
from zonetools.dashboard.screen.glyphs import ASCII, UNICODE


def test_buckets_hold_the_highest_value_and_move_by_whole_columns() -> None:
    points = [(0.5, 1.0), (0.9, 7.0), (3.1, 2.0)]
    assert buckets(points, now=3.2, window=4, columns=4) == [7.0, None, None, 2.0]
    assert buckets(points, now=3.9, window=4, columns=4) == [7.0, None, None, 2.0]
    assert buckets(points, now=4.0, window=4, columns=4) == [None, None, 2.0, None]
    assert buckets([(0.5, 4.0), (2.5, 1.0)], now=2.9, window=4, columns=4) == [None, 4.0, 4.0, 1.0]
    assert buckets([], now=1.0, window=60, columns=3) == [None] * 3


def test_chart_shows_zero_and_a_missing_value_differently() -> None:
    assert chart([0.0, None, 1.0], 1, top=1.0, ramp=UNICODE.ramp) == ["▁ █"]
    assert all(row.isascii() for row in chart([0.0, 0.5, 1.0, 9.0], 3, top=1.0, ramp=ASCII.ramp))
