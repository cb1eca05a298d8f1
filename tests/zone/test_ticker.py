"""The ticker: a grid without drift, skipped ticks, and dilation."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.zone.ticker import Ticker

START = 1000.0


def dilation_after(ticks: int, points_per_tick: int, ticker: Ticker) -> float:
    """The dilation after ticks that each come `points_per_tick` grid points after the previous one."""
    for _ in range(ticks):
        ticker.advance(ticker.due + (points_per_tick - 1) * ticker.period)
    return ticker.dilation


@settings(max_examples=5)
@given(st.integers(1, 100), st.integers(0, 2**32), st.floats(0, 1e6))
def test_grid_does_not_drift_over_a_hundred_thousand_ticks(hz: int, seed: int, start: float) -> None:
    ticker = Ticker(hz, start)
    chance = random.Random(seed)
    points = 1
    for _ in range(100_000):
        points += 1 + ticker.advance(ticker.due + ticker.period * chance.choice((0.0, 0.3, 0.9, 1.5, 7.2)))
    assert ticker.due == start + points * ticker.period
    assert ticker.skipped_total == points - 1 - 100_000


@given(st.integers(1, 100), st.lists(st.floats(0, 20), max_size=20))
def test_next_tick_is_due_at_the_first_grid_point_after_now(hz: int, lates: list[float]) -> None:
    ticker = Ticker(hz, START)
    for late in lates:
        now = ticker.due + late * ticker.period
        ticker.advance(now)
        assert now - 1e-6 < ticker.due <= now + ticker.period + 1e-6


@pytest.mark.parametrize(
    ("late", "skipped"), [(0.0, 0), (0.01, 0), (0.99, 0), (1.0, 1), (1.99, 1), (2.0, 2), (2.5, 2), (100.5, 100)]
)
def test_passed_grid_point_is_skipped_once(late: float, skipped: int) -> None:
    ticker = Ticker(20, START)
    assert ticker.advance(ticker.due + late * ticker.period) == skipped
    assert ticker.skipped_total == skipped
    assert ticker.due == pytest.approx(START + (2 + skipped) * ticker.period)


def test_tick_that_begins_slightly_early_is_the_due_one() -> None:
    ticker = Ticker(10, START)
    assert ticker.advance(ticker.due - 0.001) == 0
    assert ticker.due == pytest.approx(START + 0.2)


def test_skipped_ticks_are_never_run_later() -> None:
    ticker = Ticker(10, START)
    assert ticker.advance(START + 5.05) == 49
    assert ticker.advance(ticker.due) == 0
    assert ticker.skipped_total == 49


@pytest.mark.parametrize("hz", [1, 10, 20, 100])
def test_dilation_at_full_speed_is_exactly_one(hz: int) -> None:
    ticker = Ticker(hz, START)
    assert ticker.dilation == 1.0
    assert dilation_after(1000, 1, ticker) == 1.0
    assert ticker.skipped_total == 0


@pytest.mark.parametrize("points_per_tick", [2, 3, 10])
def test_dilation_is_the_share_of_ticks_that_run(points_per_tick: int) -> None:
    assert math.isclose(dilation_after(200, points_per_tick, Ticker(20, START)), 1 / points_per_tick, rel_tol=0.001)


def test_dilation_follows_within_about_a_second() -> None:
    assert 0.5 < dilation_after(20, 2, Ticker(20, START)) < 0.6


def test_dilation_returns_to_one_after_skipped_ticks() -> None:
    ticker = Ticker(20, START)
    assert dilation_after(200, 2, ticker) < 0.51
    assert dilation_after(20, 1, ticker) > 0.85
    assert dilation_after(100, 1, ticker) == 1.0


def test_dilation_is_never_above_one() -> None:
    ticker = Ticker(20, START)
    for points_per_tick in (1, 5, 1, 1, 2, 1, 1, 1):
        assert 0.0 < dilation_after(3, points_per_tick, ticker) <= 1.0


def test_ticker_at_another_rate_begins_a_new_grid_and_keeps_its_count() -> None:
    ticker = Ticker(hz=10, now=0.0)
    assert ticker.advance(0.55) == 4
    ticker.change_rate(4, now=1.0)
    assert (ticker.due, ticker.advance(1.25), ticker.due) == (1.25, 0, 1.5)
    assert (ticker.dilation, ticker.skipped_total) == (1.0, 4)
