"""The schema of a game: what a client has to know about it, as plain values."""

from __future__ import annotations

import inspect
import math
from types import FunctionType
from typing import Any

from zoneserver.zone.actions import Parameter, action_methods, parameters_of, private_kinds
from zoneserver.zone.declared_events import events_of
from zoneserver.zone.game_commands import command_methods, command_parameters
from zoneserver.zone.rules import Rules

__all__ = ["schema_of"]


def schema_of(game: Rules | type[Rules]) -> dict[str, Any]:
    """The schema `zone-game/1` of a game, which JSON can carry. Bytes are texts of hexadecimal digits in it.

    Raises TypeError for an action, a command or an event that nobody could send or be told.
    """
    rules, private = game if isinstance(game, type) else type(game), private_kinds(game)
    # None: any event may come.
    events = [
        {"name": kind, "values": [argument.to_json() for argument in arguments]}
        for kind, arguments in events_of(game).items()
    ]
    settings = {
        name: {"type": type(first).__name__, "default": _plain(first)}
        for name, first in getattr(game, "settings", {}).items()
    }
    return {
        "schema": "zone-game/1",
        "name": game.name or rules.__name__.lower(),
        "version": getattr(game, "version", ""),
        "width": game.width,
        "height": game.height,
        "speed_step": getattr(game, "speed_step", 0),
        "stats": dict(game.stats),
        "board": dict(getattr(game, "board", {})),
        "kinds": {kind: dict(stats) for kind, stats in getattr(game, "kinds", {}).items()},
        "settings": settings,
        "actions": [_action(rules, kind, method, kind in private) for kind, method in action_methods(rules).items()],
        "commands": [_command(rules, name, method) for name, method in command_methods(rules).items()],
        "events": events or None,
    }


def _action(rules: type[Rules], kind: str, method: FunctionType, is_private: bool) -> dict[str, Any]:
    return {
        "name": kind,
        "private": is_private,
        "doc": _doc(method),
        "parameters": list(map(_parameter, parameters_of(rules, method))),
    }


def _command(rules: type[Rules], name: str, method: FunctionType) -> dict[str, Any]:
    return {
        "name": name,
        "doc": _doc(method),
        "parameters": list(map(_parameter, command_parameters(rules, method))),
    }


def _doc(method: FunctionType) -> str:
    """The first line of the docstring."""
    return (inspect.getdoc(method) or "").partition("\n")[0]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    default = {"default": _plain(parameter.default)} if parameter.has_default else {}
    return {"name": parameter.name, **parameter.argument.to_json(), **default}


def _plain(value: Any) -> Any:
    """A value as JSON can carry it."""
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return list(map(_plain, value))
        case float() if not math.isfinite(value):
            return str(value)
        case bool() | int() | float() | str() | None:
            return value
    return str(value)
