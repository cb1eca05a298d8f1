"""An action happens whole or not at all."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
from helpers.yard import codes, replica_of, told, zone_of
from hypothesis import given, settings
from hypothesis import strategies as st

from zoneserver.zone.rules import Player, Refused, Rules, action

Step = tuple[str, int, int]


class Script(Rules):
    """A game whose action runs the steps of the test, and then succeeds, refuses or raises."""

    width, height = 100, 100
    stats: ClassVar = {"hp": 100, "gold": 0}
    kinds: ClassVar = {"coin": {"worth": 1}, "wall": {}}
    board: ClassVar = {"round": 0, "leader": ""}

    def __init__(self) -> None:
        self.rung: list[int] = []
        self.script: list[tuple[list[Step], str]] = []

    @action
    def do(self, player: Player, number: int) -> None:
        steps, end = self.script[number]
        for what, slot, value in steps:
            other = self.players[slot]
            things = list(self.things.values())
            thing = things[value % len(things)] if things else None
            match what:
                case "spawn":
                    self.spawn("coin" if value % 2 else "wall", abs(value), 5, 0, value)
                case "turn" if thing is not None:
                    thing.move(value, value)
                case "shift" if thing is not None:
                    thing.place(abs(value), abs(value))
                case "remove" if thing is not None:
                    thing.remove()
                case "worth" if thing is not None and thing.kind == "coin":
                    thing["worth"] += value
                case "board":
                    self.board["round"] += value
                    self.board["leader"] = other.name * abs(value)
                case "tell":
                    other.tell("secret", value, [self.things[near.slot].kind for near in self.near(other, 50)])
                case "move":
                    other.move(value, -value)
                case "place":
                    other.place(abs(value), 7, 0, value)
                case "hp" | "gold":
                    other[what] += value
                case "emit":
                    self.emit("said", value)
                case "after":
                    self.after(1 + abs(value) % 3, partial(self.rung.append, value))
                case "kick":
                    other.kick("OUT")
        if end == "refuse":
            raise Refused("NO")
        if end == "raise":
            raise ZeroDivisionError
        if end == "emit":
            self.emit("what no client accepts", {})


steps = st.lists(
    st.tuples(
        st.sampled_from(["move", "place", "hp", "gold", "emit", "after", "board", "tell"])
        | st.sampled_from(["spawn", "spawn", "turn", "shift", "remove", "worth"]),
        st.integers(0, 1),
        st.integers(-9, 9),
    ),
    max_size=8,
)
actions = st.lists(st.tuples(steps, st.sampled_from(["", "", "refuse", "raise", "emit"])), max_size=8)


@settings(max_examples=40)
@given(scripts=st.lists(actions, max_size=3))
def test_refused_actions_leave_the_frames_as_if_they_had_not_been_sent(
    scripts: list[list[tuple[list[Step], str]]],
) -> None:
    zones = [zone_of("ann", "bob", rules=Script()) for _ in range(2)]
    replica = replica_of(zones[0])
    seq = 1
    for script in [*scripts, [], [], []]:
        results = []
        for zone, with_refused in zip(zones, (True, False), strict=True):
            assert isinstance(zone.rules, Script)
            zone.rules.script = script
            for number, (_, end) in enumerate(script):
                if with_refused or not end:
                    zone.submit(1, seq + number, [("do", number)])
            results.append(zone.step())
        seq += len(script)
        assert results[0].frame == results[1].frame
        assert results[0].told == results[1].told
        assert zones[0].snapshot() == zones[1].snapshot()
        replica.apply(told(results[0]))
        assert replica.hash() == zones[0].world.hash()
    assert zones[0].rules.rung == zones[1].rules.rung  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["refuse", "raise"])
def test_kick_by_a_refused_action_is_taken_back(end: str) -> None:
    rules = Script()
    zone = zone_of("ann", "bob", rules=rules)
    rules.script = [([("kick", 1, 0)], end), ([("kick", 0, 0)], "")]
    zone.submit(1, 1, [("do", 0), ("do", 1)])
    assert [each.ref for each in zone.step().ended] == [1]


def test_changes_of_timers_and_hooks_stand_beside_a_refused_action() -> None:
    class Ticking(Script):
        def on_tick(self) -> None:
            self.players[1]["gold"] += 1

    rules = Ticking()
    zone = zone_of("ann", "bob", rules=rules)
    rules.after(1, lambda: rules.players[1].place(3, 4))
    rules.script = [([("gold", 1, 5), ("place", 1, 9)], "refuse")]
    zone.submit(1, 1, [("do", 0)])
    result = zone.step()
    assert codes(result) == [(1, 1, "NO")]
    assert list(told(result).placed) == [1, 3, 4, 0, 0]
    assert list(told(result).stats) == [1, 1, 2]
