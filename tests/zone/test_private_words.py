"""The board, which all see, and what one player alone is told."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar

import pytest
from helpers.driven_zone import DrivenZone
from helpers.yard import codes, replica_of, told, zone_of

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Answered, Told
from zoneserver.zone.link import TickOutput
from zoneserver.zone.rules import Player, Refused, Rules, Text, action


class Court(Rules):
    width, height = 100, 100
    board: ClassVar = {"match": 0, "leader": ""}

    @action(private=True)
    def whisper(self, player: Player, other: Player, text: Annotated[str, Text(200)]) -> None:
        other.tell("whisper", player.slot, text)

    @action(private=True)
    def add(self, player: Player, one: int, two: int) -> Any:
        return one + two

    @action(private=True)
    def pair(self, player: Player) -> Any:
        return ("gold", [1, None])

    @action(private=True)
    def sneak(self, player: Player) -> None:
        player.move(3, 4)

    @action(private=True)
    def fail(self, player: Player, how: str) -> Any:
        player.tell("lost", 1)
        match how:
            case "refuse":
                raise Refused("NO")
            case "raise":
                raise ZeroDivisionError
        return {"a": "map"}

    @action
    def shout(self, player: Player) -> None:
        player.tell("echo", "!")


def private(output: TickOutput) -> list[tuple[int, Any]]:
    """(ref, message) of each message for one player alone."""
    return [(ref, decode_server(payload)) for ref, payload in output.told]


def court(*names: str) -> tuple[DrivenZone, Court]:
    rules = Court()
    return zone_of(*names, rules=rules), rules


def test_whisper_is_told_to_one_and_answered_to_another() -> None:
    zone, _ = court("ann", "bob", "cid")
    silent = len(zone.step().frame)
    zone.submit(1, 1, [("whisper", 1, "psst")])
    output = zone.step()
    assert private(output) == [(2, Told(3, "whisper", (0, "psst"))), (1, Answered(3, 1, ()))]
    assert len(output.frame) == silent


def test_a_private_action_is_answered_with_what_it_returned() -> None:
    zone, _ = court("ann")
    zone.submit(1, 9, [("add", 2, 3), ("pair",)])
    assert private(zone.step()) == [(1, Answered(2, 9, (5,))), (1, Answered(2, 10, ("gold", (1, None))))]


def test_the_public_sequence_says_nothing_of_private_actions() -> None:
    zone, _ = court("ann")
    zone.submit(1, 1, [("shout",)])
    zone.submit(1, 2, [("add", 1, 1), ("sneak",)])
    replica = replica_of(zone)
    tick = told(zone.step())
    assert (zone.world.seq[0], list(tick.movers), list(tick.steered)) == (1, [], [0])
    replica.apply(tick)
    assert (replica.hash(), list(replica.seq)) == (zone.world.hash(), [1])


@pytest.mark.parametrize(("how", "code"), [("refuse", "NO"), ("raise", "RULE_FAILED"), ("return", "RULE_FAILED")])
def test_a_private_action_that_fails_is_refused_and_tells_nothing(how: str, code: str) -> None:
    zone, _ = court("ann")
    zone.submit(1, 1, [("fail", how)])
    output = zone.step()
    assert (codes(output), private(output)) == ([(1, 1, code)], [])


def test_a_tell_of_on_join_reaches_the_player_who_came_in() -> None:
    class Greeting(Court):
        def on_join(self, player: Player) -> None:
            player.tell("welcome", player.name)
            if player.name == "eve":
                raise Refused("BANNED")

    zone = DrivenZone(Greeting(), hz=4, seed=1)
    zone.join(1, "ann")
    zone.join(2, "eve")
    output = zone.step()
    assert private(output) == [(1, Told(1, "welcome", ("ann",)))]
    assert [ended.ref for ended in output.ended] == [2]


def test_every_game_answers_with_its_schema() -> None:
    zone, _ = court("ann")
    zone.submit(1, 1, [("/game.json",)])
    ((_, answer),) = private(zone.step())
    schema = json.loads(answer.values[0])
    assert (schema["schema"], schema["board"]) == ("zone-game/1", {"match": 0, "leader": ""})
    assert {each["name"]: each["private"] for each in schema["actions"]}["whisper"] is True


def test_the_schema_is_told_once_a_tick() -> None:
    zone, _ = court("ann")
    zone.submit(1, 1, [("/game.json",)] * 16)
    output = zone.step()
    assert len(output.told) == 1
    assert codes(output) == [(1, seq, "TOO_MANY_ACTIONS") for seq in range(2, 17)]
    assert zone.counters.rule_failures_total == 0


@pytest.mark.parametrize("depth", [16, 17, 1_021, 1_022])
def test_lists_that_no_client_could_read_are_told_to_nobody(depth: int) -> None:
    zone, rules = court("ann")
    deep: list[Any] = []
    for _ in range(depth - 1):
        deep = [deep]
    if depth <= 16:
        rules.emit("deep", deep)
        rules.players[0].tell("deep", deep)
    else:
        for tell in (rules.emit, rules.players[0].tell):
            with pytest.raises(ValueError, match=r"nested|recursion"):
                tell("deep", deep)
    output = zone.step()
    assert len(told(output).events) == len(private(output)) == (depth <= 16)


@pytest.mark.parametrize(
    ("values", "error"),
    [(({},), TypeError), ((object(),), TypeError), (("x" * 65_536,), ValueError), ((2**64,), OverflowError)],
)
def test_a_tell_that_cannot_be_sent_raises_where_it_is_told(values: tuple[Any, ...], error: type[Exception]) -> None:
    zone, rules = court("ann")
    with pytest.raises(error):
        rules.players[0].tell("gift", *values)
    assert zone.step().told == []


def test_one_player_can_be_told_so_much_within_a_tick() -> None:
    zone, rules = court("ann", "bob")
    ann, bob = rules.players.values()
    for _ in range(4):
        ann.tell("long", "x" * 65_000)
    with pytest.raises(OverflowError, match="262,144 bytes"):
        ann.tell("long", "x" * 65_000)
    bob.tell("long", "x" * 65_000)
    assert len(zone.step().told) == 5
    ann.tell("long", "x" * 65_000)


def test_who_has_left_is_told_nothing() -> None:
    zone, rules = court("ann", "bob")
    bob = rules.players[1]
    bob.tell("bye")
    zone.leave(2)
    assert zone.step().told == []
    with pytest.raises(LookupError):
        bob.tell("bye")


# --- The board ------------------------------------------------------------------------------------


def test_the_board_is_in_frame_snapshot_and_hash() -> None:
    zone, rules = court("ann")
    replica = replica_of(zone)
    rules.board["match"] = 7
    rules.board.update(leader="Zoë")
    replica.apply(told(zone.step()))
    assert (replica.board, replica.hash()) == ([7, "Zoë"], zone.world.hash())
    late = replica_of(zone)
    assert (late.board, late.hash()) == (replica.board, replica.hash())
    zone.world.board[0] = 8
    assert replica.hash() != zone.world.hash()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("round", 1, KeyError),
        ("match", "1", TypeError),
        ("match", 1.0, TypeError),
        ("match", 2**53, ValueError),
        ("match", None, TypeError),
        ("leader", 1, TypeError),
        ("leader", "x" * 257, ValueError),
        ("leader", "\ud800", ValueError),
    ],
)
def test_the_board_keeps_names_and_types(name: str, value: Any, error: type[Exception]) -> None:
    zone, rules = court("ann")
    before = zone.step().frame
    with pytest.raises(error):
        rules.board[name] = value
    assert len(zone.step().frame) == len(before)
    assert dict(rules.board) == {"match": 0, "leader": ""}


def test_no_entry_of_the_board_can_be_deleted() -> None:
    _, rules = court()
    with pytest.raises(TypeError):
        del rules.board["match"]
    assert (len(rules.board), "match" in rules.board) == (2, True)


def test_a_bool_on_the_board_is_told_as_a_number() -> None:
    zone, rules = court("ann")
    replica = replica_of(zone)
    rules.board["match"] = True
    replica.apply(told(zone.step()))
    assert replica.hash() == zone.world.hash()
