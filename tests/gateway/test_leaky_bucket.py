"""The meter: what is spent fills it, time drains it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.gateway.leaky_bucket import LeakyBucket


def test_amounts_spent_at_one_moment_add_up() -> None:
    budget = LeakyBucket(per_second=1, burst=10)
    assert [budget.spend(4, now=5.0) for _ in range(3)] == [0.4, 0.8, 1.2]


def test_bucket_drains_with_time_and_not_below_empty() -> None:
    budget = LeakyBucket(per_second=2, burst=10)
    budget.spend(10, now=0.0)
    assert budget.fill(now=1.0) == pytest.approx(0.8)
    assert budget.fill(now=100.0) == 0.0
    assert budget.spend(10, now=100.0) == 1.0, "idle time is not saved up"


def test_seconds_until_is_the_time_to_drain_to_a_fill() -> None:
    budget = LeakyBucket(per_second=2, burst=10)
    budget.spend(15, now=3.0)
    wait = budget.seconds_until(0.5, now=3.0)
    assert wait == pytest.approx(5.0)
    assert budget.fill(3.0 + wait) == pytest.approx(0.5)
    assert budget.seconds_until(0.5, now=20.0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 50)), min_size=1, max_size=40))
def test_window_below_the_limit_holds_at_most_burst_and_rate(steps: list[tuple[float, int]]) -> None:
    """What the one number stands for: every sliding window is bounded, wherever it begins."""
    rate, burst, now = 7.0, 100.0, 0.0
    budget, taken = LeakyBucket(rate, burst), list[tuple[float, int]]()
    for pause, amount in steps:
        now += pause
        if budget.holds(amount, now):
            budget.spend(amount, now)
            taken.append((now, amount))
    for start, _ in taken:
        for end, _ in taken:
            spent = sum(amount for moment, amount in taken if start <= moment <= end)
            assert end < start or spent <= burst + rate * (end - start) + 1e-6
