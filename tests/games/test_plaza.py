"""The demo game: walking, fighting, healing and talking, at ten and at twenty ticks per second."""

from typing import Any

import pytest
from helpers.driven_zone import DrivenZone
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.games.plaza import EMOTES, Plaza
from zoneserver.protocol.codes import RefusalCode
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.zone.rules import Player

at_any_rate = pytest.mark.parametrize("hz", [10, 20])


class Square:
    """A zone of the demo game with ann and bob, a metre apart, which a test steps tick by tick."""

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
        """Runs some ticks; returns the codes of the refusals in them."""
        codes = []
        for _ in range(ticks):
            result = self.zone.step()
            codes += [refusal.code for _ref, refusal, _ in result.refused]
            tick = decode_server(result.frame)
            assert isinstance(tick, Tick)
            self.events += [(tick.tick, *event[2:]) for event in tick.events]
        return codes

    def act(self, ref: int, *sent: Any) -> list[str]:
        """Sends one action and runs its tick; returns the codes of the refusals."""
        self.seq += 1
        self.zone.submit(ref, self.seq, [sent])
        return self.tick()

    def events_of(self, kind: str) -> list[tuple[Any, ...]]:
        """(tick, value, ...) of every event of this kind so far."""
        return [(event[0], *event[2:]) for event in self.events if event[1] == kind]

    def kill(self, player: Player) -> None:
        """Lets ann strike a player whose health is 1."""
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
def test_a_refused_move_does_not_change_the_velocity(hz: int) -> None:
    square = Square(hz)
    square.act(1, "move", 3, 4)
    square.act(1, "move", 127, 127)
    assert square.people[0].velocity == (3, 4)


@at_any_rate
@pytest.mark.parametrize(("direction", "end"), [((1, 0), (10_000, 5000)), ((0, -1), (5000, 0))])
def test_a_walking_player_stops_at_the_edge(hz: int, direction: tuple[int, int], end: tuple[int, int]) -> None:
    square = Square(hz)
    cap = 500 // hz
    square.act(1, "move", direction[0] * cap, direction[1] * cap)
    square.tick(11 * hz)
    assert square.people[0].position == end


@given(st.integers(0, 2**32))
def test_a_new_player_is_within_bounds_with_full_health(seed: int) -> None:
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
def test_strike_takes_15_health_at_once_and_causes_events(hz: int) -> None:
    square = Square(hz)
    assert square.act(1, "strike", 1) == []
    assert square.people[1]["hp"] == 85
    assert square.events_of("strike") == [(2, 1)]
    assert square.events_of("hit") == [(2, 0, 1, 15)]


@at_any_rate
@pytest.mark.parametrize(("skill", "reach"), [("strike", 250), ("bolt", 2000), ("heal", 1000)])
def test_a_skill_reaches_exactly_its_range(hz: int, skill: str, reach: int) -> None:
    square = Square(hz)
    square.people[1].place(5000, 5000 + reach + 1)
    assert square.act(1, skill, 1) == ["OUT_OF_RANGE"]
    square.people[1].place(5000, 5000 + reach)
    assert square.act(1, skill, 1) == []


@at_any_rate
@pytest.mark.parametrize(("skill", "cooldown_s"), [("strike", 0.5), ("bolt", 1.5), ("heal", 3.0)])
def test_a_skill_is_ready_again_exactly_after_its_cooldown(hz: int, skill: str, cooldown_s: float) -> None:
    square = Square(hz)
    assert square.act(1, skill, 1) == []
    square.tick(round(cooldown_s * hz) - 2)
    assert square.act(1, skill, 1) == ["COOLDOWN"]
    assert square.act(1, skill, 1) == []


@at_any_rate
def test_a_cooldown_applies_to_one_skill_of_one_player(hz: int) -> None:
    square = Square(hz)
    assert square.act(1, "strike", 1) == []
    assert square.act(1, "bolt", 1) == []
    assert square.act(1, "heal", 1) == []
    assert square.act(2, "strike", 0) == []


@at_any_rate
def test_a_refused_skill_starts_no_cooldown(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(0, 0)
    assert square.act(1, "strike", 1) == ["OUT_OF_RANGE"]
    square.people[1].place(5000, 5000)
    assert square.act(1, "strike", 1) == []


@at_any_rate
def test_the_next_player_in_a_slot_has_no_cooldown(hz: int) -> None:
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
def test_bolt_flies_20_metres_per_second_and_takes_20_health(hz: int, distance: int) -> None:
    square = Square(hz)
    square.people[1].place(5000 + distance, 5000)
    assert square.act(1, "bolt", 1) == []
    flight = max(1, distance * hz // 2000)
    assert square.events_of("bolt") == [(2, 1, flight)]
    square.tick(flight - 1)
    assert square.people[1]["hp"] == 100
    square.tick()
    assert square.people[1]["hp"] == 80
    assert square.events_of("hit") == [(2 + flight, 0, 1, 20)]


@at_any_rate
def test_bolt_follows_its_target(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.act(1, "bolt", 1)
    square.people[1].place(0, 0)
    square.tick(hz)
    assert square.people[1]["hp"] == 80


@at_any_rate
def test_bolt_does_not_hit_the_next_player_in_the_slot_of_its_target(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.act(1, "bolt", 1)
    square.zone.leave(2)
    square.zone.join(3, "eve")
    square.tick(2 * hz)
    assert square.events_of("hit") == []
    assert square.rules.players[1]["hp"] == 100
    assert square.zone.counters.rule_failures_total == 0


@at_any_rate
def test_bolt_does_not_hit_a_dead_target(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(5200, 5000)
    square.act(1, "bolt", 1)
    square.people[1]["hp"] = 0
    square.tick(hz)
    assert square.events_of("hit") == square.events_of("death") == []


@at_any_rate
def test_bolt_lands_after_its_thrower_has_left(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.people[1]["hp"] = 5
    square.act(1, "bolt", 1)
    square.zone.leave(1)
    square.tick(2 * hz)
    assert [death[1] for death in square.events_of("death")] == [1]
    assert square.zone.counters.rule_failures_total == 0


@at_any_rate
def test_bolt_is_not_credited_to_the_next_player_in_the_slot_of_its_thrower(hz: int) -> None:
    square = Square(hz)
    square.people[1].place(7000, 5000)
    square.people[1]["hp"] = 5
    square.act(1, "bolt", 1)
    square.zone.leave(1)
    square.zone.join(3, "eve")
    square.tick(2 * hz)
    assert square.rules.players[0]["kills"] == 0
    assert [(death[1], death[2]) for death in square.events_of("death")] != [(1, 0)]


@at_any_rate
@pytest.mark.parametrize(("before", "after"), [(50, 75), (75, 100), (76, 100), (100, 100)])
def test_heal_gives_25_health_up_to_full_health(hz: int, before: int, after: int) -> None:
    square = Square(hz)
    square.people[1]["hp"] = before
    assert square.act(1, "heal", 1) == []
    assert square.people[1]["hp"] == after


@at_any_rate
def test_heal_may_target_the_player_themselves(hz: int) -> None:
    square = Square(hz)
    square.people[0]["hp"] = 10
    assert square.act(1, "heal", 0) == []
    assert square.people[0]["hp"] == 35


# --- Death ----------------------------------------------------------------------------------------


@at_any_rate
def test_a_killed_player_stops_and_the_killer_is_credited(hz: int) -> None:
    square = Square(hz)
    ann, bob = square.people
    bob.move(0, 3)
    square.kill(bob)
    at = bob.position
    square.tick(hz)
    assert (bob.position, bob.velocity, bob["hp"]) == (at, (0, 0), 0)
    assert (ann["kills"], bob["kills"]) == (1, 0)
    assert square.events_of("death") == [(2, 1, 0)]


@at_any_rate
def test_a_dead_player_respawns_after_three_seconds_with_full_health(hz: int) -> None:
    square = Square(hz)
    bob = square.people[1]
    square.kill(bob)
    square.tick(3 * hz - 1)
    assert (bob["hp"], square.events_of("respawn")) == (0, [])
    square.tick()
    assert (bob["hp"], square.events_of("respawn")) == (100, [(2 + 3 * hz, 1)])
    x, y = bob.position
    assert 0 <= x <= 10_000
    assert 0 <= y <= 10_000
    assert bob.position != (5100, 5000)


@at_any_rate
@pytest.mark.parametrize("sent", [("move", 1, 1), ("strike", 0), ("bolt", 0), ("heal", 0), ("heal", 1)], ids=str)
def test_a_dead_player_can_neither_walk_nor_use_skills(hz: int, sent: tuple[Any, ...]) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    assert square.act(2, *sent) == ["DEAD"]


@at_any_rate
@pytest.mark.parametrize("skill", ["strike", "bolt", "heal"])
def test_a_dead_player_cannot_be_a_target(hz: int, skill: str) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    square.tick(hz)
    assert square.act(1, skill, 1) == ["TARGET_DEAD"]


@at_any_rate
def test_a_respawned_player_can_walk(hz: int) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    square.tick(3 * hz)
    assert square.act(2, "move", 1, 1) == []


@at_any_rate
def test_a_player_who_leaves_dead_does_not_respawn(hz: int) -> None:
    square = Square(hz)
    square.kill(square.people[1])
    square.zone.leave(2)
    square.zone.join(3, "eve")
    square.tick()
    at = square.rules.players[1].position
    square.tick(4 * hz)
    assert square.events_of("respawn") == []
    assert square.rules.players[1].position == at
    assert square.zone.counters.rule_failures_total == 0


@at_any_rate
@pytest.mark.parametrize("skill", ["strike", "bolt", "heal"])
def test_a_skill_on_a_free_slot_is_refused(hz: int, skill: str) -> None:
    assert Square(hz).act(1, skill, 2) == [RefusalCode.NO_TARGET]


# --- Talk -----------------------------------------------------------------------------------------


@at_any_rate
@pytest.mark.parametrize("text", ["x" * 200, "é" * 100, "a"])
def test_say_causes_an_event_with_the_text(hz: int, text: str) -> None:
    square = Square(hz)
    assert square.act(1, "say", text) == []
    assert square.events_of("say") == [(2, text)]


@at_any_rate
@pytest.mark.parametrize("text", ["x" * 201, "é" * 100 + "x", "", "two\nlines"], ids=len)
def test_say_refuses_text_that_is_too_long_or_not_printable(hz: int, text: str) -> None:
    assert Square(hz).act(1, "say", text) == [RefusalCode.BAD_PAYLOAD]


@pytest.mark.parametrize("which", [0, len(EMOTES) - 1])
def test_emote_causes_an_event_with_its_number(which: int) -> None:
    square = Square(20)
    assert square.act(1, "emote", which) == []
    assert square.events_of("emote") == [(2, which)]


@pytest.mark.parametrize("which", [-1, len(EMOTES), True, "wave"])
def test_emote_refuses_a_number_out_of_range(which: Any) -> None:
    assert Square(20).act(1, "emote", which) == [RefusalCode.BAD_PAYLOAD]
