"""What the rules save of players: when, as what, and who gets it back."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import pytest
from helpers.driven_zone import DrivenZone

from zoneserver.config import Limits
from zoneserver.protocol.codes import CloseReason
from zoneserver.zone.failures import RuleFailure
from zoneserver.zone.link import Ended, Join
from zoneserver.zone.rules import Player, Refused, Rules
from zoneserver.zone.saves import SAVED_BYTES_MAX, SavedError, decode_saved, encode_saved
from zoneserver.zone.zone import Zone

HZ = 20
INTERVAL = 5


class Purse(Rules):
    """Saves gold, and notes its calls."""

    stats: ClassVar = {"gold": 0}

    def on_start(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def on_join(self, player: Player) -> None:
        player["gold"] = player.saved.get("gold", 0)

    def on_leave(self, player: Player) -> None:
        self.calls.append(("on_leave", player.name))
        player["gold"] += 1

    def on_stop(self) -> None:
        self.calls.append(("on_stop", ""))

    def to_save(self, player: Player) -> Any:
        self.calls.append(("to_save", player.name))
        return {"gold": player["gold"]}


def zone_of(rules: Rules, **settings: Any) -> DrivenZone:
    return DrivenZone(rules, hz=HZ, seed=1, save_ticks=INTERVAL, **settings)


def join(zone: DrivenZone, ref: int, name: str, saved: str = "") -> None:
    zone.requests.joins.append(Join(ref, name, b"", "127.0.0.1", saved=saved))


@pytest.mark.parametrize("saved", [{}, {"gold": 7, "items": ["axe", None, True, 1.5, {"ä\0": "\N{SNOWMAN}"}]}])
def test_saved_value_comes_back_as_it_was(saved: dict[str, Any]) -> None:
    assert decode_saved(encode_saved(saved)) == saved


def test_saved_text_can_be_read_by_people() -> None:
    assert encode_saved({"name": "Ångström"}) == '{"name":"Ångström"}'
    assert decode_saved("") == {}


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

LAUGHS: list[Any] = ["ha"]
for _ in range(30):
    # As text it would fill any memory.
    LAUGHS = [LAUGHS] * 10


@pytest.mark.parametrize(
    ("saved", "error", "text"),
    [
        ([1], TypeError, "to_save returned a value of type list: it must return a dict, or None"),
        ({"items": [1, {2}]}, TypeError, r"to_save\(\)\['items'\]\[1\] is of type set: JSON cannot hold it"),
        ({"by": {7: "x"}}, TypeError, r"to_save\(\)\['by'\] has the key 7, of type int: keys are texts in JSON"),
        ({"x": [float("nan")]}, ValueError, r"to_save\(\)\['x'\]\[0\] is nan: JSON has no such number"),
        ({"x": ENDLESS}, ValueError, "nested too deeply"),
        ({"x": [1, "\ud800"]}, ValueError, r"to_save\(\)\['x'\]\[1\] has the text '\\ud800', which is no Unicode"),
        ({"x": {"\ud800": 1}}, ValueError, r"to_save\(\)\['x'\] has the text '\\ud800', which is no Unicode"),
        ({"x": 10**5000}, ValueError, "digits"),
        ({"x": "y" * (SAVED_BYTES_MAX - 3)}, ValueError, r"is 262,149 bytes as JSON: at most 262,144 are saved"),
        ({"x": "y" * SAVED_BYTES_MAX}, ValueError, r"is more than 262,144 bytes as JSON: at most 262,144 are saved"),
        ({"y" * SAVED_BYTES_MAX: 1}, ValueError, r"is more than 262,144 bytes as JSON"),
        ({"x": [None] * 300_000}, ValueError, r"is more than 262,144 bytes as JSON"),
        ({"x": LAUGHS}, ValueError, r"is more than 262,144 bytes as JSON"),
    ],
)
def test_value_that_json_cannot_hold_is_rejected_with_its_place(saved: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        encode_saved(saved)


@pytest.mark.parametrize("text", ["[]", "{", "7", "[" * 100_000, "null"])
def test_stored_text_that_is_no_object_is_rejected(text: str) -> None:
    with pytest.raises(SavedError):
        decode_saved(text)


def test_player_gets_what_was_saved() -> None:
    zone = zone_of(Purse())
    join(zone, 1, "ann", '{"gold":7}')
    join(zone, 2, "bob")
    zone.step()
    assert [(player.saved, player["gold"]) for player in zone.rules.players.values()] == [({"gold": 7}, 7), ({}, 0)]


def test_player_whose_stored_text_is_nonsense_is_turned_away() -> None:
    zone = zone_of(Purse())
    join(zone, 1, "ann", "{")
    output = zone.step()
    text = "the saved data of this player is no JSON object"
    assert output.ended == [Ended(1, CloseReason.STORE_FAILED, text)]
    assert (output.saves, dict(zone.rules.players), zone.counters.rule_failures_total) == ([], {}, 0)


def test_player_who_leaves_is_saved_after_on_leave() -> None:
    zone = zone_of(Purse(), limits=Limits())
    join(zone, 1, "ann", '{"gold":7}')
    zone.step()
    zone.leave(1)
    assert zone.step().saves == [("ann", '{"gold":8}')]
    assert zone.rules.calls[-2:] == [("on_leave", "ann"), ("to_save", "ann")]


def test_each_player_is_saved_once_per_interval_and_spread_over_its_ticks() -> None:
    zone = zone_of(Purse())
    for ref in range(12):
        join(zone, ref, f"p{ref}")
    zone.step()
    saves = [[name for name, _ in zone.step().saves] for _ in range(INTERVAL)]
    assert sorted(itertools.chain(*saves)) == sorted(f"p{ref}" for ref in range(12))
    assert max(map(len, saves)) == 3


def test_save_all_saves_everybody_with_the_next_output() -> None:
    zone = zone_of(Purse())
    for ref in range(8):
        join(zone, ref, f"p{ref}")
    zone.step()
    zone.save_all()
    assert [name for name, _ in zone.step().saves][:8] == [f"p{ref}" for ref in range(8)]


def test_stop_saves_everybody_before_on_stop() -> None:
    zone = zone_of(Purse())
    join(zone, 1, "ann")
    join(zone, 2, "bob")
    zone.step()
    assert zone.stop() == [("ann", '{"gold":1}'), ("bob", '{"gold":1}')]
    assert zone.rules.calls[-1] == ("on_stop", "")
    assert zone.rules.calls[-3:-1] == [("on_leave", "bob"), ("to_save", "bob")]


def test_newer_session_gets_what_the_older_one_has_just_saved() -> None:
    zone = zone_of(Purse())
    join(zone, 1, "ann", '{"gold":7}')
    zone.step()
    join(zone, 2, "ann", '{"gold":7}')
    output = zone.step()
    assert output.saves == [("ann", '{"gold":8}')]
    assert output.joined == [(2, 0)]
    assert [player["gold"] for player in zone.rules.players.values()] == [8]


def test_session_that_waits_for_a_slot_gets_what_the_older_one_has_just_saved() -> None:
    zone = zone_of(Purse(), limits=Limits(joins_per_second=HZ))
    join(zone, 1, "ann", '{"gold":7}')
    zone.step()
    for ref in (2, 3, 4):
        join(zone, ref, f"p{ref}")
    join(zone, 5, "ann", '{"gold":7}')
    for _ in range(3):
        assert zone.step().joined[0][0] != 5
    assert zone.step().joined[0][0] == 5
    assert {player.name: player["gold"] for player in zone.rules.players.values()}["ann"] == 8


def test_session_that_joins_in_the_tick_of_a_leave_gets_what_was_saved() -> None:
    zone = zone_of(Purse())
    join(zone, 1, "ann", '{"gold":7}')
    zone.step()
    zone.leave(1)
    join(zone, 2, "ann", '{"gold":7}')
    zone.step()
    assert [player["gold"] for player in zone.rules.players.values()] == [8]


def test_kicked_player_is_saved() -> None:
    class Strict(Purse):
        def on_tick(self) -> None:
            for player in self.players.values():
                player.kick("OUT")

    zone = zone_of(Strict())
    join(zone, 1, "ann")
    zone.step()
    assert ("ann", '{"gold":1}') in zone.step().saves


@pytest.mark.parametrize("error", [Refused("CLOSED"), RuntimeError()])
def test_player_who_is_turned_away_is_not_saved(error: Exception) -> None:
    class Closed(Purse):
        def on_join(self, player: Player) -> None:
            raise error

    zone = zone_of(Closed(), on_failure=lambda _: None)
    join(zone, 1, "ann")
    outputs = [zone.step() for _ in range(INTERVAL + 1)]
    assert [output.saves for output in outputs] == [[]] * len(outputs)
    assert zone.rules.calls == []


def test_value_that_cannot_be_saved_is_a_failure_of_the_rule() -> None:
    class Broken(Purse):
        def to_save(self, player: Player) -> Any:
            return {"friends": {player}} if player.name == "ann" else super().to_save(player)

    failures: list[RuleFailure] = []
    zone = zone_of(Broken(), on_failure=failures.append)
    join(zone, 1, "ann", '{"gold":7}')
    join(zone, 2, "bob")
    zone.step()
    zone.leave(1)
    zone.leave(2)
    assert zone.step().saves == [("bob", '{"gold":1}')]
    assert zone.counters.rule_failures_total >= 1
    assert (failures[-1].what, failures[-1].about) == ("to_save", {"player": "ann"})
    assert str(failures[-1].error) == "to_save()['friends'] is of type set: JSON cannot hold it"


def test_game_without_to_save_and_zone_without_store_save_nothing() -> None:
    for zone in (zone_of(Rules()), DrivenZone(Purse(), hz=HZ, seed=1)):
        join(zone, 1, "ann")
        zone.step()
        zone.save_all()
        zone.leave(1)
        assert zone.step().saves == []
        assert zone.stop() == []


def test_to_save_that_waits_cannot_run() -> None:
    class Waiting(Rules):
        async def to_save(self, player: Player) -> Any:  # type: ignore[override]
            return {}

    with pytest.raises(TypeError, match=r"to_save is .*: it must be an ordinary method"):
        Zone(Waiting(), hz=HZ, seed=1)
