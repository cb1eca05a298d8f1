"""A planned stop: who is told when."""

from __future__ import annotations

from typing import Any

import pytest

from zoneserver.control.stop_plan import StopPlan


class Loop:
    """A clock that a test moves, with the timers that are set by it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, int, Any, tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Any, *arguments: Any) -> Loop:
        self.timers.append((when, len(self.timers), call, arguments))
        return self

    def cancel(self) -> None:
        self.timers.clear()

    def run(self) -> None:
        for when, _, call, arguments in sorted(self.timers):
            self.now = when
            call(*arguments)


def planned(seconds: float, text: str = "") -> list[tuple[float, str]]:
    """What is said, each with the seconds since the plan was made."""
    loop, said = Loop(), list[tuple[float, str]]()
    plan = StopPlan(loop, lambda told: said.append((loop.now - 100, told)), lambda: said.append((loop.now - 100, "")))  # type: ignore[arg-type]
    plan.set(seconds, text)
    assert plan.is_set
    loop.run()
    return said


@pytest.mark.parametrize(
    ("seconds", "marks"),
    [(300, [0, 240, 270, 290, 295]), (60, [0, 30, 50, 55]), (30.5, [0, 0.5, 20.5, 25.5]), (5, [0]), (0.1, [0])],
)
def test_players_are_told_at_once_and_before_the_end(seconds: float, marks: list[float]) -> None:
    said = planned(seconds)
    assert [when for when, _ in said] == pytest.approx([*marks, seconds])
    assert said[-1][1] == ""
    assert len(set(said)) == len(said)


def test_text_stands_behind_the_time() -> None:
    assert [told for _, told in planned(60, "lunch")][:2] == [
        "the server stops in 1m: lunch",
        "the server stops in 30s: lunch",
    ]


def test_cancelled_plan_says_and_stops_nothing() -> None:
    loop, said = Loop(), list[str]()
    plan = StopPlan(loop, said.append, lambda: said.append("stop"))  # type: ignore[arg-type]
    plan.set(60)
    plan.cancel()
    loop.run()
    assert (said, plan.is_set) == (["the server stops in 1m"], False)


@pytest.mark.parametrize(("seconds", "when"), [(None, "when all have left"), (600, "in 10m at the latest")])
def test_draining_plan_stops_when_the_last_player_has_left(seconds: float | None, when: str) -> None:
    loop, said = Loop(), list[str]()
    plan = StopPlan(loop, said.append, lambda: said.append("stop"))  # type: ignore[arg-type]
    plan.stop_if_empty(0)
    plan.drain(seconds, "lunch")
    assert (said, plan.is_set) == ([f"the server takes no new players, and stops {when}: lunch"], True)
    plan.stop_if_empty(1)
    assert len(said) == 1
    plan.stop_if_empty(0)
    plan.stop_if_empty(0)
    loop.run()
    assert said[1:] == ["stop"]


def test_draining_plan_stops_at_the_latest_at_its_end() -> None:
    loop, said = Loop(), list[str]()
    plan = StopPlan(loop, said.append, lambda: said.append("stop"))  # type: ignore[arg-type]
    plan.drain(7)
    loop.run()
    assert said[1:] == ["the server stops in 5s", "stop"]
