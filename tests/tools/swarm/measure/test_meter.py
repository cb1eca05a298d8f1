"""The counters of one worker, cut into seconds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.bots.action_tracker import ActionCounts
from zonetools.swarm.measure.meter import Meter, Reading


class Counters:
    """The counters of a worker, which a meter reads."""

    def __init__(self) -> None:
        self.counts = ActionCounts()
        self.reading = Reading(moment=10.5)
        self.meter = Meter(self.counts, lambda: self.reading)

    def count(self, seconds: float, actions: int) -> None:
        """Let time pass, and count this many sent and seen actions."""
        now = self.reading
        self.reading = dataclasses.replace(now, moment=now.moment + seconds, sent=now.sent + actions)
        for _ in range(actions):
            self.counts.times.latency.record(1_000)


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["cut", "begin", "end"]), st.tuples(st.floats(0.001, 1.0), st.integers(0, 5)), st.just("cut")
    ),
    max_size=60,
)


@given(STEPS)
def test_meter_assigns_each_count_to_one_second_and_to_the_measured_time(steps: list[Any]) -> None:
    process = Counters()
    measured = total = measured_seconds = 0.0
    is_measuring, ever = False, False
    for step in steps:
        if step == "cut":
            process.meter.cut(players=1)
        elif step == "begin" and not ever:
            is_measuring = ever = True
            process.meter.begin()
        elif step == "end":
            is_measuring = False
            process.meter.end()
        elif isinstance(step, tuple):
            process.count(*step)
            total += step[1]
            measured += step[1] * is_measuring
            measured_seconds += step[0] * is_measuring
    process.meter.end()
    process.meter.cut(players=1)
    seconds = process.meter.seconds
    assert sum(second.counted.sent for second in seconds) == total
    assert sum(second.latency.total for second in seconds) == total
    assert sum(second.counted.moment for second in seconds) == pytest.approx(process.reading.moment - 10.5)
    assert process.meter.measured.sent == process.meter.times.latency.total == measured
    assert process.meter.measured.moment == pytest.approx(measured_seconds)


def test_second_keeps_its_name_if_a_timer_fires_early() -> None:
    process = Counters()
    for seconds in (0.4995, 1.0, 1.0002, 1.7, 0.8):  # cut at 10.9995, 11.9995, 12.9997, 14.6997, 15.4997
        process.count(seconds, 1)
        process.meter.cut(players=3)
    assert [second.at for second in process.meter.seconds] == [10, 11, 12, 13, 14]
