"""Declared events: what `emit` and the results of actions are held to."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from helpers.arsenal import FakeThing, Rank
from helpers.driven_zone import DrivenZone

from zoneserver.protocol.decoding import decode_server
from zoneserver.protocol.messages import Tick
from zoneserver.zone.actions import actions_of
from zoneserver.zone.declared_events import events_of
from zoneserver.zone.entities import Thing
from zoneserver.zone.rules import AtMost, Between, Player, Rules, Text, action

COIN: Any = FakeThing(40, "coin")
WOLF: Any = FakeThing(41, "wolf")


class Declared(Rules):
    kinds: ClassVar = {"coin": {}, "wolf": {}}
    events: ClassVar = {
        "taken": (int, Player),
        "won": (Annotated[str, Text(4)],),
        "found": (Annotated[Thing, "coin"], Thing | None),
        "ranked": (Rank, Annotated[list[Player], AtMost(2)]),
        "rolled": (Annotated[int, Between(1, 6)],),
        "sent": (float, bytes),
        "over": (),
        "give": (int, Player),
        "pick": (Player,),
        "step": (),
    }

    def __init__(self, *emitted: Any) -> None:
        self.emitted = emitted
        self.error: Exception | None = None

    @action
    def say(self, player: Player, values: list[int]) -> None:
        """Emits what the test has given. The word `me` stands for the player."""
        kind, *told = self.emitted
        try:
            self.emit(kind, *[player if value == "me" else [player] if value == "us" else value for value in told])
        except Exception as error:
            self.error = error

    @action
    def give(self, player: Player, amount: int, other: Player) -> None: ...

    @action
    def pick(self, player: Player, whom: int) -> object:
        return (player, player) if whom == 2 else player if whom else None

    @action
    def step(self, player: Player, vx: int) -> None:
        player.move(vx, 0)

    @action
    def free(self, player: Player, text: str) -> tuple[str, int]:
        return text, 1


def run(rules: Declared, *sent: Any) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Events of one tick as (kind, value, ...), and the codes of refusals. Ann, in slot 0, sends an action."""
    failures: list[Any] = []
    zone = DrivenZone(rules, hz=20, seed=1, on_failure=failures.append)
    zone.join(1, "ann")
    zone.submit(1, 1, [sent])
    result = zone.step()
    tick = decode_server(result.frame)
    assert isinstance(tick, Tick)
    rules.error = rules.error or (failures[0].error if failures else None)
    return [tuple(event[2:]) for event in tick.events], [refused.refusal.code for refused in result.refused]


def emitted(*event: Any) -> tuple[Any, ...]:
    rules = Declared(*event)
    events, _ = run(rules, "say", (1,))
    if rules.error is not None:
        raise rules.error
    return events[-1]


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (("taken", 3, "me"), ("taken", 3, 0)),
        (("taken", -3, 7), ("taken", -3, 7)),
        (("won", "ann"), ("won", "ann")),
        (("found", COIN, WOLF), ("found", 40, 41)),
        (("found", 40, None), ("found", 40, None)),
        (("ranked", Rank.HIGH, "us"), ("ranked", 7, (0,))),
        (("ranked", 1, (3, 4)), ("ranked", 1, (3, 4))),
        (("rolled", 6), ("rolled", 6)),
        (("sent", 1, b"x"), ("sent", 1, b"x")),
        (("over",), ("over",)),
    ],
)
def test_event_of_its_declared_form_is_told(event: tuple[Any, ...], told: tuple[Any, ...]) -> None:
    assert emitted(*event) == told


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (("toll", 3), r"the event 'toll' is not among the declared events: taken, won"),
        (("taken", 3), "the event 'taken' has 1 values, and is declared with 2"),
        (("over", 1), "the event 'over' has 1 values, and is declared with 0"),
        (("taken", 3.0, "me"), r"values\[0\] of the event 'taken' must be a whole number from "),
        (("taken", True, "me"), r"values\[0\] of the event 'taken' must be"),
        (("taken", 3, "ann"), r"values\[1\] of the event 'taken' must be a player in the zone, or its slot"),
        (("taken", 3, -1), r"values\[1\] of the event 'taken' must be"),
        (("taken", 3, COIN), r"values\[1\] of the event 'taken' must be"),
        (("won", "annie"), r"values\[0\] of the event 'won' must be printable text of 1 to 4 bytes"),
        (("found", WOLF, None), r"values\[0\] of the event 'found' must be a coin in the zone, or its slot"),
        (("found", None, None), r"values\[0\] of the event 'found' must be"),
        (("ranked", 2, ()), r"values\[0\] of the event 'ranked' must be one of 1, 7"),
        (("ranked", 1, (1, 2, 3)), r"values\[1\] of the event 'ranked' must be a list of at most 2 items"),
        (("ranked", 1, ("x",)), r"each item of values\[1\] of the event 'ranked' must be a player"),
        (("rolled", 7), r"values\[0\] of the event 'rolled' must be a whole number from 1 to 6"),
        (("sent", {}, b""), r"values\[0\] of the event 'sent' must be a number"),
    ],
)
def test_event_of_another_form_raises_where_it_is_emitted(event: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        emitted(*event)


def test_player_who_has_left_cannot_be_told_as_a_slot() -> None:
    class Late(Declared):
        def on_join(self, player: Player) -> None:
            self.first = player

        def on_tick(self) -> None:
            if self.tick == 2:
                self.emit("taken", 1, self.first)

    failures: list[Any] = []
    zone = DrivenZone(Late(), hz=20, seed=1, on_failure=failures.append)
    zone.join(1, "ann")
    zone.step()
    zone.leave(1)
    zone.step()
    assert [str(failure.error) for failure in failures] == [
        "values[1] of the event 'taken' must be a player in the zone, or its slot"
    ]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (("give", 3, 0), ("give", 3, 0)),
        (("pick", 1), ("pick", 0)),
        (("pick", 0), ("pick", 0)),
        (("free", "x"), ("free", "x", 1)),
    ],
)
def test_action_is_told_in_the_form_that_is_declared_under_its_name(sent: Any, told: Any) -> None:
    assert run(Declared(), *sent) == ([told], [])


def test_action_that_returns_another_form_fails_as_a_whole() -> None:
    rules = Declared()
    assert run(rules, "pick", 2) == ([], ["RULE_FAILED"])
    assert str(rules.error) == "the event 'pick' has 2 values, and is declared with 1"


def test_action_that_moves_its_player_is_a_motion_whatever_is_declared() -> None:
    assert run(Declared(), "step", 3) == ([], [])


def test_game_that_declares_no_event_may_emit_any() -> None:
    class Free(Declared):
        events: ClassVar = {}

    rules = Free("anything", 1, None, (b"x",))
    assert run(rules, "say", (1,)) == ([("say", (1,)), ("anything", 1, None, (b"x",))], [])


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (["taken"], r"events is \['taken'\]: it must be a dict of names and tuples of types"),
        ({3: (int,)}, "events has 3: the name of an event must be a str"),
        ({"taken": int}, r"events\['taken'\] is <class 'int'>: it must be a tuple of types, as in \(int, Player\)"),
        ({"taken": (int, dict)}, r"events\['taken'\]\[1\] is annotated <class 'dict'>"),
        ({"taken": ("Player",)}, r"events\['taken'\]\[0\] is annotated 'Player'"),
        (
            {"taken": (Annotated[Thing, "gem"],)},
            r"events\['taken'\]\[0\] is a Thing of the kind 'gem'",
        ),
        ({"taken": (Annotated[str, Text(0)],)}, r"events\['taken'\]\[0\] is bounded by .* allows no value"),
    ],
)
def test_declaration_that_stands_for_no_event_is_a_type_error(events: Any, words: str) -> None:
    game = type("Odd", (Rules,), {"events": events})
    with pytest.raises(TypeError, match=words):
        events_of(game)
    with pytest.raises(TypeError, match=words):
        DrivenZone(game(), hz=20, seed=1)
    with pytest.raises(TypeError, match=words):
        actions_of(game())
