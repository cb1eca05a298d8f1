"""What took most of a tick."""

from __future__ import annotations

import pytest
from helpers.yard import zone_of

from zoneserver.zone.rules import Player, Rules, action


class Sundial(Rules):
    """A game whose rules take as long as the test says, by a clock of the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self.costs: dict[str, float] = {}

    def clock(self) -> float:
        return self.now

    def spend(self, what: str) -> None:
        self.now += self.costs.get(what, 0.0)

    def on_join(self, player: Player) -> None:
        self.spend("on_join")

    def on_leave(self, player: Player) -> None:
        self.spend("on_leave")
        raise ZeroDivisionError

    def on_tick(self) -> None:
        self.spend("on_tick")

    def wolves_turn(self) -> None:
        self.spend("wolves")

    def rain(self) -> None:
        self.spend("rain")

    @action
    def bolt(self, player: Player) -> None:
        self.spend(f"bolt of {player.name}")

    @action
    def say(self, player: Player, text: str) -> None:
        self.spend("say")


@pytest.mark.parametrize(
    ("costs", "slowest"),
    [
        ({}, ("nothing", 0.0)),
        ({"on_tick": 8.0, "bolt of ann": 4.0}, ("on_tick", 8.0)),
        ({"on_join": 8.0, "on_leave": 2.0}, ("on_join", 8.0)),
        ({"on_join": 1.0, "on_leave": 2.0}, ("on_leave", 2.0)),
        ({"on_tick": 4.0, "bolt of ann": 8.0}, ("the action 'bolt' of ann", 8.0)),
        ({"say": 8.0}, ("the actions 'bolt', 'say' of bob", 8.0)),
        ({"wolves": 8.0, "rain": 4.0, "on_tick": 9.0}, ("the timer wolves_turn", 8.0)),
        ({"wolves": 4.0, "rain": 5.0, "bolt of ann": 8.0}, ("the timer rain", 5.0)),
        # No rule took half of the longest part.
        ({"bolt of ann": 3.0, "bolt of bob": 3.0, "bolt of cid": 3.0, "on_tick": 8.0}, ("the actions", 9.0)),
    ],
)
def test_rule_that_took_most_of_a_tick_is_named(costs: dict[str, float], slowest: tuple[str, float]) -> None:
    rules = Sundial()
    zone = zone_of("ann", "bob", "cid", "dan", rules=rules, clock=rules.clock)
    rules.after(1, rules.wolves_turn)
    rules.after(1, rules.rain)
    rules.costs = costs
    zone.join(5, "eve")
    zone.leave(4)
    zone.submit(1, 1, [("bolt",)])
    zone.submit(2, 1, [("say", "hi"), ("bolt",)])
    zone.submit(3, 1, [("bolt",), ("no such action",)])
    zone.step()
    assert zone.slowest() == slowest
    zone.step()
    assert zone.slowest() == (("on_tick", costs["on_tick"]) if "on_tick" in costs else ("nothing", 0.0))


def test_time_that_rules_take_changes_no_frame() -> None:
    fast, slow = Sundial(), Sundial()
    slow.costs = {"on_tick": 1.0, "on_join": 1.0}
    zones = [zone_of("ann", rules=rules, clock=rules.clock) for rules in (fast, slow)]
    assert zones[0].step().frame == zones[1].step().frame
    assert zones[0].slowest() != zones[1].slowest()
