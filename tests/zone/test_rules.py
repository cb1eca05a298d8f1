"""Rules: refusals, players, timers and events."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from helpers.driven_zone import DrivenZone

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.zone.rules import Player, Refused, Rules, action

# --- Refused --------------------------------------------------------------------------------------


def test_refused_has_code_and_text() -> None:
    refusal = Refused("COOLDOWN", "ready again in 3 ticks")
    assert (refusal.code, refusal.text, str(refusal)) == (
        "COOLDOWN",
        "ready again in 3 ticks",
        "COOLDOWN: ready again in 3 ticks",
    )
    assert str(Refused("COOLDOWN")) == "COOLDOWN"


# --- Players --------------------------------------------------------------------------------------


class Game(Rules):
    """A game with stats and without actions."""

    width, height = 100, 80
    stats: ClassVar = {"hp": 100, "kills": 0}


def players() -> tuple[DrivenZone, Player, Player]:
    """A zone with two players."""
    zone = DrivenZone(Game(), hz=20, seed=1)
    zone.join(1, "ann")
    zone.join(2, "bob")
    zone.step()
    return zone, zone.rules.players[0], zone.rules.players[1]


def test_moving_player_changes_position_with_each_tick() -> None:
    zone, ann, _bob = players()
    ann.place(10, 20)
    ann.move(3, -4)
    zone.step()
    assert ann.position == (10, 20), "a change between two ticks counts from the next one"
    zone.step()
    zone.step()
    assert ann.position == (16, 12)
    assert ann.velocity == (3, -4)


def test_distance_is_measured_at_the_current_tick() -> None:
    zone, ann, bob = players()
    ann.place(0, 0)
    bob.place(2, 4, 1, 0)
    zone.step()
    zone.step()
    assert ann.distance_to(bob) == bob.distance_to(ann) == 5.0


@pytest.mark.parametrize("place", [(0, 0), (100, 80)])
def test_place_accepts_every_position_in_the_zone(place: tuple[int, int]) -> None:
    _zone, ann, _bob = players()
    ann.place(*place)
    assert ann.position == place


@pytest.mark.parametrize("place", [(-1, 0), (0, -1), (101, 80), (100, 81)])
def test_place_outside_the_zone_raises_value_error(place: tuple[int, int]) -> None:
    _zone, ann, _bob = players()
    ann.place(50, 50)
    with pytest.raises(ValueError, match="outside the zone"):
        ann.place(*place)
    assert ann.position == (50, 50)


def test_stats_are_read_and_written_by_name() -> None:
    _zone, ann, bob = players()
    ann["hp"] -= 30
    assert (ann["hp"], ann["kills"], bob["hp"]) == (70, 0, 100)


def test_unknown_stat_is_a_key_error() -> None:
    _zone, ann, _bob = players()
    with pytest.raises(KeyError):
        ann["mana"]
    with pytest.raises(KeyError):
        ann["mana"] = 1


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 1.5, "x", None])
def test_stat_outside_32_bits_raises_and_changes_nothing(value: Any) -> None:
    zone, ann, _bob = players()
    with pytest.raises((OverflowError, TypeError)):
        ann["hp"] = value
    assert ann["hp"] == 100
    assert zone.step().records == 0


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31)])
def test_stat_accepts_every_32_bit_number(value: int) -> None:
    _zone, ann, _bob = players()
    ann["hp"] = value
    assert ann["hp"] == value


def test_player_who_left_is_not_present() -> None:
    zone, ann, bob = players()
    zone.leave(1)
    zone.step()
    assert (ann.present, bob.present) == (False, True)


def test_player_repr_has_name_and_slot() -> None:
    _zone, ann, _bob = players()
    assert repr(ann) == "<Player 'ann' in slot 0>"


# --- Timers and events ----------------------------------------------------------------------------


class Clock(Rules):
    """A game that records the order of its callbacks."""

    def __init__(self) -> None:
        self.noted: list[tuple[int, str]] = []

    def note(self, what: str) -> Callable[[], None]:
        return lambda: self.noted.append((self.tick, what))

    @action
    def touch(self, player: Player) -> None:
        self.note("action")()

    def on_tick(self) -> None:
        self.note("on_tick")()


def run(rules: Rules, ticks: int) -> DrivenZone:
    zone = DrivenZone(rules, hz=20, seed=1)
    for _ in range(ticks):
        zone.step()
    return zone


@pytest.mark.parametrize(("ticks", "due"), [(1, 4), (3, 6), (0, 4), (-5, 4)])
def test_timer_runs_after_its_ticks_but_never_at_once(ticks: int, due: int) -> None:
    rules = Clock()
    zone = run(rules, 3)
    rules.after(ticks, rules.note("timer"))
    for _ in range(10):
        zone.step()
    assert [tick for tick, what in rules.noted if what == "timer"] == [due]


def test_timers_run_before_actions_and_actions_before_on_tick() -> None:
    rules = Clock()
    zone = DrivenZone(rules, hz=20, seed=1)
    zone.join(1, "ann")
    zone.submit(1, 1, [("touch",)])
    rules.after(1, rules.note("timer"))
    zone.step()
    assert rules.noted == [(1, "timer"), (1, "action"), (1, "on_tick")]


def test_timers_of_one_tick_run_in_the_order_of_their_setting() -> None:
    rules = Clock()
    zone = run(rules, 0)
    rules.after(2, rules.note("first"))
    zone.step()
    rules.after(1, rules.note("second"))
    zone.step()
    assert [what for _tick, what in rules.noted if what != "on_tick"] == ["first", "second"]


def test_timer_may_set_itself_again() -> None:
    rules = Clock()
    zone = run(rules, 0)

    def again() -> None:
        rules.note("timer")()
        rules.after(2, again)

    rules.after(2, again)
    for _ in range(6):
        zone.step()
    assert [tick for tick, what in rules.noted if what == "timer"] == [2, 4, 6]


def test_on_start_may_set_timers_and_emit() -> None:
    class Opening(Clock):
        def on_start(self) -> None:
            self.emit("open", self.hz)
            self.after(2, self.note("timer"))

    rules = Opening()
    zone = DrivenZone(rules, hz=20, seed=1)
    tick = decode_server(zone.step().frame)
    zone.step()
    assert isinstance(tick, Tick)
    assert list(tick.events) == [(None, None, "open", 20)]
    assert (2, "timer") in rules.noted


@pytest.mark.parametrize("value", [{1}, object(), 1j, Rules])
def test_emit_of_a_value_that_cannot_be_packed_raises_in_the_rule(value: object) -> None:
    zone = run(Clock(), 0)
    with pytest.raises(TypeError):
        zone.rules.emit("boom", value)
    assert zone.step().records == 0


def test_emit_of_a_number_too_large_to_pack_raises_in_the_rule() -> None:
    zone = run(Clock(), 0)
    with pytest.raises((TypeError, OverflowError)):
        zone.rules.emit("boom", 2**64)
    assert zone.step().records == 0


def test_random_depends_on_the_seed_alone() -> None:
    first, second, other = (DrivenZone(Clock(), hz=20, seed=seed).rules.random.random() for seed in (5, 5, 6))
    assert first == second != other
