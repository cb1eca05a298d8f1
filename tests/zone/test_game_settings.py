"""The settings of a game: declared on its class, given by the server, read by its rules."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from zoneserver.zone.game_class import problems_of
from zoneserver.zone.game_settings import read_setting, setting_name, settings_of
from zoneserver.zone.rules import Rules
from zoneserver.zone.zone import Zone


class Coins(Rules):
    settings: ClassVar = {"coins": 30, "pace": 1.5, "motto": "run", "night": False}

    def on_start(self) -> None:
        self.seen = dict(self.setting)


def test_rules_read_the_defaults_before_on_start() -> None:
    game = Coins()
    Zone(game, hz=20, seed=1)
    assert game.seen == {"coins": 30, "pace": 1.5, "motto": "run", "night": False}


def test_rules_read_the_given_values_and_cannot_change_them() -> None:
    game = Coins()
    Zone(game, hz=20, seed=1, settings={"coins": 50, "pace": 2, "night": True})
    assert game.seen == {"coins": 50, "pace": 2.0, "motto": "run", "night": True}
    assert type(game.seen["pace"]) is float
    with pytest.raises(TypeError):
        game.setting["coins"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"coin": 1}, "the game has no setting 'coin'; did you mean 'coins'"),
        ({"coins": "50"}, "coins is '50': it must be a whole number, as its default 30"),
        ({"coins": True}, "coins is True: it must be a whole number"),
        ({"coins": 1.0}, "coins is 1.0: it must be a whole number"),
        ({"pace": float("nan")}, "pace is nan: it must be a number"),
        ({"night": 1}, "night is 1: it must be true or false"),
        ({"motto": None}, "motto is None: it must be a text"),
        ({"motto": "\ud800"}, "it must be a text in Unicode"),
    ],
)
def test_wrong_value_is_named(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        settings_of(Coins.settings, given)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("coins", "-5", -5), ("pace", "2", 2.0), ("pace", "-0.5", -0.5), ("motto", "", ""), ("night", "ON", True)],
)
def test_text_is_read_by_the_type_of_the_default(name: str, text: str, value: object) -> None:
    found = read_setting(Coins.settings, name, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("coins", "5.0"),
        ("coins", ""),
        ("pace", "inf"),
        ("pace", "x"),
        ("night", "maybe"),
        ("coins", "9" * 5000),
        ("motto", "\udcff"),
    ],
)
def test_text_of_another_type_raises(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is "):
        read_setting(Coins.settings, name, text)


def test_a_name_is_found_in_any_case_and_with_dashes() -> None:
    assert setting_name({"maxCoins": 1, "max_wolves": 2}, "MAX-WOLVES") == "max_wolves"
    assert setting_name({"maxCoins": 1}, "maxcoins") == "maxCoins"
    with pytest.raises(ValueError, match="no setting 'x'; it has none"):
        setting_name({}, "x")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ([1], "settings is [1]: it must be a dict"),
        ({"max-coins": 1}, "'max-coins': the name of a setting must be letters"),
        ({1: 1}, "settings has 1: the name"),
        ({"coins": None}, "'coins': None: a default must be an int, a finite float, a str of Unicode or a bool"),
        ({"coins": [1]}, "'coins': [1]: a default"),
        ({"coins": float("inf")}, "'coins': inf: a default"),
        ({"coins": 1, "Coins": 2}, "'coins' and 'Coins': ZONE_GAME_COINS would set both"),
    ],
)
def test_a_bad_declaration_is_a_problem_of_the_game(settings: Any, complaint: str) -> None:
    game = type("Game", (Rules,), {"settings": settings})
    assert [complaint in problem for problem in problems_of(game)] == [True]


def test_the_values_cannot_be_declared_by_a_game() -> None:
    game = type("Game", (Rules,), {"setting": {"coins": 1}})
    assert list(problems_of(game)) == [
        "setting cannot be defined by a game: it has the values of `settings` on this server"
    ]
