"""Turns the methods of a game that are marked as actions into functions that check what a client sent."""

from __future__ import annotations

import inspect
import math
import operator
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Annotated, Any

from zoneserver.protocol.codes import RefusalCode
from zoneserver.zone.rules import Between, Player, Refused, Rules, Text

__all__ = ["Action", "Parameter", "actions_of", "handlers_of", "kind_of_waiting", "parameters_of", "private_kinds"]

_Converter = Callable[[Any], Any]
# The bound on a text without a bound of its own: more than any packet of a client holds.
_TEXT_BYTES = 1024

Action = Callable[[Player, Sequence[Any]], Any]
"""One action of a game. It is called with the player and what its client sent, `(kind, argument, ...)`.

It raises Refused when the arguments do not fit, and calls the handler otherwise."""


def _action(kind: str, handler: Callable[..., Any], converters: Sequence[_Converter]) -> Action:
    def misfit() -> Refused:
        count = "1 argument" if len(converters) == 1 else f"{len(converters)} arguments"
        return Refused(RefusalCode.BAD_PAYLOAD, f"{kind} takes {count}", violation=True)

    # One and two arguments have a function of their own: `map` and `*` would double the cost of most actions.
    match converters:
        case [convert]:

            def run(player: Player, sent: Sequence[Any]) -> Any:
                if len(sent) != 2:
                    raise misfit()
                return handler(player, convert(sent[1]))

        case [first, second]:

            def run(player: Player, sent: Sequence[Any]) -> Any:
                if len(sent) != 3:
                    raise misfit()
                return handler(player, first(sent[1]), second(sent[2]))

        case _:

            def run(player: Player, sent: Sequence[Any]) -> Any:
                if len(sent) - 1 != len(converters):
                    raise misfit()
                return handler(player, *map(operator.call, converters, sent[1:]))

    return run


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an action, after the player: what a client has to send for it."""

    name: str
    type: type
    """int, float, str, bool or Player."""
    bound: Between | Text | None
    """None for a parameter without a bound."""


def actions_of(rules: Rules) -> dict[str, Action]:
    """The actions of a game by kind. Raises TypeError for an action that no client could send."""
    return {
        kind: _action(kind, handler, [_converter(rules, kind, parameter) for parameter in parameters_of(handler)])
        for kind, handler in handlers_of(rules).items()
    }


def handlers_of(rules: Rules) -> dict[str, MethodType]:
    """The methods of a game that are marked as actions, by their names."""
    # They are looked up on the class: on the game itself, the look-up would call its properties.
    marked = inspect.getmembers_static(
        type(rules), lambda found: inspect.isfunction(found) and hasattr(found, "__zone_action__")
    )
    return {kind: getattr(rules, kind) for kind, _ in marked}


def private_kinds(rules: Rules) -> frozenset[str]:
    """The kinds of actions that are answered to their player, and told to nobody else."""
    handlers: dict[str, Any] = dict(handlers_of(rules))
    return frozenset(kind for kind, handler in handlers.items() if handler.__zone_action__.private)


def parameters_of(handler: MethodType) -> list[Parameter]:
    """The parameters of an action after the player.

    Raises TypeError for a parameter that no client could send, and for a handler that the zone cannot call.
    """
    where = f"{type(handler.__self__).__name__}.{handler.__name__}"
    kind = kind_of_waiting(handler)
    if kind:
        raise TypeError(f"{where} is {kind}: a rule must be an ordinary function, since a tick cannot wait")
    parameters = list(inspect.signature(handler).parameters.values())
    if not parameters:
        raise TypeError(f"{where} has no parameter for the player")
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except Exception as error:  # An annotation in quotes is evaluated here, and may raise any exception.
        raise TypeError(f"an annotation of {where} cannot be evaluated: {error}") from None
    return [_parameter(f"{where}({taken.name})", taken, hints.get(taken.name, Any)) for taken in parameters[1:]]


def kind_of_waiting(function: Callable[..., Any]) -> str:
    """`async` or `a generator` for a function whose call runs nothing of it, else an empty str."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "async"
    return "a generator" if inspect.isgeneratorfunction(function) else ""


def _parameter(where: str, parameter: inspect.Parameter, hint: Any) -> Parameter:
    kind, *bounds = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    bound = bounds[0] if bounds else None
    if parameter.kind not in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
        raise TypeError(f"{where}: an action takes a fixed number of positional arguments")
    if bound is None and kind in (int, float, str, bool, Player):
        return Parameter(parameter.name, kind, None)
    if (isinstance(bound, Between) and kind in (int, float)) or (isinstance(bound, Text) and kind is str):
        if not _allows_a_value(bound):
            raise TypeError(f"{where} is bounded by {bound!r:.80}, which allows no value")
        return Parameter(parameter.name, kind, bound)
    raise TypeError(
        f"{where} is annotated {hint!r}: an action takes int, float, str, bool or "
        "Player, and Annotated[...] with Between or Text"
    )


def _allows_a_value(bound: Between | Text) -> bool:
    if isinstance(bound, Text):
        return type(bound.bytes_max) is int and bound.bytes_max > 0
    numbers = type(bound.low) in {int, float} and type(bound.high) in {int, float}
    return numbers and bound.low <= bound.high


def _converter(rules: Rules, kind: str, parameter: Parameter) -> _Converter:
    where = f"{kind}({parameter.name})"
    match parameter.bound:
        case Between(low, high):
            return _integer(where, low, high) if parameter.type is int else _number(where, low, high)
        case Text(bytes_max):
            return _text(where, bytes_max)
    if parameter.type is int:
        return _integer(where, -(2**63), 2**63 - 1)
    if parameter.type is float:
        return _number(where, -math.inf, math.inf)
    if parameter.type is str:
        return _text(where, _TEXT_BYTES)
    return _boolean(where) if parameter.type is bool else _player(where, rules)


def _integer(where: str, low: float, high: float) -> _Converter:
    def convert(value: Any) -> Any:
        # A bool is an int in Python, but not a number of an action.
        if type(value) is int and low <= value <= high:
            return value
        raise Refused(RefusalCode.BAD_PAYLOAD, f"{where} must be a whole number from {low} to {high}", violation=True)

    return convert


def _number(where: str, low: float, high: float) -> _Converter:
    def convert(value: Any) -> Any:
        # No comparison with a NaN holds, so this refuses it too.
        if type(value) in {int, float} and low <= value <= high and not math.isinf(value):
            return value
        raise Refused(RefusalCode.BAD_PAYLOAD, f"{where} must be a number from {low} to {high}", violation=True)

    return convert


def _text(where: str, bytes_max: int) -> _Converter:
    def convert(value: Any) -> Any:
        if type(value) is str and 0 < len(value.encode()) <= bytes_max and value.isprintable():
            return value
        raise Refused(
            RefusalCode.BAD_PAYLOAD, f"{where} must be printable text of 1 to {bytes_max} bytes", violation=True
        )

    return convert


def _boolean(where: str) -> _Converter:
    def convert(value: Any) -> Any:
        if type(value) is bool:
            return value
        raise Refused(RefusalCode.BAD_PAYLOAD, f"{where} must be true or false", violation=True)

    return convert


def _player(where: str, rules: Rules) -> _Converter:
    def convert(value: Any) -> Any:
        if type(value) is not int:
            raise Refused(RefusalCode.BAD_PAYLOAD, f"{where} must be the slot of a player", violation=True)
        player = rules.players.get(value)
        if player is None:
            raise Refused(RefusalCode.NO_TARGET, f"{where}: there is no player in slot {value}")
        return player

    return convert
