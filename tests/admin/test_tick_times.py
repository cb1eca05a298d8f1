"""How long ticks take."""

from __future__ import annotations

from zoneserver.admin.tick_times import PHASES, TickTimes


def test_tick_ms_is_the_sum_of_the_phases_without_ingest() -> None:
    times = TickTimes(10)
    times.record(9.0, 0.001, 0.002, 0.004, 0.008, 0.016)
    assert times.tick_ms() == {"p50": 31.0, "p99": 31.0, "max": 31.0}


def test_phases_ms_are_means_in_milliseconds() -> None:
    times = TickTimes(10)
    times.record(*(0.001 * number for number in range(1, 7)))
    times.record(*(0.003 * number for number in range(1, 7)))
    assert times.phases_ms() == {phase: 2.0 * number for number, phase in enumerate(PHASES, 1)}


def test_tick_times_keep_only_the_newest_ticks() -> None:
    times = TickTimes(2)
    for rules in (9.0, 0.001, 0.002):
        times.record(0.0, rules, 0.0, 0.0, 0.0, 0.0)
    assert times.tick_ms() == {"p50": 1.0, "p99": 2.0, "max": 2.0}
    assert times.phases_ms()["rules"] == 1.5


def test_tick_times_before_the_first_tick_are_zero() -> None:
    times = TickTimes(2)
    assert times.tick_ms() == {"p50": 0.0, "p99": 0.0, "max": 0.0}
    assert times.phases_ms() == dict.fromkeys(PHASES, 0.0)


def test_tick_times_count_all_ticks_in_buckets_each_of_which_includes_its_bound() -> None:
    times = TickTimes(1)
    for rules in (0.001, 0.0015, 0.2, 0.25):
        times.record(9.0, rules, 0.0, 0.0, 0.0, 0.0)
    figures = times.figures()
    ticks = figures["tick_durations_ms"]
    assert ticks == {
        "1": 1,
        "2": 2,
        "5": 2,
        "10": 2,
        "20": 2,
        "30": 2,
        "50": 2,
        "75": 2,
        "100": 2,
        "200": 3,
        "+Inf": 4,
        "sum": 452.5,
    }
    phases = figures["phase_durations_ms"]
    assert list(phases) == list(PHASES)
    assert phases["rules"] == ticks
    assert (phases["ingest"]["200"], phases["ingest"]["+Inf"], phases["encode"]["1"]) == (0, 4, 4)
