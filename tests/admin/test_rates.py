"""Rates between two samples of the statistics."""

from __future__ import annotations

from helpers.server_stats import stats

from zoneserver.admin.rates import counted_since, rates_between

BEFORE = stats(uptime_s=10.0, ticks_total=200, actions_in_total=50, encodes_total=200, refusals={"DEAD": 1}, players=3)
AFTER = stats(
    uptime_s=14.0,
    ticks_total=280,
    actions_in_total=150,
    deliveries_out_total=1_000,
    encodes_total=280,
    refusals={"DEAD": 1, "COOLDOWN": 8},
    players=7,
)


def test_rates_are_per_second_of_the_servers_clock() -> None:
    rates = rates_between(BEFORE, AFTER)
    assert rates is not None
    assert (rates.seconds, rates.ticks_per_s, rates.actions_in_per_s) == (4.0, 20.0, 25.0)
    assert rates.refusals_per_s == 2.0
    assert (rates.amplification, rates.encodes_per_tick) == (10.0, 1.0)


def test_rates_without_actions_and_ticks_have_no_ratios() -> None:
    rates = rates_between(stats(uptime_s=1.0), stats(uptime_s=2.0))
    assert rates is not None
    assert (rates.amplification, rates.encodes_per_tick) == (None, None)


def test_rates_between_equal_times_are_none() -> None:
    assert rates_between(AFTER, AFTER) is None


def test_counted_since_reduces_counters_and_keeps_gauges() -> None:
    since = counted_since(BEFORE, AFTER)
    assert (since.actions_in_total, since.players) == (100, 7)
    assert since.refusals == {"COOLDOWN": 8}


def test_rates_to_json_rounds_to_three_decimals() -> None:
    rates = rates_between(stats(uptime_s=0.0), stats(uptime_s=3.0, joins_total=1))
    assert rates is not None
    assert rates.to_json()["joins_per_s"] == 0.333
