"""The settings of a game, as the operator gives them: `--set`, `ZONE_GAME_*`, and the table `[game]` of a file.

Only the game knows its names and types, and it is loaded after the settings of the command were read. Until then each
value is text, with its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zoneserver.support.errors import CannotStartError, UsageError
from zoneserver.zone.game_settings import read_setting, setting_name, setting_problems
from zoneserver.zone.rules import Rules

__all__ = ["GAME_TABLE", "GivenSettings", "game_settings", "given_settings", "name_and_value"]

GAME_TABLE = "game"
"""The table of a file that has the settings of a game."""
_PREFIX = "ZONE_GAME_"

GivenSettings = dict[str, tuple[str, str]]
"""For each name, in lower case and with _ in place of -, the value as text and its source."""


def name_and_value(text: str) -> tuple[str, str]:
    """Reads `coins=50`. Raises ValueError otherwise."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text!r:.80} is not of the form NAME=VALUE, as in coins=50")
    return name.strip(), value


def given_settings(
    flags: Iterable[tuple[str, str]], environment: Mapping[str, str], path: str | None, table: Mapping[str, Any]
) -> GivenSettings:
    """What the layers give, where a flag wins over a variable and a variable over the file. Raises ValueError."""
    given: GivenSettings = {}
    for name, value in table.items():
        source = f"{path}: [{GAME_TABLE}] {name}"
        if not isinstance(value, str | int | float) or (isinstance(value, str) and "\0" in value):
            raise ValueError(f"{source}: {value!r:.80} is not a text, a number, true or false")
        given[_key(name)] = str(value), source
    for variable, text in environment.items():
        if text and variable.startswith(_PREFIX):
            given[_key(variable.removeprefix(_PREFIX))] = text, variable
    for name, text in flags:
        given[_key(name)] = text, f"--set {name}"
    return given


def _key(name: str) -> str:
    return name.replace("-", "_").lower()


def game_settings(game: type[Rules], given: GivenSettings) -> dict[str, Any]:
    """The values for this game, with the types that it declares.

    Raises UsageError for a name that the game does not have and for a value of another type, and CannotStartError for
    a game that declares no proper settings.
    """
    problems = list(setting_problems(game.settings))
    if problems:
        raise CannotStartError(f"the game cannot run: {'; '.join(problems)}")
    values = {}
    for key, (text, source) in given.items():
        try:
            name = setting_name(game.settings, key)
            values[name] = read_setting(game.settings, name, text)
        except ValueError as error:
            raise UsageError(f"{source}: {error}") from None
    return values
