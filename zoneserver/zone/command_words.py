"""The parameters of an operator's command, and how they are read from the words that the operator typed."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Annotated, Any

from zoneserver.support.parse import parse_integer
from zoneserver.zone.actions import kind_of_waiting
from zoneserver.zone.rules import Between, Player, Text

__all__ = ["CommandParameter", "command_parameters", "read_words", "take_option", "usage"]

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_INT64 = Between(-(2**63), 2**63 - 1)
# The bound on a text without a bound of its own.
_TEXT = Text(1024)
_REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class CommandParameter:
    """One parameter of a command, after `self`."""

    name: str
    type: type
    """int, float, str, bool or Player."""
    bound: Between | Text | None
    default: Any
    """The value without a word for the parameter; `inspect.Parameter.empty` if a word is required."""

    @property
    def is_required(self) -> bool:
        return self.default is _REQUIRED

    def __str__(self) -> str:
        shown = f"{self.name}:{self.type.__name__}"
        return shown if self.is_required else f"[{shown}]" if self.default is None else f"[{shown}={self.default}]"


def usage(name: str, parameters: Sequence[CommandParameter]) -> str:
    """A command with its parameters, as `give player:Player gold:int [times:int=1]`."""
    return " ".join([name, *map(str, parameters)])


def command_parameters(handler: MethodType) -> list[CommandParameter]:
    """The parameters of a command. Raises TypeError for a handler that no words could call."""
    where = f"{type(handler.__self__).__name__}.{handler.__name__}"
    kind = kind_of_waiting(handler)
    if kind:
        raise TypeError(f"{where} is {kind}: a rule must be an ordinary function, since a tick cannot wait")
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except Exception as error:  # An annotation in quotes is evaluated here, and may raise any exception.
        raise TypeError(f"an annotation of {where} cannot be evaluated: {error}") from None
    return [
        _parameter(f"{where}({taken.name})", taken, hints.get(taken.name, Any))
        for taken in inspect.signature(handler).parameters.values()
    ]


def _parameter(where: str, parameter: inspect.Parameter, hint: Any) -> CommandParameter:
    kind, *bounds = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    bound = bounds[0] if bounds else None
    if parameter.kind not in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
        raise TypeError(f"{where}: a command takes a fixed number of positional arguments")
    bounded = (isinstance(bound, Between) and kind in (int, float)) or (isinstance(bound, Text) and kind is str)
    if kind not in (int, float, str, bool, Player) or not (bound is None or bounded):
        raise TypeError(
            f"{where} is annotated {hint!r}: a command takes int, float, str, bool or Player, and Annotated[...] with "
            "Between or Text"
        )
    return CommandParameter(parameter.name, kind, bound, parameter.default)


def read_words(
    parameters: Sequence[CommandParameter], words: Sequence[str], player_named: Callable[[str], Player]
) -> list[Any]:
    """The arguments that the words stand for. A str at the end takes all words that are left.

    Raises ValueError for words that do not fit, and what `player_named` raises for a name.
    """
    left, arguments = list(words), []
    for number, parameter in enumerate(parameters, 1):
        if not left:
            if parameter.is_required:
                raise ValueError(f"{parameter.name} is missing")
            arguments.append(parameter.default)
            continue
        word = left.pop(0)
        if parameter.type is str and number == len(parameters):
            word, left = " ".join([word, *left]), []
        arguments.append(_read(parameter, word, player_named))
    if left:
        raise ValueError(f"{left[0]!r:.80} is one word too many")
    return arguments


def _read(parameter: CommandParameter, word: str, player_named: Callable[[str], Player]) -> Any:
    name, bound = parameter.name, parameter.bound
    if parameter.type is Player:
        return player_named(word)
    if parameter.type is bool:
        if word.lower() not in (*_TRUE, *_FALSE):
            raise ValueError(f"{name} must be true or false, not {word!r:.80}")
        return word.lower() in _TRUE
    if parameter.type is str:
        bytes_max = bound.bytes_max if isinstance(bound, Text) else _TEXT.bytes_max
        if not (word.isprintable() and 0 < len(word.encode()) <= bytes_max):
            raise ValueError(f"{name} must be printable text of 1 to {bytes_max} bytes")
        return word
    is_whole = parameter.type is int
    bounds = bound if isinstance(bound, Between) else _INT64 if is_whole else Between(-math.inf, math.inf)
    what = f"a {'whole ' if is_whole else ''}number"
    if not math.isinf(bounds.low):
        what += f" from {bounds.low} to {bounds.high}" if is_whole else f" from {bounds.low:g} to {bounds.high:g}"
    try:
        value: float = parse_integer(word) if is_whole else float(word)
    except ValueError:
        value = math.nan
    # No comparison with a NaN holds.
    if bounds.low <= value <= bounds.high and not math.isinf(value):
        return value
    raise ValueError(f"{name} must be {what}, not {word!r:.80}")


def take_option(words: Sequence[str], option: str) -> tuple[str | None, list[str]]:
    """Takes an option and its value out of the words: the value, or None without the option, and the other words.

    Raises ValueError for an option without a value.

    >>> take_option(("ann", "--for", "1h", "be", "nice"), "--for")
    ('1h', ['ann', 'be', 'nice'])
    """
    left = list(words)
    if option not in left:
        return None, left
    place = left.index(option)
    if place + 1 == len(left):
        raise ValueError(f"{option} needs a value")
    value = left[place + 1]
    del left[place : place + 2]
    return value, left
