"""What a client knows of a game: its schema `zone-game/1`, as the game tells it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoneclient.typed_arguments import read_argument, read_arguments, split_word
from zoneserver.protocol.player_names import NAME_CHARACTERS
from zoneserver.protocol.values import Value

__all__ = ["SCHEMA_ACTION", "GameSchema"]

SCHEMA_ACTION = "/game.json"
"""The private action of every game whose answer is its schema, as one JSON text."""


class GameSchema:
    """The actions and events of a game. Without a text there are none: the game did not tell its schema.

    Raises ValueError for a text that is no schema of this kind.

    >>> wave = '{"name": "wave", "parameters": [], "doc": "Waves."}'
    >>> GameSchema('{"schema": "zone-game/1", "actions": [' + wave + "]}").help_lines()
    ['/wave    Waves.']
    """

    def __init__(self, text: str = "") -> None:
        try:
            schema: Any = json.loads(text or '{"schema": "zone-game/1", "actions": []}')
            if schema["schema"] != "zone-game/1":
                raise ValueError(f"the schema {schema['schema']!r:.40} is unknown")
            self.actions: dict[str, Mapping[str, Any]] = {each["name"]: each for each in schema["actions"]}
            self._parameters = {name: _types(each["parameters"]) for name, each in self.actions.items()}
            declared = {each["name"]: _types(each["values"]) for each in schema.get("events") or ()}
            self._events = self._parameters | declared
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"the answer is no schema of a game: {error!r:.80}") from None

    def help_lines(self) -> list[str]:
        """Return a line for each action: how it is typed, and what it does."""
        forms = {name: " ".join((f"/{name}", *map(_form, each["parameters"]))) for name, each in self.actions.items()}
        width = max(map(len, forms.values()), default=0)
        docs = {name: str(each.get("doc", "")) for name, each in self.actions.items()}
        return [f"{form:<{width}}    {docs[name]}".rstrip() for name, form in forms.items()]

    def read(self, kind: str, text: str, slot_of: Callable[[str], int | None]) -> list[Value]:
        """Return the typed arguments of an action. Raises ValueError.

        A player may be typed by name, a text without quotes; the last text takes the rest of the line.
        """
        types = self._parameters.get(kind)
        if types is None:
            return read_arguments(text)
        arguments: list[Value] = []
        while text := text.strip():
            number = len(arguments)
            kind_of = types[number]["type"] if number < len(types) else ""
            if kind_of == "str" and number == len(types) - 1 and text[0] not in "'\"":
                word, text = text, ""
            elif kind_of == "player" and (name := _name_at_start(text, slot_of)):
                word, text = repr(name), text[len(name) :]
            else:
                word, text = split_word(text)
            arguments.append(_read(word, kind_of, slot_of))
        return arguments

    def named(self, kind: str, values: Sequence[Any], name_of: Callable[[int], str | None]) -> str:
        """Return the values of an event as text, with names in place of the slots of players."""
        types = self._events.get(kind, ())
        types = types if len(types) == len(values) else [{}] * len(values)
        return " ".join(_shown(value, each, name_of) for value, each in zip(values, types, strict=True))


def _name_at_start(text: str, slot_of: Callable[[str], int | None]) -> str:
    """Return the longest name of a player with which a text begins, empty if there is none: a name may have spaces."""
    ends = [index for index, character in enumerate(text) if character == " "][:NAME_CHARACTERS]
    names = (text[:end] for end in (len(text), *reversed(ends)))
    return next((name for name in names if slot_of(name) is not None), "")


def _types(parameters: Any) -> list[Mapping[str, Any]]:
    types = list(parameters)
    if not all(isinstance(each, dict) and isinstance(each.get("type"), str) for each in types):
        raise TypeError("a parameter without a type")
    return types


def _form(parameter: Mapping[str, Any]) -> str:
    """A parameter as it is typed, in the form of usage lines: `NAME:type`."""
    kind = parameter["type"]
    if kind == "choice":
        kind = "|".join(map(str, parameter.get("values", ())))
    elif "min" in parameter or "max" in parameter:
        kind = f"{parameter.get('min', '')}..{parameter.get('max', '')}"
    text = f"{str(parameter.get('name', '')).upper()}:{kind}"
    return f"[{text}]" if "default" in parameter else text


def _read(word: str, kind: str, slot_of: Callable[[str], int | None]) -> Value:
    try:
        value = read_argument(word)
    except ValueError:
        if kind not in {"str", "choice", "player"}:
            raise
        value = word
    if kind == "player" and isinstance(value, str):
        slot = slot_of(value)
        if slot is None:
            raise ValueError(f"there is no player {value!r:.40} here")
        return slot
    # A number is a text where a text is wanted.
    return word if kind == "str" and not isinstance(value, str) and value is not None else value


def _shown(value: Any, kind: Mapping[str, Any], name_of: Callable[[int], str | None]) -> str:
    if kind.get("type") == "player" and isinstance(value, int):
        return name_of(value) or str(value)
    if kind.get("type") == "list" and isinstance(value, tuple) and isinstance(kind.get("items"), dict):
        return "[" + ", ".join(_shown(item, kind["items"], name_of) for item in value) + "]"
    return repr(value)
