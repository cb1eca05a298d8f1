"""The actions and events of a game as a class of C# 7.2, for `ZoneClient.cs`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoneserver.authoring.typings import (
    Names,
    Type,
    camel,
    events_of,
    header,
    is_repeated,
    literal,
    notes,
    one_line,
    pascal,
    value_name,
)

__all__ = ["csharp_text"]

_KEYWORDS = frozenset(
    """abstract as base bool break byte case catch char checked class const continue decimal default delegate do double
    else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal is
    lock long namespace new null object operator out override params private protected public readonly ref return sbyte
    sealed short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe
    ushort using virtual void volatile while""".split()  # noqa: SIM905
)
# What every object has, and what the class has beside the names of the game.
_MEMBERS = (
    *("Equals", "Finalize", "GetHashCode", "GetType", "MemberwiseClone", "ReferenceEquals", "ToString"),
    *("Name", "Version", "Zone", "Hear"),
    # Types that the file uses: a member of this name would hide one.
    *("Array", "Convert", "ZoneClient", "ZoneEntity", "ZoneOutcome", "Zoneserver"),
)
_TYPES = {
    "int": "long",
    "float": "double",
    "str": "string",
    "bool": "bool",
    "bytes": "byte[]",
    "player": "int",
    "thing": "int",
}
_REFERENCES = {"str", "bytes", "list"}
# ZoneClient.Act has an overload for each of these.
_PLAIN_CALLS: tuple[list[str], ...] = ([], ["int"], ["long"], ["long", "long"], ["string"])


def csharp_text(schema: Mapping[str, Any], command: str) -> str:
    """The file for a game. `command` makes the file, and stands at its top."""
    return _File(schema, command).text()


class _File:
    def __init__(self, schema: Mapping[str, Any], command: str) -> None:
        self._schema = schema
        self._command = command
        self._class = Names(_KEYWORDS).new(f"{pascal(schema['name'])}Game")
        self._members = Names((*_KEYWORDS, *_MEMBERS, self._class))
        # The names that the game's own get before all others.
        actions = schema["actions"]
        self._methods = {each["name"]: self._members.new(pascal(each["name"])) for each in actions}
        answered = [each["name"] for each in actions if each["private"] and each["values"]]
        self._answers = {kind: self._members.new(f"{pascal(kind)}Answer") for kind in answered}
        # The name of each enum, by the values and the names of its members.
        self._enums: dict[tuple[Any, ...], str] = {}
        self._enum_lines: list[str] = []

    def text(self) -> str:
        schema = self._schema
        parts = [list(self._action(each)) for each in schema["actions"]]
        parts += [list(self._answer(each)) for each in schema["actions"] if each["name"] in self._answers]
        events = [self._event(*each) for each in events_of(schema)]
        parts += [lines for lines, _ in events]
        cases = [case for _, case in events]
        parts += list(self._hear(cases))
        parts = [*self._names(), self._enum_lines, *parts]
        head = header(schema, "ZoneClient.cs", self._command, f"{self._class}.cs")
        lines = [f"// {line}".rstrip() for line in head]
        lines += ["", "using System;", "", "namespace Zoneserver", "{"]
        lines += [f"    {line}" for line in self._opening(bool(cases))]
        for part in filter(None, parts):
            lines += ["", *(f"        {line}" for line in part)]
        return "\n".join(line.rstrip() for line in (*lines, "    }", "}")) + "\n"

    def _opening(self, has_events: bool) -> Iterator[str]:
        name, version = self._schema["name"], self._schema["version"]
        yield from _summary(f"The actions and events of {name}, typed. Make one for each ZoneClient.")
        yield f"public sealed class {self._class}"
        yield "{"
        yield from (f"    {line}" for line in _summary("The name of the game, as ZoneClient.Game has it."))
        yield f"    public const string Name = {literal(name)};"
        yield from (f"    {line}" for line in _summary("The version of the game, for ZoneOptions.GameVersion."))
        yield f"    public const string Version = {literal(version)};"
        yield ""
        yield "    public readonly ZoneClient Zone;"
        yield ""
        yield f"    public {self._class}(ZoneClient zone)"
        yield "    {"
        yield "        Zone = zone;"
        if has_events:
            yield "        zone.Heard += Hear;"
        yield "    }"

    def _names(self) -> Iterator[list[str]]:
        """Classes of constants: the names of the stats, of the board, of the kinds of things, and of their stats."""
        schema = self._schema
        yield self._constants("Stats", schema["stats"], "The stats of a player, for ZoneEntity.Stat.")
        yield self._constants("Board", schema["board"], "The entries of the board, for ZoneClient.Board.")
        yield self._constants("Kinds", schema["kinds"], "The kinds of things, for ZoneEntity.Kind.")
        for kind, stats in schema["kinds"].items():
            yield self._constants(f"{pascal(kind)}Stats", stats, f"The stats of a {kind}, for ZoneEntity.Stat.")

    def _constants(self, wanted: str, names: Mapping[str, Any], doc: str) -> list[str]:
        if not names:
            return []
        name = self._members.new(wanted)
        scope = Names((*_KEYWORDS, *_MEMBERS, name))
        constants = [f"    public const string {scope.new(pascal(each))} = {literal(each)};" for each in names]
        return [*_summary(doc), f"public static class {name}", "{", *constants, "}"]

    # --- Actions ----------------------------------------------------------------------------------

    def _action(self, action: Mapping[str, Any]) -> Iterator[str]:
        """A method for each number of arguments that the action takes: a default is the game's own."""
        kind, parameters = action["name"], action["parameters"]
        method, scope = self._methods[kind], Names((*_KEYWORDS, "each"))
        names = [scope.new(camel(each["name"])) for each in parameters]
        types = [self._type(each, each["name"]) for each in parameters]
        least = sum("default" not in each for each in parameters)
        for count in range(least, len(parameters) + 1):
            if count > least:
                yield ""
            yield from _summary(action["doc"] or f"The action {kind}.")
            for name, parameter in zip(names[:count], parameters, strict=False):
                text = notes(parameter)
                if text:
                    yield f'/// <param name="{name}">{_escaped(text)}</param>'
            reader = f"; {self._answers[kind]} reads its answer" if kind in self._answers else ""
            yield f"/// <returns>The sequence of the action, for ZoneClient.Done{reader}.</returns>"
            taken = ", ".join(f"{each} {name}" for each, name in zip(types[:count], names, strict=False))
            values = [self._sent(name, each) for name, each in zip(names[:count], parameters, strict=False)]
            given = ", ".join([literal(kind), *values])
            if types[:count] not in _PLAIN_CALLS:  # One value of type object[] would be taken for all values.
                given = f"{literal(kind)}, new object[] {{ {', '.join(values)} }}"
            yield f"public long {method}({taken})"
            yield "{"
            yield f"    return Zone.Act({given});"
            yield "}"

    def _answer(self, action: Mapping[str, Any]) -> Iterator[str]:
        """A method that reads the answer of a private action."""
        kind, values = action["name"], action["values"]
        types = [self._type(each, f"{kind}_answer") for each in values]
        yield from _summary(f"The answer to the action {kind}, once its outcome is ZoneFate.Answered.")
        if is_repeated(values):
            found, type_ = f"Array.ConvertAll(outcome.Values, each => {self._got('each', values[0])})", f"{types[0]}[]"
        else:
            got = [self._got(f"outcome.Values[{index}]", each) for index, each in enumerate(values)]
            found, type_ = (", ".join(got), ", ".join(types))
            if len(values) > 1:
                found, type_ = f"({found})", f"({type_})"
        yield f"public static {type_} {self._answers[kind]}(ZoneOutcome outcome)"
        yield "{"
        yield f"    return {found};"
        yield "}"

    # --- Events -----------------------------------------------------------------------------------

    def _event(self, kind: str, doc: str, values: Sequence[Type] | None) -> tuple[list[str], list[str]]:
        """The declaration of an event, and the case that calls it."""
        name = self._members.new(f"On{pascal(kind)}")
        handler, scope = self._members.new(f"{name}Handler"), Names((*_KEYWORDS, "player"))
        if values is None:
            taken, got = ["object[] values"], ["values"]
        elif is_repeated(values):
            taken = [f"{self._type(values[0], kind)}[] values"]
            got = [f"Array.ConvertAll(values, each => {self._got('each', values[0])})"]
        else:
            wanted = list(map(value_name, values))
            taken = [
                f"{self._type(each, word)} {scope.new(camel(word))}" for each, word in zip(values, wanted, strict=True)
            ]
            got = [self._got(f"values[{index}]", each) for index, each in enumerate(values)]
        lines = [
            *_summary(f"The event {kind}. {doc}".strip()),
            f"public delegate void {handler}({', '.join(['ZoneEntity player', *taken])});",
            f"public event {handler} {name};",
        ]
        call = f"    if ({name} != null) {name}({', '.join(['player', *got])});"
        return lines, [f"case {literal(kind)}:", call, "    break;"]

    def _hear(self, cases: Sequence[Sequence[str]]) -> Iterator[list[str]]:
        if cases:
            opening = ["void Hear(string kind, ZoneEntity player, object[] values)", "{", "    switch (kind)", "    {"]
            inner = [f"        {line}" for case in cases for line in case]
            yield [*opening, *inner, "    }", "}"]

    # --- Types ------------------------------------------------------------------------------------

    def _type(self, kind: Type, wanted: str) -> str:
        """The type of C# for a type of the schema. An enum that does not exist yet gets the wanted name."""
        if kind["type"] == "list":
            return f"{self._type(kind['items'], wanted)}[]"
        found = self._enum(kind, wanted) if kind["type"] == "choice" else _TYPES[kind["type"]]
        return f"{found}?" if kind.get("nullable") and kind["type"] not in _REFERENCES else found

    def _enum(self, kind: Type, wanted: str = "") -> str:
        """The enum for the values of a choice."""
        values, words = kind["values"], kind.get("names", list(map(str, kind["values"])))
        # True and 1 are equal, and so are no two values of one choice.
        key = (*map(literal, values), *words)
        if key not in self._enums:
            name = self._enums[key] = self._members.new(pascal(wanted))
            scope = Names(_KEYWORDS)
            members = [
                f"    {scope.new(pascal(word))}{',' if number < len(words) else ''}"
                for number, word in enumerate(words, 1)
            ]
            table = ", ".join(_wire_literal(value) for value in values)
            self._enum_lines += ["", f"public enum {name}", "{", *members, "}", ""]
            self._enum_lines.append(f"static readonly object[] {self._members.new(name + 'Values')} = {{ {table} }};")
            self._enum_lines = self._enum_lines[not self._enum_lines[0] :]
        return self._enums[key]

    def _sent(self, given: str, kind: Type) -> str:
        """The expression for what is sent for an argument."""
        is_reference = kind["type"] in _REFERENCES
        if kind.get("nullable") and kind["type"] != "str" and kind["type"] != "bytes":
            inner = self._sent(given if is_reference else f"{given}.Value", {**kind, "nullable": False})
            return f"{given} == null ? null : (object){inner}"
        match kind["type"]:
            case "player" | "thing":
                return f"(long){given}"
            case "choice":
                return f"{self._enum(kind)}Values[(int){given}]"
            case "list":
                return f"Array.ConvertAll({given}, each => (object){_grouped(self._sent('each', kind['items']))})"
        return given

    def _got(self, value: str, kind: Type) -> str:
        """The expression for a value that came."""
        is_reference = kind["type"] in _REFERENCES
        if kind.get("nullable") and kind["type"] != "str" and kind["type"] != "bytes":
            inner = self._got(value, {**kind, "nullable": False})
            none = "null" if is_reference else f"({self._type(kind, '')})null"
            return f"{value} == null ? {none} : {inner}"
        match kind["type"]:
            case "float":  # A whole number is a number, too.
                return f"Convert.ToDouble({value})"
            case "player" | "thing":
                return f"(int)(long){value}"
            case "choice":
                return f"({self._enum(kind)})Array.IndexOf({self._enum(kind)}Values, {value})"
            case "list":
                return f"Array.ConvertAll((object[]){value}, each => {self._got('each', kind['items'])})"
        return f"({self._type(kind, '')}){value}"


def _grouped(expression: str) -> str:
    return f"({expression})" if " " in expression else expression


def _wire_literal(value: str | int) -> str:
    return literal(value) if isinstance(value, str) else f"{value}L"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _summary(text: str) -> list[str]:
    return [f"/// <summary>{_escaped(one_line(text))}</summary>"]
