"""The order of things after a refused action, and what it costs to take a removal back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from helpers.driven_zone import DrivenZone
from helpers.yard import codes, zone_of

from zoneserver.zone.rules import Player, Refused, Rules, Thing, action


class Quarry(Rules):
    kinds: ClassVar = {"stone": {}}

    @action
    def lift(self, player: Player, stone: Thing) -> None:
        stone.remove()
        raise Refused("TOO_HEAVY")


def quarry(stones: int) -> tuple[DrivenZone, Quarry]:
    """A zone with one player, in slot 0, and stones in the slots after it."""
    rules = Quarry()
    zone = zone_of("ann", rules=rules)
    for _ in range(stones):
        rules.spawn("stone", 0, 0)
    zone.step()
    return zone, rules


@pytest.mark.parametrize(
    "look",
    [
        list,
        lambda things: list(dict(things)),
        len,
        repr,
        lambda things: list(reversed(things)),
        lambda things: list(things.keys()),
        lambda things: list(things.values()),
        lambda things: list(things.items()),
        lambda things: list(things.copy()),
        lambda things: list(things | {}),
        lambda things: list({} | things),
        lambda things: list({**things}),
        lambda things: next(iter(things.values())),
    ],
)
def test_things_after_a_refused_removal_are_in_the_order_in_which_they_came(
    look: Callable[[Mapping[int, Thing]], Any],
) -> None:
    zone, rules = quarry(stones=4)
    before = look(rules.things)
    zone.submit(1, 1, [("lift", 3), ("lift", 1)])
    assert codes(zone.step()) == [(1, 1, "TOO_HEAVY"), (1, 2, "TOO_HEAVY")]
    assert look(rules.things) == before


def test_slot_of_a_refused_removal_is_free_only_once_its_thing_is_gone() -> None:
    zone, rules = quarry(stones=4)
    for seq in range(1, 4):
        zone.submit(1, seq, [("lift", 2)])
        zone.step()
    assert rules.spawn("stone", 0, 0).slot == 5
    rules.things[2].remove()
    assert [rules.spawn("stone", 0, 0).slot for _ in range(2)] == [2, 6]


def test_cost_of_a_refused_removal_does_not_grow_with_the_number_of_things() -> None:
    def seconds(stones: int) -> float:
        zone, rules = quarry(stones)
        for slot in range(stones // 2, stones):
            rules.things[slot].remove()
        zone.step()
        took = []
        for seq in range(1, 101, 10):
            zone.submit(1, seq, [("lift", 3)] * 10)
            began = time.process_time()
            zone.step()
            took.append(time.process_time() - began)
        return min(took)

    few, many = seconds(100), seconds(20_000)
    assert many < 10 * few
