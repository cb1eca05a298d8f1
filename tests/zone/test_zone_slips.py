"""What a game does wrong costs its own action: nothing that a client would refuse leaves the zone."""

# ruff: noqa: ARG005  (most slips need the game or the player alone)

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import msgpack
import pytest
from helpers.driven_zone import DrivenZone
from helpers.yard import HZ, codes, replica_of, told, zone_of
from hypothesis import given
from hypothesis import strategies as st

from zoneserver.protocol.codes import CloseReason, RefusalCode
from zoneserver.protocol.decoding import decode_server
from zoneserver.zone.link import Ended
from zoneserver.zone.rules import Player, Refused, Rules, action
from zoneserver.zone.zone import Zone


class Slips(Rules):
    """A game whose action runs a function of the test."""

    width, height = 1000, 1000
    stats: ClassVar = {"hp": 100}

    def __init__(self, slip: Callable[[Slips, Player], Any] = lambda game, player: None) -> None:
        self.slip = slip

    @action
    def do(self, player: Player) -> Any:
        return self.slip(self, player)

    @action
    def say(self, player: Player, text: str) -> None:
        pass


def raises(error: BaseException) -> Any:
    raise error


class Bare(Refused):
    def __init__(self) -> None:
        """Sets no attribute of a refusal."""


class Spiteful(Refused):
    def __init__(self) -> None:
        """Sets no attribute either."""

    @property
    def code(self) -> Any:
        raise ValueError("no code")

    @code.setter
    def code(self, code: str) -> None:
        pass


class Liar:
    """A whole number that lies in every comparison."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number

    def __le__(self, _other: object) -> bool:
        return True

    __ge__ = __lt__ = __gt__ = __le__


class Ring(int):
    """A whole number that is compared the shorter way round."""

    def __le__(self, other: int) -> bool:
        return (int(other) - int(self)) % 65_536 < 32_768

    def __ge__(self, other: int) -> bool:
        return (int(self) - int(other)) % 65_536 < 32_768


class Odd(enum.StrEnum):
    LONG = "x" * 70_000


LOST = "\ud800"
FAILING: dict[str, Callable[[Slips, Player], Any]] = {
    "emits a dict": lambda game, player: game.emit("info", {"a": 1}),
    "emits a nested dict": lambda game, player: game.emit("info", [1, [{}]]),
    "emits a kind that is no text": lambda game, player: game.emit(5, "x"),  # type: ignore[arg-type]
    "emits 70,000 bytes": lambda game, player: game.emit("big", "x" * 70_000),
    "emits a surrogate": lambda game, player: game.emit("say", LOST),
    "emits a kind with a surrogate": lambda game, player: game.emit(LOST),
    "emits a timestamp": lambda game, player: game.emit("at", msgpack.Timestamp(1)),
    "emits 18 MB": lambda game, player: [game.emit("big", "x" * 60_000) for _ in range(300)],
    "returns a dict": lambda game, player: {"a": 1},
    "returns a player": lambda game, player: player,
    "returns itself within itself": lambda game, player: endless(),
    "moves by half a unit": lambda game, player: player.move(1.5, 0),  # type: ignore[arg-type]
    "moves by a text": lambda game, player: player.move(1, "2"),  # type: ignore[arg-type]
    "places at half a unit": lambda game, player: player.place(10, 20.5),  # type: ignore[arg-type]
    "places with half a velocity": lambda game, player: player.place(10, 20, 1, 0.5),  # type: ignore[arg-type]
    "sets a stat to a fraction": lambda game, player: player.__setitem__("hp", 1.5),  # type: ignore[arg-type]
    "sets a stat beyond 32 bits": lambda game, player: player.__setitem__("hp", 2**31),
    "sets no stat": lambda game, player: player.__setitem__("gold", 1),
    "takes a player out": lambda game, player: game.players.pop(0),  # type: ignore[attr-defined]
    "clears the players": lambda game, player: game.players.clear(),  # type: ignore[attr-defined]
    "deletes a player": lambda game, player: game.players.__delitem__(0),  # type: ignore[attr-defined]
    "renames a player": lambda game, player: setattr(player, "name", "eve"),
    "moves a player to another slot": lambda game, player: setattr(player, "slot", 5),
    "sends a player off": lambda game, player: setattr(player, "present", False),
    "moves by a number that compares as it likes": lambda game, player: player.move(5, Liar(500)),  # type: ignore[arg-type]
    "places at a number that compares as it likes": lambda game, player: player.place(Liar(5000), 5),  # type: ignore[arg-type]
    "places at a huge number": lambda game, player: player.place(7, Liar(2**40)),  # type: ignore[arg-type]
    "places at a whole number on a ring": lambda game, player: player.place(Ring(66_000), 5),
    "schedules for half a tick": lambda game, player: game.after(1.5, game.on_tick),  # type: ignore[arg-type]
    "schedules for both": lambda game, player: game.after(1, game.on_tick, seconds=1.0),
    "schedules for neither": lambda game, player: game.after(callback=game.on_tick),
    "schedules for a time before now": lambda game, player: player.after(seconds=-0.1, callback=game.on_tick),
    "schedules for no time": lambda game, player: game.after(seconds=math.nan, callback=game.on_tick),
    "schedules for ever": lambda game, player: game.every(math.inf, game.on_tick),
    "schedules for a text": lambda game, player: game.every("1", game.on_tick),  # type: ignore[arg-type]
    "schedules for every no tick": lambda game, player: game.every(callback=game.on_tick, ticks=0),
    "schedules a coroutine": lambda game, player: game.every(1.0, asyncio.sleep, 1),
    "schedules nothing": lambda game, player: game.every(1.0),
    "schedules no function": lambda game, player: game.after(1, game.on_tick()),  # type: ignore[arg-type, func-returns-value]
    "exits": lambda game, player: raises(SystemExit(5)),
    "meets a cancelled task": lambda game, player: raises(asyncio.CancelledError()),
    "meets a closed generator": lambda game, player: raises(GeneratorExit()),
    "raises a BaseException": lambda game, player: raises(BaseException("all")),
}


def endless() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


@pytest.mark.parametrize("slip", FAILING.values(), ids=FAILING)
def test_slip_costs_its_action_alone(slip: Callable[[Slips, Player], Any]) -> None:
    zone = zone_of("ann", "bob", rules=Slips(slip))
    replica = replica_of(zone)
    for tick in range(1, 2 * HZ):
        zone.submit(1, tick, [("do",)])
        zone.submit(2, tick, [("say", "hi")])
        result = zone.step()
        assert codes(result) == [(1, tick, RefusalCode.RULE_FAILED)]
        assert (1, tick, "say", "hi") in told(result).events
        replica.apply(told(result))
        assert replica.hash() == zone.world.hash()
    zone.join(3, "cid")
    assert zone.step().joined == [(3, 2)]


REFUSING: dict[str, tuple[Callable[[], BaseException], str, str]] = {
    "an exception": (lambda: Refused("NO", KeyError("x")), "NO", "'x'"),
    "a number": (lambda: Refused("COOLDOWN", 17), "COOLDOWN", "17"),
    "a dict": (lambda: Refused("NO", {"a": 1}), "NO", "{'a': 1}"),
    "None": (lambda: Refused("BAD", None), "BAD", "None"),
    "a surrogate": (lambda: Refused("NO", f"a{LOST}b"), "NO", "a?b"),
    "a surrogate as a code": (lambda: Refused(LOST), "?", ""),
    "70,000 characters": (lambda: Refused("NO", "x" * 70_000), "NO", "x" * 200),
    "a long code": (lambda: Refused(Odd.LONG), "x" * 200, ""),
    "nothing": (lambda: Refused(""), "REFUSED", ""),
    "no attribute": (Bare, "REFUSED", ""),
    "a code that raises": (Spiteful, RefusalCode.RULE_FAILED, "the refusal cannot be shown"),
}


@pytest.mark.parametrize(("error", "code", "text"), REFUSING.values(), ids=REFUSING)
def test_refusal_reaches_its_player_whatever_it_holds(error: Callable[[], BaseException], code: str, text: str) -> None:
    zone = zone_of("ann", rules=Slips(lambda game, player: raises(error())))
    zone.submit(1, 1, [("do",)])
    (refused,) = zone.step().refused
    assert (refused.refusal.code, refused.refusal.text, refused.is_violation) == (code, text, False)
    assert decode_server(refused.refusal.encode()) == refused.refusal


def test_refusal_whose_text_raises_fails_its_action() -> None:
    class Mute:
        def __str__(self) -> str:
            raise ValueError("no text")

    zone = zone_of("ann", rules=Slips(lambda game, player: raises(Refused("NO", Mute()))))
    zone.submit(1, 1, [("do",)])
    assert codes(zone.step()) == [(1, 1, RefusalCode.RULE_FAILED)]


texts = st.text(st.characters(exclude_categories=()))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | texts
    | st.just(object())
    | st.just(KeyError("x"))
    | st.just("x" * 66_000)
    | st.complex_numbers()
    | st.dates(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
    max_leaves=8,
)


@given(
    emitted=st.lists(values, max_size=3), kind=values, returned=values, refusal=st.none() | st.tuples(values, values)
)
def test_clients_accept_every_frame_whatever_a_rule_hands_over(
    emitted: list[Any], kind: Any, returned: Any, refusal: tuple[Any, Any] | None
) -> None:
    def slip(game: Slips, _player: Player) -> Any:
        try:
            game.emit(kind, *emitted)
        except (TypeError, ValueError, OverflowError):
            game.emit("seen", *(value for value in emitted if type(value) is bool))
        if refusal is not None:
            raise Refused(*refusal)
        return returned

    zone = zone_of("ann", "bob", rules=Slips(slip))
    replica = replica_of(zone)
    zone.submit(1, 1, [("do",)])
    result = zone.step()
    replica.apply(told(result))
    for refused in result.refused:
        assert decode_server(refused.refusal.encode()) == refused.refusal
    # The action is refused, or told.
    assert len(result.refused) + sum(event[0] == 0 for event in told(result).events) == 1


def test_events_of_one_tick_are_bounded_and_the_rest_of_the_tick_is_told() -> None:
    class Loud(Slips):
        def on_tick(self) -> None:
            for _ in range(300):
                self.emit("big", "x" * 60_000)

    zone = zone_of("ann", rules=Loud())
    for _ in range(2):
        zone.submit(1, zone.world.tick, [("say", "hi")])
        result = zone.step()
        assert 1_000_000 < len(result.frame) < 1_100_000
        assert told(result).events[0][2] == "say"
    assert zone.counters.rule_failures_total == 3


def test_timer_of_a_whole_number_that_is_no_int_is_called() -> None:
    class Whole:
        def __index__(self) -> int:
            return 2

    called: list[int] = []
    rules = Slips()
    zone = zone_of(rules=rules)
    rules.after(Whole(), lambda: called.append(zone.world.tick))  # type: ignore[arg-type]
    for _ in range(4):
        zone.step()
    assert called == [3]


def test_game_with_attributes_of_any_name_and_a_guard_of_its_own_runs() -> None:
    class Own(Slips):
        def __init__(self) -> None:
            super().__init__(lambda game, player: game.after(1, partial(game.emit, "rang")) and None)
            self._timers, self._frame, self._actions = ["mine"], None, 7

        def __setattr__(self, name: str, value: object) -> None:
            if name == "tick":
                raise AttributeError("it is mine")
            super().__setattr__(name, value)

        def __getattribute__(self, name: str) -> Any:
            if name == "on_tick" and super().__getattribute__("tick") == 3:
                raise RuntimeError("not now")
            return super().__getattribute__(name)

    zone = zone_of("ann", rules=Own())
    zone.submit(1, 1, [("do",)])
    zone.step()
    assert [event[2] for event in told(zone.step()).events] == ["rang"]
    assert (zone.rules.tick, zone.counters.rule_failures_total) == (3, 1)


@pytest.mark.parametrize("code", ["WARNED", "MUTED", "UNMUTED"])
def test_game_that_refuses_with_a_code_of_the_flood_control_is_told_otherwise(code: str) -> None:
    zone = zone_of("ann", rules=Slips(lambda game, player: raises(Refused(code, "not here"))))
    zone.submit(1, 1, [("do",)])
    (refused,) = zone.step().refused
    assert (refused.refusal.code, refused.refusal.text) == ("REFUSED", "not here")


# --- Coming in ------------------------------------------------------------------------------------


class Door(Rules):
    """A game that lets in only players whose names begin with an a."""

    stats: ClassVar = {"hp": 7}

    def __init__(self) -> None:
        self.left: list[str] = []

    def on_join(self, player: Player) -> None:
        player.place(10, 10)
        player["hp"] = 9
        self.emit("knocks", player.name)
        if player.name.startswith("f"):
            raise ZeroDivisionError("the rule fails")
        if player.name.startswith("x"):
            raise SystemExit(1)
        if not player.name.startswith("a"):
            raise Refused("NOT_INVITED", f"{player.name} is not on the list")

    def on_leave(self, player: Player) -> None:
        self.left.append(player.name)

    @action
    def out(self, player: Player, other: Player) -> None:
        other.kick("RUDE", "be kinder")

    @action
    def say(self, player: Player, text: str) -> None:
        pass


def door(*names: str) -> tuple[DrivenZone, Door]:
    rules = Door()
    return zone_of(*names, rules=rules), rules


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        ("bob", Ended(9, "NOT_INVITED", "bob is not on the list")),  # type: ignore[arg-type]
        ("fay", Ended(9, CloseReason.INTERNAL_ERROR, "the game failed when the player came in")),
        ("xan", Ended(9, CloseReason.INTERNAL_ERROR, "the game failed when the player came in")),
    ],
)
def test_player_whom_on_join_does_not_accept_is_turned_away_whole(name: str, ended: Ended) -> None:
    zone, rules = door("ann")
    replica = replica_of(zone)
    zone.join(9, name)
    zone.join(10, "abe")
    result = zone.step()
    assert result.ended == [ended]
    assert result.joined == [(10, 1)]
    assert list(told(result).joins) == [(1, "abe")]
    replica.apply(told(result))
    assert replica.hash() == zone.world.hash()
    assert [player.name for player in zone.rules.players.values()] == ["ann", "abe"]
    assert rules.left == []
    # The name is free again, and another leave of the player changes nothing.
    zone.leave(9)
    zone.join(11, name)
    assert [each.ref for each in zone.step().ended] == [11]


def test_slot_of_a_player_turned_away_is_free_though_its_holder_left_in_the_same_tick() -> None:
    zone, _ = door("ann", "abe")
    replica = replica_of(zone)
    zone.leave(1)
    zone.join(9, "bob")
    result = zone.step()
    assert list(told(result).leaves) == [0]
    assert list(told(result).joins) == []
    replica.apply(told(result))
    assert replica.holders == [None, "abe"]
    assert replica.hash() == zone.world.hash()


def test_kicked_player_is_ended_at_once_and_leaves_with_the_next_tick() -> None:
    zone, rules = door("ann", "abe")
    zone.submit(1, 1, [("out", 1), ("say", "bye")])
    zone.submit(2, 1, [("say", "no")])
    zone.submit(2, 2, [("out", 1)])
    result = zone.step()
    assert result.ended == [Ended(2, "RUDE", "be kinder")]  # type: ignore[arg-type]
    assert [event[2] for event in told(result).events] == ["out", "say"]
    assert rules.left == []
    zone.leave(2)
    zone.join(5, "abe")
    result = zone.step()
    assert (result.ended, result.joined) == ([], [(5, 1)])
    assert rules.left == ["abe"]


@pytest.mark.parametrize("use", [
    lambda player: player.position,
    lambda player: player.velocity,
    lambda player: player["hp"],
    lambda player: player.distance_to(player),
    lambda player: player.move(1, 1),
    lambda player: player.place(1, 1),
    lambda player: player.kick("OUT"),
    lambda player: player.__setitem__("hp", 1),
])  # fmt: skip
def test_player_who_left_raises_though_the_slot_has_a_new_holder(use: Callable[[Player], object]) -> None:
    zone, _ = door("ann", "abe")
    kept = zone.rules.players[1]
    zone.leave(2)
    zone.join(3, "amy")
    zone.step()
    assert not kept.present
    assert zone.rules.players[1].name == "amy"
    with pytest.raises(LookupError, match="'abe' in slot 1> has left"):
        use(kept)
    assert zone.world.position(1) == (10, 10)


# --- The end, and the beginning --------------------------------------------------------------------


def test_stop_calls_on_leave_for_all_and_then_on_stop() -> None:
    class Saving(Door):
        def on_stop(self) -> None:
            self.left.append(f"stop with {len(self.players)}")

    zone = zone_of("ann", "abe", rules=(rules := Saving()))
    zone.stop()
    assert rules.left == ["ann", "abe", "stop with 0"]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("stats", {"n": 2**31}, "stats has 'n': 2147483648"),
        ("stats", {"n": 1.5}, "stats has 'n': 1.5"),
        ("stats", ["n"], "stats is ['n']"),
        ("stats", {f"n{number}": 0 for number in range(33)}, "stats has 33 names"),
        ("stats", {"n" * 65: 0}, "stats has 'nnn"),
        ("width", 100.5, "width is 100.5"),
        ("height", None, "height is None"),
        ("name", 5, "name is 5"),
        ("name", "x" * 70_000, "name is 'xxx"),
        ("name", "a\nb", "name is 'a\\nb'"),
    ],
)
def test_zone_refuses_a_game_with_impossible_figures(name: str, value: object, problem: str) -> None:
    for rules in (type("Game", (Slips,), {name: value})(), Slips()):
        setattr(rules, name, value)
        with pytest.raises(TypeError) as raised:
            Zone(rules, hz=HZ, seed=1)
        assert problem in str(raised.value)


def test_zone_names_all_problems_of_a_game_at_once() -> None:
    class Wrong(Rules):
        width = 0

        async def on_join(self, player: Player) -> None:  # type: ignore[override]
            pass

        def on_tock(self) -> None:
            pass

    with pytest.raises(
        TypeError, match=r"width is 0.*; on_tock is never called; did you mean on_tick.*; on_join is async"
    ):
        Zone(Wrong(), hz=HZ, seed=1)


@pytest.mark.parametrize(
    ("call", "placed"),
    [
        (lambda player: player.move(3, 1), [0, 0, 0, 3, 1]),
        (lambda player: player.place(5, 5, 1, 0), [0, 5, 5, 1, 0]),
    ],
)
def test_change_between_two_ticks_counts_from_the_next_one(call: Callable[[Player], None], placed: list[int]) -> None:
    zone = zone_of("ann", rules=Slips())
    replica = replica_of(zone)
    call(zone.rules.players[0])
    zone.rules.emit("between", 1)
    zone.rules.players[0]["hp"] = 5
    late = replica_of(zone)
    result = zone.step()
    assert list(told(result).placed) == placed
    assert list(told(result).events) == [(None, None, "between", 1)]
    for world in (replica, late):
        world.apply(told(result))
        assert world.hash() == zone.world.hash()
