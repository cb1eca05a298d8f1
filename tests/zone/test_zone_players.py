"""How players join and leave the zone."""

from __future__ import annotations

import pytest
from helpers.driven_zone import DrivenZone
from helpers.yard import HZ, Yard, moved, replica_of, told, zone_of

from zoneserver.config import Limits
from zoneserver.zone.rules import Player


def test_joining_players_get_the_lowest_slots_with_the_next_tick() -> None:
    zone = zone_of()
    zone.join(7, "ann")
    zone.join(5, "bob")
    result = zone.step()
    assert result.joined == [(7, 0), (5, 1)]
    assert list(told(result).joins) == [(0, "ann"), (1, "bob")]


def test_joins_beyond_the_limit_of_a_tick_wait_in_order() -> None:
    zone = DrivenZone(Yard(), hz=HZ, seed=1, limits=Limits(joins_per_second=4 * HZ - 1))
    for ref in range(8):
        zone.join(ref, f"player-{ref}")
    zone.leave(1)
    zone.leave(6)
    joined = [[ref for ref, _ in zone.step().joined] for _ in range(3)]
    assert joined == [[0, 2, 3], [4, 5, 7], []]


@pytest.mark.parametrize(("hz", "joined"), [(1, 20), (10, 2), (20, 1), (100, 1)])
def test_joins_per_tick_follow_the_tick_rate_and_are_at_least_one(hz: int, joined: int) -> None:
    zone = DrivenZone(Yard(), hz=hz, seed=1, limits=Limits(joins_per_second=20))
    for ref in range(40):
        zone.join(ref, f"player-{ref}")
    assert len(zone.step().joined) == joined


def test_joining_player_may_act_in_the_tick_of_the_join() -> None:
    zone = zone_of()
    zone.join(1, "ann")
    zone.submit(1, 1, [("walk", 3, 4)])
    assert moved(told(zone.step())) == [(0, 1, 3, 4)]


def test_join_and_leave_within_one_tick_change_nothing() -> None:
    zone = zone_of("ann")
    before = zone.world.hash()
    zone.join(2, "bob")
    zone.submit(2, 1, [("say", "hi")])
    zone.leave(2)
    result = zone.step()
    assert (result.records, result.joined, result.refused) == (0, [], [])
    assert zone.world.hash() == before


def test_free_slot_goes_to_the_next_player() -> None:
    zone = zone_of("ann", "bob")
    zone.submit(1, 1, [("say", "last words")])
    zone.leave(1)
    zone.join(3, "eve")
    result = zone.step()
    tick = told(result)
    assert result.joined == [(3, 0)]
    assert (list(tick.leaves), list(tick.joins), list(tick.events)) == ([0], [(0, "eve")], [])
    assert zone.world.holders == ["eve", "bob"]


def test_lowest_free_slot_is_taken_first() -> None:
    zone = zone_of(*"abcdef")
    for ref in (5, 2, 6):
        zone.leave(ref)
    zone.step()
    for ref in (11, 12, 13, 14):
        zone.join(ref, f"new {ref}")
    assert zone.step().joined == [(11, 1), (12, 4), (13, 5), (14, 6)]


def test_player_may_return_within_one_tick_under_a_new_ref() -> None:
    zone = zone_of("ann")
    zone.leave(1)
    zone.join(2, "ann")
    assert zone.step().joined == [(2, 0)]


def test_join_with_a_leave_in_its_input_is_ignored() -> None:
    zone = zone_of("ann")
    zone.join(2, "bob")
    zone.leave(2)
    result = zone.step()
    assert (result.joined, result.ended) == ([], [])
    zone.join(3, "bob")
    assert zone.step().joined == [(3, 1)]


def test_leave_of_an_unknown_player_is_ignored() -> None:
    zone = zone_of("ann")
    zone.leave(7)
    assert told(zone.step()).leaves == ()


def test_actions_of_a_player_who_left_are_dropped() -> None:
    rules = Yard()
    zone = zone_of("ann", "bob", rules=rules)
    zone.submit(1, 1, [("say", "hi"), ("deny",)])
    zone.leave(1)
    result = zone.step()
    assert list(told(result).events) == []
    assert result.refused == []
    assert ("hi", "ann") not in rules.noted


def test_leaves_come_before_joins_and_both_before_actions() -> None:
    rules = Yard()
    zone = zone_of("ann", "bob", rules=rules)
    rules.noted.clear()
    zone.submit(1, 1, [("say", "hi")])
    zone.join(3, "eve")
    zone.leave(2)
    zone.step()
    assert rules.noted == [("on_leave", "bob"), ("on_join", "eve"), ("hi", "ann"), ("on_tick", "")]


class Parting(Yard):
    """A game that changes players in `on_leave`."""

    def __init__(self, change: str) -> None:
        super().__init__()
        self.change = change

    def on_leave(self, player: Player) -> None:
        for changed in self.players.values() if self.change == "all" else [player]:
            changed["hp"] -= 1
        if self.change == "place":
            player.place(5, 5, 1, 1)
        elif self.change == "move":
            player.move(1, 1)


@pytest.mark.parametrize("leaving", [[1], [2], [3], [1, 2], [2, 3], [1, 2, 3]], ids=str)
@pytest.mark.parametrize("change", ["stat", "place", "move", "all"])
def test_on_leave_may_change_players(change: str, leaving: list[int]) -> None:
    zone = zone_of("ann", "bob", "eve", rules=Parting(change))
    replica = replica_of(zone)
    for ref in leaving:
        zone.leave(ref)
    replica.apply(told(zone.step()))
    assert replica.snapshot() == zone.world.snapshot()
