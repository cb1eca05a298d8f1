"""Turns the methods of a game that are marked as actions into functions that check what a client sent."""

from __future__ import annotations

import enum
import inspect
import operator
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from zoneserver.protocol.codes import RefusalCode
from zoneserver.zone.annotations import argument_of
from zoneserver.zone.arguments import NullableArgument, PlayerArgument
from zoneserver.zone.declared_events import DeclaredEvents, events_of
from zoneserver.zone.plain_arguments import Argument, Converter
from zoneserver.zone.rules import ActionMark, Player, Refused, Rules

__all__ = [
    "Action",
    "Parameter",
    "action_methods",
    "actions_of",
    "kind_of_waiting",
    "marked_methods",
    "parameters_of",
    "private_kinds",
]

Action = Callable[[Player, Sequence[Any]], Any]
"""One action of a game. It is called with the player and what its client sent, `(kind, argument, ...)`.

It raises Refused when the arguments do not fit, and calls the handler otherwise."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an action, after the player, or of a command: what has to be sent for it."""

    name: str
    argument: Argument
    has_default: bool = False
    default: Any = None
    """What a client would send for the default, if there is one."""

    def describe(self) -> str:
        """The parameter as in a definition, for people."""
        return f"{self.name}: {self.argument.describe()}{f' = {self.default!r}' if self.has_default else ''}"


def actions_of(rules: Rules) -> dict[str, Action]:
    """The actions of a game by kind. Raises TypeError for an action that no client could send."""
    game, private, declared = type(rules), private_kinds(rules), DeclaredEvents(events_of(rules))
    actions = {}
    for kind, method in action_methods(game).items():
        parameters = parameters_of(game, method)
        converters = [each.argument.converter(f"{kind}({each.name})", rules) for each in parameters]
        defaults = [each.default for each in parameters if each.has_default]
        run = _action(kind, getattr(rules, kind), converters, len(defaults))
        if kind not in private and (defaults or kind in declared):
            run = _telling(kind, run, (None,) * (len(parameters) - len(defaults)) + tuple(defaults), declared)
        actions[kind] = run
    return actions


def _action(kind: str, handler: Callable[..., Any], converters: Sequence[Converter], defaults: int) -> Action:
    """Makes the last parameters of an action optional: as many as there are defaults."""
    most = len(converters)
    least, too_many = most - defaults, most + 2

    def misfit() -> Refused:
        count = f"{least} to {most} arguments" if defaults else "1 argument" if most == 1 else f"{most} arguments"
        return Refused(RefusalCode.BAD_PAYLOAD, f"{kind} takes {count}", violation=True)

    # One and two arguments have a function of their own: `map` and `*` would double the cost of most actions.
    match converters:
        case [convert] if not defaults:

            def run(player: Player, sent: Sequence[Any]) -> Any:
                if len(sent) != 2:
                    raise misfit()
                return handler(player, convert(sent[1]))

        case [first, second] if not defaults:

            def run(player: Player, sent: Sequence[Any]) -> Any:
                if len(sent) != 3:
                    raise misfit()
                return handler(player, first(sent[1]), second(sent[2]))

        case _:

            def run(player: Player, sent: Sequence[Any]) -> Any:
                if not least < len(sent) < too_many:
                    raise misfit()
                return handler(player, *map(operator.call, converters, sent[1:]))

    return run


def _telling(kind: str, run: Action, defaults: Sequence[Any], declared: DeclaredEvents) -> Action:
    """Adds the defaults of omitted arguments to the event of an action, and checks it against its declaration."""

    def tell(player: Player, sent: Sequence[Any]) -> Any:
        result = run(player, sent)
        if player._has_moved:
            return result  # The action is told as a motion.
        values = (*sent[1:], *defaults[len(sent) - 1 :]) if result is None else result
        if type(values) is not tuple:
            values = (values,)
        return tuple(declared.told(kind, values)) if kind in declared else values

    return tell


def action_methods(game: type[Rules]) -> dict[str, FunctionType]:
    """The methods of a game that are marked as actions, by their names."""
    return marked_methods(game, "__zone_action__")


def marked_methods(game: type[Rules], mark: str) -> dict[str, FunctionType]:
    """The methods of a game that have an attribute of this name, by their own names."""
    # A look-up among the variables calls no properties of the game, and is quick: tests make thousands of zones.
    found: dict[str, Any] = {}
    for base in reversed(game.__mro__):
        found |= vars(base)
    return {
        name: found[name] for name in sorted(found) if inspect.isfunction(found[name]) and hasattr(found[name], mark)
    }


def private_kinds(game: Rules | type[Rules]) -> frozenset[str]:
    """The kinds of the private actions: only their player is answered."""
    methods = action_methods(game if isinstance(game, type) else type(game))
    marks: dict[str, ActionMark] = {kind: vars(method)["__zone_action__"] for kind, method in methods.items()}
    return frozenset(kind for kind, mark in marks.items() if mark.private)


def parameters_of(game: type[Rules], method: FunctionType, given: Sequence[str] = ("player",)) -> list[Parameter]:
    """The parameters of a method of a game, without self and the `given` ones before the sent arguments.

    Raises TypeError for a parameter that no client could send, and for a method that the zone cannot call.
    """
    where = f"{game.__name__}.{method.__name__}"
    kind = kind_of_waiting(method)
    if kind:
        raise TypeError(f"{where} is {kind}: a rule must be an ordinary function, since a tick cannot wait")
    taken_first, parameters = ("game", *given), list(inspect.signature(method).parameters.values())
    if len(parameters) < len(taken_first):
        raise TypeError(f"{where} has no parameter for the {taken_first[len(parameters)]}")
    try:
        hints = typing.get_type_hints(method, include_extras=True)
    except Exception as error:  # An annotation in quotes is evaluated here, and may raise any exception.
        raise TypeError(f"an annotation of {where} cannot be evaluated: {error}") from None
    kinds = getattr(game, "kinds", ())
    if given and _is_sent(hints.get(parameters[1].name), kinds):
        raise TypeError(f"{where} takes {parameters[1]} first: it must take the player before what a client sends")
    return [_parameter(f"{where}({taken.name})", taken, hints, kinds) for taken in parameters[len(taken_first) :]]


def _is_sent(hint: Any, kinds: typing.Container[str]) -> bool:
    """Whether an annotation stands for a value that a client sends, and not for a player."""
    try:
        argument = argument_of("", hint, kinds)
    except TypeError:
        return False
    return not isinstance(argument.kind if isinstance(argument, NullableArgument) else argument, PlayerArgument)


def kind_of_waiting(function: Callable[..., Any]) -> str:
    """`async` or `a generator` for a function whose call runs nothing of it, else an empty str."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "async"
    return "a generator" if inspect.isgeneratorfunction(function) else ""


def _parameter(
    where: str, parameter: inspect.Parameter, hints: typing.Mapping[str, Any], kinds: typing.Container[str]
) -> Parameter:
    if parameter.kind not in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
        raise TypeError(f"{where}: actions and commands take a fixed number of positional arguments")
    if parameter.name not in hints:
        raise TypeError(f"{where} has no annotation that says what is sent for it, as `{parameter.name}: int` does")
    argument = argument_of(where, hints[parameter.name], kinds)
    if parameter.default is parameter.empty:
        return Parameter(parameter.name, argument)
    if parameter.default is None and not isinstance(argument, NullableArgument):
        argument = NullableArgument(argument)
    return Parameter(parameter.name, argument, True, _as_sent(where, parameter.default))


def _as_sent(where: str, default: Any) -> Any:
    """Returns the value that a client would send for a default. A default may exceed the bounds of its parameter."""
    value = default.value if isinstance(default, enum.Enum) else default
    if type(value) in {list, tuple}:
        return tuple(_as_sent(where, item) for item in value)
    if value is None or type(value) in {int, float, str, bool, bytes}:
        return value
    raise TypeError(f"{where} has the default {default!r:.40}: it must be a value that a client could send")
