"""The commands that a game has for its operators: methods, and how their arguments are read from words."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from zoneserver.protocol.codes import RefusalCode
from zoneserver.zone.actions import Parameter, marked_methods, parameters_of
from zoneserver.zone.arguments import NullableArgument
from zoneserver.zone.plain_arguments import Converter, TextArgument
from zoneserver.zone.rules import Refused, Rules

__all__ = ["GameCommand", "command_methods", "command_parameters", "commands_of"]


class GameCommand:
    """One command of a game.

    Raises TypeError for a method that no words could call.
    """

    def __init__(self, rules: Rules, name: str, method: FunctionType) -> None:
        self._rules = rules
        self._parameters = command_parameters(type(rules), method)
        self._converters = [each.argument.converter(each.name, rules) for each in self._parameters]
        self.handler = getattr(rules, name)
        shown = (f"[{each.describe()}]" if each.has_default else f"<{each.describe()}>" for each in self._parameters)
        self.usage = " ".join([name, *shown])
        """The command with its parameters, as `give <player: Player> <gold: int> [times: int = 1]`."""
        self.text = (inspect.getdoc(method) or "").partition("\n")[0]
        """The first line of the docstring."""

    def read(self, words: Sequence[str]) -> list[Any]:
        """The arguments that the words stand for, without those that are left to their defaults. A str at the end takes
        all words that are left.

        Raises ValueError for words that do not fit, and Refused for a player or a thing that is not in the zone.
        """
        parameters, left = self._parameters, list(words)
        most = len(parameters)
        if len(left) > most > 0 and _is_text(parameters[-1]):
            left[most - 1 :] = [" ".join(left[most - 1 :])]
        if len(left) > most:
            raise ValueError(f"{left[most]!r:.80} is one word too many")
        if len(left) < most and not parameters[len(left)].has_default:
            raise ValueError(f"{parameters[len(left)].name} is missing")
        return list(map(self._read, parameters, self._converters, left))

    def _read(self, parameter: Parameter, convert: Converter, word: str) -> Any:
        try:
            sent = parameter.argument.read(word, self._rules)
        except ValueError as error:
            raise ValueError(f"{parameter.name} must be {error}, not {word!r:.80}") from None
        try:
            return convert(sent)
        except Refused as refused:
            if refused.code != RefusalCode.BAD_PAYLOAD:
                raise
            raise ValueError(f"{refused.text}, not {word!r:.80}") from None


def commands_of(rules: Rules) -> dict[str, GameCommand]:
    """The commands of a game by name. Raises TypeError for a command that no words could call."""
    return {name: GameCommand(rules, name, method) for name, method in command_methods(type(rules)).items()}


def command_methods(game: type[Rules]) -> dict[str, FunctionType]:
    """The methods of a game that are marked as commands, by their names."""
    return marked_methods(game, "__zone_command__")


def command_parameters(game: type[Rules], method: FunctionType) -> list[Parameter]:
    """The parameters of a command, after `self`. Raises TypeError for a method that no words could call."""
    return parameters_of(game, method, given=())


def _is_text(parameter: Parameter) -> bool:
    argument = parameter.argument
    return isinstance(argument.kind if isinstance(argument, NullableArgument) else argument, TextArgument)
