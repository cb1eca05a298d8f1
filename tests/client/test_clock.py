"""The clock of a client, against simulated zones whose messages arrive with jitter."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoneclient.clock import Clock


class Zone:
    """A zone whose true time is known, and a client with a clock. Seconds of the server and of the client are one."""

    def __init__(self, seed: int, hz: int, delay: float, jitter: float, answer_delay: float | None = None) -> None:
        self.random = random.Random(seed)
        self.hz = hz
        self.delay, self.jitter = delay, jitter
        self.answer_delay = delay if answer_delay is None else answer_delay
        self.seconds, self.tick, self.fraction = 0.0, 1000, 0.0
        self.dilation = 1.0
        self.clock = Clock(hz, self.tick, self.delay)
        # What is on its way to the client, by the moment of its arrival, and the answers to the last PING.
        self.flying: list[tuple[float, str, tuple[float, ...]]] = []
        self.errors: list[float] = []
        self.shown = 0.0

    @property
    def now(self) -> float:
        """The true fractional tick."""
        return self.tick + self.fraction

    def send(self, kind: str, *values: float) -> None:
        delay = self.delay + self.random.uniform(0, self.jitter)
        # One connection keeps the order.
        latest = max([arrival for arrival, *_ in self.flying], default=0.0)
        self.flying.append((max(latest, self.seconds + delay), kind, values))

    def run(self, seconds: float, step: float = 0.005) -> list[float]:
        """Let time pass; return the errors of the clock in ticks."""
        errors = []
        for _ in range(round(seconds / step)):
            self.seconds += step
            self.fraction += step * self.hz * self.dilation
            if self.fraction >= 1:
                self.tick, self.fraction = self.tick + 1, self.fraction - 1
                self.send("tick", self.tick, self.dilation)
            if round(self.seconds / step) % round(2 / step) == 1:
                self.send("pong", self.tick, self.fraction / (self.hz * self.dilation) * 1e6, self.seconds)
            while self.flying and self.flying[0][0] <= self.seconds:
                arrival, kind, values = self.flying.pop(0)
                if kind == "tick":
                    self.clock.tick_arrived(int(values[0]), values[1], arrival)
                else:
                    sent = values[2] - self.answer_delay
                    self.clock.pong_arrived(int(values[0]), int(values[1]), sent, arrival)
            shown = self.clock.now(self.seconds)
            assert shown >= self.shown, "the clock ran backwards"
            self.shown = shown
            errors.append(shown - self.now)
        return errors


def test_clock_without_delay_shows_the_true_tick() -> None:
    zone = Zone(1, hz=20, delay=0.0, jitter=0.0)
    zone.run(3)
    assert max(map(abs, zone.run(3))) < 0.25


@settings(max_examples=30)
@given(
    seed=st.integers(0, 999),
    hz=st.sampled_from([4, 20, 60]),
    delay=st.sampled_from([0.001, 0.02, 0.1]),
    jitter=st.sampled_from([0.0, 0.01, 0.1]),
)
def test_error_is_within_the_jitter_of_equal_delays(seed: int, hz: int, delay: float, jitter: float) -> None:
    zone = Zone(seed, hz, delay, jitter)
    zone.run(6)
    # The middle of the bounds: half of the jitter of one PONG, and the drift of two PINGs.
    assert max(map(abs, zone.run(4))) <= (jitter / 2 + 0.02) * hz + 0.05


def test_unequal_delays_shift_the_clock_by_half_their_difference_at_most() -> None:
    zone = Zone(2, hz=20, delay=0.1, jitter=0.0, answer_delay=0.0)
    zone.run(3)
    assert max(map(abs, zone.run(3))) <= 0.05 * 20 + 0.3


def test_clock_follows_the_dilation() -> None:
    zone = Zone(3, hz=20, delay=0.02, jitter=0.01)
    zone.run(4)
    zone.dilation = 0.25
    zone.run(4)
    assert max(map(abs, zone.run(4))) < 0.5
    zone.dilation = 1.0
    zone.run(4)
    assert max(map(abs, zone.run(4))) < 0.5


def test_clock_stands_while_the_zone_stands_and_goes_on_with_it() -> None:
    zone = Zone(4, hz=20, delay=0.02, jitter=0.0)
    zone.run(4)
    zone.dilation, zone.fraction = 1e-9, 0.5
    before, tick = zone.now, zone.tick
    stood = zone.run(3)
    assert zone.tick == tick
    # One tick until the next frame would come, and half a second for a late one.
    assert zone.shown - before < 1 + 20 * 0.6
    assert stood[-1] > 0
    zone.dilation = 1.0
    zone.run(4)
    assert max(map(abs, zone.run(2))) < 0.5


@pytest.mark.parametrize("tick", [2**40, -5])
def test_clock_survives_a_server_that_lies(tick: int) -> None:
    clock = Clock(20, 100, now=0.0)
    clock.pong_arrived(tick, -(2**60), sent=0.0, now=0.1)
    clock.tick_arrived(tick, 0.0, now=0.2)
    first = clock.now(0.3)
    clock.tick_arrived(101, 1.0, now=0.4)
    assert clock.now(0.5) >= first


def test_late_report_of_an_arrival_counts_as_of_the_arrival() -> None:
    prompt, late = Clock(20, 100, now=0.0), Clock(20, 100, now=0.0)
    prompt.tick_arrived(103, 1.0, now=0.1)
    prompt.now(0.2)
    late.now(0.2)
    late.tick_arrived(103, 1.0, now=0.1)
    assert prompt.now(0.3) == pytest.approx(late.now(0.3), abs=0.05)


def test_rtt_is_that_of_the_last_ping() -> None:
    clock = Clock(20, 100, now=0.0)
    assert clock.rtt is None
    clock.pong_arrived(100, 0, sent=0.0, now=0.25)
    clock.pong_arrived(101, 0, sent=1.0, now=1.5)
    assert clock.rtt == 0.5
