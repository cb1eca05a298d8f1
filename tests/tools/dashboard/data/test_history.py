"""Samples of a server: rates, restarts, and totals since a reset."""

from __future__ import annotations

import dataclasses

import pytest
from helpers.dashboards import (
    stats,
    stats_after,
)
from hypothesis import given
from hypothesis import strategies as st
from zonetools.dashboard.data.history import History, restarted

from zoneserver.admin.rates import counted_since, rates_between
from zoneserver.admin.stats import Stats


def test_rates_are_per_second_of_the_server_clock() -> None:
    rates = rates_between(
        stats(), stats_after(2.0, actions_in_total=100, deliveries_out_total=30_000, bytes_in_total=500)
    )
    assert rates is not None
    assert (rates.seconds, rates.actions_in_per_s, rates.deliveries_out_per_s) == (2.0, 50.0, 15_000.0)
    assert (rates.amplification, rates.bytes_in_per_s, rates.encodes_per_tick) == (300.0, 250.0, 1.0)


def test_rates_of_an_idle_server_do_not_divide_by_zero() -> None:
    assert rates_between(stats(), stats()) is None
    rates = rates_between(stats(), stats(uptime_s=11.0))
    assert rates is not None
    assert (rates.amplification, rates.encodes_per_tick) == (None, None)


def test_rates_span_one_interval_at_any_sampling_rate() -> None:
    history = History(interval=1.0, seconds=60)
    samples = [history.add(stats_after(step / 4, actions_in_total=10 * step), at=step / 4) for step in range(12)]
    assert samples[0].rates is None
    spans = [sample.rates.seconds for sample in samples if sample.rates is not None]
    assert spans == [0.25, 0.5, 0.75, *[1.0] * 8]


def test_history_drops_samples_older_than_its_length() -> None:
    history = History(interval=1.0, seconds=5)
    for step in range(20):
        history.add(stats_after(step), at=float(step))
    assert [sample.at for sample in history.samples()] == [14.0, 15.0, 16.0, 17.0, 18.0, 19.0]


@pytest.mark.parametrize(
    "after",
    [
        stats_after(1.0, pid=1),
        stats(uptime_s=0.5),
        stats_after(1.0, actions_in_total=-1),
        stats_after(1.0, ticks_total=-200),
    ],
    ids=["another process", "younger", "fewer actions", "fewer ticks"],
)
def test_history_has_no_rates_in_the_first_sample_after_a_restart(after: Stats) -> None:
    assert restarted(stats(), after)
    history = History(interval=1.0, seconds=60)
    history.add(stats(), at=0.0)
    assert history.add(after, at=1.0).rates is None
    assert history.restarts == 1
    grown = dataclasses.replace(
        after, uptime_s=after.uptime_s + 1, actions_in_total=after.actions_in_total + 7, ticks_total=after.ticks_total
    )
    rates = history.add(grown, at=2.0).rates
    assert rates is not None
    assert rates.actions_in_per_s == 7.0
    assert history.restarts == 1


def test_stats_from_json_reads_newer_servers_and_rejects_other_documents() -> None:
    assert Stats.from_json({**stats().to_json(), "something_new": 1}) == stats()
    for document in ([], {}, {"schema": "other/1"}, {"schema": "zone-stats/1"}):
        with pytest.raises(ValueError):
            Stats.from_json(document)


counts = st.dictionaries(st.sampled_from(["DEAD", "TOO_FAST", "MUTED"]), st.integers(0, 10**6))


@given(before=counts, more=counts, actions=st.integers(0, 10**12), new=st.integers(0, 10**9))
def test_counted_since_is_the_difference_of_the_counters(
    before: dict[str, int], more: dict[str, int], actions: int, new: int
) -> None:
    after = {code: before.get(code, 0) + more.get(code, 0) for code in before | more}
    counted = counted_since(
        stats(refusals=before, actions_in_total=actions),
        stats(refusals=after, actions_in_total=actions + new, tick=77, uptime_s=99.0),
    )
    assert counted.refusals == {code: number for code, number in more.items() if number}
    assert counted.actions_in_total == new
    assert (counted.closes, counted.restraints, counted.ticks_total) == ({}, {}, 0)
    assert (counted.tick, counted.uptime_s, counted.players) == (77, 99.0, 300), "other values are copied"


def test_reset_drops_the_past_and_counts_from_zero() -> None:
    history = History(1.0, 60)
    history.reset(0.0, "12:00:00")
    assert history.reset_at is None, "a reset before the first sample does nothing"
    for step in range(5):
        history.add(
            dataclasses.replace(stats_after(step, actions_in_total=10 * step), overruns_total=3), at=float(step)
        )
    history.reset(4.5, "12:34:56")
    (newest,) = history.samples()
    assert (newest.at, newest.stats.actions_in_total, newest.stats.overruns_total) == (4.0, 0, 0)
    sample = history.add(
        dataclasses.replace(stats_after(5, actions_in_total=57), players=200, overruns_total=4), at=5.0
    )
    assert sample.rates is not None, "rates do not start again"
    assert sample.rates.actions_in_per_s == 17.0
    assert sample.stats.actions_in_total == 1057, "the sample itself has the totals of the server"
    shown = history.samples()[-1].stats
    assert (shown.actions_in_total, shown.overruns_total, shown.closes) == (17, 1, {})
    assert history.reset_at is not None
    assert history.reset_at.clock == "12:34:56"


def test_peak_players_is_counted_from_the_reset() -> None:
    history = History(1.0, 60)
    for step, players in enumerate((100, 900, 300, 400, 200)):
        history.add(dataclasses.replace(stats_after(step), players=players, players_peak=900), at=float(step))
        if players == 300:
            history.reset(float(step), "12:00:00")
    assert history.samples()[-1].stats.players_peak == 400


def test_restart_ends_the_count_since_a_reset() -> None:
    history = History(1.0, 60)
    history.add(stats(), at=0.0)
    history.reset(0.0, "12:00:00")
    history.add(stats(pid=7, uptime_s=1.0, actions_in_total=5), at=1.0)
    assert history.reset_at is None
    assert history.samples()[-1].stats.actions_in_total == 5
