"""`zoneserver schema`: prints what a client has to know about a game, as JSON or as types of a language."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoneserver.authoring.csharp import csharp_text
from zoneserver.authoring.typescript import typescript_text
from zoneserver.cli.command import print_result
from zoneserver.cli.parser import Parser
from zoneserver.support.errors import CannotStartError, CommandError, Exit
from zoneserver.support.parse import one_of
from zoneserver.zone.game_class import problems_of
from zoneserver.zone.rules import Rules
from zoneserver.zone.schema import schema_of, schema_text

__all__ = ["schema", "schema_settings"]

_EXAMPLES = """\
  zoneserver schema mygame:Mygame > mygame.json
  zoneserver schema mygame:Mygame --lang ts > mygame.d.ts             types for zone.js
  zoneserver schema mygame:Mygame --lang csharp > MygameGame.cs       a class for ZoneClient.cs
  zoneserver schema mygame:Mygame --lang ts --check mygame.d.ts       is the file stale?
  zoneserver schema zoneserver.games.tag:Tag | jq .actions"""
_LANGUAGES: dict[str, Callable[[Mapping[str, Any], str], str]] = {
    "json": lambda schema, _: json.dumps(schema, indent=2) + "\n",
    "ts": typescript_text,
    "csharp": csharp_text,
}


def schema_settings(parser: Parser) -> None:
    """Declares the command `schema`."""
    command = parser.command(
        "schema",
        "print the actions and events of a game, as JSON or as types",
        "Print the actions with their arguments, the stats and the events of a game for clients: as JSON, or as types "
        "for a client in TypeScript or C#.",
        examples=_EXAMPLES,
        exit_codes="0 printed, 1 the game has a problem, or the file of --check is stale, 2 wrong usage, 3 the game or "
        "the file cannot be read",
        usage="module:Rules [flags]",
    )
    command.add_argument("rules", metavar="module:Rules", help="the game: a class of a module")
    text = "json, or the language of the types: ts for zone.js, csharp for ZoneClient.cs"
    command.setting("--lang", parse=one_of(tuple(_LANGUAGES), "language"), default="json", help=text)
    text = "print nothing; say whether this file differs from what would be printed"
    command.setting("--check", parse=Path, help=text)
    command.common()


def schema(arguments: argparse.Namespace, load: Callable[[str], type[Rules]]) -> int:
    """Runs the command; `load` finds a game by its name. Raises CommandError."""
    game = load(arguments.rules)
    try:
        for problem in problems_of(game):
            raise CommandError(problem)
        found = schema_of(game)
        schema_text(found)
    except TypeError as error:
        raise CommandError(str(error)) from None
    command = f"zoneserver schema {arguments.rules} --lang {arguments.lang}"
    text = _LANGUAGES[arguments.lang](found, command)
    if arguments.check is None:
        print_result(text)
        return Exit.OK
    if _content(arguments.check) != text:
        raise CommandError(f"{arguments.check} is stale: {command} > {arguments.check}")
    return Exit.OK


def _content(path: Path) -> str:
    """The text of a file; a line may end as on any system."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise CannotStartError(f"cannot read {path}: {error.strerror}") from None
