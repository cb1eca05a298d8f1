"""The plaza: walking, fighting, healing and talking, at ten and at twenty ticks a second."""

from typing import Any

import pytest
from helpers.driven_zone import DrivenZone
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.games.plaza import EMOTES, Plaza
from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.zone.rules import Player

at_any_rate = pytest.mark.parametrize("hz", [10, 20])


class Square:
    """A plaza with ann and bob on it, a metre apart, as a test steps through it."""

    def __init__(self, hz: int, names: tuple[str, ...] = ("ann", "bob")) -> None:
        self.hz = hz
        self.rules = Plaza()
        self.zone = DrivenZone(self.rules, hz=hz, seed=1)
        self.seq = 0
        self.events: list[tuple[Any, ...]] = []
        for ref, name in enumerate(names, 1):
            self.zone.join(ref, name)
        self.tick()
        self.people = list(self.rules.players.values())
        for number, player in enumerate(self.people):
            player.place(5000 + 100 * number, 5000)

    def tick(self, ticks: int = 1) -> list[str]:
        """Some ticks; returns the codes of what was refused in them."""
        codes = []
        for _ in range(ticks):
            result = self.zone.step()
            codes += [refusal.code for _ref, refusal, _ in result.refused]
            tick = decode_server(result.frame)
            assert isinstance(tick, Tick)
            self.events += [(tick.tick, *event[2:]) for event in tick.events]
        return codes

    def act(self, ref: int, *sent: Any) -> list[str]:
        """One action and the tick it happens in; returns the codes of refusals."""
        self.seq += 1
        self.zone.submit(ref, self.seq, [sent])
        return self.tick()

    def said(self, kind: str) -> list[tuple[Any, ...]]:
        """(tick, value, ...) of every event of a kind so far."""
        return [(event[0], *event[2:]) for event in self.events if event[1] == kind]

    def kill(self, player: Player) -> None:
        """Ann strikes a player who has hardly any health left."""
        player["hp"] = 1
        assert self.act(1, "strike", player.slot) == []


# --- Walking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hz", "cap"), [(10, 50), (20, 25), (30, 17)])
def test_the_speed_cap_is_five_metres_a_second_rounded_up(hz: int, cap: int) -> None:
    square = Square(hz)
    assert square.act(1, "move", cap, 0) == []
    assert square.act(1, "move", 0, -cap) == []
    assert square.act(1, "move", cap + 1, 0) == ["TOO_FAST"]
    assert square.act(1, "move", -cap, 1) == ["TOO_FAST"]


@at_any_rate
def test_the_speed_cap_holds_along_the_diagonal(hz: int) -> None:
    square = Square(hz)
    fifth = 500 // hz // 5
    assert square.act(1, "move", 3 * fifth, 4 * fifth) == []
    assert square.act(1, "move", 3 * fifth, 4 * fifth + 1) == ["TOO_FAST"]


@at_any_rate
def test_who_is_refused_to_walk_faster_walks_on_as_before(hz: int) -> None:
    square = Square(hz)
    square.act(1, "move", 3, 4)
    square.act(1, "move", 127, 127)
    assert square.people[0].velocity == (3, 4)


@at_any_rate
@pytest.mark.parametrize(("direction", "end"), [((1, 0), (10_000, 5000)), ((0, -1), (5000, 0))])
def test_who_walks_on_stands_at_the_edge_in_the_end(hz: int, direction: tuple[int, int], end: tuple[int, int]) -> None:
    square = Square(hz)
    cap = 500 // hz
    square.act(1, "move", direction[0] * cap, direction[1] * cap)
    square.tick(11 * hz)
    assert square.people[0].position == end


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_everybody_comes_in_within_bounds_with_full_health(seed: int) -> None:
    zone = DrivenZone(Plaza(), hz=20, seed=seed)
    zone.join(1, "ann")
    zone.step()
    player = zone.rules.players[0]
    x, y = player.position
    assert 0 <= x <= 10_000
    assert 0 <= y <= 10_000
    assert (player["hp"], player["kills"], player.velocity) == (100, 0, (0, 0))


# --- Strike, bolt and heal ------------------------------------------------------------------------


@at_any_rate
def test_a_strike_takes_fifteen_at_once_and_is_told(hz: int) -> None:
    square = Square(hz)
    assert square.act(1, "strike", 1) == []
    assert square.people[1]["hp"] == 85
    assert square.said("strike") == [(2, 1)]
    assert square.said("hit") == [(2, 0, 1, 15)]


@at_any_rate
@pytest.mark.parametrize(("skill", "reach"), [("strike", 250), ("bolt", 2000), ("heal", 1000)])
def test_a_skill_reaches_so_far_and_not_a_centimetre_farther(hz: int, skill: str, reach: int) -> None:
    square = Square(hz)
    square.people[1].place(5000, 5000 + reach + 1)
    assert square.act(1, skill, 1) == ["OUT_OF_RANGE"]
    square.people[1].place(5000, 5000 + reach)
    assert square.act(1, skill, 1) == []


@at_any_rate
@pytest.mark.parametrize(("skill", "cooldown_s"), [("strike", 0.5), ("bolt", 1.5), ("heal", 3.0)])
def test_a_skill_is_ready_again_after_its_cooldown_and_not_a_tick_earlier(
    hz: int, skill: str, cooldown_s: float
) -> None:
    square = Square(hz)
    assert square.act(1, skill, 1) == []
    square.tick(round(cooldown_s * hz) - 2)
    assert square.act(1, skill, 1) == ["COOLDOWN"]
    assert square.act(1, skill, 1) == []


@at_any_rate
def test_a_cooldown_is_of_one_skill_and_of_one_player(hz: int) -> None:
    square = Square(hz)
    assert square.act(1, "strike", 1) == []
    assert square.act(1, "bolt", 1) == []
    assert square.act(1, "heal", 1) == []
    assert square.act(2, "strike", 0) == []


@at_any_rate
def test_a_skill_that_is_refused_costs_no_cooldown(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(0, 0)
    assert square.act(1, "strike", 1) == ["OUT_OF_RANGE"]
    square.people[1].place(5000, 5000)
    assert square.act(1, "strike", 1) == []


@at_any_rate
def test_the_next_in_the_same_slot_has_no_cooldown_to_wait_for(hz: int) -> None:
    square = Square(hz)
    square.act(1, "strike", 1)
    square.zone.leave(1)
    square.zone.join(3, "eve")
    square.tick()
    square.people[1].place(*square.rules.players[0].position)
    assert square.act(3, "strike", 1) == []
    assert len(square.rules.ready) == 1


@at_any_rate
@pytest.mark.parametrize("distance", [0, 100, 1000, 2000])
def test_a_bolt_flies_twenty_metres_a_second_and_then_takes_twenty(hz: int, distance: int) -> None:
    square = Square(hz)
    square.people[1].place(5000 + distance, 5000)
    assert square.act(1, "bolt", 1) == []
    flight = max(1, distance * hz // 2000)
    assert square.said("bolt") == [(2, 1, flight)]
    square.tick(flight - 1)
    assert square.people[1]["hp"] == 100
    square.tick()
    assert square.people[1]["hp"] == 80
    assert square.said("hit") == [(2 + flight, 0, 1, 20)]


@at_any_rate
def test_a_bolt_follows_its_target_wherever_it_goes(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.act(1, "bolt", 1)
    square.people[1].place(0, 0)
    square.tick(hz)
    assert square.people[1]["hp"] == 80


@at_any_rate
def test_a_bolt_whose_target_has_left_hits_nobody_not_even_the_next_in_its_slot(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.act(1, "bolt", 1)
    square.zone.leave(2)
    square.zone.join(3, "eve")
    square.tick(2 * hz)
    assert square.said("hit") == []
    assert square.rules.players[1]["hp"] == 100
    assert square.zone.counters.rule_failures_total == 0


@at_any_rate
def test_a_bolt_whose_target_has_died_hits_nobody(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(5200, 5000)
    square.act(1, "bolt", 1)
    square.people[1]["hp"] = 0
    square.tick(hz)
    assert square.said("hit") == square.said("death") == []


@at_any_rate
def test_a_bolt_lands_although_who_threw_it_has_left(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.people[1]["hp"] = 5
    square.act(1, "bolt", 1)
    square.zone.leave(1)
    square.tick(2 * hz)
    assert [death[1] for death in square.said("death")] == [1]
    assert square.zone.counters.rule_failures_total == 0


@at_any_rate
def test_what_a_bolt_does_is_never_put_down_to_the_next_in_its_throwers_slot(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.people[1]["hp"] = 5
    square.act(1, "bolt", 1)
    square.zone.leave(1)
    square.zone.join(3, "eve")
    square.tick(2 * hz)
    assert square.rules.players[0]["kills"] == 0
    assert [(death[1], death[2]) for death in square.said("death")] != [(1, 0)]


@at_any_rate
@pytest.mark.parametrize(("before", "after"), [(50, 75), (75, 100), (76, 100), (100, 100)])
def test_healing_gives_twenty_five_up_to_full_health(hz: int, before: int, after: int) -> None:
    square = Square(hz)
    square.people[1]["hp"] = before
    assert square.act(1, "heal", 1) == []
    assert square.people[1]["hp"] == after


@at_any_rate
def test_one_may_heal_oneself(hz: int) -> None:
    square = Square(hz)
    square.people[0]["hp"] = 10
    assert square.act(1, "heal", 0) == []
    assert square.people[0]["hp"] == 35


# --- Death ----------------------------------------------------------------------------------------


@at_any_rate
def test_who_dies_stops_and_who_killed_is_credited(hz: int) -> None:
    square = Square(hz)
    ann, bob = square.people
    bob.move(0, 3)
    square.kill(bob)
    at = bob.position
    square.tick(hz)
    assert (bob.position, bob.velocity, bob["hp"]) == (at, (0, 0), 0)
    assert (ann["kills"], bob["kills"]) == (1, 0)
    assert square.said("death") == [(2, 1, 0)]


@at_any_rate
def test_who_dies_comes_back_after_three_seconds_in_full_health(hz: int) -> None:
    square = Square(hz)
    bob = square.people[1]
    square.kill(bob)
    square.tick(3 * hz - 1)
    assert (bob["hp"], square.said("respawn")) == (0, [])
    square.tick()
    assert (bob["hp"], square.said("respawn")) == (100, [(2 + 3 * hz, 1)])
    x, y = bob.position
    assert 0 <= x <= 10_000
    assert 0 <= y <= 10_000
    assert bob.position != (5100, 5000)


@at_any_rate
@pytest.mark.parametrize("sent", [("move", 1, 1), ("strike", 0), ("bolt", 0), ("heal", 0), ("heal", 1)], ids=str)
def test_the_dead_neither_walk_nor_use_skills(hz: int, sent: tuple[Any, ...]) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    assert square.act(2, *sent) == ["DEAD"]


@at_any_rate
@pytest.mark.parametrize("skill", ["strike", "bolt", "heal"])
def test_the_dead_are_no_target(hz: int, skill: str) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    square.tick(hz)
    assert square.act(1, skill, 1) == ["TARGET_DEAD"]


@at_any_rate
def test_who_came_back_may_walk_again(hz: int) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    square.tick(3 * hz)
    assert square.act(2, "move", 1, 1) == []


@at_any_rate
def test_who_leaves_dead_is_not_brought_back(hz: int) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    square.zone.leave(2)
    square.zone.join(3, "eve")
    square.tick()
    at = square.rules.players[1].position
    square.tick(4 * hz)
    assert square.said("respawn") == []
    assert square.rules.players[1].position == at
    assert square.zone.counters.rule_failures_total == 0


@at_any_rate
@pytest.mark.parametrize("skill", ["strike", "bolt", "heal"])
def test_a_skill_at_nobody_is_refused(hz: int, skill: str) -> None:
    assert Square(hz).act(1, skill, 2) == [RefusalCode.NO_TARGET]


# --- Talk -----------------------------------------------------------------------------------------


@at_any_rate
@pytest.mark.parametrize("text", ["x" * 200, "é" * 100, "a"])
def test_what_is_said_is_heard_by_everybody(hz: int, text: str) -> None:
    square = Square(hz)
    assert square.act(1, "say", text) == []
    assert square.said("say") == [(2, text)]


@at_any_rate
@pytest.mark.parametrize("text", ["x" * 201, "é" * 100 + "x", "", "two\nlines"], ids=len)
def test_what_is_too_long_or_not_printable_cannot_be_said(hz: int, text: str) -> None:
    assert Square(hz).act(1, "say", text) == [RefusalCode.BAD_PAYLOAD]


@pytest.mark.parametrize("which", [0, len(EMOTES) - 1])
def test_each_emote_there_is_is_seen(which: int) -> None:
    square = Square(20)
    assert square.act(1, "emote", which) == []
    assert square.said("emote") == [(2, which)]


@pytest.mark.parametrize("which", [-1, len(EMOTES), True, "wave"])
def test_an_emote_that_there_is_not_is_refused(which: Any) -> None:
    assert Square(20).act(1, "emote", which) == [RefusalCode.BAD_PAYLOAD]
