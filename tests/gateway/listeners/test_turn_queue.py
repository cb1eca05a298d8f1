"""The queue that divides work over the turns of the loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.fake_loop import FakeLoop

from zoneserver.gateway.listeners.turn_queue import TurnQueue


class Steps:
    """Steps that take time of a clock, and record that they ran."""

    def __init__(self, seconds_per_turn: float) -> None:
        self.loop = FakeLoop()
        self.now = 0.0
        self.ran: list[str] = []
        self.queue = TurnQueue(self.loop, seconds_per_turn, lambda: self.now)

    def step(self, name: str, seconds: float, times: int = 1) -> Callable[[], None]:
        left = [times]

        def step() -> None:
            self.now += seconds
            self.ran.append(name)
            left[0] -= 1
            if left[0]:
                self.queue.add(step)

        return step


def test_turn_ends_when_its_time_is_spent() -> None:
    steps = Steps(seconds_per_turn=1.0)
    for name in "abcdef":
        steps.queue.add(steps.step(name, 0.4))
    ran = []
    while steps.loop.turn():
        ran.append("".join(steps.ran))
        steps.ran.clear()
    assert ran == ["abc", "def"]


def test_step_that_is_longer_than_a_turn_runs_alone() -> None:
    steps = Steps(seconds_per_turn=1.0)
    for name in "abc":
        steps.queue.add(steps.step(name, 5.0))
    assert (steps.loop.turn(), steps.ran) == (True, ["a"])
    assert (steps.loop.turn(), steps.ran) == (True, ["a", "b"])


def test_step_with_more_to_do_waits_behind_all_others() -> None:
    steps = Steps(seconds_per_turn=1.0)
    steps.queue.add(steps.step("long", 0.6, times=3))
    steps.queue.add(steps.step("short", 0.1))
    steps.loop.run()
    assert steps.ran == ["long", "short", "long", "long"]


def test_queue_goes_on_after_a_step_that_raises() -> None:
    steps = Steps(seconds_per_turn=1.0)

    def raising() -> None:
        raise ZeroDivisionError

    steps.queue.add(raising)
    steps.queue.add(steps.step("next", 0.1))
    with pytest.raises(ZeroDivisionError):
        steps.loop.run()
    steps.loop.run()
    assert steps.ran == ["next"]


def test_idle_queue_schedules_nothing() -> None:
    steps = Steps(seconds_per_turn=1.0)
    steps.queue.add(steps.step("once", 0.1))
    steps.loop.run()
    assert not steps.loop.turn()
    steps.queue.add(steps.step("again", 0.1))
    assert steps.loop.turn()
    assert steps.ran == ["once", "again"]
