"""A checkpoint: snapshot and state make a zone that goes on as the first one does."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import pytest
from helpers.bazaar import HZ, Bazaar, inputs
from helpers.yard import Yard
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.config import Limits
from zoneserver.journal.bodies import decode_checkpoint, encode_state
from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Snapshot
from zoneserver.protocol.tickets import issue_ticket
from zoneserver.zone.game_class import can_save, problems_of
from zoneserver.zone.link import Join, Requests, TickInput
from zoneserver.zone.parameters import ZoneParameters
from zoneserver.zone.rules import Player, Rules, action
from zoneserver.zone.zone import Zone

# Bounds that are met often.
LIMITS = Limits(joins_per_second=HZ, event_bytes_per_tick=20)


def zone_of(rules: Rules | None = None) -> Zone:
    return Zone(
        rules or Bazaar(), hz=HZ, seed=3, limits=LIMITS, players_max=4, watchers_max=1, resume_ticks=15, save_ticks=6
    )


def snapshot_of(zone: Zone) -> Snapshot:
    snapshot = decode_server(zone.snapshot())
    assert isinstance(snapshot, Snapshot)
    return snapshot


def as_written(state: Any) -> Any:
    """The state as a journal returns it."""
    return decode_checkpoint(0, b"", encode_state(state)).state


def copy_of(zone: Zone, rules: Rules | None = None) -> Zone:
    """A zone that was restored from a checkpoint of this one."""
    copy = zone_of(rules)
    copy.restore(snapshot_of(zone), as_written(zone.state()))
    return copy


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_restored_zone_goes_on_as_the_first_one_for_ever(seed: int, ticks: int) -> None:
    zone = zone_of()
    script = inputs(seed, ticks + 60)
    for tick_input in script[:ticks]:
        zone.tick(tick_input)
    copy = copy_of(zone)
    assert copy.snapshot() == zone.snapshot()
    assert as_written(copy.state()) == as_written(zone.state())
    for tick_input in script[ticks:]:
        assert copy.tick(tick_input) == zone.tick(tick_input)
    assert as_written(copy.state()) == as_written(zone.state())


# --- Games that cannot be saved -------------------------------------------------------------------


class Saving(Rules):
    """Saves `value`, whatever it is."""

    kinds: ClassVar = {"coin": {}}
    settings: ClassVar = {"speed": 1}

    def on_start(self) -> None:
        self.value: Any = {}
        self.calls: list[Any] = []
        self.coin = self.spawn("coin", 5, 5)
        self.every(ticks=4, callback=self.ring)

    def ring(self, *arguments: Any) -> None:
        self.calls.append((self.tick, *arguments))

    def save(self) -> Any:
        return self.value

    def load(self, value: Any) -> None:
        self.value = value

    def on_restore(self) -> None:
        self.calls.append("on_restore")


def saving(**attributes: Any) -> tuple[Zone, Any]:
    zone = zone_of(Saving())
    run(zone, 1)
    vars(zone.rules).update(attributes)
    return zone, zone.rules


def run(zone: Zone, ticks: int, **requests: Any) -> None:
    for _ in range(ticks):
        zone.tick(TickInput(zone.world.tick + 1, 0.0, 100, Requests(**requests)))


def test_saved_value_comes_back_with_its_types() -> None:
    value = {"a": [1, 2.5, None, True, "ä", b"\xff", float("inf")], "b": {"c": {}}}
    zone, _ = saving(value=value)
    assert copy_of(zone, Saving()).rules.value == value  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"by": {7: 1}}, "save()['by'] has the key 7, of type int: keys are texts in a checkpoint"),
        ([{1}], "save()[0] is of type set: a checkpoint cannot hold it"),
        ({"far": 2**70}, "a checkpoint cannot hold save(): Integer value out of range"),
    ],
)
def test_value_that_no_checkpoint_holds_is_named_with_its_place(value: Any, problem: str) -> None:
    zone, _ = saving(value=value)
    assert zone.state()["game"] is None
    assert problem in zone.save_problem
    assert zone.counters.rule_failures_total == 1


def test_game_without_save_has_no_state_of_its_own() -> None:
    zone = zone_of(Yard())
    assert zone.state()["game"] is None
    assert zone.save_problem == "Yard has no save() and load(value)"


def test_timer_with_a_function_of_its_own_is_named_with_its_line() -> None:
    zone, rules = saving()

    def explode() -> None: ...

    timer = rules.after(3, explode)
    line = explode.__code__.co_firstlineno
    assert zone.state()["game"] is None
    assert f"explode (tests/zone/test_checkpoint.py:{line}) calls a function that has no name in the game" in (
        zone.save_problem
    )
    timer.cancel()
    assert zone.state()["game"]


@pytest.mark.parametrize("source", [random.SystemRandom(), object()])
def test_random_source_of_another_kind_is_named(source: Any) -> None:
    zone, _ = saving(random=source)
    assert zone.state()["game"] is None
    assert zone.save_problem.startswith(f"self.random is of type {type(source).__name__}, whose state no checkpoint ho")


def test_timer_with_an_argument_that_is_not_plain_is_named() -> None:
    zone, rules = saving()
    rules.after(3, rules.ring, [1])
    assert zone.state()["game"] is None
    assert "the timer Saving.ring" in zone.save_problem
    assert "has an argument of type list: let it call a method of the game" in zone.save_problem


def test_values_of_a_player_that_are_not_json_are_named() -> None:
    zone, rules = saving()
    run(zone, 1, joins=[Join(1, "ann", b"", "127.0.0.1")])
    rules.players[1].saved["friends"] = {2}
    assert zone.state()["game"] is None
    assert zone.save_problem == "saved of ann['friends'] is of type set: JSON cannot hold it"


def test_timer_that_calls_a_method_of_a_thing_is_restored() -> None:
    zone, rules = saving()
    rules.after(2, rules.coin.remove)
    copy = copy_of(zone, Saving())
    run(copy, 1)
    assert copy.rules.things
    run(copy, 1)
    assert not copy.rules.things


# --- A game that begins anew ----------------------------------------------------------------------


def test_game_without_a_state_begins_anew_in_the_restored_world() -> None:
    zone, rules = saving()
    run(zone, 1, joins=[Join(1, "ann", b"", "127.0.0.1")])
    run(zone, 8)
    rules.coin.move(3, 0)
    rules.spawn("coin", 7, 7)
    run(zone, 1)
    copy = zone_of(anew := Saving())
    copy.restore(snapshot_of(zone), as_written(zone.state() | {"game": None}))
    assert copy.snapshot() == zone.snapshot()
    assert not anew.coin.present
    assert [thing.position for thing in anew.things.values()] == [(5, 5), (7, 7)]
    assert anew.calls == ["on_restore"]
    run(copy, 4)
    assert anew.calls == ["on_restore", (15,)], "the timer of on_start runs four ticks after tick 11"


@pytest.mark.parametrize("given", ["save", "load"])
def test_game_has_both_save_and_load_or_none(given: str) -> None:
    half = type("Half", (Rules,), {given: getattr(Saving, given)})
    other = {"save": "load", "load": "save"}[given]
    (problem,) = problems_of(half)
    assert problem == f"{given} needs {other}: a restart takes the game's state from save() and gives it to load(value)"


def test_action_may_be_called_save() -> None:
    class Bank(Rules):
        @action
        def save(self, player: Player) -> None: ...

    assert not can_save(Bank)
    assert not list(problems_of(Bank))


# --- Other parameters -----------------------------------------------------------------------------


def test_zone_goes_on_with_other_parameters_as_a_new_one_does() -> None:
    zone = zone_of()
    script = inputs(5, 90)
    for tick_input in script[:30]:
        zone.tick(tick_input)
    parameters = ZoneParameters(HZ, 3, Limits(), 3, 2, "", False, 40, 9, {"cats": 3})
    written = ZoneParameters.from_plain(as_written(parameters.to_plain() | {"of_later": 1}))
    assert written == parameters
    copy = Zone(Bazaar(), **written.for_zone())
    copy.restore(snapshot_of(zone), as_written(zone.state()))
    zone.change(parameters)
    for tick_input in script[30:]:
        assert copy.tick(tick_input) == zone.tick(tick_input)
    assert zone.rules.setting["cats"] == 3


def test_tickets_in_a_rerun_are_used_up_and_not_verified() -> None:
    secret = b"a secret of 16 bytes or more"
    ticket = issue_ticket(b"another secret of 16 bytes", "ann", "yard", 10_000, b"n" * 16)
    zone = Zone(Yard(), hz=HZ, seed=1, secret=secret, is_rerun=True)
    run(zone, 1, joins=[Join(1, "ann", ticket, "127.0.0.1")])
    assert [player.name for player in zone.rules.players.values()] == ["ann"]
    assert as_written(zone.state())["tickets"] == [0, [[10_000, b"n" * 16]]]
    zone.end_rerun()
    (ended,) = zone.tick(TickInput(2, 0.0, 100, Requests(joins=[Join(2, "bob", ticket, "::1")]))).ended
    assert ended.reason == "BAD_TICKET"
