"""The schema of a game."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar

import pytest
from helpers.arsenal import Arsenal
from helpers.yard import zone_of

from zoneserver.games.chat import Chat
from zoneserver.games.pixels import Pixels
from zoneserver.games.plaza import Plaza
from zoneserver.games.tag import Tag
from zoneserver.zone.action_runner import SCHEMA_ACTION
from zoneserver.zone.rules import Player, Rules, action
from zoneserver.zone.schema import schema_of, schema_text
from zoneserver.zone.zone import Zone


def actions(schema: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in schema["actions"]}


def test_schema_has_the_facts_of_the_class() -> None:
    schema = schema_of(Arsenal)
    facts = {name: value for name, value in schema.items() if name not in {"actions", "commands", "events"}}
    assert facts == {
        "schema": "zone-game/1",
        "name": "arsenal",
        "version": "3",
        "width": 100,
        "height": 80,
        "speed_step": 4,
        "stats": {},
        "board": {"leader": "", "match": 0},
        "kinds": {"coin": {"worth": 1}, "wolf": {}},
        "settings": {"coins": {"type": "int", "default": 30}, "ratio": {"type": "float", "default": 0.5}},
    }


def test_schema_has_each_action_with_its_parameters() -> None:
    found = actions(schema_of(Arsenal))
    assert list(found) == ["choices", "count", "find", "lists", "numbers", "raw", "texts"]
    assert found["numbers"] == {
        "name": "numbers",
        "private": False,
        "doc": "Takes numbers.",
        "parameters": [
            {"name": "whole", "type": "int", "min": -9, "max": 9},
            {"name": "real", "type": "float", "nullable": True, "default": 0.5},
        ],
        "values": [{"type": "int", "min": -9, "max": 9}, {"type": "float", "nullable": True}],
    }
    assert (found["count"]["private"], found["raw"]["doc"]) == (True, "")
    assert found["count"]["parameters"] == [{"name": "other", "type": "player", "nullable": True, "default": None}]
    assert found["choices"]["parameters"][1] == {
        "name": "weapon",
        "type": "choice",
        "values": ["sword", "bow"],
        "names": ["SWORD", "BOW"],
        "default": "bow",
    }
    assert found["raw"]["parameters"] == [{"name": "data", "type": "bytes", "bytes_max": 4, "default": "01"}]


def test_values_of_an_action_are_those_that_its_rule_returns() -> None:
    class Teller(Rules):
        @action(private=True)
        def no_answer(self, player: Player, x: int) -> None: ...

        @action
        def pair(self, player: Player) -> tuple[str, int | None]: ...  # type: ignore[empty-body]

        @action
        def many(self, player: Player) -> tuple[int, ...]: ...  # type: ignore[empty-body]

        @action
        def unknown(self, player: Player) -> Any: ...

        @action
        def either(self, player: Player) -> int | None: ...

        @action
        def silent(self, player):  # type: ignore[no-untyped-def]
            ...

    whole, text = {"type": "int"}, {"type": "str", "bytes_max": 1024}
    assert {name: each["values"] for name, each in actions(schema_of(Teller)).items()} == {
        "either": None,
        "many": [whole | {"repeated": True}],
        "no_answer": [],
        "pair": [text, whole | {"nullable": True}],
        "silent": None,
        "unknown": None,
    }
    [taken] = actions(schema_of(Arsenal))["texts"]["values"][:1]
    assert taken == {"name": "line", **text}


def test_schema_has_each_command_with_its_parameters() -> None:
    [arm] = schema_of(Arsenal)["commands"]
    weapon = {"type": "choice", "values": ["sword", "bow"], "names": ["SWORD", "BOW"], "default": "bow"}
    assert arm == {
        "name": "arm",
        "doc": "Arms a player.",
        "parameters": [{"name": "player", "type": "player"}, {"name": "weapon", **weapon}],
    }


def test_schema_has_the_events_that_are_declared() -> None:
    events = {each["name"]: each["values"] for each in schema_of(Arsenal)["events"]}
    assert events["taken"] == [{"type": "int"}, {"type": "player"}]
    assert (events["over"], schema_of(Tag)["events"]) == ([], None)


@pytest.mark.parametrize("game", [Arsenal, Chat, Pixels, Plaza, Tag])
def test_schema_is_json_and_equal_for_a_class_and_its_game(game: type[Rules]) -> None:
    schema = schema_of(game)
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema == schema_of(game())


def test_schema_has_the_sizes_of_a_game_that_sets_its_own() -> None:
    class Sized(Rules):
        def __init__(self) -> None:
            self.width = 77

    assert (schema_of(Sized())["width"], schema_of(Sized)["width"]) == (77, Rules.width)


def test_default_without_a_form_in_json_is_a_text() -> None:
    class Odd(Rules):
        settings: ClassVar = {"most": math.inf}

        @action
        def go(self, player: Player, far: float = -math.inf, steps: list[bytes] = [b"\xff"]) -> None: ...  # noqa: B006

    schema = schema_of(Odd)
    assert [each["default"] for each in schema["actions"][0]["parameters"]] == ["-inf", ["ff"]]
    assert schema["settings"] == {"most": {"type": "float", "default": "inf"}}


def test_largest_schema_reaches_a_client_and_a_larger_one_is_refused() -> None:
    def game(characters: int) -> Rules:
        return type("Wordy", (Rules,), {"settings": {"text": "x" * characters}})()  # type: ignore[no-any-return]

    spare = 65_471 - len(schema_text(schema_of(game(0))))
    zone = zone_of("ann", rules=game(spare))
    zone.submit(1, 1, [(SCHEMA_ACTION,)])
    result = zone.step()
    assert (len(result.told), result.refused) == (1, [])
    with pytest.raises(TypeError, match="takes 65,472 bytes as JSON, most of them for its settings"):
        Zone(game(spare + 1), hz=20, seed=1)
