"""What the types of a game have in common in every language: names, literals and comments, made from its schema."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = [
    "Names",
    "Type",
    "camel",
    "events_of",
    "header",
    "is_repeated",
    "literal",
    "notes",
    "one_line",
    "pascal",
    "value_name",
]

Type = Mapping[str, Any]
"""A type of the schema, such as {"type": "int", "min": 0}."""

# The categories of Unicode that every language takes within an identifier.
_LETTERS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Nl"}
_WITHIN = {*_LETTERS, "Nd", "Mn", "Mc"}


class Names:
    """Gives out identifiers of one scope, each of them once.

    >>> names = Names({"class"})
    >>> names.new("class"), names.new("say"), names.new("say"), names.new("3 coins!")
    ('class_', 'say', 'say2', '_3_coins_')
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._keywords = frozenset(taken)
        self._taken = set(self._keywords)

    def new(self, wanted: str) -> str:
        """Returns an identifier that is the wanted name, or resembles it."""
        name = _identifier(wanted)
        name = f"{name}_" if name in self._keywords else name
        found, number = name, 2
        while found in self._taken:
            found, number = f"{name}{number}", number + 1
        self._taken.add(found)
        return found


def _identifier(name: str) -> str:
    """An identifier that resembles a name: `_` stands for each character that cannot be in one.

    >>> _identifier("row 7"), _identifier("7"), _identifier("größe"), _identifier("")
    ('row_7', '_7', 'größe', '_')
    """
    # Compilers know no letter beyond 16 bits.
    made = "".join(each if each < "\U00010000" and unicodedata.category(each) in _WITHIN else "_" for each in name)
    return made if made and unicodedata.category(made[0]) in {*_LETTERS, "Pc"} else f"_{made}"


def pascal(name: str) -> str:
    """A name in the form of types and methods of C#.

    >>> pascal("change_topic"), pascal("changeTopic"), pascal("LONG_BOW"), pascal("3 coins"), pascal("_")
    ('ChangeTopic', 'ChangeTopic', 'LongBow', '_3Coins', '_')
    """
    words = _identifier(name).split("_")
    return _identifier("".join(word.capitalize() if word.isupper() else word[:1].upper() + word[1:] for word in words))


def camel(name: str) -> str:
    """A name in the form of parameters of C#.

    >>> camel("any_thing"), camel("Text")
    ('anyThing', 'text')
    """
    made = pascal(name)
    return made[:1].lower() + made[1:]


def literal(value: str | int) -> str:
    """A text or a whole number as both languages write it."""
    return json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()))


def one_line(text: str) -> str:
    """A text that can stand in a comment of one line."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def header(schema: Mapping[str, Any], client: str, command: str, file: str) -> list[str]:
    """The lines at the top of a file: the game, its version, and the command that makes the file again."""
    version = f", version {literal(schema['version'])}" if schema["version"] else ""
    return [
        one_line(f"The actions and events of the game {literal(schema['name'])}{version}, for {client}."),
        "This command has made the file; do not edit it:",
        "",
        f"    {one_line(command)} > {file}",
        "",
        f"With `--check {file}` in place of `> {file}` the command says whether the file is stale.",
    ]


def events_of(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Sequence[Type] | None]]:
    """(kind, documentation, types of the values) of each event: those that are declared, and those of public actions.
    None stands for values of any number and kind."""
    declared = {each["name"]: each["values"] for each in schema["events"] or ()}
    docs = {each["name"]: each["doc"] for each in schema["actions"] if not each["private"]}
    for kind, values in declared.items():
        yield kind, docs.get(kind, ""), values
    for each in schema["actions"]:
        if not each["private"] and each["name"] not in declared:
            yield each["name"], each["doc"], each["values"]


def value_name(kind: Type) -> str:
    """What a value of an event is called: as the parameter that it comes from, else after its type."""
    by_type = {"int": "number", "float": "number", "str": "text", "bool": "flag", "player": "other", "list": "items"}
    return str(kind.get("name") or kind.get("kind") or by_type.get(kind["type"], kind["type"]))


def is_repeated(values: Sequence[Type]) -> bool:
    """Whether the one type stands for any number of values."""
    return any(each.get("repeated") for each in values)


def _bounds(kind: Type) -> str:
    """The values that a type takes, as far as types of a language do not say it: `from 1 to 6`; often nothing."""
    match kind["type"]:
        case "int" | "float":
            bounds = ("from", kind.get("min")), ("to", kind.get("max"))
            given = [(word, bound) for word, bound in bounds if bound is not None]
            words = {"from": "at least", "to": "at most"} if len(given) == 1 else {}
            return " ".join(f"{words.get(word, word)} {bound}" for word, bound in given)
        case "str":
            return f"1 to {kind['bytes_max']} bytes in UTF-8"
        case "bytes":
            return f"at most {kind['bytes_max']} bytes"
        case "player":
            return "the slot of a player"
        case "thing":
            return f"the slot of a {kind.get('kind', 'thing')}"
        case "choice":
            names = kind.get("names", [""] * len(kind["values"]))
            values = map(literal, kind["values"])
            pairs = [f"{value} ({name})" if name else value for value, name in zip(values, names, strict=True)]
            return f"one of {', '.join(pairs)}"
        case "list":
            each = _bounds(kind["items"])
            return f"at most {kind['items_max']} items{f', each {each}' if each else ''}"
    return ""


def notes(parameter: Type) -> str:
    """The bounds of a parameter and its default, for a comment."""
    parts = [_bounds(parameter), "or null" if parameter.get("nullable") else ""]
    if "default" in parameter:
        parts.append(f"by default {json.dumps(parameter['default'], ensure_ascii=False)}")
    return one_line(", ".join(filter(None, parts)))
