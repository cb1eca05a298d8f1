"""The schema of a game: what a client has to know about it, as plain values."""

from __future__ import annotations

import inspect
import json
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, NoneType
from typing import Any

from zoneserver.protocol.values import EVENT_BYTES_MAX
from zoneserver.support.unicode_text import is_unicode
from zoneserver.zone.actions import Parameter, action_methods, parameters_of, private_kinds
from zoneserver.zone.annotations import argument_of
from zoneserver.zone.arguments import NullableArgument
from zoneserver.zone.declared_events import events_of
from zoneserver.zone.game_commands import command_methods, command_parameters
from zoneserver.zone.plain_arguments import Argument
from zoneserver.zone.rules import Rules

__all__ = ["SCHEMA_START", "schema_of", "schema_text"]

_SCHEMA = "zone-game/1"
SCHEMA_START = f'{{"schema":"{_SCHEMA}"'.encode()
"""Each text of a schema begins with these bytes, and hardly anything else does."""

# A private answer has at most this size; the rest of the answer takes less than 64 bytes.
_BYTES_MAX = EVENT_BYTES_MAX - 64


def schema_of(game: Rules | type[Rules]) -> dict[str, Any]:
    """The schema `zone-game/1` of a game, which JSON can carry. Bytes are texts of hexadecimal digits in it.

    Raises TypeError for an action, a command or an event that nobody could send or be told.
    """
    rules, private = game if isinstance(game, type) else type(game), private_kinds(game)
    declared = events_of(game)
    # None: any event may come.
    events = [{"name": kind, "values": _types(arguments)} for kind, arguments in declared.items()]
    settings = {
        name: {"type": type(first).__name__, "default": _plain(first)}
        for name, first in getattr(game, "settings", {}).items()
    }
    return {
        "schema": _SCHEMA,
        "name": game.name or rules.__name__.lower(),
        "version": getattr(game, "version", ""),
        "width": game.width,
        "height": game.height,
        "speed_step": getattr(game, "speed_step", 0),
        "stats": dict(game.stats),
        "board": dict(getattr(game, "board", {})),
        "kinds": {kind: dict(stats) for kind, stats in getattr(game, "kinds", {}).items()},
        "settings": settings,
        "actions": [
            _action(rules, kind, method, kind in private, declared) for kind, method in action_methods(rules).items()
        ],
        "commands": [_command(rules, name, method) for name, method in command_methods(rules).items()],
        "events": events or None,
    }


def schema_text(schema: dict[str, Any]) -> str:
    """The JSON text of a schema, as clients get it. Raises TypeError for a schema that no client could get."""
    problems = [
        f"{place} of the game is {text!r:.40}: a text that clients are told must be Unicode"
        for place, text in _texts("", schema)
        if not is_unicode(text)
    ]
    if problems:
        raise TypeError("; ".join(problems))
    text = _dumped(schema)
    size = len(text.encode())
    if size > _BYTES_MAX:
        largest = max(schema, key=lambda name: len(_dumped(schema[name])))
        raise TypeError(
            f"the schema of the game takes {size:,} bytes as JSON, most of them for its {largest}, and clients are "
            f"told at most {_BYTES_MAX:,}: shorten its texts and names, or declare less"
        )
    return text


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _texts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """(place, text) of each text in a schema, as `settings['motto']['default']`."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(f"{place}[{key!r}]" if place else key, part)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            # Actions, parameters, commands and events are known by their names.
            name = part.get("name", index) if isinstance(part, dict) else index
            yield from _texts(f"{place}[{name!r}]", part)


def _action(
    rules: type[Rules], kind: str, method: FunctionType, is_private: bool, declared: Mapping[str, Sequence[Argument]]
) -> dict[str, Any]:
    parameters, is_declared = parameters_of(rules, method), kind in declared and not is_private
    returned = _returned(method, getattr(rules, "kinds", ()), [] if is_private else parameters)
    return {
        "name": kind,
        "private": is_private,
        "doc": _doc(method),
        "parameters": list(map(_parameter, parameters)),
        "values": _types(declared[kind]) if is_declared else returned,
    }


def _returned(
    method: FunctionType, kinds: typing.Container[str], parameters: Sequence[Parameter]
) -> list[dict[str, Any]] | None:
    """The values that an action which returns what its annotation says carries in its event or in its answer. If it
    returns nothing, these are its `parameters`. None if the annotation does not say."""
    hint = typing.get_type_hints(method, include_extras=True).get("return", Any)
    if hint is NoneType:
        return [{"name": each.name, **each.argument.to_json()} for each in parameters]
    is_tuple = typing.get_origin(hint) is tuple
    parts = typing.get_args(hint) if is_tuple else (hint,)
    more = {}
    if len(parts) == 2 and parts[1] is ...:
        parts, more = parts[:1], {"repeated": True}
    try:
        arguments = [argument_of("", part, kinds) for part in parts]
    except TypeError:
        return None
    if not is_tuple and isinstance(arguments[0], NullableArgument):
        return None  # A rule that returns None and no tuple returns nothing.
    return [each | more for each in _types(arguments)]


def _types(arguments: Sequence[Argument]) -> list[dict[str, Any]]:
    return [argument.to_json() for argument in arguments]


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
