"""The actions and events of a game as types of TypeScript, for `zone.js`. Nothing of them runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoneserver.authoring.typings import (
    Names,
    Type,
    events_of,
    header,
    is_repeated,
    literal,
    notes,
    one_line,
    pascal,
    value_name,
)

__all__ = ["typescript_text"]

_KEYWORDS = frozenset(
    """
    arguments await break case catch class const continue debugger default delete do else enum eval export extends
    false finally for function if implements import in instanceof interface let new null package private protected
    public return static super switch this throw true try typeof undefined var void while with yield
    """.split()  # noqa: SIM905
)
_TYPES = {
    "int": "number",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "bytes": "Uint8Array",
    "player": "Slot",
    "thing": "Slot",
}
_OPENING = """\
import type { Player, Thing, Value, Zone, ZoneEvents } from "./zone.js";

/** The number by which actions and events name a player or a thing. */
export type Slot = number;

declare const answer: unique symbol;
/** The number of an action. `zone.done` of it gives the answer; a public action has none. */
export type Sequence<Answer> = number & { readonly [answer]?: Answer };
"""


def typescript_text(schema: Mapping[str, Any], command: str) -> str:
    """The file for a game. `command` makes the file, and stands at its top."""
    name = schema["name"]
    head = header(schema, "zone.js", command, f"{name if name.isascii() and name.isidentifier() else 'game'}.d.ts")
    lines = [*(f"// {line}" for line in head), "", *_OPENING.splitlines(), *_names(schema), *_events(schema)]
    return "".join(f"{line.rstrip()}\n" for line in (*lines, *_zone(schema)))


def _names(schema: Mapping[str, Any]) -> Iterator[str]:
    """What players, things and the board have."""
    game = pascal(schema["name"])
    values = {name: "number" if isinstance(first, int) else "string" for name, first in schema["board"].items()}
    for title, fields, doc in (
        ("Stats", dict.fromkeys(schema["stats"], "number"), "The stats of a player."),
        ("Board", values, "The board."),
        ("Kinds", {kind: _stats(stats) for kind, stats in schema["kinds"].items()}, "The kinds of things."),
    ):
        yield from ("", f"/** {doc} */", f"export interface {title} {{")
        yield from (f"  readonly {literal(name)}: {type_};" for name, type_ in fields.items())
        yield "}"
    yield from ("", f'export type {game}Player = Omit<Player, "stats"> & {{ readonly stats: Stats }};')
    yield f"export type {game}Thing = {{"
    yield '  [Kind in keyof Kinds]: Omit<Thing, "kind" | "stats"> & {'
    yield "    readonly kind: Kind; readonly stats: Kinds[Kind] };"
    yield "}[keyof Kinds];"


def _stats(stats: Mapping[str, Any]) -> str:
    return f"{{ {' '.join(f'readonly {literal(stat)}: number;' for stat in stats)} }}" if stats else "{}"


def _events(schema: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "/** The values of each event of the game. */", "export interface Events {")
    for kind, doc, values in events_of(schema):
        yield from _comment(doc)
        yield f"  {literal(kind)}: {_tuple(values)};"
    yield "}"


def _zone(schema: Mapping[str, Any]) -> Iterator[str]:
    """The zone, whose methods take and tell what the game has."""
    game = pascal(schema["name"])
    zone, player, thing = (f"{game}{word}" for word in ("Zone", "Player", "Thing"))
    typed = ("act", "done", "on", "board", "players", "player", "find", "me", "things", "thing")
    yield from ("", f"/** The zone of the game: `(await connect(...)) as unknown as {zone}`. */")
    yield f"export interface {zone} extends Omit<Zone, {' | '.join(map(literal, typed))}> {{"
    for action in schema["actions"]:
        yield from _action(action)
    if not schema["actions"]:
        yield "  act(kind: never): never;"
    yield "  /** Resolves with the answer, or with null for an action that is past without a sign of its own. */"
    yield "  done<Answer>(seq: Sequence<Answer>): Promise<Answer | null>;"
    yield f'  on(event: "join" | "leave", callback: (player: {player}) => void): () => void;'
    yield '  on<Event extends Exclude<keyof ZoneEvents, "join" | "leave" | "*">>('
    yield "    event: Event, callback: ZoneEvents[Event]): () => void;"
    told = f"player: {player} | null, ...values"
    yield '  /** An event of the game; one whose name is an event of zone.js comes by "*" alone. */'
    yield "  on<Kind extends Exclude<keyof Events, keyof ZoneEvents>>("
    yield f"    event: Kind, callback: ({told}: Events[Kind]) => void): () => void;"
    if schema["events"] is None:
        # The game does not say what it emits.
        yield f'  on(event: "*", callback: (kind: string, {told}: Value[]) => void): () => void;'
        yield f"  on(event: string, callback: ({told}: Value[]) => void): () => void;"
    else:
        yield '  on(event: "*", callback: (...event: {'
        yield f"    [Kind in keyof Events]: [kind: Kind, {told}: Events[Kind]] }}[keyof Events]) => void): () => void;"
    yield "  readonly board: Board;"
    yield f"  readonly players: {player}[];"
    yield f"  player(slot: Slot): {player} | undefined;"
    yield f"  find(name: string): {player} | undefined;"
    yield f"  readonly me: {player} | undefined;"
    yield f"  readonly things: {thing}[];"
    yield f"  thing(slot: Slot): {thing} | undefined;"
    yield "}"


def _action(action: Mapping[str, Any]) -> Iterator[str]:
    scope = Names((*_KEYWORDS, "kind"))
    named = [(scope.new(each["name"]), each) for each in action["parameters"]]
    parameters = [f"{name}{'?' if 'default' in each else ''}: {_type(each, is_sent=True)}" for name, each in named]
    yield from _comment(action["doc"], *(f"@param {name} {notes(each)}" for name, each in named if notes(each)))
    answer = _tuple(action["values"]) if action["private"] else "undefined"
    taken = ", ".join([f"kind: {literal(action['name'])}", *parameters])
    yield f"  act({taken}): Sequence<{answer}>;"


def _tuple(values: Sequence[Type] | None) -> str:
    """The type of the values of an event or of an answer."""
    if values is None:
        return "[...values: Value[]]"
    if is_repeated(values):
        return f"[...values: {_array(_type(values[0]))}]"
    scope = Names(_KEYWORDS)
    return f"[{', '.join(f'{scope.new(value_name(each))}: {_type(each)}' for each in values)}]"


def _type(kind: Type, is_sent: bool = False) -> str:
    """The type of TypeScript for a type of the schema. A whole number beyond 2^53 is a bigint, which would be a burden
    on all others: the types leave it out."""
    match kind["type"]:
        case "list":
            found = f"{'readonly ' if is_sent else ''}{_array(_type(kind['items'], is_sent))}"
        case "choice":
            found = " | ".join(map(literal, kind["values"]))
        case plain:
            found = _TYPES[plain]
    return f"{found} | null" if kind.get("nullable") else found


def _array(item: str) -> str:
    return f"({item})[]" if " " in item else f"{item}[]"


def _comment(*texts: str) -> Iterator[str]:
    """A comment of documentation; nothing without a text."""
    lines = [one_line(text).replace("*/", "* /") for text in texts if text]
    if lines:
        yield f"  /** {lines[0]}" + ("" if lines[1:] else " */")
        yield from (f"   * {line}{' */' if line is lines[-1] else ''}" for line in lines[1:])
