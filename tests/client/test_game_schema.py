"""The schema of a game, as the console client uses it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoneclient.game_schema import GameSchema

ACTIONS = [
    {"name": "wave", "parameters": [], "doc": "Waves."},
    {"name": "move", "parameters": [{"name": "vx", "type": "int", "min": -5, "max": 5}, {"name": "vy", "type": "int"}]},
    {
        "name": "tell",
        "parameters": [{"name": "other", "type": "player"}, {"name": "text", "type": "str"}],
        "doc": "Hi.",
    },
    {"name": "wield", "parameters": [{"name": "weapon", "type": "choice", "values": ["bow", "axe"], "default": "bow"}]},
    {"name": "invite", "parameters": [{"name": "all", "type": "list", "items": {"type": "player"}}]},
]
EVENTS = [{"name": "taken", "values": [{"type": "int"}, {"type": "player"}]}]
PLAYERS = {0: "ann", 7: "bob smith"}


def schema_of(actions: Any = ACTIONS, events: Any = EVENTS) -> GameSchema:
    return GameSchema(json.dumps({"schema": "zone-game/1", "actions": actions, "events": events}))


def slot_of(name: str) -> int | None:
    return {name: slot for slot, name in PLAYERS.items()}.get(name)


def test_help_lines_give_each_action_with_its_parameters() -> None:
    assert schema_of().help_lines() == [
        "/wave                          Waves.",
        "/move VX:-5..5 VY:int",
        "/tell OTHER:player TEXT:str    Hi.",
        "/wield [WEAPON:bow|axe]",
        "/invite ALL:list",
    ]


@pytest.mark.parametrize(
    ("kind", "text", "arguments"),
    [
        ("wave", "", []),
        ("move", "3 -4", [3, -4]),
        ("tell", "ann hello there, it's me", [0, "hello there, it's me"]),
        ("tell", "'bob smith' 'it was \"so\"'", [7, 'it was "so"']),
        ("tell", "7 5", [7, "5"]),
        ("wield", "axe", ["axe"]),
        ("wield", "'axe'", ["axe"]),
        ("wield", "", []),
        ("wave", "1 2", [1, 2]),
        ("unknown", "1 'x'", [1, "x"]),
    ],
)
def test_arguments_are_read_by_the_types_of_the_parameters(kind: str, text: str, arguments: list[Any]) -> None:
    assert schema_of().read(kind, text, slot_of) == arguments


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("tell", "cid hello", "there is no player 'cid' here"),
        ("move", "x 1", "x is not a value"),
        ("unknown", "x", "x is not a value"),
        ("tell", "'ann hello", "has no end"),
    ],
)
def test_argument_that_does_not_fit_is_a_value_error(kind: str, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        schema_of().read(kind, text, slot_of)


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("tell", (0, "hi"), "ann 'hi'"),
        ("taken", (7, 7), "7 bob smith"),
        ("taken", (7, 9), "7 9"),
        ("taken", (0,), "0"),
        ("invite", ((0, 7),), "[ann, bob smith]"),
        ("unknown", (0, b"x", None), "0 b'x' None"),
    ],
)
def test_values_of_an_event_name_players(kind: str, values: tuple[Any, ...], text: str) -> None:
    assert schema_of().named(kind, values, PLAYERS.get) == text


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "{}",
        '{"schema": "zone-game/2", "actions": []}',
        '{"schema": "zone-game/1"}',
        '{"schema": "zone-game/1", "actions": 7}',
        '{"schema": "zone-game/1", "actions": [7]}',
        '{"schema": "zone-game/1", "actions": [{"name": "x", "parameters": [{}]}]}',
        '{"schema": "zone-game/1", "actions": [{"name": [], "parameters": []}]}',
        "[" * 100_000,
    ],
)
def test_text_that_is_no_schema_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        GameSchema(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "type", "values", "min", "items"]), inner)
    ),
    max_leaves=6,
)


@given(st.lists(st.fixed_dictionaries({"name": st.just("do"), "parameters": st.lists(JSON, max_size=3), "doc": JSON})))
def test_schema_of_a_server_that_lies_is_a_value_error_or_harmless(actions: list[Any]) -> None:
    try:
        schema = schema_of(actions, None)
    except ValueError:
        return
    schema.help_lines()
    schema.named("do", (1, (2,), "x"), PLAYERS.get)
    with contextlib.suppress(ValueError):
        schema.read("do", "ann 1 [1]", slot_of)


def test_game_without_a_schema_has_no_actions() -> None:
    schema = GameSchema()
    assert (schema.actions, schema.help_lines(), schema.read("move", "1 2", slot_of)) == ({}, [], [1, 2])


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("ann lee our secret", [2, "our secret"]),
        ("ann our secret", [1, "our secret"]),
        ("ann leela", [1, "leela"]),
        ("'ann' lee", [1, "lee"]),
        ("2 hi", [2, "hi"]),
    ],
)
def test_longest_name_of_a_player_is_meant(text: str, arguments: list[object]) -> None:
    whisper = {"name": "whisper", "parameters": [{"name": "other", "type": "player"}, {"name": "text", "type": "str"}]}
    schema = GameSchema(json.dumps({"schema": "zone-game/1", "actions": [whisper], "events": None}))
    assert schema.read("whisper", text, {"ann": 1, "ann lee": 2}.get) == arguments
