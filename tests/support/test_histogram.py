"""Histograms against HdrHistogram, and quantiles against plain counting."""

import json
import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.support.histogram import Histogram, quantile

HOUR_US = 3_600_000_000

# As many small values as huge ones.
values_lists = st.lists(
    st.integers(0, 32).flatmap(lambda bits: st.integers(0, min(2**bits, HOUR_US))), min_size=1, max_size=30
)


def histogram_of(values: Sequence[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(values_lists)
def test_percentiles_are_hdr_histograms_within_one_percent(values: list[int]) -> None:
    # Each value a hundred times, so that every whole percentile is a whole number of values: the two
    # round a part of a value in different ways.
    ours, oracle = histogram_of(values * 100), HdrHistogram(1, HOUR_US, 2)
    for value in values:
        oracle.record_value(value, 100)
    for percent in (1, 10, 25, 50, 75, 90, 99, 100):
        assert math.isclose(ours.percentile(percent), oracle.get_value_at_percentile(percent), rel_tol=0.01)


@given(values_lists, st.integers(1, 100))
def test_a_percentile_is_at_most_one_percent_above_the_true_value(values: list[int], percent: int) -> None:
    true = sorted(values)[max(1, math.ceil(Fraction(percent, 100) * len(values))) - 1]
    assert true <= histogram_of(values).percentile(percent) <= true * 1.01


@pytest.mark.parametrize("value", [0, 1, 127, 128, 254, 255])
def test_small_values_are_exact(value: int) -> None:
    assert histogram_of([value, 10_000]).percentile(50) == value


@pytest.mark.parametrize("value", [255, 256, 511, 512, 65_535, 65_536, 2**40])
def test_the_highest_percentile_is_the_maximum_itself(value: int) -> None:
    assert histogram_of([1, value]).percentile(100) == histogram_of([1, value]).max == value


def test_a_histogram_without_values_answers_zero() -> None:
    empty = Histogram()
    assert (empty.total, empty.max, empty.percentile(50), empty.percentile(100), empty.mean()) == (0, 0, 0, 0, 0)


def test_percentile_zero_is_the_smallest_value() -> None:
    assert histogram_of([3, 7, 9]).percentile(0) == 3


def test_a_negative_value_counts_as_zero() -> None:
    histogram = histogram_of([-5])
    assert (histogram.total, histogram.max, histogram.percentile(100)) == (1, 0, 0)


@given(values_lists)
def test_the_mean_is_that_of_the_values_to_within_half_a_bucket(values: list[int]) -> None:
    assert math.isclose(histogram_of(values).mean(), sum(values) / len(values), rel_tol=0.004)


@given(values_lists, values_lists)
def test_the_sum_of_histograms_is_that_of_all_their_values(some: list[int], others: list[int]) -> None:
    both, all_at_once = histogram_of(some) + histogram_of(others), histogram_of(some + others)
    assert (both.to_json(), both.total) == (all_at_once.to_json(), all_at_once.total)


def test_adding_leaves_the_summands_as_they_are() -> None:
    one = histogram_of([1])
    (one + one).record(5)
    assert (one.total, one.max) == (1, 1)


@given(values_lists)
def test_a_histogram_survives_json(values: list[int]) -> None:
    histogram = histogram_of(values)
    back = Histogram.from_json(json.loads(json.dumps(histogram.to_json())))
    assert (back.to_json(), back.total, back.max) == (histogram.to_json(), len(values), max(values))
    back.record(7)
    assert back.total == len(values) + 1


def test_an_empty_histogram_survives_json() -> None:
    assert Histogram.from_json(json.loads(json.dumps(Histogram().to_json()))).total == 0


# --- Quantiles and tick times ---------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_a_quantile_is_the_smallest_value_that_enough_values_do_not_exceed(values: list[float], q: float) -> None:
    ordered = sorted(values)
    answer = quantile(ordered, q)
    assert sum(value <= answer for value in ordered) >= q * len(ordered)
    assert sum(value < answer for value in ordered) < q * len(ordered)


@pytest.mark.parametrize(("q", "value"), [(0.0, 1.0), (0.01, 1.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)])
def test_quantiles_of_a_hundred_values(q: float, value: float) -> None:
    assert quantile([float(number) for number in range(1, 101)], q) == value


def test_a_quantile_of_nothing_is_zero() -> None:
    assert quantile([], 0.5) == 0.0
