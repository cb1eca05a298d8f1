"""Things: what lies and wanders in a zone beside the players."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import pytest
from helpers.driven_zone import DrivenZone
from helpers.yard import replica_of, told, zone_of

from zoneserver.protocol.world import World
from zoneserver.zone.rules import Player, Rules, Thing, action


class Meadow(Rules):
    width, height = 1000, 1000
    speed_step = 3
    version = "7"
    stats: ClassVar = {"gold": 0}
    kinds: ClassVar = {"coin": {"worth": 1}, "wolf": {"hp": 30, "age": 2}, "stone": {}}

    @action
    def drop(self, player: Player, worth: int) -> None:
        self.spawn("coin", *player.position, worth=worth)


def meadow(*names: str) -> tuple[DrivenZone, Meadow, World]:
    """A zone, its game, and the world of a client."""
    rules = Meadow()
    zone = zone_of(*names, rules=rules)
    return zone, rules, replica_of(zone)


def followed(zone: DrivenZone, replica: World) -> None:
    """Runs a tick, which the replica follows."""
    replica.apply(told(zone.step()))
    assert replica.hash() == zone.world.hash()
    assert replica.snapshot().encode() == zone.snapshot()


def test_a_thing_is_told_with_its_place_its_motion_and_its_stats() -> None:
    zone, rules, replica = meadow("ann")
    wolf = rules.spawn("wolf", 10, 20, 4, -5, hp=12)
    assert (wolf.kind, wolf.slot, wolf.present) == ("wolf", 1, True)
    assert (wolf["hp"], wolf["age"], wolf.velocity) == (12, 2, (4, -5))
    followed(zone, replica)
    assert replica.holders == ["ann", 2]
    assert [column[1] for column in replica.stats] == [12, 2]
    zone.step()
    # 4 * 3 / 4 and 5 * 3 / 4 units in one tick, rounded towards zero.
    assert (zone.info.hz, wolf.position) == (4, (13, 17))


def test_a_thing_of_on_start_is_in_the_first_frame() -> None:
    class Sown(Meadow):
        def on_start(self) -> None:
            self.spawn("coin", 1, 2, 3, 4)

    zone = DrivenZone(Sown(), hz=4, seed=1)
    world = World(zone.info)
    followed(zone, world)
    assert world.position(0) == (1, 2)


def test_stats_of_each_kind_are_its_own() -> None:
    _, rules, _ = meadow("ann")
    coin = rules.spawn("coin", 0, 0)
    coin["worth"] += 4
    assert coin["worth"] == 5
    with pytest.raises(KeyError):
        coin["gold"]
    with pytest.raises(KeyError):
        rules.players[0]["worth"]


def test_what_the_rules_steer_takes_two_bytes_beside_its_slot() -> None:
    zone, rules, replica = meadow("ann")
    wolves = [rules.spawn("wolf", 500, 500) for _ in range(200)]
    followed(zone, replica)
    empty = len(zone.step().frame)
    replica = replica_of(zone)
    rules.after(1, lambda: [wolf.move(1, 2) for wolf in wolves] and None)
    output = zone.step()
    replica.apply(told(output))
    assert replica.hash() == zone.world.hash()
    assert len(output.frame) - empty <= 2 * 200 + 200 // 8 + 8


def test_a_thing_that_is_gone_raises_whatever_is_asked_of_it() -> None:
    zone, rules, replica = meadow("ann")
    coin = rules.spawn("coin", 5, 5)
    followed(zone, replica)
    coin.remove()
    assert not coin.present
    rules.spawn("wolf", 7, 7)
    uses: list[Any] = [
        lambda: coin.position,
        lambda: coin.velocity,
        lambda: coin.kind,
        lambda: coin["worth"],
        lambda: coin.__setitem__("worth", 3),
        lambda: coin.move(1, 1),
        lambda: coin.place(1, 1),
        coin.remove,
    ]
    for use in uses:
        with pytest.raises(LookupError, match="slot 1"):
            use()
    followed(zone, replica)
    assert list(rules.things) == [1]


def test_a_thing_that_comes_and_goes_within_a_tick_is_told_to_nobody() -> None:
    zone, rules, replica = meadow("ann")
    empty = len(zone.step().frame)
    replica = replica_of(zone)
    rules.spawn("coin", 5, 5, worth=9).remove()
    output = zone.step()
    assert len(output.frame) == empty
    replica.apply(told(output))
    assert replica.hash() == zone.world.hash()


@pytest.mark.parametrize(
    ("arguments", "stats", "error"),
    [
        (("goblin", 1, 1), {}, LookupError),
        (("player", 1, 1), {}, LookupError),
        (("coin", 1001, 1), {}, ValueError),
        (("coin", 1, -1), {}, ValueError),
        (("coin", 1, 1, 128, 0), {}, ValueError),
        (("coin", 1.5, 1), {}, TypeError),
        (("coin", 1, 1), {"hp": 1}, LookupError),
        (("coin", 1, 1), {"worth": 2**31}, ValueError),
        (("coin", 1, 1), {"worth": "3"}, ValueError),
    ],
)
def test_a_wrong_spawn_raises_and_changes_nothing(
    arguments: tuple[Any, ...], stats: dict[str, Any], error: type[Exception]
) -> None:
    zone, rules, replica = meadow("ann")
    with pytest.raises(error):
        rules.spawn(*arguments, **stats)
    assert not rules.things
    followed(zone, replica)
    assert rules.spawn("coin", 1, 1).slot == 1


def test_things_leave_room_for_players() -> None:
    zone = DrivenZone(Meadow(), hz=4, seed=1, players_max=65_534)
    for _ in range(2):
        zone.rules.spawn("stone", 1, 1)
    with pytest.raises(OverflowError, match="no room for another thing: 2 are in the zone"):
        zone.rules.spawn("stone", 1, 1)


def test_the_views_of_players_and_things_cannot_be_written() -> None:
    _, rules, _ = meadow("ann")
    with pytest.raises(TypeError):
        rules.things[0] = None  # type: ignore[index]


# --- Near -----------------------------------------------------------------------------------------


def test_near_picks_things_by_kind_and_players_if_asked() -> None:
    _, rules, _ = meadow("ann", "bob")
    ann, bob = rules.players.values()
    ann.place(100, 100)
    bob.place(110, 100)
    coin, wolf = rules.spawn("coin", 105, 100), rules.spawn("wolf", 100, 109)
    rules.spawn("coin", 111, 100)
    assert rules.near(ann, 10) == [coin, wolf]
    assert rules.near(ann, 10, "coin") == [coin]
    assert rules.near(ann, 10, "stone") == []
    assert rules.near(ann, 10, "player") == [bob]
    assert rules.near((100, 100), 10, "player") == [ann, bob]
    assert rules.near(ann, 10, players=True) == [bob, coin, wolf]
    assert rules.near(ann, 10, "coin", players=True) == [bob, coin]
    assert rules.near(wolf, 9, players=True) == [ann]


@pytest.mark.parametrize("radius", [-1, float("nan"), float("inf"), -0.5])
def test_near_refuses_a_radius_that_is_no_distance(radius: float) -> None:
    _, rules, _ = meadow("ann")
    with pytest.raises(ValueError, match="a radius is a distance"):
        rules.near((0, 0), radius)
    with pytest.raises(LookupError):
        rules.near((0, 0), 1, "goblin")


def test_near_follows_things_that_walk() -> None:
    zone, rules, _ = meadow("ann")
    chance = random.Random(1)
    wolves = [rules.spawn("wolf", *rules.anywhere(), chance.randint(-127, 127), 7) for _ in range(50)]
    for _ in range(100):
        zone.step()
        chance.choice(wolves).move(chance.randint(-127, 127), chance.randint(-127, 127))
        x, y = rules.anywhere()
        expected = [w for w in wolves if (w.position[0] - x) ** 2 + (w.position[1] - y) ** 2 <= 200**2]
        assert rules.near((x, y), 200, "wolf") == expected


# --- The class ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"kinds": ["coin"]}, "kinds is"),
        ({"kinds": {"player": {}}}, "kinds has 'player'"),
        ({"kinds": {"": {}}}, "kinds has ''"),
        ({"kinds": {1: {}}}, "kinds has 1"),
        ({"kinds": {"coin": {"worth": 1.5}}}, "kinds\\['coin'\\] has 'worth'"),
        ({"kinds": {"coin": None}}, "kinds\\['coin'\\] is None"),
        ({"kinds": {f"kind {number}": {} for number in range(101)}}, "kinds has 101 names"),
        ({"speed_step": -1}, "speed_step is -1"),
        ({"speed_step": 2.5}, "speed_step is 2.5"),
        ({"version": 3}, "version is 3"),
        ({"board": 1}, "board is 1"),
        ({"board": {"ends": 1.5}}, "board has 'ends'"),
        ({"board": {"ends": 2**53}}, "board has 'ends'"),
        ({"board": {"leader": "x" * 257}}, "board has 'leader'"),
        ({"board": {"leader": "\ud800"}}, "board has 'leader'"),
        ({"things": {}}, "things cannot be defined"),
    ],
)
def test_a_class_with_a_wrong_declaration_cannot_run(attributes: dict[str, Any], problem: str) -> None:
    game = type("Wrong", (Rules,), attributes)
    with pytest.raises(TypeError, match=problem):
        DrivenZone(game(), hz=4, seed=1)


@pytest.mark.parametrize("hz", [4, 10, 20, 100])
def test_a_game_with_a_step_of_speed_is_as_fast_at_any_tick_rate(hz: int) -> None:
    rules = Meadow()
    zone = DrivenZone(rules, hz=hz, seed=1)
    coin: Thing = rules.spawn("coin", 0, 1000, 100, -127)
    for _ in range(2 * hz + 1):
        zone.step()
    assert coin.position == (600, 1000 - 762)
